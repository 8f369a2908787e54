#pragma once
#include "deploy/engine/state/parts.hpp"

namespace holdfast::deploy::engine {

/// Ends everything because the host goes down (deploy/plan/shutdown.cpp), and only while somebody
/// keeps saying so. Engine thread only.
class Shutdown {
 public:
  explicit Shutdown(Parts& parts) : parts_(parts) {}

  /// At the start of the agent: goes on with what an earlier life in this life of the host began.
  void resume();
  /// Begins it, or tells how far it is. Cannot fail for the ledger's sake: what it does not take is
  /// in the log. Errors: usage (more than a day).
  Result<proto::api::ShutdownProgress> ask(const proto::api::ShutdownRequest& request,
                                           const Actor& actor);
  /// Calls it off when nobody has asked for five minutes: the host stayed up.
  void expire();

 private:
  void record(ledger::Batch batch);
  [[nodiscard]] proto::api::ShutdownProgress progress() const;

  Parts& parts_;
  BootTime asked_{};
  int refused_ = 0;  ///< so often the ledger did not take that it is called off
};

}  // namespace holdfast::deploy::engine
