#!/usr/bin/python3
"""Holds packaging/grafana to the rules of the public dashboard linter, to the metrics that exist, and to its generator.

usage: dashboards.py [--root DIR]

The rules are those of github.com/grafana/dashboard-linter as of 2026-06, with their names; what is ours is below them. Each fault is a
line; any line fails. There are no exclusions.
"""
import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import metrics_table  # noqa: E402
import promql  # noqa: E402

FOLDER = "packaging/grafana"
# Of Grafana's list of units, those that we use; `none` is one.
UNITS = {"none", "short", "bytes", "Bps", "s", "ops", "percentunit", "dateTimeFromNow"}
GRAPHS = {"singlestat", "graph", "table", "timeseries"}
TITLED = GRAPHS | {"stat", "gauge"}
QUERIED = {"singlestat", "gauge", "table", "stat", "state-timeline", "timeseries"}
JOB, INSTANCE = ("job", "=~", "$job"), ("instance", "=~", "$instance")
MOST_OPEN, COLUMNS = 14, 24
SAMPLES = {"$__rate_interval": "5m", "$__range": "6h", "$__interval": "1m", "$datasource": "prometheus"}


def plain(expression):
    """With a value in place of each variable, as a parser needs it."""
    for name, value in SAMPLES.items():
        expression = expression.replace(name, value)
    return re.sub(r"\$\w+", "x", expression)


def panels_of(board):
    """All panels, those of closed rows as well, and none of the rows."""
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def targets_of(board, kinds=frozenset(QUERIED)):
    for panel in panels_of(board):
        if panel["type"] in kinds:
            for target in panel["targets"]:
                yield panel, target


def variables_of(board, kind="query"):
    return [each for each in board["templating"]["list"] if each["type"] == kind]


# --- the linter's rules: each yields what is wrong ---

def template_datasource_rule(board):
    sources = variables_of(board, "datasource")
    if not sources:
        yield "no variable of type datasource"
    if len(sources) == 1:
        if sources[0]["name"] not in ("datasource", "prometheus_datasource"):
            yield f"the data source variable is called {sources[0]['name']}"
        if sources[0]["label"] not in ("Data source", "Prometheus data source"):
            yield f"its label is {sources[0]['label']}"


def of_all_hosts(board, name, label):
    sources = variables_of(board, "datasource")
    if not sources or sources[0]["query"] != "prometheus":
        return
    found = [each for each in board["templating"]["list"] if each["name"] == name]
    if not found:
        yield f"no variable {name}"
        return
    variable = found[0]
    if variable["type"] != "query":
        yield f"{name} is of type {variable['type']}"
    if variable["datasource"]["uid"] not in ("$datasource", "${datasource}", "$prometheus_datasource", "${prometheus_datasource}"):
        yield f"the data source of {name} is {variable['datasource']['uid']}"
    if variable["label"] != label:
        yield f"the label of {name} is {variable['label']}"
    if variable["multi"] is not True:
        yield f"{name} takes one value"
    if variable["allValue"] != ".+":
        yield f"all of {name} is {variable['allValue']!r}, not .+"


def template_job_rule(board):
    yield from of_all_hosts(board, "job", "Job")


def template_instance_rule(board):
    yield from of_all_hosts(board, "instance", "Instance")


def template_label_promql_rule(board):
    for variable in variables_of(board):
        query = variable["query"]["query"]
        match = re.fullmatch(r"(label_values|label_names|metrics|query_result)\((.*)\)", query)
        if not match:
            yield f"{variable['name']}: {query} is no query of labels"
            continue
        inside = re.sub(r",\s*\w+$", "", match.group(2)) if match.group(1) == "label_values" else match.group(2)
        if inside and (bad := promql.not_promql([plain(inside)])):
            yield f"{variable['name']}: {bad}"


def template_on_time_change_reload_rule(board):
    for variable in variables_of(board):
        if variable["refresh"] != 2:
            yield f"{variable['name']} is not read again when the time changes"


def panel_datasource_rule(board):
    for panel in panels_of(board):
        if panel["type"] in GRAPHS and panel["datasource"].get("uid") not in ("$datasource", "${datasource}"):
            yield f"{panel['title']}: the data source is {panel['datasource']}"


def panel_title_description_rule(board):
    for panel in panels_of(board):
        if panel["type"] in TITLED and not (panel["title"].strip() and panel["description"].strip()):
            yield f"panel {panel['id']} {panel['title']!r} has no title or no description"


def panel_units_rule(board):
    for panel in panels_of(board):
        config = panel["fieldConfig"]
        if panel["type"] not in TITLED or config["defaults"].get("mappings"):
            continue
        if panel["type"] == "stat" and panel["options"]["reduceOptions"]["fields"]:
            continue
        units = [config["defaults"].get("unit")] + [p["value"] for o in config["overrides"] for p in o["properties"] if p["id"] == "unit"]
        if not UNITS & set(units):
            yield f"{panel['title']}: unit {units} is none of Grafana's"


def panel_no_targets_rule(board):
    for panel in panels_of(board):
        if panel["type"] in TITLED and not panel["targets"]:
            yield f"{panel['title']} asks nothing"


def target_promql_rule(board):
    for panel, target in targets_of(board):
        if not target["expr"].strip():
            yield f"{panel['title']}: an empty query"
    bad = promql.not_promql([plain(target["expr"]) for _, target in targets_of(board)])
    if bad:
        yield bad


def target_rate_interval_rule(board):
    for panel, target in targets_of(board):
        for selector in promql.read(target["expr"]).selectors:
            if selector.caller in ("rate", "irate") and selector.range != "$__rate_interval":
                yield f"{panel['title']}: {selector.caller} over [{selector.range}]"


def each_selector_has(board, matcher):
    for panel, target in targets_of(board):
        for selector in promql.read(target["expr"]).selectors:
            if matcher not in selector.matchers:
                yield f"{panel['title']}: {selector.metric} without {''.join(matcher)}"


def target_job_rule(board):
    yield from each_selector_has(board, JOB)


def target_instance_rule(board):
    yield from each_selector_has(board, INSTANCE)


def target_counter_agg_rule(board):
    """Stricter than the linter's, which looks at selectors without matchers only."""
    for panel, target in targets_of(board):
        for selector in promql.read(target["expr"]).selectors:
            if selector.metric.endswith("_total") and selector.caller not in ("rate", "irate", "increase"):
                yield f"{panel['title']}: the counter {selector.metric} in {selector.caller or 'nothing'}"


def logs_are_not_shown(board):
    """Of rules about Loki there are two (target-logql-rule, target-logql-auto-rule): they hold where nothing asks it."""
    for panel in panels_of(board):
        for target in panel["targets"]:
            if target["datasource"]["type"] != "prometheus":
                yield f"{panel['title']}: asks {target['datasource']['type']}"


target_logql_rule = target_logql_auto_rule = logs_are_not_shown


def uneditable_dashboard(board):
    if board["editable"] is not False:
        yield "it can be edited"


LINTER = (template_datasource_rule, template_job_rule, template_instance_rule, template_label_promql_rule, template_on_time_change_reload_rule,
          panel_datasource_rule, panel_title_description_rule, panel_units_rule, panel_no_targets_rule, target_promql_rule,
          target_rate_interval_rule, target_job_rule, target_instance_rule, target_counter_agg_rule, target_logql_rule, target_logql_auto_rule,
          uneditable_dashboard)


# --- ours ---

def layout(board):
    seen = {}
    rows = [panel for panel in board["panels"] if panel["type"] == "row"]
    for panel in [*rows, *panels_of(board)]:
        if panel["id"] in seen:
            yield f"{panel['title']} and {seen[panel['id']]} have one number"
        seen[panel["id"]] = panel["title"]
    for group in [board["panels"], *(row["panels"] for row in rows)]:
        taken = {}
        for panel in group:
            at = panel["gridPos"]
            if at["x"] + at["w"] > COLUMNS:
                yield f"{panel['title']} goes beyond {COLUMNS} columns"
            for x in range(at["x"], at["x"] + at["w"]):
                for y in range(at["y"], at["y"] + at["h"]):
                    if (x, y) in taken:
                        yield f"{panel['title']} lies over {taken[x, y]}"
                    taken[x, y] = panel["title"]


def few_open_panels(board):
    """Closed rows ask nothing; too many open panels freeze the browser."""
    count = sum(panel["type"] != "row" for panel in board["panels"])
    if count > MOST_OPEN:
        yield f"{count} panels are open, {MOST_OPEN} are the most"
    for row in board["panels"]:
        if row["type"] == "row" and row["collapsed"] != bool(row["panels"]):
            yield f"the row {row['title']} is open with panels in it, or closed without"


def asks_what_exists(board, table):
    marks = [(each, each["expr"]) for each in board["annotations"]["list"] if "expr" in each]
    for panel, expression in [*((panel["title"], target["expr"]) for panel, target in targets_of(board)),
                              *((mark["name"], expression) for mark, expression in marks)]:
        for fault in promql.misnamed(expression, table, {}):
            yield f"{panel}: {fault}"


def variables_are_defined(board):
    defined = {each["name"] for each in board["templating"]["list"]} | {"__rate_interval", "__range", "__all"}
    for name in set(re.findall(r"\$\{?(\w+)", json.dumps(board))) - defined:
        yield f"nothing defines ${name}"


def legends_have_labels(board, table):
    """A label in a legend that the query drops would show as nothing."""
    for panel, target in targets_of(board):
        read = promql.read(target["expr"])
        served = set()
        if not read.grouping and not re.search(r"\b(sum|count|max|min|avg)\s*\(", target["expr"]):
            served = {"job", "instance"}.union(*(table.metrics[s.metric].labels for s in read.selectors if s.metric in table.metrics))
        for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
            if label not in served | set(read.grouping):
                yield f"{panel['title']}: no series has {label}"


def marks_and_links(board):
    marks = {each["name"]: each for each in board["annotations"]["list"]}
    for name in ("Change", "Rollback"):
        if not marks.get(name, {}).get("useValueForTime"):
            yield f"no mark at the time of each {name.lower()}"
    if marks.get("Change", {}).get("iconColor") == marks.get("Rollback", {}).get("iconColor"):
        yield "changes and rollbacks have one colour"
    if not any(each["includeVars"] and each["keepTime"] and each["tags"] == ["holdfast"] for each in board["links"]):
        yield "no links to the other dashboards that keep variables and time"


OURS = (layout, few_open_panels, variables_are_defined, marks_and_links)
WITH_TABLE = (asks_what_exists, legends_have_labels)


def faults_of(board, table):
    for rule in LINTER + OURS:
        for fault in rule(board):
            yield f"{rule.__name__}: {fault}"
    for rule in WITH_TABLE:
        for fault in rule(board, table):
            yield f"{rule.__name__}: {fault}"


def not_as_generated(root):
    """What the generator writes into an empty folder is what is here."""
    with tempfile.TemporaryDirectory() as folder:
        for source in ("generate", "dashboards.py", "panels.py"):
            (Path(folder) / source).write_text((root / FOLDER / source).read_text())
        subprocess.run([sys.executable, "-B", Path(folder) / "generate"], check=True)
        made = {path.name: path.read_text() for path in Path(folder).glob("*.json")}
    here = {path.name: path.read_text() for path in (root / FOLDER).glob("*.json")}
    for name in sorted(set(made) | set(here)):
        if made.get(name) != here.get(name):
            yield f"{FOLDER}/{name}: is not what {FOLDER}/generate writes: run it"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--build", help="not needed")
    root = parser.parse_args().root.resolve()
    faults, table, uids = list(not_as_generated(root)), metrics_table.read(root), set()
    for path in sorted((root / FOLDER).glob("*.json")):
        board = json.loads(path.read_text())
        faults += [f"{FOLDER}/{path.name}: {fault}" for fault in faults_of(board, table)]
        if board["uid"] in uids:
            faults.append(f"{FOLDER}/{path.name}: another has its uid")
        uids.add(board["uid"])
    print("\n".join([*faults, f"dashboards: {len(faults) or 'no'} faults in {len(uids)}"]))
    return 1 if faults or not uids else 0


if __name__ == "__main__":
    sys.exit(main())
