# SPDX-License-Identifier: Apache-2.0
"""The client of the HTTP scenario: every case once, on plain sockets, each with paths of its own.

usage: traffic.py TCP-PORT IPV6-PORT UNIX-PATH

Starts server.py as its child, so that both ends are what `clew run` traces. Fails loudly when an answer is not
what it should be: then the trace proves nothing.
"""

import os
import select
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


class Client:
    def __init__(self, address, family=socket.AF_INET, nonblocking=False):
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        if nonblocking:
            self.sock.setblocking(False)
            self.sock.connect_ex(address)
            select.select([], [self.sock], [], 5)
            assert self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
            self.sock.setblocking(True)
        else:
            self.sock.connect(address)
        self.buf = b""

    def send(self, *pieces):
        for p in pieces:
            self.sock.sendall(p)

    def more(self):
        data = self.sock.recv(65536)
        self.buf += data
        return data

    def until(self, mark):
        while mark not in self.buf:
            assert self.more(), "the server hung up"
        out, self.buf = self.buf.split(mark, 1)
        return out

    def answer(self, head_only=False, keep_1xx=False):
        """(status, length of the body)"""
        head = self.until(b"\r\n\r\n").decode("latin1")
        status = int(head.split(" ", 2)[1])
        if status // 100 == 1 and not keep_1xx:
            return self.answer(head_only)
        low = head.lower()
        if head_only or status in (204, 304) or status // 100 == 1:
            return status, 0
        if "transfer-encoding: chunked" in low:
            n = 0
            while True:
                size = int(self.until(b"\r\n").split(b";")[0], 16)
                if not size:
                    self.until(b"\r\n\r\n") if "X-Trailer" in self.peek() else self.until(b"\r\n")
                    return status, n
                self.exactly(size + 2)
                n += size
        if "content-length:" in low:
            n = int(low.split("content-length:")[1].split("\r\n")[0])
            self.exactly(n)
            return status, n
        while self.more():
            pass
        n, self.buf = len(self.buf), b""
        return status, n

    def peek(self):
        while len(self.buf) < 12:
            if not self.more():
                break
        return self.buf.decode("latin1")

    def exactly(self, n):
        while n:
            if not self.buf:
                assert self.more(), "the server hung up"
            k = min(n, len(self.buf))
            self.buf, n = self.buf[k:], n - k

    def get(self, path, method="GET", extra=""):
        self.send(("%s %s HTTP/1.1\r\nHost: shop.test\r\n%s\r\n" % (method, path, extra)).encode())
        return self.answer(head_only=method == "HEAD")


def expect(got, wanted):
    assert got == wanted, "got %r, not %r" % (got, wanted)


def framing(at):
    """Cases that end one message and begin the next, all on one connection."""
    c = Client(at)
    for i in range(5):
        expect(c.get("/keep/%d" % i), (200, 3))
    c.send(b"".join(b"GET /%s HTTP/1.1\r\nHost: h\r\n\r\n" % p for p in (
        b"pipe-0", b"status/404/pipe-1", b"pipe-2", b"status/500/pipe-3", b"len/5000/pipe-4")))
    expect([c.answer()[0] for _ in range(5)], [200, 404, 200, 500, 200])
    expect(c.get("/chunked"), (200, 22))
    expect(c.get("/after-chunked"), (200, 3))
    c.send(b"POST /chunked-request HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
           b"1c\r\nGET /lure-chunk HTTP/1.1\r\n\r\n\r\n", b"0\r\n\r\n")
    expect(c.answer(), (200, 3))
    expect(c.get("/head/1000", "HEAD"), (200, 0))
    expect(c.get("/after-head"), (200, 3))
    expect(c.get("/204"), (204, 0))
    expect(c.get("/304"), (304, 0))
    expect(c.get("/after-304"), (200, 3))
    expect(c.get("/early"), (200, 6))
    c.send(b"POST /continue HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n")
    expect(c.answer(keep_1xx=True), (100, 0))
    c.send(b"0123456789")
    expect(c.answer(), (200, 3))
    expect(c.get("/after-continue"), (200, 3))


def sizes(at):
    """Big bodies both ways, long heads, heads in pieces; still one connection."""
    c = Client(at)
    expect(c.get("/len/8388608"), (200, 8388608))
    c.send(b"POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 4194304\r\n\r\n")
    c.send((b"GET /lure-upload HTTP/1.1\r\n\r\n" * 160000)[:4194304])
    expect(c.answer(), (200, 3))
    expect(c.get("/drip"), (202, 4))
    c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    request = b"GET /split-head HTTP/1.1\r\nHost: h\r\nX-Pad: %s\r\n\r\n" % (b"s" * 40)
    for i in range(0, len(request), 7):
        c.send(request[i:i + 7])
    expect(c.answer(), (200, 3))
    expect(c.get("/longhead/20000"), (201, 2))
    expect(c.get("/long-request-head", extra="".join("X-Pad-%d: %s\r\n" % (i, "q" * 90) for i in range(200))), (200, 3))
    expect(c.get("/" + "long-path/" * 300), (200, 3))
    expect(c.get("/sendfile/1000000"), (200, 1000000))
    expect(c.get("/after-all"), (200, 3))


def endings(at):
    expect(Client(at).get("/close"), (200, 11))
    c = Client(at)
    c.send(b"GET /http10 HTTP/1.0\r\n\r\n")
    expect(c.answer(), (200, 3))
    c = Client(at)
    c.send(b"GET /hang-up HTTP/1.1\r\nHost: h\r\n\r\n")
    expect(c.sock.recv(10), b"")
    c = Client(at)
    c.send(b"GET /upgrade HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
    expect(c.answer(keep_1xx=True), (101, 0))
    c.send(b"GET /lure-tunnel HTTP/1.1\r\nHost: h\r\n\r\n")
    expect(c.until(b"\r\n\r\n")[:4], b"GET ")


def calls(at):
    """The same request by each system call that Python has."""
    def raw(name):
        return b"GET /call/%s HTTP/1.1\r\nHost: h\r\n\r\n" % name.encode()
    c = Client(at, nonblocking=True)
    fd = c.sock.fileno()
    def done(name, send):
        send(raw(name))
        expect(c.answer(), (200, 3))
    done("write", lambda b: os.write(fd, b))
    done("writev", lambda b: os.writev(fd, [b[:5], b[5:20], b[20:]]))
    done("send", c.sock.send)
    done("sendmsg", lambda b: c.sock.sendmsg([b[:3], b[3:]]))
    r, w = os.pipe()
    def splice(b):
        os.write(w, b)
        os.splice(r, fd, len(b))
    done("splice", splice)
    for name, receive in (
            ("read", lambda: os.read(fd, 4096)),
            ("readv", lambda: readv(fd)),
            ("recvmsg", lambda: c.sock.recvmsg(4096)[0]),
            ("recvfrom", lambda: c.sock.recvfrom(4096)[0]),
            ("recv_into", lambda: into(c.sock)),
            ("peek", lambda: (c.sock.recv(4096, socket.MSG_PEEK), c.sock.recv(4096))[1])):
        c.send(raw(name))
        got = b""
        while not got.endswith(b"ok\n"):
            got += receive()
        assert got.startswith(b"HTTP/1.1 200"), got


def readv(fd):
    bufs = [bytearray(10), bytearray(4096)]
    n = os.readv(fd, bufs)
    return b"".join(bufs)[:n]


def into(sock):
    buf = bytearray(4096)
    return bytes(buf[:sock.recv_into(buf)])


def secrets(at):
    """Nothing that says SECRET may ever be seen again; what says KEPT must be."""
    c = Client(at)
    expect(c.get("/secrets?token=SECRET-TOKEN&item=KEPT-ITEM&password=SECRET-PASSWORD&api_key=SECRET-KEY&"
                 "client%5Fsecret=SECRET-CLIENT",
                 extra="Authorization: Bearer SECRET-BEARER\r\nCookie: sid=SECRET-COOKIE\r\n"
                       "Proxy-Authorization: Basic SECRET-PROXY\r\nX-Shop: KEPT-HEADER\r\n"), (200, 3))


def main():
    port, port6, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    server = subprocess.Popen([sys.executable, os.path.join(HERE, "server.py"), str(port), "[::1]:%d" % port6, path],
                              stdout=subprocess.PIPE)
    assert server.stdout.readline() == b"ready\n"
    at = ("127.0.0.1", port)
    for case in (framing, sizes, endings, calls, secrets):
        case(at)
    expect(Client(("::1", port6), socket.AF_INET6).get("/over-ipv6"), (200, 3))
    c = Client(path, socket.AF_UNIX)
    expect(c.get("/over-unix/1"), (200, 3))
    expect(c.get("/over-unix/2"), (200, 3))
    server.terminate()
    server.wait()


main()
