# SPDX-License-Identifier: Apache-2.0
"""Jaeger's newer API: OTLP/JSON, both spellings of parameters, its own shape of errors."""
import datetime
import json
from urllib.parse import urlencode

import pytest

from shop import FRONT, PAY, SERVICES

ALL = {"query.startTimeMin": "2020-01-01T00:00:00Z", "query.startTimeMax": "2100-01-01T00:00:00.5+01:00"}


def get(server, path, **params):
    a = server.ask("/api/v3/" + path + ("?" + urlencode(params, doseq=True) if params else ""))
    assert a.headers["content-type"] == "application/json"
    return a


def failure(server, status, path, **params):
    a = get(server, path, **params)
    assert a.status == status and set(a.json) == {"error"}, a.text
    assert a.json["error"]["httpCode"] == status
    return a.json["error"]["message"]


def spans_of(answer):
    assert answer.status == 200, answer.text
    assert set(answer.json) == {"result"} and set(answer.json["result"]) == {"resourceSpans"}
    out = {}
    for rs in answer.json["result"]["resourceSpans"]:
        resource = {a["key"]: list(a["value"].values())[0] for a in rs["resource"]["attributes"]}
        for ss in rs["scopeSpans"]:
            for s in ss["spans"]:
                out[s["traceId"], s["spanId"]] = (resource, ss["scope"], s)
    return out


def rfc3339(ns):
    t = datetime.datetime.fromtimestamp(ns // 10**9, datetime.timezone.utc)
    return t.strftime("%Y-%m-%dT%H:%M:%S") + ".%09dZ" % (ns % 10**9)


def check(server, found, spans):
    assert set(found) == {(s.trace.hex(), s.id.hex()) for s in spans}
    for s in spans:
        resource, scope, got = found[s.trace.hex(), s.id.hex()]
        assert resource == {"service.name": s.service, **{k: str(v) for k, v in server.shop.resources[s.service].items()}}
        assert scope == {"name": "lib"}
        assert got["name"] == s.name and got["kind"] == s.kind and got.get("parentSpanId", "") == s.parent_id.hex()
        assert got["startTimeUnixNano"] == str(s.start) and got["endTimeUnixNano"] == str(s.start + s.duration)
        assert got["status"].get("code", 0) == s.status and got["status"].get("message", "") == s.message
        assert got.get("traceState", "") == s.state
        attrs = {a["key"]: a["value"] for a in got["attributes"] if not a["key"].startswith("clew.")}
        assert attrs == {k: value(v) for k, v in s.attrs.items()}
        assert [(int(e["timeUnixNano"]), e["name"], len(e["attributes"])) for e in got.get("events", [])] == \
            [(when, name, len(a)) for when, name, a in s.events]
        assert [(k["traceId"], k["spanId"]) for k in got.get("links", [])] == [(t.hex(), i.hex()) for t, i, _ in s.links]


def value(v):
    if isinstance(v, bool):
        return {"boolValue": v}
    if isinstance(v, int):
        return {"intValue": str(v)}
    return {"doubleValue": v} if isinstance(v, float) else {"stringValue": v}


def test_sequence(shopped):
    shop = shopped.shop
    assert get(shopped, "services").json == {"services": sorted(SERVICES)}
    assert get(shopped, "operations", service=PAY).json == {"operations": [{"name": "POST /pay", "spanKind": "server"}]}
    for kind in ("spanKind", "span_kind"):
        assert get(shopped, "operations", service=FRONT, **{kind: "client"}).json == {
            "operations": [{"name": "POST /pay", "spanKind": "client"}]}
    found = spans_of(get(shopped, "traces", **ALL, **{"query.serviceName": FRONT, "query.searchDepth": 5}))
    check(shopped, found, [s for t in shop.traces[-5:] for s in t])
    check(shopped, spans_of(get(shopped, "traces/" + shop.traces[0][0].trace.hex())), shop.traces[0])
    check(shopped, spans_of(get(shopped, "traces/4d")), shop.traces[0])


def test_the_sequence_of_grafana(shopped):
    """What its data source asks of this API. It writes the times into the URL as they are, with their colons."""
    shop = shopped.shop
    assert get(shopped, "services").json["services"] == sorted(SERVICES)
    assert [o["name"] for o in get(shopped, "operations", service=PAY).json["operations"]] == ["POST /pay"]
    wanted = [t for i, t in enumerate(shop.traces) if i % 5 == 4]
    begin, end = rfc3339(shop.traces[0][0].start - 10**9), rfc3339(shop.traces[-1][0].start + 10**9)
    query = urlencode({"query.attributes": json.dumps({"error": "true"}), "query.duration_min": "1ms",
                       "query.operation_name": "POST /orders", "query.service_name": FRONT})
    a = shopped.ask("/api/v3/traces?%s&query.start_time_min=%s&query.start_time_max=%s" % (query, begin, end))
    check(shopped, spans_of(a), [s for t in wanted for s in t])
    a = shopped.ask("/api/v3/traces/%s?start_time=%s&end_time=%s" % (wanted[0][0].trace.hex(), begin, end))
    check(shopped, spans_of(a), wanted[0])
    # It reads numbers of kinds and codes, and 64-bit values as text.
    (span,) = [s for _, _, s in spans_of(a).values() if s["spanId"] == wanted[0][0].id.hex()]
    assert isinstance(span["kind"], int) and isinstance(span["status"].get("code", 0), int)
    assert isinstance(span["startTimeUnixNano"], str)


def test_older_names(shopped):
    shop = shopped.shop
    at = shop.traces[10][0].start
    params = {"query.service_name": FRONT, "query.operation_name": "POST /orders", "query.start_time_min": rfc3339(at),
              "query.start_time_max": rfc3339(at + 2 * 10**9), "query.num_traces": 9, "query.duration_min": "20.5ms",
              "query.duration_max": "1s"}
    check(shopped, spans_of(get(shopped, "traces", **params)), [s for t in shop.traces[11:13] for s in t])


def test_the_older_name_of_operations_in_jaegers_page(shopped):
    for name in ("query.span_name", "query.spanName"):
        found = spans_of(get(shopped, "traces", **ALL, **{"query.service_name": PAY, name: "POST /pay", "query.num_traces": 1}))
        check(shopped, found, shopped.shop.traces[-1])
        assert get(shopped, "trace-summaries", **ALL, **{"query.service_name": PAY, name: "other"}).json == {"summaries": []}


def post(server, path, body):
    text = body if isinstance(body, str) else json.dumps(body)
    return server.ask("/api/v3/" + path, "POST", text, {"Content-Type": "application/json"})


def test_a_query_that_is_posted(shopped):
    shop = shopped.shop
    times = {"startTimeMin": ALL["query.startTimeMin"], "startTimeMax": ALL["query.startTimeMax"]}
    older = {"start_time_min": times["startTimeMin"], "start_time_max": times["startTimeMax"]}
    query = {**times, "serviceName": FRONT, "operationName": "POST /orders", "durationMin": "0.0205s", "searchDepth": 3}
    check(shopped, spans_of(post(shopped, "traces", {"query": query})), [s for t in shop.traces[-3:] for s in t])
    query = {**older, "service_name": FRONT, "attributes": {"order": "o-8"}, "duration_max": None, "raw_traces": True}
    check(shopped, spans_of(post(shopped, "traces", {"query": query})), shop.traces[8])
    (summary,) = post(shopped, "trace-summaries", {"query": query}).json["summaries"]
    assert summary["traceId"] == shop.traces[8][0].trace.hex()
    for body in ("", "{", "[]", {}, {"query": 5}):
        a = post(shopped, "traces", body)
        assert a.status == 400 and "malformed body" in a.json["error"]["message"]
    assert "are required" in post(shopped, "traces", {"query": {}}).text
    for path, body, name in (("traces", {"query": query, "limit": 1}, "limit"),
                             ("trace-summaries", {"query": {**query, "minDuration": "1s"}}, "minDuration"),
                             ("traces?query.searchDepth=1", {"query": query}, "in the URL"),
                             ("traces", {"query": {**query, "pagination": {"pageSize": 1}}}, "query.pagination is not")):
        a = post(shopped, path, body)
        assert a.status == 400 and name in a.json["error"]["message"], a.text
    assert post(shopped, "services", {"query": query}).status == 405
    assert shopped.ask("/api/v3/traces", "PUT", "x").status == 405


def test_dependencies(shopped):
    shop = shopped.shop
    begin, end = rfc3339(shop.start), rfc3339(shop.start + 60 * 10**9)
    for names in ("startTime", "endTime"), ("start_time", "end_time"):
        edges = get(shopped, "dependencies", **dict(zip(names, (begin, end)))).json["dependencies"]
        assert {"parent": FRONT, "child": PAY, "callCount": str(shop.N)} in edges
    none = get(shopped, "dependencies", startTime="2020-01-01T00:00:00Z", endTime="2020-01-02T00:00:00Z")
    assert none.json == {"dependencies": []}


def test_capabilities(shopped):
    """As they say: without a service's name, and all conditions on one span."""
    assert get(shopped, "capabilities").json == {"search": {"withoutServiceName": True, "sameSpanConjunction": True}}
    apart = {"server.address": "pay", "order": "o-8"}
    assert failure(shopped, 404, "traces", **ALL, **{"query.attributes": json.dumps(apart)}) == "No traces found"


def test_attributes(shopped):
    shop = shopped.shop
    found = spans_of(get(shopped, "traces", **ALL, **{"query.attributes": json.dumps({"span.kind": "consumer"}), "query.searchDepth": 2}))
    check(shopped, found, [s for t in shop.traces[-2:] for s in t])
    found = spans_of(get(shopped, "traces", **ALL, **{"query.attributes": json.dumps({"order": "o-8"})}))
    check(shopped, found, shop.traces[8])
    found = spans_of(get(shopped, "traces", **ALL, **{"query.attributes": json.dumps({"error": "true", "vip": "true"})}))
    check(shopped, found, [s for i, t in enumerate(shop.traces) if i % 5 == 4 and i % 2 == 0 for s in t])


def test_summaries(shopped):
    shop = shopped.shop
    answer = get(shopped, "trace-summaries", **ALL, **{"query.serviceName": FRONT, "query.searchDepth": 2}).json
    assert set(answer) == {"summaries"} and len(answer["summaries"]) == 2
    for got, spans in zip(answer["summaries"], shop.traces[:-3:-1]):
        services = got.pop("services")
        assert got == {"traceId": spans[0].trace.hex(), "rootServiceName": FRONT, "rootOperationName": "POST /orders",
                       "minStartTimeUnixNano": str(min(s.start for s in spans)),
                       "maxEndTimeUnixNano": str(max(s.start + s.duration for s in spans)), "spanCount": 4,
                       "errorSpanCount": sum(s.status == 2 for s in spans), "orphanSpanCount": 0}
        assert {s["name"]: (s["spanCount"], s["errorSpanCount"]) for s in services} == {
            name: (sum(s.service == name for s in spans), sum(s.service == name and s.status == 2 for s in spans))
            for name in SERVICES}
    assert get(shopped, "trace-summaries", **ALL, **{"query.serviceName": "nobody"}).json == {"summaries": []}


def test_nothing_found(shopped):
    assert failure(shopped, 404, "traces/" + "e" * 32) == "No traces found"
    assert failure(shopped, 404, "traces", **ALL, **{"query.serviceName": "nobody"}) == "No traces found"
    assert "no such path" in failure(shopped, 404, "nothing")


@pytest.mark.parametrize("path, params, word", [
    ("traces", {}, "are required"),
    ("traces", {"query.startTimeMin": ALL["query.startTimeMin"]}, "are required"),
    ("traces", {**ALL, "query.startTimeMin": "yesterday"}, "malformed parameter query.startTimeMin"),
    ("traces", {"query.start_time_min": "2020-01-01", "query.startTimeMax": "x"}, "malformed parameter query.start_time_min"),
    ("traces", {**ALL, "query.startTimeMin": "5m"}, "RFC 3339"),
    ("traces", {**ALL, "query.startTimeMin": "2020-01-01T00:00:00"}, "RFC 3339"),
    ("traces", {**ALL, "query.startTimeMax": "2019-01-01T00:00:00Z"}, "lies before"),
    ("traces", {**ALL, "query.durationMin": "7"}, "malformed parameter query.durationMin"),
    ("traces", {**ALL, "query.searchDepth": "-1"}, "query.searchDepth"),
    ("traces", {**ALL, "query.attributes": "x"}, "malformed parameter query.attributes"),
    ("traces", {**ALL, "query.attributes": '{"a":1}'}, "malformed parameter query.attributes"),
    ("traces", {**ALL, "query.filter": '{"op":"eq"}'}, "query.filter is not supported"),
    ("trace-summaries", {**ALL, "query.pagination.pageSize": "5"}, "query.pagination.pageSize is not supported"),
    ("traces", {**ALL, "query.pagination": '{"pageSize":5}'}, "query.pagination is not supported"),
    ("dependencies", {}, "startTime and endTime are required"),
    ("dependencies", {"start_time": "x", "end_time": "y"}, "malformed parameter start_time"),
    ("dependencies", {"startTime": "2020-01-01T00:00:00Z", "endTime": "2020-01-01T00:00:00Z"}, "endTime"),
    ("traces/zz", {}, "malformed parameter trace_id"),
    ("traces/12", {"start_time": "x"}, "malformed parameter start_time"),
    ("trace-summaries", {}, "are required"),
    ("operations", {}, "service is required"),
    ("operations", {"service": "a", "spanKind": "b"}, "spanKind"),
])
def test_bad_parameters(shopped, path, params, word):
    assert word in failure(shopped, 400, path, **params)
