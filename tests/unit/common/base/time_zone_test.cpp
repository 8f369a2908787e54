#include "common/base/time_zone.hpp"

#include <gtest/gtest.h>

#include "common/os/time_zone.hpp"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

WallTime utc(const char* text) { return parse_rfc3339(text).value(); }

TEST(TimeZone, UtcNeedsNoFile) {
  EXPECT_EQ(TimeZone{}.offset_at(utc("2026-07-01T00:00:00Z")), 0s);
  EXPECT_TRUE(os::load_time_zone("UTC"));
}

TEST(TimeZone, SummerAndWinterDiffer) {
  const auto berlin = os::load_time_zone("Europe/Berlin").value();
  EXPECT_EQ(berlin.offset_at(utc("2026-01-15T12:00:00Z")), 3600s);
  EXPECT_EQ(berlin.offset_at(utc("2026-07-15T12:00:00Z")), 7200s);
  EXPECT_EQ(berlin.offset_at(utc("2026-03-29T00:59:59Z")), 3600s);
  EXPECT_EQ(berlin.offset_at(utc("2026-03-29T01:00:00Z")), 7200s);
  EXPECT_NE(berlin.offset_at(utc("1850-01-01T00:00:00Z")), 3600s);
}

TEST(TimeZone, ATimeThatIsSkippedIsTheInstantOfTheSkip) {
  const auto berlin = os::load_time_zone("Europe/Berlin").value();
  const auto skip = utc("2026-03-29T01:00:00Z");
  EXPECT_EQ(berlin.instant(utc("2026-03-29T02:30:00Z"), TimeZone::Pick::first), skip);
  EXPECT_EQ(berlin.instant(utc("2026-03-29T02:30:00Z"), TimeZone::Pick::last), skip);
  EXPECT_EQ(berlin.instant(utc("2026-03-29T03:00:00Z"), TimeZone::Pick::first), skip);
}

TEST(TimeZone, ATimeThatIsShownTwiceHasTwoInstants) {
  const auto berlin = os::load_time_zone("Europe/Berlin").value();
  EXPECT_EQ(berlin.instant(utc("2026-10-25T02:30:00Z"), TimeZone::Pick::first),
            utc("2026-10-25T00:30:00Z"));
  EXPECT_EQ(berlin.instant(utc("2026-10-25T02:30:00Z"), TimeZone::Pick::last),
            utc("2026-10-25T01:30:00Z"));
}

TEST(TimeZone, EveryHourOfAYearIsItsOwnInstant) {
  for (const auto* name : {"Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe",
                           "Asia/Kathmandu", "Pacific/Apia"}) {
    const auto zone = os::load_time_zone(name).value();
    for (auto at = utc("2026-01-01T00:00:00Z"); at < utc("2027-01-01T00:00:00Z"); at += 30min) {
      const auto local = zone.local(at);
      EXPECT_LE(zone.instant(local, TimeZone::Pick::first), at) << name;
      EXPECT_GE(zone.instant(local, TimeZone::Pick::last), at) << name;
      EXPECT_EQ(zone.local(zone.instant(local, TimeZone::Pick::first)), local) << name;
    }
  }
}

TEST(TimeZone, WhatIsNoZoneFileIsRefused) {
  EXPECT_EQ(os::load_time_zone("Atlantis/Capital").error().code(), Errc::not_found);
  EXPECT_EQ(os::load_time_zone("../../etc/passwd").error().code(), Errc::usage);
  EXPECT_FALSE(TimeZone::parse(""));
  EXPECT_FALSE(TimeZone::parse("TZif2"));
  EXPECT_FALSE(TimeZone::parse(std::string(4096, 'x')));
  EXPECT_FALSE(TimeZone::parse("TZif2" + std::string(39, '\xff')));
}

}  // namespace
}  // namespace holdfast
