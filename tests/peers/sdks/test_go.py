# SPDX-License-Identifier: Apache-2.0
"""OpenTelemetry's SDK for Go sends to `clew server`: each span once, field by field. `make peers`; needs Go 1.25."""
import os
import shutil
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))

from lib.lab import ROOT
from served import Server
from test_senders import check_found, read_sent


@pytest.fixture(scope="module")
def sender():
    out = os.path.join(ROOT, ".cache", "go-sender")
    assert shutil.which("go"), "go is missing (go.mod says which): https://go.dev/dl"
    os.makedirs(os.path.dirname(out), exist_ok=True)
    subprocess.run(["go", "build", "-o", out, "."], cwd=os.path.join(HERE, "go"), check=True)
    return out


@pytest.fixture(scope="module")
def server(module_lab):
    return Server(module_lab)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("packed", ["gzip", "none"])
def test_field_by_field(sender, server, protocol, packed):
    out = server.lab.path(server.lab.name("sent") + ".json")
    where = "127.0.0.1:%d" % server.ports["otlp_" + protocol]
    subprocess.run([sender, protocol, where, packed, out], check=True, timeout=60)
    sent = read_sent(out)
    assert len(sent) == 24
    check_found(server, sent)
