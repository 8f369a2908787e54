#!/usr/bin/python3
"""Keys of the document that services need beside image and health, through the installed programs."""
import hashlib
import os
import re
from pathlib import Path

import fixture


class Notes(fixture.AgentCase):
    def test_notes_for_others_change_nothing_and_labels_are_a_metric(self):
        self.applied({"web": self.web()})
        pid = self.agent.pids()["web"]
        noted = self.web()
        noted["x-why"] = {"since": [1, 2]}
        noted["health"]["x-by"] = "team"
        again = self.agent.cli("--output", "json", "apply", self.agent.document({"web": noted}, **{"x-owner": "shop"}))
        self.assertEqual((again.code, again.json["generation"]), (0, 1), again)

        done = self.applied({"web": self.web(labels={"team": "shop", "example.com/tier": "front \"door\""})})
        self.assertEqual(done.json["generation"], 2)
        self.assertEqual(self.agent.pids()["web"], pid, "a label is no reason for a new container")
        page = fixture.get(self.agent.metrics_port, "/metrics")
        series = [line for line in page.splitlines() if line.startswith("holdfast_workload_label_info{")]
        self.assertEqual(len(series), 2, page)
        self.assertTrue(any('key="team"' in line and 'value="shop"' in line and 'workload="web"' in line for line in series), series)
        plan = self.agent.cli("plan", self.agent.document({"web": self.web()})).text
        self.assertIn("labels.team: shop → (none)", plan)
        self.assertIn("without a restart", plan)


class Process(fixture.AgentCase):
    def show(self, name):
        pid = self.agent.pids()[name]
        limits = Path(f"/proc/{pid}/limits").read_text()
        return pid, limits

    def test_a_service_gets_the_process_that_it_asks_for_and_a_rollback_takes_it_back(self):
        before = self.small()
        self.applied({"app": before})
        wanted = self.small(
            init=True, ulimits={"nofile": {"soft": 2000, "hard": 3000}}, shm_size="128Mi",
            sysctls={"net.core.somaxconn": 777}, tmpfs=[{"target": "/run/app", "mode": "0750", "exec": True, "size": "1Mi"}],
            security={"group_add": ["4711"]})
        plan = self.agent.cli("plan", self.agent.document({"app": wanted})).text
        for line in ("init: (none) → true", "sysctls.net.core.somaxconn: (none) → 777", "tmpfs exec /run/app"):
            self.assertIn(line, plan)
        self.applied({"app": wanted})
        pid, limits = self.show("app")
        self.assertEqual(Path(f"/proc/{pid}/comm").read_text().strip(), "init")
        self.assertRegex(limits, r"Max open files +2000 +3000 ")
        self.assertIn("4711", re.search(r"^Groups:(.*)$", Path(f"/proc/{pid}/status").read_text(), re.M).group(1).split())
        mounts = {line.split()[1]: line for line in Path(f"/proc/{pid}/mounts").read_text().splitlines()}
        self.assertIn("size=131072k", mounts["/dev/shm"])
        self.assertNotIn("noexec", mounts["/run/app"])
        self.assertEqual(os.stat(f"/proc/{pid}/root/run/app").st_mode & 0o7777, 0o750)
        self.assertEqual(self.agent.cli("status").code, 0)

        back = self.agent.cli("--output", "json", "rollback", "--reason", "back")
        self.assertEqual(back.code, 0, back)
        pid, limits = self.show("app")
        self.assertNotEqual(Path(f"/proc/{pid}/comm").read_text().strip(), "init")
        self.assertNotRegex(limits, r"Max open files +2000 +3000 ")

    def test_what_the_host_cannot_give_is_told_before_and_quarantines_nothing(self):
        self.applied({"web": self.web()})
        greedy = {"web": self.web(ulimits={"nofile": {"soft": 1024, "hard": 1 << 40}})}
        said = "it will not start here: ulimits.nofile is 1099511627776"
        self.assertIn(said, self.agent.cli("plan", self.agent.document(greedy)).text)
        failed = self.agent.cli("apply", self.agent.document(greedy))
        self.assertEqual(failed.code, 4, failed)
        self.assertIn(said, failed.text)
        self.assertIn("fs.nr_open", failed.text)
        self.assertEqual(self.agent.cli("--output", "json", "quarantine", "list").json, [])
        self.assertEqual(fixture.get(self.port), "v1")

    def test_lint_says_what_is_meant_and_why_others_are_refused(self):
        path = self.agent.document({"web": self.web(sysctls={"vm.swappiness": 1}, ulimits={"nofile": -1}, Ulimit=1, group_add=["a"])})
        told = self.agent.cli("lint", path).text
        for line in ("sysctls.vm.swappiness is one for the whole host", "write unlimited", 'did you mean "ulimits"?',
                     "write security: {group_add: […]}"):
            self.assertIn(line, told)


class Files(fixture.AgentCase):
    def inside(self, path, name="app"):
        return Path(f"/proc/{self.agent.pids()[name]}/root{path}").read_text()

    def app(self, *configs, **changes):
        return {"app": self.small(configs=list(configs), **changes)}

    def test_configs_come_back_with_a_rollback_without_the_hosts_file(self):
        file = self.agent.state / "app.conf"
        file.write_text("first\n")
        first = {"target": "/etc/app.conf", "file": str(file), "digest": "sha256:" + hashlib.sha256(b"first\n").hexdigest(), "mode": "0440", "owner": "10003"}
        self.applied(self.app(first))
        self.assertEqual(self.inside("/etc/app.conf"), "first\n")
        self.assertEqual(os.stat(f"/proc/{self.agent.pids()['app']}/root/etc/app.conf").st_mode & 0o7777, 0o440)

        second = {"target": "/etc/app.conf", "content": "second\n"}
        plan = self.agent.cli("plan", self.agent.document(self.app(second))).text
        self.assertIn("configs[/etc/app.conf].content: (none) → 7 bytes, ", plan)
        self.assertNotIn("second", plan)
        self.applied(self.app(second))
        self.assertEqual(self.inside("/etc/app.conf"), "second\n")
        file.unlink()
        self.assertTrue(self.agent.status()["rollback"]["ready"], self.agent.status())
        back = self.agent.cli("--output", "json", "rollback", "--reason", "back")
        self.assertEqual(back.code, 0, back)
        self.assertEqual(self.inside("/etc/app.conf"), "first\n")

        gone = {**first, "digest": "sha256:" + "0" * 64}
        failed = self.agent.cli("apply", self.agent.document(self.app(gone)))
        self.assertEqual(failed.code, 4, failed)
        self.assertIn("app.conf", failed.text)
        self.assertIn("put the file that the document pins there", failed.text)
        quarantined = [item["spec_digest"] for item in self.agent.cli("--output", "json", "quarantine", "list").json]
        self.assertEqual(len(quarantined), 1, "only the one rolled back from")
        self.assertEqual(self.inside("/etc/app.conf"), "first\n")

    def test_a_reboot_needs_no_file_of_the_host(self):
        file = self.agent.state / "app.conf"
        file.write_text("kept\n")
        pinned = {"target": "/etc/app.conf", "file": str(file), "digest": "sha256:" + hashlib.sha256(b"kept\n").hexdigest()}
        self.applied(self.app(pinned, init=True, tmpfs=[{"target": "/scratch", "mode": "0700"}]))
        file.unlink()
        self.agent.crash_host()
        self.agent.start()
        fixture.wait_until("it runs again", lambda: (self.agent.service("app") or {}).get("health") == "healthy", 30)
        self.assertEqual(self.inside("/etc/app.conf"), "kept\n")
        self.assertEqual(os.stat(f"/proc/{self.agent.pids()['app']}/root/scratch").st_mode & 0o7777, 0o700)

    def test_a_hook_has_them_too(self):
        secret = self.agent.state / "token"
        secret.write_text("t0psecret")
        hook = {"name": "migrate", "image": self.images["STATIC_V1"], "init": True, "deadline": "20s",
                "entrypoint": ["/bin/sh", "-c", "read line </etc/step; [ $line = up ] && [ $TOKEN = t0psecret ] && [ $$ != 1 ]"],
                "configs": [{"target": "/etc/step", "content": "up\n"}], "secrets": [{"name": "t", "file": str(secret)}],
                "env": {"TOKEN": {"secret": "t"}}}
        done = self.agent.cli("--output", "json", "apply", self.agent.document({"web": self.web()}, hooks={"before": [hook]}))
        self.assertEqual(done.code, 0, done)

    def test_an_altered_config_is_drift_and_is_put_back_where_that_is_wanted(self):
        config = {"target": "/etc/app.conf", "content": "declared\n"}
        self.applied(self.app(config))
        placed, = (self.agent.run / "agent/instances").glob("*/configs/0")
        placed.write_text("evil\n")
        self.assertEqual(self.inside("/etc/app.conf"), "evil\n")
        drift = fixture.wait_until("it is seen", lambda: [item for item in self.agent.status()["drift"] if item["kind"] == "config"], 10)
        self.assertIn("/etc/app.conf has another content than declared", drift[0]["evidence"])
        self.assertEqual(drift[0]["action"], "report")
        done = self.agent.cli("--output", "json", "apply", self.agent.document(self.app(config), drift={"config": "repair"}))
        self.assertEqual(done.code, 0, done)
        fixture.wait_until("it is put back", lambda: not self.agent.status()["drift"], 15)
        self.assertEqual(self.inside("/etc/app.conf"), "declared\n")

    def test_a_secret_goes_where_it_is_wanted_and_into_the_environment_only_when_asked(self):
        secret = self.agent.state / "token"
        secret.write_text("t0psecret\n")
        wanted = self.small(secrets=[{"name": "API_Token", "file": str(secret), "target": "/etc/keys/token", "mode": "0440", "owner": "0:10003"}],
                            env={"TOKEN": {"secret": "API_Token"}})
        plan = self.agent.cli("plan", self.agent.document({"app": wanted})).text
        self.assertIn("env TOKEN from secret API_Token", plan)
        self.applied({"app": wanted})
        pid = self.agent.pids()["app"]
        self.assertEqual(self.inside("/etc/keys/token"), "t0psecret\n")
        kept = os.stat(f"/proc/{pid}/root/etc/keys/token")
        self.assertEqual((kept.st_mode & 0o7777, kept.st_uid, kept.st_gid), (0o440, 0, 10003))
        self.assertFalse(Path(f"/proc/{pid}/root/run/secrets").exists())
        self.assertIn(b"TOKEN=t0psecret", Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
        told = self.agent.cli("ledger", "export").out + self.agent.log.read_text() + self.agent.cli("--output", "json", "show", "1").text
        self.assertNotIn("t0psecret", told)
        page = fixture.get(self.agent.metrics_port, "/metrics")
        self.assertIn('holdfast_workload_relaxations{workload="app"} 1', page)


class Places(fixture.AgentCase):
    def test_devices_subpaths_and_ranges_of_ports(self):
        first = fixture.free_port()
        while first + 1 in (self.port, self.agent.metrics_port):
            first = fixture.free_port()
        wanted = self.small(publish=[f"{first}-{first + 1}:8080-8081"], devices=[{"source": "/dev/fuse", "access": "r"}],
                            volumes=[{"source": "data", "target": "/data", "subpath": "shop/a", "owner": "10003:10003", "mode": "0750"}],
                            entrypoint=["/bin/sh", "-c", "/bin/busybox httpd -p 8081 -h /www; exec /bin/busybox httpd -f -p 8080 -h /www"], command=[])
        self.assertIn("device /dev/fuse r", self.agent.cli("plan", self.agent.document({"app": wanted})).text)
        self.applied({"app": wanted})
        for port in (first, first + 1):
            self.assertIsNotNone(fixture.get(port, "/healthz"))
        pid = self.agent.pids()["app"]
        self.assertEqual(os.stat(f"/proc/{pid}/root/dev/fuse").st_rdev, os.stat("/dev/fuse").st_rdev)
        data = os.stat(f"/proc/{pid}/root/data")
        self.assertEqual((data.st_mode & 0o7777, data.st_uid), (0o750, 10003))
        self.assertTrue((self.agent.state / "state/volumes/data/shop/a").is_dir())
        gone = {"app": self.small(devices=["/dev/no-such-device"])}
        failed = self.agent.cli("apply", self.agent.document(gone))
        self.assertEqual(failed.code, 4, failed)
        self.assertIn("it will not start here: device /dev/no-such-device is not there", failed.text)
        self.assertEqual(self.agent.cli("--output", "json", "quarantine", "list").json, [])


if __name__ == "__main__":
    fixture.main()
