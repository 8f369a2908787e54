#!/usr/bin/python3
"""The program is exchanged under running containers: an upgrade migrates the ledger forward, a downgrade takes it back by the
scripts that the newer program stored in it, and where there is no way back nothing is written (packaging/doc/security.md F-81, F-82)."""
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from pathlib import Path

import fixture


class Versions(fixture.AgentCase):
    def setUp(self):
        self.programs = Path(tempfile.mkdtemp(prefix="holdfast-programs-"))
        self.addCleanup(shutil.rmtree, self.programs)
        self.here = fixture.BIN
        for name in ("holdfastd", "holdfast-worker", "holdfast-fetch", "holdfast-log", "holdfast-exec", "holdfast"):
            shutil.copy(self.here / name, self.programs / name)
        fixture.BIN = self.programs
        self.addCleanup(setattr, fixture, "BIN", self.here)
        super().setUp()
        self.applied({"web": self.web("WEB_V1"), "cache": self.redis()})

    def exchange(self):
        """Another file in its place, while the old one may still run: other bytes, the same work."""
        fresh = self.programs / "holdfastd.new"
        subprocess.run(["strip", "-o", fresh, self.here / "holdfastd"], check=True)
        self.assertNotEqual(fresh.stat().st_size, (self.here / "holdfastd").stat().st_size)
        os.rename(fresh, self.programs / "holdfastd")

    def processes(self):
        """Pid and start time: what a restart would change."""
        return {name: (pid, Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]) for name, pid in self.agent.pids().items()}

    def ledger(self):
        return sqlite3.connect(self.agent.state / "state/ledger.db")

    def version(self):
        with self.ledger() as database:
            return database.execute("PRAGMA user_version").fetchone()[0]

    def restarted_under_load(self, change):
        before = self.processes()
        with fixture.Load(self.port) as load:
            self.agent.stop(signal.SIGTERM)
            change()
            self.agent.start()
            fixture.wait_until("all is well", lambda: self.agent.status()["state"] == "converged", 10)
        self.assert_no_request_failed(load)
        self.assertEqual(self.processes(), before, "a container was restarted")
        self.assertEqual(self.agent.cli("ledger", "verify").code, 0)

    def test_an_upgrade_migrates_the_ledger_forward_under_running_containers(self):
        newest = self.version()
        self.assertGreaterEqual(newest, 2)

        def as_the_older_program_left_it():
            self.exchange()
            with self.ledger() as database:  # back to version 1, by what is stored in the file itself
                for number in range(newest, 1, -1):
                    (script,) = database.execute("SELECT backward FROM migrations WHERE version = ?", (number,)).fetchone()
                    database.executescript(script)
                database.execute("DELETE FROM migrations WHERE version > 1")
                database.execute("PRAGMA user_version = 1")

        self.restarted_under_load(as_the_older_program_left_it)
        self.assertEqual(self.version(), newest)
        self.applied({"web": self.web("WEB_V2"), "cache": self.redis()})
        self.assertEqual(self.agent.cli("rollback", "--reason", "after the upgrade").code, 0)

    def newer(self, backward):
        """As a newer program leaves the file: one more column, and the way back if there is one."""
        self.known = self.version()
        with self.ledger() as database:
            database.execute("ALTER TABLE generations ADD COLUMN verdict TEXT")
            database.execute("INSERT INTO migrations (version, backward) VALUES (?, ?)", (self.known + 1, backward))
            database.execute(f"PRAGMA user_version = {self.known + 1}")

    def test_a_downgrade_goes_back_by_what_the_newer_program_stored(self):
        self.restarted_under_load(lambda: (self.exchange(), self.newer("ALTER TABLE generations DROP COLUMN verdict;")))
        self.assertEqual(self.version(), self.known)
        copy = self.agent.state / f"state/ledger.db.v{self.known + 1}"
        with sqlite3.connect(copy) as database:
            self.assertEqual(database.execute("PRAGMA user_version").fetchone()[0], self.known + 1)
            self.assertEqual(database.execute("SELECT count(*) FROM generations WHERE verdict IS NULL").fetchone()[0], 1)
        self.applied({"web": self.web("WEB_V2"), "cache": self.redis()})

    def test_without_a_way_back_nothing_is_written_and_all_goes_on_running(self):
        before = self.processes()
        with fixture.Load(self.port) as load:
            self.agent.stop(signal.SIGTERM)
            self.newer("")
            self.ledger().execute("PRAGMA wal_checkpoint(TRUNCATE)")
            content = (self.agent.state / "state/ledger.db").read_bytes()
            self.agent.launch()
            self.assertEqual(self.agent.process.wait(20), 1)
            log = self.agent.log_tail()
            self.assertIn(f"is of version {self.known + 1}, this program knows {self.known} and the file holds no way back", log)
            self.assertIn("use the newer program", log)
            self.assertEqual((self.agent.state / "state/ledger.db").read_bytes(), content)
            with self.ledger() as database:  # the newer program comes back, and takes its own step back
                database.execute("UPDATE migrations SET backward = 'ALTER TABLE generations DROP COLUMN verdict;' WHERE version = ?", (self.known + 1,))
            self.agent.start()
            fixture.wait_until("all is well", lambda: self.agent.status()["state"] == "converged", 10)
        self.assert_no_request_failed(load)
        self.assertEqual(self.processes(), before)


if __name__ == "__main__":
    fixture.main()
