#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs accuracy scenarios: real services under load, traced by clew, scored against the services' own truth.

usage: run.py [SCENARIO...] [-c CONCURRENCY] [-n REQUESTS] [--attach record|run] [-o DIR] ...

For each scenario: start the services, point clew at them (record: at the running services; run: as the parent
that starts them), send the load, end the tracing, read every span (`clew spans`), score. Results: a table, and
DIR/results.json; each scenario's own directory keeps its logs, truth, spans and score.

--no-clew runs services and load only, and checks that the truth is whole: no privilege needed.
"""

import argparse
import collections
import importlib
import json
import os
import pkgutil
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import scenarios  # noqa: E402
import score  # noqa: E402
from lib.lab import Lab, clean_up_when_terminated, find_load, port_open, unix_open, wait_for  # noqa: E402


def all_variants():
    """{name: (module, parameters)} of every scenario module."""
    found = {}
    for m in pkgutil.iter_modules(scenarios.__path__):
        module = importlib.import_module("scenarios." + m.name)
        for v in module.VARIANTS:
            found[v["name"]] = (module, v)
    return found


def start_services(lab, plan, args):
    """Starts the supervisor, under clew with --attach run; returns (supervisor's process, clew or None, pids)."""
    spec = lab.write("services.json", json.dumps(plan["services"]))
    pid_file = lab.path("pids.json")
    command = ["/usr/bin/python3", os.path.join(HERE, "services", "supervise.py"), spec, pid_file]
    recording = None
    if args.attach == "run" and not args.no_clew:
        recording = lab.run(*clew_options(lab, args), db=store_of(lab, args), command=command)
        supervisor = recording
    else:
        supervisor = lab.spawn(command, "supervise")
    def up():
        if not supervisor.alive():
            raise AssertionError("%s ended:\n%s" % (supervisor.name, supervisor.err()[-3000:]))
        return os.path.exists(pid_file)
    wait_for(up, 30, "the supervisor to start its services")
    with open(pid_file) as f:
        pids = json.load(f)
    for kind, where in plan["wait"]:
        test = (lambda w=where: port_open(w)) if kind == "port" else (lambda w=where: unix_open(w))
        wait_for(test, 30, lambda w=where: "a listener on %s; logs are in %s" % (w, lab.dir))
    return supervisor, recording, pids


def clew_options(lab, args):
    out = list(args.clew_option)
    if args.raw:
        out += ["-o", lab.path("recording.clew")]
    return out


def store_of(lab, args):
    return False if "none" in args.clew_option else lab.path("store")


def stop_services(supervisor, recording, pids):
    """Services first where clew runs them (it ends when they have), else clew first."""
    if recording is supervisor:
        os.kill(pids["supervisor"], signal.SIGTERM)
        status = recording.wait(120)
        assert status == 0, "clew run ended with %d:\n%s" % (status, recording.err()[-3000:])
        return recording.err()
    summary = recording.finish(120) if recording else ""
    supervisor.stop()
    return summary


def check_truth(plan, load_log):
    """Every request that went well has its whole tree of hops in the truth, or the run proves nothing."""
    load = score.read_load(load_log)
    hops, _ = score.build_hops(score.read_truth(plan["truth"]), load, plan["root"])
    per = collections.Counter(hop.request for hop in hops.values())
    short = [t for t, status, done in load if done and status < 400 and per[t] != plan["hops"]]
    assert not short, "%d of %d requests do not have %d hops in the truth, e.g. %s" % (len(short), len(load),
                                                                                     plan["hops"], short[0])
    return {"requests": len(load), "hops": plan["hops"]}


def run_load(lab, plan, args, recording):
    """The load, traced too with --trace-client; returns its report."""
    log = lab.path("load.tsv")
    cmd = lab.load_args(plan["url"], requests=args.requests, conns=args.concurrency, log=log,
                        args=["--think-ms", args.client_think_ms] if args.client_think_ms else [])
    r = subprocess.run(cmd, capture_output=True, text=True, timeout=args.limit)
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout), log


def run_one(name, module, params, args):
    directory = os.path.join(args.out, name)
    shutil.rmtree(directory, ignore_errors=True)
    params = {**params, "concurrency": args.concurrency, "think_ms": args.think_ms, "parallel": args.parallel}
    with Lab(directory) as lab:
        if args.clew:
            lab.clew_path = os.path.abspath(args.clew)
        plan = module.build(lab, params)
        supervisor, recording, pids = start_services(lab, plan, args)
        if not recording and not args.no_clew:
            targets = ["--pid", str(pids["supervisor"])]
            if args.trace_client:
                targets += ["--exe", os.path.realpath(find_load(lab.dir))]
            recording = lab.record(*targets, *clew_options(lab, args), db=store_of(lab, args))
        report, load_log = run_load(lab, plan, args, recording)
        print("%s: %d requests at %d connections (%.1f in flight), %.0f/s, p50 %.1f ms, p99 %.1f ms, not 2xx: %d"
              % (name, report["done"], args.concurrency, report["in_flight_mean"], report["rps"],
                 report["p50_us"] / 1e3, report["p99_us"] / 1e3, report["done"] - report["status_2xx"]), flush=True)
        summary = stop_services(supervisor, recording, pids)
        truth = check_truth(plan, load_log)
        if args.no_clew:
            return {"load": report, "truth": truth}
        with open(lab.path("summary.txt"), "w") as f:
            f.write(summary)
        return finish(lab, plan, args, report, load_log)


def finish(lab, plan, args, report, load_log):
    spans = lab.path("spans.jsonl")
    with open(spans, "w") as f:
        subprocess.run([lab.clew_path, "spans", "-d", lab.path("store")], stdout=f, check=True, timeout=args.limit)
    result = score.score_files(spans, load_log, plan["truth"], plan["root"], args.trace_client)
    result["load"] = report
    with open(lab.path("score.json"), "w") as f:
        json.dump(result, f, indent=1)
    print(score.table(result), flush=True)
    for kind, texts in result["examples"].items():
        print("  e.g. %s: %s" % (kind, texts[0]))
    return result


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("scenarios", nargs="*", help="names or beginnings of names; none: all")
    p.add_argument("-c", "--concurrency", type=int, default=32)
    p.add_argument("-n", "--requests", type=int, default=10000)
    p.add_argument("--think-ms", type=float, default=0, help="mean random think time in the services")
    p.add_argument("--client-think-ms", type=float, default=0, help="mean random think time between requests")
    p.add_argument("--parallel", action="store_true", help="services that can make their calls at once do")
    p.add_argument("--attach", choices=("record", "run"), default="record")
    p.add_argument("--trace-client", action="store_true", help="the load generator is a target too")
    p.add_argument("--raw", action="store_true", help="keep a recording beside the store")
    p.add_argument("--clew", help="the binary (default: $CLEW or build/clew)")
    p.add_argument("--clew-option", action="append", default=[], help="passed to clew as it is")
    p.add_argument("--no-clew", action="store_true", help="services, load and truth only")
    p.add_argument("--limit", type=float, default=600, help="seconds for one load")
    p.add_argument("-o", "--out", default=os.path.join("/tmp", "clew-accuracy"))
    p.add_argument("--list", action="store_true")
    p.add_argument("--max-wrong", type=float, help="exit 1 when more than this share of edges is wrong")
    p.add_argument("--min-right", action="append", default=[], metavar="EDGE=SHARE",
                   help="exit 1 when fewer of the edges whose name contains EDGE are right")
    return p.parse_args()


def verdict(results, args):
    """What was asked for and not met."""
    bad = []
    for name, r in results.items():
        if args.max_wrong is not None and r["all_edges"]["wrong_share"] > args.max_wrong:
            bad.append("%s: %.4f of the edges are wrong" % (name, r["all_edges"]["wrong_share"]))
        for rule in args.min_right:
            edge, share = rule.split("=")
            for e, c in r["edges"].items():
                if edge in e and c["right_share"] < float(share):
                    bad.append("%s: %s is right %.4f" % (name, e, c["right_share"]))
    return bad


def main():
    clean_up_when_terminated()
    args = arguments()
    variants = all_variants()
    if args.list:
        print("\n".join(sorted(variants)))
        return 0
    chosen = {n: v for n, v in variants.items() if not args.scenarios or any(n.startswith(s) for s in args.scenarios)}
    if not chosen:
        print("run.py: no scenario begins with %s; --list names them" % args.scenarios, file=sys.stderr)
        return 2
    os.makedirs(args.out, exist_ok=True)
    results = {}
    begin = time.monotonic()
    for name, (module, params) in chosen.items():
        results[name] = run_one(name, module, params, args)
    with open(os.path.join(args.out, "results.json"), "w") as f:
        json.dump(results, f, indent=1)
    print("%d scenarios in %.0f s; %s" % (len(results), time.monotonic() - begin, os.path.join(args.out, "results.json")))
    bad = [] if args.no_clew else verdict(results, args)
    for line in bad:
        print("NOT MET:", line)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
