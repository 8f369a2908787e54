"""What the API says of itself, read from the table of operations and openapi.yaml, and requests made from it: right, slightly wrong, hostile."""
import json
import re
import string

ROLES = ("none", "observe", "rollback", "deploy", "root")
NUMBERS = [-1, 0, 1, 2, 3, 1 << 31, (1 << 53) + 1, 1 << 63, 1 << 64, 1.5, 1e308]
TEXTS = ["", " ", "\0", "\n", "\x1b]0;x\x07", "\u202e\u2066\U000e0041", "../../etc/shadow", "%s%n", "'; DROP TABLE entries;--", "x" * 70_000, "é" * 3000,
         "2026-11-30T00:00:00Z", "9999-12-31T23:59:59Z", "0000-00-00T00:00:00Z", "\udc80", "sha256:" + "0" * 64]


class Operation:
    def __init__(self, name, method, path, role, request, answer):
        self.name, self.method, self.path, self.role, self.request = name, method.upper(), path, ROLES.index(role), request
        self.is_json = answer.startswith("Json<")
        self.lists = "std::vector<" in answer
        self.answers = re.findall(r"[A-Z]\w+", answer.removeprefix("Json<")) if self.is_json else []


def operations(source):
    table = (source / "proto/api/operations.hpp").read_text()
    rows = re.findall(r'Operation<"(\w+)",\s*(get|post),\s*"([^"]+)",\s*(\w+),\s*\w+,\s*(\w+),\s*(.+?)(?:, tcp)?>[,;>]*$', table, re.M)
    return [Operation(*row) for row in rows]


class Shapes:
    """The members that each object of openapi.yaml must have, and the kinds of those that are plain."""

    KINDS = {"string": str, "integer": int, "boolean": bool, "number": (int, float), "array": list, "object": dict}

    def __init__(self, source):
        text = (source / "proto/openapi.yaml").read_text().split("\n  schemas:\n", 1)[1]
        self.required, self.kinds = {}, {}
        for name, body in re.findall(r"^    (\w+):\n((?:      .*\n?)+)", text, re.M):
            required = re.search(r"^      required: \[(.*)\]", body, re.M)
            self.required[name] = required[1].split(", ") if required else []
            self.kinds[name] = dict(re.findall(r"^        (\w+): \{type: (\w+)", body, re.M))

    def fault(self, name, value):
        """Why `value` is no `name`; None when it is one."""
        if not isinstance(value, dict):
            return f"{name} is {type(value).__name__}"
        for member in self.required[name]:
            if member not in value:
                return f"{name} has no {member}"
        for member, kind in self.kinds[name].items():
            if member in value and not isinstance(value[member], self.KINDS[kind]):
                return f"{name}.{member} is {type(value[member]).__name__}, not {kind}"
        return None

    def fault_of_answer(self, operation, value):
        if operation.lists:
            faults = [f"the answer is {type(value).__name__}"] if not isinstance(value, list) else [self.fault(operation.answers[0], each) for each in value]
            return next((fault for fault in faults if fault), None)
        faults = [self.fault(name, value) for name in operation.answers]
        return None if None in faults else faults[0]


class Maker:
    """Requests of one client, all of them from its random numbers."""

    def __init__(self, source_of_chance, documents, images, exports):
        self.random, self.documents, self.images, self.exports = source_of_chance, documents, images, exports

    def reason(self):
        return "".join(self.random.choices(string.ascii_letters + " ", k=self.random.randrange(40))) or "x"

    def document(self):
        """One that is right, or one that no mutation can turn into something else that is."""
        document = json.loads(json.dumps(self.random.choice(self.documents)))
        document["services"]["web"]["env"] = {"ROUND": str(self.random.randrange(1_000_000))}  # what was rolled back is in quarantine
        text = json.dumps(document)
        kind = self.random.random()
        if kind < 0.5:
            return text
        return self.random.choice([
            lambda: text[:self.random.randrange(len(text))], lambda: "[" * self.random.choice([10, 5000, 900_000]), lambda: "a: &a [*a]",
            lambda: text.replace('"services"', '"servises"'), lambda: text.replace("@sha256:", ":"), lambda: text + text, lambda: self.random.choice(TEXTS),
            lambda: "{" + ",".join(f'"k{number}":0' for number in range(40_000)) + "}", lambda: text.replace('"shop"', json.dumps(self.random.choice(TEXTS[:8]))),
            lambda: text.replace('"1s"', '"99999999999999999999h"')])()

    def what(self):
        return self.random.choice(["1", "2", "999", "0", "-1", "0" * 6, "f" * 64, "sha256:" + "1" * 64, self.reason()])

    def service(self):
        return self.random.choice(["spare", "spare", "x", "WEB", "a" * 300, self.reason()])

    def archive(self):
        return self.random.choice([f"{self.exports}/{self.random.randrange(4)}.tar", "/etc/shadow", "/dev/zero", "/nowhere", "relative"])

    def until(self):
        return self.random.choice(["2026-11-30T00:00:00Z", "2100-01-01T00:00:00Z", "tomorrow", ""])

    def right(self, request):
        """Members of a request of that name. A name that is new fails here: say what it asks."""
        dry = self.random.random() < 0.5
        return {
            "ApplyRequest": lambda: {"document": self.document(), "file": "shop.yaml", "reason": self.reason(), "dry_run": dry, "now": not dry},
            "RollbackRequest": lambda: {"to": self.random.choice([0, 0, 1, 2, 3, 99]), "reason": self.reason(), "dry_run": dry},
            "HoldRequest": lambda: {"reason": self.reason(), "until": self.until()},
            "ResumeRequest": lambda: {"reason": self.reason()},
            "QuarantineRequest": lambda: {"what": self.what(), "reason": self.reason(), "until": self.until()},
            "ReleaseRequest": lambda: {"what": self.what(), "reason": self.reason()},
            "RehearseRequest": lambda: {"generation": self.random.choice([0, 0, 1, 2, 99]), "reason": self.reason()},
            "StandbyDropRequest": lambda: {"reason": self.reason()},
            "ServiceStopRequest": lambda: {"service": self.service(), "reason": self.reason(), "until": self.until()},
            "ServiceStartRequest": lambda: {"service": self.service(), "reason": self.reason()},
            "ServiceRestartRequest": lambda: {"service": self.service(), "reason": self.reason()},
            "ShutdownRequest": lambda: {"within_seconds": self.random.choice([0, 1, 1 << 40])},
            # Without an upgrade of the connection: refused. Sessions: tests/e2e/exec_test.py.
            "ExecRequest": lambda: {"service": self.service(), "command": ["true", self.reason()], "input": dry},
            "LedgerRecoverRequest": lambda: {"dry_run": dry, "reason": self.reason()},
            "ImageVerifyRequest": lambda: {"images": [self.random.choice(self.images), self.what()][:self.random.randrange(3)], "repair": dry},
            "ImageGcRequest": lambda: {"dry_run": dry},
            "ImageExportRequest": lambda: {"image": self.random.choice(self.images), "path": self.archive()},
            "ImageImportRequest": lambda: {"path": self.archive()},
            "ImagePullRequest": lambda: {"image": self.random.choice(self.images), "until": self.until()},
            "EventsQuery": lambda: {"after": self.random.choice([0, 1, 1 << 40]), "follow": self.random.randrange(2),
                                    "kind": self.random.choice(["", "phase,good", "x"])},
            "EntriesQuery": lambda: {"after": self.random.choice([0, 5, 1 << 40]), "limit": self.random.choice([1, 100, 1000])},
            "LogsQuery": lambda: {"follow": self.random.randrange(2), "tail": self.random.choice([0, 3, 1 << 40])},
            "Nothing": dict,
        }[request]()

    def wrong(self, value):
        """`value` with one thing changed."""
        value = dict(value)
        key = self.random.choice([*value, "unknown"])
        value[key] = self.random.choice([*NUMBERS, *TEXTS, None, True, [], {}, [[[]]], {"a": {"b": 1}}])
        if self.random.random() < 0.3:
            value.pop(self.random.choice(list(value)))
        return value

    def body(self, value):
        """Its text, or something that is none."""
        text = json.dumps(value).encode()
        kind = self.random.random()
        if kind < 0.8:
            return text
        return self.random.choice([
            lambda: text[:-1], lambda: text + b"x", lambda: b"", lambda: b"\xff\xfe" + text, lambda: b"[" * 200_000, lambda: b'{"a":' * 5000,
            lambda: text.replace(b"{", b'{"reason":"a","reason":"b",', 1), lambda: b'{"reason":"' + b"x" * 2_200_000 + b'"}', lambda: b"1e99999", lambda: b"null",
            lambda: bytes(self.random.randrange(256) for _ in range(300))])()

    def path(self, operation):
        argument = self.random.choice(["web", "page", "1", "2", "999", "0", "-1", "18446744073709551616", "%00", "..%2f..", "%ff", "x" * 300, "a%0d%0ab"])
        return operation.path.replace("{}", argument)
