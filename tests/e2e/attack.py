"""What tests of attacks share: who asks over the socket, the attackers' processes, and the rollback that is measured beside them."""
import contextlib
import grp
import http.client
import json
import multiprocessing
import os
import resource
import socket
import time

import fixture

GROUP = 60  # "games": exists on every Debian, and nobody here is in it
ROLLBACK_GROUP = grp.getgrnam("audio").gr_gid
ENOUGH = 0.1  # seconds for a rollback beside an attack, from the question to the first answer of the other version
SLOW = 10  # so many times what a rollback takes in peace, where two of two took more than ENOUGH: attackers, agent and other tests share two processors
COLD = 1.0  # seconds until an instance that has to be created answers; taken in within ENOUGH all the same
MOST = 32 << 20  # bytes that an attack may add to the agent's memory
UPDATE = {"soak": "300ms", "drain": "300ms", "standby": "5m"}


def memory_of(pid):
    """Resident bytes, at their highest so far."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, seconds=30):
        super().__init__("holdfast", timeout=seconds)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(path, method, target, body=None, seconds=30):
    """Status and body of an answer; errors of the connection are the caller's."""
    with contextlib.closing(UnixConnection(path, seconds)) as connection:
        connection.request(method, target, body if body is None or isinstance(body, (bytes, str)) else json.dumps(body))
        answer = connection.getresponse()
        return answer.status, answer.read()


def become(uid, group=GROUP):
    os.setgroups([])
    os.setgid(group)
    os.setuid(uid)


def ask_for_ever(uid, path, method, target, body, until):
    """The same question again and again, whatever the answer."""
    become(uid)
    while time.monotonic() < until:
        with contextlib.suppress(OSError, http.client.HTTPException):
            ask(path, method, target, body)


def rehearse_for_ever(uid, path, generations, until):
    """Of the role `rollback`: asks for rehearsals of old generations, and what a rollback there would do, one after the other."""
    become(uid, ROLLBACK_GROUP)
    while time.monotonic() < until:
        for generation in generations:
            with contextlib.suppress(OSError, http.client.HTTPException):
                ask(path, "POST", "/v1/rehearse", {"generation": generation, "reason": "a flood"})
                ask(path, "POST", "/v1/rollback", {"to": generation, "dry_run": True, "reason": "a flood"})


def change_for_ever(uid, path, target, body, until):
    """What is recorded, by the role `rollback`, as often as it is let."""
    become(uid % 4 + 20000, ROLLBACK_GROUP)
    while time.monotonic() < until:
        with contextlib.suppress(OSError, http.client.HTTPException):
            ask(path, "POST", target, body)


def quarantine_for_ever(uid, path, until):
    """Another document each time, with as long a reason as there may be."""
    become(uid % 4 + 20000, ROLLBACK_GROUP)
    while time.monotonic() < until:
        with contextlib.suppress(OSError, http.client.HTTPException):
            ask(path, "POST", "/v1/quarantine/add", {"what": "sha256:" + os.urandom(32).hex(), "reason": "x" * 1000, "until": ""})


def roll_back_for_ever(uid, path, generation, until):
    change_for_ever(uid, path, "/v1/rollback", {"to": generation, "reason": "a flood"}, until)


def listen_for_ever(uid, port, until):
    """Holds that port, and listens on as many more as one process may: 20,000 lines of /proc/net/tcp."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    become(uid)
    sockets = [socket.create_server(("127.0.0.1", port))]
    with contextlib.suppress(OSError):
        while len(sockets) < min(most - 50, 20_000):
            sockets.append(socket.create_server(("127.0.0.1", 0), backlog=1))
    time.sleep(max(0, until - time.monotonic()))


def hold_for_ever(uid, path, sent, places, until, pause=0.05):
    """Sends the same over as many connections as it is given, a new one whenever the oldest is let go, and reads none of them."""
    become(uid)
    held = []
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            held.append(socket.socket(socket.AF_UNIX))
            held[-1].settimeout(5)
            held[-1].connect(str(path))
            held[-1].sendall(sent)
        if len(held) > places:
            held.pop(0).close()
            time.sleep(pause)


def burst_for_ever(uid, port, size, until):
    """Connects as many at once over TCP, says nothing, and lets go of all of them."""
    become(uid)
    while time.monotonic() < until:
        held = []
        for _ in range(size):
            held.append(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            held[-1].setblocking(False)
            with contextlib.suppress(OSError):
                held[-1].connect(("127.0.0.1", port))
        time.sleep(0.02)
        for each in held:
            each.close()


def storm(uid, path, sent, places, until):
    """As fast as it can: the queue in front of the agent is full."""
    hold_for_ever(uid, path, sent, places, until, pause=0)


class AttackCase(fixture.AgentCase):
    """v1 and then v2 of `web` are applied, beside what `others` says; `idle` is the agent's memory before there was anything else."""

    settings = {"groups": {"observe": "games", "rollback": "audio"}}
    longest = 0.0  # seconds that a rollback took

    def others(self):
        """Further services of both documents."""
        return {}

    def prepare(self):
        """What else an agent needs before it starts."""

    def start_agent(self):
        self.images, self.port = fixture.images(), fixture.free_port()
        self.agent = fixture.Agent(**self.settings)
        self.prepare()
        self.addCleanup(self.agent.remove)
        self.agent.start()
        os.chmod(self.agent.run, 0o755)

    def setUp(self):
        self.start_agent()
        self.applied({"web": self.web("WEB_V1", update=UPDATE)})
        self.idle = memory_of(self.agent.process.pid)
        for version in ("WEB_V1", "WEB_V2") if self.others() else ("WEB_V2",):
            self.applied({"web": self.web(version, update=UPDATE), **self.others()})

    @contextlib.contextmanager
    def meanwhile(self, target, *arguments, number=5, seconds=8.0, begins=1.0):
        """`number` processes that do `target(uid, *arguments, until)` while the block runs."""
        until = time.monotonic() + seconds
        attackers = [multiprocessing.Process(target=target, args=(20000 + i, *arguments, until)) for i in range(number)]
        for each in attackers:
            each.start()
        time.sleep(begins)
        try:
            yield
        finally:
            for each in attackers:
                each.kill()
                each.join()

    def assert_rollback_is_quick(self, *arguments, cold=False, before=None):
        """From the question to the first answer of the other version, and the memory that the attack took until then. `cold`: it has no frozen instance.

        One that took more than ENOUGH is done once more: `before` is what it took.
        """
        begin = time.monotonic()
        done = self.agent.cli("rollback", *arguments, "--no-wait", "--reason", "beside an attack")
        self.assertEqual(done.code, 0, done)
        fixture.wait_until("it switched", lambda: fixture.get(self.port) == "v1", 10, 0.002)
        seconds = time.monotonic() - begin
        grown = memory_of(self.agent.process.pid) - self.idle
        print(f"{self.id().split('.')[-1]}: rollback {seconds * 1000:.0f} ms (taken in {done.seconds * 1000:.0f} ms), memory +{grown / 2**20:.1f} MiB", flush=True)
        self.assertLess(grown, MOST)
        if cold:
            self.assertLess(seconds, COLD)
        elif seconds > ENOUGH and before is None:
            return self.assert_rollback_is_quick(*self.way_back(), before=seconds)
        self.longest = max(self.longest, done.seconds if cold else min(seconds, before or seconds))

    def tearDown(self):
        """What was over ENOUGH is compared with what this machine takes in peace, now that the attack is over. What follows a switch takes no memory either."""
        if self.agent.process and self.agent.process.poll() is None:
            with contextlib.suppress(AssertionError):
                fixture.wait_until("nothing is under way", lambda: self.agent.status()["rollout"] is None, 10)
            time.sleep(1)  # drains, resets and freezing
            self.assertLess(memory_of(self.agent.process.pid) - self.idle, MOST)
        if self.longest > ENOUGH:
            calm = self.calm()
            print(f"{self.id().split('.')[-1]}: {self.longest / calm:.1f} times a calm rollback of {calm * 1000:.0f} ms", flush=True)
            self.assertLess(self.longest, SLOW * calm)

    def first(self):
        """The generation that is v1 beside the others; the next one is v2."""
        return 2 if self.others() else 1

    def way_back(self):
        """What rolls back to v1 for another attack: it was done before, and is undone here."""
        if fixture.get(self.port) == "v1":
            self.assertEqual(self.agent.cli("rollback", "--to", str(self.first() + 1), "--reason", "the next attack").code, 0)
        return ("--to", str(self.first()))

    def calm(self):
        """Seconds: the middle of five rollbacks between versions whose instances are frozen."""
        taken = []
        for number, version in ((self.first() + 1, "v2"), (self.first(), "v1")) * 3:
            fixture.wait_until("nothing is under way", lambda: self.agent.status()["rollout"] is None, 10)
            begin = time.monotonic()
            done = self.agent.cli("rollback", "--to", str(number), "--no-wait", "--reason", "in peace")
            self.assertEqual(done.code, 0, done)
            fixture.wait_until("it switched", lambda: fixture.get(self.port) == version, 10, 0.002)
            taken.append(time.monotonic() - begin)
        return sorted(taken[1:])[2]
