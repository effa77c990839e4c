# SPDX-License-Identifier: Apache-2.0
"""clew services --why of a real service: while it is recorded, afterwards, and of a replay."""

import json
import os
import re

import pytest

from lib.lab import wait_for
from service_lab import HERE, Service, said


def why(lab, db):
    found = {}
    for line in lab.clew("services", "--why", "--json", "-d", db).stdout.splitlines():
        row = json.loads(line)
        found[row["service"]] = row
    return found


def record(lab, one, *options):
    raw = lab.path(lab.name("recording"))
    return raw, lab.record("-p", one.proc.pid, "-o", raw, "--name", "%d=feed" % one.proc.pid, *options)


def links(row):
    return row["certain"] + row["probable"] + row["orphans"]


def test_node_without_its_agent(lab):
    one = Service(lab, ["/usr/bin/node", os.path.join(HERE, "service.js")], "fetch", "all")
    raw, recording = record(lab, one)
    assert why(lab, recording.db) == {}
    one.load(100)
    wait_for(lambda: links(why(lab, recording.db).get("feed", {"certain": 0, "probable": 0, "orphans": 0})),
             what="the recorder's first word, over its socket", every=0.3)
    one.load(100)
    recording.finish()
    feed = why(lab, recording.db)["feed"]
    spans = [s["attributes"].get("clew.link.class") for s in lab.spans(recording.db) if s["kind"] == "client"]
    assert [feed[c] for c in ("certain", "probable", "orphans")] == [
        spans.count(c) for c in ("certain", "probable", "orphan")]
    assert sum(feed["orphaned"].values()) == feed["orphans"] > 100
    assert feed["runtime"] == "nodejs" and feed["task"] == "thread" and feed["model"]
    assert feed["advice"]["option"] == "--agent node"
    assert feed["advice"]["up_to"] == pytest.approx(feed["orphans"] / links(feed), abs=1e-6)
    text = lab.clew("services", "--why", "-d", recording.db).stdout
    assert "Node: no task visible; --agent node would settle up to" in text, text

    orphan = next(s for s in lab.spans(recording.db) if s["attributes"].get("clew.link.class") == "orphan" and s["links"])
    drawn = " ".join(lab.clew("trace", orphan["trace_id"], "--why", "-d", recording.db, env={"COLUMNS": "200"}).stdout.split())
    assert re.search(r"candidate: feed GET /\S+ of trace \w+ \([01]\.\d\d\): began \S+ .{1,2} before the call, answered", drawn), drawn

    again = lab.path("again")
    lab.clew("replay", raw, "-d", again, "--name", "%d=feed" % one.proc.pid)
    replayed = why(lab, again)["feed"]
    del replayed["time_ns"], feed["time_ns"]
    assert replayed == feed


def test_node_with_its_agent(lab):
    one = Service(lab, ["/usr/bin/node", os.path.join(HERE, "service.js")], "http", "sequential")
    _, recording = record(lab, one, "--agent", "node", "--log-level", "debug")
    wait_for(said(recording, "/request"), what="the agent to be there")
    one.load(200)
    recording.finish()
    feed = why(lab, recording.db)["feed"]
    assert feed["task"] == "request" and "agent=node" in feed["options"].split()
    assert feed["settled"].get("task", 0) > 100 and feed["advice"]["option"] is None


def test_a_service_that_has_ended_is_told(lab):
    """The program is gone when clew run ends: what was known of it is kept all the same."""
    port = lab.port()
    lab.nginx("leaf", 'server { listen 127.0.0.1:%d; location / { return 200 "leaf\\n"; } }' % port, wait=port)
    script = ("import urllib.request\nfor i in range(7): urllib.request.urlopen('http://127.0.0.1:%d/').read()\n" % port)
    run = lab.run(command=["/usr/bin/python3", lab.write("caller.py", script)])
    assert run.wait() == 0, run.err()
    rows = why(lab, run.db)
    assert len(rows) == 1
    assert rows.popitem()[1]["roots"] == 7
