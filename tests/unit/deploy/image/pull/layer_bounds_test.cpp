#include "deploy/image/pull/layer_bounds.hpp"

#include <gtest/gtest.h>

namespace holdfast::deploy::image {
namespace {

constexpr std::uint64_t kMiB = 1U << 20;

TEST(LayerBounds, AnEntryForEach16BytesBesidesTheFreeOnesAndAMillionAtMost) {
  EXPECT_EQ(bounds_of(0, 20'000).entries, 20'000U);
  EXPECT_EQ(bounds_of(15, 20'000).entries, 20'000U);
  EXPECT_EQ(bounds_of(16, 20'000).entries, 20'001U);
  EXPECT_EQ(bounds_of(16, 0).entries, 1U);
  EXPECT_EQ(bounds_of(15'679'999, 20'000).entries, 999'999U);
  EXPECT_EQ(bounds_of(15'680'000, 20'000).entries, 1'000'000U);
  EXPECT_EQ(bounds_of(10'240 * kMiB, 20'000).entries, 1'000'000U);
}

TEST(LayerBounds, AMinuteAndASecondForEach256KiBOfTheProcessorAndAnHourAtMost) {
  EXPECT_EQ(bounds_of(0, 0).cpu_seconds, 60U);
  EXPECT_EQ(bounds_of(kMiB / 4 - 1, 0).cpu_seconds, 60U);
  EXPECT_EQ(bounds_of(kMiB / 4, 0).cpu_seconds, 61U);
  EXPECT_EQ(bounds_of(885 * kMiB - 1, 0).cpu_seconds, 3599U);
  EXPECT_EQ(bounds_of(885 * kMiB, 0).cpu_seconds, 3600U);
  EXPECT_EQ(bounds_of(10'240 * kMiB, 0).cpu_seconds, 3600U);
}

}  // namespace
}  // namespace holdfast::deploy::image
