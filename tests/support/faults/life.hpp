#pragma once
/// \file
/// One life of a program after the other, each with another fault, until a life passes that has not
/// met its fault: SQLite's way (sqlite.org/testing.html).

#include <functional>
#include <string>
#include <string_view>

#include "tests/support/faults/plan.hpp"

namespace holdfast::test::faults {

/// What the child tells as long as it can, in memory that outlives it.
struct Told {
  std::atomic<std::uint64_t> acknowledged;  ///< by whatever measure the test has
  std::atomic<std::uint64_t> step;          ///< how far it got
  char words[512];                          ///< the first thing that was not as it should be
  void say(std::string_view text);
};

struct Life {
  bool reached = false;  ///< the fault happened
  bool killed = false;   ///< SIGKILL ended it
  int code = -1;         ///< else its exit code
  std::uint64_t points = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t step = 0;
  std::string words;
  std::string last;  ///< the last call that counted, "sync /a/b"
};

/// Runs `work` in a forked child that obeys `plan`. The child ends with what `work` returns, after
/// 60 s at the latest.
[[nodiscard]] Life live(const std::string& plan, const std::function<int(Told&)>& work);

/// Within `work`, which begins armed: from now on calls work and do not count, or do again.
void disarm();
void arm();

}  // namespace holdfast::test::faults
