#!/usr/bin/python3
"""From nothing to a running service: what is pinned runs, hardened, and applying it again changes nothing."""
from pathlib import Path

import fixture


def status_of(pid):
    return dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)


class FirstApply(fixture.AgentCase):
    def test_the_pinned_image_serves_and_the_agent_reports_it_converged(self):
        done = self.applied({"web": self.web()})
        self.assertEqual((done.json["generation"], done.json["result"]), (1, "good"), done)
        self.assertEqual(fixture.get(self.port), "v1")
        status = self.agent.status()
        self.assertEqual((status["state"], status["generation"], status["drift"]), ("converged", 1, []))
        web = status["services"][0]
        self.assertEqual((web["name"], web["state"], web["health"], web["restarts"]), ("web", "running", "healthy", 0))
        self.assertIn(web["digest"], self.images["WEB_V1"])
        history = self.agent.history()
        self.assertEqual([(item["generation"], item["result"], item["current"]) for item in history], [(1, "good", True)])
        self.assertEqual(self.agent.cli("ledger", "verify").code, 0)

    def test_a_container_is_hardened_without_being_asked(self):
        self.applied({"web": self.web(resources={"memory": "128Mi", "pids": 64})})
        pid = self.agent.service("web")["pid"]
        status = status_of(pid)
        self.assertEqual(status["Uid"].split()[0], "10001")
        self.assertEqual((status["Seccomp"], status["NoNewPrivs"]), ("2", "1"))
        for kind in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"):
            self.assertEqual(int(status[kind], 16), 0, kind)
        mounts = [line.split() for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
        root = next(fields for fields in mounts if fields[4] == "/")
        self.assertIn("ro", root[5].split(","))
        for kind in ("net", "pid", "mnt", "uts", "ipc"):
            self.assertNotEqual(Path(f"/proc/{pid}/ns/{kind}").readlink(), Path(f"/proc/self/ns/{kind}").readlink(), kind)

    def test_applying_the_same_document_again_restarts_nothing(self):
        self.applied({"web": self.web(), "cache": self.redis()})
        before = self.agent.pids()
        done = self.applied({"web": self.web(), "cache": self.redis()})
        self.assertEqual((done.json["generation"], done.json["result"]), (1, "unchanged"), done)
        self.assertEqual(self.agent.pids(), before)
        self.assertEqual(len(self.agent.history()), 1)

    def test_zstd_layers_and_an_index_of_platforms_run_like_any_other(self):
        self.applied({"zstd": self.web("WEB_ZSTD_V1"), "multi": self.small("MULTI_V1")})
        self.assertEqual(fixture.get(self.port), "v1")
        multi = self.agent.service("multi")
        self.assertIn(multi["digest"], self.images["MULTI_V1"])
        self.assertNotEqual(multi["manifest"], multi["digest"], "the platform's manifest is another than the index")

    def test_whiteouts_and_opaque_directories_of_layers_hide_what_is_below(self):
        self.applied({"web": self.web("WEB_V2")})
        self.assertEqual(fixture.get(self.port, "/index.html"), "shop v2")
        self.assertIsNone(fixture.get(self.port, "/legacy.html"))
        self.assertIsNone(fixture.get(self.port, "/assets/old/deep/note.txt"))
        self.assertEqual(fixture.get(self.port, "/assets/site.css"), "body { color: blue }")
        self.assertEqual(fixture.get(self.port, "/same.html"), "shop v1", "a hard link keeps its own content")


if __name__ == "__main__":
    fixture.main()
