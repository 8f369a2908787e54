// What instances use, for the metrics.
#include <algorithm>

#include "deploy/runtime/container_runtime.hpp"

namespace holdfast::deploy::runtime {

std::map<std::string, WorkloadUsage> ContainerRuntime::workload_usage(
    const std::set<std::string>& declared) {
  constexpr Milliseconds kLongest{250};
  const std::lock_guard lock{usage_mutex_};
  auto seen = observe(InspectionDepth::liveness);
  if (!seen) return usages_.all();
  const auto deadline = host_.clock.boot() + kLongest;
  const auto next = std::find_if(seen->begin(), seen->end(),
                                 [&](const auto& each) { return usage_read_ < each.id; });
  std::rotate(seen->begin(), next, seen->end());
  std::vector<UsageReading> readings;
  bool late = false;
  for (const auto& instance : *seen) {
    late = late || host_.clock.boot() > deadline;
    std::optional<GroupUsage> now;
    if (!late) {
      now = host_.cgroups.usage(host_.group(instance.id));
      usage_read_ = instance.id;
    }
    if (!now) now = usages_.last(instance.id);
    if (now)
      readings.push_back({.id = instance.id,
                          .service = instance.service.str(),
                          .frozen = instance.state == InstanceState::frozen,
                          .is_new = instance.started_boot >= opened_,
                          .now = *now});
  }
  usages_.take(readings, declared);
  return usages_.all();
}

}  // namespace holdfast::deploy::runtime
