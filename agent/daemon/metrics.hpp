#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "common/base/clock.hpp"
#include "deploy/desired/intake.hpp"
#include "deploy/engine/snapshot.hpp"

namespace holdfast::agent::daemon {

/// What happened to the image store besides roll-outs.
struct ImageFigures {
  std::map<std::pair<std::string, std::string>, std::uint64_t> jobs;  ///< by operation and result
  std::uint64_t verified_layers = 0;  ///< hashed again, by people or by the scrub
  std::uint64_t verified_bytes = 0;
  std::uint64_t damaged_images = 0;  ///< found so
  double scrub_completed = 0;        ///< when no layer was due any more; 0: never
};

/// What the host and the containers have to report at this moment.
struct HostFigures {
  std::uint64_t state_free_bytes = 0;  ///< on the file system of state_dir, for the agent
  std::uint64_t state_size_bytes = 0;  ///< 0: it cannot be asked
  std::map<std::string, std::uint64_t> dropped_log_bytes;  ///< by service
};

/// What the daemon itself has to report, besides the snapshot.
struct DaemonFigures {
  bool last_reload_successful = true;
  double last_reload_timestamp = 0;  ///< seconds since the epoch
  deploy::desired::SourceReads source_reads;
  std::size_t api_connections = 0;
  bool engine_alive = true;
  ImageFigures images;
  HostFigures host;
};

/// Everything in the Prometheus text format, made from the snapshot when somebody asks: nothing is
/// kept between scrapes, and series go with what they describe. Names: packaging/doc/design.md 9.
/// Also reads /proc/self. Never a full digest, no label value from outside but
/// names of services and of the deployment.
[[nodiscard]] std::string metrics_text(const deploy::engine::Snapshot& snapshot,
                                       const DaemonFigures& figures);

}  // namespace holdfast::agent::daemon
