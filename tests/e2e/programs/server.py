# SPDX-License-Identifier: Apache-2.0
"""A small HTTP server on plain sockets, with every corner of HTTP/1.x that a tracer has to get right.

usage: server.py LISTEN...      LISTEN: PORT, [::1]:PORT or /unix/path; a line "ready" on standard output

It reads one request at a time (also out of a pipelined batch) and answers by its path's first part:

    /status/N  /len/N  /chunked  /head/N  /204  /304  /early  /upgrade  /drip  /longhead/N  /close  /eof  /hang-up
    /peek (looked at with MSG_PEEK first)  /sendfile/N  anything else: 200 and a short body

A thread a connection.
"""

import os
import socket
import sys
import tempfile
import threading

FILE = tempfile.TemporaryFile()
FILE.write(b"HTTP/1.1 200 OK\r\nGET /lure-file HTTP/1.1\r\n\r\n" * 100000)
FILE.flush()


class Gone(Exception):
    pass


class Conn:
    def __init__(self, sock):
        self.sock, self.buf = sock, b""

    def more(self):
        data = self.sock.recv(65536)
        if not data:
            raise Gone
        self.buf += data

    def until(self, mark):
        while mark not in self.buf:
            self.more()
        out, self.buf = self.buf.split(mark, 1)
        return out

    def exactly(self, n):
        while len(self.buf) < n:
            self.more()
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def skip(self, n):
        while n:
            if not self.buf:
                self.more()
            k = min(n, len(self.buf))
            self.buf, n = self.buf[k:], n - k

    def send(self, *pieces):
        for p in pieces:
            self.sock.sendall(p)


def read_request(c):
    """(method, path, headers, body length), the body taken off; 100-continue is answered."""
    lines = c.until(b"\r\n\r\n").split(b"\r\n")
    method, target, version = lines[0].decode("latin1").split(" ")
    headers = {k.strip().lower(): v.strip() for k, v in (x.decode("latin1").split(":", 1) for x in lines[1:])}
    if headers.get("expect", "").lower() == "100-continue":
        c.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    n = 0
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while True:
            size = int(c.until(b"\r\n").split(b";")[0], 16)
            c.exactly(size + 2) if size else c.until(b"\r\n")
            n += size
            if not size:
                break
    else:
        n = int(headers.get("content-length", "0"))
        c.skip(n)
    return method, target, headers, n, version


def plain(body, status="200 OK", extra=b""):
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status.encode(), len(body), extra, body)


def drip(c):
    """A head in many small writes; TCP_NODELAY makes each a segment of its own."""
    c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = b"HTTP/1.1 202 Accepted\r\nX-Long: %s\r\nContent-Length: 4\r\n\r\n" % (b"d" * 60)
    for i in range(0, len(head), 3):
        c.send(head[i:i + 3])
    c.send(b"dr", b"ip")


def tunnel(c):
    c.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
    while True:
        if not c.buf:
            c.more()
        data, c.buf = c.buf, b""
        c.send(data)


def sendfile(c, n):
    c.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % n)
    at = 0
    while at < n:
        at += os.sendfile(c.sock.fileno(), FILE.fileno(), at, n - at)


def answer(c, method, target, version):
    """False when the connection ends."""
    parts = target.split("?")[0].strip("/").split("/")
    what, n = parts[0], int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0
    if what == "status":
        c.send(plain(b"status\n", "%d Whatever" % n))
    elif what == "len":
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % n)
        # every piece begins with what looks like another message
        lure = (b"HTTP/1.1 500 Lure\r\nContent-Length: 0\r\n\r\nGET /lure HTTP/1.1\r\n\r\n" * 1024)[:65536]
        for at in range(0, n, len(lure)):
            c.send(lure[:n - at])
    elif what == "chunked":
        c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"5;ext=1\r\nhello\r\n",
               b"11\r\nHTTP/1.1 500 No\r\n\r\n", b"0\r\nX-Trailer: t\r\n\r\n")
    elif what == "head":
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % n)
    elif what == "204":
        c.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    elif what == "304":
        c.send(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n")
    elif what == "early":
        c.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n", plain(b"early\n"))
    elif what == "upgrade":
        tunnel(c)
    elif what == "drip":
        drip(c)
    elif what == "longhead":
        c.send(b"HTTP/1.1 201 Created\r\n" + b"".join(b"X-Pad-%d: %s\r\n" % (i, b"p" * 90) for i in range(n // 100))
               + b"Content-Length: 2\r\n\r\nok")
    elif what == "close":
        c.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"to the end\n")
        return False
    elif what == "hang-up":
        return False
    elif what == "sendfile":
        sendfile(c, n)
    else:
        c.send(plain(b"ok\n", extra=b"Set-Cookie: sid=SECRET-SETCOOKIE\r\nX-Shop: books\r\n"))
    return version != "HTTP/1.0"


def serve(sock):
    c = Conn(sock)
    try:
        while True:
            if not c.buf:
                sock.recv(16, socket.MSG_PEEK)
            method, target, _, _, version = read_request(c)
            if not answer(c, method, target, version):
                return
    except (Gone, ConnectionError):
        pass
    finally:
        sock.close()


def listen(where):
    if where.startswith("/"):
        s = socket.socket(socket.AF_UNIX)
        s.bind(where)
    elif where.startswith("["):
        s = socket.socket(socket.AF_INET6)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((where[1:where.index("]")], int(where.rsplit(":", 1)[1])))
    else:
        s = socket.socket(socket.AF_INET)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", int(where)))
    s.listen(128)
    return s


def accept_loop(listener):
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=(sock,), daemon=True).start()


def main():
    threads = [threading.Thread(target=accept_loop, args=(listen(w),), daemon=True) for w in sys.argv[1:]]
    for t in threads:
        t.start()
    print("ready", flush=True)
    for t in threads:
        t.join()


main()
