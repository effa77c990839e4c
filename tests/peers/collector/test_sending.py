# SPDX-License-Identifier: Apache-2.0
"""A real Collector between an SDK and `clew server`, by its otlp and otlphttp exporters; also while clew is down, and while
it is answered 429 and 503. `make peers`."""
import json
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import found
from lib.lab import wait_for
from served import Server
from test_collector import binary  # noqa: F401
from test_senders import differences, send

CONFIG = """
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:%d"}, http: {endpoint: "127.0.0.1:%d"}}}}
exporters: {%s: {endpoint: "%s", tls: {insecure: true}, retry_on_failure: {initial_interval: 200ms, max_interval: 1s}}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp], exporters: [%s]}}
"""


class Gate:
    """Stands in front of clew's OTLP/HTTP port: answers the statuses that are left, then passes everything on."""

    def __init__(self, port, statuses):
        gate = self
        self.statuses, self.answered = list(statuses), []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_request(self, *args):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, out, headers = gate.answer(self.path, body, dict(self.headers))
                self.send_response(status)
                for k, v in {**headers, "Content-Length": str(len(out))}.items():
                    self.send_header(k, v)
                self.end_headers()
                self.wfile.write(out)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.to = "http://127.0.0.1:%d" % port
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def answer(self, path, body, headers):
        if self.statuses:
            self.answered.append(self.statuses.pop(0))
            return self.answered[-1], b"", {"Retry-After": "1"}
        kept = {k: v for k, v in headers.items() if k.lower() in ("content-type", "content-encoding")}
        with urllib.request.urlopen(urllib.request.Request(self.to + path, body, kept), timeout=30) as r:
            self.answered.append(r.status)
            return r.status, r.read(), {"Content-Type": r.headers["Content-Type"]}


def start(lab, program, exporter, endpoint):
    grpc, http = lab.port(), lab.port()
    config = lab.write(lab.name("config"), CONFIG % (grpc, http, exporter, endpoint, exporter))
    c = lab.spawn([program, "--config", "file:" + config], lab.name("collector"))
    lab.wait_port(grpc, c)
    lab.wait_port(http, c)
    c.ports = {"otlp_grpc": grpc, "otlp_http": http}
    c.lab = lab
    return c


def all_of(server):
    lines = server.ask("/api/clew/v1/download?format=otlp&limit=100000").text.splitlines()
    return found.from_otlp([json.loads(x) for x in lines])


def assert_arrives(server, sent):
    wait_for(lambda: set(sent) <= set(all_of(server)), what="%d spans" % len(sent), every=0.3)
    there = all_of(server)
    assert set(there) == set(sent)
    assert not differences(sent, there)


@pytest.mark.parametrize("exporter", ["otlp", "otlphttp"])
@pytest.mark.parametrize("sdk", [("python", "grpc", "gzip"), ("node", "json", "none")], ids=["python", "node"])
def test_through_a_collector(binary, lab, exporter, sdk):  # noqa: F811
    server = Server(lab)
    port = server.ports["otlp_grpc" if exporter == "otlp" else "otlp_http"]
    c = start(lab, binary, exporter, ("127.0.0.1:%d" if exporter == "otlp" else "http://127.0.0.1:%d") % port)
    assert_arrives(server, send(c, *sdk))


@pytest.mark.parametrize("exporter", ["otlp", "otlphttp"])
def test_while_clew_is_down(binary, lab, exporter):  # noqa: F811
    first = Server(lab)
    ports = first.ports
    assert first.proc.stop() == 0
    port = ports["otlp_grpc" if exporter == "otlp" else "otlp_http"]
    c = start(lab, binary, exporter, ("127.0.0.1:%d" if exporter == "otlp" else "http://127.0.0.1:%d") % port)
    sent = send(c, "python", "http", "gzip")
    wait_for(lambda: "retry" in c.err().lower(), what="the Collector to find nobody")
    assert_arrives(Server(lab, "--http-port", ports["http"], "--otlp-http-port", ports["otlp_http"], "--otlp-grpc-port", ports["otlp_grpc"],
                          ports=False), sent)


def test_429_and_503(binary, lab):  # noqa: F811
    server = Server(lab)
    gate = Gate(server.ports["otlp_http"], [503, 429, 503])
    c = start(lab, binary, "otlphttp", "http://127.0.0.1:%d" % gate.http.server_address[1])
    assert_arrives(server, send(c, "python", "grpc", "none"))
    assert gate.answered[:3] == [503, 429, 503] and 200 in gate.answered
