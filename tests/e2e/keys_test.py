#!/usr/bin/python3
"""Keys of the document that services need beside image and health, through the installed programs."""
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


if __name__ == "__main__":
    fixture.main()
