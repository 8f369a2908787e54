#!/usr/bin/python3
"""A service that says itself when it is ready, and that it still lives: sd_notify through the agent's own socket."""
import shutil
import signal
import time

import fixture


class Notify(fixture.AgentCase):
    def setUp(self):
        super().setUp()
        self.tools = self.agent.state / "tools"
        self.tools.mkdir(mode=0o755)
        shutil.copy(fixture.LOAD.parent / "holdfast-notifier", self.tools)

    def notifier(self, *steps, **changes):
        update = {"soak": "500ms", "drain": "0s", "standby": "0s", "deadline": "3s"}
        return {"app": self.small(entrypoint=["/opt/holdfast-notifier"], command=list(steps), update=update,
                                  volumes=[{"source": str(self.tools), "target": "/opt", "read_only": True}],
                                  health={"sd_notify": True, "interval": "200ms"}, **changes)}

    def restarts(self):
        return self.agent.service("app")["restarts"]

    def test_the_gate_opens_with_ready_and_health_outlives_the_agent(self):
        done = self.applied(self.notifier("+800", "READY=1", "@100:WATCHDOG=1"))
        self.assertGreater(done.json["seconds"], 0.8)
        before = self.agent.pids()
        self.agent.stop(signal.SIGKILL)
        self.agent.start()
        fixture.wait_until("it is healthy again", lambda: self.agent.service("app")["health"] == "healthy", 5)
        time.sleep(1.5)
        self.assertEqual(self.agent.service("app")["health"], "healthy", "the new agent hears the watchdog")
        self.assertEqual((self.agent.pids(), self.restarts()), (before, 0))

    def test_what_never_says_ready_is_rolled_back_with_its_status_as_evidence(self):
        self.applied(self.notifier("READY=1"))
        before = self.agent.pids()
        done = self.agent.apply(self.notifier("STATUS=loading the data"))
        self.assertEqual(done.code, 4, done)
        self.assertIn("READY=1 has not been received (it says: loading the data)", done.text)
        self.assertEqual(self.agent.pids(), before)

    def test_a_watchdog_that_falls_silent_leads_to_a_restart(self):
        self.applied(self.notifier("READY=1", *["WATCHDOG=1", "+100"] * 20))
        self.assertEqual(self.restarts(), 0)
        fixture.wait_until("it is restarted", lambda: self.restarts() >= 1, 15)
        self.assertIn("no WATCHDOG=1", self.agent.cli("ledger", "export").out)


if __name__ == "__main__":
    fixture.main()
