# SPDX-License-Identifier: Apache-2.0
"""The Java agent's change of class files: a VM that verifies everything takes what comes out, and works as before."""

import glob
import os
import re
import subprocess

import pytest

from conftest import BUILD
from test_jvm import HERE, HOMES

TOOL = os.path.join(BUILD, "tests", "capture", "transform_tool")
AGENT = os.path.join(HERE, "..", "..", "agents", "java", "src", "clew", "agent")
CONCURRENT = "java/util/concurrent/"
VIRTUAL = "java/lang/VirtualThread"
HTTP = "jdk/internal/net/http/common/SequentialScheduler"
# {class: how many of its methods are changed, by version}
METHODS = {
    CONCURRENT + "ThreadPoolExecutor": {17: 4, 25: 4},
    CONCURRENT + "FutureTask": {17: 2, 25: 2},
    CONCURRENT + "ForkJoinPool": {17: 4, 25: 4},
    CONCURRENT + "CompletableFuture": {17: 17, 25: 17},
    VIRTUAL: {25: 1},
    HTTP: {17: 2, 25: 1},
}
TOMCAT = "org/apache/tomcat/util/net/SocketProcessorBase"
VERIFY = ["-Xverify:all", "-Xshare:off"]


def java(version, *args):
    return subprocess.run([os.path.join(HOMES[version], "bin", "java"), *args], capture_output=True, text=True, timeout=240)


def transform(name, data, *args):
    r = subprocess.run([TOOL, name, *args], input=data, capture_output=True, timeout=240)
    assert r.returncode == 0, r.stderr
    return r.stdout, r.stderr.decode().strip()


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """The test program, and the agent's classes for the boot loader."""
    out, boot = tmp_path_factory.mktemp("changed"), tmp_path_factory.mktemp("boot")
    compiler = next(h + "/bin/javac" for h in HOMES.values() if os.path.exists(h + "/bin/javac"))
    for where, release, sources in ((out, "17", [os.path.join(HERE, "Changed.java")]),
                                    (boot, "8", glob.glob(os.path.join(AGENT, "*.java")))):
        subprocess.run([compiler, "--release", release, "-nowarn", "-Xlint:-options", "-d", where] + sources, check=True,
                       capture_output=True, timeout=120)
    return str(out), str(boot)


def originals(version, compiled, tmp_path):
    """{class: path of the VM's own file, as DIR/MODULE/CLASS.class}."""
    r = java(version, "-cp", compiled[0], "Changed", "get", str(tmp_path), *METHODS)
    assert r.returncode == 0, r.stderr
    files = glob.glob(str(tmp_path) + "/**/*.class", recursive=True)
    return {name: f for name in METHODS for f in files if f.endswith("/" + name + ".class")}


@pytest.mark.parametrize("version", sorted(HOMES))
def test_the_vm_verifies_it(version, compiled, tmp_path):
    files = originals(version, compiled, tmp_path)
    for name, path in files.items():
        with open(path, "rb") as f:
            before = f.read()
        after, methods = transform(name, before)
        if version in METHODS[name]:
            assert methods == str(METHODS[name][version]), name
        assert int(methods) > 0 and len(after) > len(before), name
        with open(path, "wb") as f:
            f.write(after)
    patches = []
    for module in os.listdir(tmp_path):
        patches += ["--patch-module", "%s=%s" % (module, tmp_path / module), "--add-reads", module + "=ALL-UNNAMED"]
    run = [*VERIFY, *patches, "-Xbootclasspath/a:" + compiled[1], "-Xlog:class+load,verification", "-cp", compiled[0],
           "Changed", "run"]
    r = java(version, *run)
    assert r.returncode == 0 and "all was done" in r.stdout, (r.stdout[-1500:], r.stderr[-1500:])
    for name in files:
        dotted = re.escape(name.replace("/", "."))
        assert re.search(r"\] %s source: .*%s" % (dotted, re.escape(str(tmp_path))), r.stdout), name + ": not ours"
        assert re.search(r"End class verification for: %s|Class %s has|Verifying class %s with new format" %
                         (name, dotted, dotted), r.stdout), name + ": not verified"
    # What does not fit is found, so this proves something.
    path = files[CONCURRENT + "ThreadPoolExecutor"]
    with open(path, "rb") as f:
        data = f.read()
    with open(path, "wb") as f:
        f.write(broken(data))
    r = java(version, *run)
    assert "VerifyError" in r.stdout + r.stderr


def broken(data):
    """aload 1; invokestatic: of a local that there is not."""
    at = re.search(rb"\x19\x01\xb8..\x00\x00\x00", data, re.S)
    assert at
    return data[:at.start() + 1] + b"\x64" + data[at.start() + 2:]


SOURCES = {
    TOMCAT: """package org.apache.tomcat.util.net;
        public class SocketProcessorBase implements Runnable {
            public static int runs;
            private final java.util.concurrent.locks.Lock lock = new java.util.concurrent.locks.ReentrantLock();
            public final void run() {
                lock.lock();
                try {
                    if (runs++ > 0)
                        throw new IllegalStateException("as it should");
                } finally {
                    lock.unlock();
                }
            }
        }""",
    "clew/agent/Work": """package clew.agent;
        public class Work {
            public static String said = "";
            private static boolean inside;
            public static boolean reads() {
                said += "reads ";
                return inside = !inside;
            }
            public static void done() {
                said += "done ";
            }
        }""",
    "Main": """import clew.agent.Work;
        public class Main {
            public static void main(String[] args) {
                var p = new org.apache.tomcat.util.net.SocketProcessorBase();
                p.run();
                try {
                    p.run();
                } catch (IllegalStateException e) {
                    Work.said += "thrown";
                }
                System.out.println(Work.said + " " + p.runs);
            }
        }""",
}


@pytest.mark.parametrize("version", sorted(HOMES))
def test_what_is_put_around_a_method(version, tmp_path):
    """It is asked, the method runs once, and its end is told, also when it throws."""
    for name, text in SOURCES.items():
        path = tmp_path / (name + ".java")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    compiler = next(h + "/bin/javac" for h in HOMES.values() if os.path.exists(h + "/bin/javac"))
    subprocess.run([compiler, "--release", "17", "-nowarn", "-d", tmp_path] + [tmp_path / (n + ".java") for n in SOURCES],
                   check=True, timeout=120)
    path = tmp_path / (TOMCAT + ".class")
    after, methods = transform(TOMCAT, path.read_bytes())
    assert methods == "1"
    path.write_bytes(after)
    r = java(version, "-Xverify:all", "-cp", str(tmp_path), "Main")
    assert r.stdout == "reads reads done reads reads done thrown 2\n", r.stdout + r.stderr


@pytest.mark.parametrize("version", sorted(HOMES))
def test_bad_files_are_left_alone(version, compiled, tmp_path):
    """Cut off anywhere, or with any byte replaced: no crash, and no beginning of a class is taken for a class."""
    files = originals(version, compiled, tmp_path)
    for name in (CONCURRENT + "FutureTask", HTTP):
        with open(files[name], "rb") as f:
            data = f.read()
        _, said = transform(name, data, "cut")
        refused, n = map(int, said.split(" of "))
        assert refused == n == len(data)
    _, said = transform("java/lang/String", data)
    assert said == "0"
