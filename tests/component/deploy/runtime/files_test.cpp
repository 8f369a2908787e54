#include <sys/stat.h>

#include "deploy/runtime/storage/config_files.hpp"
#include "tests/component/deploy/runtime/fixture.hpp"

// configs and secrets as files of a container: where they appear, whose they are, and what happens
// when somebody else touches them.

namespace holdfast::test {
namespace {

using rt::InstanceId;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

proto::ConfigFile written(std::string target, std::string content) {
  const auto digest = proto::Digest::of(content);
  return {.target = std::move(target),
          .content = std::move(content),
          .file = {},
          .digest = digest,
          .owner = {}};
}

class Files : public RuntimeTest {
 protected:
  static proto::Service sh(const std::string& text) { return a_service({"/bin/sh", "-c", text}); }
  std::string told(const std::string& id, proto::Service service) {
    return output_of(id, spec(id, std::move(service)));
  }
  proto::ConfigFile pinned(const std::string& target, const std::string& content) {
    auto config = written(target, content);
    config.content.clear();
    config.file = (root() / "config").string();
    return config;
  }
  Error refusal(const std::string& id, proto::Service service) {
    auto created = runtime_->create(spec(id, std::move(service)), {});
    if (!created) return std::move(created).error();
    ADD_FAILURE() << "was created";
    return Error{Errc::internal, "was created"};
  }
  /// Evidence of drift of configs, when it is there.
  bool altered(const std::string& id, const std::string& evidence) {
    return eventually([&] {
      const auto seen = see_closely(id);
      return std::any_of(seen.deviations.begin(), seen.deviations.end(), [&](const auto& each) {
        return each.kind == proto::DriftKind::config &&
               each.evidence.find(evidence) != std::string::npos;
      });
    });
  }
};

TEST_F(Files, ConfigsAreReadOnlyFilesWithTheirModeAndOwnerOnAnyRoot) {
  for (const bool read_only : {true, false}) {
    auto service = sh(
        "stat -c '%a %u:%g %n' /etc/app/a /b /c/run; cat /etc/app/a; /c/run; echo x > /b || echo "
        "kept");
    service.security.read_only = read_only;
    service.configs = {written("/etc/app/a", "one\n"), written("/b", "two"),
                       written("/c/run", "#!/bin/sh\necho ran\n")};
    service.configs[1].mode = 0640;
    service.configs[1].owner = "app:1000";
    service.configs[2].mode = 0755;
    const auto text = told(read_only ? "web-1" : "web-2", service);
    EXPECT_THAT(text, AllOf(HasSubstr("444 0:0 /etc/app/a\n640 1234:1000 /b\n755 0:0 /c/run\n"),
                            HasSubstr("one\nran\n"), HasSubstr("kept")));
  }
}

TEST_F(Files, AConfigOfAHostFileIsTheOneThatTheDocumentPinsAndIsKept) {
  auto service = sh("cat /a");
  service.configs = {pinned("/a", "first\n")};
  const auto missing = refusal("web-1", service);
  EXPECT_EQ(missing.code(), Errc::host) << missing.to_string();
  EXPECT_THAT(missing.to_string(), HasSubstr("config /a"));

  write(root() / "config", "other\n");
  const auto other = refusal("web-1", service);
  EXPECT_EQ(other.code(), Errc::host);
  EXPECT_THAT(other.what(), HasSubstr(service.configs[0].digest.str()));
  EXPECT_THAT(other.to_string(), Not(HasSubstr(proto::Digest::of("other\n").hex())))
      << "that would tell of files whose content the document's author does not know";

  write(root() / "config", "first\n");
  EXPECT_EQ(told("web-2", service), "first\n");
  write(root() / "config", "second\n");  // of a later document
  EXPECT_EQ(told("web-3", service), "first\n") << "a rollback brings the content back";
}

TEST_F(Files, WhatIsNoRegularFileIsNoConfig) {
  auto service = sh("true");
  service.configs = {pinned("/a", "x")};
  ASSERT_EQ(mkfifo((root() / "config").c_str(), 0600), 0);
  EXPECT_THAT(refusal("web-1", service).what(), HasSubstr("not a regular file"));
  fs::remove(root() / "config");
  fs::create_directory(root() / "config");
  EXPECT_EQ(refusal("web-1", service).code(), Errc::host);
}

TEST_F(Files, AnAlteredConfigIsDriftAndARestartPutsItBack) {
  auto service = a_service(idle());
  service.configs = {written("/etc/app/a", "one\n"), written("/b", "two\n")};
  create(spec("web-1", service));
  EXPECT_THAT(see_closely("web-1").deviations, ::testing::IsEmpty());
  const auto file = paths().placed_config(InstanceId{"web-1"}, 0);
  write(file, "evil\n");
  EXPECT_TRUE(altered("web-1", "/etc/app/a has another content"));
  fs::permissions(paths().placed_config(InstanceId{"web-1"}, 1), fs::perms{0666});
  EXPECT_TRUE(altered("web-1", "/b has another mode or owner"));
  const auto inside = [&] {
    const auto shown =
        runtime_->exec(InstanceId{"web-1"}, {"/bin/cat", "/etc/app/a"}, Milliseconds{5'000}, {});
    return shown ? shown->output : shown.error().to_string();
  };
  EXPECT_EQ(inside(), "evil\n");
  ASSERT_TRUE(runtime_->stop(InstanceId{"web-1"}, {.signal = "SIGKILL", .timeout = {}}, {}));
  ASSERT_TRUE(runtime_->restart(InstanceId{"web-1"}, {}));
  EXPECT_EQ(inside(), "one\n");
  EXPECT_TRUE(eventually([&] { return see_closely("web-1").deviations.empty(); }));
}

TEST_F(Files, ContentIsForgottenWhenNothingNamesItAndItIsNotYoung) {
  auto service = sh("true");
  service.configs = {written("/a", "old"), written("/b", "used"), written("/c", "young")};
  (void)told("web-1", service);
  const auto kept = [&](const char* content) {
    return fs::exists(paths().configs() / proto::Digest::of(content).hex());
  };
  for (const char* content : {"old", "used"}) {
    const timespec ago[2] = {{.tv_sec = 1'000, .tv_nsec = 0}, {.tv_sec = 1'000, .tv_nsec = 0}};
    const auto path = paths().configs() / proto::Digest::of(content).hex();
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), ago, 0), 0);
  }
  runtime_->forget_configs({proto::Digest::of("used")});
  EXPECT_FALSE(kept("old"));
  EXPECT_TRUE(kept("used"));
  EXPECT_TRUE(kept("young"));
  runtime_->forget_configs({});
  EXPECT_FALSE(kept("used"));
}

TEST_F(Files, ASecretAppearsWhereItIsWantedWithItsModeAndOwnerAndNowhereElse) {
  write(root() / "secret", "s3cret\n");
  auto service =
      sh("stat -c '%a %u:%g %n' /etc/ssl/app.key /run/secrets/DB_Pass; cat /etc/ssl/app.key; ls "
         "/run/secrets");
  const auto file = (root() / "secret").string();
  service.secrets = {
      {.name = "tls", .file = file, .target = "/etc/ssl/app.key", .mode = 0440, .owner = "0:1000"},
      {.name = "DB_Pass", .file = file}};
  EXPECT_EQ(told("web-1", service),
            "440 0:1000 /etc/ssl/app.key\n400 1000:1000 /run/secrets/DB_Pass\ns3cret\nDB_Pass\n");
}

TEST_F(Files, SecretsLieOnATmpfsOfTheirOwnAlsoWhereAnEarlierTryLeftADirectory) {
  write(root() / "secret", "s3cret\n");
  auto service = a_service(idle());
  const auto file = (root() / "secret").string();
  service.secrets = {{.name = "a", .file = file, .target = "/etc/a"}, {.name = "b", .file = file}};
  const InstanceId id{"web-1"};
  fs::create_directories(paths().secrets(id));
  fs::create_directories(paths().placed_secrets(id));
  create(spec("web-1", service));
  const auto mounts = slurp("/proc/self/mountinfo");
  for (const auto& at : {paths().secrets(id), paths().placed_secrets(id)})
    EXPECT_THAT(mounts, HasSubstr(" " + at.string() + " "));
}

TEST_F(Files, AVariableTakesItsValueFromASecretAtEachStartAndFromAConfig) {
  write(root() / "secret", "first\n");
  auto service = sh("echo $PASSWORD/$GREETING; sleep 1000");
  service.secrets = {{.name = "db", .file = (root() / "secret").string()}};
  service.configs = {written("/motd", "hello\n")};
  service.env_from = {{"PASSWORD", {.kind = proto::EnvSource::Kind::secret, .name = "db"}},
                      {"GREETING", {.kind = proto::EnvSource::Kind::config, .name = "/motd"}}};
  create(spec("web-1", service));
  EXPECT_TRUE(eventually([&] { return log_of("web-1") == "first/hello\n"; })) << log_of("web-1");
  write(root() / "secret", "second");
  ASSERT_TRUE(runtime_->stop(InstanceId{"web-1"}, {.signal = "SIGKILL", .timeout = {}}, {}));
  ASSERT_TRUE(runtime_->restart(InstanceId{"web-1"}, {}));
  EXPECT_TRUE(eventually([&] { return log_of("web-1") == "first/hello\nsecond/hello\n"; }))
      << log_of("web-1");
}

TEST_F(Files, ASubpathOfAVolumeIsAllThatIsSeenOfItWithItsOwnerAndMode) {
  fs::create_directories(image_dir() / "data");
  write(image_dir() / "data/of-the-image", "x");
  auto service =
      sh("ls -A /data; stat -c '%a %u:%g' /data; echo mine > /data/file; cat /data/file");
  service.volumes = {
      {.source = "vol", .target = "/data", .subpath = "a/b", .owner = "1000:app", .mode = 02750}};
  EXPECT_EQ(told("web-1", service), "2750 1000:1235\nmine\n");
  EXPECT_EQ(slurp(paths().volume("vol") / "a/b/file"), "mine\n");
  service.volumes[0].read_only = true;
  service.command = {"/bin/sh", "-c", "cat /data/file; echo x > /data/file || echo kept"};
  EXPECT_THAT(told("web-2", service), AllOf(HasSubstr("mine\n"), HasSubstr("kept")));
  service.volumes[0].subpath.clear();
  service.volumes[0].owner = "0:0";
  service.volumes[0].mode = 0755;
  service.command = {"/bin/sh", "-c", "stat -c '%a %u:%g' /data; ls /data"};
  EXPECT_EQ(told("web-3", service), "755 0:0\na\n");
}

TEST_F(Files, ASubpathFollowsNoLinkThatAContainerLeft) {
  auto service = sh("true");
  service.volumes = {{.source = "vol", .target = "/data", .subpath = "a/b"}};
  fs::create_directories(paths().volume("vol"));
  fs::create_directory_symlink("/etc", paths().volume("vol") / "a");
  const auto error = refusal("web-1", service);
  EXPECT_EQ(error.code(), Errc::host);
  EXPECT_THAT(error.to_string(), AllOf(HasSubstr("volume vol"), HasSubstr("not a directory")));
  EXPECT_FALSE(fs::exists("/etc/b"));
}

TEST_F(Files, WhatCannotBeAVariableIsTheHostsFaultAndIsNotRepeated) {
  write(root() / "secret", std::string("nu\0l", 4));
  auto service = sh("true");
  service.secrets = {{.name = "db", .file = (root() / "secret").string()}};
  service.env_from = {{"PASSWORD", {.kind = proto::EnvSource::Kind::secret, .name = "db"}}};
  const auto error = refusal("web-1", service);
  EXPECT_EQ(error.code(), Errc::host);
  EXPECT_THAT(error.to_string(), AllOf(HasSubstr("env PASSWORD"), Not(HasSubstr("nu"))));
}

}  // namespace
}  // namespace holdfast::test
