#include "agent/logger/rotating_file.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "common/os/file.hpp"

namespace holdfast::agent::logger {
namespace {

namespace fs = std::filesystem;

class RotatingFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = os::TempDir::create("/tmp", "hf-log-");
    if (!made) FAIL() << made.error().to_string();
    dir_.emplace(std::move(*made));
  }
  [[nodiscard]] std::string path() const { return (dir_->path() / "x.log").string(); }
  [[nodiscard]] std::string current() const { return slurp(path()); }
  [[nodiscard]] std::string older() const { return slurp(path() + ".1"); }
  static std::string slurp(const std::string& path) {
    const auto text = os::read_file(path, 1U << 30);
    return text ? *text : std::string{};
  }
  std::optional<os::TempDir> dir_;
};

TEST_F(RotatingFiles, HoldTheNewestLinesWithoutAGapWhateverThePieces) {
  std::mt19937 random{11};
  for (int round = 0; round < 40; ++round) {
    fs::remove(path());
    fs::remove(path() + ".1");
    const std::uint64_t most = 200 + random() % 2'000;
    std::string said;
    for (int i = 0; said.size() < 20'000; ++i)
      said += fmt::format("{} {}\n", i, std::string(random() % 150, 'x'));
    RotatingFile file{path(), most};
    for (std::size_t at = 0; at < said.size();) {
      const auto piece = std::min<std::size_t>(1 + random() % 700, said.size() - at);
      file.write(std::string_view{said}.substr(at, piece));
      at += piece;
      ASSERT_LE(fs::file_size(path()), most);
      ASSERT_LE(older().size(), most);
    }
    ASSERT_TRUE(said.ends_with('\n'));
    const auto kept = older() + current();
    ASSERT_TRUE(said.ends_with(kept));
    ASSERT_EQ(said[said.size() - kept.size() - 1], '\n') << "a torn line";
    ASSERT_GE(kept.size(), most / 2) << "at least one file that was full";
    ASSERT_EQ(file.dropped_bytes() + kept.size(), said.size());
  }
}

TEST_F(RotatingFiles, GoOnWhereAnEarlierOneEnded) {
  RotatingFile{path(), 100}.write("one\n");
  RotatingFile{path(), 100}.write("two\n");
  EXPECT_EQ(current(), "one\ntwo\n");
}

TEST_F(RotatingFiles, AreBoundedAlsoWithoutANewline) {
  RotatingFile file{path(), 1'000};
  const std::string piece(10'000, 'x');
  for (int i = 0; i < 100; ++i) file.write(piece);
  EXPECT_LE(current().size(), 80'000U);
  EXPECT_LE(older().size(), 80'000U);
  EXPECT_GT(file.dropped_bytes(), 800'000U);
}

TEST_F(RotatingFiles, CountWhatADirectoryThatIsGoneDoesNotTakeAndComeBackWithIt) {
  const auto inner = dir_->path() / "logs";
  const auto log = (inner / "x.log").string();
  RotatingFile file{log, 100};
  file.write("lost\n");
  EXPECT_EQ(file.dropped_bytes(), 5U);
  fs::create_directory(inner);
  file.write("kept\n");
  EXPECT_EQ(slurp(log), "kept\n");
}

}  // namespace
}  // namespace holdfast::agent::logger
