# SPDX-License-Identifier: Apache-2.0
"""clew server over HTTP: who is let in, what is answered, and how it begins and ends."""
import itertools
import json
import os
import re
import socket
import stat
import subprocess
import time

import pytest

from lib.lab import BUILD, PATIENCE, wait_for
from served import basic, bearer

FREE = ("--http-port", "0", "--otlp-http-port", "0", "--otlp-grpc-port", "0")
TOKEN = "correct-horse-battery-staple"


def test_ports_are_told_and_kept(serve):
    s = serve()
    assert s.ports["host"] == "127.0.0.1" and s.ports["http"] > 1024 and s.ports["pid"] == s.proc.pid
    assert stat.S_IMODE(os.stat(s.ports_path).st_mode) == 0o600
    lines = [line for line in s.proc.err().splitlines() if "serving" in line]
    assert len(lines) == 1 and ":%d/" % s.ports["http"] in lines[0] and s.db in lines[0]
    assert s.stop() == 0, s.proc.err()
    assert not os.path.exists(s.ports_path)


def test_health(serve):
    s = serve()
    for path in ("/healthz", "/readyz"):
        a = s.ask(path)
        assert a.status == 200 and a.headers["cache-control"] == "no-store"
    a = s.ask("/healthz", "HEAD")
    assert a.status == 200 and a.body == b""
    assert s.ask("/healthz", "POST", b"x").status == 405


def test_the_native_api_and_its_errors(serve):
    s = serve()
    assert s.ask("/api/clew/v1/services").body == b""
    assert s.sql("SELECT 41 + 1") == [[42]]
    for path, status in (("/api/clew/v1/nothing", 404), ("/api/clew/v1/spans?limit=x", 400),
                         ("/api/clew/nothing", 404), ("/assets/nothing.js", 404)):
        a = s.ask(path)
        assert a.status == status and a.json["error"], path
    for path, says in (("traces?since=yesterday", "'yesterday' is neither Unix ns nor an age such as -15m"),
                       ("differences?from_ns=5&to_ns=5", "from_ns 5 is not below to_ns 5")):
        a = s.ask("/api/clew/v1/" + path)
        assert a.status == 400 and says in a.json["error"], a.text
    for method, path, allowed in (("POST", "traces", "GET, HEAD"), ("GET", "sql", "POST"), ("PUT", "sql", "POST")):
        a = s.ask("/api/clew/v1/" + path, method)
        assert a.status == 405 and a.headers["allow"] == allowed, (method, path, a.headers)
    a = s.ask("/api/clew/v1/sql", "POST", b"x" * (2 << 20))
    assert a.status == 413 and "larger than" in a.json["error"]


def test_who_has_gone_waits_for_no_turn(serve):
    """A page whose user holds a key down asks and leaves, again and again: what it left takes nobody's turn."""
    s = serve()
    long = b"SELECT count(*) FROM range(100000000) a, range(100000) b"
    head = b"POST /api/clew/v1/sql HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(long)
    busy = [socket.create_connection(("127.0.0.1", s.ports["http"]), PATIENCE) for _ in range(8)]

    def one_left():
        with socket.create_connection(("127.0.0.1", s.ports["http"]), PATIENCE) as c:
            c.sendall(b"GET /api/clew/v1/services HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return int(re.search(r'clew_refused_total\{reason="gone"\} (\d+)', s.ask("/metrics").text).group(1))
    try:
        for c in busy:
            c.sendall(head + long)
        wait_for(one_left, what="one that left its place among those that wait")
    finally:
        for c in busy:
            c.close()


def test_a_page_from_a_folder(serve, lab):
    lab.write("ui/index.html", "<!doctype html><title>one</title>")
    lab.write("ui/assets/a-1.js", "let a = 1")
    lab.write("secret.js", "no")
    os.symlink("../secret.js", lab.path("ui", "link.js"))
    s = serve("--ui-dir", lab.path("ui"))
    for path in ("/", "/search", "/trace/0af7651916cd43dd8448eb211c80319c", "/services/a%20b"):
        a = s.ask(path)
        assert a.status == 200 and b"<title>one" in a.body, path
        assert a.headers["content-type"].startswith("text/html")
        policy = a.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';") and "unsafe" not in policy
        assert a.headers["x-content-type-options"] == "nosniff"
    assert s.ask("/assets/a-1.js").headers["content-type"].startswith("text/javascript")
    for path in ("/../secret.js", "/assets/../../secret.js", "/link.js", "/assets/none.js", "/a.b/../../secret.js"):
        assert s.ask(path).status == 404, path


def test_a_page_of_its_own(serve):
    """Whatever was built in: the page, or how to build it."""
    s = serve()
    a = s.ask("/")
    assert a.status == 200 and b"<html" in a.body.lower()
    a = s.ask("/", headers={"Accept-Encoding": "gzip"})
    assert a.status == 200


def test_a_wider_address_needs_a_token(serve, lab):
    for args in (["--listen", "0.0.0.0"], ["--listen", "::"]):
        r = lab.clew("server", "-d", lab.path("w"), *FREE, *args, check=False)
        assert r.returncode == 1 and "token" in r.stderr and "openssl rand" in r.stderr
    r = lab.clew("server", "-d", lab.path("w"), *FREE, "--listen", "0.0.0.0", check=False,
                 env={"CLEW_TOKEN": "short"})
    assert r.returncode == 1 and "16 characters" in r.stderr
    r = lab.clew("server", "-d", lab.path("w"), "--listen", "nowhere", check=False)
    assert r.returncode == 1 and "not an IPv4 or IPv6 address" in r.stderr


def test_token(serve, lab):
    s = serve("--listen", "0.0.0.0", "--token-file", lab.write("token", TOKEN + "\n"))
    for headers in ({}, bearer("wrong-token-of-some-length"), bearer(TOKEN + "x"), bearer(TOKEN[:-1]), basic("a", "b"),
                    {"Authorization": "Basic !!!"}, {"Authorization": "Bearer"}, {"Authorization": "Basic"}):
        for path in ("/api/clew/v1/services", "/", "/api/clew/v1/sql"):
            a = s.ask(path, headers=headers)
            assert a.status == 401, (path, headers)
    for headers in (bearer(TOKEN), basic("anyone", TOKEN), basic("", TOKEN)):
        assert s.ask("/api/clew/v1/services", headers=headers).status == 200, headers
    assert s.ask("/healthz").status == 200


def test_a_token_from_the_environment(serve):
    s = serve(env={"CLEW_TOKEN": TOKEN})
    assert s.ask("/api/clew/v1/services").status == 401
    assert s.ask("/api/clew/v1/services", headers=bearer(TOKEN)).status == 200


def test_names_of_others_are_refused_without_a_token(serve):
    """A page elsewhere must not reach us through its own name (DNS rebinding)."""
    s = serve()
    for host, status in (("evil.example", 403), ("evil.example:16686", 403), ("127.0.0.1.evil.example", 403),
                         ("localhost", 200), ("localhost:1", 200), ("127.0.0.1", 200), ("[::1]:1", 200),
                         ("notlocalhost", 403), ("a.localhost", 200), (socket.gethostname(), 200)):
        assert s.ask("/api/clew/v1/services", headers={"Host": host}).status == status, host


def certificate(lab):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-subj", "/CN=localhost", "-days", "2", "-keyout", lab.path("key.pem"), "-out",
                    lab.path("cert.pem")], check=True, capture_output=True)
    return lab.path("cert.pem"), lab.path("key.pem")


def test_tls(serve, lab):
    cert, key = certificate(lab)
    s = serve("--tls-cert", cert, "--tls-key", key)
    assert s.ports["tls"] and "https://" in s.proc.err()
    assert s.ask("/readyz").status == 200
    with socket.create_connection(("127.0.0.1", s.ports["http"]), PATIENCE) as plain:
        plain.sendall(b"GET /api/clew/v1/services HTTP/1.1\r\nHost: localhost\r\n\r\n")
        got = b""
        try:
            got = plain.recv(4096)
        except ConnectionResetError:
            pass
        assert not got.startswith(b"HTTP/1.1 200")


def test_tls_options_that_do_not_fit(lab):
    cert, key = certificate(lab)
    for args, text in ((["--tls-cert", cert], "go together"), (["--tls-cert", key, "--tls-key", "/none"], "/none"),
                       (["--tls-cert", cert, "--tls-key", __file__], "not a PEM file")):
        r = lab.clew("server", "-d", lab.path("w"), *FREE, *args, check=False)
        assert r.returncode == 1 and text in r.stderr, r.stderr


def test_a_taken_port_is_named(serve, lab):
    s = serve()
    r = lab.clew("server", "-d", lab.path("other"), "--no-otlp", "--http-port", s.ports["http"], check=False)
    assert r.returncode == 1 and "is taken by another program" in r.stderr and "--http-port" in r.stderr


def test_a_client_that_never_ends_its_request_is_closed_and_harms_nobody(serve):
    s = serve()
    with socket.create_connection(("127.0.0.1", s.ports["http"]), PATIENCE) as slow:
        slow.sendall(b"POST /api/clew/v1/sql HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nS")
        begin = time.monotonic()
        slow.settimeout(0.5)

        def closed():
            assert s.ask("/readyz").status == 200
            try:
                slow.sendall(b" ")
                return slow.recv(1) == b""
            except TimeoutError:
                return False
            except OSError:
                return True
        wait_for(closed, what="the connection to be closed")
        assert time.monotonic() - begin > 25


def test_more_connections_than_it_takes(serve):
    s = serve()
    held = []

    def answers():
        try:
            return s.ask("/readyz").status == 200
        except OSError:
            return False
    try:
        for _ in range(256 + 40):
            held.append(socket.create_connection(("127.0.0.1", s.ports["http"]), PATIENCE))
        for c in held[128:]:
            c.close()
        wait_for(answers, what="an answer after the crowd has gone")
    finally:
        for c in held:
            c.close()
    assert s.proc.alive()


def requests_seen(server):
    return int(re.search(r"^clew_http_requests_total (\d+)", server.ask("/metrics").text, re.M)[1])


def test_the_end_lets_requests_finish(serve):
    s = serve()
    c = s.connection()
    c.putrequest("POST", "/api/clew/v1/sql")
    c.putheader("Content-Length", "9")
    c.endheaders()
    c.send(b"SELE")
    asked = itertools.count(1)
    wait_for(lambda: requests_seen(s) > next(asked), what="the server to see it begin")
    s.proc.send(15)
    wait_for(lambda: "stopping" in s.proc.err(), what="that it says so")
    c.send(b"CT 42")
    assert c.getresponse().status == 200
    c.close()
    assert s.proc.wait() == 0


def test_json_log(serve):
    s = serve("--log-format", "json", "--log-level", "debug")
    s.ask("/readyz")
    assert s.stop() == 0
    lines = [json.loads(line) for line in s.proc.err().splitlines()]
    assert all(set(line) == {"time", "level", "event", "msg"} for line in lines)
    assert [line["event"] for line in lines if line["level"] == "info"] == ["listening", "stopping"]
    assert any("GET /readyz: 200" in line["msg"] for line in lines)


def test_options_from_a_file(serve, lab):
    port = lab.port()
    s = serve("--config", lab.write("clew.conf", "http-port = %d\nlisten = 127.0.0.2\nlog-format = json\nno-otlp = yes\n" % port),
              ports=False)
    assert s.ports["http"] == port and s.ports["host"] == "127.0.0.2"
    assert s.ask("/readyz", host="127.0.0.2").status == 200


@pytest.mark.parametrize("verb", ["record", "run"])
def test_a_recording_serves_too(lab, verb):
    """run and record --server: the same ports beside the tracing, from the same process."""
    port = lab.port()
    web = lab.nginx("web", "    server { listen 127.0.0.1:%d; location / { return 200 'ok\\n'; } }" % port, wait=port)
    if verb == "record":
        r = lab.record("--pid", web.pid, "--server", *FREE)
    else:
        other = lab.port()
        command = lab.nginx_conf("two", "    server { listen 127.0.0.1:%d; location / { return 200 'ok\\n'; } }" % other)
        r = lab.run("--server", *FREE, command=command)
        lab.wait_port(other, r)
        r.ready()
        port = other
    with open(os.path.join(r.db, "ports.json")) as f:
        ports = json.load(f)
    lab.load("http://127.0.0.1:%d/a" % port, requests=20)

    def stored():
        out = subprocess.run(["curl", "-s", "http://127.0.0.1:%d/api/clew/v1/services" % ports["http"]],
                             capture_output=True, text=True, check=True).stdout
        return sum(json.loads(line)["requests"] for line in out.splitlines()) >= 20
    wait_for(stored, what="the spans over HTTP")

    def figures():
        out = subprocess.run(["curl", "-s", "http://127.0.0.1:%d/metrics" % ports["http"]],
                             capture_output=True, text=True, check=True).stdout
        return dict(line.rsplit(" ", 1) for line in out.splitlines() if not line.startswith("#"))
    wait_for(lambda: int(figures().get("clew_exchanges_total", 0)) >= 20, what="what was captured, in /metrics")
    f = figures()
    assert int(f["clew_capture_records_total"]) > 40 and int(f["clew_spans_total"]) >= 20, f
    assert f['clew_capture_lost_total{reason="ring"}'] == "0", f
    assert int(f['clew_capture_lost_total{reason="not_run"}']) >= 0, f
    assert "clew_export_sent_spans_total" not in f, "nothing is exported"
    r.stop(2 if verb == "record" else 15)


def test_the_unit_names_what_is_installed():
    with open(os.path.join(BUILD, "packaging", "clew.service")) as f:
        unit = dict(line.strip().split("=", 1) for line in f if re.match(r"\w+=", line))
    told = subprocess.run(["meson", "introspect", "--installed", BUILD], check=True, stdout=subprocess.PIPE)
    installed = json.loads(told.stdout).values()
    assert unit["ExecStart"].split()[0] in installed
    assert unit["Documentation"].startswith("file:/") and unit["Documentation"][5:] in installed
