// Golden output at 80 columns, from the agent's JSON.
#include "agent/cli/render/views.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "agent/cli/client/wait.hpp"
#include "agent/cli/render/exit_code.hpp"
#include "common/base/text.hpp"
#include "proto/api/codec.hpp"
#include "tests/unit/agent/cli/look.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;

const std::string kHex(64, '4');

api::Status status() {
  return *api::decode<api::Status>(
      R"({"deployment":"shop","generation":42,"spec_digest":"sha256:)" + kHex + R"(",
    "state":"converged","services":[
     {"name":"api","image":"registry.example.com:5000/shop/api:1.8.2-with-a-rather-long-tag@sha256:)" +
      kHex + R"(","digest":"sha256:)" + kHex + R"(",
      "manifest":"","state":"running","health":"healthy","restarts":0,"instance":"api-1","pid":77,"address":"10.89.0.2",
      "since":"2026-11-23T09:00:00Z","detail":"","publish":["80:8080"]},
     {"name":"db","image":"db@sha256:)" +
      kHex + R"(","digest":"sha256:)" + kHex + R"(","manifest":"","state":"running","health":"none",
      "restarts":12,"instance":"db-1","pid":78,"address":"10.89.0.3","since":"2026-11-11T12:00:00Z","detail":"","publish":[]}],
    "drift":[],"rollback":{"generation":41,"ready":true,"reason":""},"rollout":null,"message":"",
    "agent_version":"0.1.0","agent_since":"2026-11-11T12:00:00Z"})");
}

void expect_fits(const std::string& text) {
  for (const auto line : split(text, '\n')) EXPECT_LE(display_width(line), 80U) << line;
}

TEST(StatusView, ShowsAConvergedHostIn80Columns) {
  const auto text = status_view(status(), kTerminal, kNow);
  EXPECT_EQ(text,
            "Deployment  shop, generation 42 (444444444444)\n"
            "State       converged\n"
            "Rollback    ready: generation 41\n"
            "Agent       0.1.0, up 12d\n"
            "\n"
            "SERVICE  STATE    HEALTH   RESTARTS  AGE  DIGEST        IMAGE\n"
            "api      running  healthy         0   3h  444444444444  shop/api:1.8.2-with-a-r…\n"
            "db       running  none           12  12d  444444444444  db\n");
  expect_fits(text);
  EXPECT_EQ(exit_code_of_status(status()), ExitCode::done);
}

TEST(StatusView, SaysWhyAHostIsDegradedAndWhatToDo) {
  auto now = status();
  now.state = "degraded";
  now.message = "api: GET :8080/healthz -> 500";
  now.services[0].health = "unhealthy";
  now.services[0].detail = "GET :8080/healthz -> 500 (3 of 3)";
  now.drift = {{"db", "limits", "2026-11-23T11:59:00Z", "memory.max is 64 MiB, declared 256 MiB",
                "repair", "the declared limits are written again"},
               {"db", "secret", "2026-11-23T11:58:00Z", "password changed", "report",
                "with \"drift.secret: repair\", its process is restarted"}};
  now.rollback = {41, false, "layer of api is missing"};
  EXPECT_EQ(status_view(now, {}, kNow),
            "Deployment  shop, generation 42 (444444444444)\n"
            "State       degraded: api: GET :8080/healthz -> 500\n"
            "Rollback    generation 41 is not ready: layer of api is missing\n"
            "Agent       0.1.0, up 12d\n"
            "\n"
            "SERVICE  STATE    HEALTH     RESTARTS  AGE  DIGEST        IMAGE\n"
            "api      running  unhealthy         0   3h  444444444444  "
            "shop/api:1.8.2-with-a-rather-long-tag\n"
            "db       running  none             12  12d  444444444444  db\n"
            "\n"
            "✗ api: GET :8080/healthz -> 500 (3 of 3)\n"
            "  next: holdfast logs api\n"
            "\n"
            "SERVICE  DRIFT   SINCE  ACTION  EVIDENCE\n"
            "db       limits     1m  repair  memory.max is 64 MiB, declared 256 MiB\n"
            "db       secret     2m  report  password changed\n"
            "  db secret: with \"drift.secret: repair\", its process is restarted\n");
  EXPECT_EQ(exit_code_of_status(now), ExitCode::degraded);
  now.state = "held";
  EXPECT_EQ(exit_code_of_status(now), ExitCode::held);
}

TEST(StatusView, ShowsARollOutAndAnEmptyHost) {
  auto rolling = status();
  rolling.state = "rolling";
  rolling.rollout =
      api::RolloutStatus{43, "checking", 6.2, "api: GET :8080/healthz -> 500 (2 of 3)"};
  EXPECT_NE(status_view(rolling, {}, kNow)
                .find("Rollout     generation 43, checking for 6.2s: api: GET :8080/healthz -> 500 "
                      "(2 of 3)\n"),
            std::string::npos);
  api::Status empty;
  empty.state = "empty";
  empty.message = "nothing has been applied yet";
  EXPECT_EQ(status_view(empty, {}, kNow),
            "State       empty: nothing has been applied yet\n"
            "Rollback    no earlier good generation\n"
            "Agent       , up -\n"
            "\n"
            "next: holdfast apply FILE\n");
}

TEST(StatusView, ShowsWhatKeepsChangesFromHappening) {
  auto now = status();
  now.state = "held";
  now.message = "changes wait";
  now.hold = api::HoldStatus{"root (uid 0)", "the shop\x1b[2J is busy", "2026-11-23T11:00:00Z",
                             "2026-11-23T14:00:00Z"};
  now.rollout = api::RolloutStatus{43, "waiting", 5, "held by root (uid 0)", ""};
  auto text = status_view(now, kTerminal, kNow);
  EXPECT_NE(text.find("Hold        by root (uid 0) 1h ago, until 2026-11-23T14:00:00Z: the shop"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("\nnext: holdfast resume\n"), std::string::npos) << text;
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(exit_code_of_status(now), ExitCode::held);
  now.hold.reset();
  now.quarantined = api::QuarantineItem{
      "sha256:" + kHex,         43, "agent", "web exited with code 3", {}, "", "",
      "/etc/holdfast/shop.yaml"};
  text = status_view(now, kTerminal, kNow);
  EXPECT_NE(text.find("Quarantine  /etc/holdfast/shop.yaml declares 444444444444, by agent: web"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("holdfast quarantine release 444444444444"), std::string::npos) << text;
}

TEST(QuarantineView, ListsWhoWhyAndWhatProvesIt) {
  EXPECT_EQ(quarantine_view({}, kTerminal, kNow), "nothing is quarantined\n");
  const api::QuarantineItem item{"sha256:" + kHex,
                                 43,
                                 "agent",
                                 "web exited",
                                 {{"exit_code", "3"}, {"log_tail", "no licence\n\x1b[31mbye"}},
                                 "2026-11-23T11:00:00Z",
                                 "",
                                 ""};
  const auto text = quarantine_view({item}, kTerminal, kNow);
  EXPECT_EQ(text,
            "SPEC           GEN  SINCE   UNTIL           BY     SOURCE  REASON\n"
            "444444444444    43  1h ago  until released  agent  -       web exited\n"
            "\n"
            "444444444444 evidence:\n"
            "  exit_code: 3\n"
            "  log_tail: no licence\n"
            "    \\x1b[31mbye\n");
}

TEST(StatusView, ShowsHowReadyTheWayBackIs) {
  auto now = status();
  now.standby = {{"api", "api-0", "2026-11-23T11:50:00Z", "2026-11-23T12:05:00Z"}};
  now.rehearsal = api::RehearsalStatus{
      41, "failed", "db cannot be started: no secret", "agent", "2026-11-23T10:00:00Z", 1.5, {}};
  const auto text = status_view(now, kTerminal, kNow);
  EXPECT_NE(text.find("Standby     1 frozen instance, ready to be thawed\n"), std::string::npos);
  EXPECT_NE(text.find("Rehearsal   generation 41 failed 2h ago: db cannot be started: no secret\n"),
            std::string::npos)
      << text;
}

TEST(StatusView, EscapesWhatImagesAndProcessesSay) {
  auto now = status();
  now.services[0].detail = "\x1b]52;c;AAAA\x07 and\nmore";
  now.message = "\xE2\x80\xAEgnp";
  for (const char c : status_view(now, {}, kNow))
    EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20);
  EXPECT_NE(status_view(now, {}, kNow).find("\\x1b]52;c;AAAA\\x07 and\\x0amore"),
            std::string::npos);
  EXPECT_NE(status_view(now, {}, kNow).find("\\u{202e}gnp"), std::string::npos);
}

TEST(HistoryView, MarksTheCurrentAndTheQuarantined) {
  const auto items = *api::decode<std::vector<api::HistoryItem>>(
      R"x([
    {"generation":43,"spec_digest":"sha256:)x" +
      kHex +
      R"x(","result":"rolled_back","reason":"api: GET :8080/healthz -> 500 (3 of 3)","actor":"alice (uid 1000)","time":"2026-11-23T11:58:00Z","current":false,"quarantined":true},
    {"generation":42,"spec_digest":"sha256:)x" +
      kHex +
      R"x(","result":"good","reason":"","actor":"root (uid 0)","time":"2026-11-23T09:00:00Z","current":true,"quarantined":false}])x");
  const auto text = history_view(items, kTerminal, kNow);
  EXPECT_EQ(text,
            " GEN  RESULT       WHEN    SPEC          BY                REASON\n"
            "  43  rolled back  2m ago  444444444444  alice (uid 1000)  [quarantined] api: G…\n"
            "* 42  good         3h ago  444444444444  root (uid 0)\n");
  expect_fits(text);
}

TEST(PlanView, ShowsFieldsRelaxationsAndASummary) {
  api::PlanReport plan;
  plan.from = 42;
  plan.to = 43;
  plan.spec_digest = "sha256:" + kHex;
  plan.changes = true;
  plan.steps = {{"api", "cutover", "", {"env.LOG_LEVEL: info → debug"}, {"cap_add NET_RAW"}},
                {"cron", "create", "", {}, {}},
                {"db", "replace", "writable volume data; down for about 5s", {}, {}},
                {"edge", "keep", "", {}, {}}};
  plan.hooks = {{"before", "migrate", "shop/db:1@sha256:" + kHex, "within 5m", {"network host"}}};
  plan.images_to_pull = {"shop/cron:1@sha256:" + kHex};
  plan.warnings = {"no health rule for cron"};
  EXPECT_EQ(plan_view(plan, {}),
            "generation 42 → 43 (444444444444)\n"
            "\n"
            "  ~ api   cut over, the old instance serves until the new one is healthy\n"
            "      env.LOG_LEVEL: info → debug\n"
            "    ! relaxes cap_add NET_RAW\n"
            "  + cron  create\n"
            "  ~ db    replace, stop first: writable volume data; down for about 5s\n"
            "  = edge  no change\n"
            "\n"
            "  hook before      migrate  shop/db:1@444444444444 within 5m\n"
            "    ! relaxes network host\n"
            "\n"
            "  pull shop/cron:1@444444444444\n"
            "\n"
            "1 to create, 1 to cut over, 1 to replace, 1 unchanged\n"
            "! no health rule for cron\n");
  api::PlanReport same;
  same.from = 42;
  EXPECT_EQ(plan_view(same, {}), "generation 42 already runs this document: nothing to do\n");
}

TEST(DiffView, GroupsByServiceAndMarksWhatNeedsANewInstance) {
  const std::vector<proto::FieldChange> changes{
      {"services.api.env.MODE", "", "fast", true},
      {"services.api.image", "api:1@sha256:" + kHex, "api:2@sha256:" + std::string(64, '5'), true},
      {"services.db.update.soak", "10s", "", false}};
  EXPECT_EQ(diff_view(changes, "generation 41", "generation 42", {}),
            "generation 41 → generation 42\n"
            "\n"
            "api  needs a new instance (fields marked *)\n"
            "  + env.MODE*  fast\n"
            "  ~ image*  api:1@444444444444 → api:2@555555555555\n"
            "\n"
            "db  without a restart\n"
            "  - update.soak  10s\n"
            "\n"
            "3 fields differ; 1 service needs a new instance\n");
  EXPECT_EQ(diff_view({}, "a.yaml", "b.yaml", {}), "a.yaml and b.yaml are the same\n");
}

TEST(GenerationView, TellsTheStoryOfAGeneration) {
  api::GenerationRecord record;
  record.generation = {43,
                       "sha256:" + kHex,
                       "failed",
                       "unhealthy",
                       "root (uid 0)",
                       "2026-11-23T11:58:00.000Z",
                       false,
                       true};
  api::LedgerEntry entry;
  entry.number = 9;
  entry.kind = "failed";
  entry.time = "2026-11-23T11:59:00.000Z";
  entry.service = "api";
  entry.reason = "unhealthy";
  entry.detail = {{"log", "line 1\n\x1b[2J"}, {"probe", "GET /healthz -> 500"}};
  record.entries = {entry};
  record.document = "name: shop\n";
  EXPECT_EQ(
      generation_view(record, {}, kNow),
      "Generation  43\n"
      "Result      failed, quarantined: it will not be applied again\n"
      "Spec digest sha256:" +
          kHex +
          "\n"
          "Accepted    2026-11-23T11:58:00.000Z (2m ago)\n"
          "By          root (uid 0)\n"
          "Reason      unhealthy\n"
          "\n"
          "ENTRY  TIME                 WHAT    SERVICE  BECAUSE\n"
          "    9  2026-11-23 11:59:00  failed  api      unhealthy; probe GET /healthz -> 500\n"
          "\n"
          "last output of api (entry 9):\n"
          "  line 1\n"
          "  \\x1b[2J\n"
          "\n"
          "Document\n"
          "  name: shop\n");
}

TEST(EventLine, IsOneLineWhateverTheMessage) {
  EXPECT_EQ(
      event_line({7, "2026-11-23T11:58:00.000Z", "drift_detected", 42, "api", "a\nb", ""}, {}),
      "2026-11-23 11:58:00  drift detected      42  api  a\\x0ab\n");
}

TEST(ShortImage, DropsRegistryAndDigest) {
  EXPECT_EQ(short_image("127.0.0.1:5000/shop/web:1@sha256:" + kHex), "shop/web:1");
  EXPECT_EQ(short_image("registry.example.com/web"), "web");
  EXPECT_EQ(short_image("library/web:1"), "library/web:1");
}

TEST(ExitCodes, NeverCallARollbackASuccess) {
  const api::ErrorBody unhealthy{"E_UNHEALTHY", "x", ""};
  EXPECT_EQ(exit_code_of_apply({1, "good", 0, {}, {}}), ExitCode::done);
  EXPECT_EQ(exit_code_of_apply({1, "unchanged", 0, {}, {}}), ExitCode::done);
  EXPECT_EQ(exit_code_of_apply({1, "rolled_back", 0, {}, unhealthy}), ExitCode::rolled_back);
  EXPECT_EQ(exit_code_of_apply({1, "rolled_back", 0, {}, {}}), ExitCode::rolled_back);
  EXPECT_EQ(exit_code_of_apply({1, "failed", 0, {}, unhealthy}), ExitCode::error);
  EXPECT_EQ(exit_code_of_apply({1, "failed", 0, {}, api::ErrorBody{"E_DIGEST_MISMATCH", "", ""}}),
            ExitCode::rejected);
  EXPECT_EQ(exit_code_of_apply({1, "failed", 0, {}, api::ErrorBody{"E_HELD", "", ""}}),
            ExitCode::held);
  EXPECT_EQ(exit_code_of_apply({1, "failed", 0, {}, api::ErrorBody{"E_UNREACHABLE", "", ""}}),
            ExitCode::error);
  EXPECT_EQ(exit_code_of_apply({1, "failed", 0, {}, api::ErrorBody{"E_TIMED_OUT", "", ""}}),
            ExitCode::error);
  EXPECT_EQ(exit_code_of_apply({1, "superseded", 0, {}, {}}), ExitCode::error);
  EXPECT_EQ(exit_code_of_apply({1, "waiting", 0, {}, {}}), ExitCode::held);
  EXPECT_EQ(exit_code_of_rollback({1, "good", 0, {}, {}}), ExitCode::done);
  EXPECT_EQ(exit_code_of_rollback({1, "rolled_back", 0, {}, {}}), ExitCode::done);
  EXPECT_EQ(exit_code_of_rollback({1, "rolled_back", 0, {}, unhealthy}), ExitCode::rolled_back);
}

TEST(EndFromRecords, ReadsTheEndOfAChangeWhoseEventWasLost) {
  auto now = status();
  const auto item = [](std::uint64_t number, proto::Word<api::GenerationResult> result,
                       const char* reason) {
    return api::HistoryItem{number, "", result, reason, "", "", false, false};
  };
  EXPECT_EQ(end_from_records(42, now, {item(42, "good", "")})->result.text(), "good");
  EXPECT_FALSE(end_from_records(43, now, {item(43, "pending", "")}));
  EXPECT_FALSE(end_from_records(43, now, {}));
  const auto failed = end_from_records(43, now, {item(43, "failed", "api is unhealthy")});
  EXPECT_EQ(failed->result.text(), "rolled_back");
  EXPECT_EQ(failed->error->message, "api is unhealthy");
  EXPECT_EQ(end_from_records(41, now, {item(41, "good", "")})->result.text(), "rolled_back")
      << "a rollback to 41 that did not take";
  now.rollout = api::RolloutStatus{43, "waiting", 1, "held by root: busy", ""};
  EXPECT_EQ(end_from_records(43, now, {item(43, "pending", "")})->result.text(), "waiting");
  EXPECT_EQ(end_from_records(43, now, {item(43, "pending", "")})->error->code, "E_HELD");
  now.rollout = api::RolloutStatus{};
  EXPECT_FALSE(end_from_records(42, now, {item(42, "good", "")}));
}

api::ImageItem image_item() {
  api::ImageItem item;
  item.reference = "registry.example.com/shop/web:1.8.2@sha256:" + kHex;
  item.digest = "sha256:" + kHex;
  item.bytes = 12U << 20;
  item.pulled = "2026-11-23T09:00:00Z";
  item.needed_by = {"current", "generation 41"};
  return item;
}

TEST(ImagesView, SaysWhatNeedsAnImageAndWhetherItIsWhole) {
  auto leased = image_item();
  leased.reference.clear();
  leased.needed_by.clear();
  leased.leased_until = "2026-11-24T11:00:00Z";
  leased.verified = "2026-11-23T11:59:00Z";
  leased.damage = {"layer " + kHex + ": its files are not those that were unpacked"};
  EXPECT_EQ(
      images_view({image_item(), leased}, {}, kNow),
      "IMAGE           DIGEST            SIZE  PULLED  VERIFIED  STATE    NEEDED BY\n"
      "shop/web:1.8.2  444444444444  12.0 MiB  3h ago  -         whole    current, generation 41\n"
      "444444444444    444444444444  12.0 MiB  3h ago  1m ago    damaged  lease, 23h left\n"
      "\n"
      "✗ 444444444444: layer " +
          kHex +
          ": its files are not those that were unpacked\n"
          "  next: holdfast image verify --repair\n");
  EXPECT_EQ(images_view({}, {}, kNow), "no images are here\n");
}

TEST(ImagesView, SaysWhatWouldGoAndWhyTheRestStays) {
  api::ImageGcReport report;
  report.dry_run = true;
  report.removed = {{"image", "sha256:" + kHex, "r.example.com/old:1@sha256:" + kHex, 0},
                    {"layer", "x", "", 5U << 20},
                    {"blob", "y", "", 100}};
  report.kept = {{"sha256:" + kHex, "r.example.com/web:2@sha256:" + kHex, {"current"}}};
  report.bytes = (5U << 20) + 100;
  EXPECT_EQ(gc_view(report, {}),
            "would go old:1  444444444444\n"
            "would go 1 layers and 1 documents, 5.0 MiB\n"
            "\n"
            "STAYS  DIGEST        BECAUSE OF\n"
            "web:2  444444444444  current\n");
  EXPECT_EQ(gc_view({}, {}), "nothing to remove\n");
}

TEST(Views, ARecoverySaysWhatIsKeptAndLost) {
  proto::api::LedgerRecovery report;
  report.fault = "entry 8: its hash\x1b[2J does not match";
  report.base = "000000000006-5";
  report.old_head.number = 12;
  report.new_head.number = 7;
  report.taken_over = 1;
  report.lost_first = 8;
  report.lost_last = 12;
  report.lost_generations = {3, 4};
  report.kept = {"web-12345678-3"};
  report.moved_to = "/var/lib/holdfast/ledger.damaged/2026-11-28T03:00:00Z";
  EXPECT_EQ(
      recovery_view(report, {}),
      "✗ damaged: entry 8: its hash\\x1b[2J does not match\n"
      "  kept from backup   000000000006-5\n"
      "  taken over         1 entries of the damaged file\n"
      "  new head           7 (was 12)\n"
      "  lost entries       5 (8 to 12)\n"
      "  lost generations   3, 4\n"
      "  active then        no generation that is known\n"
      "  kept as they are   web-12345678-3: apply their document again, which takes them over\n"
      "  moved aside to     /var/lib/holdfast/ledger.damaged/2026-11-28T03:00:00Z\n");
}

}  // namespace
}  // namespace holdfast::agent::cli
