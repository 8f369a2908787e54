#!/usr/bin/python3
"""`holdfast exec`: a command in the running instance, as people know it from docker and kubectl, and nothing of it stays."""
import fcntl
import grp
import hashlib
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

import fixture

BUSYBOX = "/bin/busybox"


class Exec(fixture.AgentCase):
    settings = {"groups": {"observe": "games", "rollback": "users", "deploy": "audio"}}

    def setUp(self):
        super().setUp()
        self.applied({"web": self.service("1")})

    def service(self, version, **changes):
        return self.small(env={"V": version, "SECRET": "s3cret"}, **changes)

    # --- running it ---

    def exec(self, *arguments, **options):
        return self.agent.cli("exec", *arguments, **options)

    def begin(self, *arguments, **options):
        """The client as a process of its own."""
        environment = {"PATH": os.environ["PATH"], "HOLDFAST_SOCKET": str(self.agent.socket), "LC_ALL": "C.UTF-8", "TERM": "vt100"}
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        client = subprocess.Popen([fixture.BIN / "holdfast", "exec", *arguments], env=environment, **options)
        self.addCleanup(client.wait)
        self.addCleanup(client.kill)
        return client

    def sleeper(self, *arguments, seconds="1234"):
        """A session whose command has begun; its processes in the instance."""
        client = self.begin(*arguments, "web", "--", "/bin/sh", "-c", f"echo ready; {BUSYBOX} sleep {seconds} & {BUSYBOX} sleep {seconds}; true")
        if client.stdout.readline().strip() != b"ready":
            raise AssertionError(f"the command does not begin: {client.communicate(timeout=10)}")
        inside = fixture.wait_until("both sleep", lambda: len(self.sleeping(seconds)) == 2 and self.sleeping(seconds))
        return client, inside

    @staticmethod
    def sleeping(seconds="1234"):
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[:3] == [BUSYBOX.encode(), b"sleep", seconds.encode()]:
                found.append(int(pid))
        return found

    def carriers(self):
        """The processes of sessions, of this agent."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if words.split("\0")[0].endswith("/holdfast-exec") and str(self.agent.run) in words:
                found.append(int(pid))
        return found

    def nothing_sleeps(self, seconds="1234", within=5):
        fixture.wait_until("nothing of the session is left", lambda: not self.sleeping(seconds), within)

    def entries(self, kind):
        lines = self.agent.cli("--output", "json", "ledger", "export").out.splitlines()
        return [entry for entry in map(json.loads, lines) if entry["kind"] == kind]

    # --- what people expect ---

    def test_words_of_the_command_stay_as_they_are(self):
        words = ["[a,b]", "[1]", "[[x]]", "{}", "", "a b", "-t", "--", "\"q\"", "ü"]
        done = self.exec("web", "--", "/bin/sh", "-c", 'printf "%s|" "$@"', "sh", *words)
        self.assertEqual((done.code, done.out), (0, "".join(f"{word}|" for word in words)), done)
        self.assertEqual(self.exec("web", "/bin/sh").code, 2, "what is not behind -- may be taken for something else")

    def test_the_end_of_one_session_is_not_that_of_the_tenth(self):
        first, _ = self.sleeper(seconds="1111")
        for _ in range(9):
            self.assertEqual(self.exec("web", "--", "/bin/sh", "-c", "true").code, 0)
        tenth, inside = self.sleeper(seconds="2222")
        first.kill()
        self.nothing_sleeps("1111")
        time.sleep(0.5)
        self.assertEqual(sorted(self.sleeping("2222")), sorted(inside))
        tenth.kill()
        self.nothing_sleeps("2222")
        sessions = [entry["detail"]["session"] for entry in self.entries("exec_started")]
        self.assertEqual((len(set(sessions)), len(sessions)), (11, 11))
        fixture.wait_until("each has an end", lambda: sorted(entry["detail"]["session"] for entry in self.entries("exec_ended")) == sorted(sessions), 10)

    def test_what_takes_its_mark_off_ends_too(self):
        script = f"trap '' TERM HUP; echo ready; {BUSYBOX} sleep 3333 & {BUSYBOX} sleep 3333; true"
        client = self.begin("web", "--", BUSYBOX, "env", "-i", "/bin/sh", "-c", script)
        self.assertEqual(client.stdout.readline().strip(), b"ready")
        fixture.wait_until("both sleep", lambda: len(self.sleeping("3333")) == 2)
        client.kill()
        self.nothing_sleeps("3333")
        fixture.wait_until("the carrier has ended", lambda: not self.carriers(), 5)

    def test_a_service_whose_variable_has_that_name_is_left_alone(self):
        self.applied({"web": self.small(env={"HOLDFAST_EXEC": "mine"})})
        before = self.agent.pids()
        self.agent.stop()
        self.agent.start()
        self.assertEqual(self.agent.pids(), before)
        time.sleep(0.5)
        self.assertEqual(self.agent.service("web")["restarts"], 0)

    def test_a_stop_of_the_agent_waits_for_no_reader(self):
        client = self.begin("web", "--", BUSYBOX, "yes")
        time.sleep(1.5)
        self.assertLess(self.agent.stop(), 5)
        self.assertEqual(self.agent.process.returncode, 0)
        client.stdout.close()

    def test_a_slow_reader_costs_nothing_and_gets_it_all(self):
        client = self.begin("web", "--", "/bin/sh", "-c", f"{BUSYBOX} head -c 400000 /dev/zero")
        time.sleep(1)
        before = self.ticks(client.pid)
        time.sleep(2)
        self.assertLess(self.ticks(client.pid) - before, 20, "it waits for its reader without turning")
        self.assertEqual(len(client.stdout.read()), 400_000)
        self.assertEqual(client.wait(10), 0)

    @staticmethod
    def ticks(pid):
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def test_codes_streams_and_surroundings_are_those_of_the_instance(self):
        done = self.exec("web", "--", "/bin/sh", "-c", "echo out; echo err >&2; exit 3")
        self.assertEqual((done.code, done.out, done.err), (3, "out\n", "err\n"), done)
        self.assertEqual(self.exec("web", "--", "/bin/sh", "-c", "kill -9 $$").code, 137)
        missing = self.exec("web", "--", "no-such-program")
        self.assertEqual(missing.code, 127, missing)
        self.assertIn("no-such-program", missing.err)
        self.assertEqual(self.exec("web", "--", "/www").code, 126)
        self.assertEqual(self.exec("--workdir", "/nowhere", "web", "--", "/bin/sh", "-c", "true").code, 126)
        self.assertEqual(self.exec("nobody", "--", "true").code, 1)
        self.assertEqual(self.exec("web", "--").code, 2)

        first = self.agent.service("web")["pid"]
        script = f"{BUSYBOX} cat /proc/self/status /proc/self/cgroup; for n in pid mnt net ipc uts; do {BUSYBOX} readlink /proc/self/ns/$n; done; echo V=$V; pwd"
        inside = self.exec("web", "--", "/bin/sh", "-c", script).out
        same = ("Uid:", "Gid:", "Groups:", "NoNewPrivs:", "Seccomp:", "CapPrm:", "CapBnd:", "CapAmb:", "CapInh:")
        status = Path(f"/proc/{first}/status").read_text().splitlines()
        for line in filter(lambda line: line.startswith(same), status):
            self.assertIn(line, inside)
        for line in Path(f"/proc/{first}/cgroup").read_text().splitlines():
            self.assertIn(line.split(":")[1], inside)
        for name in ("pid", "mnt", "net", "ipc", "uts"):
            self.assertIn(os.readlink(f"/proc/{first}/ns/{name}"), inside)
        self.assertIn("V=1\n", inside)
        self.assertIn("Seccomp:\t2", inside)
        self.assertNotIn("NoNewPrivs:\t0", inside)

        there = self.exec("--user", "1234:56", "--workdir", "/tmp", "--env", "V=2", "--env", "W=a b", "web", "--", "/bin/sh", "-c",
                          f"{BUSYBOX} id -u; {BUSYBOX} id -g; pwd; echo $V $W; {BUSYBOX} ls /proc/self/fd").out.split("\n")
        self.assertEqual(there[:4], ["1234", "56", "/tmp", "2 a b"])
        self.assertEqual(there[4:-2], ["0", "1", "2"], "no descriptor of the agent's side")
        unknown = self.exec("--user", "nobody-knows", "web", "--", "true")
        self.assertNotEqual(unknown.code, 0)
        self.assertIn("nobody-knows", unknown.err)

    def test_short_commands_side_by_side_each_end_with_their_own_code(self):
        for begin in range(0, 40, 8):
            clients = [self.begin("web", "--", "/bin/sh", "-c", f"echo {code}; exit {code}") for code in range(begin, begin + 8)]
            for code, client in zip(range(begin, begin + 8), clients):
                out, err = client.communicate(timeout=30)
                self.assertEqual((client.returncode, out, err), (code, f"{code}\n".encode(), b""))
        fixture.wait_until("each is recorded", lambda: len(self.entries("exec_ended")) == 40, 5)
        self.assertEqual(self.carriers(), [])

    def test_fifty_megabytes_go_both_ways_and_arrive_as_they_were(self):
        sent = os.urandom(1 << 20) * 50
        client = self.begin("-i", "web", "--", BUSYBOX, "cat", stdin=subprocess.PIPE)
        out, err = client.communicate(sent, timeout=120)
        self.assertEqual((client.returncode, err), (0, b""))
        self.assertEqual(hashlib.sha256(out).hexdigest(), hashlib.sha256(sent).hexdigest())
        # Who reads no more is told, and who writes on does not hang.
        with open("/dev/zero", "rb") as zero:
            head = self.begin("-i", "web", "--", BUSYBOX, "head", "-c", "5", stdin=zero)
            self.assertEqual(head.communicate(timeout=20)[0], b"\0" * 5)
        # Without -i there is no input.
        self.assertEqual(self.exec("web", "--", BUSYBOX, "cat", stdin="unasked").out, "")

    def test_who_does_not_read_holds_the_command_up_and_costs_no_memory(self):
        client = self.begin("web", "--", BUSYBOX, "yes")
        self.assertEqual(client.stdout.read(2), b"y\n")
        time.sleep(1.5)
        carriers = self.carriers()
        self.assertEqual(len(carriers), 1)
        rss = [line for line in Path(f"/proc/{carriers[0]}/status").read_text().splitlines() if line.startswith("VmRSS")][0]
        self.assertLess(int(rss.split()[1]), 12_000, rss)
        written = [int(line.split()[1]) for line in Path(f"/proc/{carriers[0]}/io").read_text().splitlines() if line.startswith("wchar")][0]
        time.sleep(0.5)
        again = [int(line.split()[1]) for line in Path(f"/proc/{carriers[0]}/io").read_text().splitlines() if line.startswith("wchar")][0]
        self.assertEqual(written, again, "it waits for its reader")
        client.kill()
        fixture.wait_until("the carrier ends", lambda: not Path(f"/proc/{carriers[0]}").exists(), 6)

    # --- a terminal ---

    def on_a_terminal(self, *arguments):
        leader, follower = pty.openpty()
        self.addCleanup(os.close, leader)
        fcntl.ioctl(leader, termios.TIOCSWINSZ, struct.pack("HHHH", 41, 133, 0, 0))
        before = termios.tcgetattr(follower)
        client = self.begin(*arguments, stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
                            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.addCleanup(os.close, follower)
        return client, leader, follower, before

    @staticmethod
    def until(leader, *texts):
        seen, deadline = b"", time.monotonic() + 10
        while not all(text in seen for text in texts):
            if time.monotonic() > deadline:
                raise AssertionError(f"{texts} do not come: {seen}")
            if select.select([leader], [], [], 0.1)[0]:
                seen += os.read(leader, 4096)
        return seen

    def test_a_terminal_has_a_size_that_follows_keys_that_interrupt_and_is_restored(self):
        client, leader, follower, before = self.on_a_terminal("-it", "web", "--", "/bin/sh")
        os.write(leader, f"{BUSYBOX} stty size; echo $TERM\n".encode())
        self.until(leader, b"41 133", b"vt100")
        self.assertNotEqual(termios.tcgetattr(follower), before, "keys are passed on as they are pressed")
        fcntl.ioctl(leader, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 81, 0, 0))
        os.kill(client.pid, signal.SIGWINCH)
        time.sleep(0.2)
        os.write(leader, f"{BUSYBOX} stty size\n".encode())
        self.until(leader, b"24 81")
        os.write(leader, f"{BUSYBOX} sleep 1234\n".encode())
        fixture.wait_until("it sleeps", self.sleeping)
        os.write(leader, b"\x03")
        self.nothing_sleeps()
        os.write(leader, b"echo inter$((1))rupted; exit 5\n")
        self.until(leader, b"inter1rupted")
        self.assertEqual(client.wait(10), 5)
        self.assertEqual(termios.tcgetattr(follower), before)

    def test_the_terminal_is_restored_when_the_client_is_ended_and_when_the_agent_is_killed(self):
        for end in (lambda client: client.terminate(), lambda client: self.agent.stop(signal.SIGKILL)):
            client, leader, follower, before = self.on_a_terminal("-it", "web", "--", "/bin/sh")
            os.write(leader, f"{BUSYBOX} sleep 1234\n".encode())
            fixture.wait_until("it sleeps", self.sleeping)
            end(client)
            self.assertIn(client.wait(10), (130, 7))
            self.assertEqual(termios.tcgetattr(follower), before)
            self.nothing_sleeps()

    # --- who may, and what is kept of it ---

    def test_only_who_deploys_may(self):
        for group, code in (("games", 8), ("users", 8), ("audio", 5)):
            gid = grp.getgrnam(group).gr_gid
            client = self.begin("web", "--", "/bin/sh", "-c", "exit 5", user=65533, group=gid, extra_groups=[])
            _, err = client.communicate(timeout=10)
            self.assertEqual(client.returncode, code, err)
            self.assertEqual(b"needs the role deploy" in err, code == 8, err)
        began = self.entries("exec_started")
        self.assertEqual([entry["actor"] for entry in began], ["uid 65533"])

    def test_what_was_done_is_in_the_ledger_without_values(self):
        self.exec("--env", "TOKEN=hidden-value", "web", "--", "/bin/sh", "-c", "exit 9")
        ended = fixture.wait_until("its end is recorded", lambda: self.entries("exec_ended"))
        began = self.entries("exec_started")
        self.assertEqual((len(began), len(ended)), (1, 1))
        self.assertEqual(began[0]["actor"], "root (uid 0)")
        self.assertEqual(began[0]["detail"]["command"], "/bin/sh -c 'exit 9'")
        self.assertEqual(began[0]["detail"]["env"], "TOKEN")
        self.assertEqual(began[0]["detail"]["instance"], self.agent.service("web")["instance"])
        self.assertEqual(ended[0]["detail"]["exit_code"], "9")
        self.assertNotIn("hidden-value", self.agent.cli("ledger", "export").out)
        self.assertNotIn("hidden-value", self.agent.log.read_text())

    def test_it_is_no_drift_and_no_reason_to_go_back(self):
        client, _ = self.sleeper()
        time.sleep(5)  # two resyncs
        status = self.agent.status()
        self.assertEqual((status["state"], status["drift"]), ("converged", []), status)
        self.assertEqual(self.agent.service("web")["health"], "healthy")
        self.assertEqual(self.entries("drift_detected"), [])
        client.kill()
        self.nothing_sleeps()

    # --- ends ---

    def test_when_the_client_is_killed_nothing_stays(self):
        client, inside = self.sleeper()
        client.kill()
        self.nothing_sleeps()
        ended = fixture.wait_until("its end is recorded", lambda: self.entries("exec_ended"))
        self.assertIn("client", ended[0]["detail"]["outcome"])
        self.assertFalse([pid for pid in inside if Path(f"/proc/{pid}").exists() and "zombie" not in Path(f"/proc/{pid}/status").read_text()])

    def test_when_the_agent_is_killed_the_session_ends_with_a_word_and_the_service_goes_on(self):
        client, _ = self.sleeper()
        serving = self.agent.service("web")["pid"]
        self.agent.stop(signal.SIGKILL)
        out, err = client.communicate(timeout=10)
        self.assertEqual(client.returncode, 7, err)
        self.assertIn(b"the agent has ended", err)
        self.nothing_sleeps()
        self.agent.start()
        self.assertEqual(self.agent.service("web")["pid"], serving)
        self.assertEqual(len(self.entries("exec_started")), 1)

    def test_when_agent_and_session_are_killed_together_the_next_agent_sweeps(self):
        _, inside = self.sleeper()
        carriers = self.carriers()
        self.assertEqual(len(carriers), 1)
        os.kill(carriers[0], signal.SIGSTOP)
        self.agent.stop(signal.SIGKILL)
        os.kill(carriers[0], signal.SIGKILL)
        time.sleep(0.3)
        self.assertEqual(self.sleeping(), inside)
        self.agent.start()
        self.nothing_sleeps()

    def test_when_the_agent_stops_in_order_the_session_does_and_is_recorded(self):
        client, _ = self.sleeper()
        self.assertLess(self.agent.stop(), 8)
        _, err = client.communicate(timeout=10)
        self.assertEqual(client.returncode, 137, err)
        self.assertIn(b"the agent stops", err)
        self.nothing_sleeps()
        self.agent.start()
        self.assertIn("agent stops", self.entries("exec_ended")[0]["detail"]["outcome"])

    def test_when_the_instance_is_replaced_the_session_ends_and_a_rollback_is_as_quick(self):
        client, _ = self.sleeper()
        self.applied({"web": self.service("2")})
        _, err = client.communicate(timeout=15)
        self.assertEqual(client.returncode, 137, err)
        self.assertIn(b"the session has ended", err)
        self.nothing_sleeps()
        other, _ = self.sleeper()
        back = self.agent.cli("--output", "json", "rollback", "--reason", "back")
        self.assertEqual(back.code, 0, back)
        self.assertLess(back.json["seconds"], 3, back)
        self.assertEqual(other.wait(15), 137)
        self.nothing_sleeps()

    def back_to_v1(self):
        """Seconds from the command to the first answer of v1."""
        with fixture.Load(self.port) as load:
            begin = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            back = self.agent.cli("rollback", "--reason", "v1 was better")
        self.assertEqual(back.code, 0, back)
        self.assert_no_request_failed(load)
        return (load.result["answers"]["v1"]["first_boot_ns"] - begin) / 1e9

    def test_a_rollback_does_not_wait_for_sessions(self):
        self.applied({"web": self.web("WEB_V1")})
        self.applied({"web": self.web("WEB_V2")})
        calm = self.back_to_v1()
        # The shortest wait for a session is that for its last word, 500 ms. Nine processes that write without end and the tests beside
        # share the processors, 118 ms of that beside a build; a wait would be there each time.
        for attempt in range(3):
            busy = self.beside_six_sessions(attempt)
            print(f"first answer of v1 after {busy * 1000:.0f} ms beside six sessions, {calm * 1000:.0f} ms without", flush=True)
            if busy < max(0.25, 3 * calm):
                return
        self.fail(f"a rollback took {busy:.3f} s beside sessions, three times in a row")

    def beside_six_sessions(self, attempt):
        self.applied({"web": self.web("WEB_V3", env={"ATTEMPT": str(attempt)})})
        clients = [self.begin("web", "--", BUSYBOX, "yes", stdout=subprocess.DEVNULL) for _ in range(3)]
        clients += [self.sleeper(seconds=f"123{number}")[0] for number in range(3)]
        busy = self.back_to_v1()
        for client in clients:
            self.assertEqual(client.wait(20), 137)
        for number in range(3):
            self.nothing_sleeps(f"123{number}")
        return busy

    def test_when_the_service_ends_or_is_stopped_the_session_says_so(self):
        client, _ = self.sleeper()
        serving = self.agent.service("web")["pid"]
        os.kill(serving, signal.SIGKILL)
        _, err = client.communicate(timeout=10)
        self.assertEqual(client.returncode, 137, err)
        self.assertIn(b"has ended", err)
        fixture.wait_until("it runs again", lambda: self.agent.service("web")["pid"] not in (0, serving))
        client, _ = self.sleeper()
        self.assertEqual(self.agent.cli("stop", "web", "--reason", "test").code, 0)
        _, err = client.communicate(timeout=10)
        self.assertEqual(client.returncode, 137, err)
        refused = self.exec("web", "--", "/bin/sh", "-c", "true")
        self.assertEqual(refused.code, 1, refused)
        self.assertIn("does not run", refused.err)


if __name__ == "__main__":
    fixture.main()
