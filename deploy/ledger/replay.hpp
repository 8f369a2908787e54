#pragma once
#include <cstdint>

#include "common/base/result.hpp"
#include "common/db/db.hpp"
#include "deploy/ledger/ledger.hpp"
#include "deploy/ledger/tables.hpp"

namespace holdfast::deploy::ledger {

/// Takes entries of another file over into a ledger that is being rebuilt, as long as each one
/// follows from the one before. Generations, results and quarantine follow from the entries, which
/// the chain covers; the tables of a damaged file are not believed.
class Replay {
 public:
  /// `into` holds a whole chain that ends at `head` and tells of `tables`; `effective` is the
  /// effective generation there, as far as its entries do not say.
  Replay(db::Db& into, Head head, Tables tables, GenerationId effective)
      : into_(into), head_(std::move(head)), tables_(std::move(tables)), effective_(effective) {}

  /// How many entries were taken over; ends without an error at the first that does not follow, or
  /// cannot be read. Errors: of `into`, which then must not be used.
  [[nodiscard]] Result<std::uint64_t> take_over(db::Db& from);

  [[nodiscard]] const Head& head() const { return head_; }
  [[nodiscard]] const Tables& tables() const { return tables_; }
  [[nodiscard]] GenerationId effective_generation() const {
    return tables_.effective_generation().value() != 0 ? tables_.effective_generation()
                                                       : effective_;
  }

 private:
  struct Row;
  [[nodiscard]] Result<bool> follows(db::Db& from, Row& row);
  [[nodiscard]] Status keep(const Row& row);
  [[nodiscard]] Status write_tables();

  db::Db& into_;
  Head head_;
  Tables tables_;
  GenerationId effective_;
};

}  // namespace holdfast::deploy::ledger
