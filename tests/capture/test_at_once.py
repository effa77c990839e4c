# SPDX-License-Identifier: Apache-2.0
"""Threads that use one socket at once: whatever the order in which they are told, no place that is told is wrong."""

import pytest

from conftest import AT_ONCE

SENDS = ["write", "writev", "sendmsg", "nonblock"]
RECEIVES = ["read", "readv", "recvmsg", "recvnb"]
LINE = 16
# Before all others: on a busy machine its threads would take turns.
FIRST = ["chrt", "-f", "1", AT_ONCE]


def by_conn(records, direction):
    """The operations of each connection that moved bytes."""
    found = {}
    for r in records.of("io", dir=direction):
        if r["bytes"]:
            found.setdefault(r["conn"], []).append(r)
    return found.values()


def astray(records):
    return [r for r in records.of("io") if "astray" in r["flags"]]


def check_sent(records, family):
    """Every line is told once, as its thread's; where a place is told, the line stands there."""
    streams = [s["stream"] for s in records.said if "stream" in s]
    writer = {s["tid"]: "w%d " % s["writer"] for s in records.said if "writer" in s}
    sent = by_conn(records, "tx")
    assert len(sent) == len(streams)
    for conn, stream in zip(sent, streams):
        assert sorted(r["payload"] for r in conn) == sorted(stream.splitlines(True))
        for r in conn:
            assert r["payload"].startswith(writer.get(r["tid"], "end")), r
            if family == "tcp4" and "astray" not in r["flags"]:
                assert stream.startswith(r["payload"], r["offset"]), r
        # who sends alone is never astray
        assert conn[-1]["payload"] == "end\n" and "astray" not in conn[-1]["flags"]
        assert conn[-1]["offset"] == len(stream) - 4


def check_received(records, family, lines):
    """The same of lines that were received: line i stands at i * LINE."""
    got = {}
    for s in records.said:
        if "got" in s:
            got.setdefault((s["got"], s["tid"]), 0)
            got[s["got"], s["tid"]] += 1
    for conn in by_conn(records, "rx"):
        assert sorted(int(r["payload"]) for r in conn) == list(range(lines + 1))
        for r in conn:
            line = int(r["payload"])
            got[line, r["tid"]] -= 1
            if family == "tcp4" and "astray" not in r["flags"]:
                assert r["offset"] == line * LINE, r
        # who receives alone is never astray
        assert conn[-1]["offset"] == lines * LINE and "astray" not in conn[-1]["flags"]
    assert not any(got.values())


@pytest.mark.parametrize("family", ["tcp4", "unix"])
@pytest.mark.parametrize("call", SENDS)
def test_sends(traced, family, call):
    records = traced(*FIRST, family, call, "20", "100", tool=["-b", "16384"])
    check_sent(records, family)
    assert family == "tcp4" or not astray(records)


@pytest.mark.parametrize("family", ["tcp4", "unix"])
@pytest.mark.parametrize("call", RECEIVES)
def test_receives(traced, family, call):
    records = traced(*FIRST, family, call, "20", "100", tool=["-b", "16384"])
    check_received(records, family, 400)
    assert family == "tcp4" or not astray(records)


def test_spliced_after_another_thread_has_ended(traced):
    """What two threads received at once left a mark: no place that is told for one that is alone has it."""
    records = traced(AT_ONCE, "tcp4", "splice", "1", "3")
    (conn,) = [c for c in by_conn(records, "rx")]
    assert [(r["offset"], r["bytes"], "astray" in r["flags"]) for r in conn] == [(0, LINE, True), (LINE, 2 * LINE, False)]
    assert "spliced" in conn[1]["flags"]


@pytest.mark.parametrize("call", SENDS[:1] + RECEIVES[:1])
def test_told_in_another_order(held, traced, call):
    records = traced(*FIRST, "tcp4", call, "3", "100", tool=["-b", "16384"])
    if call in SENDS:
        check_sent(records, "tcp4")
    else:
        check_received(records, "tcp4", 400)
    assert astray(records)
