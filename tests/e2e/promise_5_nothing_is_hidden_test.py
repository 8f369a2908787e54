#!/usr/bin/python3
"""Promise 5: nothing is hidden. Every change is in a hash-chained ledger with who, why, before, after and evidence; a rollback is
never reported as success; every difference between declared and real is classified, exported, and repaired or reported."""
import json
import os
import re
import signal
import sqlite3
import subprocess

import fixture


class Promise5(fixture.AgentCase):
    def entries(self, kind=None):
        rows = [json.loads(line) for line in self.agent.cli("ledger", "export").out.splitlines()]
        return [row for row in rows if kind in (None, row["kind"])]

    def drift_metric(self, name, kind):
        text = fixture.get(self.agent.metrics_port, "/metrics")
        return int(re.search(rf'^{name}{{kind="{kind}"}} (\d+)', text, re.M).group(1))

    def test_every_change_is_in_the_ledger_with_who_why_before_after_and_evidence(self):
        self.applied({"web": self.web("WEB_V1")}, "--reason", "opening day")
        self.applied({"web": self.web("WEB_V2")}, "--reason", "web 2")
        self.assertEqual(self.agent.apply({"web": self.web("WEB_CRASH")}, "--reason", "web 3").code, 4)
        self.assertEqual(self.agent.cli("rollback", "--reason", "web 2 is slow").code, 0)
        accepted = self.entries("accepted")
        self.assertEqual([row["reason"] for row in accepted], ["opening day", "web 2", "web 3"])
        self.assertEqual({row["actor"] for row in accepted}, {"root (uid 0)"})
        there, back = self.entries("switched")[1:]
        self.assertEqual((there["images_before"], there["images_after"]), (back["images_after"], back["images_before"]))
        self.assertNotEqual(there["images_before"], there["images_after"])
        failed = self.entries("failed")[0]
        self.assertEqual((failed["generation"], failed["service"], failed["detail"]["exit_code"]), (3, "web", "1"))
        self.assertIn("cannot find /etc/shop/licence", failed["detail"]["log_tail"])
        self.assertEqual(self.entries("rollback_started")[0]["reason"], "web 2 is slow")
        self.assertEqual(len(self.entries("quarantined")), 2)
        numbers = [row["number"] for row in self.entries()]
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)), "no gap")

    def test_the_chain_shows_a_ledger_that_was_altered(self):
        self.applied({"web": self.web("WEB_V1")})
        self.assertEqual(self.agent.cli("ledger", "verify").code, 0)
        database = self.agent.state / "state/ledger.db"
        change = "UPDATE entries SET body = CAST(replace(CAST(body AS TEXT), 'uid 0', 'uid 1') AS BLOB) WHERE number = 2"
        with sqlite3.connect(database) as open_database:
            open_database.execute("DROP TRIGGER entries_refuse_update")
            self.assertEqual(open_database.execute(change).rowcount, 1)
        done = self.agent.cli("ledger", "verify")
        self.assertNotEqual(done.code, 0, done)
        self.assertIn("2", done.text)

    def test_a_rollback_is_never_reported_as_success(self):
        self.applied({"web": self.web("WEB_V1")})
        done = self.agent.apply({"web": self.web("WEB_BAD", update=dict(deadline="2s"))})
        self.assertEqual((done.code, done.json["result"]), (4, "rolled_back"), done)
        self.assertEqual(self.agent.history()[0]["result"], "failed")
        metrics = fixture.get(self.agent.metrics_port, "/metrics")
        self.assertIn('holdfast_rollbacks_total{trigger="automatic"} 1', metrics)
        self.assertIn('holdfast_rollouts_total{result="failed"} 1', metrics)
        self.assertIn("rolled back", self.agent.cli("apply", self.agent.document({"web": self.web("WEB_CRASH")})).text)

    def test_a_difference_is_classified_exported_and_repaired(self):
        self.applied({"web": self.web("WEB_V1")})
        table = "holdfast_" + self.agent.instance.replace("-", "_")
        subprocess.run(["nft", "flush", "table", "ip", table], check=True)
        fixture.wait_until("it is repaired", lambda: fixture.get(self.port) == "v1", 10)
        fixture.wait_until("it is counted", lambda: self.drift_metric("holdfast_drift_repaired_total", "publish") == 1, 10)
        kinds = [row["kind"] for row in self.entries() if row["kind"].startswith("drift_")]
        self.assertEqual(kinds, ["drift_detected", "drift_repaired"])
        os.kill(self.agent.pids()["web"], signal.SIGKILL)
        fixture.wait_until("it serves again", lambda: fixture.get(self.port) == "v1", 10)
        fixture.wait_until("the restart is recorded", lambda: [row["detail"]["exit_code"] for row in self.entries("restarted")] == ["137"], 10)
        fixture.wait_until("the new process is shown", lambda: self.agent.service("web")["restarts"] == 1, 10)

    def test_what_is_not_repaired_is_reported_with_exit_code_6(self):
        document = self.agent.document({"small": self.small(resources={"memory": "64Mi"})}, drift={"limits": "report"})
        self.assertEqual(self.agent.cli("apply", document).code, 0)
        pid = self.agent.service("small")["pid"]
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            groups = {names: path for _, names, path in (line.strip().split(":", 2) for line in file)}
        limit = (f"/sys/fs/cgroup/memory{groups['memory']}/memory.limit_in_bytes" if "memory" in groups
                 else f"/sys/fs/cgroup{groups['']}/memory.max")
        with open(limit, "w", encoding="utf-8") as file:
            file.write(str(96 << 20))
        fixture.wait_until("it is found", lambda: self.agent.status()["drift"], 10)
        item = self.agent.status()["drift"][0]
        self.assertEqual((item["service"], item["kind"], item["action"]), ("small", "limits", "report"))
        self.assertIn("96.0 MiB", item["evidence"])
        self.assertEqual(self.agent.cli("drift").code, 6)
        self.assertEqual(self.drift_metric("holdfast_drift_items", "limits"), 1)


if __name__ == "__main__":
    fixture.main()
