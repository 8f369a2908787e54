#!/usr/bin/python3
"""A container without privileges works against the agent: by what it writes below its root, and by what it says."""
import os
import signal
import time

import attack
import disk
import fixture
import hostile_tree


class Trees(attack.AttackCase):
    """A look at what was written is bounded and beside the engine, and the tree can be removed."""

    settings = {"resync": "1s"}

    def prepare(self):
        self.addCleanup(disk.Memory(self.agent).remove)

    def others(self):
        return {"trees": {"image": self.images["STATIC_V1"], "update": {**attack.UPDATE, "standby": "1s"}, **hostile_tree.arguments("restless")}}

    def test_deep_and_wide_trees_that_are_renamed_meanwhile(self):
        fixture.wait_until("the trees are there", lambda: "ready" in self.agent.cli("logs", "trees").out, 30)
        fixture.wait_until("it was looked at", lambda: any(item["kind"] == "writes" for item in self.agent.status()["drift"]), 10)
        self.assertIn("more than", self.evidence())
        self.assert_rollback_is_quick()
        back = self.way_back()
        self.agent.stop(signal.SIGKILL)
        self.agent.start()
        self.assert_rollback_is_quick(*back)
        self.applied({"web": self.web("WEB_V1", update=attack.UPDATE)})
        fixture.wait_until("no trace is left", lambda: not self.roots(), 60)
        self.assertLess(attack.memory_of(self.agent.process.pid) - self.idle, attack.MOST)

    def evidence(self):
        return next(item["evidence"] for item in self.agent.status()["drift"] if item["kind"] == "writes")

    def roots(self):
        return [path.name for path in (self.agent.state / "state").glob("instances/*trees*")]


class Stubborn(fixture.AgentCase):
    """It makes its own restart impossible, and ends: the next version is not to blame for that."""

    def version(self, number, script):
        service = self.small("STATIC_V1", update=attack.UPDATE, env={"N": str(number)}, entrypoint=["/bin/sh", "-c", script], command=[],
                             security={"read_only": False, "user": "0:0"})
        service.pop("health")
        return {"web": service}

    def test_a_container_that_cannot_be_restarted_does_not_veto_its_replacement(self):
        for number in range(3):
            self.applied(self.version(number, "(/bin/busybox sleep 0.7; exec /bin/busybox chmod 0 /) & exec /bin/busybox sleep 1000"))
            time.sleep(1)
            os.kill(self.agent.service("web")["pid"], signal.SIGKILL)
            self.applied(self.version(number, "exec /bin/busybox sleep 1000"))


class Flood(attack.AttackCase):
    """The bound of the files themselves: host_faults (F-63)."""

    settings = {"log": {"max_size": "1Mi"}}

    def others(self):
        said = "s='a line of a flood '; s=$s$s$s$s$s$s; while :; do echo $s$s$s$s$s$s$s$s$s$s; done"
        return {"page": {"image": self.images["STATIC_V1"], "update": attack.UPDATE, "entrypoint": ["/bin/sh", "-c"], "command": [said]}}

    def test_a_flood_of_lines(self):
        # The flood's blocks are ahead of the ledger's flush; a rollback waits for that 50 ms at most (deploy/ledger).
        self.assert_rollback_is_quick()
        logs = self.agent.cli("logs", "page", "--tail", "5")
        self.assertEqual(len(logs.out.splitlines()), 5, logs)


class Storm(attack.AttackCase):
    """Blocks of a volume are flushed without end, ahead of those of the ledger."""

    def others(self):
        said = "while :; do /bin/busybox dd if=/dev/zero of=/data/block bs=1M count=32 conv=fsync 2>/dev/null; done"
        return {"storm": {"image": self.images["STATIC_V1"], "update": attack.UPDATE, "entrypoint": ["/bin/sh", "-c"], "command": [said],
                          "volumes": [{"source": "data", "target": "/data", "owner": "10001"}]}}

    def test_a_storm_of_flushes(self):
        for _ in range(2):
            self.assert_rollback_is_quick(*self.way_back())


class Sockets(attack.AttackCase):
    """A container that connects to itself as often as it may: what drains is listed and reset in pieces."""

    def others(self, **changes):
        return {"sockets": {"image": self.images["STATIC_V1"], "update": attack.UPDATE, "ulimits": {"nofile": 20_000},
                            **hostile_tree.arguments("sockets"), **changes}}

    def test_connections_of_a_container_to_itself(self):
        fixture.wait_until("they are open", lambda: self.agent.cli("logs", "sockets").out.count("ready") == 4, 60)
        self.applied({"web": self.web("WEB_V2", update=attack.UPDATE), **self.others(env={"AGAIN": "1"})})
        self.assert_rollback_is_quick(*self.way_back())
        fixture.wait_until("they were reset", lambda: "outlasted the drain" in self.agent.cli("ledger", "export").out, 30)


class Talk(attack.AttackCase):
    """A container that writes without line ends, and users who read all of it, again and again."""

    def others(self):
        said = "s=$(/bin/busybox yes zzzzzzzzzzzzzzz | /bin/busybox head -c 60000 | /bin/busybox tr '\\n' 'z'); while :; do echo $s$s$s; done"
        return {"talk": {"image": self.images["STATIC_V1"], "update": {**attack.UPDATE, "standby": "1s"}, "entrypoint": ["/bin/sh", "-c"], "command": [said]}}

    def test_readers_of_whole_logs(self):
        with self.meanwhile(ask_as_one_of_four, self.agent.socket, "GET", "/v1/logs/talk?tail=1000000", None, number=8, begins=2.0, seconds=20):
            self.assert_rollback_is_quick()
        with self.meanwhile(attack.hold_for_ever, self.agent.socket, b"GET /v1/logs/talk?tail=1000000 HTTP/1.1\r\nHost: x\r\n\r\n", 4, number=4, begins=2.0):
            self.assert_rollback_is_quick(*self.way_back())


def ask_as_one_of_four(uid, *arguments):
    attack.ask_for_ever(20000 + uid % 4, *arguments)


if __name__ == "__main__":
    fixture.main()
