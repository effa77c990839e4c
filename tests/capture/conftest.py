# SPDX-License-Identifier: Apache-2.0
"""The capture layer alone: what the kernel side records of programs that do exactly what they are told.

Needs root; fails without it. CLEW_BUILD names the build directory (default: build of this tree).
"""

import contextlib
import json
import os
import signal
import subprocess

import pytest

from lib.lab import BUILD, PATIENCE, Ports

TOOLS = os.path.join(BUILD, "tests", "capture")
TOOL, OPS, TASKS, AT_ONCE, HOLD = (os.path.join(TOOLS, name) for name in ("record_tool", "ops", "tasks", "at_once", "hold"))


class Records(list):
    """Record lines of the tool; what the target itself printed is in .said."""

    def __init__(self, text):
        super().__init__()
        self.said = []
        for line in text.splitlines():
            if not line.startswith("{"):
                self.said.append(line)
                continue
            line = json.loads(line)
            if "type" in line:
                self.append(line)
            elif "stats" in line:
                self.stats = line["stats"]
            else:
                self.said.append(line)

    def of(self, type_, **fields):
        return [r for r in self if r["type"] == type_ and all(r.get(k) == v for k, v in fields.items())]


class Tracer:
    """record_tool beside what already runs."""

    def __init__(self, *args):
        self.proc = subprocess.Popen([TOOL, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.proc.stderr.readline()
        if line != "ready\n":
            rest = self.proc.stderr.read()
            self.proc.communicate()
            raise RuntimeError(line + rest)

    def stop(self):
        self.proc.send_signal(signal.SIGINT)
        out, err = self.proc.communicate(timeout=PATIENCE)
        assert self.proc.returncode == 0, err
        return Records(out)


@pytest.fixture(scope="session", autouse=True)
def able():
    assert os.geteuid() == 0, "these tests trace: run them as root (sudo make test)"
    assert os.access(TOOL, os.X_OK), "no %s: run make (or set CLEW_BUILD)" % TOOL


@pytest.fixture
def traced(tmp_path):
    """traced(command..., tool=[...]): runs it as a target to its end, returns Records."""

    def run(*command, tool=(), **kw):
        lines = tmp_path / "records"
        done = subprocess.run([TOOL, "-j", lines, *tool, "--", *command], capture_output=True, text=True, timeout=PATIENCE,
                              **kw)
        assert done.returncode == 0, done.stderr
        return Records(done.stdout + lines.read_text())

    return run


@pytest.fixture
def free_port():
    """free_port(): one that nobody else has."""
    with contextlib.closing(Ports()) as ports:
        yield ports.take


@pytest.fixture
def tracer():
    running = []

    def start(*args):
        running.append(Tracer(*args))
        return running[-1]

    yield start
    for one in running:
        if one.proc.poll() is None:
            one.proc.kill()
            one.proc.communicate()


@pytest.fixture
def held():
    """What is traced from here on sees the operations of threads called "held" late, after those of "free" ones."""
    with subprocess.Popen([HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as proc:
        assert proc.stdout.readline() == "ready\n"
        yield
        proc.stdin.close()


@pytest.fixture
def waiting():
    """waiting(command...): starts it, waits for its first line; .go() gives it a line and waits for its end."""
    running = []

    class Waiting:
        def __init__(self, *command):
            self.proc = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.first = [self.proc.stdout.readline()]
            while "ret" in self.first[-1]:
                self.first.append(self.proc.stdout.readline())
            self.pid = self.proc.pid
            running.append(self)

        def go(self):
            out, _ = self.proc.communicate("go\n", timeout=PATIENCE)
            assert self.proc.returncode == 0
            return out

    yield Waiting
    for one in running:
        if one.proc.poll() is None:
            one.proc.kill()
        one.proc.communicate()
