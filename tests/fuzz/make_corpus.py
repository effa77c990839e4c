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


def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(number, value):
    """A protobuf field: bytes, or a varint; a tuple's second says fixed64 or double."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, tuple):
        return varint(number << 3 | 1) + struct.pack("<" + value[1], value[0])
    return varint(number << 3) + varint(value)


def otlp():
    values = [field(1, b"text"), field(2, 1), field(3, 2**64 - 5), field(4, (0.5, "d")), field(7, b"\0\xff"), b""]
    values.append(field(5, b"".join(field(1, v) for v in values)))
    values.append(field(6, b"".join(field(1, field(1, b"k%d" % i) + field(2, v)) for i, v in enumerate(values))))

    def attrs(number, some):
        return b"".join(field(number, field(1, b"key.%d" % i) + field(2, v)) for i, v in enumerate(some))
    event = field(1, (7, "Q")) + field(2, b"exception") + attrs(3, values[:2]) + field(4, 1)
    link = field(1, b"T" * 16) + field(2, b"S" * 8) + field(3, b"a=b") + attrs(4, values[:1])
    ids = field(1, bytes(range(1, 17))) + field(2, bytes(range(1, 9)))
    times = field(7, (10**18, "Q")) + field(8, (10**18 + 5, "Q"))
    span = (ids + field(3, b"ot=th:c") + field(4, b"parent__") + field(5, b"GET /") + field(6, 2) + times
            + attrs(9, values) + field(10, 3) + field(11, event) + field(12, 1) + field(13, link) + field(14, 2)
            + field(15, field(2, b"bad") + field(3, 2)) + field(99, b"later"))
    scope = field(1, field(1, b"lib") + field(2, b"1.0"))
    resource = field(1, attrs(1, values[:3]) + field(1, field(1, b"service.name") + field(2, field(1, b"shop"))))
    whole = field(1, resource + field(2, scope + field(2, span) + field(2, ids + times)))
    yield b"\0" + whole
    yield b"\0" + field(1, field(2, field(2, span.replace(b"GET /", b"x" * 1100, 1)[:400])))
    yield b"\0" + field(1, resource) + field(1, field(2, field(2, field(1, b"short") + field(2, b"ids"))))
    deep = values[0]
    for _ in range(60):
        deep = field(5, field(1, deep))
    yield b"\0" + field(1, field(2, field(2, ids + times + attrs(9, [deep]))))
    yield b"\0"
    json_span = (b'{"traceId":"0102030405060708090A0b0c0d0e0f10","spanId":"0102030405060708","parentSpanId":"","name":"n",'
                 b'"kind":3,"startTimeUnixNano":"1000000000000000000","endTimeUnixNano":1000000000000000005,"attributes":['
                 b'{"key":"s","value":{"stringValue":"\\u00e9\\n"}},{"key":"i","value":{"intValue":"-5"}},'
                 b'{"key":"d","value":{"doubleValue":"NaN"}},{"key":"b","value":{"boolValue":true}},'
                 b'{"key":"l","value":{"arrayValue":{"values":[{"intValue":1},{"bytesValue":"AA=="}]}}},'
                 b'{"key":"m","value":{"kvlistValue":{"values":[{"key":"k","value":{}}]}}}],"droppedAttributesCount":1,'
                 b'"events":[{"timeUnixNano":"5","name":"e","attributes":[]}],"links":[{"traceId":"01020304050607080910111213'
                 b'141516","spanId":"0102030405060708"}],"status":{"code":2,"message":"m"},"later":[null,{}]}')
    yield (b'\1{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"s"}}]},'
           b'"scopeSpans":[{"scope":{"name":"a","version":"b"},"spans":[' + json_span + b"]}]}]}")
    yield b'\1{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":1}]}]}]}'
    yield b"\1{}"


def ask():
    """TraceQL, Tempo's tags, and what a receiver of OTLP answers."""
    for q in ('{}', '{ true }', '{ span.http.response.status_code >= 500 && resource.service.name = "front" && duration > 10ms }',
              '{ (span.order = "o-3") && ((.vip = false)) }', '{ span.order !~ "o-[12]?[0-9]" && kind != server }',
              '{ name = `reserve` && span."messaging.system" = "a\\"b\\n" }', '{ span.ratio = 0.75 && span.big = 1152921504606846979 }',
              '{ rootServiceName = "front" && trace:duration >= 38ms && nestedSetParent < 0 }', '{ span.a = "x" || span.b = 2 }',
              '{ span.order = nil && statusMessage != "no" } | count() > 2', '{ span:name =~ "a.*" } >> { .b = true }'):
        yield b"\0" + q.encode()
    yield b'\1service.name=front http.method="GET a" error=true'
    yield b"\2" + field(1, field(1, 3) + field(2, b"out of time"))
    yield b'\3{"partialSuccess":{"rejectedSpans":"3","errorMessage":"x"}}'
    retry = field(1, b"type.googleapis.com/google.rpc.RetryInfo") + field(2, field(1, field(1, 2) + field(2, 500000000)))
    yield b"\4" + field(1, 14) + field(2, b"later") + field(3, retry)
    yield (b'\5{"code":14,"message":"later","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo",'
           b'"retryDelay":"2.5s"}]}')


put("http1", http1())
put("stream", stream())
put("recording", recording())
put("otlp", otlp())
put("ask", ask())
