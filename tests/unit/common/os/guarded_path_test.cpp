#include "common/os/guarded_path.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "common/os/file.hpp"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class GuardedPath : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = os::TempDir::create("/var/tmp", "guarded");
    ASSERT_TRUE(made);
    scratch_.emplace(std::move(made).value());
  }
  [[nodiscard]] fs::path at(const char* name) const { return scratch_->path() / name; }
  [[nodiscard]] static mode_t mode_of(const fs::path& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 07777U : 0;
  }
  /// What is said to claiming it; empty: it was claimed.
  static std::string said(const fs::path& path, mode_t most = 0700) {
    const auto claimed = os::claim_directory(path, most);
    return claimed ? "" : claimed.error().what() + " | " + claimed.error().next_step();
  }

  std::optional<os::TempDir> scratch_;
};

TEST_F(GuardedPath, IsMadeWhereItIsMissing) {
  const auto claimed = os::claim_directory(at("new"), 0700);
  ASSERT_TRUE(claimed);
  EXPECT_EQ(claimed->before, 0U);
  EXPECT_EQ(mode_of(at("new")), 0700U);
}

TEST_F(GuardedPath, LosesWhatOthersMayDoInIt) {
  for (const mode_t before : {0777U, 0755U, 0711U, 02770U}) {
    ASSERT_TRUE(os::make_directories(at("state")));
    ASSERT_EQ(::chmod(at("state").c_str(), before), 0);
    const auto claimed = os::claim_directory(at("state"), 0700);
    ASSERT_TRUE(claimed) << claimed.error().to_string();
    EXPECT_EQ(claimed->before, before);
    EXPECT_EQ(mode_of(at("state")) & 0777U, 0700U);
    EXPECT_EQ(os::claim_directory(at("state"), 0700)->before & 0077U, 0U) << "repeated";
  }
  ASSERT_EQ(::chmod(at("state").c_str(), 0777), 0);
  EXPECT_EQ(said(at("state"), 0755), "");
  EXPECT_EQ(mode_of(at("state")), 0755U);
}

TEST_F(GuardedPath, IsRefusedWhereWhatIsInItMayBeOfOthers) {
  ASSERT_TRUE(os::make_directories(at("state")));
  ASSERT_TRUE(os::write_atomic(at("state") / "planted", "x"));
  ASSERT_EQ(::chown((at("state") / "planted").c_str(), 1000, 1000), 0);
  ASSERT_EQ(::chmod(at("state").c_str(), 0777), 0);
  EXPECT_THAT(said(at("state")), AllOf(HasSubstr("others could write"), HasSubstr("planted")));
}

TEST_F(GuardedPath, IsRefusedWhereWhatIsInItOthersMayStillWrite) {
  ASSERT_TRUE(os::make_directories(at("state/instances")));
  ASSERT_EQ(::chmod(at("state/instances").c_str(), 0777), 0);
  ASSERT_EQ(::chmod(at("state").c_str(), 0777), 0);
  EXPECT_THAT(said(at("state")), HasSubstr("and instances in it too"));
}

TEST_F(GuardedPath, NothingIsMadeBehindALink) {
  ASSERT_TRUE(os::make_directories(at("elsewhere")));
  fs::create_directory_symlink("elsewhere", at("link"));
  EXPECT_THAT(said(at("link/a/state")), HasSubstr("link is a symlink"));
  EXPECT_TRUE(fs::is_empty(at("elsewhere")));
}

TEST_F(GuardedPath, IsRefusedWhenAnotherOwnsIt) {
  ASSERT_TRUE(os::make_directories(at("state")));
  ASSERT_EQ(::chown(at("state").c_str(), 1000, 1000), 0);
  EXPECT_THAT(said(at("state")),
              AllOf(HasSubstr("belongs to uid 1000"), HasSubstr("chown -R root")));
}

TEST_F(GuardedPath, IsRefusedBelowWhatOthersMayWrite) {
  ASSERT_TRUE(os::make_directories(at("shared/state")));
  ASSERT_EQ(::chmod(at("shared").c_str(), 0775), 0);
  EXPECT_THAT(said(at("shared/state")), HasSubstr("chmod go-w " + at("shared").string()));
  ASSERT_EQ(::chmod(at("shared").c_str(), 01777), 0);
  EXPECT_EQ(said(at("shared/state")), "") << "nobody can replace it there";
  ASSERT_EQ(::chmod(at("shared").c_str(), 0755), 0);
  ASSERT_EQ(::chown(at("shared").c_str(), 1000, 0), 0);
  EXPECT_THAT(said(at("shared/state")), HasSubstr("shared belongs to uid 1000"));
}

TEST_F(GuardedPath, IsRefusedThroughALinkWithThePlaceItLeadsTo) {
  ASSERT_TRUE(os::make_directories(at("real/state")));
  fs::create_directory_symlink("real", at("link"));
  EXPECT_THAT(said(at("link/state")), AllOf(HasSubstr("link is a symlink"),
                                            HasSubstr("write " + at("real/state").string())));
  fs::create_directory_symlink("real/state", at("last"));
  EXPECT_THAT(said(at("last")), HasSubstr("last is a symlink"));
}

class TrustedFile : public GuardedPath {
 protected:
  void SetUp() override {
    GuardedPath::SetUp();
    ASSERT_TRUE(os::make_directories(at("etc")));
    ASSERT_TRUE(os::write_atomic(file(), "text", 0644));
  }
  [[nodiscard]] fs::path file() const { return at("etc/agent.yaml"); }
  /// The text, or what is said instead of it.
  static std::string read(const fs::path& path) {
    const auto text = os::read_trusted(path, 1024);
    return text ? *text : text.error().what() + " | " + text.error().next_step();
  }
};

TEST_F(TrustedFile, IsReadWhereOnlyRootCanHaveWrittenIt) {
  EXPECT_EQ(read(file()), "text");
  fs::create_directory_symlink("etc", at("link"));
  fs::create_symlink(at("link/agent.yaml"), at("second"));
  EXPECT_EQ(read(at("second")), "text") << "root's links lead where root wants";
  EXPECT_EQ(read(at("etc/../link/agent.yaml")), "text");
}

TEST_F(TrustedFile, IsRefusedWhereOthersMayWriteIt) {
  ASSERT_EQ(::chmod(file().c_str(), 0666), 0);
  EXPECT_THAT(read(file()), HasSubstr("| chmod go-w " + file().string()));
  ASSERT_EQ(::chmod(file().c_str(), 0644), 0);
  ASSERT_EQ(::chown(file().c_str(), 1000, 1000), 0);
  EXPECT_THAT(read(file()), AllOf(HasSubstr("belongs to uid 1000"),
                                  HasSubstr("| chown root " + file().string())));
  ASSERT_EQ(::chown(file().c_str(), 0, 0), 0);
  ASSERT_EQ(::chmod(at("etc").c_str(), 0775), 0);
  EXPECT_THAT(read(file()), HasSubstr("| chmod go-w " + at("etc").string()));
}

TEST_F(TrustedFile, IsRefusedThroughALinkToWhatAnotherOwns) {
  ASSERT_TRUE(os::write_atomic(at("theirs"), "text", 0644));
  ASSERT_EQ(::chown(at("theirs").c_str(), 1000, 1000), 0);
  fs::create_symlink(at("theirs"), at("link"));
  EXPECT_THAT(read(at("link")), HasSubstr("theirs belongs to uid 1000"));
  fs::create_symlink(file(), at("other"));
  ASSERT_EQ(::lchown(at("other").c_str(), 1000, 1000), 0);
  EXPECT_THAT(read(at("other")), HasSubstr("other is a symlink of uid 1000 | "));
}

TEST_F(TrustedFile, EndsAtWhatIsNoFile) {
  fs::create_symlink("loop", at("loop"));
  EXPECT_THAT(read(at("loop")), HasSubstr("more than 40 symlinks"));
  EXPECT_THAT(read(at("etc")), HasSubstr("not a regular file"));
  ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);
  EXPECT_THAT(read(at("pipe")), HasSubstr("not a regular file"));
  EXPECT_THAT(read(at("missing")), HasSubstr("missing"));
}

}  // namespace
}  // namespace holdfast::test
