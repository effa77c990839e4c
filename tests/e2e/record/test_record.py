# SPDX-License-Identifier: Apache-2.0
"""`clew record`: every way to name a target, also those that begin later, and connections that were open before."""

import contextlib
import os
import signal
import socket
import subprocess

import pytest

from lib.lab import in_time, parse_summary, wait_for
from spans import PYTHON, attr, by_path, one, program

CGROUPS = next((line.split()[1] for line in open("/proc/mounts") if line.split()[2] == "cgroup2"), None)


@pytest.fixture
def server(lab):
    """(port, process) of a server that runs already."""
    port = lab.port()
    p = lab.spawn([PYTHON, program("server.py"), port, "[::1]:%d" % lab.port()], "server")
    lab.wait_port(port, p)
    return port, p


@pytest.fixture
def cgroup(lab):
    """A cgroup of our own, gone afterwards."""
    assert CGROUPS, "no cgroup v2 is mounted"
    path = os.path.join(CGROUPS, "clew-test-%d-%d" % (os.getpid(), lab.port()))
    os.mkdir(path)
    yield path
    def empty():
        with open(os.path.join(path, "cgroup.procs")) as f:
            left = f.read().split()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        return not left
    wait_for(empty, what="the cgroup to be empty")
    os.rmdir(path)


@pytest.fixture
def netns(lab):
    """A network namespace of our own with its loopback up, gone afterwards."""
    name = "clew-test-%d-%d" % (os.getpid(), lab.port())
    subprocess.run(["ip", "netns", "add", name], check=True)
    subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
    yield name
    subprocess.run(["ip", "netns", "del", name], check=True)


def fetch(port, path, host="127.0.0.1"):
    s = socket.create_connection((host, port))
    s.sendall(b"GET %s HTTP/1.1\r\nHost: h\r\n\r\n" % path.encode())
    data = b""
    while not data.endswith(b"ok\n"):
        more = s.recv(4096)
        assert more
        data += more
    s.close()


def paths(lab, r):
    r.finish()
    return {attr(s, "url.path") for s in lab.spans(r.db)} - {None}


def test_pid(lab, server):
    port, p = server
    r = lab.record("--pid", p.pid)
    fetch(port, "/by-pid")
    assert paths(lab, r) == {"/by-pid"}


def test_pid_and_its_later_descendants(lab):
    """nginx's master is named; a reload starts workers that did not exist then."""
    port = lab.port()
    p = lab.nginx("n", "    server { listen 127.0.0.1:%d; location / { return 200 'ok\\n'; } }" % port, wait=port)
    r = lab.record("--pid", p.pid)
    children = lambda: set(open("/proc/%d/task/%d/children" % (p.pid, p.pid)).read().split())
    old = children()
    p.send(signal.SIGHUP)
    wait_for(lambda: children() and not children() & old, what="new workers instead of the old")
    fetch(port, "/new-worker")
    assert paths(lab, r) == {"/new-worker"}


def test_cgroup_with_what_runs_in_it_and_what_comes(lab, server, cgroup):
    port, p = server
    with open(os.path.join(cgroup, "cgroup.procs"), "w") as f:
        f.write(str(p.pid))
    r = lab.record("--cgroup", cgroup)
    fetch(port, "/in-cgroup")
    late = lab.port()
    sub = os.path.join(cgroup, "below")
    os.mkdir(sub)
    try:
        q = lab.spawn(["sh", "-c", "echo $$ > %s/cgroup.procs; exec %s %s %d" % (sub, PYTHON, program("server.py"), late)])
        lab.wait_port(late, q)
        fetch(late, "/late-in-cgroup")
        assert paths(lab, r) == {"/in-cgroup", "/late-in-cgroup"}
    finally:
        q.stop(signal.SIGKILL)
        wait_for(lambda: not open(os.path.join(sub, "cgroup.procs")).read(), what="the cgroup below to be empty")
        os.rmdir(sub)


def test_moved_into_the_cgroup_while_recording(lab, server, cgroup):
    port, p = server
    r = lab.record("--cgroup", cgroup)
    fetch(port, "/before-the-move")
    with open(os.path.join(cgroup, "cgroup.procs"), "w") as f:
        f.write(str(p.pid))
    fetch(port, "/after-the-move")
    assert paths(lab, r) == {"/after-the-move"}


def test_exe_running_and_future(lab):
    """A copy of the interpreter under a name of its own is what the pattern finds."""
    name = "clewtest%dpy" % os.getpid()  # nobody else's
    exe = lab.path(name)
    with open(os.path.realpath(PYTHON), "rb") as f, open(exe, "wb") as g:
        g.write(f.read())
    os.chmod(exe, 0o755)
    first, second, other = lab.port(), lab.port(), lab.port()
    lab.wait_port(first, lab.spawn([exe, program("server.py"), first]))
    lab.wait_port(other, lab.spawn([PYTHON, program("server.py"), other]))
    r = lab.record("--exe", name[:-2] + "*")
    fetch(first, "/running")
    fetch(other, "/another-exe")
    lab.wait_port(second, lab.spawn([exe, program("server.py"), second]))
    fetch(second, "/future")
    assert paths(lab, r) == {"/running", "/future"}


def test_port_now_and_later(lab, server):
    port, _ = server
    later, other = lab.port(), lab.port()
    lab.wait_port(other, lab.spawn([PYTHON, program("server.py"), other]))
    r = lab.record("--port", port, "--port", later)
    fetch(port, "/listening")
    fetch(other, "/other-port")
    lab.wait_port(later, lab.spawn([PYTHON, program("server.py"), later]))
    def seen():
        fetch(later, "/listens-later")
        return by_path(lab.spans(r.db, "--attr", "url.path=/listens-later"), "/listens-later")
    wait_for(seen, what="a process that began to listen later to be traced", every=0.5)
    assert paths(lab, r) == {"/listening", "/listens-later"}


@pytest.mark.parametrize("how", ["name", "path"])
def test_netns(lab, netns, how):
    port = lab.port()
    inside = ["ip", "netns", "exec", netns]
    p = lab.spawn(inside + [PYTHON, program("server.py"), port])
    wait_for(lambda: p.out() == "ready\n", what="the server in the namespace")
    outside = lab.spawn([PYTHON, program("server.py"), port])
    lab.wait_port(port, outside)
    r = lab.record("--netns", netns if how == "name" else "/run/netns/" + netns)
    fetch(port, "/outside")
    subprocess.run(inside + [PYTHON, "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:%d/inside')" % port],
                   check=True)
    r.finish()
    spans = lab.spans(r.db)
    assert {attr(s, "url.path") for s in spans} == {"/inside"}
    # the client began in the namespace after the recording did: it is a target too
    assert len(by_path(spans, "/inside", "client")) == len(by_path(spans, "/inside", "server")) == 1


def test_targets_add_up(lab, server):
    port, p = server
    second = lab.port()
    lab.wait_port(second, lab.spawn([PYTHON, program("server.py"), second]))
    r = lab.record("--pid", p.pid, "--port", second)
    fetch(port, "/one")
    fetch(second, "/two")
    assert paths(lab, r) == {"/one", "/two"}


def test_no_target_is_a_usage_error(lab):
    r = lab.clew("record", "-d", lab.path("store"), check=False)
    assert r.returncode == 2
    assert "--pid" in r.stderr and "--all" in r.stderr


def test_a_target_that_is_not_there(lab):
    for option, value in (("--pid", "4194303"), ("--cgroup", "/no/such/cgroup"), ("--netns", "no-such-netns")):
        r = lab.clew("record", option, value, "-d", lab.path("store"), check=False)
        assert r.returncode == 1, (option, r.returncode, r.stderr)
        assert value in r.stderr, r.stderr


def test_attach_in_mid_connection(lab, server):
    """A keep-alive connection that was open, and used, before the tracing began."""
    port, p = server
    s = socket.create_connection(("127.0.0.1", port))
    def get(path):
        s.sendall(b"GET %s HTTP/1.1\r\nHost: h\r\n\r\n" % path)
        data = b""
        while not data.endswith(b"ok\n"):
            data += s.recv(4096)
    get(b"/before-1")
    get(b"/before-2")
    r = lab.record("--pid", p.pid)
    get(b"/after-1")
    get(b"/after-2")
    r.finish()
    spans = lab.spans(r.db)
    assert {attr(x, "url.path") for x in spans} == {"/after-1", "/after-2"}
    span = one(spans, "/after-1", "server")
    assert attr(span, "http.response.status_code") == 200
    assert attr(span, "client.port") == s.getsockname()[1]


def test_attach_in_the_middle_of_a_body(lab, server):
    """The rest of a body that began before us makes no message; the next request is in step."""
    port, p = server
    s = socket.create_connection(("127.0.0.1", port))
    s.sendall(b"POST /half-seen HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" + b"x" * 50000)
    r = lab.record("--pid", p.pid)
    s.sendall((b"\r\n\r\nGET /lure-body HTTP/1.1\r\nHost: h\r\n\r\n" * 2000)[:50000])
    data = b""
    while not data.endswith(b"ok\n"):
        data += s.recv(4096)
    s.sendall(b"GET /whole HTTP/1.1\r\nHost: h\r\n\r\n")
    data = b""
    while not data.endswith(b"ok\n"):
        data += s.recv(4096)
    r.finish()
    spans = lab.spans(r.db)
    assert "/whole" in {attr(x, "url.path") for x in spans}
    assert not by_path(spans, "/half-seen")
    # what was inside the body may be named only as something incomplete
    lures = by_path(spans, "/lure-body")
    assert all(attr(x, "clew.incomplete") for x in lures), lures[:2]


def test_attach_on_both_ends_joins_them(lab, server):
    """Client and server were connected before; sequence numbers recovered late still agree."""
    port, p = server
    code = ("import socket, sys\ns = socket.create_connection(('127.0.0.1', %d))\n"
            "def get(p):\n s.sendall(b'GET ' + p + b' HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n')\n d = b''\n"
            " while not d.endswith(b'ok\\n'): d += s.recv(4096)\n"
            "get(b'/early'.replace(b'early', b'warm'))\nprint('warm', flush=True)\nsys.stdin.readline()\n"
            "get(b'/joined-1'); get(b'/joined-2')\nprint('done', flush=True)\nsys.stdin.readline()\n" % port)
    client = subprocess.Popen([PYTHON, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert client.stdout.readline() == "warm\n"
        r = lab.record("--pid", p.pid, "--pid", client.pid)
        client.stdin.write("go\n")
        client.stdin.flush()
        assert client.stdout.readline() == "done\n"
        r.finish()
        spans = lab.spans(r.db)
        for path in ("/joined-1", "/joined-2"):
            c, s = one(spans, path, "client"), one(spans, path, "server")
            assert s["parent_span_id"] == c["span_id"]
    finally:
        client.kill()
        client.wait()


def test_queries_while_recording(lab, server):
    port, p = server
    r = lab.record("--pid", p.pid)
    lab.load("http://127.0.0.1:%d/live/%%t" % port, requests=200)
    wait_for(lambda: len(lab.spans(r.db)) == 200, what="200 spans, seen while the recording runs")
    assert r.alive()
    assert lab.clew("services", "-d", r.db).stdout
    assert "server" in lab.clew("map", "-d", r.db).stdout
    assert lab.clew("trace", "--last", "-d", r.db, "--why").stdout
    assert len(lab.clew("traces", "-d", r.db, "--json").stdout.splitlines()) == 20
    rows = lab.sql(r.db, "select count(*) as n from spans")
    assert list(rows[0].values()) == [200]
    assert parse_summary(r.finish())["lost"] == 0


def test_duration(lab, server):
    port, p = server

    def seen(seconds):
        r = lab.record("--pid", p.pid, "--duration", "%ds" % seconds)
        fetch(port, "/in-time")
        assert r.wait() == 0
        parse_summary(r.err())
        return {attr(s, "url.path") for s in lab.spans(r.db)}
    assert in_time(seen) == {"/in-time"}


def test_nothing_of_us_stays_attached(lab, server):
    _, p = server
    r = lab.record("--pid", p.pid)
    assert r.links() > 0
    r.finish()
    assert not os.path.exists("/proc/%d" % r.pid)
    assert p.alive()
