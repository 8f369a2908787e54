#!/usr/bin/python3
"""The pages that tell a story are true: every command in them is run, in order, and prints what the page shows."""
import os
import re
import unittest
from pathlib import Path

import documents
import fixture

PAGES = fixture.SOURCE / "packaging/doc"


class Documents(fixture.AgentCase):
    def page(self, name):
        folder = self.agent.state / "reader"
        folder.mkdir()
        places = [(f"registry.example.com/{there}@sha256:{digit * 64}", self.images[here])
                  for there, here, digit in (("web:1.0.0", "WEB_V1", "1"), ("web:2.0.0", "WEB_V2", "2"), ("web:2.1.0-bad", "WEB_BAD", "3"))]
        places += [("registry.example.com", self.images["REGISTRY"]), ("8080:8080", f"{self.port}:8080"),
                   ("localhost:8080", f"localhost:{self.port}")]
        environment = {"PATH": f"{fixture.BIN}:{os.environ['PATH']}", "HOLDFAST_SOCKET": str(self.agent.socket), "LC_ALL": "C.UTF-8", "COLUMNS": "100"}
        return documents.Page(PAGES / f"{name}.md", folder, environment, places)

    def true(self, name):
        faults = self.page(name).faults()
        self.assertEqual(faults, [], "\n\n".join(faults))

    def test_first_deployment(self):
        self.true("first-deployment")

    def test_rollback(self):
        self.true("rollback")


class Runner(unittest.TestCase):
    """It can fail."""

    def faults(self, text):
        folder = Path(self.enterContext(__import__("tempfile").TemporaryDirectory()))
        (folder / "page").write_text(text)
        return documents.Page(folder / "page", folder, dict(os.environ), [("there", "here")]).faults()

    def test_what_is_true_passes(self):
        self.assertEqual(self.faults("```yaml\n# a.yaml\nx: there\n```\n```console\n$ cat a.yaml\n# a.yaml\nx: there\n$ echo 12s\n3.5s\n```\n```text\nx\n```\n"), [])

    def test_what_is_not_fails(self):
        for text in ("```console\n$ echo two\none\n```\n", "```console\n$ true\none\n```\n", "```console\n$ echo one\n```\n",
                     "```console\n$ echo one\none\n", "```sh\necho one\n```\n", "```\necho\n```\n", "```yaml\nx: 1\n```\n", "```console\n$ echo 12 apples\n13 apples\n```\n"):
            with self.subTest(text):
                self.assertEqual(len(self.faults(text)), 1)

    def test_every_story_is_run(self):
        run = set(re.findall(r'self\.true\("([\w.-]+)"\)', Path(__file__).read_text()))
        told = {page.stem for page in PAGES.glob("*.md") if "```console" in page.read_text()}
        self.assertEqual(told, run)


if __name__ == "__main__":
    fixture.main()
