# SPDX-License-Identifier: Apache-2.0
"""OTLP over HTTP: what is sent is what is found; what cannot be kept is said."""
import base64
import gzip
import json
import os
import threading
import time
import zlib

import pytest

import otlp
from lib.lab import wait_for
from otlp import Request, Response, Status, add_scope, add_span, batch, ids, new_id, send

YEAR = 365 * 24 * 3600 * 10**9


def stored(server):
    return {tuple(row) for row in server.sql("SELECT trace_id, span_id FROM spans")}


def span(server, span_id):
    lines = server.ask("/api/clew/v1/spans").text.splitlines()
    found = [s for s in map(json.loads, lines) if s["span_id"] == span_id]
    assert len(found) == 1, lines
    return found[0]


def full_request():
    """A request that has everything once."""
    r = Request()
    now = time.time_ns()
    scope = add_scope(r, "cart", "my.library", "1.2.3", **{"service.instance.id": "cart-1", "host.name": "h1", "n": 5})
    trace, root, child = new_id(16), new_id(8), new_id(8)
    add_span(scope, "GET /cart/:id", trace, root, start=now, duration=5000000, kind=2, status=2, message="too b\u00e4d",
             state="ot=th:c,vendor=1",
             attrs={"s": "text", "i": -7, "big": 2**62, "d": 0.1, "t": True, "f": False, "empty": "", "nul": "a\0b",
                    "list": ["a", 1, 2.5, True, None], "map": {"k": "v", "in": [1, {"x": b"\x01\x02"}]},
                    "bytes": b"\x00\xff\x10", "none": None, "\u00fcber": "\U0001f600"},
             events=[(now + 5, "exception", {"exception.type": "ValueError"}), (now + 6, "", {})],
             links=[(new_id(16), new_id(8), {"why": "batch"})])
    add_span(scope, "SELECT", trace, child, root, start=now + 1000, duration=2000, kind=3)
    return r


@pytest.mark.parametrize("how", [{}, {"compress": True}, {"json": True}, {"json": True, "compress": True}])
def test_field_by_field(serve, how):
    s = serve()
    request = full_request()
    sent = request.resource_spans[0].scope_spans[0].spans
    a = send(s, request, **how)
    assert a.status == 200, a.body
    if how.get("json"):
        assert a.headers["content-type"] == "application/json" and a.json == {}
    else:
        assert a.headers["content-type"] == "application/x-protobuf" and a.body == b""
    doc = s.ask("/api/clew/v1/trace/" + sent[0].trace_id.hex()).json
    (rs,) = doc["resourceSpans"]
    resource = {a["key"]: a["value"] for a in rs["resource"]["attributes"]}
    assert resource == {"service.name": {"stringValue": "cart"}, "service.instance.id": {"stringValue": "cart-1"},
                        "host.name": {"stringValue": "h1"}, "n": {"intValue": "5"}}
    (ss,) = rs["scopeSpans"]
    assert ss["scope"] == {"name": "my.library"}
    root, child = sorted(ss["spans"], key=lambda x: int(x["startTimeUnixNano"]))
    assert root["spanId"] == sent[0].span_id.hex() and "parentSpanId" not in root
    assert root["name"] == "GET /cart/:id" and root["kind"] == 2 and root["status"] == {"code": 2, "message": "too b\u00e4d"}
    assert root["traceState"] == "ot=th:c,vendor=1"
    assert int(root["startTimeUnixNano"]) == sent[0].start_time_unix_nano
    assert int(root["endTimeUnixNano"]) == sent[0].end_time_unix_nano
    # The store has no NUL in its texts: it shows as U+FFFD.
    attrs = {a["key"]: a["value"] for a in root["attributes"] if not a["key"].startswith("clew.")}
    inner = {"arrayValue": {"values": [{"intValue": "1"}, {"kvlistValue": {"values": [
        {"key": "x", "value": {"bytesValue": "AQI="}}]}}]}}
    assert attrs.pop("list") == {"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "1"}, {"doubleValue": 2.5},
                                                           {"boolValue": True}, {}]}}
    assert attrs.pop("map") == {"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}},
                                                           {"key": "in", "value": inner}]}}
    assert attrs.pop("bytes") == {"bytesValue": base64.b64encode(b"\x00\xff\x10").decode()}
    assert attrs == {"s": {"stringValue": "text"}, "i": {"intValue": "-7"}, "big": {"intValue": str(2**62)},
                     "d": {"doubleValue": 0.1}, "t": {"boolValue": True}, "f": {"boolValue": False},
                     "empty": {"stringValue": ""}, "none": {"stringValue": ""}, "nul": {"stringValue": "a\ufffdb"},
                     "\u00fcber": {"stringValue": "\U0001f600"}, "otel.scope.version": {"stringValue": "1.2.3"}}
    first, second = root["events"]
    assert first["name"] == "exception" and int(first["timeUnixNano"]) == sent[0].events[0].time_unix_nano
    assert first["attributes"] == [{"key": "exception.type", "value": {"stringValue": "ValueError"}}]
    assert second["name"] == ""
    (link,) = root["links"]
    assert link["traceId"] == sent[0].links[0].trace_id.hex() and link["spanId"] == sent[0].links[0].span_id.hex()
    assert link["attributes"] == [{"key": "why", "value": {"stringValue": "batch"}}]
    assert child["parentSpanId"] == root["spanId"] and child["kind"] == 3
    flat = span(s, sent[1].span_id.hex())
    assert flat["service"] == "cart" and flat["duration_ns"] == 2000


def test_what_json_may_look_like(serve):
    """64-bit integers as numbers, null as absent, unknown fields, enums; and what is wrong is named."""
    s = serve()
    now, trace, one = time.time_ns(), new_id(16).hex(), new_id(8).hex()
    good = {"traceId": trace.upper(), "spanId": one, "parentSpanId": None, "name": "a", "kind": 1, "later": {"x": [1]},
            "startTimeUnixNano": now, "endTimeUnixNano": str(now + 5), "status": None, "events": None,
            "attributes": [{"key": "i", "value": {"intValue": 3}}, {"key": "d", "value": {"doubleValue": "NaN"}},
                           {"key": "x", "value": None}]}

    def post(span):
        body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}], "later": 1}
        return s.ask("/v1/traces", "POST", json.dumps(body), otlp.JSON, port=s.ports["otlp_http"])
    assert post(good).status == 200
    got = span(s, one)
    assert got["trace_id"] == trace and got["service"] == "unknown_service" and got["attributes"]["i"] == 3
    for change, text in (({"kind": "x"}, "kind: a whole number"), ({"name": 7}, "name: a string"),
                         ({"attributes": {}}, "attributes: an array"), ({"startTimeUnixNano": "5x"}, "startTimeUnixNano"),
                         ({"startTimeUnixNano": -5}, "startTimeUnixNano"), ({"endTimeUnixNano": 1.5}, "endTimeUnixNano"),
                         ({"attributes": [{"key": "a", "value": {"boolValue": "no"}}]}, "boolValue")):
        a = post({**good, **change})
        assert a.status == 400 and a.json["code"] == 3 and text in a.json["message"], (change, a.body)
    for body in (b"", b"[]", b"{", b'{"resourceSpans":{}}', b"\xff\xfe", b'{"resourceSpans":[1]}' * 2, b"[" * 100000):
        a = s.ask("/v1/traces", "POST", body, otlp.JSON, port=s.ports["otlp_http"])
        assert a.status == 400 and a.json["code"] == 3 and a.json["message"].startswith("nothing was kept"), body[:40]
    assert len(stored(s)) == 1


def test_an_empty_request_succeeds(serve):
    s = serve()
    assert send(s, Request()).status == 200
    a = s.ask("/v1/traces", "POST", b"{}", otlp.JSON, port=s.ports["otlp_http"])
    assert a.status == 200 and a.json == {}


def test_refusals(serve):
    s = serve()
    port = s.ports["otlp_http"]
    body = batch().SerializeToString()
    for headers, status in (({}, 415), ({"Content-Type": "text/plain"}, 415),
                            ({**otlp.PROTO, "Content-Encoding": "br"}, 415)):
        assert s.ask("/v1/traces", "POST", body, headers, port=port).status == status
    assert s.ask("/v1/traces", "GET", port=port).status == 405
    a = s.ask("/v1/metrics", "POST", body, otlp.PROTO, port=port)
    assert a.status == 404 and Status(a.body).code == 5
    a = s.ask("/v1/traces", "POST", body, {**otlp.PROTO, "Host": "evil.example"}, port=port)
    assert a.status == 403
    for bad in (b"\xff" * 100, body[:-3], b"\x0a\xff\xff\xff\xff\x7f", b"hello"):
        a = s.ask("/v1/traces", "POST", bad, otlp.PROTO, port=port)
        assert a.status == 400 and a.headers["content-type"] == "application/x-protobuf"
        assert Status(a.body).code == 3 and "nothing was kept" in Status(a.body).message
    assert not stored(s)


def test_partial_success(serve):
    """Spans that cannot be kept are counted in the answer, the others are kept."""
    s = serve()
    r = Request()
    scope = add_scope(r)
    good = [add_span(scope) for _ in range(3)]
    for bad in ({"trace": b"short"}, {"span": b"\0" * 8}, {"trace": b"\0" * 16}, {"span": b""}):
        add_span(scope, **bad)
    a = send(s, r)
    got = Response.FromString(a.body)
    assert a.status == 200 and got.partial_success.rejected_spans == 4
    assert b"3 spans were kept, 4 were not" in got.partial_success.error_message
    assert stored(s) == {(x.trace_id.hex(), x.span_id.hex()) for x in good}
    a = send(s, r, json=True)
    assert a.json["partialSuccess"]["rejectedSpans"] == "4"
    a = send(s, batch(2, span=b""))
    assert a.status == 400 and "none of 2 spans was kept" in Status(a.body).message


def test_clocks_that_are_years_off(serve):
    s = serve()
    r = Request()
    scope = add_scope(r)
    now = time.time_ns()
    kept = [add_span(scope, start=t) for t in (now, now - 10 * YEAR // 365, now + YEAR // 365 // 2)]
    for t in (0, 1, now - 3 * YEAR, now + 5 * YEAR, 2**64 - 1):
        add_span(scope, start=t, duration=0)
    kept.append(add_span(scope, name="ends before it begins", duration=-1000))
    a = send(s, r)
    got = Response.FromString(a.body).partial_success
    assert a.status == 200 and got.rejected_spans == 5 and b"clock" in got.error_message
    assert stored(s) == {(x.trace_id.hex(), x.span_id.hex()) for x in kept}
    assert span(s, kept[-1].span_id.hex())["duration_ns"] == 0


def test_the_same_span_twice_and_children_first(serve):
    s = serve()
    trace, root, child = new_id(16), new_id(8), new_id(8)
    late = batch(1, trace=trace, span=root, name="root")
    early = batch(1, trace=trace, span=child, parent=root, name="child")
    assert send(s, early).status == 200
    for request in (late, early, late):
        assert send(s, request).status == 200
    assert len(stored(s)) == 2 and s.stats()["duplicates"] == 2
    orphan = batch(1, parent=new_id(8))
    assert send(s, orphan).status == 200 and len(stored(s)) == 3


def test_a_success_is_durable_within_the_time_of_a_commit(serve):
    """Answered when it is on disk, and that does not wait for the store's usual second."""
    s = serve()

    def seconds():
        begin, request = time.monotonic(), batch(10)
        assert send(s, request).status == 200
        took = time.monotonic() - begin
        assert set(ids(request)) <= stored(s)
        return took
    wait_for(lambda: seconds() < 0.5, what="an answer before the store's usual second is over")


def test_sizes(serve):
    """20 MiB is taken, more is not, before and after decompression; a bomb costs nothing."""
    s = serve()
    r = batch(19, attrs={"a": "x" * (1 << 20)})
    assert 19 << 20 < r.ByteSize() < 20 << 20
    assert send(s, r).status == 200
    big = span(s, ids(r)[0][1])
    assert len(big["attributes"]["a"]) == 1 << 20
    r = batch(21, attrs={"a": "x" * (1 << 20)})
    for how in ({}, {"compress": True}):
        a = send(s, r, **how)
        assert a.status == 413 and Status(a.body).code == 8, how
    bomb = zlib.compressobj(9, wbits=31)
    packed = b"".join(bomb.compress(b"\0" * (1 << 20)) for _ in range(1500)) + bomb.flush()
    before = rss(s)
    a = s.ask("/v1/traces", "POST", packed, {**otlp.PROTO, **otlp.GZIP}, port=s.ports["otlp_http"])
    assert a.status == 413 and rss(s) - before < 100 << 20
    for bad in (packed[:100], b"not gzip at all", b"", gzip.compress(b"x")[:-2]):
        a = s.ask("/v1/traces", "POST", bad, {**otlp.PROTO, **otlp.GZIP}, port=s.ports["otlp_http"])
        assert a.status == 400 and "gzip" in Status(a.body).message
    assert len(stored(s)) == 19


def test_bodies_that_fill_the_buffer_of_their_decompression(serve):
    """What is unpacked comes in pieces of 16 KiB: a body may end with one, and members may begin behind it."""
    s = serve()
    body = b'{"resourceSpans":[]}'
    for size in (16383, 16384, 16385, 32768):
        for packed in (gzip.compress(body.ljust(size)), gzip.compress(body.ljust(16384)) + gzip.compress(b" " * (size - 16383))):
            a = s.ask("/v1/traces", "POST", packed, {**otlp.JSON, **otlp.GZIP}, port=s.ports["otlp_http"])
            assert a.status == 200, (size, a.text)


def rss(s):
    with open("/proc/%d/statm" % s.proc.pid) as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_messages_that_are_larger_in_memory_than_on_the_wire(serve):
    """Two bytes for a message of a hundred; lists in lists: refused, and cheap."""
    s = serve()
    before = rss(s)

    def wrap(tag, data):
        n, out = len(data), b""
        while n > 127:
            out += bytes([n & 127 | 128])
            n >>= 7
        return bytes([tag]) + out + bytes([n]) + data
    deep = b"\x0a\x01x"
    for _ in range(20000):
        deep = wrap(0x2a, wrap(0x0a, deep))  # array_value { values { ... } }
    key_value = wrap(0x0a, b"k") + wrap(0x12, deep)
    deep = wrap(0x0a, wrap(0x12, wrap(0x12, wrap(0x4a, key_value))))
    a = s.ask("/v1/traces", "POST", deep, otlp.PROTO, port=s.ports["otlp_http"])
    assert a.status == 400 and "nested" in Status(a.body).message
    many = wrap(0x0a, wrap(0x12, b"\x12\x00" * (9 << 20)))
    a = s.ask("/v1/traces", "POST", many, otlp.PROTO, port=s.ports["otlp_http"])
    assert a.status == 413 and "memory" in Status(a.body).message, (a.status, Status(a.body).message)
    lists = b'{"resourceSpans":[' + b"[]," * (6 << 20) + b"[]]}"
    a = s.ask("/v1/traces", "POST", lists, otlp.JSON, port=s.ports["otlp_http"])
    assert a.status in (400, 413)
    assert rss(s) - before < 700 << 20 and s.ask("/readyz").status == 200


def test_token(serve, lab):
    token = "correct-horse-battery-staple"
    s = serve("--token-file", lab.write("token", token))
    a = send(s, batch())
    assert a.status == 401 and Status(a.body).code == 16
    assert send(s, batch(), headers={"Authorization": "Bearer " + token}).status == 200


def test_no_otlp(serve):
    s = serve("--no-otlp")
    assert "otlp_http" not in s.ports


def test_kill_9_under_load_loses_nothing_acknowledged(serve, lab):
    s = serve()
    acknowledged, lock, stop = set(), threading.Lock(), threading.Event()

    def sender(number):
        while not stop.is_set():
            request = batch(50, service="s%d" % number)
            try:
                if send(s, request).status == 200:
                    with lock:
                        acknowledged.update(ids(request))
            except OSError:
                return
    threads = [threading.Thread(target=sender, args=(i,)) for i in range(6)]
    for t in threads:
        t.start()
    wait_for(lambda: len(acknowledged) > 3000, what="some thousand acknowledged spans")
    s.proc.popen.kill()
    stop.set()
    for t in threads:
        t.join()
    again = serve(db=s.db)
    assert acknowledged <= stored(again)


def test_a_full_disk_is_said_and_gets_over(serve, lab):
    """A clear refusal while the disk is full; what was acknowledged is there; then it goes on by itself."""
    import subprocess
    place = lab.path("small")
    os.mkdir(place)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", place], check=True)
    lab.undo.append(lambda: subprocess.run(["umount", "-l", place]))
    s = serve(db=os.path.join(place, "db"))
    acknowledged = set()

    def one():
        # text that does not compress
        request = batch(200, attrs={"noise": os.urandom(400).hex()})
        a = send(s, request)
        if a.status == 200:
            acknowledged.update(ids(request))
        return a
    for _ in range(400):
        a = one()
        if a.status != 200:
            break
    assert a.status == 503 and "retry-after" in a.headers, a.status
    assert "disk is full" in Status(a.body).message
    assert s.ask("/readyz").status == 503 and s.ask("/healthz").status == 200
    subprocess.run(["mount", "-o", "remount,size=200m", place], check=True)
    wait_for(lambda: s.ask("/readyz").status == 200, what="that it recovers")
    assert one().status == 200
    assert acknowledged <= stored(s)
    assert s.stop() == 0


def test_retention(serve, lab):
    """Hours that are too old go when the server starts with an age; what comes and is older is refused."""
    hour = 3600 * 10**9
    s = serve()
    r = Request()
    scope = add_scope(r)
    now = time.time_ns()
    for i in range(6):
        add_span(scope, start=now - i * hour)
    assert send(s, r).status == 200 and len(stored(s)) == 6
    assert s.stop() == 0
    # An hour goes when all of it is too old: at an age at which that is not just now.
    s = serve("--retention-age", "3h" if now % hour < hour // 2 else "3h30m", db=s.db)
    wait_for(lambda: len(stored(s)) == 4, what="that two hours are gone")
    text = s.ask("/metrics").text
    assert "clew_retention_partitions_total 2\n" in text and "clew_retention_spans_total 2\n" in text
    assert s.proc.err().count("dropped the hour from") == 2
    a = send(s, batch(1, start=now - 5 * hour))
    assert a.status == 400 and "outside the times" in Status(a.body).message
    for args in (["--retention-age", "5m"], ["--retention-size", "10"]):
        assert lab.clew("server", "-d", lab.path("x"), *args, check=False).returncode == 2
