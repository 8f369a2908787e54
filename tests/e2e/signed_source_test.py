#!/usr/bin/python3
"""A host that pulls signed deployments over HTTPS: what is new arrives, and an attack changes nothing but the status."""
import base64
import datetime
import json
import signal
import socket
import threading
import time

import fixture
import publisher

PATH = "/shop/deployment.json"


def at(days):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


class SignedSource(fixture.AgentCase):
    def setUp(self):
        super().setUp()
        self.directory = self.agent.state / "publisher"
        self.directory.mkdir()
        publisher.make_certificates(self.directory)
        self.publisher = publisher.Publisher(self.directory)
        self.server = publisher.Server(self.directory)
        self.addCleanup(lambda: self.server.stop())
        self.agent.stop()
        self.agent.settings["source"] = {"url": f"https://127.0.0.1:{self.server.port}{PATH}", "trust": str(self.publisher.root),
                                         "ca": str(self.directory / "ca.pem"), "interval": "1s", "stale_after": "1h"}
        self.agent.settings["labels"] = {"role": "web"}
        self.agent.write_config()
        self.agent.start()

    def restart(self, **source):
        self.agent.stop(signal.SIGKILL)
        self.agent.settings["source"].update(source)
        self.agent.write_config()
        self.agent.start()

    def publish(self, *arguments, **options):
        self.server.answers[PATH] = self.publisher.signed(*arguments, **options)

    def source(self):
        return self.agent.status()["source"]

    def metric(self, name):
        line = next(line for line in fixture.get(self.agent.metrics_port, "/metrics").splitlines() if line.startswith(name + " "))
        return float(line.split()[-1])

    def runs(self, version, generation):
        fixture.wait_until(f"{version} is good as generation {generation}", lambda: fixture.get(self.port) == version
                           and (self.agent.status()["state"], self.agent.status()["generation"]) == ("converged", generation), 30)

    def refused(self, code, serial):
        """The source is refused for this reason, twice read, and nothing else has changed."""
        counter = f'holdfast_source_refusals_total{{code="{code}"}}'
        before = self.metric(counter)
        done = self.agent.cli("sync")
        self.assertEqual(done.code, 3, done)
        source = self.source()
        self.assertEqual((source["state"], source["refusal"]["code"], source["serial"]), ("refused", code, serial), source)
        self.assertGreater(self.metric(counter), before)
        self.assertEqual(fixture.get(self.port), "v1")
        self.assertEqual(self.agent.status()["generation"], 1)

    def test_an_update_arrives_and_attacks_change_nothing(self):
        begin = time.monotonic()
        self.publish({"web": self.web("WEB_V1")})
        fixture.wait_until("the first answer", lambda: fixture.get(self.port) == "v1", 30, 0.01)
        print(f"from publication to the first answer, polled each second: {time.monotonic() - begin:.2f} s")
        self.runs("v1", 1)
        self.assertEqual((self.source()["state"], self.source()["serial"], self.source()["root_version"]), ("current", 1, 1))
        accepted = next(row for row in map(json.loads, self.agent.cli("ledger", "export").out.splitlines()) if row["kind"] == "accepted")
        self.assertEqual((accepted["detail"]["serial"], accepted["detail"]["root_version"]), ("1", "1"))
        self.assertEqual(len(accepted["detail"]["signed_by"]), 12)

        v2 = {"web": self.web("WEB_V2")}
        good = json.loads(self.publisher.signed(v2, serial=2))
        attacks = {
            "tampered": (json.dumps({**good, "payload": base64.b64encode(base64.b64decode(good["payload"]).replace(b"shop", b"shop ", 1)).decode()})
                         .encode(), "E_SPEC_THRESHOLD"),
            "another key": (self.publisher.signed(v2, key="stranger", serial=2), "E_SPEC_THRESHOLD"),
            "a root key": (self.publisher.signed(v2, key="boss", serial=2), "E_SPEC_THRESHOLD"),
            "no signature": (json.dumps({**good, "signatures": []}).encode(), "E_SIG_MISSING"),
            "a plain document": (b"apiVersion: holdfast/v1\nname: shop\nservices: {}\n", "E_SIG_MISSING"),
            "a captive portal": (b"<!DOCTYPE html><html><body>Welcome to our wifi</body></html>", "E_SIG_INVALID"),
            "half an answer": (json.dumps(good).encode()[:300], "E_SIG_INVALID"),
            "the same serial, other content": (self.publisher.signed(v2, serial=1), "E_SPEC_EQUIVOCATION"),
            "other hosts": (self.publisher.signed(v2, serial=2, targets={"role": "db"}), "E_SPEC_TARGET"),
            "another host by name": (self.publisher.signed(v2, serial=2, targets={"host": "somebody-else"}), "E_SPEC_TARGET"),
            "a jump": (self.publisher.signed(v2, serial=2 ** 40), "E_POLICY"),
        }
        for what, (answer, code) in attacks.items():
            with self.subTest(what):
                self.server.answers[PATH] = answer
                self.refused(code, 1)

        self.server.answers[PATH] = b"{" + b" " * (3 << 20)
        self.assertEqual(self.agent.cli("sync").code, 3, "endless")
        self.assertEqual(self.source()["refusal"]["code"], "E_SIZE_MISMATCH")

        self.publisher.serial = 1
        self.publish(v2, targets={"role": "web", "host": socket.gethostname()})
        with fixture.Load(self.port) as load:
            done = self.agent.cli("sync")
            self.assertEqual(done.code, 0, done)
            self.runs("v2", 2)
        self.assert_no_request_failed(load)
        self.assertEqual((self.source()["state"], self.source()["serial"], self.source()["refusal"]), ("current", 2, None))
        # A source that was restored from a backup, or a mirror that replays.
        self.server.answers[PATH] = self.publisher.signed({"web": self.web("WEB_V1")}, serial=1)
        self.assertEqual(self.agent.cli("sync").code, 3)
        self.assertEqual(self.source()["refusal"]["code"], "E_SPEC_ROLLBACK")
        self.assertEqual(fixture.get(self.port), "v2")

    def test_a_server_that_keeps_it_waiting_is_given_up(self):
        """20 s for one answer, 30 s for all that is tried (deploy/README.md); the host's own work does not wait."""
        self.publish({"web": self.web("WEB_V1")})
        self.runs("v1", 1)
        asked, over = [], threading.Event()
        self.addCleanup(over.set)

        def silent_then_slow():
            asked.append(time.monotonic())
            if len(asked) == 1:
                over.wait(60)
                return 404
            return 200, (b" " * 2048 for _ in range(600) if not over.wait(0.1)), {"Content-Length": str(600 * 2048), "ETag": '"slow"'}

        self.server.answers[PATH] = silent_then_slow
        fixture.wait_until("it is asked", lambda: asked, 10)
        planned = self.agent.cli("rollback", "--dry-run")
        self.assertIn("no earlier good generation", planned.err)
        self.assertLess(planned.seconds, 5)
        fixture.wait_until("it is given up", lambda: self.source()["state"] == "unreachable", 40)
        took = time.monotonic() - asked[0]
        self.assertGreaterEqual(len(asked), 2, asked)
        self.assertTrue(19 < asked[1] - asked[0] < 24, asked)
        self.assertTrue(29 < took < 36, took)
        self.assertIn("sends too slowly", self.source()["refusal"]["message"])
        self.assertEqual(fixture.get(self.port), "v1")
        over.set()
        self.publish({"web": self.web("WEB_V1")})
        fixture.wait_until("it is heard again", lambda: self.source()["state"] == "current", 30)

    def test_an_older_document_stays_refused_although_the_state_of_trust_is_lost(self):
        self.publish({"web": self.web("WEB_V1")})
        self.runs("v1", 1)
        old = self.server.answers[PATH]
        self.publish({"web": self.web("WEB_V2")})
        self.agent.cli("sync")
        self.runs("v2", 2)
        self.agent.stop()
        (self.agent.state / "state/trust.json").unlink()
        self.server.answers[PATH] = old
        self.agent.start()
        fixture.wait_until("it is refused", lambda: "serial 1 of" in self.agent.log.read_text(), 10)
        self.assertEqual((fixture.get(self.port), self.agent.status()["generation"]), ("v2", 2))
        self.publisher.serial = 2
        self.publish({"web": self.web("WEB_V1")})
        self.agent.cli("sync")
        self.runs("v1", 3)

    def test_expiry_blocks_the_new_and_ages_into_a_fault(self):
        self.publish({"web": self.web("WEB_V1")}, "--expires", "4s")
        self.runs("v1", 1)
        old = self.publisher.signed({"web": self.web("WEB_V2")}, "--expires", "1s")
        fixture.wait_until("its time is over", lambda: self.source()["state"] == "stale", 10)
        self.assertEqual(self.agent.cli("status").code, 6)
        self.server.answers[PATH] = old
        self.assertEqual(self.agent.cli("sync").code, 3)
        self.assertEqual(self.source()["refusal"]["code"], "E_SPEC_EXPIRED")
        self.restart()
        self.assertEqual(fixture.get(self.port), "v1", "what runs is not stopped, nor kept from a restart")
        # The same content, signed again: nothing rolls out.
        self.server.answers[PATH] = self.publisher.signed({"web": self.web("WEB_V1")})
        self.assertEqual(self.agent.cli("sync").code, 0)
        fixture.wait_until("it is current again", lambda: self.source()["state"] == "current", 10)
        self.assertEqual((self.agent.status()["generation"], self.source()["serial"]), (1, 3))

    def test_a_source_that_is_gone_or_alternates_ages_and_recovers(self):
        self.publish({"web": self.web("WEB_V1")})
        self.runs("v1", 1)
        self.restart(stale_after="3s")
        good = self.server.answers[PATH]
        turn = iter(range(10 ** 6))
        self.server.answers[PATH] = lambda: good if next(turn) % 2 else b"<html>"
        for _ in range(6):
            self.agent.cli("sync")
        self.assertEqual((fixture.get(self.port), self.agent.status()["generation"]), ("v1", 1))
        self.server.answers[PATH] = 503
        fixture.wait_until("it is stale", lambda: self.source()["state"] == "stale", 20)
        self.assertEqual(self.metric('holdfast_source_state{state="stale"}'), 1)
        self.assertGreater(self.metric("holdfast_source_age_seconds"), 3)
        self.assertEqual(self.agent.cli("status").code, 6)
        self.assertIn("stale", self.agent.cli("status").out)
        self.server.answers[PATH] = good
        self.assertEqual(self.agent.cli("sync").code, 0)
        self.assertEqual(self.source()["state"], "current")

    def test_keys_change_from_one_root_to_the_next(self):
        self.publish({"web": self.web("WEB_V1")})
        self.runs("v1", 1)
        work = self.publisher
        work.holdfast("keygen", "heir")
        work.holdfast("root", "next", "1.root.json", "--signer", "heir.pub", "--root-key", "heir.pub", "--key", "boss.pem", "--key", "heir.pem")
        forged = self.directory / "forged.json"
        work.holdfast("root", "next", "1.root.json", "--signer", "stranger.pub", "--root-key", "stranger.pub", "--key", "stranger.pem", "-O", forged)
        # An attacker's root is not followed, and what the source has meanwhile is not taken.
        self.server.answers["/shop/2.root.json"] = forged.read_bytes()
        self.publish({"web": self.web("WEB_V2")}, key="stranger")
        self.assertEqual(self.agent.cli("sync").code, 3)
        self.assertEqual((self.source()["refusal"]["code"], self.source()["root_version"]), ("E_SPEC_THRESHOLD", 1))
        self.server.answers["/shop/2.root.json"] = (self.directory / "2.root.json").read_bytes()
        self.publish({"web": self.web("WEB_V2")}, key="heir", serial=2)
        self.assertEqual(self.agent.cli("sync").code, 0)
        self.runs("v2", 2)
        self.assertEqual((self.source()["root_version"], self.source()["serial"]), (2, 2))
        self.restart()
        self.publish({"web": self.web("WEB_V1")}, key="ci", serial=3)
        self.assertEqual(self.agent.cli("sync").code, 3, "the old key counts no more, after a restart too")
        self.assertEqual(self.source()["root_version"], 2)
        self.assertEqual(fixture.get(self.port), "v2")

    def test_killed_between_acceptance_and_effect_it_goes_on(self):
        self.publish({"web": self.web("WEB_V1")})
        self.runs("v1", 1)
        for round_, image in enumerate(["WEB_V2", "WEB_V1"] * 3):
            self.publish({"web": self.web(image)})
            state = self.agent.state / "state/trust.json"
            serial = self.publisher.serial
            wanted = f'"serial": {serial},'
            process = self.agent.process
            fixture.wait_until("it is accepted", lambda w=wanted: w in state.read_text(), 20, 0.0005)
            time.sleep(0.002 * round_)
            process.kill()
            self.agent.start()
            self.runs("v2" if image == "WEB_V2" else "v1", round_ + 2)
            self.assertEqual(self.source()["serial"], serial)

    def test_withdrawn_content_is_not_gone_back_to(self):
        self.publish({"web": self.web("WEB_V1")})
        self.runs("v1", 1)
        bad = self.agent.history()[0]["spec_digest"]
        self.publish({"web": self.web("WEB_V2")}, withdrawn=[bad])
        self.agent.cli("sync")
        self.runs("v2", 2)
        self.assertNotEqual(self.agent.cli("rollback").code, 0, "there is nothing else to go back to")
        named = self.agent.cli("rollback", "--to", "1", "--reason", "please")
        self.assertEqual(named.code, 5, named)
        self.assertIn("withdrawn", named.text)
        self.assertEqual(self.agent.cli("quarantine", "add", bad, "--reason", "for a while", "--for", "1s").code, 0)
        time.sleep(1.5)
        self.assertEqual(self.agent.cli("rollback", "--to", "1", "--reason", "please").code, 5, "an end does not apply to it")
        self.assertEqual(self.agent.cli("quarantine", "release", bad, "--reason", "version 2 is worse").code, 0)
        self.assertEqual(self.agent.cli("sync").code, 0)
        self.assertNotIn(bad, self.agent.cli("quarantine", "list").text, "what is said again is no news")
        self.assertEqual(self.agent.cli("rollback", "--to", "1", "--reason", "please").code, 0)
        self.assertEqual(fixture.get(self.port), "v1")

    def test_what_is_not_signed_is_applied_in_an_emergency_only(self):
        self.publish({"web": self.web("WEB_V1")})
        self.runs("v1", 1)
        update = {"web": self.web("WEB_V2")}
        done = self.agent.apply(update)
        self.assertEqual((done.code, done.json["error"]["code"]), (3, "E_SIG_MISSING"), done)
        self.assertEqual(self.agent.apply(update, "--break-glass").code, 2, "it needs a reason")
        done = self.agent.apply(update, "--break-glass", "--reason", "the publisher is on a plane")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(fixture.get(self.port), "v2")
        entry = [row for row in map(json.loads, self.agent.cli("ledger", "export").out.splitlines()) if row["kind"] == "accepted"][-1]
        self.assertEqual((entry["detail"]["break_glass"], entry["reason"]), ("yes", "the publisher is on a plane"))
        time.sleep(2.5)
        self.assertEqual(self.agent.cli("sync").code, 0)
        self.assertEqual(fixture.get(self.port), "v2", "the source, which has nothing new, does not undo it")
        self.publish({"web": self.web("WEB_V1")})
        self.assertEqual(self.agent.cli("sync").code, 0)
        fixture.wait_until("the publisher has it back, with the same content", lambda: fixture.get(self.port) == "v1", 20)

    def test_a_token_and_a_client_certificate(self):
        token = self.directory / "token"
        token.write_text("s3cret-token\n")
        self.server.token = "s3cret-token"
        self.restart(token_file=str(token))
        self.publish({"web": self.web("WEB_V1")})
        self.agent.cli("sync")
        self.runs("v1", 1)
        self.server.token = "another"
        self.assertEqual(self.agent.cli("sync").code, 1)
        self.assertEqual((self.source()["state"], self.source()["refusal"]["code"]), ("unreachable", "E_AUTH"))
        self.assertNotIn("s3cret", self.agent.log.read_text() + self.agent.cli("-o", "json", "status").out + self.agent.cli("ledger", "export").out)

    def test_nginx_wants_a_client_certificate(self):
        nginx = publisher.Nginx(self.directory)
        self.addCleanup(nginx.stop)
        nginx.path(PATH).write_bytes(self.publisher.signed({"web": self.web("WEB_V1")}))
        certificate = {"client_certificate": str(self.directory / "client.pem"), "client_key": str(self.directory / "client.key")}
        self.restart(url=f"https://127.0.0.1:{nginx.port}{PATH}")
        self.assertEqual(self.agent.cli("sync").code, 1, "without one")
        self.restart(**certificate)
        self.agent.cli("sync")
        self.runs("v1", 1)
        nginx.path(PATH).write_bytes(self.publisher.signed({"web": self.web("WEB_V2")}))
        self.agent.cli("sync")
        self.runs("v2", 2)
        fixture.wait_until("it goes by the entity tag", lambda: " 304 " in nginx.log.read_text(), 10)

    def test_most_polls_cost_one_request_without_a_body(self):
        self.publish({"web": self.web("WEB_V1")})
        self.runs("v1", 1)
        fixture.wait_until("an answer was 304", lambda: self.server.requests[-1] == (PATH, 304), 10)
        self.server.requests.clear()
        time.sleep(4)
        self.assertEqual(set(self.server.requests), {(PATH, 304)})
        self.assertLessEqual(len(self.server.requests), 6)
        self.restart(interval="1h", stale_after="3h")
        time.sleep(1)
        self.server.requests.clear()
        self.publish({"web": self.web("WEB_V2")})
        time.sleep(1)
        self.assertEqual(self.server.requests, [], "it does not ask before its time")
        self.assertEqual(self.agent.cli("sync").code, 0)
        self.runs("v2", 2)


if __name__ == "__main__":
    fixture.main()
