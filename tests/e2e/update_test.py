#!/usr/bin/python3
"""Update and rollback under a constant stream of requests: not one may fail."""
import time

import fixture


class Update(fixture.AgentCase):
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

    def test_what_was_rolled_back_from_is_not_applied_again(self):
        self.applied({"web": self.web("WEB_V1")})
        self.applied({"web": self.web("WEB_V2")})
        self.assertEqual(self.agent.cli("rollback", "--reason", "test").code, 0)
        again = self.agent.apply({"web": self.web("WEB_V2")})
        self.assertEqual(again.code, 5, again)
        self.assertEqual(fixture.get(self.port), "v1")
        self.applied({"web": self.web("WEB_V3")})
        self.assertEqual(fixture.get(self.port), "v3")

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


if __name__ == "__main__":
    fixture.main()
