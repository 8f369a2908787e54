// The child that unpacks a layer, at the bounds that it is given.
#include "deploy/image/layers/unpacker.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>

#include <array>
#include <thread>

#include "common/os/file.hpp"
#include "tests/component/deploy/image/lab.hpp"

namespace holdfast::test {
namespace {

using deploy::image::Unpacker;
using ::testing::HasSubstr;

/// The header of a directory "./", as often as it is read.
std::string root_header() {
  std::string header(512, '\0');
  const auto put = [&](std::size_t at, const std::string& text) {
    header.replace(at, text.size(), text);
  };
  put(0, "./");
  put(100, "0000755");
  put(108, "0000000");
  put(116, "0000000");
  put(124, "00000000000");
  put(136, "00000000000");
  put(148, "        ");
  put(156, "5");
  put(257, std::string{"ustar\0"
                       "00",
                       8});
  unsigned sum = 0;
  for (const char each : header) sum += static_cast<unsigned char>(each);
  std::array<char, 8> text{};
  (void)std::snprintf(text.data(), text.size(), "%06o", sum);
  put(148, std::string{text.data(), 7} + ' ');
  return header;
}

class AtItsBounds : public ::testing::Test {
 protected:
  Result<proto::worker::UnpackReport> unpacked(const proto::worker::UnpackJob& job,
                                               std::size_t headers) {
    signal(SIGPIPE, SIG_IGN);
    HF_ASSIGN(auto pipe, os::make_pipe());
    HF_ASSIGN(const auto tree, os::open_file(directory_.path(), O_RDONLY | O_DIRECTORY));
    HF_ASSIGN(auto child, Unpacker::start(worker_path(), {.max_bytes = 1ULL << 30, .lowers = 0},
                                          pipe.first, tree, {}));
    pipe.first.reset();
    HF_TRY(child.begin(job));
    std::jthread feed{[out = std::move(pipe.second), headers] {
      std::string block;
      const auto header = root_header();
      while (block.size() < (64U << 10)) block += header;
      for (std::size_t left = headers; left > 0;) {
        const auto now = std::min(left, block.size() / header.size());
        if (!os::write_all(out.get(), std::string_view{block}.substr(0, now * header.size())))
          return;
        left -= now;
      }
      (void)os::write_all(out.get(), std::string(1024, '\0'));
    }};
    for (;;) {
      pollfd one{child.fd(), POLLIN, 0};
      constexpr int kLongestMs = 60'000;
      if (::poll(&one, 1, kLongestMs) <= 0) return Error{Errc::timed_out, "the child says nothing"};
      if (auto outcome = child.advance()) return *std::move(outcome);
    }
  }
  static proto::worker::UnpackJob job_of(std::size_t headers) {
    return {.size = headers * 512 + 1024,
            .space = 1ULL << 40,
            .max_entries = 1U << 30,
            .cpu_seconds = 60};
  }
  os::TempDir directory_ = *os::TempDir::create("/var/tmp", "holdfast-unpack");
};

TEST_F(AtItsBounds, ItTakesAsManyEntriesAsItMayAndNotOneMore) {
  auto job = job_of(1000);
  job.max_entries = 1000;
  const auto taken = unpacked(job, 1000);
  ASSERT_TRUE(taken) << taken.error().to_string();
  EXPECT_EQ(taken->entries, 1000U);
  job = job_of(1001);
  job.max_entries = 1000;
  const auto refused = unpacked(job, 1001);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::layer_limit);
  EXPECT_THAT(refused.error().what(), HasSubstr("more than 1000 entries"));
}

TEST_F(AtItsBounds, ItEndsWithItsProcessorTime) {
  constexpr std::size_t kForMinutes = 200'000'000;
  auto job = job_of(kForMinutes);
  job.cpu_seconds = 1;
  const auto refused = unpacked(job, kForMinutes);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::layer_limit) << refused.error().to_string();
  EXPECT_THAT(refused.error().what(), HasSubstr("more than 1 s of processor time"));
}

TEST_F(AtItsBounds, ItStopsWhereTheDiskHasOnlyItsReserveLeft) {
  auto job = job_of(1000);
  job.keep_inodes = 1ULL << 60;
  const auto inodes = unpacked(job, 1000);
  ASSERT_FALSE(inodes);
  EXPECT_EQ(inodes.error().code(), Errc::nospace);
  EXPECT_THAT(inodes.error().what(), HasSubstr("inodes left"));
  job.keep_inodes = 0;
  job.keep_bytes = 1ULL << 60;
  const auto bytes = unpacked(job, 1000);
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().code(), Errc::nospace);
}

}  // namespace
}  // namespace holdfast::test
