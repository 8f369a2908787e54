#pragma once
#include <optional>
#include <string>

#include "common/base/result.hpp"
#include "common/db/db.hpp"

namespace holdfast::deploy::ledger {

/// Before anything else is read of a file: its tables are tables, and not views over a query that
/// somebody else wrote and that may have no end. A table that is missing is no fault here. Errors:
/// ledger_corrupt, and those of Db.
[[nodiscard]] Status check_readable(db::Db& db);

/// The first table, index or trigger that a ledger of this version does not have, has not, or has
/// otherwise: a trigger could change or refuse what is written. Nothing: there is none.
[[nodiscard]] Result<std::optional<std::string>> schema_difference(db::Db& db);

}  // namespace holdfast::deploy::ledger
