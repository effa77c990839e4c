# SPDX-License-Identifier: Apache-2.0
"""Nothing outside the target is read: two nginx of the same binary, side by side in one cgroup parent, both under load.

Of the one that is not traced nothing may be found: not its payload, not its URLs, not its addresses, not its
processes; not in the store (every column of every table, by SQL; and the files' bytes), not in the dump, not in the
recording's bytes. The same searches find all of the target's.
"""

import contextlib
import json
import os
import socket
import subprocess

import pytest

from lib.lab import PATIENCE, wait_for
from spans import attr

CGROUPS = next((line.split()[1] for line in open("/proc/mounts") if line.split()[2] == "cgroup2"), None)
WORKERS = 2


def pids_of(group):
    with open(os.path.join(group, "cgroup.procs")) as f:
        return f.read().split()


def start(lab, name, parent, address, port):
    """An nginx in a cgroup of its own below parent, with payload, URL and address of its own."""
    group = os.path.join(parent, name)
    os.mkdir(group)
    conf = ("    server { listen %s:%d; location / { add_header X-Who HEADER-%s; return 200 'BODY-%s'; } }"
            % (address, port, name, name))
    p = lab.spawn(["sh", "-c", "echo $$ > %s/cgroup.procs; exec \"$@\"" % group, "sh"] + lab.nginx_conf(name, conf, WORKERS), name)
    lab.wait_port(port, p, host=address)
    # The master listens before its workers are there.
    wait_for(lambda: len(pids_of(group)) > WORKERS, what="nginx's workers in " + group)
    return {"name": name, "proc": p, "group": group, "address": address, "port": port, "pids": pids_of(group),
            "url": "http://%s:%d/URL-%s/%%t?QUERY-%s=1" % (address, port, name, name)}


def load_both(lab, *servers):
    loads = [subprocess.Popen(lab.load_args(s["url"], requests=600, conns=8, args=["-H", "X-Sent: SENT-" + s["name"]]),
                              stdout=subprocess.PIPE) for s in servers]
    for p in loads:
        out, _ = p.communicate(timeout=PATIENCE)
        assert json.loads(out)["status_2xx"] == 600, out


@pytest.fixture(scope="module")
def world(module_lab):
    lab = module_lab
    assert CGROUPS, "no cgroup v2 is mounted"
    parent = os.path.join(CGROUPS, "clew-scope-%d" % os.getpid())
    os.mkdir(parent)
    servers = []
    try:
        servers.append(start(lab, "TARGET", parent, "127.0.0.66", lab.port()))
        servers.append(start(lab, "BYSTANDER", parent, "127.0.0.77", lab.port()))
        raw = lab.path("scope.clew")
        r = lab.record("--cgroup", servers[0]["group"], "-o", raw, "--capture-header", "x-sent", "--capture-header", "x-who")
        load_both(lab, *servers)
        r.finish()
        yield {"lab": lab, "db": r.db, "raw": raw, "target": servers[0], "bystander": servers[1]}
    finally:
        for s in servers:
            s["proc"].stop()
        for group in [os.path.join(parent, n) for n in ("TARGET", "BYSTANDER")] + [parent]:
            with contextlib.suppress(FileNotFoundError):
                wait_for(lambda g=group: not pids_of(g), what=group + " to be empty")
                os.rmdir(group)


def needles(who):
    return ["URL-" + who["name"], "QUERY-" + who["name"], "SENT-" + who["name"], "HEADER-" + who["name"],
            "BODY-" + who["name"], who["address"]]


@pytest.fixture(scope="module")
def sql_hits(world):
    """{needle: [table.column that holds it]}, of every column of every table and view that SQL reaches."""
    lab, db = world["lab"], world["db"]
    rows = lab.sql(db, "select table_catalog, table_schema, table_name, column_name from information_schema.columns")
    tables = {}
    for r in rows:
        if r["table_schema"] not in ("information_schema", "pg_catalog"):
            table = '"%s"."%s"."%s"' % (r["table_catalog"], r["table_schema"], r["table_name"])
            tables.setdefault(table, []).append(r["column_name"])
    assert sum(len(c) for c in tables.values()) > 100
    wanted = needles(world["target"]) + needles(world["bystander"])
    hits = {n: [] for n in wanted}
    for table, columns in tables.items():
        tests = ", ".join("max(cast(contains(cast(\"%s\" as varchar), '%s') as int)) as n%d_%d" % (c, n, i, j)
                          for j, c in enumerate(columns) for i, n in enumerate(wanted))
        row = lab.sql(db, "select %s from %s" % (tests, table))[0]
        for i, n in enumerate(wanted):
            hits[n] += ["%s.%s" % (table, c) for j, c in enumerate(columns) if row["n%d_%d" % (i, j)]]
    return hits


def file_hits(world, needle):
    out = []
    for base, _, names in os.walk(world["db"]):
        for n in names:
            path = os.path.join(base, n)
            if os.path.isfile(path):
                with open(path, "rb") as f:
                    if needle in f.read():
                        out.append(n)
    return out


@pytest.fixture(scope="module")
def dump(world):
    return world["lab"].clew("dump", world["raw"]).stdout


@pytest.fixture(scope="module")
def raw_bytes(world):
    with open(world["raw"], "rb") as f:
        return f.read()


def has(needle, haystack):
    """Whether it is there; a plain bool, for pytest would explain a difference of megabytes."""
    return needle in haystack


@pytest.mark.parametrize("needle", ["URL-%s", "QUERY-%s", "SENT-%s", "HEADER-%s", "BODY-%s"])
def test_recording(world, raw_bytes, needle):
    assert not has((needle % "BYSTANDER").encode(), raw_bytes)
    # the search itself: the same one finds the target's
    assert has((needle % "TARGET").encode(), raw_bytes)


def test_recording_addresses(world, raw_bytes):
    mapped = lambda a: b"\0" * 10 + b"\xff\xff" + socket.inet_aton(a)
    assert not has(mapped(world["bystander"]["address"]), raw_bytes)
    assert has(mapped(world["target"]["address"]), raw_bytes)


def test_dump(world, dump):
    rows = [json.loads(x) for x in dump.splitlines()]
    pids = {str(r[k]) for r in rows for k in ("tgid", "tid", "from_tgid", "to_tgid", "ptgid") if k in r}
    assert not pids & set(world["bystander"]["pids"])
    assert pids & set(world["target"]["pids"])
    ports = {r[k] for r in rows for k in ("lport", "rport") if k in r}
    assert world["bystander"]["port"] not in ports
    assert world["target"]["port"] in ports
    for text in ("BYSTANDER", world["bystander"]["address"]):
        assert not has(text, dump), dump[dump.index(text) - 300:][:600]
    assert has(world["target"]["address"], dump)


def test_store_by_sql(world, sql_hits):
    assert {n: hits for n, hits in sql_hits.items() if hits and n in needles(world["bystander"])} == {}


def test_store_by_sql_finds_the_target(world, sql_hits):
    """The same search; but a body is in no store, not even the target's."""
    for n in needles(world["target"]):
        assert bool(sql_hits[n]) != n.startswith("BODY"), (n, sql_hits[n])


def test_store_files(world):
    assert file_hits(world, b"BYSTANDER") == []


def test_spans(world):
    spans = world["lab"].spans(world["db"])
    assert len(spans) > 500
    assert not has("BYSTANDER", json.dumps(spans))
    assert {attr(s, "server.port") for s in spans} == {world["target"]["port"]}
    pids = {str(attr(s, "process.pid")) for s in spans}
    assert pids <= set(world["target"]["pids"]), pids
