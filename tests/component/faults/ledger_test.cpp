// The ledger at every durable step: killed before and after it, with a torn write, an error of the
// disk, a full disk, no descriptors (packaging/doc/security.md 7, F-24, F-25, F-28, F-32, F-35).
#include <gmock/gmock.h>

#include "tests/component/faults/sweep.hpp"
#include "tests/support/ledger_fixture.hpp"

namespace holdfast::deploy::ledger {
namespace {

namespace fs = std::filesystem;
using test::faults::Life;
using test::faults::Told;

constexpr int kCommits = 5;
constexpr std::uint64_t kEntriesAtMost = 9;

/// What the child does with the ledger: two generations, notes, one of them so large that the WAL
/// is written back.
Batch batch_number(int number) {
  switch (number) {
    case 0:
      return test::accept(1, 'a');
    case 2:
      return test::note(std::string(190'000, 'x'));
    case 3:
      return test::accept(2, 'b');
    default:
      return test::note(test::fmt("note {}", number));
  }
}

int commit_all(const fs::path& dir, Told& told) {
  auto ledger = open_ledger(dir);
  if (!ledger) {
    told.say(ledger.error().to_string());
    return 1;
  }
  for (int i = 0; i < kCommits; ++i) {
    auto head = (*ledger)->commit(batch_number(i));
    if (!head) {
      told.say(head.error().to_string());
      return 2;
    }
    told.acknowledged = head->number;
  }
  return 0;
}

/// Calls by the hundred: in the gate a sample of them.
bool is_long(const std::string& rule) {
  return rule.starts_with("any") || rule.starts_with("write");
}

class LedgerFaults : public ::testing::Test {
 protected:
  [[nodiscard]] fs::path state() const { return dir_.path() / "state"; }

  void expect_whole(const Life& life) {
    auto ledger = open_ledger(state());
    ASSERT_TRUE(ledger) << ledger.error().to_string();
    const auto head = (*ledger)->head()->number;
    EXPECT_GE(head, life.acknowledged);
    EXPECT_LE(head, kEntriesAtMost);
    EXPECT_TRUE((*ledger)->verify()->intact);
    const auto next = (*ledger)->commit(test::note("after"));
    ASSERT_TRUE(next) << next.error().to_string();
    EXPECT_EQ(next->number, head + 1);
  }
  void sweep(const std::string& rule, int (*work)(const fs::path&, Told&),
             const std::function<void(const Life&)>& also = {}) {
    test::run({.rule = rule,
               .below = dir_.path(),
               .least = is_long(rule) ? kCommits : 1,
               .step = is_long(rule) ? 12 : 1,
               .begin = [this] { fs::remove_all(state()); },
               .work = [&](Told& told) { return work(state(), told); },
               .expect =
                   [&](const Life& life) {
                     EXPECT_EQ(life.words, "");
                     if (also) also(life);
                     expect_whole(life);
                   }});
  }

  /// In memory: nothing here is about a disk.
  os::TempDir dir_ = os::TempDir::create("/dev/shm", "holdfast-faults").value();
};

TEST_F(LedgerFaults, KilledBeforeOrAfterAnyDurableStepItKeepsWhatWasAcknowledged) {
  // HEAD fits into a sector, of which there is no half.
  const auto killed = [](const Life& life) { EXPECT_TRUE(life.killed); };
  for (const char* rule : {"any:{}=kill-before", "any:{}=kill-after", "write@ledger.db:{}=torn"})
    sweep(rule, commit_all, killed);
}

int commit_until_an_error(const fs::path& dir, Told& told) {
  auto ledger = open_ledger(dir);
  if (!ledger) {
    if (ledger.error().code() != Errc::io) told.say(ledger.error().to_string());
    return 1;
  }
  for (int i = 0; i < kCommits; ++i) {
    auto head = (*ledger)->commit(batch_number(i));
    if (head) {
      told.acknowledged = head->number;
      continue;
    }
    if (head.error().code() != Errc::io) told.say(head.error().to_string());
    if (head.error().next_step().empty()) told.say("no next step: " + head.error().to_string());
    const auto later = (*ledger)->commit(test::note("later"));
    if (later) told.say("it went on after " + head.error().to_string());
    if (!later && later.error().what().find("read-only since") == std::string::npos)
      told.say(later.error().to_string());
    if (!(*ledger)->head()) told.say("not readable");
    return 2;
  }
  return 0;
}

TEST_F(LedgerFaults, AnErrorOfTheDiskIsReportedAndEndsWritingUntilARestart) {
  for (const char* rule : {"any:{}=EIO", "any:{}+=EIO"}) sweep(rule, commit_until_an_error);
}

/// Tries a commit again once there is nothing in its way any more.
int commit_with_patience(const fs::path& dir, Told& told, Errc expected) {
  auto ledger = open_ledger(dir);
  if (!ledger) {
    // SQLite's word for a file that cannot be made is the same whatever stood in its way.
    const auto code = ledger.error().code();
    if (code != expected && code != Errc::io) told.say(ledger.error().to_string());
    return 1;
  }
  for (int i = 0; i < kCommits; ++i) {
    auto head = (*ledger)->commit(batch_number(i));
    if (!head) {
      if (head.error().code() != expected) told.say(head.error().to_string());
      test::faults::disarm();
      head = (*ledger)->commit(batch_number(i));
      if (!head) told.say("healed, and still: " + head.error().to_string());
    }
    if (head) told.acknowledged = head->number;
  }
  return 0;
}

TEST_F(LedgerFaults, AFullDiskIsReportedAndSpaceHealsIt) {
  // What a full disk refuses is more bytes and more names, not a flush of bytes that have their
  // place.
  for (const char* rule :
       {"write:{}=ENOSPC", "write:{}+=ENOSPC", "create:{}+=ENOSPC", "truncate:{}+=ENOSPC"})
    sweep(rule, [](const fs::path& dir, Told& told) {
      return commit_with_patience(dir, told, Errc::nospace);
    });
}

TEST_F(LedgerFaults, WantOfDescriptorsPassesAndLeavesItWritable) {
  sweep("create:{}+=EMFILE", [](const fs::path& dir, Told& told) {
    return commit_with_patience(dir, told, Errc::busy);
  });
}

}  // namespace
}  // namespace holdfast::deploy::ledger
