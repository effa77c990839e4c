#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write the seeds of the fuzz targets into corpus/TARGET/seed-*: the same bytes every time.

What fuzzing adds to a corpus lies beside them under other names."""
import gzip
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


def resp():
    commands = [b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n$4\r\nPING\r\n", b"*1\r\n$3000\r\nx"]
    replies = [b"+OK\r\n:1\r\n", b"*3\r\n$-1\r\n$2\r\nhi\r\n*1\r\n:-7\r\n", b"%1\r\n+k\r\n~1\r\n#t\r\n",
               b"|1\r\n+a\r\n,1.5\r\n=5\r\ntxt:a\r\n", b">2\r\n+message\r\n_\r\n", b"!3\r\nERR\r\n(123\r\n"]
    for kind, items in ((1, commands), (0, replies)):
        for item in items:
            yield bytes([kind, 2]) + item


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
    yield (b"\6service=front&name=GET%20%2F&min_duration=5&error=1&kind=server&link_class=orphan&attr=a%3Db&where=d%3E%3D0.4"
           b"&where=%21x&where=t%21%3D%22f%5C%22%22&since=-15m&until=5&limit=7&ids=1&n=3&by=a+b")
    yield b"\6cursor=" + b"0" * 16 + b"-" + b"1" * 32 + b"&sort=duration&where=i=~%5E-"
    yield b'\7HTTP/1.1 503\r\ncontent-type: application/json\r\n\n{"code":14,"message":"later\\n"}'
    yield b"\x0fHTTP/2 200\r\ngrpc-status: 8\r\ngrpc-message: too%20much%0a%e9\r\ngrpc-status-details-bin: CA4SBWxhdGVy\r\n\n\0\0\0\0\0"


def frame(kind, flags, stream_id, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + struct.pack(">I", stream_id) + payload


def grpc():
    """HTTP/2 of OTLP's calls; bit 0 of the first byte: preface and SETTINGS go before."""
    path = b"/opentelemetry.proto.collector.trace.v1.TraceService/Export"

    def headers(stream_id, flags=4, **more):
        pairs = {b":method": b"POST", b":scheme": b"http", b":path": path, b":authority": b"x", b"te": b"trailers",
                 b"content-type": b"application/grpc", **{k.replace("_", "-").encode(): v for k, v in more.items()}}
        text = b"".join(b"\0" + bytes([len(k)]) + k + bytes([len(v)]) + v for k, v in pairs.items())
        return frame(1, flags, stream_id, text)

    def message(body, packed=0):
        return bytes([packed]) + struct.pack(">I", len(body)) + body
    whole = headers(1) + frame(0, 1, 1, message(b"even"))
    yield b"\1\0" + whole
    yield b"\5\2" + whole + headers(3) + frame(0, 0, 3, message(b"in two parts")[:7]) + frame(0, 1, 3, message(b"in two parts")[7:])
    yield b"\3\1" + headers(1, authorization=b"t") + frame(0, 1, 1, message(b"ok")) + headers(3, authorization=b"no") + frame(0, 1, 3, b"")
    packed = gzip.compress(b"something", mtime=0)
    yield b"\1\0" + headers(1, grpc_encoding=b"gzip") + frame(0, 1, 1, message(packed, 1)) + frame(3, 0, 1, struct.pack(">I", 8))
    yield b"\1\0" + headers(1, grpc_encoding=b"br") + frame(0, 1, 1, message(b"odd")) + frame(8, 0, 0, struct.pack(">I", 9))
    yield b"\5\7" + headers(1) + frame(0, 1, 1, message(b"even")) + frame(3, 0, 1, struct.pack(">I", 8)) + frame(6, 0, 0, bytes(8))
    yield b"\0\0PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + headers(1, flags=5) + frame(7, 0, 0, bytes(8))
    yield b"\0\3GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def elf_file():
    """A little program: code, symbols, thread-locals, a library that it needs, and Go's build information."""
    names = b"\0" + b"\0".join((b".text", b".dynsym", b".dynstr", b".dynamic", b".go.buildinfo", b".symtab", b".shstrtab")) + b"\0"
    strings = b"\0main\0main.tls\0tokio_main\0libc.so.6\0"

    def symbol(name, info, section, value, size):
        return struct.pack("<IBBHQQ", strings.index(name + b"\0"), info, 0, section, value, size)
    symbols = bytes(24) + symbol(b"main", 0x12, 1, 0x1000, 16) + symbol(b"main.tls", 0x16, 1, 8, 8) + symbol(b"tokio_main", 2, 1, 0x1010, 8)
    parts = [(b".text", 1, 6, 0x1000, b"\x55\x48\x89\xe5" * 16, 0), (b".dynsym", 11, 2, 0, symbols, 3),
             (b".dynstr", 3, 2, 0, strings, 0), (b".dynamic", 6, 3, 0, struct.pack("<4Q", 1, strings.index(b"libc"), 0, 0), 3),
             (b".go.buildinfo", 1, 2, 0x2000, buildinfo(), 0), (b".symtab", 2, 0, 0, symbols, 3), (b".shstrtab", 3, 0, 0, names, 0)]
    body, table, at = b"", bytes(64), 64 + 2 * 56
    for name, kind, flags, addr, data, link in parts:
        entry = {11: 24, 2: 24, 6: 16}.get(kind, 0)
        table += struct.pack("<IIQQQQIIQQ", names.index(name + b"\0"), kind, flags, addr, at + len(body), len(data), link, 0, 8, entry)
        body += pad(data)
    head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0x1000, 64, at + len(body), 0, 64, 56, 2, 64,
                                                     len(parts) + 1, len(parts))
    load = struct.pack("<IIQQQQQQ", 1, 5, at, 0x1000, 0x1000, len(body), len(body), 8)
    return head + load + struct.pack("<IIQQQQQQ", 7, 4, at, 0x3000, 0x3000, 16, 24, 8) + body + table


def buildinfo():
    return b"\xff Go buildinf:\x08\x02" + bytes(16) + b"\x06go1.25\x00"


def elf():
    yield b"\0" + elf_file()
    yield b"\0" + elf_file()[:300]
    yield b"\1" + buildinfo()
    yield b"\1" + buildinfo()[:32] + b"\xff\xff\xff\xff\x0f"
    names = b"\0main.main\0"
    table = struct.pack("<IBBBB8Q", 0xfffffff1, 0, 0, 1, 8, 1, 0, 0, 72, 0, 0, 0, 88)
    table += names.ljust(16, b"\0") + struct.pack("<4I", 0, 16, 64, 0) + struct.pack("<2I", 0, 1)
    yield b"\2" + table
    swap = b"\x48\x8b\x48\x30\x48\x89\x58\x30" + b"\x64\x48\x8b\x04\x25\xe0\xfe\xff\xff\x64\x48\x89\x3c\x25\xe0\xfe\xff\xff"
    yield b"\3\x58\1\0\0" + swap + b"\x90" * 10
    yield b"\3\x4c\x8d\x64\x24\xf8\x4d\x3b\x66\x10\x0f\x86\0\0\0\0\x55\x48\x89\xe5\xe8\7\0\0\0"


def memory():
    rng = random.Random(2)
    for finder in range(6):
        for _ in range(3):
            words = (bytes([rng.choice((0, 0, 8, 8, 8, 12, 13)), rng.randrange(256), rng.choice((0, 0, 1))]) for _ in range(rng.randrange(40, 400)))
            yield bytes([finder + 6 * rng.randrange(3)]) + b"".join(words)


def text():
    for kind in range(3):
        yield bytes([kind, 99]) + b"/a;b=c?d=e&u=http%3a%2f%2fx%3ftoken%3dy&f=http://u:p@h/#z, <x> \"q\""
    yield b'\3\x50curl\0-H\0Authorization: x\0-u\0me:pw\0--data={"key": "v", "a": 1}\0http://t@h/?sid=1\0mysql\0-psecret\0'
    yield b"\4\0" + b"00-0102030405060708090a0b0c0d0e0f10-0102030405060708-01"
    yield b"\4\0" + b"0102030405060708-0102030405060708-1-0102030405060709"
    yield b"\4\0/usr/bin/python3\0python3\0/system.slice/shop.service\0/x\0python3\0-m\0gunicorn\0shop.web:app\0"
    yield b"\4\0/usr/bin/java\0java\0\0/\0java\0-cp\0x\0-jar\0cart-1.2.jar\0/item/42/a-b-c/550e8400-e29b-41d4-a716-446655440000"
    yield b"\5\2# comment\npid = 5\nexe = node* # more\nduration=1m30s\n port =\t80\r\npayload = 4KiB\n"
    yield b"\5\x0dhttp-port = 99999\n"
    yield b"\5\5since = 2026-01-31T12:00:00Z\nlimt = 3\n"


def log():
    def row(attrs=(), more=b"", flags=0, links=0, events=0, span=1):
        texts = b"".join(struct.pack("<II", i, len(t)) for i, t in enumerate(attrs)) + b"".join(attrs)
        fixed = 152 + len(texts)
        at = fixed + -fixed % 8 if more else 0
        n = at + len(more) if more else fixed
        n += -n % 8
        head = struct.pack("<IBBBB4QQQqqq4I4BIIfII7II", n, flags, len(attrs), links, events, 7, 8, 0, 0, span, 0, 5, 6, 7, 0, 1, 2, 3,
                           1, 0, 0, 0, 0, 0, 1.0, 9, 9, 1, 2, 3, 4, 5, 6, 2**32 - 1, at)
        return (head + texts).ljust(at or n, b"\0") + more.ljust(n - at if more else 0, b"\0")

    def part(rows, magic=b"clht"):
        body = b"".join(rows)
        return magic + struct.pack("<IQQ", len(rows), len(body), 0) + body
    more = struct.pack("<Qq7q6I", 1, 2, *range(7), 1, 2, 3, 2, 1, 0) + struct.pack("<QQQfI", 1, 2, 3, 0.5, 2) + struct.pack("<qII", 4, 3, 2)
    rich = row((b"a", b"bcd"), more + b"st" + b"S" + b"ln" + b"evtat", 4, 1, 1, 2)
    head = b"clewhot1".ljust(16, b"\0")
    yield b"\1" + head + part([row(), rich]) + part([struct.pack("<Q", 0) + rich], b"clha")
    yield b"\1" + head + part([row((b"",) * 3)]) + b"damaged." * 2 + part([rich])
    yield b"\1" + head + part([row()]) + b"junk" * 6 + part([struct.pack("<Q", 9) + row()], b"clha")
    yield b"\0" + head + part([row()])
    yield b"\0" + head
    yield b"\0"


put("http1", http1())
put("resp", resp())
put("stream", stream())
put("recording", recording())
put("otlp", otlp())
put("ask", ask())
put("grpc", grpc())
put("elf", elf())
put("memory", memory())
put("text", text())
put("log", log())
