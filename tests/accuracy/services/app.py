# SPDX-License-Identifier: Apache-2.0
"""A WSGI service: each request makes CLEW_CALLS calls, one after the other, to NEXT, each with a fresh token.

Environment: NAME (in the truth), TRUTH (file), NEXT (HOST:PORT), NEXT_NAME, CALLS (1), KEEP (1: one
persistent connection a thread, 0: one a call), THINK_MS (mean of the random think times before, between
and after the calls; 0: none).

The pair (incoming token, outgoing token) goes to the truth file alone; nothing of one hop is in the bytes
of another.
"""

import http.client
import os
import random
import secrets
import threading
import time

NAME = os.environ["NAME"]
NEXT = os.environ["NEXT"]
NEXT_NAME = os.environ["NEXT_NAME"]
CALLS = int(os.environ.get("CALLS", "1"))
KEEP = os.environ.get("KEEP", "0") == "1"
THINK = float(os.environ.get("THINK_MS", "0")) / 1000

truth = os.open(os.environ["TRUTH"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
local = threading.local()


def think():
    if THINK:
        time.sleep(random.uniform(0, 2 * THINK))


def request(conn, path):
    conn.request("GET", path)
    answer = conn.getresponse()
    answer.read()
    return answer.status


def call(path):
    if not KEEP:
        conn = http.client.HTTPConnection(NEXT)
        try:
            return request(conn, path)
        finally:
            conn.close()
    if not hasattr(local, "conn"):
        local.conn = http.client.HTTPConnection(NEXT)
    return request(local.conn, path)


def app(environ, start_response):
    token = environ["PATH_INFO"].rsplit("/", 1)[-1]
    status = 200
    think()
    for _ in range(CALLS):
        out = secrets.token_hex(16)
        # One write a line: whole lines from all processes.
        os.write(truth, ("%s\t%s\t%s\t%s\n" % (NAME, token, NEXT_NAME, out)).encode())
        if call("/%s/%s" % (NEXT_NAME, out)) >= 400:
            status = 502
        think()
    body = b"ok\n"
    start_response("%d %s" % (status, "OK" if status == 200 else "Bad Gateway"),
                   [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
