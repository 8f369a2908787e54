#!/usr/bin/python3
"""A version that does not work never takes over: the old one goes on serving, and the failure is reported as one."""
import fixture


class FailedUpdate(fixture.AgentCase):
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

    def test_what_failed_is_not_tried_again(self):
        self.applied({"web": self.web("WEB_V1")})
        bad = {"web": self.web("WEB_CRASH")}
        self.assertEqual(self.agent.apply(bad).code, 4)
        again = self.agent.apply(bad)
        self.assertEqual(again.code, 5, again)

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


if __name__ == "__main__":
    fixture.main()
