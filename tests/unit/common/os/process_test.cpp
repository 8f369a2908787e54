#include "common/os/process.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <string>

#include "common/os/file.hpp"

namespace holdfast::os {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

RunOptions shell(std::string script) {
  RunOptions options;
  options.spawn.argv = {"/bin/sh", "-c", std::move(script)};
  options.spawn.env = {kChildPath};
  options.timeout = 10s;
  return options;
}

BootTime now() { return SystemClock{}.boot(); }

TEST(Run, CollectsOutputErrorsAndStatus) {
  const auto result = run(shell("echo out; echo err >&2; exit 3"));
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(result->out, "out\n");
  EXPECT_EQ(result->err, "err\n");
  EXPECT_EQ(result->status, ExitStatus{Exited{3}});
  EXPECT_FALSE(succeeded(result->status));
  EXPECT_EQ(describe(result->status), "exit code 3");
}

TEST(Run, TellsASignalFromAnExit) {
  const auto result = run(shell("kill -KILL $$"));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status, ExitStatus{Signalled{SIGKILL}});
  EXPECT_EQ(describe(result->status), "killed by signal 9");
}

TEST(Run, FeedsMoreThanAPipeHolds) {
  auto options = shell("cat");
  options.input = std::string(500'000, 'x');
  const auto result = run(options);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->out, options.input);
}

TEST(Run, SurvivesAChildThatDoesNotReadItsInput) {
  auto options = shell("exec 0<&-; echo done");
  options.input = std::string(500'000, 'x');
  const auto result = run(options);
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(result->out, "done\n");
  EXPECT_TRUE(succeeded(result->status));
}

TEST(Run, KeepsOnlySoMuchOutput) {
  auto options = shell("head -c 3000000 /dev/zero; echo end >&2");
  options.output_limit = 1000;
  const auto result = run(options);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->out.size(), 1000U);
  EXPECT_EQ(result->err, "end\n");
}

TEST(Run, KeepsAMiBOfOutputUnlessToldOtherwise) {
  constexpr std::size_t kMiB = 1U << 20;
  const auto exactly = run(shell("head -c 1048576 /dev/zero; head -c 1048576 /dev/zero >&2"));
  ASSERT_TRUE(exactly);
  EXPECT_EQ(exactly->out.size(), kMiB);
  EXPECT_EQ(exactly->err.size(), kMiB);
  const auto more = run(shell("head -c 1048577 /dev/zero"));
  ASSERT_TRUE(more);
  EXPECT_EQ(more->out.size(), kMiB);
}

TEST(Run, KillsTheWholeSessionAtItsDeadline) {
  auto options = shell("sleep 30 & echo $!; wait");
  options.timeout = 300ms;
  const auto start = now();
  const auto result = run(options);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Errc::timed_out);
  EXPECT_LT(now() - start, 5s);
}

TEST(Run, StopsWhenAsked) {
  std::stop_source stop;
  stop.request_stop();
  const auto start = now();
  const auto result = run(shell("sleep 30"), stop.get_token());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Errc::cancelled);
  EXPECT_LT(now() - start, 5s);
}

TEST(Run, SaysWhichProgramIsMissing) {
  RunOptions options;
  options.spawn.argv = {"no-such-program-anywhere"};
  EXPECT_EQ(run(options).error().code(), Errc::not_found);
  EXPECT_THAT(run(options).error().what(), HasSubstr("no-such-program-anywhere"));
  options.spawn.argv = {"/no/such/program"};
  EXPECT_EQ(run(options).error().code(), Errc::not_found);
  options.spawn.argv = {"/etc/passwd"};
  EXPECT_EQ(run(options).error().code(), Errc::perm);
}

TEST(Run, PassesTheGivenEnvironmentAndNoOther) {
  setenv("HF_SECRET_OF_THE_PARENT", "x", 1);
  RunOptions options;
  options.spawn.argv = {"/usr/bin/env"};
  options.spawn.env = {"A=b"};
  const auto result = run(options);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->out, "A=b\n");
}

TEST(Run, PassesTheGivenDescriptorsAndNoOther) {
  const int leaked = open("/dev/null", O_RDONLY);  // without close-on-exec, on purpose
  const auto given = open_file("/dev/null", O_RDONLY);
  ASSERT_TRUE(given);
  auto options = shell("ls /proc/self/fd | tr '\\n' ' '");
  options.spawn.fds = {{given->get(), 5}};
  const auto result = run(options);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->out, "0 1 2 3 5 ");  // 3 is the directory that ls reads
  close(leaked);
}

TEST(Run, ReportsABadDirectoryEvenWhenDescriptorsWereMoved) {
  const auto given = open_file("/dev/null", O_RDONLY);
  ASSERT_TRUE(given);
  auto options = shell("true");
  options.spawn.directory = "/no/such/directory";
  for (int number = 3; number < 20; ++number) options.spawn.fds.emplace_back(given->get(), number);
  const auto result = run(options);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Errc::not_found);
}

TEST(Process, CanBeWaitedForMoreThanOnce) {
  SpawnOptions options;
  options.argv = {"/bin/sleep", "0.2"};
  auto process = Process::spawn(options);
  ASSERT_TRUE(process);
  const auto early = process->wait(now(), {});
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().code(), Errc::timed_out);
  const auto status = process->wait(now() + 5s, {});
  ASSERT_TRUE(status);
  EXPECT_TRUE(succeeded(*status));
}

TEST(Process, DiesAndIsReapedWithItsObject) {
  pid_t pid = 0;
  {
    SpawnOptions options;
    options.argv = {"/bin/sleep", "30"};
    options.new_session = true;
    auto process = Process::spawn(options);
    ASSERT_TRUE(process);
    pid = process->pid();
    EXPECT_EQ(kill(pid, 0), 0);
  }
  EXPECT_EQ(kill(pid, 0), -1);
}

TEST(Process, IsNamedForEverByPidAndStart) {
  const auto ticks = process_start_ticks(getpid());
  ASSERT_TRUE(ticks);
  EXPECT_GT(*ticks, 0U);
  EXPECT_EQ(*process_start_ticks(getpid()), *ticks);
  EXPECT_TRUE(open_pidfd(getpid()));
  EXPECT_FALSE(open_pidfd(4'194'305));  // beyond the largest pid of Linux
}

TEST(SleepUntil, ReturnsAtTheDeadlineOrAtOnceWhenStopped) {
  const auto start = now();
  EXPECT_TRUE(sleep_until(start + 30ms, {}));
  EXPECT_GE(now() - start, 30ms);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_FALSE(sleep_until(now() + 1h, stop.get_token()));
  EXPECT_LT(now() - start, 5s);
}

}  // namespace
}  // namespace holdfast::os
