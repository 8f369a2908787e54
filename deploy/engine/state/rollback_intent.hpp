#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"

namespace holdfast::deploy::engine {

/// That somebody asked for a rollback, where the ledger could not be told: a file in the run
/// directory, which a full or broken disk does not touch.
struct RollbackIntent {
  std::uint64_t from = 0;
  std::uint64_t target = 0;
  std::string actor;
  std::string reason;
  WallTime time{};
};

class RollbackIntentFile {
 public:
  explicit RollbackIntentFile(const std::filesystem::path& run_dir)
      : path_(run_dir / "rollback-intent.json") {}

  /// Replaces what is there. Errors: those of `os::write_atomic`.
  [[nodiscard]] Status write(const RollbackIntent& intent) const;
  /// None without a usable one; an unusable one is removed and the log says so.
  [[nodiscard]] std::optional<RollbackIntent> read() const;
  void remove() const;

 private:
  std::filesystem::path path_;
};

}  // namespace holdfast::deploy::engine
