# SPDX-License-Identifier: Apache-2.0
"""What a server answers about spans that were sent, in the form in which the senders write down what they sent."""
import base64
import os

from lib.lab import ROOT

SDKS = os.path.join(ROOT, ".deps", "sdks")
KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
# What we add: a scope's version is kept as an attribute.
VERSION = "otel.scope.version"


def plain(v):
    """An AnyValue without what proto3's JSON leaves open: int64 as text or number, empty lists left out."""
    if not v:
        return {}
    kind, x = next(iter(v.items()))
    if kind == "intValue":
        x = str(x)
    elif kind == "doubleValue":
        x = float(x)
    elif kind == "arrayValue":
        x = {"values": [plain(e) for e in x.get("values", [])]}
    elif kind == "kvlistValue":
        x = {"values": [{"key": e["key"], "value": plain(e.get("value"))} for e in x.get("values", [])]}
    return {kind: x}


def attributes(of):
    return {a["key"]: plain(a.get("value")) for a in of.get("attributes", [])}


def from_otlp(docs, ids=str):
    """Spans of OTLP/JSON documents; ids: how theirs become hex."""
    out = {}
    for doc in docs:
        for rs in doc.get("resourceSpans") or doc.get("batches") or []:
            for ss in rs.get("scopeSpans", []):
                for s in ss["spans"]:
                    attrs = attributes(s)
                    version = attrs.pop(VERSION, {"stringValue": ""})["stringValue"]
                    out[ids(s["spanId"])] = {
                        "traceId": ids(s["traceId"]), "spanId": ids(s["spanId"]),
                        "parentSpanId": ids(s.get("parentSpanId") or ""), "name": s["name"], "kind": kind_of(s.get("kind", 0)),
                        "start": int(s["startTimeUnixNano"]), "end": int(s["endTimeUnixNano"]),
                        "status": status_of(s.get("status", {}).get("code", 0)), "message": s.get("status", {}).get("message", ""),
                        "state": s.get("traceState", ""), "attributes": attrs, "resource": attributes(rs["resource"]),
                        "scope": ss.get("scope", {}).get("name", ""), "version": ss.get("scope", {}).get("version", version),
                        "dropped": [s.get("dropped%sCount" % w, 0) for w in ("Attributes", "Events", "Links")],
                        "events": [[e["name"], int(e["timeUnixNano"]), attributes(e)] for e in s.get("events", [])],
                        "links": [[ids(x["traceId"]), ids(x["spanId"]), attributes(x)] for x in s.get("links", [])]}
    return out


def kind_of(v):
    return v if isinstance(v, int) else ["SPAN_KIND_" + k.upper() for k in KINDS].index(v)


def status_of(v):
    return v if isinstance(v, int) else ["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"].index(v)


def hex_of_base64(text):
    return base64.b64decode(text).hex()


def text_of(v):
    """What Jaeger shows: lists, maps and bytes as text."""
    kind, x = next(iter(v.items()), ("stringValue", ""))
    types = {"stringValue": "string", "boolValue": "bool", "intValue": "int64", "doubleValue": "float64"}
    return (types.get(kind, "string"), int(x) if kind == "intValue" else x)
