#!/usr/bin/python3
"""The host goes down: services end in order and in their own time, whatever happens to the agent meanwhile. On a booted host: tests/host."""
import json
import signal
import subprocess
import time

import fixture

ENDS = "trap '/bin/sleep 0.4; /bin/busybox cat /proc/uptime >/data/{name}; exit 0' TERM; while :; do /bin/sleep 1 & wait $!; done"
NEVER_ENDS = "trap '' TERM; while :; do /bin/sleep 1; done"


class Shutdown(fixture.AgentCase):
    def script(self, text, **more):
        return self.small(entrypoint=["/bin/sh", "-c", text], health=None, stop={"signal": "SIGTERM", "timeout": "3s"}, **more)

    def setUp(self):
        super().setUp()
        ends = {"volumes": [{"source": "ends", "target": "/data", "owner": "10003:10003"}], "restart": "on-failure",
                "update": {"strategy": "replace", "soak": "300ms"}}
        self.services = {"db": self.script(ENDS.format(name="db"), **ends),
                         "api": self.script(ENDS.format(name="api"), depends_on=["db"], **ends),
                         "stubborn": self.script(NEVER_ENDS)}
        for each in self.services.values():
            del each["health"]
        for version in ("WEB_V1", "WEB_V2"):
            update = {"soak": "300ms", "drain": "300ms", "standby": "10m", "deadline": "20s"}
            self.applied({**self.services, "web": self.web(version, update=update, depends_on=["api"])})
        fixture.wait_until("the former one is frozen", lambda: self.frozen() == 1, 10)
        self.last = self.ledger()[-1]["number"]

    def ledger(self):
        return [json.loads(line) for line in self.agent.cli("ledger", "export").out.splitlines()]

    def frozen(self):
        return len([each for each in self.agent.status()["standby"]])

    def kinds(self):
        return [(entry["kind"], entry.get("service", ""), entry["reason"]) for entry in self.ledger() if entry["number"] > self.last]

    def alive(self):
        found = []
        for group in self.agent.groups():
            procs = group / "cgroup.procs"
            if group.parent.name == f"holdfast-{self.agent.instance}" and group.name != "supervisors" and procs.exists():
                found += procs.read_text().split()
        return sorted(set(found))

    def test_services_end_in_order_and_in_their_own_time(self):
        pids = self.agent.pids()
        asked = self.agent.cli("shutdown")
        self.assertEqual((asked.code, self.agent.pids()), (0, pids), "this host does not go down")
        self.assertIn("nothing is stopped", asked.err)

        done = self.agent.cli("shutdown", "--force")
        self.assertEqual(done.code, 0, done)
        self.assertLess(done.seconds, 8)
        self.assertEqual(self.alive(), [])
        db, api = (float((self.agent.state / "state/volumes/ends" / name).read_text().split()[0]) for name in ("db", "api"))
        self.assertLess(api, db, "what stands on it ends first")
        time.sleep(2.5)  # more than a resync
        self.assertEqual(self.alive(), [], "nothing is started again")
        kinds = self.kinds()
        self.assertEqual(kinds[0], ("stopped", "", "the host goes down"))
        self.assertEqual([(kind, service) for kind, service, _ in kinds[1:]], [("stop_killed", "stubborn")])
        status = self.agent.status()
        self.assertEqual((status["state"], status["message"], status["drift"]), ("held", "the host goes down", []))
        self.assertEqual(self.agent.cli("--output", "json", "quarantine", "list").json, [])

    def test_an_agent_that_is_killed_meanwhile_goes_on_with_it(self):
        with subprocess.Popen([fixture.BIN / "holdfast", "--socket", self.agent.socket, "shutdown", "--force"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True) as asks:
            fixture.wait_until("web has ended", lambda: self.agent.service("web")["pid"] == 0, 5)
            self.agent.stop(signal.SIGKILL)
            self.agent.start()
            said, _ = asks.communicate(timeout=20)
            self.assertEqual(asks.returncode, 0, said)
        self.assertEqual(self.alive(), [])
        self.assertEqual([kind for kind, _, _ in self.kinds() if kind not in ("stopped", "stop_killed", "agent_started")], [])

    def test_what_outlasts_the_time_of_all_is_killed(self):
        done = self.agent.cli("shutdown", "--force", "--within", "1s")
        self.assertEqual(done.code, 0, done)
        self.assertLess(done.seconds, 3)
        self.assertEqual(self.alive(), [])


if __name__ == "__main__":
    fixture.main()
