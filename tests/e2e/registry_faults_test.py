#!/usr/bin/python3
"""A registry, or something on the way to it, misbehaves and is mended: no document is to blame for that."""
import http.client
import http.server
import threading

import fixture

FAULTS = ("missing", "portal", "half", "flipped", "encoded", "typed", "broken")


class Gateway(http.server.ThreadingHTTPServer):
    """Passes requests on to the shared registry; with a fault it answers falsely."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.fault = None
        self.upstream = fixture.images()["REGISTRY"]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def name(self):
        return f"127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, headers, body, length=None):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=20)
        upstream.request("GET", self.path, headers={"Accept": self.headers.get("Accept", "*/*")})
        got = upstream.getresponse()
        body = got.read()
        headers = {"Content-Type": got.getheader("Content-Type", "application/octet-stream")}
        fault = self.server.fault
        if fault == "missing":
            return self.answer(404, {}, b"{}")
        if fault == "portal":
            return self.answer(200, {"Content-Type": "text/html"}, b"<html>Please log in to the guest network</html>")
        if fault == "broken":
            return self.answer(500, {}, b"no")
        if fault == "half":
            self.answer(got.status, headers, body[:len(body) // 2], len(body))
            self.close_connection = True
            return None
        if fault == "flipped" and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        if fault == "encoded":
            headers["Content-Encoding"] = "br"
        if fault == "typed":
            headers["Content-Type"] = "text/html"
        return self.answer(got.status, headers, body)


class RegistryFaults(fixture.AgentCase):
    def setUp(self):
        self.gateway = Gateway()
        self.addCleanup(self.gateway.server_close)
        self.addCleanup(self.gateway.shutdown)
        self.settings = {"registries": {self.gateway.name: {"plain_http": True}}}
        super().setUp()

    def is_mended(self, fault):
        reference = self.images["STATIC_V1"].replace(self.images["REGISTRY"], self.gateway.name)
        document = {"web": self.small(reference)}
        self.gateway.fault = fault
        tried = self.agent.apply(document, "--timeout", "3s")
        self.assertNotEqual(tried.code, 0, tried)
        self.assertEqual(self.agent.cli("--output", "json", "quarantine", "list").json, [], tried)
        self.gateway.fault = None
        done = self.agent.apply(document, "--timeout", "60s")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(self.agent.status()["state"], "converged")


def case(fault):
    return lambda self: self.is_mended(fault)


for each in FAULTS:
    setattr(RegistryFaults, f"test_a_document_is_deployed_when_the_registry_is_mended_after_{each}", case(each))

if __name__ == "__main__":
    fixture.main()
