#include "proto/api/codec.hpp"

#include <gmock/gmock.h>

#include <limits>

namespace holdfast::proto::api {
namespace {

using ::testing::HasSubstr;

Status full_status() {
  Status status;
  status.deployment = "shop";
  status.generation = 2;
  status.spec_digest = "sha256:ab";
  status.state = "rolling";
  ServiceStatus web;
  web.name = "web";
  web.image = "r/web:1@sha256:cd";
  web.digest = "sha256:cd";
  web.manifest = "sha256:ef";
  web.state = "running";
  web.health = "healthy";
  web.restarts = 3;
  web.instance = "web-12345678-1";
  web.pid = 42;
  web.address = "10.89.0.5";
  web.since = "2026-11-23T09:00:00.000Z";
  web.publish = {"80:8080"};
  status.services = {web};
  status.drift = {{"web", "limits", "2026-11-23T09:01:00.000Z", "memory is 64 MiB", "repair",
                   "the declared limits are written again"}};
  status.rollback = {1, true, ""};
  status.rollout = RolloutStatus{3, "checking", 1.5, "web: GET :8080/healthz → 500", "", "web"};
  status.hold = HoldStatus{"root", "busy", "2026-11-23T09:00:00.000Z", ""};
  status.message = "rolling to 3";
  status.agent_version = "0.1.0";
  status.agent_since = "2026-11-23T08:00:00.000Z";
  return status;
}

TEST(ApiCodec, WritesAStatusInOneStableForm) {
  EXPECT_EQ(
      encode(full_status()),
      R"({"deployment":"shop","generation":2,"spec_digest":"sha256:ab","state":"rolling","services":[)"
      R"({"name":"web","image":"r/web:1@sha256:cd","digest":"sha256:cd","manifest":"sha256:ef","state":"running",)"
      R"("health":"healthy","restarts":3,"instance":"web-12345678-1","pid":42,"address":"10.89.0.5",)"
      R"("since":"2026-11-23T09:00:00.000Z","detail":"","publish":["80:8080"],"crash_looping":false}],)"
      R"("drift":[{"service":"web","kind":"limits","since":"2026-11-23T09:01:00.000Z","evidence":"memory is 64 MiB",)"
      R"("action":"repair","next":"the declared limits are written again"}],"rollback":{"generation":1,"ready":true,"reason":""},)"
      R"("rollout":{"generation":3,"phase":"checking","seconds":1.5,"waiting_for":"web: GET :8080/healthz → 500","begins":"","service":"web"},)"
      R"("hold":{"actor":"root","reason":"busy","since":"2026-11-23T09:00:00.000Z","until":""},"quarantined":null,"rehearsal":null,"standby":[],)"
      R"("source":null,"message":"rolling to 3","incomplete":[],"agent_version":"0.1.0","agent_since":"2026-11-23T08:00:00.000Z"})");
}

TEST(ApiCodec, WritesEmptyArraysAndNullForAnAbsentOptional) {
  EXPECT_EQ(
      encode(Status{}),
      R"({"deployment":"","generation":0,"spec_digest":"","state":"","services":[],"drift":[],)"
      R"("rollback":{"generation":0,"ready":false,"reason":""},"rollout":null,"hold":null,"quarantined":null,"rehearsal":null,"standby":[],"source":null,"message":"",)"
      R"("incomplete":[],"agent_version":"","agent_since":""})");
}

TEST(ApiCodec, WritesTheOtherMessagesInOneStableForm) {
  EXPECT_EQ(encode(ErrorBody{"E_USAGE", "no", "yes"}),
            R"({"code":"E_USAGE","message":"no","next":"yes"})");
  EXPECT_EQ(
      encode(HistoryItem{1, "sha256:a", "good", "r", "root", "t", true, false}),
      R"({"generation":1,"spec_digest":"sha256:a","result":"good","reason":"r","actor":"root","time":"t",)"
      R"("current":true,"quarantined":false})");
  EXPECT_EQ(
      encode(ApplyRequest{"d", "f", "r", true}),
      R"({"document":"d","file":"f","reason":"r","dry_run":true,"now":false,"break_glass":false})");
  EXPECT_EQ(encode(RollbackRequest{4, "r", false}), R"({"to":4,"reason":"r","dry_run":false})");
  EXPECT_EQ(
      encode(Accepted{5, "sha256:a", true, 77}),
      R"({"generation":5,"spec_digest":"sha256:a","changed":true,"since_event":77,"warnings":[]})");
  EXPECT_EQ(
      encode(PlanReport{1,
                        2,
                        "sha256:a",
                        true,
                        {{"web", "cutover", "r", {"env.A: 1 → 2"}, {}}},
                        {{"before", "migrate", "i", "within 5m", {}}},
                        {"i"},
                        {}}),
      R"({"from":1,"to":2,"spec_digest":"sha256:a","changes":true,"steps":[{"service":"web","change":"cutover",)"
      R"("reason":"r","fields":["env.A: 1 → 2"],"relaxations":[]}],)"
      R"("hooks":[{"stage":"before","name":"migrate","image":"i","note":"within 5m","relaxations":[]}],)"
      R"("images_to_pull":["i"],"warnings":[]})");
  EXPECT_EQ(
      encode(Event{9, "t", "pull", 2, "web", "m", "{}"}),
      R"({"number":9,"time":"t","kind":"pull","generation":2,"service":"web","message":"m","detail":"{}"})");
  EXPECT_EQ(encode(Outcome{2, "failed", 0.25, {}, ErrorBody{"E_UNHEALTHY", "m", ""}}),
            R"({"generation":2,"result":"failed","seconds":0.25,"services":[],)"
            R"("error":{"code":"E_UNHEALTHY","message":"m","next":""}})");
  LedgerEntry entry;
  entry.number = 1;
  entry.kind = "good";
  entry.images_after = {{"web", "sha256:b"}};
  EXPECT_EQ(
      encode(std::vector{entry}),
      R"([{"number":1,"hash":"","kind":"good","time":"","actor":"","reason":"","generation":0,"spec_digest":"",)"
      R"("service":"","images_before":{},"images_after":{"web":"sha256:b"},"detail":{}}])");
  EXPECT_EQ(encode(LedgerVerification{true, 3, {3, "h"}, ""}),
            R"({"intact":true,"entries":3,"head":{"number":3,"hash":"h"},"fault":""})");
  EXPECT_EQ(encode(LogLine{"t", "stderr", "x", false}),
            R"({"time":"t","stream":"stderr","text":"x","partial":false})");
  EXPECT_EQ(encode(std::vector<DriftItem>{}), "[]");
}

TEST(ApiCodec, ReadsBackWhatItWrites) {
  const auto text = encode(full_status());
  const auto back = decode<Status>(text);
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(encode(*back), text);
  const auto items = decode<std::vector<HistoryItem>>(R"([{"generation":1},{"generation":2}])");
  ASSERT_TRUE(items);
  EXPECT_EQ(items->back().generation, 2U);
}

TEST(ApiCodec, KeepsDefaultsForWhatIsMissingAndIgnoresWhatIsNewInAnswers) {
  const auto accepted = decode<Accepted>(R"({"generation":3,"added_later":[1,2]})");
  ASSERT_TRUE(accepted);
  EXPECT_EQ(accepted->generation, 3U);
  EXPECT_TRUE(accepted->changed);
}

TEST(ApiCodec, RefusesUnknownMembersOfRequestsAndNamesTheNearest) {
  const auto request = decode<RollbackRequest>(R"({"to":1,"dryrun":true})");
  ASSERT_FALSE(request);
  EXPECT_EQ(request.error().code(), Errc::usage);
  EXPECT_EQ(request.error().what(), R"(unknown member "dryrun", did you mean "dry_run"?)");
}

TEST(ApiCodec, NamesTheMemberThatHasTheWrongType) {
  EXPECT_EQ(decode<RollbackRequest>(R"({"to":"1"})").error().what(), "to is not a number in range");
  EXPECT_EQ(decode<RollbackRequest>(R"({"to":-1})").error().what(), "to is not a number in range");
  EXPECT_EQ(decode<ApplyRequest>(R"({"document":5})").error().what(), "document is not a text");
  EXPECT_EQ(decode<Status>(R"({"services":[{"pid":"x"}]})").error().what(),
            "services[0].pid is not a number in range");
  EXPECT_EQ(decode<Status>(R"({"rollback":[]})").error().what(), "rollback is not an object");
  EXPECT_FALSE(decode<Status>("[]"));
  EXPECT_FALSE(decode<Status>("{"));
  EXPECT_FALSE(decode<Status>(R"({"state":"a","state":"b"})"));
}

TEST(ApiCodec, WritesHostileTextEscaped) {
  const auto text =
      encode(LogLine{"", "stdout", "\x1b[31m \"q\" \\ \r\n\t \x7f \xC2\x9B \xFF é", false});
  EXPECT_THAT(text, HasSubstr(R"(\u001b[31m \"q\" \\ \u000d\n\t \u007f \u009b)"));
  EXPECT_THAT(text, HasSubstr("\\ufffd \xC3\xA9"));
  EXPECT_TRUE(decode<LogLine>(text));
}

TEST(ApiCodec, WritesNoNumberThatJsonDoesNotHave) {
  Outcome outcome;
  outcome.seconds = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(encode(outcome), HasSubstr(R"("seconds":null)"));
}

TEST(ApiCodec, WritesAQuarantineWithItsEvidence) {
  const QuarantineItem item{"sha256:ab",
                            2,
                            "agent",
                            "web exited",
                            {{"exit_code", "3"}},
                            "2026-11-23T09:00:00.000Z",
                            "",
                            "/etc/holdfast/deployment.yaml"};
  const auto text = encode(std::vector<QuarantineItem>{item});
  EXPECT_EQ(text,
            R"([{"spec_digest":"sha256:ab","generation":2,"actor":"agent","reason":"web exited",)"
            R"("evidence":{"exit_code":"3"},"since":"2026-11-23T09:00:00.000Z","until":"",)"
            R"("source":"/etc/holdfast/deployment.yaml"}])");
  EXPECT_EQ(encode(*decode<std::vector<QuarantineItem>>(text)), text);
}

TEST(ApiCodec, RefusesASlipInEveryRequest) {
  EXPECT_THAT(decode<HoldRequest>(R"({"reasn":"x"})").error().what(), HasSubstr("reason"));
  EXPECT_FALSE(decode<ResumeRequest>(R"({"to":1})"));
  EXPECT_FALSE(decode<QuarantineRequest>(R"({"digest":"x"})"));
  EXPECT_FALSE(decode<ReleaseRequest>(R"({"digest":"x"})"));
}

TEST(ApiCodec, WritesImagesInOneStableForm) {
  const ImageItem item{
      "r/web:1@sha256:ab", "sha256:ab", "sha256:cd", 42, 3, "t", {"current"}, "u", "root", "v",
      {"layer x: broken"}};
  const std::string text =
      R"({"reference":"r/web:1@sha256:ab","digest":"sha256:ab","manifest":"sha256:cd","bytes":42,"layers":3,"pulled":"t",)"
      R"("needed_by":["current"],"leased_until":"u","leased_by":"root","verified":"v","damage":["layer x: broken"]})";
  EXPECT_EQ(encode(item), text);
  EXPECT_EQ(encode(ImageJob{7, "pull", "gc of root", 5}),
            R"({"job":7,"operation":"pull","waits_for":"gc of root","since_event":5})");
  const ImageResult result{
      7,
      "gc",
      0.5,
      {item},
      9,
      {"sha256:ab"},
      "",
      ImageGcReport{false, {{"blob", "ab", "", 9}}, {{"sha256:ab", "r", {"current"}}}, 9},
      std::nullopt};
  EXPECT_EQ(
      encode(result),
      R"({"job":7,"operation":"gc","seconds":0.5,"images":[)" + text +
          R"(],"bytes":9,"repaired":["sha256:ab"],"path":"","gc":{"dry_run":false,"removed":[)"
          R"({"kind":"blob","name":"ab","reference":"","bytes":9}],"kept":[)"
          R"({"digest":"sha256:ab","reference":"r","why":["current"]}],"bytes":9},"error":null})");
  const auto back = decode<ImageResult>(encode(result));
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(encode(*back), encode(result));
}

TEST(ApiCodec, RefusesUnknownMembersOfImageRequests) {
  EXPECT_FALSE(decode<ImagePullRequest>(R"({"image":"x","untill":"t"})"));
  EXPECT_FALSE(decode<ImageVerifyRequest>(R"({"all":true})"));
  EXPECT_FALSE(decode<ImageGcRequest>(R"({"dry-run":true})"));
  EXPECT_FALSE(decode<ImageExportRequest>(R"({"file":"x"})"));
  EXPECT_FALSE(decode<ImageImportRequest>(R"({"name":"x"})"));
}

}  // namespace
}  // namespace holdfast::proto::api
