# SPDX-License-Identifier: Apache-2.0
"""A recording gives the same traces every time, and the same that were made while it was recorded."""

import collections
import json
import os

import pytest

from lib.lab import parse_summary
from lib.recording import Recording
from spans import PYTHON, program


@pytest.fixture(scope="module")
def recorded(module_lab):
    """nginx → nginx → Python server under load, traced into a store and a recording at once."""
    lab = module_lab
    leaf, back, front = lab.port(), lab.port(), lab.port()
    s = lab.spawn([PYTHON, program("server.py"), leaf])
    lab.wait_port(leaf, s)
    conf = "    server { listen 127.0.0.1:%d; location / { proxy_pass http://127.0.0.1:%d; } }"
    b = lab.nginx("back", conf % (back, leaf), wait=back)
    f = lab.nginx("front", conf % (front, back), wait=front)
    raw = lab.path("load.clew")
    r = lab.record("--pid", s.pid, "--pid", b.pid, "--pid", f.pid, "-o", raw)
    lab.load("http://127.0.0.1:%d/r/%%t?a=1" % front, requests=2000, conns=16)
    summary = parse_summary(r.finish())
    assert summary["lost"] == 0
    return {"lab": lab, "raw": raw, "db": r.db, "summary": summary}


def sorted_spans(lab, db):
    return sorted(lab.clew("spans", "-d", db).stdout.splitlines())


def test_twice_the_same_bytes(recorded):
    lab = recorded["lab"]
    for name in ("one", "two"):
        lab.clew("replay", recorded["raw"], "-d", lab.path(name))
    one, two = sorted_spans(lab, lab.path("one")), sorted_spans(lab, lab.path("two"))
    assert len(one) >= 2000 * 5
    assert one == two


def test_the_same_as_live(recorded):
    lab = recorded["lab"]
    lab.clew("replay", recorded["raw"], "-d", lab.path("three"))
    key = lambda line: tuple(str(json.loads(line)[k]) for k in ("trace_id", "span_id", "parent_span_id", "name",
                                                                  "start_ns", "duration_ns"))
    live = {key(x) for x in sorted_spans(lab, recorded["db"])}
    again = {key(x) for x in sorted_spans(lab, lab.path("three"))}
    assert live == again, (len(live - again), len(again - live), sorted(live - again)[:2], sorted(again - live)[:2])


def test_every_trace_is_whole(recorded):
    """Five spans each: three servers, two calls; all of the 2,000."""
    sizes = collections.Counter(json.loads(x)["trace_id"] for x in sorted_spans(recorded["lab"], recorded["db"]))
    assert collections.Counter(sizes.values()) == {5: 2000}


def test_dump_has_every_operation(recorded):
    lines = recorded["lab"].clew("dump", recorded["raw"]).stdout.splitlines()
    rows = [json.loads(x) for x in lines]
    kinds = collections.Counter(r["type"] for r in rows)
    assert kinds["io"] == recorded["summary"]["operations"]
    assert kinds["meta"] == 1 and kinds["clock"] >= 1 and kinds["conn"] > 0 and kinds["process"] > 0


def test_replay_to_nowhere_says_the_same(recorded):
    r = recorded["lab"].clew("replay", recorded["raw"], "--db", "none")
    summary = parse_summary(r.stderr)
    for word in ("operations", "messages", "exchanges", "spans", "traces", "orphans"):
        assert summary[word] == recorded["summary"][word], word


def test_a_cut_tail_is_tolerated_and_said(recorded):
    lab = recorded["lab"]
    cut = lab.path("cut.clew")
    with open(recorded["raw"], "rb") as f:
        data = f.read()
    with open(cut, "wb") as f:
        f.write(data[:len(data) - 13])
    r = lab.clew("replay", cut, "-d", lab.path("cut"))
    assert "inside a record" in r.stderr
    assert len(sorted_spans(lab, lab.path("cut"))) >= 2000 * 5 - 10


def test_what_is_no_recording_is_refused(lab):
    path = lab.write("text", "GET / HTTP/1.1\n" * 100)
    r = lab.clew("replay", path, "-d", lab.path("x"), check=False)
    assert r.returncode == 1 and path in r.stderr and "not a recording" in r.stderr
    r = lab.clew("replay", lab.path("missing"), "-d", lab.path("x"), check=False)
    assert r.returncode == 1 and "missing" in r.stderr
    assert lab.clew("dump", path, check=False).returncode == 1


def test_each_loss_is_said_by_its_own_reason(lab):
    """A hook that the kernel did not run is not the ring's fault: a larger one does not help."""
    r = Recording()
    r.loss(8, 2)
    raw = lab.path("loss.clew")
    with open(raw, "wb") as f:
        f.write(r.data())
    said = [line for line in lab.clew("replay", raw, "--db", "none").stderr.splitlines() if "clew: lost:" in line]
    assert said == ["clew: lost: 2 runs of a hook that the kernel left out, it ran on that processor already"]
    assert '"where":"not_run"' in lab.clew("dump", raw).stdout


def test_capture_only_then_replay(lab):
    port = lab.port()
    p = lab.spawn([PYTHON, program("server.py"), port])
    lab.wait_port(port, p)
    raw = lab.path("only.clew")
    r = lab.record("--pid", p.pid, "--capture-only", "-o", raw, db=False)
    lab.load("http://127.0.0.1:%d/c/%%t" % port, requests=100)
    r.finish()
    assert os.stat(raw).st_mode & 0o777 == 0o600
    lab.clew("replay", raw, "-d", lab.path("later"))
    assert len(lab.spans(lab.path("later"))) == 100
