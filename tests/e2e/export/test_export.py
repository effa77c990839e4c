# SPDX-License-Identifier: Apache-2.0
"""Spans sent against spans found, field by field, and what is lost against what is counted."""
import json
import os
import re
import signal
import ssl
import subprocess
import threading

import grpc
import pytest

from receiver import Grpc, Http, Response
from lib.lab import PATIENCE, in_time, parse_lost, parse_summary, wait_for
from served import Server
from spans import PYTHON, program

REQUESTS = 1500


@pytest.fixture(scope="module")
def recorded(module_lab):
    """A real recording, the store that a replay makes of it, and its traces as OTLP/JSON."""
    lab = module_lab
    back, front = lab.port(), lab.port()
    leaf = lab.spawn([PYTHON, program("server.py"), back])
    lab.wait_port(back, leaf)
    conf = "    server { listen 127.0.0.1:%d; location / { proxy_pass http://127.0.0.1:%d; } }"
    proxy = lab.nginx("front", conf % (front, back), wait=front)
    raw = lab.path("load.clew")
    r = lab.record("--pid", leaf.pid, "--pid", proxy.pid, "-o", raw)
    lab.load("http://127.0.0.1:%d/r/%%t" % front, requests=REQUESTS, conns=8)
    assert parse_summary(r.finish())["lost"] == 0
    db = lab.path("replayed")
    lab.clew("replay", raw, "-d", db)
    flat = [json.loads(x) for x in lab.clew("spans", "-d", db).stdout.splitlines()]
    assert len(flat) >= REQUESTS * 3
    ids = {(s["trace_id"], s["span_id"]) for s in flat}
    some = sorted({t for t, _ in ids})[:10]
    return {"raw": raw, "db": db, "ids": ids, "some": some, "whole": sorted(traces_of(lab, db, some))}


def replay(lab, recorded, url, *args, db="none", env=None):
    if "--export-timeout" not in args:
        args += ("--export-timeout", "%ds" % PATIENCE)
    return lab.clew("replay", recorded["raw"], "-d", db, "-v", "--export", url, *args, env=env, limit=2 * PATIENCE).stderr


def exported(text):
    return int(re.search(r"^clew: exported (\d+) span", text, re.M)[1])


def check_balance(text, receiver, all_ids):
    """Each span is counted once; those counted as exported are those that were acknowledged."""
    assert exported(text) + parse_lost(text) == len(all_ids), text
    assert exported(text) == len(receiver.ids()), text
    assert receiver.ids() <= all_ids


def as_float(o):
    """JSON's 1 and 1.0 are the same double."""
    return {"doubleValue": float(o["doubleValue"])} if "doubleValue" in o else o


def canonical(resource, scope, span):
    """A span in a form that does not depend on the order of what has none."""
    span = json.loads(json.dumps(span), object_hook=as_float)
    for key in ("attributes", "links"):
        span[key] = sorted(map(json.dumps, span.get(key, [])))
    span["startTimeUnixNano"], span["endTimeUnixNano"] = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
    span["status"] = {k: v for k, v in span.get("status", {}).items() if v}
    return json.dumps([resource, scope, span], sort_keys=True)


def traces_of(lab, db, ids):
    for trace in ids:
        doc = json.loads(lab.clew("trace", trace, "-d", db, "--json").stdout)
        for rs in doc["resourceSpans"]:
            for ss in rs["scopeSpans"]:
                for s in ss["spans"]:
                    yield canonical({a["key"]: a["value"] for a in rs["resource"]["attributes"]}, ss["scope"], s)


@pytest.mark.parametrize("make,args", [(Http, []), (Http, ["--export-no-gzip"]), (Http, ["--export-encoding", "json"]),
                                       (Grpc, []), (Grpc, ["--export-no-gzip"])])
def test_field_by_field(lab, recorded, make, args):
    with make() as r:
        text = replay(lab, recorded, r.url, *args)
        assert parse_lost(text) == 0
        check_balance(text, r, recorded["ids"])
        assert r.ids() == recorded["ids"] and len(r.spans()) == len(recorded["ids"])
        got = sorted(canonical(*x) for x in r.spans() if x[2]["traceId"] in recorded["some"])
        assert got == recorded["whole"] and len(got) >= 30
        assert {x[1]["name"] for x in r.spans()} == {"clew"}
        headers = r.requests[0]
        assert headers["user-agent"].startswith("clew/")
        if make is Http:
            assert headers[":path"] == "/v1/traces"
            assert headers.get("content-encoding") == (None if "--export-no-gzip" in args else "gzip")


@pytest.mark.parametrize("how", ["http", "json", "grpc"])
def test_to_a_server_of_ours(lab, recorded, how):
    """All spans of the receiver's store have the fields that the sender's have."""
    s = Server(lab)
    port = s.ports["otlp_grpc" if how == "grpc" else "otlp_http"]
    url = "otlp+%s://127.0.0.1:%d" % ("grpc" if how == "grpc" else "http", port)
    text = replay(lab, recorded, url, *(["--export-encoding", "json"] if how == "json" else []))
    assert parse_lost(text) == 0 and exported(text) == len(recorded["ids"])
    columns = ("SELECT trace_id, span_id, parent_span_id, service, name, kind, status, start_ns, duration_ns FROM spans "
               "ORDER BY ALL")
    sent = lab.clew("sql", columns, "-d", recorded["db"], "--csv").stdout
    assert lab.clew("sql", columns, "-d", s.db, "--csv").stdout == sent
    assert sorted(traces_of(lab, s.db, recorded["some"])) == recorded["whole"]
    assert s.stop() == 0


def retry_info(seconds):
    """google.rpc.Status{code: 8, details: [RetryInfo{retry_delay}]}."""
    name = b"type.googleapis.com/google.rpc.RetryInfo"
    delay = b"\x0a\x02\x08" + bytes([seconds])
    any_ = b"\x0a" + bytes([len(name)]) + name + b"\x12" + bytes([len(delay)]) + delay
    return b"\x08\x08\x1a" + bytes([len(any_)]) + any_


def rejecting(n):
    r = Response()
    r.partial_success.rejected_spans = n
    r.partial_success.error_message = b"too old"
    return r.SerializeToString()


@pytest.mark.parametrize("make,script", [
    (Http, [{"status": 503, "headers": {"Retry-After": "1"}}, {"status": 429}, {"drop": True}, {"status": 502}]),
    (Grpc, [{"code": grpc.StatusCode.UNAVAILABLE}, {"code": grpc.StatusCode.RESOURCE_EXHAUSTED, "details": retry_info(1)},
            {"code": grpc.StatusCode.ABORTED}]),
])
def test_what_passes_is_tried_again(lab, recorded, make, script):
    with make(script) as r:
        text = replay(lab, recorded, r.url)
        assert parse_lost(text) == 0 and "it is tried again" in text, text
        check_balance(text, r, recorded["ids"])
        assert len(r.spans()) == len(recorded["ids"])  # each once
        # A connection that breaks before the first byte of an answer is made anew by libcurl itself.
        again = int(re.search(r"(\d+) of them again", text)[1])
        assert again in (len(script), len(script) - (make is Http))


@pytest.mark.parametrize("make,step", [
    (Http, {"status": 400}), (Http, {"status": 401}), (Http, {"status": 500}),
    (Http, {"status": 200, "headers": {"Content-Type": "text/html"}, "body": b"<html>"}),
    (Grpc, {"code": grpc.StatusCode.INVALID_ARGUMENT, "text": "b\u00e4d"}),
    (Grpc, {"code": grpc.StatusCode.UNAUTHENTICATED}),
])
def test_what_is_refused_is_counted(lab, recorded, make, step):
    with make([step]) as r:
        text = replay(lab, recorded, r.url)
        lost = parse_lost(text)
        assert lost == r.sizes[0] and "%d spans that the receiver refused" % lost in text
        assert "spans were refused: " in text
        check_balance(text, r, recorded["ids"])


@pytest.mark.parametrize("make", [Http, Grpc])
def test_partial_success_is_counted(lab, recorded, make):
    with make([{"taken": True, "body": rejecting(7)}, {"taken": True, "body": rejecting(2)}]) as r:
        text = replay(lab, recorded, r.url)
        assert "lost: 9 spans that the receiver left out" in text and "too old" in text
        assert exported(text) == len(recorded["ids"]) - 9


@pytest.mark.parametrize("make,answer", [(Http, {"status": 413}), (Grpc, {"code": grpc.StatusCode.RESOURCE_EXHAUSTED})])
def test_too_large_is_sent_in_halves(lab, recorded, make, answer):
    limit = 600 if make is Http else 1500  # a small request over gRPC is not too large: it would be tried again

    def step(n):
        return answer if n > limit else None

    def too_large():
        """How many requests were; none where spans came so slowly that all were small."""
        with make([step] * 1000) as r:
            text = replay(lab, recorded, r.url)
            assert parse_lost(text) == 0, text
            check_balance(text, r, recorded["ids"])
            return sum(n > limit for n in r.sizes)
    assert wait_for(too_large, what="a request that is too large") < 8


def test_no_gzip_is_learnt(lab, recorded):
    with Http([{"status": 415}]) as r:
        assert parse_lost(replay(lab, recorded, r.url)) == 0
        assert "content-encoding" in r.requests[0] and "content-encoding" not in r.requests[1]


@pytest.mark.parametrize("make", [Http, Grpc])
def test_a_receiver_that_is_down(lab, recorded, make):
    """The store has everything, the summary says what the receiver did not get."""
    url = "otlp+%s://127.0.0.1:%d" % ("http" if make is Http else "grpc", lab.port())

    def tries_again(seconds):
        db = lab.path(lab.name("kept"))
        text = replay(lab, recorded, url, "--export-timeout", "%ds" % seconds, db=db)
        assert exported(text) == 0 and parse_lost(text) == len(recorded["ids"])
        assert "not taken in time" in text
        assert lab.sql(db, "SELECT count(*) AS n FROM spans")[0]["n"] == len(recorded["ids"])
        return "it is tried again" in text
    assert in_time(tries_again)


def test_a_receiver_that_never_answers(lab, recorded):
    never = threading.Event()
    with Http([{"wait": never}] * 5) as r:
        text = replay(lab, recorded, r.url, "--export-timeout", "1s")
        never.set()
        assert parse_lost(text) + exported(text) == len(recorded["ids"])
        assert parse_lost(text) > 0 and "exported 0 spans" in text


@pytest.mark.parametrize("make", [Http, Grpc])
def test_a_receiver_that_dies_and_comes_back(lab, recorded, make):
    """It dies with a request in its hands; its successor gets all, and nothing is counted that is not there."""
    held, seen = threading.Event(), threading.Event()

    def hold(n):
        seen.set()
        return {"wait": held, "drop": True} if make is Http else {"wait": held, "code": grpc.StatusCode.INTERNAL}
    first = make([None, hold], port=lab.port())
    p = lab.spawn([lab.clew_path, "replay", recorded["raw"], "-d", "none", "-v", "--export", first.url,
                   "--export-timeout", "2m"], "sender")
    assert seen.wait(PATIENCE)
    first.stop()
    with make(port=first.port) as second:
        held.set()
        assert p.wait() == 0
        text = p.err()
        assert parse_lost(text) == 0, text
        assert exported(text) == len(recorded["ids"])
        assert first.ids() | second.ids() == recorded["ids"]


def test_the_end_can_be_cut_short(lab, recorded):
    url = "otlp+http://127.0.0.1:%d" % lab.port()
    p = lab.spawn([lab.clew_path, "replay", recorded["raw"], "-d", "none", "--export", url, "--export-timeout", "1h"])
    wait_for(lambda: "it is tried again" in p.err(), what="the first failure")
    assert p.stop(signal.SIGINT) == 0
    assert parse_lost(p.err()) == len(recorded["ids"])


def test_the_commands_own_status(lab):
    """A receiver that is down is nothing to the command that is traced; neither are OpenTelemetry's variables."""
    with Http() as r:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:%d" % r.port, "OTEL_EXPORTER_OTLP_HEADERS": "k=secret"}
        down = "otlp+http://127.0.0.1:%d" % lab.port()
        one = [PYTHON, "-c", "import os; print(len(os.listdir('/proc/self/fd'))); raise SystemExit(7)"]
        plain = lab.clew("run", "-d", "none", "--", *one, check=False, env=env)
        to_nobody = lab.clew("run", "-d", "none", "--export", down, "--export-timeout", "1s", "--", *one, check=False,
                             env=env)
        assert plain.returncode == to_nobody.returncode == 7
        assert plain.stdout == to_nobody.stdout  # no descriptor of ours is left in it
        assert not r.requests


def test_variables_on_demand_and_headers(lab, recorded):
    secret = lab.write("token", "Bearer s3cret\n")
    with Http() as r:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:%d/base/" % r.port,
               "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=a%20b"}
        text = replay(lab, recorded, "env", "--export-header", "authorization=@" + secret, env=env)
        assert parse_lost(text) == 0 and "s3cret" not in text
        assert r.requests[0][":path"] == "/base/v1/traces"
        assert r.requests[0]["x-tenant"] == "a b" and r.requests[0]["authorization"] == "Bearer s3cret"
    with Grpc() as r:
        replay(lab, recorded, r.url, "--export-header", "Authorization=@" + secret)
        assert r.requests[0]["authorization"] == "Bearer s3cret"


@pytest.fixture(scope="module")
def pki(module_lab):
    """An authority, a certificate of localhost and one of a client."""
    def run(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True)
    path = module_lab.path
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run("req", "-x509", *new_key, "-subj", "/CN=authority", "-days", "2", "-keyout", path("ca.key"), "-out", path("ca.pem"))
    extensions = module_lab.write("san", "subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name in ("localhost", "client"):
        run("req", *new_key, "-subj", "/CN=" + name, "-keyout", path(name + ".key"), "-out", path(name + ".csr"))
        run("x509", "-req", "-in", path(name + ".csr"), "-CA", path("ca.pem"), "-CAkey", path("ca.key"), "-days", "2",
            "-CAcreateserial", "-extfile", extensions, "-out", path(name + ".pem"))
    return path


@pytest.mark.parametrize("make", [Http, Grpc])
def test_tls_on_both_sides(lab, recorded, pki, make):
    if make is Http:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki("localhost.pem"), pki("localhost.key"))
        context.load_verify_locations(pki("ca.pem"))
        context.verify_mode = ssl.CERT_REQUIRED
        r = Http(tls=context)
    else:
        def read(name):
            with open(pki(name), "rb") as f:
                return f.read()
        r = Grpc(credentials=grpc.ssl_server_credentials([(read("localhost.key"), read("localhost.pem"))], read("ca.pem"), True))
    trust, ours = ["--export-tls-ca", pki("ca.pem")], ["--export-tls-cert", pki("client.pem"), "--export-tls-key", pki("client.key")]
    with r:
        text = replay(lab, recorded, r.url, *trust, *ours)
        assert parse_lost(text) == 0, text
        check_balance(text, r, recorded["ids"])
        n = len(r.requests)
        for wrong in (ours, trust):  # an authority that we do not know; no certificate of ours
            text = replay(lab, recorded, r.url, *wrong, "--export-timeout", "1s")
            assert exported(text) == 0 and parse_lost(text) == len(recorded["ids"]), text
        assert len(r.requests) == n


@pytest.mark.parametrize("args,says", [
    (["--export", "http://h"], "otlp+http://HOST:4318"),
    (["--export", "otlp+http://u:p@h"], "--export-header"),
    (["--export", "otlp+grpc://h", "--export-encoding", "json"], "otlp+http://"),
    (["--export", "otlp+http://h", "--export-header", "a=@/none"], "cannot read /none"),
    (["--export-timeout", "5s"], "add --export URL"),
    (["--export", "env"], "OTEL_EXPORTER_OTLP_ENDPOINT is not set"),
])
def test_what_is_wrong_is_said(lab, recorded, args, says):
    r = lab.clew("replay", recorded["raw"], "-d", "none", *args, check=False)
    assert r.returncode in (1, 2) and says in r.stderr
