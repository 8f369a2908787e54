#pragma once
#include <cstdint>
#include <string>

#include "common/base/clock.hpp"
#include "deploy/engine/snapshot.hpp"

namespace holdfast::agent::daemon {

/// What the daemon itself has to report, besides the snapshot.
struct DaemonFigures {
  bool last_reload_successful = true;
  double last_reload_timestamp = 0;  ///< seconds since the epoch
  std::uint64_t source_reads_updated = 0;
  std::uint64_t source_reads_unchanged = 0;
  std::uint64_t source_reads_error = 0;
  std::size_t api_connections = 0;
  bool engine_alive = true;
};

/// Everything in the Prometheus text format, made from the snapshot when somebody asks: nothing is
/// kept between scrapes, and series go with what they describe. Names: design.md 9, ecosystem.md 2.
/// Also reads /proc/self. Never a full digest, no label value from outside but names of services
/// and of the deployment.
[[nodiscard]] std::string metrics_text(const deploy::engine::Snapshot& snapshot,
                                       const DaemonFigures& figures);

}  // namespace holdfast::agent::daemon
