#!/usr/bin/python3
"""Every query of every dashboard, asked of a real Prometheus that scraped a real agent through an update, a rollback, drift, a crash and a hold:
it must return the series that its legend names, and those that tell of what happened must have moved.
"""
import json
import os
import signal
import sys
import time

import fixture
from fixture import wait_until
from intruder import inside
from prometheus import Prometheus

sys.path[:0] = [str(fixture.SOURCE / "tests/support"), str(fixture.SOURCE / "packaging/grafana")]
sys.dont_write_bytecode = True
import dashboards  # noqa: E402
import metrics_table  # noqa: E402
import promql  # noqa: E402

# No series where the kernel keeps no account of the pressure of a control group; nothing is rehearsed in the story (check_rehearsal).
MAY_BE_EMPTY = {"Waiting for a resource", "Oldest rehearsal"}


class Dashboards(fixture.AgentCase):
    settings = {"resync": "1s"}

    def setUp(self):
        super().setUp()
        self.prometheus = Prometheus(self.agent.state, f"127.0.0.1:{self.agent.metrics_port}")
        self.addCleanup(self.prometheus.stop)
        self.begin = time.time()
        self.prometheus.await_first_scrape()
        time.sleep(2)  # what is counted from now on is an increase

    def happen(self):
        """The story: an update, one that is rolled back, a rollback by hand, drift, three crashes, a hold."""
        quick = {"soak": "500ms", "drain": "500ms", "standby": "6s", "deadline": "4s"}
        limits = {"memory": "64Mi", "cpus": 0.5}
        services = {"web": self.web("WEB_V1", update=quick, resources=limits), "small": self.small()}
        for image, code in (("WEB_V1", 0), ("WEB_V2", 0), ("WEB_BAD", 4)):
            done = self.agent.apply({**services, "web": {**services["web"], "image": self.images[image]}})
            self.assertEqual(done.code, code, done)
            time.sleep(2)  # of two changes between two scrapes one would be seen
        self.assertEqual(self.agent.cli("rollback", "-m", "by hand").code, 0)
        inside(self.agent.service("small")["pid"], "mount", "/tmp")
        wait_until("the drift is found", lambda: self.agent.status()["drift"], 10)
        for _ in range(3):
            pid = wait_until("small runs", lambda: self.agent.service("small")["pid"], 20)
            os.kill(pid, signal.SIGKILL)
            wait_until("its end is seen", lambda gone=pid: self.agent.service("small")["pid"] != gone, 20)
        self.assertEqual(self.agent.cli("hold", "-m", "a look", "--for", "1h").code, 0)
        time.sleep(3)
        self.assertEqual(self.agent.cli("resume").code, 0)
        time.sleep(2)
        self.end = time.time()

    def replaced(self, expression):
        span = f"{int(self.end - self.begin)}s"
        for name, value in (("$__rate_interval", "8s"), ("$__range", span), ("$job", ".+"), ("$instance", ".+"), ("$workload", ".+")):
            expression = expression.replace(name, value)
        self.assertNotIn("$", expression)
        return expression

    def expected(self, label, expression):
        """The values that a label must have, or None where any will do; whether all of them must be there."""
        known = {"workload": {"web", "small"}, "instance": {self.prometheus.target}, "deployment": {"shop"}, "job": {"holdfast"}}
        if label in known:
            return known[label], "> 0" not in expression
        for selector in promql.read(expression).selectors:
            words = self.table.values.get((selector.metric.removesuffix("_sum").removesuffix("_count"), label))
            if words:
                chosen = [set(value.split("|")) for name, operator, value in selector.matchers if name == label and operator in ("=", "=~")]
                return (chosen[0] if chosen else set(words)), "> 0" not in expression and "== 1" not in expression
        return None, False

    def check(self, board, panel, expression, legend):
        where = f"{board.title}: {panel.title}: {expression}"
        series = self.prometheus.story(self.replaced(expression), self.begin, self.end)
        if not series and panel.title in MAY_BE_EMPTY:
            return
        self.assertTrue(series, f"{where}: nothing")
        labels = [part.split("}}")[0] for part in legend.split("{{")[1:]]
        if panel.kind == "stat":
            self.assertEqual([each["metric"] for each in series], [{}], f"{where}: one number")
        if panel.kind == "table":
            labels += [label for label in self.table.metrics[promql.read(expression).selectors[0].metric].labels]
        for label in labels:
            values = {each["metric"].get(label) for each in series}
            wanted, all_of_them = self.expected(label, expression)
            self.assertNotIn(None, values, f"{where}: a series without {label}")
            if wanted is not None:
                self.assertLessEqual(values, wanted, f"{where}: {label}")
                self.assertTrue(not all_of_them or values == wanted, f"{where}: {label} is {values}, not {wanted}")
        highest = max(float(value) for each in series for _, value in each["values"] if value != "NaN")
        if panel.moves is not None and "limit" not in legend:
            self.assertEqual(highest > 0, panel.moves, f"{where}: at most {highest}")

    def test_every_query_tells_the_story(self):
        self.table = metrics_table.read()
        self.happen()
        for board in dashboards.ALL:
            for panel in board.panels():
                for expression, legend in panel.queries:
                    with self.subTest(board=board.uid, panel=panel.title):
                        self.check(board, panel, expression, legend)
        self.check_marks()
        self.check_variables()
        self.check_rules()
        self.check_not_running()
        self.check_rehearsal()

    def check_marks(self):
        """A mark is at the time that its query gives as a value."""
        queries = {mark["name"]: mark["expr"] for mark in json.loads(dashboards.FLEET.text())["annotations"]["list"] if "expr" in mark}
        times = {}
        for name, expression in queries.items():
            series = self.prometheus.story(self.replaced(expression), self.begin, self.end)
            times[name] = {(each["metric"].get("trigger"), value) for each in series for _, value in each["values"]}
            for _, value in times[name]:
                self.assertTrue(self.begin < float(value) / 1000 < self.end, f"{name} at {value}")
        self.assertEqual(len(times["Change"]), 4, "two updates, one that came back, one rollback")
        self.assertEqual({trigger for trigger, _ in times["Rollback"]}, {"automatic", "operator"})

    def check_variables(self):
        for label, wanted in (("job", ["holdfast"]), ("instance", [self.prometheus.target]), ("workload", ["small", "web"])):
            found = self.prometheus.ask(f"label/{label}/values", **{"match[]": "holdfast_workload_info", "start": self.begin, "end": self.end})
            self.assertEqual(found, wanted)

    def check_rules(self):
        """What is recorded is there, and the alerts that the story is about have come; no other one has."""
        groups = self.prometheus.ask("rules")["groups"]
        for rule in (rule for group in groups for rule in group["rules"]):
            self.assertEqual(rule["health"], "ok", rule.get("lastError"))
            if rule["type"] == "recording":
                self.assertTrue(self.prometheus.story(rule["name"], self.begin, self.end), rule["name"])
        fired = {each["metric"]["alertname"] for each in self.prometheus.story('ALERTS{alertstate="firing"}', self.begin, self.end)}
        self.assertEqual(fired, {"HoldfastRolledBack"}, "one host is no fleet")

    def value_now(self, board, title):
        """What a panel of one number shows at this moment; "" for nothing."""
        panel = next(panel for panel in board.panels() if panel.title == title)
        return "".join(each["value"][1] for each in self.prometheus.now(self.replaced(panel.queries[0][0])))

    def check_rehearsal(self):
        """Where none was there is no time, and not that of 1970."""
        self.assertEqual(self.value_now(dashboards.HOST, "Oldest rehearsal"), "")
        before = time.time()
        done = self.agent.cli("rehearse")
        self.assertEqual(done.code, 0, done)
        wait_until("the rehearsal is seen", lambda: self.value_now(dashboards.HOST, "Oldest rehearsal"), 20)
        self.assertGreater(float(self.value_now(dashboards.HOST, "Oldest rehearsal")) / 1000, before - 1)

    def check_not_running(self):
        """A service that an operator stopped, and a job that is done, are nothing that is wrong."""
        once = {"image": self.images["STATIC_V1"], "restart": "no", "entrypoint": ["/bin/sh", "-c"], "command": ["exit 0"]}
        done = self.agent.apply({"web": self.web("WEB_V1"), "small": self.small(), "once": once})
        self.assertEqual(done.code, 0, done)
        self.assertEqual(self.agent.cli("stop", "small", "--reason", "a look").code, 0)
        for service, state in (("small", "stopped"), ("once", "completed")):
            query = f'holdfast_workload_state{{workload="{service}",state="{state}"}} == 1'
            wait_until(f"{service} is seen as {state}", lambda query=query: self.prometheus.now(query), 20)
        self.assertEqual(self.value_now(dashboards.SERVICE, "Not running"), "0")


if __name__ == "__main__":
    fixture.main()
