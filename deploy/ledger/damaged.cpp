#include "common/os/file.hpp"
#include "deploy/ledger/backup.hpp"
#include "deploy/ledger/check.hpp"
#include "deploy/ledger/ledger.hpp"
#include "deploy/ledger/migrate.hpp"
#include "deploy/ledger/queries.hpp"
#include "deploy/plan/model/state.hpp"

namespace holdfast::deploy::ledger {
namespace {

class DamagedLedger final : public ReadSide<Ledger> {
 public:
  /// `progress`: instead of the file's own.
  DamagedLedger(db::Db db, const std::filesystem::path& state_dir, Error why, bool stale,
                std::optional<std::string> progress)
      : ReadSide{std::move(db), state_dir},
        why_(std::move(why)),
        stale_(stale),
        progress_(std::move(progress)) {}
  Result<Head> commit(const Batch&) override { return Error{why_}.in("commit to the ledger"); }
  Result<std::string> document(const proto::Digest& spec_digest) override {
    return read_accepted_document(db_, spec_digest);
  }
  Result<std::optional<std::string>> progress() override {
    if (progress_) return progress_;
    return read_progress(db_);
  }
  [[nodiscard]] bool stale() const override { return stale_; }

 private:
  Error why_;
  bool stale_;
  std::optional<std::string> progress_;
};

/// A connection through which the engine can read what it needs to begin.
Result<db::Db> open_readable(const std::filesystem::path& path) {
  HF_ASSIGN(auto db, db::Db::open(path, db::OpenMode::read_only));
  HF_TRY(read_generations(db));
  HF_TRY(read_quarantine(db));
  HF_TRY(read_head(db));
  HF_ASSIGN(const auto text, read_progress(db));
  if (text) HF_TRY(plan::decode_progress(*text, BootTime{}));
  return db;
}

/// Whether HEAD names a commit that the file does not hold, others changed what the chain covers,
/// or nobody knows.
bool is_doubtful(db::Db& db, const std::filesystem::path& state_dir) {
  const auto anchor = read_anchor(state_dir);
  if (!anchor || !*anchor) return true;
  const auto check = check_chain(db, *anchor, Depth::opening);
  return !check || check->fault == Errc::ledger_truncated || check->tables_differ;
}

/// Others have written what the agent is about to do: what it was about to do at the newest copy is
/// nearer to what runs.
std::optional<std::string> progress_instead(db::Db& db, const std::filesystem::path& state_dir) {
  const auto anchor = read_anchor(state_dir);
  if (!anchor || !*anchor) return std::nullopt;
  const auto last = read_last_commit(db, **anchor);
  if (!last) return std::nullopt;
  const auto found = compare_last(**anchor, *last);
  if (!found || found->kind != LastFault::Kind::edited) return std::nullopt;
  for (const auto& each : backups(state_dir)) {
    auto copy = open_readable(each / "ledger.db");
    if (!copy) continue;
    if (auto progress = read_progress(*copy)) return *std::move(progress);
  }
  return std::nullopt;
}

}  // namespace

Result<std::unique_ptr<Ledger>> open_damaged_ledger(const std::filesystem::path& state_dir,
                                                    const Error& why) {
  const auto make = [&](db::Db db, bool stale, std::optional<std::string> progress = {}) {
    return std::unique_ptr<Ledger>{
        std::make_unique<DamagedLedger>(std::move(db), state_dir, why, stale, std::move(progress))};
  };
  if (auto own = open_readable(state_dir / "ledger.db")) {
    const bool doubtful = is_doubtful(*own, state_dir);
    auto instead = progress_instead(*own, state_dir);
    return make(std::move(own).value(), doubtful, std::move(instead));
  }
  for (const auto& each : backups(state_dir)) {
    if (auto copy = open_readable(each / "ledger.db")) return make(std::move(copy).value(), true);
  }
  HF_ASSIGN(auto empty, db::Db::open(":memory:", db::OpenMode::read_write));
  HF_TRY(migrate(empty, migrations(), ":memory:"));
  return make(std::move(empty), true);
}

}  // namespace holdfast::deploy::ledger
