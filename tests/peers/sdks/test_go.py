# SPDX-License-Identifier: Apache-2.0
"""OpenTelemetry's SDK for Go sends to `clew server`: each span once, field by field. `make peers`; needs Go 1.25."""
import json
import os
import shutil
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [TESTS, os.path.join(TESTS, "e2e", "sdks")]

import found  # noqa: E402
from lib.lab import ROOT, Lab  # noqa: E402
from test_senders import differences, jaeger_differences, native_differences, read_sent  # noqa: E402


@pytest.fixture(scope="module")
def sender():
    out = os.path.join(ROOT, ".cache", "go-sender")
    assert shutil.which("go"), "go is missing (go.mod says which): https://go.dev/dl"
    os.makedirs(os.path.dirname(out), exist_ok=True)
    subprocess.run(["go", "build", "-o", out, "."], cwd=os.path.join(HERE, "go"), check=True)
    return out


@pytest.fixture(scope="module")
def server():
    with Lab() as lab:
        yield found.Server(lab)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("packed", ["gzip", "none"])
def test_field_by_field(sender, server, protocol, packed):
    out = server.lab.path(server.lab.name("sent") + ".json")
    where = "127.0.0.1:%d" % server.ports["otlp_" + protocol]
    subprocess.run([sender, protocol, where, packed, out], check=True, timeout=60)
    sent = read_sent(out)
    assert len(sent) == 24
    ids = sorted({s["traceId"] for s in sent.values()})
    mine = {i: s for i, s in sent.items() if s["traceId"] != "0123456789abcdef0123456789abcdef"}
    assert not differences(sent, found.from_otlp([server.json("/api/v3/traces/" + t)["result"] for t in ids]))
    assert not differences(sent, found.from_otlp([server.json("/tempo/api/traces/" + t) for t in ids], found.hex_of_base64))
    assert not jaeger_differences(mine, [server.json("/api/traces/" + t) for t in ids])
    native = server.get("/api/clew/v1/download?format=ndjson&limit=100000").splitlines()
    assert not native_differences(sent, [json.loads(x) for x in native])
