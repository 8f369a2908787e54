#include "deploy/runtime/observe/workload_usage.hpp"

namespace holdfast::deploy::runtime {
namespace {

/// A group that was made anew counts from 0.
template <class T>
T growth(const T& now, const T& before) {
  return now < before ? now : now - before;
}

void add_growth(GroupUsage& sum, const GroupUsage& now, const GroupUsage& before) {
  sum.cpu_seconds += growth(now.cpu_seconds, before.cpu_seconds);
  sum.cpu_periods += growth(now.cpu_periods, before.cpu_periods);
  sum.cpu_throttled_periods += growth(now.cpu_throttled_periods, before.cpu_throttled_periods);
  sum.cpu_throttled_seconds += growth(now.cpu_throttled_seconds, before.cpu_throttled_seconds);
  sum.io_read_bytes += growth(now.io_read_bytes, before.io_read_bytes);
  sum.io_written_bytes += growth(now.io_written_bytes, before.io_written_bytes);
  if (!now.waiting) return;
  if (!sum.waiting) sum.waiting.emplace();
  const auto then = before.waiting.value_or(Waiting{});
  sum.waiting->cpu += growth(now.waiting->cpu, then.cpu);
  sum.waiting->memory += growth(now.waiting->memory, then.memory);
  sum.waiting->io += growth(now.waiting->io, then.io);
}

void add_state(GroupUsage& sum, const GroupUsage& now) {
  sum.cpu_limit += now.cpu_limit;
  sum.memory_bytes += now.memory_bytes;
  sum.working_set_bytes += now.working_set_bytes;
  sum.memory_limit_bytes += now.memory_limit_bytes;
  sum.pids += now.pids;
  sum.pids_limit += now.pids_limit;
}

/// Only what grows stays from one look to the next.
void forget_state(WorkloadUsage& usage) {
  auto& sum = usage.sum;
  sum.cpu_limit = 0;
  sum.memory_bytes = sum.working_set_bytes = sum.memory_limit_bytes = 0;
  sum.pids = sum.pids_limit = 0;
  usage.standby_memory_bytes = 0;
}

}  // namespace

void WorkloadUsages::take(const std::vector<UsageReading>& readings,
                          const std::set<std::string>& declared) {
  auto present = declared;
  for (const auto& reading : readings) present.insert(reading.service);
  std::erase_if(all_, [&](const auto& entry) { return !present.contains(entry.first); });
  for (const auto& name : present) forget_state(all_[name]);
  std::map<plan::InstanceId, GroupUsage> seen;
  for (const auto& reading : readings) {
    auto& usage = all_[reading.service];
    const auto known = last_.find(reading.id);
    const auto before = known != last_.end() ? known->second
                        : reading.is_new     ? GroupUsage{}
                                             : reading.now;
    add_growth(usage.sum, reading.now, before);
    if (reading.frozen) {
      usage.standby_memory_bytes += reading.now.memory_bytes;
    } else {
      add_state(usage.sum, reading.now);
    }
    seen.insert_or_assign(reading.id, reading.now);
  }
  last_ = std::move(seen);
}

std::optional<GroupUsage> WorkloadUsages::last(const plan::InstanceId& id) const {
  const auto found = last_.find(id);
  return found == last_.end() ? std::nullopt : std::optional{found->second};
}

}  // namespace holdfast::deploy::runtime
