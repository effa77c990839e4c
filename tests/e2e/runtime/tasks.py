# SPDX-License-Identifier: Apache-2.0
"""What the runtime's task alone says about who caused whom: a recording's own tasks against the truth.

A call is settled if exactly one request of its process was open when the call was sent and was answered in
the call's task, or in the task that began it (hand-off records), or in the one that began that, and so on.
"""

import bisect
import collections
import json
import re
import subprocess

TOKEN = re.compile(r"^GET /(\w+)/([0-9a-f]{32}) ")


def read(clew, raw):
    """The records of a recording that matter here, in their order."""
    dump = subprocess.Popen([clew, "dump", raw], stdout=subprocess.PIPE, text=True)
    for line in dump.stdout:
        if '"type":"io"' in line or '"type":"handoff"' in line or '"type":"process"' in line:
            yield json.loads(line)
    assert dump.wait() == 0


class Tasks:
    def __init__(self, records, tgids):
        self.open = {}  # conn: the request that waits for its answer
        self.begun = {}  # conn: the first byte of the next request
        self.requests = collections.defaultdict(list)  # answering task: (read, answered, token)
        self.calls = []
        self.births = collections.defaultdict(list)  # task: (when, by which task)
        self.runtimes = set()  # NAME/VERSION/TASK of these processes
        for r in records:
            if r["type"] == "process":
                if r["tgid"] in tgids:
                    self.runtimes.update(s["runtime"] for s in r["strings"] if "runtime" in s)
            elif r["type"] == "handoff":
                if r["kind"] == "task":
                    self.births[r["to_tgid"], r["key"]].append((r["ts_ns"], r["from_task"]))
            elif r["tgid"] in tgids:
                self.io(r)

    def io(self, r):
        payload = self.begun.pop(r["conn"], "") + (r.get("payload") or "")
        if r["dir"] == "rx" and r["bytes"] == 1:
            # Go's server reads one byte ahead.
            self.begun[r["conn"]] = payload
            return
        found = TOKEN.match(payload)
        if found and r["dir"] == "rx":
            self.open[r["conn"]] = (r["end_ns"], found[2])
        elif found:
            self.calls.append((r["end_ns"], r["tgid"], r["task"], found[2]))
        elif r["dir"] == "tx" and r["conn"] in self.open:
            began, token = self.open.pop(r["conn"])
            self.requests[r["tgid"], r["task"]].append((began, r["end_ns"], token))

    def owners(self, when, tgid, task):
        for _ in range(16):
            if not task:
                break
            births = self.births.get((tgid, task), ())
            at = bisect.bisect_left(births, (when,))
            # An address that was used again belongs to somebody else from then on.
            until = births[at][0] if at < len(births) else float("inf")
            found = [token for began, ended, token in self.requests.get((tgid, task), ())
                     if began < when < ended < until]
            if found or not at:
                return found
            when, task = births[at - 1]
        return []

    def score(self, truth):
        """{"right", "wrong", "undecided"}: counts over the calls whose cause the truth knows."""
        counts = collections.Counter(right=0, wrong=0, undecided=0)
        for when, tgid, task, token in self.calls:
            if token not in truth:
                continue
            owners = self.owners(when, tgid, task)
            if len(owners) != 1:
                counts["undecided"] += 1
            else:
                counts["right" if owners[0] == truth[token] else "wrong"] += 1
        return counts


def read_truth(path):
    """{called token: token of the request}."""
    with open(path) as f:
        return {called: by for by, called in (line.split() for line in f)}
