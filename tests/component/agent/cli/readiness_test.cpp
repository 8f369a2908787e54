// rehearse and standby: what they ask, how they wait, and how they end.
#include "tests/component/agent/cli/holdfast_run.hpp"

namespace holdfast::test {
namespace {

class ReadinessTest : public HoldfastTest {
 protected:
  void asked(FakeAgent& agent, const std::string& verdict, const std::string& reason) const {
    agent.on<"rehearse">({json_answer(
        202, R"({"generation":41,"spec_digest":"sha256:44","changed":true,"since_event":5})")});
    agent.on<"events">({sse_answer(
        {R"({"number":6,"kind":"rehearsal_started","generation":41})",
         R"({"number":7,"kind":"rehearsal_result","generation":41,"message":"x","detail":"{\"generation\":41,\"verdict\":\")" +
             verdict + R"(\",\"reason\":\")" + reason +
             R"(\",\"actor\":\"root\",\"time\":\"2026-11-23T12:00:00Z\",\"seconds\":1.5,\"remarks\":[\"db: not rehearsed: host network\"]}"})"},
        true)});
  }
};

TEST_F(ReadinessTest, APassedRehearsalEndsWith0AndItsRemarks) {
  FakeAgent agent{socket()};
  asked(agent, "passed", "");
  const auto ran = holdfast({"rehearse", "41", "-m", "weekend"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out,
            "✓ generation 41 would run: rehearsed in 1.5s\n! db: not rehearsed: host network\n");
  EXPECT_TRUE(contains(agent.requests()[0], R"("generation":41,"reason":"weekend")"));
}

TEST_F(ReadinessTest, AFailedOneEndsWith6AndOneThatWasCutOffWith1) {
  FakeAgent agent{socket()};
  asked(agent, "failed", "web exited with code 1");
  const auto failed = holdfast({"rehearse"});
  EXPECT_EQ(failed.exit, 6);
  EXPECT_TRUE(
      contains(failed.err, "the rehearsal of generation 41 failed: web exited with code 1"));
  EXPECT_TRUE(contains(failed.err, "next: holdfast show 41"));
  asked(agent, "interrupted", "a change of what runs came first");
  const auto cut = holdfast({"rehearse", "-o", "json"});
  EXPECT_EQ(cut.exit, 1);
  EXPECT_TRUE(contains(cut.out, R"("verdict": "interrupted")")) << cut.out;
}

TEST_F(ReadinessTest, StandbyIsListedAndGivenUp) {
  FakeAgent agent{socket()};
  agent.on<"standby_drop">(
      {json_answer(200, R"({"dropped":[{"service":"web","instance":"w","since":"","until":""}]})"),
       json_answer(200, R"({"dropped":[]})")});
  const auto first = holdfast({"standby", "drop", "--reason", "memory"});
  EXPECT_EQ(first.exit, 0) << first.err;
  EXPECT_EQ(first.out, "✓ 1 frozen instance given up\n");
  EXPECT_TRUE(contains(agent.requests()[0], R"("reason":"memory")"));
  EXPECT_EQ(holdfast({"standby", "drop"}).out, "nothing is frozen: nothing to do\n");
}

}  // namespace
}  // namespace holdfast::test
