# SPDX-License-Identifier: Apache-2.0
"""A threading HTTP server: a thread a connection. MODE says where the work of a request is done.

    thread      by the thread that read it
    future      in a ThreadPoolExecutor of WORKERS threads; the reader waits for the result and answers
    future-each a task of that pool for each call; the reader waits for all of them
"""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import blocking
import flow

MODE = os.environ["MODE"]
executor = ThreadPoolExecutor(flow.WORKERS)


def one(incoming, kind):
    time.sleep(flow.pause())
    return blocking.call(incoming, kind)


def each(incoming):
    tasks = [executor.submit(one, incoming, kind) for kind in flow.steps()]
    return 200 if all([t.result() for t in tasks]) else 502


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one write

    def do_GET(self):
        token = flow.token_of(self.path)
        if MODE == "thread":
            status = blocking.work(token)
        elif MODE == "future":
            status = executor.submit(blocking.work, token).result()
        else:
            status = each(token)
        if flow.starts_background():
            if MODE == "thread":
                threading.Thread(target=blocking.background, args=(token,), daemon=True).start()
            else:
                executor.submit(blocking.background, token)
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(flow.BODY)))
        self.end_headers()
        self.wfile.write(flow.BODY)
        self.wfile.flush()

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


blocking.start_timer()
Server(("127.0.0.1", flow.PORT), Handler).serve_forever()
