# SPDX-License-Identifier: Apache-2.0
"""Sends spans with OpenTelemetry's SDK for Python and writes down what the SDK was told to send.

    send.py grpc|http URL gzip|none OUT

OUT: a JSON list, a span each, with values as OTLP/JSON has them.
"""
import json
import sys

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

protocol, url, packed, out = sys.argv[1:]
sent = []


def value(v):
    if isinstance(v, bool):
        return {"boolValue": v}
    if isinstance(v, int):
        return {"intValue": str(v)}
    if isinstance(v, float):
        return {"doubleValue": v}
    if isinstance(v, str):
        return {"stringValue": v}
    return {"arrayValue": {"values": [value(x) for x in v]}}


def attributes(of):
    return {k: value(v) for k, v in (of or {}).items()}


class Writer(SpanExporter):
    def export(self, spans):
        for s in spans:
            sent.append({
                "traceId": "%032x" % s.context.trace_id, "spanId": "%016x" % s.context.span_id,
                "parentSpanId": "%016x" % s.parent.span_id if s.parent else "", "name": s.name,
                "kind": s.kind.value + 1, "start": s.start_time, "end": s.end_time,
                "status": {StatusCode.UNSET: 0, StatusCode.OK: 1, StatusCode.ERROR: 2}[s.status.status_code],
                "message": s.status.description or "", "state": s.context.trace_state.to_header(),
                "attributes": attributes(s.attributes), "resource": attributes(s.resource.attributes),
                "scope": s.instrumentation_scope.name, "version": s.instrumentation_scope.version or "",
                "dropped": [s.dropped_attributes, s.dropped_events, s.dropped_links],
                "events": [[e.name, e.timestamp, attributes(e.attributes)] for e in s.events],
                "links": [["%032x" % x.context.trace_id, "%016x" % x.context.span_id, attributes(x.attributes)]
                          for x in s.links]})
        return SpanExportResult.SUCCESS


def exporter():
    if protocol == "grpc":
        import grpc
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        kinds = {"gzip": grpc.Compression.Gzip, "none": grpc.Compression.NoCompression}
        return OTLPSpanExporter(url, insecure=True, compression=kinds[packed])
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    return OTLPSpanExporter(url + "/v1/traces", compression={"gzip": Compression.Gzip, "none": Compression.NoCompression}[packed])


def provider(name, **more):
    p = TracerProvider(resource=Resource.create({"service.name": name, "numbers": [1, 2], "ratio": 0.25, **more}),
                       span_limits=SpanLimits(max_span_attributes=12, max_events=3, max_links=2))
    p.add_span_processor(SimpleSpanProcessor(Writer()))
    p.add_span_processor(BatchSpanProcessor(exporter()))
    return p


ODD = {"text": "grüße, 世界 🧵", "empty": "", "yes": True, "no": False, "most": 2**63 - 1, "least": -2**63, "one": 1,
       "float": 1.0, "small": 5e-324, "texts": ["a", "ü", ""], "ints": [1, -2**63], "floats": [1.0, 2.5]}

providers = [provider("python-one", **{"service.version": "1"}), provider("python-two")]
for p in providers:
    one, two = p.get_tracer("sender", "1.2"), p.get_tracer("other")
    with one.start_as_current_span("GET /ünï", kind=SpanKind.SERVER, attributes=ODD) as root:
        root.set_attribute("thirteenth", 1)
        root.add_event("first", {"n": 1, "flags": [True, False]})
        for kind in SpanKind:
            with two.start_as_current_span("child " + kind.name, kind=kind) as child:
                with one.start_as_current_span("grandchild"):
                    pass
                child.set_status(Status(StatusCode.OK))
        for i in range(4):
            root.add_event("event %d" % i)
        root.set_status(Status(StatusCode.ERROR, "it broke: ß"))
        try:
            raise ValueError("no such thing")
        except ValueError as e:
            root.record_exception(e)
    state = TraceState([("vendor", "a1"), ("other", "b2")])
    far = SpanContext(0x0123456789abcdef0123456789abcdef, 0x1122334455667788, True, TraceFlags(1), state)
    with one.start_as_current_span("continued", context=trace.set_span_in_context(trace.NonRecordingSpan(far)),
                                   kind=SpanKind.CONSUMER, links=[Link(far, {"why": "batch", "n": [1]}), Link(far), Link(far)]):
        pass
for p in providers:
    p.shutdown()
with open(out, "w") as f:
    json.dump(sent, f)
