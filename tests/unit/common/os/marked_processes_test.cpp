#include "common/os/marked_processes.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"

namespace holdfast::os {
namespace {

class MarkedProcesses : public ::testing::Test {
 protected:
  Process sleeper(std::vector<std::string> environment) {
    auto made = Process::spawn({.argv = {"/bin/sleep", "60"}, .env = std::move(environment)});
    if (!made) ADD_FAILURE() << made.error().to_string();
    list_ += std::to_string(made->pid()) + "\n";
    return std::move(*made);
  }
  [[nodiscard]] std::filesystem::path list() const {
    const auto path = dir_.path() / "cgroup.procs";
    EXPECT_TRUE(write_atomic(path, list_, 0600, Durability::lazy));
    return path;
  }
  static bool runs(Process& process) {
    return !process.wait(SystemClock{}.boot() + Milliseconds{50}, {});
  }

  TempDir dir_ = *TempDir::create("/tmp", "hf-marks");
  std::string list_ = "1\n0\nx\n4194305\n";
};

TEST_F(MarkedProcesses, AreKilledAndNoOthers) {
  auto first = sleeper({"MARK=1-2;"});
  auto last = sleeper({"A=MARK=1-2;", "B=c", "MARK=1-2;"});
  auto other = sleeper({"MARK=1-22;", "XMARK=1-2;", "A=MARK=1-2;"});
  EXPECT_EQ(kill_marked(list(), {"MARK=1-2;"}), 2U);
  EXPECT_FALSE(runs(first));
  EXPECT_FALSE(runs(last));
  EXPECT_TRUE(runs(other));
}

TEST_F(MarkedProcesses, AreFoundBehindMegabytesOfOtherVariables) {
  std::vector<std::string> environment;
  for (int i = 0; i < 10; ++i)
    environment.push_back("V" + std::to_string(i) + "=" + std::string(100'000 + i, 'x'));
  environment.emplace_back("MARK=1");
  auto process = sleeper(environment);
  EXPECT_TRUE(end_marked(list(), {"MARK=1"}, Milliseconds{2'000}));
  EXPECT_FALSE(runs(process));
}

TEST_F(MarkedProcesses, ThatTookItOffAreFoundByTheirSession) {
  auto marked = sleeper({"MARK=1;"});
  auto leader = Process::spawn({.argv = {"/bin/sh", "-c", "env -i /bin/sleep 60 & wait"},
                                .env = {"MARK=1;", kChildPath},
                                .new_session = true});
  ASSERT_TRUE(leader);
  const SystemClock clock;
  const auto children = fmt::format("/proc/{0}/task/{0}/children", leader->pid());
  std::string child;
  for (int i = 0; i < 1'000 && child.empty(); ++i) {
    if (const auto text = read_file(children, 64)) child = trim(*text);
    (void)sleep_until(clock.boot() + Milliseconds{2}, {});
  }
  list_ += std::to_string(leader->pid()) + "\n" + child + "\n";
  ASSERT_FALSE(child.empty());
  for (int i = 0; i < 1'000; ++i) {  // until its environment is gone
    if (const auto name = read_file("/proc/" + child + "/comm", 64); name && *name == "sleep\n")
      break;
    (void)sleep_until(clock.boot() + Milliseconds{2}, {});
  }
  EXPECT_TRUE(end_marked(list(), {"MARK=1;"}, Milliseconds{2'000})) << "one is not marked";
  EXPECT_EQ(kill_marked(list(), {"MARK=1;", leader->pid()}), 1U);
  EXPECT_TRUE(end_marked(list(), {"MARK=1;", leader->pid()}, Milliseconds{2'000}));
  EXPECT_FALSE(runs(*leader));
  EXPECT_FALSE(runs(marked));
}

TEST_F(MarkedProcesses, WithoutAListThereAreNone) {
  EXPECT_EQ(kill_marked(dir_.path() / "none", {"MARK="}), 0U);
  EXPECT_TRUE(end_marked(dir_.path() / "none", {"MARK="}, Milliseconds{0}));
}

}  // namespace
}  // namespace holdfast::os
