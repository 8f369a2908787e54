#!/usr/bin/python3
"""The agent may end at any time; containers do not notice, and the next agent adopts them."""
import os
import signal
import time

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
