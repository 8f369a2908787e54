#!/usr/bin/python3
"""The agent is killed at random instants of applies and rollbacks, under load: nothing is lost, nothing is left behind.

HOLDFAST_KILL_ROUNDS (default 50) and HOLDFAST_KILL_SEED set how many and which; tests/soak/run does a thousand.
"""
import json
import os
import random
import signal
import subprocess
import sys
import time
import unittest

import fixture

ROUNDS = int(os.environ.get("HOLDFAST_KILL_ROUNDS", "50"))
SEED = int(os.environ.get("HOLDFAST_KILL_SEED", str(time.time_ns() % 1_000_000)))
LOOK_EVERY = 10


class Kills(fixture.AgentCase):
    settings = {"resync": "1s", "retain": 3}

    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.acknowledged = 0
        self.tried = {}
        self.services = {"web": self.quick(self.web()), "page": self.quick(self.small()), "cache": self.redis()}
        self.applied(self.services)
        self.untouched = self.agent.service("cache")

    @staticmethod
    def quick(service):
        service["update"] = {"soak": "200ms", "drain": "300ms", "standby": "1s", "deadline": "3s"}
        return service

    # --- one round ---

    def some_document(self):
        """Another version of one or both services that change; one in six never becomes healthy."""
        services = dict(self.services)
        services["web"] = self.quick(self.web(self.random.choice(["WEB_V1", "WEB_V2"])))
        if self.random.random() < 0.5:
            services["page"] = self.quick(self.small(self.random.choice(["STATIC_V1", "STATIC_V2"])))
        services["web"]["env"] = {"ROUND": str(self.random.randrange(1000))}
        if self.random.random() < 0.17:
            services["web"]["health"] = {"http": "http://:8080/nothing-here", "interval": "100ms"}
        return services

    def command(self):
        kind = self.random.choices(["apply", "rollback", "wait"], [6, 3, 1])[0]
        self.tried[kind] = self.tried.get(kind, 0) + 1
        if kind == "apply":
            return ["--output", "json", "apply", "--no-wait", str(self.agent.document(self.some_document()))]
        if kind == "rollback":
            return ["--output", "json", "rollback", "--no-wait", "--reason", "a round"]
        return ["--output", "json", "status"]

    def round(self):
        environment = {"PATH": os.environ["PATH"], "HOLDFAST_SOCKET": str(self.agent.socket), "LC_ALL": "C.UTF-8"}
        command = self.command()
        client = subprocess.Popen([fixture.BIN / "holdfast", *command], env=environment, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        # Most of what happens happens soon; some kills meet the gate, the soak and the drain.
        time.sleep(self.random.choice([0.03, 0.15, 0.6, 1.2]) * self.random.random())
        self.agent.stop(signal.SIGKILL)
        out, _ = client.communicate(timeout=20)
        if client.returncode == 0 and "apply" in command:
            self.acknowledged = max(self.acknowledged, json.loads(out)["generation"])
        self.agent.start()
        history = self.agent.history()
        self.assertEqual(sum(row["current"] for row in history), 1, history)
        self.assertGreaterEqual(max(row["generation"] for row in history), self.acknowledged, "an acknowledged apply is lost")
        self.assertIn(fixture.get(self.port), ("v1", "v2"))

    # --- what must hold when all is quiet ---

    def counts(self):
        found = self.agent.traces()
        return {**{kind: len(names) for kind, names in found.items()}, "cgroups": len(set(found["cgroups"]) - {"conmon"})}

    def look(self):
        fixture.wait_until("it has converged", lambda: self.agent.status()["state"] == "converged", 40)
        verified = self.agent.cli("ledger", "verify")
        self.assertEqual(verified.code, 0, verified)
        # Processes: of each instance its conmon and the writer of its log. Mounts: one is of the volumes.
        wanted = {"mounts": 8, "namespaces": 3, "cgroups": 3, "processes": 6, "links": 3, "tables": 1, "addresses": 3}
        deadline = time.monotonic() + 20
        while self.counts() != wanted and time.monotonic() < deadline:
            time.sleep(0.2)
        self.assertEqual(self.counts(), wanted, self.agent.traces())
        self.assertEqual(self.agent.status()["drift"], [])
        self.assertEqual(list((self.agent.state / "state/ingest").glob("*")), [], "work in progress was left in the store")
        now = self.agent.service("cache")
        self.assertEqual({key: now[key] for key in ("pid", "instance", "since", "restarts")},
                         {key: self.untouched[key] for key in ("pid", "instance", "since", "restarts")}, "an unchanged service was touched")

    def test_killed_at_random_instants_nothing_is_lost_and_nothing_left_behind(self):
        begin = time.monotonic()
        with fixture.Load(self.port) as load:
            for number in range(ROUNDS):
                with self.subTest(round=number, seed=SEED):
                    self.round()
                    if number % LOOK_EVERY == LOOK_EVERY - 1:
                        self.look()
        self.look()
        self.assertEqual(load.result["failed"], 0, f"seed {SEED}: {json.dumps(load.result, indent=1)}")
        print(f"{ROUNDS} kills in {time.monotonic() - begin:.0f} s with seed {SEED}: {self.tried}, {load.result['requests']} requests, "
              f"{load.result['failed']} failed, longest gap {load.result['longest_gap_ms']} ms", file=sys.stderr)

    def run(self, result=None):
        # A failed round ends the test: what follows would only tell of it again.
        if result is not None:
            result.failfast = True
        return super().run(result)


if __name__ == "__main__":
    if ROUNDS < 1:
        sys.exit("HOLDFAST_KILL_ROUNDS must be at least 1")
    unittest.installHandler()
    fixture.main()
