#!/usr/bin/python3
"""What Prometheus scrapes is well formed and says what happened."""
import re
import subprocess

import fixture


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

    def test_health_and_readiness_answer(self):
        self.assertIsNotNone(fixture.get(self.agent.metrics_port, "/healthz"))
        self.assertIsNotNone(fixture.get(self.agent.metrics_port, "/readyz"))
        self.assertIsNone(fixture.get(self.agent.metrics_port, "/v1/status"), "the API is not on TCP")


if __name__ == "__main__":
    fixture.main()
