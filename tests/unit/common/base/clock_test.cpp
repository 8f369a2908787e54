#include "common/base/clock.hpp"

#include <gtest/gtest.h>

#include <string>

namespace holdfast {
namespace {

TEST(Rfc3339, PrintsAndReadsTheSameInstant) {
  for (const std::string text :
       {"1970-01-01T00:00:00.000Z", "2026-11-23T09:24:15.123Z", "2024-02-29T23:59:59.999Z",
        "2000-12-31T00:00:00.001Z", "9999-12-31T23:59:59.000Z"}) {
    const auto time = parse_rfc3339(text);
    ASSERT_TRUE(time) << text;
    EXPECT_EQ(to_rfc3339(*time), text);
  }
}

TEST(Rfc3339, ReadsFractionsAndOffsets) {
  EXPECT_EQ(to_rfc3339(*parse_rfc3339("2026-12-01T02:00:00+02:00")), "2026-12-01T00:00:00.000Z");
  EXPECT_EQ(to_rfc3339(*parse_rfc3339("2026-12-01T00:00:00-05:30")), "2026-12-01T05:30:00.000Z");
  EXPECT_EQ(to_rfc3339(*parse_rfc3339("2026-12-01t00:00:00.5z")), "2026-12-01T00:00:00.500Z");
  EXPECT_EQ(to_rfc3339(*parse_rfc3339("2026-12-01T00:00:00.123456789Z")),
            "2026-12-01T00:00:00.123Z");
}

TEST(Rfc3339, RefusesEverythingElse) {
  for (const std::string_view text : {"",
                                      "2026-12-01",
                                      "2026-12-01T00:00:00",
                                      "2026-12-01 00:00:00Z",
                                      "2026-02-30T00:00:00Z",
                                      "2025-02-29T00:00:00Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-12-00T00:00:00Z",
                                      "2026-12-01T24:00:00Z",
                                      "2026-12-01T00:60:00Z",
                                      "2026-12-01T00:00:60Z",
                                      "2026-12-01T00:00:00.Z",
                                      "2026-12-01T00:00:00.1234567890Z",
                                      "2026-12-01T00:00:00Zx",
                                      "2026-12-01T00:00:00+2:00",
                                      "2026-12-01T00:00:00+24:00",
                                      "2026-12-01T00:00:00+02:60",
                                      "2026-12-01T00:00:00+0200",
                                      "2026-12-01T00:00:00+02:00Z",
                                      "26-12-01T00:00:00Z",
                                      "2026-12-01T00:00:0",
                                      "2026-12-01T00:00:00+"}) {
    EXPECT_FALSE(parse_rfc3339(text)) << text;
  }
}

TEST(SystemClock, BootTimeNeverRunsBackwards) {
  const SystemClock clock;
  auto before = clock.boot();
  for (int i = 0; i < 1000; ++i) {
    const auto now = clock.boot();
    ASSERT_GE(now, before);
    before = now;
  }
  EXPECT_GT(clock.wall(), *parse_rfc3339("2024-01-01T00:00:00Z"));
}

}  // namespace
}  // namespace holdfast
