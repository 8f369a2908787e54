#!/usr/bin/python3
"""Who has little to say here takes nobody's rollback away. Each attack goes on while a rollback is asked for and measured."""
import contextlib
import http.client
import json
import multiprocessing
import os
import socket
import time
import unittest

import fixture

GROUP = 60  # "games": exists on every Debian, and nobody here is in it
ENOUGH = 1.0  # seconds for a rollback beside an attack, on two slow cores under load; 12 to 34 ms were seen (each test prints its own)


def memory_of(pid):
    """Resident bytes, at their highest so far."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("holdfast", timeout=30)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self.path)


def become(uid):
    os.setgroups([])
    os.setgid(GROUP)
    os.setuid(uid)


def plan_for_ever(uid, path, document, until):
    become(uid)
    body = json.dumps({"document": document, "dry_run": True})
    while time.monotonic() < until:
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(UnixConnection(path)) as connection:
            connection.request("POST", "/v1/plan", body)
            connection.getresponse().read()


def listen_for_ever(uid, path, until):
    """Follows events over as many connections as it is given, and reads none of them."""
    become(uid)
    held = []
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(5)
            connection.connect(str(path))
            connection.sendall(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
            held.append(connection)
        if len(held) >= 40:
            time.sleep(0.05)


class Attacks(fixture.AgentCase):
    settings = {"groups": {"observe": "games"}}

    def setUp(self):
        super().setUp()
        for version in ("WEB_V1", "WEB_V2"):
            self.applied({"web": self.web(version, update={"soak": "300ms", "drain": "300ms", "standby": "5m"})})
        os.chmod(self.agent.run, 0o755)

    @contextlib.contextmanager
    def meanwhile(self, target, arguments, number=5, seconds=8.0):
        until = time.monotonic() + seconds
        attackers = [multiprocessing.Process(target=target, args=(20000 + i, *arguments, until)) for i in range(number)]
        for each in attackers:
            each.start()
        time.sleep(1.5)
        try:
            yield
        finally:
            for each in attackers:
                each.kill()
                each.join()

    def assert_rollback_is_quick(self):
        begin = time.monotonic()
        done = self.agent.cli("rollback", "--no-wait", "--reason", "beside an attack")
        self.assertEqual(done.code, 0, done)
        fixture.wait_until("it switched", lambda: fixture.get(self.port) == "v1", 10, 0.01)
        seconds = time.monotonic() - begin
        print(f"rollback beside it: {seconds * 1000:.0f} ms", flush=True)
        self.assertLess(seconds, ENOUGH)

    def test_plans_of_brackets(self):
        self.attack_with_plans("[" * 1_000_000)

    def test_plans_of_many_services(self):
        digest = "a" * 64
        services = "".join(f"  s{i}: {{image: x@sha256:{digest}}}\n" for i in range(9000))
        self.attack_with_plans("apiVersion: holdfast/v1\nname: shop\nservices:\n" + services)

    def attack_with_plans(self, document):
        idle = memory_of(self.agent.process.pid)
        with self.meanwhile(plan_for_ever, (self.agent.socket, document)):
            self.assert_rollback_is_quick()
        self.assertLess(memory_of(self.agent.process.pid) - idle, 32 << 20)

    def test_silent_listeners(self):
        with self.meanwhile(listen_for_ever, (self.agent.socket,), number=8):
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
    unittest.main(verbosity=2)
