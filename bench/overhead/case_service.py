# SPDX-License-Identifier: Apache-2.0
"""A service of tests/accuracy for benchmarks: without its pauses, failures and jobs, two calls a request."""

import os
import sys
import types

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "tests"), os.path.join(ROOT, "tests", "accuracy")]

import runner  # noqa: E402
from lib.lab import parse_summary  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
WORK = {"STEPS": 2, "SKIP": 0, "REPEAT": 0, "PARALLEL": 0, "BACKGROUND": 0, "TIMER_MS": 0}


def cpu_seconds(pid):
    """User and system time of all threads, those that have ended too."""
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def why_skipped(name):
    """What is missing for the case on this machine, or None."""
    return runner.why_skipped(*runner.all_variants()[name])


class Service:
    """One instance, with a laboratory of its own."""

    def __init__(self, lab, name, conns, work=None):
        module, variant = runner.all_variants()[name]
        self.lab, self.runtime = lab, variant["runtime"]
        params = {**variant, "work": {**WORK, **(work or {})}, "fail": 0, "pieces": 0, "think_ms": 0,
                  "workers": conns, "conns": conns, "load": conns, "concurrency": conns, "parallel": False, "timers": 0}
        self.plan = module.build(lab, params)
        self.supervisor, _, pids = runner.start_services(lab, self.plan, variant,
                                                         types.SimpleNamespace(attach="record", no_clew=True))
        self.pid, self.conns = pids["svc"], conns

    def load(self, seconds, least=1):
        """least: fewer requests tell nothing. A warm-up may have few."""
        r = self.lab.load(self.plan["url"], seconds=seconds, conns=self.conns)
        assert r["done"] >= least and not r["broken"], "the load failed: %s" % r
        return r

    def trace(self, *options):
        return self.lab.record("--pid", str(self.pid), "--db", "none", *options, db=False)

    def measure(self, seconds, options=None, warm=0):
        """options: clew's; None: without it. warm: seconds of load before, in which what is new is learned."""
        clew = None if options is None else self.trace(*options)
        if warm:
            self.load(warm)
        before = cpu_seconds(self.pid), cpu_seconds(clew.pid) if clew else 0
        r = self.load(seconds, least=100)
        cpu = cpu_seconds(self.pid) - before[0]
        agent = cpu_seconds(clew.pid) - before[1] if clew else 0
        lost = parse_summary(clew.finish(120))["lost"] if clew else 0
        return {"cpu_us": cpu * 1e6 / r["done"], "clew_us": agent * 1e6 / r["done"], "rps": r["rps"], "lost": lost}
