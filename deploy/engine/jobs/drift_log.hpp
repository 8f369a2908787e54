#pragma once
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "deploy/engine/state/parts.hpp"

namespace holdfast::deploy::engine {

/// Differences between declared and real, since when each is known, and what was recorded of it.
/// Engine thread only.
class DriftLog {
 public:
  struct Item {
    WallTime since{};
    plan::Drift drift;
  };

  explicit DriftLog(Parts& parts) : parts_(parts) {}

  /// By `plan::Drift::key`.
  [[nodiscard]] const std::map<std::string, Item>& items() const { return items_; }

  /// Compares what differs now with what differed at the last look, before anything is done about
  /// it; counts and records what came and went. Not during a rollout: what differs then is judged
  /// afterwards.
  void note(const plan::Settings& settings);
  /// The table of routes is put right in the pass that finds it altered, before any picture of it
  /// is made: so it is counted and recorded here.
  void watch_routes();
  /// True when traffic goes so now. Else, where the table is missing or altered, a job makes it
  /// whole by programs, and the pass after that finds it so.
  [[nodiscard]] bool apply_routes(const plan::RoutingTable& table);
  /// True when what could not be made whole is to be tried again now: by a pass that looks again.
  [[nodiscard]] bool expire();
  /// When that is next; `BootTime::max` for never.
  [[nodiscard]] BootTime wake_at() const { return restore_again_; }

 private:
  void tell(proto::EntryKind kind, const plan::Drift& drift, std::string reason,
            std::vector<proto::Entry>& entries);
  void restore(const plan::RoutingTable& table, std::string reason);
  void restored(const plan::RoutingTable& table, const std::string& reason, const Status& done);

  Parts& parts_;
  std::map<std::string, Item> items_;
  std::optional<plan::RoutingTable> applied_routes_;  ///< as we left it; none: not applied yet
  bool routes_altered_ = false;                       ///< since then, by others
  bool restoring_ = false;
  BootTime restore_again_ = BootTime::max();  ///< not before: the last one failed
};

}  // namespace holdfast::deploy::engine
