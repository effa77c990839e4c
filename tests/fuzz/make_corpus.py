#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write the seeds of the fuzz targets into corpus/TARGET/seed-*: the same bytes every time.

What fuzzing adds to a corpus lies beside them under other names."""
import os
import random
import struct

HERE = os.path.dirname(os.path.abspath(__file__))


def put(target, seeds):
    folder = os.path.join(HERE, "corpus", target)
    os.makedirs(folder, exist_ok=True)
    for i, seed in enumerate(seeds):
        with open(os.path.join(folder, f"seed-{i:02}"), "wb") as f:
            f.write(seed)


def http1():
    requests = [
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, close\r\n\r\n",
        b"POST /a?b HTTP/1.1\r\nContent-Length: 5, 5\r\nExpect: 100-continue\r\n\r\nhello",
        b"PUT /a HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\nUpgrade: x\r\nA: b\r\n c\r\n\r\n",
    ]
    responses = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: now\r\n\r\nhello",
        b"HTTP/1.0 304\r\nTransfer-Encoding: chunked\r\n\r\n",
    ]
    chunks = [b"5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nmore", b"1\nx\n0\n\n"]
    words = [b"\r\nGET /", b"CONNECT h:1 HTTP/1.1\r\nx: 1\r\n\r\n", b"OPTIONS * \nContent-Length: 1\n\n"]
    for kind, items in enumerate((requests, responses, chunks, words)):
        for item in items:
            yield bytes([kind, 6]) + item


def stream():
    rng = random.Random(1)
    for i in range(12):
        yield bytes([2 * i]) + bytes(rng.randrange(256) for _ in range(60 + 20 * i))
    for i in range(12):
        yield bytes([1]) + bytes([i % 8]) + bytes(rng.choice((0, 0, 1, 2, 4, 8, 16, 3, 40)) for _ in range(80 + 20 * i))


def pad(b):
    return b + b"\0" * (-len(b) % 8)


def record(kind, fixed, tail=b"", flags=0):
    body = fixed + tail
    n = 8 + len(body)
    return struct.pack("<IHH", n + -n % 8, kind, flags) + body + b"\0" * (-n % 8)


def tlv(tag, text):
    return struct.pack("<HH", tag, len(text)) + text


def recording():
    strings = tlv(16, b"host") + tlv(17, b"0" * 36) + tlv(20, b"payload=4096")
    meta = record(1, struct.pack("<IIQHHI", 1, 4096, 5, 32, 0, len(strings)), strings)
    clock = record(2, struct.pack("<QQQ", 1, 2, 3))

    def io(direction, offset, data, lost=0, flags=0, counters=2):
        return record(3, struct.pack("<QQQQQQIIIIHBBHH", 10, 20, 7, offset, 0, 1, 2, 3, len(data), len(data),
                                     80, direction, counters, lost, 0),
                      struct.pack("<Q", 9) * counters + data, flags)

    def conn(event, path=b""):
        return record(4, struct.pack("<QQQQQQQIIIIIIHBBHHHHI", 5, 7, 8, 0, 0, 0, 1, 100, 200, 2, 3, 4, 0, 136, event,
                                     2, 2, 80, 4000, len(path), 0) + bytes(10) + b"\xff\xff\x7f\0\0\1" * 1
                      + bytes(10) + b"\xff\xff\x7f\0\0\2", path)
    handoff = record(5, struct.pack("<QQQQQIIIIHHI", 1, 2, 3, 4, 5, 6, 7, 8, 9, 72, 1, 0))
    thread = record(6, struct.pack("<QQQQIIIIIIIIIIHHI", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0, 104, 2, 6)
                    + b"python3".ljust(16, b"\0"), b"ls\0-l\0")
    words = tlv(1, b"/bin/x") + tlv(2, b"-v") + tlv(6, b"x")
    process = record(7, struct.pack("<QQIIIIHHI", 1, 2, 3, 4, 5, 6, 48, 0, len(words)), words)
    event = record(8, struct.pack("<QQQIIIHHII", 1, 2, 3, 4, 5, 6, 56, 0, 3, 0), b"\xff\0y")
    loss = record(9, struct.pack("<QQQIIIHH", 1, 2, 7, 4, 5, 1, 48, 3))
    talk = io(0, 0, b"GET /a HTTP/1.1\r\n\r\n") + io(1, 0, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    whole = meta + clock + process + thread + conn(3) + talk + handoff + event + loss + conn(4)
    yield whole
    yield struct.pack("<8sII", b"CLEWREC\n", 1, 512).ljust(512, b"\n") + whole
    for one in (meta, clock, talk, conn(5, b"\0abstract"), handoff, thread, process, event, loss):
        yield one
    yield io(0, 500, b"", 3, 32) + io(1, 5, b"\x16\x03\x01", counters=14)
    yield record(99, b"later version") + clock[:20]


put("http1", http1())
put("stream", stream())
put("recording", recording())
