#!/usr/bin/python3
"""A rollback that was rehearsed is not a hope: its target ran beside what serves, and what it lacks is known before it matters."""
import fixture


class Rehearsal(fixture.AgentCase):
    settings = {"standby": {"memory_pressure": 0, "memory_available": "0"}}

    def small_with_secret(self, image, file):
        return self.small(image, secrets=[{"name": "key", "file": str(file)}])

    def setUp(self):
        super().setUp()
        self.key = self.agent.state / "key"
        self.key.write_text("secret")
        self.applied({"web": self.web("WEB_V1", volumes=[{"source": "data", "target": "/data"}],
                                      update={"strategy": "cutover", "soak": "500ms", "drain": "0s",
                                              "standby": "0s", "deadline": "10s"}),
                      "other": self.small_with_secret("STATIC_V1", self.key)})
        self.applied({"web": self.web("WEB_V2"), "other": self.small("STATIC_V2")})

    def metrics(self):
        return fixture.get(self.agent.metrics_port, "/metrics")

    def test_a_sound_target_passes_beside_what_serves_and_leaves_nothing(self):
        before, port = self.agent.pids(), fixture.get(self.port)
        with fixture.Load(self.port) as load:
            done = self.agent.cli("--output", "json", "rehearse", "--reason", "before the weekend")
        self.assertEqual(done.code, 0, done)
        self.assertEqual((done.json["generation"], done.json["verdict"]), (1, "passed"), done)
        self.assert_no_request_failed(load)
        self.assertEqual((self.agent.pids(), fixture.get(self.port)), (before, port))
        self.assertEqual(set(load.result["answers"]), {"v2"}, "it was never published")
        fixture.wait_until("nothing of it is left", lambda: len(self.agent.traces()["namespaces"]) == 2, 5)
        self.assertEqual(self.agent.status()["rehearsal"]["verdict"], "passed")
        self.assertIn("passed", self.agent.cli("status").out)
        metrics = self.metrics()
        self.assertIn('holdfast_rollback_rehearsal_result{verdict="passed"} 1', metrics)
        self.assertNotIn("holdfast_rollback_rehearsal_timestamp_seconds 0\n", metrics)
        self.assertIn("before the weekend", self.agent.cli("ledger", "export").out)

    def test_a_target_whose_secret_is_gone_fails_and_names_it(self):
        self.key.unlink()
        before = self.agent.pids()
        done = self.agent.cli("rehearse")
        self.assertEqual(done.code, 6, done)
        self.assertIn("other cannot be started", done.text)
        self.assertIn(str(self.key), done.text)
        self.assertEqual(self.agent.pids(), before)
        self.assertEqual((self.agent.status()["state"], fixture.get(self.port)), ("converged", "v2"))
        self.assertIn('holdfast_rollback_rehearsal_result{verdict="failed"} 1', self.metrics())

    def test_what_cannot_be_rehearsed_is_refused_with_a_word(self):
        done = self.agent.cli("rehearse", "2")
        self.assertEqual(done.code, 1, done)
        self.assertIn("generation 2 is current already", done.text)
        done = self.agent.cli("rehearse", "77")
        self.assertIn("there is no generation 77", done.text)

    def test_a_rollback_comes_first_and_cuts_it_off(self):
        asked = self.agent.cli("rehearse", "--no-wait")
        self.assertEqual(asked.code, 0, asked)
        done = self.agent.cli("rollback")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(fixture.get(self.port), "v1")
        fixture.wait_until("there is a verdict", lambda: self.agent.status()["rehearsal"]["verdict"] in ("interrupted", "passed"), 10)
        fixture.wait_until("nothing of it is left", lambda: len(self.agent.traces()["namespaces"]) <= 4, 5)

    def test_frozen_instances_are_given_up_on_a_word(self):
        self.applied({"web": self.web("WEB_V3", update=dict(soak="200ms", drain="0s", standby="10m")), "other": self.small("STATIC_V2")})
        self.applied({"web": self.web("WEB_V1", update=dict(soak="200ms", drain="0s", standby="10m")), "other": self.small("STATIC_V2")})
        fixture.wait_until("one is frozen", lambda: self.agent.status()["standby"], 10)
        self.assertIn("web", self.agent.cli("standby", "list").out)
        done = self.agent.cli("--output", "json", "standby", "drop", "--reason", "memory is needed")
        self.assertEqual((done.code, {item["service"] for item in done.json["dropped"]} >= {"web"}), (0, True), done)
        fixture.wait_until("none is frozen", lambda: not self.agent.status()["standby"], 5)
        fixture.wait_until("it is gone", lambda: len(self.agent.traces()["namespaces"]) == 2, 10)
        self.assertEqual(self.agent.cli("rollback").code, 0, "a cold rollback still works")
        self.assertEqual(fixture.get(self.port), "v3")


class Scheduled(fixture.AgentCase):
    settings = {"rehearse": {"every": "1m"}}

    def test_agent_yaml_asks_for_rehearsals(self):
        self.applied({"web": self.web("WEB_V1")})
        self.applied({"web": self.web("WEB_V2")})
        fixture.wait_until("it has been rehearsed", lambda: (self.agent.status()["rehearsal"] or {}).get("verdict") == "passed", 20)
        self.assertEqual(self.agent.status()["rehearsal"]["actor"], "agent")


if __name__ == "__main__":
    fixture.main()
