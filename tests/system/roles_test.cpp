// Who may do what (packaging/doc/design.md 9, packaging/doc/security.md T-48): as other users, so
// these tests need root.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/api/operations.hpp"
#include "tests/support/daemon_fixture.hpp"

namespace holdfast {
namespace {

/// Three groups that every Debian has, and a user in none of them.
constexpr const char* kObserve = "users";
constexpr const char* kRollback = "games";
constexpr const char* kDeploy = "audio";
constexpr uid_t kUser = 65533;
constexpr gid_t kOwnGroup = 65533;

class Roles : public test::DaemonTest {
 protected:
  void SetUp() override {
    DaemonTest::SetUp();
    ASSERT_EQ(geteuid(), 0U) << "becoming other users needs root: run the tests through tests/run";
    config_.groups = {{"observe", kObserve}, {"rollback", kRollback}, {"deploy", kDeploy}};
    start();
    ASSERT_EQ(::chmod(dir().c_str(), 0755), 0);
  }

  /// HTTP status that a user in `group` (none: empty) gets; -1 when the socket cannot even be
  /// opened, -2 when this process could not become that user.
  int as(const std::string& group, const std::string& method, const std::string& target,
         const std::string& body) {
    const auto* entry = group.empty() ? nullptr : getgrnam(group.c_str());
    std::vector<gid_t> groups;
    if (entry != nullptr) groups.push_back(entry->gr_gid);
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    const os::UniqueFd from{ends[0]};
    os::UniqueFd to{ends[1]};
    const pid_t child = ::fork();
    if (child == 0) {
      int status = -2;
      if (::setgroups(groups.size(), groups.data()) == 0 && ::setgid(kOwnGroup) == 0 &&
          ::setuid(kUser) == 0) {
        const auto client = test::RawClient::over_socket(socket());
        client.send(fmt::format("{} {} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{}", method,
                                target, body.size(), body));
        status = client.connected() ? test::parse_reply(client.read_all()).status : -1;
      }
      ::_exit(::write(to.get(), &status, sizeof(status)) == sizeof(status) ? 0 : 1);
    }
    to.reset();
    int status = -2;
    EXPECT_EQ(::read(from.get(), &status, sizeof(status)), static_cast<ssize_t>(sizeof(status)));
    ::waitpid(child, nullptr, 0);
    return status;
  }
  int reads(const std::string& group) { return as(group, "GET", "/v1/status", ""); }
  int rolls_back(const std::string& group) {
    return as(group, "POST", "/v1/rollback", R"({"to":1,"dry_run":true})");
  }
  int applies(const std::string& group) {
    return as(group, "POST", "/v1/apply", test::apply_body(group));
  }
  int holds(const std::string& group) {
    return as(group, "POST", "/v1/hold", R"({"reason":"busy"})");
  }
  int resumes(const std::string& group) { return as(group, "POST", "/v1/resume", "{}"); }
  int quarantines(const std::string& group) {
    return as(group, "POST", "/v1/quarantine/add", R"({"what":"abcdef","reason":"bad"})");
  }
  int releases(const std::string& group) {
    return as(group, "POST", "/v1/quarantine/release", R"({"what":"abcdef"})");
  }
};

TEST_F(Roles, WhoMayRollBackMayStopChangesAndOnlyWhoDeploysLetsThemGoOn) {
  EXPECT_EQ(as(kObserve, "GET", "/v1/quarantine", ""), 200);
  EXPECT_EQ(holds(kObserve), 403);
  EXPECT_EQ(quarantines(kObserve), 403);
  EXPECT_EQ(holds(kRollback), 200);
  EXPECT_EQ(quarantines(kRollback), 200);
  EXPECT_EQ(resumes(kRollback), 403);
  EXPECT_EQ(releases(kRollback), 403);
  EXPECT_EQ(resumes(kDeploy), 200);
  EXPECT_EQ(releases(kDeploy), 200);
}

TEST_F(Roles, WhoObservesMayVerifyImagesAndWhoDeploysMayChangeThem) {
  const auto verifies = [this](const char* group, const char* body) {
    return as(group, "POST", "/v1/images/verify", body);
  };
  EXPECT_EQ(as(kObserve, "GET", "/v1/images", ""), 200);
  EXPECT_EQ(verifies(kObserve, "{}"), 202);
  EXPECT_EQ(verifies(kObserve, R"({"repair":true})"), 403);
  EXPECT_EQ(verifies(kRollback, R"({"repair":true})"), 403);
  EXPECT_EQ(verifies(kDeploy, R"({"repair":true})"), 202);
  for (const char* what : {"gc", "pull"}) {
    const auto path = std::string{"/v1/images/"} + what;
    EXPECT_EQ(as(kRollback, "POST", path, "{}"), 403) << what;
    EXPECT_NE(as(kDeploy, "POST", path, "{}"), 403) << what;
  }
  EXPECT_EQ(as(kDeploy, "POST", "/v1/images/gc", R"({"dry_run":true})"), 200);
}

TEST_F(Roles, EveryOperationAsksForTheRoleOfItsRow) {
  using proto::api::Role;
  const std::pair<Role, const char*> members[] = {
      {Role::observe, kObserve}, {Role::rollback, kRollback}, {Role::deploy, kDeploy}};
  for (const auto& row : proto::api::kOperations) {
    auto target = std::string{row.path};
    if (const auto hole = target.find("{}"); hole != std::string::npos)
      target.replace(hole, 2, "1");
    for (const auto& [role, group] : members) {
      // No request is a list: who may ask is told so, and nothing is done.
      const auto status = as(group, std::string{to_string(row.method)}, target, "[]");
      EXPECT_EQ(status == 403, role < row.role) << row.name << " " << group << " " << status;
    }
  }
}

TEST_F(Roles, StrangersCannotOpenTheSocket) {
  EXPECT_EQ(reads(""), -1);
  struct stat info {};
  ASSERT_EQ(::stat(socket().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0660U);
  EXPECT_EQ(info.st_uid, 0U);
}

TEST_F(Roles, ObserversOnlyRead) {
  EXPECT_EQ(reads(kObserve), 200);
  EXPECT_EQ(rolls_back(kObserve), 403);
  EXPECT_EQ(applies(kObserve), 403);
  EXPECT_EQ(get("/v1/history").body, "[]");
}

TEST_F(Roles, RollbackMayRollBackButNotApply) {
  EXPECT_EQ(reads(kRollback), 200);
  EXPECT_EQ(rolls_back(kRollback), 200);
  EXPECT_EQ(applies(kRollback), 403);
}

TEST_F(Roles, DeployMayDoEverything) {
  EXPECT_EQ(reads(kDeploy), 200);
  EXPECT_EQ(rolls_back(kDeploy), 200);
  EXPECT_EQ(applies(kDeploy), 202);
  EXPECT_THAT(get("/v1/history").body, ::testing::HasSubstr("uid 65533"));
}

TEST_F(Roles, AReloadChangesWhoMayDoWhat) {
  ASSERT_TRUE(os::write_atomic(
      dir() / "agent.yaml",
      fmt::format(
          "state_dir: {}\nrun_dir: {}\nsocket: {}\nmetrics_listen: {}\ngroups: {{observe: {}}}\n",
          config_.state_dir.string(), config_.run_dir.string(), config_.socket.string(),
          config_.metrics_listen, kDeploy)));
  signal(SIGHUP);
  EXPECT_TRUE(eventually([this] { return reads(kObserve) == -1; })) << log();
  EXPECT_EQ(reads(kDeploy), 200);
  EXPECT_EQ(applies(kDeploy), 403);
}

TEST_F(Roles, AGroupThatIsNotKnownYetIsSaidAndTheOthersMayDoWhatTheyMay) {
  signal(SIGTERM);
  ASSERT_EQ(wait(), 0);
  config_.groups = {{"deploy", "no-such-group-here"}, {"observe", kObserve}};
  start();
  EXPECT_THAT(log(), ::testing::HasSubstr("groupadd --system no-such-group-here"));
  EXPECT_THAT(get("/v1/status").body, ::testing::HasSubstr("a role has no group yet"));
  EXPECT_EQ(reads(kObserve), 200);
  EXPECT_EQ(reads(kDeploy), -1);
}

}  // namespace
}  // namespace holdfast
