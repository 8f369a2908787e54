// sd_notify through the agent's own socket, with a real runtime and a program that sends.
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/component/deploy/runtime/fixture.hpp"

namespace holdfast::test {
namespace {

using rt::InstanceId;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

class Notify : public RuntimeTest {
 protected:
  void SetUp() override {
    RuntimeTest::SetUp();
    fs::copy_file(fs::read_symlink("/proc/self/exe").parent_path() / "holdfast-notifier",
                  image_dir() / "bin/notifier");
  }
  [[nodiscard]] rt::InstanceSpec notifier(std::vector<std::string> steps) const {
    steps.insert(steps.begin(), "/bin/notifier");
    auto service = a_service(std::move(steps));
    service.health = proto::HealthRule{.probe = proto::NotifyProbe{}, .interval = 200ms};
    return spec("web-1", service);
  }
  rt::NotifiedVerdict verdict() {
    const auto said = runtime_->sd_notify_state(InstanceId{"web-1"});
    EXPECT_TRUE(said);
    const proto::HealthRule rule{.probe = proto::NotifyProbe{}, .interval = 200ms};
    return rt::judge(said.value_or(rt::SdNotifyState{}), rule, clock_.boot());
  }
  bool healthy() { return verdict().healthy; }
};

TEST_F(Notify, AServiceIsReadyWhenItSaysSo) {
  create(notifier({"STATUS=loading", "+400", "READY=1\nSTATUS=serving"}));
  EXPECT_FALSE(healthy());
  EXPECT_TRUE(eventually([&] { return verdict().detail.find("loading") != std::string::npos; }));
  EXPECT_TRUE(eventually([&] { return healthy(); }));
  EXPECT_THAT(verdict().detail, HasSubstr("serving"));
  // The program writes that line after it has sent, and we may have heard it before.
  EXPECT_TRUE(
      eventually([&] { return log_of("web-1").find("sent READY=1") != std::string::npos; }));
}

TEST_F(Notify, AServiceThatWasReadyStaysSoForANewAgentWhichHearsItAgain) {
  create(notifier({"READY=1", "+1500", "STOPPING=1"}));
  ASSERT_TRUE(eventually([&] { return healthy(); }));
  reopen();
  EXPECT_TRUE(healthy()) << "what was said before the restart is kept";
  EXPECT_TRUE(eventually([&] { return !healthy(); }));
  EXPECT_THAT(verdict().detail, HasSubstr("STOPPING=1"));
}

TEST_F(Notify, ALongOrAnEndlessTalkerHoldsUpNobody) {
  auto talker = notifier({"+60000"});
  create(talker);
  auto other = notifier({"+500", "READY=1"});
  other.id = InstanceId{"api-1"};
  create(other);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto path = (paths().notify(InstanceId{"web-1"}) / "notify.sock").string();
  ASSERT_LT(path.size(), sizeof address.sun_path);
  path.copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
  std::jthread talking{[&](const std::stop_token& stop) {
    const os::UniqueFd from{socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    const std::string said = "READY=0\nSTATUS=" + std::string(20'000, 'x');
    while (!stop.stop_requested())
      (void)sendto(from.get(), said.data(), said.size(), 0,
                   reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }};
  EXPECT_TRUE(eventually([&] {
    const auto heard = runtime_->sd_notify_state(InstanceId{"api-1"});
    return heard && heard->ready;
  }));
  EXPECT_FALSE(healthy());
  const auto talked = runtime_->sd_notify_state(InstanceId{"web-1"});
  ASSERT_TRUE(talked);
  EXPECT_LE(talked->status.size(), 4096U);
}

TEST_F(Notify, ASilentWatchdogIsNoticedAndOneThatWasNeverUsedIsNot) {
  create(notifier({"READY=1", "WATCHDOG=1", "+150", "WATCHDOG=1"}));
  ASSERT_TRUE(eventually([&] { return healthy(); }));
  EXPECT_TRUE(eventually([&] { return !healthy(); }));
  EXPECT_THAT(verdict().detail, HasSubstr("no WATCHDOG=1"));
}

TEST_F(Notify, AWatchdogThatIsFedInTimeIsHealthyAlsoAfterTheFreezer) {
  create(notifier({"READY=1", "@100:WATCHDOG=1"}));
  ASSERT_TRUE(eventually([&] {
    const auto said = runtime_->sd_notify_state(InstanceId{"web-1"});
    return said && said->watchdog;  // who never sent one is not held to it
  }));
  EXPECT_TRUE(healthy());
  ASSERT_TRUE(runtime_->freeze(InstanceId{"web-1"}, {}));
  os::sleep_until(clock_.boot() + 700ms, {});
  EXPECT_FALSE(healthy());
  ASSERT_TRUE(runtime_->thaw(InstanceId{"web-1"}));
  EXPECT_TRUE(healthy()) << "time in the freezer is no silence";
}

TEST_F(Notify, ANewProcessMustSayItAnew) {
  create(notifier({"+300", "READY=1"}));
  ASSERT_TRUE(eventually([&] { return healthy(); }));
  kill(see("web-1").pid, SIGKILL);
  ASSERT_TRUE(eventually([&] { return see("web-1").exit.has_value(); }));
  auto restarted = runtime_->restart(InstanceId{"web-1"}, {});
  ASSERT_TRUE(restarted) << restarted.error().to_string();
  EXPECT_FALSE(healthy()) << "the process before said it";
  EXPECT_TRUE(eventually([&] { return healthy(); }));
}

TEST_F(Notify, TheContainerCannotTouchTheSocketsDirectory) {
  auto service = a_service({"/bin/sh", "-c",
                            "echo $NOTIFY_SOCKET $WATCHDOG_USEC; touch /run/notify/x || echo no; "
                            "rm /run/notify/notify.sock || echo never"});
  service.health = proto::HealthRule{.probe = proto::NotifyProbe{}, .interval = 200ms};
  const auto said = output_of("web-1", spec("web-1", service));
  EXPECT_THAT(said, HasSubstr("/run/notify/notify.sock 400000\n"));
  EXPECT_THAT(said, HasSubstr("no\n"));
  EXPECT_THAT(said, HasSubstr("never\n"));
}

TEST_F(Notify, AServiceWithoutTheProbeHasNoSocket) {
  create(spec("web-1", a_service(idle())));
  EXPECT_FALSE(runtime_->sd_notify_state(InstanceId{"web-1"}));
  EXPECT_FALSE(fs::exists(paths().notify(InstanceId{"web-1"})));
}

TEST_F(Notify, NothingOfTheSocketIsLeftAfterARemoval) {
  create(notifier({"READY=1"}));
  ASSERT_TRUE(eventually([&] { return healthy(); }));
  ASSERT_TRUE(runtime_->remove(InstanceId{"web-1"}, {}));
  EXPECT_FALSE(runtime_->sd_notify_state(InstanceId{"web-1"}));
  EXPECT_FALSE(fs::exists(paths().bundle(InstanceId{"web-1"})));
}

}  // namespace
}  // namespace holdfast::test
