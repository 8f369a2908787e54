#include <utility>

#include "agent/daemon/host_stats.hpp"
#include "agent/daemon/metrics_page.hpp"

namespace holdfast::agent::daemon {
namespace {

using deploy::runtime::GroupUsage;
using deploy::runtime::WorkloadUsage;

double number(std::uint64_t value) { return static_cast<double>(value); }

template <class Value>
void each(MetricsPage& page, const HostStats& host, Value value) {
  for (const auto& [name, usage] : host.workloads)
    page.sample(static_cast<double>(value(usage)), {{"workload", name}});
}

void add_processor(MetricsPage& page, const HostStats& host) {
  page.of("holdfast_workload_cpu_usage_seconds_total");
  each(page, host, [](const WorkloadUsage& u) { return u.sum.cpu_seconds; });
  page.of("holdfast_workload_cpu_limit");
  each(page, host, [](const WorkloadUsage& u) { return u.sum.cpu_limit; });
  page.of("holdfast_workload_cpu_periods_total");
  each(page, host, [](const WorkloadUsage& u) { return u.sum.cpu_periods; });
  page.of("holdfast_workload_cpu_throttled_periods_total");
  each(page, host, [](const WorkloadUsage& u) { return u.sum.cpu_throttled_periods; });
  page.of("holdfast_workload_cpu_throttled_seconds_total");
  each(page, host, [](const WorkloadUsage& u) { return u.sum.cpu_throttled_seconds; });
}

void add_memory(MetricsPage& page, const HostStats& host) {
  page.of("holdfast_workload_memory_usage_bytes");
  each(page, host, [](const WorkloadUsage& u) { return u.sum.memory_bytes; });
  page.of("holdfast_workload_memory_working_set_bytes");
  each(page, host, [](const WorkloadUsage& u) { return u.sum.working_set_bytes; });
  page.of("holdfast_workload_memory_limit_bytes");
  each(page, host, [](const WorkloadUsage& u) { return u.sum.memory_limit_bytes; });
  page.of("holdfast_workload_standby_memory_bytes");
  each(page, host, [](const WorkloadUsage& u) { return u.standby_memory_bytes; });
}

void add_the_rest(MetricsPage& page, const HostStats& host) {
  page.of("holdfast_workload_io_read_bytes_total");
  each(page, host, [](const WorkloadUsage& u) { return u.sum.io_read_bytes; });
  page.of("holdfast_workload_io_written_bytes_total");
  each(page, host, [](const WorkloadUsage& u) { return u.sum.io_written_bytes; });
  page.of("holdfast_workload_pids");
  each(page, host, [](const WorkloadUsage& u) { return u.sum.pids; });
  page.of("holdfast_workload_pids_limit");
  each(page, host, [](const WorkloadUsage& u) { return u.sum.pids_limit; });
  page.of("holdfast_workload_pressure_waiting_seconds_total");
  for (const auto& [name, usage] : host.workloads) {
    if (!usage.sum.waiting) continue;
    const auto& waiting = *usage.sum.waiting;
    page.sample(waiting.cpu, {{"workload", name}, {"resource", "cpu"}})
        .sample(waiting.memory, {{"workload", name}, {"resource", "memory"}})
        .sample(waiting.io, {{"workload", name}, {"resource", "io"}});
  }
}

void add_disk(MetricsPage& page, const HostStats& host) {
  page.of("holdfast_host_read_timestamp_seconds").sample(host.read_timestamp);
  page.of("holdfast_store_bytes")
      .sample(number(host.store.layers), {{"kind", "layers"}})
      .sample(number(host.store.blobs), {{"kind", "blobs"}})
      .sample(number(host.store.partials), {{"kind", "partials"}})
      .sample(number(host.store.logs), {{"kind", "logs"}})
      .sample(number(host.store.ledger), {{"kind", "ledger"}});
  page.of("holdfast_state_free_bytes");
  if (host.state_size_bytes != 0) page.sample(number(host.state_free_bytes));
  page.of("holdfast_state_size_bytes");
  if (host.state_size_bytes != 0) page.sample(number(host.state_size_bytes));
}

}  // namespace

void add_host_metrics(MetricsPage& page, const HostStats& host) {
  page.of("holdfast_workload_log_dropped_bytes_total");
  for (const auto& [name, bytes] : host.dropped_log_bytes)
    page.sample(number(bytes), {{"workload", name}});
  add_processor(page, host);
  add_memory(page, host);
  add_the_rest(page, host);
  add_disk(page, host);
}

}  // namespace holdfast::agent::daemon
