// The power goes while a ledger is written: FS_IOC_SHUTDOWN on a loop-mounted ext4 drops everything
// that was not flushed (packaging/doc/security.md 7.2, F-23 to F-25). HOLDFAST_POWER_CUTS sets how
// often, 200 once were all well.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>
#include <thread>

#include "common/os/process.hpp"
#include "tests/support/ledger_fixture.hpp"

namespace holdfast::deploy::ledger {
namespace {

namespace fs = std::filesystem;

// include/uapi/linux/fs.h does not have them: fs/ext4/ext4.h, fs/xfs/libxfs/xfs_fs.h.
constexpr unsigned long kShutdown = 0x8004587D;
constexpr std::uint32_t kWithoutLogFlush = 2;

void tool(const std::vector<std::string>& argv) {
  os::RunOptions options;
  options.spawn.argv = argv;
  options.spawn.env = {os::kChildPath};
  const auto done = os::run(options);
  ASSERT_TRUE(done) << done.error().to_string();
  ASSERT_TRUE(os::succeeded(done->status)) << argv.front() << ": " << done->err;
}

int cuts() {
  const char* wanted = std::getenv("HOLDFAST_POWER_CUTS");
  return wanted == nullptr ? 15 : std::atoi(wanted);
}

class PowerCut : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(geteuid(), 0U) << "mounting needs root: run the tests through tests/run";
    // A namespace of its own: a process of another test that copies the mounts would keep the file
    // system, shut down as it is, alive beyond its end.
    ASSERT_EQ(unshare(CLONE_NEWNS), 0) << std::strerror(errno);
    ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    image_ = dir_.path() / "disk.img";
    ASSERT_EQ(truncate_file(image_, 64 << 20), 0);
    tool({"mkfs.ext4", "-q", "-F", image_.string()});
    fs::create_directory(disk_);
    mount();
  }
  void TearDown() override {
    if (mounted_) unmount();
  }
  static int truncate_file(const fs::path& path, off_t size) {
    const os::UniqueFd fd{::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)};
    return ::ftruncate(fd.get(), size);
  }
  void mount() {
    tool({"mount", "-o", "loop", image_.string(), disk_.string()});
    mounted_ = true;
  }
  void unmount() {
    tool({"umount", disk_.string()});
    mounted_ = false;
  }
  void cut_the_power() {
    const os::UniqueFd fd{::open(disk_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    auto how = kWithoutLogFlush;
    ASSERT_EQ(::ioctl(fd.get(), kShutdown, &how), 0) << std::strerror(errno);
  }

  os::TempDir dir_ = os::TempDir::create("/var/tmp", "holdfast-power").value();
  fs::path image_;
  fs::path disk_ = dir_.path() / "disk";
  bool mounted_ = false;
};

/// Commits, and tells the number of each head that it was promised, until nothing is written any
/// more.
[[noreturn]] void commit_until_the_end(const fs::path& state, int report) {
  auto ledger = open_ledger(state);
  if (!ledger) _exit(3);
  for (int i = 0;; ++i) {
    auto batch =
        i % 3 == 0 ? Batch{} : test::note(std::string(static_cast<std::size_t>(i % 7) * 900, 'x'));
    batch.progress = test::fmt("{{\"at\":{}}}", i);
    auto head = (*ledger)->commit(batch);
    if (!head || !os::write_all(report, test::fmt("{}\n", head->number))) _exit(0);
  }
}

std::string heard_so_far(int fd) {
  std::string heard;
  std::array<char, 4096> part{};
  EXPECT_EQ(::fcntl(fd, F_SETFL, O_NONBLOCK), 0);
  for (ssize_t got = 0; (got = ::read(fd, part.data(), part.size())) > 0;)
    heard.append(part.data(), static_cast<std::size_t>(got));
  return heard;
}

void wait_to_hear(int fd) {
  pollfd hearing{.fd = fd, .events = POLLIN, .revents = 0};
  constexpr int kLongestMs = 30'000;
  ASSERT_EQ(::poll(&hearing, 1, kLongestMs), 1) << "the writer acknowledged nothing";
}

TEST_F(PowerCut, WhatWasAcknowledgedIsThereAndTheChainIsWhole) {
  std::mt19937 random{std::random_device{}()};
  const auto state = disk_ / "state";
  std::uint64_t acknowledged = 0;
  for (int round = 0; round < cuts(); ++round) {
    auto pipe = os::make_pipe();
    ASSERT_TRUE(pipe);
    const pid_t child = fork();
    if (child == 0) commit_until_the_end(state, pipe->second.get());
    pipe->second.reset();
    // Every second cut is in the commits for certain, however slow the machine; the others may be
    // before the first.
    if (round % 2 == 0) wait_to_hear(pipe->first.get());
    std::this_thread::sleep_for(std::chrono::microseconds{random() % 60'000});
    // What is told after the cut does not count: a flush that the cut meets half-way may still
    // return, which nothing does when the power goes.
    const auto told = heard_so_far(pipe->first.get());
    cut_the_power();
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    for (const auto line : split(trim(told), '\n')) {
      if (const auto number = parse_number(line)) acknowledged = std::max(acknowledged, *number);
    }
    unmount();
    mount();
    auto ledger = open_ledger(state);
    ASSERT_TRUE(ledger) << "round " << round << ": " << ledger.error().to_string();
    EXPECT_GE((*ledger)->head()->number, acknowledged) << "round " << round;
    EXPECT_TRUE((*ledger)->verify()->intact) << "round " << round;
    acknowledged = (*ledger)->head()->number;
  }
  EXPECT_GE(acknowledged, static_cast<std::uint64_t>(cuts() / 2));
}

}  // namespace
}  // namespace holdfast::deploy::ledger
