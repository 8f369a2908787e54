#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>

#include "common/base/clock.hpp"

namespace holdfast::agent::daemon {

/// What lies below state_dir, in bytes; volumes, and what containers write, are others' to count.
struct StoreBytes {
  std::uint64_t layers = 0;
  std::uint64_t blobs = 0;
  std::uint64_t partials = 0;  ///< downloads that broke off
  std::uint64_t logs = 0;
  std::uint64_t ledger = 0;  ///< its copies included
};

/// Looks at most once a minute, at 20,000 files of a kind at most. Blocks; not thread safe.
class StoreSizes {
 public:
  /// `clock` outlives it.
  StoreSizes(std::filesystem::path state_dir, const Clock& clock)
      : state_dir_(std::move(state_dir)), clock_(clock) {}
  [[nodiscard]] const StoreBytes& read();

 private:
  const std::filesystem::path state_dir_;
  const Clock& clock_;
  std::optional<BootTime> looked_;
  StoreBytes bytes_;
};

}  // namespace holdfast::agent::daemon
