#!/usr/bin/python3
"""Proves that the checks of rules can fail: plants one fault at a time in a copy and expects the check to name it."""
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
import rules  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
COPIED = ["packaging/prometheus", "packaging/doc"]
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
    (rules.annotations, RULES, "alerts.md#holdfastdown", "alerts.md#down", "does not lead to its section"),
    (rules.annotations, RULES, "summary: The agent gives no metrics.", "title: x", "annotations are not"),
    (rules.annotations, RUNBOOK, "### HoldfastDrift\n", "### Drift\n", "HoldfastDrift has no section"),
    (rules.annotations, RUNBOOK, "### HoldfastDrift\n", "### HoldfastGone\n`x`\n### HoldfastDrift\n", "HoldfastGone is no alert"),
    (rules.cases, CASES, 'ALERTS{alertname="HoldfastDown",alertstate="firing"}', "vector(1)", "no case in which HoldfastDown"),
]


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
