#!/usr/bin/python3
"""The images of a host: fetched ahead, looked at, verified, repaired and collected, while services run."""
import json
import os
import signal
import subprocess
import time

import fixture


class Images(fixture.AgentCase):
    def image(self, *arguments, **options):
        return self.agent.cli("--output", "json", "image", *arguments, **options)

    def listed(self):
        return {item["digest"]: item for item in self.image("list").json}

    def digest(self, name):
        return self.images[name].split("@")[1]

    def layers(self):
        return self.agent.state / "state/layers"

    def record(self, digest):
        return json.loads((self.agent.state / "state/images" / f"{digest[7:]}.json").read_text())

    def harm(self, digest):
        """Flips one bit of the largest file of the image, as a failing disk does; returns the key of the layer."""
        files = [path for key in self.record(digest)["layers"] for path in (self.layers() / key / "fs").rglob("*")
                 if path.is_file() and not path.is_symlink()]
        largest = max(files, key=lambda path: path.stat().st_size)
        before = largest.stat()
        with open(largest, "r+b") as file:
            file.seek(before.st_size // 2)
            byte = file.read(1)[0]
            file.seek(before.st_size // 2)
            file.write(bytes([byte ^ 1]))
        os.utime(largest, ns=(before.st_atime_ns, before.st_mtime_ns))
        return largest.relative_to(self.layers()).parts[0]

    def reach(self, registry, **how):
        """Restarts the agent, with this way to reach the registry."""
        self.agent.stop(signal.SIGKILL)
        self.agent.settings["registries"] = {registry: how}
        self.agent.write_config()
        self.agent.start()

    def test_what_is_pulled_ahead_is_kept_by_a_lease_and_needs_no_registry_later(self):
        self.applied({"web": self.small("STATIC_V1")})
        done = self.image("pull", self.images["STATIC_V2"])
        self.assertEqual(done.code, 0, done)
        pulled = done.json
        self.assertEqual((pulled["operation"], pulled["error"]), ("pull", None))
        self.assertGreater(pulled["bytes"], 0)
        self.assertEqual(pulled["images"][0]["digest"], self.digest("STATIC_V2"))
        item = self.listed()[self.digest("STATIC_V2")]
        self.assertEqual((item["needed_by"], item["leased_by"]), ([], "root (uid 0)"))
        self.assertEqual(self.listed()[self.digest("STATIC_V1")]["needed_by"], ["current"])
        plan = self.image("gc", "--dry-run").json
        self.assertEqual([row for row in plan["removed"] if row["kind"] == "image"], [])
        self.assertIn("lease of root (uid 0) until", json.dumps(plan["kept"]))
        self.assertEqual(self.image("gc").code, 0)
        self.assertIn(self.digest("STATIC_V2"), self.listed())
        again = self.image("pull", self.images["STATIC_V2"])
        self.assertEqual(again.json["bytes"], 0, again)
        people = self.agent.cli("image", "list")
        self.assertIn("lease, 23h59m left", people.out, people)
        progress = self.agent.cli("image", "pull", self.images["WEB_V1"])
        self.assertEqual(progress.code, 0, progress)
        self.assertIn("✓ pulled", progress.err)

    def test_a_lease_that_ends_lets_the_image_go_and_nothing_that_is_needed(self):
        for image in ("STATIC_V1", "STATIC_V2"):
            self.applied({"web": self.small(image)})
        self.assertEqual(self.image("pull", self.images["WEB_V1"], "--keep", "2s").code, 0)
        time.sleep(2.1)
        plan = self.image("gc", "--dry-run").json
        self.assertEqual([row["name"] for row in plan["removed"] if row["kind"] == "image"], [self.digest("WEB_V1")])
        done = self.image("gc").json
        self.assertEqual((done["gc"]["removed"], done["bytes"]), (plan["removed"], plan["bytes"]))
        self.assertEqual(set(self.listed()), {self.digest("STATIC_V1"), self.digest("STATIC_V2")})
        self.assertEqual(self.agent.cli("rollback").code, 0)
        kinds = [row["kind"] for row in map(json.loads, self.agent.cli("ledger", "export").out.splitlines())]
        self.assertIn("collected", kinds)

    def test_damage_is_drift_stops_rollback_and_is_repaired_under_the_running_service(self):
        self.applied({"web": self.web("WEB_V1")})
        self.applied({"web": self.web("WEB_V2")})
        first = self.digest("WEB_V1")
        whole = self.image("verify", "--all")
        self.assertEqual(whole.code, 0, whole)
        self.assertGreater(whole.json["bytes"], 1 << 20)
        own = set(self.record(first)["layers"]) - set(self.record(self.digest("WEB_V2"))["layers"])
        pid = self.agent.pids()["web"]

        registry = self.images["REGISTRY"]
        key = self.harm(first)
        self.reach(registry, plain_http=False)  # TLS, which it does not speak: out of reach, and at once
        found = self.image("verify", first[7:19])
        self.assertEqual(found.code, 6, found)
        self.assertIn(key, json.dumps(found.json["images"][0]["damage"]))
        refused = self.agent.cli("rollback")
        shared = key not in own
        self.assertEqual(refused.code, 1, refused)
        self.assertIn(key[:12], refused.text)
        self.assertIn("damaged on disk", refused.text)
        status = self.agent.status()
        self.assertFalse(status["rollback"]["ready"])
        self.assertIn("damaged on disk", status["rollback"]["reason"])
        if shared:  # the running service needs it too
            self.assertIn("layer_damaged", [item["kind"] for item in status["drift"]])
        cannot = self.image("verify", first, "--repair", seconds=120)
        self.assertEqual(cannot.code, 6, cannot)
        self.assertIsNotNone(cannot.json["error"])
        self.reach(registry, plain_http=True)
        self.assertEqual(self.agent.pids()["web"], pid)
        repaired = self.image("verify", first, "--repair", seconds=120)
        self.assertEqual(repaired.code, 0, repaired)
        self.assertEqual(self.agent.pids()["web"], pid, "the service ran on")
        self.assertEqual(fixture.get(self.port), "v2")
        fixture.wait_until("rollback is ready again", lambda: self.agent.status()["rollback"]["ready"])
        self.assertEqual(self.agent.status()["drift"], [])
        self.assertEqual(self.agent.cli("rollback").code, 0)
        self.assertEqual(fixture.get(self.port), "v1")

    def test_jobs_take_their_turn(self):
        jobs = [subprocess.Popen([fixture.BIN / "holdfast", "--socket", self.agent.socket, "image", "pull", self.images[name]],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for name in ("WEB_V1", "REDIS_V1", "STATIC_V1")]
        for job in jobs:
            out, err = job.communicate(timeout=60)
            self.assertEqual(job.returncode, 0, out + err)
        self.assertEqual(len(self.listed()), 3)

    def test_bad_requests_name_what_is_wrong(self):
        unpinned = self.agent.cli("image", "pull", self.images["WEB_V1"].split("@")[0])
        self.assertEqual(unpinned.code, 3, unpinned)
        self.assertIn("next:", unpinned.err)
        missing = self.agent.cli("image", "pull", self.images["WEB_V1"][:-6] + "000000")
        self.assertEqual(missing.code, 1, missing)
        self.assertIn("does not exist there", missing.err)
        unknown = self.agent.cli("image", "verify", "0123456789ab")
        self.assertEqual(unknown.out, "", "nothing was found to be whole")
        self.assertEqual(unknown.code, 1, unknown)
        self.assertIn("holdfast image list", unknown.err)


class Archives(fixture.AgentCase):
    """Images as files, with the tools of others as writers and readers; the agent that imports reaches no registry."""

    def setUp(self):
        super().setUp()
        self.far = fixture.Agent(registries={self.images["REGISTRY"]: {"plain_http": False}})  # TLS, which it does not speak
        self.addCleanup(self.far.remove)
        self.far.start()
        self.file = self.far.state / "image.tar"
        self.work = self.far.state / "work"
        self.work.mkdir()

    def tool(self, *command):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, cwd=self.work)
        self.assertEqual(done.returncode, 0, f"{command}: {done.stderr}")
        return done.stdout

    def skopeo(self, source, target, *more):
        self.tool("skopeo", "--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false", *more, source, target)

    def import_and_run(self, *arguments):
        """Imports the file, and applies a document that pins what came of it, with no registry in reach."""
        done = self.far.cli("--output", "json", "image", "import", self.file, *arguments)
        self.assertEqual(done.code, 0, done)
        digest = done.json["images"][0]["digest"]
        self.assertTrue(done.json["images"][0]["leased_until"])
        applied = self.far.apply({"web": self.small(f"registry.example.com/web:1.0.0@{digest}")})
        self.assertEqual(applied.code, 0, applied)
        self.assertEqual(self.far.service("web")["digest"], digest)
        return done.json["images"][0]

    def test_an_archive_of_skopeo_is_taken_with_the_digest_it_pins(self):
        self.skopeo("docker://" + self.images["STATIC_V1"].replace(":1.0.0@", "@"), f"oci-archive:{self.file}:registry.example.com/web:1.0.0")
        item = self.import_and_run()
        self.assertEqual(item["digest"], self.images["STATIC_V1"].split("@")[1])
        self.assertTrue(item["reference"].startswith("registry.example.com/web:1.0.0@"))

    def test_an_archive_of_buildah_is_taken(self):
        storage = ["--root", self.work / "root", "--runroot", self.work / "run", "--storage-driver", "vfs"]
        self.addCleanup(subprocess.run, ["umount", "-R", self.work / "root"], stderr=subprocess.DEVNULL, check=False)
        self.tool("buildah", *storage, "pull", "--quiet", "--tls-verify=false", "docker://" + self.images["STATIC_V1"].replace(":1.0.0@", "@"))
        name = self.tool("buildah", *storage, "images", "--quiet").split()[0]
        self.tool("buildah", *storage, "push", "--quiet", name, f"oci-archive:{self.file}")
        self.import_and_run("--reference", "registry.example.com/web:1.0.0")

    def test_what_is_exported_is_taken_by_another_agent_and_by_skopeo(self):
        self.applied({"web": self.small("STATIC_V1")})
        digest = self.images["STATIC_V1"].split("@")[1]
        done = self.agent.cli("--output", "json", "image", "export", digest[7:19], "-o", self.file)
        self.assertEqual(done.code, 0, done)
        self.assertEqual(done.json["bytes"], self.file.stat().st_size)
        self.skopeo(f"oci-archive:{self.file}", f"dir:{self.work / 'dir'}")
        self.assertEqual(self.import_and_run()["digest"], digest)
        refused = self.far.cli("image", "export", digest[7:19], "-o", self.work / "again.tar")
        self.assertEqual(refused.code, 1, refused)
        self.assertIn("next:", refused.err)
        self.assertEqual([path.name for path in self.work.iterdir() if path.name.startswith("again")], [], "no half of a file is left")

    def test_a_spoilt_archive_is_refused_and_what_runs_goes_on(self):
        self.applied({"web": self.small("STATIC_V1")})
        self.skopeo("docker://" + self.images["STATIC_V2"].replace(":2.0.0@", "@"), f"oci-archive:{self.file}")
        data = bytearray(self.file.read_bytes())
        data[len(data) // 2] ^= 1
        self.file.write_bytes(data)
        done = self.far.cli("image", "import", self.file)
        self.assertIn(done.code, (1, 3), done)
        self.assertEqual(self.far.cli("--output", "json", "image", "list").json, [])
        missing = self.far.cli("image", "import", self.work / "nothing.tar")
        self.assertEqual(missing.code, 1, missing)
        self.assertIn("nothing.tar", missing.err)


class Scrub(fixture.AgentCase):
    settings = {"scrub": {"every": "1m", "bandwidth": "64Mi"}}

    def test_the_scrub_finds_damage_and_mends_it_by_itself(self):
        self.applied({"web": self.web("WEB_V1")})
        layers = self.agent.state / "state/layers"
        pid = self.agent.pids()["web"]
        passwd = next(path for path in layers.glob("*/fs/etc/passwd") if path.is_file())
        passwd.write_text(passwd.read_text().replace("root", "toor"))
        for meta in layers.glob("*/meta.json"):
            os.utime(meta, (1000, 1000))  # as if it had been pulled long ago
        self.agent.stop(signal.SIGKILL)
        self.agent.start()

        def value(name):
            lines = fixture.get(self.agent.metrics_port, "/metrics").splitlines()
            return float(next(line for line in lines if line.startswith(name + " ")).split()[-1])

        fixture.wait_until("the scrub has found it", lambda: value("holdfast_image_damaged_total") >= 1, 60)
        fixture.wait_until("it is repaired", lambda: "root" in passwd.read_text(), 30)
        fixture.wait_until("no drift is left", lambda: self.agent.status()["drift"] == [], 30)
        fixture.wait_until("every layer was looked at", lambda: value("holdfast_image_scrub_completed_timestamp_seconds") > 0, 30)
        self.assertEqual(self.agent.pids()["web"], pid, "the service ran on")


if __name__ == "__main__":
    fixture.main()
