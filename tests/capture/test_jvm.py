# SPDX-License-Identifier: Apache-2.0
"""HotSpot: the virtual thread that wrote is the one that the record names, under every collector.

CLEW_TEST_JVMS: more Java homes than those in /usr/lib/jvm, separated by colons.
"""

import contextlib
import glob
import os
import re
import signal
import subprocess

import pytest

from conftest import BUILD, Records
from lib.lab import PATIENCE, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
JVM, AGENT, BITS = 3, 4, 56


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
    subprocess.run([compiler, "--release", "17", "-nowarn", "-d", out] + glob.glob(os.path.join(HERE, "*.java")),
                   check=True, capture_output=True, timeout=120)
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
        subprocess.run([java, "-XX:+Use%sGC" % gc, "-version"], check=True, capture_output=True, timeout=PATIENCE)
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


KINDS = ("submit", "execute", "supply", "apply", "accept", "forkjoin")


def told(records):
    """{task: the task and thread that gave it its work}, first told first."""
    parents = {}
    for r in records.of("handoff", kind="task"):
        parents.setdefault(r["key"], (r["from_task"], r["from_tid"]))
    return parents


def origin(parents, task):
    """The thread at the beginning of the chain of tasks; None where a task was not told."""
    for _ in range(20):
        if task not in parents:
            return None
        task, tid = parents[task]
        if not task:
            return tid
    return None


CLEW = os.environ.get("CLEW") or os.path.join(BUILD, "clew")


@contextlib.contextmanager
def session(program, lines):
    """Attached within; afterwards the records, in the list that it gives."""
    records = []
    with open(lines.with_suffix(".err"), "w+") as err:
        tool = subprocess.Popen([CLEW, "record", "-p", str(program.pid), "--agent", "java", "--db", "none", "--capture-only",
                                 "-o", lines.with_suffix(".raw")], stderr=err)
        try:
            wait_for(lambda: "tracing" in open(err.name).read())
            yield records
        finally:
            tool.send_signal(signal.SIGINT)
            assert tool.wait(PATIENCE) == 0, open(err.name).read()
    dump = subprocess.run([CLEW, "dump", lines.with_suffix(".raw")], capture_output=True, text=True, check=True, timeout=PATIENCE)
    records.append(Records(dump.stdout))


def rounds(program):
    program.proc.stdin.write("go\n")
    program.proc.stdin.flush()
    assert "done" in program.proc.stdout.readline()


def one_session(program, lines):
    """Attach, let the program do its rounds, detach: the records."""
    with session(program, lines) as records:
        rounds(program)
    return records[0]


def check_rounds(records):
    parents = told(records)
    main, = {r["tid"] for r in records.of("io", dir="tx") if "begins" in (r.get("payload") or "")}
    seen, tasks = dict.fromkeys(KINDS, 0), set()
    for r in records.of("io", dir="tx"):
        line = re.match(r"(\d+) (\w+)\n", r.get("payload") or "")
        if not line or line[2] == "begins":
            continue
        # a future that is over when the next step is asked for is run by who asks
        if line[2] == "accept" and r["tid"] == main and r["task"] == 0:
            continue
        assert r["task"] >> BITS == AGENT, line[0]
        assert origin(parents, r["task"]) == main, line[0]
        assert (r["task"], line[2]) not in tasks
        tasks.add((r["task"], line[2]))
        seen[line[2]] += 1
    assert min(seen.values()) >= 45, seen


def leftovers(pid):
    with open("/proc/%d/maps" % pid) as f:
        libraries = {line.split()[5] for line in f if ".clew-java-" in line}
    files = [os.readlink(p) for p in glob.glob("/proc/%d/fd/*" % pid) if os.path.exists(p)]
    return len(libraries), [f for f in files if "clew" in f], glob.glob("/tmp/.clew-java-*") + glob.glob("/tmp/.attach_pid%d" % pid)


@pytest.mark.parametrize("version", sorted(HOMES))
def test_the_agent_follows_work(waiting, classes, tmp_path, version):
    """Attached, detached, attached again, and the tracer killed in between: the program never notices."""
    java = os.path.join(HOMES[version], "bin", "java")
    program = waiting(java, "-cp", classes, "Pool")
    check_rounds(one_session(program, tmp_path / "first"))
    assert leftovers(program.pid) == (1, [], [])
    killed = subprocess.Popen([CLEW, "record", "-p", str(program.pid), "--agent", "java", "--db", "none", "--capture-only",
                               "-o", tmp_path / "killed.raw"], stderr=subprocess.PIPE, text=True)
    while "tracing" not in killed.stderr.readline():
        assert killed.poll() is None
    killed.kill()
    killed.communicate()
    rounds(program)
    check_rounds(one_session(program, tmp_path / "second"))
    assert leftovers(program.pid) == (1, [], [])
    program.go()


@pytest.mark.parametrize("version", sorted(HOMES))
def test_two_tracers_share_the_agent(waiting, classes, tmp_path, version):
    """The one that leaves first does not take the agent from the other, not for a moment."""
    program = waiting(os.path.join(HOMES[version], "bin", "java"), "-cp", classes, "Pool")
    with session(program, tmp_path / "long") as long:
        with session(program, tmp_path / "short") as short:
            rounds(program)
        rounds(program)
    check_rounds(short[0])
    check_rounds(long[0])
    writes = [r for r in long[0].of("io", dir="tx") if "begins" in (r.get("payload") or "")]
    assert len(writes) == 2 * 50
    assert leftovers(program.pid) == (1, [], [])
    program.go()
