#!/usr/bin/python3
"""Holds, windows and the quarantine: changes wait or are refused, and everything else goes on."""
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

    def test_a_failed_update_is_quarantined_with_its_evidence_until_released(self):
        self.applied({"web": self.web("WEB_V1")})
        crash = {"web": self.web("WEB_CRASH")}
        self.assertEqual(self.agent.apply(crash).code, 4)
        self.restart()
        listed = self.agent.cli("quarantine", "list")
        self.assertEqual(listed.code, 0, listed)
        self.assertIn("cannot find /etc/shop/licence", listed.text)
        item = self.agent.cli("-o", "json", "quarantine", "list").json[0]
        self.assertEqual((item["generation"], item["evidence"]["service"]), (2, "web"))
        refused = self.agent.apply(crash)
        self.assertEqual(refused.code, 5, refused)
        self.assertIn("holdfast quarantine release", refused.text)
        released = self.agent.cli("quarantine", "release", item["spec_digest"][7:19], "-m", "try once more")
        self.assertEqual(released.code, 0, released)
        self.assertEqual(self.agent.apply(crash).code, 4, "it is tried again, and fails again")
        self.assertEqual(self.agent.cli("quarantine", "release", "deadbeef00").code, 1)

    def test_a_document_can_be_quarantined_by_hand_for_a_time(self):
        self.applied({"web": self.web("WEB_V1")})
        self.applied({"web": self.web("WEB_V2")})
        added = self.agent.cli("-o", "json", "quarantine", "add", "1", "-m", "loses orders", "--for", "3s")
        self.assertEqual(added.code, 0, added)
        self.assertEqual(self.agent.apply({"web": self.web("WEB_V1")}).code, 5)
        self.assertEqual(self.metric("holdfast_quarantined_documents"), 1)
        fixture.wait_until("its time is over", lambda: not self.agent.cli("-o", "json", "quarantine", "list").json, 10)
        self.applied({"web": self.web("WEB_V1")})
        refused = self.agent.cli("quarantine", "add", "3", "-m", "what runs")
        self.assertEqual(refused.code, 1, refused)
        self.assertIn("holdfast rollback", refused.text)


class WatchedFile(fixture.AgentCase):
    """A file that declares what is quarantined is neither drift nor success."""

    def setUp(self):
        fixture.STATE_ROOT.mkdir(parents=True, exist_ok=True)
        self.source = fixture.STATE_ROOT / "source-of-restraints.json"
        self.source.unlink(missing_ok=True)
        self.addCleanup(self.source.unlink, missing_ok=True)
        self.settings = {"source": {"file": str(self.source)}}
        super().setUp()

    def offer(self, services):
        fresh = self.agent.document(services, file="next.json")
        fresh.rename(self.source)

    def state(self):
        status = self.agent.status()
        return status["state"], status["generation"]

    def test_what_it_declares_is_shown_as_held_and_a_newer_one_is_applied(self):
        self.offer({"web": self.web("WEB_V1")})
        fixture.wait_until("the first is good", lambda: self.state() == ("converged", 1), 20)
        self.offer({"web": self.web("WEB_CRASH")})
        fixture.wait_until("the second is held", lambda: self.state() == ("held", 1), 20)
        self.agent.stop(signal.SIGKILL)
        self.agent.start()
        status = self.agent.cli("status")
        self.assertEqual(status.code, 5, status)
        self.assertIn(str(self.source), status.text)
        self.assertIn("holdfast quarantine release", status.text)
        self.assertEqual(self.agent.status()["drift"], [])
        self.offer({"web": self.web("WEB_V2")})
        fixture.wait_until("the third is good", lambda: self.state() == ("converged", 3), 20)
        self.assertEqual(fixture.get(self.port), "v2")


if __name__ == "__main__":
    fixture.main()
