#pragma once
#include <memory>

#include "agent/daemon/daemon.hpp"

namespace holdfast::agent::daemon {

/// The composition root: the one place that knows every real part. Opens the ledger, adopts what
/// runs, starts no thread. A ledger that was tampered with does not keep the agent from watching
/// over what runs: it is opened for reading only. Errors: runtime, conmon, cni (each with what to
/// install), io, ledger_corrupt when nothing can be read.
[[nodiscard]] Result<std::unique_ptr<Agent>> compose(const proto::AgentConfig& config,
                                                     const Clock& clock);

}  // namespace holdfast::agent::daemon
