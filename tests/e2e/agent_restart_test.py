#!/usr/bin/python3
"""The agent may end at any time; containers do not notice, and the next agent adopts them."""
import json
import os
import random
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import fixture


class AgentRestart(fixture.AgentCase):
    def end_and_return(self, how):
        services = {"web": self.web(), "cache": self.redis()}
        self.applied(services)
        before = {service["name"]: (service["pid"], service["instance"], service["since"]) for service in self.agent.status()["services"]}
        with fixture.Load(self.port) as load:
            seconds = self.agent.stop(how)
            self.assertLess(seconds, 10)
            self.assertEqual(fixture.get(self.port), "v1", "it serves without an agent")
            self.agent.start()
            after = {service["name"]: (service["pid"], service["instance"], service["since"]) for service in self.agent.status()["services"]}
        self.assertEqual(after, before)
        self.assert_no_request_failed(load)
        status = self.agent.status()
        self.assertEqual((status["state"], status["generation"], status["drift"]), ("converged", 1, []))
        self.assertEqual([service["restarts"] for service in status["services"]], [0, 0])
        again = self.agent.apply(services)
        self.assertEqual((again.code, again.json["result"]), (0, "unchanged"), again)

    def test_containers_survive_a_kill_of_the_agent_and_are_adopted(self):
        self.end_and_return(signal.SIGKILL)

    def test_containers_survive_an_orderly_stop_and_are_adopted(self):
        self.end_and_return(signal.SIGTERM)

    def test_an_update_and_a_rollback_work_after_a_restart(self):
        self.applied({"web": self.web("WEB_V1")})
        self.agent.stop(signal.SIGKILL)
        self.agent.start()
        self.applied({"web": self.web("WEB_V2")})
        self.agent.stop(signal.SIGKILL)
        self.agent.start()
        with fixture.Load(self.port) as load:
            done = self.agent.cli("rollback", "--reason", "test")
            self.assertEqual(done.code, 0, done)
        self.assert_no_request_failed(load)
        self.assertEqual(fixture.get(self.port), "v1")

    def test_random_kills_restart_no_container(self):
        """HOLDFAST_ADOPTION_KILLS=100 is the long form; its result is in tests/soak/README.md."""
        kills = int(os.environ.get("HOLDFAST_ADOPTION_KILLS", "8"))
        dice = random.Random(int(os.environ.get("HOLDFAST_KILL_SEED", "1")))
        self.applied({"web": self.web(), "cache": self.redis(), "page": self.small()})
        started = lambda: {name: (pid, Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
                           for name, pid in self.agent.pids().items()}
        before = started()
        self.assertEqual(len(before), 3)
        with fixture.Load(self.port) as load:
            for number in range(kills):
                time.sleep(dice.random() * 0.3)  # also while it is adopting
                self.agent.stop(signal.SIGKILL)
                self.agent.launch()
                if dice.random() < 0.5:
                    fixture.wait_until("the agent is ready", self.agent.ready, 20, 0.005)
                    self.assertEqual(started(), before, f"after kill {number + 1}")
            fixture.wait_until("the agent is ready", self.agent.ready, 20)
        self.assertEqual(started(), before)
        self.assertEqual([service["restarts"] for service in self.agent.status()["services"]], [0, 0, 0])
        restarted = [line for line in self.agent.cli("ledger", "export").out.splitlines() if '"restarted"' in line]
        self.assertEqual(restarted, [])
        self.assert_no_request_failed(load)
        if kills > 8:
            print(f"{kills} kills: 0 restarts, {load.summary()}", file=sys.stderr)

    def test_an_exit_while_no_agent_ran_is_known_with_its_code(self):
        script = "while [ ! -e /tmp/end ]; do /bin/busybox sleep 0.05; done; exit 23"
        job = self.small(entrypoint=["/bin/sh", "-c", script], command=[], tmpfs=["/tmp"])
        del job["health"]
        self.applied({"web": self.web(), "job": job})
        pid = self.agent.pids()["job"]
        self.agent.stop(signal.SIGKILL)
        Path(f"/proc/{pid}/root/tmp/end").touch()
        fixture.wait_until("it ended", lambda: not Path(f"/proc/{pid}").exists(), 10)
        self.agent.start()
        told = lambda: [json.loads(line) for line in self.agent.cli("ledger", "export").out.splitlines() if '"restarted"' in line]
        first = fixture.wait_until("the ledger knows it", told, 10)[0]
        self.assertEqual((first["service"], first["reason"], first["detail"]["exit_code"]), ("job", "exited with code 23", "23"), first)
        self.assertEqual(fixture.get(self.port), "v1")

    def test_what_ended_while_no_agent_ran_is_started_again(self):
        self.applied({"web": self.web()})
        pid = self.agent.pids()["web"]
        self.agent.stop(signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        self.agent.start()
        fixture.wait_until("it serves again", lambda: fixture.get(self.port) == "v1", 15)

    def test_a_suspended_agent_gives_no_verdict_for_the_time_it_slept(self):
        self.applied({"web": self.web("WEB_V1")})
        gate = {"http": "http://:8080/healthz", "interval": "200ms", "timeout": "500ms", "healthy": 10}
        update = {"soak": "1s", "drain": "1s", "standby": "4s", "deadline": "5s"}
        with fixture.Load(self.port) as load:
            done = self.agent.apply({"web": self.web("WEB_V2", health=gate, update=update)}, "--no-wait")
            self.assertEqual(done.code, 0, done)
            fixture.wait_until("it checks", lambda: (self.agent.status().get("rollout") or {}).get("phase") == "checking", 10, 0.01)
            self.agent.process.send_signal(signal.SIGSTOP)
            time.sleep(7)  # longer than the deadline
            self.agent.process.send_signal(signal.SIGCONT)
            fixture.wait_until("it has converged", lambda: self.agent.status()["state"] == "converged", 20)
        self.assertEqual((self.agent.status()["generation"], fixture.get(self.port)), (2, "v2"), self.agent.log_tail())
        self.assertIn("agent_was_suspended", self.agent.log.read_text())
        self.assert_no_request_failed(load)

    def test_a_socket_that_a_child_of_the_killed_agent_has_for_a_moment_is_waited_for(self):
        self.agent.stop(signal.SIGKILL)
        self.agent.socket.unlink()
        with socket.socket(socket.AF_UNIX) as held:
            held.bind(str(self.agent.socket))
            held.listen(8)
            threading.Timer(0.3, held.shutdown, [socket.SHUT_RDWR]).start()
            threading.Timer(0.3, held.close).start()
            self.agent.start()
        self.assertEqual(self.agent.cli("status").code, 0)

    def test_killed_in_the_middle_of_a_roll_out_it_ends_in_one_version_and_serves_throughout(self):
        self.applied({"web": self.web("WEB_V1")})
        slow = {"http": "http://:8080/healthz", "interval": "500ms", "timeout": "1s", "healthy": 4}
        with fixture.Load(self.port) as load:
            done = self.agent.apply({"web": self.web("WEB_V2", health=slow)}, "--no-wait")
            self.assertEqual(done.code, 0, done)
            fixture.wait_until("it rolls", lambda: self.agent.status()["state"] == "rolling", 10)
            self.agent.stop(signal.SIGKILL)
            self.agent.start()
            fixture.wait_until("it has converged", lambda: self.agent.status()["state"] == "converged", 40)
        self.assert_no_request_failed(load)
        status = self.agent.status()
        self.assertEqual(fixture.get(self.port), f"v{status['generation']}")


if __name__ == "__main__":
    fixture.main()
