# SPDX-License-Identifier: Apache-2.0
"""make demo: it tells its story, and leaves nothing behind however it ends."""
import glob
import json
import os
import re
import signal
import subprocess
import tempfile
import urllib.request

import pytest
from lib.lab import PATIENCE, ROOT, find_clew, port_open, wait_for

DEMO = os.path.join(ROOT, "demo", "demo.py")


class Demo:
    """demo.py as a process; everything that belongs to it is known by its temporary directory."""

    def __init__(self, folder, seconds, **streams):
        self.out = os.path.join(folder, "out")
        self.tmp = os.path.join(folder, "tmp")
        os.mkdir(self.tmp)
        for each in (folder, self.tmp):
            os.chmod(each, 0o755)  # the services run as another user
        self.process = subprocess.Popen(
            ["/usr/bin/python3", DEMO, "--clew", find_clew(), "--out", self.out, "--seconds", str(seconds)],
            env=dict(os.environ, TMPDIR=self.tmp), text=True, start_new_session=True,
            **(streams or {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}))

    def shop(self):
        """The shop's directory, once it is ready."""
        ready = glob.glob(f"{self.tmp}/shop-*/ready")
        return os.path.dirname(ready[0]) if ready else None

    def port(self):
        with open(os.path.join(self.shop(), "nginx.conf")) as f:
            return int(re.search(r"listen 127.0.0.1:(\d+)", f.read())[1])

    def processes(self):
        """Whoever names the directory in its arguments: the shop, its services, clew."""
        found = []
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                with open(path, "rb") as f:
                    line = f.read()
            except OSError:
                continue
            if self.tmp.encode() in line or self.out.encode() in line:
                found.append(line.replace(b"\0", b" ").decode(errors="replace"))
        return found


@pytest.fixture
def demo():
    started = []
    with tempfile.TemporaryDirectory(prefix="clew-test-") as folder:

        def start(seconds, **streams):
            started.append(Demo(folder, seconds, **streams))
            return started[-1]

        yield start
        for d in started:
            if d.process.poll() is None:
                d.process.terminate()
                d.process.wait(PATIENCE)


def test_story(demo):
    d = demo(2)
    said, _ = d.process.communicate(timeout=3 * PATIENCE)  # it waits for several things
    assert d.process.returncode == 0, said
    for service in ("nginx", "orders", "pricing", "redis-server", "postgres"):
        assert re.search(rf"^\W*{service} .*\d", said, re.M), said
    assert "why: " in said and "Try next" in said
    assert not re.search(r"lost: (?!nothing)", said), said
    address = re.search(r"http://127.0.0.1:(\d+)/", said)
    assert address, said
    assert not d.processes() and not os.listdir(d.tmp) and not port_open(int(address[1]))
    # What it tells the reader to try works on the store that it leaves.
    lines = subprocess.run([find_clew(), "traces", "--json", "--limit", "0", "--service", "nginx",
                            "--db", f"{d.out}/store"], capture_output=True, text=True, check=True).stdout
    traces = [json.loads(line) for line in lines.splitlines()]
    requests = int(re.search(r"(\d+) requests, ", said)[1])
    roots = [t for t in traces if t["service"] == "nginx" and t["kind"] == "server"]
    assert len(roots) == requests
    # The slowest may be of the shop's first moments, and alone; the longest has links, and what says so.
    longest = max(traces, key=lambda t: t["spans"])["trace_id"]
    assert "why: certain" in subprocess.run([find_clew(), "trace", longest, "--why", "--db", f"{d.out}/store"],
                                            capture_output=True, text=True, check=True).stdout


def test_page_stays_on_a_terminal(demo):
    """Somebody at a terminal has the page until Ctrl-C, which is no failure."""
    ours, theirs = os.openpty()
    d = demo(1, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = ""
    while "until Ctrl-C" not in said:
        said += os.read(ours, 65536).decode(errors="replace")
    port = int(re.search(r"http://127.0.0.1:(\d+)/", said)[1])
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/clew/v1/services", timeout=PATIENCE) as answer:
        assert b"nginx" in answer.read()
    d.process.send_signal(signal.SIGINT)
    assert d.process.wait(PATIENCE) == 0, said
    assert not d.processes() and not port_open(port)
    os.close(ours)


@pytest.mark.parametrize("number, when", [(signal.SIGINT, "early"), (signal.SIGINT, "load"),
                                          (signal.SIGTERM, "load"), (signal.SIGKILL, "load")])
def test_interrupted(demo, number, when):
    d = demo(30)
    if when == "load":
        wait_for(d.shop, what="the shop")
        port = d.port()
    else:
        wait_for(lambda: os.listdir(d.tmp), what="the shop's directory")
    d.process.send_signal(number)
    d.process.communicate(timeout=PATIENCE)
    assert d.process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    if number == signal.SIGKILL:
        wait_for(lambda: not d.processes(), what=lambda: "the end of " + "\n".join(d.processes()))
    else:
        assert not os.listdir(d.tmp)
    assert not d.processes()
    if when == "load":
        assert not port_open(port)
