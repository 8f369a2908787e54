#!/usr/bin/python3
"""What is stopped may take the time it was promised, and nothing waits for it."""
import os
import signal
import time

import fixture

# PID 1 that ignores SIGTERM; its child serves.
DEAF = ["/bin/sh", "-c", "trap '' TERM; /bin/busybox httpd -f -p 8080 -h /www & while true; do /bin/busybox sleep 1; done"]
# One that needs longer than the default of 10 s to end well.
SLOW = ["/bin/sh", "-c", "trap '/bin/busybox sleep 12; echo ended well; exit 0' INT; /bin/busybox httpd -f -p 8080 -h /www & "
        "while true; do /bin/busybox sleep 0.1; done"]

class Stops(fixture.AgentCase):
    def service(self, version, entrypoint, **changes):
        shape = {"stop": {"signal": "SIGTERM", "timeout": "8s"}, "publish": [f"127.0.0.1:{self.port}:8080"],
                 "update": {"soak": "300ms", "drain": "300ms", "standby": "100ms", "deadline": "6s"}, **changes}
        return {"web": self.small(entrypoint=entrypoint, command=[], env={"V": version}, **shape)}

    def events(self, kind):
        return [each for each in self.agent.cli("--output", "json", "ledger", "export").text.splitlines() if f'"{kind}"' in each]

    def being_stopped(self, version, entrypoint, **changes):
        """Applies the next version, and waits until the former one is asked to end."""
        before = self.agent.service("web")["pid"]
        self.applied(self.service(version, entrypoint, **changes))
        time.sleep(1.5)  # it drains, stands by, and is signalled
        self.assertTrue(os.path.exists(f"/proc/{before}"), "it ignores its stop signal")
        return before

    def test_rollback_update_and_restart_wait_for_nobody_who_is_deaf(self):
        self.applied(self.service("1", DEAF))
        self.being_stopped("2", DEAF)
        back = self.agent.cli("--output", "json", "rollback", "--reason", "back")
        self.assertEqual(back.code, 0, back)
        self.assertLess(back.json["seconds"], 3, back)
        listed = self.agent.cli("--output", "json", "quarantine", "list").json
        self.assertEqual(len(listed), 1, listed)  # what was left, and nothing else
        self.being_stopped("3", DEAF)
        serving = self.agent.service("web")["pid"]
        os.kill(serving, signal.SIGKILL)
        began = time.monotonic()
        fixture.wait_until("another process serves", lambda: self.agent.service("web")["pid"] not in (0, serving), 5, 0.02)
        self.assertLess(time.monotonic() - began, 3)
        self.applied(self.service("4", DEAF))
        fixture.wait_until("those who had to be killed are told", lambda: len(self.events("stop_killed")) >= 2, 30)
        page = fixture.get(self.agent.metrics_port, "/metrics")
        self.assertRegex(page, r'holdfast_workload_stop_kills_total\{workload="web"\} [1-9]')

    def test_who_was_promised_more_than_ten_seconds_has_them(self):
        self.applied(self.service("1", SLOW, stop={"signal": "SIGINT", "timeout": "45s"}))
        first = self.being_stopped("2", DEAF, stop={"timeout": "1s"})
        self.agent.stop()  # a restart in the middle takes nothing away from it
        self.agent.start()
        fixture.wait_until("it has ended", lambda: not os.path.exists(f"/proc/{first}"), 40, 0.2)
        self.assertIn("ended well", self.agent.cli("logs", "web", "--tail", "50").text)
        self.assertEqual(self.events("stop_killed"), [])

if __name__ == "__main__":
    fixture.main()
