"""Walks every operation of openapi.yaml against a running daemon: status, content type and body must be described, every member
must be there, nothing else may be, and every path the daemon has must be in the description.

usage: openapi_walk.py OPENAPI SOCKET METRICS_PORT
"""
import http.client
import json
import re
import socket
import sys

import yaml

KNOWN_MEMBERS = {"type", "properties", "required", "items", "enum", "nullable", "description", "additionalProperties", "pattern",
                 "minimum", "maximum", "format", "oneOf", "allOf", "$ref"}


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("holdfast", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.path)


class Walk:
    def __init__(self, api, connect):
        self.api, self.connect, self.faults = api, connect, []

    def resolve(self, node):
        while "$ref" in node:
            target = self.api
            for part in node["$ref"].lstrip("#/").split("/"):
                target = target[part]
            node = target
        return node

    def check(self, value, schema, where):
        """The faults of `value`; the subset of JSON Schema that the description uses, strictly: unknown members are faults."""
        schema = self.resolve(schema)
        unknown = set(schema) - KNOWN_MEMBERS
        assert not unknown, f"{where}: the checker does not know {unknown}"
        if value is None:
            return [] if schema.get("nullable") else [f"{where}: null"]
        for part in schema.get("allOf", []):
            return self.check(value, part, where)
        if "oneOf" in schema:
            attempts = [self.check(value, part, where) for part in schema["oneOf"]]
            return [] if any(not faults for faults in attempts) else attempts[0]
        kind = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool}[schema["type"]]
        if not isinstance(value, kind) or (isinstance(value, bool) and schema["type"] != "boolean"):
            return [f"{where}: {value!r} is not of type {schema['type']}"]
        faults = []
        if "enum" in schema and value not in schema["enum"]:
            faults.append(f"{where}: {value!r} is not one of {schema['enum']}")
        if "pattern" in schema and not re.search(schema["pattern"], value):
            faults.append(f"{where}: {value!r} does not match {schema['pattern']}")
        if isinstance(value, list):
            for index, item in enumerate(value):
                faults += self.check(item, schema["items"], f"{where}[{index}]")
        if isinstance(value, dict):
            faults += self.check_object(value, schema, where)
        return faults

    def check_object(self, value, schema, where):
        properties = schema.get("properties", {})
        faults = [f"{where}: {name} is missing" for name in schema.get("required", []) if name not in value]
        for name, member in value.items():
            if name in properties:
                faults += self.check(member, properties[name], f"{where}.{name}")
            elif isinstance(schema.get("additionalProperties"), dict):
                faults += self.check(member, schema["additionalProperties"], f"{where}.{name}")
            else:
                faults.append(f"{where}: {name} is not described")
        return faults

    def call(self, method, target, body=None):
        connection = self.connect()
        connection.request(method, target, body=body, headers={"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read().decode()

    def expect_frames(self, method, target, operation, body):
        """The connection goes on with frames, of which the last one is described."""
        connection = self.connect()
        connection.request(method, target, body=body, headers={"Connection": "Upgrade", "Upgrade": "holdfast-exec"})
        answer = connection.getresponse()
        where = f"{method} {target} → {answer.status}"
        print(where)
        if answer.status != 101:
            self.faults.append(f"{where}: {answer.read()}")
            return
        rest, frames = answer.fp.read(), []
        while rest:
            end = 5 + int.from_bytes(rest[1:5], "big")
            frames.append((rest[0], rest[5:end]))
            rest = rest[end:]
        schema = next(iter(operation["responses"]["101"]["content"].values()))["x-items"]
        self.faults += [] if frames[-1][0] == 19 else [f"{where}: the last frame is {frames[-1]}"]
        self.faults += self.check(json.loads(frames[-1][1]), schema, where)

    def expect(self, method, target, operation, body=None, wanted=None):
        status, content_type, text = self.call(method, target, body)
        where = f"{method} {target} → {status}"
        described = operation["responses"].get(str(status)) or operation["responses"].get("default")
        if described is None:
            self.faults.append(f"{where}: not described")
            return
        if wanted is not None and status not in wanted:
            self.faults.append(f"{where}: expected one of {wanted}: {text[:300]}")
        content = self.resolve(described)["content"]
        if content_type not in content:
            self.faults.append(f"{where}: content type {content_type} is not described ({list(content)})")
        elif content_type == "application/json":
            self.faults += self.check(json.loads(text), content[content_type]["schema"], where)
        elif content_type == "application/x-ndjson":
            for line in text.splitlines():
                self.faults += self.check(json.loads(line), content[content_type]["x-items"], where)
        elif content_type == "text/event-stream":
            for line in text.splitlines():
                if line.startswith("data: "):
                    self.faults += self.check(json.loads(line[6:]), content[content_type]["x-items"], where)
        print(where)

    def walk(self):
        for path, operations in self.api["paths"].items():
            for method, operation in operations.items():
                target = path
                for parameter in operation.get("parameters", []):
                    if parameter["in"] == "path":
                        target = target.replace("{%s}" % parameter["name"], str(parameter["example"]))
                body = None
                if "requestBody" in operation:
                    body = json.dumps(operation["requestBody"]["content"]["application/json"]["example"])
                ok = [code for code in (200, 202, 422) if str(code) in operation["responses"]]
                if "101" in operation["responses"]:
                    self.expect_frames(method.upper(), target, operation, body)
                    ok = [400]  # without an upgrade
                self.expect(method.upper(), target, operation, body, wanted=ok)
                if operation.get("x-idempotent", True):
                    self.repeat(method.upper(), target, body)
                self.walk_faults(method.upper(), target, operation)

    def picture(self):
        """What the agent remembers, without the times at which it was asked."""
        state = {target: json.loads(self.call("GET", target)[2]) for target in ("/v1/status", "/v1/history", "/v1/quarantine")}
        return re.sub(r'"(since|time|until|begins|last_success|refused_at)": "[^"]*"|"(age_)?seconds": [0-9.e-]+', "", json.dumps(state, sort_keys=True))

    def repeat(self, method, target, body):
        """What is idempotent leaves on the second call what it left on the first one."""
        before = self.picture()
        self.call(method, target, body)
        if self.picture() != before:
            self.faults.append(f"{method} {target}: asked twice it is not what it was, but it is said to be idempotent")

    def walk_faults(self, method, target, operation):
        """What is not as described is answered by a described error."""
        other = "POST" if method == "GET" else "GET"
        self.expect(other, target, {"responses": {"405": self.api["components"]["responses"]["Error"]}}, wanted=[405])
        if "requestBody" in operation:
            for broken in ("{", "[]", '{"unknown_member": 1}'):
                self.expect(method, target, operation, broken, wanted=[400])
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "query" and parameter["schema"]["type"] == "integer":
                self.expect(method, f"{target}?{parameter['name']}=x", operation, wanted=[400])


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        api = yaml.safe_load(file)
    over_socket = Walk(api, lambda: UnixConnection(sys.argv[2]))
    over_socket.walk()
    tcp = {path: item for path, item in api["paths"].items() if any(operation.get("x-tcp") for operation in item.values())}
    over_tcp = Walk({**api, "paths": tcp}, lambda: http.client.HTTPConnection("127.0.0.1", int(sys.argv[3]), timeout=10))
    over_tcp.walk()
    faults = over_socket.faults + over_tcp.faults
    print("\n".join(faults), file=sys.stderr)
    sys.exit(1 if faults else 0)


main()
