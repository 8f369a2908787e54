"""A booted Debian in a container of systemd-nspawn: systemd as its first process, its own mounts, network and processes."""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# What nspawn's own filter forbids and an agent on a host may do: landlock, keyrings.
FILTER = "--system-call-filter=@known"
ENVIRONMENT = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8",
               "DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_MODE=a"]
# nspawn leaves the controllers of cgroup v1 read-only; on a real host they are not.
WRITABLE_CGROUPS = """[Unit]
DefaultDependencies=no
Before=sysinit.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'for each in /sys/fs/cgroup/*; do mount -o remount,bind,rw $each || true; done'
[Install]
WantedBy=sysinit.target
"""


class Done:
    """How a command in the machine ended."""

    def __init__(self, command, done, seconds):
        self.command, self.code, self.out, self.err, self.seconds = command, done.returncode, done.stdout, done.stderr, seconds

    @property
    def json(self):
        return json.loads(self.out)

    def __str__(self):
        return f"$ {self.command}\n{self.out}{self.err}(exit code {self.code})"


def cgroups():
    """Groups of the instance "main" on the real host: those of the machine's agent, as v1 has one tree for all."""
    mounts = {line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[2].startswith("cgroup")}
    return sorted({path for mount in mounts for path in Path(mount).glob("holdfast-main")})


class Machine:
    """`prepare`, then `boot`; `remove` leaves nothing of it, whatever happened before."""

    def __init__(self, cache):
        if cgroups():
            sys.exit(f"an agent of the name that the machine's will have runs here: {cgroups()[0]} is there")
        self.work = Path(tempfile.mkdtemp(prefix="host-run-", dir=cache))
        self.root, self.process, self.leader = self.work / "bookworm", None, None

    def prepare(self, root):
        subprocess.run(["cp", "-a", "--reflink=auto", root, self.root], check=True)
        unit = self.root / "etc/systemd/system/writable-cgroups.service"
        unit.write_text(WRITABLE_CGROUPS)
        wanted = self.root / "etc/systemd/system/sysinit.target.wants"
        wanted.mkdir(exist_ok=True)
        (wanted / unit.name).symlink_to(f"../{unit.name}")
        (self.root / "var/log/journal").mkdir(exist_ok=True)  # it stays over a boot

    def boot(self):
        """Returns when systemd says that the host is up; how long that took."""
        begin = time.monotonic()
        with open(self.work / "console", "ab") as console:
            self.process = subprocess.Popen(
                ["systemd-nspawn", "--quiet", "-D", self.root, "--boot", "--register=no", "--keep-unit", "--private-network", FILTER],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True)
        self.leader = self.wait_for("the first process", self._first_process, 20)
        self.wait_for("systemd", lambda: self.sh("systemctl is-system-running", check=False).out.strip() in ("running", "degraded"), 60)
        return time.monotonic() - begin

    def wait_for(self, what, get, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"the machine ended: {self.console()}")
            if found := get():
                return found
            time.sleep(0.05)
        raise AssertionError(f"{what} did not come within {seconds} s: {self.console()}")

    def _first_process(self):
        pid = self.process.pid
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with contextlib.suppress(FileNotFoundError):
                spaces = next(line for line in Path(f"/proc/{child}/status").read_text().splitlines() if line.startswith("NSpid:"))
                if len(spaces.split()) == 3 and spaces.split()[-1] == "1":
                    return int(child)
        return None

    def console(self):
        return (self.work / "console").read_text(errors="replace")[-3000:]

    def sh(self, command, check=True, seconds=120):
        """Runs a line of shell in the machine, as root."""
        begin = time.monotonic()
        done = subprocess.run(["nsenter", "-t", str(self.leader), "-a", "env", "-i", *ENVIRONMENT, "bash", "-c", f"cd /root; {command}"],
                              capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL, check=False)
        outcome = Done(command, done, time.monotonic() - begin)
        if check and done.returncode != 0:
            raise AssertionError(str(outcome))
        return outcome

    def get(self, path, port=8080):
        """What the machine's port answers to one that asks over its loopback; None: nothing."""
        done = subprocess.run(["nsenter", "-t", str(self.leader), "-n", "curl", "-fs", "-m", "2", f"http://127.0.0.1:{port}{path}"],
                              capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else None

    def power_off(self):
        """`systemctl poweroff`; how long it took until nothing of the machine was left."""
        begin = time.monotonic()
        self.sh("systemctl poweroff")
        self.process.wait(120)
        return time.monotonic() - begin

    def journal(self, *arguments):
        """Of a machine that is down as well."""
        done = subprocess.run(["journalctl", "-D", self.root / "var/log/journal", "--no-pager", "-o", "short-monotonic", *arguments],
                              capture_output=True, text=True, check=True)
        return done.stdout

    def remove(self):
        if self.process and self.process.poll() is None:
            os.kill(self.leader or self.process.pid, signal.SIGKILL)
            self.process.wait(30)
        for group in cgroups():
            for where, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(where)
        shutil.rmtree(self.work)
