// What an instance leaves on disk at every durable step of its making and its end, and a runtime
// that hangs (packaging/doc/security.md 7, F-07, F-08, F-10, F-68).
#include <gmock/gmock.h>

#include "tests/component/deploy/runtime/fixture.hpp"
#include "tests/component/faults/sweep.hpp"

namespace holdfast::test {
namespace {

using faults::Life;
using faults::Told;
using ::testing::HasSubstr;

class RuntimeFaults : public RuntimeTest {
 protected:
  [[nodiscard]] rt::InstanceId web() const { return rt::InstanceId{"web-1"}; }

  /// Whatever was left can be seen and removed, and then there is nothing.
  void expect_removable() {
    reopen();
    const auto seen = runtime_->observe(rt::InspectionDepth::due);
    ASSERT_TRUE(seen) << seen.error().to_string();
    EXPECT_LE(seen->size(), 1U);
    for (const auto& instance : *seen) {
      const auto removed = runtime_->remove(instance.id, {});
      ASSERT_TRUE(removed) << removed.error().to_string();
    }
    network_->forget_all();
    EXPECT_TRUE(runtime_->observe(rt::InspectionDepth::due)->empty());
    EXPECT_FALSE(fs::exists(paths().kept(web())));
    EXPECT_FALSE(fs::exists(paths().bundle(web())));
    EXPECT_FALSE(fs::exists(paths().mount(web())));
    EXPECT_EQ(slurp("/proc/self/mountinfo").find((root() / "run").string() + "/mnt/web"),
              std::string::npos);
  }
  void sweep_create(const std::string& rule, int step, const std::function<int(Told&)>& work) {
    test::run({.rule = rule,
               .below = root(),
               .least = 8,
               .step = step,
               .begin = {},
               .work = work,
               .expect = [this](const Life& life) {
                 EXPECT_EQ(life.words, "");
                 expect_removable();
               }});
    expect_removable();
  }
};

TEST_F(RuntimeFaults, KilledBeforeAnyDurableStepOfCreateWhatIsLeftIsSeenAndRemoved) {
  sweep_create("any:{}=kill-before", 8, [this](Told&) {
    return runtime_->create(spec("web-1", a_service(idle())), {}) ? 0 : 1;
  });
}

TEST_F(RuntimeFaults, WhatTheDiskRefusesToCreateIsNamedAndLeavesWhatCanBeRemoved) {
  for (const auto& [error, code] : {std::pair{"EIO", Errc::io}, {"ENOSPC", Errc::nospace}}) {
    sweep_create(std::string{"any:{}="} + error, 9, [this, code = code](Told& told) {
      const auto made = runtime_->create(spec("web-1", a_service(idle())), {});
      if (!made && made.error().code() != code) told.say(made.error().to_string());
      return made ? 0 : 1;
    });
  }
}

TEST_F(RuntimeFaults, KilledBeforeAnyDurableStepOfRemoveItCanBeRepeated) {
  test::run({.rule = "any:{}=kill-before",
             .below = root(),
             .least = 5,
             .step = 7,
             .begin = [this] { create(spec("web-1", a_service(idle()))); },
             .work = [this](Told&) { return runtime_->remove(web(), {}) ? 0 : 1; },
             .expect = [this](const Life&) { expect_removable(); }});
}

/// Instead of the runtime: sleeps when it is to create, else is what it stands for.
class HangingRuntime {
 public:
  explicit HangingRuntime(const fs::path& directory) {
    EXPECT_EQ(unshare(CLONE_NEWNS), 0);
    EXPECT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    const auto real = directory / "real";
    const auto fake = directory / "fake";
    fs::copy_file("/usr/sbin/runc", real);
    std::ofstream{fake}
        << "#!/bin/sh\nfor word; do [ \"$word\" = create ] && exec sleep 600; done\n"
        << "exec " << real.string() << " \"$@\"\n";
    fs::permissions(fake, fs::perms::owner_all | fs::perms::others_exec);
    EXPECT_EQ(::mount(fake.c_str(), "/usr/sbin/runc", nullptr, MS_BIND, nullptr), 0);
  }
  ~HangingRuntime() { ::umount2("/usr/sbin/runc", MNT_DETACH); }
};

TEST_F(RuntimeFaults, ARuntimeThatHangsIsKilledAtItsTimeAndNothingIsLeft) {
  static faults::Report report;
  faults::install("below=/nowhere", &report);
  const HangingRuntime hanging{root()};
  std::jthread minute{[this] {
    EXPECT_TRUE(eventually([this] { return fs::exists(paths().bundle(web()) / "conmon.pid"); }));
    report.boot_ns = 61'000'000'000;
  }};
  const auto made = runtime_->create(spec("web-1", a_service(idle())), {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), Errc::timed_out) << made.error().to_string();
  EXPECT_THAT(made.error().what(), HasSubstr("did not create the container within 1m"));
  minute.join();
  expect_removable();
  for (const auto& entry : fs::directory_iterator{"/proc"}) {
    const auto line = slurp(entry.path() / "cmdline");
    EXPECT_EQ(line.find(root().string()), std::string::npos) << entry.path() << " " << line;
  }
}

}  // namespace
}  // namespace holdfast::test
