#!/usr/bin/python3
"""Jobs around a rollout: a migration before it, a smoke test after its switch, an undo when it is rolled back from."""
import signal
import time

import fixture


class Hooks(fixture.AgentCase):
    def shell(self, name, script, **changes):
        return {"name": name, "image": self.images["STATIC_V1"], "entrypoint": ["/bin/sh", "-c", script], "command": [],
                "deadline": "10s", **changes}

    def writer(self, name, script, **changes):
        return self.shell(name, script, volumes=[{"source": "ledger", "target": "/data"}], **changes)

    def lines(self, name):
        path = self.agent.state / "state/volumes/ledger" / name
        return path.read_text().split() if path.exists() else []

    def with_hooks(self, services, **hooks):
        import json
        path = self.agent.document(services)
        document = json.loads(path.read_text())
        document["hooks"] = hooks
        path.write_text(json.dumps(document, indent=2))
        return path

    def apply_hooks(self, services, **hooks):
        return self.agent.cli("--output", "json", "apply", self.with_hooks(services, **hooks))

    def leftovers(self):
        return [name for name in self.agent.traces()["namespaces"] if not name.startswith("web-")]

    def test_a_migration_writes_a_volume_before_the_new_version_starts_and_a_smoke_test_sees_the_new_one(self):
        self.applied({"web": self.web("WEB_V1")})
        smoke = "test \"$(/bin/busybox wget -qO- http://web:8080/version)\" = v2"
        document = self.with_hooks(
            {"web": self.web("WEB_V2")}, before=[self.writer("migrate", "echo migrated >>/data/log")],
            after=[self.shell("smoke", smoke)])
        planned = self.agent.cli("plan", document)
        for part in ("migrate", "smoke", "within 10s"):
            self.assertIn(part, planned.out)
        with fixture.Load(self.port) as load:
            done = self.agent.cli("apply", document)
        self.assertEqual(done.code, 0, done)
        self.assert_no_request_failed(load)
        self.assertEqual(self.lines("log"), ["migrated"])
        self.assertIn("hook done", done.text)
        fixture.wait_until("nothing of the hooks is left", lambda: not self.leftovers(), 5)
        kinds = [line for line in self.agent.cli("ledger", "export").out.splitlines() if '"migrate"' in line]
        self.assertTrue(any('"hook_started"' in line for line in kinds) and any('"hook_finished"' in line for line in kinds), kinds)
        again = self.agent.cli("--output", "json", "apply", document)
        self.assertEqual(again.json["result"], "unchanged")
        self.assertEqual(self.lines("log"), ["migrated"], "what runs already runs no hooks")

    def test_a_failing_migration_vetoes_with_its_exit_code_and_last_words(self):
        self.applied({"web": self.web("WEB_V1")})
        before = self.agent.pids()
        with fixture.Load(self.port) as load:
            done = self.apply_hooks({"web": self.web("WEB_V2")},
                                    before=[self.shell("migrate", "echo column price is missing >&2; exit 7")])
        self.assertEqual(done.code, 4, done)
        self.assertEqual(self.agent.pids(), before)
        self.assert_no_request_failed(load)
        self.assertEqual(set(load.result["answers"]), {"v1"})
        for part in ("before hook migrate exited with code 7", "column price is missing"):
            self.assertIn(part, done.text)
            self.assertIn(part, self.agent.cli("show", "2").text)
        self.assertTrue(self.agent.history()[0]["quarantined"])

    def test_a_failing_smoke_test_reverts_and_the_document_s_undo_runs(self):
        self.applied({"web": self.web("WEB_V1")})
        before = self.agent.pids()
        with fixture.Load(self.port) as load:
            done = self.apply_hooks(
                {"web": self.web("WEB_V2")}, before=[self.writer("migrate", "echo up >>/data/log")],
                after=[self.shell("smoke", "sleep 0.5; exit 1")], on_rollback=[self.writer("undo", "echo down >>/data/log")])
        self.assertEqual(done.code, 4, done)
        self.assert_no_request_failed(load)
        self.assertEqual(set(load.result["answers"]), {"v1", "v2"}, "traffic had moved, and moved back")
        self.assertEqual(self.agent.pids(), before, "the old instance never stopped")
        fixture.wait_until("the undo has run", lambda: self.lines("log") == ["up", "down"], 5)
        fixture.wait_until("nothing of the hooks is left", lambda: not self.leftovers(), 5)

    def test_a_hook_that_hangs_is_stopped_at_its_deadline(self):
        self.applied({"web": self.web("WEB_V1")})
        done = self.apply_hooks({"web": self.web("WEB_V2")}, before=[self.shell("hang", "sleep 100", deadline="1s")])
        self.assertEqual(done.code, 4, done)
        self.assertIn("before hook hang did not end within 1.0s", done.text)
        fixture.wait_until("it is gone", lambda: not self.leftovers(), 15)

    def test_a_failing_undo_does_not_stop_a_rollback(self):
        self.applied({"web": self.web("WEB_V1")})
        done = self.apply_hooks({"web": self.web("WEB_V2")}, on_rollback=[self.shell("undo", "sleep 1; exit 9")])
        self.assertEqual(done.code, 0, done)
        self.assertIn("undo", self.agent.cli("rollback", "--dry-run").out)
        begin = time.monotonic()
        self.assertEqual(self.agent.cli("rollback").code, 0)
        self.assertLess(time.monotonic() - begin, 0.9, "traffic does not wait for the hook")
        self.assertEqual(fixture.get(self.port), "v1")
        fixture.wait_until("the failure is recorded",
                           lambda: "on_rollback hook undo exited with code 9" in self.agent.cli("ledger", "export").out, 5)
        self.assertEqual(self.agent.status()["state"], "converged")

    def test_a_hook_outlives_its_agent_and_is_not_started_beside_itself(self):
        self.applied({"web": self.web("WEB_V1")})
        document = self.with_hooks({"web": self.web("WEB_V2")},
                                   before=[self.writer("migrate", "echo begin >>/data/log; sleep 2; echo end >>/data/log")])
        self.assertEqual(self.agent.cli("apply", "--no-wait", document).code, 0)
        fixture.wait_until("the hook runs", lambda: self.lines("log") == ["begin"], 10)
        time.sleep(0.5)  # one that is killed while it creates the hook restarts it
        self.agent.stop(signal.SIGKILL)
        self.agent.start()
        fixture.wait_until("the rollout is good", lambda: fixture.get(self.port) == "v2", 15)
        self.assertEqual(self.lines("log"), ["begin", "end"], "the one that ran was adopted")


if __name__ == "__main__":
    fixture.main()
