#!/usr/bin/python3
"""Services come, go and change one by one; what did not change is not touched."""
import datetime
import json
import os
import signal
from pathlib import Path

import fixture


class Services(fixture.AgentCase):
    def test_a_service_added_or_removed_leaves_the_others_alone(self):
        self.applied({"web": self.web()})
        web = self.agent.pids()["web"]
        self.applied({"web": self.web(), "extra": self.small(update={"soak": "500ms", "drain": "500ms", "standby": "1s", "deadline": "20s"})})
        self.assertEqual(self.agent.pids()["web"], web)
        self.assertEqual(self.agent.service("extra")["state"], "running")
        self.applied({"web": self.web()})
        self.assertEqual(self.agent.pids(), {"web": web})
        fixture.wait_until("the removed service is gone", lambda: len(self.agent.traces()["namespaces"]) == 1, 15)

    def test_an_environment_change_starts_a_new_container_with_it(self):
        # nginx writes its title over its environment, so a second service shows what the container was given.
        self.applied({"web": self.web(env={"LEVEL": "info"}), "small": self.small(env={"LEVEL": "info"}), "cache": self.redis()})
        before = self.agent.pids()
        with fixture.Load(self.port) as load:
            self.applied({"web": self.web(env={"LEVEL": "debug"}), "small": self.small(env={"LEVEL": "debug"}), "cache": self.redis()})
        self.assert_no_request_failed(load)
        after = self.agent.pids()
        self.assertNotEqual(after["web"], before["web"])
        self.assertEqual(after["cache"], before["cache"])
        self.assertIn(b"LEVEL=debug", Path(f"/proc/{after['small']}/environ").read_bytes().split(b"\0"))

    def test_a_change_of_policy_takes_effect_without_a_restart(self):
        self.applied({"web": self.web()})
        before = self.agent.pids()
        health = {"http": "http://:8080/healthz", "interval": "300ms", "timeout": "900ms"}
        done = self.applied({"web": self.web(health=health)})
        self.assertEqual(done.json["generation"], 2)
        self.assertEqual(self.agent.pids(), before)

    def test_a_service_starts_after_what_it_depends_on_is_healthy(self):
        slow = {"http": "http://:8080/healthz", "interval": "400ms", "timeout": "1s", "healthy": 5}
        self.applied({"a-web": self.web(depends_on=["z-base"]), "z-base": self.small(health=slow)})
        told = next(line for line in self.agent.log.read_text().splitlines()
                    if "event=health_changed service=z-base" in line and "to=healthy" in line)
        self.assertLess(told[:23], self.agent.service("a-web")["since"][:23], told)

    def test_services_find_each_other_by_name(self):
        probe = {"exec": ["/bin/sh", "-c", "/bin/wget -q -O /dev/null http://web:8080/healthz"], "interval": "200ms", "timeout": "2s"}
        client = {"image": self.images["WEB_V1"], "entrypoint": ["/bin/sleep"], "command": ["1000"], "depends_on": ["web"],
                  "health": probe, "update": {"soak": "500ms", "drain": "500ms", "deadline": "20s"}, "stop": {"timeout": "1s"}}
        self.applied({"web": self.web(), "client": client})
        self.assertEqual(self.agent.service("client")["health"], "healthy")

    def test_the_plan_says_why_a_service_is_replaced_and_for_how_long_it_is_down(self):
        def document(release):
            return {"db": self.small(volumes=[{"source": "data", "target": "/data"}], env={"RELEASE": release}, stop={"timeout": "2s"})}
        self.applied(document("one"))
        plan = self.agent.cli("plan", self.agent.document(document("two")))
        self.assertRegex(plan.out, r"replace, stop first: writable volume data, which both would write to: down for at most [23]\.\d+s: its stop "
                                   r"\(at most 2\.0s\) and its start \(.+ last time\)")
        done = self.applied(document("two"))
        self.assertLess(done.json["seconds"], 3.5)

    def test_a_crashed_container_is_started_again_and_counted(self):
        self.applied({"web": self.web()})
        pid = self.agent.pids()["web"]
        os.kill(pid, signal.SIGKILL)
        fixture.wait_until("another process serves", lambda: self.agent.service("web")["pid"] not in (0, pid), 15)
        fixture.wait_until("it is healthy", lambda: self.agent.service("web")["health"] == "healthy", 15)
        self.assertEqual(fixture.get(self.port), "v1")
        self.assertEqual(self.agent.service("web")["restarts"], 1)

    def test_a_crash_loop_is_seen_everywhere_and_goes_on_slowly(self):
        # Longer than a service without a health rule needs to pass its gate and its soak.
        loop = self.small(entrypoint=["/bin/sh", "-c", "echo out of luck; /bin/busybox sleep 4; exit 3"], command=[])
        del loop["health"]
        loop["update"]["soak"] = "100ms"
        self.applied({"web": self.web(), "loop": loop})
        told = lambda: [json.loads(line) for line in self.agent.cli("ledger", "export").out.splitlines() if '"restarted"' in line]
        fixture.wait_until("it loops", lambda: len(told()) >= 4, 60)
        status = self.agent.status()
        self.assertEqual(status["state"], "degraded")
        self.assertIn("loop: crash loop: started again", status["message"])
        self.assertIn("last exit code 3", self.agent.cli("status", "loop").text)
        page = fixture.get(self.agent.metrics_port, "/metrics")
        self.assertIn('holdfast_workload_crash_looping{workload="loop"} 1', page)
        self.assertIn('holdfast_workload_crash_looping{workload="web"} 0', page)
        self.assertIn("out of luck", told()[1]["detail"]["log_tail"])
        times = [datetime.datetime.fromisoformat(each["time"].replace("Z", "+00:00")) for each in told()]
        gaps = [(after - before).total_seconds() for before, after in zip(times, times[1:])]
        for gap, least in zip(gaps, (1, 2, 4)):  # the first came at once, then 1 s doubling
            self.assertGreaterEqual(gap, least - 0.05, gaps)
        self.assertEqual(fixture.get(self.port), "v1", "its neighbour does not notice")


class Pace(fixture.AgentCase):
    settings = {"resync": "1h"}  # nothing but the answers of probes moves a rollout on

    def test_no_gate_waits_for_the_declared_pace_of_probes(self):
        """Several answers are asked for at the eager pace, and a standby's one answer when it is thawed."""
        probe = {"http": "http://:8080/healthz", "interval": "10s", "timeout": "1s", "healthy": 3}
        update = {"soak": "100ms", "drain": "100ms", "standby": "1m", "deadline": "50s"}
        for image in ("WEB_V1", "WEB_V2"):
            done = self.applied({"web": self.web(image, health=probe, update=update)})
            self.assertLess(done.json["seconds"], 8, done)
        fixture.wait_until("it stands by", lambda: self.agent.cli("--output", "json", "standby", "list").json, 10)
        back = self.agent.cli("--output", "json", "rollback", "--reason", "back")
        self.assertEqual(back.code, 0, back)
        self.assertLess(back.json["seconds"], 8, back)
        self.assertEqual(fixture.get(self.port), "v1")


if __name__ == "__main__":
    fixture.main()
