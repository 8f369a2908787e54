#!/usr/bin/python3
"""Somebody in a network beside this host: has routes of his own to every address of the instances, and asks all of them without end."""
import contextlib
import ctypes
import os
import socket
import subprocess
import time

import attack
import fixture

CLONE_NEWNET = 0x40000000
HERE, THERE = "198.18.77.1", "198.18.77.2"  # for tests of networks (RFC 2544); the link leads nowhere else
MOST_OPEN = 200  # questions that wait for an answer


def enter(name):
    with open(f"/run/netns/{name}", encoding="ascii") as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "enter the neighbour's namespace")


def answers(address, port, kind=socket.SOCK_STREAM, seconds=0.5):
    """Whether a connection is taken, or a datagram answered."""
    with contextlib.closing(socket.socket(socket.AF_INET, kind)) as asking:
        asking.settimeout(seconds)
        try:
            asking.connect((address, port))
            if kind == socket.SOCK_DGRAM:
                asking.send(b"x")
                asking.recv(1)
            return True
        except OSError:
            return False


def in_neighbour(name, work):
    """What `work` returns there, a list of texts."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            enter(name)
            os.write(writing, "\n".join(work()).encode())
            os._exit(0)
        os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
        raise AssertionError(f"in {name}: nothing could be asked")
    return text.split("\n") if text else []


def ask_all_for_ever(_uid, name, addresses, port, until):
    """Datagrams and new connections to each address in turn, and no answer waited for."""
    enter(name)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    waiting = []
    while time.monotonic() < until:
        for address in addresses:
            with contextlib.suppress(OSError):
                datagrams.sendto(b"x", (address, port))
                waiting.append(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
                waiting[-1].setblocking(False)
                waiting[-1].connect((address, port))
            if len(waiting) > MOST_OPEN:
                waiting.pop(0).close()


class Neighbour(attack.AttackCase):
    """`inner` is published nowhere; `web` is."""

    def others(self):
        return {"inner": self.small(update=attack.UPDATE)}

    def setUp(self):
        self.name = f"hf-{os.getpid()}"
        self.addCleanup(subprocess.run, ["ip", "netns", "del", self.name], check=False, stderr=subprocess.DEVNULL)
        for command in (["netns", "add", self.name], ["link", "add", self.name, "type", "veth", "peer", "name", "far", "netns", self.name],
                        ["addr", "add", f"{HERE}/30", "dev", self.name], ["link", "set", self.name, "up"],
                        ["-n", self.name, "addr", "add", f"{THERE}/30", "dev", "far"], ["-n", self.name, "link", "set", "far", "up"],
                        ["-n", self.name, "route", "add", "default", "via", HERE]):
            subprocess.run(["ip", *command], check=True)
        super().setUp()

    def addresses(self):
        """Of every instance, and of every service."""
        services = self.agent.status()["services"]
        network = self.agent.service_subnet.rsplit(".", 2)[0]
        return [item["address"] for item in services] + [f"{network}.0.{last}" for last in range(1, 4)]

    def reached(self):
        """What the neighbour reaches of what it should not; and that it reaches what is published."""
        def look():
            found = [f"{address}:8080 {kind.name}" for address in self.addresses()
                     for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM) if answers(address, 8080, kind)]
            return found + ["published"] * answers(HERE, self.port, seconds=5)
        return in_neighbour(self.name, look)

    def test_a_neighbour_with_routes_reaches_what_is_published_and_holds_up_nobody(self):
        self.assertTrue(all(answers(item["address"], 8080) for item in self.agent.status()["services"]), "this host reaches them")
        self.assertEqual(self.reached(), ["published"])
        with self.meanwhile(ask_all_for_ever, self.name, [HERE, *self.addresses()], 8080, number=2):
            self.assert_rollback_is_quick()
        self.assertEqual(self.reached(), ["published"])


if __name__ == "__main__":
    fixture.main()
