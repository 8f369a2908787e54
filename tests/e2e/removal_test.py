#!/usr/bin/python3
"""What is no longer declared leaves nothing behind."""
import fixture


class Removal(fixture.AgentCase):
    def test_a_deployment_without_services_leaves_no_trace_of_them(self):
        before = self.agent.traces()  # the agent's own
        self.applied({"web": self.web("WEB_V1"), "cache": self.redis()})
        self.applied({"web": self.web("WEB_V2"), "cache": self.redis()})
        for kind in ("mounts", "namespaces", "cgroups", "processes", "addresses", "links"):
            self.assertNotEqual(self.agent.traces()[kind], before[kind], f"the look at {kind} sees nothing")
        self.applied({})

        def left():
            now = self.agent.traces()
            return {kind: now[kind] for kind in before if kind != "tables" and now[kind] != before[kind]}

        try:
            fixture.wait_until("all is gone", lambda: not left(), 20)
        except AssertionError:
            self.fail(f"left behind: {left()}")
        self.assertIsNone(fixture.get(self.port))
        self.assertEqual(self.agent.status()["services"], [])

    def test_a_failed_update_leaves_nothing_of_the_new_version(self):
        self.applied({"web": self.web("WEB_V1")})
        before = self.agent.traces()
        self.assertEqual(self.agent.apply({"web": self.web("WEB_CRASH")}).code, 4)
        for kind in ("mounts", "namespaces", "cgroups", "processes", "addresses", "links"):
            fixture.wait_until(f"{kind} are as before", lambda kind=kind: self.agent.traces()[kind] == before[kind], 15)


if __name__ == "__main__":
    fixture.main()
