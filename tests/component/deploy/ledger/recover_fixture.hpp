#pragma once
/// \file
/// A ledger with three good generations, what runs beside it, and ways to damage it.

#include <gmock/gmock.h>

#include "common/db/db.hpp"
#include "deploy/ledger/backup.hpp"
#include "deploy/ledger/recover.hpp"
#include "deploy/plan/plan.hpp"
#include "tests/support/ledger_fixture.hpp"

namespace holdfast::deploy::ledger {

namespace fs = std::filesystem;
using plan::InstanceId;
using plan::InstanceState;
using proto::EntryKind;
using test::fmt;
using test::note;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

inline const std::string kPinned =
    "registry.example.com/shop/web:1.0.0@" + proto::Digest::of("image").str();

inline std::string document_text(int version) {
  return fmt(
      "apiVersion: holdfast/v1\nname: shop\nservices:\n  web:\n    image: {}\n    env: {{V: "
      "\"{}\"}}\n",
      kPinned, version);
}

inline proto::Deployment document(int version) {
  return proto::load_deployment(document_text(version), "test").value();
}

inline proto::Digest run_hash(int version) {
  return document(version).services.at(proto::ServiceName{"web"}).run_hash;
}

inline InstanceId instance_of(int version) {
  return plan::make_instance_id(proto::ServiceName{"web"}, run_hash(version),
                                static_cast<std::uint64_t>(version));
}

inline plan::ObservedInstance running(int version) {
  return {.id = instance_of(version),
          .service = proto::ServiceName{"web"},
          .generation = static_cast<std::uint64_t>(version),
          .run_hash = run_hash(version),
          .image = proto::Digest::of("image"),
          .manifest = proto::Digest::of("image"),
          .state = InstanceState::running,
          .pid = 77,
          .address = 0,
          .started = {},
          .started_boot = {},
          .starts = 1,
          .exit = {},
          .deviations = {}};
}

inline proto::Entry made(EntryKind kind, int version, std::string reason) {
  proto::Entry entry;
  entry.kind = kind;
  entry.actor = "root (uid 0)";
  entry.reason = std::move(reason);
  entry.generation = static_cast<std::uint64_t>(version);
  entry.spec_digest = document(version).spec_digest;
  return entry;
}

/// As the engine accepts a generation and finds it good: two batches, three entries.
inline void become_good(Ledger& ledger, int version) {
  const GenerationId id{static_cast<std::uint64_t>(version)};
  plan::Progress progress;
  progress.current = id;
  progress.next_sequence = static_cast<std::uint64_t>(version) + 1;
  ASSERT_TRUE(
      ledger.commit({.entries = {made(EntryKind::accepted, version, "wanted"),
                                 made(EntryKind::rollout_started, version, "")},
                     .generation = NewGeneration{.id = id,
                                                 .spec_digest = document(version).spec_digest,
                                                 .document = document_text(version),
                                                 .actor = "root (uid 0)",
                                                 .reason = "wanted",
                                                 .accepted = WallTime{}},
                     .progress = plan::encode_progress(progress)}));
  progress.good = id;
  progress.serving[proto::ServiceName{"web"}] = instance_of(version);
  const Batch batch{.entries = {made(EntryKind::good, version, "wanted")},
                    .results = {{id, GenerationResult::good, "wanted"}},
                    .progress = plan::encode_progress(progress)};
  ASSERT_TRUE(ledger.commit(batch));
}

class Recover : public test::LedgerTest {
 protected:
  /// Three good generations, nine entries, a backup after the second, as its last one or the third.
  void SetUp() override {
    LedgerTest::SetUp();
    auto ledger = open();
    become_good(*ledger, 1);
    become_good(*ledger, 2);
    ASSERT_TRUE(back_up(dir()));
    become_good(*ledger, 3);
    ASSERT_TRUE(ledger->commit(note("the end")));
    table_ = *ledger->generations();
  }

  [[nodiscard]] RecoverOptions options(std::vector<plan::ObservedInstance> seen) const {
    return {.dry_run = false,
            .actor = "root (uid 0)",
            .reason = "a test",
            .now = WallTime{Milliseconds{1'000}},
            .running = std::move(seen)};
  }

  proto::api::LedgerRecovery recovered(std::vector<plan::ObservedInstance> seen) const {
    const auto refused = open_ledger(dir());
    EXPECT_FALSE(refused) << "nothing is damaged";
    auto request = options(std::move(seen));
    request.dry_run = true;
    const auto before = recover_ledger(dir(), request);
    EXPECT_TRUE(before) << before.error().to_string();
    EXPECT_FALSE(open_ledger(dir())) << "a dry run changed something";
    request.dry_run = false;
    auto done = recover_ledger(dir(), request);
    if (!done) {
      ADD_FAILURE() << done.error().to_string();
      return {};
    }
    EXPECT_EQ(before->new_head.hash, done->new_head.hash);
    EXPECT_EQ(before->kept, done->kept);
    EXPECT_FALSE(fs::exists(dir() / "ledger.recovered"));
    const auto again = recover_ledger(dir(), request);
    EXPECT_FALSE(again);
    EXPECT_EQ(again.error().code(), Errc::conflict);
    return std::move(done).value();
  }

  /// The new ledger takes entries, verifies, and begins to tell what happened.
  void expect_whole(const proto::api::LedgerRecovery& report) const {
    auto ledger = open();
    ASSERT_TRUE(ledger->commit(note("and on")));
    const auto verified = ledger->verify();
    ASSERT_TRUE(verified);
    EXPECT_TRUE(verified->intact) << verified->fault;
    EXPECT_EQ(verified->entries, report.new_head.number + 2);
    const auto entries = ledger->entries(report.new_head.number, 1);
    ASSERT_TRUE(entries);
    const auto& told = entries->front().entry;
    EXPECT_EQ(told.kind, EntryKind::recovered);
    EXPECT_EQ(told.actor, "root (uid 0)");
    EXPECT_EQ(told.reason, "a test");
    EXPECT_EQ(told.detail.at("old_head"),
              fmt("{} {}", report.old_head.number, report.old_head.hash));
    EXPECT_EQ(told.detail.at("moved_to"), report.moved_to);
  }

  [[nodiscard]] plan::Progress progress() const {
    return plan::decode_progress(**open()->progress(), BootTime{}).value();
  }

  [[nodiscard]] InstanceId serving() const {
    const auto now = progress();
    const auto found = now.serving.find(proto::ServiceName{"web"});
    return found == now.serving.end() ? InstanceId{} : found->second;
  }

  void expect_table_as_before(const std::vector<Generation>& rows) const {
    ASSERT_EQ(rows.size(), table_.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(rows[i].id, table_[i].id);
      EXPECT_EQ(rows[i].result, table_[i].result) << i;
      EXPECT_EQ(rows[i].reason, table_[i].reason);
      EXPECT_EQ(rows[i].ever_good, table_[i].ever_good);
      EXPECT_EQ(rows[i].spec_digest, table_[i].spec_digest);
    }
  }

  std::vector<Generation> table_;
};

}  // namespace holdfast::deploy::ledger
