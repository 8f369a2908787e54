"""Parts of a Grafana dashboard, laid out as they come. Only the standard library."""
import json

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
SELECTED = 'job=~"$job",instance=~"$instance"'
COLUMNS = 24
GREEN, ORANGE, RED, BLUE = "green", "orange", "red", "blue"
ACT = ((None, GREEN), (1, RED))       # more than none: act
LOOK = ((None, GREEN), (1, ORANGE))   # more than none: look


def select(metric, *matchers):
    """A selector of what the variables choose; for a service's own metrics with `WORKLOAD`."""
    return f"{metric}{{{','.join([SELECTED, *matchers])}}}"


WORKLOAD = 'workload=~"$workload"'


class Panel:
    """One panel. `moves`: whether it shows more than zero at some time in the story of tests/e2e/dashboards_test.py; None: its value
    says nothing there. Neither is part of the dashboard."""

    def __init__(self, kind, title, description, unit, queries, moves=None, width=8, height=7, **more):
        self.kind, self.title, self.description, self.unit, self.moves = kind, title, description, unit, moves
        self.queries = [query if isinstance(query, tuple) else (query, "") for query in queries]
        self.width, self.height, self.more = width, height, more

    def json(self, number, x, y):
        defaults = {"unit": self.unit, "color": {"mode": "palette-classic"}, "custom": {}}
        if "thresholds" in self.more:
            defaults["color"] = {"mode": "thresholds"}
            defaults["thresholds"] = {"mode": "absolute", "steps": [{"color": color, "value": value} for value, color in self.more["thresholds"]]}
        if "min" in self.more:
            defaults["min"] = self.more["min"]
        instant = self.kind in ("stat", "table")
        targets = [{"datasource": DATASOURCE, "editorMode": "code", "expr": expression, "legendFormat": legend or "__auto",
                    "instant": instant, "range": not instant, "format": "table" if self.kind == "table" else "time_series",
                    "refId": chr(ord("A") + index)} for index, (expression, legend) in enumerate(self.queries)]
        panel = {"id": number, "type": self.kind, "title": self.title, "description": self.description, "datasource": DATASOURCE,
                 "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height}, "fieldConfig": {"defaults": defaults, "overrides": []},
                 "options": self.options(), "targets": targets}
        if self.kind == "table":
            panel["transformations"] = [{"id": "organize", "options": {"excludeByName": {"Time": True, "__name__": True, "job": True}}}]
        if self.kind == "timeseries":
            defaults["custom"] = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "showPoints": "never", "spanNulls": False,
                                  "stacking": {"mode": "normal" if self.more.get("stacked") else "none", "group": "A"}}
        return panel

    def options(self):
        if self.kind == "stat":
            return {"colorMode": "background" if "thresholds" in self.more else "value", "graphMode": "none", "justifyMode": "auto",
                    "orientation": "auto", "textMode": "value", "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
        if self.kind == "table":
            return {"showHeader": True, "cellHeight": "sm", "footer": {"show": False}}
        return {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}, "tooltip": {"mode": "multi", "sort": "desc"}}


def stat(title, description, query, moves, *, unit="none", thresholds=ACT, width=3):
    return Panel("stat", title, description, unit, [query], moves, width, 4, thresholds=thresholds)


def graph(title, description, unit, queries, moves=None, **more):
    return Panel("timeseries", title, description, unit, queries, moves, **more)


def table(title, description, unit, query, moves=None, **more):
    return Panel("table", title, description, unit, [query], moves, **more)


class Row:
    def __init__(self, title, panels, closed=False):
        self.title, self.panels, self.closed = title, panels, closed


def variable(name, label, query):
    return {"name": name, "label": label, "type": "query", "datasource": DATASOURCE, "query": {"query": query, "refId": name},
            "definition": query, "refresh": 2, "sort": 1, "multi": True, "includeAll": True, "allValue": ".+", "hide": 0, "skipUrlSync": False,
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]}, "options": [], "regex": ""}


def variables(with_workload):
    yield {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1, "multi": False, "includeAll": False,
           "hide": 0, "skipUrlSync": False, "current": {"selected": False, "text": "default", "value": "default"}, "options": [], "regex": ""}
    yield variable("job", "Job", "label_values(holdfast_build_info, job)")
    yield variable("instance", "Instance", 'label_values(holdfast_build_info{job=~"$job"}, instance)')
    if with_workload:
        yield variable("workload", "Service", 'label_values(holdfast_workload_info{job=~"$job", instance=~"$instance"}, workload)')


def annotation(name, color, expression, text):
    """Grafana takes the value as the time and merges equal ones, so each is one mark at its second, however wide the graph."""
    return {"name": name, "datasource": DATASOURCE, "enable": True, "hide": False, "iconColor": color, "expr": expression, "step": "60s",
            "titleFormat": name, "textFormat": text, "useValueForTime": True}


def annotations():
    yield {"name": "Annotations & Alerts", "type": "dashboard", "builtIn": 1, "datasource": {"type": "grafana", "uid": "-- Grafana --"},
           "enable": True, "hide": True, "iconColor": "rgba(0, 211, 255, 1)"}
    yield annotation("Change", BLUE, select("holdfast_last_change_timestamp_seconds") + " * 1000 > 0", "{{instance}}")
    yield annotation("Rollback", RED, select("holdfast_last_rollback_timestamp_seconds") + " * 1000 > 0", "{{instance}}, {{trigger}}")


def layout(rows):
    """Panels from left to right, rows one below the other; those of a closed row lie in it, and ask nothing until it is opened."""
    out, number, y = [], 0, 0
    for row in rows:
        number += 1
        header = {"id": number, "type": "row", "title": row.title, "collapsed": row.closed, "panels": [],
                  "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1}}
        out.append(header)
        y, x, tallest = y + 1, 0, 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y, tallest = 0, y + tallest, 0
            number += 1
            (header["panels"] if row.closed else out).append(panel.json(number, x, y))
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += 0 if row.closed else tallest
    return out


class Dashboard:
    def __init__(self, uid, title, description, rows, with_workload=False):
        self.uid, self.title, self.description, self.rows, self.with_workload = uid, title, description, rows, with_workload

    def panels(self):
        return [panel for row in self.rows for panel in row.panels]

    def text(self):
        links = [{"type": "dashboards", "title": "Holdfast", "tags": ["holdfast"], "asDropdown": True, "includeVars": True, "keepTime": True,
                  "targetBlank": False, "icon": "external link", "tooltip": "", "url": ""}]
        return json.dumps({
            "uid": self.uid, "title": self.title, "description": self.description, "tags": ["holdfast"], "editable": False,
            "schemaVersion": 38, "version": 1, "graphTooltip": 1, "refresh": "30s", "timezone": "browser", "time": {"from": "now-6h", "to": "now"},
            "timepicker": {}, "fiscalYearStartMonth": 0, "liveNow": False, "style": "dark", "weekStart": "", "links": links,
            "annotations": {"list": list(annotations())}, "templating": {"list": list(variables(self.with_workload))},
            "panels": layout(self.rows)}, indent=1, ensure_ascii=False) + "\n"
