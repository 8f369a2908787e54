#!/usr/bin/python3
"""Services that start slowly, and such as end well: neither is a fault."""
import os
import signal
import time

import fixture

# Longer than three failed probes at the declared pace.
SLOW = ["/bin/sh", "-c", "/bin/busybox sleep 4; exec /bin/busybox httpd -f -p 8080 -h /www"]


class SlowStarts(fixture.AgentCase):
    def test_a_slow_starter_is_given_its_time_again_after_a_crash(self):
        health = {"http": "http://:8080/healthz", "interval": "300ms", "timeout": "1s"}
        self.applied({"app": self.small(entrypoint=SLOW, command=[], health=health)})
        pid = self.agent.service("app")["pid"]
        os.kill(pid, signal.SIGKILL)
        fixture.wait_until("another process runs", lambda: self.agent.service("app")["pid"] not in (0, pid), 15)
        second = self.agent.service("app")["pid"]
        fixture.wait_until("it is told what it is granted",
                           lambda: "has until 20s after its start to become healthy" in self.agent.service("app")["detail"], 5)
        fixture.wait_until("it is healthy again", lambda: self.agent.service("app")["health"] == "healthy", 30)
        after = self.agent.service("app")
        self.assertEqual((after["pid"], after["restarts"]), (second, 1))


class OneShots(fixture.AgentCase):
    def job(self, script, version="1"):
        return {"image": self.images["STATIC_V1"], "entrypoint": ["/bin/sh", "-c", script], "command": [], "env": {"V": version},
                "restart": "no", "update": {"soak": "500ms", "drain": "500ms", "standby": "1s", "deadline": "20s"}}

    def runs(self):
        return self.agent.cli("logs", "job", "--tail", "100").text.count("job done")

    def assert_completed(self, generation):
        status = self.agent.status()
        self.assertEqual((status["state"], status["generation"], status["drift"]), ("converged", generation, []), status)
        self.assertEqual(self.agent.service("job")["state"], "completed", status)
        self.assertEqual(self.agent.cli("status").code, 0)

    def test_a_job_that_ends_well_has_completed_however_fast_and_is_not_run_again(self):
        slow = "/bin/busybox sleep 2; echo job done"
        self.applied({"web": self.web(), "job": self.job("echo job done")})
        self.assert_completed(1)
        self.applied({"web": self.web(), "job": self.job(slow)})
        fixture.wait_until("the slow one has ended too", lambda: self.agent.service("job")["state"] == "completed", 15)
        self.assert_completed(2)
        page = fixture.get(self.agent.metrics_port, "/metrics")
        self.assertIn('holdfast_workload_state{state="completed",workload="job"} 1', page.replace('workload="job",state="completed"',
                                                                                                  'state="completed",workload="job"'))
        made = self.agent.cli("--output", "json", "ledger", "export").text.count('"completed"')
        planned = self.agent.cli("rollback", "--dry-run").text
        self.assertIn("not run again: it completed", planned)
        back = self.agent.cli("--output", "json", "rollback", "--reason", "back")
        self.assertEqual(back.code, 0, back)
        self.assert_completed(1)
        self.agent.stop()
        self.agent.start()
        fixture.wait_until("it is adopted", lambda: self.agent.status()["state"] == "converged", 30)
        self.assert_completed(1)
        self.agent.crash_host()
        self.agent.start()
        fixture.wait_until("it is up again", lambda: self.agent.status()["state"] == "converged", 30)
        self.assert_completed(1)
        time.sleep(1)
        self.assertEqual(self.agent.cli("--output", "json", "ledger", "export").text.count('"completed"'), made)

    def test_a_job_that_ends_badly_fails_its_update_or_is_told(self):
        failed = self.agent.apply({"job": self.job("exit 3")})
        self.assertNotEqual(failed.code, 0, failed)
        self.assertIn("exited with code 3", failed.text)
        self.applied({"job": self.job("/bin/busybox sleep 4; exit 3", "2")})
        fixture.wait_until("it has ended", lambda: self.agent.service("job")["state"] == "exited", 15)
        status = self.agent.status()
        self.assertEqual(status["state"], "degraded")
        self.assertIn("job: exited with code 3; not started again, as its document says restart: no", status["message"])


class Repeats(fixture.AgentCase):
    def test_a_rollback_leads_to_other_content_and_quarantines_nothing_that_runs(self):
        self.applied({"web": self.web("WEB_V1")})
        self.applied({"web": self.web("WEB_V2")})
        self.assertEqual(self.agent.cli("rollback", "--reason", "no").code, 0)
        digest = self.agent.cli("--output", "json", "quarantine", "list").json[0]["spec_digest"]
        self.assertEqual(self.agent.cli("quarantine", "release", digest).code, 0)
        self.applied({"web": self.web("WEB_V2")})
        self.assertEqual(self.agent.status()["generation"], 3)
        same = self.agent.cli("rollback", "--to", "2")
        self.assertNotEqual(same.code, 0)
        self.assertIn("the content of generation 2 runs already, as generation 3", same.text)
        planned = self.agent.cli("--output", "json", "rollback", "--dry-run")
        self.assertEqual(planned.json["to"], 1, planned)
        back = self.agent.cli("--output", "json", "rollback", "--reason", "back")
        self.assertEqual(back.code, 0, back)
        self.assertEqual(fixture.get(self.port), "v1")
        results = {row["generation"]: row["result"] for row in self.agent.history()}
        self.assertEqual(results[1], "good")
        listed = self.agent.cli("--output", "json", "quarantine", "list").json
        self.assertEqual([row["spec_digest"] for row in listed], [digest])


if __name__ == "__main__":
    fixture.main()
