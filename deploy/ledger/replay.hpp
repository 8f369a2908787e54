#pragma once
#include <cstdint>

#include "common/base/result.hpp"
#include "common/db/db.hpp"
#include "deploy/ledger/ledger.hpp"

namespace holdfast::deploy::ledger {

/// Takes entries of another file over into a ledger that is being rebuilt, as long as each one
/// follows from the one before. Generations, results and quarantine follow from the entries, which
/// the chain covers; the tables of a damaged file are not believed.
class Replay {
 public:
  /// `into` holds a whole chain that ends at `head`; `in_force` is the generation in force there.
  Replay(db::Db& into, Head head, GenerationId in_force)
      : into_(into), head_(std::move(head)), in_force_(in_force) {}

  /// How many entries were taken over; ends without an error at the first that does not follow, or
  /// cannot be read. Errors: of `into`, which then must not be used.
  [[nodiscard]] Result<std::uint64_t> take_over(db::Db& from);

  [[nodiscard]] const Head& head() const { return head_; }
  [[nodiscard]] GenerationId in_force() const { return in_force_; }

 private:
  struct Row;
  [[nodiscard]] Result<bool> follows(db::Db& from, Row& row);
  [[nodiscard]] Status keep(const Row& row);
  [[nodiscard]] Status apply(const Row& row);
  [[nodiscard]] Status accept(const Row& row);
  [[nodiscard]] Status roll_back(const proto::Entry& entry);
  [[nodiscard]] Status set_result(std::uint64_t id, GenerationResult result,
                                  const std::string& reason);
  [[nodiscard]] Status quarantine(const proto::Entry& entry);

  db::Db& into_;
  Head head_;
  GenerationId in_force_;
};

}  // namespace holdfast::deploy::ledger
