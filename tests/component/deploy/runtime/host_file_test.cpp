// Which files of the host become secrets, and which never do.
#include "deploy/runtime/storage/host_file.hpp"

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <chrono>
#include <fstream>

#include "tests/component/deploy/runtime/fixture.hpp"

namespace holdfast::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class HostFile : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = os::TempDir::create("/var/tmp", "secret");
    ASSERT_TRUE(made);
    scratch_.emplace(std::move(made).value());
    at_ = scratch_->path() / "keys";
    ASSERT_EQ(::mkdir(at_.c_str(), 0755), 0);
    put(at_ / "token");
  }
  static void put(const fs::path& path) {
    ASSERT_TRUE(os::write_atomic(path, "hunter", 0600, os::Durability::lazy));
  }
  /// What is said to reading `path`; empty: it was read. Looking without reading says the same.
  static std::string said(const fs::path& path, const rt::HostFileRule& rule = {}) {
    const auto read = rt::read_host_file(path.string(), rule);
    const auto looked = rt::check_host_file(path.string(), rule);
    EXPECT_EQ(read.has_value(), looked.has_value()) << path;
    if (!read) return read.error().what() + " | " + read.error().next_step();
    EXPECT_EQ(*read, "hunter");
    return "";
  }

  std::optional<os::TempDir> scratch_;
  fs::path at_;
};

TEST_F(HostFile, IsARegularFileThatOnlyRootCanWriteOrReplace) {
  EXPECT_EQ(said(at_ / "token"), "");
  ASSERT_EQ(::chmod((at_ / "token").c_str(), 0644), 0);
  EXPECT_EQ(said(at_ / "token"), "") << "who may read it is the operator's business";
}

TEST_F(HostFile, IsReachedThroughNoLinkWhereverOneLies) {
  fs::create_symlink("/etc/shadow", at_ / "last");
  EXPECT_THAT(said(at_ / "last"), AllOf(HasSubstr("last is a symlink"), HasSubstr("/etc/shadow")));
  fs::create_directory_symlink("keys", scratch_->path() / "linked");
  EXPECT_THAT(
      said(scratch_->path() / "linked/token"),
      AllOf(HasSubstr("linked is a symlink"), HasSubstr("write file: " + at_.string() + "/token")));
  fs::create_symlink("nowhere", at_ / "dangling");
  EXPECT_THAT(said(at_ / "dangling"), HasSubstr("is a symlink"));
  const rt::HostFileRule listed{.allowed = {scratch_->path().string()}, .refused = {}};
  EXPECT_THAT(said(at_ / "last", listed), HasSubstr("is a symlink"));
}

TEST_F(HostFile, HasNoOtherName) {
  fs::create_hard_link(at_ / "token", at_ / "other");
  EXPECT_THAT(said(at_ / "token"), HasSubstr("it has 2 names"));
  const rt::HostFileRule listed{.allowed = {scratch_->path().string()}, .refused = {}};
  EXPECT_EQ(said(at_ / "token", listed), "") << "the operator says so";
  fs::remove(at_ / "other");
  EXPECT_EQ(said(at_ / "token"), "");
}

TEST_F(HostFile, IsNeverWaitedFor) {
  ASSERT_EQ(::mkfifo((at_ / "fifo").c_str(), 0600), 0);
  ASSERT_EQ(::mknod((at_ / "device").c_str(), S_IFCHR | 0600, makedev(1, 5)), 0);  // /dev/zero
  const auto before = std::chrono::steady_clock::now();
  for (const auto& path : {at_ / "fifo", at_ / "device", at_})
    EXPECT_THAT(said(path), HasSubstr("not a regular file")) << path;
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds{1});
}

TEST_F(HostFile, OfOthersIsRefusedWithTheCommandThatMendsIt) {
  ASSERT_EQ(::chown((at_ / "token").c_str(), 1000, 1000), 0);
  EXPECT_THAT(said(at_ / "token"), AllOf(HasSubstr("token belongs to uid 1000"),
                                         HasSubstr("chown root"), HasSubstr("allowed_secret")));
  ASSERT_EQ(::chown((at_ / "token").c_str(), 0, 0), 0);
  ASSERT_EQ(::chmod((at_ / "token").c_str(), 0620), 0);
  EXPECT_THAT(said(at_ / "token"), HasSubstr("chmod go-w " + at_.string() + "/token"));
}

TEST_F(HostFile, BelowADirectoryOfOthersIsRefused) {
  ASSERT_EQ(::chown(at_.c_str(), 1000, 1000), 0);
  EXPECT_THAT(said(at_ / "token"), HasSubstr("keys belongs to uid 1000"));
  ASSERT_EQ(::chown(at_.c_str(), 0, 0), 0);
  ASSERT_EQ(::chmod(at_.c_str(), 0777), 0);
  EXPECT_THAT(said(at_ / "token"), HasSubstr("chmod go-w " + at_.string()));
  ASSERT_EQ(::chmod(at_.c_str(), 01777), 0);
  EXPECT_EQ(said(at_ / "token"), "") << "there others cannot replace it";
}

TEST_F(HostFile, OfAListedPlaceMayBelongToWhoWritesItAndOnlyThatPlaceCounts) {
  const rt::HostFileRule listed{.allowed = {at_.string()}, .refused = {}};
  ASSERT_EQ(::chown((at_ / "token").c_str(), 1000, 1000), 0);
  EXPECT_EQ(said(at_ / "token", listed), "");
  put(scratch_->path() / "other");
  EXPECT_THAT(said(scratch_->path() / "other", listed),
              AllOf(HasSubstr("not below an allowed path"), HasSubstr("allowed_secret_paths")));
  fs::create_directory(scratch_->path() / "keys-of-others");
  put(scratch_->path() / "keys-of-others/token");
  EXPECT_THAT(said(scratch_->path() / "keys-of-others/token", listed), HasSubstr("not below"));
}

TEST_F(HostFile, OfTheHostOrTheAgentIsRefused) {
  EXPECT_THAT(said("/etc/shadow"), HasSubstr("the host's own"));
  EXPECT_THAT(said("/etc/ssh/ssh_host_rsa_key"), HasSubstr("the host's own"));
  for (const char* path : {"/etc/security/opasswd", "/etc/sudoers.d/admins", "/etc/krb5.keytab"})
    EXPECT_THAT(said(path), HasSubstr("the host's own")) << path;
  for (const char* path : {"/proc/1/environ", "/proc/kcore", "/sys/kernel/notes", "/dev/sda",
                           "/run/credentials/other.service/key", "/boot/grub/grub.cfg"})
    EXPECT_THAT(said(path), AllOf(HasSubstr("the host's own"), HasSubstr("allowed_secret_paths")))
        << path;
  EXPECT_THAT(said(at_ / "token", {.allowed = {}, .refused = {at_.string()}}),
              HasSubstr("belongs to the agent"));
  EXPECT_THAT(said(at_ / "../keys/token"), HasSubstr("not absolute and clean"));
}

TEST_F(HostFile, OfAConfigMayBeWrittenByAnybodyButIsNoneOfTheHostOrTheAgentAndNoLink) {
  rt::HostFileRule rule{.use = rt::HostFileUse::config, .allowed = {}, .refused = {}};
  ASSERT_EQ(::chown((at_ / "token").c_str(), 1000, 1000), 0);
  EXPECT_EQ(said(at_ / "token", rule), "");
  for (const char* path :
       {"/etc/shadow", "/etc/ssh/ssh_host_rsa_key", "/proc/1/environ", "/run/user/0/token",
        "/var/lib/containers/storage/db.sql", "/var/lib/docker/containers/a/config.v2.json"})
    EXPECT_THAT(said(path, rule), AllOf(HasSubstr("config file"), HasSubstr("the host's own"),
                                        HasSubstr("a config made for it")))
        << path;
  fs::create_symlink("/etc/shadow", at_ / "last");
  EXPECT_THAT(said(at_ / "last", rule), HasSubstr("is a symlink"));
  fs::create_directory(at_ / "under");
  ASSERT_EQ(::mount("/etc/security", (at_ / "under").c_str(), nullptr, MS_BIND, nullptr), 0);
  const auto under = said(at_ / "under/limits.conf", rule);
  ASSERT_EQ(::umount2((at_ / "under").c_str(), 0), 0);
  EXPECT_THAT(under, HasSubstr("it is /etc/security, the host's own"));
  rule.refused = {at_.string() + "/token"};
  EXPECT_THAT(said(at_ / "token", rule), HasSubstr("belongs to the agent"));
}

TEST_F(HostFile, IsNoneOfTheHostsOwnUnderAnotherName) {
  std::ofstream{at_ / "mounted"} << "";
  ASSERT_EQ(::mount("/etc/shadow", (at_ / "mounted").c_str(), nullptr, MS_BIND, nullptr), 0);
  const auto mounted = said(at_ / "mounted");
  const auto listed = said(at_ / "mounted", {.allowed = {at_.string()}, .refused = {}});
  ASSERT_EQ(::umount2((at_ / "mounted").c_str(), 0), 0);
  EXPECT_THAT(mounted, HasSubstr("it is /etc/shadow"));
  EXPECT_THAT(listed, HasSubstr("it is /etc/shadow")) << "a list of places gives no right to it";
}

TEST_F(HostFile, IsBoundedInSize) {
  const auto big = at_ / "big";
  ASSERT_TRUE(
      os::write_atomic(big, std::string(rt::kMaxHostFile + 1, 'x'), 0600, os::Durability::lazy));
  EXPECT_THAT(said(big), HasSubstr("larger than 1048576 bytes"));
  ASSERT_TRUE(
      os::write_atomic(big, std::string(rt::kMaxHostFile, 'x'), 0600, os::Durability::lazy));
  EXPECT_EQ(rt::read_host_file(big.string(), {})->size(), rt::kMaxHostFile);
  EXPECT_THAT(said(at_ / "none"), HasSubstr("none"));
  EXPECT_THAT(said(at_ / "token/below"), HasSubstr("token is not a"));
}

}  // namespace
}  // namespace holdfast::test
