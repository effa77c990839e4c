#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What each source of evidence costs the traced service: its CPU time a request with and without.

usage: sources.py [CASE...] [--rounds N] [--seconds S] [-c CONNS] [--programs] [-o FILE]

A case is a service of tests/accuracy, two calls a request, without pauses (default: one for each source). Each
option of it runs in each round, in random order, for S seconds:

    untraced     nothing traces it
    no tasks     --tasks none: sockets, threads and wake-ups
    default      the runtime's tasks too
    --...        and one more option

An agent stays in its process, so that runs in a second instance, whose untraced runs are told too. Figures: CPU time
of the service a request (what BPF programs take of it included), and how much more that is than untraced in the same
round: medians. clew's own CPU time stands beside it. --programs: a last run of each with the kernel's statistics
on, which names each BPF program, how often it ran a request and for how long.
"""

import argparse
import json
import os
import random
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE]

import programs  # noqa: E402
from case_service import Service, why_skipped  # noqa: E402
from lib.lab import PORTS, Lab, clean_up_when_terminated  # noqa: E402

BASE = {"untraced": None, "no tasks": ["--tasks", "none"], "default": []}
CASES = {
    "c-threads": {"untraced": None, "default": []},
    "go-plain": BASE,
    "go-pool": {**BASE, "--go-channels": ["--go-channels"]},
    "aiohttp": {**BASE, "--python-copies": ["--python-copies"]},
    "java-virtual": BASE,
    "java-pool": {**BASE, "--agent java": ["--agent", "java"]},
    "rust-tokio": {**BASE, "--tokio-wakers": ["--tokio-wakers"]},
    "rust-tokio-pool": {**BASE, "--tokio-wakers": ["--tokio-wakers"]},
    "node-http": {"untraced": None, "default": [], "--agent node": ["--agent", "node"]},
}


def with_agent(options):
    return bool(options) and "--agent" in options


class Case:
    """The case's instances: one, and a second one for agents."""

    def __init__(self, name, one, two, args):
        self.name, self.args, self.options = name, args, dict(CASES.get(name, BASE))
        self.plain = Service(one, name, args.conns)
        self.kept = None
        if any(with_agent(o) for o in self.options.values()):
            self.kept = Service(two, name, args.conns)
            self.options["untraced, agent left"] = None
        for s in self.services() * 2:
            s.load(args.warmup)
        for label, o in self.options.items():
            if with_agent(o):
                self.service_of(label).measure(args.warmup, o)

    def services(self):
        return [self.plain] + ([self.kept] if self.kept else [])

    def service_of(self, label):
        return self.kept if "agent" in label else self.plain

    def measure(self, label):
        return self.service_of(label).measure(self.args.seconds, self.options[label], warm=self.args.settle)

    def programs_of(self, label):
        """{program: (ns, runs)} a request."""
        with programs.counted():
            service = self.service_of(label)
            clew = service.trace(*self.options[label])
            service.load(self.args.settle)
            start = programs.bpf_programs(clew.pid)
            done = service.load(self.args.seconds)["done"]
            end = programs.bpf_programs(clew.pid)
            found = programs.difference(start, end, programs.program_names(end))
            clew.finish(120)
        return {n: (ns / done, runs / done) for n, (ns, runs) in found.items()}

    def stop(self):
        for s in self.services():
            s.supervisor.stop(limit=30)


def run_case(name, args, ports):
    with Lab(ports=ports) as one, Lab(ports=ports) as two:
        for lab in (one, two):
            if args.clew:
                lab.clew_path = os.path.abspath(args.clew)
        case = Case(name, one, two, args)
        rounds = []
        for i in range(args.rounds):
            labels = random.sample(list(case.options), len(case.options))
            rounds.append({label: case.measure(label) for label in labels})
            print("  %s %d: %s" % (name, i + 1, "; ".join("%s %.0f us" % (x, rounds[-1][x]["cpu_us"])
                                                        for x in case.options)), file=sys.stderr, flush=True)
        found = {x: case.programs_of(x) for x, o in case.options.items() if args.programs and o is not None}
        case.stop()
    report(name, case.options, rounds, found)
    return {"rounds": rounds, "programs": found}


def report(name, options, rounds, found):
    print("%-16s %-22s %12s %12s %14s %10s %6s" % (name, "", "cpu us", "least", "more", "clew us", "lost"))
    for label in options:
        runs = [r[label] for r in rounds]
        more = [r[label]["cpu_us"] - r["untraced"]["cpu_us"] for r in rounds]
        print("%-16s %-22s %12.1f %12.1f %+14.1f %10.1f %6d" % (
            "", label, statistics.median(r["cpu_us"] for r in runs), min(r["cpu_us"] for r in runs),
            statistics.median(more), statistics.median(r["clew_us"] for r in runs), sum(r["lost"] for r in runs)))
    for label, progs in found.items():
        total = sum(ns for ns, _ in progs.values())
        print("  programs with %s: %.1f us a request, the statistics' own time included" % (label, total / 1e3))
        for prog, (ns, runs) in sorted(progs.items(), key=lambda kv: -kv[1][0]):
            print("    %-24s %7.2f runs, %6.0f ns each, %7.1f us" % (prog, runs, ns / runs, ns / 1e3))
    sys.stdout.flush()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("cases", nargs="*", metavar="CASE", default=list(CASES))
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=2)
    p.add_argument("--settle", type=float, default=0.5, help="seconds of load after clew has come, not measured")
    p.add_argument("--warmup", type=float, default=4, help="seconds of load, twice, before anything is measured")
    p.add_argument("--conns", "-c", type=int, default=16)
    p.add_argument("--programs", action="store_true", help="which BPF program runs how often, and how long")
    p.add_argument("--clew", help="the binary (default: $CLEW or build/clew)")
    p.add_argument("--ports", default="%d-%d" % PORTS, help="those that the services may take")
    p.add_argument("-o", "--out", help="JSON")
    args = p.parse_args()
    clean_up_when_terminated()
    ports = tuple(map(int, args.ports.split("-")))
    results = {}
    for name in args.cases:
        reason = why_skipped(name)
        if reason:
            print("%-16s SKIPPED: %s" % (name, reason), flush=True)
            continue
        results[name] = run_case(name, args, ports)
        if args.out:
            with open(args.out, "w") as f:
                json.dump(results, f, indent=1)


if __name__ == "__main__":
    main()
