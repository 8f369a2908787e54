#!/usr/bin/python3
"""An HTTP proxy on loopback for the tests of pulls; standard library only.

  proxy_lab.py LOG [USER:PASSWORD]   prints its port; a line "METHOD TARGET" in LOG for each request let through; ends with its input"""
import base64, http.server, select, socket, socketserver, sys, threading, urllib.parse

class Proxy(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    log, login = None, None

    def log_message(self, *_):
        pass

    def admitted(self):
        wanted = self.login and 'Basic ' + base64.b64encode(self.login.encode()).decode()
        if self.headers.get('Proxy-Authorization') != wanted:
            self.send_response(407)
            self.send_header('Proxy-Authenticate', 'Basic realm="proxy"')
            self.send_header('Content-Length', '0')
            self.end_headers()
            return False
        with open(self.log, 'a') as log:
            log.write('%s %s\n' % (self.command, self.path))
        return True

    def pump(self, upstream):
        self.close_connection = True
        pair = {self.connection: upstream, upstream: self.connection}
        while True:
            for end in select.select(list(pair), [], [])[0]:
                data = end.recv(65536)
                if not data:
                    return
                pair[end].sendall(data)

    def do_CONNECT(self):
        if not self.admitted():
            return
        host, port = self.path.rsplit(':', 1)
        with socket.create_connection((host, int(port))) as upstream:
            self.send_response(200)
            self.end_headers()
            self.pump(upstream)

    def do_GET(self):
        if not self.admitted():
            return
        url = urllib.parse.urlsplit(self.path)
        path = url.path + ('?' + url.query if url.query else '')
        headers = ''.join('%s: %s\r\n' % (key, value) for key, value in self.headers.items()
                          if key.lower() not in ('proxy-authorization', 'proxy-connection', 'connection'))
        with socket.create_connection((url.hostname, url.port or 80)) as upstream:
            upstream.sendall(('GET %s HTTP/1.1\r\n%sConnection: close\r\n\r\n' % (path, headers)).encode())
            self.pump(upstream)

class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

Proxy.log = sys.argv[1]
Proxy.login = sys.argv[2] if len(sys.argv) > 2 else None
server = Server(('127.0.0.1', 0), Proxy)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
