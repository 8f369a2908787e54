#pragma once
/// \file
/// The daemon's life: lock, sockets, engine, the io loop, and a clean end.

#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "agent/daemon/api.hpp"
#include "agent/daemon/metrics.hpp"
#include "common/base/clock.hpp"
#include "deploy/desired/source.hpp"
#include "deploy/engine/engine.hpp"
#include "deploy/image/image_store.hpp"
#include "proto/config/agent_config.hpp"

namespace holdfast::agent::daemon {

/// What the composition root builds: the engine and what it stands on. Destroyed after the engine
/// was stopped.
class Agent {
 public:
  virtual ~Agent() = default;
  virtual deploy::engine::Engine& engine() = 0;
  virtual LogRead logs() = 0;
  virtual PrepareExec exec() = 0;
  virtual ReadLedger ledger() = 0;
  virtual deploy::image::ImageStore& images() = 0;
  /// Asked for a scrape, with the names of the services that are declared, on a thread of its own.
  virtual HostStats host_stats(const std::set<std::string>& /*declared*/) { return {}; }
  /// Where deployments come from now; null: nowhere. Errors: those of the kind of source.
  [[nodiscard]] virtual Result<std::unique_ptr<deploy::desired::Source>> open_source(
      const proto::AgentConfig& config) = 0;
  /// What a recovery of the ledger would keep and lose; the real one is done at the next start.
  virtual PlanRecovery plan_recovery() = 0;
};
/// Called once the state directory is locked.
using Compose =
    std::function<Result<std::unique_ptr<Agent>>(const proto::AgentConfig&, const Clock&)>;

/// Reads and checks agent.yaml. Errors: spec_parse, with every fault on a line of its own;
/// perm (others may write it), with the command that mends it; not_found; io.
[[nodiscard]] Result<proto::AgentConfig> load_config(const std::filesystem::path& file);

struct DaemonOptions {
  std::filesystem::path config_file;  ///< read again on SIGHUP
  proto::AgentConfig config;
};

/// How it ended.
enum class End : std::uint8_t {
  stopped,
  restart,  ///< the program restarts in the same process
};

/// Runs until SIGTERM or SIGINT, on the calling thread, which becomes the io thread. After a signal
/// it ends within 10 s, if need be with _exit. Containers keep running. Errors: busy (a second
/// agent on the directories or the socket), port_in_use, perm, io, and those of `compose`.
[[nodiscard]] Result<End> run_daemon(const DaemonOptions& options, const Clock& clock,
                                     const Compose& compose);

}  // namespace holdfast::agent::daemon
