"""Two servers on loopback whose paths say how they behave. Prints their ports; ends with its standard input."""
import http.server
import sys
import threading
import time

class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    other, name, hits = '', '', []

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def reply(self, status, body=b'', *headers):
        self.send_response(status)
        for key, value in headers:
            self.send_header(key, value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.command != 'HEAD' and status != 304:
            self.wfile.write(body)

    def answer(self, _):
        path = self.path.split('?')[0]
        if path == '/who':
            return self.reply(200, self.name.encode(), ('Content-Type', 'text/plain'))
        if path == '/asked':  # what came with the request
            return self.reply(200, ('%s %s %s' % (self.path, self.headers.get('X-Mark'), self.headers.get('Authorization'))).encode())
        if path == '/only-second':
            return self.reply(200 if self.name == 'second' else 404, self.name.encode())
        if path == '/private':
            if self.headers.get('Authorization') == 'Basic dXNlcjpwYXNz':
                return self.reply(200, b'secret')
            return self.reply(401, b'', ('WWW-Authenticate', 'Basic realm="lab"'))
        if path == '/tagged':
            if self.headers.get('If-None-Match') == '"v1"':
                return self.reply(304)
            return self.reply(200, b'version one', ('ETag', '"v1"'))
        if path.startswith('/bytes/'):
            return self.reply(200, b'x' * int(path[7:]))
        if path == '/elsewhere':
            return self.reply(302, b'', ('Location', self.other + '/who'))
        if path == '/slow':  # fast enough for the low-speed limit, and without an end
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b'x' * 4096)
                    self.wfile.flush()
                    time.sleep(0.1)
            except OSError:
                self.close_connection = True
            return None
        if path == '/broken':
            return self.reply(500, b'broken')
        return self.reply(404)

def start(name):
    handler = type(name, (Server,), {'name': name})
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, handler

first, first_handler = start('first')
second, _ = start('second')
first_handler.other = 'http://127.0.0.1:%d' % second.server_address[1]
print(first.server_address[1], second.server_address[1], flush=True)
sys.stdin.read()
