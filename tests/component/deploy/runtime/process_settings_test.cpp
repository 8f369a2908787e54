#include <sys/resource.h>
#include <sys/stat.h>

#include "deploy/runtime/spec/host_facts.hpp"
#include "tests/component/deploy/runtime/fixture.hpp"

// init, ulimits, sysctls, shm_size, group_add and the options of tmpfs, as a program sees them.

namespace holdfast::test {
namespace {

using rt::InstanceId;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class ProcessSettings : public RuntimeTest {
 protected:
  static proto::Service sh(const std::string& text) { return a_service({"/bin/sh", "-c", text}); }
  /// What a service wrote until its end; logs outlive instances, so each has a name of its own.
  std::string told(proto::Service service) {
    last_ = fmt::format("web-{}", ++count_);
    return output_of(last_, spec(last_, std::move(service)));
  }
  Error refusal(proto::Service service) {
    auto created = runtime_->create(spec("web-1", std::move(service)), {});
    if (!created) return std::move(created).error();
    ADD_FAILURE() << "was created";
    return Error{Errc::internal, "was created"};
  }

  std::string last_;
  int count_ = 10;
};

TEST_F(ProcessSettings, AnInitIsProcessOneReapsAndPassesTheExitCodeOn) {
  auto service = sh("cat /proc/1/comm; (true & exec sleep 0.3) & wait; sleep 0.2; ps; exit 7");
  service.init = true;
  service.security.read_only = true;
  const auto text = told(service);
  EXPECT_THAT(text, AllOf(HasSubstr("/dev/init -- /bin/sh"), Not(HasSubstr("[true]"))));
  EXPECT_EQ(see(last_).exit->code, 7);
}

TEST_F(ProcessSettings, AnInitPassesTheStopSignalOn) {
  // As process 1 itself it would be deaf to SIGTERM until it is killed.
  auto service = sh("echo ready; exec sleep 1000");
  service.init = true;
  create(spec("web-1", service));
  ASSERT_TRUE(eventually([&] { return log_of("web-1") == "ready\n"; }));
  proto::StopRule rule;
  rule.timeout = Milliseconds{4'000};
  const auto outcome = runtime_->stop(InstanceId{"web-1"}, rule, {});
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  EXPECT_EQ(*outcome, rt::StopOutcome::ended);
}

TEST_F(ProcessSettings, UlimitsAreWhatTheProgramHasAndWhatIsRunBesideIt) {
  auto service = sh("grep -E 'open files|core file|processes' /proc/self/limits; sleep 1000");
  service.ulimits = {{"nofile", {.soft = 256, .hard = 512}}, {"core", {.soft = 0, .hard = 4096}}};
  create(spec("web-1", service));
  EXPECT_TRUE(eventually([&] { return log_of("web-1").find("processes") != std::string::npos; }));
  EXPECT_THAT(log_of("web-1"), AllOf(::testing::ContainsRegex("open files +256 +512 "),
                                     ::testing::ContainsRegex("core file size +0 +4096 ")));
  service.ulimits = {};
  create(spec("web-2", service));
  EXPECT_TRUE(eventually([&] { return log_of("web-2").find("processes") != std::string::npos; }));
  rlimit own{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &own), 0);
  EXPECT_THAT(log_of("web-2"),
              AllOf(::testing::ContainsRegex(
                        fmt::format("open files +{} ", std::min<rlim_t>(65'536, own.rlim_max))),
                    ::testing::ContainsRegex("core file size +0 +0 ")));
  // runc 1.1 sets the limits of exec beside a Go runtime that raises the soft one of files.
  const auto probed = runtime_->exec(InstanceId{"web-1"}, {"/bin/sh", "-c", "ulimit -H -n"},
                                     Milliseconds{5'000}, {});
  ASSERT_TRUE(probed);
  EXPECT_EQ(probed->output, "512\n");
}

TEST_F(ProcessSettings, AUlimitThatTheAgentMayNotGiveIsTheHostsFault) {
  auto service = sh("true");
  service.ulimits = {{"nofile", {.soft = 1024, .hard = std::uint64_t{1} << 40}}};
  const auto error = refusal(service);
  EXPECT_EQ(error.code(), Errc::host) << error.to_string();
  EXPECT_THAT(error.next_step(), HasSubstr("fs.nr_open"));
  EXPECT_FALSE(runtime_->host_gives(service));
}

TEST_F(ProcessSettings, SysctlsAreThoseOfTheInstanceAlone) {
  auto service =
      sh("cat /proc/sys/net/core/somaxconn /proc/sys/kernel/msgmax "
         "/proc/sys/net/ipv4/ip_unprivileged_port_start");
  service.sysctls = {{"net.core.somaxconn", "4321"}, {"kernel.msgmax", "12345"}};
  const auto before = slurp("/proc/sys/kernel/msgmax");
  EXPECT_EQ(told(service), "4321\n12345\n0\n");
  EXPECT_EQ(slurp("/proc/sys/kernel/msgmax"), before);
}

TEST_F(ProcessSettings, ASysctlThatThisKernelLacksIsTheHostsFaultAndAWrongValueTheDocuments) {
  auto service = sh("true");
  service.sysctls = {{"net.core.no_such_thing", "1"}};
  const auto lacking = refusal(service);
  EXPECT_EQ(lacking.code(), Errc::host) << lacking.to_string();
  EXPECT_THAT(lacking.next_step(), HasSubstr("leave it out of sysctls"));
  service.sysctls = {{"net.core.somaxconn", "many"}};
  const auto wrong = refusal(service);
  EXPECT_EQ(wrong.code(), Errc::runtime) << wrong.to_string();
  EXPECT_THAT(wrong.next_step(), HasSubstr("check its value"));
}

TEST_F(ProcessSettings, ADeviceIsThereWithTheAccessThatIsWrittenAndNoOtherOne) {
  const std::string attempt =
      "(: <>/dev/my-fuse) && echo both; (: </dev/my-fuse) && echo read; ls /dev/fuse /dev/loop0";
  auto service = sh(attempt);
  service.security.user = "0:0";  // as the node belongs to root on many hosts
  service.devices = {{.source = "/dev/fuse", .target = "/dev/my-fuse"}};
  EXPECT_THAT(told(service), AllOf(HasSubstr("both\nread\n"), HasSubstr("/dev/fuse: No such"),
                                   HasSubstr("/dev/loop0: No such")));
  service.devices[0].access = "r";
  EXPECT_THAT(told(service), AllOf(HasSubstr("read\n"), Not(HasSubstr("both"))));
}

TEST_F(ProcessSettings, ADeviceThatIsNotThereIsTheHostsFault) {
  auto service = sh("true");
  service.devices = {{.source = "/dev/no-such-device", .target = "/dev/x"}};
  const auto error = refusal(service);
  EXPECT_EQ(error.code(), Errc::host);
  EXPECT_THAT(error.to_string(), HasSubstr("/dev/no-such-device is not there"));
  EXPECT_FALSE(runtime_->host_gives(service));
  service.devices[0].source = "/dev/shm";
  EXPECT_THAT(refusal(service).what(), HasSubstr("not a device"));
}

TEST_F(ProcessSettings, SharedMemoryIsAsLargeAsWrittenOrSixtyFourMiB) {
  auto service = sh("mount | grep ' /dev/shm '");
  EXPECT_THAT(told(service), HasSubstr("size=65536k"));
  service.shm_size = Bytes{128U << 20};
  EXPECT_THAT(told(service), AllOf(HasSubstr("size=131072k"), HasSubstr("noexec")));
}

TEST_F(ProcessSettings, GroupsAreAddedByNumberAndByTheImagesName) {
  auto service = sh("id -G");
  service.security.group_add = {"4711", "extra"};
  EXPECT_EQ(told(service), "1000 2000 4711\n");
  service.security.group_add = {"nobody-knows"};
  const auto error = refusal(service);
  EXPECT_EQ(error.code(), Errc::user);
  EXPECT_THAT(error.to_string(), HasSubstr("resolve security.group_add"));
}

TEST_F(ProcessSettings, TheModeOfATmpfsIsTheDocumentsWhateverItCovers) {
  fs::create_directories(image_dir() / "covered");
  fs::permissions(image_dir() / "covered", fs::perms{0755});
  const std::string look = "stat -c '%a %n' /covered /fresh /dev/shm /fresh/below; sleep 1000";
  for (const char* id : {"web-1", "web-2"}) {
    auto service = sh(look);
    service.security.read_only = id == std::string_view{"web-1"};
    service.security.user = "0:0";
    service.tmpfs = {{.target = "/covered", .size = {}, .mode = 0700},
                     {.target = "/fresh", .size = {}, .mode = 0750},
                     {.target = "/dev/shm", .size = {}, .mode = 01770},
                     {.target = "/fresh/below", .size = {}, .mode = 02775}};
    create(spec(id, service));
    const std::string wanted = "700 /covered\n750 /fresh\n1770 /dev/shm\n2775 /fresh/below\n";
    EXPECT_TRUE(eventually([&] { return log_of(id) == wanted; })) << log_of(id);
    const auto killed =
        runtime_->stop(InstanceId{id}, {.signal = "SIGKILL", .timeout = Milliseconds{1'000}}, {});
    ASSERT_TRUE(killed) << killed.error().to_string();
    ASSERT_TRUE(runtime_->restart(InstanceId{id}, {}));
    EXPECT_TRUE(eventually([&] { return log_of(id) == wanted + wanted; })) << log_of(id);
  }
}

TEST_F(ProcessSettings, ATmpfsRunsProgramsOnlyWhereTheDocumentOrTheProfileSaysSo) {
  const std::string attempt = "mount | grep ' /t ' | grep -c noexec; true";
  auto service = sh(attempt);
  service.tmpfs = {{.target = "/t", .size = {}}};
  EXPECT_EQ(told(service), "1\n");
  service.tmpfs.front().exec = true;
  EXPECT_EQ(told(service), "0\n");
  service.security.profile = proto::Profile::compatible;
  service.tmpfs.front().exec = false;
  EXPECT_EQ(told(service), "1\n");
}

}  // namespace
}  // namespace holdfast::test
