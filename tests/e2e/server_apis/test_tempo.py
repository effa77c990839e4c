# SPDX-License-Identifier: Apache-2.0
"""The requests of Grafana's Tempo data source, answered field by field."""
import base64
import json
from urllib.parse import quote, urlencode

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

import otlp
from shop import FRONT, MS, PAY, SERVICES, STOCK

PROTOBUF = {"Accept": "application/protobuf"}


def ask(server, path, headers=None, **params):
    return server.ask("/tempo/api/" + path + ("?" + urlencode(params, doseq=True) if params else ""), headers=headers or {})


def get(server, path, **params):
    a = ask(server, path, **params)
    assert a.status == 200, a.text
    assert a.headers["content-type"] == "application/json"
    return a.json


def failure(server, status, path, **params):
    a = ask(server, path, **params)
    assert a.status == status and a.headers["content-type"].startswith("text/plain"), a.text
    return a.text


# ---- a trace by its id ----

def trace_by_id_response():
    """tempopb.TraceByIDResponse{Trace trace = 1}, whose Trace has TracesData's bytes."""
    file = descriptor_pb2.FileDescriptorProto(name="tempo.proto", package="tempopb")
    m = file.message_type.add(name="TraceByIDResponse")
    m.field.add(name="trace", number=1, type=12, label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName("tempopb.TraceByIDResponse"))


def attrs_of(kvs):
    out = {}
    for kv in kvs:
        which = kv.value.WhichOneof("value")
        v = getattr(kv.value, which)
        out[kv.key.decode()] = v.decode() if which == "string_value" else v
    return {k: v for k, v in out.items() if not k.startswith("clew.")}


def check_protobuf(server, data, spans):
    found = {}
    for rs in otlp.Request.FromString(data).resource_spans:
        resource = attrs_of(rs.resource.attributes)
        assert resource == {"service.name": resource["service.name"], **server.shop.resources[resource["service.name"]]}
        for ss in rs.scope_spans:
            assert ss.scope.name == b"lib"
            for s in ss.spans:
                found[s.span_id] = (resource["service.name"], s)
    assert set(found) == {s.id for s in spans}
    for s in spans:
        service, got = found[s.id]
        assert (service, got.name.decode(), got.kind, got.parent_span_id) == (s.service, s.name, s.kind, s.parent_id)
        assert (got.trace_id, got.trace_state.decode()) == (s.trace, s.state)
        assert (got.start_time_unix_nano, got.end_time_unix_nano) == (s.start, s.start + s.duration)
        assert (got.status.code, got.status.message.decode()) == (s.status, s.message)
        assert attrs_of(got.attributes) == s.attrs
        assert [(e.time_unix_nano, e.name.decode(), attrs_of(e.attributes)) for e in got.events] == s.events
        assert [(k.trace_id, k.span_id, attrs_of(k.attributes)) for k in got.links] == s.links


def test_trace_as_protobuf(shopped):
    for i in (0, 4, 9):
        spans = shopped.shop.traces[i]
        path = "traces/" + spans[0].trace.hex()
        a = ask(shopped, path, PROTOBUF)
        assert a.status == 200 and a.headers["content-type"] == "application/protobuf"
        check_protobuf(shopped, a.body, spans)
        a = ask(shopped, "v2/" + path, PROTOBUF, start=1, end=2000000000)
        assert a.headers["content-type"] == "application/protobuf"
        check_protobuf(shopped, trace_by_id_response().FromString(a.body).trace, spans)


def test_trace_as_json(shopped):
    spans = shopped.shop.traces[4]
    first = get(shopped, "traces/" + spans[0].trace.hex())
    second = get(shopped, "v2/traces/" + spans[0].trace.hex())
    assert set(first) == {"batches"} and set(second) == {"trace", "metrics"}
    assert second["trace"] == {"resourceSpans": first["batches"]}
    found = {s["spanId"]: s for b in first["batches"] for ss in b["scopeSpans"] for s in ss["spans"]}
    assert set(found) == {base64.b64encode(s.id).decode() for s in spans}
    root = found[base64.b64encode(spans[0].id).decode()]
    assert base64.b64decode(root["traceId"]) == spans[0].trace
    assert root["kind"] == "SPAN_KIND_SERVER" and root["status"] == {"code": "STATUS_CODE_ERROR", "message": "no money"}
    assert root["startTimeUnixNano"] == str(spans[0].start)


def test_no_trace(shopped):
    for path in ("traces/", "v2/traces/"):
        assert "not found" in failure(shopped, 404, path + "e" * 32)
        assert "trace id" in failure(shopped, 400, path + "zz")
    assert "no such path" in failure(shopped, 404, "nothing")
    assert shopped.ask("/tempo/api/echo", "POST", b"").status == 405


def test_metrics_say_what_to_use_instead(shopped):
    for path in ("metrics/query", "metrics/query_range"):
        assert "/metrics for Prometheus" in failure(shopped, 501, path, q="{ } | rate()", start=1, end=2, step="15s")


# ---- search ----

def search(server, **params):
    answer = get(server, "search", **params)
    assert set(answer) == {"traces", "metrics"}
    return answer["traces"]


def name_of(trace):
    return trace.hex().lstrip("0")


def check_found(server, found, indexes, matches=None):
    shop = server.shop
    assert [t["traceID"] for t in found] == [name_of(shop.traces[i][0].trace) for i in indexes]
    for t, i in zip(found, indexes):
        spans = shop.traces[i]
        start, end = min(s.start for s in spans), max(s.start + s.duration for s in spans)
        assert (t["rootServiceName"], t["rootTraceName"]) == (FRONT, "POST /orders")
        assert (t["startTimeUnixNano"], t["durationMs"]) == (str(start), (end - start) // MS)
        stats = {n: {"spanCount": sum(s.service == n for s in spans), "errorCount": sum(s.service == n and s.status == 2 for s in spans)}
                 for n in SERVICES}
        assert t["serviceStats"] == {n: {k: v for k, v in x.items() if v} for n, x in stats.items()}
        assert t["spanSets"] == [t["spanSet"]]
        want = sorted((s for s in spans if not matches or matches(s)), key=lambda s: s.start)
        assert t["spanSet"]["matched"] == len(want)
        shown = t["spanSet"]["spans"]
        assert len(shown) == min(3, len(want))
        for got, s in zip(shown, want):
            assert (got["spanID"], got["name"], got["startTimeUnixNano"], got["durationNanos"]) == \
                (s.id.hex(), s.name, str(s.start), str(s.duration))
            assert {"key": "service.name", "value": {"stringValue": s.service}} in got["attributes"]


ALL = list(range(30))[::-1]
FAILED = [i for i in ALL if i % 5 == 4]


@pytest.mark.parametrize("q, want, matches", [
    ("{}", ALL[:20], None),
    ("{ true }", ALL[:20], None),
    ('{resource.service.name="%s"}' % PAY, ALL[:20], lambda s: s.service == PAY),
    ('{ .service.name = "%s" && kind = client }' % FRONT, ALL[:20], lambda s: s.service == FRONT and s.kind == 3),
    ('{ span.http.response.status_code >= 500 && resource.service.name = "front" && duration > 10ms && status = error '
     '&& name =~ "POST.*" }', FAILED, lambda s: s.name == "POST /orders"),
    ('{ span.http.response.status_code >= 500 && name =~ "OST" }', [], None),
    ('{ span.http.response.status_code = 500 }', FAILED, lambda s: s.attrs.get("http.response.status_code") == 500),
    ('{ span.http.response.status_code < 500 && span.vip = false }', [i for i in ALL if i % 5 != 4 and i % 2],
     lambda s: s.attrs.get("vip") is False),
    ('{ status = error }', FAILED, lambda s: s.status == 2),
    ('{ status = ok }', [i for i in ALL if i % 5 != 4][:20], lambda s: s.status == 1),
    ('{ status != error && name = "POST /orders" }', [i for i in ALL if i % 5 != 4][:20], lambda s: s.name == "POST /orders"),
    ('{ statusMessage = "no money" }', FAILED, lambda s: s.message == "no money"),
    ('{ (span.order = "o-3") && ((.vip = false)) }', [3], lambda s: s.kind == 2 and s.service == FRONT),
    ('{ span.order =~ "o-1[0-2]" }', [12, 11, 10], lambda s: "order" in s.attrs),
    ('{ span.order !~ "o-[12]?[0-9]" }', [], None),
    ('{ span.order != "o-3" && span.ratio < 1 }', [2, 1, 0], lambda s: "order" in s.attrs),
    ('{ span.ratio = 0.75 }', [3], lambda s: "order" in s.attrs),
    ('{ span.big = 1152921504606846979 }', [3], lambda s: "order" in s.attrs),
    ('{ span.order != nil && duration >= 38ms }', [29, 28], lambda s: "order" in s.attrs),
    ('{ span.order = nil && kind = server }', ALL[:20], lambda s: s.service == PAY),
    ('{ kind != server && kind != client }', ALL[:20], lambda s: s.kind == 5),
    ('{ kind = server && kind = client }', [], None),
    ('{ resource.host.name = "host-2" }', ALL[:20], lambda s: s.service == STOCK),
    ('{ span.host.name = "host-2" }', [], None),
    ('{ resource.order = "o-3" }', [], None),
    ('{ name = `reserve` && .messaging.system = "kafka" }', ALL[:20], lambda s: s.name == "reserve"),
    ('{ span."messaging.system" = "kafka" }', ALL[:20], lambda s: s.name == "reserve"),
    ('{ duration = 1ms }', ALL[:20], lambda s: s.duration == MS),
    ('{ duration < 1ms }', [], None),
    ('{ duration > 1ms && duration <= 3ms }', [0], lambda s: MS < s.duration <= 3 * MS),
    ('{ nestedSetParent < 0 && name = "POST /orders" }', ALL[:20], lambda s: s.name == "POST /orders"),
    ('{ rootServiceName = "front" && span.order = "o-7" }', [7], lambda s: "order" in s.attrs),
    ('{ rootName = "other" }', [], None),
    ('{ traceDuration < 13ms }', [2, 1, 0], None),
    ('{ trace:duration >= 38ms && trace:rootName = "POST /orders" }', [29, 28], None),
    # What Grafana's search form makes of several values.
    ('{(span.order="o-3" || span.order="o-5")}', [5, 3], lambda s: "order" in s.attrs),
    ('{(resource.service.name="stock" || resource.service.name="front") && kind!=client}', ALL[:20],
     lambda s: s.service == STOCK or s.kind == 2 and s.service == FRONT),
    ('{(name="reserve" || name="POST /pay") && (resource.service.name="front" || resource.service.name="stock")}', ALL[:20],
     lambda s: s.name == "reserve" or s.service == FRONT and s.kind == 3),
    # A span that two cases find counts once; "&&" comes before "||".
    ('{ status = error || status = ok || kind = server }', ALL[:20], lambda s: s.kind == 2),
    ('{ span.order = "o-3" || kind = server && span.order =~ "o-[34]" }', [4, 3], lambda s: "order" in s.attrs),
    ('{ kind = server && kind = client || span.order = "o-4" }', [4], lambda s: "order" in s.attrs),
    ('{ true || span.order = "o-4" }', ALL[:20], None),
    ('{ rootName = "other" || traceDuration < 13ms }', [2, 1, 0], None),
])
def test_traceql(shopped, q, want, matches):
    start = shopped.shop.start // 10**9
    found = search(shopped, q=q, start=start - 60, end=start + 600)
    check_found(shopped, found, want, matches)


def test_cases_of_traces_and_of_spans(shopped):
    """Of a trace that a case without conditions on spans finds, all spans match."""
    found = search(shopped, q='{ traceDuration >= 38ms || span.order = "o-28" || span.order = "o-7" && rootServiceName = "front" }')
    check_found(shopped, found[:2], [29, 28])
    check_found(shopped, found[2:], [7], lambda s: "order" in s.attrs)
    for limit in (1, 2):
        found = search(shopped, q='{ span.order = "o-9" || span.order = "o-3" || status = error }', limit=limit)
        check_found(shopped, found, FAILED[:limit], lambda s: s.status == 2)


def test_what_was_asked_for_is_shown(shopped):
    (t,) = search(shopped, q='{ span.http.response.status_code >= 500 && resource.host.name = "host-0" && span.order = "o-4" }')
    (s,) = t["spanSet"]["spans"]
    assert {a["key"]: a["value"] for a in s["attributes"]} == {
        "service.name": {"stringValue": FRONT}, "http.response.status_code": {"intValue": "500"},
        "host.name": {"stringValue": "host-0"}, "order": {"stringValue": "o-4"}, "status": {"stringValue": "error"}}


def test_limits(shopped):
    check_found(shopped, search(shopped, limit=2), ALL[:2])
    (t,) = search(shopped, q='{ status = error }', limit=1, spss=1)
    assert len(t["spanSets"][0]["spans"]) == 1 and t["spanSets"][0]["matched"] == 2
    at = shopped.shop.traces[10][0].start // 10**9
    found = search(shopped, start=at, end=at + 1)
    assert found and all(at <= int(t["startTimeUnixNano"]) // 10**9 <= at + 1 for t in found)


def test_tags(shopped):
    start = shopped.shop.start // 10**9
    when = {"start": start - 60, "end": start + 600}
    check_found(shopped, search(shopped, tags='service.name=front order=O-1', **when), [i for i in ALL if "o-1" in "o-%d" % i],
                lambda s: "order" in s.attrs)
    check_found(shopped, search(shopped, tags='name="POST /orders" error=true', **when), FAILED, lambda s: s.kind == 2 and s.service == FRONT)
    check_found(shopped, search(shopped, tags="order=.", **when), [])
    check_found(shopped, search(shopped, minDuration="38ms", **when), [29, 28])
    check_found(shopped, search(shopped, tags="order=o-", maxDuration="12ms", **when), [2, 1, 0], lambda s: "order" in s.attrs)


@pytest.mark.parametrize("params, word", [
    ({"q": "x"}, "begins with {"),
    ({"q": "{"}, "not a field"),
    ({"q": "{ foo = 1 }"}, "'foo = 1 }'"),
    ({"q": "{ .a }"}, "operator"),
    ({"q": "{ .a = }"}, "value is missing"),
    ({"q": "{ .a = b }"}, "stands in quotes"),
    ({"q": '{ .a = "b }'}, "quote is not closed"),
    ({"q": "{ .a = 1x }"}, "neither a number"),
    ({"q": "{ .a = 1 } | count() > 2"}, "pipeline"),
    ({"q": "{ .a = 1 } && { .b = 2 }"}, "only one set"),
    ({"q": "{ .a = 1 || }"}, "not a field"),
    ({"q": "{ " + " || ".join(".a = %d" % i for i in range(17)) + " }"}, "more than 16 cases"),
    ({"q": "{ " + " && ".join("(.a = %d || .b = 1)" % i for i in range(5)) + " }"}, "more than 16 cases"),
    ({"q": "{ " + " && ".join(".a = %d" % i for i in range(65)) + " }"}, "too many"),
    ({"q": "{ !(.a = 1) }"}, "!"),
    ({"q": "{ (.a = 1 }"}, ") is missing"),
    ({"q": "{" + "(" * 100 + "true" + ")" * 100 + "}"}, "nested"),
    ({"q": "{ status = bad }"}, "status takes"),
    ({"q": "{ kind > server }"}, "kind takes"),
    ({"q": '{ duration > "x" }'}, "duration"),
    ({"q": '{ rootName =~ "x" }'}, "regular expression"),
    ({"q": "{ .a =~ 5 }"}, "quotes"),
    ({"q": "{ " + " && ".join('.a = "%d"' % i for i in range(40)) + " }"}, "too many"),
    ({"q": '{ .a =~ "x" }', "start": 1, "end": 2000000000}, "24 h"),
    ({"q": '{ .order =~ "(" && resource.service.name = "front" }'}, "missing"),
    ({"tags": "novalue"}, "key=value"),
    ({"limit": "x"}, "limit"),
    ({"limit": "0"}, "limit"),
    ({"spss": "1000"}, "spss"),
    ({"start": "5", "end": "4"}, "before start"),
    ({"minDuration": "1"}, "minDuration"),
])
def test_bad_parameters(shopped, params, word):
    assert word in failure(shopped, 400, "search", **params)


# ---- what a search form offers ----

def test_the_sequence_of_grafana(shopped):
    """Is it there, which version, tags, values, search, a trace."""
    a = ask(shopped, "echo")
    assert a.status == 200 and a.text == "echo"
    assert get(shopped, "status/buildinfo")["version"].startswith("2.")
    scopes = {s["name"]: s["tags"] for s in get(shopped, "v2/search/tags", limit=5000, start=1, end=2000000000)["scopes"]}
    assert set(scopes) == {"resource", "span", "intrinsic"}
    assert scopes["resource"] == ["host.name", "process.pid", "service.name"]
    assert {"http.request.method", "order", "vip", "big"} <= set(scopes["span"]) and "host.name" not in scopes["span"]
    assert {"name", "status", "kind", "duration", "rootServiceName"} <= set(scopes["intrinsic"])
    values = get(shopped, "v2/search/tag/resource.service.name/values")["tagValues"]
    assert sorted(v["value"] for v in values) == sorted(SERVICES) and {v["type"] for v in values} == {"string"}
    found = search(shopped, q='{resource.service.name="%s"}' % values[0]["value"], limit=1, spss=3)
    a = ask(shopped, "v2/traces/" + found[0]["traceID"], PROTOBUF)
    assert a.status == 200 and len(otlp.Request.FromString(trace_by_id_response().FromString(a.body).trace).resource_spans) == 3


def test_tag_names(shopped):
    names = get(shopped, "search/tags")["tagNames"]
    assert {"service.name", "order", "host.name"} <= set(names) and names == sorted(set(names))
    assert get(shopped, "search/tags", scope="resource")["tagNames"] == ["host.name", "process.pid", "service.name"]
    assert [s["name"] for s in get(shopped, "v2/search/tags", scope="span")["scopes"]] == ["span"]
    assert "invalid scope" in failure(shopped, 400, "v2/search/tags", scope="none of these")


def values_of(server, tag, **params):
    a = get(server, "v2/search/tag/%s/values" % quote(tag, safe=""), **params)
    assert set(a) == {"tagValues", "metrics"}
    return sorted((v["type"], v["value"]) for v in a["tagValues"])


def test_values(shopped):
    assert values_of(shopped, "span.http.response.status_code") == [("int", "200"), ("int", "500")]
    assert values_of(shopped, ".vip") == [("bool", "false"), ("bool", "true")]
    assert values_of(shopped, "span.ratio", limit=3)[0][0] == "float"
    assert len(values_of(shopped, "span.order")) == 30 and len(values_of(shopped, "span.order", limit=7)) == 7
    assert values_of(shopped, "resource.order") == [] and values_of(shopped, "span.host.name") == []
    assert values_of(shopped, ".host.name") == [("string", "host-%d" % i) for i in range(3)]
    assert values_of(shopped, "status") == [("keyword", "error"), ("keyword", "ok"), ("keyword", "unset")]
    assert ("keyword", "server") in values_of(shopped, "kind")
    assert values_of(shopped, "name") == [("string", n) for n in ("POST /orders", "POST /pay", "reserve")]
    assert values_of(shopped, "rootServiceName") == sorted(("string", s) for s in SERVICES)
    assert values_of(shopped, "duration") == [] and values_of(shopped, "nothing.at.all") == []


def test_values_of_spans_that_match(shopped):
    assert values_of(shopped, "name", q='{resource.service.name="stock"}') == [("string", "reserve")]
    assert values_of(shopped, "span.order", q='{ status = error && span.vip = true }') == \
        sorted(("string", "o-%d" % i) for i in FAILED if i % 2 == 0)
    # Half a query stands for none.
    assert len(values_of(shopped, "span.order", q="{ resource.a = }")) == 30
    at = shopped.shop.traces[5][0].start // 10**9
    assert len(values_of(shopped, "span.order", start=at, end=at + 2)) in (3, 4)


def test_values_of_the_first_version(shopped):
    assert sorted(get(shopped, "search/tag/service.name/values")["tagValues"]) == sorted(SERVICES)
    assert sorted(get(shopped, "search/tag/http.response.status_code/values")["tagValues"]) == ["200", "500"]
    assert "order" in json.dumps(get(shopped, "search/tags"))
