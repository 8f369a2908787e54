"""What a rollback takes elsewhere: docker swarm's `service rollback`, and podman's `stop` and `start`.

Each peer runs in a network namespace of its own, with the same two images, on the host network of that namespace: so nothing of the
host's firewall is touched. Both stop the one version before they start the other, as neither can have two on one port there.
Programs come from $HOLDFAST_PEERS (default /), where Debian packages were unpacked.
"""
import ctypes
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

PEERS = Path(os.environ.get("HOLDFAST_PEERS", "/"))
PATH = ":".join(str(PEERS / part) for part in ("usr/bin", "usr/sbin")) + ":/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": PATH, "HOME": "/root", "LC_ALL": "C.UTF-8"}
ADDRESS, PORT = "10.99.0.1", 8080
LIBC = ctypes.CDLL(None, use_errno=True)


def run(*argv, check=True):
    done = subprocess.run([str(part) for part in argv], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, argv))}: {done.stdout[-500:]}{done.stderr[-500:]}")
    return done


class Peer:
    def __init__(self, directory):
        self.directory, self.netns, self.daemon = Path(directory), f"hfpeer{os.getpid()}", None
        self.directory.mkdir(parents=True)

    def __enter__(self):
        run("ip", "netns", "add", self.netns)
        run("ip", "-n", self.netns, "link", "set", "lo", "up")
        run("ip", "-n", self.netns, "addr", "add", f"{ADDRESS}/32", "dev", "lo")
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        with open(f"/run/netns/{self.netns}") as theirs:
            self.enter(theirs.fileno())
        return self

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            self.enter(self.home)
            run("ip", "netns", "del", self.netns)
            # Podman cleans up after its containers in processes of its own, which mount its store again.
            for _ in range(20):
                for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
                    if line.split()[4].startswith(f"{self.directory}/"):
                        run("umount", "-l", line.split()[4], check=False)
                shutil.rmtree(self.directory, ignore_errors=True)
                if not self.directory.exists():
                    break
                time.sleep(0.1)

    @staticmethod
    def enter(descriptor):
        if LIBC.setns(descriptor, 0x40000000) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    def archives(self, images):
        """Both versions as docker archives, copied before the namespace is entered."""
        made = {}
        for tag, reference in images.items():
            made[tag] = self.directory / f"{tag}.tar"
            name, digest = reference.split("@")
            run("skopeo", "copy", "--src-tls-verify=false", f"docker://{name.rsplit(':', 1)[0]}@{digest}",
                f"docker-archive:{made[tag]}:web:{tag}")
        return made


class Swarm(Peer):
    def begin(self, archives):
        if not shutil.which("dockerd", path=PATH):
            raise LookupError("dockerd")
        (self.directory / "none.json").write_text("{}")
        self.docker = ["docker", "-H", f"unix://{self.directory}/docker.sock"]
        self.daemon = subprocess.Popen(
            ["dockerd", "--data-root", self.directory / "docker", "--exec-root", self.directory / "exec", "--pidfile", self.directory / "pid",
             "-H", f"unix://{self.directory}/docker.sock", "--storage-driver", "overlay2", "--config-file", self.directory / "none.json"],
            env=ENVIRONMENT, stdout=open(self.directory / "log", "w"), stderr=subprocess.STDOUT, start_new_session=True)
        for _ in range(200):
            if run(*self.docker, "version", check=False).returncode == 0:
                break
            time.sleep(0.1)
        for archive in archives.values():
            run(*self.docker, "load", "-i", archive)
        run(*self.docker, "swarm", "init", "--advertise-addr", ADDRESS)
        run(*self.docker, "service", "create", "--detach", "--no-resolve-image", "--name", "web", "--network", "host", "--mount",
            "type=tmpfs,destination=/tmp", "--stop-grace-period", "2s", "--update-monitor", "1ms", "--rollback-monitor", "1ms", "web:1")

    def update(self):
        run(*self.docker, "service", "update", "--detach", "--no-resolve-image", "--image", "web:2", "web")

    def rollback(self):
        return [[*self.docker, "service", "rollback", "--detach", "web"]]

    def stop(self):
        if not self.daemon:
            return
        run(*self.docker, "service", "rm", "web", check=False)
        run(*self.docker, "swarm", "leave", "--force", check=False)
        self.daemon.send_signal(signal.SIGTERM)
        try:
            self.daemon.wait(30)
        except subprocess.TimeoutExpired:
            self.daemon.kill()


class Podman(Peer):
    def begin(self, archives):
        if not shutil.which("podman", path=PATH):
            raise LookupError("podman")
        self.podman = ["podman", "--root", self.directory / "root", "--runroot", self.directory / "run", "--tmpdir", self.directory / "tmp",
                       "--storage-driver", "overlay", "--cgroup-manager", "cgroupfs", "--runtime", shutil.which("runc")]
        for archive in archives.values():
            run(*self.podman, "load", "-q", "-i", archive)
        self.serves = "1"
        # Without limits named it asks for more files than the machine may allow.
        like = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096", "--network", "host", "--tmpfs", "/tmp"]
        run(*self.podman, "run", "-d", "--name", "web1", *like, "web:1")
        run(*self.podman, "create", "--name", "web2", *like, "web:2")

    def other(self):
        last, self.serves = self.serves, "2" if self.serves == "1" else "1"
        return [[*self.podman, "stop", "-t", "2", f"web{last}"], [*self.podman, "start", f"web{self.serves}"]]

    def update(self):
        for command in self.other():
            run(*command)

    def rollback(self):
        return self.other()

    def stop(self):
        run(*self.podman, "rm", "-f", "-t", "0", "--all", check=False)


def measure(peer_class, directory, images, rounds, version):
    """Milliseconds from the start of the command to the first answer of the other version, per round; None without the program."""
    peer = peer_class(directory)
    archives = peer.archives(images)
    samples = []
    try:
        with peer:
            peer.begin(archives)
            for _ in range(rounds):
                wait_for(version, lambda now: now is not None)
                before = version(ADDRESS, PORT)
                peer.update()
                wait_for(version, lambda now, old=before: now not in (None, old))
                time.sleep(1)
                before, begin = version(ADDRESS, PORT), time.monotonic()
                for command in peer.rollback():
                    run(*command)
                wait_for(version, lambda now, old=before: now not in (None, old))
                samples.append((time.monotonic() - begin) * 1000)
                time.sleep(1)
    except LookupError as missing:
        print(f"{peer_class.__name__}: no {missing}, left out")
        return None
    return samples


def wait_for(version, wanted):
    deadline = time.monotonic() + 60
    while not wanted(version(ADDRESS, PORT)):
        if time.monotonic() > deadline:
            raise SystemExit("the peer does not answer as expected within 60 s")
        time.sleep(0.002)
