#pragma once
#include <atomic>
#include <memory>

#include "deploy/engine/commands/rollbacks.hpp"
#include "deploy/engine/jobs/backups.hpp"
#include "deploy/engine/jobs/drift_log.hpp"
#include "deploy/engine/records.hpp"
#include "deploy/engine/snapshot.hpp"
#include "deploy/engine/status.hpp"

namespace holdfast::deploy::engine {

/// Makes the pictures that the API and the metrics see. Engine thread only, but for `latest`.
class Snapshots {
 public:
  struct Sources {
    const DriftLog& drift;
    const Rollbacks& rollbacks;
    const Backups& backups;
  };
  Snapshots(Parts& parts, Sources sources);

  [[nodiscard]] std::shared_ptr<const Snapshot> latest() const { return latest_.load(); }
  /// `ready`: adoption is over.
  void make(bool ready);
  [[nodiscard]] std::vector<proto::api::ServiceStatus> services();
  /// How long it takes until all is healthy is counted from the start of the host, not of the
  /// agent.
  void count_from_boot();

 private:
  [[nodiscard]] StatusInput input();
  [[nodiscard]] std::string disk_low() const;
  void keep_workload_counters();
  [[nodiscard]] bool repairs_layers();
  void note_health(const proto::api::Status& status);

  Parts& parts_;
  Sources sources_;
  RecordsCache cache_;
  std::shared_ptr<const Records> records_;
  WallTime since_{};
  BootTime since_boot_{};  ///< the same
  BootTime counted_from_{};
  double boot_to_healthy_seconds_ = 0;
  std::atomic<std::shared_ptr<const Snapshot>> latest_{std::make_shared<const Snapshot>()};
};

}  // namespace holdfast::deploy::engine
