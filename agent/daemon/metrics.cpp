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
  page.gauge("holdfast_build_info", "Version of the agent, always 1.")
      .sample(1, {{"version", HOLDFAST_VERSION}});
  page.gauge("holdfast_ready", "Whether what runs has been adopted and the first pass is done.")
      .sample(snapshot.ready);
  page.gauge("holdfast_boot_to_healthy_seconds",
             "Until all that is declared was healthy, from the start of the host, or of the agent "
             "when the "
             "host was up before; 0: not yet.")
      .sample(snapshot.gauges.boot_to_healthy_seconds);
  page.gauge("holdfast_deployment_info",
             "What the host converges to, always 1; the digest is shortened.");
  if (!status.deployment.empty())
    page.sample(1,
                {{"deployment", status.deployment}, {"digest", short_digest(status.spec_digest)}});
  page.gauge("holdfast_deployment_state", "State of the deployment.").one_of("state", status.state);
  page.gauge("holdfast_generation_current", "Generation the host converges to; 0 before the first.")
      .sample(number(status.generation));
  page.gauge("holdfast_generation_good",
             "Newest generation that passed its health gate and soak; 0 before the first.")
      .sample(number(gauges.good_generation));
  page.gauge("holdfast_rollback_ready_generations",
             "Generations that can be made current again at once, without the network.")
      .sample(number(gauges.rollback_ready_generations));
  page.gauge("holdfast_held", "Whether an operator's hold is active.")
      .sample(status.hold.has_value());
  page.gauge("holdfast_hold_since_timestamp_seconds",
             "Since when an operator's hold is active; 0 without one.")
      .sample(status.hold ? seconds_of(status.hold->since) : 0);
  page.gauge("holdfast_hold_until_timestamp_seconds",
             "When the hold ends by itself; 0: it does not, or there is none.")
      .sample(status.hold ? seconds_of(status.hold->until) : 0);
  page.gauge("holdfast_source_quarantined",
             "Whether what the source declares is quarantined and so does not run.")
      .sample(status.quarantined.has_value());
  page.gauge("holdfast_quarantined_documents",
             "Documents that were rolled back from and are not applied again.")
      .sample(number(gauges.quarantined));
  page.gauge("holdfast_last_change_timestamp_seconds",
             "Time of the last change of what runs; 0: never.")
      .sample(gauges.last_change_timestamp);
}

void add_rollouts(MetricsPage& page, const Snapshot& snapshot) {
  const auto& counters = snapshot.counters;
  const auto& gauges = snapshot.gauges;
  page.gauge("holdfast_rollout_in_progress", "Whether a rollout is under way.")
      .sample(snapshot.status.rollout.has_value());
  page.gauge("holdfast_rollout_waiting", "What an accepted rollout waits for.")
      .samples("for", gauges.waiting);
  page.counter("holdfast_rollouts_total", "Rollouts by result.")
      .samples("result", counters.rollouts);
  page.histogram("holdfast_rollout_phase_duration_seconds", "Time of one phase of a rollout.");
  for (const auto& [phase, histogram] : counters.phase_seconds)
    page.sample(histogram, {{"phase", phase}});
  page.counter("holdfast_rollbacks_total",
               "Returns to an earlier generation by what asked for them.")
      .samples("trigger", counters.rollbacks);
  page.counter("holdfast_connections_reset_total",
               "Connections to an old version that outlasted its drain and were reset.")
      .sample(number(counters.reset_connections));
}

void add_readiness(MetricsPage& page, const Snapshot& snapshot) {
  const auto& counters = snapshot.counters;
  const auto& gauges = snapshot.gauges;
  page.counter("holdfast_hooks_total", "Hooks of rollouts that ended, by stage and result.");
  for (const auto& [key, count] : counters.hooks)
    page.sample(number(count), {{"stage", key.first}, {"result", key.second}});
  page.gauge("holdfast_rollback_rehearsal_timestamp_seconds",
             "When a rollback was last rehearsed to a verdict; 0: never.")
      .sample(gauges.rehearsal_timestamp);
  page.gauge("holdfast_rollback_rehearsal_result", "Verdict of the last rehearsal of a rollback.")
      .one_of("verdict", kVerdicts, gauges.rehearsal_verdict);
  page.gauge("holdfast_standby_instances", "Frozen instances that a rollback would thaw.")
      .sample(static_cast<double>(snapshot.status.standby.size()));
  page.counter("holdfast_standby_dropped_total",
               "Frozen instances that were given up before their time, by cause.")
      .samples("cause", counters.standby_dropped);
}

double start_seconds(const api::ServiceStatus& service) { return seconds_of(service.since); }

void add_workload_states(MetricsPage& page, const std::vector<api::ServiceStatus>& services) {
  const auto running = std::count_if(services.begin(), services.end(),
                                     [](const auto& s) { return s.state == "running"; });
  page.gauge("holdfast_workloads_desired", "Workloads declared.")
      .sample(static_cast<double>(services.size()));
  page.gauge("holdfast_workloads_running", "Workloads that run.")
      .sample(static_cast<double>(running));
  page.gauge("holdfast_workloads_completed", "One-shot workloads that ended with exit code 0.")
      .sample(static_cast<double>(std::count_if(
          services.begin(), services.end(), [](const auto& s) { return s.state == "completed"; })));
  page.gauge("holdfast_workload_info",
             "What a workload is made from, always 1; the digest is shortened.");
  for (const auto& s : services)
    page.sample(1, {{"workload", s.name},
                    {"image", s.image.substr(0, s.image.find('@'))},
                    {"digest", short_digest(s.digest)}});
  page.gauge("holdfast_workload_state", "State of a workload.");
  for (const auto& s : services) page.one_of("state", s.state, {{"workload", s.name}});
  page.gauge("holdfast_workload_health", "Health of a workload.");
  for (const auto& s : services) page.one_of("status", s.health, {{"workload", s.name}});
  page.gauge("holdfast_workload_start_time_seconds",
             "Start of the running process of a workload; 0 without one.");
  for (const auto& s : services) page.sample(start_seconds(s), {{"workload", s.name}});
}

void add_workload_counters(MetricsPage& page, const Snapshot& snapshot) {
  const auto& workloads = snapshot.counters.workloads;
  const auto each = [&](auto value) {
    for (const auto& [name, counters] : workloads)
      page.sample(static_cast<double>(value(counters)), {{"workload", name}});
  };
  page.counter("holdfast_workload_restarts_total",
               "Restarts of a workload's process, without those of a deployment.");
  each([](const WorkloadCounters& c) { return c.restarts; });
  page.counter("holdfast_workload_oom_kills_total", "Processes of a workload killed for memory.");
  each([](const WorkloadCounters& c) { return c.oom_kills; });
  page.gauge("holdfast_workload_last_exit_code",
             "Exit code of the last end of a workload's process; 128 + n for signal n.");
  each([](const WorkloadCounters& c) { return c.last_exit_code; });
  page.gauge("holdfast_workload_crash_looping",
             "Whether the workload ended three times or more since it last ran for ten minutes.");
  for (const auto& [name, looping] : snapshot.gauges.crash_looping)
    page.sample(looping ? 1 : 0, {{"workload", name}});
  page.gauge("holdfast_workload_relaxations",
             "Hardening rules that the deployment relaxes for a workload.");
  for (const auto& [name, count] : snapshot.gauges.relaxations)
    page.sample(count, {{"workload", name}});
  page.gauge("holdfast_workload_label_info",
             "Labels that the deployment gives a workload; one series each.");
  for (const auto& [name, labels] : snapshot.gauges.labels)
    for (const auto& [key, value] : labels)
      page.sample(1, {{"workload", name}, {"key", key}, {"value", value}});
  page.counter("holdfast_workload_health_checks_total", "Health checks by result.");
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
  page.counter("holdfast_drift_detected_total",
               "Differences found that no deployment made, by kind.")
      .samples("kind", counters.drift_detected);
  page.counter("holdfast_drift_repaired_total", "Differences repaired, by kind.")
      .samples("kind", counters.drift_repaired);
  page.gauge("holdfast_drift_items", "Differences now, by kind.").samples("kind", gauges.drift_now);
  page.gauge("holdfast_drift_oldest_timestamp_seconds",
             "Since when the oldest difference is known; 0 without one.")
      .sample(oldest);
  page.gauge("holdfast_drift_since_timestamp_seconds",
             "Since when the oldest difference of a kind is known; 0 without one.")
      .samples("kind", since);
}

void add_image_care(MetricsPage& page, const deploy::image::UpkeepStats& images) {
  page.counter("holdfast_image_jobs_total", "Operations on the image store that people asked for.");
  for (const auto* operation : {"pull", "verify", "gc", "export", "import"}) {
    for (const auto* result : {"success", "error"}) {
      const auto found = images.jobs.find({operation, result});
      page.sample(found == images.jobs.end() ? 0 : number(found->second),
                  {{"operation", operation}, {"result", result}});
    }
  }
  page.counter("holdfast_image_verified_layers_total", "Layers on disk that were hashed again.")
      .sample(number(images.verified_layers));
  page.counter("holdfast_image_verified_bytes_total", "Bytes on disk that were hashed again.")
      .sample(number(images.verified_bytes));
  page.counter("holdfast_image_damaged_total",
               "Images found damaged on disk when they were hashed again.")
      .sample(number(images.damaged_images));
  page.gauge("holdfast_image_scrub_completed_timestamp_seconds",
             "When the scrub last found every layer verified within its interval; 0: never.")
      .sample(images.scrub_completed);
}

void add_images(MetricsPage& page, const Counters& counters) {
  page.counter("holdfast_image_pulls_total", "Image pulls by result.")
      .samples("result", counters.pulls);
  page.counter("holdfast_image_pull_bytes_total", "Compressed bytes received from registries.")
      .sample(number(counters.pull_bytes));
  page.histogram("holdfast_image_pull_duration_seconds", "Time of one image pull.")
      .sample(counters.pull_seconds);
  page.counter("holdfast_verification_failures_total",
               "Images and documents refused because a digest or signature did not fit.")
      .sample(number(counters.verification_failures));
}

void add_host(MetricsPage& page, const HostStats& host) {
  page.counter("holdfast_workload_log_dropped_bytes_total",
               "Output of a workload that the bound of its log took away, since the agent began.");
  for (const auto& [name, bytes] : host.dropped_log_bytes)
    page.sample(number(bytes), {{"workload", name}});
  if (host.state_size_bytes == 0) return;
  page.gauge("holdfast_state_free_bytes", "Free space on the file system of the state directory.")
      .sample(number(host.state_free_bytes));
  page.gauge("holdfast_state_size_bytes", "Size of the file system of the state directory.")
      .sample(number(host.state_size_bytes));
}

/// Why a document of the source was not accepted: deploy/trust/README.md, and who may write a file.
constexpr std::array kRefusals{Errc::sig_invalid,    Errc::sig_missing,       Errc::too_large,
                               Errc::spec_threshold, Errc::spec_parse,        Errc::ref_invalid,
                               Errc::spec_target,    Errc::spec_rollback,     Errc::spec_expired,
                               Errc::policy,         Errc::spec_equivocation, Errc::host,
                               Errc::perm,           Errc::size_mismatch};

void add_source(MetricsPage& page, const DaemonStats& daemon) {
  const auto source = daemon.source.value_or(api::SourceStatus{});
  page.gauge("holdfast_source_state", "Whether the source's last answer counts.")
      .one_of("state", source.state);
  page.gauge("holdfast_source_age_seconds",
             "Since the source last had a good answer, or since the start; 0 without a source.")
      .sample(source.age_seconds);
  page.gauge("holdfast_source_serial", "Highest serial that was accepted; 0: not signed.")
      .sample(number(source.serial));
  page.gauge("holdfast_source_document_expires_timestamp_seconds",
             "When the accepted document expires, which stops nothing; 0: not signed.")
      .sample(seconds_of(source.expires));
  page.gauge("holdfast_trust_root_version", "Version of the root of trust; 0: not signed.")
      .sample(number(source.root_version));
  page.gauge("holdfast_trust_root_expires_timestamp_seconds",
             "When the root of trust expires, which blocks what is new; 0: not signed.")
      .sample(seconds_of(source.root_expires));
  page.counter("holdfast_source_refusals_total", "Answers of the source that were refused.");
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
  page.counter("holdfast_reconcile_total", "Reconcile passes.").sample(number(counters.reconciles));
  page.histogram("holdfast_reconcile_duration_seconds", "Duration of one reconcile pass.")
      .sample(counters.reconcile_seconds);
  page.gauge("holdfast_engine_alive", "Whether the engine moves; the watchdog is fed only then.")
      .sample(daemon.engine_alive);
  page.gauge("holdfast_ledger_head",
             "Number of the last entry of the ledger: an anchor outside of the host.")
      .sample(number(snapshot.head.number));
  page.gauge("holdfast_ledger_head_info",
             "Number and hash of that entry, always 1: what a rewritten ledger does not lead to.")
      .sample(1, {{"number", std::to_string(snapshot.head.number)}, {"hash", snapshot.head.hash}});
  page.gauge("holdfast_ledger_writable", "Whether the ledger takes entries.")
      .sample(snapshot.ledger_writable);
  page.gauge("holdfast_ledger_backup_timestamp_seconds",
             "When the ledger was last copied to ledger.backup, in this life of the agent; 0: not "
             "yet.")
      .sample(snapshot.gauges.backup_timestamp);
  page.gauge("holdfast_ledger_backup_head", "Number of the last entry in that copy.")
      .sample(number(snapshot.gauges.backup_head));
  page.counter("holdfast_ledger_backup_failures_total", "Copies of the ledger that failed.")
      .sample(number(snapshot.counters.backup_failures));
  page.gauge("holdfast_source_last_success_timestamp_seconds",
             "When a document was last taken from the source; 0: never.")
      .sample(gauges.source_last_success_timestamp);
  page.counter("holdfast_source_reads_total", "Reads of the source by result.")
      .sample(number(daemon.source_reads.updated), {{"result", "updated"}})
      .sample(number(daemon.source_reads.unchanged), {{"result", "unchanged"}})
      .sample(number(daemon.source_reads.error), {{"result", "error"}});
  add_source(page, daemon);
  page.gauge("holdfast_config_last_reload_successful",
             "Whether the last reading of the configuration worked.")
      .sample(daemon.last_reload_successful);
  page.gauge(
          "holdfast_setup_incomplete",
          "Whether the agent runs without what this key of agent.yaml asks for, and tries again.")
      .samples("key", daemon.setup_incomplete);
  page.gauge("holdfast_config_last_reload_timestamp_seconds",
             "When the configuration was last read with success.")
      .sample(daemon.last_reload_timestamp);
  page.gauge("holdfast_api_connections", "Open connections to the agent.")
      .sample(number(daemon.api_connections));
  page.counter("holdfast_errors_total", "Errors handled, by code.")
      .samples("code", counters.errors);
}

}  // namespace

std::string metrics_text(const Snapshot& snapshot, const DaemonStats& figures) {
  MetricsPage page;
  add_generations(page, snapshot);
  add_rollouts(page, snapshot);
  add_readiness(page, snapshot);
  add_workload_states(page, snapshot.status.services);
  add_workload_counters(page, snapshot);
  page.counter("holdfast_workload_stop_kills_total",
               "Instances of a workload killed because they outlived their stop timeout.");
  for (const auto& [name, kills] : snapshot.counters.stop_kills)
    page.sample(number(kills), {{"workload", name}});
  add_drift(page, snapshot);
  add_images(page, snapshot.counters);
  add_image_care(page, figures.images);
  add_host(page, figures.host);
  add_agent(page, snapshot, figures);
  add_process_metrics(page);
  return page.text();
}

}  // namespace holdfast::agent::daemon
