#pragma once
#include "deploy/engine/state/parts.hpp"

namespace holdfast::deploy::engine {

/// Copies of the ledger, made one at a time on a thread for pulls: a rollback never waits for one.
/// Engine thread only.
class Backups {
 public:
  explicit Backups(Parts& parts) : parts_(parts) {}

  /// Makes one now, or when the one under way is done. Not while the ledger takes nothing.
  void make();
  /// The first after the start, then every hour in which something was recorded.
  void make_when_due();

  [[nodiscard]] double timestamp() const { return timestamp_; }  ///< of the last; 0: none yet
  [[nodiscard]] std::uint64_t head() const { return head_; }     ///< number of its last entry

 private:
  void made(const Result<ledger::Head>& copy);

  Parts& parts_;
  bool running_ = false;
  bool again_ = false;  ///< another was asked for meanwhile
  BootTime next_{};
  double timestamp_ = 0;
  std::uint64_t head_ = 0;
};

}  // namespace holdfast::deploy::engine
