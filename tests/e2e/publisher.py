"""Those who publish, and the server where they do: keys, roots and signed documents by the real command line, served over TLS on loopback."""
import contextlib
import http.server
import json
import ssl
import subprocess
import threading
from pathlib import Path

import fixture


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def make_certificates(directory):
    """An authority, a server of 127.0.0.1 and a client, all of that authority: ca.pem, server.{pem,key}, client.{pem,key}."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=test authority",
            "-keyout", directory / "ca.key", "-out", directory / "ca.pem")
    for name, extension in (("server", "subjectAltName=IP:127.0.0.1"), ("client", "extendedKeyUsage=clientAuth")):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-keyout", directory / f"{name}.key", "-out", directory / f"{name}.csr")
        (directory / "extension").write_text(extension)
        openssl("x509", "-req", "-in", directory / f"{name}.csr", "-CA", directory / "ca.pem", "-CAkey", directory / "ca.key", "-CAcreateserial",
                "-days", "30", "-extfile", directory / "extension", "-out", directory / f"{name}.pem")


class Publisher:
    """Keys and documents in a directory, by `holdfast keygen | root | sign`."""

    def __init__(self, directory, deployment="shop"):
        self.directory, self.deployment, self.serial = Path(directory), deployment, 0
        for name in ("boss", "ci", "stranger"):
            self.holdfast("keygen", name)
        self.holdfast("root", "init", deployment, "--root-key", "boss.pub", "--signer", "ci.pub", "--key", "boss.pem")
        self.root = self.directory / "1.root.json"

    def holdfast(self, *arguments, code=0):
        done = subprocess.run([fixture.BIN / "holdfast", *map(str, arguments)], cwd=self.directory, capture_output=True, text=True, check=False)
        assert done.returncode == code, f"holdfast {arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def signed(self, services, *arguments, key="ci", serial=None, **top):
        """The bytes of a document of these services under the next serial."""
        self.serial = serial or self.serial + 1
        lines = {"apiVersion": "holdfast/v1", "name": self.deployment, **top, "services": services}
        (self.directory / "document.yaml").write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in lines.items()))
        self.holdfast("sign", "document.yaml", "--serial", self.serial, "--key", f"{key}.pem", "-O", "document.dsse.json", *arguments)
        return (self.directory / "document.dsse.json").read_bytes()


class Server:
    """An HTTPS server that answers what a test puts into `answers` (path → bytes, or a status), and counts."""

    def __init__(self, directory, port=0):
        self.answers, self.requests, self.token = {}, [], None
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                answer = outer.answers.get(self.path, 404)
                if callable(answer):
                    answer = answer()
                if outer.token and self.headers.get("Authorization") != f"Bearer {outer.token}":
                    answer = 401
                status, body, headers = (answer, b"", {}) if isinstance(answer, int) else (200, answer, {})
                if isinstance(answer, tuple):
                    status, body, headers = answer
                if status == 200 and "ETag" not in headers:
                    headers = {**headers, "ETag": f'"{hash(body) & 0xFFFFFFFF:x}"'}
                    if self.headers.get("If-None-Match") == headers["ETag"]:
                        status, body = 304, b""
                outer.requests.append((self.path, status))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):  # who does not want to wait for a slow body
                    for piece in (body,) if isinstance(body, bytes) else body:
                        self.wfile.write(piece)
                if "Content-Length" in headers:
                    self.close_connection = True

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "server.pem", directory / "server.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Nginx:
    """nginx that serves files over TLS to whoever shows a certificate of the authority."""

    def __init__(self, directory):
        self.root, self.log, self.port = directory / "www", directory / "access.log", fixture.free_port()
        (self.root / "shop").mkdir(parents=True)
        directory.chmod(0o755)
        config = directory / "nginx.conf"
        config.write_text(f"""daemon off; pid {directory}/nginx.pid; error_log {directory}/error.log; worker_processes 1; user root;
events {{}}
http {{ access_log {self.log}; client_body_temp_path {directory}/t1; proxy_temp_path {directory}/t2; fastcgi_temp_path {directory}/t3;
  uwsgi_temp_path {directory}/t4; scgi_temp_path {directory}/t5;
  server {{ listen 127.0.0.1:{self.port} ssl; root {self.root}; ssl_certificate {directory}/server.pem; ssl_certificate_key {directory}/server.key;
    ssl_client_certificate {directory}/ca.pem; ssl_verify_client on; }} }}
""")
        self.process = subprocess.Popen(["nginx", "-c", config], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        fixture.wait_until("nginx listens", lambda: subprocess.run(["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{self.port}"], check=False,
                                                                   capture_output=True).returncode == 0, 10)

    def path(self, path):
        return self.root / path.lstrip("/")

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
