#include <linux/audit.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "tests/component/deploy/runtime/fixture.hpp"

namespace holdfast::test {
namespace {

using rt::InstanceId;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Hardening : public RuntimeTest {
 protected:
  /// Compiles a static program into the image and returns what it prints as a service.
  void add_program(const std::string& name, const std::string& source) const {
    write(root() / (name + ".c"), source);
    const auto built =
        os::run({.spawn = {.argv = {"cc", "-static", "-o", (image_dir() / "bin" / name).string(),
                                    (root() / (name + ".c")).string()},
                           .env = {os::kChildPath},
                           .fds = {},
                           .directory = {},
                           .new_session = false},
                 .input = {},
                 .timeout = Milliseconds{60'000},
                 .output_limit = 1U << 16});
    ASSERT_TRUE(built && os::succeeded(built->status))
        << (built ? built->err : built.error().to_string());
  }
  std::string status_of(const std::string& id) {
    return slurp(fmt::format("/proc/{}/status", see(id).pid));
  }
};

TEST_F(Hardening, AServiceHasNoCapabilitiesNoNewPrivilegesAndASystemCallFilter) {
  create(spec("web-1", a_service(idle())));
  const auto status = status_of("web-1");
  for (const char* line :
       {"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2",
        "Uid:\t1000\t1000\t1000\t1000", "Gid:\t1000\t1000\t1000\t1000"})
    EXPECT_THAT(status, HasSubstr(line));
}

TEST_F(Hardening, RootWrittenOutStillHasNoCapabilities) {
  auto service = a_service(idle());
  service.security.user = "0:0";
  create(spec("web-1", service));
  EXPECT_THAT(status_of("web-1"),
              AllOf(HasSubstr("CapEff:\t0000000000000000"), HasSubstr("Uid:\t0\t0\t0\t0")));
}

TEST_F(Hardening, TheCompatibleProfileHasPodmansElevenAndWhatWasAdded) {
  auto service = a_service(idle());
  service.security = {.profile = proto::Profile::compatible,
                      .read_only = false,
                      .user = "0:0",
                      .cap_add = {"NET_RAW"}};
  create(spec("web-1", service));
  EXPECT_THAT(status_of("web-1"), AllOf(HasSubstr("CapEff:\t00000000800425fb"),
                                        HasSubstr("CapBnd:\t00000000800425fb")));
}

TEST_F(Hardening, AUserOtherThanRootHasWhatWasAddedInTheProgramInProbesAndAfterARestart) {
  auto service = a_service(
      {"/bin/sh", "-c",
       "while read name value; do echo $name$value; done < /proc/self/status; exec sleep 1000"});
  service.security.cap_add = {"NET_BIND_SERVICE"};
  create(spec("web-1", service));
  ASSERT_TRUE(eventually([&] { return log_of("web-1").find("Seccomp:2") != std::string::npos; }));
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
    EXPECT_THAT(log_of("web-1"), HasSubstr(fmt::format("{}:0000000000000400\n", set)));
  const auto probe = runtime_->exec(
      InstanceId{"web-1"}, {"/bin/grep", "CapEff", "/proc/self/status"}, Milliseconds{5000}, {});
  ASSERT_TRUE(probe);
  EXPECT_THAT(probe->output, HasSubstr("0000000000000400"));
  ASSERT_TRUE(runtime_->stop(InstanceId{"web-1"}, {{}, Milliseconds{0}}, {}));
  ASSERT_TRUE(runtime_->restart(InstanceId{"web-1"}, {}));
  EXPECT_THAT(status_of("web-1"), AllOf(HasSubstr("CapEff:\t0000000000000400"),
                                        HasSubstr("CapAmb:\t0000000000000400")));
}

TEST_F(Hardening, UnderTheCompatibleProfileAUserOtherThanRootHasTheElevenOnlyAsABound) {
  config_.user = "app";
  auto service = a_service(idle());
  service.security = {.profile = proto::Profile::compatible, .read_only = false};
  for (const bool may_gain : {false, true}) {
    service.security.no_new_privileges = !may_gain;
    const auto id = may_gain ? "web-2" : "web-1";
    create(spec(id, service));
    EXPECT_THAT(status_of(id), AllOf(HasSubstr("CapEff:\t0000000000000000"),
                                     HasSubstr("CapAmb:\t0000000000000000"),
                                     HasSubstr("CapBnd:\t00000000800405fb")));
  }
  service.security.cap_add = {"NET_RAW"};
  create(spec("web-3", service));
  EXPECT_THAT(status_of("web-3"), AllOf(HasSubstr("CapEff:\t0000000000002000"),
                                        HasSubstr("CapBnd:\t00000000800425fb")));
}

TEST_F(Hardening, TheRootIsReadOnlyAndHasNothingToWriteTo) {
  const auto out = script("web-1",
                          "touch /x 2>&1; touch /etc/x 2>&1; touch /etc/hosts 2>&1; touch /tmp/x "
                          "&& echo tmp ok; touch /run/x && "
                          "echo run ok; grep ' / ' /proc/self/mountinfo");
  EXPECT_THAT(out, AllOf(HasSubstr("touch: /x: Read-only file system"),
                         HasSubstr("touch: /etc/x: Read-only file system"), HasSubstr("tmp ok"),
                         HasSubstr("run ok"), Not(HasSubstr("upperdir"))));
  EXPECT_FALSE(fs::exists(paths().kept(InstanceId{"web-1"}) / "upper"));
}

TEST_F(Hardening, AWritableRootKeepsWhatWasWrittenOverARestart) {
  auto service = a_service({"/bin/sh", "-c", "cat /x; echo hello > /x"});
  service.security = {.profile = proto::Profile::hardened, .read_only = false, .user = "0:0"};
  service.security.cap_add = {"DAC_OVERRIDE"};
  (void)output_of("web-1", spec("web-1", service));
  ASSERT_TRUE(runtime_->restart(InstanceId{"web-1"}, {}));
  EXPECT_TRUE(eventually([&] { return log_of("web-1").find("hello") != std::string::npos; }));
}

TEST_F(Hardening, KernelPathsAreMaskedOrReadOnly) {
  const auto out = script("web-1",
                          "wc -c /proc/keys /proc/timer_list; ls /sys/firmware | wc -l; echo 1 > "
                          "/proc/sys/kernel/panic; "
                          "mkdir /sys/fs/cgroup/x");
  EXPECT_THAT(out, AllOf(HasSubstr("0 /proc/keys"), HasSubstr("0 /proc/timer_list"),
                         HasSubstr("can't create /proc/sys/kernel/panic: Read-only"),
                         HasSubstr("can't create directory")));
}

TEST_F(Hardening, OnlyTheThreeStandardDescriptorsReachTheProgram) {
  create(spec("web-1", a_service(idle())));
  ASSERT_TRUE(eventually([&] { return log_of("web-1") == "ready\n"; }));
  std::set<std::string> open;
  for (const auto& entry : fs::directory_iterator{fmt::format("/proc/{}/fd", see("web-1").pid)})
    open.insert(entry.path().filename());
  EXPECT_THAT(open, ::testing::ElementsAre("0", "1", "2"));
  const auto limits = slurp(fmt::format("/proc/{}/limits", see("web-1").pid));
  EXPECT_THAT(limits, ::testing::ContainsRegex("Max core file size +0 +0"));
  EXPECT_THAT(limits, ::testing::ContainsRegex("Max open files +[0-9]{4,5} +[0-9]{4,6} "));
}

TEST_F(Hardening, SocketFamiliesAreAnAllowListAlsoWithHighBitsSet) {
  add_program("sockets", R"(
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void) {
  const unsigned long long families[] = {1, 2, 10, 16, 0x26, 0x28, 0x100000026ULL, 0x100000028ULL, 0x8000000000000028ULL, 3, 21, 44,
                                         0xffffffff00000002ULL};
  for (unsigned i = 0; i < sizeof families / sizeof *families; ++i) {
    errno = 0;
    long fd = syscall(SYS_socket, families[i], 2 /* SOCK_DGRAM */, 0);
    printf("%llx:%d ", families[i], fd < 0 ? errno : 0);
  }
  printf("\nclone-newuser:%d ", syscall(SYS_clone, 0x10000000 | 17, 0, 0, 0, 0) < 0 ? errno : 0);
  printf("unshare:%d ", syscall(SYS_unshare, 0x10000000) < 0 ? errno : 0);
  printf("clone3:%d ", syscall(SYS_clone3, 0, 0) < 0 ? errno : 0);
  printf("bpf:%d ", syscall(SYS_bpf, 0, 0, 0) < 0 ? errno : 0);
  printf("keyctl:%d ", syscall(SYS_keyctl, 0, 0) < 0 ? errno : 0);
  printf("io_uring:%d ", syscall(425, 1, 0) < 0 ? errno : 0);
  printf("personality:%d ", syscall(SYS_personality, 0x0040000) < 0 ? errno : 0);
  printf("mount:%d ", syscall(SYS_mount, "a", "/tmp", "tmpfs", 0, 0) < 0 ? errno : 0);
  printf("nonsense:%d\n", syscall(9999) < 0 ? errno : 0);
  return 0;
})");
  const auto out = output_of("web-1", spec("web-1", a_service({"/bin/sockets"})));
  EXPECT_THAT(
      out,
      HasSubstr(
          "1:0 2:0 a:0 10:0 26:1 28:1 100000026:1 100000028:1 8000000000000028:1 3:1 15:1 2c:1 "
          "ffffffff00000002:0"));
  EXPECT_THAT(out, HasSubstr("clone-newuser:38 unshare:1 clone3:38 bpf:1 keyctl:1 io_uring:38 "
                             "personality:38 mount:1 nonsense:38"));
}

TEST_F(Hardening, LabelsOfTheImageNeverBecomeAnnotations) {
  config_.labels = {{"run.oci.hooks.stdout", "/etc/x"}, {"org.systemd.property.ExecStart", "x"}};
  create(spec("web-1", a_service(idle())));
  const auto config = slurp(paths().bundle(InstanceId{"web-1"}) / "config.json");
  EXPECT_THAT(config, AllOf(Not(HasSubstr("run.oci")), Not(HasSubstr("systemd.property")),
                            Not(HasSubstr("annotations"))));
}

TEST_F(Hardening, AnImageWhoseDevLeadsElsewhereIsRefused) {
  fs::create_directory_symlink("/tmp/h", image_dir() / "dev");
  const auto created = runtime_->create(spec("web-1", a_service(idle())), {});
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().code(), Errc::runtime);
  EXPECT_THAT(created.error().what(), HasSubstr("/dev in the root file system is not a directory"));
}

/// As root of its writable root a container leads elsewhere what its next process is given.
TEST_F(Hardening, WhatAContainerDidToItsRootIsLookedAtBeforeItsNextProcess) {
  auto service = a_service(idle());
  service.security = {.profile = proto::Profile::compatible, .read_only = false, .user = "0:0"};
  service.volumes = {{.source = "vol", .target = "/data/a"}};
  const std::vector<std::pair<std::string, std::string>> cases{
      {"mkdir -p /data/a", ""},
      {"mv /data /old && ln -s /sys/fs /data", "/data/a leads to /sys/fs/a by a symlink"},
      {"ln -s /proc /somewhere && mv /data /old && ln -s /somewhere /data", "/data/a leads to"},
  };
  int number = 0;
  for (const auto& [change, words] : cases) {
    SCOPED_TRACE(change);
    const auto id = fmt::format("web-{}", ++number);
    service.command =
        std::vector<std::string>{"/bin/sh", "-c", change + " && echo did; exec sleep 1000"};
    create(spec(id, service));
    ASSERT_TRUE(eventually([&] { return log_of(id).find("did") != std::string::npos; }));
    ASSERT_TRUE(runtime_->stop(InstanceId{id}, {{}, Milliseconds{0}}, {}));
    const auto again = runtime_->restart(InstanceId{id}, {});
    ASSERT_EQ(again.has_value(), words.empty()) << id;
    if (!again) {
      EXPECT_THAT(again.error().what(), HasSubstr(words));
    }
  }
}

TEST_F(Hardening, NobodyLeadsElsewhereWhatIsMountedBelowAVolume) {
  auto service = a_service(idle());
  service.volumes = {{.source = "outer", .target = "/data"},
                     {.source = "inner", .target = "/data/sub/deep"}};
  create(spec("web-1", service));
  ASSERT_TRUE(runtime_->stop(InstanceId{"web-1"}, {{}, Milliseconds{0}}, {}));
  ASSERT_TRUE(runtime_->restart(InstanceId{"web-1"}, {}));
  ASSERT_TRUE(runtime_->stop(InstanceId{"web-1"}, {{}, Milliseconds{0}}, {}));
  const auto outer = paths().volume("outer");
  fs::remove_all(outer / "sub");
  fs::create_directory_symlink("/sys/fs", outer / "sub");
  const auto again = runtime_->restart(InstanceId{"web-1"}, {});
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().what(), HasSubstr("leads elsewhere by a symlink"));
}

deploy::plan::Deviation limits(const char* evidence) {
  return {proto::DriftKind::limits, evidence, true};
}

TEST_F(Hardening, LimitsAreEnforcedAndTheirChangeIsADeviation) {
  auto service = a_service(idle());
  service.resources = {.memory = Bytes{64U << 20}, .millicpus = 500, .pids = 30};
  create(spec("web-1", service));
  EXPECT_THAT(see("web-1").deviations, ::testing::IsEmpty());
  const auto group = "holdfast-" + name_ + "/web-1";
  const auto v1 = fs::path{"/sys/fs/cgroup/memory"} / group;
  if (fs::exists(v1)) {
    write(v1 / "memory.limit_in_bytes", "134217728");
    write(fs::path{"/sys/fs/cgroup/cpu"} / group / "cpu.cfs_quota_us", "-1");
    write(fs::path{"/sys/fs/cgroup/pids"} / group / "pids.max", "max");
  } else {
    write(fs::path{"/sys/fs/cgroup"} / group / "memory.max", "134217728");
    write(fs::path{"/sys/fs/cgroup"} / group / "cpu.max", "max");
    write(fs::path{"/sys/fs/cgroup"} / group / "pids.max", "max");
  }
  EXPECT_THAT(see("web-1", rt::InspectionDepth::full).deviations,
              ::testing::UnorderedElementsAre(limits("memory is 128.0 MiB, not 64.0 MiB"),
                                              limits("cpus is unlimited, not 0.50"),
                                              limits("pids is max, not 30")));
  ASSERT_TRUE(runtime_->enforce(InstanceId{"web-1"}));
  EXPECT_THAT(see("web-1").deviations, ::testing::IsEmpty());
}

TEST_F(Hardening, AChangeThatAWatcherReportedWhileItWasFrozenIsSeenOnceItRuns) {
  auto service = a_service(idle());
  service.resources.pids = 30;
  create(spec("web-1", service));
  ASSERT_THAT(see("web-1").deviations, ::testing::IsEmpty());
  ASSERT_TRUE(runtime_->freeze(InstanceId{"web-1"}, {}));
  ASSERT_TRUE(runtime_->enforce(InstanceId{"web-1"}));  // a closer look is due, as after an event
  for (const char* hierarchy : {"/sys/fs/cgroup/pids", "/sys/fs/cgroup"}) {
    const auto group = fs::path{hierarchy} / ("holdfast-" + name_) / "web-1";
    if (fs::exists(group / "pids.max")) write(group / "pids.max", "max");
  }
  ASSERT_EQ(see("web-1").state, rt::InstanceState::frozen);
  ASSERT_TRUE(runtime_->thaw(InstanceId{"web-1"}));
  EXPECT_THAT(see("web-1", rt::InspectionDepth::liveness).deviations, ::testing::IsEmpty())
      << "not its business";
  EXPECT_THAT(see("web-1").deviations, ::testing::ElementsAre(limits("pids is max, not 30")));
}

TEST_F(Hardening, RunningOutOfMemoryIsSeenAsThat) {
  auto service = a_service({"/bin/sh", "-c", "tail /dev/zero"});
  service.resources.memory = Bytes{32U << 20};
  create(spec("web-1", service));
  ASSERT_TRUE(eventually([&] { return see("web-1").exit.has_value(); }));
  EXPECT_TRUE(eventually([&] { return see("web-1").exit->oom; }));
}

}  // namespace
}  // namespace holdfast::test
