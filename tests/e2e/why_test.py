#!/usr/bin/python3
"""`holdfast why`: what the person on call reads first is true, says what proves it, and the next command exists."""
import time

import fixture
from fixture import wait_until


class Why(fixture.AgentCase):
    def why(self, *arguments):
        return self.agent.cli("why", *arguments)

    def explained(self, service):
        return next(one for one in self.agent.cli("why", "-o", "json").json if one["service"] == service)

    def crashing(self):
        service = self.small(entrypoint=["/bin/sh", "-c"], command=["sleep 4; echo no database at all >&2; exit 3"])
        service.pop("health")
        return service

    def test_from_nothing_to_a_crash_loop_and_a_change_that_failed(self):
        empty = self.why()
        self.assertEqual(empty.code, 0, empty)
        self.assertIn("next: holdfast apply FILE\n", empty.out)
        unknown = self.why("web")
        self.assertEqual(unknown.code, 1, unknown)
        self.assertIn("holdfast apply", unknown.err)

        self.applied({"web": self.web("WEB_V1"), "job": self.crashing()})
        well = self.why("web")
        self.assertEqual(well.code, 0, well)
        self.assertRegex(well.out, r"^\S+ web has run for \d+s and is healthy\n$")
        wait_until("it has crashed twice", lambda: "started again 2 times" in self.why("job").out, 30)
        crashed = self.why("job")
        self.assertIn("exited with code 3", crashed.out)
        self.assertIn("| no database at all\n", crashed.out)
        self.assertIn("next: holdfast logs job\n", crashed.out)
        self.assertIn("no database at all", self.agent.cli("logs", "job").out)  # the step that it names

        # Whether it runs just now or waits for its next try: it loops, and that is bad each time.
        wait_until("it loops", lambda: self.agent.service("job")["crash_looping"], 40)
        self.assertEqual([self.why("job").code for _ in range(20) if not time.sleep(0.1)], [6] * 20)
        self.assertEqual(self.agent.cli("status", "job").code, 6)
        self.assertIn("job", [one["service"] for one in self.agent.cli("why", "-o", "json").json])

        quick = {"soak": "500ms", "drain": "500ms", "deadline": "8s"}
        failed = self.agent.apply({"web": self.web("WEB_BAD", update=quick), "job": self.crashing(),
                                   "new": self.small(depends_on=["web"])}, "--timeout", "20s")
        self.assertEqual(failed.code, 4, failed)
        reason = self.why("web")
        self.assertEqual(reason.code, 0, "what runs is well")
        for text in ("generation 2 failed", "was rolled back", "probe: GET :8080/healthz → 500", "next: holdfast show 2\n"):
            self.assertIn(text, reason.out)
        self.assertEqual(self.agent.cli("show", "2").code, 0)
        restarts = [entry for entry in map(fixture.json.loads, self.agent.cli("ledger", "export").out.splitlines()) if entry["kind"] == "restarted"]
        self.assertEqual({entry["actor"] for entry in restarts}, {"agent"}, "also of those during the rollout")

        host = self.explained("")
        self.assertTrue(any("generation 2 failed" in one["what"] for one in host["reasons"]), host)
        self.agent.stop()
        self.agent.start()
        self.assertIn("generation 2 failed", self.why("web").out, "the ledger knows it, also in another life of the agent")

    def test_what_an_operator_did_is_no_fault(self):
        self.applied({"web": self.web("WEB_V1")})
        self.assertEqual(self.agent.cli("stop", "web", "--reason", "disk swap").code, 0)
        stopped = self.why("web")
        self.assertEqual(stopped.code, 0, stopped)
        self.assertIn("web was stopped by an operator", stopped.out)
        self.assertIn("disk swap", stopped.out)
        self.assertIn("next: holdfast start web\n", stopped.out)
        self.assertEqual(self.agent.cli("hold", "--reason", "freeze of the shop").code, 0)
        held = self.why()
        self.assertIn("freeze of the shop", held.out)
        self.assertIn("next: holdfast resume\n", held.out)


if __name__ == "__main__":
    fixture.main()
