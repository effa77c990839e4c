#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How much memory and processor time `clew record` takes, and whether either grows without end.

usage: run.py [PART...] [--db none|store] [--processes N] [--seconds S] [-o DIR]

    inflight      nginx before a back end that answers after 50 ms: 200 requests in flight
    connections   nginx with 10,000 open connections, each of which asks something now and then
    processes     a cgroup in which N processes begin and end, one after the other; each 20th makes a request
    engine        the recording of `inflight` replayed: the same work without capture, in one process

Each runs with --db none and with a store. RSS is clew's, from /proc, each half second; "before" once it traces,
"after" ten seconds after the load's end. CPU is its user and system time from "tracing" on, over the messages that it
counted. Kernel is the memory of its BPF maps. What was lost is said. Nothing is asserted. Results: a table,
DIR/memory.json.
"""

import argparse
import glob
import json
import os
import resource
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(ROOT, "tests"), os.path.join(ROOT, "tests", "accuracy")]

import case  # noqa: E402
from lib.lab import Lab, clean_up_when_terminated, parse_summary, wait_for  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
AFTER = 10  # seconds of quiet after the load
ANSWER = 'location / { return 200 "%s"; }' % ("x" * 200)


def cgroups():
    """Where the cgroup v2 hierarchy is mounted."""
    with open("/proc/mounts") as f:
        return next((m.split()[1] for m in f if m.split()[2] == "cgroup2"), "/sys/fs/cgroup")


def memory(pid):
    """MiB: resident, and the highest that it was."""
    with open("/proc/%d/status" % pid) as f:
        v = dict(line.split(":", 1) for line in f if line.startswith(("VmRSS", "VmHWM")))
    return [int(v[k].split()[0]) / 1024 for k in ("VmRSS", "VmHWM")]


def cpu(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def maps_mib(pid):
    """Kernel memory of its BPF maps, as far as their descriptors say."""
    total, seen = 0, set()
    for path in glob.glob("/proc/%d/fdinfo/*" % pid):
        try:
            with open(path) as f:
                v = dict(line.split(":", 1) for line in f if ":" in line)
        except OSError:
            continue
        if "map_id" in v and v["map_id"] not in seen:
            seen.add(v["map_id"])
            total += int(v["memlock"])
    return total / 2**20


class Watch(threading.Thread):
    """Samples of a recording's memory, with what the load had done by then."""

    def __init__(self, pid, progress=lambda: None):
        super().__init__(daemon=True)
        self.pid, self.progress, self.samples, self.over = pid, progress, [], threading.Event()

    def run(self):
        while not self.over.wait(0.5):
            try:
                self.samples.append((time.monotonic(), memory(self.pid)[0], self.progress()))
            except (OSError, KeyError):
                return


def measure(lab, targets, db, load, options=(), progress=lambda: None):
    """One recording around load(): what it took."""
    rec = lab.record(*targets, *options, db="none" if db == "none" else lab.path(lab.name("store")))
    out = {"db": db, "before": memory(rec.pid)[0], "kernel": maps_mib(rec.pid)}
    cpu0, begin = cpu(rec.pid), time.monotonic()
    watch = Watch(rec.pid, progress)
    watch.start()
    load()
    out["seconds"] = time.monotonic() - begin
    out["end"] = memory(rec.pid)[0]
    time.sleep(AFTER)
    out["after"], out["peak"] = memory(rec.pid)
    seconds = cpu(rec.pid) - cpu0
    watch.over.set()
    watch.join()
    summary = rec.finish(300)
    counts = parse_summary(summary)
    out.update(cpu=seconds, operations=counts["operations"], messages=counts.get("messages", 0), spans=counts.get("spans", 0),
               lost=counts["lost"], cpu_us_message=seconds / counts["messages"] * 1e6 if counts.get("messages") else None,
               samples=[(t - begin, rss, done) for t, rss, done in watch.samples])
    return out


def nginx_and_backend(lab):
    back, front = lab.port(), lab.port()
    b = lab.spawn([case.c_program("backend")], "backend", env=case.strings(
        {"PORT": back, "SEEN": lab.path("seen.tsv"), "DELAY_MS": 50, "FAIL": 0, "PIECES": 0}))
    lab.wait_port(back, b)
    f = lab.nginx("front", "    upstream back { server 127.0.0.1:%d; keepalive 256; }\n    server { listen 127.0.0.1:%d "
                  'backlog=4096; location / { proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection ""; } }'
                  % (back, front), workers=2, wait=front)
    return ["--pid", b.pid, "--pid", f.pid], "http://127.0.0.1:%d/item/%%t" % front


def inflight(lab, db, args):
    targets, url = nginx_and_backend(lab)
    options = ["-o", lab.path("inflight.clew")] if db == "none" and "engine" in args.parts else []
    got = measure(lab, targets, db, lambda: lab.load(url, seconds=args.seconds, conns=200), options)
    if options:
        got["recording"] = lab.path("inflight.clew")
    return got


def engine(lab, db, args, recording, messages):
    """The replay's processor time, best of three: nothing is read from rings, nobody competes in the kernel."""
    best, peak = None, 0
    for _ in range(3):
        p = subprocess.Popen([lab.clew_path, "replay", recording, "-d", "none" if db == "none" else lab.path(lab.name("s")),
                              "-q"])
        _, status, used = os.wait4(p.pid, 0)
        assert status == 0, "replay failed"
        p.returncode = 0
        seconds = used.ru_utime + used.ru_stime
        best, peak = min(best or seconds, seconds), max(peak, used.ru_maxrss / 1024)
    return {"db": db, "cpu": best, "peak": peak, "messages": messages, "cpu_us_message": best / messages * 1e6}


def connections(lab, db, args):
    port, n, loads = lab.port(), 10000, 3
    server = lab.nginx("many", "    server { listen 127.0.0.1:%d backlog=16384 reuseport; keepalive_timeout 600s; %s }"
                       % (port, ANSWER), workers=6, wait=port)

    def load():
        each = n // loads
        ps = [lab.spawn(lab.load_args("http://127.0.0.1:%d/a/%%t" % port, seconds=args.seconds + 20,
                                      conns=each + (i < n - each * loads), args=["--think-ms", 20000]), "load")
              for i in range(loads)]
        wait_for(lambda: all(p.alive() for p in ps) and open_to(port) >= n - 100, args.seconds + 15, "connections to open")
        open_connections.append(open_to(port))
        for p in ps:
            assert p.wait(120) == 0, p.err()
    open_connections = []
    got = measure(lab, ["--pid", server.pid], db, load)
    got["open"] = open_connections[0]
    return got


def open_to(port):
    """Established connections of which this port is the local end."""
    want = ":%04X" % port
    with open("/proc/net/tcp") as f:
        return sum(1 for line in f if (v := line.split())[1].endswith(want) and v[3] == "01")


def processes(lab, db, args):
    port, group = lab.port(), os.path.join(cgroups(), "clew-memory-%d" % os.getpid())
    lab.nginx("server", "    server { listen 127.0.0.1:%d backlog=4096; %s }" % (port, ANSWER), wait=port)
    os.mkdir(group)
    lab.undo.append(lambda: os.rmdir(group))
    spawn = os.path.join(os.environ.get("CLEW_BUILD") or os.path.join(ROOT, "build"), "bench", "memory", "clew-spawn")
    here = []

    def join():
        with open(os.path.join(group, "cgroup.procs"), "w") as f:
            f.write(str(os.getpid()))

    def load():
        p = lab.spawn([spawn, args.processes, 2, port, 20], "spawn", preexec=join)
        here.append(p)
        assert p.wait(7200) == 0, p.err()

    def done():
        text = here[0].out().split() if here else []
        return int(text[-1]) if text else 0
    got = measure(lab, ["--cgroup", group], db, load, progress=done)
    # the slope: least squares over the second half, when pools and tables have their size
    half = [(d, rss) for _, rss, d in got["samples"] if d and d >= args.processes // 2]
    if len({d for d, _ in half}) > 2:
        mx, my = (sum(v[i] for v in half) / len(half) for i in (0, 1))
        got["bytes_a_process"] = 2**20 * sum((x - mx) * (y - my) for x, y in half) / sum((x - mx) ** 2 for x, _ in half)
    got["processes"] = args.processes
    return got


PARTS = {"inflight": inflight, "connections": connections, "processes": processes, "engine": None}


def line(name, r):
    mib = lambda k: "%8.1f" % r[k] if r.get(k) is not None else "%8s" % ""
    text = "%-12s %-6s %s %s %s %s %s" % (name, r["db"], mib("before"), mib("peak"), mib("end"), mib("after"), mib("kernel"))
    text += " %9d %8.2f %8s %6s" % (r["messages"], r["cpu"], "%.2f" % r["cpu_us_message"] if r["cpu_us_message"] else "",
                                    r.get("lost", ""))
    if "bytes_a_process" in r:
        text += "   %d processes in %.0f s, %+.1f bytes a process in the second half" % (r["processes"], r["seconds"],
                                                                                     r["bytes_a_process"])
    if "open" in r:
        text += "   %d connections open" % r["open"]
    return text


def main():
    clean_up_when_terminated()
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("parts", nargs="*", metavar="PART", help="default: all")
    p.add_argument("--db", choices=("none", "store"), action="append")
    p.add_argument("--processes", type=int, default=100000)
    p.add_argument("--seconds", type=float, default=20)
    p.add_argument("-o", "--out", default="/tmp/clew-memory")
    args = p.parse_args()
    args.parts = args.parts or list(PARTS)
    for part in args.parts:
        if part not in PARTS:
            p.error("%s: one of %s" % (part, ", ".join(PARTS)))
    if "engine" in args.parts and "inflight" not in args.parts:
        args.parts.insert(0, "inflight")
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    os.makedirs(args.out, exist_ok=True)
    results = {}
    print("%-12s %-6s %8s %8s %8s %8s %8s %9s %8s %8s %6s" % ("MiB", "db", "before", "peak", "end", "after", "kernel", "messages",
                                                        "CPU s", "us/msg", "lost"), flush=True)
    with Lab(os.path.join(args.out, "kept")) as kept:
        for part in args.parts:
            for db in args.db or ("none", "store"):
                if part == "engine":
                    of = results["inflight none"]
                    r = engine(kept, db, args, of["recording"], of["messages"])
                else:
                    with Lab(os.path.join(args.out, "%s-%s" % (part, db))) as lab:
                        r = PARTS[part](lab, db, args)
                results["%s %s" % (part, db)] = r
                print(line(part, r), flush=True)
                with open(os.path.join(args.out, "memory.json"), "w") as f:
                    json.dump(results, f, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
