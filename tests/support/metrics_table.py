"""packaging/doc/metrics.md, read back: what the agent serves, and which values its labels have."""
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGE = "packaging/doc/metrics.md"


class Row(NamedTuple):
    kind: str  # gauge, counter, histogram
    labels: list


class Table(NamedTuple):
    metrics: dict  # name → Row
    values: dict   # (name, label) → the words of a closed list


def read(root=ROOT):
    metrics, values = {}, {}
    text = (Path(root) / PAGE).read_text()
    tables, lists = text.split("## Values of labels")
    for name, kind, labels in re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w ]*) \|", tables, re.M):
        metrics[name] = Row(kind, labels.split())
    for name, label, words in re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \|", lists, re.M):
        values[name, label] = words.split()
    return Table(metrics, values)


def labels(line):
    """The labels of a sample in the text format, in order."""
    return tuple(re.findall(r'(\w+)="((?:[^"\\\\]|\\\\.)*)"', line.split("} ")[0]))
