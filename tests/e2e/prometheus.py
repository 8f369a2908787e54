"""A real Prometheus with the rules of the product, and a real Alertmanager, both Debian's."""
import contextlib
import http.server
import json
import subprocess
import threading
import urllib.parse
import urllib.request
from pathlib import Path

import fixture

RULES = fixture.SOURCE / "packaging/prometheus/holdfast.rules.yml"


class Prometheus:
    """Debian's, with the rules of the product, over one agent that it scrapes every second; and over what is no agent: itself, and
    an exporter that is down."""

    def __init__(self, folder, target, alertmanager=None, token_file=None):
        self.port, self.target = fixture.free_port(), target
        config = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": [str(RULES)],
                  "scrape_configs": [{"job_name": "holdfast", "static_configs": [{"targets": [target]}]},
                                     {"job_name": "prometheus", "static_configs": [{"targets": [f"127.0.0.1:{self.port}"]}]},
                                     {"job_name": "node", "static_configs": [{"targets": [f"127.0.0.1:{fixture.free_port()}"]}]}]}
        if token_file:
            config["scrape_configs"][0]["authorization"] = {"credentials_file": token_file}
        if alertmanager:
            config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
        path = Path(folder) / "prometheus.yml"
        path.write_text(json.dumps(config))
        self.log = open(Path(folder) / "prometheus.log", "w")
        self.process = subprocess.Popen(["prometheus", f"--config.file={path}", f"--storage.tsdb.path={folder}/tsdb", "--log.level=warn",
                                         f"--web.listen-address=127.0.0.1:{self.port}"], stdout=self.log, stderr=self.log)

    def await_first_scrape(self):
        def scraped():
            with contextlib.suppress(OSError):
                return self.now("holdfast_ready == 1")
            return None
        fixture.wait_until("Prometheus has scraped the agent", scraped, 30)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()

    def ask(self, path, **parameters):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters, doseq=True)}", timeout=20) as answer:
            return json.load(answer)["data"]

    def now(self, expression):
        return self.ask("query", query=expression)["result"]

    def story(self, expression, begin, end):
        """The series over the whole story, a value each second."""
        return self.ask("query_range", query=expression, start=begin, end=end, step=1)["result"]


class Alertmanager:
    """Debian's, which sends what it gets to a receiver in this process; `received` has the messages."""

    def __init__(self, folder):
        self.port, self.received = fixture.free_port(), []
        received = self.received

        class Receiver(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass
        self.receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        threading.Thread(target=self.receiver.serve_forever, daemon=True).start()
        config = {"route": {"receiver": "all", "group_wait": "1s", "group_interval": "1s", "group_by": ["alertname"]},
                  "receivers": [{"name": "all", "webhook_configs": [{"url": f"http://127.0.0.1:{self.receiver.server_port}/"}]}]}
        path = Path(folder) / "alertmanager.yml"
        path.write_text(json.dumps(config))
        self.log = open(Path(folder) / "alertmanager.log", "w")
        self.process = subprocess.Popen(["prometheus-alertmanager", f"--config.file={path}", f"--storage.path={folder}/alertmanager",
                                         "--cluster.listen-address=", f"--web.listen-address=127.0.0.1:{self.port}"],
                                        stdout=self.log, stderr=self.log)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.receiver.shutdown()
        self.receiver.server_close()
        self.log.close()

    def alerts(self):
        """Every alert that was told of, by name."""
        return {alert["labels"]["alertname"]: alert for message in list(self.received) for alert in message["alerts"]}
