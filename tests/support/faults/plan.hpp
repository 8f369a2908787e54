#pragma once
/// \file
/// Which call of a program goes wrong, and how: the words of HOLDFAST_FAULTS (README.md has the
/// grammar), and what is counted.

#include <atomic>
#include <cstdint>
#include <string_view>

namespace holdfast::test::faults {

constexpr std::size_t kMaxRules = 8;
constexpr std::size_t kMaxBelow = 4;
constexpr std::size_t kListBytes = 1U << 18;

enum class Call : std::uint8_t { sync, rename, unlink, link, mkdir, truncate, write, create, any };

enum class Action : std::uint8_t {
  kill_before,
  kill_after,
  cut_before,
  cut_after,
  torn,
  delay,
  fail,
};

struct Rule {
  Call call = Call::any;
  std::string_view text;  ///< somewhere in the path
  std::uint64_t number = 0;
  bool and_after = false;
  Action action = Action::fail;
  int value = 0;  ///< errno, or milliseconds
};

struct Plan {
  Rule rules[kMaxRules];
  std::size_t rule_count = 0;
  std::string_view below[kMaxBelow];
  std::size_t below_count = 0;
  std::string_view report;
  std::string_view child;
  std::string_view preload;
};

/// Shared by the processes of a plan and the test; tests/e2e/faults.py reads it too.
struct Report {
  std::atomic<std::uint64_t> points;             ///< calls below the directories
  std::atomic<std::uint64_t> reached;            ///< how often a rule acted
  std::atomic<std::int64_t> clock_ns;            ///< what is added to CLOCK_REALTIME
  std::atomic<std::uint64_t> armed;              ///< 0: nothing counts, nothing fails
  std::atomic<std::uint64_t> counts[kMaxRules];  ///< calls that a rule is about
  std::atomic<std::uint64_t>
      numbers[kMaxRules];             ///< the N of a rule from now on; 0: as in the plan
  std::atomic<std::int64_t> boot_ns;  ///< what is added to CLOCK_BOOTTIME
  std::atomic<std::uint64_t> listed;  ///< bytes of `list`
  char list[kListBytes];              ///< "sync /a/b\n" for each point
};

/// The parts point into `text`. On an error `problem` is set and says which item is wrong.
[[nodiscard]] Plan parse_plan(std::string_view text, std::string_view& problem);
[[nodiscard]] std::string_view to_string(Call call);

/// From now on this process obeys `text`, which must outlive it; a mistake in it ends the process.
void install(std::string_view text, Report* report);

}  // namespace holdfast::test::faults
