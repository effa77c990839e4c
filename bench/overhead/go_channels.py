#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What following Go's tasks, and with --go-channels its channels, costs the traced program.

usage: go_channels.py [--rounds 5] [--requests 2000] [--mode pool]

One service of tests/e2e/runtime (two calls a request; pool: 20 workers behind a channel) under the same load, not
traced, traced, and traced with --go-channels, in turn; the order is random in each round. The figure is the CPU time
of the service a request: the median, and of each mode the median of what it adds to the untraced run of its round.
"""

import argparse
import glob
import os
import random
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.join(HERE, "..", "..", "tests")
sys.path[:0] = [TESTS, os.path.join(TESTS, "e2e", "runtime")]

from lib.lab import Lab, wait_for  # noqa: E402
from service_lab import HERE as SERVICES, Service, said  # noqa: E402

MODES = {"not traced": None, "--tasks none": ["--tasks", "none"], "default": [], "--go-channels": ["--go-channels"]}


def cpu_ns(pid):
    """What the threads of a process have run; Go keeps its threads."""
    total = 0
    for path in glob.glob("/proc/%d/task/*/schedstat" % pid):
        with open(path) as f:
            total += int(f.read().split()[0])
    return total


def one(lab, service, options, requests):
    recording = None
    if options is not None:
        recording = service.record(*options)
        if "none" not in options:
            wait_for(said(recording, "go/"), what="the finder's word")
    service.load(200)
    begin = cpu_ns(service.proc.pid)
    service.load(requests)
    used = (cpu_ns(service.proc.pid) - begin) / requests / 1e3
    if recording:
        recording.finish()
        os.unlink(service.raw)
    return used


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--requests", type=int, default=2000)
    p.add_argument("--mode", choices=("own", "fan", "pool"), default="pool")
    args = p.parse_args()
    found = {m: [] for m in MODES}
    with Lab() as lab:
        binary = lab.path("service")
        subprocess.run(["go", "build", "-o", binary, os.path.join(SERVICES, "service.go")], check=True,
                       env=dict(os.environ, GO111MODULE="off"))
        service = Service(lab, [binary], "http", args.mode)
        for _ in range(args.rounds):
            for mode in random.sample(list(MODES), len(MODES)):
                found[mode].append(one(lab, service, MODES[mode], args.requests))
    for mode, us in found.items():
        more = statistics.median(a - b for a, b in zip(us, found["not traced"]))
        print("%-14s %6.0f us a request (%.0f to %.0f), %+.0f" % (mode, statistics.median(us), min(us), max(us), more))


if __name__ == "__main__":
    main()
