#include "deploy/desired/intake.hpp"

#include <gtest/gtest.h>

#include "tests/support/fake_clock.hpp"

namespace holdfast::deploy::desired {
namespace {

using namespace std::chrono_literals;

Candidate candidate(const std::string& text) {
  return {.text = text, .sha256 = std::string(63, '0') + text, .origin = "/etc/d.yaml"};
}

class ValueMemory final : public Memory {
 public:
  [[nodiscard]] bool is_last(const Candidate& candidate) const override {
    return candidate.text == last;
  }
  [[nodiscard]] Status remember(const Candidate& candidate) override {
    last = candidate.text;
    return ok();
  }
  std::string last;
};

class IntakeTest : public testing::Test {
 protected:
  static proto::api::Status at(proto::Word<proto::api::RolloutPhase> phase) {
    proto::api::Status status;
    status.rollout.emplace().phase = phase;
    return status;
  }
  std::string offered(const proto::api::Status& status = {}) {
    const auto some = intake_.offer(status);
    return some ? some->text : "";
  }
  void pass(Milliseconds time) {
    clock_.advance(time);
    intake_.settle();
  }
  test::FakeClock clock_;
  ValueMemory memory_;
  SourceReads reads_;
  Intake intake_{memory_, clock_, reads_};
};

TEST_F(IntakeTest, OffersEachChangeOnce) {
  EXPECT_EQ(offered(), "") << "before anything was read";
  intake_.take(candidate("a"));
  EXPECT_EQ(offered(), "a");
  EXPECT_EQ(offered(), "");
  intake_.take(candidate("a"));
  EXPECT_EQ(offered(), "") << "read again, the same";
  intake_.take(candidate("b"));
  EXPECT_EQ(offered(), "b");
  EXPECT_EQ(reads_.updated, 2U);
  EXPECT_EQ(reads_.unchanged, 1U);
}

TEST_F(IntakeTest, DoesNotOfferAfterARestartWhatIsRememberedButWhatComesThen) {
  memory_.last = "a";
  intake_.take(candidate("a"));
  EXPECT_EQ(offered(), "");
  intake_.take(candidate("b"));
  EXPECT_EQ(offered(), "b");
  intake_.take(candidate("a"));
  EXPECT_EQ(offered(), "a") << "somebody put it back";
}

TEST_F(IntakeTest, WaitsForARolloutUnlessThatWaitsItself) {
  using Phase = proto::Word<proto::api::RolloutPhase>;
  for (const auto word : Phase::kAll) {
    const auto phase = Phase::read(word);
    if (phase == "waiting") continue;
    intake_.take(candidate(phase.str()));
    EXPECT_EQ(offered(at(phase)), "") << word;
    EXPECT_TRUE(intake_.unsettled());
    EXPECT_EQ(offered(at("waiting")), word);
  }
}

TEST_F(IntakeTest, OffersTheNewestOfThoseThatWaited) {
  intake_.take(candidate("a"));
  EXPECT_EQ(offered(at("soaking")), "");
  intake_.take(candidate("b"));
  intake_.take(Error{Errc::not_found, "it is gone"});
  EXPECT_EQ(offered(), "b");
  EXPECT_EQ(offered(), "");
}

TEST_F(IntakeTest, RemembersWhatItOfferedAndNotBeforeTheEngineHasIt) {
  intake_.take(candidate("a"));
  ASSERT_EQ(offered(), "a");
  pass(4s);
  EXPECT_EQ(memory_.last, "");
  intake_.take(candidate("b"));  // waits, and is not what the engine has
  EXPECT_EQ(offered(at("soaking")), "");
  pass(1s);
  EXPECT_EQ(memory_.last, "a");
  EXPECT_TRUE(intake_.unsettled()) << "b waits";
  EXPECT_EQ(offered(), "b");
  pass(5s);
  EXPECT_EQ(memory_.last, "b");
  EXPECT_FALSE(intake_.unsettled());
}

TEST_F(IntakeTest, TakesNoNewsFromWhatCannotBeRead) {
  intake_.take(candidate("a"));
  ASSERT_EQ(offered(), "a");
  intake_.take(Error{Errc::perm, "others can write it"});
  intake_.take(Error{Errc::cancelled, "the agent ends"});
  EXPECT_EQ(offered(), "");
  EXPECT_EQ(reads_.error, 1U);
  intake_.take(candidate("a"));
  EXPECT_EQ(offered(), "") << "it is what it was";
}

}  // namespace
}  // namespace holdfast::deploy::desired
