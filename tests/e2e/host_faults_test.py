#!/usr/bin/python3
"""What the host can do to an agent: a disk that errs, can only be read or has no inodes, no descriptors, no memory, a clock that jumps, a
supervisor or namespace that goes, a flood of log lines, SIGTERM at any time. What runs goes on, and all is well again afterwards."""
import contextlib
import json
import os
import re
import resource
import signal
import shutil
import subprocess
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import disk
import faults
import fixture

HOUR, YEAR = 3600, 365 * 24 * 3600


class Watched(fixture.AgentCase):
    """With the library of faults under the agent; each test names its rules."""

    def start_with(self, *rules, children=False):
        self.images, self.port = fixture.images(), fixture.free_port()
        self.agent = fixture.Agent(**self.settings)
        self.addCleanup(self.agent.remove)
        self.faults = faults.Faults(self.agent, *rules, children=children)

    def setUp(self):
        self.start_with(*self.rules)
        self.agent.start()

    rules = ()

    def metric(self, name):
        found = re.search(rf"^{name} (\S+)$", fixture.get(self.agent.metrics_port, "/metrics"), re.M)
        return float(found.group(1))


class FailingDisk(Watched):
    rules = ("sync@ledger.db-wal:1+=EIO",)

    def test_after_a_failed_flush_no_change_is_taken_what_runs_goes_on_and_a_rollback_works(self):  # F-28
        update = {"soak": "500ms", "drain": "500ms", "standby": "1m", "deadline": "20s"}
        for version in ("WEB_V1", "WEB_V2"):
            self.applied({"web": self.web(version, update=update)})
        with fixture.Load(self.port) as load:
            self.faults.arm()
            refused = self.agent.apply({"web": self.web("WEB_V3", update=update)})
            self.assertNotEqual(refused.code, 0)
            self.assertIn("E_IO", refused.text)
            self.faults.disarm()
            again = self.agent.apply({"web": self.web("WEB_V3", update=update)})
            self.assertIn("the ledger cannot be written", again.text, "a failed flush is not tried again")
            fixture.wait_until("it says so", lambda: self.agent.status()["state"] == "degraded", 1)
            done = self.agent.cli("rollback", "--reason", "the disk errs")
            self.assertEqual(done.code, 0, done)
            self.assertEqual(fixture.get(self.port), "v1")
            self.agent.stop(signal.SIGKILL)
            self.agent.start()
            fixture.wait_until("it took the rollback up", lambda: self.agent.status()["generation"] == 1, 10)
            self.applied({"web": self.web("WEB_V3", update=update)})
        self.assert_no_request_failed(load)
        self.assertEqual(self.agent.cli("ledger", "verify").code, 0)


class SlowDisk(Watched):
    SECONDS = 6
    rules = (f"sync@/state/:1+=delay-{SECONDS * 1000}",)

    def test_a_flush_that_takes_seconds_delays_no_restart_and_no_rollback(self):
        update = {"soak": "500ms", "drain": "500ms", "standby": "5m", "deadline": "20s"}
        for version in ("WEB_V1", "WEB_V2"):
            self.applied({"web": self.web(version, update=update), "small": self.small()})
        self.faults.arm()
        service = self.agent.service("small")
        begin = time.monotonic()
        os.kill(service["pid"], signal.SIGKILL)
        fixture.wait_until("the process runs again", lambda: self.agent.service("small")["restarts"] == service["restarts"] + 1, 30)
        self.assertLess(time.monotonic() - begin, self.SECONDS / 2)
        with fixture.Load(self.port) as load:
            begin = time.monotonic()
            done = self.agent.cli("rollback", "--no-wait", "--reason", "the disk is slow")
            self.assertEqual(done.code, 0, done)
            fixture.wait_until("the rollback switched", lambda: fixture.get(self.port) == "v1", 30)
            self.assertLess(time.monotonic() - begin, self.SECONDS / 2)
            refused = self.agent.apply({"web": self.web("WEB_V3", update=update), "small": self.small()})
            self.assertIn("has not taken an entry", refused.text)
            self.faults.disarm()
            fixture.wait_until("it is recorded", lambda: self.agent.status()["state"] == "converged", 30)
        self.assert_no_request_failed(load)
        entries = [json.loads(line) for line in self.agent.cli("ledger", "export").out.splitlines()]
        self.assertEqual([each["kind"] for each in entries].count("rollback_started"), 1)
        self.assertEqual(self.agent.cli("ledger", "verify").code, 0)


class Clock(Watched):
    def test_a_clock_that_jumps_shortens_and_lengthens_no_gate(self):  # F-41
        self.faults.disarm()
        gate = {"http": "http://:8080/healthz", "interval": "200ms", "timeout": "1s", "healthy": 10}
        self.applied({"web": self.web("WEB_V1")})
        begin = time.monotonic()
        with fixture.Load(self.port) as load:
            done = self.agent.apply({"web": self.web("WEB_V2", health=gate)}, "--no-wait")
            self.assertEqual(done.code, 0, done)
            for offset in (HOUR, -HOUR, 0):
                time.sleep(0.4)
                self.faults.set_clock(offset)
            fixture.wait_until("it has converged", lambda: self.agent.status()["state"] == "converged", 20)
        self.assertGreater(time.monotonic() - begin, 1.8, "ten answers in two seconds were asked for")
        self.assertEqual((self.agent.status()["generation"], fixture.get(self.port)), (2, "v2"))
        self.assert_no_request_failed(load)

    def document_until(self, version, days):
        path = self.agent.document({"web": self.web(version)})
        until = (datetime.now(timezone.utc) + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
        path.write_text(path.read_text().replace('"name"', f'"expires": "{until}", "name"', 1))
        return path

    def test_ten_years_ahead_new_documents_have_expired_and_what_runs_goes_on(self):  # F-40
        self.assertEqual(self.agent.cli("apply", self.document_until("WEB_V1", 30)).code, 0)
        pid = self.agent.pids()["web"]
        with fixture.Load(self.port) as load:
            self.faults.set_clock(10 * YEAR)
            refused = self.agent.cli("apply", self.document_until("WEB_V2", 30))
            self.assertEqual(refused.code, 3, refused)
            self.assertIn("the document expired", refused.text)
            self.agent.stop(signal.SIGKILL)
            self.agent.start()
            self.assertEqual(self.agent.status()["state"], "converged")
            self.faults.set_clock(0)
            self.assertEqual(self.agent.pids()["web"], pid)
            self.assertEqual(self.agent.cli("apply", self.document_until("WEB_V2", 30)).code, 0)
        self.assert_no_request_failed(load)

    def test_started_a_year_behind_it_updates_and_rolls_back(self):  # F-39
        self.applied({"web": self.web("WEB_V1")})
        self.agent.stop()
        self.faults.set_clock(-YEAR)
        self.agent.start()
        self.applied({"web": self.web("WEB_V2")})
        done = self.agent.cli("rollback", "--reason", "test")
        self.assertEqual((done.code, fixture.get(self.port)), (0, "v1"), done)
        self.assertEqual(self.agent.cli("ledger", "verify").code, 0)


class ReadOnlyDisk(fixture.AgentCase):
    def setUp(self):
        self.images, self.port = fixture.images(), fixture.free_port()
        self.agent = fixture.Agent()
        self.agent.log = self.agent.state.with_suffix(".log")
        self.disk = disk.Disk(self.agent, options="loop,errors=remount-ro")
        self.addCleanup(lambda: self.agent.log.unlink(missing_ok=True))
        self.addCleanup(self.clear)
        self.agent.write_config()
        self.agent.start()

    def clear(self):
        self.agent.crash_host()
        self.disk.unmount()
        self.agent.remove()
        self.disk.remove()

    def break_disk(self):
        """What the kernel does after an error of ext4: the file system can only be read from now on."""
        device = subprocess.run(["findmnt", "-no", "SOURCE", self.agent.state], capture_output=True, text=True, check=True).stdout.strip()
        Path(f"/sys/fs/ext4/{Path(device).name}/trigger_fs_error").write_text("a test")

    def test_a_disk_that_can_only_be_read_stops_changes_and_nothing_else(self):  # F-34
        self.applied({"web": self.web("WEB_V1")})
        document = self.agent.document({"web": self.web("WEB_V2")}, file="next.yaml")
        with fixture.Load(self.port) as load:
            self.break_disk()
            refused = self.agent.cli("--output", "json", "apply", document)
            self.assertNotEqual(refused.code, 0)
            self.assertEqual(refused.json["error"]["code"], "E_IO", refused)
            fixture.wait_until("it says so", lambda: self.agent.status()["state"] == "degraded", 1)
            self.assertEqual(self.agent.status()["generation"], 1)
            self.assertEqual(len(self.agent.history()), 1)
        self.assert_no_request_failed(load)


class FewInodes(fixture.AgentCase):
    def setUp(self):
        self.images, self.port = fixture.images(), fixture.free_port()
        self.agent = fixture.Agent()
        few = disk.Disk(self.agent, make=("-N", "3000"))
        self.addCleanup(few.remove)
        self.addCleanup(self.agent.remove)
        self.agent.write_config()
        self.agent.start()

    def use_up(self):
        crumbs = self.agent.state / "crumbs"
        crumbs.mkdir()
        try:
            for number in range(100_000):
                (crumbs / str(number)).touch()
        except OSError:
            return crumbs
        self.fail("there is no end of inodes")

    def test_without_an_inode_a_pull_says_so_what_runs_goes_on_and_a_rollback_works(self):  # F-33
        update = {"soak": "500ms", "drain": "500ms", "standby": "10m", "deadline": "20s"}
        for version in ("WEB_V1", "WEB_V2"):
            self.applied({"web": self.web(version, update=update)})
        with fixture.Load(self.port) as load:
            crumbs = self.use_up()
            refused = self.agent.apply({"web": self.web("WEB_V3", update=update)})
            self.assertNotEqual(refused.code, 0)
            pulled = self.agent.cli("image", "pull", self.images["WEB_V3"])
            self.assertNotEqual(pulled.code, 0)
            for said in (refused, pulled):
                self.assertIn("no inodes are left", said.text)
                self.assertIn("next: remove small files", said.text)
            self.assertEqual((self.agent.status()["generation"], fixture.get(self.port)), (2, "v2"))
            done = self.agent.cli("rollback", "--reason", "no inodes")
            self.assertEqual(done.code, 0, done)
            self.assertEqual(fixture.get(self.port), "v1")
            shutil.rmtree(crumbs)
            fixture.wait_until("all is well again", lambda: self.agent.status()["state"] == "converged", 20)
            self.applied({"web": self.web("WEB_V3", update=update)})
        self.assert_no_request_failed(load)
        self.assertEqual(self.agent.cli("ledger", "verify").code, 0)


class Starved(fixture.AgentCase):
    def test_without_descriptors_it_says_so_and_recovers(self):  # F-35
        self.applied({"web": self.web("WEB_V1")})
        pid = self.agent.process.pid
        with fixture.Load(self.port) as load:
            former = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            used = len(os.listdir(f"/proc/{pid}/fd"))
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 3, former[1]))
            refused = self.agent.apply({"web": self.web("WEB_V2")}, "--timeout", "5s")
            self.assertNotEqual(refused.code, 0, refused)
            time.sleep(2.5)  # a resync without any
            self.assertIsNone(self.agent.process.poll(), self.agent.log_tail())
            resource.prlimit(pid, resource.RLIMIT_NOFILE, former)
            fixture.wait_until("it is well again", lambda: self.agent.cli("status").code == 0, 20)
            done = self.agent.apply({"web": self.web("WEB_V2", env={"AGAIN": "1"})})
            self.assertEqual((done.code, fixture.get(self.port)), (0, "v2"), f"{refused}\n{done}")
        self.assertIn("Too many open files", self.agent.log.read_text() + refused.text)
        self.assert_no_request_failed(load)

    def test_killed_for_want_of_memory_it_comes_back_and_nothing_was_touched(self):  # F-36
        self.applied({"web": self.web("WEB_V1")})
        before = self.agent.pids()
        group = Path("/sys/fs/cgroup/memory") / f"holdfast-test-{self.agent.instance}"
        if not group.parent.is_dir():
            group = Path("/sys/fs/cgroup") / group.name
        group.mkdir()
        self.addCleanup(group.rmdir)
        limit = next(group / name for name in ("memory.limit_in_bytes", "memory.max") if (group / name).exists())
        limit.write_text(str(128 << 10))
        greedy = self.web("WEB_V2", env={f"N{number}": "x" * 20_000 for number in range(30)})
        with fixture.Load(self.port) as load:
            (group / "cgroup.procs").write_text(str(self.agent.process.pid))
            for _ in range(40):
                self.agent.cli("plan", self.agent.document({"web": greedy}), seconds=20)
                if self.agent.process.poll() is not None:
                    break
            self.agent.process.wait(20)
            self.assertEqual(self.agent.process.returncode, -signal.SIGKILL)
            self.agent.start()
            fixture.wait_until("it has converged", lambda: self.agent.status()["state"] == "converged", 30)
        self.assert_no_request_failed(load)
        self.assertEqual((fixture.get(self.port), self.agent.pids()), ("v1", before))

    def test_a_version_that_runs_out_of_memory_is_rolled_back_and_the_reason_is_told(self):  # F-38
        self.applied({"web": self.web("WEB_V1")})
        with fixture.Load(self.port) as load:
            greedy = self.web("WEB_V2", entrypoint=["/bin/sh", "-c", "x=y; while :; do x=$x$x; done"], resources={"memory": "16Mi"})
            done = self.agent.apply({"web": greedy})
            self.assertEqual(done.code, 4, done)
            self.assertRegex(done.text, "(?i)out of memory|oom")
        self.assert_no_request_failed(load)
        self.assertEqual(fixture.get(self.port), "v1")


class Surroundings(fixture.AgentCase):
    def test_a_supervisor_that_is_killed_is_noticed_and_its_instance_replaced(self):  # F-16
        self.applied({"web": self.web("WEB_V1")})
        before = self.agent.service("web")
        conmon = next(int(pid) for pid in self.agent.traces()["processes"] if Path(f"/proc/{pid}/comm").read_text() == "conmon\n")
        os.kill(conmon, signal.SIGKILL)
        fixture.wait_until("another one serves", lambda: self.agent.pids().get("web") not in (0, before["pid"]), 5)
        fixture.wait_until("it has converged", lambda: self.agent.status()["state"] == "converged", 20)
        self.assertEqual(fixture.get(self.port), "v1")
        self.assertEqual(len(self.agent.traces()["processes"]), 2, "conmon and the writer of its log")

    def test_a_namespace_that_was_unpinned_is_pinned_again_and_no_request_fails(self):  # F-70
        self.applied({"web": self.web("WEB_V1")})
        before = self.agent.service("web")["pid"]
        (name,) = self.agent.traces()["namespaces"]
        path = self.agent.run / "agent/netns" / name
        with fixture.Load(self.port) as load:
            subprocess.run(["umount", path], check=True)
            with contextlib.suppress(OSError):  # busy: it is pinned again already
                path.unlink()
            fixture.wait_until("it is pinned again", lambda: str(path) in self.agent.traces()["mounts"], 10)
            fixture.wait_until("it is put right", lambda: self.agent.status()["drift"] == [], 10)
        self.assert_no_request_failed(load)
        self.assertEqual(self.agent.pids()["web"], before)

    def test_sigterm_in_any_phase_ends_it_soon_and_the_next_agent_goes_on(self):  # F-14
        update = {"soak": "600ms", "drain": "600ms", "standby": "1s", "deadline": "10s"}
        gate = {"http": "http://:8080/healthz", "interval": "200ms", "timeout": "1s", "healthy": 3}
        self.applied({"web": self.web("WEB_V1", health=gate, update=update)})
        phases = {}
        with fixture.Load(self.port) as load:
            for number, after in enumerate((0.02, 0.15, 0.4, 0.9, 1.4, 1.9)):
                image = ("WEB_V2", "WEB_V1")[number % 2]
                done = self.agent.apply({"web": self.web(image, health=gate, update=update, env={"N": str(number)})}, "--no-wait")
                self.assertEqual(done.code, 0, done)
                time.sleep(after)
                phase = (self.agent.status().get("rollout") or {}).get("phase", "settled")
                seconds = self.agent.stop((signal.SIGTERM, signal.SIGINT)[number % 2])
                self.assertEqual(self.agent.process.returncode, 0, self.agent.log_tail())
                self.assertLess(seconds, 10)
                phases[phase] = round(seconds, 2)
                self.agent.start()
                fixture.wait_until("it has converged", lambda: self.agent.status()["state"] == "converged", 30)
                self.assertEqual(fixture.get(self.port), image.lower().removeprefix("web_"))
        self.assert_no_request_failed(load)
        self.assertGreater(len(phases), 2, phases)


class BothFail(fixture.AgentCase):
    def test_when_both_versions_fail_it_says_degraded_and_does_not_flip(self):  # F-21
        needed = self.agent.state / "needed"
        needed.mkdir(mode=0o755)
        (needed / "here").write_text("x")
        service = {"volumes": [{"source": str(needed), "target": "/needed", "read_only": True}],
                   "health": {"exec": ["/bin/sh", "-c", "test -e /needed/here"], "interval": "200ms", "timeout": "2s"},
                   "update": {"soak": "300ms", "drain": "300ms", "standby": "1s", "deadline": "2s"}}
        self.applied({"page": self.small("STATIC_V1", **service)})
        (needed / "here").unlink()
        done = self.agent.apply({"page": self.small("STATIC_V2", **service)}, seconds=60)
        self.assertNotEqual(done.code, 0, done)
        fixture.wait_until("it is degraded", lambda: self.agent.status()["state"] == "degraded", 20)
        roll_outs = self.roll_outs()
        time.sleep(4)
        self.assertEqual((self.roll_outs(), self.agent.status()["generation"]), (roll_outs, 1), "it went to and fro")
        self.assertLessEqual(roll_outs, 2)
        self.assertEqual(self.agent.cli("status").code, 6)
        (needed / "here").write_text("x")
        # The host stays degraded for ten minutes more: a service that was restarted that often is a crash loop.
        fixture.wait_until("it is well again", lambda: self.agent.service("page")["health"] == "healthy", 60)

    def roll_outs(self):
        return sum('"rollout_started"' in line for line in self.agent.cli("ledger", "export").out.splitlines())


class Flood(fixture.AgentCase):
    settings = {"log": {"max_size": "1Mi"}}

    def sizes(self):
        """Of the files of logs. Between two of them there is a moment in which the newer one has just been renamed."""
        sizes = {}
        for path in (self.agent.state / "state/logs").rglob("*.log*"):
            with contextlib.suppress(FileNotFoundError):
                sizes[path.name] = path.stat().st_size
        return sizes

    def test_a_flood_of_lines_is_kept_within_its_bound(self):  # F-63
        flood = self.small(entrypoint=["/bin/sh", "-c"], command=[
            "httpd -f -p 8080 -h /srv & s='a line of a flood '; s=$s$s$s$s$s$s; "
            "while :; do echo $s$s$s$s$s$s$s$s$s$s; done"])
        flood.pop("health")
        self.applied({"page": flood}, "--timeout", "20s")
        most, rotated = 0, False
        for _ in range(120):
            files = self.sizes()
            rotated = rotated or any(name.endswith(".log.1") for name in files)
            most = max(most, sum(files.values()))
            time.sleep(0.05)
        lines = len(self.agent.cli("logs", "page", "--tail", "5").out.splitlines())
        # Two files of 1 MiB at full rate, also when nobody looks.
        self.assertTrue(rotated, most)
        self.assertLessEqual(most, 2 << 20)
        self.agent.stop(signal.SIGKILL)
        for _ in range(40):
            self.assertLessEqual(sum(self.sizes().values()), 2 << 20)
            time.sleep(0.02)
        self.agent.start()
        self.assertEqual(lines, 5)
        self.assertEqual(self.agent.cli("ledger", "verify").code, 0)


if __name__ == "__main__":
    fixture.main()
