#include "deploy/ledger/schema.hpp"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "common/base/text.hpp"
#include "deploy/ledger/migrate.hpp"

namespace holdfast::deploy::ledger {
namespace {

constexpr std::string_view kOurTables =
    "('entries', 'documents', 'generations', 'quarantine', 'state', 'migrations')";
constexpr std::size_t kNameInError = 64;

/// By name: what it is, and the statement that makes it. SQLite's own objects have no statement.
using Objects = std::map<std::string, std::pair<std::string, std::string>>;

Result<Objects> read_objects(db::Db& db) {
  Objects found;
  HF_ASSIGN(auto rows,
            db.prepare("SELECT name, type, sql FROM sqlite_master WHERE sql IS NOT NULL"));
  for (;;) {
    HF_ASSIGN(const bool more, rows.step());
    if (!more) return found;
    found.insert_or_assign(rows.text(0), std::pair{rows.text(1), rows.text(2)});
  }
}

std::string described(const Objects::value_type& object) {
  return fmt::format("{} {}", printable(object.second.first),
                     printable(object.first.substr(0, kNameInError)));
}

}  // namespace

Status check_readable(db::Db& db) {
  HF_ASSIGN(auto rows,
            db.prepare(fmt::format("SELECT name FROM sqlite_master WHERE lower(name) IN {} AND "
                                   "type IN ('table', 'view') AND sql NOT LIKE 'CREATE TABLE %'",
                                   kOurTables)));
  HF_ASSIGN(const bool any, rows.step());
  if (!any) return ok();
  return Error{Errc::ledger_corrupt,
               fmt::format("{} is no table: ledger.db was changed by others", rows.text(0))};
}

Result<std::optional<std::string>> schema_difference(db::Db& db) {
  HF_ASSIGN(const auto version, db.integer("PRAGMA user_version"));
  const auto known = migrations();
  if (version < 1 || version > static_cast<std::int64_t>(known.size()))
    return std::optional{fmt::format("no ledger has the version {}", version)};
  HF_ASSIGN(auto model, db::Db::open(":memory:", db::OpenMode::read_write));
  HF_TRY(migrate(model, known.first(static_cast<std::size_t>(version)), ":memory:"));
  HF_ASSIGN(const auto wanted, read_objects(model));
  HF_ASSIGN(const auto found, read_objects(db));
  for (const auto& object : found) {
    const auto same = wanted.find(object.first);
    if (same == wanted.end())
      return std::optional{"the " + described(object) + " belongs to no ledger"};
    if (same->second != object.second)
      return std::optional{"the " + described(object) + " is not that of a ledger"};
  }
  for (const auto& object : wanted)
    if (!found.contains(object.first))
      return std::optional{"the " + described(object) + " is gone"};
  return std::optional<std::string>{};
}

}  // namespace holdfast::deploy::ledger
