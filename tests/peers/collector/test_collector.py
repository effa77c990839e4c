# SPDX-License-Identifier: Apache-2.0
"""A real OpenTelemetry Collector, built from its Go modules, takes what is exported: each span once, field by field.

Not part of `make test`: building it downloads some 150 modules and takes minutes. Needs Go 1.25 or newer; `make peers`."""
import json
import os
import shutil
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))

from lib.lab import ROOT, Lab, parse_lost, wait_for
from test_export import canonical, exported, traces_of
from spans import PYTHON, program

CONFIG = """
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:%d"}, http: {endpoint: "127.0.0.1:%d"}}}}
exporters: {lines: {path: "%s"}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp], exporters: [lines]}}
"""


@pytest.fixture(scope="module")
def binary():
    out = os.path.join(ROOT, ".cache", "collector")
    assert shutil.which("go"), "go is missing (go.mod says which): https://go.dev/dl"
    os.makedirs(os.path.dirname(out), exist_ok=True)
    subprocess.run(["go", "build", "-o", out, "."], cwd=HERE, check=True)
    return out


@pytest.fixture(scope="module")
def lab():
    with Lab() as one:
        yield one


@pytest.fixture(scope="module")
def recorded(lab):
    port = lab.port()
    leaf = lab.spawn([PYTHON, program("server.py"), port])
    lab.wait_port(port, leaf)
    raw, db = lab.path("load.clew"), lab.path("db")
    r = lab.record("--pid", leaf.pid, "-o", raw)
    lab.load("http://127.0.0.1:%d/r/%%t" % port, requests=2000, conns=8)
    r.finish()
    lab.clew("replay", raw, "-d", db)
    ids = {(s["trace_id"], s["span_id"]) for s in map(json.loads, lab.clew("spans", "-d", db).stdout.splitlines())}
    assert len(ids) >= 2000
    return {"raw": raw, "db": db, "ids": ids}


@pytest.mark.parametrize("how", [["grpc"], ["http"], ["http", "--export-encoding", "json"], ["grpc", "--export-no-gzip"]])
def test_field_by_field(binary, lab, recorded, how):
    grpc, http = lab.port(), lab.port()
    found = lab.path(lab.name("found"))
    config = lab.write(lab.name("config"), CONFIG % (grpc, http, found))
    collector = lab.spawn([binary, "--config", "file:" + config], lab.name("collector"))
    lab.wait_port(grpc, collector)
    lab.wait_port(http, collector)
    url = "otlp+%s://127.0.0.1:%d" % (how[0], grpc if how[0] == "grpc" else http)
    text = lab.clew("replay", recorded["raw"], "-d", "none", "--export", url, *how[1:]).stderr
    assert parse_lost(text) == 0 and exported(text) == len(recorded["ids"]), text + collector.err()
    assert collector.stop() == 0  # it writes what it has
    wait_for(lambda: os.path.exists(found), what="what the Collector wrote")
    with open(found) as f:
        spans = [({a["key"]: a["value"] for a in rs["resource"]["attributes"]}, ss["scope"], s)
                 for doc in map(json.loads, f) for rs in doc["resourceSpans"] for ss in rs["scopeSpans"] for s in ss["spans"]]
    assert len(spans) == len(recorded["ids"]) and {(s["traceId"], s["spanId"]) for _, _, s in spans} == recorded["ids"]
    some = sorted({t for t, _ in recorded["ids"]})[:15]

    def mine(resource, scope, span):
        # Go's marshaler leaves out what is empty, and writes parentSpanId and flags always.
        span = {k: v for k, v in span.items() if v not in ("", 0, None)}
        return canonical(resource, scope, span)
    assert sorted(mine(*x) for x in spans if x[2]["traceId"] in some) == sorted(traces_of(lab, recorded["db"], some))
