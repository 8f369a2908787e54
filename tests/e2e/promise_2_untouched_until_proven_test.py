#!/usr/bin/python3
"""Promise 2: the old version is untouched until the new one is proven. A failure at any point leaves it serving, with no failed
request, and is reported as one. (Connections that outlast the drain: rounds_test.py. Hooks that veto: hooks_test.py.)"""
import os
import signal

import fixture


class Promise2(fixture.AgentCase):
    def expect_the_old_version_untouched(self, image, evidence):
        self.applied({"web": self.web("WEB_V1", update=dict(deadline="4s", soak="1s", drain="1s"))})
        before = self.agent.pids()
        with fixture.Load(self.port) as load:
            done = self.agent.apply({"web": self.web(image, update=dict(deadline="4s", soak="1s", drain="1s"))})
        self.assertEqual(done.code, 4, done)
        self.assertEqual(done.json["result"], "rolled_back", done)
        self.assertIn(evidence, done.text)
        self.assert_no_request_failed(load)
        self.assertEqual(set(load.result["answers"]), {"v1"})
        self.assertEqual(self.agent.pids(), before, "the old container never stopped")
        failed = next(item for item in self.agent.history() if item["generation"] == 2)
        self.assertIn(failed["result"], ("failed", "rolled_back"))
        self.assertTrue(failed["quarantined"])
        status = self.agent.status()
        self.assertEqual((status["state"], status["generation"]), ("converged", 1))
        shown = self.agent.cli("show", "2")
        self.assertEqual(shown.code, 0, shown)
        self.assertIn(evidence, shown.text, "the evidence is in the ledger")
        return done

    def test_an_unhealthy_version_is_rolled_back_with_its_answer_as_evidence(self):
        self.expect_the_old_version_untouched("WEB_BAD", "500")

    def test_a_crashing_version_is_rolled_back_with_its_exit_and_last_words(self):
        done = self.expect_the_old_version_untouched("WEB_CRASH", "exit")
        self.assertIn("cannot find /etc/shop/licence", done.text)

    def test_the_very_first_version_may_fail_too(self):
        done = self.agent.apply({"web": self.web("WEB_CRASH")})
        self.assertNotEqual(done.code, 0, done)
        self.assertIsNone(fixture.get(self.port))
        self.applied({"web": self.web("WEB_V1")})
        self.assertEqual(fixture.get(self.port), "v1")

    def test_one_bad_service_takes_the_others_back_with_it(self):
        self.applied({"web": self.web("WEB_V1"), "other": self.small("STATIC_V1")})
        before = self.agent.pids()
        done = self.agent.apply({"web": self.web("WEB_BAD", update=dict(deadline="3s")), "other": self.small("STATIC_V2")})
        self.assertEqual(done.code, 4, done)
        self.assertEqual(self.agent.pids(), before)


    def test_a_version_that_cannot_be_pulled_whole_never_starts(self):
        self.applied({"web": self.web("WEB_V1")})
        before = self.agent.pids()
        with fixture.Load(self.port) as load:
            for image in ("MISSING_V1", "CORRUPT_V1"):
                done = self.agent.apply({"web": self.web(image)})
                self.assertEqual(done.code, 4, done)
        self.assert_no_request_failed(load)
        self.assertEqual(self.agent.pids(), before)
        started = [line for line in self.agent.cli("ledger", "export").out.splitlines() if '"starting"' in line and '"generation":1' not in line]
        self.assertEqual(started, [], "nothing of it was started")

    def test_the_old_container_is_the_same_process_until_the_new_one_is_healthy(self):
        self.applied({"web": self.web("WEB_V1")})
        old = self.agent.pids()["web"]
        seen = set()
        self.assertEqual(self.agent.cli("apply", "--no-wait", self.agent.document({"web": self.web("WEB_V2")})).code, 0)

        def switched():
            seen.add(self.agent.pids()["web"])
            return fixture.get(self.port) == "v2"
        fixture.wait_until("the new version answers", switched, 15)
        self.assertIn(old, seen)

    def test_a_version_that_turns_bad_while_it_soaks_is_taken_back(self):
        self.applied({"web": self.web("WEB_V1")})
        before = self.agent.pids()
        update = {"web": self.web("WEB_V2", update=dict(soak="30s", drain="1s", standby="10s", deadline="20s"))}
        self.assertEqual(self.agent.cli("apply", "--no-wait", self.agent.document(update)).code, 0)
        fixture.wait_until("the new version answers", lambda: fixture.get(self.port) == "v2", 15)
        fixture.wait_until("the status says so", lambda: self.agent.pids() != before, 5)
        os.kill(self.agent.pids()["web"], signal.SIGKILL)
        fixture.wait_until("the old version answers", lambda: fixture.get(self.port) == "v1", 5)
        fixture.wait_until("it is over", lambda: self.agent.status()["state"] == "converged", 10)
        self.assertEqual(self.agent.pids(), before, "by the process that never stopped")
        self.assertTrue(self.agent.history()[0]["quarantined"])


if __name__ == "__main__":
    fixture.main()
