#!/usr/bin/python3
"""Promise 4: a rollback is not undone. What was rolled back from is quarantined, for every source and over restarts, until
somebody releases it; a newer document is applied as usual."""
import signal

import fixture


class Promise4(fixture.AgentCase):
    def metric(self, name):
        line = next(line for line in fixture.get(self.agent.metrics_port, "/metrics").splitlines() if line.startswith(name + " "))
        return float(line.split()[-1])

    def restart(self):
        self.agent.stop(signal.SIGKILL)
        self.agent.start()

    def test_what_was_rolled_back_from_is_not_applied_again(self):
        self.applied({"web": self.web("WEB_V1")})
        self.applied({"web": self.web("WEB_V2")})
        self.assertEqual(self.agent.cli("rollback", "--reason", "test").code, 0)
        again = self.agent.apply({"web": self.web("WEB_V2")})
        self.assertEqual(again.code, 5, again)
        self.assertEqual(fixture.get(self.port), "v1")
        self.applied({"web": self.web("WEB_V3")})
        self.assertEqual(fixture.get(self.port), "v3")

    def test_what_failed_is_not_tried_again(self):
        self.applied({"web": self.web("WEB_V1")})
        bad = {"web": self.web("WEB_CRASH")}
        self.assertEqual(self.agent.apply(bad).code, 4)
        again = self.agent.apply(bad)
        self.assertEqual(again.code, 5, again)

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
