# SPDX-License-Identifier: Apache-2.0
"""OpenTelemetry's SDK for Java sends to `clew server`: each span once, field by field. `make peers`; needs Maven, JDK 17."""
import hashlib
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

JAVA = os.path.join(HERE, "java")
COPY_JARS = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


def digests(folder):
    return {n: hashlib.sha256(open(os.path.join(folder, n), "rb").read()).hexdigest() for n in os.listdir(folder)}


@pytest.fixture(scope="module")
def class_path():
    jars, classes = os.path.join(ROOT, ".cache", "java-sender"), os.path.join(ROOT, ".cache", "java-sender-classes")
    with open(os.path.join(JAVA, "jars.sha256")) as f:
        want = {name: digest for digest, name in map(str.split, f)}
    if not os.path.isdir(jars) or digests(jars) != want:
        shutil.rmtree(jars, ignore_errors=True)
        subprocess.run(["mvn", "-q", "-B", "-f", os.path.join(JAVA, "pom.xml"), COPY_JARS, "-DoutputDirectory=" + jars],
                       check=True, stdin=subprocess.DEVNULL, timeout=600)
    assert digests(jars) == want, "not the jars of jars.sha256"
    subprocess.run(["javac", "--release", "17", "-encoding", "UTF-8", "-d", classes, "-cp", jars + "/*",
                    os.path.join(JAVA, "Sender.java")], check=True)
    return classes + ":" + jars + "/*"


@pytest.fixture(scope="module")
def server():
    with Lab() as lab:
        yield found.Server(lab)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("packed", ["gzip", "none"])
def test_field_by_field(class_path, server, protocol, packed):
    out = server.lab.path(server.lab.name("sent") + ".json")
    url = "http://127.0.0.1:%d" % server.ports["otlp_" + protocol]
    subprocess.run(["java", "-Dfile.encoding=UTF-8", "-cp", class_path, "Sender", protocol, url, packed, out], check=True,
                   timeout=120)
    sent = read_sent(out)
    assert len(sent) == 24
    ids = sorted({s["traceId"] for s in sent.values()})
    mine = {i: s for i, s in sent.items() if s["traceId"] != "0123456789abcdef0123456789abcdef"}
    assert not differences(sent, found.from_otlp([server.json("/api/v3/traces/" + t)["result"] for t in ids]))
    assert not differences(sent, found.from_otlp([server.json("/tempo/api/traces/" + t) for t in ids], found.hex_of_base64))
    assert not jaeger_differences(mine, [server.json("/api/traces/" + t) for t in ids])
    native = server.get("/api/clew/v1/download?format=ndjson&limit=100000").splitlines()
    assert not native_differences(sent, [json.loads(x) for x in native])
