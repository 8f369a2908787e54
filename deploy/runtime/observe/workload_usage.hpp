#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "deploy/plan/model/model.hpp"
#include "deploy/runtime/host/cgroup_usage.hpp"

namespace holdfast::deploy::runtime {

/// What a service uses, over all of its instances. Counters begin with this life of the agent; the
/// rest is of now, and of the instances that are not frozen.
struct WorkloadUsage {
  GroupUsage sum;
  std::uint64_t standby_memory_bytes = 0;  ///< of its frozen instances
};

/// One look at one instance.
struct UsageReading {
  plan::InstanceId id;
  std::string service;
  bool frozen = false;
  bool is_new = false;  ///< made in this life of the agent: all that it has used counts
  GroupUsage now;
};

/// Instances come and go, and their control groups with them; what a service has used only grows.
/// Pure; not thread safe.
class WorkloadUsages {
 public:
  /// Takes a look at all instances. Every service of `declared` or with an instance is in what
  /// `all` gives then; the others go.
  void take(const std::vector<UsageReading>& readings, const std::set<std::string>& declared);
  [[nodiscard]] const std::map<std::string, WorkloadUsage>& all() const { return all_; }
  /// What the last look said of an instance; none for one that it did not see.
  [[nodiscard]] std::optional<GroupUsage> last(const plan::InstanceId& id) const;

 private:
  std::map<std::string, WorkloadUsage> all_;
  std::map<plan::InstanceId, GroupUsage> last_;
};

}  // namespace holdfast::deploy::runtime
