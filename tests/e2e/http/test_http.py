# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.x between a client and a server that do everything the protocol allows (programs/traffic.py), under one
`clew run`; afterwards every exchange is there, with both ends, and nothing that was only in a body."""

import json
import os

import pytest

from spans import PYTHON, attr, by_path, incomplete, joined, one, program


@pytest.fixture(scope="module")
def traced(module_lab):
    """(spans, lab, recording, ports) of the one run."""
    lab = module_lab
    port, port6, path = lab.port(), lab.port(), lab.path("http.sock")
    r = lab.run("--raw", lab.path("http.clew"), "--capture-header", "authorization", "--capture-header", "x-shop",
                "--capture-header", "set-cookie", "--capture-header", "cookie",
                command=[PYTHON, program("traffic.py"), port, port6, path])
    assert r.wait() == 0, r.err()
    return {"spans": lab.spans(r.db), "lab": lab, "db": r.db, "port": port, "port6": port6, "unix": path,
            "summary": r.err(), "raw": lab.path("http.clew")}


@pytest.fixture(scope="module")
def spans(traced):
    return traced["spans"]


def status(span):
    return attr(span, "http.response.status_code")


def both(spans, path):
    return joined(spans, path)


def test_nothing_was_lost(traced):
    assert "clew: lost: nothing" in traced["summary"], traced["summary"]


def test_what_is_incomplete_says_so_and_nothing_else(spans):
    """Heads beyond the captured prefix, an answer that never came, a request that was spliced in; no more."""
    marked = {(s["kind"], attr(s, "url.path") or s["name"]) for s in spans if incomplete(s)}
    allowed = {(k, p) for k in ("client", "server") for p in ("/longhead/20000", "/long-request-head", "/hang-up")}
    assert marked <= allowed | {("client", "HTTP")}, marked - allowed


def test_keep_alive(spans):
    clients = [both(spans, "/keep/%d" % i)[0] for i in range(5)]
    assert all(status(c) == 200 for c in clients)
    starts = [c["start_ns"] for c in clients]
    assert starts == sorted(starts) and len(set(c["span_id"] for c in clients)) == 5


def test_requests_of_a_client_of_its_own_are_traces_of_their_own(spans):
    assert len({both(spans, "/keep/%d" % i)[0]["trace_id"] for i in range(5)}) == 5


def test_pipelined_answers_go_to_their_requests(spans):
    for path, code in (("/pipe-0", 200), ("/status/404/pipe-1", 404), ("/pipe-2", 200), ("/status/500/pipe-3", 500),
                       ("/len/5000/pipe-4", 200)):
        assert [status(s) for s in both(spans, path)] == [code, code], path


def test_chunked(spans):
    for s in both(spans, "/chunked"):
        assert status(s) == 200
    for s in both(spans, "/chunked-request"):
        assert attr(s, "http.request.method") == "POST"
    both(spans, "/after-chunked")


def test_head_204_304_have_no_body(spans):
    for s in both(spans, "/head/1000"):
        assert (attr(s, "http.request.method"), status(s)) == ("HEAD", 200)
    for path, code in (("/after-head", 200), ("/204", 204), ("/304", 304), ("/after-304", 200)):
        assert [status(s) for s in both(spans, path)] == [code, code]


def test_interim_answers_are_not_the_answer(spans):
    for path in ("/early", "/continue", "/after-continue"):
        assert [status(s) for s in both(spans, path)] == [200, 200]


def test_big_bodies(spans):
    for s in both(spans, "/len/8388608"):
        assert attr(s, "http.response.body.size") == 8388608
    for s in both(spans, "/upload"):
        assert attr(s, "http.request.body.size") == 4194304
    for s in both(spans, "/sendfile/1000000"):
        assert attr(s, "http.response.body.size") == 1000000


def test_heads_in_pieces_and_long_ones(spans):
    assert [status(s) for s in both(spans, "/drip")] == [202, 202]
    assert [status(s) for s in both(spans, "/split-head")] == [200, 200]
    assert [status(s) for s in both(spans, "/longhead/20000")] == [201, 201]
    assert [status(s) for s in both(spans, "/long-request-head")] == [200, 200]
    assert [status(s) for s in both(spans, "/after-all")] == [200, 200]


def test_a_long_path_is_there_or_cut_at_the_limit(spans):
    path = "/" + "long-path/" * 300
    for kind in ("client", "server"):
        found = [s for s in spans if s["kind"] == kind and str(attr(s, "url.path")).startswith("/long-path/long-path/")]
        assert len(found) == 1
        assert path.startswith(attr(found[0], "url.path")) and len(attr(found[0], "url.path")) >= 1000


def test_endings(spans):
    assert [status(s) for s in both(spans, "/close")] == [200, 200]
    for s in both(spans, "/http10"):
        assert attr(s, "network.protocol.version") == "1.0"
    for s in both(spans, "/keep/0"):
        assert attr(s, "network.protocol.version") == "1.1"


def test_no_answer_is_an_error_of_the_client(spans):
    client, _ = both(spans, "/hang-up")
    assert client["status"] == "error"
    assert attr(client, "error.type")
    assert status(client) is None


def test_upgrade(spans):
    assert [status(s) for s in both(spans, "/upgrade")] == [101, 101]


def test_nothing_is_made_of_bodies_and_tunnels(spans):
    lures = [s for s in spans if "lure" in json.dumps(s)]
    assert lures == [], lures[:3]
    assert [s for s in spans if status(s) == 500] and all("/status/500" in attr(s, "url.path") for s in spans
                                                          if status(s) == 500)


def test_status_as_the_conventions_say(spans):
    client, server = both(spans, "/status/500/pipe-3")
    assert (client["status"], server["status"]) == ("error", "error")
    assert attr(client, "error.type") == attr(server, "error.type") == "500"
    client, server = both(spans, "/status/404/pipe-1")
    assert (client["status"], server["status"]) == ("error", "unset")
    assert attr(client, "error.type") == "404" and attr(server, "error.type") is None
    client, server = both(spans, "/keep/0")
    assert (client["status"], server["status"]) == ("unset", "unset")


@pytest.mark.parametrize("call", ["write", "writev", "send", "sendmsg", "read", "readv", "recvmsg", "recvfrom",
                                  "recv_into", "peek"])
def test_every_system_call(spans, call):
    if call in ("write", "writev", "send", "sendmsg"):
        both(spans, "/call/" + call)
    else:
        assert [status(s) for s in both(spans, "/call/" + call)] == [200, 200]


def test_a_spliced_request_is_seen_by_its_reader(spans):
    """The sender has no memory to read it from: its bytes count, and the server's side tells the rest."""
    server = one(spans, "/call/splice", "server")
    assert status(server) == 200
    # the exchange after it on this connection is still in step
    both(spans, "/call/read")


def test_ipv6(traced, spans):
    client, server = both(spans, "/over-ipv6")
    assert attr(client, "server.port") == traced["port6"] or attr(client, "network.peer.port") == traced["port6"]
    assert attr(client, "network.peer.address") == "::1"
    assert attr(server, "client.address") == "::1"
    assert attr(server, "network.type") == "ipv6"


def test_unix_socket(traced, spans):
    for path in ("/over-unix/1", "/over-unix/2"):
        client, server = both(spans, path)
        assert attr(client, "network.transport") == attr(server, "network.transport") == "unix"
        assert attr(client, "network.peer.address") == traced["unix"]


def test_names_fold_ids_and_the_raw_path_is_kept(spans):
    server = one(spans, "/len/8388608", "server")
    assert server["name"] == "GET /len/{id}"
    assert attr(server, "clew.http.path_template") == "/len/{id}"
    assert attr(server, "http.route") is None


def test_who_is_who(traced, spans):
    client, server = both(spans, "/keep/3")
    assert client["service"] == "traffic" and server["service"] == "server"
    assert attr(client, "service.instance.id") != attr(server, "service.instance.id")
    assert attr(client, "server.address") and attr(server, "client.port") > 0
    assert client["start_ns"] <= server["start_ns"]


def end_ns(span):
    return span["start_ns"] + span["duration_ns"]


def test_a_server_answers_before_its_client_has_the_answer(spans):
    """By a moment: a send may be over after what it sent was read, and longer where another program comes in between."""
    pairs = [both(spans, path) for path in ["/keep/%d" % i for i in range(5)] + ["/after-head", "/after-304", "/after-all"]]
    assert all(client["start_ns"] <= server["start_ns"] <= end_ns(client) for client, server in pairs)
    assert any(end_ns(server) <= end_ns(client) + 1_000_000 for client, server in pairs)


def test_a_client_that_serves_nobody_is_a_root_and_no_orphan(spans):
    client, server = both(spans, "/keep/2")
    assert client["parent_span_id"] is None
    assert attr(client, "clew.link.class") != "orphan"
    assert attr(server, "clew.link.class") == "certain"


def test_wanted_headers_are_kept(spans):
    s = one(spans, "/secrets", "server")
    assert "KEPT-HEADER" in str(attr(s, "http.request.header.x-shop"))
    assert "books" in str(attr(s, "http.response.header.x-shop"))
    assert "KEPT-ITEM" in attr(s, "url.query")


def test_secrets_are_nowhere(traced):
    """Not in any answer, not in any column, not in the bytes of the store's files."""
    lab, db = traced["lab"], traced["db"]
    trace = one(traced["spans"], "/secrets", "server")["trace_id"]
    outputs = {
        "spans": json.dumps(traced["spans"]),
        "traces": lab.clew("traces", "-d", db, "--limit", "0").stdout + lab.clew("traces", "-d", db, "--json").stdout,
        "trace": lab.clew("trace", trace, "-d", db, "--why").stdout + lab.clew("trace", trace, "-d", db, "--json").stdout,
        "map": lab.clew("map", "-d", db, "--json").stdout,
    }
    for name, text in outputs.items():
        leaked = "SECRET" in text
        assert not leaked, "%s shows %s" % (name, text[text.index("SECRET") - 80:][:160])
    kept = "KEPT-ITEM" in outputs["trace"]
    assert kept
    needle = b"SECRET"
    for path in store_files(db):
        with open(path, "rb") as f:
            leaked = needle in f.read()
        assert not leaked, path


def test_secrets_would_have_been_found(traced):
    """The same search finds them where the documents say they are: in the raw recording."""
    with open(traced["raw"], "rb") as f:
        data = f.read()
    assert b"SECRET-BEARER" in data
    assert b"payload" in data[:512]


def store_files(db):
    out = []
    for base, _, names in os.walk(db):
        out += [os.path.join(base, n) for n in names if os.path.isfile(os.path.join(base, n))]
    assert out
    return out
