#!/usr/bin/python3
"""Somebody with the agent's rights edits its files while it is stopped. What runs goes on, the first difference is named, nothing false is served."""
import json
import os
import signal
import sqlite3
import threading
import time

import attack
import fixture


class Forged(attack.AttackCase):
    def setUp(self):
        super().setUp()
        self.directory = self.agent.state / "state"

    def edit(self, *statements):
        with sqlite3.connect(self.directory / "ledger.db") as database:
            for sql, *values in statements:
                changed = database.execute(sql, values).rowcount
                self.assertEqual(changed, 1, sql)
        database.close()

    def files(self):
        """The ledger as it is now, to put it back."""
        return {path: path.read_bytes() for path in [*self.directory.glob("ledger.db*"), self.directory / "HEAD"] if path.is_file()}

    def put_back(self, files):
        for path in self.directory.glob("ledger.db*"):
            if path.is_file():
                path.unlink()
        for path, content in files.items():
            path.write_bytes(content)

    def assert_named(self, words):
        status = self.agent.status()
        self.assertEqual(status["state"], "degraded", words)
        self.assertIn(words, status["message"])
        self.assertIn(words, self.agent.cli("ledger", "verify").text)
        refused = self.agent.apply({"web": self.web("WEB_V3", update=attack.UPDATE)})
        self.assertNotEqual(refused.code, 0, words)
        self.assertRegex(refused.text, "E_LEDGER_(CORRUPT|TRUNCATED)")

    def replace(self, version, generation):
        """In the stored document of that generation, its image by WEB_V3."""
        digest = next(item["spec_digest"] for item in self.agent.history() if item["generation"] == generation)
        return digest, ("UPDATE documents SET body = replace(body, ?, ?) WHERE spec_digest = ?", self.images[version], self.images["WEB_V3"], digest)

    def test_a_replaced_document_is_named_and_not_started(self):
        before, (digest, replaced) = self.agent.pids(), self.replace("WEB_V2", 2)
        with fixture.Load(self.port) as load:
            self.agent.stop(signal.SIGKILL)
            self.edit(replaced)
            self.agent.start()
            self.assert_named(f"the document {digest}")
            self.assertEqual(self.agent.status()["generation"], 2)
            time.sleep(2.5)  # more than one resync
            os.kill(before["web"], 0)
        self.assert_no_request_failed(load)
        os.kill(before["web"], signal.SIGKILL)
        fixture.wait_until("it has gone", lambda: fixture.get(self.port) != "v2", 10)
        time.sleep(2.5)
        self.assertNotEqual(fixture.get(self.port), "v3")
        self.assert_rollback_is_quick()
        recovered = self.agent.cli("--output", "json", "ledger", "recover", "--yes", "--reason", "forged")
        self.assertEqual(recovered.code, 0, recovered)
        fixture.wait_until("it writes again", lambda: "holdfast_ledger_writable 1" in (fixture.get(self.agent.metrics_port, "/metrics") or ""), 10)
        self.assertEqual(self.agent.cli("ledger", "verify").code, 0)
        fixture.wait_until("v1 serves", lambda: fixture.get(self.port) == "v1", 10)
        self.applied({"web": self.web("WEB_V3", update=attack.UPDATE)})

    def test_a_replaced_document_is_not_shown(self):
        before, (_, replaced) = self.agent.pids(), self.replace("WEB_V2", 2)
        self.agent.stop(signal.SIGKILL)
        self.edit(replaced)
        self.agent.start()
        with self.subTest("show"):
            shown = self.agent.cli("show", "2")
            self.assertNotIn(self.images["WEB_V3"], shown.text)
            self.assertIn("is not the one that was accepted", shown.text)
        with self.subTest("status"):
            self.assertEqual(self.agent.pids(), before, "what runs goes on, and is shown")

    def test_a_document_replaced_while_the_agent_runs_is_not_started(self):
        """An older one, which the agent did not need since its start, and an image that is here."""
        self.applied({"web": self.web("WEB_V3", update=attack.UPDATE)})
        self.applied({"web": self.web("WEB_V2", update=attack.UPDATE, env={"A": "1"})})
        self.assertEqual(attack.ask(self.agent.socket, "POST", "/v1/standby/drop", {})[0], 200)
        self.agent.stop(signal.SIGKILL)
        self.agent.start()
        self.edit(self.replace("WEB_V1", 1)[1])
        done = self.agent.cli("rollback", "--to", "1", "--reason", "v2 is bad")
        self.assertNotEqual(fixture.get(self.port), "v3", done)
        self.assertNotEqual(self.agent.cli("ledger", "verify").code, 0)

    def test_a_whole_ledger_that_grows_is_taken_for_no_damaged_one(self):
        def hold(number=1 << 20):
            while time.monotonic() < until and number > 0:
                attack.ask(self.agent.socket, "POST", "/v1/hold", {"reason": "x" * 900})
                number -= 1

        until, found = time.monotonic() + 30, set()
        hold(1000)  # a look at it has its length
        until = time.monotonic() + 4

        writers = [threading.Thread(target=hold) for _ in range(4)]
        for each in writers:
            each.start()
        while time.monotonic() < until:
            found.add(attack.ask(self.agent.socket, "POST", "/v1/ledger/recover", {"dry_run": True})[0])
            self.assertTrue(json.loads(attack.ask(self.agent.socket, "POST", "/v1/ledger/verify")[1])["intact"])
        for each in writers:
            each.join()
        self.assertEqual(found, {409})

    def test_each_changed_row_is_named_and_a_recovery_puts_it_right(self):
        failed = self.agent.apply({"web": self.web("WEB_BAD", update={**attack.UPDATE, "deadline": "1s"})})
        self.assertEqual(failed.code, 4, failed)
        before = self.agent.pids()
        self.agent.stop(signal.SIGKILL)
        head = (self.directory / "HEAD").read_bytes()
        whole = self.files()
        number, rest = head.split(b" ", 1)
        older = b"%*d %s" % (len(number), int(number) - 3, rest)
        for what, words in ((("DELETE FROM quarantine WHERE actor <> ''",), "is missing, the chain has it"),
                            (("UPDATE generations SET result = 'good', ever_good = 1 WHERE id = 3",), "generation 3: its "),
                            (("UPDATE generations SET actor = 'somebody' WHERE id = 1",), 'generation 1: its actor is "somebody"'),
                            (("UPDATE state SET progress = '{}'",), "not what HEAD names"),
                            (("UPDATE state SET progress = NULL, commits = commits + 1",), "has no entry that tells of it"),
                            (None, "HEAD")):
            with self.subTest(words):
                self.put_back(whole)
                if what:
                    self.edit(what)
                else:
                    (self.directory / "HEAD").write_bytes(older)
                self.agent.start()
                self.assert_named(words)
                self.assertEqual((self.agent.pids(), fixture.get(self.port)), (before, "v2"))
                self.agent.stop(signal.SIGKILL)
        self.put_back(whole)
        self.edit(("DELETE FROM quarantine WHERE actor <> ''",), ("UPDATE generations SET result = 'good', ever_good = 1 WHERE id = 3",))
        self.agent.start()
        recovered = self.agent.cli("--output", "json", "ledger", "recover", "--yes", "--reason", "forged")
        self.assertEqual(recovered.code, 0, recovered)
        fixture.wait_until("all is well", lambda: self.agent.cli("status").code == 0, 10)
        self.assertEqual(self.agent.pids(), before)
        again = self.agent.apply({"web": self.web("WEB_BAD", update={**attack.UPDATE, "deadline": "1s"})})
        self.assertEqual(again.code, 5, f"the quarantine is back: {again}")


class Places(fixture.unittest.TestCase):
    """The state directory was made by somebody else before the first start."""

    def setUp(self):
        self.agent = fixture.Agent()
        self.addCleanup(self.agent.remove)
        self.directory = self.agent.state / "state"

    def refused(self):
        self.agent.launch()
        self.assertNotEqual(self.agent.process.wait(10), 0)
        return self.agent.log_tail(5)

    def test_a_directory_of_another_user_is_refused_with_the_command_that_mends_it(self):
        self.directory.mkdir(mode=0o700)
        os.chown(self.directory, 20000, 20000)
        self.assertIn(f"chown -R root {self.directory}", self.refused())

    def test_a_link_in_its_place_is_refused(self):
        (self.agent.state / "elsewhere").mkdir()
        self.directory.symlink_to("elsewhere")
        self.assertIn("symlink", self.refused())
        self.assertEqual(list((self.agent.state / "elsewhere").iterdir()), [])

    def test_a_directory_above_that_others_may_write_is_refused(self):
        os.chmod(self.agent.state, 0o777)
        self.assertIn(str(self.agent.state), self.refused())

    def test_a_mode_that_is_too_wide_is_narrowed(self):
        self.directory.mkdir()
        os.chmod(self.directory, 0o777)
        self.agent.start()
        self.assertEqual(self.directory.stat().st_mode & 0o777, 0o700)


if __name__ == "__main__":
    fixture.main()
