"""What a PromQL expression selects. Only its selectors are understood: whether it is PromQL at all, promtool says (`not_promql`)."""
import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

TOKEN = re.compile(r'\s+|(?P<string>"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\')|(?P<range>\[[^\]]*\])|(?P<word>[a-zA-Z_:][\w:]*)|'
                   r"(?P<number>\d[\w.]*)|(?P<operator>=~|!~|!=|==|<=|>=|[-+*/%^=<>(){},@$])")
GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
KEYWORDS = GROUPING | {"and", "or", "unless", "bool", "offset", "atan2", "inf", "nan"}


class Selector(NamedTuple):
    metric: str
    matchers: list   # (label, operator, value)
    range: str       # "5m"; "" without one
    caller: str      # the function or aggregation whose argument it is; "" at the top


class Expression(NamedTuple):
    selectors: list
    grouping: list   # labels in by (…), on (…), …


def tokens(text):
    at = 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if not match:
            raise ValueError(f"at {at} of {text!r}: {text[at:at + 20]!r}")
        at = match.end()
        if match.lastgroup:
            yield match.lastgroup, match.group()


def read(text):
    stream, selectors, grouping, callers = list(tokens(text)), [], [], []
    i = 0

    def value(index):
        return stream[index][1] if index < len(stream) else ""

    while i < len(stream):
        kind, word = stream[i]
        if kind == "word" and word in GROUPING and value(i + 1) == "(":
            end = next(j for j in range(i, len(stream)) if stream[j][1] == ")")
            grouping += [each for of, each in stream[i + 2:end] if of == "word"]
            i = end
        elif word == "(":
            before = i - 1
            # sum by (a) (x): the function stands before its grouping
            if value(before) == ")" and before >= 0:
                opened = max(j for j in range(before) if stream[j][1] == "(")
                if opened > 0 and stream[opened - 1][1] in ("by", "without"):
                    before = opened - 2
            named = before >= 0 and stream[before][0] == "word" and stream[before][1] not in KEYWORDS
            callers.append(stream[before][1] if named else (callers[-1] if callers else ""))
        elif word == ")" and callers:
            callers.pop()
        elif kind == "word" and word not in KEYWORDS and value(i + 1) not in ("(",) and not (value(i + 1) in GROUPING):
            matchers, span = [], ""
            if value(i + 1) == "{":
                i += 2
                while value(i) != "}":
                    if stream[i][0] == "word":
                        matchers.append((value(i), value(i + 1), value(i + 2)[1:-1]))
                        i += 2
                    i += 1
            if i + 1 < len(stream) and stream[i + 1][0] == "range":
                span = value(i + 1)[1:-1]
                i += 1
            selectors.append(Selector(word, matchers, span, callers[-1] if callers else ""))
        i += 1
    return Expression(selectors, grouping)


def not_promql(expressions):
    """What promtool says of those that are none."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rules.yml"
        rules = [{"record": f"expression:{number}", "expr": text} for number, text in enumerate(expressions)]
        path.write_text(json.dumps({"groups": [{"name": "all", "rules": rules}]}))
        done = subprocess.run(["promtool", "check", "rules", "--lint=none", path], capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else done.stdout + done.stderr


def misnamed(text, table, recorded):
    """Faults of an expression: metrics and labels that nobody serves, words that a closed list does not have.
    `recorded`: name → labels of recording rules."""
    read_text = read(text)
    served = {"job", "instance"}
    for selector in read_text.selectors:
        name = selector.metric
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        if name in recorded:
            labels = recorded[name]
        elif name == "up":
            labels = []
        elif base != name and base in table.metrics and table.metrics[base].kind == "histogram":
            name, labels = base, table.metrics[base].labels + ["le"]
        elif name in table.metrics and table.metrics[name].kind != "histogram":
            labels = table.metrics[name].labels
        else:
            yield f"{name} is no metric of packaging/doc/metrics.md"
            continue
        served |= set(labels)
        for label, operator, value in selector.matchers:
            if label not in [*labels, "job", "instance"]:
                yield f"{name} has no label {label}"
            known = table.values.get((name, label))
            if known is None or value.startswith("$"):
                continue
            wanted = value.split("|") if operator in ("=~", "!~") else [value]
            for word in wanted:
                if not any(re.fullmatch(word, each) for each in known):
                    yield f"{name}: {label} is never {word}"
    for label in read_text.grouping:
        if label not in served:
            yield f"nothing in {text!r} has the label {label}"
