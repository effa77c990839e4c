# SPDX-License-Identifier: Apache-2.0
"""A pool smaller than the load: one thread selects and reads, WORKERS threads take requests from a queue.Queue,
work and write the answers themselves."""

import queue
import selectors
import socket
import threading

import blocking
import flow

ANSWER = {200: b"HTTP/1.1 200 OK\r\n", 502: b"HTTP/1.1 502 Bad Gateway\r\n"}
jobs = queue.Queue()


def work():
    while True:
        conn, token = jobs.get()
        if conn is None:
            blocking.background(token)
            continue
        status = blocking.work(token)
        if flow.starts_background():
            jobs.put((None, token))
        conn.sendall(ANSWER[status] + b"Content-Length: %d\r\n\r\n" % len(flow.BODY) + flow.BODY)


def main():
    for _ in range(flow.WORKERS):
        threading.Thread(target=work, daemon=True).start()
    blocking.start_timer()
    selector = selectors.DefaultSelector()
    listener = socket.create_server(("127.0.0.1", flow.PORT), backlog=1024)
    selector.register(listener, selectors.EVENT_READ, None)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                conn, _ = listener.accept()
                conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(conn, selectors.EVENT_READ, bytearray())
                continue
            data = key.fileobj.recv(4096)
            if not data:
                selector.unregister(key.fileobj)
                key.fileobj.close()
                continue
            key.data.extend(data)
            if b"\r\n\r\n" in key.data:
                token = flow.token_of(key.data.split(b" ", 2)[1].decode())
                key.data.clear()
                jobs.put((key.fileobj, token))


main()
