#include <algorithm>

#include "common/os/file.hpp"
#include "deploy/ledger/backup.hpp"
#include "deploy/ledger/check.hpp"
#include "deploy/ledger/ledger.hpp"
#include "deploy/ledger/match_chain.hpp"
#include "deploy/ledger/migrate.hpp"
#include "deploy/ledger/queries.hpp"
#include "deploy/ledger/schema.hpp"
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

/// A connection through which nothing but rows can be read.
Result<db::Db> open_readable(const std::filesystem::path& path) {
  HF_ASSIGN(auto db, db::Db::open(path, db::OpenMode::read_only));
  HF_TRY(check_readable(db));
  return db;
}

/// Whether the rows of its tables are what an engine can begin with.
bool has_readable_rows(db::Db& db) { return read_generations(db) && read_quarantine(db); }

std::optional<plan::Progress> decoded(const std::optional<std::string>& text) {
  auto read = plan::decode_progress(text.value_or("{}"), BootTime{});
  return read ? std::optional{std::move(read).value()} : std::nullopt;
}

std::optional<std::string> progress_of_a_whole_copy(const std::filesystem::path& state_dir) {
  for (const auto& each : backups(state_dir)) {
    if (!is_whole(each)) continue;
    auto copy = open_readable(each / "ledger.db");
    if (!copy) continue;
    auto progress = read_progress(*copy);
    if (progress && decoded(*progress)) return *std::move(progress);
  }
  return std::nullopt;
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
  if (matched) return plan::encode_progress(*matched);
  return former || recorded ? former : plan::encode_progress(plan::Progress{});
}

enum class Age : std::uint8_t { newest, copy };

/// A file, and what is believed of it.
struct Source {
  db::Db db;
  Belief belief{};
  bool tells = false;  ///< its chain, or the beginning of it, tells of generations
};

/// `directory` is where the file and its HEAD are. Nothing: an engine cannot begin with it.
std::optional<Source> open_source(const std::filesystem::path& directory, Age age,
                                  const std::vector<plan::ObservedInstance>& running) {
  auto db = open_readable(directory / "ledger.db");
  if (!db) return std::nullopt;
  Source source{std::move(db).value()};
  auto& belief = source.belief;
  const auto anchor = read_anchor(directory);
  const auto known = anchor ? *anchor : std::nullopt;
  if (auto check = check_chain(source.db, known, Depth::opening)) {
    source.tells = check->told.covered();
    belief.stale = !known || check->fault == Errc::ledger_truncated || check->tables_differ ||
                   age == Age::copy;
    if (source.tells && (age == Age::copy || !progress_is_named(source.db, known)))
      belief.progress = progress_instead(source.db, directory, check->told, running);
    if (check->chain_whole && source.tells) belief.told = std::move(check->told);
  }
  if (!belief.told && !has_readable_rows(source.db)) return std::nullopt;
  if (belief.progress) return source;
  const auto progress = read_progress(source.db);
  if (!progress || !decoded(*progress)) return std::nullopt;
  return source;
}

/// The file itself where it tells anything, else the newest copy that does, whole ones first.
std::optional<Source> best_source(const std::filesystem::path& state_dir,
                                  const std::vector<plan::ObservedInstance>& running) {
  auto best = open_source(state_dir, Age::newest, running);
  auto copies = backups(state_dir);
  std::stable_partition(copies.begin(), copies.end(), is_whole);
  for (const auto& each : copies) {
    if (best && best->tells) break;
    auto copy = open_source(each, Age::copy, running);
    if (copy && (!best || copy->tells)) best = std::move(copy);
  }
  return best;
}

}  // namespace

Result<std::unique_ptr<Ledger>> open_damaged_ledger(
    const std::filesystem::path& state_dir, const Error& why,
    const std::vector<plan::ObservedInstance>& running) {
  const auto make = [&](db::Db db, Belief belief) {
    return std::unique_ptr<Ledger>{
        std::make_unique<DamagedLedger>(std::move(db), state_dir, why, std::move(belief))};
  };
  if (auto source = best_source(state_dir, running))
    return make(std::move(source->db), std::move(source->belief));
  HF_ASSIGN(auto empty, db::Db::open(":memory:", db::OpenMode::read_write));
  HF_TRY(migrate(empty, migrations(), ":memory:"));
  return make(std::move(empty), {});
}

}  // namespace holdfast::deploy::ledger
