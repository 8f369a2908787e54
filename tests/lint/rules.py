#!/usr/bin/python3
"""Holds packaging/prometheus to the metrics that exist, to its runbook, and to a firing and a silent case for each alert.

usage: rules.py [--root DIR] [--build DIR]       with a build, the commands in the runbook are asked for their help

Each fault is one line; any line fails.
"""
import argparse
import re
import subprocess
import sys
from pathlib import Path

import yaml

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import metrics_table  # noqa: E402
import promql  # noqa: E402

FOLDER, RULES, RUNBOOK = "packaging/prometheus", "packaging/prometheus/holdfast.rules.yml", "packaging/doc/alerts.md"
PACKAGE = "packaging/deb/rules"
SEVERITIES = {"critical", "warning", "info"}
ANNOTATIONS = {"summary", "description", "runbook_url"}


def all_rules(root):
    return [rule for group in yaml.safe_load((root / RULES).read_text())["groups"] for rule in group["rules"]]


def recorded(rules):
    """Name → labels of what is recorded: its level says them, by the convention level:metric:operation."""
    return {rule["record"]: [label for label in rule["record"].split(":")[0].split("_") if label not in ("job", "instance")]
            for rule in rules if "record" in rule}


def promtool(root):
    yield from said(root, ["check", "rules", "--lint=all", "--lint-fatal", RULES])
    for tests in sorted((root / FOLDER).glob("*.tests.yml")):
        yield from said(root, ["test", "rules", tests])


def said(root, arguments):
    done = subprocess.run(["promtool", *arguments], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        yield f"promtool {' '.join(map(str, arguments))}: {done.stdout}{done.stderr}".strip()


def names(root):
    rules, table = all_rules(root), metrics_table.read(root)
    for rule in rules:
        for fault in promql.misnamed(rule["expr"], table, recorded(rules)):
            yield f"{RULES}: {rule.get('alert') or rule['record']}: {fault}"


def sections(root):
    """Name of each section of the runbook → its text."""
    parts = re.split(r"^### (\w+)$", (root / RUNBOOK).read_text(), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def annotations(root):
    alerts, pages = [rule for rule in all_rules(root) if "alert" in rule], sections(root)
    for rule in alerts:
        where, name = f"{RULES}: {rule['alert']}", rule["alert"]
        if rule["labels"].get("severity") not in SEVERITIES:
            yield f"{where}: severity is none of {', '.join(sorted(SEVERITIES))}"
        if set(rule["annotations"]) != ANNOTATIONS:
            yield f"{where}: annotations are not {', '.join(sorted(ANNOTATIONS))}"
        if not rule["annotations"].get("runbook_url", "").endswith(f"/alerts.md#{name.lower()}"):
            yield f"{where}: runbook_url does not lead to its section"
        if "`" not in pages.get(name, ""):
            yield f"{RUNBOOK}: {name} has no section with a command"
    for name in set(pages) - {rule["alert"] for rule in alerts}:
        yield f"{RUNBOOK}: {name} is no alert"


def cases(root):
    """Which alerts have a case in which they fire, and one in which something near does not."""
    fires, silent = set(), set()
    for path in (root / FOLDER).glob("*.tests.yml"):
        for case in yaml.safe_load(path.read_text())["tests"]:
            instances = {found for each in case["input_series"] for found in re.findall(r'instance="(\w+)"', each["series"])}
            for test in case["promql_expr_test"]:
                for alert in re.findall(r'ALERTS\{alertname="(\w+)",alertstate="firing"\}', test["expr"]):
                    told = str(test["exp_samples"])
                    if told != "[]":
                        fires.add(alert)
                    if told == "[]" or any(f'instance="{each}"' not in told for each in instances):
                        silent.add((alert, told == "[]"))
    for rule in all_rules(root):
        name = rule.get("alert")
        if name and name not in fires:
            yield f"{FOLDER}: no case in which {name} fires"
        if name and not {(name, True), (name, False)} <= silent:
            yield f"{FOLDER}: no case in which {name} is silent: too early, and on a host beside"


def commands(root, build):
    """The commands of the runbook exist, with the options that it gives them."""
    text = (root / RUNBOOK).read_text()
    for line in sorted(set(re.findall(r"`(holdfast [a-z][^`|]*)", text))):
        words = line.split()
        path = [word for word in words[1:3] if re.fullmatch("[a-z]+", word)]
        path = path if words[1] in ("ledger", "quarantine", "image", "standby") else path[:1]
        done = subprocess.run([Path(build) / "bin/holdfast", *path, "--help"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            yield f"{RUNBOOK}: there is no {line}"
        for option in re.findall(r"(?<=\s)--?[a-z][a-z-]*", re.sub(r'"[^"]*"', "", line)):
            if not re.search(rf"(?:^|[\s,]){option}\b", done.stdout):
                yield f"{RUNBOOK}: {line}: there is no {option}"


def installed(root):
    """Paths below /usr/share that the package installs: each line of install(1) in packaging/deb/rules, joined and with its pattern met."""
    text = (root / PACKAGE).read_text().replace("\\\n", " ")
    for target, sources in re.findall(r"^\tinstall -D -m 0644 -t \$\(agent\)(/usr/share/\S+) (.+)$", text, re.M):
        for source in sources.split():
            yield from (f"{target}/{path.name}" for path in root.glob(source))


def paths(root):
    """Whoever reads the runbook on a host has the package, not the repository: what it names is installed there."""
    text, there = (root / RUNBOOK).read_text(), set(installed(root))
    for named in sorted(set(re.findall(r"/usr/share/[\w./-]+\w", text)) - there):
        yield f"{RUNBOOK}: {PACKAGE} does not install {named}"
    for named in sorted(set(re.findall(r"\bpackaging/[\w./-]+", text))):
        yield f"{RUNBOOK}: {named} is not on a host: name where it is installed"
    for page in {rule["annotations"]["runbook_url"].removeprefix("file://").split("#")[0] for rule in all_rules(root) if "alert" in rule} - there:
        yield f"{RULES}: {PACKAGE} does not install {page}"


CHECKS = (names, annotations, paths, cases, promtool)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--build")
    options = parser.parse_args()
    root = options.root.resolve()
    faults = [fault for check in CHECKS for fault in check(root)]
    if options.build:
        faults += commands(root, options.build)
    print("\n".join([*faults, f"rules: {len(faults) or 'no'} faults"]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
