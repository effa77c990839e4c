# SPDX-License-Identifier: Apache-2.0
"""Trace headers that an instrumented client already sends are honoured; malformed ones change nothing."""

import socket

import pytest

from spans import PYTHON, attr, one, program

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
CASES = {
    "/w3c": "traceparent: 00-%s-%s-01" % (TRACE, SPAN),
    "/w3c-with-state": "Traceparent: 00-%s-%s-01\r\ntracestate: a=b" % (TRACE, SPAN),
    "/b3-single": "b3: %s-%s-1" % (TRACE, SPAN),
    "/b3-multi": "X-B3-TraceId: %s\r\nX-B3-SpanId: %s\r\nX-B3-Sampled: 1" % (TRACE, SPAN),
    "/b3-short": "b3: %s-%s-1" % (TRACE[16:], SPAN),
    "/bad-zero-trace": "traceparent: 00-%s-%s-01" % ("0" * 32, SPAN),
    "/bad-zero-span": "traceparent: 00-%s-%s-01" % (TRACE, "0" * 16),
    "/bad-short": "traceparent: 00-%s-%s-01" % (TRACE[:30], SPAN),
    "/bad-letters": "traceparent: 00-%s-%s-01" % ("x" * 32, SPAN),
    "/none": "X-Other: 1",
}


@pytest.fixture(scope="module")
def spans(module_lab):
    """One traced server; the client, which is not traced, is the instrumented program."""
    lab = module_lab
    port = lab.port()
    p = lab.spawn([PYTHON, program("server.py"), port])
    lab.wait_port(port, p)
    r = lab.record("--pid", p.pid)
    for path, header in CASES.items():
        s = socket.create_connection(("127.0.0.1", port))
        s.sendall(("GET %s HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n" % (path, header)).encode())
        assert s.recv(4096).startswith(b"HTTP/1.1 200")
        s.close()
    r.finish()
    return lab.spans(r.db)


@pytest.mark.parametrize("path", ["/w3c", "/w3c-with-state", "/b3-single", "/b3-multi"])
def test_honoured(spans, path):
    s = one(spans, path, "server")
    assert s["trace_id"] == TRACE
    assert s["parent_span_id"] == SPAN


def test_a_64_bit_b3_trace_is_padded(spans):
    s = one(spans, "/b3-short", "server")
    assert s["trace_id"] == "0" * 16 + TRACE[16:]
    assert s["parent_span_id"] == SPAN


@pytest.mark.parametrize("path", ["/bad-zero-trace", "/bad-zero-span", "/bad-short", "/bad-letters", "/none"])
def test_malformed_is_ignored(spans, path):
    s = one(spans, path, "server")
    assert s["parent_span_id"] is None
    assert s["trace_id"] not in (TRACE, "0" * 32)
    assert attr(s, "http.response.status_code") == 200


def test_the_trace_goes_on_behind_a_proxy_that_drops_the_header(lab):
    """client (instrumented, not traced) → nginx → server: nginx's call is in the header's trace."""
    back, front = lab.port(), lab.port()
    p = lab.spawn([PYTHON, program("server.py"), back])
    lab.wait_port(back, p)
    n = lab.nginx("proxy", "    server { listen 127.0.0.1:%d; location / { proxy_pass_request_headers off; "
                  "proxy_pass http://127.0.0.1:%d; } }" % (front, back), wait=front)
    r = lab.record("--pid", p.pid, "--pid", n.pid)
    s = socket.create_connection(("127.0.0.1", front))
    s.sendall(("GET /through HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n" % CASES["/w3c"]).encode())
    assert s.recv(4096).startswith(b"HTTP/1.1 200")
    r.finish()
    spans = lab.spans(r.db)
    assert {x["trace_id"] for x in spans} == {TRACE}
    call = one(spans, "/through", "client")
    # two servers have that path: nginx (hangs from the header) and the one behind it
    servers = [x for x in spans if x["kind"] == "server"]
    assert sorted(x["parent_span_id"] for x in servers) == sorted([SPAN, call["span_id"]])
    assert call["parent_span_id"] in {x["span_id"] for x in servers}
