#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What tracing costs: nginx proxying to nginx, with clew beside it and without.

usage: run.py [--quick] [--only PART...] [--pairs N] [--seconds S] [-o DIR]

Two nginx (one worker each), wrk with one thread and 64 connections: three busy threads on the machine's cores.
The same servers run for the whole benchmark; clew attaches to both masters (`clew record --pid`) and leaves.

    throughput   interleaved pairs (traced, untraced; the order within a pair is random), in each mode:
                   capture   --capture-only --raw /dev/null
                   spans     --db none: causality and spans, nothing kept
                   store     everything
                 ratio of requests a second, of p50 and of p99, with 95 % intervals (t on the logarithms of the
                 pairs' ratios; a bootstrap beside it). Agent: CPU us a span, peak RSS. A mode in which anything
                 was dropped is not claimed.
    kernel       runs of their own with bpf_stats_enabled (the statistics cost too): run time of all of clew's
                 programs (from its own program descriptors) over the messages and the operations
    bystander    clew traces one pair of nginx under a light load; another pair, not traced, is loaded to the
                 full: its throughput with clew running and without
    openloop     half of the untraced capacity on a fixed schedule, latency from the intended time: p50, p99

Nothing is asserted but that the measurement was sound (no errors in the load). Results: a table, DIR/overhead.json.
"""

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "tests")]

import stats  # noqa: E402
from programs import bpf_programs, counted, program_names  # noqa: E402
from lib.lab import Lab, clean_up_when_terminated, parse_summary, wait_for  # noqa: E402

MODES = {
    "capture": ["--capture-only", "--raw", "/dev/null", "--db", "none"],
    "spans": ["--db", "none"],
    "store": [],
}
PARTS = ("throughput", "kernel", "bystander", "openloop")
TICK = os.sysconf("SC_CLK_TCK")
NOISE = []  # how busy the machine was before each pair


class Pair:
    """A proxying nginx and the one behind it."""

    def __init__(self, lab, name, keepalive, workers):
        back, front = lab.port(), lab.port()
        self.back = lab.nginx(name + "-back", "    server { listen 127.0.0.1:%d backlog=4096; location / { return 200 "
                              "\"%s\"; } }" % (back, "x" * 200), workers=workers, wait=back)
        upstream = "upstream back { server 127.0.0.1:%d; %s }" % (back, "keepalive 128;" if keepalive else "")
        version = 'proxy_http_version 1.1; proxy_set_header Connection "";' if keepalive else ""
        self.front = lab.nginx(name + "-front", "    %s\n    server { listen 127.0.0.1:%d backlog=4096; location / { "
                               "proxy_pass http://back; %s } }" % (upstream, front, version), workers=workers, wait=front)
        self.url = "http://127.0.0.1:%d/item/4711?page=2" % front

    def targets(self):
        return ["--pid", str(self.front.pid), "--pid", str(self.back.pid)]


def wrk(pair, seconds, args):
    r = subprocess.run(["wrk", "-t1", "-c%d" % args.conns, "-d%gs" % seconds, "-s", os.path.join(HERE, "wrk.lua"),
                        pair.url], capture_output=True, text=True, check=True)
    out = json.loads(next(line for line in r.stdout.splitlines() if line.startswith("{")))
    out["rps"] = out["requests"] / out["seconds"]
    assert out["requests"] > 100 and out["errors"] < 1 + out["requests"] / 10000, "the load failed: %s" % out
    return out


def open_loop(pair, seconds, rate, lab):
    r = lab.load(pair.url, seconds=seconds, conns=256, rate=rate)
    assert r["broken"] == 0 and r["cut"] == 0 and r["done"] > 0, "the load failed: %s" % r
    return {"rps": r["rps"], "p50_us": r["p50_us"], "p99_us": r["p99_us"], "p999_us": r["p999_us"]}


def busy_share(seconds=0.3):
    """How busy the machine is with other things, sampled while our own load rests: a measure of the noise."""
    def read():
        with open("/proc/stat") as f:
            n = [int(x) for x in f.readline().split()[1:9]]
        return sum(n), n[3] + n[4]
    total, idle = read()
    time.sleep(seconds)  # a sample needs a stretch of time; nothing is waited for
    total2, idle2 = read()
    return 1 - (idle2 - idle) / max(1, total2 - total)


# ---- clew, measured ----

def cpu_seconds(pid):
    """User and system time of a living process."""
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


class Traced:
    """clew around a stretch of load: its CPU time from ready to gone, its peak memory, its summary."""

    def __init__(self, lab, pair, mode, extra=()):
        self.lab, self.pair, self.mode, self.extra = lab, pair, mode, list(extra)

    def __enter__(self):
        options = MODES[self.mode] + self.extra
        db = None if self.mode == "store" else False
        self.clew = self.lab.record(*self.pair.targets(), *options, db=db)
        self.cpu_at_ready = cpu_seconds(self.clew.pid)
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            return
        popen = self.clew.popen
        self.clew.send(2)
        end = time.monotonic() + 120
        pid = 0
        while not pid and time.monotonic() < end:
            pid, status, usage = os.wait4(popen.pid, os.WNOHANG)
            if not pid:
                time.sleep(0.02)
        assert pid, "clew did not end after Ctrl-C"
        popen.returncode = os.waitstatus_to_exitcode(status)
        assert popen.returncode in (0, 130), "clew ended with %d:\n%s" % (popen.returncode, self.clew.err())
        self.summary = parse_summary(self.clew.err())
        self.cpu = usage.ru_utime + usage.ru_stime - self.cpu_at_ready
        self.rss = usage.ru_maxrss * 1024

    def agent(self):
        spans = self.summary.get("spans", 0)
        return {"cpu_s": self.cpu, "rss_bytes": self.rss, "spans": spans,
                "operations": self.summary.get("operations", 0), "messages": self.summary.get("messages", 0),
                "lost": self.summary["lost"], "cpu_us_per_span": self.cpu * 1e6 / spans if spans else None}


# ---- the parts ----

def in_random_order(traced, untraced):
    """Runs both, in an order that a drift of the machine cannot favour."""
    NOISE.append(busy_share())
    if random.random() < 0.5:
        a = traced()
        return a, untraced()
    b = untraced()
    return traced(), b


def compare(pairs, key):
    values = [(a[key], b[key]) for a, b in pairs]
    out = stats.ratio_interval(values)
    out["bootstrap"] = stats.bootstrap_interval(values)
    out["traced_mean"] = sum(a for a, _ in values) / len(values)
    out["untraced_mean"] = sum(b for _, b in values) / len(values)
    return out


def run_throughput(lab, pair, args):
    runs = {m: [] for m in args.modes}
    agents = {m: [] for m in args.modes}
    for i in range(args.pairs):
        for mode in random.sample(args.modes, len(args.modes)):
            def traced():
                with Traced(lab, pair, mode) as t:
                    r = wrk(pair, args.seconds, args)
                agents[mode].append(t.agent())
                return r
            a, b = in_random_order(traced, lambda: wrk(pair, args.seconds, args))
            runs[mode].append((a, b))
            print("  pair %d %-8s %.0f / %.0f = %.3f   %s" % (i + 1, mode, a["rps"], b["rps"], a["rps"] / b["rps"],
                                                            brief(agents[mode][-1])), file=sys.stderr, flush=True)
    out = {}
    for mode in args.modes:
        lost = sum(a["lost"] for a in agents[mode])
        spans = sum(a["spans"] for a in agents[mode])
        out[mode] = {"throughput": compare(runs[mode], "rps"), "p50": compare(runs[mode], "p50_us"),
                     "p99": compare(runs[mode], "p99_us"), "lost": lost, "claimed": lost == 0, "spans": spans,
                     "rss_peak_bytes": max(a["rss_bytes"] for a in agents[mode]),
                     "agent_cpu_us_per_span": sum(a["cpu_s"] for a in agents[mode]) * 1e6 / spans if spans else None,
                     "operations": sum(a["operations"] for a in agents[mode]),
                     "agent_cpu_us_per_operation": per(sum(a["cpu_s"] for a in agents[mode]) * 1e6,
                                                       sum(a["operations"] for a in agents[mode])),
                     "pairs": [{"traced": a, "untraced": b} for a, b in runs[mode]], "agents": agents[mode]}
    return out


def per(a, b):
    return a / b if b else None


def brief(agent):
    return "lost %d, cpu %.2f s, rss %.0f MiB, %d spans" % (agent["lost"], agent["cpu_s"], agent["rss_bytes"] / 2**20,
                                                          agent["spans"])


def run_kernel(lab, pair, args):
    """Each mode's programs are the same; what differs is how busy the reader is. One line a mode."""
    out = {}
    with counted():
        for mode in args.modes:
            with Traced(lab, pair, mode) as t:
                start = bpf_programs(t.clew.pid)
                r = wrk(pair, args.seconds, args)
                end = bpf_programs(t.clew.pid)
                names = program_names(end)
            out[mode] = kernel_result(start, end, names, r, t)
    return out


def kernel_result(start, end, names, load, t):
    assert end, "clew holds no BPF program: nothing was measured"
    total = sum(ns - start.get(i, (0, 0))[0] for i, (ns, _) in end.items())
    by_program = {names.get(i, str(i)): {"ns": ns - start.get(i, (0, 0))[0], "runs": n - start.get(i, (0, 0))[1]}
                  for i, (ns, n) in end.items()}
    s = t.summary
    return {"ns": total, "messages": s.get("messages", 0), "operations": s.get("operations", 0), "lost": s["lost"],
            "requests": load["requests"], "ns_per_message": per(total, s.get("messages", 0)),
            "ns_per_operation": per(total, s.get("operations", 0)),
            # six messages a proxied request, counted by the load: holds in the capture mode too
            "ns_per_wire_message": per(total, 6 * load["requests"]), "programs": by_program}


def run_bystander(lab, pair, args):
    other = Pair(lab, "bystander", args.proxy == "keepalive", args.workers)
    light = lab.spawn(lab.load_args(pair.url, seconds=36000, conns=16, rate=args.light_rate), "light-load")
    runs = []
    try:
        for i in range(args.pairs):
            def traced():
                with Traced(lab, pair, "store"):
                    return wrk(other, args.seconds, args)
            a, b = in_random_order(traced, lambda: wrk(other, args.seconds, args))
            runs.append((a, b))
            print("  bystander %d: %.0f / %.0f = %.3f" % (i + 1, a["rps"], b["rps"], a["rps"] / b["rps"]),
                  file=sys.stderr, flush=True)
        assert light.alive(), "the light load ended:\n" + light.err()
    finally:
        light.destroy()
    return {"throughput": compare(runs, "rps"), "p50": compare(runs, "p50_us"), "p99": compare(runs, "p99_us"),
            "light_rate": args.light_rate}


def run_openloop(lab, pair, args):
    capacity = lab.load(pair.url, seconds=args.seconds, conns=args.conns)["rps"]
    rate = max(100, int(capacity / 2))
    out = {"capacity": capacity, "rate": rate, "modes": {}}
    for mode in args.modes:
        runs, lost = [], 0
        for i in range(args.pairs):
            def traced():
                nonlocal lost
                with Traced(lab, pair, mode) as t:
                    r = open_loop(pair, args.seconds, rate, lab)
                lost += t.summary["lost"]
                return r
            a, b = in_random_order(traced, lambda: open_loop(pair, args.seconds, rate, lab))
            runs.append((a, b))
            print("  open loop %d %-8s p50 %.0f / %.0f us, p99 %.0f / %.0f us" % (
                i + 1, mode, a["p50_us"], b["p50_us"], a["p99_us"], b["p99_us"]), file=sys.stderr, flush=True)
        out["modes"][mode] = {"p50": compare(runs, "p50_us"), "p99": compare(runs, "p99_us"), "lost": lost,
                              "achieved": compare(runs, "rps")}
    return out


# ---- the table ----

def interval(c, digits=3):
    if c["low"] is None:
        return "%.*f" % (digits, c["ratio"])
    return "%.*f [%.*f, %.*f]" % (digits, c["ratio"], digits, c["low"], digits, c["high"])


def table(result):
    lines = ["", "traced / untraced, geometric mean [95 %% interval], %d pairs of %g s" % (
        result["settings"]["pairs"], result["settings"]["seconds"])]
    noise = result["settings"]["busy_before_pairs"]
    if noise > 0.05:
        lines.append("NOT QUIET: before the pairs, %.0f %% of the machine was busy with other things" % (100 * noise))
    t = result.get("throughput")
    if t:
        lines.append("%-8s %-24s %-24s %-24s %9s %9s %8s" % ("mode", "throughput", "p50", "p99", "us/span", "RSS MiB",
                                                           "dropped"))
        for mode, r in t.items():
            us = r["agent_cpu_us_per_span"]
            lines.append("%-8s %-24s %-24s %-24s %9s %9.0f %8d%s" % (
                mode, interval(r["throughput"]), interval(r["p50"]), interval(r["p99"]), "%.2f" % us if us else "-",
                r["rss_peak_bytes"] / 2**20, r["lost"], "" if r["claimed"] else "  NOT CLAIMED: it dropped"))
    for mode, r in result.get("kernel", {}).items():
        lines.append("kernel, %-8s %s ns a message, %s ns an operation (%d requests; 6 messages each: %.0f ns), dropped %d"
                     % (mode, fmt(r["ns_per_message"]), fmt(r["ns_per_operation"]), r["requests"],
                        r["ns_per_wire_message"], r["lost"]))
        lines.append("    (the programs ran %.2f times an operation: also for who is not traced; wrk alone makes that 1.33)"
                     % (sum(p["runs"] for p in r["programs"].values()) / max(1, r["operations"])))
        for name, p in sorted(r["programs"].items(), key=lambda kv: -kv[1]["ns"])[:8]:
            if p["runs"]:
                lines.append("    %-28s %9d runs %8.0f ns each %6.1f %%" % (name, p["runs"], p["ns"] / p["runs"],
                                                                       100 * p["ns"] / r["ns"]))
    b = result.get("bystander")
    if b:
        lines.append("bystander: throughput %s, p50 %s, p99 %s" % (interval(b["throughput"]), interval(b["p50"]),
                                                                 interval(b["p99"])))
    o = result.get("openloop")
    if o:
        lines.append("open loop at %d requests a second (half of %.0f):" % (o["rate"], o["capacity"]))
        for mode, r in o["modes"].items():
            lines.append("  %-8s p50 %s (%.0f to %.0f us), p99 %s (%.0f to %.0f us), dropped %d" % (
                mode, interval(r["p50"]), r["p50"]["untraced_mean"], r["p50"]["traced_mean"], interval(r["p99"]),
                r["p99"]["untraced_mean"], r["p99"]["traced_mean"], r["lost"]))
    return "\n".join(lines)


def fmt(x):
    return "-" if x is None else "%.0f" % x


def settings(args):
    nginx = subprocess.run(["/usr/sbin/nginx", "-v"], capture_output=True, text=True, check=True).stderr.strip()
    return {"pairs": args.pairs, "seconds": args.seconds, "conns": args.conns, "workers": args.workers,
            "proxy": args.proxy, "modes": args.modes, "kernel": platform.release(), "cpus": os.cpu_count(),
            "nginx": nginx, "load_average_before": os.getloadavg()}


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("--quick", action="store_true", help="2 pairs of 1 s: does it run? No figure to quote")
    p.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    p.add_argument("--modes", nargs="+", choices=list(MODES), default=list(MODES))
    p.add_argument("--pairs", type=int, default=10)
    p.add_argument("--seconds", type=int, default=5, help="whole seconds: wrk takes no others")
    p.add_argument("--conns", type=int, default=64)
    p.add_argument("--workers", type=int, default=1, help="of each nginx")
    p.add_argument("--proxy", choices=("keepalive", "default"), default="keepalive")
    p.add_argument("--light-rate", type=int, default=200, help="requests a second to the traced pair beside the bystander")
    p.add_argument("--clew")
    p.add_argument("-o", "--out", default="/tmp/clew-overhead")
    args = p.parse_args()
    if args.quick:
        args.pairs, args.seconds = 2, 1
    return args


def main():
    clean_up_when_terminated()
    args = arguments()
    if os.geteuid() != 0:
        print("run.py: tracing needs root (sudo make bench)", file=sys.stderr)
        return 1
    os.makedirs(args.out, exist_ok=True)
    stats.self_test()
    result = {"settings": settings(args)}
    parts = {"throughput": run_throughput, "kernel": run_kernel, "bystander": run_bystander, "openloop": run_openloop}
    with Lab() as lab:
        if args.clew:
            lab.clew_path = os.path.abspath(args.clew)
        pair = Pair(lab, "target", args.proxy == "keepalive", args.workers)
        wait_for(lambda: wrk(pair, 1, args), what="a first answer")  # warm
        for part in args.only:
            print(part, file=sys.stderr, flush=True)
            result[part] = parts[part](lab, pair, args)
            result["settings"]["busy_before_pairs"] = sum(NOISE) / len(NOISE) if NOISE else busy_share()
            with open(os.path.join(args.out, "overhead.json"), "w") as f:
                json.dump(result, f, indent=1)
    print(table(result))
    print("all of it:", os.path.join(args.out, "overhead.json"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
