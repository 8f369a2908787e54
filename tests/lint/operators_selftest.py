#!/usr/bin/python3
"""Proves that the checks of rules and dashboards can fail: plants one fault at a time in a copy and expects the check to name it."""
import copy
import json
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
import dashboards  # noqa: E402
import rules  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
COPIED = ["packaging/prometheus", "packaging/doc", "packaging/deb"]
RULES, CASES, RUNBOOK = rules.RULES, "packaging/prometheus/holdfast.tests.yml", rules.RUNBOOK

# check, file, what is there, what is planted in its place, part of the expected complaint
MUTANTS = [
    (rules.names, RULES, "expr: holdfast_engine_alive == 0", "expr: holdfast_engine_lives == 0", "holdfast_engine_lives is no metric"),
    (rules.names, RULES, 'holdfast_source_state{state="stale"}', 'holdfast_source_state{status="stale"}', "has no label status"),
    (rules.names, RULES, 'holdfast_source_state{state="stale"}', 'holdfast_source_state{state="old"}', "state is never old"),
    (rules.names, RULES, 'state=~"missing|exited', 'state=~"missing|ended', "state is never ended"),
    (rules.names, RULES, "sum by (job, state)", "sum by (job, status)", "has the label status"),
    (rules.names, RULES, "instance_workload:holdfast_memory_used:ratio > 0.9", "instance_workload:holdfast_memory:ratio > 0.9", "is no metric"),
    (rules.names, RULES, "rate(holdfast_workload_cpu_periods_total[5m])", "rate(holdfast_rollout_phase_duration_seconds[5m])", "is no metric"),
    (rules.annotations, RULES, "severity: critical", "severity: urgent", "severity is none of"),
    (rules.annotations, RULES, "#holdfastdown", "#down", "does not lead to its section"),
    (rules.annotations, RULES, "summary: The agent gives no metrics.", "title: x", "annotations are not"),
    (rules.annotations, RUNBOOK, "### HoldfastDrift\n", "### Drift\n", "HoldfastDrift has no section"),
    (rules.annotations, RUNBOOK, "### HoldfastDrift\n", "### HoldfastGone\n`x`\n### HoldfastDrift\n", "HoldfastGone is no alert"),
    (rules.paths, RUNBOOK, "/usr/share/doc/holdfast-agent/signing.md", "/usr/share/doc/holdfast-agent/keys.md",
     "does not install /usr/share/doc/holdfast-agent/keys.md"),
    (rules.paths, RUNBOOK, "`/usr/share/doc/holdfast-agent/signing.md`", "packaging/doc/signing.md", "is not on a host"),
    (rules.paths, rules.PACKAGE, "packaging/doc/alerts.md", "", "does not install /usr/share/doc/holdfast-agent/alerts.md"),
    (rules.cases, CASES, 'ALERTS{alertname="HoldfastDown",alertstate="firing"}', "vector(1)", "no case in which HoldfastDown"),
]


def first(board, kind):
    return next(panel for panel in dashboards.panels_of(board) if panel["type"] == kind)


def ask(expression):
    """Plants a query into the first graph."""
    def plant(board):
        first(board, "timeseries")["targets"][0]["expr"] = expression
    return plant


def put(path, value):
    """Plants a value: "templating.list.0.name"."""
    def plant(board):
        *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        for part in way:
            board = board[part]
        board[last] = value
    return plant


def graph(key, value):
    return lambda board: first(board, "timeseries").update({key: value})


ALL = 'job=~"$job",instance=~"$instance"'
# rule that must name it, what is planted into a dashboard
BROKEN = [
    ("template_datasource_rule", put("templating.list.0.name", "source")),
    ("template_datasource_rule", put("templating.list.0.label", "From")),
    ("template_job_rule", put("templating.list.1.multi", False)),
    ("template_job_rule", put("templating.list.1.allValue", ".*")),
    ("template_job_rule", put("templating.list.1.name", "jobs")),
    ("template_instance_rule", put("templating.list.2.label", "Host")),
    ("template_instance_rule", put("templating.list.2.datasource", {"type": "prometheus", "uid": "abc"})),
    ("template_label_promql_rule", put("templating.list.1.query", {"query": "label_values(a{, job)"})),
    ("template_label_promql_rule", put("templating.list.1.query", {"query": "up"})),
    ("template_on_time_change_reload_rule", put("templating.list.2.refresh", 1)),
    ("panel_datasource_rule", graph("datasource", {"type": "prometheus", "uid": "abc"})),
    ("panel_title_description_rule", graph("description", "")),
    ("panel_units_rule", graph("fieldConfig", {"defaults": {"unit": "apples"}, "overrides": []})),
    ("panel_no_targets_rule", graph("targets", [])),
    ("target_promql_rule", ask(f"sum(holdfast_held{{{ALL}}}")),
    ("target_promql_rule", ask("")),
    ("target_rate_interval_rule", ask(f"rate(holdfast_errors_total{{{ALL}}}[5m])")),
    ("target_job_rule", ask('holdfast_held{instance=~"$instance"}')),
    ("target_job_rule", ask('holdfast_held{job="$job",instance=~"$instance"}')),
    ("target_instance_rule", ask('sum(holdfast_held{job=~"$job"})')),
    ("target_counter_agg_rule", ask(f"sum(holdfast_errors_total{{{ALL}}})")),
    ("logs_are_not_shown", lambda board: first(board, "stat")["targets"][0].update(datasource={"type": "loki"})),
    ("uneditable_dashboard", put("editable", True)),
    ("layout", graph("gridPos", {"x": 20, "y": 0, "w": 8, "h": 4})),
    ("layout", graph("id", 1)),
    ("few_open_panels", lambda board: board["panels"].extend([first(board, "stat")] * 8)),
    ("few_open_panels", lambda board: board["panels"][0].update(collapsed=True)),
    ("variables_are_defined", ask(f'holdfast_held{{{ALL},for="$what"}}')),
    ("marks_and_links", put("annotations.list.1.useValueForTime", False)),
    ("marks_and_links", put("links", [])),
    ("asks_what_exists", ask(f"holdfast_hold{{{ALL}}}")),
    ("asks_what_exists", ask(f'holdfast_source_state{{{ALL},state="old"}}')),
    ("legends_have_labels", ask(f"sum(holdfast_deployment_state{{{ALL}}})")),
]


class PlantedInDashboards(unittest.TestCase):
    def test_each_fault_is_named(self):
        board, table = json.loads((ROOT / dashboards.FOLDER / "holdfast-fleet.json").read_text()), rules.metrics_table.read(ROOT)
        self.assertEqual(list(dashboards.faults_of(board, table)), [])
        for rule, plant in BROKEN:
            broken = copy.deepcopy(board)
            plant(broken)
            with self.subTest(rule=rule):
                self.assertIn(rule, {fault.split(":")[0] for fault in dashboards.faults_of(broken, table)})
        self.assertEqual({rule.__name__ for rule in (*dashboards.LINTER, *dashboards.OURS, *dashboards.WITH_TABLE)} - {rule for rule, _ in BROKEN},
                         set(), "each rule has a planted fault")

    def test_a_file_that_is_not_generated_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            shutil.copytree(ROOT / dashboards.FOLDER, root / dashboards.FOLDER)
            self.assertEqual(list(dashboards.not_as_generated(root)), [])
            (root / dashboards.FOLDER / "holdfast-host.json").write_text("{}")
            self.assertIn("is not what", "".join(dashboards.not_as_generated(root)))


class Planted(unittest.TestCase):
    def test_each_fault_is_named_and_none_is_there(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for name in COPIED:
                shutil.copytree(ROOT / name, root / name)
            for check in {mutant[0] for mutant in MUTANTS}:
                self.assertEqual(list(check(root)), [], check.__name__)
            for check, name, there, planted, complaint in MUTANTS:
                with self.subTest(check=check.__name__, planted=planted):
                    text = (root / name).read_text()
                    self.assertIn(there, text)
                    (root / name).write_text(text.replace(there, planted))
                    faults = list(check(root))
                    (root / name).write_text(text)
                    self.assertTrue([fault for fault in faults if complaint in fault], faults)

    def test_promtool_runs_the_cases(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            shutil.copytree(ROOT / rules.FOLDER, root / rules.FOLDER)
            (root / CASES).unlink()
            text = (root / RULES).read_text()
            (root / RULES).write_text(text.replace("> 30 * 86400", "> 3000 * 86400"))
            self.assertIn("HoldfastRehearsalOld", "".join(rules.promtool(root)))
            (root / RULES).write_text(text.replace("expr: holdfast_held", "expr: holdfast_held(").replace("== 0\n", "== \n", 1))
            self.assertIn("could not parse expression", "".join(rules.promtool(root)))


if __name__ == "__main__":
    unittest.main()
