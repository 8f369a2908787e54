// What a source says is applied when it is new, and never over an operator's apply for being said
// again.
#include "deploy/plan/admission/hearing.hpp"

#include <gtest/gtest.h>

namespace holdfast::deploy::plan {
namespace {

constexpr auto kSource = "https://deploy.example.com/shop";

Hearing hearing(std::uint64_t serial, bool accepted_last, bool displaced) {
  return {{kSource, serial}, HeardSerial{kSource, 5}, accepted_last, displaced};
}

TEST(Hearing, OfSignedDocumentsTheSerialDecides) {
  struct Row {
    std::uint64_t serial;
    bool accepted_last, displaced;
    Heard heard;
  };
  for (const auto& row : {
           Row{4, false, false, Heard::older},
           Row{4, true, true, Heard::older},
           Row{5, true, false, Heard::known},
           Row{5, true, true, Heard::known},
           Row{5, false, false, Heard::wanted},  // it was refused before
           Row{6, true, false, Heard::refreshed},
           Row{6, true, true, Heard::wanted},
           Row{6, false, false, Heard::wanted},
           Row{6, false, true, Heard::wanted},
       })
    EXPECT_EQ(hear(hearing(row.serial, row.accepted_last, row.displaced)), row.heard)
        << row.serial << row.accepted_last << row.displaced;
}

TEST(Hearing, OfUnsignedOnesOnlyAChangeCounts) {
  EXPECT_EQ(hear(hearing(0, false, false)), Heard::wanted);
  EXPECT_EQ(hear(hearing(0, false, true)), Heard::wanted);
  EXPECT_EQ(hear(hearing(0, true, false)), Heard::known);
  EXPECT_EQ(hear(hearing(0, true, true)), Heard::known);
}

TEST(Hearing, AnotherSourceIsHeardForTheFirstTime) {
  auto other = hearing(1, false, false);
  other.before->source = "https://deploy.example.com/other";
  EXPECT_EQ(hear(other), Heard::wanted);
  EXPECT_TRUE(is_news(other.word, other.before));
  EXPECT_TRUE(is_news(other.word, std::nullopt));
}

TEST(Hearing, WhatIsNewsIsAboveWhatWasHeard) {
  const HeardSerial before{kSource, 5};
  EXPECT_FALSE(is_news({kSource, 4}, before));
  EXPECT_FALSE(is_news({kSource, 5}, before));
  EXPECT_TRUE(is_news({kSource, 6}, before));
  EXPECT_TRUE(is_news({kSource, 0}, before));
}

}  // namespace
}  // namespace holdfast::deploy::plan
