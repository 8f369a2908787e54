#include "common/os/file.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

namespace holdfast::os {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    auto created = TempDir::create(fs::temp_directory_path(), "hf-file-test");
    ASSERT_TRUE(created) << created.error().to_string();
    dir_.emplace(*std::move(created));
  }
  [[nodiscard]] fs::path path(std::string_view name) const { return dir_->path() / name; }
  [[nodiscard]] static mode_t mode(const fs::path& file) {
    struct stat info {};
    EXPECT_EQ(stat(file.c_str(), &info), 0);
    return info.st_mode & 07777U;
  }
  std::optional<TempDir> dir_;
};

TEST_F(FileTest, WriteAtomicReplacesTheFileAndLeavesNothingElse) {
  for (const auto& text : {std::string{"one"}, std::string(200'000, 'x'), std::string{}}) {
    ASSERT_TRUE(write_atomic(path("f"), text, 0640));
    EXPECT_EQ(*read_file(path("f")), text);
    EXPECT_EQ(mode(path("f")), 0640U);
  }
  ASSERT_TRUE(write_atomic(path("f"), "lazy", 0600, Durability::lazy));
  EXPECT_EQ(std::distance(fs::directory_iterator{dir_->path()}, {}), 1);
}

TEST_F(FileTest, WriteAtomicNamesTheFileItCouldNotWrite) {
  const auto failed = write_atomic(path("no/such/dir/f"), "x");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), Errc::not_found);
  fs::create_directory(path("d"));
  const auto over_directory = write_atomic(path("d"), "x");
  ASSERT_FALSE(over_directory);
  EXPECT_THAT(over_directory.error().what(), HasSubstr("write " + path("d").string()));
  EXPECT_EQ(std::distance(fs::directory_iterator{dir_->path()}, {}), 1);
}

TEST_F(FileTest, ReadFileStopsAtItsLimit) {
  ASSERT_TRUE(write_atomic(path("f"), std::string(100, 'x')));
  EXPECT_EQ(read_file(path("f"), 100)->size(), 100U);
  EXPECT_EQ(read_file(path("f"), 99).error().code(), Errc::too_large);
  EXPECT_EQ(read_file("/dev/zero", 1 << 20).error().code(), Errc::too_large);
  EXPECT_EQ(read_file(path("absent")).error().code(), Errc::not_found);
}

TEST_F(FileTest, ReadRegularFileWaitsForNothingAndTakesNothingElse) {
  ASSERT_TRUE(write_atomic(path("f"), "text"));
  EXPECT_EQ(*read_regular_file(path("f")), "text");
  EXPECT_FALSE(read_regular_file("/proc/self/status")->empty());
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  for (const auto& other : {path("fifo"), fs::path{"/dev/zero"}, dir_->path()})
    EXPECT_EQ(read_regular_file(other).error().code(), Errc::io) << other;
}

TEST_F(FileTest, MakeDirectoriesGivesItsModeToWhatItCreates) {
  ASSERT_TRUE(make_directories(path("a/b/c"), 0700));
  EXPECT_EQ(mode(path("a")), 0700U);
  EXPECT_EQ(mode(path("a/b/c")), 0700U);
  EXPECT_TRUE(make_directories(path("a/b/c")));
  ASSERT_TRUE(write_atomic(path("file"), ""));
  EXPECT_FALSE(make_directories(path("file")));
  EXPECT_FALSE(make_directories(path("file/below")));
}

TEST_F(FileTest, RemoveTreeTakesEverythingBelowAndNothingBeside) {
  ASSERT_TRUE(make_directories(path("tree/a/b")));
  ASSERT_TRUE(write_atomic(path("tree/a/f"), "x"));
  ASSERT_TRUE(make_directories(path("beside")));
  ASSERT_TRUE(write_atomic(path("beside/kept"), "x"));
  fs::create_directory_symlink(path("beside"), path("tree/link"));
  fs::create_symlink("/nowhere", path("tree/a/dangling"));
  ASSERT_TRUE(remove_tree(path("tree")));
  EXPECT_FALSE(fs::exists(path("tree")));
  EXPECT_TRUE(fs::exists(path("beside/kept")));
  EXPECT_TRUE(remove_tree(path("tree")));
}

TEST_F(FileTest, RemoveTreeOfASymlinkRemovesTheLink) {
  ASSERT_TRUE(make_directories(path("real")));
  fs::create_directory_symlink(path("real"), path("link"));
  ASSERT_TRUE(remove_tree(path("link")));
  EXPECT_FALSE(fs::is_symlink(path("link")));
  EXPECT_TRUE(fs::exists(path("real")));
}

TEST_F(FileTest, ASecondLockIsRefusedAndNamesTheHolder) {
  {
    const auto first = FileLock::acquire(path("lock"));
    ASSERT_TRUE(first) << first.error().to_string();
    const auto second = FileLock::acquire(path("lock"));
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code(), Errc::busy);
    EXPECT_THAT(second.error().what(), HasSubstr("pid " + std::to_string(getpid())));
  }
  EXPECT_TRUE(FileLock::acquire(path("lock")));
}

TEST_F(FileTest, OpenFileClosesOnExec) {
  const auto fd = open_file(path("f"), O_RDWR | O_CREAT);
  ASSERT_TRUE(fd);
  EXPECT_NE(fcntl(fd->get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(FileTest, TempDirVanishesWithItsObject) {
  fs::path kept;
  {
    auto inner = TempDir::create(dir_->path(), "inner");
    ASSERT_TRUE(inner);
    kept = inner->path();
    ASSERT_TRUE(write_atomic(kept / "f", "x"));
    const TempDir moved = *std::move(inner);
    EXPECT_TRUE(fs::exists(kept));
  }
  EXPECT_FALSE(fs::exists(kept));
}

}  // namespace
}  // namespace holdfast::os
