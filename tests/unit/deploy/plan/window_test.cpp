#include "deploy/plan/model/window.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/os/time_zone.hpp"
#include "tests/support/plan_world.hpp"

namespace holdfast::test {
namespace {

using namespace deploy::plan;
using namespace std::chrono_literals;

constexpr std::uint8_t kMonday = 1;
constexpr std::uint8_t kSaturday = 1U << 5U;
constexpr std::uint8_t kSunday = 1U << 6U;
constexpr std::uint8_t kEveryDay = 0x7F;

WallTime utc(const char* text) { return parse_rfc3339(text).value(); }

proto::UpdateWindow window(std::uint8_t days, int begin, int end, std::string zone = "UTC") {
  return {days, static_cast<std::uint16_t>(begin * 60), static_cast<std::uint16_t>(end * 60),
          std::move(zone)};
}

TEST(Window, IsOpenOnItsDaysAndHoursOnly) {
  const auto monday = window(kMonday, 22, 24);
  const TimeZone zone;
  EXPECT_FALSE(is_open(monday, zone, utc("2026-11-23T21:59:59Z")));  // a Monday
  EXPECT_TRUE(is_open(monday, zone, utc("2026-11-23T22:00:00Z")));
  EXPECT_TRUE(is_open(monday, zone, utc("2026-11-23T23:59:59Z")));
  EXPECT_FALSE(is_open(monday, zone, utc("2026-11-24T00:00:00Z")));
  EXPECT_FALSE(is_open(monday, zone, utc("2026-11-24T22:30:00Z")));
  EXPECT_EQ(next_open(monday, zone, utc("2026-11-24T00:00:00Z")), utc("2026-11-30T22:00:00Z"));
}

TEST(Window, ThatEndsBeforeItBeginsEndsOnTheNextDay) {
  const auto night = window(kSunday, 22, 4);
  const TimeZone zone;
  EXPECT_TRUE(is_open(night, zone, utc("2026-11-30T03:59:00Z")));  // a Monday morning
  EXPECT_FALSE(is_open(night, zone, utc("2026-11-30T04:00:00Z")));
  EXPECT_FALSE(is_open(night, zone, utc("2026-11-29T03:00:00Z")));  // belongs to Saturday
}

TEST(Window, FollowsTheClocksOfItsZone) {
  const auto berlin = os::load_time_zone("Europe/Berlin").value();
  const auto morning = window(kEveryDay, 6, 7, "Europe/Berlin");
  EXPECT_EQ(next_open(morning, berlin, utc("2026-01-15T00:00:00Z")), utc("2026-01-15T05:00:00Z"));
  EXPECT_EQ(next_open(morning, berlin, utc("2026-07-15T00:00:00Z")), utc("2026-07-15T04:00:00Z"));
}

TEST(Window, OfSkippedHoursDoesNotOpenThatNight) {
  const auto berlin = os::load_time_zone("Europe/Berlin").value();
  const auto skipped = window(kEveryDay, 2, 3, "Europe/Berlin");
  EXPECT_EQ(next_open(skipped, berlin, utc("2026-03-28T12:00:00Z")), utc("2026-03-30T00:00:00Z"));
  const auto sundays = window(kSunday, 2, 3, "Europe/Berlin");
  EXPECT_EQ(next_open(sundays, berlin, utc("2026-03-28T12:00:00Z")), utc("2026-04-05T00:00:00Z"));
}

TEST(Window, AcrossASkipIsAnHourShorterAndAcrossARepetitionAnHourLonger) {
  const auto berlin = os::load_time_zone("Europe/Berlin").value();
  const auto night = window(kSaturday, 22, 4, "Europe/Berlin");
  const auto length = [&](WallTime from, WallTime to) {
    int minutes = 0;
    for (auto at = from; at < to; at += 1min) minutes += is_open(night, berlin, at) ? 1 : 0;
    return minutes;
  };
  EXPECT_EQ(length(utc("2026-03-21T12:00:00Z"), utc("2026-03-22T12:00:00Z")), 6 * 60);
  EXPECT_EQ(length(utc("2026-03-28T12:00:00Z"), utc("2026-03-29T12:00:00Z")), 5 * 60);
  EXPECT_EQ(length(utc("2026-10-24T12:00:00Z"), utc("2026-10-25T12:00:00Z")), 7 * 60);
}

TEST(Window, NextOpenIsWhereItOpensOverAWholeYear) {
  for (const auto* name : {"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"}) {
    const auto zone = os::load_time_zone(name).value();
    const auto night = window(kMonday | kSaturday, 23, 2, name);
    for (auto at = utc("2026-01-01T00:00:00Z"); at < utc("2027-01-01T00:00:00Z"); at += 47min) {
      const auto next = next_open(night, zone, at);
      ASSERT_TRUE(next) << name;
      EXPECT_GE(*next, at) << name;
      EXPECT_TRUE(is_open(night, zone, *next)) << name << " " << to_rfc3339(at);
      EXPECT_TRUE(*next == at || !is_open(night, zone, *next - 1min)) << name << to_rfc3339(at);
    }
  }
}

TEST(Window, SeveralMustBeOpenTogether) {
  const Zones zones{{"UTC", TimeZone{}}};
  const auto at = utc("2026-11-23T12:00:00Z");
  EXPECT_EQ(next_common({}, zones, at).at, at);
  EXPECT_EQ(next_common({window(kEveryDay, 22, 4), window(kSaturday, 0, 24)}, zones, at).at,
            utc("2026-11-28T00:00:00Z"));
  const auto never = next_common({window(kMonday, 1, 2), window(kSaturday, 1, 2)}, zones, at);
  EXPECT_FALSE(never.at);
  EXPECT_FALSE(never.why_not.empty());
  const auto unknown = next_common({window(kMonday, 1, 2, "Atlantis")}, zones, at);
  EXPECT_FALSE(unknown.at);
}

TEST(Window, ManyThatAreNeverOpenTogetherAreLookedAtABoundedNumberOfTimes) {
  const Zones zones{{"Europe/Berlin", os::load_time_zone("Europe/Berlin").value()}};
  std::vector<proto::UpdateWindow> windows;
  for (int i = 254; i-- > 0;) {  // each is shut for its own few minutes of the day
    auto almost = window(kEveryDay, 0, 24);
    almost.zone = "Europe/Berlin";
    almost.begin = static_cast<std::uint16_t>((i * 1440 + 1439) / 254 % 1440);
    almost.end = static_cast<std::uint16_t>(i * 1440 / 254);
    windows.push_back(almost);
  }
  const auto never = next_common(windows, zones, utc("2026-11-23T12:00:00Z"));
  EXPECT_FALSE(never.at);
  EXPECT_NE(never.why_not.find("leave no time that could be found"), std::string::npos)
      << never.why_not;
}

TEST(Window, OnlyWindowsOfServicesThatChangeCount) {
  auto before = *make_deployment({{"web", {}}, {"db", {}}});
  auto after = *make_deployment({{"web", {.version = "v2"}}, {"db", {}}});
  after.services.at(ServiceName{"db"}).update.window = window(kSunday, 1, 2);
  EXPECT_TRUE(windows_between(&before, after).empty());
  after.services.at(ServiceName{"web"}).update.window = window(kMonday, 1, 2);
  EXPECT_EQ(windows_between(&before, after).size(), 1U);
  EXPECT_TRUE(windows_between(nullptr, after).empty()) << "a first deployment disturbs nothing";
}

TEST(Rollout, WaitsForItsWindowAndDoesNotWaitToRollBack) {
  PlanWorld world{1};
  world.observed.wall = utc("2026-11-23T12:00:00Z");
  world.observed.zones = {{"UTC", TimeZone{}}};
  world.apply(make_deployment({{"web", {.port = 80}}}));
  ASSERT_TRUE(world.settle());
  auto next = *make_deployment({{"web", {.version = "v2", .port = 80}}});
  next.services.at(ServiceName{"web"}).update.window = window(kEveryDay, 22, 4);
  world.apply(std::make_shared<const proto::Deployment>(next));
  for (int i = 0; i < 50; ++i) world.step();
  ASSERT_TRUE(is_waiting(world.progress));
  EXPECT_EQ(effective_generation(world.progress), GenerationId{1});
  EXPECT_EQ(world.version_serving("web"), "v1");
  EXPECT_THAT(world.violations, ::testing::IsEmpty());
  world.kill("web", 9);
  for (int i = 0; i < 50; ++i) world.step();
  world.violations.clear();
  EXPECT_EQ(world.observed.instances.at(world.progress.serving.at(ServiceName{"web"})).seen.state,
            InstanceState::running)
      << "restarts go on";
  world.observed.wall = utc("2026-11-23T22:00:00Z");
  ASSERT_TRUE(world.settle());
  EXPECT_EQ(world.version_serving("web"), "v2");
  world.observed.wall = utc("2026-11-24T12:00:00Z");
  world.rollback_to(1);
  ASSERT_TRUE(world.settle());
  EXPECT_EQ(world.version_serving("web"), "v1");
  EXPECT_THAT(world.violations, ::testing::IsEmpty());
}

/// A rollout that waits for 22:00 UTC.
PlanWorld waiting_world() {
  PlanWorld world{1};
  world.observed.wall = utc("2026-11-23T12:00:00Z");
  world.observed.zones = {{"UTC", TimeZone{}}};
  world.apply(make_deployment({{"web", {.port = 80}}}));
  EXPECT_TRUE(world.settle());
  auto next = *make_deployment({{"web", {.version = "v2", .port = 80}}});
  next.services.at(ServiceName{"web"}).update.window = window(kEveryDay, 22, 4);
  world.apply(std::make_shared<const proto::Deployment>(next));
  for (int i = 0; i < 50; ++i) world.step();
  return world;
}

TEST(Windows, AnAnswerIsKeptForAMinuteAtMost) {
  auto world = waiting_world();
  auto& observed = world.observed;
  auto& answer = observed.windows;
  const auto look = [&](const char* now) {
    observed.wall = utc(now);
    answer = look_at_windows(world.progress, observed);
    return answer ? to_rfc3339(answer->asked) : std::string{};
  };
  answer.reset();
  EXPECT_EQ(look("2026-11-23T12:00:00Z"), "2026-11-23T12:00:00.000Z");
  EXPECT_EQ(look("2026-11-23T12:00:59Z"), "2026-11-23T12:00:00.000Z");
  EXPECT_EQ(look("2026-11-23T12:01:00Z"), "2026-11-23T12:01:00.000Z");
  EXPECT_EQ(look("2026-11-23T11:59:00Z"), "2026-11-23T11:59:00.000Z") << "the clock was set back";
  EXPECT_EQ(look("2026-11-23T21:59:30Z"), "2026-11-23T21:59:30.000Z");
  EXPECT_TRUE(waits_for(world.progress, observed));
  EXPECT_EQ(look("2026-11-23T22:00:00Z"), "2026-11-23T22:00:00.000Z") << "they open";
  EXPECT_FALSE(waits_for(world.progress, observed));
}

TEST(Windows, AnAnswerIsOfOneRolloutOnly) {
  auto world = waiting_world();
  auto& observed = world.observed;
  observed.windows = look_at_windows(world.progress, observed);
  ASSERT_TRUE(observed.windows);
  observed.windows->text = "kept";
  EXPECT_EQ(waits_for(world.progress, observed)->text, "kept");
  observed.windows->target = GenerationId{99};
  EXPECT_NE(waits_for(world.progress, observed)->text, "kept");
  world.progress.rollout->now = true;
  EXPECT_FALSE(look_at_windows(world.progress, observed));
}

TEST(Rollout, AHoldEndsByItselfAndSurvivesBeingWritten) {
  PlanWorld world{1};
  world.observed.wall = utc("2026-11-23T12:00:00Z");
  world.apply(make_deployment({{"web", {.port = 80}}}));
  ASSERT_TRUE(world.settle());
  world.progress.hold = Hold{"root", "busy", world.observed.wall, utc("2026-11-23T14:00:00Z")};
  world.apply(make_deployment({{"web", {.version = "v2", .port = 80}}}));
  for (int i = 0; i < 20; ++i) world.step();
  ASSERT_TRUE(is_waiting(world.progress));
  const auto text = encode_progress(world.progress);
  world.progress = decode_progress(text, world.now).value();
  EXPECT_EQ(encode_progress(world.progress), text);
  for (int i = 0; i < 20; ++i) world.step();
  EXPECT_TRUE(is_waiting(world.progress));
  world.observed.wall = utc("2026-11-23T14:00:00Z");
  ASSERT_TRUE(world.settle());
  EXPECT_FALSE(world.progress.hold);
  EXPECT_EQ(world.version_serving("web"), "v2");
}

TEST(Windows, DriftIsStillFoundWhileARollOutWaits) {
  PlanWorld world{1};
  world.apply(make_deployment({{"web", {.port = 80}}}));
  ASSERT_TRUE(world.settle());
  world.progress.hold = Hold{"root", "busy", {}, {}};
  world.apply(make_deployment({{"web", {.version = "v2", .port = 80}}}));
  for (int i = 0; i < 20; ++i) world.step();
  EXPECT_TRUE(classify(world.progress, world.observed, {}).empty());
  world.observed.routing.reset();
  EXPECT_EQ(classify(world.progress, world.observed, {}).front().kind, proto::DriftKind::publish);
}

}  // namespace
}  // namespace holdfast::test
