#!/usr/bin/python3
"""What tests/soak does for minutes and hours does something at all, and finds nothing within some seconds: it ages with what it drives."""
import os
import subprocess
import sys
import unittest
from pathlib import Path

SOAK = Path(os.environ["HOLDFAST_SOURCE"]) / "tests/soak"
SECONDS = 8


class Soaks(unittest.TestCase):
    def run_for_seconds(self, name):
        done = subprocess.run([sys.executable, "-B", SOAK / name, "--seconds", str(SECONDS), "--seed", "1"], capture_output=True, text=True,
                              timeout=200, check=False)
        self.assertEqual(done.returncode, 0, f"{name}:\n{done.stdout[-6000:]}\n{done.stderr[-4000:]}")
        return done.stdout

    def test_hostile_trees(self):
        self.assertIn("steps", self.run_for_seconds("trees"))

    def test_requests_of_all_roles(self):
        self.assertIn("requests", self.run_for_seconds("requests"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
