# SPDX-License-Identifier: Apache-2.0
"""HotSpot: the virtual thread that wrote is the one that the record names, under every collector.

CLEW_TEST_JVMS: more Java homes than those in /usr/lib/jvm, separated by colons.
"""

import glob
import os
import re
import subprocess

import pytest

from conftest import Records, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
JVM, BITS = 3, 56


def homes():
    found = {}
    extra = [h for h in os.environ.get("CLEW_TEST_JVMS", "").split(":") if h]
    for home in sorted(glob.glob("/usr/lib/jvm/*")) + extra:
        try:
            with open(os.path.join(home, "release")) as f:
                version = re.search(r'^JAVA_VERSION="(\d+)', f.read(), re.M)
        except OSError:
            continue
        if version and int(version[1]) >= 17:
            found.setdefault(int(version[1]), home)
    return found


HOMES = homes()
CASES = [(v, gc) for v in sorted(HOMES) for gc in ("G1", "Z", "Serial", "Parallel", "Shenandoah") if v >= 21 or gc == "G1"]


@pytest.fixture(scope="session")
def classes(tmp_path_factory):
    out = tmp_path_factory.mktemp("classes")
    compiler = next(h + "/bin/javac" for h in HOMES.values() if os.path.exists(h + "/bin/javac"))
    subprocess.run([compiler, "--release", "17", "-nowarn", "-d", out, os.path.join(HERE, "Threads.java")], check=True,
                   capture_output=True, timeout=120)
    return str(out)


def runtime_of(records):
    return [s["runtime"] for r in records.of("process") for s in r["strings"] if "runtime" in s]


def test_there_is_a_jvm():
    """The rest of this file would be empty."""
    assert HOMES, "no Java 17 or later in /usr/lib/jvm: apt install openjdk-17-jdk-headless"


@pytest.mark.parametrize("version,gc", CASES)
def test_the_thread_that_wrote(tracer, waiting, classes, tmp_path, version, gc):
    java = os.path.join(HOMES[version], "bin", "java")
    virtual = version >= 21
    try:
        subprocess.run([java, "-XX:+Use%sGC" % gc, "-version"], check=True, capture_output=True, timeout=60)
    except subprocess.CalledProcessError:
        pytest.skip("this build of Java %d has no %s collector" % (version, gc))
    program = waiting(java, "-XX:+Use%sGC" % gc, "-cp", classes, "Threads", "virtual" if virtual else "none")
    lines = tmp_path / "lines"
    tool = tracer("-j", str(lines), "-p", str(program.pid))
    wait_for(lambda: "hotspot/" in lines.read_text())
    program.go()
    tool.stop()
    records = Records(lines.read_text())
    found, = runtime_of(records)
    assert found.startswith("hotspot/%d." % version) and found.endswith("/virtual thread" if virtual else "/thread")
    wrong, right = [], {"virtual": set(), "platform": set()}
    for r in records.of("io", dir="tx"):
        line = re.match(r"(virtual|platform) (\d+)\n", r.get("payload") or "")
        if not line:
            continue
        task = JVM << BITS | int(line[2]) if line[1] == "virtual" else 0
        if r["task"] == task:
            right[line[1]].add(int(line[2]))
        else:
            wrong.append((line[0], r["task"]))
    assert not wrong
    assert len(right["platform"]) == (20 if virtual else 40) and len(right["virtual"]) == (20 if virtual else 0)
