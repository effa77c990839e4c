# SPDX-License-Identifier: Apache-2.0
"""Write recordings by hand (abi/record.h, src/capture/recording.h): a client calls a server over TCP.

So the whole way from a recording to the screen is tested without root and without a kernel feature.
"""
import struct

META, CLOCK, IO, CONN, THREAD, PROCESS, LOSS = 1, 2, 3, 4, 6, 7, 9
RX, TX = 0, 1
T0 = 5_000_000_000  # monotonic
REAL = 1_790_000_000_000_000_000  # Unix time at T0
MAPPED = bytes(10) + b"\xff\xff" + bytes([127, 0, 0, 1])


def pad(b):
    return b + bytes(-len(b) % 8)


def tags(*pairs):
    return b"".join(struct.pack("<HH", tag, len(text)) + text for tag, text in
                    ((t, s.encode()) for t, s in pairs))


class Recording:
    def __init__(self):
        self.records = []
        self.now = T0
        tail = tags((16, "testhost"), (17, "11111111-2222-3333-4444-555555555555"), (18, "6.18"), (19, "0"))
        self.add(META, struct.pack("<IIQHHI", 1, 4096, T0, 32, 0, len(tail)), tail)
        self.add(CLOCK, struct.pack("<QQQ", T0, REAL, T0))

    def add(self, kind, fixed, tail=b"", flags=0):
        body = pad(fixed + tail)
        self.records.append(struct.pack("<IHH", 8 + len(body), kind, flags) + body)

    def process(self, pid, exe):
        tail = tags((1, "/usr/bin/" + exe), (2, exe), (6, exe))
        self.add(PROCESS, struct.pack("<QQIIIIHHI", self.now, pid, pid, pid, 1, 0, 48, 0, len(tail)), tail)
        self.add(THREAD, struct.pack("<QQQQIIIIIIIIIIHHI16s", self.now, pid, pid, 1, pid, pid, 1, 0, pid,
                                     1, 1, 1, 0, 0, 104, 4, 0, exe.encode()[:15]))

    def conn(self, cookie, pid, event, role, lport, rport, tx0, rx0):
        self.add(CONN, struct.pack("<QQQQQQQIIIIIIHBBHHHHI16s16s", self.now, cookie, 0, 0, 0, 0, pid, tx0,
                                   rx0, pid, pid, 1, 0, 136, event, role, 2, lport, rport, 0, 0, MAPPED,
                                   MAPPED))

    def io(self, cookie, pid, direction, offset, data):
        self.add(IO, struct.pack("<QQQQQQIIIIHBBHH", self.now - 1000, self.now, cookie, offset, 0, pid, pid,
                                 pid, len(data), len(data), 80, direction, 0, 0, 0), data, flags=1 << 8)

    def loss(self, where, count):
        self.add(LOSS, struct.pack("<QQQIIIHH", self.now, count, 0, 0, 0, where, 48, 0))

    def call(self, n, client, server, request, response, ms=5.0):
        """One exchange on a connection of its own, seen from both ends; takes ms."""
        port, c, s = 40000 + n, 1000 + 2 * n, 1001 + 2 * n
        step = round(ms * 1e6 / 4)
        self.conn(c, client, 2, 1, port, 8080, 100, 900)
        self.conn(s, server, 3, 2, 8080, port, 900, 100)
        self.io(c, client, TX, 0, request)
        self.now += step
        self.io(s, server, RX, 0, request)
        self.now += 2 * step
        self.io(s, server, TX, 0, response)
        self.now += step
        self.io(c, client, RX, 0, response)
        self.conn(c, client, 4, 1, port, 8080, 100, 900)
        self.conn(s, server, 4, 2, 8080, port, 900, 100)
        self.now += 1_000_000
        self.add(CLOCK, struct.pack("<QQQ", self.now, REAL + self.now - T0, self.now))

    def data(self):
        head = b"CLEWREC\n" + struct.pack("<II", 1, 512)
        return head + b"A test's recording.".ljust(512 - len(head), b"\n") + b"".join(self.records)


def get(path, status="200 OK"):
    return (f"GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n".encode(),
            f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok".encode())


def two_at_once():
    """A thread that has read two requests makes a call, and answers both after it: nobody can know whose it was."""
    r = Recording()
    r.process(200, "loop")
    requests, call = (10, 11), 12
    for c in requests:
        r.conn(c, 200, 3, 2, 8080, 50000 + c, 100, 900)
        r.io(c, 200, RX, 0, get(f"/front/{c}")[0])
        r.now += 1_000_000
    r.conn(call, 200, 2, 1, 40000, 9090, 100, 900)
    r.io(call, 200, TX, 0, get("/leaf")[0])
    r.now += 5_000_000
    r.io(call, 200, RX, 0, get("/leaf")[1])
    for c in requests:
        r.now += 1_000_000
        r.io(c, 200, TX, 0, get("/")[1])
    return r


def shop(calls=12):
    """A load generator that calls a shop; every fifth request fails; one caller has a hostile name."""
    r = Recording()
    r.process(100, "loadgen")
    r.process(200, "shopd")
    r.process(300, "ev\x1b[31mil")
    for n in range(calls):
        path = f"/item/{n}"
        r.call(n, 300 if n == 3 else 100, 200, *get(path, "503 Busy" if n % 5 == 4 else "200 OK"), ms=2 + n)
    return r
