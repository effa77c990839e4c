# SPDX-License-Identifier: Apache-2.0
"""The requests of Jaeger's page and of Grafana's Jaeger data source, answered field by field."""
import json
import time
from urllib.parse import quote, urlencode

import pytest

from shop import FRONT, MS, PAY, SERVICES, STOCK

KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
TYPES = {str: "string", bool: "bool", int: "int64", float: "float64"}


def get(server, path, **params):
    a = server.ask("/api/" + path + ("?" + urlencode(params, doseq=True) if params else ""))
    assert a.headers["content-type"] == "application/json"
    return a


def data(server, path, **params):
    """The envelope that every answer has."""
    a = get(server, path, **params)
    assert a.status == 200, a.text
    assert set(a.json) == {"data", "total", "limit", "offset", "errors"} and a.json["errors"] is None
    assert a.json["limit"] == a.json["offset"] == 0 and a.json["total"] == len(a.json["data"])
    return a.json["data"]


def failure(server, status, path, **params):
    a = get(server, path, **params)
    assert a.status == status and a.json["data"] is None, a.text
    (e,) = a.json["errors"]
    assert e["code"] == status
    return e["msg"]


def tags_of(attrs):
    return [{"key": k, "type": TYPES[type(v)], "value": v} for k, v in attrs.items()]


def expected_span(s, process):
    references = [{"refType": "CHILD_OF", "traceID": s.trace.hex(), "spanID": s.parent_id.hex()}] if s.parent else []
    references += [{"refType": "FOLLOWS_FROM", "traceID": t.hex(), "spanID": i.hex()} for t, i, _ in s.links]
    more = {"span.kind": KINDS[s.kind], "otel.scope.name": "lib"}
    if s.status == 2:
        more.update({"error": True, "otel.status_code": "ERROR"})
    if s.status == 1:
        more["otel.status_code"] = "OK"
    if s.message:
        more["otel.status_description"] = s.message
    if s.state:
        more["w3c.tracestate"] = s.state
    return {"traceID": s.trace.hex(), "spanID": s.id.hex(), "operationName": s.name, "references": references,
            "startTime": s.start // 1000, "duration": s.duration // 1000, "tags": tags_of({**s.attrs, **more}),
            "logs": [{"timestamp": when // 1000, "fields": tags_of({"event": name, **attrs})} for when, name, attrs in s.events],
            "processID": process, "warnings": None}


def check_trace(server, given, spans):
    assert given["traceID"] == spans[0].trace.hex() and given["warnings"] is None
    by_service = {p["serviceName"]: name for name, p in given["processes"].items()}
    assert set(by_service) == {s.service for s in spans} and len(by_service) == len(given["processes"])
    for service, name in by_service.items():
        assert given["processes"][name]["tags"] == tags_of(server.shop.resources[service])
    spans = sorted(spans, key=lambda s: s.start)
    assert len(given["spans"]) == len(spans)
    for got, s in zip(given["spans"], spans):
        # Whether its link to its parent is certain is ours to add.
        got["tags"] = [t for t in got["tags"] if not t["key"].startswith("clew.")]
        assert got == expected_span(s, by_service[s.service])


def test_the_sequence_of_its_page(shopped):
    """Services, operations, search, one trace, dependencies."""
    shop = shopped.shop
    assert data(shopped, "services") == sorted(SERVICES)
    assert data(shopped, "services/%s/operations" % FRONT) == ["POST /orders", "POST /pay"]
    assert data(shopped, "services/%s/operations" % quote(PAY, safe="")) == ["POST /pay"]
    assert data(shopped, "services/nobody/operations") == []
    assert data(shopped, "operations", service=FRONT) == [{"name": "POST /orders", "spanKind": "server"},
                                                          {"name": "POST /pay", "spanKind": "client"}]
    assert data(shopped, "operations", service=FRONT, spanKind="client") == [{"name": "POST /pay", "spanKind": "client"}]
    end = time.time_ns() // 1000
    found = data(shopped, "traces", service=FRONT, operation="POST /orders", start=end - 3600 * 10**6, end=end, lookback="1h",
                 limit=20, maxDuration="", minDuration="", tags="{}")
    newest = shop.traces[::-1][:20]
    assert [t["traceID"] for t in found] == [t[0].trace.hex() for t in newest]
    for got, spans in zip(found, newest):
        check_trace(shopped, got, spans)
    one = data(shopped, "traces/" + shop.traces[7][0].trace.hex())
    assert len(one) == 1
    check_trace(shopped, one[0], shop.traces[7])
    edges = data(shopped, "dependencies", endTs=end // 1000, lookback=3600 * 1000)
    assert {(e["parent"], e["child"]): e["callCount"] for e in edges}[(FRONT, PAY)] == shop.N
    assert all(set(e) == {"parent", "child", "callCount"} for e in edges)
    assert data(shopped, "dependencies", endTs=end // 1000 - 3600 * 1000, lookback=60 * 1000) == []


def test_the_sequence_of_grafana(shopped):
    """What its data source asks: health, the two menus, a search without times, a trace with the times of its range, the
    map. Parameters that are empty are left out; the service's name is part of the path as it is."""
    shop = shopped.shop
    services = get(shopped, "services").json
    assert services["data"] == sorted(SERVICES) and services["errors"] is None
    for service in services["data"]:
        assert data(shopped, "services/%s/operations" % quote(service, safe=""))
    tags = json.dumps({"http.response.status_code": "500", "error": "true"})
    found = data(shopped, "traces", limit=20, service=FRONT, operation="POST /orders", tags=tags, minDuration="1ms",
                 maxDuration="10s")
    wanted = [t for i, t in enumerate(shop.traces) if i % 5 == 4][::-1]
    assert [t["traceID"] for t in found] == [t[0].trace.hex() for t in wanted]
    for got, spans in zip(found, wanted):
        check_trace(shopped, got, spans)
    start, end = wanted[0][0].start // 1000 - 3600 * 10**6, wanted[0][0].start // 1000 + 3600 * 10**6
    (one,) = data(shopped, "traces/" + found[0]["traceID"], start=start, end=end)
    check_trace(shopped, one, wanted[0])
    now = time.time_ns() // 10**6
    edges = data(shopped, "dependencies", endTs=now, lookback=6 * 3600 * 1000)
    assert (FRONT, PAY) in {(e["parent"], e["child"]) for e in edges}


@pytest.mark.parametrize("params, want", [
    ({"tags": json.dumps({"order": "o-3"})}, lambda i: i == 3),
    ({"tags": json.dumps({"http.response.status_code": "500"})}, lambda i: i % 5 == 4),
    ({"tags": json.dumps({"http.response.status_code": 500, "vip": True})}, lambda i: i % 5 == 4 and i % 2 == 0),
    ({"tags": json.dumps({"error": "true"})}, lambda i: i % 5 == 4),
    ({"tags": json.dumps({"error": "false", "span.kind": "server"})}, lambda i: i % 5 != 4),
    ({"tag": ["order:o-3"]}, lambda i: i == 3),
    ({"tag": ["vip:true", "error:true"]}, lambda i: i % 5 == 4 and i % 2 == 0),
    ({"tags": json.dumps({"host.name": "host-0"})}, lambda i: True),
    ({"tags": json.dumps({"ratio": 0.75})}, lambda i: i == 3),
    ({"tags": json.dumps({"order": "none"})}, lambda i: False),
    ({"minDuration": "35ms"}, lambda i: i >= 25),
    ({"maxDuration": "10.5ms", "operation": "POST /orders"}, lambda i: i == 0),
    ({"minDuration": "20000us", "maxDuration": "0.022s", "operation": "POST /orders"}, lambda i: 10 <= i <= 12),
    ({"limit": 3}, lambda i: i >= 27),
])
def test_search(shopped, params, want):
    shop = shopped.shop
    found = data(shopped, "traces", service=FRONT, **params)
    assert [t["traceID"] for t in found] == [t[0].trace.hex() for i, t in reversed(list(enumerate(shop.traces))) if want(i)]
    assert all(len(t["spans"]) == 4 for t in found), "whole traces"


def test_search_in_time(shopped):
    shop = shopped.shop
    start = shop.traces[10][0].start // 1000
    found = data(shopped, "traces", service=STOCK, start=start, end=start + 3 * 10**6)
    assert [t["traceID"] for t in found] == [t[0].trace.hex() for t in shop.traces[12:9:-1]]


def test_traces_by_id(shopped):
    a, b = shopped.shop.traces[0][0].trace.hex(), shopped.shop.traces[5][0].trace.hex()
    found = data(shopped, "traces", traceID=[a, b])
    assert [t["traceID"] for t in found] == [a, b]
    # An id of 64 bits is one whose other half is zero.
    assert a.startswith("0" * 16) and data(shopped, "traces/" + a.lstrip("0"))[0]["traceID"] == a
    answer = get(shopped, "traces", traceID=[a, "f" * 32]).json
    assert [t["traceID"] for t in answer["data"]] == [a]
    assert answer["errors"] == [{"msg": "trace not found", "traceID": "f" * 32}]


def test_what_is_not_there(shopped):
    assert failure(shopped, 404, "traces/" + "f" * 32) == "trace not found"
    assert "no such path" in failure(shopped, 404, "nothing")
    assert data(shopped, "traces", service="nobody") == []
    assert shopped.ask("/api/services", "POST", b"").status == 405


@pytest.mark.parametrize("path, params, word", [
    ("traces", {}, "parameter 'service' is required"),
    ("operations", {}, "parameter 'service' is required"),
    ("operations", {"service": "a", "spanKind": "none"}, "spanKind"),
    ("traces", {"service": "a", "start": "x"}, "unable to parse param 'start'"),
    ("traces", {"service": "a", "end": "-1"}, "unable to parse param 'end'"),
    ("traces", {"service": "a", "limit": "0"}, "limit"),
    ("traces", {"service": "a", "limit": "1000000000"}, "limit"),
    ("traces", {"service": "a", "minDuration": "5"}, "minDuration"),
    ("traces", {"service": "a", "minDuration": "5s", "maxDuration": "1s"}, "should be greater"),
    ("traces", {"service": "a", "lookback": "long"}, "lookback"),
    ("traces", {"service": "a", "tags": "{"}, "malformed 'tags'"),
    ("traces", {"service": "a", "tags": "[1]"}, "malformed 'tags'"),
    ("traces", {"service": "a", "tags": '{"a":{}}'}, "malformed 'tags'"),
    ("traces", {"service": "a", "tag": "novalue"}, "malformed 'tag'"),
    ("traces", {"service": "a", "tag": ["k:v"] * 20}, "more than"),
    ("traces", {"traceID": "xyz"}, "traceID"),
    ("traces/xyz", {}, "trace id"),
    ("traces/" + "1" * 33, {}, "trace id"),
    ("dependencies", {"endTs": "now"}, "endTs"),
    ("dependencies", {"lookback": "1h"}, "lookback"),
    ("metrics/calls", {}, "at least one"),
    ("metrics/latencies", {"service": "a"}, "quantile"),
    ("metrics/latencies", {"service": "a", "quantile": "2"}, "quantile"),
    ("metrics/calls", {"service": "a", "step": "0"}, "step"),
    ("metrics/calls", {"service": "a", "step": "1", "lookback": "3600000"}, "raise 'step'"),
    ("metrics/errors", {"service": "a", "spanKind": "x"}, "spanKind"),
])
def test_bad_parameters(shopped, path, params, word):
    assert word in failure(shopped, 400, path, **params)


def test_metrics(shopped):
    shop = shopped.shop
    base = {"service": [FRONT, PAY], "endTs": shop.start // MS + 120000, "lookback": 600000, "step": 60000, "ratePer": 600000}

    def last(what, **more):
        family = get(shopped, "metrics/" + what, **{**base, **more}).json
        assert set(family) == {"name", "type", "help", "metrics"} and family["type"] == "GAUGE"
        out = {}
        for m in family["metrics"]:
            labels = {x["name"]: x["value"] for x in m["labels"]}
            point = m["metricPoints"][-1]
            time.strptime(point["timestamp"], "%Y-%m-%dT%H:%M:%SZ")
            out[tuple(labels.get(k) for k in ("service_name", "operation"))] = point["gaugeValue"]["doubleValue"]
        return family["name"], out
    name, calls = last("calls")
    assert name == "service_call_rate" and set(calls) == {(FRONT, None), (PAY, None)}
    assert calls[FRONT, None] == pytest.approx(shop.N / 600)
    name, errors = last("errors", groupByOperation="true")
    assert name == "service_operation_error_rate"
    assert errors == {(FRONT, "POST /orders"): pytest.approx(0.2), (PAY, "POST /pay"): pytest.approx(0.2)}
    name, p50 = last("latencies", quantile="0.5")
    assert name == "service_latencies"
    assert p50[FRONT, None] == pytest.approx(24.5, rel=0.3)  # of a histogram
    _, client = last("calls", spanKind="SPAN_KIND_CLIENT")
    assert client == {(FRONT, None): pytest.approx(shop.N / 600)}
    assert data_of_min_step(shopped) > 0


def data_of_min_step(server):
    return get(server, "metrics/minstep").json["data"]
