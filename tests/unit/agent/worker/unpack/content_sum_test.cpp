#include "agent/worker/unpack/content_sum.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "common/os/file.hpp"

namespace holdfast::agent::worker::unpack {
namespace {

// The neighbour of the sparse files that cost terabytes of reading: names, not holes.
TEST(SummingReader, ReadsAFileOfManyNamesOnce) {
  auto dir = os::TempDir::create("/tmp", "holdfast-sums");
  ASSERT_TRUE(dir);
  const std::string content(100'000, 'x');
  ASSERT_TRUE(os::write_atomic(dir->path() / "first", content));
  for (int i = 0; i < 50; ++i)
    std::filesystem::create_hard_link(dir->path() / "first",
                                      dir->path() / ("name" + std::to_string(i)));
  ASSERT_TRUE(os::write_atomic(dir->path() / "other", content));
  const os::UniqueFd at{::open(dir->path().c_str(), O_RDONLY | O_DIRECTORY)};
  SummingReader reader{{}, {}};
  std::uint64_t sum = 0;
  for (const auto& entry : std::filesystem::directory_iterator{dir->path()}) {
    struct stat info {};
    ASSERT_EQ(::lstat(entry.path().c_str(), &info), 0);
    const auto one = reader(at.get(), entry.path().filename().c_str(), info);
    ASSERT_TRUE(one);
    if (sum == 0) sum = *one;
    EXPECT_EQ(*one, sum);
  }
  EXPECT_EQ(reader.bytes(), 2 * content.size());
}

TEST(SummingReader, ReadsNothingThatIsKnownOrEmpty) {
  auto dir = os::TempDir::create("/tmp", "holdfast-sums");
  ASSERT_TRUE(dir);
  ASSERT_TRUE(os::write_atomic(dir->path() / "known", "content"));
  ASSERT_TRUE(os::write_atomic(dir->path() / "empty", ""));
  const os::UniqueFd at{::open(dir->path().c_str(), O_RDONLY | O_DIRECTORY)};
  struct stat known {};
  struct stat empty {};
  ASSERT_EQ(::fstatat(at.get(), "known", &known, 0), 0);
  ASSERT_EQ(::fstatat(at.get(), "empty", &empty, 0), 0);
  SummingReader reader{{}, {{known.st_ino, 42}}};
  EXPECT_EQ(*reader(at.get(), "known", known), 42U);
  EXPECT_EQ(*reader(at.get(), "empty", empty), 0U);
  EXPECT_EQ(reader.bytes(), 0U);
}

}  // namespace
}  // namespace holdfast::agent::worker::unpack
