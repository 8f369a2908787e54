"""What the engine's thread may call behind its ports, and what that may do: the other half of the check `engine_thread`.

Every function of a port and every function among the engine's options is listed here: `engine`, where its thread may call it, or `job`.
From each implementation of one for the engine the calls are followed through `deploy/`, as far as headers that a file includes declare
them. What is reached that way must open, walk, parse, run, sleep and wait for nothing, but for what ALLOWED names with its reason.
What is handed to another thread (RUNS_ELSEWHERE) is not followed.
"""
import re
from pathlib import Path

ENGINE, JOB = "engine", "job"
PORTS = {
    "deploy/image/port/images.hpp": {"ensure": JOB, "find": JOB, "look": ENGINE, "list": JOB, "retain": ENGINE, "collect": JOB},
    "deploy/runtime/instances.hpp": {
        "observe": ENGINE, "create": JOB, "restart": JOB, "stop": JOB, "remove": JOB, "freeze": JOB, "thaw": ENGINE, "reset_connections": JOB,
        "exec": JOB, "sd_notify_state": JOB, "set_hosts": JOB, "enforce": ENGINE, "expel": JOB, "watch": JOB},
    "deploy/network/port/publisher.hpp": {
        "observe": ENGINE, "apply": ENGINE, "restore": JOB, "reserve": ENGINE, "watch": JOB, "connections": JOB, "cut": JOB},
    "deploy/ledger/ledger.hpp": {
        "generations": JOB, "document": ENGINE, "entries": JOB, "entries_of": JOB, "quarantine": JOB, "head": ENGINE, "verify": JOB,
        "commit": ENGINE, "in_doubt": ENGINE, "outcome": ENGINE, "progress": JOB, "stale": ENGINE},
}
# Members of engine::Options that are functions → what answers them (compose.cpp), or JOB.
OPTIONS_FILE = "deploy/engine/state/ports.hpp"
OPTIONS = {
    "housekeeping": JOB, "last_words": JOB, "back_up": JOB, "forget_configs": JOB, "disk_space": JOB,
    "memory_signs": None,   # common/os/memory_signs.cpp: files of /proc below 4 KiB
    "on_arrival": None,     # called by the thread that took the request
    "has_name_server": JOB, "host_gives": JOB, "host_addresses": JOB,  # where documents are read
}
# Where the engine hands work to a job, and its functions that only jobs call (deploy/engine).
HANDED_TO_JOBS = re.compile(r"\b(?:jobs_?\.run|run_change)\s*(\()")
ON_JOBS = {
    "deploy/engine/jobs/drains.cpp": {"Drains::cut"},
    "deploy/engine/jobs/probes.cpp": {"Probes::ask_exec", "Probes::read_sd_notify"},
    "deploy/engine/jobs/endings.cpp": {"Endings::stop", "Endings::remove"},  # by Endings::run
    # Before the engine's thread runs.
    "deploy/engine/engine.cpp": {"start"},
    "deploy/engine/core.cpp": {"Core::load"},
    "deploy/engine/state/generations.cpp": {"Generations::load"},
    "deploy/engine/state/journal.cpp": {"Journal::load"},
}
# Who stands behind each port; a decorator is followed into what it holds by name.
IMPLEMENTED_BY = {
    "deploy/image/port/images.hpp": ("Impl",),  # of image_store.cpp
    "deploy/runtime/instances.hpp": ("ContainerRuntime",),
    "deploy/network/port/publisher.hpp": ("NftPublisher",),
    "deploy/ledger/ledger.hpp": ("BoundedCommitLedger",),
}
RUNS_ELSEWHERE = re.compile(r"\b(?:ask|jthread)\s*([({])")
FORBIDDEN = [
    (r"\b(?:open_file|read_file|read_regular_file|read_small|read_trusted|read_mounts|write_atomic|rewrite_in_place|open_in_root|open_guarded|claim_directory"
     r"|copy_sparse|copy_file|fopen|(?:basic_)?[io]fstream)\s*[({<]", "opens a file"),
    (r"(?<![\w.>:])(?:::)?open(?:at2?)?\s*\(", "opens a file"),
    (r"\b(?:opendir|fdopendir|readdir|(?:recursive_)?directory_iterator|remove_tree|remove_all)\b", "walks a directory"),
    (r"\b(?:json::parse|json_object|decode_entry|oci::parse_\w+|load_deployment|parse_deployment|yaml::read)\b", "parses a document"),
    (r"\b(?:os::run|os::spawn|Process::spawn|run_nft|iptables)\s*\(", "runs a program"),
    (r"\b(?:sleep_until|sleep_for|usleep|nanosleep)\b", "sleeps"),
    (r"\b(?:lock_guard|unique_lock|scoped_lock|shared_lock)\b", "takes a lock"),
    (r"\b(?:\w+\.|->)(?:wait|wait_for|wait_until|join|get_future)\s*\(", "waits"),
    (r"(?<![\w.>])(?:::)?(?:recv|recvmsg|poll|ppoll|epoll_wait|flock|fsync|fdatasync|waitpid|waitid)\s*\(", "waits"),
]
# What some of them do nevertheless, and why that is right: nothing else may, and what is listed and not done is a fault too.
FILE, WALK, PARSE, SLEEP, LOCK, WAIT = "opens a file", "walks a directory", "parses a document", "sleeps", "takes a lock", "waits"
EXCEPTIONS = [
    ("deploy/runtime/record/record.cpp", "alive boot_id", FILE, "of /proc: the start of a process, once the number of the boot"),
    ("deploy/runtime/record/record.cpp", "parse_record parse_run_state", PARSE, "of our own, 1 MiB at most; once a version"),
    ("deploy/runtime/record/small_file.cpp", "read_small", FILE, "of /proc and of control groups"),
    ("deploy/runtime/record/small_file.hpp", "read_small", FILE, "of /proc and of control groups"),
    ("deploy/runtime/host/instance_files.cpp", "read_copy read_exit read_run_state", FILE, "our own, small; run state and exit on a tmpfs"),
    ("deploy/runtime/host/cgroup.cpp", "Cgroups::frozen Cgroups::read write_file", FILE, "of the control group of an instance"),
    ("deploy/runtime/observe/inspection.cpp", "inspect_mounts inspect_address", FILE, "of /proc, 1 MiB at most; the mounts at the start on a tmpfs"),
    ("deploy/runtime/observe/observer.cpp", "add_ids", WALK, "our own directories of instances, some thousand names"),
    ("deploy/runtime/observe/observer.cpp",
     "Observer::cached Observer::choose Observer::inspect_closely Observer::look_closely Observer::observe Observer::suspect", LOCK,
     "held for lookups in memory"),
    ("deploy/runtime/observe/background_inspection.cpp", "BackgroundInspection::found BackgroundInspection::forget", LOCK,
     "held for one entry, not while it inspects"),
    ("deploy/runtime/observe/change_watcher.cpp", "ChangeWatcher::expect_freezer", LOCK, "held for one entry, not while files are watched"),
    ("deploy/runtime/observe/exit_watcher.cpp", "ExitWatcher::runs", LOCK, "held for one entry, or calls of the kernel on descriptors"),
    ("deploy/runtime/host/notify_listener.cpp", "NotifyListener::thawed NotifyListener::forget", LOCK, "held for a round of at most 64 messages of each of 16 sockets, in memory but for marks on a tmpfs"),
    ("deploy/runtime/container_runtime.cpp", "ContainerRuntime::in_progress", LOCK, "held for a set of ids"),
    ("deploy/network/kernel/netns.cpp", "pin_netns_of", FILE, "the namespace of an instance, to be pinned on a tmpfs"),
    ("deploy/network/kernel/sysctl.cpp", "read_sysctl", FILE, "of /proc/sys, 64 bytes"),
    ("deploy/network/nft/nft_table.cpp", "NftTable::pause", SLEEP, "30 ms at most, while others change tables without pause: what is read meanwhile is not whole"),
    ("deploy/network/nft_publisher.cpp", "NftPublisher::loaded", LOCK, "held for two digests, not while rules are loaded"),
    ("deploy/network/udp_mover.cpp", "UdpMover::moved", LOCK, "held for a queue"),
    ("deploy/image/image_store.cpp", "record", FILE, "of our own, 1 MiB at most"),
    ("deploy/image/store/records.cpp", "decode_image_record", PARSE, "of our own, a few KiB"),
    ("deploy/image/image_store.cpp", "Impl::retain", LOCK, "held for the holders"),
    ("deploy/image/store/leases.cpp", "Leases::retain", LOCK, "held for names, or while one of our records is removed or renamed"),
    ("deploy/image/store/store.cpp", "Store::damage_of", FILE, "a line of our own"),
    ("deploy/ledger/queries.cpp", "accepted_document", PARSE, "of a damaged ledger only: the entry that accepted it, once a document"),
    ("deploy/ledger/bounded_commit.cpp", "BoundedCommitLedger::commit BoundedCommitLedger::outcome", LOCK, "held for a batch, not while it is written"),
    ("deploy/ledger/bounded_commit.cpp", "BoundedCommitLedger::commit", WAIT, "a second at most; then what runs goes on without"),
]
ALLOWED = {}
for place_, names_, what_, why_ in EXCEPTIONS:
    for name_ in names_.split():
        ALLOWED.setdefault((place_, name_), {})[what_] = why_
# Names that so many types have that a call says nothing of whom it calls.
COMMON = set("""find insert erase clear size begin end emplace contains get reset str value push_back count at data empty front back swap merge load store c_str
substr append what error code hint in has_value move forward min max sort get_if visit holds_alternative lock unlock release ok exchange fetch_add try_emplace
insert_or_assign to_string format reserve resize assign length name path string text type compare first second""".split())
KEYWORDS = set("if for while switch catch return sizeof alignof decltype static_assert defined noexcept throw new delete co_await requires constexpr".split())
ROOMS = ("deploy/image", "deploy/runtime", "deploy/network", "deploy/ledger")


def closing(text, at):
    """Where the bracket that opens at `at` closes."""
    pairs = {"(": ")", "{": "}", "[": "]"}
    depth, opened, closed = 0, text[at], pairs[text[at]]
    for i in range(at, len(text)):
        depth += text[i] == opened
        depth -= text[i] == closed
        if depth == 0:
            return i
    return len(text)


def without_other_threads(body):
    out, at = [], 0
    for found in RUNS_ELSEWHERE.finditer(body):
        if found.start() < at:
            continue
        out.append(body[at:found.start()])
        at = closing(body, found.start(1)) + 1
        out.append("\n" * body.count("\n", found.start(), at))
    return "".join(out) + body[at:]


HEAD = re.compile(r"(?<![\w:.>~])((?:\w+::)*\w+)\s*\(")
TAIL = re.compile(r"\s*(?:const\b|noexcept\b|override\b|final\b|&&?|->[^;{]*)*\s*"
                  r"(?::(?!:)(?:[^;{]|(?<=[\w>])\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})*)?(?=\{)")


def definitions(text):
    """(name, line, body) of every function that is defined in a text without comments and literals."""
    at = 0
    while found := HEAD.search(text, at):
        at = found.end()
        name = found.group(1)
        start = text.rfind("\n", 0, found.start()) + 1
        indent = len(text[start:found.start()]) - len(text[start:found.start()].lstrip())
        if name.split("::")[-1] in KEYWORDS or indent > 4:
            continue
        after = closing(text, found.end() - 1) + 1
        tail = TAIL.match(text, after)
        before = text[start:found.start()].strip()
        if not tail or before.endswith(("=", "return", ",", "(")) or (not before and "::" not in name and indent == 0 and not text[:start].rstrip().endswith((">", "&", "*"))):
            continue
        end = closing(text, tail.end())
        yield name, text.count("\n", 0, found.start()) + 1, text[tail.end():end + 1]
        at = end


class House:
    """The functions of the rooms, and who calls whom."""

    def __init__(self, root, code_lines, files):
        self.root, self.functions, self.includes, self.seen_from = root, {}, {}, {}
        for relative in files(root, under=("deploy",), suffixes={".cpp", ".hpp"}):
            place = str(relative)
            if not place.startswith(ROOMS):
                continue
            raw = (root / relative).read_text(encoding="utf-8")
            self.includes[place] = set(re.findall(r'#include "([^"]+)"', raw))
            text = "\n".join("" if line.lstrip().startswith("#") else line for line in code_lines(raw))
            self.functions[place] = list(definitions(text))

    def visible(self, place):
        """Files whose functions a call in this one can mean: itself, the headers that it sees, and what these stand for."""
        if place not in self.seen_from:
            headers, waiting = set(), [place, str(Path(place).with_suffix(".hpp"))]
            while waiting:
                for header in self.includes.get(waiting.pop(), set()) - headers:
                    headers.add(header)
                    waiting.append(header)
            own = str(Path(place).with_suffix(".hpp"))
            headers.add(own)
            self.seen_from[place] = {place} | headers | {str(Path(header).with_suffix(".cpp")) for header in headers}
        return self.seen_from[place]

    def find(self, name, places):
        short = name.split("::")[-1]
        for place in sorted(places & self.functions.keys()):
            for function in self.functions[place]:
                known = function[0]
                same = known == name or known.endswith("::" + name) if "::" in name else known.split("::")[-1] == short
                if same:
                    yield place, function

    def reached(self, entries):
        """(place, name, line, body) of everything that the entries lead to."""
        waiting, seen = list(entries), set()
        while waiting:
            place, (name, line, body) = waiting.pop()
            if (place, name, line) in seen:
                continue
            seen.add((place, name, line))
            body = without_other_threads(body)
            yield place, name, line, body
            for call in set(re.findall(r"((?:\w+::)*\w+)\s*(?:<[\w:, ]*>)?\s*[(]", body)):
                short = call.split("::")[-1]
                if short not in COMMON and short not in KEYWORDS:
                    waiting += list(self.find(call if "::" in call and call[0].isupper() else short, self.visible(place)))


def listed(root):
    """Functions of ports and options that are not listed, and listed ones that are not there."""
    for header, known in PORTS.items():
        if not (root / header).is_file():
            continue
        text = re.sub(r"//[^\n]*", "", (root / header).read_text(encoding="utf-8"))
        there = set(re.findall(r"\bvirtual\b[^;~]*?\b(\w+)\s*\([^;]*?\)[^;]*;", text)) | set(re.findall(r"\bvirtual\b[^;~{]*?\b(\w+)\s*\([^;{]*\)[^;{]*\{", text))
        for name in sorted(there - known.keys()):
            yield f"{header}:1: may the engine's thread call {name}? Say so in tests/lint/engine_calls.py"
        for name in sorted(known.keys() - there):
            yield f"{header}:1: tests/lint/engine_calls.py lists {name}, which is not there"
    if (root / OPTIONS_FILE).is_file():
        text = re.sub(r"//[^\n]*", "", (root / OPTIONS_FILE).read_text(encoding="utf-8"))
        options = re.search(r"\bstruct Options\b.*?\n};", text, re.S)
        there = set(re.findall(r"std::function<[^;]*?>\s+(\w+)\s*(?:\{\})?;", options.group() if options else ""))
        for name in sorted(there ^ OPTIONS.keys()):
            yield f"{OPTIONS_FILE}:1: {name}: say in tests/lint/engine_calls.py who answers it, or that a job calls it"


def calls_of_jobs(root, code_lines, files):
    """Functions for jobs that the engine calls on its own thread."""
    names = sorted({name for known in PORTS.values() for name, where in known.items() if where == JOB} -
                   {name for known in PORTS.values() for name, where in known.items() if where == ENGINE})
    rare = [name for name in names if name not in COMMON]  # of what is not named as a port
    port = re.compile(rf"\bports\.\w+\.({'|'.join(names)})\s*\(|\b(?:control_?|instances|publisher_?|ledger_?)\.({'|'.join(rare)})\s*\(|"
                      rf"\boptions\.({'|'.join(name for name, who in OPTIONS.items() if who == JOB)})\s*\(")
    for relative in files(root, under=("deploy",), suffixes={".cpp", ".hpp"}):
        if not str(relative).startswith("deploy/engine/"):
            continue
        text = "\n".join(code_lines((root / relative).read_text(encoding="utf-8")))
        elsewhere = [(found.start(), closing(text, found.start(1))) for found in HANDED_TO_JOBS.finditer(text)]
        lines = {name: (line, line + body.count("\n")) for name, line, body in definitions(text)}
        allowed = [lines[name] for name in ON_JOBS.get(str(relative), set()) & lines.keys()]
        for found in port.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            if not any(a <= found.start() <= b for a, b in elsewhere) and not any(a <= line <= b for a, b in allowed):
                yield f"{relative}:{line}: {next(filter(None, found.groups()))} is for jobs: hand it to one (Jobs::run)"


def check(root, code_lines, files):
    yield from listed(root)
    yield from calls_of_jobs(root, code_lines, files)
    house = House(root, code_lines, files)
    entries = []
    for header, known in PORTS.items():
        for owner in IMPLEMENTED_BY[header]:
            for name, where in known.items():
                found = [row for place in house.functions for row in house.find(f"{owner}::{name}", {place})]
                found += [row for place in house.functions if Path(place).suffix == ".hpp" and re.search(rf"\bclass {owner}\b[^;]*{{", (root / place).read_text())
                          for row in house.find(name, {place}) if row[1][0] == name]
                entries += found if where == ENGINE else []
    for answer in filter(lambda value: value and value != JOB, OPTIONS.values()):
        entries += [row for place in house.functions for row in house.find(answer, {place})]
    used = set()
    for place, name, line, body in sorted(house.reached(entries)):
        for pattern, what in FORBIDDEN:
            for found in re.finditer(pattern, body):
                if what in ALLOWED.get((place, name), {}):
                    used.add((place, name, what))
                    continue
                yield f"{place}:{line + body.count(chr(10), 0, found.start())}: {name} is called on the engine's thread and {what}: do it in a job, or say why it may in tests/lint/engine_calls.py"
    for (place, name), reasons in ALLOWED.items():
        for what in reasons if (root / place).is_file() else ():
            if (place, name, what) not in used:
                yield f"tests/lint/engine_calls.py:1: {place}: {name} no longer {what}: take it off the list"
