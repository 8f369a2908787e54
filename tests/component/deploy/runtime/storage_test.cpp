#include <fcntl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include "common/os/file.hpp"
#include "deploy/runtime/spec/root_path.hpp"
#include "deploy/runtime/storage/mounts.hpp"
#include "deploy/runtime/storage/volumes_mount.hpp"
#include "tests/component/deploy/runtime/fixture.hpp"

namespace holdfast::test {
namespace {

using rt::InstanceId;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

using Storage = RuntimeTest;

TEST_F(Storage, ANamedVolumeBelongsToTheUserAndOutlivesTheInstance) {
  auto service =
      a_service({"/bin/sh", "-c", "cat /data/x 2>&1; echo kept > /data/x && echo written"});
  service.volumes = {{.source = "uploads", .target = "/data", .read_only = false}};
  EXPECT_EQ(output_of("web-1", spec("web-1", service)),
            "cat: can't open '/data/x': No such file or directory\nwritten\n");
  ASSERT_TRUE(runtime_->remove(InstanceId{"web-1"}, {}));
  EXPECT_EQ(output_of("web-2", spec("web-2", service)), "kept\nwritten\n");
  EXPECT_EQ(slurp(paths().volume("uploads") / "x"), "kept\n");
}

TEST_F(Storage, AHostPathIsMountedReadOnlyWhenItSaysSo) {
  write(root() / "conf/app.conf", "setting\n");
  auto service = a_service({"/bin/sh", "-c", "cat /etc/app/app.conf; touch /etc/app/x 2>&1"});
  service.volumes = {
      {.source = (root() / "conf").string(), .target = "/etc/app", .read_only = true}};
  EXPECT_THAT(output_of("web-1", spec("web-1", service)),
              AllOf(HasSubstr("setting"), HasSubstr("Read-only file system")));
}

TEST_F(Storage, WhatIsMountedBelowAVolumeIsAsReadOnlyAndAsHarmlessAsIt) {
  for (const bool read_only : {true, false}) {
    const auto id = read_only ? "web-1" : "web-2";
    const auto source = root() / id;
    fs::create_directories(source / "sub");
    ASSERT_EQ(::mount("tmpfs", (source / "sub").c_str(), "tmpfs", 0, "size=1m,mode=777"), 0);
    auto service = a_service(
        {"/bin/sh", "-c", "touch /data/sub/x && echo wrote; grep /data/sub /proc/self/mountinfo"});
    service.volumes = {{.source = source.string(), .target = "/data", .read_only = read_only}};
    const auto out = output_of(id, spec(id, service));
    EXPECT_EQ(out.find("wrote") == std::string::npos, read_only) << out;
    EXPECT_THAT(out, HasSubstr(read_only ? "ro,nosuid,nodev" : "rw,nosuid,nodev"));
    EXPECT_EQ(fs::exists(source / "sub/x"), !read_only);
    // The host's own mount is as it was.
    EXPECT_TRUE(std::ofstream{source / "sub/host"}.good());
    ASSERT_TRUE(runtime_->remove(InstanceId{id}, {}));
    EXPECT_EQ(::umount2((source / "sub").c_str(), 0), 0);
  }
}

TEST_F(Storage, ASourceThatIsALinkIsRefusedWithThePlaceItLeadsTo) {
  fs::create_directories(root() / "disk1/data");
  fs::create_directory_symlink(root() / "disk1/data", root() / "data");
  auto service = a_service(idle());
  service.volumes = {{.source = (root() / "data").string(), .target = "/data", .read_only = true}};
  const auto linked = runtime_->create(spec("web-1", service), {});
  ASSERT_FALSE(linked);
  EXPECT_THAT(linked.error().next_step(),
              HasSubstr("write source: " + (root() / "disk1/data").string()));
  service.volumes = {{.source = "/etc/localtime", .target = "/etc/localtime", .read_only = true}};
  const auto zone = runtime_->create(spec("web-1", service), {});
  ASSERT_FALSE(zone);
  EXPECT_THAT(zone.error().next_step(),
              AllOf(HasSubstr("write source: /usr/share/zoneinfo/"), HasSubstr("env: {TZ: ")));
}

TEST_F(Storage, AMountPointThatAReadOnlyVolumeLacksIsNamedWithThePathOnTheHost) {
  fs::create_directories(root() / "conf");
  fs::create_directories(root() / "data");
  auto service = a_service({"/bin/true"});
  service.volumes = {
      {.source = (root() / "conf").string(), .target = "/data", .read_only = true},
      {.source = (root() / "data").string(), .target = "/data/sub", .read_only = false}};
  const auto refused = runtime_->create(spec("web-1", service), {});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().what(), HasSubstr("/data/sub is mounted below /data, a read-only"));
  EXPECT_EQ(refused.error().next_step(), "mkdir -p " + (root() / "conf/sub").string());
  fs::create_directories(root() / "conf/sub");
  (void)output_of("web-1", spec("web-1", service));
  // A tmpfs below it needs one too, and what is below the tmpfs needs none.
  service.tmpfs = {{.target = "/data/cache", .size = {}}};
  EXPECT_FALSE(runtime_->create(spec("web-2", service), {}));
  fs::create_directories(root() / "conf/cache");
  service.volumes.push_back(
      {.source = (root() / "data").string(), .target = "/data/cache/in", .read_only = true});
  (void)output_of("web-2", spec("web-2", service));
}

TEST_F(Storage, AMissingWorkingDirectoryIsMade) {
  auto service = a_service({"/bin/pwd"});
  service.working_dir = "/srv/app/data";
  EXPECT_EQ(output_of("web-1", spec("web-1", service)), "/srv/app/data\n");
  EXPECT_FALSE(fs::exists(image_dir() / "srv"));
  service.security.read_only = false;
  EXPECT_EQ(output_of("web-2", spec("web-2", service)), "/srv/app/data\n");
  service.security.read_only = true;
  service.volumes = {{.source = "uploads", .target = "/srv/app", .read_only = false}};
  EXPECT_EQ(output_of("web-3", spec("web-3", service)), "/srv/app/data\n");
}

TEST_F(Storage, ANewVolumeHasWhatTheImageHasThereAndAnOldOneKeepsItsOwn) {
  const auto place = image_dir() / "data";
  write(place / "deep/file", "of the image\n");
  fs::create_symlink("deep/file", place / "link");
  fs::create_symlink("/etc/passwd", place / "outside");
  ASSERT_EQ(::chown(place.c_str(), 1000, 1001), 0);
  ASSERT_EQ(::chmod(place.c_str(), 0750), 0);
  ASSERT_EQ(::chown((place / "deep/file").c_str(), 33, 34), 0);
  ASSERT_EQ(::chmod((place / "deep/file").c_str(), 04755), 0);
  auto service = a_service({"/bin/sh", "-c", "cat /data/link; echo changed > /data/new"});
  service.volumes = {{.source = "uploads", .target = "/data", .read_only = false}};
  EXPECT_EQ(output_of("web-1", spec("web-1", service)), "of the image\n");
  struct stat info {};
  ASSERT_EQ(::stat(paths().volume("uploads").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 1000U);
  EXPECT_EQ(info.st_gid, 1001U);
  EXPECT_EQ(info.st_mode & 07777, 0750U);
  ASSERT_EQ(::stat((paths().volume("uploads") / "deep/file").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 33U);
  EXPECT_EQ(info.st_mode & 07777, 04755U);
  EXPECT_EQ(fs::read_symlink(paths().volume("uploads") / "outside"), "/etc/passwd");
  write(place / "later", "of a newer image\n");
  fs::remove(paths().volume("uploads") / "link");
  (void)output_of("web-2", spec("web-2", service));
  EXPECT_FALSE(fs::exists(paths().volume("uploads") / "later"));
  EXPECT_FALSE(fs::exists(paths().volume("uploads") / "link"));
  EXPECT_TRUE(fs::exists(paths().volume("uploads") / "new"));
}

TEST_F(Storage, AVolumeThatWasBegunAndNotFinishedIsMadeAnew) {
  write(image_dir() / "data/file", "of the image\n");
  write(paths().state_dir / "volumes/.uploads.new/half", "left by a power cut\n");
  auto service = a_service({"/bin/ls", "/data"});
  service.volumes = {{.source = "uploads", .target = "/data", .read_only = true}};
  EXPECT_EQ(output_of("web-1", spec("web-1", service)), "file\n");
  EXPECT_FALSE(fs::exists(paths().state_dir / "volumes/.uploads.new"));
}

TEST_F(Storage, OnTheHostVolumesAreNosuidWhileTheAgentRuns) {
  const auto volumes = paths().volume("x").parent_path();
  write(volumes / "data/file", "kept\n");
  fs::create_directories(volumes / "disk");
  ASSERT_EQ(::mount("tmpfs", (volumes / "disk").c_str(), "tmpfs", 0, "size=1m"), 0);
  write(volumes / "disk/file", "on a disk of its own\n");
  const auto flags = [&](const fs::path& place) {
    struct statvfs info {};
    EXPECT_EQ(::statvfs(place.c_str(), &info), 0);
    return info.f_flag & (ST_NOSUID | ST_NODEV);
  };
  const auto mounted = [&] {
    const auto mounts = rt::read_mounts().value();
    return std::count_if(mounts.begin(), mounts.end(),
                         [&](const auto& mount) { return mount.target == volumes.string(); });
  };
  {
    const auto first = rt::VolumesMount::make(volumes);
    ASSERT_TRUE(first) << first.error().to_string();
    EXPECT_EQ(flags(volumes / "data"), ST_NOSUID | ST_NODEV);
    EXPECT_EQ(flags(volumes / "disk"), ST_NOSUID | ST_NODEV);
    EXPECT_TRUE(fs::exists(volumes / "disk/file")) << "what the operator mounted there is there";
    const auto after_a_kill = rt::VolumesMount::make(volumes);
    ASSERT_TRUE(after_a_kill);
    EXPECT_EQ(mounted(), 1);
  }
  EXPECT_EQ(mounted(), 1) << "with a disk below it, it stays";
  ASSERT_TRUE(rt::unmount_below(volumes / "disk"));
  { ASSERT_TRUE(rt::VolumesMount::make(volumes)); }
  EXPECT_EQ(mounted(), 0);
  ASSERT_TRUE(rt::unmount_below(volumes / "disk"));
  EXPECT_TRUE(fs::exists(volumes / "data/file"));
}

TEST_F(Storage, ADiskForAllVolumesStaysTheOperatorsWheneverItIsMounted) {
  const auto volumes = paths().volume("x").parent_path();
  fs::create_directories(volumes);
  const auto mount_disk = [&](const char* content) {
    ASSERT_EQ(::mount("tmpfs", volumes.c_str(), "tmpfs", 0, "size=1m,mode=0700"), 0);
    write(volumes / "data/file", content);
  };
  mount_disk("before\n");
  {
    const auto agent = rt::VolumesMount::make(volumes);
    ASSERT_TRUE(agent) << agent.error().to_string();
    struct statvfs info {};
    ASSERT_EQ(::statvfs(volumes.c_str(), &info), 0);
    EXPECT_EQ(info.f_flag & (ST_NOSUID | ST_NODEV), ST_NOSUID | ST_NODEV);
  }
  EXPECT_TRUE(fs::exists(volumes / "data/file")) << "unmounted with the agent";
  ASSERT_TRUE(rt::unmount_below(volumes));
  {
    const auto agent = rt::VolumesMount::make(volumes);
    ASSERT_TRUE(agent);
    mount_disk("while it runs\n");
    rt::confine_later_mounts(volumes);
    struct statvfs info {};
    ASSERT_EQ(::statvfs(volumes.c_str(), &info), 0);
    EXPECT_EQ(info.f_flag & (ST_NOSUID | ST_NODEV), ST_NOSUID | ST_NODEV);
  }
  EXPECT_TRUE(fs::exists(volumes / "data/file")) << "what is on top is not the agent's";
  ASSERT_TRUE(rt::unmount_below(volumes));
  EXPECT_FALSE(fs::exists(volumes / "data/file"));
}

TEST_F(Storage, FortyLinksLeadToAPlaceAndFortyOneDoNot) {
  const auto image = os::open_file(image_dir(), O_RDONLY | O_DIRECTORY).value();
  fs::create_directories(image_dir() / "there");
  fs::create_symlink("there", image_dir() / "link-1");
  for (int i = 2; i <= 41; ++i)
    fs::create_symlink(fmt::format("link-{}", i - 1), image_dir() / fmt::format("link-{}", i));
  EXPECT_EQ(rt::resolve_in_root(image.get(), "/link-40").value(), "/there");
  const auto refused = rt::resolve_in_root(image.get(), "/link-41");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().what(), HasSubstr("too many symlinks"));
}

TEST_F(Storage, ASingleFileCanBeMounted) {
  write(root() / "conf/app.conf", "setting\n");
  auto service = a_service({"/bin/cat", "/opt/app/app.conf"});
  service.volumes = {{.source = (root() / "conf/app.conf").string(),
                      .target = "/opt/app/app.conf",
                      .read_only = true}};
  EXPECT_EQ(output_of("web-1", spec("web-1", service)), "setting\n");
}

TEST_F(Storage, DangerousHostPathsAreRefused) {
  fs::create_symlink("/etc", root() / "link");
  const std::vector<std::string> bad{"/",
                                     "/proc",
                                     "/proc/1",
                                     "/sys",
                                     "/dev/shm",
                                     "/run",
                                     "/var",
                                     "/run/systemd",
                                     "/etc/ssh",
                                     (root() / "link").string(),
                                     (root() / "link/x").string(),
                                     "/tmp/../etc",
                                     paths().state_dir.string(),
                                     paths().run_dir.string(),
                                     root().string(),
                                     (root() / "absent").string()};
  for (const auto& source : bad) {
    auto service = a_service(idle());
    service.volumes = {{.source = source, .target = "/data", .read_only = true}};
    const auto created = runtime_->create(spec("web-1", service), {});
    ASSERT_FALSE(created) << source;
    // What may be mended on the host is not the document's fault.
    const bool of_host = source.ends_with("/absent") || source.find("/link") != std::string::npos;
    EXPECT_EQ(created.error().code(), of_host ? Errc::host : Errc::runtime)
        << source << ": " << created.error().to_string();
    EXPECT_FALSE(created.error().next_step().empty()) << source;
  }
  EXPECT_TRUE(fs::is_empty(paths().mounts()));
}

TEST_F(Storage, APlaceOfTheHostIsRefusedUnderAnotherNameToo) {
  write(root() / "file", "");
  fs::create_directory(root() / "tree");
  struct Case {
    const char* place;
    fs::path at;
  };
  for (const auto& [place, at] : {Case{"/etc/shadow", root() / "file"}, Case{"/", root() / "tree"},
                                  Case{"/etc", root() / "tree"}, Case{"/proc", root() / "tree"}}) {
    ASSERT_EQ(::mount(place, at.c_str(), nullptr, MS_BIND, nullptr), 0) << place;
    auto service = a_service(idle());
    service.volumes = {{.source = at.string(), .target = "/data", .read_only = true}};
    const auto created = runtime_->create(spec("web-1", service), {});
    ASSERT_EQ(::umount2(at.c_str(), MNT_DETACH), 0);
    ASSERT_FALSE(created) << place;
    EXPECT_THAT(created.error().what(), HasSubstr(fmt::format("it is {}", place)));
    (void)runtime_->remove(InstanceId{"web-1"}, {});
  }
}

TEST_F(Storage, MountPointsThatTheImageLacksAppearWithoutTouchingIt) {
  chmod((image_dir() / "home").c_str(), 01771);
  auto service = a_service({"/bin/sh", "-c",
                            "stat -c %a /home; grep -c /home/app/deep/er /proc/mounts; touch "
                            "/home/app/deep/er/x && echo ok"});
  service.tmpfs = {{.target = "/home/app/deep/er", .size = Bytes{1U << 20}}};
  EXPECT_EQ(output_of("web-1", spec("web-1", service)), "1771\n1\nok\n");
  EXPECT_FALSE(fs::exists(image_dir() / "home/app/deep"));
  EXPECT_FALSE(fs::exists(image_dir() / "proc"));
}

TEST_F(Storage, ATmpfsHoldsNoMoreThanItsSize) {
  auto service =
      a_service({"/bin/sh", "-c",
                 "dd if=/dev/zero of=/scratch/x bs=1M count=3 2>&1 | grep -o 'No space left'"});
  service.tmpfs = {{.target = "/scratch", .size = Bytes{1U << 20}}};
  EXPECT_EQ(output_of("web-1", spec("web-1", service)), "No space left\n");
}

TEST_F(Storage, SecretsAreFilesOfTheUserAndReadAnewAtEveryStart) {
  write(root() / "password", "hunter-one");
  auto service = a_service(
      {"/bin/sh", "-c",
       "stat -c '%a %u' /run/secrets/db; cat /run/secrets/db; echo; touch /run/secrets/x 2>&1"});
  service.secrets = {{.name = "db", .file = (root() / "password").string()}};
  EXPECT_THAT(output_of("web-1", spec("web-1", service)),
              AllOf(HasSubstr("400 1000\nhunter-one\n"), HasSubstr("Read-only")));
  write(root() / "password", "hunter-two");
  ASSERT_TRUE(runtime_->restart(InstanceId{"web-1"}, {}));
  EXPECT_TRUE(eventually([&] { return log_of("web-1").find("hunter-two") != std::string::npos; }));
  for (const auto& file :
       {paths().record(InstanceId{"web-1"}), paths().bundle(InstanceId{"web-1"}) / "config.json",
        paths().run_state(InstanceId{"web-1"})})
    EXPECT_THAT(slurp(file), Not(HasSubstr("hunter-")));
}

TEST_F(Storage, AMissingSecretNamesItselfAndItsFile) {
  auto service = a_service(idle());
  service.secrets = {{.name = "db", .file = (root() / "nowhere").string()}};
  const auto created = runtime_->create(spec("web-1", service), {});
  ASSERT_FALSE(created);
  EXPECT_THAT(created.error().to_string(), AllOf(HasSubstr("secret db"), HasSubstr("nowhere")));
}

TEST_F(Storage, ASecretOfAnotherUserIsRefusedUnlessItsPlaceIsListed) {
  write(root() / "keys/token", "hunter");
  ASSERT_EQ(::chown((root() / "keys/token").c_str(), 1000, 1000), 0);
  auto service = a_service({"/bin/cat", "/run/secrets/db"});
  service.secrets = {{.name = "db", .file = (root() / "keys/token").string()}};
  const auto refused = runtime_->create(spec("web-1", service), {});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().to_string(), AllOf(HasSubstr("read secret db"), HasSubstr("uid 1000"),
                                                 HasSubstr("allowed_secret_paths")));
  auto listed = spec("web-2", service);
  listed.allowed_secret_paths = {(root() / "keys").string()};
  EXPECT_EQ(output_of("web-2", listed), "hunter\n");
  ASSERT_TRUE(runtime_->restart(InstanceId{"web-2"}, {})) << "it remembers what counted";
}

/// However the file goes away, it is the same difference, told by an event and not by a look.
TEST_F(Storage, ASecretThatIsGoneIsTheSameDifferenceHoweverItWent) {
  const auto file = root() / "a/b/token";
  write(file, "hunter");
  auto service = a_service(idle());
  service.secrets = {{.name = "db", .file = file.string()}};
  create(spec("web-1", service));
  const Told told;
  runtime_->watch([told](const InstanceId&, rt::Change) { ++told; });
  const auto seen = [&] {
    const auto deviations = see_closely("web-1").deviations;
    return deviations.empty() ? std::string{} : deviations.front().evidence;
  };
  ASSERT_EQ(seen(), "");
  const auto gone = "db cannot be read from " + file.string();
  for (const auto& moved : {file, file.parent_path(), file.parent_path().parent_path()}) {
    const int before = told;
    fs::rename(moved, root() / "away");
    EXPECT_TRUE(eventually([&] { return told > before; })) << moved;
    EXPECT_TRUE(eventually([&] { return seen() == gone; })) << moved << ": " << seen();
    const int after = told;
    fs::rename(root() / "away", moved);
    EXPECT_TRUE(eventually([&] { return told > after; })) << moved;
    EXPECT_TRUE(eventually([&] { return seen().empty(); })) << moved << ": " << seen();
  }
  fs::remove_all(root() / "a");
  EXPECT_TRUE(eventually([&] { return seen() == gone; })) << seen();
  write(file, "hunter");
  EXPECT_TRUE(eventually([&] { return seen().empty(); })) << seen();
  const int before = told;
  write(file, "other");
  EXPECT_TRUE(eventually([&] { return told > before; })) << "the new directory is watched too";
}

TEST_F(Storage, NamesOfServicesResolveAndFollowAChangeInPlace) {
  create(spec("web-1", a_service(idle())));
  const auto hosts = [&] {
    auto done =
        runtime_->exec(InstanceId{"web-1"}, {"/bin/cat", "/etc/hosts"}, Milliseconds{10'000}, {});
    return done ? done->output : done.error().to_string();
  };
  EXPECT_THAT(hosts(), AllOf(HasSubstr("127.0.0.1 localhost"), HasSubstr("10.90.0.1 db\n"),
                             HasSubstr(" web\n")));
  ASSERT_TRUE(runtime_->set_hosts({{"db", 0x0A5A0009U}, {"cache", 0x0A5A000AU}}));
  EXPECT_THAT(hosts(), AllOf(HasSubstr("10.90.0.9 db\n"), HasSubstr("10.90.0.10 cache\n"),
                             Not(HasSubstr("10.90.0.1 db"))));
  ASSERT_TRUE(runtime_->set_hosts({}));
  EXPECT_THAT(hosts(), Not(HasSubstr("db")));
}

TEST_F(Storage, NameServersFollowThoseOfTheHostInPlace) {
  create(spec("web-1", a_service(idle())));
  const auto file = paths().resolv(InstanceId{"web-1"});
  const auto wanted = slurp(file);
  struct stat before {};
  ASSERT_EQ(::stat(file.c_str(), &before), 0);
  write(file, "nameserver 192.0.2.1\n");  // as an older resolv.conf of the host had it
  ASSERT_TRUE(runtime_->follow_names());
  EXPECT_EQ(slurp(file), wanted);
  struct stat after {};
  ASSERT_EQ(::stat(file.c_str(), &after), 0);
  EXPECT_EQ(after.st_ino, before.st_ino) << "the container sees the change";
  const auto seen =
      runtime_->exec(InstanceId{"web-1"}, {"/bin/cat", "/etc/resolv.conf"}, Milliseconds{5000}, {});
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->output, wanted);
}

TEST_F(Storage, ADanglingResolvConfOfTheImageIsNoObstacle) {
  fs::create_symlink("../run/systemd/resolve/stub-resolv.conf", image_dir() / "etc/resolv.conf");
  EXPECT_THAT(script("web-1", "cat /etc/resolv.conf >/dev/null && echo there; cat /etc/hostname"),
              HasSubstr("there\nweb\n"));
}

TEST_F(Storage, AFileCoversNoDirectoryAndADirectoryNoFile) {
  write(root() / "conf.txt", "x");
  fs::create_directories(root() / "conf.d");
  fs::create_directories(image_dir() / "srv/app");
  write(image_dir() / "srv/settings", "y");
  for (const bool read_only : {true, false}) {
    auto service = a_service({"/bin/true"});
    service.security.read_only = read_only;
    service.volumes = {
        {.source = (root() / "conf.txt").string(), .target = "/srv/app", .read_only = true}};
    const auto over_directory = runtime_->create(spec("web-1", service), {});
    ASSERT_FALSE(over_directory);
    EXPECT_THAT(over_directory.error().what(), HasSubstr("/srv/app is a directory in the image"));
    EXPECT_THAT(over_directory.error().next_step(), HasSubstr("target: /srv/app/NAME"));
    service.volumes = {
        {.source = (root() / "conf.d").string(), .target = "/srv/settings", .read_only = true}};
    const auto over_file = runtime_->create(spec("web-1", service), {});
    ASSERT_FALSE(over_file);
    EXPECT_THAT(over_file.error().what(), HasSubstr("/srv/settings is a file in the image"));
  }
}

TEST_F(Storage, AnImageLeadsNoMountToTheKernelsPlaces) {
  fs::create_directories(root() / "data");
  auto service = a_service({"/bin/true"});
  service.volumes = {{.source = (root() / "data").string(), .target = "/data", .read_only = false}};
  for (const auto* place : {"/sys/fs/cgroup", "/proc/self", "../dev", "/dev/shm"}) {
    fs::remove(image_dir() / "data");
    fs::create_symlink(place, image_dir() / "data");
    const auto refused = runtime_->create(spec("web-1", service), {});
    ASSERT_FALSE(refused) << place;
    EXPECT_THAT(refused.error().what(), HasSubstr("/data leads to /")) << place;
    EXPECT_THAT(refused.error().what(), HasSubstr("by a symlink in the root file system"));
  }
  fs::remove(image_dir() / "data");
  fs::create_symlink("srv/data", image_dir() / "data");
  (void)output_of("web-2", spec("web-2", service));
}

TEST_F(Storage, ManyLayersAreOneRoot) {
  auto wanted = spec("web-1", a_service({"/bin/sh", "-c", "ls /layers | wc -l; cat /layers/top"}));
  wanted.image.lowers = {image_dir()};
  for (int i = 0; i < 127; ++i) {
    const auto layer =
        root() / "a-rather-long-name-for-the-directory-of-layers" / std::to_string(i);
    write(layer / "layers" / fmt::format("file-{}", i), "x");
    write(layer / "layers/top", fmt::format("{}\n", i));
    wanted.image.lowers.push_back(layer);
  }
  EXPECT_EQ(output_of("web-1", wanted), "128\n126\n");
}

}  // namespace
}  // namespace holdfast::test
