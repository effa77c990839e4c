# SPDX-License-Identifier: Apache-2.0
"""Prepared OTLP requests for send.c: traces of twelve services, each request the spans of one process.

A file of requests: u32 bytes, u32 spans, u32 patches, the bytes, then the patches (u32 offset, u32 kind): where
ids and times stand, so that the sender can make each sending of it new. Little-endian.
"""
import os
import random
import struct
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TRACE, SPAN, TIME = 0, 1, 2
# Field numbers on the way from the request to a span, and of what is patched in it.
WAY = (1, 2, 2)
PATCHED = {1: TRACE, 2: SPAN, 4: SPAN, 7: TIME, 8: TIME}
SERVICES = ("front", "cart", "catalog", "checkout", "payment", "shipping", "account", "search", "ads", "reviews", "email",
            "stock")
PATHS = ("/", "/item/{id}", "/cart", "/cart/{id}/add", "/checkout", "/search", "/account/{id}", "/reviews/{id}",
         "/stock/{sku}", "/pay")


def request_type():
    with open(os.path.join(ROOT, ".deps", "otlp", "otlp.desc"), "rb") as f:
        files = descriptor_pb2.FileDescriptorSet.FromString(f.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return message_factory.MessageFactory(pool).GetPrototype(
        pool.FindMessageTypeByName("opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest"))


def put(attrs, key, value):
    kv = attrs.add()
    kv.key = key.encode()
    if isinstance(value, int):
        kv.value.int_value = value
    else:
        kv.value.string_value = value.encode()


def request(kind, rng, number, spans):
    r = kind()
    service = SERVICES[number % len(SERVICES)]
    rs = r.resource_spans.add()
    for key, value in (("service.name", service), ("service.instance.id", "%s-%d" % (service, number % 3)),
                       ("host.name", "node-%d" % (number % 3)), ("process.pid", 1000 + number % 36),
                       ("telemetry.sdk.language", "python"), ("telemetry.sdk.name", "opentelemetry"),
                       ("telemetry.sdk.version", "1.30.0"), ("container.id", "%064x" % (number % 36))):
        put(rs.resource.attributes, key, value)
    ss = rs.scope_spans.add()
    ss.scope.name = b"opentelemetry.instrumentation.http"
    start = 0
    while len(ss.spans) < spans:
        trace, server = rng.randbytes(16), None
        for i in range(rng.choice((1, 2, 2, 3, 4))):
            s = ss.spans.add()
            s.trace_id, s.span_id = trace, rng.randbytes(8)
            s.parent_span_id = server or (b"" if rng.random() < 0.3 else rng.randbytes(8))
            path = rng.choice(PATHS)
            s.name, s.kind = ("GET " + path).encode(), 3 if server else 2
            start += rng.randrange(200000)
            s.start_time_unix_nano = start
            s.end_time_unix_nano = start + int(rng.lognormvariate(14, 1))
            status = rng.choice((200,) * 30 + (404, 500))
            put(s.attributes, "http.request.method", "GET")
            put(s.attributes, "http.response.status_code", status)
            put(s.attributes, "http.route" if not server else "url.full",
                path if not server else "http://%s:8080%s" % (rng.choice(SERVICES), path))
            put(s.attributes, "server.address", "10.0.%d.%d" % (rng.randrange(4), rng.randrange(50)))
            put(s.attributes, "server.port", 8080)
            put(s.attributes, "network.protocol.version", "1.1")
            put(s.attributes, "user.id", "user-%d" % rng.randrange(20000))
            put(s.attributes, "thread.id", 140000000 + rng.randrange(16))
            if status == 500:
                s.status.code = 2
            server = server or s.span_id
    return r


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7f) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 0x80:
            return value, at


def fields(data, begin, end):
    at = begin
    while at < end:
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == 2:
            n, at = varint(data, at)
        else:
            n = {0: varint(data, at)[1] - at if kind == 0 else 0, 1: 8, 5: 4}[kind]
        yield tag >> 3, at, at + n
        at += n


def patches(data):
    places = [(0, len(data))]
    for number in WAY:
        places = [(b, e) for begin, end in places for n, b, e in fields(data, begin, end) if n == number]
    return [(b, PATCHED[n]) for begin, end in places for n, b, e in fields(data, begin, end) if n in PATCHED and e > b]


def main():
    out, count, spans = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    kind, rng = request_type(), random.Random(1)
    with open(out, "wb") as f:
        for i in range(count):
            r = request(kind, rng, i, spans)
            data = r.SerializeToString()
            where = patches(data)
            f.write(struct.pack("<III", len(data), len(r.resource_spans[0].scope_spans[0].spans), len(where)))
            f.write(data)
            f.write(b"".join(struct.pack("<II", *p) for p in where))


main()
