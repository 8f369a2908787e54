#!/usr/bin/python3
"""Who has little to say here takes nobody's rollback away. Each attack goes on while a rollback is asked for and measured."""
import contextlib
import json
import socket
import time
from pathlib import Path

import attack
import fixture


def stream(target):
    return f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


class Attacks(attack.AttackCase):
    def test_plans_of_brackets(self):
        self.attack_with_plans("[" * 1_000_000)

    def test_plans_of_many_services(self):
        digest = "a" * 64
        services = "".join(f"  s{i}: {{image: x@sha256:{digest}}}\n" for i in range(9000))
        self.attack_with_plans("apiVersion: holdfast/v1\nname: shop\nservices:\n" + services)

    def attack_with_plans(self, document):
        body = json.dumps({"document": document, "dry_run": True})
        with self.meanwhile(attack.ask_for_ever, self.agent.socket, "POST", "/v1/plan", body):
            self.assert_rollback_is_quick()

    def test_silent_listeners(self):
        with self.meanwhile(attack.hold_for_ever, self.agent.socket, stream("/v1/events?follow=1"), 40, number=8):
            self.assert_rollback_is_quick()

    def test_a_storm_of_connections(self):
        """Others wait in the queue, in turn, and nobody says that no agent answers."""
        with self.meanwhile(attack.storm, self.agent.socket, stream("/v1/events?follow=1"), 60, number=3):
            for _ in range(5):
                seen = self.agent.cli("status")
                self.assertEqual(seen.code, 0, seen)
            self.assert_rollback_is_quick()

    def test_plans_whose_windows_are_never_open_together(self):
        """254 services that wait for each other's window: how often a plan looks at one is bounded."""
        services = {}
        for i in range(254):
            begin, end = (i * 1440 // 254 + 6) % 1440, i * 1440 // 254 or 1440
            hours = f"{begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}"
            update = {"window": {"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "hours": hours, "zone": "Europe/Berlin"}}
            services[f"s{253 - i:03}"] = {"image": "x@sha256:" + "a" * 64, "update": update}
        body = json.dumps({"document": json.dumps({"apiVersion": "holdfast/v1", "name": "shop", "services": services})})
        status, answer = attack.ask(self.agent.socket, "POST", "/v1/plan", body)
        self.assertEqual(status, 200, answer[:500])
        with self.meanwhile(attack.ask_for_ever, self.agent.socket, "POST", "/v1/plan", body, number=8):
            self.assert_rollback_is_quick()

    def test_plans_and_dry_runs_that_compare_large_documents(self):
        self.applied({"web": self.web("WEB_V2", update=attack.UPDATE, env={f"K{i}": "x" * 20 for i in range(14_000)})})
        small = json.dumps({"document": Path(self.agent.document({"web": self.web("WEB_V2", update=attack.UPDATE)})).read_text()})
        with contextlib.ExitStack() as both:
            both.enter_context(self.meanwhile(attack.ask_for_ever, self.agent.socket, "POST", "/v1/plan", small, number=8, begins=0.5))
            self.assert_rollback_is_quick("--to", "1")

    def test_rehearsals_and_dry_runs_of_old_generations(self):
        """Their documents are read by jobs; a rollback to one waits behind no flood of them."""
        for i in range(8):
            env = {f"K{i}_{n}": "x" * 20 for n in range(3_000)}
            self.applied({"web": self.web("WEB_V2" if i == 7 else "WEB_V1", update=attack.UPDATE, env=env)})  # so v1 stays here
        with self.meanwhile(attack.rehearse_for_ever, self.agent.socket, [2, 3, 4, 5], number=6):
            self.assert_rollback_is_quick("--to", "1", cold=True)

    def test_holds_and_quarantines_that_are_recorded(self):
        """Of the role `rollback`: each costs a flush of the disk."""
        body = json.dumps({"reason": "a flood", "until": ""})
        with self.meanwhile(attack.change_for_ever, self.agent.socket, "/v1/hold", body, number=24):
            self.assert_rollback_is_quick()

    def test_quarantines_of_what_nobody_knows(self):
        """As many as roles may have, by the role `rollback`; then lists of them, by the role `observe`."""
        for number in range(520):
            status, answer = attack.ask(self.agent.socket, "POST", "/v1/quarantine/add", {"what": f"sha256:{number:064x}", "reason": "x" * 1000, "until": ""})
            self.assertEqual(status, 200, answer)
        with contextlib.ExitStack() as both:
            both.enter_context(self.meanwhile(attack.quarantine_for_ever, self.agent.socket, number=4))
            both.enter_context(self.meanwhile(attack.ask_for_ever, self.agent.socket, "GET", "/v1/quarantine", None, number=4))
            self.assert_rollback_is_quick()
        status, answer = attack.ask(self.agent.socket, "POST", "/v1/hold", {"reason": "x" * 1001})
        self.assertEqual(status, 400, answer)
        self.assertIn(b"1000 are the most", answer)
        known = {item["actor"] for item in json.loads(attack.ask(self.agent.socket, "GET", "/v1/quarantine")[1])}
        self.assertEqual(known, {"root (uid 0)"}, "beyond 500 roles add none")

    def test_listeners_on_many_ports(self):
        """Of a user without a role, while a rollback finds one of its ports taken: whose it is, the engine does not look for."""
        taken = fixture.free_port()
        self.applied({"web": self.web("WEB_V2", update=attack.UPDATE), "other": self.small(update=attack.UPDATE, publish=[f"{taken}:8080"])})
        self.applied({"web": self.web("WEB_V2", update=attack.UPDATE, env={"A": "1"})})
        with self.meanwhile(attack.listen_for_ever, taken, number=1), self.meanwhile(attack.roll_back_for_ever, self.agent.socket, 3, number=4):
            self.assert_rollback_is_quick("--to", "1")

    def test_requests_that_never_end(self):
        with self.meanwhile(attack.hold_for_ever, self.agent.socket, b"POST /v1/plan HTTP/1.1\r\nContent-Length: 99\r\n\r\n{", 40, number=8):
            self.assert_rollback_is_quick()

    def test_bodies_that_never_end(self):
        """Memory for them is bounded by user and in all, and kept for root."""
        sent = b"POST /v1/plan HTTP/1.1\r\nContent-Length: 2090000\r\n\r\n" + b"a" * 2_080_000
        for number, places in ((1, 31), (4, 30)):
            with self.meanwhile(attack.hold_for_ever, self.agent.socket, sent, places, number=number, begins=2.0):
                self.assert_rollback_is_quick(*self.way_back())

    def test_answers_that_are_never_read(self):
        self.applied({"web": self.web("WEB_V2", update=attack.UPDATE, env={f"K{i}": "x" * 30 for i in range(14_000)})})
        self.applied({"web": self.web("WEB_V2", update=attack.UPDATE)})
        for _ in range(250):
            for what in ("hold", "resume"):
                self.assertEqual(attack.ask(self.agent.socket, "POST", f"/v1/{what}", {"reason": "\x01" * 900})[0], 200)
        for target in ("/v1/ledger/entries?limit=1000", "/v1/generations/3"):
            with self.meanwhile(attack.hold_for_ever, self.agent.socket, stream(target), 30, number=4, begins=3.0):
                self.assert_rollback_is_quick(*self.way_back())

    def test_plans_of_documents_that_are_large_as_json(self):
        env = {f"K{i}": "\"x" * 25 for i in range(9_000)}
        document = {"apiVersion": "holdfast/v1", "name": "shop", "services": {"web": self.web("WEB_V2", update=attack.UPDATE, env=env)}}
        body = json.dumps({"document": json.dumps(document, indent=0)}).encode()
        self.assertGreater(len(body), 1_000_000)
        status, answer = attack.ask(self.agent.socket, "POST", "/v1/plan", body)
        self.assertEqual(status, 200, answer[:500])
        sent = b"POST /v1/plan HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        with self.meanwhile(attack.hold_for_ever, self.agent.socket, sent, 30, number=4, begins=3.0):
            self.assert_rollback_is_quick()

    def test_verifications_of_images(self):
        with self.meanwhile(attack.ask_for_ever, self.agent.socket, "POST", "/v1/images/verify", "{}", number=10):
            self.assert_rollback_is_quick()

    def test_followers_of_logs_leave_root_his_logs(self):
        """A file and a place of a thread each; the quota of a low user is no quota of root's."""
        with self.meanwhile(attack.hold_for_ever, self.agent.socket, stream("/v1/logs/web?follow=1"), 8, number=20):
            begin = time.monotonic()
            logs = self.agent.cli("logs", "web", "--tail", "5")
            self.assertEqual(logs.code, 0, logs)
            self.longest = time.monotonic() - begin
            self.assert_rollback_is_quick()

    def test_readers_of_the_ledger(self):
        for _ in range(250):  # long entries, so that a reading has its length
            self.assertEqual(attack.ask(self.agent.socket, "POST", "/v1/hold", {"reason": "x" * 900})[0], 200)
            self.assertEqual(attack.ask(self.agent.socket, "POST", "/v1/resume", {"reason": "y" * 900})[0], 200)
        with contextlib.ExitStack() as all_of_them:
            for method, target in (("POST", "/v1/ledger/verify"), ("GET", "/v1/ledger/entries?limit=1000")):
                all_of_them.enter_context(
                    self.meanwhile(attack.ask_for_ever, self.agent.socket, method, target, None, number=20, begins=0.5))
            self.assert_rollback_is_quick()
            verified = self.agent.cli("ledger", "verify")
            self.assertEqual(verified.code, 0, verified)

    def test_what_was_released_and_applied_again_is_not_its_own_way_back(self):
        """v1, v2, back, v2 again: the next rollback leads to v1, and announces nothing else."""
        self.assert_rollback_is_quick()
        (item,) = self.agent.cli("-o", "json", "quarantine", "list").json
        self.assertEqual(self.agent.cli("quarantine", "release", item["spec_digest"][7:19], "-m", "once more").code, 0)
        self.applied({"web": self.web("WEB_V2", update=attack.UPDATE)})
        self.assertEqual(fixture.get(self.port), "v2")
        self.assertIn("generation 3 → 1 ", self.agent.cli("rollback", "--dry-run").text)
        self.assertEqual(self.agent.cli("-o", "json", "quarantine", "list").json, [])
        self.assert_rollback_is_quick()
        good = {row["generation"]: row["result"] for row in self.agent.history()}
        self.assertEqual(good[1], "good", good)

    def test_bursts_of_metrics_clients_that_say_nothing(self):
        """Whoever asks has the time to do so before newcomers take the place; some wait in the queue."""
        with self.meanwhile(attack.burst_for_ever, self.agent.metrics_port, 48, number=4):
            for _ in range(60):
                self.assertIsNotNone(fixture.get(self.agent.metrics_port, "/healthz"))
            self.assert_rollback_is_quick()

    def test_metrics_clients_that_never_read(self):
        held = []
        for _ in range(64):
            connection = socket.create_connection(("127.0.0.1", self.agent.metrics_port), 5)
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            held.append(connection)
        begin = time.monotonic()
        self.assertIsNotNone(fixture.get(self.agent.metrics_port, "/healthz"))
        self.assertLess(time.monotonic() - begin, 5)
        self.assert_rollback_is_quick()
        for connection in held:
            connection.close()


if __name__ == "__main__":
    fixture.main()
