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

    def begin(self, **images):
        """Applies a document that needs these images, beside `web` as it is."""
        services = {name: {"image": reference, "update": attack.UPDATE} for name, reference in images.items()}
        done = self.agent.apply({"web": self.web("WEB_V2", update=attack.UPDATE), **services}, "--no-wait")
        self.assertEqual(done.code, 0, done)

    def staging(self):
        rollout = self.agent.status()["rollout"]
        return rollout and rollout["phase"] == "staging"

    def ingest(self):
        return [str(path) for path in (self.agent.state / "state").glob("*/ingest/*")]


class Drips(RegistryAttack):
    rate = 2000

    def setUp(self):
        super().setUp()
        lab = hostile_registry.image_lab
        layer = lab.tar(lab.entry("data", data=random.Random(1).randbytes(4 << 20)))
        self.begin(slow=self.registry.reference("slow", lab.image(self.registry.blobs, [layer])))
        time.sleep(1)
        self.assertTrue(self.staging())

    def test_a_rollback_beside_a_registry_that_drips(self):
        self.assert_rollback_is_quick()
        fixture.wait_until("nothing of it is left", lambda: not self.ingest(), 10)

    def test_the_next_document_beside_a_registry_that_drips(self):
        begin = time.monotonic()
        self.applied({"web": self.web("WEB_V3", update=attack.UPDATE)})
        seconds = time.monotonic() - begin
        print(f"{self.id().split('.')[-1]}: applied in {seconds * 1000:.0f} ms", flush=True)
        self.assertEqual(fixture.get(self.port), "v3")
        self.assertLess(seconds, 10)
        fixture.wait_until("nothing of it is left", lambda: not self.ingest(), 10)


class DearImages(RegistryAttack):
    """That each is refused with its reason, or costs nothing: component/deploy/image/hostile."""

    def test_layers_that_are_dear_to_unpack(self):
        self.begin(**hostile_registry.dear_images(self.registry))
        fixture.wait_until("something is unpacked", self.ingest, 10)
        time.sleep(1)
        self.assert_rollback_is_quick()
        fixture.wait_until("nothing of them is left", lambda: not self.ingest(), 30)
        self.applied({"web": self.web("WEB_V3", update=attack.UPDATE)})


if __name__ == "__main__":
    fixture.main()
