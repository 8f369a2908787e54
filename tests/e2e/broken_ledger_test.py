#!/usr/bin/python3
"""The disk is full, or the ledger is damaged: what runs goes on, changes are refused with the next step, a rollback works."""
import contextlib
import os
import signal
import sqlite3
import subprocess
import time

import disk
import fixture


class OnASmallDisk(fixture.AgentCase):
    def setUp(self):
        self.images, self.port = fixture.images(), fixture.free_port()
        self.agent = fixture.Agent()
        small = disk.Disk(self.agent)
        self.addCleanup(small.remove)
        self.addCleanup(self.agent.remove)
        self.agent.write_config()
        self.agent.start()

    def fill(self):
        """To the last block, also what is kept for root."""
        hog = self.agent.state / "hog"
        with open(hog, "wb") as file:
            free = os.statvfs(self.agent.state)
            os.posix_fallocate(file.fileno(), 0, max(1, (free.f_bavail - 64) * free.f_frsize))
            try:
                while True:
                    os.write(file.fileno(), bytes(4096))
            except OSError:
                return hog

    def test_a_full_disk_refuses_changes_and_neither_stops_what_runs_nor_a_rollback(self):
        self.apply_both()
        with fixture.Load(self.port) as load:
            hog = self.fill_to_the_last_page()
            refused = self.try_until_refused()
            self.assertIn("disk is full", refused.text)
            self.assertIn("free space", refused.text)
            done = self.agent.cli("rollback", "--reason", "the disk is full")
            self.assertEqual(done.code, 0, done)
            self.assertIn("not in the ledger yet", done.text)
            self.assertIn("power cut", done.text)
            self.assertIn("free space", done.text)
            self.assertEqual(fixture.get(self.port), "v1")
            hog.unlink()
            fixture.wait_until("the ledger takes entries again", lambda: self.agent.status()["state"] == "converged", 20)
        self.assert_no_request_failed(load)
        self.assertEqual(self.agent.cli("ledger", "verify").code, 0)
        reasons = self.agent.cli("show", "1").text
        self.assertIn("the disk is full", reasons)

    def test_a_rollback_on_a_full_disk_holds_though_agent_and_process_are_killed(self):
        """The former process is started again in place: a new instance would need the disk."""
        self.apply_both()
        hog = self.fill_to_the_last_page()
        self.try_until_refused()
        self.assertEqual(self.agent.cli("rollback", "--reason", "the disk is full").code, 0)
        self.assertEqual(fixture.get(self.port), "v1")
        served = self.agent.service("web")["pid"]
        self.agent.stop(signal.SIGKILL)
        os.kill(served, signal.SIGKILL)
        self.agent.start()
        fixture.wait_until("v1 answers again", lambda: fixture.get(self.port) == "v1", 10)
        time.sleep(4)  # three tries to create an instance would have failed by then
        self.assertEqual(fixture.get(self.port), "v1", "the rollback was undone")
        hog.unlink()
        fixture.wait_until("the ledger takes entries again", lambda: self.agent.status()["state"] == "converged", 20)
        self.assertEqual(fixture.get(self.port), "v1")
        self.assertEqual([row["generation"] for row in self.agent.history() if row["current"]], [1])
        self.assertIn("the disk is full", self.agent.cli("quarantine", "list").text)

    def apply_both(self):
        update = {"soak": "1s", "drain": "1s", "standby": "10m", "deadline": "20s"}
        for version in ("WEB_V1", "WEB_V2"):
            self.applied({"web": self.web(version, update=update)})

    def fill_to_the_last_page(self):
        """What fills it: a file to remove."""
        hog = self.fill()
        (self.agent.state / "state/reserve").unlink(missing_ok=True)
        with open(hog, "ab") as file, contextlib.suppress(OSError):
            while True:
                os.write(file.fileno(), bytes(4096))
        return hog

    def try_until_refused(self):
        """The database has a few pages to spare; small changes use them up."""
        for number in range(60):
            done = self.agent.cli("hold", "--reason", f"try {number} {'x' * 900}")
            if done.code != 0:
                return done
            self.agent.cli("resume")
        self.fail(f"a full disk refused nothing:\n{self.agent.log_tail()}")


class Damaged(fixture.AgentCase):
    def test_a_damaged_ledger_keeps_all_running_refuses_changes_and_still_rolls_back(self):
        for version in ("WEB_V1", "WEB_V2"):
            self.applied({"web": self.web(version)})
        before = self.agent.pids()
        with fixture.Load(self.port) as load:
            self.agent.stop(signal.SIGKILL)
            with sqlite3.connect(self.agent.state / "state/ledger.db") as database:
                database.execute("DROP TRIGGER IF EXISTS entries_no_update")
                for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'entries'").fetchall():
                    database.execute(f"DROP TRIGGER {name}")
                database.execute("UPDATE entries SET body = CAST(replace(CAST(body AS TEXT), 'root', 'toor') AS BLOB) WHERE number = 3")
            self.agent.start()
            status = self.agent.status()
            self.assertEqual((status["state"], status["generation"]), ("degraded", 2))
            self.assertIn("entry", status["message"])
            self.assertEqual(self.agent.pids(), before)
            refused = self.agent.apply({"web": self.web("WEB_V2", env={"MORE": "1"})})
            self.assertNotEqual(refused.code, 0)
            self.assertIn("E_LEDGER_CORRUPT", refused.text)
            self.assertIn("entry 3: its hash does not match", self.agent.cli("ledger", "verify").text)
            done = self.agent.cli("rollback", "--reason", "v2 is bad")
            self.assertEqual(done.code, 0, done)
            self.assertEqual(fixture.get(self.port), "v1")
            self.agent.stop(signal.SIGKILL)
            self.agent.start()
            fixture.wait_until("it adopted", lambda: self.agent.status()["generation"] == 1, 10)
            self.assertEqual(fixture.get(self.port), "v1")
            self.assertIn("holdfast ledger recover", self.agent.cli("doctor", "--config", self.agent.config).text)
            self.recover(2)  # what is recorded; the rollback is recorded next
            fixture.wait_until("the rollback is recorded", lambda: self.agent.history()[0]["result"] == "rolled_back", 10)
            self.assertEqual((self.agent.status()["generation"], fixture.get(self.port)), (1, "v1"))
            self.assertIn("v2 is bad", self.agent.cli("show", "1").text)
        self.assert_no_request_failed(load)

    # --- recovery ---

    def recover(self, generation):
        """Recovers as an operator does; what runs stays, and changes are taken again."""
        pid = self.agent.process.pid
        metrics = lambda: fixture.get(self.agent.metrics_port, "/metrics")
        self.assertIn("holdfast_ledger_writable 0", metrics())
        dry = self.agent.cli("ledger", "recover", "--dry-run")
        self.assertEqual(dry.code, 0, dry)
        self.assertIn("damaged: ", dry.out)
        unasked = self.agent.cli("ledger", "recover")
        self.assertEqual(unasked.code, 2, unasked)
        done = self.agent.cli("--output", "json", "ledger", "recover", "--yes", "--reason", "a disk that forgets")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(done.json["generation"], generation, done)
        self.assertEqual(self.agent.process.poll(), None, "the agent restarts in its process")
        self.assertEqual(self.agent.process.pid, pid)
        fixture.wait_until("it writes again", lambda: "holdfast_ledger_writable 1" in (metrics() or ""), 10)
        self.assertEqual(self.agent.cli("ledger", "verify").code, 0)
        told = self.agent.cli("ledger", "export").out
        self.assertIn("a disk that forgets", told)
        self.assertIn('"kind":"recovered"', told.replace(" ", ""))
        self.assertIn("nothing to recover", self.agent.cli("ledger", "recover", "--dry-run").text)
        if generation:
            fixture.wait_until("all is well", lambda: self.agent.status()["state"] == "converged", 10)
        return done.json

    def put_back_older_copy(self, older):
        for path in self.ledger_files():
            path.unlink()
        for name, content in older.items():
            (self.agent.state / "state" / name).write_bytes(content)

    def ledger_files(self):
        return [path for path in (self.agent.state / "state").glob("ledger.db*") if path.is_file()]

    def update_and_keep_older_copy(self):
        """v2 runs; what the ledger was when v1 did."""
        self.applied({"web": self.web("WEB_V1")})
        self.agent.stop(signal.SIGKILL)
        older = {path.name: path.read_bytes() for path in self.ledger_files() if not path.name.endswith("-shm")}
        self.agent.start()
        self.applied({"web": self.web("WEB_V2")})
        return older

    def test_rules_that_are_altered_beside_an_older_ledger_come_back_as_they_were(self):
        older = self.update_and_keep_older_copy()
        self.agent.stop(signal.SIGKILL)
        self.put_back_older_copy(older)
        self.agent.start()
        table = "holdfast_" + self.agent.instance.replace("-", "_")
        for deed in ["flush", "chain", "ip", table, "route"], ["delete", "table", "ip", table]:
            with self.subTest(deed[0]):
                subprocess.run(["nft", *deed], check=True)
                fixture.wait_until("traffic is back", lambda: fixture.get(self.port), 10)
                for _ in range(20):  # more than one resync
                    self.assertEqual(fixture.get(self.port), "v2")
                    time.sleep(0.2)
                self.assertEqual(self.agent.status()["state"], "degraded")

    def test_an_older_copy_of_the_ledger_stops_nothing_and_is_recovered(self):
        older = self.update_and_keep_older_copy()
        before = self.agent.pids()
        with fixture.Load(self.port) as load:
            self.agent.stop(signal.SIGKILL)
            self.put_back_older_copy(older)
            self.agent.start()
            status = self.agent.status()
            self.assertEqual(status["state"], "degraded")
            self.assertIn("older than HEAD", status["message"])
            self.assertIn("holdfast ledger recover", status["message"])
            time.sleep(3)  # more than one resync, in which it leaves alone what its ledger does not know
            self.assertEqual(fixture.get(self.port), "v2")
            report = self.recover(2)
            self.assertEqual(self.agent.pids(), before, report)
            self.assertEqual(self.agent.history()[0]["result"], "good")
            self.applied({"web": self.web("WEB_V1", env={"AND": "on"})})
        self.assert_no_request_failed(load)

    def test_without_any_backup_what_runs_is_kept_and_taken_over_by_its_document(self):
        services = {"web": self.web("WEB_V1"), "page": self.small()}
        self.applied(services)
        before = self.agent.pids()
        with fixture.Load(self.port) as load:
            self.agent.stop(signal.SIGKILL)
            state = self.agent.state / "state"
            subprocess.run(["rm", "-rf", state / "ledger.backup", state / "ledger.db-wal", state / "HEAD"], check=True)
            (state / "ledger.db").write_bytes(os.urandom(20000))
            self.agent.start()
            self.assertEqual(self.agent.status()["state"], "degraded")
            report = self.recover(0)
            self.assertEqual(len(report["kept"]), 2, report)
            self.assertIn("apply their document again", self.agent.status()["message"])
            time.sleep(3)
            self.applied(services)
            self.assertEqual(self.agent.pids(), before, "they were taken over as they ran")
            self.assertEqual(self.agent.status()["state"], "converged")
            self.applied({"web": self.web("WEB_V2"), "page": self.small()})
        self.assert_no_request_failed(load)


if __name__ == "__main__":
    fixture.main()
