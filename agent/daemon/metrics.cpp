#include "agent/daemon/metrics.hpp"

#include <algorithm>
#include <map>

#include "agent/daemon/metrics_page.hpp"

namespace holdfast::agent::daemon {
namespace {

namespace api = proto::api;
using deploy::engine::Counters;
using deploy::engine::Snapshot;
using deploy::engine::WorkloadCounters;

double seconds_of(const std::string& rfc3339) {
  const auto time = parse_rfc3339(rfc3339);
  return time ? std::chrono::duration<double>(time->time_since_epoch()).count() : 0;
}

/// Those that a rehearsal ends with.
constexpr auto kVerdicts = std::span{proto::Words<api::RehearsalState>::kAll}.subspan(
    static_cast<std::size_t>(api::RehearsalState::passed));

double number(std::uint64_t value) { return static_cast<double>(value); }

std::string short_digest(const std::string& digest) {
  const auto colon = digest.find(':');
  return digest.substr(colon == std::string::npos ? 0 : colon + 1, 12);
}

void add_generations(MetricsPage& page, const Snapshot& snapshot) {
  const auto& status = snapshot.status;
  const auto& gauges = snapshot.gauges;
  page.of("holdfast_build_info").sample(1, {{"version", HOLDFAST_VERSION}});
  page.of("holdfast_ready").sample(snapshot.ready);
  page.of("holdfast_boot_to_healthy_seconds").sample(snapshot.gauges.boot_to_healthy_seconds);
  page.of("holdfast_deployment_info");
  if (!status.deployment.empty())
    page.sample(1,
                {{"deployment", status.deployment}, {"digest", short_digest(status.spec_digest)}});
  page.of("holdfast_deployment_state").one_of("state", status.state);
  page.of("holdfast_generation_current").sample(number(status.generation));
  page.of("holdfast_generation_good").sample(number(gauges.good_generation));
  page.of("holdfast_rollback_target_generation").sample(number(status.rollback.generation));
  page.of("holdfast_rollback_target_ready")
      .sample(status.rollback.generation == 0 || status.rollback.ready);
  page.of("holdfast_rollback_ready_generations").sample(number(gauges.rollback_ready_generations));
  page.of("holdfast_held").sample(status.hold.has_value());
  page.of("holdfast_hold_since_timestamp_seconds")
      .sample(status.hold ? seconds_of(status.hold->since) : 0);
  page.of("holdfast_hold_until_timestamp_seconds")
      .sample(status.hold ? seconds_of(status.hold->until) : 0);
  page.of("holdfast_source_quarantined").sample(status.quarantined.has_value());
  page.of("holdfast_quarantined_documents").sample(number(gauges.quarantined));
  page.of("holdfast_last_change_timestamp_seconds").sample(gauges.last_change_timestamp);
}

void add_rollouts(MetricsPage& page, const Snapshot& snapshot) {
  const auto& counters = snapshot.counters;
  const auto& gauges = snapshot.gauges;
  page.of("holdfast_rollout_in_progress").sample(snapshot.status.rollout.has_value());
  page.of("holdfast_rollout_waiting").samples("for", gauges.waiting);
  page.of("holdfast_rollouts_total").samples("result", counters.rollouts);
  page.of("holdfast_rollout_phase_duration_seconds");
  for (const auto& [phase, histogram] : counters.phase_seconds)
    page.sample(histogram, {{"phase", phase}});
  page.of("holdfast_rollbacks_total").samples("trigger", counters.rollbacks);
  page.of("holdfast_last_rollback_timestamp_seconds").samples("trigger", counters.last_rollback);
  page.of("holdfast_connections_reset_total").sample(number(counters.reset_connections));
}

void add_readiness(MetricsPage& page, const Snapshot& snapshot) {
  const auto& counters = snapshot.counters;
  const auto& gauges = snapshot.gauges;
  page.of("holdfast_hooks_total");
  for (const auto& [key, count] : counters.hooks)
    page.sample(number(count), {{"stage", key.first}, {"result", key.second}});
  page.of("holdfast_rollback_rehearsal_timestamp_seconds").sample(gauges.rehearsal_timestamp);
  page.of("holdfast_rollback_rehearsal_result")
      .one_of("verdict", kVerdicts, gauges.rehearsal_verdict);
  page.of("holdfast_standby_instances").sample(static_cast<double>(snapshot.status.standby.size()));
  page.of("holdfast_standby_dropped_total").samples("cause", counters.standby_dropped);
}

double start_seconds(const api::ServiceStatus& service) { return seconds_of(service.since); }

void add_workload_states(MetricsPage& page, const std::vector<api::ServiceStatus>& services) {
  const auto running = std::count_if(services.begin(), services.end(),
                                     [](const auto& s) { return s.state == "running"; });
  page.of("holdfast_workloads_desired").sample(static_cast<double>(services.size()));
  page.of("holdfast_workloads_running").sample(static_cast<double>(running));
  page.of("holdfast_workloads_completed")
      .sample(static_cast<double>(std::count_if(
          services.begin(), services.end(), [](const auto& s) { return s.state == "completed"; })));
  page.of("holdfast_workload_info");
  for (const auto& s : services)
    page.sample(1, {{"workload", s.name},
                    {"image", s.image.substr(0, s.image.find('@'))},
                    {"digest", short_digest(s.digest)}});
  page.of("holdfast_workload_state");
  for (const auto& s : services) page.one_of("state", s.state, {{"workload", s.name}});
  page.of("holdfast_workload_health");
  for (const auto& s : services) page.one_of("status", s.health, {{"workload", s.name}});
  page.of("holdfast_workload_start_time_seconds");
  for (const auto& s : services) page.sample(start_seconds(s), {{"workload", s.name}});
}

void add_workload_counters(MetricsPage& page, const Snapshot& snapshot) {
  const auto& workloads = snapshot.counters.workloads;
  const auto each = [&](auto value) {
    for (const auto& [name, counters] : workloads)
      page.sample(static_cast<double>(value(counters)), {{"workload", name}});
  };
  page.of("holdfast_workload_restarts_total");
  each([](const WorkloadCounters& c) { return c.restarts; });
  page.of("holdfast_workload_oom_kills_total");
  each([](const WorkloadCounters& c) { return c.oom_kills; });
  page.of("holdfast_workload_last_exit_code");
  each([](const WorkloadCounters& c) { return c.last_exit_code; });
  page.of("holdfast_workload_crash_looping");
  for (const auto& s : snapshot.status.services)
    page.sample(s.crash_looping ? 1 : 0, {{"workload", s.name}});
  page.of("holdfast_workload_relaxations");
  for (const auto& [name, count] : snapshot.gauges.relaxations)
    page.sample(count, {{"workload", name}});
  page.of("holdfast_workload_label_info");
  for (const auto& [name, labels] : snapshot.gauges.labels)
    for (const auto& [key, value] : labels)
      page.sample(1, {{"workload", name}, {"key", key}, {"value", value}});
  page.of("holdfast_workload_health_checks_total");
  for (const auto& [name, c] : workloads) {
    page.sample(number(c.probes_success), {{"workload", name}, {"result", "success"}});
    page.sample(number(c.probes_failure), {{"workload", name}, {"result", "failure"}});
    page.sample(number(c.probes_timeout), {{"workload", name}, {"result", "timeout"}});
  }
}

void add_drift(MetricsPage& page, const Snapshot& snapshot) {
  const auto& counters = snapshot.counters;
  const auto& gauges = snapshot.gauges;
  double oldest = 0;
  std::map<std::string, double> since;
  for (const auto& [kind, count] : gauges.drift_now) since.emplace(kind, 0);
  for (const auto& item : snapshot.status.drift) {
    const auto found = seconds_of(item.since);
    if (oldest == 0 || found < oldest) oldest = found;
    auto& of_kind = since[item.kind.str()];
    if (of_kind == 0 || found < of_kind) of_kind = found;
  }
  page.of("holdfast_drift_detected_total").samples("kind", counters.drift_detected);
  page.of("holdfast_drift_repaired_total").samples("kind", counters.drift_repaired);
  page.of("holdfast_drift_items").samples("kind", gauges.drift_now);
  page.of("holdfast_drift_oldest_timestamp_seconds").sample(oldest);
  page.of("holdfast_drift_since_timestamp_seconds").samples("kind", since);
}

void add_image_care(MetricsPage& page, const deploy::image::UpkeepStats& images) {
  page.of("holdfast_image_jobs_total");
  for (const auto* operation : {"pull", "verify", "gc", "export", "import"}) {
    for (const auto* result : {"success", "error"}) {
      const auto found = images.jobs.find({operation, result});
      page.sample(found == images.jobs.end() ? 0 : number(found->second),
                  {{"operation", operation}, {"result", result}});
    }
  }
  page.of("holdfast_image_verified_layers_total").sample(number(images.verified_layers));
  page.of("holdfast_image_verified_bytes_total").sample(number(images.verified_bytes));
  page.of("holdfast_image_damaged_total").sample(number(images.damaged_images));
  page.of("holdfast_image_scrub_completed_timestamp_seconds").sample(images.scrub_completed);
}

void add_images(MetricsPage& page, const Counters& counters) {
  page.of("holdfast_image_pulls_total").samples("result", counters.pulls);
  page.of("holdfast_image_pull_bytes_total").sample(number(counters.pull_bytes));
  page.of("holdfast_image_pull_duration_seconds").sample(counters.pull_seconds);
  page.of("holdfast_verification_failures_total").sample(number(counters.verification_failures));
}

/// Why a document of the source was not accepted: deploy/trust/README.md, and who may write a file.
constexpr std::array kRefusals{Errc::sig_invalid,    Errc::sig_missing,       Errc::too_large,
                               Errc::spec_threshold, Errc::spec_parse,        Errc::ref_invalid,
                               Errc::spec_target,    Errc::spec_rollback,     Errc::spec_expired,
                               Errc::policy,         Errc::spec_equivocation, Errc::host,
                               Errc::perm,           Errc::size_mismatch};

void add_source(MetricsPage& page, const DaemonStats& daemon) {
  const auto source = daemon.source.value_or(api::SourceStatus{});
  page.of("holdfast_source_state").one_of("state", source.state);
  page.of("holdfast_source_age_seconds").sample(source.age_seconds);
  page.of("holdfast_source_serial").sample(number(source.serial));
  page.of("holdfast_source_document_expires_timestamp_seconds").sample(seconds_of(source.expires));
  page.of("holdfast_trust_root_version").sample(number(source.root_version));
  page.of("holdfast_trust_root_expires_timestamp_seconds").sample(seconds_of(source.root_expires));
  page.of("holdfast_source_refusals_total");
  for (const auto reason : kRefusals) {
    const auto found = daemon.source_refusals.find(reason);
    page.sample(found == daemon.source_refusals.end() ? 0 : number(found->second),
                {{"code", code(reason)}});
  }
  std::uint64_t other = 0;
  for (const auto& [reason, count] : daemon.source_refusals)
    if (std::find(kRefusals.begin(), kRefusals.end(), reason) == kRefusals.end()) other += count;
  page.sample(number(other), {{"code", "other"}});
}

void add_agent(MetricsPage& page, const Snapshot& snapshot, const DaemonStats& daemon) {
  const auto& counters = snapshot.counters;
  const auto& gauges = snapshot.gauges;
  page.of("holdfast_reconcile_total").sample(number(counters.reconciles));
  page.of("holdfast_reconcile_duration_seconds").sample(counters.reconcile_seconds);
  page.of("holdfast_engine_alive").sample(daemon.engine_alive);
  page.of("holdfast_ledger_head").sample(number(snapshot.head.number));
  page.of("holdfast_ledger_head_info")
      .sample(1, {{"number", std::to_string(snapshot.head.number)}, {"hash", snapshot.head.hash}});
  page.of("holdfast_ledger_writable").sample(snapshot.ledger_writable);
  page.of("holdfast_ledger_backup_timestamp_seconds").sample(snapshot.gauges.backup_timestamp);
  page.of("holdfast_ledger_backup_head").sample(number(snapshot.gauges.backup_head));
  page.of("holdfast_ledger_backup_failures_total")
      .sample(number(snapshot.counters.backup_failures));
  page.of("holdfast_source_last_success_timestamp_seconds")
      .sample(gauges.source_last_success_timestamp);
  page.of("holdfast_source_reads_total")
      .sample(number(daemon.source_reads.updated), {{"result", "updated"}})
      .sample(number(daemon.source_reads.unchanged), {{"result", "unchanged"}})
      .sample(number(daemon.source_reads.error), {{"result", "error"}});
  add_source(page, daemon);
  page.of("holdfast_config_last_reload_successful").sample(daemon.last_reload_successful);
  page.of("holdfast_setup_incomplete").samples("key", daemon.setup_incomplete);
  page.of("holdfast_config_last_reload_timestamp_seconds").sample(daemon.last_reload_timestamp);
  page.of("holdfast_api_connections").sample(number(daemon.api_connections));
  page.of("holdfast_errors_total").samples("code", counters.errors);
}

}  // namespace

std::string metrics_text(const Snapshot& snapshot, const DaemonStats& figures) {
  MetricsPage page;
  add_generations(page, snapshot);
  add_rollouts(page, snapshot);
  add_readiness(page, snapshot);
  add_workload_states(page, snapshot.status.services);
  add_workload_counters(page, snapshot);
  page.of("holdfast_workload_stop_kills_total");
  for (const auto& [name, kills] : snapshot.counters.stop_kills)
    page.sample(number(kills), {{"workload", name}});
  add_drift(page, snapshot);
  add_images(page, snapshot.counters);
  add_image_care(page, figures.images);
  add_host_metrics(page, figures.host);
  add_agent(page, snapshot, figures);
  add_process_metrics(page);
  return page.text();
}

}  // namespace holdfast::agent::daemon
