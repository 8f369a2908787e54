#!/usr/bin/python3
"""Keeps the house as packaging/doc/design.md 3 draws it.

usage: lint.py CHECK… [--root DIR] [--build DIR]      CHECK is one of the functions in CHECKS, or `all`

Each check yields "path:line: what is wrong: what to do" lines; any line fails. Only the standard library, Python 3.11.
"""
import argparse
import re
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
import engine_calls  # noqa: E402, beside this file

CODE = {".cpp", ".hpp", ".h", ".cc"}
TEXT = CODE | {".sh", ".py", ".sql", ".cmake", ".txt", ".md", ".yaml", ".yml", ".json", ".service", ".in", ""}
SKIPPED = {".git", "__pycache__", ".cache", ".vscode", ".idea"}
TOP_LEVEL = {"CMakeLists.txt", "README.md", "LICENSE", "agent", "common", "proto", "deploy", "tests", "packaging"}
ROOMS = ("common", "proto", "deploy", "agent")
LAST_FAULT = 82  # of the fault matrix
RULES = Path("packaging/doc/security.md")  # defines what R-, T-, F- and I- ids mean
FOREIGN_PAPERS = {"SPEC.md", "config.md", "considerations.md", "descriptor.md", "image-layout.md", "layer.md"}  # of CNI and OCI

# What each room may include of the house (longest prefix wins); None: no limit.
MAY_INCLUDE = {
    "common/base": ("common/base",),
    "common": ("common",),
    "proto": ("proto", "common/base", "common/crypto", "common/url"),
    "deploy/plan": ("deploy/plan", "proto", "common/base"),
    "deploy": ("deploy", "proto", "common"),
    "agent": ("agent", "deploy", "proto", "common"),
    "tests": ("tests", "agent", "deploy", "proto", "common"),
}

# System headers that betray an effect, in the pure rooms.
IMPURE = re.compile(r"<(fstream|iostream|thread|mutex|condition_variable|sys/(?!types)\S+|unistd\.h|fcntl\.h|csignal|"
                    r"signal\.h|ctime|time\.h|netinet/(?!in)\S+|dirent\.h|poll\.h|random)>")
PURE_ROOMS = ("proto", "deploy/plan", "deploy/trust")

# Library → the places whose .cpp files may see it. A name in `IN_HEADERS` may also appear in that header.
OWNERS = {
    r"boost/beast|boost/asio/buffer": ("common/http",),
    r"boost/asio": ("agent",),
    r"boost/url": ("common/url",),
    r"boost/json": ("proto", "agent", "deploy"),
    r"boost/": ("proto", "agent"),
    r"fmt/": ("common", "proto", "deploy", "agent", "tests"),
    r"spdlog/": ("common/log",),
    r"sqlite3\.h": ("common/db",),
    r"curl/": ("common/net",),
    r"openssl/": ("common/crypto", "common/net"),
    r"nettle/": ("common/crypto",),
    r"yaml-cpp/": ("proto",),
    r"prometheus/": ("agent/daemon",),
    r"CLI/": ("agent",),
    r"libmnl/|libnftnl/": ("deploy/network",),
    r"isa-l(/|\.h)|igzip_lib\.h|zstd\.h|zlib\.h|archive(_entry)?\.h|libdeflate\.h": ("deploy/image", "agent/worker"),
    r"seccomp\.h|cap-ng\.h|sys/capability\.h": ("deploy/runtime", "agent/worker"),
    r"systemd/": ("agent/daemon",),
    r"gtest/|gmock/|benchmark/": ("tests",),
}
IN_HEADERS = {
    "common/log": r"fmt/",
    "proto/json": r"boost/json",
    "tests/": r"gtest/|gmock/|fmt/",
}

FORBIDDEN = [
    (r"_clock::now\b", "take the time from a Clock (common/base/clock.hpp)"),
    (r"\b(clock_gettime|gettimeofday)\b", "take the time from a Clock (common/base/clock.hpp)"),
    (r"\bthis_thread::sleep|\b(?:usleep|nanosleep)\s*\(|(?<![\w:.>])sleep\s*\(", "wait for an event, or os::sleep_until"),
    (r"\bgetenv\b", "read the environment in common/os"),
    (r"\bstd::system\s*\(|(?<![\w:.>])system\s*\(|\bpopen\s*\(", "run programs with os::run: argv, never a shell"),
    (r"\.detach\s*\(\s*\)", "join the thread; nothing is detached"),
]
# The engine's thread answers a rollback in milliseconds: what others wrote is read, walked and parsed elsewhere, and bounded
# (packaging/doc/threat-model.md). File → what it may do nevertheless, and why.
ENGINE_THREAD = ("deploy/engine", "deploy/plan")
NOT_ON_THE_ENGINE_THREAD = [
    (r"\b(open_file|read_file|read_regular_file|write_atomic|open_in_root|open_guarded|(basic_)?[io]?fstream|filebuf|fopen|filesystem::(exists|status|canonical|is_\w+|file_size))\b|\bopen(at)?\s*\(\s*[\w\"]", "open files in a job"),
    (r"\b(recursive_)?directory_iterator\b|\bremove_tree\b|\bremove_all\b|\bopendir\b", "walk and remove trees in a job"),
    (r"\b(load_deployment|parse_deployment|parse_agent_config|yaml::read)\b", "parse documents in candidate.cpp"),
    (r"\bdiff_documents\b", "compare documents where plans are finished"),
    (r"\bos::(run|spawn)\b|\bProcess::spawn\b", "run programs in a job"),
    (r"\b(scoped_lock|lock_guard|unique_lock|shared_lock|condition_variable|std::async)\b", "wait for no lock"),
]
ON_THE_ENGINE_THREAD = {
    "deploy/plan/compare.cpp": {"diff_documents"},  # called where plans are finished (engine.cpp, `finish`)
    "deploy/engine/state/candidate.cpp": {"load_deployment"},         # called by the reader threads of engine.cpp
    "deploy/engine/state/rollback_intent.cpp": {"write_atomic", "read_regular_file"},  # one file of our own on a tmpfs, at most 16 KiB
    "deploy/engine/state/events.cpp": {"lock_guard"},      # held for one event, or a copy of at most 64
    "deploy/engine/mailbox.hpp": {"lock_guard", "unique_lock", "scoped_lock"},     # held for one message
    "deploy/requests/request_quota.cpp": {"lock_guard"},          # held for two counters
    "deploy/requests/change_rate.cpp": {"lock_guard"},            # held for some counters
    "deploy/engine/engine.cpp": {"lock_guard", "scoped_lock", "unique_lock"},     # the snapshot's pointer; where the thread waits for messages
}
# What is not included cannot be called: ports, values, and nothing that opens, walks, parses or waits.
ENGINE_INCLUDES = re.compile(r"common/(base|log)/|deploy/(engine|plan|requests)/|deploy/(image|network)/port/|deploy/ledger/ledger\.hpp$|deploy/runtime/instances\.hpp$|"
                             r"deploy/probe/prober\.hpp$|proto/(api|config|deployment|ledger|oci)/|proto/\w+\.hpp$|proto/json/writer\.hpp$|"
                             r"<(?!(basic_)?[iof]?stream|fstream|filesystem|(shared_)?mutex|future|thread|condition_variable|semaphore|latch|barrier|cstdio|fcntl|unistd|"
                             r"dirent|ftw|glob|poll|pthread|aio|netdb|sys/|boost/|fmt/os|yaml)[\w/.]+>$")
MORE_ENGINE_INCLUDES = {
    "deploy/engine/mailbox.hpp": {"<mutex>", "<condition_variable>"},  # held for one message
    "deploy/requests/request_quota.hpp": {"<mutex>"},      # held for two counters
    "deploy/requests/change_rate.hpp": {"<mutex>"},        # held for some counters
    "deploy/engine/state/events.hpp": {"<mutex>"},       # held for one event, or a copy of at most 64
    "deploy/engine/state/journal.hpp": {"<filesystem>"},          # a path, handed on
    "deploy/engine/state/rollback_intent.hpp": {"<filesystem>"},  # the same
    "deploy/engine/state/rollback_intent.cpp": {"common/os/file.hpp", "<boost/json.hpp>"},  # one file of our own on a tmpfs, at most 16 KiB
    "deploy/engine/commands/announcer.cpp": {"<boost/json.hpp>"},  # reads and writes verdicts of our own
    "deploy/plan/model/state.cpp": {"<boost/json.hpp>"},           # progress, written by us, read at the start
    "deploy/engine/state/candidate.cpp": {"common/os/time_zone.hpp"},   # called by the reader threads of engine.cpp
    "deploy/engine/state/parts.hpp": {"common/os/disk_space.hpp"},      # one call of the kernel
    "deploy/engine/state/ports.hpp": {"common/os/disk_space.hpp", "common/os/memory_signs.hpp"},  # the same; files of /proc below 4 KiB
    "deploy/engine/engine.cpp": {"<thread>", "common/os/job_pool.hpp", "common/os/process.hpp"},  # the thread itself, its jobs, its name
    # Checked in a job (`look_at_host`).
    "deploy/engine/commands/rollbacks.cpp": {"deploy/runtime/storage/config_files.hpp", "deploy/runtime/storage/host_rules.hpp",
                                             "deploy/runtime/storage/service_mounts.hpp"},
}
MAY_CALL = {"common/base": None, "common/os": None, "common/log": r"\bgetenv\b"}

UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK", "not imple" + "mented",
                                           "unimple" + "mented"]) + r")\b(?! \(#\d+\))")
MAX_LINES = 500


def files(root, *, under=(), suffixes=None):
    """Every file of the tree but build directories, sorted."""
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        parts = relative.parts
        if parts[0].startswith("build") or SKIPPED & set(parts) or path.is_symlink() or not path.is_file():
            continue
        if under and parts[0] not in under:
            continue
        if suffixes and path.suffix not in suffixes:
            continue
        yield relative


def read(root, relative):
    return (root / relative).read_text(encoding="utf-8", errors="replace")


def code_lines(text):
    """Lines with comments and the insides of literals blanked, so that words in them do not count."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)
    blank = pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)
    return blank.split("\n")


def longest(table, place):
    hits = [key for key in table if (place + "/").startswith(key.rstrip("/") + "/")]
    return max(hits, key=len) if hits else None


def includes(root, relative):
    for number, line in enumerate(read(root, relative).split("\n"), 1):
        found = re.match(r'\s*#\s*include\s+(?:"([^"]+)"|(<[^>]+>))', line)
        if found:
            yield number, found.group(1), found.group(2)


def targets(root):
    """Folder → (target, direct DEPS, stems left out of its library), as the CMake files say."""
    rooms = {}
    for relative in files(root, under=ROOMS, suffixes={".txt"}):
        text = re.sub(r"#[^\n]*", "", read(root, relative))
        found = re.search(r"holdfast_library\(\s*(\w+)(.*?)\)", text, re.S)
        plain = re.search(r"add_library\(\s*(holdfast_\w+) STATIC", text)
        if found:
            deps = re.search(r"\bDEPS\b(.*?)(?:\bPRIVATE\b|\bEXCLUDE\b|$)", found.group(2), re.S)
            left_out = re.search(r"\bEXCLUDE\b(.*?)(?:\bPRIVATE\b|\bDEPS\b|$)", found.group(2), re.S)
            names = re.findall(r"holdfast_\w+", deps.group(1)) if deps else []
            stems = set(re.findall(r"(\w+)\.cpp", left_out.group(1))) if left_out else set()
            rooms[str(relative.parent)] = ("holdfast_" + found.group(1), names, stems)
        elif plain:
            links = re.search(rf"target_link_libraries\(\s*{plain.group(1)}\b(.*?)\)", text, re.S)
            names = re.findall(r"holdfast_\w+", links.group(1)) if links else []
            rooms[str(relative.parent)] = (plain.group(1), names, set())
    return rooms


def generated(root, include):
    """True for a header that the CMake file of its folder makes."""
    cmake = root / Path(include).parent / "CMakeLists.txt"
    return cmake.is_file() and Path(include).name in cmake.read_text()


def closure(rooms):
    """Target → every target it may see through its DEPS."""
    direct = {name: deps for name, deps, _ in rooms.values()}
    seen = {}

    def visit(name):
        if name not in seen:
            seen[name] = set()
            for dep in direct.get(name, []):
                seen[name] |= {dep} | visit(dep)
        return seen[name]

    for name in direct:
        visit(name)
    return seen


def layers(root, _):
    """Includes point one way: by the table above, and by the DEPS of each room."""
    rooms = targets(root)
    reach = closure(rooms)
    for relative in files(root, under=ROOMS + ("tests",), suffixes=CODE):
        place = str(relative.parent)
        allowed = MAY_INCLUDE[longest(MAY_INCLUDE, place) or "tests"]
        own = longest(rooms, place)
        for number, house, system in includes(root, relative):
            if system:
                if longest({room: 0 for room in PURE_ROOMS}, place) and IMPURE.match(system):
                    yield f"{relative}:{number}: {system} in a pure room: move the effect behind a port in deploy/"
                continue
            where = str(Path(house).parent)
            if "/" not in house or not ((root / house).exists() or generated(root, house)):
                yield f"{relative}:{number}: \"{house}\" is not rooted at the top of the house or does not exist"
            elif not longest({prefix: 0 for prefix in allowed}, where):
                yield f"{relative}:{number}: {place} must not include {house}: dependencies point agent → deploy → proto → common"
            elif relative.parts[0] in ROOMS and own and relative.stem not in rooms[own][2]:
                theirs = longest(rooms, where)
                name = rooms[own][0]
                if theirs and theirs != own and rooms[theirs][0] not in reach[name]:
                    yield f"{relative}:{number}: {house} belongs to {rooms[theirs][0]}, which is not among the DEPS of {name}"


def calls(root, _):
    """Clocks, sleeps, the environment and shells only where they are wrapped."""
    for relative in files(root, under=ROOMS, suffixes=CODE):
        exempt = longest(MAY_CALL, str(relative.parent))
        for number, line in enumerate(code_lines(read(root, relative)), 1):
            for pattern, instead in FORBIDDEN:
                found = re.search(pattern, line)
                if not found or (exempt and (MAY_CALL[exempt] is None or re.search(MAY_CALL[exempt], found.group()))):
                    continue
                yield f"{relative}:{number}: forbidden call {found.group().strip()}: {instead}"


def engine_thread(root, _):
    """Decisions open, walk, parse and wait for nothing: deploy/README.md has the table of what is read beside them."""
    for relative in files(root, under=("deploy",), suffixes=CODE):
        if not longest({room: 0 for room in ENGINE_THREAD}, str(relative.parent)):
            continue
        for number, ours, system in includes(root, relative):
            header = ours or system
            if not ENGINE_INCLUDES.match(header) and header not in MORE_ENGINE_INCLUDES.get(str(relative), set()):
                yield f"{relative}:{number}: {header} on the engine's thread: ask a port, or do it in a job"
        allowed = ON_THE_ENGINE_THREAD.get(str(relative), set())
        for number, line in enumerate(code_lines(read(root, relative)), 1):
            if line.lstrip().startswith("#"):
                continue
            for pattern, instead in NOT_ON_THE_ENGINE_THREAD:
                found = re.search(pattern, line)
                if found and not any(word in found.group() for word in allowed):
                    yield f"{relative}:{number}: {found.group().strip()} on the engine's thread: {instead}"
    yield from engine_calls.check(root, code_lines, files)


def headers(root, _):
    """Third-party headers stay in the .cpp files of the folder that owns the library; headers say #pragma once."""
    for relative in files(root, under=ROOMS + ("tests",), suffixes=CODE):
        place = str(relative.parent)
        if relative.suffix == ".hpp" and "#pragma once" not in read(root, relative):
            yield f"{relative}:1: no #pragma once"
        for number, _, system in includes(root, relative):
            owner = next((key for key in OWNERS if system and re.match(key, system[1:])), None)
            if not owner:
                continue
            key = longest(IN_HEADERS, place)
            if relative.suffix in {".hpp", ".h"} and not (key and re.match(IN_HEADERS[key], system[1:])):
                yield f"{relative}:{number}: {system} in a header: keep it in the .cpp"
            if relative.parts[0] != "tests" and not longest({room: 0 for room in OWNERS[owner]}, place):
                yield f"{relative}:{number}: {system} belongs to {', '.join(OWNERS[owner])}: call that folder instead"


def spaces(root, _):
    """Namespace = folder."""
    for relative in files(root, under=ROOMS, suffixes={".hpp"}):
        parts = relative.parts
        wanted = {"common": parts[1:2] if parts[1] != "base" else (), "proto": ("proto",), "deploy": parts[:2],
                  "agent": parts[:2]}[parts[0]]
        if len(parts) == 2:
            wanted = parts[:1]
        name = "::".join(("holdfast",) + tuple(wanted))
        if not re.search(rf"^namespace {name}(::\w+)* {{", read(root, relative), re.M):
            yield f"{relative}:1: nothing in namespace {name}: folder = namespace"


def registered(root, build):
    """Every *_test.cpp and every e2e test is known to ctest."""
    if not build:
        yield "lint: --build is needed to ask ctest what it knows"
        return
    listing = subprocess.run(["ctest", "-N", "--test-dir", build], capture_output=True, text=True, check=False)
    known = set(re.findall(r"Test\s+#\d+: (\S+)", listing.stdout))
    for relative in files(root, under=("tests",)):
        name = str(relative)[len("tests/"):]
        if name.endswith("_test.cpp") and name[:-len("_test.cpp")] not in known:
            yield f"{relative}:1: ctest does not know {name[:-len('_test.cpp')]}: configure again, or fix the layer's folder"
        if name.startswith("e2e/") and name.endswith("_test.py") and name[:-len("_test.py")] not in known:
            yield f"{relative}:1: ctest does not know {name[:-len('_test.py')]}: configure again"


def readmes(root, _):
    """A README.md of one screen (at most 80 lines) in each folder that is a CMake target, and in the shell folders."""
    wanted = {Path(room) for room in ROOMS + ("tests", "packaging")}
    for relative in files(root, under=ROOMS + ("tests", "packaging")):
        if relative.name == "CMakeLists.txt" or (relative.parts[0] == "packaging" and len(relative.parts) > 2):
            wanted.add(relative.parent)
    for folder in sorted(wanted):
        if not (root / folder).is_dir():
            continue
        readme = root / folder / "README.md"
        if not readme.is_file():
            yield f"{folder}/README.md: missing: purpose, main types, one diagram, decisions with date and reason"
        elif folder.parts[0] in ROOMS and len(readme.read_text().split("\n")) > 80:
            yield f"{folder}/README.md: longer than one screen (80 lines)"


def house(root, _):
    """Top-level names, file lengths, unfinished work, paths and registries of one machine."""
    for entry in sorted(root.iterdir()):
        if not entry.name.startswith((".", "build")) and entry.name not in TOP_LEVEL:
            yield f"{entry.name}: the top level has no room for it"
    hosts = set()
    for source in [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]:
        if source.is_file():
            hosts |= set(re.findall(r"https?://([^/\s]+)", source.read_text(errors="replace")))
    hosts = {host for host in hosts if not host.endswith(".debian.org")}  # the distribution's own are nobody's secret
    machine = re.compile("|".join([r"\.pyenv", *map(re.escape, sorted(hosts))]))
    for relative in files(root, suffixes=TEXT):
        text = read(root, relative)
        lines = text.split("\n")
        if relative.suffix in CODE and len(lines) > MAX_LINES + 1:
            yield f"{relative}:{MAX_LINES}: {len(lines)} lines: split it (hard limit {MAX_LINES})"
        for number, line in enumerate(lines, 1):
            if relative.parts[:2] != ("tests", "lint") and machine.search(line):
                yield f"{relative}:{number}: a path or host of one machine: {machine.search(line).group()}"
            if UNFINISHED.search(line):
                yield f"{relative}:{number}: unfinished work: finish it, or name its issue as (#N)"


# In pieces: who searches for tests that can skip must not find this.
CAN_SKIP = re.compile("DISABLED" + "_|GTEST" + "_SKIP|SkipTest|skipTest|exit\\(77\\)|\\bexit 77\\b")


def skips(root, _):
    """Tests that can skip are listed in tests/README.md by name."""
    listed = read(root, Path("tests/README.md")) if (root / "tests/README.md").exists() else ""
    for relative in files(root, under=("tests",), suffixes=CODE | {".py", ".sh"}):
        if relative.parts[:2] == ("tests", "lint"):
            continue
        for number, line in enumerate(read(root, relative).split("\n"), 1):
            if CAN_SKIP.search(line) and relative.name not in listed:
                yield f"{relative}:{number}: can skip, and tests/README.md does not say when {relative.name} may"


def named_tests(root, table, number, text):
    """Complaints about tests that a table names as `folder/file: Name` and that are not there."""
    for place, name in re.findall(r"`([\w/]+): (\w+)`", text):
        found = [path for path in (root / f"tests/{place}_test.cpp", root / f"tests/{place}_test.py") if path.is_file()]
        if not found:
            yield f"{table}:{number}: there is no tests/{place}_test.*"
        elif not re.search(rf"\b{name}\b", found[0].read_text(encoding="utf-8")):
            yield f"{table}:{number}: {found[0].name} has no {name}"


def matrix(root, _):
    """tests/FAULTS.md has every row of the fault matrix; the tests that it and the table of bounds name are there."""
    bounds = Path("deploy/README.md")
    for number, line in enumerate(read(root, bounds).split("\n"), 1):
        yield from named_tests(root, bounds, number, line)
    table = Path("tests/FAULTS.md")
    seen = set()
    for number, line in enumerate(read(root, table).split("\n"), 1):
        row = re.match(r"\| (F-\d\d) \| [^|]+ \| (.+) \|$", line)
        if not row:
            if line.startswith("| F-"):
                yield f"{table}:{number}: not \"| F-nn | fault | tests |\""
            continue
        seen.add(row.group(1))
        named = re.findall(r"`([\w/]+): (\w+)`", row.group(2))
        if not named and not re.search(r"cannot be|comes with", row.group(2)):
            yield f"{table}:{number}: {row.group(1)} names no test and no reason"
        yield from named_tests(root, table, number, row.group(2))
    for row in range(1, LAST_FAULT + 1):
        if f"F-{row:02}" not in seen:
            yield f"{table}: F-{row:02} is missing: name its test, or why there is none"

CITED = re.compile(r"(?<![\w./-])((?:[\w.-]+/)*[\w.-]+\.md)\b((?:`?\s+\d+(?:\.\d+)*(?:(?:,| and| to)\s+\d+(?:\.\d+)*)*(?![\w-]))?)")
CITED_ID = re.compile(r"(?<![\w.-])[RTFI]-\d+(?:\.\d+)?(?![\w-])")
LINKED = re.compile(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)")
DEFINED_ID = re.compile(r"^(?:\| |- |  )?(?:\*\*)?([RTFI]-\d+(?:\.\d+)?)\b|\*\*([RTFI]-\d+(?:\.\d+)?)\*\*", re.M)
NEXT_LINE = re.compile(r"\n[ \t]*(?:///?|#|--|\*)?[ \t]*(?![ \t]*(?:[-*|#]|\d+\. ))")


def sections(text):
    """Numbers of the headings of a document: "## 4. The engine" is 4, "### 2.3 Layers" is 2.3."""
    return set(re.findall(r"^#{2,3} (\d+(?:\.\d+)*)\b", text, re.M))


def citations(root, _):
    """Cited .md files are there, with the sections cited of them; ids of rules, attacks and faults are defined; links lead somewhere."""
    defined = set()
    if (root / RULES).is_file():
        defined = {a or b for a, b in DEFINED_ID.findall(read(root, RULES))}
    for relative in files(root, suffixes=CODE | {".md", ".py", ".sql", ".cmake", ".txt", ".sh", ".yaml", ".service"}):
        if relative == Path("tests/lint/selftest.py") or relative.parts[:3] == ("tests", "fuzz", "corpus"):
            continue
        text = read(root, relative)
        flat = NEXT_LINE.sub(lambda m: " " * len(m.group()), text)  # a citation may go over the end of a line of a comment
        for found in CITED.finditer(flat):
            number = text.count("\n", 0, found.start()) + 1
            name, numbers = found.group(1), re.findall(r"\d+(?:\.\d+)*", found.group(2))
            if not numbers and name in FOREIGN_PAPERS:
                continue
            paper = next((place for place in (root / name, root / relative.parent / name) if place.is_file()), None)
            if paper is None:
                yield f"{relative}:{number}: cites {name}, which is not in the repository: write its path from the top, or cite what is"
                continue
            for missing in sorted(set(numbers) - sections(paper.read_text(encoding="utf-8"))):
                yield f"{relative}:{number}: {name} has no section {missing}"
        for found in CITED_ID.finditer(text):
            if found.group() not in defined:
                yield f"{relative}:{text.count(chr(10), 0, found.start()) + 1}: {RULES} does not define {found.group()}"
        for found in LINKED.finditer(text) if relative.suffix == ".md" else ():
            if not (root / relative.parent / found.group(1)).exists():
                yield f"{relative}:{text.count(chr(10), 0, found.start()) + 1}: a link to {found.group(1)}, which is not there"


def shell(root, _):
    """shellcheck of every script with a shell's first line; each must be executable or a library."""
    scripts = []
    for relative in files(root):
        with open(root / relative, "rb") as stream:
            first = stream.readline(80)
        if re.match(rb"#!.*\b(bash|sh|dash)\b", first) or relative.suffix == ".sh":
            scripts.append(str(relative))
    if not scripts:
        return
    run = subprocess.run(["shellcheck", "--format=gcc", *scripts], cwd=root, capture_output=True, text=True, check=False)
    yield from filter(None, (run.stdout + run.stderr).split("\n"))


def packages(root, _):
    """packaging/dependencies installs each package that it names, also of a set with several lines."""
    script = root / "packaging/dependencies"
    if not script.exists():
        return
    cases = re.search(r"^packages_of\(\) \{(.*?)^\}", script.read_text(encoding="utf-8"), re.S | re.M).group(1)
    for name, body in re.findall(r"^ +(\w+)\) (echo .*?);;", cases, re.S | re.M):
        run = subprocess.run(["bash", script, "--list", name], capture_output=True, text=True, check=False)
        listed = set(run.stdout.split("\n"))
        for word in re.findall(r"(?<=\s)[\w\"$.+-]+", re.sub(r"\[.*?\]|\becho\b", " ", body)):
            known = re.compile(word.replace('"', "").replace(".", r"\.").replace("+", r"\+").replace("$boost", r"[\d.]+"))
            if not any(map(known.fullmatch, listed)):
                yield f"packaging/dependencies: the set {name} does not list {word}: on a fresh machine it would be missing {run.stderr.strip()}"


CHECKS = {check.__name__: check for check in
          (layers, calls, engine_thread, headers, spaces, registered, readmes, house, skips, matrix, citations, shell, packages)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checks", nargs="+", choices=[*CHECKS, "all"])
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--build")
    options = parser.parse_args()
    names = list(CHECKS) if "all" in options.checks else options.checks
    faults = [fault for name in names for fault in CHECKS[name](options.root.resolve(), options.build)]
    for fault in faults:
        print(fault)
    print(f"{', '.join(names)}: {len(faults) or 'no'} fault{'' if len(faults) == 1 else 's'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
