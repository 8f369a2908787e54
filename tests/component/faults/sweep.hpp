#pragma once
/// \file
/// The n-th call goes wrong, for n = 1, 2, 3 …, until a life passes that has fewer calls.

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>

#include "tests/support/faults/life.hpp"

namespace holdfast::test {

struct Sweep {
  std::string rule;             ///< "any:{}=EIO": {} stands for n
  std::filesystem::path below;  ///< whose files count
  int least = 1;                ///< so many calls there are at least
  int step = 1;                 ///< every so manieth n only, unless HOLDFAST_FAULT_POINTS is "all"
  std::function<void()> begin;  ///< before each life, outside it
  std::function<int(faults::Told&)> work;
  std::function<void(const faults::Life&)> expect;  ///< after each in which the fault was met
};

inline bool every_point() {
  const char* wanted = std::getenv("HOLDFAST_FAULT_POINTS");
  return wanted != nullptr && std::string{wanted} == "all";
}

/// Ends at the first n with a failure, and names the fault and the call.
inline void run(const Sweep& sweep) {
  int met = 0;
  const int step = every_point() ? 1 : sweep.step;
  for (int n = 1;; n += step) {
    auto rule = sweep.rule;
    rule.replace(rule.find("{}"), 2, std::to_string(n));
    if (sweep.begin) sweep.begin();
    const auto life = faults::live("below=" + sweep.below.string() + ";" + rule, sweep.work);
    const auto where = rule + ", the last call was \"" + life.last + "\"";
    if (!life.reached) {
      EXPECT_EQ(life.code, 0) << where << ": " << life.words;
      break;
    }
    ++met;
    SCOPED_TRACE(where);
    sweep.expect(life);
    if (testing::Test::HasFailure()) FAIL() << where;
  }
  EXPECT_GE(met * step, sweep.least) << sweep.rule << ": that few calls cannot be all";
  std::printf("%-28s %d points\n", sweep.rule.c_str(), met);
}

}  // namespace holdfast::test
