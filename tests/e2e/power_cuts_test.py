#!/usr/bin/python3
"""The power goes at random instants of updates and rollbacks: the state is on an ext4 of its own, which drops whatever was not
flushed (FS_IOC_SHUTDOWN) while everything that runs is killed. HOLDFAST_POWER_CUTS (default 4) and HOLDFAST_POWER_SEED."""
import fcntl
import json
import os
import random
import struct
import subprocess
import sys
import time

import disk
import fixture

CUTS = int(os.environ.get("HOLDFAST_POWER_CUTS", "4"))
SEED = int(os.environ.get("HOLDFAST_POWER_SEED", "20261128"))
SHUTDOWN, WITHOUT_LOG_FLUSH = 0x8004587D, 2
UPDATE = {"soak": "200ms", "drain": "200ms", "standby": "1s", "deadline": "4s"}


class PowerCuts(fixture.AgentCase):
    settings = {"resync": "1s", "retain": 3}

    def setUp(self):
        self.images, self.port = fixture.images(), fixture.free_port()
        self.agent = fixture.Agent(**self.settings)
        beside = str(self.agent.state)  # what must outlive a cut without having been flushed
        self.sheet = beside + ".yaml"
        self.agent.config, self.agent.log = self.agent.state.with_suffix(".conf"), self.agent.state.with_suffix(".log")
        self.agent.write_config()
        self.disk = disk.Disk(self.agent, size=500 << 20)
        self.addCleanup(self.clear)
        self.agent.start()
        self.random = random.Random(SEED)
        self.number = 0

    def clear(self):
        try:
            self.agent.remove()
        finally:
            self.disk.remove()
            subprocess.run(["rm", "-f", self.sheet, self.agent.config, self.agent.log], check=True)

    def services(self):
        self.number += 1
        web = self.web(self.random.choice(["WEB_V1", "WEB_V2", "WEB_V3"]), env={"ROUND": str(self.number)}, update=UPDATE)
        return {"web": web, "cache": self.redis()}

    def apply(self, *arguments):
        with open(self.sheet, "w", encoding="utf-8") as file:
            json.dump({"apiVersion": "holdfast/v1", "name": "shop", "services": self.services()}, file)
        return ["--output", "json", "apply", *arguments, self.sheet]

    def cut(self):
        directory = os.open(self.agent.state, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.ioctl(directory, SHUTDOWN, struct.pack("I", WITHOUT_LOG_FLUSH))
        os.close(directory)
        self.agent.crash_host()
        self.disk.unmount()
        self.disk.mount()

    def round(self):
        """The highest generation that was promised before the power went."""
        command = self.random.choice([self.apply("--no-wait"), self.apply("--no-wait"), ["--output", "json", "rollback", "--no-wait"]])
        environment = {"PATH": os.environ["PATH"], "HOLDFAST_SOCKET": str(self.agent.socket), "LC_ALL": "C.UTF-8"}
        client = subprocess.Popen([fixture.BIN / "holdfast", *command], env=environment, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        time.sleep(self.random.choice([0.05, 0.3, 1.5]) * self.random.random())
        told = client.poll() is not None
        self.cut()
        out, _ = client.communicate(timeout=20)
        return json.loads(out)["generation"] if told and client.returncode == 0 and "apply" in command else 0

    def look(self, promised):
        self.agent.start()
        fixture.wait_until("it has converged", lambda: self.agent.status()["state"] == "converged", 40)
        history = self.agent.history()
        self.assertEqual(sum(row["current"] for row in history), 1, history)
        self.assertGreaterEqual(max(row["generation"] for row in history), promised, "an acknowledged apply is lost")
        for command in (("ledger", "verify"), ("image", "verify")):
            done = self.agent.cli(*command)
            self.assertEqual(done.code, 0, done)
        fixture.wait_until("it serves", lambda: fixture.get(self.port) in ("v1", "v2", "v3"), 10)
        self.assertEqual(self.agent.status()["drift"], [])

    def test_the_power_may_go_at_any_time(self):
        begin, promised = time.monotonic(), 0
        done = self.agent.cli(*self.apply())
        self.assertEqual(done.code, 0, done)
        for number in range(CUTS):
            with self.subTest(cut=number, seed=SEED):
                promised = max(promised, self.round())
                self.look(promised)
        print(f"{CUTS} power cuts in {time.monotonic() - begin:.0f} s with seed {SEED}: {promised} generations promised, none lost",
              file=sys.stderr)


if __name__ == "__main__":
    fixture.main()
