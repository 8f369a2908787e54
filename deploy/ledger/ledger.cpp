#include "deploy/ledger/ledger.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <future>

#include "common/base/text.hpp"
#include "common/crypto/sha256.hpp"
#include "common/os/file.hpp"
#include "deploy/ledger/backup.hpp"
#include "deploy/ledger/check.hpp"
#include "deploy/ledger/migrate.hpp"
#include "deploy/ledger/queries.hpp"
#include "deploy/ledger/reserve.hpp"
#include "deploy/ledger/schema.hpp"
#include "deploy/ledger/sql_text.hpp"

namespace holdfast::deploy::ledger {
namespace {

std::int64_t milliseconds_of(WallTime time) { return time.time_since_epoch().count(); }

/// Its digest. What others have put into the file meanwhile is not asked.
std::string progress_after(const Anchor& now, const Batch& batch) {
  return batch.progress ? progress_digest(batch.progress) : now.progress;
}

/// Writes one batch within a transaction that the caller opened.
class Writer {
 public:
  Writer(db::Db& db, const Anchor& now) : db_(db), now_(now), head_(now.head) {}

  Result<Anchor> write(const Batch& batch) { return write(batch, seal(batch)); }

  /// `sealed`: what the chain is to hold of the tables.
  Result<Anchor> write(const Batch& batch, const std::string& sealed) {
    const auto progress = progress_after(now_, batch);
    if (batch.generation) HF_TRY(add_generation(*batch.generation));
    if (!sealed.empty() && batch.entries.empty())
      return Error{Errc::internal, "a change of generations or quarantine without an entry"};
    Details details{{kProgressDetail, progress}};
    if (!sealed.empty()) details.emplace(kTablesDetail, sealed);
    for (const auto& entry : batch.entries)
      HF_TRY(add_entry(entry, batch.generation, std::exchange(details, {})));
    for (const auto& change : batch.results) HF_TRY(set_result(change));
    for (const auto& item : batch.quarantine) HF_TRY(add_quarantine(item));
    for (const auto& digest : batch.release) HF_TRY(run(sql::release_quarantine, digest.str()));
    if (batch.progress) HF_TRY(run(sql::set_progress, *batch.progress));
    HF_ASSIGN(const auto counted, db_.integer(sql::count_commit));
    const auto commits = static_cast<std::uint64_t>(counted);
    if (commits != now_.commits + 1)
      return Error{Errc::ledger_corrupt,
                   fmt::format("commit {} follows {}: ledger.db was changed by others", commits,
                               now_.commits)}
          .hint(kRecoverHint);
    return Anchor{head_, commits, progress};
  }

 private:
  using Details = std::map<std::string, std::string>;

  Status run(std::string_view statement, std::string_view argument) {
    HF_ASSIGN(auto query, db_.prepare(statement));
    return query.bind(1, argument).run();
  }

  Status add_generation(const NewGeneration& generation) {
    HF_ASSIGN(const auto last, db_.integer(sql::last_generation));
    const auto id = static_cast<std::int64_t>(generation.id.value());
    if (id != last + 1)
      return Error{Errc::conflict, fmt::format("generation {} does not follow {}", id, last)};
    HF_ASSIGN(auto document, db_.prepare(sql::add_document));
    HF_TRY(document.bind(1, generation.spec_digest.str())
               .bind(2, well_formed(generation.document))
               .run());
    HF_ASSIGN(auto row, db_.prepare(sql::add_generation));
    row.bind(1, id)
        .bind(2, generation.spec_digest.str())
        .bind(3, milliseconds_of(generation.accepted));
    return row.bind(4, well_formed(generation.actor)).bind(5, well_formed(generation.reason)).run();
  }

  /// The entry that accepts a generation also seals its document.
  Status add_entry(const proto::Entry& entry, const std::optional<NewGeneration>& generation,
                   const Details& details) {
    auto sealed = entry;
    sealed.detail.insert(details.begin(), details.end());
    if (entry.kind == proto::EntryKind::accepted && generation &&
        entry.generation == generation->id.value()) {
      HF_ASSIGN(const auto document, read_document(db_, generation->spec_digest));
      sealed.spec_digest = generation->spec_digest;
      sealed.detail["document_sha256"] = crypto::sha256_hex(document);
    }
    return append(sealed);
  }

  Status append(const proto::Entry& entry) {
    const auto body = proto::encode_entry(entry);
    const Head next{head_.number + 1, proto::entry_hash(head_.number + 1, head_.hash, body)};
    HF_ASSIGN(auto row, db_.prepare(sql::add_entry));
    row.bind(1, static_cast<std::int64_t>(next.number)).bind(2, next.hash);
    HF_TRY(row.bind(3, static_cast<std::int64_t>(entry.generation)).bind_blob(4, body).run());
    head_ = next;
    return ok();
  }

  Status set_result(const ResultChange& change) {
    HF_ASSIGN(auto row, db_.prepare(sql::set_result));
    row.bind(1, static_cast<std::int64_t>(change.id.value())).bind(2, to_string(change.result));
    HF_ASSIGN(const bool found, row.bind(3, well_formed(change.reason)).step());
    if (!found) return Error{Errc::not_found, fmt::format("no generation {}", change.id.value())};
    return row.run();
  }

  Status add_quarantine(const Quarantine& item) {
    HF_ASSIGN(auto row, db_.prepare(sql::add_quarantine));
    row.bind(1, item.spec_digest.str())
        .bind(2, well_formed(item.actor))
        .bind(3, well_formed(item.reason));
    row.bind(4, milliseconds_of(item.since)).bind(5, encode_evidence(item.evidence));
    if (item.until) row.bind(6, milliseconds_of(*item.until));
    return row.run();
  }

  db::Db& db_;
  const Anchor& now_;
  Head head_;
};

class SqliteLedger final : public ReadSide<Ledger> {
 public:
  SqliteLedger(db::Db db, const std::filesystem::path& state_dir, Anchor anchor)
      : ReadSide{std::move(db), state_dir},
        reserve_(state_dir / "reserve"),
        anchor_(std::move(anchor)) {
    reserve_.ensure();
  }

  Result<Head> commit(const Batch& batch) override {
    if (fault_) return Error{*fault_}.in("the ledger is read-only since an earlier failure");
    if (moving_.valid()) HF_TRY(anchor_moved());
    const bool ahead = batch.entries.empty();
    if (ahead) HF_TRY(name_ahead(batch));
    auto written = write(batch);
    if (!written && written.error().code() == Errc::nospace && reserve_.give_up())
      written = write(batch);
    if (!written) {
      auto error = degrade(std::move(written).error()).in("commit to the ledger");
      // What was named ahead is taken back where it is certain that the file does not hold it.
      if (ahead && !fault_) move_anchor();
      return error;
    }
    anchor_ = *written;
    // The transaction is durable: its entry covers it until HEAD does, which must be there before
    // the next. A rollback does not wait for its flush.
    if (!ahead) move_anchor();
    reserve_.ensure();
    return anchor_.head;
  }

  Result<std::optional<std::string>> progress() override { return read_progress(db_); }

 private:
  void move_anchor() {
    moving_ = std::async(std::launch::async, write_anchor, state_dir_, anchor_);
  }

  /// No entry tells of the progress of this batch, so HEAD does, before the file holds it.
  Status name_ahead(const Batch& batch) {
    auto named = write_anchor(state_dir_, {anchor_.head, anchor_.commits + 1,
                                           progress_after(anchor_, batch), anchor_.progress});
    if (named) return ok();
    moving_ = std::async(std::launch::deferred, write_anchor, state_dir_, anchor_);
    return degrade(std::move(named).error()).in("commit to the ledger");
  }

  Result<Anchor> write(const Batch& batch) {
    HF_ASSIGN(auto transaction, db::Transaction::begin(db_, db::Begin::immediate));
    HF_ASSIGN(auto anchor, (Writer{db_, anchor_}.write(batch)));
    HF_TRY(transaction.commit());
    return anchor;
  }

  /// HEAD names the last commit. After want of space or descriptors it is tried again, as nothing
  /// is undecided then.
  Status anchor_moved() {
    const auto passes = [](const Status& status) {
      return !status &&
             (status.error().code() == Errc::nospace || status.error().code() == Errc::busy);
    };
    auto moved = moving_.get();
    if (passes(moved)) moved = write_anchor(state_dir_, anchor_);
    if (!moved) {
      const bool again = passes(moved);
      auto error = degrade(std::move(moved).error());
      if (again) moving_ = std::async(std::launch::deferred, write_anchor, state_dir_, anchor_);
      return error;
    }
    return ok();
  }

  /// A full disk leaves nothing undecided and may be tried again; after any other storage error
  /// nobody knows what the disk holds, so nothing more is written by this process.
  Error degrade(Error error) {
    switch (error.code()) {
      case Errc::nospace:
      case Errc::busy:
      case Errc::conflict:
      case Errc::not_found:
      case Errc::internal:
        return error;
      case Errc::ledger_corrupt:
        fault_ = error;
        return error;
      default:
        fault_ = Error{Errc::io, error.what()}.hint(
            "check the disk, then restart holdfastd; containers keep running");
        return *fault_;
    }
  }

  Reserve reserve_;
  Anchor anchor_;
  std::future<Status> moving_;  ///< HEAD on its way to name the last commit; its end waits for it
  std::optional<Error> fault_;
};

/// For who asks while an agent writes.
class BesideWriter final : public ReadSide<Reader> {
 public:
  using ReadSide::ReadSide;
  Result<std::string> document(const proto::Digest& spec_digest) override {
    return read_accepted_document(db_, spec_digest);
  }
};

bool has_instances(const std::filesystem::path& state_dir) {
  std::error_code failed;
  const auto instances = state_dir / "instances";
  return std::filesystem::exists(instances, failed) &&
         !std::filesystem::is_empty(instances, failed);
}

/// A file that is gone or empty is no new ledger when there was one before.
Status check_there(const std::filesystem::path& state_dir) {
  std::error_code failed;
  const auto path = state_dir / "ledger.db";
  const bool gone = !std::filesystem::exists(path, failed);
  if (!gone && !std::filesystem::is_regular_file(std::filesystem::symlink_status(path, failed)))
    return Error{Errc::ledger_corrupt, "ledger.db is not a regular file"}.hint(kRecoverHint);
  if (!gone && std::filesystem::file_size(path, failed) > 0) return ok();
  HF_ASSIGN(const auto anchor, read_anchor(state_dir));
  const auto what = gone ? "gone" : "empty";
  if (anchor && anchor->head.number > 0)
    return Error{Errc::ledger_truncated,
                 fmt::format("ledger.db is {}, HEAD names entry {}", what, anchor->head.number)}
        .hint(kRecoverHint);
  if (has_instances(state_dir) || !backups(state_dir).empty())
    return Error{Errc::ledger_truncated,
                 fmt::format("ledger.db is {}, but this state directory is not new", what)}
        .hint(kRecoverHint);
  return ok();
}

constexpr std::string_view kSettings =
    "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA "
    "wal_autocheckpoint = 64; "
    "PRAGMA journal_size_limit = 1048576;";

/// The chain of a ledger from before entries held what they do to the tables covers them from now
/// on.
Result<Anchor> cover_tables(db::Db& db, const Check& check, const Anchor& now) {
  HF_ASSIGN(const auto tables, read_tables(db));
  if (check.told.covered() || (tables.generations().empty() && tables.quarantine().empty()))
    return now;
  proto::Entry entry;
  entry.kind = proto::EntryKind::agent_started;
  entry.time = SystemClock{}.wall();
  entry.actor = "agent";
  entry.reason = "from here on the chain covers generations and quarantine";
  HF_ASSIGN(auto transaction, db::Transaction::begin(db, db::Begin::immediate));
  HF_ASSIGN(auto anchor,
            (Writer{db, now}.write({.entries = {std::move(entry)}}, seal_all(tables))));
  HF_TRY(transaction.commit());
  return anchor;
}

Result<Anchor> check_and_anchor(db::Db& db, const std::filesystem::path& state_dir) {
  HF_ASSIGN(const auto verdict, db.text("PRAGMA quick_check(1)"));
  if (verdict != "ok") return Error{Errc::ledger_corrupt, verdict}.hint(kRecoverHint);
  HF_ASSIGN(const auto anchor, read_anchor(state_dir));
  HF_ASSIGN(auto check, check_chain(db, anchor, Depth::opening));
  if (check.fault) return Error{*check.fault, check.report.fault}.hint(kRecoverHint);
  HF_ASSIGN(const auto progress, read_progress(db));
  HF_ASSIGN(const auto now,
            cover_tables(db, check, {check.report.head, check.commits, progress_digest(progress)}));
  if (!anchor || *anchor != now) HF_TRY(write_anchor(state_dir, now));
  return now;
}

Result<std::unique_ptr<Ledger>> open_checked(const std::filesystem::path& state_dir) {
  const auto path = state_dir / "ledger.db";
  HF_TRY(check_there(state_dir));
  HF_TRY(os::make_directories(state_dir, 0700));
  HF_TRY(os::open_file(path, O_RDWR | O_CREAT, 0600));  // SQLite would make it 0644
  HF_ASSIGN(auto db, db::Db::open(path, db::OpenMode::read_write));
  HF_TRY(db.exec(kSettings));
  HF_TRY(migrate(db, migrations(), path));
  HF_ASSIGN(auto anchor, check_and_anchor(db, state_dir));
  return std::make_unique<SqliteLedger>(std::move(db), state_dir, std::move(anchor));
}

/// Not for want of something, nor of a newer program: the file is not what an agent leaves.
bool is_damage(Errc code) {
  switch (code) {
    case Errc::io:
    case Errc::nospace:
    case Errc::busy:
    case Errc::perm:
    case Errc::conflict:
    case Errc::ledger_truncated:
      return false;
    default:
      return true;
  }
}

}  // namespace

std::string_view to_string(GenerationResult result) {
  switch (result) {
    case GenerationResult::pending:
      return "pending";
    case GenerationResult::good:
      return "good";
    case GenerationResult::failed:
      return "failed";
    case GenerationResult::rolled_back:
      return "rolled_back";
    case GenerationResult::superseded:
      return "superseded";
  }
  return "pending";
}

bool Batch::empty() const {
  return entries.empty() && !generation && results.empty() && !progress && quarantine.empty() &&
         release.empty();
}

void Batch::append(Batch more) {
  const auto move_all = [](auto& from, auto& to) {
    std::move(from.begin(), from.end(), std::back_inserter(to));
  };
  move_all(more.entries, entries);
  move_all(more.results, results);
  move_all(more.quarantine, quarantine);
  move_all(more.release, release);
  if (more.generation) generation = std::move(more.generation);
  if (more.progress) progress = std::move(more.progress);
  urgent = urgent || more.urgent;
}

Result<std::unique_ptr<Ledger>> open_ledger(const std::filesystem::path& state_dir) {
  auto ledger = open_checked(state_dir);
  if (!ledger && is_damage(ledger.error().code()))
    ledger = Error{Errc::ledger_corrupt, ledger.error().what()}.hint(kRecoverHint);
  // Opening needs a little space too, and an agent is to start on a full disk.
  if (!ledger && ledger.error().code() == Errc::nospace && Reserve{state_dir / "reserve"}.give_up())
    ledger = open_checked(state_dir);
  if (!ledger)
    return std::move(ledger).error().in(fmt::format("open the ledger in {}", state_dir.string()));
  return ledger;
}

Result<std::unique_ptr<Reader>> open_reader(const std::filesystem::path& state_dir) {
  HF_ASSIGN(auto db, db::Db::open(state_dir / "ledger.db", db::OpenMode::read_only));
  HF_TRY(check_readable(db));
  return std::unique_ptr<Reader>{std::make_unique<BesideWriter>(std::move(db), state_dir)};
}

}  // namespace holdfast::deploy::ledger
