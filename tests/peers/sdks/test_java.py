# SPDX-License-Identifier: Apache-2.0
"""OpenTelemetry's SDK for Java sends to `clew server`: each span once, field by field. `make peers`; needs Maven, JDK 17."""
import hashlib
import os
import shutil
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))

from lib.lab import ROOT
from served import Server
from test_senders import check_found, read_sent

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
def server(module_lab):
    return Server(module_lab)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("packed", ["gzip", "none"])
def test_field_by_field(class_path, server, protocol, packed):
    out = server.lab.path(server.lab.name("sent") + ".json")
    url = "http://127.0.0.1:%d" % server.ports["otlp_" + protocol]
    subprocess.run(["java", "-Dfile.encoding=UTF-8", "-cp", class_path, "Sender", protocol, url, packed, out], check=True,
                   timeout=120)
    sent = read_sent(out)
    assert len(sent) == 24
    check_found(server, sent)
