# SPDX-License-Identifier: Apache-2.0
"""What is not HTTP is visible all the same: exchanges by direction and bytes, named after the peer."""

import os
import subprocess

from lib.lab import wait_for
from spans import PYTHON, attr


def test_redis(lab):
    port = lab.port()
    p = lab.spawn(["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                   "--dir", lab.dir], "redis")
    lab.wait_port(port, p)
    code = ("import redis; r = redis.Redis(port=%d)\nfor i in range(20): r.set('k%%d' %% i, 'SECRET-VALUE')\n"
            "assert r.get('k3') == b'SECRET-VALUE'" % port)
    r = lab.run(command=[PYTHON, lab.write("code.py", code)])
    assert r.wait() == 0, r.err()
    spans = [s for s in lab.spans(r.db) if s["kind"] == "client"]
    mine = [s for s in spans if attr(s, "server.port") == port]
    assert len(mine) >= 21
    assert {s["name"] for s in mine} == {"tcp 127.0.0.1:%d" % port}
    assert all(attr(s, "clew.request.size") > 0 and attr(s, "clew.response.size") > 0 for s in mine)
    assert not any("SECRET" in str(s) for s in spans)
    assert not any(attr(s, "http.request.method") for s in mine)


def test_redis_from_both_ends_in_one_trace(lab):
    port = lab.port()
    script = ("redis-server --port %d --bind 127.0.0.1 --save '' --appendonly no --dir %s >/dev/null & s=$!; "
              "until redis-cli -p %d ping >/dev/null 2>&1; do :; done; redis-cli -p %d set a b >/dev/null; kill $s; wait"
              % (port, lab.dir, port, port))
    r = lab.run(command=["sh", "-c", script])
    assert r.wait() == 0, r.err()
    spans = lab.spans(r.db)
    clients = {s["span_id"]: s for s in spans if s["kind"] == "client"}
    joined = [s for s in spans if s["kind"] == "server" and s["parent_span_id"] in clients]
    assert joined, [(s["kind"], s["name"]) for s in spans]
    assert {s["name"] for s in joined} == {"tcp 127.0.0.1:%d" % port}
    assert any(clients[s["parent_span_id"]]["service"] != s["service"] for s in joined)


def test_postgres(lab):
    """Over its Unix socket and over TCP."""
    bin_dir = max(("/usr/lib/postgresql/%s/bin" % v for v in os.listdir("/usr/lib/postgresql")), key=lambda d: d)
    data, port = lab.path("pg"), lab.port()
    os.mkdir(data)
    subprocess.run(["chown", "postgres", data], check=True)
    as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    subprocess.run(as_postgres + [bin_dir + "/initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"],
                   check=True, stdout=subprocess.DEVNULL, cwd="/")
    p = lab.spawn(as_postgres + [bin_dir + "/postgres", "-D", data, "-p", port, "-k", data, "-c",
                                 "listen_addresses=127.0.0.1", "-c", "fsync=off"], "postgres", cwd="/")
    lab.wait_port(port, p)
    code = ("import psycopg2\nfor host in ('127.0.0.1', %r):\n c = psycopg2.connect(host=host, port=%d, user='postgres', "
            "dbname='postgres')\n k = c.cursor()\n for i in range(5):\n  k.execute('select %%s', ('SECRET',))\n"
            "  assert k.fetchone()[0] == 'SECRET'\n c.close()" % (data, port))
    def accepts():
        return subprocess.run(["/usr/bin/psql", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-c", "select 1"],
                              capture_output=True, check=False).returncode == 0
    wait_for(accepts, what="PostgreSQL to accept connections")
    r = lab.run(command=[PYTHON, lab.write("code.py", code)])
    assert r.wait() == 0, r.err()
    spans = [s for s in lab.spans(r.db) if s["kind"] == "client"]
    tcp = [s for s in spans if s["name"] == "tcp 127.0.0.1:%d" % port]
    unix = [s for s in spans if s["name"].startswith("unix " + data)]
    assert len(tcp) >= 5, [s["name"] for s in spans]
    assert len(unix) >= 5, [s["name"] for s in spans]
    assert not any("SECRET" in str(s) for s in spans)
