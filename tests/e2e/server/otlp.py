# SPDX-License-Identifier: Apache-2.0
"""OTLP requests for tests, made by Python's protobuf from the same descriptors as the server's code (strings are
bytes in them: give either)."""
import gzip
import os
import random
import time

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from lib.lab import ROOT


def _load():
    with open(os.path.join(ROOT, ".deps", "otlp", "otlp.desc"), "rb") as f:
        files = descriptor_pb2.FileDescriptorSet.FromString(f.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return lambda name: factory.GetPrototype(pool.FindMessageTypeByName("opentelemetry.proto." + name))


_get = _load()
Request = _get("collector.trace.v1.ExportTraceServiceRequest")
Response = _get("collector.trace.v1.ExportTraceServiceResponse")
AnyValue = _get("common.v1.AnyValue")
PROTO = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
GZIP = {"Content-Encoding": "gzip"}


class Status:
    """A google.rpc.Status, read by hand: its package is not needed for two fields."""

    def __init__(self, data):
        self.code, self.message, at = 0, "", 0
        while at < len(data):
            tag, at = data[at], at + 1
            n = shift = 0
            while True:
                n |= (data[at] & 0x7f) << shift
                shift, at = shift + 7, at + 1
                if data[at - 1] < 0x80:
                    break
            if tag == 0x08:
                self.code = n
            elif tag == 0x12:
                self.message, at = data[at:at + n].decode(), at + n
            else:
                raise ValueError("not a Status: %r" % data)


def to_bytes(v):
    return v.encode() if isinstance(v, str) else v


def put_value(to, v):
    if isinstance(v, bool):
        to.bool_value = v
    elif isinstance(v, int):
        to.int_value = v
    elif isinstance(v, float):
        to.double_value = v
    elif isinstance(v, str):
        to.string_value = v.encode()
    elif isinstance(v, bytes):
        to.bytes_value = v
    elif isinstance(v, list):
        to.array_value.SetInParent()
        for x in v:
            put_value(to.array_value.values.add(), x)
    elif isinstance(v, dict):
        to.kvlist_value.SetInParent()
        put_attrs(to.kvlist_value.values, v)
    elif v is not None:
        raise TypeError(v)


def put_attrs(to, attrs):
    for key, v in attrs.items():
        kv = to.add()
        kv.key = to_bytes(key)
        kv.value.SetInParent()
        put_value(kv.value, v)


def new_id(n):
    return random.randbytes(n)


def add_span(scope, name="GET /", trace=None, span=None, parent=b"", start=None, duration=1000000, kind=2, attrs=None,
             status=0, message="", events=(), links=(), state=""):
    s = scope.spans.add()
    s.trace_id = new_id(16) if trace is None else trace
    s.span_id = new_id(8) if span is None else span
    s.parent_span_id = parent
    s.name = to_bytes(name)
    s.kind = kind
    s.start_time_unix_nano = time.time_ns() if start is None else start
    s.end_time_unix_nano = max(0, s.start_time_unix_nano + duration)
    s.trace_state = to_bytes(state)
    put_attrs(s.attributes, attrs or {})
    if status or message:
        s.status.code = status
        s.status.message = to_bytes(message)
    for when, what, more in events:
        e = s.events.add()
        e.time_unix_nano, e.name = when, to_bytes(what)
        put_attrs(e.attributes, more)
    for trace_id, span_id, more in links:
        k = s.links.add()
        k.trace_id, k.span_id = trace_id, span_id
        put_attrs(k.attributes, more)
    return s


def add_scope(request, service="shop", scope="lib", version="", **resource):
    rs = request.resource_spans.add()
    put_attrs(rs.resource.attributes, {"service.name": service, **resource})
    ss = rs.scope_spans.add()
    ss.scope.name, ss.scope.version = to_bytes(scope), to_bytes(version)
    return ss


def batch(n=1, service="shop", **kw):
    """A request of n spans of one service."""
    r = Request()
    scope = add_scope(r, service)
    for _ in range(n):
        add_span(scope, **kw)
    return r


def ids(request):
    return [(s.trace_id.hex(), s.span_id.hex()) for rs in request.resource_spans for ss in rs.scope_spans
            for s in ss.spans]


def to_json(request):
    """As OTLP has it: hex ids, strings as strings (the descriptors say bytes, so ours are base64 to undo)."""
    import base64
    doc = json_format.MessageToDict(request, use_integers_for_enums=True)

    def fix(o):
        for key, v in list(o.items()):
            if isinstance(v, dict):
                fix(v)
            elif isinstance(v, list):
                for x in v:
                    fix(x)
            elif key in ("traceId", "spanId", "parentSpanId"):
                o[key] = base64.b64decode(v).hex()
            elif key != "bytesValue" and isinstance(v, str) and key in STRINGS:
                o[key] = base64.b64decode(v).decode()
    fix(doc)
    return doc


STRINGS = {"name", "version", "key", "stringValue", "traceState", "message", "schemaUrl"}


def send(server, request, json=False, compress=False, headers=None, path="/v1/traces"):
    import json as j
    body = j.dumps(to_json(request)).encode() if json else request.SerializeToString()
    more = dict(JSON if json else PROTO)
    if compress:
        body = gzip.compress(body, 1)
        more.update(GZIP)
    return server.ask(path, "POST", body, {**more, **(headers or {})}, port=server.ports["otlp_http"])
