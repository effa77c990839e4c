# SPDX-License-Identifier: Apache-2.0
"""The store under what goes wrong: a second writer, kill -9 under load, a full disk.

CLEW_KILLS sets how often the recorder is killed (3; the full measurement is 10).
"""

import os
import random
import signal
import subprocess
import time

import pytest

from lib.lab import parse_summary, read_log, wait_for
from spans import PYTHON, attr, program

KILLS = int(os.environ.get("CLEW_KILLS", "3"))
# docs/architecture.md: a span is durable at the latest this long after the end of its request.
DURABLE_S = 3.5


@pytest.fixture
def web(lab):
    port = lab.port()
    p = lab.nginx("web", "    server { listen 127.0.0.1:%d; location / { return 200 'ok\\n'; } }" % port, wait=port)
    return port, p


def tokens(spans):
    return {str(attr(s, "url.path")).rsplit("/", 1)[-1] for s in spans}


def test_a_second_writer_is_refused_and_harms_nothing(lab, web):
    port, p = web
    r = lab.record("--pid", p.pid)
    second = lab.clew("record", "--pid", p.pid, "-d", r.db, check=False)
    assert second.returncode == 1, second.stderr
    assert r.db in second.stderr and str(r.pid) in second.stderr, second.stderr
    log = lab.path("load.tsv")
    lab.load("http://127.0.0.1:%d/w/%%t" % port, requests=100, log=log)
    r.finish()
    assert {row["token"] for row in read_log(log)} <= tokens(lab.spans(r.db))


def test_a_store_can_be_written_again(lab, web):
    port, p = web
    db, sent = lab.path("again"), set()
    for i in range(3):
        r = lab.record("--pid", p.pid, db=db)
        log = lab.path("load-%d.tsv" % i)
        lab.load("http://127.0.0.1:%d/w/%%t" % port, requests=50, log=log)
        r.finish()
        sent |= {row["token"] for row in read_log(log)}
        assert sent <= tokens(lab.spans(db))


def test_kill_9_under_load(lab, web):
    """After each kill the store opens and holds every request that ended DURABLE_S before the kill."""
    port, p = web
    db = lab.path("killed")
    for i in range(KILLS):
        log = lab.path("load-%d.tsv" % i)
        r = lab.record("--pid", p.pid, db=db)
        load = subprocess.Popen(lab.load_args("http://127.0.0.1:%d/k/%%t" % port, seconds=60, conns=8, rate=1000,
                                              log=log), stdout=subprocess.DEVNULL)
        try:
            age = DURABLE_S + random.uniform(0.5, 2.0)
            began = time.time()
            wait_for(lambda: time.time() - began > age or not r.alive(), age + 10, "the moment to kill")
            assert r.alive(), r.err()
            killed_ns = time.time_ns()
            r.send(signal.SIGKILL)
            r.wait()
        finally:
            load.send_signal(signal.SIGTERM)
            load.wait(30)
        found = tokens(lab.spans(db))
        ended = [row for row in read_log(log) if row["done"] and row["end_ns"] < killed_ns]
        due = [row for row in ended if row["end_ns"] < killed_ns - int(DURABLE_S * 1e9)]
        missing = [row for row in due if row["token"] not in found]
        held = [row["end_ns"] for row in ended if row["token"] in found]
        print("kill %d: %d requests had ended, %d held; the youngest held ended %.2f s before the kill" % (
            i + 1, len(ended), len(held), (killed_ns - max(held, default=0)) / 1e9))
        assert len(due) > 300
        assert not missing, "%d of %d requests that had to be durable are not there; the youngest ended %.2f s before" % (
            len(missing), len(due), (killed_ns - max(row["end_ns"] for row in missing)) / 1e9)


@pytest.fixture
def small_disk(lab):
    path = lab.path("disk")
    os.mkdir(path)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "clew-test", path], check=True)
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def free_bytes(path):
    s = os.statvfs(path)
    return s.f_bavail * s.f_frsize


def test_disk_full_is_said_counted_and_survived(lab, web, small_disk):
    port, p = web
    ballast = os.path.join(small_disk, "ballast")
    r = lab.record("--pid", p.pid, db=os.path.join(small_disk, "store"))
    logs = [lab.path("load-%d.tsv" % i) for i in range(3)]
    url = "http://127.0.0.1:%d/d/%%t" % port
    lab.load(url, requests=200, log=logs[0])
    wait_for(lambda: len(lab.spans(r.db)) >= 200, 15, "the first spans to be stored")
    with open(ballast, "wb") as f:
        with pytest.raises(OSError):
            while True:
                f.write(bytes(1 << 20))
                f.flush()
    assert free_bytes(small_disk) < 1 << 20
    def full():
        lab.load(url, requests=3000, conns=16, log=logs[1])
        return "space" in r.err().lower()
    wait_for(full, 40, lambda: "an error that names the full disk; stderr:\n" + r.err())
    assert r.alive(), r.err()
    os.unlink(ballast)
    sent = set()
    def stored_again():
        lab.load(url, requests=100, log=logs[2])
        sent.update(row["token"] for row in read_log(logs[2]))
        return tokens(lab.spans(r.db)) & sent
    wait_for(stored_again, 40, lambda: "spans to be stored after the disk has room again; stderr:\n" + r.err(), every=0.5)
    status = r.stop(signal.SIGINT, 60)
    summary = parse_summary(r.err())
    stored = lab.spans(r.db)
    assert {row["token"] for row in read_log(logs[0])} <= tokens(stored)
    # what was made is stored or counted as lost: nothing vanishes
    assert len(stored) + summary["lost"] >= summary["spans"], (len(stored), r.err())
    assert status in (0, 1)
