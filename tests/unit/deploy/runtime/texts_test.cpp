#include <fmt/format.h>
#include <gmock/gmock.h>

#include "deploy/runtime/advice.hpp"
#include "deploy/runtime/host/cgroup.hpp"
#include "deploy/runtime/host/oci_runtime.hpp"
#include "deploy/runtime/logs/logs.hpp"
#include "deploy/runtime/record/record.hpp"
#include "deploy/runtime/spec/confinement.hpp"
#include "deploy/runtime/spec/etc_files.hpp"
#include "deploy/runtime/spec/root_path.hpp"
#include "deploy/runtime/storage/mounts.hpp"
#include "deploy/runtime/storage/service_mounts.hpp"

namespace holdfast::deploy::runtime {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(LogLines, AreTimeStreamFlagAndText) {
  const auto line = parse_log_line("2026-11-23T09:24:15.123456789+01:00 stderr F two  words");
  ASSERT_TRUE(line);
  EXPECT_EQ(to_rfc3339(line->time), "2026-11-23T08:24:15.123Z");
  EXPECT_TRUE(line->is_stderr);
  EXPECT_FALSE(line->partial);
  EXPECT_EQ(line->text, "two  words");
  EXPECT_EQ(parse_log_line("2026-11-23T09:24:15Z stdout P ")->text, "");
  EXPECT_EQ(parse_log_line("2026-11-23T09:24:15Z stdout F")->text, "");
  for (const char* torn : {"", "x", "stdout F text", "2026-11-23T09:24:15Z stdin F x",
                           "2026-11-23T09:24:15Z stdout X x", "T stdout F x"})
    EXPECT_FALSE(parse_log_line(torn)) << torn;
}

TEST(Hosts, NameLoopbackTheInstanceAndTheOthers) {
  EXPECT_EQ(
      hosts_text({.hostname = "web", .own = 0x0A590002}, {{"db", 0x0A5A0001}, {"web", 0x0A5A0002}}),
      "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n10.89.0.2 "
      "web\n10.90.0.1 db\n");
}

TEST(Hosts, NameWhatTheDocumentAddsBeforeServicesOfThatName) {
  const HostsOwner owner{.hostname = "web.shop.example",
                         .own = 0x0A590002,
                         .gateway = 0x0A590001,
                         .extra = {{"db", "192.0.2.7"}, {"host.internal", "host-gateway"}}};
  EXPECT_EQ(hosts_text(owner, {{"db", 0x0A5A0001}, {"mq", 0x0A5A0003}}),
            "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
            "10.89.0.2 web.shop.example web\n192.0.2.7 db\n10.89.0.1 host.internal\n"
            "10.90.0.3 mq\n");
}

TEST(Resolv, PutsWhatTheDocumentNamesInPlaceOfTheHosts) {
  const std::string host = "nameserver 10.0.0.1\nsearch lan\noptions edns0\n";
  EXPECT_EQ(
      resolv_with(host, {.servers = {"192.0.2.1"}, .search = {}, .hosts = {}, .hostname = {}}),
      "nameserver 192.0.2.1\nsearch lan\noptions edns0\n");
  EXPECT_EQ(resolv_with(host, {.servers = {}, .search = {"a.b", "c"}, .hosts = {}, .hostname = {}}),
            "search a.b c\nnameserver 10.0.0.1\noptions edns0\n");
}

TEST(Resolv, LeavesOutServersAContainerCannotReach) {
  const auto out = resolv_text(
      "# comment\nnameserver 127.0.0.53\nnameserver 10.0.0.1\nnameserver ::1\nsearch "
      "example.org\noptions edns0\n");
  EXPECT_TRUE(out.has_server);
  EXPECT_EQ(out.text, "nameserver 10.0.0.1\nsearch example.org\noptions edns0\n");
  for (const char* own : {"127.0.0.53", "127.0.0.1", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"})
    EXPECT_FALSE(resolv_text(fmt::format("nameserver {}\n", own)).has_server) << own;
}

TEST(HostPaths, AreRefusedInAndAboveWhatIsNotForServices) {
  const HostPathRule rule{.allowed = {}, .refused = {"/var/lib/holdfast"}};
  for (const char* bad : {"", "relative", "/", "/proc", "/sys/kernel", "/var", "/var/lib",
                          "/var/lib/holdfast/blobs", "/srv/../etc", "/srv/", "/etc"})
    EXPECT_FALSE(check_host_path(bad, rule)) << bad;
  for (const char* good :
       {"/srv", "/srv/data", "/etc/shop", "/procedures", "/var/lib/holdfast-data"})
    EXPECT_TRUE(check_host_path(good, rule)) << good;
  const HostPathRule narrow{.allowed = {"/srv/"}, .refused = {}};
  EXPECT_TRUE(check_host_path("/srv/data", narrow));
  const auto outside = check_host_path("/opt", narrow);
  ASSERT_FALSE(outside);
  EXPECT_THAT(outside.error().next_step(), HasSubstr("allowed_host_paths"));
}

TEST(Paths, AreCleanedWithoutLeavingTheRoot) {
  EXPECT_EQ(clean_path("/a//b/./c/../d/"), "/a/b/d");
  EXPECT_EQ(clean_path("/../../x"), "/x");
  EXPECT_EQ(clean_path("/"), "/");
  EXPECT_TRUE(is_within("/a/b", "/a"));
  EXPECT_FALSE(is_within("/ab", "/a"));
}

TEST(MountInfo, IsReadWithEscapesAndOptionalFields) {
  const auto mounts = parse_mountinfo(
      "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:2 - ext3 /dev/root "
      "rw,errors=continue\n"
      "37 35 0:5 / /x ro - overlay overlay ro,redirect_dir=nofollow\nbroken\n");
  ASSERT_EQ(mounts.size(), 2U);
  EXPECT_EQ(mounts[0].target, "/mnt 2");
  EXPECT_EQ(mounts[1].type, "overlay");
  EXPECT_EQ(mounts[1].super_options, "ro,redirect_dir=nofollow");
}

TEST(CgroupDetection, TellsUnifiedFromHybridAndWantsAFreezer) {
  const auto unified =
      Cgroups::from_mountinfo("30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n");
  ASSERT_TRUE(unified);
  EXPECT_TRUE(unified->unified());
  const std::string hybrid =
      "31 20 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n32 20 0:28 / "
      "/sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
      "33 20 0:29 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n";
  const auto mixed = Cgroups::from_mountinfo(hybrid);
  ASSERT_TRUE(mixed);
  EXPECT_FALSE(mixed->unified());
  EXPECT_FALSE(
      Cgroups::from_mountinfo("32 20 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"));
  EXPECT_FALSE(Cgroups::from_mountinfo(""));
}

TEST(RuntimeReason, IsTheLastErrorOfTheLogWithoutWrapping) {
  const std::string log =
      "{\"level\":\"warning\",\"msg\":\"noise\"}\n{\"level\":\"error\",\"msg\":\"runc create "
      "failed: unable to start container process: "
      "exec: \\\"/x\\\": stat /x: no such file or directory\"}\n{torn";
  const auto reason = runtime_reason(log, "other");
  EXPECT_EQ(reason, "exec: \"/x\": stat /x: no such file or directory");
  EXPECT_THAT(runtime_error(reason).next_step(), HasSubstr("entrypoint"));
  EXPECT_EQ(runtime_reason("", " text \x1b[31m\n"), "text \\x1b[31m");
  EXPECT_EQ(runtime_reason("", ""), "the runtime gave no reason");
  EXPECT_LT(runtime_reason("", std::string(5000, 'x')).size(), 600U);
}

TEST(RuntimeReason, TellsASysctlThatIsNotThereFromAValueThatIsNotTaken) {
  // As runc 1.1 and crun 1.8 say it.
  for (const char* lacking : {"open /proc/sys/net/core/x: no such file or directory",
                              "open `/proc/sys/net/core/x`: No such file or directory"})
    EXPECT_EQ(runtime_error(lacking).code(), Errc::host) << lacking;
  EXPECT_EQ(runtime_error("write /proc/sys/kernel/sem: invalid argument").code(), Errc::runtime);
  for (const char* lacking :
       {"unable to apply cgroup configuration: cannot set pids limit: container could not join or "
        "create cgroup",
        "openat2 /sys/fs/cgroup/holdfast-main/web-1/pids.max: no such file or directory",
        "controller `pids` is not available under /sys/fs/cgroup/holdfast-main"}) {
    EXPECT_EQ(runtime_error(lacking).code(), Errc::host) << lacking;
    EXPECT_THAT(runtime_error(lacking).next_step(), HasSubstr("doctor"));
  }
  EXPECT_EQ(runtime_error("cgroup: the memory limit is too small").code(), Errc::runtime);
}

TEST(ConfinementText, NamesTheLineThatDiffers) {
  const std::string good =
      "Name:\tx\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:"
      "\t0000000000000000\nCapBnd:\t0000000000000000\n"
      "CapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";
  EXPECT_TRUE(check_confinement_text(good, {.uid = 1000}));
  auto bad = good;
  bad.replace(bad.find("Seccomp:\t2"), 10, "Seccomp:\t0");
  const auto unfiltered = check_confinement_text(bad, {.uid = 1000});
  ASSERT_FALSE(unfiltered);
  EXPECT_THAT(unfiltered.error().what(), HasSubstr("Seccomp is 0, not 2"));
  EXPECT_TRUE(check_confinement_text(bad, {.seccomp = false, .uid = 1000}));
  EXPECT_FALSE(check_confinement_text(good, {.bounding = 1, .uid = 0}));
  EXPECT_FALSE(check_confinement_text("", {}));
}

TEST(ConfinementText, KnowsWhatRootAndOthersHaveOnceTheProgramRuns) {
  const auto status = [](const char* inheritable, const char* effective, const char* ambient) {
    return fmt::format(
        "CapInh:\t{0}\nCapPrm:\t{1}\nCapEff:\t{1}\nCapBnd:\t0000000000000c00\nCapAmb:\t{2}\n"
        "NoNewPrivs:\t1\nSeccomp:\t2\n",
        inheritable, effective, ambient);
  };
  const char* none = "0000000000000000";
  const char* one = "0000000000000400";
  const char* all = "0000000000000c00";
  const Confinement added{.bounding = 0xc00, .ambient = 0x400, .uid = 1000};
  EXPECT_TRUE(check_confinement_text(status(one, one, one), added));
  EXPECT_FALSE(check_confinement_text(status(one, all, one), added)) << "more than was asked for";
  EXPECT_FALSE(check_confinement_text(status(one, one, none), added)) << "lost at the execve";
  const Confinement only_bounding{.bounding = 0xc00, .uid = 1000};
  EXPECT_TRUE(check_confinement_text(status(none, none, none), only_bounding));
  EXPECT_FALSE(check_confinement_text(status(none, all, none), only_bounding));
  const Confinement root{.bounding = 0xc00, .uid = 0};
  EXPECT_TRUE(check_confinement_text(status(none, all, none), root));
  EXPECT_FALSE(check_confinement_text(status(none, none, none), root));
}

TEST(Advice, NamesTheLineToAdd) {
  const proto::Security hardened;
  const auto for_line = [&](const char* line) {
    return advice(hardened, {.code = 1}, {"started", line, "bye"});
  };
  EXPECT_THAT(
      for_line("mkdir() \"/var/cache/nginx/client_temp\" failed (30: Read-only file system)"),
      HasSubstr("tmpfs: [/var/cache/nginx]"));
  EXPECT_THAT(for_line("setgid(101) failed (1: Operation not permitted)"),
              HasSubstr("cap_add: [SETGID, SETUID]"));
  EXPECT_THAT(for_line("chown: /data: Operation not permitted"), HasSubstr("cap_add: [CHOWN]"));
  EXPECT_THAT(for_line("listen tcp :80: bind: permission denied"), HasSubstr("NET_BIND_SERVICE"));
  EXPECT_THAT(for_line("open /data/db: permission denied"),
              HasSubstr("/data/db is not accessible"));
  EXPECT_THAT(for_line("[emerg] mkdir() \"/var/cache/nginx/x\" failed (30: Read-only file system)"),
              HasSubstr("tmpfs: [/var/cache/nginx]"));
  EXPECT_THAT(for_line("FATAL: could not resize shared memory segment \"/PostgreSQL.1\" to 8388608 "
                       "bytes: No space left on device"),
              HasSubstr("shm_size: 256MiB"));
  EXPECT_THAT(for_line("write /tmp/upload.3: no space left on device"),
              HasSubstr("tmpfs: [{target: /tmp, size: 256MiB}]"));
  EXPECT_EQ(for_line("write /data/x: no space left on device"), "");
  EXPECT_THAT(for_line("accept4: Too many open files"), HasSubstr("ulimits: {nofile: 262144}"));
  EXPECT_THAT(for_line("java.lang.UnsatisfiedLinkError: /tmp/lib.so: /tmp/lib.so: failed to map "
                       "segment from shared object: Operation not permitted"),
              HasSubstr("volumes: [{source: scratch, target: /tmp}]"));
  EXPECT_THAT(for_line("fork/exec /tmp/plugin: permission denied"), HasSubstr("target: /tmp}"));
  EXPECT_THAT(advice(hardened, {.code = 135}, {"started"}), HasSubstr("/dev/shm"));
  EXPECT_THAT(advice({.read_only = false}, {.code = 1}, {"open /data/x: Read-only file system"}),
              HasSubstr("leave its read_only out"));
  EXPECT_EQ(for_line("connection refused"), "");
  EXPECT_THAT(for_line("/usr/bin/start: line 3: can't create /data/x: Read-only file system"),
              HasSubstr("/data/x is read-only: add tmpfs: [/data]"));
  EXPECT_THAT(for_line("OSError: [Errno 30] Read-only file system: '/srv/app/cache/a.tmp'"),
              HasSubstr("tmpfs: [/srv/app/cache]"));
  EXPECT_THAT(for_line("/entrypoint.sh: exec: line 9: /tmp/run: Permission denied"),
              HasSubstr("nothing is executed from /tmp"));
  EXPECT_THAT(for_line("/bin/sh: /data/run: Permission denied"),
              HasSubstr("/data/run is not accessible"));
  EXPECT_THAT(advice(hardened, {.code = 137, .oom = true}, {}), HasSubstr("resources.memory"));
  EXPECT_THAT(advice({.read_only = false}, {.code = 1}, {"/x: Read-only file system"}),
              Not(HasSubstr("tmpfs")));
}

TEST(Records, ComeBackAsTheyWere) {
  const auto digest = proto::Digest::of("x");
  const InstanceRecord record{
      .id = plan::InstanceId{"web-1"},
      .boot_id = "b",
      .service = proto::ServiceName{"web"},
      .generation = 3,
      .run_hash = digest,
      .image = digest,
      .manifest = digest,
      .network = proto::NetworkMode::none,
      .limits = {.memory_bytes = 5, .millicpus = {}, .pids = 9},
      .stop_signal = 3,
      .secrets = {{.name = "a", .file = "/f"},
                  {.name = "b", .file = "/g", .target = "/t", .mode = 0440, .owner = "app"}},
      .tmpfs_modes = {{"/a", 01750}},
      .secret_env = {{"PW", "b"}}};
  const auto back = parse_record(to_json(record));
  ASSERT_TRUE(back);
  EXPECT_EQ(to_json(*back), to_json(record));
  EXPECT_EQ(back->limits, record.limits);
  EXPECT_EQ(back->tmpfs_modes, record.tmpfs_modes);
  EXPECT_EQ(back->secrets, record.secrets);
  EXPECT_EQ(back->secret_env, record.secret_env);
  EXPECT_EQ(back->network, proto::NetworkMode::none);
  RunState run;
  run.phase = Phase::started;
  run.configs = {{.target = "/c", .digest = digest, .mode = 0640, .owner = {.uid = 5, .gid = 6}}};
  run.secret_owners = {{"b", {.uid = 7, .gid = 8}}};
  run.last_exit = plan::ExitInfo{.code = 137, .oom = true, .at = WallTime{Milliseconds{5}}};
  const auto run_back = parse_run_state(to_json(run));
  ASSERT_TRUE(run_back);
  EXPECT_EQ(to_json(*run_back), to_json(run));
  EXPECT_EQ(run_back->last_exit, run.last_exit);
  EXPECT_EQ(run_back->configs, run.configs);
  EXPECT_EQ(run_back->secret_owners, run.secret_owners);
}

TEST(Records, MalformedOnesAreErrorsAndNeverThrow) {
  for (const char* text :
       {"", "{", "[]", "{\"version\":1}", "{\"version\":\"x\"}", "null", "{\"version\":99}"}) {
    EXPECT_FALSE(parse_record(text)) << text;
    EXPECT_FALSE(parse_run_state(text)) << text;
  }
}

}  // namespace
}  // namespace holdfast::deploy::runtime
