# SPDX-License-Identifier: Apache-2.0
"""OTLP receivers for tests: over HTTP by the standard library, over gRPC by grpcio. Each answers as its script says,
then takes everything; what it acknowledged is kept."""
import gzip
import http.server
import json
import threading
from concurrent import futures

import grpc

from lib.lab import PATIENCE
from otlp import AnyValue, Request, Response, to_json  # noqa: F401

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class Receiver:
    """What both have: requests (headers, OTLP/JSON document), and the spans that were acknowledged."""

    def __init__(self, script=()):
        self.script = list(script)
        self.lock = threading.Lock()
        self.requests = []      # headers of all, in lower case
        self.acknowledged = []  # documents
        self.sizes = []         # spans of each request

    def take(self, headers, doc):
        """The next step of the script (None: take it), and counts."""
        n = sum(len(ss["spans"]) for rs in doc.get("resourceSpans", []) for ss in rs["scopeSpans"])
        with self.lock:
            self.requests.append(headers)
            self.sizes.append(n)
            step = self.script.pop(0) if self.script else None
            if callable(step):
                step = step(n)
            if step is None or step.get("taken"):
                self.acknowledged.append(doc)
        return step

    def spans(self):
        """(resource's attributes, scope, span) of all that was acknowledged."""
        with self.lock:
            return [({a["key"]: a["value"] for a in rs["resource"]["attributes"]}, ss["scope"], s)
                    for doc in self.acknowledged for rs in doc["resourceSpans"] for ss in rs["scopeSpans"]
                    for s in ss["spans"]]

    def ids(self):
        return {(s["traceId"], s["spanId"]) for _, _, s in self.spans()}

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()


class Http(Receiver):
    """Steps: {"status", "headers", "body", "wait": an Event to wait for, "drop": no answer}."""

    def __init__(self, script=(), port=0, tls=None):
        super().__init__(script)
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {k.lower(): v for k, v in self.headers.items()}
                headers[":path"] = self.path
                if headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                is_json = headers["content-type"] == "application/json"
                doc = json.loads(body) if is_json else to_json(Request.FromString(body))
                step = receiver.take(headers, doc) or {}
                if "wait" in step:
                    step["wait"].wait(PATIENCE)
                if step.get("drop"):
                    self.close_connection = True
                    return
                answer = step.get("body", b"{}" if is_json else b"")
                self.send_response(step.get("status", 200))
                for k, v in {"Content-Type": headers["content-type"], **step.get("headers", {})}.items():
                    self.send_header(k, v)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.url = "otlp+http%s://localhost:%d" % ("s" if tls else "", self.port)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(PATIENCE)


class Grpc(Receiver):
    """Steps: {"code", "text", "details": bytes of a google.rpc.Status, "body": of the answer, "wait"}."""

    def __init__(self, script=(), port=0, credentials=None):
        super().__init__(script)
        receiver = self

        def export(request, context):
            headers = {k: v for k, v in context.invocation_metadata()}
            step = receiver.take(headers, to_json(Request.FromString(request))) or {}
            if "wait" in step:
                step["wait"].wait(PATIENCE)
            if "details" in step:
                context.set_trailing_metadata((("grpc-status-details-bin", step["details"]),))
            if "code" in step:
                context.abort(step["code"], step.get("text", "no"))
            return step.get("body", b"")

        class Handler(grpc.GenericRpcHandler):
            def service(self, details):
                return grpc.unary_unary_rpc_method_handler(export) if details.method == EXPORT else None

        self.server = grpc.server(futures.ThreadPoolExecutor(4), handlers=(Handler(),),
                                  options=(("grpc.so_reuseport", 0),))
        where = "localhost:%d" % port
        self.port = (self.server.add_secure_port(where, credentials) if credentials
                     else self.server.add_insecure_port(where))
        self.url = "otlp+grpc%s://localhost:%d" % ("s" if credentials else "", self.port)
        self.server.start()

    def stop(self):
        self.server.stop(0).wait(PATIENCE)
