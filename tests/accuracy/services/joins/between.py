# SPDX-License-Identifier: Apache-2.0
"""Service b of the joins: no SDK, no header passed on. A thread a connection; it calls c once, now and then twice.

    PORT, BACK (host:port of c), TRUTH, THINK_MS
"""

import http.client
import os
import random
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

THINK = float(os.environ["THINK_MS"]) / 1000
TRUTH = os.open(os.environ["TRUTH"], os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)
mine = threading.local()


def call(token):
    if not hasattr(mine, "conn"):
        mine.conn = http.client.HTTPConnection(os.environ["BACK"])
    fresh = secrets.token_hex(16)
    os.write(TRUTH, ("b\t%s\tc\t%s\n" % (token, fresh)).encode())
    mine.conn.request("GET", "/c/" + fresh)
    mine.conn.getresponse().read()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, *args):
        pass

    def do_GET(self):
        for _ in range(random.choices((1, 2), (85, 15))[0]):
            time.sleep(random.uniform(0, 2 * THINK))
            call(self.path.rsplit("/", 1)[1])
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"done\n")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
