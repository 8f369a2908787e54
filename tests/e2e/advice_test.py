#!/usr/bin/python3
"""What a service says when it lacks something becomes the line to add: in the answer of apply, in show, in the ledger."""
import json

import fixture


class Advice(fixture.AgentCase):
    def says(self, line, code=1, **changes):
        """A service that says this and ends, beside nothing else."""
        service = self.small(entrypoint=["/bin/sh", "-c"], command=[f"echo '{line}' >&2; exit {code}"], **changes)
        service["update"] = {**service["update"], "deadline": "3s"}
        service.pop("health")
        return service

    def test_a_failing_apply_names_the_line_to_add_and_show_and_the_ledger_keep_it(self):
        done = self.agent.apply({"web": self.says(
            'nginx: [emerg] mkdir() "/var/cache/nginx/client_temp" failed (30: Read-only file system)')})
        self.assertNotEqual(done.code, 0)
        self.assertIn("tmpfs: [/var/cache/nginx]", done.json["error"]["next"], done)
        number = done.json["generation"]
        self.assertIn("tmpfs: [/var/cache/nginx]", self.agent.cli("show", number).text)
        self.assertIn("tmpfs: [/var/cache/nginx]", json.dumps(self.agent.cli("--output", "json", "show", number).json))

    def test_each_lack_has_its_line(self):
        for line, wanted in (("chown: /data: Operation not permitted", "cap_add: [CHOWN]"),
                             ("cannot write /tmp/x: No space left on device", "{target: /tmp, size: 256MiB}"),
                             ("accept: Too many open files", "ulimits: {nofile: 262144}"),
                             ("could not resize shared memory segment: No space left on device", "shm_size: 256MiB")):
            done = self.agent.apply({"web": self.says(line)})
            self.assertIn(wanted, done.text, line)

    def test_a_service_that_is_not_root_has_the_capability_that_was_added(self):
        script = "while read n v; do case $n in Cap*) echo $n$v;; esac; done < /proc/self/status; exec /bin/busybox sleep 1000"
        def with_security(security):
            service = self.small(entrypoint=["/bin/sh", "-c"], command=[script], security={"user": "10001:10001", **security})
            service.pop("health")
            return service

        self.applied({"web": with_security({"cap_add": ["NET_BIND_SERVICE"]})})
        said = self.agent.cli("logs", "web").out
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertIn(f"{name}:0000000000000400", said)
        self.applied({"web": with_security({"profile": "compatible"})})
        self.assertIn("CapEff:0000000000000000", self.agent.cli("logs", "web").out)


if __name__ == "__main__":
    fixture.main()
