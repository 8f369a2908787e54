#include <algorithm>

#include "common/os/file.hpp"
#include "deploy/ledger/backup.hpp"
#include "deploy/ledger/check.hpp"
#include "deploy/ledger/ledger.hpp"
#include "deploy/ledger/match_chain.hpp"
#include "deploy/ledger/migrate.hpp"
#include "deploy/ledger/queries.hpp"
#include "deploy/plan/model/state.hpp"

namespace holdfast::deploy::ledger {
namespace {

/// What is believed of a damaged file.
struct Belief {
  bool stale = true;             ///< it may be older than what runs, or was changed by others
  std::optional<Tables> told{};  ///< by a whole chain; else the file's own rows
  std::optional<std::string> progress{};  ///< instead of the file's own
};

class DamagedLedger final : public ReadSide<Ledger> {
 public:
  DamagedLedger(db::Db db, const std::filesystem::path& state_dir, Error why, Belief belief)
      : ReadSide{std::move(db), state_dir}, why_(std::move(why)), belief_(std::move(belief)) {}
  Result<Head> commit(const Batch&) override { return Error{why_}.in("commit to the ledger"); }
  Result<std::string> document(const proto::Digest& spec_digest) override {
    return read_accepted_document(db_, spec_digest);
  }
  Result<std::vector<Generation>> generations() override {
    if (!belief_.told) return read_generations(db_);
    return rows(belief_.told->generations());
  }
  Result<std::vector<Quarantine>> quarantine() override {
    if (!belief_.told) return read_quarantine(db_);
    return rows(belief_.told->quarantine());
  }
  Result<std::optional<std::string>> progress() override {
    if (belief_.progress) return belief_.progress;
    return read_progress(db_);
  }
  [[nodiscard]] bool stale() const override { return belief_.stale; }

 private:
  /// Ordered as the tables are read: generations newest first, quarantine by time.
  static std::vector<Generation> rows(const std::map<GenerationId, Generation>& told) {
    std::vector<Generation> all;
    for (auto each = told.rbegin(); each != told.rend(); ++each) all.push_back(each->second);
    return all;
  }
  static std::vector<Quarantine> rows(const std::map<proto::Digest, Quarantine>& told) {
    std::vector<Quarantine> all;
    for (const auto& [digest, row] : told) all.push_back(row);
    std::stable_sort(all.begin(), all.end(),
                     [](const auto& a, const auto& b) { return a.since < b.since; });
    return all;
  }

  Error why_;
  Belief belief_;
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

std::optional<std::string> progress_of_a_whole_copy(const std::filesystem::path& state_dir) {
  for (const auto& each : backups(state_dir)) {
    if (!is_whole(each)) continue;
    auto copy = open_readable(each / "ledger.db");
    if (!copy) continue;
    if (auto progress = read_progress(*copy)) return *std::move(progress);
  }
  return std::nullopt;
}

std::optional<plan::Progress> decoded(const std::optional<std::string>& text) {
  auto read = plan::decode_progress(text.value_or("{}"), BootTime{});
  return read ? std::optional{std::move(read).value()} : std::nullopt;
}

/// Whether the state of the engine in the file is one that HEAD or the chain names.
bool progress_is_named(db::Db& db, const std::optional<Anchor>& anchor) {
  if (!anchor) return false;
  const auto last = read_last_commit(db, *anchor);
  return last && (last->progress == anchor->progress || !compare_last(*anchor, *last));
}

/// Where it is not, what runs decides, and where no generation describes that, what was to be done
/// at the newest copy.
std::optional<std::string> progress_instead(db::Db& db, const std::filesystem::path& state_dir,
                                            const Tables& told,
                                            const std::vector<plan::ObservedInstance>& running) {
  auto former = progress_of_a_whole_copy(state_dir);
  auto recorded = decoded(former);
  if (!former) {
    const auto own = read_progress(db);
    recorded = own ? decoded(*own) : std::nullopt;
  }
  auto matched = match_chain(db, told, told.effective_generation(),
                             recorded.value_or(plan::Progress{}), running);
  return matched ? plan::encode_progress(*matched) : former;
}

enum class Age : std::uint8_t { newest, copy };

/// `directory` is where the file and its HEAD are.
Belief belief_in(db::Db& db, const std::filesystem::path& directory, Age age,
                 const std::vector<plan::ObservedInstance>& running) {
  const auto anchor = read_anchor(directory);
  const auto known = anchor ? *anchor : std::nullopt;
  auto check = check_chain(db, known, Depth::opening);
  if (!check) return {};
  Belief belief;
  belief.stale = !known || check->fault == Errc::ledger_truncated || check->tables_differ;
  if (age == Age::copy) belief.stale = true;
  if (check->told.covered() && (age == Age::copy || !progress_is_named(db, known)))
    belief.progress = progress_instead(db, directory, check->told, running);
  if (check->chain_whole && check->told.covered()) belief.told = std::move(check->told);
  return belief;
}

}  // namespace

Result<std::unique_ptr<Ledger>> open_damaged_ledger(
    const std::filesystem::path& state_dir, const Error& why,
    const std::vector<plan::ObservedInstance>& running) {
  const auto make = [&](db::Db db, Belief belief) {
    return std::unique_ptr<Ledger>{
        std::make_unique<DamagedLedger>(std::move(db), state_dir, why, std::move(belief))};
  };
  if (auto own = open_readable(state_dir / "ledger.db")) {
    auto belief = belief_in(*own, state_dir, Age::newest, running);
    return make(std::move(own).value(), std::move(belief));
  }
  auto copies = backups(state_dir);
  std::stable_partition(copies.begin(), copies.end(), is_whole);
  for (const auto& each : copies) {
    auto copy = open_readable(each / "ledger.db");
    if (!copy) continue;
    auto belief = belief_in(*copy, each, Age::copy, running);
    return make(std::move(copy).value(), std::move(belief));
  }
  HF_ASSIGN(auto empty, db::Db::open(":memory:", db::OpenMode::read_write));
  HF_TRY(migrate(empty, migrations(), ":memory:"));
  return make(std::move(empty), {});
}

}  // namespace holdfast::deploy::ledger
