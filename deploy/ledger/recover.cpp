#include "deploy/ledger/recover.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "deploy/ledger/backup.hpp"
#include "deploy/ledger/check.hpp"
#include "deploy/ledger/match_chain.hpp"
#include "deploy/ledger/migrate.hpp"
#include "deploy/ledger/queries.hpp"
#include "deploy/ledger/replay.hpp"
#include "deploy/ledger/schema.hpp"
#include "deploy/ledger/sql_text.hpp"
#include "deploy/plan/plan.hpp"
#include "deploy/plan/recovery.hpp"
#include "proto/json/canonical.hpp"
#include "proto/json/json.hpp"

namespace holdfast::deploy::ledger {
namespace {

namespace fs = std::filesystem;
using proto::api::LedgerRecovery;

/// What is wrong; nothing when the ledger is whole.
std::optional<std::string> fault_of(const fs::path& state_dir) {
  std::error_code failed;
  const auto path = state_dir / "ledger.db";
  if (const auto anchor = read_anchor(state_dir); !anchor) return anchor.error().what();
  if (!fs::exists(path, failed)) return "ledger.db is gone";
  if (!fs::is_regular_file(fs::symlink_status(path, failed))) return "ledger.db is no regular file";
  if (fs::file_size(path, failed) == 0) return "ledger.db is empty";
  auto db = db::Db::open(path, db::OpenMode::read_only);
  if (!db) return db.error().what();
  const auto verdict = db->text("PRAGMA quick_check(1)");
  if (!verdict) return verdict.error().what();
  if (*verdict != "ok") return *verdict;
  if (const auto version = db->integer("PRAGMA user_version"); version && *version == 0)
    return "ledger.db does not say its version";
  const auto check = check_beside_writer(*db, state_dir);
  if (!check) return check.error().what();
  if (check->fault) return check->report.fault;
  return std::nullopt;
}

/// Directories with files of damaged ledgers, newest first.
std::vector<fs::path> damaged_before(const fs::path& state_dir) {
  std::vector<fs::path> found;
  std::error_code failed;
  for (const auto& each : fs::directory_iterator{state_dir / "ledger.damaged", failed})
    found.push_back(each.path());
  std::sort(found.rbegin(), found.rend());
  return found;
}

/// A file whose WAL is beside it is read with it; its shared memory is recreated.
Result<db::Db> open_old(const fs::path& directory) {
  HF_ASSIGN(auto db, db::Db::open(directory / "ledger.db", db::OpenMode::read_only));
  HF_TRY(check_readable(db));
  return db;
}

std::uint64_t highest(db::Db& db, std::string_view sql) {
  const auto found = db.integer(sql);
  return found && *found > 0 ? static_cast<std::uint64_t>(*found) : 0;
}

class Recovering {
 public:
  Recovering(const fs::path& state_dir, const RecoverOptions& options)
      : state_dir_(state_dir), options_(options), fresh_(state_dir / "ledger.recovered") {}

  Result<LedgerRecovery> run() {
    auto fault = fault_of(state_dir_);
    if (!fault)
      return Error{Errc::conflict, "the ledger is whole: there is nothing to recover"}.hint(
          "holdfast ledger verify");
    report_.dry_run = options_.dry_run;
    report_.fault = std::move(*fault);
    report_.moved_to = (state_dir_ / "ledger.damaged" / to_rfc3339(options_.now)).string();
    auto done = rebuild();
    if (done && !options_.dry_run) done = put_in_place();
    (void)os::remove_tree(fresh_);
    if (!done) return std::move(done).error().in("recover the ledger");
    return std::move(report_);
  }

 private:
  Status rebuild() {
    HF_TRY(os::remove_tree(fresh_));
    HF_TRY(os::make_directories(fresh_, 0700));
    HF_TRY(begin_with_a_backup());
    HF_ASSIGN(auto db, db::Db::open(fresh_ / "ledger.db", db::OpenMode::read_write));
    HF_TRY(migrate(db, migrations(), fresh_ / "ledger.db"));
    HF_ASSIGN(const auto recorded, recorded_progress(db));
    HF_ASSIGN(auto head, read_head(db));
    HF_ASSIGN(auto told, tables_of(db));
    Replay replay{db, std::move(head), std::move(told), recorded.good};
    HF_TRY(take_over(db, replay));
    find_losses(db, replay.head());
    HF_ASSIGN(const auto next, next_progress(db, replay, recorded));
    report_.generation = next.current.value();
    for (const auto& id : next.kept) report_.kept.push_back(id.str());
    HF_TRY(set_commits(db));
    if (options_.dry_run) return ok();
    HF_ASSIGN(const auto commits, db.integer(sql::commits));
    HF_TRY(write_anchor(fresh_, {replay.head(), static_cast<std::uint64_t>(commits)}));
    return tell(plan::encode_progress(next));
  }

  /// What the chain of a whole copy tells; of one from before entries held it, what its file holds.
  static Result<Tables> tables_of(db::Db& db) {
    HF_ASSIGN(auto check, check_chain(db, std::nullopt, Depth::content));
    if (check.told.covered()) return std::move(check.told);
    return read_tables(db);
  }

  Status begin_with_a_backup() {
    for (const auto& each : backups(state_dir_)) {
      if (!is_whole(each)) {
        useless_.push_back(each);
        continue;
      }
      report_.base = each.filename().string();
      std::error_code failed;
      fs::copy_file(each / "ledger.db", fresh_ / "ledger.db", failed);
      if (failed) return errno_error(failed.value(), "copy " + each.string());
      return ok();
    }
    HF_TRY(os::open_file(fresh_ / "ledger.db", O_RDWR | O_CREAT, 0600));
    return ok();
  }

  static Result<plan::Progress> recorded_progress(db::Db& db) {
    HF_ASSIGN(const auto text, read_progress(db));
    if (!text) return plan::Progress{};
    auto read = plan::decode_progress(*text, BootTime{});
    return read ? std::move(read).value() : plan::Progress{};
  }

  /// From the damaged file, and from what an earlier recovery that was cut off has moved aside.
  Status take_over(db::Db& db, Replay& replay) {
    std::vector<fs::path> places{state_dir_};
    for (auto& each : damaged_before(state_dir_)) places.push_back(std::move(each));
    HF_ASSIGN(auto transaction, db::Transaction::begin(db, db::Begin::immediate));
    for (const auto& place : places) {
      auto old = open_old(place);
      if (!old) continue;
      HF_ASSIGN(const auto taken, replay.take_over(*old));
      report_.taken_over += taken;
    }
    return transaction.commit();
  }

  /// What the damaged file and HEAD say that there was, against what is left.
  void find_losses(db::Db& db, const Head& head) {
    report_.new_head = {head.number, head.hash};
    auto anchor = read_anchor(state_dir_);
    if ((!anchor || !*anchor) && !damaged_before(state_dir_).empty())
      anchor = read_anchor(damaged_before(state_dir_).front());
    if (anchor && *anchor) {
      report_.old_head = {(*anchor)->head.number, (*anchor)->head.hash};
      anchor_ = **anchor;
    }
    const auto known = highest(db, sql::last_generation);
    std::uint64_t last = known;
    if (auto old = open_old(state_dir_)) {
      if (const auto rows = read_head(*old); rows && rows->number > report_.old_head.number)
        report_.old_head = {rows->number, rows->hash};
      last = std::max(last, highest(*old, sql::last_generation));
      old_commits_ = highest(*old, sql::commits);
    }
    for (const auto& seen : options_.running) last = std::max(last, seen.generation);
    if (report_.old_head.hash.empty()) report_.old_head = {0, genesis()};
    if (report_.old_head.number > head.number) {
      report_.lost_first = head.number + 1;
      report_.lost_last = report_.old_head.number;
    }
    // What a damaged file says is no number to count to.
    constexpr std::uint64_t kMostNamed = 1'000;
    last = std::min(last, known + kMostNamed);
    for (auto id = known + 1; id <= last; ++id) report_.lost_generations.push_back(id);
  }

  /// The damaged file's own, when it is as new as HEAD says and speaks of nothing that is lost;
  /// else what runs decides.
  Result<plan::Progress> next_progress(db::Db& db, const Replay& replay,
                                       const plan::Progress& recorded) {
    const auto known = highest(db, sql::last_generation);
    if (auto old = open_old(state_dir_); old && report_.lost_first == 0 && is_as_left(*old)) {
      HF_ASSIGN(const auto own, recorded_progress(*old));
      const bool complete = own.current.value() != 0 && own.current.value() <= known &&
                            (!own.rollout || own.rollout->from.value() <= known);
      if (complete) return own;
    }
    if (auto matched = match_chain(db, replay.tables(), replay.effective_generation(), recorded,
                                   options_.running))
      return *std::move(matched);
    return plan::keep_unknown(recorded, options_.running);
  }

  /// Its last commit is one that HEAD or an entry names.
  [[nodiscard]] bool is_as_left(db::Db& old) const {
    if (anchor_.commits == 0) return false;
    const auto last = read_last_commit(old, anchor_);
    return last && !compare_last(anchor_, *last);
  }

  /// They count what was ever committed here, so that an older copy is told apart later too.
  /// A number that nobody can have counted to is an edited one.
  Status set_commits(db::Db& db) {
    constexpr std::uint64_t kMost = 1ULL << 48U;
    std::uint64_t commits = highest(db, sql::commits);
    for (const auto counted : {anchor_.commits, old_commits_})
      if (counted < kMost) commits = std::max(commits, counted);
    if (commits >= kMost) commits = highest(db, "SELECT COUNT(*) FROM entries");
    HF_ASSIGN(auto set, db.prepare("UPDATE state SET commits = ?1 WHERE id = 1"));
    return set.bind(1, static_cast<std::int64_t>(commits)).run();
  }

  /// The entry that tells of it, as a ledger writes entries.
  Status tell(std::string progress) {
    HF_ASSIGN(auto ledger, open_ledger(fresh_));
    proto::Entry entry;
    entry.kind = proto::EntryKind::recovered;
    entry.time = options_.now;
    entry.actor = options_.actor;
    entry.reason = options_.reason;
    entry.generation = report_.generation;
    const auto put = [&](const char* key, std::string value) {
      if (!value.empty()) entry.detail.emplace(key, std::move(value));
    };
    put("fault", report_.fault);
    put("old_head", fmt::format("{} {}", report_.old_head.number, report_.old_head.hash));
    put("new_head", fmt::format("{} {}", report_.new_head.number, report_.new_head.hash));
    put("backup", report_.base);
    put("taken_over", std::to_string(report_.taken_over));
    if (report_.lost_first != 0)
      put("lost_entries", fmt::format("{}-{}", report_.lost_first, report_.lost_last));
    put("lost_generations", fmt::format("{}", fmt::join(report_.lost_generations, " ")));
    put("kept", fmt::format("{}", fmt::join(report_.kept, " ")));
    put("moved_to", report_.moved_to);
    HF_TRY(ledger->commit({.entries = {std::move(entry)}, .progress = std::move(progress)}));
    ledger.reset();  // all of it is in the one file then
    std::error_code failed;
    if (fs::exists(fresh_ / "ledger.db-wal", failed))
      return Error{Errc::io, "the new ledger could not be closed"};
    HF_ASSIGN(const auto fd, os::open_file(fresh_ / "ledger.db", O_RDONLY));
    if (::fsync(fd.get()) != 0) return errno_error(errno, "fsync ledger.db");
    return ok();
  }

  static Status move(const fs::path& from, const fs::path& to) {
    if (::rename(from.c_str(), to.c_str()) == 0 || errno == ENOENT) return ok();
    return errno_error(errno, fmt::format("move {} to {}", from.string(), to.string()));
  }

  /// The old files first, all of them: a WAL must never lie beside another database.
  Status put_in_place() {
    const fs::path aside = report_.moved_to;
    HF_TRY(os::make_directories(aside, 0700));
    HF_TRY(move(state_dir_ / "ledger.db", aside / "ledger.db"));
    HF_TRY(move(state_dir_ / "ledger.db-wal", aside / "ledger.db-wal"));
    HF_TRY(move(state_dir_ / "HEAD", aside / "HEAD"));
    (void)::unlink((state_dir_ / "ledger.db-shm").c_str());
    for (const auto& each : useless_)
      HF_TRY(move(each, aside / ("backup-" + each.filename().string())));
    HF_TRY(os::sync_directory(aside));
    HF_TRY(os::sync_directory(state_dir_));
    HF_TRY(move(fresh_ / "ledger.db", state_dir_ / "ledger.db"));
    HF_TRY(move(fresh_ / "HEAD", state_dir_ / "HEAD"));
    return os::sync_directory(state_dir_);
  }

  const fs::path& state_dir_;
  const RecoverOptions& options_;
  const fs::path fresh_;
  LedgerRecovery report_;
  std::vector<fs::path> useless_;  ///< copies that are not whole
  Anchor anchor_;
  std::uint64_t old_commits_ = 0;
};

fs::path request_file(const fs::path& state_dir) { return state_dir / "recovery-request.json"; }

}  // namespace

Result<LedgerRecovery> recover_ledger(const fs::path& state_dir, const RecoverOptions& options) {
  return Recovering{state_dir, options}.run();
}

Status request_recovery(const fs::path& state_dir, const RecoveryRequest& request) {
  return os::write_atomic(request_file(state_dir),
                          encode_evidence({{"actor", request.actor}, {"reason", request.reason}}),
                          0600);
}

std::optional<RecoveryRequest> requested_recovery(const fs::path& state_dir) {
  const auto text = os::read_regular_file(request_file(state_dir), 64U << 10);
  if (!text) return std::nullopt;
  auto fields = decode_evidence(*text);
  if (!fields) return RecoveryRequest{"agent", {}};
  return RecoveryRequest{(*fields)["actor"], (*fields)["reason"]};
}

void forget_recovery(const fs::path& state_dir) {
  std::error_code ignored;
  fs::remove(request_file(state_dir), ignored);
}

}  // namespace holdfast::deploy::ledger
