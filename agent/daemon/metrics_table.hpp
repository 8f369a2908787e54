#pragma once
/// \file
/// Every metric of the agent, one row each: what is served is begun from a row, and
/// packaging/doc/metrics.md is made from them.

#include <array>
#include <cstdint>
#include <string_view>

namespace holdfast::agent::daemon {

enum class MetricType : std::uint8_t { gauge, counter, histogram };
inline constexpr std::array<std::string_view, 3> kMetricTypeNames{"gauge", "counter", "histogram"};
[[nodiscard]] constexpr std::string_view to_string(MetricType type) {
  return kMetricTypeNames[static_cast<std::size_t>(type)];
}

struct MetricRow {
  /// Where it stands in the document.
  enum class Section : std::uint8_t {
    agent,
    deployment,
    rollback,
    workload,
    usage,
    drift,
    source,
    images,
    ledger,
    host,
    process,
  };
  Section section;
  std::string_view name;
  MetricType type;
  std::string_view labels;  ///< names, separated by blanks, in the order of the text
  std::string_view help;    ///< one sentence, units and what 0 means included
};

namespace metrics_table {
using enum MetricRow::Section;

constexpr MetricRow gauge(MetricRow::Section section, std::string_view name,
                          std::string_view labels, std::string_view help) {
  return {section, name, MetricType::gauge, labels, help};
}
constexpr MetricRow counter(MetricRow::Section section, std::string_view name,
                            std::string_view labels, std::string_view help) {
  return {section, name, MetricType::counter, labels, help};
}
constexpr MetricRow histogram(MetricRow::Section section, std::string_view name,
                              std::string_view labels, std::string_view help) {
  return {section, name, MetricType::histogram, labels, help};
}

inline constexpr std::array kRows{
    gauge(agent, "holdfast_build_info", "version", "Version of the agent, always 1."),
    gauge(agent, "holdfast_ready", "",
          "Whether what runs has been adopted and the first pass is done."),
    gauge(agent, "holdfast_engine_alive", "",
          "Whether the engine moves; the watchdog is fed only then."),
    gauge(agent, "holdfast_boot_to_healthy_seconds", "",
          "Until all that is declared was healthy, from the start of the host, or of the agent "
          "when the host was up before; 0: not yet."),
    gauge(agent, "holdfast_config_last_reload_successful", "",
          "Whether the last reading of the configuration worked."),
    gauge(agent, "holdfast_config_last_reload_timestamp_seconds", "",
          "When the configuration was last read with success."),
    gauge(agent, "holdfast_setup_incomplete", "key",
          "Whether the agent runs without what this key of agent.yaml asks for, and tries again."),
    gauge(agent, "holdfast_api_connections", "", "Open connections to the agent."),
    counter(agent, "holdfast_reconcile_total", "", "Reconcile passes."),
    histogram(agent, "holdfast_reconcile_duration_seconds", "", "Duration of one reconcile pass."),
    counter(agent, "holdfast_errors_total", "code", "Errors handled, by code."),
    gauge(deployment, "holdfast_deployment_info", "deployment digest",
          "What the host converges to, always 1; the digest is shortened."),
    gauge(deployment, "holdfast_deployment_state", "state", "State of the deployment."),
    gauge(deployment, "holdfast_generation_current", "",
          "Generation the host converges to; 0 before the first."),
    gauge(deployment, "holdfast_generation_good", "",
          "Newest generation that passed its health gate and soak; 0 before the first."),
    gauge(deployment, "holdfast_last_change_timestamp_seconds", "",
          "Time of the last change of what runs, in this life of the agent; 0: none."),
    gauge(deployment, "holdfast_rollout_in_progress", "", "Whether a rollout is under way."),
    gauge(deployment, "holdfast_rollout_waiting", "for",
          "What a rollout waits for: before it begins, or its soak."),
    counter(deployment, "holdfast_rollouts_total", "result",
            "Rollouts by result; a rollback that failed is a failed one."),
    histogram(deployment, "holdfast_rollout_phase_duration_seconds", "phase",
              "Time of one phase of a rollout."),
    counter(deployment, "holdfast_hooks_total", "stage result",
            "Hooks of rollouts that ended, by stage and result."),
    counter(deployment, "holdfast_connections_reset_total", "",
            "Connections to an old version that outlasted its drain and were reset."),
    gauge(deployment, "holdfast_held", "", "Whether an operator's hold is active."),
    gauge(deployment, "holdfast_hold_since_timestamp_seconds", "",
          "Since when an operator's hold is active; 0 without one."),
    gauge(deployment, "holdfast_hold_until_timestamp_seconds", "",
          "When the hold ends by itself; 0: it does not, or there is none."),
    gauge(deployment, "holdfast_source_quarantined", "",
          "Whether what the source declares is quarantined and so does not run."),
    gauge(deployment, "holdfast_quarantined_documents", "",
          "Documents that were rolled back from and are not applied again."),
    counter(rollback, "holdfast_rollbacks_total", "trigger",
            "Returns to an earlier generation by what asked for them."),
    gauge(rollback, "holdfast_last_rollback_timestamp_seconds", "trigger",
          "When the last of these was, in this life of the agent; 0: there was none."),
    gauge(rollback, "holdfast_rollback_ready_generations", "",
          "Generations that can be made current again at once, without the network."),
    gauge(rollback, "holdfast_rollback_target_generation", "",
          "Generation that a rollback without a number goes to; 0: there is none."),
    gauge(rollback, "holdfast_rollback_target_ready", "",
          "Whether a rollback to it would start at once; 1 also where there is none."),
    gauge(rollback, "holdfast_rollback_rehearsal_timestamp_seconds", "",
          "When a rollback was last rehearsed to a verdict; 0: never."),
    gauge(rollback, "holdfast_rollback_rehearsal_result", "verdict",
          "Verdict of the last rehearsal of a rollback."),
    gauge(rollback, "holdfast_standby_instances", "",
          "Frozen instances that a rollback would thaw."),
    counter(rollback, "holdfast_standby_dropped_total", "cause",
            "Frozen instances that were given up before their time, by cause."),
    gauge(workload, "holdfast_workloads_desired", "", "Workloads declared."),
    gauge(workload, "holdfast_workloads_running", "", "Workloads that run."),
    gauge(workload, "holdfast_workloads_completed", "",
          "One-shot workloads that ended with exit code 0."),
    gauge(workload, "holdfast_workload_info", "workload image digest",
          "What a workload is made from, always 1; the digest is shortened."),
    gauge(workload, "holdfast_workload_label_info", "workload key value",
          "Labels that the deployment gives a workload; one series each."),
    gauge(workload, "holdfast_workload_state", "workload state", "State of a workload."),
    gauge(workload, "holdfast_workload_health", "workload status", "Health of a workload."),
    counter(workload, "holdfast_workload_health_checks_total", "workload result",
            "Health checks by result."),
    gauge(workload, "holdfast_workload_start_time_seconds", "workload",
          "Start of the running process of a workload; 0 without one."),
    counter(workload, "holdfast_workload_restarts_total", "workload",
            "Restarts of a workload's process, without those of a deployment."),
    gauge(workload, "holdfast_workload_crash_looping", "workload",
          "Whether the workload ended three times or more since it last ran for ten minutes."),
    gauge(workload, "holdfast_workload_last_exit_code", "workload",
          "Exit code of the last end of a workload's process; 128 + n for signal n."),
    counter(workload, "holdfast_workload_oom_kills_total", "workload",
            "Processes of a workload killed for memory."),
    counter(workload, "holdfast_workload_stop_kills_total", "workload",
            "Instances of a workload killed because they outlived their stop timeout."),
    gauge(workload, "holdfast_workload_relaxations", "workload",
          "Hardening rules that the deployment relaxes for a workload."),
    counter(workload, "holdfast_workload_log_dropped_bytes_total", "workload",
            "Output of a workload that the bound of its log took away, since the agent began."),
    counter(usage, "holdfast_workload_cpu_usage_seconds_total", "workload",
            "Processor time of a workload since the agent began."),
    gauge(usage, "holdfast_workload_cpu_limit", "workload",
          "Processors that a workload may use, over its running instances; 0: no limit."),
    counter(usage, "holdfast_workload_cpu_periods_total", "workload",
            "Periods of 100 ms in which the limit of processors was enforced."),
    counter(usage, "holdfast_workload_cpu_throttled_periods_total", "workload",
            "Of these, periods in which the workload had to wait."),
    counter(usage, "holdfast_workload_cpu_throttled_seconds_total", "workload",
            "Time for which the limit of processors held a workload up, over all processors."),
    gauge(usage, "holdfast_workload_memory_usage_bytes", "workload",
          "Memory of the running instances of a workload, files that the kernel keeps for them "
          "included."),
    gauge(usage, "holdfast_workload_memory_working_set_bytes", "workload",
          "The same without files that the kernel can drop at once: what counts against the limit "
          "in the end."),
    gauge(usage, "holdfast_workload_memory_limit_bytes", "workload",
          "Limit of that memory, over the running instances; 0: no limit."),
    gauge(usage, "holdfast_workload_standby_memory_bytes", "workload",
          "Memory of the frozen instances of a workload."),
    counter(
        usage, "holdfast_workload_io_read_bytes_total", "workload",
        "Bytes read from block devices, at each device that they pass: twice below LVM or RAID."),
    counter(usage, "holdfast_workload_io_written_bytes_total", "workload",
            "Bytes written to block devices likewise; with cgroup v1 without those that are "
            "written back later."),
    gauge(usage, "holdfast_workload_pids", "workload",
          "Processes and threads of the running instances of a workload."),
    gauge(usage, "holdfast_workload_pids_limit", "workload",
          "Limit of these, over the running instances; 0: no limit."),
    counter(usage, "holdfast_workload_pressure_waiting_seconds_total", "workload resource",
            "Time in which some process of a workload waited for the resource; no series where the "
            "kernel keeps no account (cgroup v1 alone, psi=0)."),
    gauge(drift, "holdfast_drift_items", "kind", "Differences now, by kind."),
    gauge(drift, "holdfast_drift_oldest_timestamp_seconds", "",
          "Since when the oldest difference is known; 0 without one."),
    gauge(drift, "holdfast_drift_since_timestamp_seconds", "kind",
          "Since when the oldest difference of a kind is known; 0 without one."),
    counter(drift, "holdfast_drift_detected_total", "kind",
            "Differences found that no deployment made, by kind."),
    counter(drift, "holdfast_drift_repaired_total", "kind", "Differences repaired, by kind."),
    gauge(source, "holdfast_source_state", "state", "Whether the source's last answer counts."),
    gauge(source, "holdfast_source_age_seconds", "",
          "Since the source last had a good answer, or since the start; 0 without a source."),
    gauge(source, "holdfast_source_serial", "", "Highest serial that was accepted; 0: not signed."),
    gauge(source, "holdfast_source_document_expires_timestamp_seconds", "",
          "When the accepted document expires, which stops nothing; 0: not signed."),
    gauge(source, "holdfast_trust_root_version", "",
          "Version of the root of trust; 0: not signed."),
    gauge(source, "holdfast_trust_root_expires_timestamp_seconds", "",
          "When the root of trust expires, which blocks what is new; 0: not signed."),
    counter(source, "holdfast_source_refusals_total", "code",
            "Answers of the source that were refused."),
    gauge(source, "holdfast_source_last_success_timestamp_seconds", "",
          "When a document was last taken from the source; 0: never."),
    counter(source, "holdfast_source_reads_total", "result", "Reads of the source by result."),
    counter(images, "holdfast_image_jobs_total", "operation result",
            "Operations on the image store that people asked for."),
    counter(images, "holdfast_image_verified_layers_total", "",
            "Layers on disk that were hashed again."),
    counter(images, "holdfast_image_verified_bytes_total", "",
            "Bytes on disk that were hashed again."),
    counter(images, "holdfast_image_damaged_total", "",
            "Images found damaged on disk when they were hashed again."),
    gauge(images, "holdfast_image_scrub_completed_timestamp_seconds", "",
          "When the scrub last found every layer verified within its interval; 0: never."),
    counter(images, "holdfast_image_pulls_total", "result", "Image pulls by result."),
    counter(images, "holdfast_image_pull_bytes_total", "",
            "Compressed bytes received from registries."),
    histogram(images, "holdfast_image_pull_duration_seconds", "", "Time of one image pull."),
    counter(images, "holdfast_verification_failures_total", "",
            "Content of images refused because a digest or a size did not fit."),
    gauge(ledger, "holdfast_ledger_head", "",
          "Number of the last entry of the ledger: an anchor outside of the host."),
    gauge(ledger, "holdfast_ledger_head_info", "number hash",
          "Number and hash of that entry, always 1: what a rewritten ledger does not lead to."),
    gauge(ledger, "holdfast_ledger_writable", "", "Whether the ledger takes entries."),
    gauge(
        ledger, "holdfast_ledger_backup_timestamp_seconds", "",
        "When the ledger was last copied to ledger.backup, in this life of the agent; 0: not yet."),
    gauge(ledger, "holdfast_ledger_backup_head", "", "Number of the last entry in that copy."),
    counter(ledger, "holdfast_ledger_backup_failures_total", "",
            "Copies of the ledger that failed."),
    gauge(host, "holdfast_host_read_timestamp_seconds", "",
          "When the figures of workloads, disk and store were last read; 0: not yet. Older than "
          "the scrape by seconds: the host does not answer."),
    gauge(host, "holdfast_store_bytes", "kind",
          "What the agent keeps on the disk, looked at once a minute; without volumes."),
    gauge(host, "holdfast_state_free_bytes", "",
          "Free space on the file system of the state directory."),
    gauge(host, "holdfast_state_size_bytes", "", "Size of the file system of the state directory."),
    counter(process, "process_cpu_seconds_total", "",
            "Total user and system CPU time spent in seconds."),
    gauge(process, "process_resident_memory_bytes", "", "Resident memory size in bytes."),
    gauge(process, "process_virtual_memory_bytes", "", "Virtual memory size in bytes."),
    gauge(process, "process_open_fds", "", "Number of open file descriptors."),
    gauge(process, "process_max_fds", "", "Maximum number of open file descriptors."),
    gauge(process, "process_start_time_seconds", "",
          "Start time of the process since unix epoch in seconds."),
    gauge(process, "process_threads", "", "Number of threads."),
};
}  // namespace metrics_table

inline constexpr const auto& kMetrics = metrics_table::kRows;

/// The name of a metric that has a row; another does not compile.
class MetricName {
 public:
  consteval MetricName(const char* name) : row_(find(name)) {}  // NOLINT: written as a literal
  [[nodiscard]] const MetricRow& row() const { return row_; }

 private:
  static consteval const MetricRow& find(std::string_view name) {
    for (const auto& row : kMetrics)
      if (row.name == name) return row;
    throw "metrics_table.hpp has no row for it";
  }
  const MetricRow& row_;
};

}  // namespace holdfast::agent::daemon
