#!/usr/bin/python3
"""From a fault to the message: a real agent, a real Prometheus with the rules of the product, a real Alertmanager, and who gets the alert."""
import secrets
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import fixture
from fixture import wait_until
from prometheus import Alertmanager, Prometheus

PAGE = fixture.SOURCE / "packaging/doc/alerts.md"


class Alerts(fixture.AgentCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="holdfast-token-")
        self.addCleanup(folder.cleanup)
        token = Path(folder.name) / "token"
        token.touch(0o600)
        token.write_text(secrets.token_hex(32))
        self.settings = {"resync": "1s", "metrics_token_file": str(token)}
        super().setUp()
        self.manager = Alertmanager(self.agent.state)
        self.addCleanup(self.manager.stop)
        self.target = f"127.0.0.1:{self.agent.metrics_port}"
        self.prometheus = Prometheus(self.agent.state, self.target, f"127.0.0.1:{self.manager.port}", str(token))
        self.addCleanup(self.prometheus.stop)
        self.prometheus.await_first_scrape()

    def test_an_update_that_is_taken_back_is_told_to_who_is_on_call(self):
        quick = {"soak": "500ms", "drain": "500ms", "deadline": "3s"}
        self.applied({"web": self.web("WEB_V1", update=quick)})
        self.assertEqual(self.manager.alerts(), {}, "nobody is woken while all is well")
        self.assertEqual(self.agent.apply({"web": self.web("WEB_BAD", update=quick)}).code, 4)
        alert = wait_until("the alert has arrived", lambda: self.manager.alerts().get("HoldfastRolledBack"), 30)
        self.assertEqual(alert["status"], "firing")
        self.assertEqual({key: alert["labels"][key] for key in ("job", "instance", "severity")},
                         {"job": "holdfast", "instance": self.target, "severity": "warning"})
        self.assertIn(self.target, alert["annotations"]["description"])
        page, anchor = alert["annotations"]["runbook_url"].rsplit("/", 1)[1].split("#")
        self.assertEqual(page, PAGE.name)
        section = next(part for part in PAGE.read_text().split("\n### ")[1:] if part.split("\n")[0].lower() == anchor)
        self.assertIn("holdfast history -n 3", section)
        reason = self.agent.cli("history", "-n", "3")  # what the page says to run
        self.assertEqual(reason.code, 0, reason)
        self.assertIn("failed", reason.out)
        with self.assertRaises(urllib.error.HTTPError) as refused:  # all of this was scraped with the token
            urllib.request.urlopen(f"http://{self.target}/metrics", timeout=10)
        self.assertEqual(refused.exception.code, 401)


if __name__ == "__main__":
    fixture.main()
