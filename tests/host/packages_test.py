#!/usr/bin/python3
"""From `apt install` to `apt purge` on a booted host, in this order; each step goes on from the one before.

Started by tests/host/run, which says where packages, images and the root are.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

from machine import Machine, cgroups

PACKAGES = Path(os.environ["HOLDFAST_HOST_PACKAGES"])
IMAGES = Path(os.environ["HOLDFAST_HOST_IMAGES"])

# Says when it was asked to end, half a second before it does.
ENDS = "trap '/bin/sleep 0.5; /bin/busybox cat /proc/uptime >/data/{name}; exit 0' TERM; while :; do /bin/sleep 1 & wait $!; done"
NEVER_ENDS = "trap '' TERM; while :; do /bin/sleep 1; done"


def digest(version):
    index = json.loads((IMAGES / "static/index.json").read_text())
    return next(each["digest"] for each in index["manifests"] if each["annotations"]["org.opencontainers.image.ref.name"] == version)


def image(version):
    return f"registry.example.com/static:{version}@{digest(version)}"


def script(text, **more):
    return {"image": image("1.0.0"), "entrypoint": ["/bin/sh", "-c", text], "stop": {"signal": "SIGTERM", "timeout": "3s"},
            "volumes": [{"source": "ends", "target": "/data", "owner": "10003:10003"}], "update": {"strategy": "replace"}, **more}


class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.machine = Machine(os.environ["HOLDFAST_TEST_CACHE"])
        cls.addClassCleanup(cls.machine.remove)
        cls.machine.prepare(os.environ["HOLDFAST_HOST_ROOT"])
        home = cls.machine.root / "root"
        for place in ("", "later"):
            for deb in (PACKAGES / place).glob("holdfast*.deb"):
                if "dbgsym" not in deb.name:
                    shutil.copy(deb, home)
        for version in ("1.0.0", "2.0.0"):
            subprocess.run(["skopeo", "copy", "-q", f"oci:{IMAGES}/static:{version}", f"oci-archive:{home}/{version}.tar:static:{version}"], check=True)
        print(f"booted in {cls.machine.boot():.1f} s", file=sys.stderr)
        cls.before = cls.files()

    @classmethod
    def files(cls):
        """What is on the disk, but what logs, caches and apt's own lists keep of any package."""
        found = cls.machine.sh("find / -xdev \\( -path /root -o -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /var/log -o -path /var/cache -o -path /var/tmp "
                               "-o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/lib/systemd \\) -prune -o -print").out
        return set(found.splitlines())

    def sh(self, command, **options):
        return self.machine.sh(command, **options)

    def status(self):
        return self.sh("holdfast -o json status").json

    def pids(self):
        return {service["name"]: service["pid"] for service in self.status()["services"]}

    def entries(self):
        return [json.loads(line) for line in self.sh("holdfast ledger export").out.splitlines()]

    def apply(self, **services):
        (self.machine.root / "root/shop.yaml").write_text(json.dumps({"apiVersion": "holdfast/v1", "name": "shop", "services": services}))
        return self.sh("holdfast apply shop.yaml")

    def web(self, version="1.0.0"):
        return {"image": image(version), "publish": ["8080:8080"], "depends_on": ["api"],
                "health": {"http": "http://:8080/healthz", "interval": "200ms"}, "update": {"soak": "1s", "drain": "1s"}}

    def shop(self, version="1.0.0"):
        return {"db": script(ENDS.format(name="db")), "api": script(ENDS.format(name="api"), depends_on=["db"]),
                "stubborn": script(NEVER_ENDS), "web": self.web(version)}

    def test_01_install(self):
        self.sh("apt-get install -y ./holdfast_0*[0-9]_*.deb ./holdfast-agent_0*[0-9]_*.deb")
        self.assertEqual(self.sh("systemctl is-active holdfastd holdfast-shutdown").out.split(), ["active", "active"])
        self.assertIn("holdfast-deploy", self.sh("getent group holdfast-deploy").out)
        self.sh("holdfastd --check-config")
        self.assertIn("nothing has been applied yet", self.sh("holdfast status").out)
        for shell in ("bash", "zsh", "fish"):
            self.assertTrue(self.sh(f"dpkg -L holdfast | grep -q {shell}").code == 0)
        # A member of a group may ask, somebody else may not.
        self.sh("useradd alice; useradd -G holdfast-observe bob")
        self.assertEqual(self.sh("runuser -u alice -- holdfast status", check=False).code, 8)
        self.sh("runuser -u bob -- holdfast status")
        self.assertEqual(self.sh("runuser -u bob -- holdfast shutdown --force", check=False).code, 8)

    def test_02_first_deployment_and_rollback(self):
        for version in ("1.0.0", "2.0.0"):
            self.sh(f"holdfast image import {version}.tar --reference registry.example.com/static:{version}")
        self.apply(**self.shop("1.0.0"))
        self.assertEqual(self.machine.get("/version"), "v1\n")
        self.apply(**self.shop("2.0.0"))
        self.assertEqual(self.machine.get("/version"), "v2\n")
        self.sh("holdfast rollback --reason 'version 1 was better'")
        self.assertEqual(self.machine.get("/version"), "v1\n")

    def test_03_a_restart_of_the_agent_stops_nothing(self):
        before = self.pids()
        for command in ("systemctl restart holdfastd", "systemctl reload holdfastd", "systemctl stop holdfastd; systemctl start holdfastd",
                        "systemctl restart holdfast-shutdown", "systemctl daemon-reexec"):
            self.sh(command)
            self.assertEqual(self.pids(), before, command)
            self.assertEqual(self.machine.get("/version"), "v1\n", command)
        said = self.machine.journal("-u", "holdfast-shutdown")
        self.assertIn("the host does not go down: nothing is stopped", said)

    def test_03b_a_group_may_come_later_than_the_agent(self):
        self.sh("groupdel holdfast-observe; systemctl restart holdfastd")
        self.assertIn("a role has no group yet", self.sh("holdfast status").out)
        self.assertEqual(self.sh("runuser -u bob -- holdfast status", check=False).code, 8)
        self.sh("groupadd --system holdfast-observe; usermod -aG holdfast-observe bob")
        self.machine.wait_for("bob to be let in", lambda: self.sh("runuser -u bob -- holdfast status", check=False).code == 0, 15)

    def test_04_an_upgrade_stops_nothing(self):
        before, agent = self.pids(), self.sh("systemctl show -P MainPID holdfastd").out
        since = self.sh("systemctl show -P ActiveEnterTimestampMonotonic holdfast-shutdown").out
        self.sh("apt-get install -y ./holdfast_*+later_*.deb ./holdfast-agent_*+later_*.deb")
        self.assertEqual(self.pids(), before)
        self.assertNotEqual(self.sh("systemctl show -P MainPID holdfastd").out, agent, "the new version runs")
        self.assertEqual(self.sh("systemctl show -P ActiveEnterTimestampMonotonic holdfast-shutdown").out, since, "and that unit was left alone")
        self.sh("apt-get install -y --allow-downgrades ./holdfast_0*[0-9]_*.deb ./holdfast-agent_0*[0-9]_*.deb")
        self.assertEqual(self.pids(), before)
        self.assertEqual(self.machine.get("/version"), "v1\n")

    def test_05_power_off_ends_services_in_order_and_boot_serves_again(self):
        self.sh("holdfast apply --reason standby shop.yaml", check=False)  # quarantined: it was rolled back from
        self.apply(**{**self.shop("2.0.0"), "web": {**self.web("2.0.0"), "env": {"AGAIN": "yes"}}})
        self.assertTrue(self.status()["standby"], "a frozen instance holds up a host that ends nothing")
        generation, last = self.status()["generation"], self.entries()[-1]["number"]
        whole = self.machine.power_off()

        journal = self.machine.journal()
        ends = self.machine.root / "var/lib/holdfast/volumes/ends"
        db, api = (float((ends / name).read_text().split()[0]) for name in ("db", "api"))
        self.assertLess(api, db, "what stands on it ends first")
        self.assertIn("the host goes down", journal)
        self.assertIn("nothing runs any more", journal)
        begun, done = (self._time(journal, text) for text in ("the host goes down: services are stopped", "nothing runs any more"))
        stopped = self._time(journal, "event=stopping")
        self.assertLess(done - begun, 8, "of ours")
        self.assertLessEqual(done, stopped, "the agent ends after what it asks")
        self.assertNotRegex(journal, r"Failed unmounting.*holdfast")
        self.assertLess(whole, 15)
        print(f"powered off in {whole:.1f} s, of which services took {done - begun:.1f} s", file=sys.stderr)

        booted = self.machine.boot()
        self.machine.wait_for("the web server", lambda: self.machine.get("/version") == "v2\n", 30)
        self.assertEqual(self.status()["generation"], generation)
        self.machine.wait_for("all to be as declared", lambda: self.status()["state"] == "converged", 30)
        later = [entry for entry in self.entries() if entry["number"] > last]
        kinds = [entry["kind"] for entry in later]
        self.assertEqual((later[0]["kind"], later[0]["reason"]), ("stopped", "the host goes down"))
        self.assertEqual([entry["service"] for entry in later if entry["kind"] == "stop_killed"], ["stubborn"])
        self.assertFalse({"drift_detected", "drift_repaired", "failed", "quarantined", "restarted", "instance_exited"} & set(kinds), kinds)
        self.machine.wait_for("all to be healthy", lambda: self.healthy_after() > 0, 30)
        seconds = self.healthy_after()
        self.assertTrue(0.5 < seconds < 30, seconds)
        self.assertNotRegex(self.machine.get("/metrics", port=9472), r'(?m)^holdfast_drift_detected_total\{[^}]*\} [1-9]')
        self.sh("holdfast ledger verify")
        print(f"booted in {booted:.1f} s; healthy {seconds:.1f} s after the start", file=sys.stderr)

    def healthy_after(self):
        return float(re.search(r"^holdfast_boot_to_healthy_seconds (\S+)", self.machine.get("/metrics", port=9472), re.M).group(1))

    @staticmethod
    def _time(journal, text):
        line = next(line for line in reversed(journal.splitlines()) if text in line)
        return float(re.match(r"\[\s*([0-9.]+)\]", line).group(1))

    def test_06_a_removal_stops_nothing_and_a_purge_refuses_while_services_run(self):
        before = self.pids()
        removed = self.sh("apt-get remove -y holdfast-agent")
        self.assertIn("these services go on without an agent: api db stubborn web", removed.err + removed.out)
        for name, pid in before.items():
            self.sh(f"kill -0 {pid}", check=True)
        self.assertEqual(self.machine.get("/version"), "v2\n")
        purged = self.sh("apt-get purge -y holdfast-agent", check=False)
        self.assertNotEqual(purged.code, 0)
        self.assertIn("not purged, as these services run", purged.err + purged.out)
        self.assertEqual(self.machine.get("/version"), "v2\n")
        self.sh("apt-get install -y ./holdfast-agent_0*[0-9]_*.deb")
        self.assertEqual(self.pids(), before, "adopted again")

    def test_07_evacuate_and_purge_leave_nothing(self):
        self.sh("apt-get remove -y holdfast-agent; /var/lib/holdfast-agent/evacuate --yes")
        self.sh("apt-get purge -y holdfast-agent holdfast")
        left = sorted(path for path in self.files() - self.before if "__pycache__" not in path)
        accounts = {"/etc/group-", "/etc/gshadow-", "/etc/passwd-", "/etc/shadow-", "/etc/subuid", "/etc/subgid", "/etc/subuid-", "/etc/subgid-"}  # alice, bob
        self.assertEqual([path for path in left if path not in accounts], [])
        self.assertEqual(self.sh("getent group | grep holdfast", check=False).out, "")
        self.assertEqual(self.sh("nft list tables | grep holdfast", check=False).out, "")
        self.assertEqual(self.sh("ls -d /run/holdfast* /var/lib/systemd/deb-systemd-helper*/*holdfast*", check=False).out, "")
        self.assertEqual(self.sh("grep holdfast /proc/mounts; ls /run/netns; pgrep -a conmon", check=False).out, "")
        self.assertEqual(cgroups(), [])


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("run tests/host/run, as root")
    unittest.main(verbosity=2, failfast=True)
