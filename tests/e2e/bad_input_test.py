#!/usr/bin/python3
"""Whatever is wrong is named, with the next step, and the version that serves goes on serving."""
import re
import shutil
import socket
import subprocess
import time
import unittest

import fixture


class BadInput(fixture.AgentCase):
    def setUp(self):
        super().setUp()
        self.applied({"web": self.web("WEB_V1")})
        self.before = self.agent.pids()

    def tearDown(self):
        try:
            self.assertEqual(fixture.get(self.port), "v1", "the old version serves throughout")
            self.assertEqual(self.agent.pids(), self.before, "and was not restarted")
        finally:
            super().tearDown()

    def expect(self, done, codes, *words):
        """Fails with one of `codes`; the text holds every one of `words` and a next step."""
        self.assertIn(done.code, codes, done)
        for word in words:
            self.assertRegex(done.text, word, done)
        self.assertRegex(done.text, r'next:|"next": ?"[^"]+|did you mean|expected', f"no next step in {done}")

    def apply_image(self, reference):
        return self.agent.cli("apply", self.agent.document({"web": self.web(reference)}), "--timeout", "60s")

    def test_a_registry_that_does_not_answer_is_named(self):
        dead = f"127.0.0.1:{fixture.free_port()}"
        done = self.apply_image(f"{dead}/web:2.0.0@sha256:{'1' * 64}")
        self.expect(done, (1, 4), re.escape(dead))

    def test_a_digest_the_registry_does_not_have_is_named(self):
        reference = re.sub("sha256:.*", "sha256:" + "2" * 64, self.images["WEB_V2"])
        self.expect(self.apply_image(reference), (1, 3, 4), "web", "2222")

    def test_a_missing_blob_is_named(self):
        self.expect(self.apply_image(self.images["MISSING_V1"]), (1, 3, 4), "missing", "(?i)not found|404|missing")

    def test_a_blob_with_a_wrong_byte_is_refused(self):
        self.expect(self.apply_image(self.images["CORRUPT_V1"]), (1, 3, 4), "corrupt", "(?i)digest|corrupt")

    def test_every_fault_of_a_document_is_reported_at_once_with_its_place(self):
        path = self.agent.state / "broken.yaml"
        path.write_text("apiVersion: holdfast/v1\nname: shop\nservices:\n  web:\n    image: nginx:latest\n    enviroment: {A: b}\n"
                        "    resources: {memory: lots}\n    depends_on: [nobody]\n")
        done = self.agent.cli("apply", path)
        self.expect(done, (3,), r"broken\.yaml:5:\d+", r"broken\.yaml:6:\d+", r"broken\.yaml:7:\d+", r"broken\.yaml:8:\d+", "did you mean")

    def test_a_file_that_is_not_there_is_named(self):
        done = self.agent.cli("apply", self.agent.state / "nothing.yaml")
        self.assertIn(done.code, (1, 2), done)
        self.assertIn("nothing.yaml", done.text)

    def test_another_deployment_is_refused(self):
        done = self.agent.cli("apply", self.agent.document({"web": self.web("WEB_V2")}, name="other"))
        self.expect(done, (1, 3), "other", "shop")

    def test_a_port_in_use_is_named(self):
        with socket.socket() as taken:
            taken.bind(("0.0.0.0", 0))
            taken.listen()
            port = taken.getsockname()[1]
            done = self.agent.cli("apply", self.agent.document({"web": self.web("WEB_V1"), "extra": self.small(publish=[f"{port}:8080"])}),
                                  "--timeout", "20s")
            self.expect(done, (1, 3, 4), str(port))

    def test_a_second_agent_on_the_same_state_is_refused(self):
        other = self.agent.state / "second.yaml"
        other.write_text(self.agent.config.read_text().replace(f":{self.agent.metrics_port}", f":{fixture.free_port()}"))
        done = subprocess.run([fixture.BIN / "holdfastd", "--config", other], capture_output=True, text=True, timeout=20, check=False)
        text = done.stdout + done.stderr
        self.assertNotEqual(done.returncode, 0, text)
        self.assertIn(str(self.agent.state), text)
        self.assertEqual(self.agent.cli("status").code, 0, "the first one goes on")


class BadHost(unittest.TestCase):
    def end_of(self, agent, seconds=20):
        agent.launch()
        begin = time.monotonic()
        try:
            agent.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None, time.monotonic() - begin
        return agent.process.returncode, time.monotonic() - begin

    def test_a_missing_runtime_is_named_with_the_package_to_install(self):
        if shutil.which("crun"):
            choice, program = "runc", "runc"
        else:
            choice, program = "crun", "crun"
        agent = fixture.Agent(runtime=choice)
        self.addCleanup(agent.remove)
        if choice == "runc":
            return
        code, _ = self.end_of(agent, 5)
        text = agent.log_tail()
        if code is None:  # it may also stay up and say so to whoever asks
            text += str(agent.cli("doctor"))
        self.assertIn(program, text)
        self.assertRegex(text, "install")

    def test_a_broken_configuration_is_refused_with_its_place(self):
        agent = fixture.Agent()
        self.addCleanup(agent.remove)
        agent.config.write_text("instance: main\nretian: 5\nresync: soon\n")
        code, _ = self.end_of(agent)
        self.assertNotIn(code, (0, None))
        self.assertRegex(agent.log_tail(), r"agent\.yaml:2:1.*(\n.*)?retain")
        self.assertRegex(agent.log_tail(), r"agent\.yaml:3:\d+")
        check = subprocess.run([fixture.BIN / "holdfastd", "--config", agent.config, "--check-config"], capture_output=True, text=True,
                               timeout=10, check=False)
        self.assertNotEqual(check.returncode, 0)

    def test_a_client_without_an_agent_says_so(self):
        agent = fixture.Agent()
        self.addCleanup(agent.remove)
        done = agent.cli("status")
        self.assertEqual(done.code, 7, done)
        self.assertIn(str(agent.socket), done.text)


if __name__ == "__main__":
    fixture.main()
