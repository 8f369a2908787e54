#include "deploy/desired/poll_schedule.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

namespace holdfast::deploy::desired {
namespace {

using namespace std::chrono_literals;

const WallTime kNow{Milliseconds{1'796'000'000'123}};

TEST(PollSchedule, EachHostHasItsOwnPhaseAndKeepsIt) {
  const PollSchedule one{60s, "one"};
  auto now = kNow + one.until_next(kNow, 0);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(one.until_next(now, 0), 60s);
    EXPECT_EQ(one.until_next(now - 1ms, 0), 1ms);
    now += 60s;
  }
  EXPECT_EQ(PollSchedule(60s, "one").until_next(kNow, 0), one.until_next(kNow, 0)) << "restarted";
  EXPECT_NE(PollSchedule(60s, "two").until_next(kNow, 0), one.until_next(kNow, 0));
}

TEST(PollSchedule, IsAlwaysAheadAndWithinTheInterval) {
  for (const auto interval : {1'000ms, 60'000ms, 86'400'000ms})
    for (int i = 0; i < 200; ++i) {
      const PollSchedule host{interval, std::to_string(i)};
      for (const auto now : {WallTime{}, kNow, kNow + Milliseconds{i * 977}}) {
        const auto wait = host.until_next(now, 0);
        EXPECT_GT(wait, 0ms);
        EXPECT_LE(wait, interval);
      }
    }
}

TEST(PollSchedule, DoublesAfterEachFailureToAQuarterOfAnHour) {
  const PollSchedule host{60s, "one"};
  const auto longest = [&](const PollSchedule& schedule, unsigned failures) {
    Milliseconds most{0};
    for (auto now = kNow; now < kNow + 2h; now += 10s)
      most = std::max(most, schedule.until_next(now, failures));
    return most;
  };
  EXPECT_LE(longest(host, 0), 60s);
  EXPECT_GT(longest(host, 1), 60s);
  EXPECT_LE(longest(host, 1), 120s);
  EXPECT_GT(longest(host, 3), 240s);
  for (const unsigned failures : {4U, 20U, 1'000'000U}) {
    EXPECT_GT(longest(host, failures), 480s);
    EXPECT_LE(longest(host, failures), 15min);
  }
  const PollSchedule rare{6h, "one"};
  EXPECT_EQ(rare.until_next(kNow, 9), rare.until_next(kNow, 0)) << "no shorter than asked for";
}

/// Ten thousand hosts that start in the same second; the source is gone for ten minutes and comes
/// back: in no second come more than three times as many as on average.
TEST(PollSchedule, ManyHostsAreSpreadAfterABootTogetherAndWhenTheSourceComesBack) {
  constexpr int kHosts = 10'000;
  std::map<std::int64_t, int> per_second;
  for (int i = 0; i < kHosts; ++i) {
    const PollSchedule host{60s, "host-" + std::to_string(i)};
    unsigned failures = 0;
    for (auto now = kNow + host.until_next(kNow, 0); now < kNow + 40min;
         now += host.until_next(now, failures)) {
      ++per_second[std::chrono::duration_cast<std::chrono::seconds>(now - kNow).count()];
      const bool gone = now >= kNow + 5min && now < kNow + 15min;
      failures = gone ? failures + 1 : 0;
    }
  }
  int most = 0;
  for (const auto& [second, count] : per_second) most = std::max(most, count);
  EXPECT_LE(most, 3 * kHosts / 60);
}

}  // namespace
}  // namespace holdfast::deploy::desired
