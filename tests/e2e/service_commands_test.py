"""stop, start and restart of one service: what an operator asks for holds through rollouts, kills and new agents."""
import contextlib
import json
import os
import signal
import socket
import time

import fixture

UPDATE = {"soak": "300ms", "drain": "300ms", "standby": "1m", "deadline": "20s"}


class ServiceCommands(fixture.AgentCase):
    def setUp(self):
        super().setUp()
        self.apply("WEB_V1")

    def apply(self, version, **more):
        return self.applied({"web": self.web(version, update=UPDATE), "other": self.small(update=UPDATE, depends_on=["web"]), **more})

    def service(self, name="web"):
        return self.agent.service(name)

    def refused(self):
        """Nobody listens: no wait for an answer that will not come."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except ConnectionRefusedError:
            return True
        return False

    def ledger(self):
        return [json.loads(line) for line in self.agent.cli("ledger", "export").out.splitlines()]

    def entries(self, *kinds):
        return [entry for entry in self.ledger() if entry["kind"] in kinds and entry.get("service") == "web"]

    def test_a_stop_holds_through_applies_kills_and_rollbacks(self):
        done = self.agent.cli("stop", "web", "--reason", "the disk is exchanged")
        self.assertEqual(done.code, 0, done)
        self.assertIn("other depends on web", done.text)
        self.assertIn("holdfast start web", done.text)
        self.assertEqual((self.service()["state"], self.service()["pid"]), ("stopped", 0))
        self.assertIn("the disk is exchanged", self.service()["detail"])
        self.assertTrue(self.refused(), "nobody answers, and nothing hangs")
        status = self.agent.status()
        self.assertEqual((status["state"], status["drift"]), ("converged", []))
        self.assertIn("holdfast start web", status["message"])
        planned = self.agent.cli("plan", self.agent.document({"web": self.web("WEB_V2", update=UPDATE), "other": self.small(update=UPDATE)}))
        self.assertIn("not started: stopped by", planned.text)
        self.assertIn("stays stopped", self.apply("WEB_V2").text)
        self.agent.stop(signal.SIGKILL)
        self.agent.start()
        time.sleep(1)
        self.assertEqual(self.service()["state"], "stopped")
        back = self.agent.cli("rollback", "--reason", "to the version before")
        self.assertEqual(back.code, 0, back)
        self.assertIn("stays stopped", back.text)
        self.assertEqual(self.service()["state"], "stopped")
        started = self.agent.cli("start", "web")
        self.assertEqual(started.code, 0, started)
        self.assertEqual((self.service()["state"], fixture.get(self.port)), ("running", "v1"))
        self.assertEqual([entry["kind"] for entry in self.entries("stopped", "started")], ["stopped", "started"])
        self.assertIn("nothing to do", self.agent.cli("start", "web").text)
        self.apply("WEB_V3")
        self.assertEqual(fixture.get(self.port), "v3")

    def test_a_stop_ends_at_its_time_and_the_version_of_then_runs(self):
        self.assertEqual(self.agent.cli("stop", "web", "-m", "a moment", "--for", "4s").code, 0)
        self.apply("WEB_V2")
        fixture.wait_until("it runs again", lambda: not self.refused(), 10)
        self.assertEqual(fixture.get(self.port), "v2")
        self.assertIn("the stop ended at its time", [entry["reason"] for entry in self.entries("started")])

    def test_a_restart_is_another_process_in_the_same_instance_and_no_drift(self):
        before = self.service()
        done = self.agent.cli("restart", "web", "--reason", "a new certificate")
        self.assertEqual(done.code, 0, done)
        after = self.service()
        self.assertEqual((after["instance"], after["restarts"]), (before["instance"], before["restarts"] + 1))
        self.assertNotEqual(after["pid"], before["pid"])
        self.assertEqual(fixture.get(self.port), "v1")
        self.assertEqual(self.agent.status()["state"], "converged")
        last = self.entries("restarted")[-1]
        self.assertEqual(last["reason"], "a new certificate")
        self.assertIn("root", last["actor"])
        self.assertFalse([entry for entry in self.ledger() if entry["kind"] == "drift_detected"])

    def test_a_restart_is_not_lost_with_the_agent(self):
        """Of a service that nothing else would start again; killed at several moments."""
        once = {"image": self.images["STATIC_V1"], "restart": "no", "update": UPDATE, "entrypoint": ["/bin/sh", "-c"],
                "command": ["trap 'sleep 0.3; exit 0' TERM; while :; do sleep 0.05; done"]}
        self.apply("WEB_V1", once=once)
        for wait in (0, 0.05, 0.15, 0.3, 0.5):
            before = self.service("once")
            self.assertEqual(self.agent.cli("restart", "once", "--no-wait").code, 0)
            time.sleep(wait)
            self.agent.stop(signal.SIGKILL)
            self.agent.start()
            fixture.wait_until(f"it runs again ({wait})", lambda seen=before: self.service("once")["state"] == "running"
                               and self.service("once")["pid"] not in (0, seen["pid"]), 15)
            fixture.wait_until("all is well", lambda: self.agent.status()["state"] == "converged", 10)
            self.assertEqual(self.service("once")["restarts"], before["restarts"] + 1)

    def test_what_has_ended_or_completed_is_started_again(self):
        once = {"image": self.images["STATIC_V1"], "restart": "no", "update": UPDATE, "entrypoint": ["/bin/sh", "-c"], "command": ["exit 0"]}
        self.apply("WEB_V1", once=once)
        fixture.wait_until("it completed", lambda: self.service("once")["state"] == "completed", 10)
        done = self.agent.cli("start", "once", "--reason", "once more")
        self.assertEqual(done.code, 0, done)
        self.assertEqual((self.service("once")["state"], self.service("once")["restarts"]), ("completed", 1))

    def test_what_cannot_be_is_said(self):
        for command in ("start", "restart"):
            done = self.agent.cli(command, "wbe")
            self.assertEqual(done.code, 1, done)
            self.assertIn("no service wbe is declared", done.text)
            self.assertIn("other, web", done.text)
        self.assertEqual(self.agent.cli("stop", "web").code, 2, "a reason is missing")
        self.assertEqual(self.agent.cli("stop", "web", "-m", "x", "--until", "2020-01-01T00:00:00Z").code, 2)
        slow = self.web("WEB_V2", update={**UPDATE, "soak": "20s"})
        self.assertEqual(self.agent.apply({"web": slow, "other": self.small(update=UPDATE)}, "--no-wait").code, 0)
        fixture.wait_until("it soaks", lambda: (self.agent.status()["rollout"] or {}).get("phase") == "soaking", 10)
        during = self.agent.cli("restart", "web")
        self.assertEqual(during.code, 1, during)
        self.assertIn("is being rolled out (soaking)", during.text)
        self.assertEqual(self.agent.cli("rollback", "--reason", "enough").code, 0)
        self.assertEqual(self.agent.cli("restart", "web").code, 0)

    def test_a_process_that_ends_again_is_said_with_its_code(self):
        broken = {"image": self.images["STATIC_V1"], "update": UPDATE, "entrypoint": ["/bin/sh", "-c"], "volumes": [{"source": "state", "target": "/state"}],
                  "command": ["[ ! -e /state/broken ] || exit 3; while :; do sleep 1; done"], "security": {"user": "0:0"}}
        self.apply("WEB_V1", broken=broken)
        (self.agent.state / "state/volumes/state/broken").touch()
        done = self.agent.cli("restart", "broken")
        self.assertEqual(done.code, 6, done)
        self.assertIn("exited with code 3", done.text)
        self.assertIn("holdfast logs broken", done.text)

    def test_what_serves_is_killed_while_it_is_being_stopped(self):
        """The stop is what was asked for: nothing starts it again."""
        self.assertEqual(self.agent.cli("stop", "web", "-m", "now", "--no-wait").code, 0)
        pid = self.service()["pid"]
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        fixture.wait_until("it is stopped", lambda: self.service()["state"] == "stopped", 15)
        time.sleep(1.5)
        self.assertEqual(self.service()["state"], "stopped")


if __name__ == "__main__":
    fixture.main()
