"""What a container with a writable root can do to whoever looks at what it wrote, or removes it. Runs inside the container.

usage: hostile_tree.py restless          a tree 15,000 deep and one 100,000 wide, whose directories are renamed for ever
       hostile_tree.py random SEED       creates, renames and removes at random, for ever; the seed decides all of it

       hostile_tree.py sockets           connects to itself, tens of thousands of times, and waits

`service` of a test gives a service the interpreter that runs it; it needs nothing of the image.
"""
import contextlib
import os
import random
import resource
import socket
import stat
import sys
import time

DEPTH, WIDTH = 15_000, 100_000
MOST_ENTRIES = 100_000  # of one run of `random`: from then on it renames and removes
ODD = [b"\n", b"\x1b]0;x\x07", b"\xff\xfe", "\u202e\u2066".encode(), b" ", b"-rf", b"%s%n", b"=,:", b"\\", b"..x", b".wh.x", b".wh..wh..opq"]
TARGETS = [b"/", b"..", b".", b"/proc/1/root", b"/proc/self/fd/0", b"/sys", b"x" * 4000, b"../" * 200 + b"etc/shadow", b"\n"]


def arguments(*mode):
    """Of a service: the interpreter of the host, mounted where the image has nothing, and this program in `mode`."""
    mounts = [("/usr", "/usr"), ("/usr/lib", "/lib"), ("/usr/lib64", "/lib64"), (os.path.realpath(__file__), "/hostile_tree.py")]
    return {"entrypoint": ["/usr/bin/python3", "-S", "-B", "/hostile_tree.py", *map(str, mode)], "command": [],
            "security": {"read_only": False, "user": "0:0"},
            "volumes": [{"source": source, "target": target, "read_only": True} for source, target in mounts]}


def deepen(levels):
    """From the working directory, one descriptor at a time."""
    for _ in range(levels):
        os.mkdir("d")
        os.chdir("d")


def restless():
    os.mkdir("/deep")
    os.chdir("/deep")
    deepen(DEPTH)
    os.mkdir("/wide")
    for number in range(WIDTH):
        os.mkdir(f"/wide/{number}")
    print("ready", flush=True)
    # Somebody who walks by names finds others there than a moment ago.
    while True:
        for place in ("/deep", "/deep/d", "/wide/7", "/wide"):
            with contextlib.suppress(OSError):
                os.rename(place, "/moved")
                os.rename("/moved", place)


def sockets():
    """By four processes, each over a port of its own."""
    for port in range(8081, 8085):
        if os.fork() == 0:
            most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            with socket.create_server(("127.0.0.1", port), backlog=64) as listener:
                held = []
                while len(held) < most - 50:
                    held.append(socket.create_connection(("127.0.0.1", port)))
                    held.append(listener.accept()[0])
                print("ready", flush=True)
                time.sleep(3600)
    while True:
        os.wait()


class Walk:
    """Open directories, and one random deed after the other at one of them: no name is ever resolved from the root."""

    def __init__(self, seed):
        self.random, self.made = random.Random(seed), 0
        self.places = [os.open("/", os.O_RDONLY)]
        self.kept = []  # files that stay open, also without a name

    def name(self):
        kind = self.random.random()
        if kind < 0.7:
            return b"%d" % self.random.randrange(40)
        if kind < 0.9:
            return self.random.choice(ODD)
        return bytes(self.random.choice([*range(1, 47), *range(48, 256)]) for _ in range(self.random.choice([1, 20, 255])))

    def place(self):
        return self.random.choice(self.places)

    def keep(self, descriptor):
        if len(self.places) < 48:
            return self.places.append(descriptor)
        at = self.random.randrange(1, len(self.places))  # the first is the root
        os.close(self.places[at])
        self.places[at] = descriptor

    # --- deeds ---

    def descend(self):
        """Down a new chain; what is kept open at its end stays reachable however the way to it is renamed."""
        here = os.dup(self.place())
        for _ in range(self.random.choice([1, 1, 1, 5, 60, 600])):
            name = self.name()
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=here)
                self.made += 1
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = below
        self.keep(here)

    def widen(self):
        here, many = self.place(), self.random.choice([3, 30, 300, 3000])
        for number in range(many):
            with contextlib.suppress(FileExistsError):
                if number % 2:
                    os.mkdir(b"w%d" % number, dir_fd=here)
                else:
                    os.close(os.open(b"w%d" % number, os.O_CREAT | os.O_WRONLY, dir_fd=here))
                self.made += 1

    def file(self):
        file = os.open(self.name(), os.O_CREAT | os.O_RDWR | os.O_NONBLOCK, self.random.choice([0, 0o644, 0o4755, 0o7777]), dir_fd=self.place())
        self.made += 1
        os.pwrite(file, b"x", self.random.choice([0, 5000, 1 << 30, 1 << 40]))
        self.kept.append(file)
        if len(self.kept) > 30:
            os.close(self.kept.pop(0))

    def special(self):
        where, name = self.place(), self.name()
        how = self.random.randrange(4)
        if how == 0:
            os.mkfifo(name, dir_fd=where)
        elif how == 1:
            os.symlink(self.random.choice([*TARGETS, self.name()]), name, dir_fd=where)
        elif how == 2:
            os.mknod(name, stat.S_IFCHR | 0o600, 0, dir_fd=where)  # what overlayfs calls a whiteout
        else:
            os.fchdir(where)
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(name[:90])
        self.made += 1

    def link(self):
        where, name = self.place(), self.name()
        for number in range(self.random.choice([1, 10, 200])):
            os.link(name, b"l%d" % number, src_dir_fd=where, dst_dir_fd=self.place(), follow_symlinks=False)
            self.made += 1

    def rename(self):
        os.rename(self.name(), self.name(), src_dir_fd=self.place(), dst_dir_fd=self.place())

    def attributes(self):
        where = self.place()
        os.fchmod(where, self.random.choice([0, 0o111, 0o755, 0o1777, 0o7777]))
        os.utime(where, (self.random.choice([0, -1, 1 << 33]),) * 2)
        os.setxattr(where, b"user.x", bytes(self.random.choice([0, 100, 3000])))

    def remove(self):
        where, name = self.place(), self.name()
        try:
            os.unlink(name, dir_fd=where)
        except IsADirectoryError:
            os.rmdir(name, dir_fd=where)

    def image(self):
        """What came with the image: removed, renamed and replaced, which overlayfs notes in its own ways."""
        name = self.random.choice([b"www", b"etc", b"www/parts", b"www/legacy", b"bin/sleep"])
        os.rename(b"/" + name, b"/" + self.name())
        os.mkdir(b"/" + name)

    def go(self):
        deeds = [self.descend] * 4 + [self.rename] * 8 + [self.remove] * 4 + [self.file, self.file, self.special, self.link, self.attributes]
        while True:
            for _ in range(200):
                deed = self.random.choice(deeds + [self.widen, self.image]) if self.made < MOST_ENTRIES else self.random.choice([self.rename, self.remove])
                with contextlib.suppress(OSError):
                    deed()
            time.sleep(0.002)


if __name__ == "__main__":
    if sys.argv[1] == "sockets":
        sockets()
    elif sys.argv[1] == "random":
        Walk(int(sys.argv[2])).go()
    restless()
