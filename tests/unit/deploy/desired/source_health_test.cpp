#include "deploy/desired/source_health.hpp"

#include <gtest/gtest.h>

namespace holdfast::deploy::desired {
namespace {

using namespace std::chrono_literals;

class SourceHealthTest : public testing::Test {
 protected:
  bool take(const Result<Candidate>& read) { return health_.take(read, wall_, boot_); }
  bool fail(Errc code, const std::string& what = "x") { return take(Error{code, what}.hint("y")); }
  void pass(Milliseconds time) {
    wall_ += time;
    boot_ += time;
  }
  [[nodiscard]] proto::api::SourceStatus status() const {
    return health_.status(trust_, wall_, boot_);
  }
  [[nodiscard]] std::string state() const { return status().state.str(); }

  WallTime wall_ = *parse_rfc3339("2026-11-30T12:00:00Z");
  BootTime boot_{};
  std::optional<TrustFacts> trust_;
  SourceHealth health_{"https://a/b", 1h, boot_};
};

TEST_F(SourceHealthTest, WaitsUntilItIsHeardAndIsCurrentThen) {
  EXPECT_EQ(state(), "waiting");
  EXPECT_EQ(status().source, "https://a/b");
  EXPECT_EQ(status().last_success, "");
  take(Candidate{});
  pass(10s);
  EXPECT_EQ(state(), "current");
  EXPECT_EQ(status().last_success, "2026-11-30T12:00:00.000Z");
  EXPECT_EQ(status().age_seconds, 10);
}

TEST_F(SourceHealthTest, TellsWhatMustNotRunFromWhatCannotBeRead) {
  fail(Errc::spec_rollback, "serial 3 is below 4");
  EXPECT_EQ(state(), "refused");
  EXPECT_EQ(status().refusal->code, "E_SPEC_ROLLBACK");
  EXPECT_EQ(status().refusal->message, "serial 3 is below 4");
  EXPECT_EQ(status().refusal->next, "y");
  EXPECT_EQ(status().refused_at, "2026-11-30T12:00:00.000Z");
  for (const auto code : {Errc::unreachable, Errc::tls, Errc::not_found, Errc::auth}) {
    fail(code);
    EXPECT_EQ(state(), "unreachable");
  }
  take(Candidate{});
  EXPECT_EQ(state(), "current");
  EXPECT_FALSE(status().refusal);
}

TEST_F(SourceHealthTest, NothingGoodForTooLongIsStaleWhoeverIsToBlame) {
  for (const auto code : {Errc::unreachable, Errc::spec_threshold}) {
    take(Candidate{});
    for (int i = 0; i < 60; ++i) {
      pass(1min);
      fail(code);
    }
    EXPECT_NE(state(), "stale");
    pass(1ms);
    EXPECT_EQ(state(), "stale");
  }
}

TEST_F(SourceHealthTest, NeverHeardOfAgesFromTheStart) {
  pass(1h + 1ms);
  EXPECT_EQ(state(), "stale");
}

TEST_F(SourceHealthTest, AnExpiredDocumentIsStaleAlthoughTheSourceAnswers) {
  trust_ = TrustFacts{.serial = 7,
                      .document = "abc",
                      .expires = wall_ + 10s,
                      .root_version = 2,
                      .root_expires = wall_ + 24h};
  take(Candidate{});
  EXPECT_EQ(state(), "current");
  EXPECT_EQ(status().serial, 7U);
  EXPECT_EQ(status().document, "abc");
  EXPECT_EQ(status().expires, "2026-11-30T12:00:10.000Z");
  EXPECT_EQ(status().root_version, 2U);
  EXPECT_EQ(status().root_expires, "2026-12-01T12:00:00.000Z");
  pass(10s);
  take(Candidate{});
  EXPECT_EQ(state(), "stale");
  trust_ = TrustFacts{};
  EXPECT_EQ(state(), "current") << "nothing was accepted yet";
  EXPECT_EQ(status().expires, "");
}

TEST_F(SourceHealthTest, TellsARefusalOnceAndCountsEach) {
  EXPECT_TRUE(fail(Errc::spec_target));
  EXPECT_FALSE(fail(Errc::spec_target));
  EXPECT_TRUE(fail(Errc::spec_target, "another"));
  EXPECT_FALSE(fail(Errc::unreachable)) << "nobody did anything wrong";
  EXPECT_TRUE(fail(Errc::spec_target));
  EXPECT_EQ(health_.refusals().at(Errc::spec_target), 4U);
  EXPECT_FALSE(health_.refusals().contains(Errc::unreachable));
  EXPECT_EQ(health_.failures(), 5U);
  EXPECT_FALSE(fail(Errc::cancelled));
  EXPECT_EQ(health_.failures(), 5U);
  take(Candidate{});
  EXPECT_EQ(health_.failures(), 0U);
}

}  // namespace
}  // namespace holdfast::deploy::desired
