#!/usr/bin/python3
"""Every kind of difference between declared and real: seen by an event of the kernel, said with evidence, and repaired, reported or held.

The resync is an hour away, so whatever is found here was not found by looking again.
"""
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fixture
from fixture import wait_until
from intruder import inside, intrude


class DriftCase(fixture.AgentCase):
    settings = {"resync": "1h"}

    def deploy(self, services, **drift):
        done = self.agent.cli("apply", self.agent.document(services, drift=drift) if drift else self.agent.document(services))
        self.assertEqual(done.code, 0, done)

    def item(self, kind, service="small"):
        return next((item for item in self.agent.status()["drift"] if item["kind"] == kind and item["service"] == service), None)

    def found(self, kind, service="small", seconds=5):
        return wait_until(f"{kind} of {service} is found", lambda: self.item(kind, service), seconds, 0.02)

    def gone(self, kind, service="small", seconds=10):
        wait_until(f"{kind} of {service} is gone", lambda: not self.item(kind, service), seconds, 0.02)

    def entries(self, kind):
        rows = self.agent.cli("--output", "json", "ledger", "export").out.splitlines()
        return [row for row in map(json.loads, rows) if row["kind"] == kind]

    def groups(self, pid):
        """Directory of a cgroup controller of a process; the unified one where there is no v1."""
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            paths = {name: path for _, names, path in (line.strip().split(":", 2) for line in file) for name in names.split(",")}
        return lambda name: Path(f"/sys/fs/cgroup/{name}{paths[name]}" if name in paths else f"/sys/fs/cgroup{paths['']}")


class Reported(DriftCase):
    """The defaults: what would stop the service is reported only."""

    def test_each_kind_is_found_by_an_event_and_said_with_evidence(self):
        secret = self.agent.state / "password"
        secret.write_text("first")
        self.deploy({"small": self.small(secrets=[{"name": "password", "file": str(secret)}], security={"read_only": False})})
        service = self.agent.service("small")
        self.assertEqual(self.agent.status()["drift"], [], "nothing of it is drift by itself")

        inside(service["pid"], "mount", "/tmp")
        self.assertIn("mounted /tmp (tmpfs)", self.found("mounts")["evidence"])

        secret.write_text("second")
        item = self.found("secret")
        self.assertIn("password changed", item["evidence"])
        self.assertNotIn("second", self.agent.cli("-o", "json", "drift").text)
        self.assertEqual((item["action"], item["next"]), ("report", 'with "drift.secret: repair", its process is restarted'))

        # No event tells of these two: they are looked for whenever something else is (at the resync otherwise).
        intrude(self, service["pid"])
        Path(f"/proc/{service['pid']}/root/left-behind").write_text("x")
        secret.write_text("third")
        self.assertIn("(python3), uid 0", self.found("foreign_process")["evidence"])
        self.assertIn("/left-behind", self.found("writes")["evidence"])

        self.assertEqual(self.agent.service("small")["pid"], service["pid"], "nothing was repaired")
        metrics = fixture.get(self.agent.metrics_port, "/metrics")
        for kind in ("mounts", "secret", "foreign_process", "writes"):
            self.assertIn(f'holdfast_drift_items{{kind="{kind}"}} 1', metrics)
            self.assertRegex(metrics, rf'holdfast_drift_since_timestamp_seconds{{kind="{kind}"}} 1\.?\d*e?\+?\d+')
        self.assertEqual({row["detail"]["kind"] for row in self.entries("drift_detected")},
                         {"mounts", "secret", "foreign_process", "writes"})
        self.assertEqual(self.agent.cli("drift").code, 6)

        secret.write_text("first")
        inside(service["pid"], "umount", "/tmp")
        self.gone("secret")
        self.gone("mounts")


class Repaired(DriftCase):
    def test_what_can_be_put_right_without_a_stop_is(self):
        self.deploy({"small": self.small(resources={"memory": "64Mi", "pids": 100, "cpus": 0.5})})
        pid = self.agent.service("small")["pid"]
        group = self.groups(pid)
        memory = next(group("memory") / name for name in ("memory.limit_in_bytes", "memory.max") if (group("memory") / name).exists())
        memory.write_text(str(96 << 20))
        wait_until("the limit is back", lambda: int(memory.read_text()) == 64 << 20, 5, 0.01)
        (group("pids") / "pids.max").write_text("max")
        wait_until("the limit is back", lambda: (group("pids") / "pids.max").read_text().strip() == "100", 5, 0.01)
        freezer = next(group("freezer") / name for name in ("freezer.state", "cgroup.freeze") if (group("freezer") / name).exists())
        before = freezer.read_text()
        freezer.write_text("FROZEN" if freezer.name == "freezer.state" else "1")
        wait_until("it is thawed", lambda: freezer.read_text() == before, 5, 0.01)
        self.assertEqual(self.agent.service("small")["pid"], pid, "without a restart")
        wait_until("all is recorded", lambda: {row["detail"]["kind"] for row in self.entries("drift_repaired")} == {"limits", "frozen"}, 5)

    def test_a_lost_network_or_supervisor_brings_a_new_instance(self):
        self.deploy({"web": self.web("WEB_V1")})
        before = self.agent.service("web")
        subprocess.run(["nsenter", "-t", str(before["pid"]), "-n", "ip", "link", "delete", "eth0"], check=True)
        wait_until("another instance serves", lambda: self.agent.service("web")["instance"] != before["instance"]
                   and fixture.get(self.port) == "v1", 10)
        before = self.agent.service("web")
        conmon = int(Path(f"{self.agent.run}/agent/instances/{before['instance']}/conmon.pid").read_text())
        os.kill(conmon, signal.SIGKILL)
        wait_until("another instance serves", lambda: self.agent.service("web")["instance"] != before["instance"]
                   and fixture.get(self.port) == "v1", 10)
        wait_until("nothing is left over", lambda: len(self.agent.traces()["namespaces"]) == 1, 20)
        kinds = [row["detail"]["kind"] for row in self.entries("drift_detected")]
        self.assertEqual(kinds, ["network", "unsupervised"])

    def test_where_the_document_says_repair_the_process_gets_new_mounts_and_secrets(self):
        secret = self.agent.state / "password"
        secret.write_text("first")
        self.deploy({"small": self.small(secrets=[{"name": "password", "file": str(secret)}])}, default="repair")
        before = self.agent.service("small")
        secret.write_text("second")
        wait_until("it was restarted", lambda: self.agent.service("small")["pid"] not in (0, before["pid"])
                   and self.agent.service("small")["health"] == "healthy", 10)
        after = self.agent.service("small")
        self.assertEqual(after["instance"], before["instance"])
        self.assertEqual(Path(f"/proc/{after['pid']}/root/run/secrets/password").read_text(), "second")
        intruder = intrude(self, after["pid"])
        inside(after["pid"], "mount", "/tmp")
        wait_until("the intruder is killed", lambda: intruder.poll() is not None, 10)
        wait_until("it was restarted", lambda: self.agent.service("small")["pid"] not in (0, after["pid"]), 10)
        wait_until("nothing differs", lambda: self.agent.status()["drift"] == [], 10)
        self.assertEqual(self.agent.service("small")["restarts"], 2)
        self.assertEqual([row["detail"]["drift"] for row in self.entries("restarted")], ["secret", "mounts"])


class Held(DriftCase):
    def test_drift_that_holds_lets_changes_wait_until_somebody_looked(self):
        self.deploy({"small": self.small()}, mounts="hold")
        pid = self.agent.service("small")["pid"]
        inside(pid, "mount", "/tmp")
        hold = wait_until("a hold is in place", lambda: self.agent.status()["hold"], 5)
        self.assertEqual(hold["actor"], "agent")
        self.assertIn("drift mounts of small: mounted /tmp", hold["reason"])
        waiting = self.agent.cli("apply", self.agent.document({"small": self.small(env={"A": "1"})}))
        self.assertEqual(waiting.code, 5, waiting)
        self.assertEqual(self.agent.cli("resume").code, 0)
        wait_until("the change goes on", lambda: self.agent.status()["generation"] == 2 and self.agent.status()["rollout"] is None, 20)
        self.assertIsNone(self.agent.status()["hold"], "one that was looked at does not come back")


class DetectOnly(DriftCase):
    settings = {"resync": "1h", "drift": {"default": "report"}}

    def test_the_hosts_word_counts_before_the_documents(self):
        self.deploy({"web": self.web("WEB_V1")}, default="repair")
        table = "holdfast_" + self.agent.instance.replace("-", "_")
        subprocess.run(["nft", "flush", "chain", "ip", table, "route"], check=True)
        self.assertEqual(self.found("publish", "")["action"], "report")
        os.kill(self.agent.service("web")["pid"], signal.SIGKILL)
        self.assertEqual(self.found("exited", "web")["action"], "report")
        time.sleep(0.5)
        self.assertIsNone(fixture.get(self.port), "nothing was repaired")
        del self.agent.settings["drift"]
        self.agent.write_config()
        self.agent.process.send_signal(signal.SIGHUP)
        wait_until("it serves again", lambda: fixture.get(self.port) == "v1", 10)
        wait_until("nothing differs", lambda: self.agent.status()["drift"] == [], 10)


if __name__ == "__main__":
    fixture.main()
