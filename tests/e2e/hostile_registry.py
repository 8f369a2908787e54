"""A registry on loopback that serves what a test made, as slowly as it is told, and the images that are dear to unpack."""
import http.server
import re
import sys
import threading
import time
from pathlib import Path

import fixture

sys.path.insert(0, str(fixture.SOURCE / "tests/component/deploy/image"))
import image_lab  # noqa: E402


class Registry(http.server.ThreadingHTTPServer):
    """Blobs below `root`. `rate`: bytes a second of each answer about a blob, 0 for all at once."""

    daemon_threads = True

    def __init__(self, root, rate=0):
        super().__init__(("127.0.0.1", 0), Handler)
        self.blobs, self.rate, self.name = image_lab.Blobs(str(root)), rate, f"127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def reference(self, name, digest):
        return f"{self.name}/{name}@{digest}"

    def close(self):
        self.shutdown()
        self.server_close()

    def handle_error(self, *_):  # an agent that gives up is meant
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        found = re.fullmatch(r"/v2/.+/(manifests|blobs)/sha256:([0-9a-f]{64})", self.path)
        path = Path(self.server.blobs.root, found[2]) if found else None
        exists = path is not None and path.exists()
        body = path.read_bytes() if exists else b"{}"
        self.send_response(200 if exists else 404)
        self.send_header("Content-Type", "application/vnd.oci.image.manifest.v1+json" if found and found[1] == "manifests" else "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.rate == 0 or found[1] == "manifests":
            self.wfile.write(body)
            return
        step = max(1, self.server.rate // 10)
        for begin in range(0, len(body), step):
            self.wfile.write(body[begin:begin + step])
            time.sleep(0.1)


def dear_images(registry):
    """References by name: a few kilobytes each, and each costs whoever unpacks it something else."""
    lab, blobs = image_lab, registry.blobs
    layers = {
        "many-names-of-a-hole": lab.raw_tar(lab.sparse("f", 9 << 30), lab.tar(*(lab.hardlink(f"l{number}", "f") for number in range(3000)))),
        "tiny-entries": lab.tar(*(lab.entry(str(number)) for number in range(40_000))),
        "tiny-directories": lab.tar(*(lab.directory(f"d{number}") for number in range(19_000))),
        "deep-through-links": lab.deep_links(),
    }
    images = {name: lab.image(blobs, [layer]) for name, layer in layers.items()}
    for name, packed in (("bomb", lab.bomb(lab.ZSTD)), ("entries-of-nothing", lab.entry_bomb())):
        how = lab.ZSTD if name == "bomb" else lab.GZIP
        images[name] = lab.image(blobs, [lab.tar()], how, packed=[packed], diff_ids=["sha256:" + lab.sha(b"bomb")])
    return {name: registry.reference(name, digest) for name, digest in images.items()}
