#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <shared_mutex>
#include <utility>

#include "common/os/fair_mutex.hpp"
#include "deploy/ledger/ledger.hpp"

namespace holdfast::deploy::ledger {

/// From this size of ledger.db-wal on, readers go one at a time.
inline constexpr std::uint64_t kLargeWal = 4ULL << 20;

/// Readers beside the agent that writes. A commit begins the write-ahead log anew where it finds
/// nobody reading; under readers without a gap it would grow as long as they come. Where it is
/// large they take turns, and each leaves a moment before the next. Thread safe.
class Readers {
 public:
  explicit Readers(std::filesystem::path state_dir) : state_dir_(std::move(state_dir)) {}

  /// Calls `use` with a connection of its own. Waits for the one before where they take turns: not
  /// for threads that must not wait. Errors: as `open_reader`; then `use` was not called.
  [[nodiscard]] Status read(const std::function<void(Reader&)>& use);

 private:
  [[nodiscard]] Status read_now(const std::function<void(Reader&)>& use) const;

  std::filesystem::path state_dir_;
  os::FairMutex entrance_;  ///< a shared_mutex alone would let who shares pass for ever
  std::shared_mutex reading_;
};

}  // namespace holdfast::deploy::ledger
