#!/usr/bin/python3
"""Holds and windows: changes wait, and everything else goes on. (The quarantine: promise_4_a_rollback_is_not_undone_test.py.)"""
import datetime
import json
import signal

import fixture


class Restraints(fixture.AgentCase):
    def metric(self, name):
        line = next(line for line in fixture.get(self.agent.metrics_port, "/metrics").splitlines() if line.startswith(name + " "))
        return float(line.split()[-1])

    def kinds(self):
        return [row["kind"] for row in map(json.loads, self.agent.cli("ledger", "export").out.splitlines())]

    def restart(self):
        self.agent.stop(signal.SIGKILL)
        self.agent.start()

    def test_a_hold_stops_changes_over_a_restart_until_resume(self):
        self.applied({"web": self.web("WEB_V1")})
        held = self.agent.cli("hold", "--reason", "the shop is busy", "--for", "2h")
        self.assertEqual(held.code, 0, held)
        self.assertEqual(self.agent.cli("status").code, 5)
        update = {"web": self.web("WEB_V2")}
        done = self.agent.apply(update)
        self.assertEqual(done.code, 5, done)
        self.assertEqual(done.json["result"], "waiting")
        self.assertIn("the shop is busy", done.json["error"]["message"])
        self.assertIn("holdfast resume", done.json["error"]["next"])
        self.restart()
        status = self.agent.status()
        self.assertEqual((status["state"], status["generation"], status["rollout"]["phase"]), ("held", 1, "waiting"))
        self.assertEqual(self.metric("holdfast_held"), 1)
        self.assertEqual(self.metric('holdfast_rollout_waiting{for="hold"}'), 1)
        self.assertEqual(fixture.get(self.port), "v1")
        text = self.agent.cli("status").text
        self.assertIn("the shop is busy", text)
        self.assertIn("next: holdfast resume", text)
        again = self.agent.apply(update)
        self.assertEqual(again.code, 5, again)
        with fixture.Load(self.port) as load:
            self.assertEqual(self.agent.cli("resume").code, 0)
            fixture.wait_until("the update is good", lambda: self.agent.status()["state"] == "converged", 20)
        self.assert_no_request_failed(load)
        self.assertEqual(fixture.get(self.port), "v2")
        self.assertIn("held", self.kinds())
        self.assertIn("resumed", self.kinds())
        self.assertEqual(self.metric("holdfast_held"), 0)
        self.assertEqual(self.agent.cli("resume").code, 0, "a second resume is nothing")

    def test_a_hold_ends_by_itself_and_rollback_does_not_wait_for_it(self):
        self.applied({"web": self.web("WEB_V1")})
        self.applied({"web": self.web("WEB_V2")})
        self.assertEqual(self.agent.cli("hold", "-m", "incident", "--for", "4s").code, 0)
        back = self.agent.cli("-o", "json", "rollback")
        self.assertEqual(back.code, 0, back)
        self.assertEqual(fixture.get(self.port), "v1")
        fixture.wait_until("the hold ended", lambda: self.agent.status()["hold"] is None, 10)
        self.assertEqual(self.agent.status()["state"], "converged")

    def test_a_window_delays_the_switch_and_now_does_not_wait(self):
        self.applied({"web": self.web("WEB_V1")})
        hour = (datetime.datetime.now(datetime.timezone.utc).hour + 6) % 24
        window = {"hours": f"{hour:02}:00-{hour:02}:30"}
        update = {"web": self.web("WEB_V2", update={"soak": "1s", "drain": "1s", "window": window})}
        plan = self.agent.cli("plan", self.agent.document(update))
        self.assertIn(f"{hour:02}:00 UTC", plan.text)
        done = self.agent.apply(update)
        self.assertEqual(done.code, 5, done)
        self.restart()
        status = self.agent.cli("status")
        self.assertEqual(status.code, 0, status)
        self.assertIn(f"{hour:02}:00 UTC", status.text)
        self.assertEqual(fixture.get(self.port), "v1")
        self.assertEqual(self.metric('holdfast_rollout_waiting{for="window"}'), 1)
        hurried = self.agent.apply(update, "--now")
        self.assertEqual(hurried.code, 0, hurried)
        self.assertEqual(fixture.get(self.port), "v2")

if __name__ == "__main__":
    fixture.main()
