#!/usr/bin/python3
"""A registry that hardly sends, and images that are cheap to send and dear to unpack: neither takes a rollback away, or the next document."""
import random
import tempfile
import time

import attack
import fixture
import hostile_registry


class RegistryAttack(attack.AttackCase):
    rate = 0

    def setUp(self):
        served = tempfile.TemporaryDirectory(prefix="holdfast-attack-", dir="/var/tmp")
        self.addCleanup(served.cleanup)
        self.registry = hostile_registry.Registry(served.name, self.rate)
        self.addCleanup(self.registry.close)
        self.settings = {**self.settings, "registries": {name: {"plain_http": True} for name in (fixture.images()["REGISTRY"], self.registry.name)}}
        super().setUp()

    def pull(self, reference):
        """Ahead of any rollout, as people do."""
        status, body = attack.ask(self.agent.socket, "POST", "/v1/images/pull", {"image": reference})
        self.assertEqual(status, 202, body)

    def ingest(self):
        return [str(path) for path in (self.agent.state / "state").glob("ingest/*")]


class Drips(RegistryAttack):
    rate = 2000

    def setUp(self):
        super().setUp()
        lab = hostile_registry.image_lab
        layer = lab.tar(lab.entry("data", data=random.Random(1).randbytes(4 << 20)))
        self.slow = self.registry.reference("slow", lab.image(self.registry.blobs, [layer]))

    def stage(self):
        """A document that needs the slow image, beside `web` as it is."""
        services = {"web": self.web("WEB_V2", update=attack.UPDATE), "slow": {"image": self.slow, "update": attack.UPDATE}}
        done = self.agent.apply(services, "--no-wait")
        self.assertEqual(done.code, 0, done)
        fixture.wait_until("it fetches", lambda: (self.agent.status()["rollout"] or {}).get("phase") == "staging" and self.ingest(), 10)

    def test_a_rollback_beside_a_pull_that_drips(self):
        self.pull(self.slow)
        fixture.wait_until("it fetches", self.ingest, 10)
        self.assert_rollback_is_quick()

    def test_other_jobs_on_images_wait_behind_no_pull_that_drips(self):
        self.pull(self.slow)
        fixture.wait_until("it fetches", self.ingest, 10)
        for command in ("gc", "verify"):
            done = self.agent.cli("image", command)
            self.assertEqual(done.code, 0, done)
            self.assertLess(done.seconds, 10)
        self.assertTrue(self.ingest(), "it still fetches")

    def test_what_is_fetched_for_hours_is_taken_back_and_the_next_document_does_not_wait(self):
        self.stage()
        begin = time.monotonic()
        self.applied({"web": self.web("WEB_V3", update=attack.UPDATE)})
        applied = time.monotonic() - begin
        self.assertEqual(fixture.get(self.port), "v3")
        self.stage()
        begin = time.monotonic()
        back = self.agent.cli("rollback", "--reason", "it takes too long")
        self.assertEqual(back.code, 0, back)
        taken_back = time.monotonic() - begin
        self.assertEqual((self.agent.status()["rollout"], fixture.get(self.port)), (None, "v3"))
        print(f"beside a registry that drips: the next document applied in {applied * 1000:.0f} ms, taken back in {taken_back * 1000:.0f} ms", flush=True)
        self.assertLess(applied, 10)
        self.longest = max(self.longest, taken_back)
        fixture.wait_until("nothing of it is left", lambda: not self.ingest(), 10)

    def test_a_rollback_to_a_number_does_not_wait_for_what_is_fetched(self):
        self.stage()
        self.assert_rollback_is_quick("--to", "1")


class DearImages(RegistryAttack):
    """That each is refused with its reason, or costs nothing: component/deploy/image/hostile."""

    def test_layers_that_are_dear_to_unpack(self):
        images = hostile_registry.dear_images(self.registry)
        services = {name: {"image": reference, "update": attack.UPDATE} for name, reference in images.items()}
        applied = self.agent.apply({"web": self.web("WEB_V2", update=attack.UPDATE), **services}, "--no-wait")
        self.assertEqual(applied.code, 0, applied)
        fixture.wait_until("something is unpacked", self.ingest, 10)
        back = self.agent.cli("rollback", "--reason", "it takes too long")
        self.assertEqual((back.code, self.agent.status()["rollout"]), (0, None), back)
        self.longest = back.seconds
        for reference in images.values():
            self.pull(reference)
        time.sleep(0.5)
        self.assert_rollback_is_quick()
        fixture.wait_until("nothing of them is left", lambda: not self.ingest(), 60)
        self.applied({"web": self.web("WEB_V3", update=attack.UPDATE)})


if __name__ == "__main__":
    fixture.main()
