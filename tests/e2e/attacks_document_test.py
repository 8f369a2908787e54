#!/usr/bin/python3
"""Documents that reach for what is not theirs: the host's secrets, another's address. Each is said or refused before anything is touched."""
import hashlib
import os
from pathlib import Path

import attack
import fixture

FOREIGN = "203.0.113.7"  # of a net that is for examples (RFC 5737)


class Reaches(attack.AttackCase):
    def refused(self, **keys):
        """Applies a document with these keys; what was said, and that nothing came of it."""
        before = self.agent.status()
        done = self.agent.apply({"web": self.web("WEB_V3", update=attack.UPDATE, **keys)}, "--timeout", "20s")
        self.assertNotEqual(done.code, 0, done)
        after = self.agent.status()
        self.assertEqual((after["generation"], after["services"][0]["pid"]), (before["generation"], before["services"][0]["pid"]), done)
        self.assertEqual(fixture.get(self.port), "v2")
        return done

    def test_files_that_are_no_secrets_of_a_service(self):
        there = Path("/root") / f"secrets-{self.agent.instance}"
        there.mkdir(mode=0o700)
        self.addCleanup(there.rmdir)
        link, fifo, theirs, whole = (there / name for name in ("link", "fifo", "theirs", "whole"))
        for path in (link, fifo, theirs, whole):
            self.addCleanup(path.unlink, missing_ok=True)
        link.symlink_to("/etc/shadow")
        os.mkfifo(fifo)
        for path in (theirs, whole):
            path.write_text("secret")
        os.chown(theirs, 20000, 20000)
        for path, why in ((link, f"{link} is a symlink"), (fifo, "not a regular file"), (theirs, str(theirs)), (Path("/etc/shadow"), "the host's own"),
                          (self.agent.state / "state/ledger.db", "belongs to the agent")):
            done = self.refused(secrets=[{"name": "token", "file": str(path)}])
            self.assertIn(why, done.text)
            self.assertNotIn("root:", done.text)
        # The host is at fault, not the documents: mended, the same one is applied.
        self.assertEqual(self.agent.cli("--output", "json", "quarantine", "list").json, [])
        link.unlink()
        whole.rename(link)
        self.applied({"web": self.web("WEB_V3", update=attack.UPDATE, secrets=[{"name": "token", "file": str(link)}])})
        self.assert_rollback_is_quick("--to", "1")

    def test_a_config_tells_nothing_of_a_file_whose_content_is_not_known(self):
        secret = Path("/root") / f"pin-{self.agent.instance}"
        secret.write_text("4711")
        self.addCleanup(secret.unlink)
        hidden = hashlib.sha256(b"4711").hexdigest()
        for path, why in (("/etc/shadow", "the host's own"), (self.agent.state / "state/ledger.db", "belongs to the agent"),
                          (secret, "is not what the document pins")):
            done = self.refused(configs=[{"target": "/x", "file": str(path), "digest": "sha256:" + "0" * 64}])
            self.assertIn(why, done.text)
            self.assertNotIn(hidden, done.text)
        self.assertEqual(self.agent.cli("--output", "json", "quarantine", "list").json, [])
        self.assert_rollback_is_quick()

    def test_an_address_that_is_not_the_hosts_is_said(self):
        """Where its traffic goes: component/deploy/network/reach."""
        services = {"web": self.web("WEB_V2", update=attack.UPDATE, publish=[f"{self.port}:8080", f"{FOREIGN}:{fixture.free_port()}:8080"])}
        said = f"web: {FOREIGN} is no address of this host now"
        planned = self.agent.cli("plan", self.agent.document(services))
        self.assertIn(said, planned.text)
        applied = self.agent.cli("apply", self.agent.document(services))
        self.assertEqual(applied.code, 0, applied)
        self.assertIn(said, applied.text)
        self.assert_rollback_is_quick("--to", "1")


if __name__ == "__main__":
    fixture.main()
