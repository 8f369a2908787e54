#!/usr/bin/python3
"""Promise 3: rollback always works, at once, and without the network. Image, configuration, environment and limits come back
together; readiness is measured. (Rehearsals: rehearsal_test.py. Warm and cold times: tests/bench/switch.)"""
import json
import shutil
import time
from pathlib import Path

import fixture


class Promise3(fixture.AgentCase):
    def test_an_update_and_a_rollback_fail_no_request(self):
        self.applied({"web": self.web("WEB_V1")})
        with fixture.Load(self.port) as load:
            done = self.applied({"web": self.web("WEB_V2")})
        self.assertEqual((done.json["generation"], done.json["result"]), (2, "good"), done)
        self.assert_no_request_failed(load)
        self.assertEqual(set(load.result["answers"]), {"v1", "v2"})
        self.assertLess(load.result["answers"]["v1"]["last_boot_ns"], load.result["answers"]["v2"]["first_boot_ns"] + 50e6,
                        "the versions do not take turns")

        with fixture.Load(self.port) as load:
            begin = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            done = self.agent.cli("--output", "json", "rollback", "--reason", "v1 was better")
        self.assertEqual(done.code, 0, done)
        self.assert_no_request_failed(load)
        self.assertEqual(fixture.get(self.port), "v1")
        seconds = (load.result["answers"]["v1"]["first_boot_ns"] - begin) / 1e9
        print(f"rollback: first answer of v1 after {seconds * 1000:.1f} ms, {load.summary()}")
        self.assertLess(seconds, 2, "a rollback to a standby is immediate")
        current = [item for item in self.agent.history() if item["current"]]
        self.assertEqual([item["generation"] for item in current], [1])
        rolled_back = next(item for item in self.agent.history() if item["generation"] == 2)
        self.assertEqual((rolled_back["result"], rolled_back["quarantined"]), ("rolled_back", True))

    def test_rollback_can_name_a_generation_and_brings_back_its_environment(self):
        # nginx writes its title over its environment, so a second service shows what the container was given.
        for number, image in (("one", "WEB_V1"), ("two", "WEB_V2"), ("three", "WEB_V3")):
            self.applied({"web": self.web(image), "small": self.small(env={"RELEASE": number})})
        self.assertEqual(self.agent.cli("rollback", "--to", "1", "--reason", "test").code, 0)
        self.assertEqual(fixture.get(self.port), "v1")
        pid = self.agent.service("small")["pid"]
        with open(f"/proc/{pid}/environ", "rb") as stream:
            self.assertIn(b"RELEASE=one", stream.read().split(b"\0"))

    def test_rollback_without_an_earlier_generation_is_refused_and_touches_nothing(self):
        self.applied({"web": self.web("WEB_V1")})
        before = self.agent.pids()
        done = self.agent.cli("rollback", "--reason", "test")
        self.assertNotEqual(done.code, 0, done)
        self.assertEqual(self.agent.pids(), before)
        done = self.agent.cli("rollback", "--to", "77", "--reason", "test")
        self.assertNotEqual(done.code, 0, done)
        self.assertIn("77", done.text)

    def test_a_dry_run_touches_nothing(self):
        self.applied({"web": self.web("WEB_V1")})
        self.applied({"web": self.web("WEB_V2")})
        before = self.agent.pids()
        done = self.agent.cli("rollback", "--dry-run")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(self.agent.pids(), before)
        self.assertEqual(fixture.get(self.port), "v2")


    def test_a_cold_rollback_needs_neither_the_registry_nor_a_standby(self):
        self.applied({"web": self.web("WEB_V1", update=dict(soak="200ms", drain="0s", standby="0s"))})
        self.applied({"web": self.web("WEB_V2", update=dict(soak="200ms", drain="0s", standby="0s"))})
        self.agent.stop()
        # From now on the agent asks the registry for TLS, which it does not speak: it might as well be gone.
        self.agent.settings["registries"] = {}
        self.agent.write_config()
        self.agent.start()
        unknown = self.agent.apply({"web": self.web("WEB_V3")}, "--timeout", "60s")
        self.assertNotEqual(unknown.code, 0, "the registry cannot be used")
        self.assertEqual(self.agent.status()["standby"], [])
        done = self.agent.cli("rollback")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(fixture.get(self.port), "v1")

    def test_limits_and_configuration_come_back_with_the_image(self):
        config = self.agent.state / "one"
        config.write_text("first")
        first = {"small": self.small("STATIC_V1", resources={"memory": "64Mi"}, env={"RELEASE": "one"},
                                     volumes=[{"source": str(config), "target": "/etc/release", "read_only": True}])}
        self.applied(first)
        self.applied({"small": self.small("STATIC_V2", resources={"memory": "128Mi"}, env={"RELEASE": "two"})})
        self.assertEqual(self.memory_limit(), 128 << 20)
        self.assertEqual(self.agent.cli("rollback").code, 0)
        self.assertEqual(self.memory_limit(), 64 << 20)
        pid = self.agent.service("small")["pid"]
        with open(f"/proc/{pid}/root/etc/release", encoding="utf-8") as file:
            self.assertEqual(file.read(), "first")

    def memory_limit(self):
        """Of the cgroup that the service's process is in, v1 or v2."""
        pid = self.agent.service("small")["pid"]
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            lines = [line.strip().split(":", 2) for line in file]
        for _, names, path in lines:
            if names == "memory":
                return int(Path(f"/sys/fs/cgroup/memory{path}/memory.limit_in_bytes").read_text())
        return int(Path(f"/sys/fs/cgroup{lines[-1][2]}/memory.max").read_text())

    def test_a_generation_whose_layer_is_gone_is_not_ready_and_refused_by_name(self):
        self.applied({"web": self.web("WEB_V1"), "small": self.small("STATIC_V1", update=dict(standby="0s", drain="0s", soak="200ms"))})
        self.applied({"web": self.web("WEB_V2")})
        self.assertTrue(self.agent.status()["rollback"]["ready"])
        self.agent.stop()
        gone = self.layers_of("STATIC_V1") - self.layers_of("WEB_V2")
        self.assertTrue(gone)
        for layer in gone:
            shutil.rmtree(layer)
        self.agent.start()
        fixture.wait_until("it says so", lambda: not self.agent.status()["rollback"]["ready"], 10)
        before = self.agent.pids()
        done = self.agent.cli("rollback")
        self.assertEqual(done.code, 1, done)
        self.assertIn("generation 1 is not ready", done.text)
        self.assertEqual((self.agent.pids(), fixture.get(self.port)), (before, "v2"))

    def layers_of(self, image):
        """Directories of the store that hold the image's layers."""
        blobs = self.agent.state / "state/blobs/sha256"
        manifest = json.loads((blobs / self.images[image].rsplit(":", 1)[1]).read_text())
        config = json.loads((blobs / manifest["config"]["digest"].split(":")[1]).read_text())
        return {path for path in (self.agent.state / "state/layers").iterdir()
                if path.name in {digest.split(":")[1] for digest in config["rootfs"]["diff_ids"]}}


if __name__ == "__main__":
    fixture.main()
