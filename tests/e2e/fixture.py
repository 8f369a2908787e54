"""What every e2e test stands on: an agent of its own, the shared registry's images, load, and a look at what was left behind.

Only the standard library of Debian's /usr/bin/python3. Each agent has its own instance name, directories, subnets and ports,
and is removed to the last trace after its test.
"""
import contextlib
import fcntl
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import unittest
import urllib.request
from pathlib import Path

SOURCE = Path(os.environ.get("HOLDFAST_SOURCE", Path(__file__).resolve().parents[2]))
BIN = Path(os.environ.get("HOLDFAST_BIN", SOURCE / "build/bin"))
LOAD = Path(os.environ.get("HOLDFAST_TESTS", SOURCE / "build/tests")) / "holdfast-load"
STATE_ROOT = Path("/var/lib/holdfast-e2e")
RUN_ROOT = Path("/run/holdfast-e2e")
LEASES = Path("/run/holdfast-e2e-subnets")


def images():
    """The pinned references of the shared registry, by name: WEB_V1, STATIC_V2, …, and REGISTRY."""
    run = Path(os.environ.get("HOLDFAST_TEST_RUN", "/var/tmp/holdfast-test-run"))
    lines = (run / "registry/env").read_text().split()
    return dict(line.split("=", 1) for line in lines)


GIVEN_PORTS = set()


def free_port():
    """A port that nobody has, not given by this process before, and below those that the kernel hands out by itself."""
    while True:
        port = random.SystemRandom().randrange(20000, 32768)
        if port in GIVEN_PORTS:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
        GIVEN_PORTS.add(port)
        return port


def wait_until(what, condition, seconds=10.0, interval=0.05):
    """The first true value of `condition`; fails the test naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds:g} s still not: {what}")
        time.sleep(interval)


def get(port, path="/version", host="127.0.0.1"):
    """Body of a GET, without its line end; None when nothing answers 200."""
    try:
        with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=5) as answer:
            return answer.read().decode().strip()
    except (OSError, http.client.HTTPException):
        return None


class Outcome:
    """How a command ended."""

    def __init__(self, command, code, out, err, seconds):
        self.command, self.code, self.out, self.err, self.seconds = command, code, out, err, seconds

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def text(self):
        return self.out + self.err

    def __str__(self):
        return f"$ {self.command}\n{self.out}{self.err}[exit {self.code} after {self.seconds:.2f} s]"


class Load:
    """A new connection every 2 ms while the block runs; `result` is the account of it."""

    def __init__(self, port, path="/version"):
        self.target, self.result, self.process = f"127.0.0.1:{port}{path}", None, None

    def __enter__(self):
        self.process = subprocess.Popen([LOAD, self.target], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        time.sleep(0.3)
        return self

    def __exit__(self, *_):
        time.sleep(0.3)
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=30)
        self.result = json.loads(out)

    def summary(self):
        return {key: self.result[key] for key in ("requests", "failed", "reasons", "longest_gap_ms", "latency_ms")}


def lease_subnets():
    """A number from 0 to 59 that no other agent of any test run on this host holds, with the open file that holds it."""
    LEASES.mkdir(parents=True, exist_ok=True)
    for number in range(60):
        lease = open(LEASES / str(number), "w")
        try:
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lease.close()
            continue
        # What a test run that was killed left behind may still hold its addresses.
        if not subprocess.run(["ip", "-o", "route", "show", "root", f"10.{120 + 2 * number}.0.0/16"], capture_output=True, text=True,
                              check=True).stdout:
            return lease, number
        lease.close()
    raise AssertionError(f"60 agents of tests are alive: see {LEASES}")


class Agent:
    """One holdfastd with everything of its own."""

    counter = 0

    def __init__(self, **settings):
        Agent.counter += 1
        self.lease, number = lease_subnets()
        self.instance = f"e{os.getpid() % 1000000}-{Agent.counter}"
        self.state, self.run = STATE_ROOT / self.instance, RUN_ROOT / self.instance
        self.config, self.log = self.state / "agent.yaml", self.state / "agent.log"
        self.socket = self.run / "agent/holdfast.sock"
        self.subnet, self.service_subnet = f"10.{120 + 2 * number}.0.0/16", f"10.{121 + 2 * number}.0.0/16"
        self.metrics_port = free_port()
        self.process, self.environment = None, {}
        self.settings = {
            "instance": self.instance, "state_dir": str(self.state / "state"), "run_dir": str(self.run / "agent"),
            "socket": str(self.socket), "metrics_listen": f"127.0.0.1:{self.metrics_port}", "resync": "2s",
            "network": {"subnet": self.subnet, "service_subnet": self.service_subnet},
            "registries": {images()["REGISTRY"]: {"plain_http": True}}, **settings}
        self.state.mkdir(parents=True)
        self.run.mkdir(parents=True)
        self.write_config()

    def write_config(self):
        self.config.write_text(json.dumps(self.settings, indent=2))

    def launch(self):
        """Starts the process and returns at once; one that a failed check has left ends first."""
        self.stop(signal.SIGKILL)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([BIN / "holdfastd", "--config", self.config], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True,
                                            env={**os.environ, **self.environment})

    def start(self):
        self.launch()
        wait_until("the agent is ready", self.ready, 20)
        return self

    def ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the agent ended with {self.process.returncode}:\n{self.log_tail()}")
        return get(self.metrics_port, "/readyz") is not None

    def stop(self, how=signal.SIGTERM, seconds=12):
        """Ends the process; returns how long that took."""
        begin = time.monotonic()
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"the agent did not end within {seconds} s of {how!r}:\n{self.log_tail()}") from None
        return time.monotonic() - begin

    def remove(self):
        """Removes every trace by force; says what could not go."""
        try:
            self.stop()
        finally:
            done = subprocess.run([SOURCE / "packaging/remove-instance", self.instance, self.state / "state", self.run / "agent",
                                   self.service_subnet], capture_output=True, text=True, check=False)
            subprocess.run(["rm", "-rf", "--one-file-system", self.state, self.run], stderr=subprocess.DEVNULL, check=False)
            self.lease.close()
        if done.returncode != 0:
            raise AssertionError(f"remove-instance: {done.stdout}{done.stderr}")

    def crash_host(self):
        """What a power cut leaves of the run time: no processes, no mounts, no namespaces, no cgroups, no /run, no nftables."""
        self.stop(signal.SIGKILL)
        for _ in range(50):
            pids = [int(pid) for pid in self.traces()["processes"]]
            for group in self.groups():  # some go meanwhile, with the last of a runc that was killed
                with contextlib.suppress(OSError):
                    pids += [int(pid) for pid in (group / "cgroup.procs").read_text().split()]
                    if (group / "freezer.state").exists():
                        (group / "freezer.state").write_text("THAWED")
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if not pids:
                break
            time.sleep(0.1)
        for where in sorted(self.traces()["mounts"], reverse=True):
            if Path(where) != self.state:
                subprocess.run(["umount", "-l", where], check=True)
        for group in sorted(self.groups(), reverse=True):
            with contextlib.suppress(FileNotFoundError):
                group.rmdir()
        table = "holdfast_" + self.instance.replace("-", "_")
        subprocess.run(["nft", "delete", "table", "ip", table], check=True)
        subprocess.run(["ip", "route", "del", "local", self.service_subnet, "dev", "lo", "table", "local"], check=True)
        shutil.rmtree(self.run)
        self.run.mkdir()

    def groups(self):
        """Its control groups, in every hierarchy."""
        mounts = {line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[2].startswith("cgroup")}
        found = [Path(where) for mount in mounts for where, _, _ in os.walk(mount) if f"/holdfast-{self.instance}" in where]
        return [group for group in found if group.is_dir()]

    def log_tail(self, lines=25):
        return "\n".join(self.log.read_text(errors="replace").split("\n")[-lines:]) if self.log.exists() else "(no log)"

    # --- the command line ---

    def cli(self, *arguments, seconds=90, stdin=None):
        begin = time.monotonic()
        command = [str(BIN / "holdfast"), *map(str, arguments)]
        environment = {"PATH": os.environ["PATH"], "HOLDFAST_SOCKET": str(self.socket), "LC_ALL": "C.UTF-8"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=seconds, input=stdin or "", check=False)
        return Outcome(" ".join(["holdfast", *command[1:]]), done.returncode, done.stdout, done.stderr, time.monotonic() - begin)

    def document(self, services, name="shop", file="shop.yaml", **top):
        """Writes a deployment (JSON is YAML) and returns its path. `top`: further keys beside `services`."""
        path = self.state / file
        path.write_text(json.dumps({"apiVersion": "holdfast/v1", "name": name, "services": services, **top}, indent=2))
        return path

    def apply(self, services, *arguments, **options):
        return self.cli("--output", "json", "apply", self.document(services), *arguments, **options)

    def status(self):
        return self.cli("--output", "json", "status").json

    def service(self, name):
        return next((service for service in self.status()["services"] if service["name"] == name), None)

    def pids(self):
        return {service["name"]: service["pid"] for service in self.status()["services"]}

    def history(self):
        return self.cli("--output", "json", "history").json

    # --- what is on the host ---

    def traces(self):
        """What of this agent's work is on the host now, by kind."""
        table = "holdfast_" + self.instance.replace("-", "_")
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        hierarchies = {line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[2].startswith("cgroup")}
        # os.walk goes on where a directory vanishes under it.
        groups = [Path(name) for mount in hierarchies for where, below, _ in os.walk(mount)
                  if os.path.basename(where) == f"holdfast-{self.instance}" for name in below]
        netns = self.run / "agent/netns"
        tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False).stdout
        return {
            "mounts": [where for where in mounts if where.startswith((str(self.state), str(self.run)))],
            "namespaces": [path.name for path in netns.iterdir()] if netns.is_dir() else [],
            "cgroups": sorted({path.name for path in groups}),
            "processes": [pid for pid in filter(str.isdigit, os.listdir("/proc")) if self._is_ours(pid)],
            "links": sorted(re.findall(r" dev (veth\w+)", self._routes())),
            "tables": [line for line in tables.splitlines() if line.endswith(f" {table}")],
            "addresses": sorted(str(path.name) for path in self.state.glob("state/network/leases/*/10.*")),
        }

    def _routes(self):
        """Each instance's veth carries the route to it."""
        listing = subprocess.run(["ip", "-o", "route", "show", "root", self.subnet], capture_output=True, text=True, check=True)
        return listing.stdout

    def _is_ours(self, pid):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            program = command.split("\0")[0]
            return ("conmon" in program or program.endswith(("/holdfast-log", "/holdfast-exec"))) and str(self.run) in command
        except OSError:
            return False


class AgentCase(unittest.TestCase):
    """A test with a running agent, the shared images and a free port to publish on."""

    settings = {}

    def setUp(self):
        self.images = images()
        self.port = free_port()
        self.agent = Agent(**self.settings)
        self.addCleanup(self.agent.remove)
        self.agent.start()

    def run(self, result=None):
        before = len(result.failures) + len(result.errors) if result else 0
        outcome = super().run(result)
        if result and len(result.failures) + len(result.errors) > before:
            sys.stderr.write(f"\n--- {self.id()}\n{getattr(self, 'last_words', '')}\n")
        return outcome

    def tearDown(self):
        status = self.agent.cli("status") if self.agent.process and self.agent.process.poll() is None else ""
        self.last_words = f"{status}\n--- log\n{self.agent.log_tail()}"

    # --- documents ---

    def web(self, image="WEB_V1", **changes):
        """nginx, published, probed ten times a second; quick soak and drain."""
        service = {"image": self.images.get(image, image), "publish": [f"{self.port}:8080"], "tmpfs": ["/tmp"],
                   "health": {"http": "http://:8080/healthz", "interval": "100ms", "timeout": "1s"},
                   "update": {"soak": "1s", "drain": "1s", "standby": "4s", "deadline": "20s"}}
        service.update(changes)
        return service

    def small(self, image="STATIC_V1", **changes):
        """busybox httpd, not published."""
        service = {"image": self.images.get(image, image),
                   "health": {"http": "http://:8080/healthz", "interval": "100ms", "timeout": "1s"},
                   "update": {"soak": "500ms", "drain": "500ms", "standby": "4s", "deadline": "20s"}}
        service.update(changes)
        return service

    def redis(self, image="REDIS_V1", **changes):
        service = {"image": self.images.get(image, image), "tmpfs": ["/tmp", "/data"], "health": {"tcp": 6379, "interval": "100ms"},
                   "update": {"soak": "500ms", "drain": "500ms", "standby": "4s", "deadline": "20s"}}
        service.update(changes)
        return service

    # --- expectations ---

    def applied(self, services, *arguments):
        """Applies and expects success."""
        done = self.agent.apply(services, *arguments)
        self.assertEqual(done.code, 0, done)
        return done

    def assert_no_request_failed(self, load):
        self.assertGreater(load.result["requests"], 100, load.summary())
        self.assertEqual(load.result["failed"], 0, json.dumps(load.result, indent=1))


def main():
    if os.geteuid() != 0:
        sys.exit("e2e tests start containers: run them as root, through tests/run")
    unittest.main(verbosity=2)
