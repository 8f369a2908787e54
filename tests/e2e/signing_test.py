#!/usr/bin/python3
"""The author's side, without an agent: the commands of packaging/doc/signing.md as they stand there, and `openssl` on the same file."""
import base64
import json
import os
import re
import stat
import subprocess
import tempfile
import unittest
from pathlib import Path

import fixture

PAGE = fixture.SOURCE / "packaging/doc/signing.md"
DOCUMENT = "apiVersion: holdfast/v1\nname: shop\nservices: {}   # nothing yet\n"


def block(section, number=0):
    """The lines of a code block of a section of the page, without what is remarked at their ends."""
    text = re.search(rf"^## {section}\..*?(?=^## |\Z)", PAGE.read_text(), re.S | re.M).group()
    return re.sub(r"\s{2,}# .*$", "", re.findall(r"^```\n(.*?)^```", text, re.S | re.M)[number], flags=re.M)


class Signing(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="holdfast-signing-")
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        (self.directory / "shop.yaml").write_text(DOCUMENT)

    def shell(self, script, code=0):
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=self.directory, capture_output=True, text=True, check=False,
                              env={"PATH": f"{fixture.BIN}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"})
        self.assertEqual(done.returncode, code, f"{script}\n{done.stdout}{done.stderr}")
        return done

    def json(self, command, code=0):
        return json.loads(self.shell(f"holdfast --output json {command}", code).stdout)

    def test_the_page_as_it_stands(self):
        self.shell(block(1))
        self.assertEqual(stat.S_IMODE((self.directory / "boss.pem").stat().st_mode), 0o600)
        self.shell("holdfast keygen second")
        self.shell(block(1, 1))
        self.shell(block(3))
        self.shell("holdfast verify 2.root.json --root 1.root.json")
        verdict = self.json("verify shop.dsse.json --root 1.root.json")
        self.assertEqual((verdict["verdict"], verdict["serial"]), ("accepted", "3"))

    def test_openssl_verifies_the_same_file(self):
        for algorithm, other in (("ed25519", "openssl dgst"), ("ecdsa-p256", "openssl pkeyutl")):
            with self.subTest(algorithm):
                self.shell("rm -f *.pem *.pub")
                self.shell(block(1).replace("keygen ci", f"keygen ci --algorithm {algorithm}"))
                lines = "\n".join(line for line in block(5).splitlines() if not line.startswith(other))
                said = self.shell(lines).stdout
                self.assertRegex(said, "Signature Verified Successfully|Verified OK")
                self.assertIn(json.loads((self.directory / "shop.dsse.json").read_text())["signatures"][0]["keyid"], said)
                self.assertTrue((self.directory / "body").read_text().startswith(DOCUMENT), "what was written is what is signed")
                self.shell(lines.replace("> body\n", "> body; echo x >> body\n"), 1)

    def test_a_key_is_secret_and_never_overwritten(self):
        self.shell("holdfast keygen ci")
        before = (self.directory / "ci.pem").read_text()
        self.assertIn("ci.pem is there already", self.shell("holdfast keygen ci", 1).stderr)
        self.assertEqual((self.directory / "ci.pem").read_text(), before)
        self.shell("ln -s ci.pub alias.pem; holdfast keygen alias", 1)
        (self.directory / "passphrase").write_text("correct horse\n")
        made = self.json("keygen boss --passphrase-file passphrase --algorithm ecdsa-p256")
        self.assertIn("ENCRYPTED", (self.directory / made["private_key"]).read_text())
        self.shell("holdfast sign shop.yaml --serial 1 --key boss.pem", 1)
        self.shell("holdfast sign shop.yaml --serial 1 --key boss.pem --passphrase-file passphrase")

    def test_verify_says_why_a_host_would_refuse(self):
        self.shell(block(1).replace("--serial 1", "--serial 7"))
        host = "--root 1.root.json"
        refusals = {
            f"verify shop.dsse.json {host} --floor 8": "E_SPEC_ROLLBACK",
            f"verify shop.dsse.json {host} --at 2099-01-01T00:00:00Z": "E_SPEC_EXPIRED",
            f"verify shop.yaml {host}": "E_SIG_MISSING",
            f"verify 1.root.json {host}": "E_SPEC_ROLLBACK",
            f"verify boss.pub {host}": "E_SIG_INVALID",
        }
        for command, code in refusals.items():
            with self.subTest(command):
                self.assertEqual(self.json(command, 3)["code"], code)
        self.shell("holdfast keygen stranger; holdfast sign shop.yaml --serial 8 --key stranger.pem")
        verdict = self.json(f"verify shop.dsse.json {host}", 3)
        self.assertEqual((verdict["code"], verdict["signatures"][0]["is"]), ("E_SPEC_THRESHOLD", "of no key that counts"))
        (self.directory / "shop.yaml").write_text(DOCUMENT + "targets: {role: web}\n")
        self.shell("holdfast sign shop.yaml --serial 9 --key ci.pem")
        self.json(f"verify shop.dsse.json {host}")
        self.assertEqual(self.json(f"verify shop.dsse.json {host} --label role=db", 3)["code"], "E_SPEC_TARGET")
        self.shell("holdfast verify shop.dsse.json", 2)

    def test_nothing_is_signed_on_that_was_not_verified(self):
        self.shell(block(1) + "\nholdfast keygen stranger\n")
        good = json.loads((self.directory / "shop.dsse.json").read_text())
        changed = base64.b64encode(base64.b64decode(good["payload"]).replace(b"# nothing yet", b"# something"))
        (self.directory / "changed.json").write_text(json.dumps({**good, "payload": changed.decode()}))
        for command in ("sign changed.json --refresh --key ci.pem", "sign shop.yaml --previous changed.json --key ci.pem",
                        "sign shop.dsse.json --refresh --key stranger.pem"):
            with self.subTest(command):
                self.assertIn("no good signature", self.shell(f"holdfast {command}", 3).stderr)
        self.shell("holdfast sign shop.dsse.json --refresh --root 1.root.json --key boss.pem -O other.json")
        root = json.loads((self.directory / "1.root.json").read_text())
        payload = json.loads(base64.b64decode(root["payload"]))
        payload["roles"]["deployment"]["keys"] = [(self.directory / "stranger.pub").read_text()]
        (self.directory / "1.root.json").write_text(json.dumps({**root, "payload": base64.b64encode(json.dumps(payload).encode()).decode()}))
        self.assertIn("0 good signatures", self.shell("holdfast root next 1.root.json --key boss.pem", 3).stderr)
        self.assertFalse((self.directory / "2.root.json").exists())

    def test_sign_needs_a_serial_and_refreshes(self):
        self.shell(block(1).split("holdfast sign")[0])
        self.assertIn("--serial", self.shell("holdfast sign shop.yaml --key ci.pem", 2).stderr)
        first = self.json("sign shop.yaml --serial 5 --key ci.pem")
        again = self.json("sign shop.dsse.json --refresh --key ci.pem -O next.json")
        self.assertEqual((again["serial"], again["content"]), (6, first["content"]))
        self.assertNotEqual(again["document"], first["document"])
        self.assertEqual(self.json("sign shop.yaml --previous next.json --key ci.pem")["serial"], 7)
        self.shell("holdfast sign shop.yaml --serial 8 --expires -1d --key ci.pem", 2)


if __name__ == "__main__":
    fixture.main()
