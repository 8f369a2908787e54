#!/usr/bin/python3
"""What Prometheus scrapes is well formed and says what happened."""
import os
import re
import signal
import subprocess
import sys

import fixture

sys.path.insert(0, str(fixture.SOURCE / "tests/support"))
import metrics_table  # noqa: E402


class Metrics(fixture.AgentCase):
    def scrape(self):
        return fixture.get(self.agent.metrics_port, "/metrics") + "\n"

    def value(self, name, **labels):
        """Sum of the samples of `name` that carry all `labels`; None without any."""
        found = None
        for line in self.scrape().splitlines():
            match = re.match(rf"{name}(?:{{(.*)}})? (\S+)$", line)
            if match and all(f'{key}="{value}"' in (match.group(1) or "") for key, value in labels.items()):
                found = (found or 0) + float(match.group(2))
        return found

    def test_promtool_finds_no_fault_before_and_after_changes(self):
        for step in (None, "WEB_V1", "WEB_V2", "WEB_BAD"):
            if step:
                self.agent.apply({"web": self.web(step, update=dict(deadline="2s", soak="500ms", drain="500ms"))})
            done = subprocess.run(["promtool", "check", "metrics"], input=self.scrape(), capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""), f"after {step}")

    def test_the_story_of_a_roll_out_is_in_the_metrics(self):
        self.applied({"web": self.web("WEB_V1")})
        text = self.scrape()
        names = set(re.findall(r"^# TYPE ((?:holdfast|process)_\w+)", text, re.M))
        for part in ("generation", "health", "drift", "rollout", "pull", "restart", "memory"):
            self.assertTrue([name for name in names if part in name], f"no metric about {part}: {sorted(names)}")
        self.assertNotRegex(text, "sha256:[0-9a-f]{64}", "no full digest in a label")

    def test_the_page_is_what_the_document_of_metrics_says(self):
        self.applied({"web": self.web("WEB_V1"), "cache": self.redis()})
        table = metrics_table.read()
        served = {}
        for line in self.scrape().splitlines():
            if line.startswith("# TYPE "):
                name, kind = line.split()[2:]
                served[name] = (kind, set())
            elif not line.startswith("#"):
                served[name][1].add(metrics_table.labels(line))
        self.assertEqual(set(served), set(table.metrics))
        for name, (kind, label_sets) in served.items():
            row = table.metrics[name]
            self.assertEqual(kind, row.kind, name)
            for labels in label_sets:
                self.assertEqual([key for key, _ in labels if key != "le"], row.labels, name)
                for key, value in labels:
                    known = table.values.get((name, key))
                    self.assertTrue(known is None or value in known, f"{name}: {key}={value} is in no list")
        for (name, key), values in table.values.items():
            missing = set(values) - {dict(labels)[key] for labels in served[name][1]}
            if served[name][1]:  # the kernel may keep no account of pressure
                self.assertEqual(missing, set(), f"{name}: no series from the start for {key}")

    def test_what_a_service_uses_follows_what_it_does(self):
        service = self.web("WEB_V1", resources={"memory": "64Mi", "cpus": 0.5})
        self.applied({"web": service})
        used = self.value("holdfast_workload_cpu_usage_seconds_total", workload="web")
        with fixture.Load(self.port):
            fixture.wait_until("it uses the processor", lambda: self.value("holdfast_workload_cpu_usage_seconds_total", workload="web") > used, 10, 0.5)
        self.assertEqual(self.value("holdfast_workload_memory_limit_bytes", workload="web"), 64 << 20)
        self.assertEqual(self.value("holdfast_workload_cpu_limit", workload="web"), 0.5)
        for name in ("memory_usage_bytes", "memory_working_set_bytes", "pids", "pids_limit"):
            self.assertGreater(self.value(f"holdfast_workload_{name}", workload="web"), 0, name)
        used = self.value("holdfast_workload_cpu_usage_seconds_total", workload="web")
        self.applied({"web": {**service, "image": self.images["WEB_V2"]}})
        self.assertGreaterEqual(self.value("holdfast_workload_cpu_usage_seconds_total", workload="web"), used, "a switch takes nothing back")
        for kind in ("layers", "blobs", "ledger"):
            self.assertGreater(self.value("holdfast_store_bytes", kind=kind), 0, kind)
        self.assertEqual(self.value("holdfast_rollback_target_generation"), 1)
        self.assertEqual(self.value("holdfast_rollback_target_ready"), 1)

    def test_what_failed_and_stays_is_no_rollback(self):
        """With `on_failure: hold`, a failure after the switch leaves the new version in place."""
        service = self.web("WEB_V1", update={"soak": "20s", "drain": "500ms", "on_failure": "hold"})
        self.agent.apply({"web": {**service, "update": {"soak": "500ms"}}})
        done = self.agent.apply({"web": {**service, "image": self.images["WEB_V2"]}}, "--no-wait")
        self.assertEqual(done.code, 0, done)
        fixture.wait_until("it is soaked", lambda: (self.agent.status()["rollout"] or {}).get("phase") == "soaking", 20)
        os.kill(self.agent.service("web")["pid"], signal.SIGKILL)
        fixture.wait_until("the rollout has failed", lambda: self.value("holdfast_rollouts_total", result="failed") == 1, 20)
        fixture.wait_until("the new version serves again", lambda: fixture.get(self.port) == "v2", 20)
        self.assertEqual(self.value("holdfast_rollbacks_total"), 0)
        self.assertEqual(self.value("holdfast_last_rollback_timestamp_seconds"), 0)

    def test_health_and_readiness_answer(self):
        self.assertIsNotNone(fixture.get(self.agent.metrics_port, "/healthz"))
        self.assertIsNotNone(fixture.get(self.agent.metrics_port, "/readyz"))
        self.assertIsNone(fixture.get(self.agent.metrics_port, "/v1/status"), "the API is not on TCP")


if __name__ == "__main__":
    fixture.main()
