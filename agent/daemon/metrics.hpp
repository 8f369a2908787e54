#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "agent/daemon/host_stats.hpp"
#include "common/base/clock.hpp"
#include "deploy/desired/intake.hpp"
#include "deploy/engine/snapshot.hpp"
#include "deploy/image/upkeep/figures.hpp"

namespace holdfast::agent::daemon {

/// What the daemon itself has to report, besides the snapshot.
struct DaemonStats {
  bool last_reload_successful = true;
  double last_reload_timestamp = 0;  ///< seconds since the epoch
  deploy::desired::SourceReads source_reads;
  std::optional<proto::api::SourceStatus> source;
  std::map<Errc, std::uint64_t> source_refusals;
  std::size_t api_connections = 0;
  bool engine_alive = true;
  deploy::image::UpkeepStats images;
  HostStats host;
  std::map<std::string, double> setup_incomplete;  ///< by key of agent.yaml
};

/// Everything in the Prometheus text format, made from the snapshot when somebody asks: nothing is
/// kept between scrapes, and series go with what they describe. Names: metrics_table.hpp.
/// Also reads /proc/self. Never a full digest, no label value from outside but
/// names of services and of the deployment.
[[nodiscard]] std::string metrics_text(const deploy::engine::Snapshot& snapshot,
                                       const DaemonStats& figures);

}  // namespace holdfast::agent::daemon
