#include <signal.h>
#include <sys/wait.h>

#include "tests/component/deploy/runtime/fixture.hpp"

namespace holdfast::test {
namespace {

using rt::InstanceId;
using rt::InstanceState;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class Interruption : public RuntimeTest {
 protected:
  /// Nothing of any instance is left: files, mounts, groups, processes.
  void expect_nothing_left() {
    EXPECT_TRUE(runtime_->observe(rt::InspectionDepth::due)->empty());
    for (const auto& directory : {paths().instances(), paths().bundles(), paths().exits(),
                                  paths().runtime_root(), paths().mounts()})
      EXPECT_TRUE(fs::is_empty(directory)) << directory;
    EXPECT_THAT(slurp("/proc/self/mountinfo"), Not(HasSubstr((root() / "run/mnt/web").string())));
    EXPECT_TRUE(eventually([&] { return processes_of_ours() == 0; }));
    for (const char* hierarchy : {"memory", "freezer", "pids", "unified", ""})
      EXPECT_FALSE(fs::exists(fs::path{"/sys/fs/cgroup"} / hierarchy / ("holdfast-" + name_)))
          << hierarchy;
  }
  int processes_of_ours() const {
    int count = 0;
    for (const auto& entry : fs::directory_iterator{"/proc"}) {
      const auto name = entry.path().filename().string();
      if (name.find_first_not_of("0123456789") != std::string::npos ||
          name == std::to_string(getpid()))
        continue;
      if (slurp(entry.path() / "cmdline").find(root().string()) != std::string::npos) ++count;
    }
    return count;
  }
};

TEST_F(Interruption, AStopRequestDuringCreateIsObeyedAtOnceAndLeavesNothing) {
  for (int after = 0; after <= 60; after += 10) {
    std::stop_source source;
    std::jthread stopper{[&] {
      os::sleep_until(clock_.boot() + Milliseconds{after}, {});
      source.request_stop();
    }};
    const auto created = runtime_->create(spec("web-1", a_service(idle())), source.get_token());
    stopper.join();
    if (created) {
      ASSERT_TRUE(runtime_->remove(InstanceId{"web-1"}, {}));
    } else {
      EXPECT_EQ(created.error().code(), Errc::cancelled) << created.error().to_string();
    }
    expect_nothing_left();
  }
}

TEST_F(Interruption, TheAgentMayBeKilledAtAnyInstantOfCreateAndRestart) {
  for (int after = 0; after <= 120; after += 6) {
    const pid_t agent = fork();
    if (agent == 0) {
      auto created = runtime_->create(spec("web-1", a_service(idle())), {});
      auto seen = runtime_->observe(rt::InspectionDepth::due);
      if (seen && !seen->empty() && seen->front().pid > 0) kill(seen->front().pid, SIGKILL);
      os::sleep_until(clock_.boot() + Milliseconds{3}, {});
      auto restarted = runtime_->restart(InstanceId{"web-1"}, {});
      pause();
    }
    os::sleep_until(clock_.boot() + Milliseconds{after}, {});
    kill(agent, SIGKILL);
    waitpid(agent, nullptr, 0);
    reopen();
    const auto seen = runtime_->observe(rt::InspectionDepth::due);
    ASSERT_TRUE(seen);
    if (!seen->empty()) {
      const auto& one = seen->front();
      EXPECT_NE(one.state, InstanceState::creating) << after;
      if (one.state == InstanceState::exited) {
        const auto restarted = runtime_->restart(InstanceId{"web-1"}, {});
        EXPECT_TRUE(restarted) << after << (restarted ? "" : restarted.error().to_string());
      }
      const auto removed = runtime_->remove(InstanceId{"web-1"}, {});
      ASSERT_TRUE(removed) << after << (removed ? "" : removed.error().to_string());
    }
    expect_nothing_left();
    network_->forget_all();
  }
}

TEST_F(Interruption, ManyInstancesAtOnceDoNotDisturbEachOther) {
  constexpr int kCount = 6;
  std::atomic<bool> done{false};
  std::jthread observer{[&] {
    while (!done) EXPECT_TRUE(runtime_->observe(rt::InspectionDepth::due));
  }};
  std::vector<std::jthread> workers;
  for (int i = 0; i < kCount; ++i)
    workers.emplace_back([&, i] {
      const auto id = fmt::format("web-{}", i);
      for (int round = 0; round < 2; ++round) {
        const auto created = runtime_->create(spec(id, a_service(idle())), {});
        EXPECT_TRUE(created) << (created ? "" : created.error().to_string());
        // A busy machine may need longer than one call waits; it is safe to repeat.
        EXPECT_TRUE(eventually([&] { return runtime_->freeze(InstanceId{id}, {}).has_value(); }));
        const auto removed = runtime_->remove(InstanceId{id}, {});
        EXPECT_TRUE(removed) << (removed ? "" : removed.error().to_string());
      }
    });
  workers.clear();
  done = true;
  observer.join();
  expect_nothing_left();
}

TEST_F(Interruption, HostAndNoNetworkWorkToo) {
  auto host =
      a_service({"/bin/sh", "-c",
                 "ls /sys/class/net; trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done"});
  host.network = proto::NetworkMode::host;
  create(spec("web-1", host));
  EXPECT_EQ(see("web-1").address, 0x7F000001U);
  EXPECT_EQ(fs::read_symlink(fmt::format("/proc/{}/ns/net", see("web-1").pid)),
            fs::read_symlink("/proc/self/ns/net"));
  auto none = host;
  none.network = proto::NetworkMode::none;
  create(spec("web-2", none));
  EXPECT_EQ(see("web-2").address, 0U);
  EXPECT_EQ(network_->count(), 0U);
  EXPECT_TRUE(eventually([&] { return log_of("web-2").starts_with("lo\n"); }));
  EXPECT_TRUE(runtime_->stop(InstanceId{"web-2"}, {{}, Milliseconds{5000}}, {}));
  EXPECT_TRUE(runtime_->restart(InstanceId{"web-2"}, {}));
}

TEST_F(Interruption, AVanishedNamespaceIsADeviationAndARestartIsRefused) {
  create(spec("web-1", a_service(idle())));
  ASSERT_TRUE(network_->detach("web-1"));
  EXPECT_THAT(
      see("web-1", rt::InspectionDepth::full).deviations,
      Contains(::testing::Field(&deploy::plan::Deviation::kind, proto::DriftKind::network)));
  ASSERT_TRUE(runtime_->stop(InstanceId{"web-1"}, {{}, Milliseconds{5000}}, {}));
  const auto restarted = runtime_->restart(InstanceId{"web-1"}, {});
  ASSERT_FALSE(restarted);
  EXPECT_THAT(restarted.error().what(), HasSubstr("namespace is gone"));
}

TEST_F(Interruption, WhatAKilledRuntimeLeftHalfWrittenStopsNoRestart) {
  create(spec("web-1", a_service(idle())));
  kill(see("web-1").pid, SIGKILL);
  ASSERT_TRUE(eventually([&] { return see("web-1").exit.has_value(); }));
  write(paths().bundle(InstanceId{"web-1"}) / ".pidfile", "");  // runc renames it, or was killed
  const auto restarted = runtime_->restart(InstanceId{"web-1"}, {});
  EXPECT_TRUE(restarted) << (restarted ? "" : restarted.error().to_string());
}

TEST_F(Interruption, AFailedRestartLeavesAnExitedInstanceThatCanBeRestarted) {
  write(root() / "secret", "x");
  auto service = a_service(idle());
  service.secrets = {{.name = "key", .file = (root() / "secret").string()}};
  create(spec("web-1", service));
  kill(see("web-1").pid, SIGKILL);
  ASSERT_TRUE(eventually([&] { return see("web-1").exit.has_value(); }));
  fs::remove(root() / "secret");
  EXPECT_FALSE(runtime_->restart(InstanceId{"web-1"}, {}));
  EXPECT_EQ(see("web-1").state, InstanceState::exited);
  EXPECT_EQ(see("web-1").exit.value_or(rt::ExitInfo{}).code, 137);
  write(root() / "secret", "y");
  EXPECT_TRUE(runtime_->restart(InstanceId{"web-1"}, {}));
  EXPECT_EQ(see("web-1").state, InstanceState::running);
}

}  // namespace
}  // namespace holdfast::test
