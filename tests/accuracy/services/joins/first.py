# SPDX-License-Identifier: Apache-2.0
"""Service a of the joins: Flask and requests, instrumented by OpenTelemetry's own libraries.

    PORT, BACK (host:port of b), TRUTH, THINK_MS, OTLP (URL of the receiver)

GET /a/TOKEN calls b once, now and then twice or not at all.
"""

import os
import random
import secrets
import threading
import time

import requests
from flask import Flask
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from werkzeug.serving import WSGIRequestHandler

THINK = float(os.environ["THINK_MS"]) / 1000
TRUTH = os.open(os.environ["TRUTH"], os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)

provider = TracerProvider(resource=Resource.create({"service.name": "first", "service.version": "1.2.3"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(os.environ["OTLP"] + "/v1/traces"),
                                               max_queue_size=65536))
trace.set_tracer_provider(provider)
app = Flask("first")
FlaskInstrumentor().instrument_app(app)
RequestsInstrumentor().instrument()
mine = threading.local()


def pause():
    time.sleep(random.uniform(0, 2 * THINK))


@app.route("/a/<token>")
def handle(token):
    if not hasattr(mine, "session"):
        mine.session = requests.Session()
    for _ in range(random.choices((0, 1, 2), (5, 80, 15))[0]):
        pause()
        call = secrets.token_hex(16)
        os.write(TRUTH, ("a\t%s\tb\t%s\n" % (token, call)).encode())
        mine.session.get("http://%s/b/%s" % (os.environ["BACK"], call)).raise_for_status()
    pause()
    return "done\n"


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, *args):
        pass


try:
    app.run("127.0.0.1", int(os.environ["PORT"]), threaded=True, request_handler=Quiet)
finally:
    provider.shutdown()
