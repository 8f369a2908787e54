#include "deploy/image/upkeep/scrub_schedule.hpp"

#include <gtest/gtest.h>

namespace holdfast::deploy::image {
namespace {

using namespace std::chrono_literals;

constexpr BootTime kStart{std::chrono::hours{1}};
constexpr ScrubSchedule::Round kClean{.found_damage = false, .repaired = true};
constexpr ScrubSchedule::Round kFound{.found_damage = true, .repaired = true};
constexpr ScrubSchedule::Round kNotRepaired{.found_damage = false, .repaired = false};

/// Asserts that a round is due at `when` and not a millisecond before.
void expect_next(const ScrubSchedule& schedule, BootTime when) {
  EXPECT_FALSE(schedule.due(when - 1ms));
  EXPECT_TRUE(schedule.due(when));
}

TEST(ScrubSchedule, BeginsSoonAfterTheStartAndSoonerWhereItIsDoneOften) {
  expect_next(ScrubSchedule{24h, kStart}, kStart + 30s);
  expect_next(ScrubSchedule{0ms, kStart}, kStart + 30s);
  expect_next(ScrubSchedule{2s, kStart}, kStart + 500ms);
}

TEST(ScrubSchedule, LooksAgainEveryTenMinutes) {
  ScrubSchedule schedule{24h, kStart};
  schedule.ended(kClean, kStart);
  expect_next(schedule, kStart + 10min);
}

TEST(ScrubSchedule, RepairsAtOnceWhatItFound) {
  ScrubSchedule schedule{24h, kStart};
  schedule.ended(kFound, kStart);
  expect_next(schedule, kStart);
}

TEST(ScrubSchedule, WaitsTwiceAsLongAfterEachRepairThatFailedAndNeverLongerThanForALook) {
  ScrubSchedule schedule{24h, kStart};
  for (const auto wait : {30s, 60s, 120s, 240s, 480s, 600s, 600s, 600s}) {
    schedule.ended(kNotRepaired, kStart);
    expect_next(schedule, kStart + wait);
  }
  schedule.ended(kClean, kStart);
  schedule.ended(kNotRepaired, kStart);
  expect_next(schedule, kStart + 30s);
}

TEST(ScrubSchedule, TriesAtOnceAndAnewWhenSomebodyElseFoundDamage) {
  ScrubSchedule schedule{24h, kStart};
  for (int i = 0; i < 4; ++i) schedule.ended(kNotRepaired, kStart);
  schedule.damage_found();
  EXPECT_TRUE(schedule.due(kStart));
  schedule.ended(kNotRepaired, kStart);
  expect_next(schedule, kStart + 30s);
}

}  // namespace
}  // namespace holdfast::deploy::image
