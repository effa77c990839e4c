# SPDX-License-Identifier: Apache-2.0
"""Operations: each system call, each family; both ends agree on offsets and initial sequence numbers."""

import json

import pytest

from conftest import OPS
from lib.lab import wait_for

SENDS = ["write", "writev", "pwritev2", "send", "sendto", "sendmsg"]
RECVS = ["read", "readv", "preadv2", "recv", "recvfrom", "recvmsg"]
COUNTED_SENDS = {"sendmmsg": set(), "sendfile": {"spliced"}, "splicein": {"spliced"}, "uringsend": {"uring"}}
COUNTED_RECVS = {"recvmmsg": set(), "spliceout": {"spliced"}, "uringrecv": {"uring"}}
FAMILIES = ["tcp4", "tcp6", "unix", "pair"]


def text(end, offset, n):
    first = ord("A") if end == "c" else ord("a")
    return "".join(chr(first + (offset + i) % 26) for i in range(n))


def ends(records):
    """{"c": its conn, "s": its conn}, told by the pattern, role or the order of the first use."""
    by_role = {r["role"]: r["conn"] for r in records.of("conn") if r["event"] != "connect"}
    if "client" in by_role and "server" in by_role:
        return {"c": by_role["client"], "s": by_role["server"]}
    conns = []
    for r in records.of("io"):
        if r["conn"] not in conns:
            conns.append(r["conn"])
    return {"c": conns[0], "s": conns[1]}


def check(records, payload=4096, start=None):
    """Every operation that moved bytes is there, once, at its offset, with the right bytes."""
    who = ends(records)
    at = dict(start or {})
    run = {}
    for said in records.said:
        if "op" not in said:
            continue
        end, call, _ = said["op"].split(":")
        n = said["ret"]
        if n <= 0 or call in ("peek", "errqueue", "shutdown", "close", "cork"):
            continue
        tx = call in SENDS or call in COUNTED_SENDS or call in ("sendnb", "big")
        conn, direction = who[end], "tx" if tx else "rx"
        sender = end if tx else "cs"[end == "c"]
        budget = payload if run.get(end, (None,))[0] != direction else run[end][1]
        new_run = run.get(end, (None,))[0] != direction
        moved = 0
        while moved < n:
            offset = at.get((end, direction), 0)
            found = [r for r in records.of("io", conn=conn, dir=direction) if r["offset"] == offset and r["bytes"]]
            assert len(found) == 1, (said, offset, found)
            r = found[0]
            counted = call in COUNTED_SENDS or call in COUNTED_RECVS
            want = min(budget, r["bytes"])
            flags = set(r["flags"])
            assert ("newrun" in flags) == new_run and "astray" not in flags, said
            if counted:
                assert not r["cap_len"] and (COUNTED_SENDS.get(call) or COUNTED_RECVS.get(call) or set()) <= flags
                assert ("nocap" in flags) == bool(want), said
            elif call == "trunc":
                assert not r["cap_len"]
            else:
                assert r["cap_len"] == want and "nocap" not in flags, (said, r)
                assert r["payload"] == text(sender, offset, want), said
                assert r["tid"] == said["tid"] or call == "big"
            budget -= want
            new_run = False
            run[end] = (direction, budget)
            at[end, direction] = offset + r["bytes"]
            moved += r["bytes"]
        assert moved == n, said
    total = sum(r["bytes"] for r in records.of("io"))
    assert total == sum(v for v in at.values()) - sum((start or {}).values()), "an operation too many"
    return who


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("send", SENDS + list(COUNTED_SENDS))
def test_sends(traced, family, send):
    records = traced(OPS, family, "c:%s:300" % send, "s:recv:300", "s:send:10", "c:recv:10", "c:%s:77" % send,
                     "s:recv:77")
    check(records)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("recv", RECVS + list(COUNTED_RECVS))
def test_recvs(traced, family, recv):
    if recv == "spliceout" and family in ("unix", "pair"):
        pytest.xfail("splice out of a unix socket has no hook")
    records = traced(OPS, family, "c:send:300", "s:%s:300" % recv, "s:send:10", "c:recv:10", "c:send:77",
                     "s:%s:77" % recv, "s:send:5", "c:recv:5")
    check(records)


def test_tcp_ends_agree(traced):
    """Addresses, ports and both first sequence numbers are the same from both ends."""
    for family in "tcp4", "tcp6":
        records = traced(OPS, family, "c:send:300", "s:recv:300")
        est, = records.of("conn", event="established")
        acc, = records.of("conn", event="accepted")
        call, = records.of("conn", event="connect")
        assert (est["laddr"], est["lport"], est["tx_seq0"]) == (acc["raddr"], acc["rport"], acc["rx_seq0"])
        assert (est["raddr"], est["rport"], est["rx_seq0"]) == (acc["laddr"], acc["lport"], acc["tx_seq0"])
        assert est["laddr"] == ("127.0.0.1" if family == "tcp4" else "::1") and est["tx_seq0"] and est["rx_seq0"]
        assert call["conn"] == est["conn"] and call["tgid"] and call["tid"] and call["proc_start_ns"]
        closed = records.of("conn", event="closed")
        assert {r["conn"] for r in closed} == {est["conn"], acc["conn"]}
        assert all(r["lport"] and r["rport"] for r in closed)


def test_nonblocking_connect(traced):
    records = traced(OPS, "-n", "tcp4", "c:send:300", "s:recv:300")
    check(records)
    call, = records.of("conn", event="connect")
    io = records.of("io", conn=call["conn"])[0]
    assert (call["tgid"], call["tid"], call["proc_start_ns"]) == (io["tgid"], io["tid"], io["proc_start_ns"])


@pytest.mark.parametrize("family", FAMILIES)
def test_partial_reads_and_peeks(traced, family):
    records = traced(OPS, family, "c:send:3000", "s:peek:100", "s:recv:1", "s:peek:2999", "s:readv:1999", "s:read:5000",
                     "s:recvnb:10", "s:send:1", "c:recv:5", "c:send:20", "s:peek:20", "s:recv:20")
    check(records)


def test_a_peek_takes_nothing_of_the_budget(traced):
    records = traced(OPS, "tcp4", "c:send:200", "s:peek:200", "s:recv:200", tool=["-b", "200"])
    check(records, 200)
    assert not [r for r in records.of("io") if "peek" in r["flags"]]


def test_budget_is_a_runs(traced):
    """A head that is split over reads is whole; what comes after the budget is counted."""
    records = traced(OPS, "tcp4", "c:send:30", "c:send:30", "c:send:30", "c:send:30", "s:recv:50", "s:recv:70",
                     "s:send:5", "c:recv:5", "c:send:9", tool=["-b", "64"])
    check(records, 64)
    first = [r["cap_len"] for r in records.of("io", dir="tx")][:4]
    assert first == [30, 30, 4, 0]


@pytest.mark.parametrize("call", ["send", "writev"])
def test_sends_that_wait_in_one_buffer(traced, call):
    """Each thread's bytes are in pages of its own: a buffer that was not sent yet is made of many pieces."""
    sizes = [10, 20, 300, 30, 40, 50, 3000, 5, 400]
    sends = ["c:%s:%d" % (call, n) for n in sizes]
    records = traced(OPS, "-t", "tcp4", "c:cork:1", *sends, "c:cork:0", "s:recv:%d" % sum(sizes))
    check(records)


@pytest.mark.parametrize("budget", [0, 1, 7, 8, 255, 256, 257, 1024, 1025, 4096, 16384, 100000])
@pytest.mark.parametrize("send", ["send", "writev"])
def test_payload_sizes(traced, budget, send):
    records = traced(OPS, "tcp4", "c:%s:20000" % send, "s:recv:1", "s:readv:19999", tool=["-b", str(budget)])
    check(records, min(budget, 16384))


@pytest.mark.parametrize("family", ["tcp4", "unix"])
def test_many_pieces(traced, family):
    """Ten pieces: a TCP send's are whole in the socket's queue until they are confirmed. Of others eight are read, and that it is
    not all is said."""
    records = traced(OPS, family, "c:cork:1", "c:writemany:1000", "c:cork:0", "s:readmany:1000")
    sent, = records.of("io", dir="tx")
    got, = records.of("io", dir="rx")
    for r, whole in (sent, family == "tcp4"), (got, False):
        assert (r["bytes"], r["cap_len"]) == (1000, 1000 if whole else 800)
        assert r["payload"] == text("c", 0, r["cap_len"])
        assert ("nocap" in r["flags"]) == (not whole)
    assert records.stats["lost_payload"] == (1 if family == "tcp4" else 2)


def test_trunc(traced):
    records = traced(OPS, "tcp4", "c:send:300", "s:trunc:100", "s:recv:200")
    check(records)
    r, = [r for r in records.of("io") if "trunc" in r["flags"]]
    assert (r["bytes"], r["cap_len"]) == (100, 0)


def test_nothing_moved_is_nothing_told(traced):
    records = traced(OPS, "tcp4", "c:recvnb:10", "c:errqueue:10", "c:send:5", "s:recv:0", "s:recv:5")
    assert len(records.of("io")) == 2
    check(records)


@pytest.mark.parametrize("family", FAMILIES)
def test_eof_is_told_once(traced, family):
    records = traced(OPS, family, "c:send:5", "c:shutdown:0", "s:recv:5", "s:read:9", "s:read:9", "s:send:3", "c:recv:3",
                     "s:close:0", "c:recv:1", "c:recv:1")
    check(records)
    eofs = [r for r in records.of("io") if "eof" in r["flags"]]
    assert len(eofs) == 2 and all(r["bytes"] == 0 and r["dir"] == "rx" for r in eofs)
    assert {r["conn"]: r["offset"] for r in eofs} == {ends(records)["s"]: 5, ends(records)["c"]: 3}


def test_a_fin_read_with_the_data_is_no_byte(traced):
    records = traced(OPS, "tcp4", "c:send:5", "c:shutdown:0", "s:recv:3", "s:recv:100", "s:send:5", "s:shutdown:0",
                     "c:recv:100", "s:close:0", "c:close:0")
    check(records)
    closed = {r["role"]: (r["tx_offset"], r["rx_offset"]) for r in records.of("conn", event="closed")}
    # The client had sent its FIN: its socket closed as soon as the server's came, before it read.
    assert closed == {"server": (5, 5), "client": (5, 0)}


def test_a_long_send(traced):
    """A send that blocks: all its bytes, once, and on later ones when it began."""
    ops = ["c:big:8000000"] * 3
    records = traced(OPS, "tcp4", *ops)
    who = ends(records)
    sends = records.of("io", conn=who["c"], dir="tx")
    assert [(r["offset"], r["bytes"]) for r in sends] == [(i * 8000000, 8000000) for i in range(3)]
    reads = sorted((r["offset"], r["bytes"]) for r in records.of("io", conn=who["s"], dir="rx"))
    assert sum(n for _, n in reads) == 24000000
    assert all(a + n == b for (a, n), (b, _) in zip(reads, reads[1:]))
    # The child that reads lets it wait for 50 ms; the buffers hold far less than 8 MB.
    assert sends[-1]["end_ns"] - sends[-1]["begin_ns"] > 10e6 and "begin_bound" not in sends[-1]["flags"]


@pytest.mark.parametrize("family", ["tcp4", "tcp6"])
@pytest.mark.parametrize("before", [[], ["pre:c:send:100", "pre:s:recv:30", "pre:s:send:7"],
                                    ["pre:s:send:1000000", "pre:c:recv:999"]])
def test_adopted_tcp(waiting, tracer, family, before):
    """A connection that was open before: the same first sequence numbers as if we had been there."""
    if len(before) == 2:
        before = ["pre:s:send:100000", "pre:c:recv:999"]
    target = waiting(OPS, "-w", family, *before, "c:send:40", "s:recv:500000", "s:sendmsg:9", "c:recv:500000",
                     "c:shutdown:0", "s:recv:1")
    trace = tracer("-p", str(target.pid))
    out = target.go()
    records = trace.stop()
    for line in out.splitlines():
        records.said.append(json.loads(line))
    sides = {r["role"]: r for r in records.of("conn", event="adopted")}
    assert set(sides) == {"client", "server"}
    c, s = sides["client"], sides["server"]
    assert (c["tx_seq0"], c["rx_seq0"]) == (s["rx_seq0"], s["tx_seq0"])
    assert (c["laddr"], c["lport"], c["raddr"], c["rport"]) == (s["raddr"], s["rport"], s["laddr"], s["lport"])
    done = {"c": 0, "s": 0}
    got = {"c": 0, "s": 0}
    for line in target.first:
        said = json.loads(line)
        if "op" in said:
            end, call, _ = said["op"].split(":")
            if call == "send":
                done[end] += said["ret"]
            else:
                got[end] += said["ret"]
    assert (c["tx_offset"], s["tx_offset"]) == (done["c"], done["s"])
    assert (c["rx_offset"], s["rx_offset"]) == (got["c"], got["s"])
    check(records, start={("c", "tx"): done["c"], ("s", "tx"): done["s"], ("c", "rx"): got["c"], ("s", "rx"): got["s"]})


@pytest.mark.parametrize("threads", [[], ["-t"]])
@pytest.mark.parametrize("last", ["send", "writev"])
def test_a_send_that_learns_of_a_reset(traced, threads, last):
    """The other side's answer to it, that it is gone, closes the socket before the send's hook: its place is known all the same."""
    records = traced(OPS, *threads, "tcp4", "c:send:30", "s:recv:30", "s:close:0", "c:%s:20" % last)
    check(records)
    sent = records.of("io", dir="tx")
    closed, = [r for r in records.of("conn", event="closed") if r["conn"] == sent[-1]["conn"]]
    assert [r["offset"] for r in sent] == [0, 30] and closed["tx_offset"] in (30, 50)


def test_adopted_unix(waiting, tracer):
    target = waiting(OPS, "-w", "unix", "pre:c:send:100", "pre:s:recv:100", "c:send:40", "s:recv:40", "s:send:9",
                     "c:recv:9")
    trace = tracer("-p", str(target.pid))
    out = target.go()
    records = trace.stop()
    tx = {r["conn"]: r for r in records.of("io", dir="tx")}
    rx = {r["conn"]: r for r in records.of("io", dir="rx")}
    assert len(tx) == 2 and set(tx) == set(rx) and out
    for conn, sent in tx.items():
        other, = set(tx) - {conn}
        assert (sent["offset"], sent["bytes"]) == (rx[other]["offset"], rx[other]["bytes"])


def test_unix_names_its_peer(traced):
    records = traced(OPS, "unix", "c:send:10", "s:recv:10")
    sides = {r["role"]: r for r in records.of("conn", event="adopted")}
    c, s = sides["client"], sides["server"]
    assert c["peer_conn"] == s["conn"] and s["peer_conn"] == c["conn"]
    assert c["path"] == s["path"] and c["path"].startswith("/tmp/clew-ops-") and c["path"].endswith(".sock")


def test_inherited_socket(traced):
    """The parent opened it, the child uses it."""
    records = traced(OPS, "-f", "tcp4", "c:send:10", "s:recv:10")
    check(records)
    assert records.of("io")[0]["tgid"] != records.of("conn", event="connect")[0]["tgid"]


def test_counters_go_up(traced):
    records = traced(OPS, "tcp4", *(["c:send:10", "s:recv:10"] * 50))
    counters = [r["counters"] for r in records.of("io")]
    for name in "runq_ns", "min_flt", "maj_flt", "nvcsw", "nivcsw":
        values = [c[name] for c in counters]
        assert values == sorted(values), name
    # What the thread used since the scheduler last looked is reckoned; what the host steals may show a moment later.
    used = [c["cpu_ns"] for c in counters]
    back = [a - b for a, b in zip(used, used[1:]) if b < a]
    assert len(back) <= 2 and all(ns < 1e6 for ns in back)
    spent = counters[-1]["cpu_ns"] - counters[0]["cpu_ns"]
    wall = records.of("io")[-1]["end_ns"] - records.of("io")[0]["end_ns"]
    assert 0 < spent <= wall * 1.05 + 1e6


@pytest.mark.parametrize("size", [65536])
def test_small_ring_loses_and_counts(traced, size):
    """Nothing is lost in silence: told + lost (per connection, or by the ring's counter) = what was done."""
    ops = ["c:send:4000", "s:recv:4000"] * 400
    records = traced(OPS, "tcp4", *ops, tool=["-r", str(size), "-i", "200"])
    told = len(records.of("io"))
    per_conn = sum(r["lost_conn"] for r in records.of("io"))
    closed = {r["conn"]: r["lost"] for r in records.of("conn", event="closed")}
    total = sum(r["count"] for r in records.of("loss") if r["where"] == "ring")
    assert records.stats["lost_ring"] == total > 0 and told < 800
    assert told + total + records.stats["lost_not_run"] >= 800
    if len(closed) == 2:
        assert told + sum(closed.values()) == 800
    assert per_conn <= total
    for r in records.of("io"):
        end = "c" if r["dir"] == "tx" else "c"
        assert r["payload"] == text(end, r["offset"], r["cap_len"])
