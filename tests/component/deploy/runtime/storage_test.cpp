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
    EXPECT_EQ(created.error().code(), Errc::runtime)
        << source << ": " << created.error().to_string();
    EXPECT_FALSE(created.error().next_step().empty()) << source;
  }
  EXPECT_TRUE(fs::is_empty(paths().mounts()));
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

TEST_F(Storage, ADanglingResolvConfOfTheImageIsNoObstacle) {
  fs::create_symlink("../run/systemd/resolve/stub-resolv.conf", image_dir() / "etc/resolv.conf");
  EXPECT_THAT(script("web-1", "cat /etc/resolv.conf >/dev/null && echo there; cat /etc/hostname"),
              HasSubstr("there\nweb\n"));
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
