// Every command against a fake agent: what it prints, and how it ends.
#include "tests/component/agent/cli/holdfast_run.hpp"

namespace holdfast::test {
namespace {

using CommandsTest = HoldfastTest;

TEST_F(CommandsTest, EndsWith7AndTheNextStepWithoutAnAgent) {
  for (const auto& args : {std::vector<std::string>{"status"},
                           {"history"},
                           {"rollback"},
                           {"drift"},
                           {"events"},
                           {"logs", "web"},
                           {"ledger", "head"},
                           {"show"}}) {
    const auto ran = holdfast(args);
    EXPECT_EQ(ran.exit, 7) << args.front();
    EXPECT_TRUE(contains(ran.err, "no agent answers on " + socket())) << ran.err;
    EXPECT_TRUE(contains(ran.err, "next: start it with")) << ran.err;
    EXPECT_EQ(ran.out, "");
  }
}

TEST_F(CommandsTest, EndsWith8WhenTheAgentSaysNo) {
  FakeAgent agent{socket()};
  agent.on<"rollback">({json_answer(
      403,
      R"({"code":"E_PERM","message":"uid 1000 may not roll back","next":"join the group ops"})")});
  const auto ran = holdfast({"rollback"});
  EXPECT_EQ(ran.exit, 8);
  EXPECT_EQ(ran.err, "error: uid 1000 may not roll back\n  next: join the group ops\n");
}

TEST_F(CommandsTest, ShowsStatusForPeopleAndForPrograms) {
  FakeAgent agent{socket()};
  agent.on<"status">({json_answer(200, kStatus)});
  const auto table = holdfast({"status"});
  EXPECT_EQ(table.exit, 0);
  EXPECT_TRUE(contains(table.out, "State       converged\n")) << table.out;
  EXPECT_FALSE(contains(table.out, "\x1b")) << "no colour in a pipe";
  const auto json = holdfast({"status", "-o", "json"});
  EXPECT_EQ(json.exit, 0);
  EXPECT_TRUE(json.out.starts_with("{\n  \"deployment\": \"shop\",\n  \"generation\": 42,"))
      << json.out;
  EXPECT_EQ(holdfast({"status", "web"}).exit, 0);
  const auto unknown = holdfast({"status", "we"});
  EXPECT_EQ(unknown.exit, 1);
  EXPECT_TRUE(contains(unknown.err, "did you mean \"web\"?")) << unknown.err;
}

TEST_F(CommandsTest, EndsStatusWith6WhenDegradedAnd5WhenHeld) {
  FakeAgent agent{socket()};
  agent.on<"status">(
      {json_answer(200, R"({"state":"degraded"})"), json_answer(200, R"({"state":"held"})"),
       json_answer(200, R"({"state":"converged","drift":[{"service":"web","kind":"limits"}]})")});
  EXPECT_EQ(holdfast({"status"}).exit, 6);
  EXPECT_EQ(holdfast({"status"}).exit, 5);
  EXPECT_EQ(holdfast({"status"}).exit, 6);
}

TEST_F(CommandsTest, DoubtsTheNameOfAServiceThatShowsNoDrift) {
  FakeAgent agent{socket()};
  agent.on<"drift">({json_answer(200, R"([{"service":"gone","kind":"orphan"}])")});
  agent.on<"status">({json_answer(200, R"({"services":[{"name":"web"}]})")});
  const auto unknown = holdfast({"drift", "we"});
  EXPECT_EQ(unknown.exit, 1);
  EXPECT_EQ(unknown.out, "");
  EXPECT_TRUE(contains(unknown.err, "did you mean \"web\"?")) << unknown.err;
  EXPECT_EQ(holdfast({"drift", "web"}).exit, 0);
  EXPECT_EQ(holdfast({"drift", "gone"}).exit, 6) << "it is in the list, declared or not";
}

TEST_F(CommandsTest, NeverPassesEscapeSequencesOn) {
  FakeAgent agent{socket()};
  agent.on<"status">(
      {json_answer(200, R"({"state":"degraded","message":"\u001b]52;c;x\u0007\u202e"})")});
  agent.on<"logs">({{"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n"
                     "{\"time\":\"2026-11-23T12:00:00Z\",\"stream\":\"stdout\","
                     "\"text\":\"a\\u001b[2Jb\",\"partial\":false}\n",
                     false}},
                   "web");
  EXPECT_TRUE(contains(holdfast({"status"}).out, "\\x1b]52;c;x\\x07\\u{202e}"));
  EXPECT_TRUE(contains(holdfast({"status", "-o", "json"}).out, "\\u001b]52;c;x\\u0007\\u202e"));
  EXPECT_EQ(holdfast({"logs", "web"}).out, "a\\x1b[2Jb\n");
}

/// A connection that ends half-way says nothing of what the agent has done.
TEST_F(CommandsTest, TellsToLookBeforeAskingForAnotherRollback) {
  FakeAgent agent{socket()};
  agent.on<"rollback">({{"HTTP/1.1 202 Accepted\r\nContent-Le", false}});
  agent.on<"hold">({{"HTTP/1.1 200 OK\r\nContent-Le", false}});
  const auto rollback = holdfast({"rollback"});
  EXPECT_EQ(rollback.exit, 7);
  EXPECT_TRUE(contains(rollback.err, "look at \"holdfast status\" and \"holdfast history\" before"))
      << rollback.err;
  const auto hold = holdfast({"hold", "-m", "busy"});
  EXPECT_EQ(hold.exit, 7);
  EXPECT_TRUE(contains(hold.err, "try again")) << hold.err;
}

TEST_F(CommandsTest, PassesTheQueryOfLogsOn) {
  FakeAgent agent{socket()};
  agent.on<"logs">({{"HTTP/1.1 200 OK\r\n\r\n", false}}, "web");
  EXPECT_EQ(holdfast({"logs", "web", "-n", "20", "--since", "2026-11-23T12:00:00Z"}).exit, 0);
  EXPECT_EQ(agent.requests().back(),
            "GET /v1/logs/web?follow=0&tail=20&since=2026-11-23T12%3A00%3A00.000Z\n");
  EXPECT_EQ(holdfast({"logs", "nosuch"}).exit, 1);
}

TEST_F(CommandsTest, FiltersEvents) {
  FakeAgent agent{socket()};
  const auto event = [](int number, const char* time, const char* kind) {
    return R"({"number":)" + std::to_string(number) + R"(,"time":")" + time + R"(","kind":")" +
           kind + R"(","generation":42,"service":"web","message":"m","detail":""})";
  };
  agent.on<"events">({sse_answer(
      {event(1, "2026-11-20T12:00:00Z", "good"), event(2, "2026-11-23T12:00:00Z", "drift_detected"),
       event(3, "2026-11-23T12:00:01Z", "pull"), event(4, "2026-11-23T12:00:02Z", "failed")},
      false)});
  EXPECT_EQ(holdfast({"events", "--since", "2026-11-23T00:00:00Z"}).out,
            "2026-11-23 12:00:00  drift detected      42  web  m\n2026-11-23 12:00:02  failed    "
            "          42  web  m\n");
  EXPECT_EQ(holdfast({"events", "--kind", "drift"}).out,
            "2026-11-23 12:00:00  drift detected      42  web  m\n");
  EXPECT_TRUE(
      holdfast({"events", "-o", "json", "--kind", "good"}).out.starts_with("{\"number\":1,"));
}

TEST_F(CommandsTest, SaysWhenTheLedgerIsBroken) {
  FakeAgent agent{socket()};
  agent.on<"ledger_verify">(
      {json_answer(200,
                   R"({"intact":true,"entries":3,"head":{"number":3,"hash":"ab"},"fault":""})"),
       json_answer(
           200,
           R"({"intact":false,"entries":2,"head":{"number":3,"hash":"ab"},"fault":"entry 2: hash differs"})")});
  EXPECT_EQ(holdfast({"ledger", "verify"}).out, "✓ intact: 3 entries, head 3 ab\n");
  const auto broken = holdfast({"ledger", "verify"});
  EXPECT_EQ(broken.exit, 1);
  EXPECT_TRUE(contains(broken.err, "entry 2: hash differs")) << broken.err;
}

TEST_F(CommandsTest, ExportsTheLedgerPageByPage) {
  FakeAgent agent{socket()};
  std::string page;
  for (int i = 1; i <= 500; ++i)
    page += (i > 1 ? "," : "") + (R"({"number":)" + std::to_string(i)) +
            R"(,"hash":"ab","kind":"good"})";
  agent.on<"ledger_entries">({json_answer(200, "[" + page + "]")}, "?after=0&");
  agent.on<"ledger_entries">({json_answer(200, R"([{"number":501,"hash":"cd","kind":"failed"}])")},
                             "?after=500&");
  agent.on<"ledger_entries">({json_answer(200, "[]")}, "?after=501&");
  const auto ran = holdfast({"ledger", "export"});
  EXPECT_EQ(ran.exit, 0);
  EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 501);
}

TEST_F(CommandsTest, ComparesFilesWithoutAnAgent) {
  std::string other = kDocument;
  other += "    env: {MODE: fast}\n";
  const auto a = file("a.yaml", kDocument);
  const auto b = file("b.yaml", other);
  const auto ran = holdfast({"diff", a, b, "--exit-code"});
  EXPECT_EQ(ran.exit, 6);
  EXPECT_TRUE(contains(ran.out, "  + env.MODE*  fast\n")) << ran.out;
  EXPECT_EQ(holdfast({"diff", a, a, "--exit-code"}).exit, 0);
  EXPECT_TRUE(
      contains(holdfast({"diff", a, b, "-o", "json"}).out, "\"path\": \"services.web.env.MODE\""));
}

TEST_F(CommandsTest, LintsDocumentsAndNamesEveryFault) {
  EXPECT_EQ(holdfast({"lint", file("good.yaml", kDocument)}).exit, 0);
  EXPECT_EQ(holdfast({"lint", "-"}, kDocument).exit, 0);
  const auto bad = holdfast({"lint", file("bad.yaml",
                                          "apiVersion: holdfast/v1\nname: shop\nservices:\n  "
                                          "web:\n    imag: x\n    enviroment: {}\n")});
  EXPECT_EQ(bad.exit, 3);
  EXPECT_TRUE(contains(bad.err, "bad.yaml:5:5:")) << bad.err;
  EXPECT_TRUE(contains(bad.err, "bad.yaml:6:5:")) << bad.err;
  const auto unsigned_ = holdfast(
      {"lint", "-"}, std::string{kDocument} + "policy: {images: {require_signature: [ops]}}\n");
  EXPECT_EQ(unsigned_.exit, 3);
  EXPECT_TRUE(contains(unsigned_.err, "this version of the agent checks none")) << unsigned_.err;
  EXPECT_EQ(holdfast({"lint", "/nonexistent.yaml"}).exit, 1);
}

TEST_F(CommandsTest, PlansAndSaysWhatComesNext) {
  FakeAgent agent{socket()};
  agent.on<"plan">({json_answer(
      200,
      R"({"from":1,"to":2,"spec_digest":"sha256:44","changes":true,"steps":[{"service":"web","change":"cutover"}]})")});
  agent.on<"rollback">({json_answer(
      200, R"({"from":2,"to":1,"spec_digest":"sha256:44","changes":true,"steps":[]})")});
  const auto path = file("shop.yaml", kDocument);
  const auto plan = holdfast({"plan", path});
  EXPECT_EQ(plan.exit, 0);
  EXPECT_TRUE(contains(plan.err, "next: holdfast apply " + path)) << plan.err;
  EXPECT_EQ(holdfast({"plan", path, "--exit-code"}).exit, 6);
  EXPECT_EQ(holdfast({"apply", path, "--dry-run"}).exit, 0);
  EXPECT_EQ(holdfast({"rollback", "--dry-run"}).exit, 0);
  EXPECT_TRUE(contains(agent.requests().back(), "\"dry_run\":true"));
  EXPECT_EQ(holdfast({"plan", "--rollback", "1"}).exit, 0);
  EXPECT_TRUE(contains(agent.requests().back(), "\"to\":1"));
  EXPECT_EQ(holdfast({"plan"}).exit, 2);
}

TEST_F(CommandsTest, RefusesAnAnswerThatIsNotOurs) {
  FakeAgent agent{socket()};
  agent.on<"status">({{"SSH-2.0-x\r\n", false},
                      json_answer(200, "[]"),
                      {"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", false}});
  EXPECT_EQ(holdfast({"status"}).exit, 1);
  EXPECT_EQ(holdfast({"status"}).exit, 1);
  const auto cut = holdfast({"status"});
  EXPECT_EQ(cut.exit, 7);
  EXPECT_TRUE(contains(cut.err, "closed the connection")) << cut.err;
}

TEST_F(CommandsTest, PrintsTheSchemaAndVersions) {
  FakeAgent agent{socket()};
  agent.on<"version">({json_answer(200, R"({"version":"0.9.9","api":"v1"})")});
  EXPECT_TRUE(holdfast({"schema"}).out.starts_with("{"));
  EXPECT_TRUE(contains(holdfast({"version"}).out, "holdfastd  0.9.9, API v1\n"));
  EXPECT_TRUE(contains(holdfast({"version", "-o", "json"}).out, "\"agent\": \"0.9.9\""));
}

TEST_F(CommandsTest, GivesTheShellWordsThatItCanRun) {
  FakeAgent agent{socket()};
  agent.on<"status">({json_answer(200, R"j({"services":[{"name":"web"},{"name":"$(id)"}]
})j")});
  EXPECT_EQ(holdfast({"__complete", "services"}).out, "web\n");
  const auto script = file(
      "completion.bash",
      holdfast({"completion", "bash"}).out +
          "\nCOMP_WORDS=(holdfast rollb); COMP_CWORD=1; _holdfast; echo \"${COMPREPLY[*]}\"\n"
          "COMP_WORDS=(holdfast status --wa); COMP_CWORD=2; _holdfast; echo \"${COMPREPLY[*]}\"\n"
          "COMP_WORDS=(holdfast logs w); COMP_CWORD=2; _holdfast; echo \"${COMPREPLY[*]}\"\n");
  const auto path = "PATH=" + program().substr(0, program().rfind('/')) + ":/usr/bin:/bin";
  const auto ran = os::run({.spawn = {.argv = {"/bin/bash", "-u", script},
                                      .env = {path, "HOLDFAST_SOCKET=" + socket()}}});
  ASSERT_TRUE(ran) << ran.error().to_string();
  EXPECT_EQ(ran->out, "rollback\n--watch\nweb\n");
  EXPECT_EQ(ran->err, "");
}

TEST_F(CommandsTest, ChecksTheHostAndEndsWith1OnAProblem) {
  const auto config = file("agent.yaml", "state_dir: " + scratch_.path().string() +
                                             "\ncni_dir: " + scratch_.path().string() + "/none\n");
  const auto ran = holdfast({"doctor", "--config", config, "-o", "json"});
  EXPECT_EQ(ran.exit, 1);
  for (const char* check :
       {"configuration", "kernel", "processor", "cgroup", "runtime", "conmon", "cni plugins",
        "nftables", "forwarding", "clock", "disk", "registry", "overlay", "agent"})
    EXPECT_TRUE(contains(ran.out, "\"check\": \"" + std::string{check} + "\"")) << check << ran.out;
  EXPECT_TRUE(contains(ran.out, "apt install containernetworking-plugins"));
}

}  // namespace
}  // namespace holdfast::test
