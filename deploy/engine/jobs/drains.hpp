#pragma once
#include <map>
#include <stop_token>
#include <utility>

#include "deploy/engine/state/parts.hpp"

namespace holdfast::deploy::engine {

/// The end of a drain: connections are counted and cut by jobs, for the kernel walks the whole
/// table of tracked connections for it: 12 ms for an empty one of 262,144 buckets. Engine thread
/// only.
class Drains {
 public:
  explicit Drains(Parts& parts) : parts_(parts) {}

  /// Puts into what is observed the connections counted last of the instances that drain, and has
  /// them counted again when that is due.
  void observe();
  /// Cuts what outlasted the drain, then freezes.
  void start_freeze(const plan::Freeze& freeze);
  /// New connections go to the instances of `table` from now on: none of theirs may be cut, and
  /// none of them may stand still.
  void spare(const plan::RoutingTable& table);

 private:
  struct Freezing {
    plan::Address address = 0;
    std::stop_source spare{};
  };
  /// What a job found out and did.
  struct Cut {
    Result<std::uint32_t> reset;
    Result<std::uint32_t> cut;
  };
  using Counted = Result<std::map<plan::Address, std::uint32_t>>;

  void count();
  void counted(const std::map<plan::InstanceId, plan::Address>& draining,
               const Counted& connections);
  [[nodiscard]] Cut cut(const plan::Freeze& freeze, const std::stop_token& spare);
  void freeze_cut(const plan::Freeze& freeze, const std::stop_token& spare, const Cut& cut);
  void frozen(const plan::InstanceId& id, const Status& done);
  [[nodiscard]] bool is_standby(const plan::InstanceId& id) const;
  void spare(const plan::InstanceId& id, Freezing& freezing);
  void record_reset(const plan::InstanceId& id, std::uint32_t connections);

  Parts& parts_;
  std::map<plan::InstanceId, std::uint32_t> open_;  ///< connections, of draining instances
  bool counting_ = false;                           ///< a job counts them
  BootTime next_count_{};
  std::map<plan::InstanceId, Freezing> freezing_;
};

}  // namespace holdfast::deploy::engine
