#include "deploy/ledger/migrate.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <array>
#include <string>
#include <vector>

#include "common/os/file.hpp"
#include "deploy/ledger/sql_text.hpp"

namespace holdfast::deploy::ledger {
namespace {

constexpr std::array kMigrations{Migration{1, sql::up_0001, ""},
                                 Migration{2, sql::up_0002, sql::down_0002}};

Status set_version(db::Db& db, std::int64_t version) {
  return db.exec(fmt::format("PRAGMA user_version = {}", version));
}

Status go_forward(db::Db& db, const Migration& step) {
  HF_ASSIGN(auto transaction, db::Transaction::begin(db, db::Begin::immediate));
  HF_TRY(db.exec(step.forward));
  HF_ASSIGN(auto record, db.prepare(sql::add_migration));
  HF_TRY(record.bind(1, step.version).bind(2, step.backward).run());
  HF_TRY(set_version(db, step.version));
  return transaction.commit();
}

Status go_back(db::Db& db, std::int64_t from, std::int64_t to, const std::filesystem::path& path) {
  std::vector<std::string> scripts;
  for (auto version = from; version > to; --version) {
    HF_ASSIGN(auto query, db.prepare(sql::backward_script));
    HF_ASSIGN(const bool found, query.bind(1, version).step());
    if (!found || query.text(0).empty()) {
      return Error{
          Errc::conflict,
          fmt::format("{} is of version {}, this program knows {} and the file holds no way back",
                      path.string(), from, to)}
          .hint(
              "use the newer program, or restore a copy of the state directory from before the "
              "upgrade");
    }
    scripts.push_back(query.text(0));
  }
  const auto backup = fmt::format("{}.v{}", path.string(), from);
  std::error_code ignored;
  std::filesystem::remove(backup, ignored);
  HF_TRY(os::open_file(backup, O_RDWR | O_CREAT | O_EXCL, 0600));  // SQLite would make it 0644
  HF_ASSIGN(auto copy, db.prepare("VACUUM INTO ?1"));
  if (auto copied = copy.bind(1, backup).run(); !copied)
    return std::move(copied).error().in("copy to " + backup);

  HF_ASSIGN(auto transaction, db::Transaction::begin(db, db::Begin::immediate));
  for (const auto& script : scripts) HF_TRY(db.exec(script));
  HF_TRY(db.exec(fmt::format("DELETE FROM migrations WHERE version > {}", to)));
  HF_TRY(set_version(db, to));
  return transaction.commit();
}

}  // namespace

std::span<const Migration> migrations() { return kMigrations; }

Status migrate(db::Db& db, std::span<const Migration> known, const std::filesystem::path& path) {
  HF_ASSIGN(const auto have, db.integer("PRAGMA user_version"));
  const auto want = static_cast<std::int64_t>(known.size());
  if (have > want) return go_back(db, have, want, path);
  for (const auto& step : known.subspan(static_cast<std::size_t>(have))) {
    if (auto done = go_forward(db, step); !done)
      return std::move(done).error().in(fmt::format("migrate to version {}", step.version));
  }
  return ok();
}

}  // namespace holdfast::deploy::ledger
