// apply and rollback: the wait, and every way in which it can end.
#include <csignal>

#include "tests/component/agent/cli/holdfast_run.hpp"

namespace holdfast::test {
namespace {

class ChangeTest : public HoldfastTest {
 protected:
  [[nodiscard]] std::string document() const { return file("shop.yaml", kDocument); }
  /// A fake agent that accepts generation 43 and then sends these events.
  void accepts(FakeAgent& agent, std::deque<Canned> streams) const {
    const auto accepted = json_answer(
        202, R"({"generation":43,"spec_digest":"sha256:44","changed":true,"since_event":5})");
    agent.on<"apply">({accepted});
    agent.on<"rollback">({accepted});
    agent.on<"events">(std::move(streams));
  }
  static constexpr const char* kGood =
      R"({"generation":43,"result":"good","seconds":2.1,"services":[],"error":null})";
  static constexpr const char* kRolledBack =
      R"j({"generation":43,"result":"rolled_back","seconds":9.5,"services":[],
"error":{"code":"E_UNHEALTHY","message":"web did not become healthy","next":"holdfast show 43"},
"evidence":{"probe":"GET :8080/healthz -> 500 (3 of 3)","exit_code":"1","log":["no such column tenant","bye \u001b[2J"]}})j";
};

TEST_F(ChangeTest, WaitsForTheResultOfItsOwnGeneration) {
  FakeAgent agent{socket()};
  accepts(agent, {sse_answer(
                     {R"({"number":6,"kind":"phase","generation":43,"message":"staging"})",
                      result_event(42, kRolledBack),
                      R"({"number":8,"kind":"switched","generation":43,"message":"traffic moved"})",
                      result_event(43, kGood)},
                     true)});
  const auto ran = holdfast({"apply", document(), "--reason", "new"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out, "✓ generation 43 is good (2.1s)\n");
  EXPECT_EQ(ran.err, "· staging\n✓ switched    traffic moved\n");
  ASSERT_EQ(agent.requests().size(), 2U);
  EXPECT_TRUE(contains(agent.requests()[0], "\"reason\":\"new\""));
  EXPECT_EQ(agent.requests()[1], "GET /v1/events?after=5&follow=1\n");
}

TEST_F(ChangeTest, EndsWith4AndTheEvidenceWhenTheAgentWentBack) {
  FakeAgent agent{socket()};
  accepts(agent, {sse_answer({result_event(43, kRolledBack)}, true)});
  const auto ran = holdfast({"apply", document()});
  EXPECT_EQ(ran.exit, 4);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err,
            "error: generation 43 failed and was rolled back: web did not become healthy\n"
            "    probe: GET :8080/healthz -> 500 (3 of 3)\n"
            "    exit_code: 1\n"
            "    its last lines:\n"
            "      no such column tenant\n"
            "      bye \\x1b[2J\n"
            "  next: holdfast show 43\n");
  const auto json = holdfast({"apply", document(), "-o", "json", "-q"});
  EXPECT_EQ(json.exit, 4);
  EXPECT_TRUE(json.out.starts_with(
      "{\n  \"generation\": 43,\n  \"result\": \"rolled_back\",\n  \"seconds\": 9.5,"))
      << json.out;
  EXPECT_TRUE(contains(json.out, "\"code\": \"E_UNHEALTHY\""));
}

TEST_F(ChangeTest, EndsWith5AndTheNextStepWhenTheChangeWaits) {
  FakeAgent agent{socket()};
  accepts(
      agent,
      {sse_answer(
          {result_event(
              43,
              R"({"generation":43,"result":"waiting","seconds":1,"services":[],"error":)"
              R"({"code":"E_HELD","message":"generation 43 waits: held by root","next":"holdfast resume"}})")},
          true)});
  const auto ran = holdfast({"apply", document(), "--now"});
  EXPECT_EQ(ran.exit, 5);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "error: generation 43 waits: held by root\n  next: holdfast resume\n");
  EXPECT_TRUE(contains(agent.requests()[0], R"("now":true)"));
}

TEST_F(ChangeTest, RollsBackAndSaysSo) {
  FakeAgent agent{socket()};
  accepts(agent, {sse_answer({result_event(43, kGood)}, true)});
  const auto ran = holdfast({"rollback", "--to", "43", "--reason", "slow"});
  EXPECT_EQ(ran.exit, 0);
  EXPECT_EQ(ran.out, "✓ generation 43 is active again (2.1s)\n");
  EXPECT_TRUE(contains(agent.requests()[0], R"("to":43,"reason":"slow","dry_run":false)"))
      << agent.requests()[0];
}

TEST_F(ChangeTest, RefusesABrokenDocumentBeforeAskingTheAgent) {
  const auto path =
      file("bad.yaml",
           "apiVersion: holdfast/v1\nname: shop\nservices:\n  web: {image: nginx, imag: x}\n");
  const auto ran = holdfast({"apply", path, "-o", "json"});
  EXPECT_EQ(ran.exit, 3) << "not 7: nobody was asked";
  EXPECT_TRUE(contains(ran.err, "bad.yaml:4:")) << ran.err;
  EXPECT_TRUE(contains(ran.out, "\"result\": \"refused\"")) << ran.out;
  EXPECT_EQ(holdfast({"apply", "/nonexistent.yaml"}).exit, 1);
}

TEST_F(ChangeTest, TellsTheRefusalsOfTheAgentApart) {
  FakeAgent agent{socket()};
  agent.on<"apply">(
      {json_answer(409, R"({"code":"E_QUARANTINED","message":"quarantined","next":"change it"})"),
       json_answer(422, R"({"code":"E_POLICY","message":"no version tag","next":""})"),
       json_answer(409, R"({"code":"E_BUSY","message":"busy","next":""})"),
       json_answer(500, R"({"code":"E_UNREACHABLE","message":"registry gone","next":""})"),
       json_answer(500, "not json")});
  EXPECT_EQ(holdfast({"apply", document()}).exit, 5);
  EXPECT_EQ(holdfast({"apply", document()}).exit, 3);
  EXPECT_EQ(holdfast({"apply", document()}).exit, 1);
  EXPECT_EQ(holdfast({"apply", document()}).exit, 1) << "7 is for the agent itself";
  EXPECT_EQ(holdfast({"apply", document()}).exit, 1);
}

TEST_F(ChangeTest, SaysWhenThereIsNothingToDo) {
  FakeAgent agent{socket()};
  agent.on<"apply">({json_answer(
      200, R"({"generation":42,"spec_digest":"sha256:44","changed":false,"since_event":5})")});
  const auto ran = holdfast({"apply", document()});
  EXPECT_EQ(ran.exit, 0);
  EXPECT_EQ(ran.out, "generation 42 already runs this: nothing to do\n");
  EXPECT_TRUE(
      contains(holdfast({"apply", document(), "-o", "json"}).out, "\"result\": \"unchanged\""));
}

TEST_F(ChangeTest, ShowsWhatTheServicesWillMissOnTheHost) {
  FakeAgent agent{socket()};
  agent.on<"apply">({json_answer(
      202,
      R"({"generation":43,"spec_digest":"","changed":true,"since_event":1,"warnings":["web: no name \u001b[2J"]})")});
  const auto ran = holdfast({"apply", document(), "--no-wait"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.err, "! web: no name \\x1b[2J\n");
}

TEST_F(ChangeTest, ReturnsAtOnceWithNoWait) {
  FakeAgent agent{socket()};
  accepts(agent, {sse_answer({}, true)});
  EXPECT_EQ(holdfast({"apply", document(), "--no-wait"}).exit, 0);
  EXPECT_TRUE(
      contains(holdfast({"rollback", "--no-wait", "-o", "json"}).out, "\"result\": \"pending\""));
  EXPECT_EQ(agent.requests().size(), 2U);
}

TEST_F(ChangeTest, EndsWith9WhenTheTimeIsOver) {
  FakeAgent agent{socket()};
  accepts(agent, {sse_answer({}, true)});
  const auto ran = holdfast({"apply", document(), "--timeout", "300ms"});
  EXPECT_EQ(ran.exit, 9);
  EXPECT_TRUE(contains(ran.err, "generation 43 goes on without this program")) << ran.err;
  EXPECT_EQ(holdfast({"apply", document(), "--timeout", "soon"}).exit, 2);
}

TEST_F(ChangeTest, EndsWith130AndAWordOnCtrlC) {
  FakeAgent agent{socket()};
  accepts(agent, {sse_answer({}, true)});
  auto pipe = os::make_pipe();
  ASSERT_TRUE(pipe);
  auto options = spawn({"apply", document()});
  options.fds = {{pipe->second.get(), 2}};
  auto process = os::Process::spawn(options);
  ASSERT_TRUE(process);
  const SystemClock clock;
  while (agent.requests().size() < 2) os::sleep_until(clock.boot() + Milliseconds{10}, {});
  process->kill(SIGINT);
  const auto ended = process->wait(clock.boot() + Milliseconds{5'000}, {});
  ASSERT_TRUE(ended);
  EXPECT_EQ(*ended, os::ExitStatus{os::Exited{130}});
  pipe->second.reset();
  std::string err(4096, '\0');
  err.resize(static_cast<std::size_t>(
      std::max<ssize_t>(0, ::read(pipe->first.get(), err.data(), err.size()))));
  EXPECT_TRUE(contains(err, "interrupted; generation 43 goes on without this program")) << err;
}

TEST_F(ChangeTest, FindsTheAgentAgainAfterItsRestart) {
  FakeAgent agent{socket()};
  accepts(agent, {sse_answer({R"({"number":6,"kind":"phase","generation":43,"message":"staging"})"},
                             false),
                  sse_answer({}, true)});
  agent.on<"status">(
      {json_answer(503, R"({"code":"E_BUSY","message":"starting","next":""})"),
       json_answer(
           200,
           R"({"generation":43,"state":"converged","rollout":null,"agent_since":"2099-01-01T00:00:00Z"})")});
  agent.on<"history">({json_answer(200, R"([{"generation":43,"result":"good"}])")});
  const auto ran = holdfast({"apply", document()});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_TRUE(contains(ran.out, "generation 43 is good")) << ran.out;
}

TEST_F(ChangeTest, FindsAFailureThatHappenedWhileTheAgentWasAway) {
  FakeAgent agent{socket()};
  accepts(agent, {sse_answer({}, false)});
  agent.on<"status">({json_answer(
      200,
      R"({"generation":42,"state":"converged","rollout":null,"agent_since":"2099-01-01T00:00:00Z"})")});
  agent.on<"history">({json_answer(
      200, R"([{"generation":43,"result":"rolled_back","reason":"web is unhealthy"}])")});
  const auto ran = holdfast({"apply", document()});
  EXPECT_EQ(ran.exit, 4);
  EXPECT_TRUE(contains(ran.err, "web is unhealthy")) << ran.err;
}

}  // namespace
}  // namespace holdfast::test
