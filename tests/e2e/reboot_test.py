#!/usr/bin/python3
"""After a reboot the last good generation serves again, first thing, from the disk: no registry, no source, no DNS."""
import json
import re
import sys
import time
import urllib.request

import fixture


class Reboot(fixture.AgentCase):
    def crash_the_host(self):
        self.agent.crash_host()
        # The kernel takes the links of a namespace down in its own time.
        fixture.wait_until("everything is down", lambda: not any(found for kind, found in self.agent.traces().items() if kind != "addresses"))

    def cut_off_from_the_world(self):
        """The registry answers no more: its name leads nowhere, and what spoke plain HTTP is now expected to speak TLS."""
        registry = self.images["REGISTRY"]
        self.agent.settings["registries"] = {registry: {"mirrors": ["https://registry.invalid"]}}
        self.agent.write_config()

    def figure(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.agent.metrics_port}/metrics", timeout=5) as page:
            return float(re.search(rf"^{name} (\S+)$", page.read().decode(), re.M).group(1))

    def test_the_last_good_generation_serves_again_without_the_network(self):
        services = {"web": self.web("WEB_V1"), "cache": self.redis(), "page": self.small(depends_on=["cache"])}
        self.applied(services)
        self.applied({**services, "web": self.web("WEB_V2")})
        broken = self.web("WEB_V1", health={"http": "http://:8080/nothing-here", "interval": "100ms"},
                          update={"soak": "1s", "drain": "1s", "standby": "4s", "deadline": "60s"})
        done = self.agent.apply({**services, "web": broken}, "--no-wait")
        self.assertEqual(done.code, 0, done)
        fixture.wait_until("it rolls", lambda: self.agent.status()["state"] == "rolling", 10)
        self.crash_the_host()
        self.cut_off_from_the_world()
        begin = time.monotonic()
        self.agent.launch()
        fixture.wait_until("it serves again", lambda: fixture.get(self.port) == "v2", 30, 0.01)
        seconds = time.monotonic() - begin
        fixture.wait_until("all are healthy", lambda: self.figure("holdfast_boot_to_healthy_seconds") > 0, 20)
        self.assertEqual({service["name"]: service["health"] for service in self.agent.status()["services"]},
                         {"web": "healthy", "cache": "healthy", "page": "healthy"})
        self.assertLess(self.figure("holdfast_boot_to_healthy_seconds"), 30)
        self.assertEqual(self.agent.cli("--output", "json", "quarantine", "list").json, [], "a power cut is not the document's fault")
        spaces = [name for name in self.agent.traces()["namespaces"] if name.startswith("cache-")]
        self.assertEqual(len(spaces), 1, "a service that the rollout leaves alone was made twice")
        ready = self.agent.status()["rollback"]
        self.assertEqual((ready["ready"], ready["generation"]), (True, 2), json.dumps(ready))
        print(f"serves {seconds:.2f} s after the start of the agent, all healthy after "
              f"{self.figure('holdfast_boot_to_healthy_seconds'):.2f} s", file=sys.stderr)
        self.assertEqual(self.agent.cli("ledger", "verify").code, 0)


if __name__ == "__main__":
    fixture.main()
