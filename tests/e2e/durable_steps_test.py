#!/usr/bin/python3
"""The agent is killed at durable steps of an update and a rollback: before the n-th flush, rename, write … of its files.

A sample of them; HOLDFAST_FAULT_POINTS=all tries every one, HOLDFAST_FAULT_POINTS=N that many. HOLDFAST_FAULT_SEED says which.
"""
import os
import random
import sys
import time

import faults
import fixture

WANTED = os.environ.get("HOLDFAST_FAULT_POINTS", "6")
SEED = int(os.environ.get("HOLDFAST_FAULT_SEED", "20261128"))
UPDATE = {"soak": "100ms", "drain": "100ms", "standby": "500ms", "deadline": "5s"}


class DurableSteps(fixture.AgentCase):
    settings = {"resync": "1s", "retain": 3}

    def setUp(self):
        self.images, self.port = fixture.images(), fixture.free_port()
        self.agent = fixture.Agent(**self.settings)
        self.addCleanup(self.agent.remove)
        self.faults = faults.Faults(self.agent, "any:1=kill-before", children=True)
        self.agent.start()
        self.number = 0
        for version in ("WEB_V3", "WEB_V2", "WEB_V1"):  # pulls are swept by component/faults
            self.applied(self.document(version))

    def document(self, image):
        self.number += 1
        return {"web": self.web(image, env={"ROUND": str(self.number)}, update=UPDATE), "cache": self.redis()}

    def change(self, at):
        """An update and a rollback, until the fault meets them; the highest generation that was promised."""
        self.faults.arm(at)
        promised = 0
        done = self.agent.apply(self.document(random.Random(at).choice(["WEB_V2", "WEB_V3"])), "--no-wait", seconds=30)
        if done.code == 0:
            promised = done.json["generation"]
            self.settle(lambda status: status["generation"] == promised)
        if self.alive():
            done = self.agent.cli("rollback", "--no-wait", "--reason", "a round", seconds=30)
            self.assertTrue(done.code == 0 or self.faults.reached, done)
            self.settle(lambda status: status["generation"] != promised)
        self.faults.disarm()
        return promised

    def alive(self):
        return self.agent.process.poll() is None

    def settle(self, wanted):
        """Until nothing is under way any more, or the agent has ended."""
        deadline = time.monotonic() + 20
        while self.alive() and time.monotonic() < deadline:
            done = self.agent.cli("--output", "json", "status")
            if done.out and done.json["state"] == "converged" and not done.json.get("rollout") and wanted(done.json):
                return
            time.sleep(0.05)

    def look(self, promised):
        """What holds after every fault: packaging/doc/security.md 7.2, I-1 to I-5; that rollbacks work, I-8, is asked of each."""
        self.agent.start()
        fixture.wait_until("it has converged", lambda: self.agent.status()["state"] == "converged", 30)
        history = self.agent.history()
        self.assertEqual(sum(row["current"] for row in history), 1, history)
        self.assertGreaterEqual(max(row["generation"] for row in history), promised, "an acknowledged apply is lost")
        self.assertEqual(self.agent.cli("ledger", "verify").code, 0)
        self.assertIn(fixture.get(self.port), ("v1", "v2", "v3"))
        # Processes: of each instance its conmon and the writer of its log. Mounts: one is of the volumes.
        wanted = {"mounts": 6, "namespaces": 2, "cgroups": 2, "processes": 4, "links": 2, "tables": 1, "addresses": 2}
        try:
            fixture.wait_until("nothing is left over", lambda: self.counts() == wanted, 15, 0.1)
        except AssertionError:
            self.assertEqual(self.counts(), wanted, self.agent.traces())
        self.assertEqual(list((self.agent.state / "state/ingest").glob("*")), [])
        self.assertEqual(self.agent.status()["drift"], [])

    def counts(self):
        found = self.agent.traces()
        return {**{kind: len(names) for kind, names in found.items()}, "cgroups": len(set(found["cgroups"]) - {"conmon"})}

    def test_killed_before_any_of_them_it_goes_on_and_no_request_fails(self):
        begin = time.monotonic()
        self.change(10**9)  # the number of a call that never comes
        calls = self.faults.calls
        self.assertGreater(len(calls), 40, calls)
        points = list(range(1, len(calls) + 1))
        if WANTED != "all":  # of those that every life reaches
            points = sorted(random.Random(SEED).sample(points[:len(points) // 2], int(WANTED)))
        untouched = self.agent.service("cache")["pid"]
        killed = 0
        with fixture.Load(self.port) as load:
            for at in points:
                with self.subTest(point=at, of=len(calls)):
                    promised = self.change(at)
                    met = self.faults.reached > 0
                    last = self.faults.calls[-1] if self.faults.calls else ""
                    killed += met
                    self.agent.stop()
                    if WANTED == "all":
                        print(f"{at} of {len(calls)}: {'killed before ' + last if met else 'not met'}", file=sys.stderr, flush=True)
                    self.look(promised)
                    self.assertEqual(self.agent.service("cache")["pid"], untouched, "a service without a change was touched")
        self.assertEqual(load.result["failed"], 0, load.summary())
        self.assertGreater(killed, len(points) // 2)
        print(f"{killed} of {len(points)} lives ended before one of {len(calls)} calls, {time.monotonic() - begin:.0f} s, "
              f"{load.result['requests']} requests, {load.result['failed']} failed, longest gap {load.result['longest_gap_ms']} ms",
              file=sys.stderr)


if __name__ == "__main__":
    fixture.main()
