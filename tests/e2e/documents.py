"""Pages of packaging/doc whose `console` blocks are run: what a page shows is what a reader gets.

A page is a story in an empty directory with an agent that runs nothing yet. Of its fenced blocks
  ```yaml with `# NAME.yaml` as its first line   is written to that file;
  ```console                                     each `$ COMMAND` is run by bash, what follows is what it has to print;
  ```text                                        is for reading only. Anything else is a fault of the page.
What differs from run to run (times, digests, pids) is compared by its shape. HOLDFAST_WRITE=1 writes what was printed into the page."""
import os
import re
import subprocess
from pathlib import Path

# A shape, what has it, and what stands for it when it is compared.
SHAPES = [
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?"), "<when>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<digest>"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "<short digest>"),
    (re.compile(r"\b([a-z]+)-[0-9a-f]{8}-(\d+)\b"), r"\1-<hash>-\2"),
    (re.compile(r"\b\d+(\.\d+)?(ms|[smhd])\b"), "<time>"),
    (re.compile(r"\b(just )?now\b|<time> ago"), "<ago>"),
    (re.compile(r"\b\d+(\.\d+)? (B|[KMG]iB)\b"), "<size>"),
    (re.compile(r"\b10\.\d+\.\d+\.\d+\b"), "<address>"),
    (re.compile(r"(Pid +)\d+"), r"\1<pid>"),
    (re.compile(r"\b\d+ entries, head \d+"), "<entries>"),
    (re.compile(r"^· pulling .*\n", re.M), ""),  # as many as the network is slow
    (re.compile(r" +"), " "),  # columns are as wide as what is in them
]


def shape(text):
    for pattern, stands in SHAPES:
        text = pattern.sub(stands, text)
    return [line.strip() for line in text.strip().splitlines()]


class Block:
    def __init__(self, kind, lines, number):
        self.kind, self.lines, self.number = kind, lines, number

    def steps(self):
        """Pairs of a command and what is shown below it."""
        steps = []
        for line in self.lines:
            if line.startswith("$ "):
                steps.append((line[2:], []))
            elif not steps:
                raise AssertionError(f"line {self.number}: a console block begins with a command: $ …")
            else:
                steps[-1][1].append(line)
        return steps


def blocks_of(text):
    blocks, kind, lines = [], None, []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            if kind is None:
                kind, lines = line[3:].strip(), []
            else:
                blocks.append(Block(kind, lines, number - len(lines)))
                kind = None
        elif kind is not None:
            lines.append(line)
    if kind is not None:
        blocks.append(Block("open", lines, len(text.splitlines())))
    return blocks


class Page:
    """`places`: what stands in the page, and what it is here (the registry, images, a port)."""

    def __init__(self, path, folder, environment, places):
        self.path, self.folder, self.environment, self.places = path, Path(folder), environment, places
        self.text = path.read_text(encoding="utf-8")

    def here(self, text):
        for there, here in self.places:
            text = text.replace(there, here)
        return text

    def there(self, text):
        for there, here in self.places:
            text = text.replace(here, there)
        return text

    def run(self, command):
        done = subprocess.run(["bash", "-c", self.here(command)], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
        return self.there(done.stdout)

    def faults(self):
        """Runs the page; what is not as it says. Each further step builds on those before, so the first fault tells most."""
        faults, written = [], self.text
        for block in blocks_of(self.text):
            where = f"{self.path.name}:{block.number}"
            if block.kind == "yaml" and (named := re.fullmatch(r"# ([\w.-]+\.yaml)", block.lines[0])):
                (self.folder / named.group(1)).write_text(self.here("\n".join(block.lines) + "\n"))
            elif block.kind == "console":
                shown = []
                for command, expected in block.steps():
                    printed = self.run(command)
                    shown += [f"$ {command}", *printed.rstrip("\n").splitlines()]
                    if shape(printed) != shape("\n".join(expected)):
                        faults.append(f"{where}: $ {command}\n--- the page\n" + "\n".join(expected) + f"\n--- here\n{printed}")
                written = written.replace("\n".join(["```console", *block.lines, "```"]), "\n".join(["```console", *shown, "```"]), 1)
            elif block.kind == "open":
                faults.append(f"{where}: a block that does not end")
            elif block.kind != "text":
                faults.append(f"{where}: a block is console, text, or yaml with # NAME.yaml on its first line")
        if os.environ.get("HOLDFAST_WRITE") == "1":
            self.path.write_text(written, encoding="utf-8")
            return []
        return faults
