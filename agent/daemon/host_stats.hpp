#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "agent/daemon/store_sizes.hpp"
#include "deploy/runtime/observe/workload_usage.hpp"

namespace holdfast::agent::daemon {

class MetricsPage;

/// What the host and the containers have to report at this moment.
struct HostStats {
  double read_timestamp = 0;           ///< seconds since the epoch; 0: not yet
  std::uint64_t state_free_bytes = 0;  ///< on the file system of state_dir, for the agent
  std::uint64_t state_size_bytes = 0;  ///< 0: it cannot be asked
  StoreBytes store;
  std::map<std::string, std::uint64_t> dropped_log_bytes;             ///< by service
  std::map<std::string, deploy::runtime::WorkloadUsage> workloads{};  ///< by service
};

void add_host_metrics(MetricsPage& page, const HostStats& host);

}  // namespace holdfast::agent::daemon
