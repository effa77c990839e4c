# SPDX-License-Identifier: Apache-2.0
"""The load generator tells the truth: what it counts, logs and times. No root, no clew."""

import os
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tests")]

from lib.lab import Lab, read_log, wait_for  # noqa: E402


@pytest.fixture(scope="module")
def lab():
    with Lab() as one:
        one.unix = one.path("load.sock")
        one.http, one.http6 = one.port(), one.port()
        server = os.path.join(ROOT, "tests", "e2e", "programs", "server.py")
        p = one.spawn(["/usr/bin/python3", server, one.http, "[::1]:%d" % one.http6, one.unix])
        one.wait_port(one.http, p)
        yield one


def send(lab, path, **kw):
    log = lab.path(lab.name("log"))
    r = lab.load("http://127.0.0.1:%d%s" % (lab.http, path), log=log, **kw)
    return r, read_log(log)


@pytest.mark.parametrize("path, status", [("/plain/%t", 200), ("/chunked/%t", 200), ("/204/%t", 204),
                                          ("/304/%t", 304), ("/early/%t", 200), ("/close/%t", 200),
                                          ("/status/503/%t", 503), ("/longhead/9000/%t", 201), ("/drip/%t", 202),
                                          ("/len/300000/%t", 200)])
def test_counts_and_log(lab, path, status):
    r, rows = send(lab, path, requests=40, conns=4)
    assert (r["sent"], r["done"], r["cut"], r["broken"]) == (40, 40, 0, 0)
    assert r["status_%dxx" % (status // 100)] == 40
    assert len({row["token"] for row in rows}) == 40
    assert all(row["status"] == status and row["done"] and row["start_ns"] < row["end_ns"] for row in rows)


def test_a_broken_connection_is_no_answer(lab):
    r, rows = send(lab, "/hang-up/%t", requests=20, conns=2)
    assert (r["sent"], r["done"], r["broken"]) == (20, 0, 20)
    assert [row["done"] for row in rows] == [False] * 20


def test_in_flight_never_exceeds_the_connections(lab):
    def mean():
        r, rows = send(lab, "/plain/%t", requests=300, conns=7)
        marks = sorted([(row["start_ns"], 1) for row in rows] + [(row["end_ns"], -1) for row in rows],
                       key=lambda m: (m[0], m[1]))
        depth = worst = 0
        for _, step in marks:
            depth += step
            worst = max(worst, depth)
        assert worst <= 7
        return r["in_flight_mean"]
    wait_for(lambda: mean() > 3, what="a moment when the machine lets it have as many as it may")


def test_open_loop_keeps_its_schedule(lab):
    def kept():
        r, rows = send(lab, "/plain/%t", seconds=2, rate=200, conns=32)
        assert r["done"] <= 401
        starts = sorted(row["start_ns"] for row in rows)
        return r["done"] >= 380 and abs((starts[-1] - starts[0]) / 1e9 - 2) < 0.2
    wait_for(kept, what="a moment when the machine lets it keep it")


def test_open_loop_latency_counts_the_waiting(lab):
    """One connection that could do a fraction of the rate: the queue's wait is in the latencies."""
    r, _ = send(lab, "/drip/%t", seconds=1, rate=20000, conns=1)
    assert r["p99_us"] > 100000
    assert r["done"] + r["cut"] + r["broken"] == r["sent"]


def test_unix_and_ipv6_and_options(lab):
    r = lab.load("http://localhost/x/%t", requests=10, args=["-u", lab.unix])
    assert r["ok"] == 10
    r = lab.load("http://[::1]:%d/x/%%t" % lab.http6, requests=10, args=["-X", "HEAD", "-H", "X-A: b", "--close"])
    assert r["ok"] == 10 or r["broken"] == 0


def test_think_time(lab):
    begin = time.monotonic()
    lab.load("http://127.0.0.1:%d/t" % lab.http, requests=20, conns=1, args=["--think-ms", "20"])
    assert time.monotonic() - begin > 0.15
