# SPDX-License-Identifier: Apache-2.0
"""What was captured, not sent: every API gives the same spans as our own does."""
import json

import pytest
from google.protobuf import json_format

import otlp
from served import Server
from test_tempo import PROTOBUF, trace_by_id_response

from lib import recording


@pytest.fixture(scope="module")
def captured(module_lab):
    r = recording.shop()
    # A request that nobody answers before the recording ends.
    r.conn(5000, 100, 2, 1, 45000, 8080, 100, 900)
    r.io(5000, 100, recording.TX, 0, recording.get("/never")[0])
    raw, db = module_lab.path("shop.raw"), module_lab.path("captured")
    with open(raw, "wb") as f:
        f.write(r.data())
    module_lab.clew("replay", raw, "-d", db)
    server = Server(module_lab, db=db)
    lines = server.ask("/api/clew/v1/traces?limit=100").text.splitlines()
    server.traces = [json.loads(line) for line in lines]
    return server


def own(server, trace_id):
    return server.ask("/api/clew/v1/trace/" + trace_id).json["resourceSpans"]


def spans_of(resource_spans):
    return {s["spanId"]: s for rs in resource_spans for ss in rs["scopeSpans"] for s in ss["spans"]}


def test_jaeger(captured):
    assert len(captured.traces) == 13
    incomplete = 0
    for t in captured.traces:
        want = spans_of(own(captured, t["trace_id"]))
        (got,) = captured.ask("/api/traces/" + t["trace_id"]).json["data"]
        assert {s["spanID"] for s in got["spans"]} == set(want) and len(got["spans"]) == t["spans"]
        for s in got["spans"]:
            w = want[s["spanID"]]
            tags = {x["key"]: x["value"] for x in s["tags"]}
            attrs = {a["key"]: next(iter(a["value"].values())) for a in w["attributes"]}
            assert {k: str(tags[k]) for k in attrs} == {k: str(v) for k, v in attrs.items()}
            parents = [x["spanID"] for x in s["references"] if x["refType"] == "CHILD_OF"]
            assert parents == ([w["parentSpanId"]] if "parentSpanId" in w else [])
            assert s["operationName"] == w["name"] and s["startTime"] == int(w["startTimeUnixNano"]) // 1000
            if "clew.incomplete" in attrs:
                incomplete += 1
                assert any(x == "incomplete: " + attrs["clew.incomplete"] for x in s["warnings"])
            assert not [x for x in s["warnings"] or [] if "parent" in x]
    assert incomplete, "one was never answered"
    services = captured.ask("/api/services").json["data"]
    assert {"shopd", "loadgen"} <= set(services)
    edges = captured.ask("/api/dependencies?endTs=%d&lookback=3600000" % (recording.REAL // 10**6 + 600000)).json["data"]
    assert {"parent": "loadgen", "child": "shopd", "callCount": 11} in edges


def test_jaeger_v3(captured):
    for t in captured.traces:
        answer = captured.ask("/api/v3/traces/" + t["trace_id"]).json
        assert answer == {"result": {"resourceSpans": own(captured, t["trace_id"])}}


def test_tempo(captured):
    found = captured.ask("/tempo/api/search?q={}&limit=100").json["traces"]
    assert [t["traceID"] for t in found] == [t["trace_id"].lstrip("0") for t in captured.traces]
    for t in captured.traces:
        a = captured.ask("/tempo/api/v2/traces/" + t["trace_id"], headers=PROTOBUF)
        data = trace_by_id_response().FromString(a.body).trace
        got = otlp.Request.FromString(data)
        want = otlp.Request()
        for rs in own(captured, t["trace_id"]):
            json_format.ParseDict(bytes_of(rs), want.resource_spans.add())
        assert without_empty_status(got) == without_empty_status(want)


def without_empty_status(request):
    """A status that says nothing may be there or not."""
    for rs in request.resource_spans:
        for ss in rs.scope_spans:
            for s in ss.spans:
                if not s.status.ByteSize():
                    s.ClearField("status")
    return request


def bytes_of(doc):
    """The descriptors say bytes where OTLP says strings, and JSON has those in base64."""
    import base64
    if isinstance(doc, list):
        return [bytes_of(x) for x in doc]
    if not isinstance(doc, dict):
        return doc
    out = {}
    for k, v in doc.items():
        if k in ("traceId", "spanId", "parentSpanId"):
            v = base64.b64encode(bytes.fromhex(v)).decode()
        elif k in otlp.STRINGS and isinstance(v, str):
            v = base64.b64encode(v.encode()).decode()
        out[k] = bytes_of(v)
    return out
