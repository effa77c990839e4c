# SPDX-License-Identifier: Apache-2.0
"""Who is traced, and who is not: pids, ports, cgroups, globs, namespaces; nothing of a bystander."""

import contextlib
import glob
import json
import os
import shutil
import subprocess

import pytest

from conftest import OPS, TASKS, Records
from lib.lab import wait_for

MINE = ["c:send:300", "s:recv:300"]


def cgroup_mount():
    for path in "/sys/fs/cgroup", "/sys/fs/cgroup/unified":
        if os.path.exists(path + "/cgroup.procs") and os.path.exists(path + "/cgroup.controllers"):
            return path
    raise AssertionError("no cgroup v2 hierarchy is mounted")


@pytest.fixture
def cgroup():
    path = "%s/clew-test-%d" % (cgroup_mount(), os.getpid())
    os.mkdir(path)
    yield path
    for line in open(path + "/cgroup.procs"):
        with open(os.path.dirname(path) + "/cgroup.procs", "w") as f:
            f.write(line)
    os.rmdir(path)


def pids_of(records):
    return {r["tgid"] for r in records if r["type"] in ("io", "conn", "thread", "process") and r["tgid"]}


def test_a_bystander_is_never_seen(waiting, tracer):
    """The same program, the same call, at the same time, sending to itself; and to the target's own port."""
    target, other = waiting(OPS, "-w", "tcp4", *MINE), waiting(OPS, "-w", "tcp4", *MINE)
    trace = tracer("-p", str(target.pid))
    other.go()
    target.go()
    records = trace.stop()
    assert pids_of(records) == {target.pid}
    assert len(records.of("io")) == 2
    assert str(other.pid) not in [str(r.get("tgid")) for r in records]


def test_no_target_no_record(tracer):
    trace = tracer()
    subprocess.run([OPS, "tcp4", *MINE], check=True, stdout=subprocess.DEVNULL)
    assert {r["type"] for r in trace.stop()} <= {"meta", "clock"}


def test_descendants_of_a_pid(waiting, tracer):
    """Children that run already, and those that are born later."""
    target = waiting(TASKS, "line")
    shell = subprocess.Popen(["/bin/sh", "-c", "exec 3<&0; %s line <&3; :" % TASKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    shell.stdout.readline()
    child, = open("/proc/%d/task/%d/children" % (shell.pid, shell.pid)).read().split()
    trace = tracer("-p", str(target.pid), "-p", str(shell.pid))
    target.go()
    shell.kill()
    shell.wait()
    shell.stdout.close()
    records = trace.stop()
    try:
        os.kill(int(child), 9)
    except ProcessLookupError:
        pass
    assert {target.pid, shell.pid, int(child)} <= pids_of(records)
    born = [r for r in records.of("thread", event="fork") if r["ptgid"] == target.pid]
    assert len(born) == 1
    says, = [r for r in records.of("io", dir="tx") if r["payload"] == "x"]
    assert says["tgid"] == born[0]["tgid"]


@pytest.mark.parametrize("how", ["name", "path", "star", "late"])
def test_exe(waiting, tracer, how, tmp_path):
    name = "clew-%d-target-ops" % os.getpid()  # nobody else's
    program = shutil.copy(OPS, tmp_path / name)
    other = shutil.copy(OPS, tmp_path / name.replace("target", "other"))
    pattern = {"name": name, "path": str(program), "star": "*/" + name.replace("target-o", "t*-?"),
               "late": name.replace("get-ops", "*")}[how]
    bystander = waiting(other, "-w", "tcp4", *MINE)
    target = waiting(program, "-w", "tcp4", *MINE) if how != "late" else None
    trace = tracer("-e", pattern)
    bystander.go()
    if target:
        target.go()
        pid = target.pid
    else:
        late = subprocess.Popen([program, "tcp4", *MINE], stdout=subprocess.DEVNULL)
        late.wait()
        pid = late.pid
    records = trace.stop()
    assert pids_of(records) == {pid}
    assert len(records.of("io")) == 2


def test_cgroup(waiting, tracer, cgroup):
    """Inside at the start; entering later; born inside."""
    inside, enters, outside = (waiting(OPS, "-w", "tcp4", *MINE) for _ in range(3))
    with open(cgroup + "/cgroup.procs", "w") as f:
        f.write(str(inside.pid))
    trace = tracer("-c", cgroup)
    with open(cgroup + "/cgroup.procs", "w") as f:
        f.write(str(enters.pid))
    for one in outside, inside, enters:
        one.go()
    born = subprocess.Popen(["/bin/sh", "-c", "echo $$ > %s/cgroup.procs; exec %s tcp4 %s" % (cgroup, OPS, " ".join(MINE))],
                            stdout=subprocess.DEVNULL)
    born.wait()
    records = trace.stop()
    assert pids_of(records) == {inside.pid, enters.pid, born.pid}
    assert len(records.of("io")) == 6
    assert all(r["cgroup"] == os.stat(cgroup).st_ino for r in records.of("thread", tgid=inside.pid))


def test_port(tracer, free_port):
    """A server that listens already; one that listens later; a client is no target."""
    code = ("import socket,sys\nl=socket.create_server(('127.0.0.1',int(sys.argv[1])))\nprint('up',flush=True)\n"
            "c,_=l.accept()\nc.sendall(c.recv(100)+b'!')\n")

    watched, later, other = free_port(), free_port(), free_port()

    def server(port):
        p = subprocess.Popen(["python3", "-c", code, str(port)], stdout=subprocess.PIPE)
        p.stdout.readline()
        return p

    def call(port):
        subprocess.run(["python3", "-c", "import socket\nc=socket.create_connection(('127.0.0.1',%d))\n"
                        "c.sendall(b'hello-%d')\nassert c.recv(100)==b'hello-%d!'" % (port, port, port)], check=True)

    early, bystander = server(watched), server(other)
    trace = tracer("-P", str(watched), "-P", str(later))
    late = server(later)
    for port in watched, later, other:
        call(port)
    for p in early, late, bystander:
        p.communicate()
    records = trace.stop()
    pids = pids_of(records)
    assert {early.pid, late.pid} <= pids and bystander.pid not in pids
    text = json.dumps(records)
    for port in watched, later:
        assert "hello-%d!" % port in text
    assert "hello-%d!" % other not in text
    for r in records.of("conn", event="accepted"):
        assert r["role"] == "server" and r["lport"] in (watched, later)


def test_netns(tracer):
    name = "clew-test-%d" % os.getpid()
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        trace = tracer("-n", name)
        subprocess.run([OPS, "tcp4", *MINE], check=True, stdout=subprocess.DEVNULL)
        inside = subprocess.Popen(["ip", "netns", "exec", name, OPS, "tcp4", *MINE], stdout=subprocess.DEVNULL)
        inside.wait()
        records = trace.stop()
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)
    assert pids_of(records) == {inside.pid} and len(records.of("io")) == 2
    assert records.of("io") and records.of("conn")[0]["netns"] != os.stat("/proc/self/ns/net").st_ino


def test_all_but_the_tracer_itself(tracer):
    trace = tracer("-a")
    p = subprocess.Popen([OPS, "tcp4", *MINE], stdout=subprocess.DEVNULL)
    p.wait()
    records = trace.stop()
    assert len(records.of("io", tgid=p.pid)) == 2
    assert trace.proc.pid not in pids_of(records)


def test_two_captures_at_once(waiting, tracer):
    """Each has its own targets; a socket between two targets is told by each for its own."""
    a, b = waiting(OPS, "-w", "tcp4", *MINE), waiting(OPS, "-w", "tcp4", "c:send:111", "s:recv:111")
    first, second, both = tracer("-p", str(a.pid)), tracer("-p", str(b.pid)), tracer("-p", str(a.pid), "-p", str(b.pid))
    a.go()
    b.go()
    for trace, pids, sizes in (first, {a.pid}, {300}), (second, {b.pid}, {111}), (both, {a.pid, b.pid}, {300, 111}):
        records = trace.stop()
        assert pids_of(records) == pids
        assert {r["bytes"] for r in records.of("io")} == sizes
        assert len(records.of("io")) == 2 * len(pids)


def test_a_pid_that_is_used_again_is_no_target(waiting, tracer, free_port):
    """The number of a target that ended says nothing about who has it next, also when walks run again."""
    target = waiting(OPS, "-w", "tcp4", *MINE)
    port = free_port()
    trace = tracer("-p", str(target.pid), "-P", str(port))
    target.go()
    other = waiting(OPS, "-p", str(target.pid), "-w", "tcp4", "c:send:7", "s:recv:7")
    assert json.loads(other.first[-1]) == {"open": target.pid}
    # A listener on a wanted port makes the tracer walk again.
    code = "import socket\nsocket.create_server(('127.0.0.1',%d))\nprint('up',flush=True)\ninput()" % port
    server = subprocess.Popen(["python3", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    server.stdout.readline()
    subprocess.run([OPS, "tcp4", *MINE], check=True, stdout=subprocess.DEVNULL)
    other.go()
    server.communicate(b"\n")
    records = trace.stop()
    assert server.pid in pids_of(records)
    assert {r["bytes"] for r in records.of("io")} == {300} and len(records.of("io")) == 2


def ids_of(pid, what):
    """Of the BPF programs ("prog"), links or maps that a process has open."""
    found = set()
    for path in glob.glob("/proc/%d/fdinfo/*" % pid):
        with contextlib.suppress(FileNotFoundError), open(path) as f:
            found.update(int(line.split()[1]) for line in f if line.startswith(what + "_id:"))
    return found


def loaded(what):
    """The ids of all that this kernel has."""
    out = subprocess.run(["bpftool", "-j", what, "show"], capture_output=True, text=True, check=True).stdout
    return {p["id"] for p in json.loads(out)}


def test_nothing_stays(tracer):
    """Programs, links and maps go with the tracer, also when it is killed."""
    trace = tracer()
    ours = {what: ids_of(trace.proc.pid, what) for what in ("prog", "link", "map")}
    for what, ids in ours.items():
        assert ids and ids <= loaded(what), what
    trace.proc.kill()
    trace.proc.wait()
    for what, ids in ours.items():
        wait_for(lambda: not ids & loaded(what), what="every %s to be gone" % what)


@pytest.mark.parametrize("args, words", [
    (["-p", "999999999"], "no such process"),
    (["-n", "clew-no-such-netns"], "ip netns"),
    (["-c", "/clew-no-such-cgroup"], "cgroup"),
    (["-e", "x" * 200], "127 bytes"),
])
def test_bad_targets_are_explained(tracer, args, words):
    with pytest.raises(RuntimeError) as e:
        tracer(*args)
    assert words in str(e.value)
