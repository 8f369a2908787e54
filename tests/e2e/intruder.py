"""Somebody on the host who meddles with a running container: for the tests and the benchmark of drift."""
import signal
import subprocess
import sys

# Enters namespaces of a process and does one thing there; written so that it needs no program of the container.
INTRUDER = """
import ctypes, os, sys, time
libc, pid, deed, where = ctypes.CDLL(None, use_errno=True), *sys.argv[1:]
def check(result):
    if result != 0:
        sys.exit(f"{deed} {where}: {os.strerror(ctypes.get_errno())}")
for name in ("pid", "mnt"):
    check(libc.setns(os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY), 0))
if deed == "mount":
    began = time.time()
    check(libc.mount(b"none", where.encode(), b"tmpfs", 0, None))
    print(began, flush=True)
elif deed == "umount":
    began = time.time()
    check(libc.umount2(where.encode(), 2))
    print(began, flush=True)
elif os.fork() == 0:  # the child is inside the pid namespace too
    print(flush=True)
    time.sleep(60)
else:
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def inside(pid, deed, where):
    """Does the deed and leaves; where foreign processes are killed, it may be caught in the act, after the deed.

    The time of day at which it was done; None when it was killed before it could say.
    """
    done = subprocess.run([sys.executable, "-c", INTRUDER, str(pid), deed, where], check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode not in (0, -signal.SIGKILL):
        raise AssertionError(f"{deed} {where}: exit {done.returncode}")
    return float(done.stdout) if done.stdout else None


def intrude(case, pid):
    """A process that stays inside; ends with the test."""
    intruder = subprocess.Popen([sys.executable, "-c", INTRUDER, str(pid), "stay", ""], stdout=subprocess.PIPE)
    case.addCleanup(intruder.stdout.close)
    case.addCleanup(intruder.wait)
    case.addCleanup(intruder.kill)
    intruder.stdout.readline()
    return intruder
