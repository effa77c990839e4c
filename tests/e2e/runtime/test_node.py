# SPDX-License-Identifier: Apache-2.0
"""--agent node: put into a running service, right at 50 in flight, and gone without a trace afterwards."""

import os
import signal
import socket
import sys

import pytest

from lib.lab import wait_for
from service_lab import HERE, Service, said


def service(lab, client, mode):
    inspector = lab.port()
    one = Service(lab, ["/usr/bin/node", "--inspect-port=127.0.0.1:%d" % inspector, os.path.join(HERE, "service.js")],
                  client, mode)
    one.inspector = inspector
    return one


def listening(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("client,mode,calls", [("fetch", "all", 3), ("fetch", "sequential", 2), ("http", "all", 3),
                                               ("new", "sequential", 2)])
def test_all_right(lab, client, mode, calls):
    one = service(lab, client, mode)
    recording = one.record("--agent", "node")
    wait_for(said(recording, "/request"), what="the agent to be there")
    assert not listening(one.inspector), "the inspector stays open"
    one.load(300)
    recording.finish()
    found, score = one.score()
    assert score == {"right": 300 * calls, "wrong": 0, "undecided": 0}
    assert [r for r in found.runtimes if r.startswith("nodejs/20.") or r.startswith("nodejs/")]


def test_without_the_agent(lab):
    one = service(lab, "fetch", "all")
    recording = one.record()
    wait_for(said(recording, "nodejs/"), what="the finder's word")
    one.load(50)
    recording.finish()
    found, score = one.score()
    assert score == {"right": 0, "wrong": 0, "undecided": 150}
    assert "Debugger" not in one.proc.err()


def test_again_and_twice(lab):
    """Two tracers share one agent; a third finds the place that the first two left."""
    one = service(lab, "http", "all")
    first = one.record("--agent", "node")
    wait_for(said(first, "/request"), what="the first one's agent")
    raw = one.raw
    second = one.record("--agent", "node")
    wait_for(said(second, "/request"), what="the second one's agent")
    one.load(100)
    first.finish()
    one.load(100)
    second.finish()
    found, score = one.score()
    assert score["wrong"] == 0 and score["right"] == 600
    one.raw = raw
    found, score = one.score()
    assert score["wrong"] == 0 and score["right"] == 300
    third = one.record("--agent", "node")
    wait_for(said(third, "/request"), what="the third one's agent")
    third.finish()
    one.load(50)


def test_survives_our_death(lab):
    """Killed: the agent hears nothing more and takes itself out; the service has not missed an answer."""
    one = service(lab, "fetch", "sequential")
    recording = one.record("--agent", "node")
    wait_for(said(recording, "/request"), what="the agent to be there")
    cell = [line for line in recording.err().splitlines() if "its agent's memory is at" in line]
    address = int(cell[0].rsplit(" ", 1)[1], 16)

    def state():
        with open("/proc/%d/mem" % one.proc.pid, "rb") as mem:
            mem.seek(address + 14 * 4)
            return int.from_bytes(mem.read(4), sys.byteorder)
    assert state() == 1
    recording.popen.send_signal(signal.SIGKILL)
    recording.popen.wait()
    one.load(100)
    wait_for(lambda: state() == 0, what="the agent to leave", every=0.2)
    one.load(100)


def test_killed_with_the_inspector_open(lab):
    """Then Node closes it by itself."""
    one = service(lab, "http", "all")
    recording = one.record("--agent", "node")
    wait_for(said(recording, "its inspector will close without us"), what="the inspector to be open", every=0.001)
    recording.popen.send_signal(signal.SIGKILL)
    recording.popen.wait()
    one.load(50)
    wait_for(lambda: not listening(one.inspector), what="the inspector to be closed", every=0.2)
    one.load(50)
    again = one.record("--agent", "node")
    wait_for(said(again, "/request"), what="the agent to be there")
    one.load(100)
    again.finish()
    found, score = one.score()
    assert score == {"right": 300, "wrong": 0, "undecided": 0}
    assert not listening(one.inspector), "the inspector stays open"


def test_refuses_what_is_busy(lab):
    """The inspector's port is taken: said in words, and the service goes on as before."""
    one = service(lab, "http", "sequential")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", one.inspector))
        taken.listen()
        recording = one.record("--agent", "node")
        wait_for(said(recording, "its inspector did not open"), what="the reason")
        one.load(50)
        recording.finish()
    found, score = one.score()
    assert score["right"] == 0 and score["wrong"] == 0
