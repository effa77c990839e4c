# SPDX-License-Identifier: Apache-2.0
"""The work of a request in blocking calls: a bounded pool of persistent connections to the back end."""

import http.client
import queue
import socket
import threading
import time

import flow


class Pool:
    """At most flow.CONNS connections; who finds none free waits for one."""

    def __init__(self):
        self.free = queue.LifoQueue()
        for _ in range(flow.CONNS):
            self.free.put(None)

    def get(self, path):
        conn = self.free.get()
        try:
            if conn is None:
                conn = http.client.HTTPConnection(flow.HOST, flow.BACK_PORT)
                conn.connect()
                conn.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            conn.request("GET", path)
            answer = conn.getresponse()
            answer.read()
            return answer.status
        except Exception:
            if conn is not None:
                conn.close()
            conn = None
            raise
        finally:
            self.free.put(conn)


pool = Pool()


def call(incoming, kind):
    """One call with its retries; whether it went well."""
    for attempt in range(flow.RETRIES + 1):
        if pool.get(flow.new_call(incoming, flow.retry(kind) if attempt else kind)) < 400:
            return True
    return False


def background(incoming):
    time.sleep(flow.pause())
    call(incoming, "background")


def work(incoming):
    """The calls of one request, one after the other; its status."""
    status = 200
    time.sleep(flow.pause())
    for kind in flow.steps():
        if not call(incoming, kind):
            status = 502
        time.sleep(flow.pause())
    return status


def timer():
    while True:
        time.sleep(flow.period())
        call("-", "timer")


def start_timer():
    if flow.TIMER:
        threading.Thread(target=timer, daemon=True).start()
