#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the agents in runtimes cost: a Java pool service and a Node service, without tracing, traced, and traced with
--agent.

usage: run.py [CASE...] [--rounds N] [--seconds S] [-c CONNS] [-o FILE]

CASE is one of tests/accuracy (default: java-pool node-http node-fetch), without its pauses, failures and jobs: two
calls a request. Two instances of it run for the whole benchmark, equally warm: one never gets the agent, the other
one keeps it, as a JVM does. Each round measures, in random order:

    plain    instance 1, nothing traces it
    traced   instance 1, clew record
    agent    instance 2, clew record --agent
    quiet    instance 2, nothing traces it: what the agent leaves behind

Figures: processor time of the service a request (its own user and system time, what BPF programs take included; not
clew's) and requests a second; ratios to plain in the same round, with 95 % intervals (overhead/stats.py). Before the
first agent a round of plain on both instances tells how much they differ by themselves.
"""

import argparse
import json
import os
import random
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(ROOT, "bench", "overhead")]

import stats  # noqa: E402
from case_service import Service, why_skipped  # noqa: E402
from lib.lab import Lab, clean_up_when_terminated  # noqa: E402

STATES = ("plain", "traced", "agent", "quiet")
DEFAULT = ["java-pool", "node-http", "node-fetch"]


def median(values):
    return sorted(values)[len(values) // 2]


def interval(pairs):
    """As text: ratio [low, high]."""
    out = stats.ratio_interval(pairs)
    return out, "%.3f [%.3f, %.3f]" % (out["ratio"], out["low"] or 0, out["high"] or 0)


def run_case(name, args, ports):
    with Lab(ports=ports) as one, Lab(ports=ports) as two:
        for lab in (one, two):
            if args.clew:
                lab.clew_path = os.path.abspath(args.clew)
        plain, other = Service(one, name, args.conns), Service(two, name, args.conns)
        for s in (plain, other, plain, other):
            s.measure(args.warmup)
        fresh = [(other.measure(args.seconds), plain.measure(args.seconds)) for _ in range(2)]
        do = {
            "plain": lambda: plain.measure(args.seconds),
            "traced": lambda: plain.measure(args.seconds, []),
            "agent": lambda: other.measure(args.seconds, ["--agent", plain.runtime]),
            "quiet": lambda: other.measure(args.seconds),
        }
        # What the JVM had compiled is compiled anew when methods change.
        for _ in range(3):
            other.measure(args.warmup, ["--agent", plain.runtime])
        rounds = []
        for i in range(args.rounds):
            rounds.append({state: do[state]() for state in random.sample(STATES, len(STATES))})
            print("  %s %d: %s" % (name, i + 1, "; ".join("%s %.0f us %.0f/s" % (s, rounds[-1][s]["cpu_us"],
                                                                               rounds[-1][s]["rps"]) for s in STATES)),
                  file=sys.stderr, flush=True)
        for s in (plain, other):
            s.supervisor.stop(limit=30)
    return report(name, fresh, rounds)


def report(name, fresh, rounds):
    out = {"fresh": fresh, "rounds": rounds, "states": {}}
    print("%s: instance 2 against 1 before the agent came: cpu %s" %
          (name, interval([(a["cpu_us"], b["cpu_us"]) for a, b in fresh])[1]))
    print("%-12s %12s %12s  %-24s %10s  %-24s %6s" % ("", "cpu us, least", "median", "ratio to plain", "requests/s",
                                                    "ratio to plain", "lost"))
    for state in STATES:
        runs = [r[state] for r in rounds]
        cpu, cpu_text = interval([(r[state]["cpu_us"], r["plain"]["cpu_us"]) for r in rounds])
        rps, rps_text = interval([(r[state]["rps"], r["plain"]["rps"]) for r in rounds])
        lost = sum(r["lost"] for r in runs)
        print("%-12s %12.0f %12.0f  %-24s %10.0f  %-24s %6d" % (
            state, min(r["cpu_us"] for r in runs), median([r["cpu_us"] for r in runs]), cpu_text,
            median([r["rps"] for r in runs]), rps_text, lost), flush=True)
        out["states"][state] = {"cpu": cpu, "rps": rps, "lost": lost}
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("cases", nargs="*", metavar="CASE", default=DEFAULT)
    p.add_argument("--rounds", type=int, default=8)
    p.add_argument("--seconds", type=float, default=4)
    p.add_argument("--warmup", type=float, default=5, help="seconds of load, twice, before anything is measured")
    p.add_argument("--conns", "-c", type=int, default=16)
    p.add_argument("--clew", help="the binary (default: $CLEW or build/clew)")
    p.add_argument("--ports", default="24000-24999", help="those that the services may take")
    p.add_argument("-o", "--out", help="JSON")
    args = p.parse_args()
    clean_up_when_terminated()
    ports = tuple(map(int, args.ports.split("-")))
    for name in args.cases:
        reason = why_skipped(name)
        if reason:
            sys.exit("run.py: %s: %s" % (name, reason))
    results = {name: run_case(name, args, ports) for name in args.cases}
    if args.out:
        with open(args.out, "w") as f:
            json.dump(results, f, indent=1)


if __name__ == "__main__":
    main()
