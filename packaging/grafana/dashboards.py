"""The three dashboards, each from question to cause: is anything wrong → what changed → per service → per host → the agent."""
from panels import BLUE, LOOK, WORKLOAD, Dashboard, Row, graph, select, stat, table

RATE = "[$__rate_interval]"


def rate(metric, *matchers):
    return f"rate({select(metric, *matchers)}{RATE})"


def increase(metric, *matchers, span="[$__range]"):
    return f"increase({select(metric, *matchers)}{span})"


def of_agents(expression):
    """Of the process_* series, which every exporter has, those of agents alone."""
    return f"{expression} and on (job, instance) {select('holdfast_build_info')}"


def wrong():
    """What every dashboard begins with: eight numbers that are 0 while all is well."""
    return [
        stat("Agents down", "Hosts whose agent gives no metrics. Services go on without it.", f"""sum(1 - {select('up', 'job=~"holdfast.*"')})""", False),
        stat("Not converged", "Hosts that do not run exactly what is declared: rolling, waiting, held, degraded.",
             f"""sum(1 - {select('holdfast_deployment_state', 'state="converged"')})""", None, thresholds=LOOK),
        stat("Unhealthy", "Services that run and fail their health check.",
             f"""sum({select('holdfast_workload_health', 'status="unhealthy"')})""", None),
        stat("Crash loops", "Services that ended three times or more without running for ten minutes.",
             f"sum({select('holdfast_workload_crash_looping')})", True),
        stat("Rolled back", "Updates that failed and were taken back, in the span that is shown.",
             f"""sum({increase('holdfast_rollbacks_total', 'trigger="automatic"')})""", True, thresholds=LOOK),
        stat("Held", "Hosts on which an operator has stopped changes.", f"sum({select('holdfast_held')})", True, thresholds=LOOK),
        stat("No way back", "Hosts on which a rollback could not start at once, or that changed before and have no generation to go back to.",
             f"sum(1 - {select('holdfast_rollback_target_ready')}) + "
             f"(count({select('holdfast_rollback_target_generation')} == 0 and on (job, instance) {select('holdfast_generation_current')} > 1) or vector(0))",
             None),
        stat("Source", "Hosts whose source of deployments is stale, unreachable or refused.",
             f"""sum({select('holdfast_source_state', 'state=~"stale|unreachable|refused"')})""", False, thresholds=LOOK),
    ]


FLEET = Dashboard("holdfast-fleet", "Holdfast / Fleet", "All hosts that run Holdfast: is anything wrong, and what changed.", [
    Row("Is anything wrong", wrong()),
    Row("What changed", [
        graph("Hosts by state", "How many hosts are in each state.", "none",
              [(f"sum by (state) ({select('holdfast_deployment_state')})", "{{state}}")], True, stacked=True, min=0),
        graph("Versions", "How many hosts converge to each version of each deployment.", "none",
              [(f"count by (deployment, digest) ({select('holdfast_deployment_info')})", "{{deployment}} {{digest}}")], True, stacked=True, min=0),
        graph("Rollouts", "Rollouts that ended, by result.", "none",
              [(f"sum by (result) ({increase('holdfast_rollouts_total', span=RATE)})", "{{result}}")], True, min=0),
        table("Last change", "When each host last changed what it runs.", "dateTimeFromNow",
              select("holdfast_last_change_timestamp_seconds") + " * 1000 > 0", True, width=12),
        table("What runs", "What each host converges to; the digest is shortened.", "none", select("holdfast_deployment_info"), True, width=12),
    ]),
    Row("Services", [
        graph("Restarts", "Restarts of a service's process, deployments not counted.", "none",
              [(f"sum by (workload) ({increase('holdfast_workload_restarts_total', span=RATE)})", "{{workload}}")], True, min=0),
        graph("Failed health checks", "Checks that failed or timed out, by service.", "ops",
              [(f"""sum by (workload) ({rate('holdfast_workload_health_checks_total', 'result=~"failure|timeout"')})""", "{{workload}}")], True, min=0),
        graph("Killed for memory", "Processes that the kernel killed at the memory limit.", "none",
              [(f"sum by (workload) ({increase('holdfast_workload_oom_kills_total', span=RATE)})", "{{workload}}")], False, min=0),
    ], closed=True),
    Row("Hosts", [
        graph("Drift", "Differences from what is declared, by kind.", "none",
              [(f"sum by (kind) ({select('holdfast_drift_items')})", "{{kind}}")], True, stacked=True, min=0),
        graph("Free disk", "Free share of the file system of the state directory.", "percentunit",
              [(f"{select('holdfast_state_free_bytes')} / {select('holdfast_state_size_bytes')}", "{{instance}}")], True, min=0),
        graph("Processor time of services", "Processors that the services of a host use.", "none",
              [(f"sum by (instance) ({rate('holdfast_workload_cpu_usage_seconds_total')})", "{{instance}}")], True, min=0),
    ], closed=True),
    Row("Agents", [
        graph("Processor time", "Processors that each agent uses.", "percentunit", [(of_agents(rate("process_cpu_seconds_total")), "{{instance}}")], True, min=0),
        graph("Memory", "Resident memory of each agent.", "bytes", [(of_agents(select("process_resident_memory_bytes")), "{{instance}}")], True, min=0),
        graph("Agents by version", "How many hosts run each version of the agent.", "none",
              [(f"count by (version) ({select('holdfast_build_info')})", "{{version}}")], True, stacked=True, min=0),
    ], closed=True),
])

HOST = Dashboard("holdfast-host", "Holdfast / Host", "One host or some: what runs there, what it costs, and how the agent does.", [
    Row("Is anything wrong", wrong()),
    Row("What changed", [
        graph("State", "State of the host, 1 for the one that holds.", "none",
              [(f"sum by (state) ({select('holdfast_deployment_state')})", "{{state}}")], True, stacked=True, min=0),
        graph("Generation", "Generation that the host converges to, and the newest that is good.", "none",
              [(select("holdfast_generation_current"), "{{instance}} current"), (select("holdfast_generation_good"), "{{instance}} good")], True, min=0),
        graph("Drift", "Differences from what is declared, by kind.", "none",
              [(f"sum by (kind) ({select('holdfast_drift_items')})", "{{kind}}")], True, stacked=True, min=0),
    ]),
    Row("Services", [
        graph("Processors", "Processors that each service uses.", "none",
              [(f"sum by (workload) ({rate('holdfast_workload_cpu_usage_seconds_total')})", "{{workload}}")], True, stacked=True, min=0),
        graph("Memory", "Working set of each service: without files that the kernel can drop.", "bytes",
              [(f"sum by (workload) ({select('holdfast_workload_memory_working_set_bytes')})", "{{workload}}")], True, stacked=True, min=0),
        table("States", "What each service does now.", "none", select("holdfast_workload_state") + " == 1", True),
    ]),
    Row("Rollouts and the way back", [
        graph("Phases", "Time of each phase of rollouts, on average.", "s",
              [(f"sum by (phase) ({rate('holdfast_rollout_phase_duration_seconds_sum')}) / (sum by (phase) ({rate('holdfast_rollout_phase_duration_seconds_count')}) > 0)",
                "{{phase}}")], True, min=0),
        graph("Generations to go back to", "Generations that could be made current at once.", "none",
              [(select("holdfast_rollback_ready_generations"), "{{instance}}")], True, min=0),
        graph("Standby", "Frozen instances that a rollback would thaw.", "none",
              [(select("holdfast_standby_instances"), "{{instance}}")], True, min=0),
        graph("Rollbacks", "Returns to an earlier generation, by what asked for them.", "none",
              [(f"sum by (trigger) ({increase('holdfast_rollbacks_total', span=RATE)})", "{{trigger}}")], True, min=0),
        graph("Hooks", "Hooks of rollouts that ended.", "none",
              [(f"sum by (stage, result) ({increase('holdfast_hooks_total', span=RATE)})", "{{stage}} {{result}}")], False, min=0),
        stat("Oldest rehearsal", "Of the hosts that have rehearsed a rollback, when the one did whose rehearsal is oldest; nothing where none has.",
             f"min({select('holdfast_rollback_rehearsal_timestamp_seconds')} > 0) * 1000", None, unit="dateTimeFromNow", thresholds=((None, BLUE),), width=8),
    ], closed=True),
    Row("Source and trust", [
        graph("Age of the source's last good answer", "Since the source last had a good answer.", "s",
              [(select("holdfast_source_age_seconds"), "{{instance}}")], False, min=0),
        graph("Refused", "Documents of the source that were refused, by code.", "none",
              [(f"sum by (code) ({increase('holdfast_source_refusals_total', span=RATE)})", "{{code}}")], False, min=0),
        graph("Serial", "Highest serial that was accepted: the floor.", "none", [(select("holdfast_source_serial"), "{{instance}}")], False, min=0),
    ], closed=True),
    Row("Images and disk", [
        graph("Free disk", "Free space on the file system of the state directory.", "bytes", [(select("holdfast_state_free_bytes"), "{{instance}}")], True, min=0),
        graph("Store", "What the agent keeps on the disk, volumes not counted.", "bytes",
              [(f"sum by (kind) ({select('holdfast_store_bytes')})", "{{kind}}")], True, stacked=True, min=0),
        graph("Pulled", "Compressed bytes from registries.", "Bps", [(f"sum by (instance) ({rate('holdfast_image_pull_bytes_total')})", "{{instance}}")], True, min=0),
        graph("Pulls", "Image pulls by result.", "none", [(f"sum by (result) ({increase('holdfast_image_pulls_total', span=RATE)})", "{{result}}")], True, min=0),
        graph("Hashed again", "Bytes of images on disk that were hashed again.", "Bps",
              [(f"sum by (instance) ({rate('holdfast_image_verified_bytes_total')})", "{{instance}}")], None, min=0),
        graph("Refused content", "Content of images that was not what its digest or size says.", "none",
              [(f"sum by (instance) ({increase('holdfast_verification_failures_total', span=RATE)})", "{{instance}}")], False, min=0),
    ], closed=True),
    Row("Ledger", [
        graph("Entries", "Number of the last entry of the ledger, and of its last copy: neither goes down.", "none",
              [(select("holdfast_ledger_head"), "{{instance}} ledger"), (select("holdfast_ledger_backup_head"), "{{instance}} copy")], True, min=0),
        table("Head", "Number and hash of the last entry: what a rewritten ledger does not lead to.", "none", select("holdfast_ledger_head_info"), True),
        stat("Takes entries", "Hosts whose ledger takes no entries.", f"sum(1 - {select('holdfast_ledger_writable')})", False, width=8),
    ], closed=True),
    Row("The agent", [
        graph("Processor time", "Share of a processor that the agent uses.", "percentunit", [(of_agents(rate("process_cpu_seconds_total")), "{{instance}}")], True, min=0),
        graph("Memory of the agent", "Resident memory.", "bytes", [(of_agents(select("process_resident_memory_bytes")), "{{instance}}")], True, min=0),
        graph("A pass of the engine", "99 of 100 passes take at most so long.", "s",
              [(f"histogram_quantile(0.99, sum by (le) ({rate('holdfast_reconcile_duration_seconds_bucket')}))", "99 %")], True, min=0),
        graph("Errors", "Errors that were handled, by code.", "none",
              [(f"sum by (code) ({increase('holdfast_errors_total', span=RATE)}) > 0", "{{code}}")], None, min=0),
        graph("Connections", "Open connections to the agent.", "none", [(select("holdfast_api_connections"), "{{instance}}")], True, min=0),
        graph("Age of the figures", "How old the figures of services and disk are: more than some seconds, and a disk hangs.", "s",
              [(f"time() - {select('holdfast_host_read_timestamp_seconds')}", "{{instance}}")], True),
    ], closed=True),
])


def of(metric, *matchers):
    return f"sum by (instance, workload) ({select(metric, WORKLOAD, *matchers)})"


def rate_of(metric, *matchers):
    return f"sum by (instance, workload) ({rate(metric, WORKLOAD, *matchers)})"


NAMED = "{{instance}} {{workload}}"

SERVICE = Dashboard("holdfast-service", "Holdfast / Service", "One service or some, over the hosts that run them.", [
    Row("Is anything wrong", [
        stat("Not running", "Instances of the service that are not running, completed or stopped.",
             f"""sum({select('holdfast_workload_state', WORKLOAD, 'state!~"running|completed|stopped"')})""", True, width=4),
        stat("Unhealthy", "Hosts on which the service fails its health check.",
             f"""sum({select('holdfast_workload_health', WORKLOAD, 'status="unhealthy"')})""", None, width=4),
        stat("Crash loops", "Hosts on which the service ends again and again.", f"sum({select('holdfast_workload_crash_looping', WORKLOAD)})", True, width=4),
        stat("Restarts", "Restarts in the span that is shown, deployments not counted.",
             f"sum({increase('holdfast_workload_restarts_total', WORKLOAD)})", True, thresholds=LOOK, width=4),
        stat("Killed for memory", "Processes that the kernel killed at the memory limit, in the span that is shown.",
             f"sum({increase('holdfast_workload_oom_kills_total', WORKLOAD)})", False, width=4),
        stat("Runs since", "When the process of the service that started last did so.",
             f"max({select('holdfast_workload_start_time_seconds', WORKLOAD)} * 1000)", True, unit="dateTimeFromNow", thresholds=((None, BLUE),), width=4),
    ]),
    Row("What it does", [
        graph("Health checks that fail", "Checks that failed or timed out, a second.", "ops",
              [(rate_of("holdfast_workload_health_checks_total", 'result=~"failure|timeout"'), NAMED)], True, min=0),
        graph("Processors", "Processors that the service uses.", "none",
              [(rate_of("holdfast_workload_cpu_usage_seconds_total"), NAMED)], True, min=0),
        graph("Held up by its processor limit", "Share of the periods in which the service had to wait.", "percentunit",
              [(f"{rate_of('holdfast_workload_cpu_throttled_periods_total')} / ({rate_of('holdfast_workload_cpu_periods_total')} > 0)", NAMED)], None, min=0),
        graph("Memory", "Working set, and the limit where there is one.", "bytes",
              [(of("holdfast_workload_memory_working_set_bytes"), NAMED), (of("holdfast_workload_memory_limit_bytes") + " > 0", NAMED + " limit")], True, min=0),
        graph("Processes and threads", "Of the running instances.", "none", [(of("holdfast_workload_pids"), NAMED)], True, min=0),
        graph("Bytes to and from block devices", "Read above, written below the line.", "Bps",
              [(rate_of("holdfast_workload_io_read_bytes_total"), NAMED + " read"), (f"-{rate_of('holdfast_workload_io_written_bytes_total')}", NAMED + " written")], None),
        table("What runs", "Image and digest of the service on each host.", "none", select("holdfast_workload_info", WORKLOAD), True, width=12),
        table("Last exit code", "Of the last end of the service's process; 128 + n for signal n.", "none",
              select("holdfast_workload_last_exit_code", WORKLOAD), None, width=12),
    ]),
    Row("More", [
        graph("Waiting for a resource", "Share of the time in which some process waited (pressure); nothing where the kernel keeps no account.", "percentunit",
              [(f"sum by (instance, workload, resource) ({rate('holdfast_workload_pressure_waiting_seconds_total', WORKLOAD)})", NAMED + " {{resource}}")], None, min=0),
        graph("Memory of standby instances", "Frozen instances of the version before, kept for a rollback.", "bytes",
              [(of("holdfast_workload_standby_memory_bytes"), NAMED)], True, min=0),
        graph("Output that its log dropped", "Bytes that the bound of the log took away.", "Bps",
              [(rate_of("holdfast_workload_log_dropped_bytes_total"), NAMED)], False, min=0),
        graph("Killed at a stop", "Instances that outlived their stop timeout.", "none",
              [(f"sum by (instance, workload) ({increase('holdfast_workload_stop_kills_total', WORKLOAD, span=RATE)})", NAMED)], None, min=0),
    ], closed=True),
], with_workload=True)

ALL = (FLEET, HOST, SERVICE)
