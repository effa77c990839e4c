# SPDX-License-Identifier: Apache-2.0
"""What the server makes of spans as they come: /metrics and the live tail."""
import json
import re
import socket
import threading
import time

import pytest

from lib.lab import PATIENCE, wait_for
from otlp import Request, add_scope, add_span, batch, new_id, send

LINE = re.compile(r'^([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?[0-9.e+-]+|\+Inf|NaN)$')


def metrics(server):
    """{name: {labels: value}} of Prometheus' text format, checked line by line."""
    a = server.ask("/metrics")
    assert a.status == 200 and a.headers["content-type"].startswith("text/plain; version=0.0.4")
    out, types = {}, {}
    for line in a.text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in types, "two TYPE lines for " + name
            types[name] = kind
        elif not line.startswith("#"):
            match = LINE.match(line)
            assert match, line
            labels = dict(re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
            base = re.sub("_(bucket|sum|count)$", "", match[1])
            assert match[1] in types or types.get(base) == "histogram", line
            series = out.setdefault(match[1], {})
            key = tuple(sorted(labels.items()))
            assert key not in series, line
            series[key] = float(match[3])
    return out


def of(series, **labels):
    return sum(v for key, v in series.items() if labels.items() <= dict(key).items())


def call(request, client, server, trace=None, duration=3000000, status=0, parent=None):
    """A call: the client's span and the server's."""
    trace, a, b = trace or new_id(16), new_id(8), new_id(8)
    add_span(add_scope(request, client), "GET", trace, a, parent or new_id(8), duration=duration, kind=3,
             status=status)
    add_span(add_scope(request, server), "GET /", trace, b, a, duration=duration // 2, kind=2)


def test_span_metrics_and_service_graph(serve):
    s = serve()
    r = Request()
    for i in range(10):
        call(r, "front", "cart", duration=100000000 if i == 0 else 3000000, status=2 if i < 2 else 0)
    add_span(add_scope(r, "front"), "GET /page", kind=2, duration=10**9)
    add_span(add_scope(r, 'odd "name"\\\n'), "x", kind=1)
    assert send(s, r).status == 200
    assert send(s, r).status == 200  # the same again: counted once
    m = metrics(s)
    calls = m["traces_spanmetrics_calls_total"]
    assert of(calls, service="cart", span_name="GET /", span_kind="SPAN_KIND_SERVER", status_code="STATUS_CODE_UNSET") == 10
    assert of(calls, service="front", span_kind="SPAN_KIND_CLIENT", status_code="STATUS_CODE_ERROR") == 2
    assert of(calls) == 22 and of(calls, service='odd \\"name\\"\\\\\\n') == 1
    assert of(m["traces_spanmetrics_latency_count"]) == 22
    client = {"service": "front", "span_kind": "SPAN_KIND_CLIENT"}
    assert of(m["traces_spanmetrics_latency_bucket"], le="0.002", **client) == 0
    assert of(m["traces_spanmetrics_latency_bucket"], le="0.004", **client) == 9
    assert of(m["traces_spanmetrics_latency_bucket"], le="+Inf", **client) == 10
    assert abs(of(m["traces_spanmetrics_latency_sum"], **client) - 0.127) < 1e-6
    edge = {"client": "front", "server": "cart"}
    assert of(m["traces_service_graph_request_total"], **edge) == 10
    assert of(m["traces_service_graph_request_failed_total"], **edge) == 2
    assert of(m["traces_service_graph_request_server_seconds_count"], **edge) == 10
    assert abs(of(m["traces_service_graph_request_client_seconds_sum"], **edge) - 0.127) < 1e-6
    assert of(m["traces_service_graph_request_total"], client="user", server="front") == 1
    assert of(m["clew_store_spans_total"]) == 22 and of(m["clew_store_duplicates_total"]) == 22
    assert of(m["clew_otlp_accepted_spans_total"]) == 44 and of(m["clew_store_failing"]) == 0
    assert of(m["process_resident_memory_bytes"]) > 1 << 20 and of(m["clew_store_bytes"]) > 0


def test_halves_that_come_apart_and_callees_that_are_not_traced(serve):
    s = serve()
    trace, a = new_id(16), new_id(8)
    late = Request()
    add_span(add_scope(late, "cart"), "GET", trace, a, new_id(8), kind=3)
    early = Request()
    add_span(add_scope(early, "stock"), "GET /", trace, new_id(8), a, kind=2)
    database = Request()
    add_span(add_scope(database, "cart"), "SELECT", kind=3, parent=new_id(8), attrs={"db.system": "redis"})
    for r in (early, database, late):
        assert send(s, r).status == 200
    m = metrics(s)
    assert of(m["traces_service_graph_request_total"], client="cart", server="stock") == 1
    assert of(m["clew_service_graph_waiting"]) == 1

    def given_up():
        m = metrics(s)
        return of(m["traces_service_graph_request_total"], client="cart", server="redis", connection_type="database") == 1
    wait_for(given_up, what="that the database is an edge", every=0.5)


def test_a_flood_of_names_is_bounded_and_counted(serve):
    s = serve()
    r = Request()
    for i in range(60):
        scope = add_scope(r, "service-%d" % i)
        for j in range(50):
            add_span(scope, "operation-%d-%d" % (i, j), kind=2)
    assert send(s, r).status == 200
    m = metrics(s)
    assert of(m["clew_spanmetrics_series"]) == 2000 and of(m["clew_spanmetrics_overflow_total"]) == 1000
    assert of(m["traces_spanmetrics_calls_total"]) == 3000
    assert of(m["traces_spanmetrics_calls_total"], service="(other)") == 1000
    r = Request()
    for i in range(1200):
        add_span(add_scope(r, "many-%d" % i), "x", kind=2)
    assert send(s, r).status == 200
    m = metrics(s)
    assert len(m["traces_service_graph_request_total"]) <= 1001 and of(m["clew_service_graph_overflow_total"]) > 0


class Tail:
    """A client of the tail: its events, as they come."""

    def __init__(self, server, query="", read=True):
        self.socket = socket.create_connection(("127.0.0.1", server.ports["http"]), PATIENCE)
        self.socket.sendall(("GET /api/clew/v1/tail%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % query).encode())
        self.file = self.socket.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.headers = {}
        while (line := self.file.readline().strip()):
            key, value = line.decode().split(": ", 1)
            self.headers[key.lower()] = value
        self.events, self.ended = [], threading.Event()
        if read and self.status == 200:
            threading.Thread(target=self.read, daemon=True).start()

    def chunks(self):
        while (size := int(self.file.readline().strip() or b"0", 16)):
            yield self.file.read(size)
            self.file.readline()

    def read(self):
        text = b""
        try:
            for chunk in self.chunks():
                text += chunk
                while b"\n\n" in text:
                    event, text = text.split(b"\n\n", 1)
                    lines = event.decode().split("\n")
                    if not lines[0].startswith(":"):
                        assert lines[0].startswith("event: ") and lines[1].startswith("data: "), lines
                        self.events.append((lines[0][7:], json.loads(lines[1][6:])))
        except (OSError, ValueError):
            pass
        self.ended.set()

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def send_two_traces(server):
    """More of the first one comes a moment later: before it is told, which is a second after its last span."""
    while True:
        began, one, two = time.monotonic(), new_id(16), new_id(16)
        r, more = Request(), Request()
        root = add_span(add_scope(r, "front"), "GET /one", one, kind=2, duration=10**9).span_id
        call(r, "front", "cart", one, parent=root)
        add_span(add_scope(r, "front"), "GET /two", two, kind=2, status=2, attrs={"n": 6})
        add_span(add_scope(more, "stock"), "x", one, parent=root)
        send(server, r)
        send(server, more)
        if time.monotonic() - began < 0.9:
            return one, two


def test_tail(serve):
    s = serve()
    everything, slow, errors = Tail(s), Tail(s, "?service=front&min_duration=500000000"), Tail(s, "?error=1&where=n%3E5")
    assert everything.status == 200 and everything.headers["content-type"] == "text/event-stream"
    wait_for(lambda: "clew_tail_clients 3" in s.ask("/metrics").text, what="three clients")
    one, two = (t.hex() for t in send_two_traces(s))

    def told(tail):
        return [e for kind, e in tail.events if kind == "trace" and e["trace_id"] in (one, two)]
    wait_for(lambda: len(told(everything)) == 2, what=lambda: "two traces: %s" % everything.events)
    by_id = {e["trace_id"]: e for e in told(everything)}
    first = by_id[one]
    assert first["spans"] == 4 and first["services"] == 3 and first["errors"] == 0
    assert (first["service"], first["name"], first["duration_ns"]) == ("front", "GET /one", 10**9)
    listed = {t["trace_id"]: t for t in map(json.loads, s.ask("/api/clew/v1/traces").text.splitlines())}
    assert {t: listed[t] for t in (one, two)} == by_id
    wait_for(lambda: told(slow) and told(errors), what="what the others are told")
    assert [e["trace_id"] for e in told(slow)] == [one]
    assert [e["trace_id"] for e in told(errors)] == [two]
    for t in (everything, slow, errors):
        t.close()
    send(s, batch(2))
    wait_for(lambda: "clew_tail_clients 0" in s.ask("/metrics").text, what="that they are gone", every=0.5)


def test_a_tail_that_is_refused(serve):
    s = serve()
    for query, text in (("?limit=3", "filters only"), ("?where=a%3D~x", "regular"), ("?nothing=1", "nothing")):
        a = s.ask("/api/clew/v1/tail" + query)
        assert a.status == 400 and text in a.json["error"], query
    tails = [Tail(s) for _ in range(17)]
    assert sorted(t.status for t in tails) == [200] * 16 + [503]


def test_a_slow_tail_loses_and_is_told(serve):
    s = serve()
    t = Tail(s, read=False)
    wait_for(lambda: "clew_tail_clients 1" in s.ask("/metrics").text, what="the client")

    def lost():
        # traces with long names fill the socket's buffers soon
        r = Request()
        scope = add_scope(r, "s")
        for _ in range(400):
            add_span(scope, "n" * 1000, kind=2)
        send(s, r)
        return int(re.search(r"^clew_tail_lost_total (\d+)", s.ask("/metrics").text, re.M)[1]) > 0
    wait_for(lost, what="that some are lost", every=0.2)
    threading.Thread(target=t.read, daemon=True).start()
    wait_for(lambda: any(kind == "lost" and e["n"] > 0 for kind, e in t.events), what="that it is told")
    assert s.ask("/readyz").status == 200


def test_the_end_ends_the_tail(serve):
    s = serve()
    t = Tail(s)
    assert s.stop() == 0
    assert t.ended.wait(PATIENCE)


@pytest.mark.parametrize("text", ["", "x=1&", "where=", "service=%zz"])
def test_odd_filters(serve, text):
    s = serve()
    t = Tail(s, "?" + text)
    assert t.status in (200, 400)
    t.close()
