#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the accuracy suite: real services under load, traced by clew, scored against the services' own truth.

usage: run.py [CASE...] [--load 1,10,50,200] [--links 10000] [--keep] [-o DIR] ...
       run.py --replay DIR [CASE...] [--clew-option OPTION]...

CASE is a name, the beginning of one or a glob; none: all. For each case and load: start the services, point clew at
them (record: at the running services; run: as the parent that starts them), send the load, end the tracing, read
every span (`clew spans`), score. Results: a table, DIR/results.json and DIR/table.txt; each run's own directory,
DIR/CASE@LOAD, keeps its truth, spans, score and the worst trace with its evidence.

--keep keeps each run's recording too; --replay DIR scores them again with the clew of today, without services.
"""

import argparse
import fnmatch
import json
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE]

import parallel  # noqa: E402
import report  # noqa: E402
import runner  # noqa: E402
import score  # noqa: E402
from lib.lab import PORTS, clean_up_when_terminated  # noqa: E402

LOADS = (1, 10, 50, 200)


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("cases", nargs="*", metavar="CASE")
    p.add_argument("--case", action="append", default=[], help="the same as CASE")
    p.add_argument("--list", action="store_true", help="name the cases, and what is missing for those that cannot run")
    p.add_argument("--load", "-c", default=",".join(map(str, LOADS)), help="requests in flight, with commas between")
    p.add_argument("--links", type=int, default=report.ENOUGH, help="how many calls a run makes, about")
    p.add_argument("--requests", "-n", type=int, help="how many requests, instead")
    p.add_argument("--quick", action="store_true", help="the quick tier: the cases that have one, at its load")
    p.add_argument("-j", "--jobs", type=int, default=1, metavar="N", help="run up to N at once, each with ports and a "
                   "clew of its own")
    p.add_argument("--flying", type=int, default=60, metavar="N",
                   help="... as long as they have together no more requests in flight (one that has more runs alone)")
    p.add_argument("-o", "--out", default=os.path.join("/tmp", "clew-accuracy"))
    p.add_argument("--resume", action="store_true", help="leave out what DIR has already, with the same options")
    p.add_argument("--keep", action="store_true", help="keep recordings and stores")
    p.add_argument("--strict", action="store_true", help="a case that was skipped is a failure")
    p.add_argument("--max-wrong", type=float, help="exit 1 when more than this share of a run's edges is wrong")
    p.add_argument("--min-right", action="append", default=[], metavar="EDGE=SHARE",
                   help="exit 1 when fewer of the edges whose name contains EDGE are right")
    p.add_argument("-v", "--verbose", action="store_true", help="a table of edges for each run")
    p.add_argument("--limit", type=float, default=900, help="seconds for one load")
    clew = p.add_argument_group("clew")
    clew.add_argument("--clew", help="the binary (default: $CLEW or build/clew)")
    clew.add_argument("--clew-option", "--clew-opt", action="append", default=[], help="passed to clew as it is")
    clew.add_argument("--with", dest="with_option", action="append", default=[], metavar="NAME",
                      help="the options of this name that cases have (agent, ...); only cases that have them run")
    clew.add_argument("--disable", metavar="SOURCE,...", help="sources of evidence to do without: clew --without")
    clew.add_argument("--ablate", metavar="SOURCE,...", type=lambda s: s.split(","), default=[],
                      help="score each run again without each of these sources, by replay")
    clew.add_argument("--proofs", "--retoken", action="store_true",
                      help="replay each run twice, and with every token replaced: nothing may change")
    clew.add_argument("--attach", choices=("record", "run"), default="record")
    clew.add_argument("--trace-client", action="store_true", help="the load generator is a target too")
    clew.add_argument("--no-clew", action="store_true", help="services, load and truth only: needs no privilege")
    clew.add_argument("--replay", metavar="DIR", help="score the runs that --keep left in DIR again, by replay")
    work = p.add_argument_group("the work")
    work.add_argument("--think-ms", type=float, help="mean of the services' pauses (default: the case's, else 4)")
    work.add_argument("--client-think-ms", type=float, default=0, help="mean random pause between requests")
    work.add_argument("--parallel", action="store_true", help="services of web-* that can make calls at once do")
    args = p.parse_args()
    args.cases += args.case
    args.min_right = {e: float(share) for e, share in (rule.split("=") for rule in args.min_right)}
    if args.disable:
        args.clew_option += ["--without", args.disable]
    if not 1 <= args.jobs <= 32:
        p.error("-j %d: 1 to 32 runs at once" % args.jobs)
    args.records = args.keep or args.proofs or bool(args.ablate)
    return args


def chosen(names, patterns):
    """The names that a pattern fits: equal, beginning or glob."""
    return [n for n in names if not patterns or any(n.startswith(p) or fnmatch.fnmatch(n, p) for p in patterns)]


def plan(variants, args):
    """[(name, load)] to do."""
    names = chosen(variants, args.cases)
    if args.with_option:
        names = [n for n in names if any(w in variants[n][1].get("with", {}) for w in args.with_option)]
    if args.quick:
        return [(n, variants[n][1]["quick"]["load"]) for n in names if "quick" in variants[n][1]]
    loads = [int(x) for x in args.load.split(",")]
    return [(n, load) for n in names for load in loads if load in variants[n][1].get("loads", loads)]


def run_all(variants, todo, args):
    """({key: result}, {case: why it was skipped}); a run that breaks is a result too: it is skipped, and says why."""
    results, skipped, jobs, begin = {}, {}, [], time.monotonic()
    keys = [key_of(name, load, args) for name, load in todo]
    for name in dict.fromkeys(name for name, _ in todo):
        reason = runner.why_skipped(*variants[name])
        if reason:
            skipped[name] = reason
            print("%s: SKIPPED: %s" % (name, reason), flush=True)
    for (name, load), key in zip(todo, keys):
        if name in skipped:
            continue
        module, variant = variants[name]
        result = runner.finished(os.path.join(args.out, key), variant, args) if args.resume else None
        if result:
            results[key] = {**result, "quick": variant.get("quick")}
        else:
            jobs.append(parallel.Job(key, load, job_of(name, module, variant, load, os.path.join(args.out, key), args)))
    if results:
        print("%d runs are there already" % len(results), flush=True)
    total = len(jobs) + len(results)
    ordered = lambda: {k: results[k] for k in keys if k in results}
    try:
        for job, result, why, others in parallel.run(jobs, args.jobs, args.flying):
            beside = " (going on: %s)" % ", ".join(others) if others else ""
            if why:
                skipped[job.key] = "BROKEN: %s" % why
                print("%s: BROKEN: %s%s" % (job.key, why, beside), file=sys.stderr, flush=True)
            else:
                results[job.key] = {**result, "quick": variants[result["case"]][1].get("quick")}
                progress(len(results), total, time.monotonic() - begin, job.key, result, args, beside)
            save(ordered(), skipped, args)
    except KeyboardInterrupt:
        save(ordered(), skipped, args)
        print("interrupted with %d of %d runs done, which are kept; go on with --resume -o %s"
              % (len(results), total, args.out), file=sys.stderr)
        raise
    return ordered(), skipped


def key_of(name, load, args):
    return "%s@%d%s" % (name, load, "".join("+" + w for w in args.with_option))


def job_of(name, module, variant, load, directory, args):
    def job(slot):
        ports = parallel.slice_of(PORTS, slot, args.jobs)
        return runner.run_one(name, module, variant, load, directory, args, ports)
    return job


def progress(i, n, seconds, key, r, args, beside=""):
    load = r["client"]
    text = "[%d/%d %.0f s] %s: %d requests (%.1f in flight, %.0f/s, p99 %.1f ms)" % (
        i, n, seconds, key, load["done"], load["in_flight_mean"], load["rps"], load["p99_us"] / 1e3)
    if "links" in r:
        text += "; %d links, right %s %%, orphan %s %%, wrong %d, crossed %d, exact %s %%" % (
            r["links"]["n"], report.short(r["links"]["right_share"]), report.short(r["links"]["orphan_share"]),
            r["all_links"]["wrong"], r["crossed"], report.short(r["exactly_right_share"]))
        if args.verbose:
            text += "\n" + score.table(r) + "".join("\n  e.g. %s: %s" % (k, t[0]) for k, t in r["examples"].items())
    print(text + beside, flush=True)


def replay_all(args):
    """The same for the runs that an earlier one has kept; each one's result is also in its replay.json."""
    results, skipped, jobs = {}, {}, []
    loads = {int(x) for x in args.load.split(",")}
    found = sorted(d for d in os.listdir(args.replay)
                   if os.path.exists(os.path.join(args.replay, d, runner.RECORDING)))
    found = [d for d in chosen(found, args.cases) if int(d.split("@")[1].split("+")[0]) in loads]
    for key in found:
        if os.path.exists(os.path.join(args.replay, key, "meta.json")):
            jobs.append(parallel.Job(key, 1, lambda slot, d=os.path.join(args.replay, key): runner.replay_one(d, args)))
        else:
            skipped[key] = "BROKEN: the run did not end well, it has no meta.json"
    begin = time.monotonic()
    for job, result, why, _ in parallel.run(jobs, args.jobs, args.flying):
        if why:
            skipped[job.key] = "BROKEN: %s" % why
            print("%s: BROKEN: %s" % (job.key, why), file=sys.stderr, flush=True)
        else:
            results[job.key] = result
            progress(len(results), len(jobs), time.monotonic() - begin, job.key, result, args)
        save(results, skipped, args)
    return {k: results[k] for k in found if k in results}, skipped


def save(results, skipped, args):
    """Writes the tables beside the JSON, after each run: what is interrupted is not lost. (text, what was not met).

    With --resume they hold all that earlier calls left in DIR, too; not met is what this call's runs did not."""
    if args.no_clew:
        return "", []
    bad = report.verdict(results, skipped, args)
    if args.resume:
        results = {**report.collect([args.out])[0], **results}
    text = report.texts(results, skipped)
    where, name, table = (args.replay, "replayed.json", "replayed.txt") if args.replay else \
        (args.out, "results.json", "table.txt")
    replace(os.path.join(where, name), json.dumps({"results": results, "skipped": skipped, "calibration": report.calibration(results),
                                                   "not_met": bad}, indent=1))
    replace(os.path.join(where, table), text + "\n" + "".join("NOT MET: %s\n" % b for b in bad))
    return text, bad


def replace(path, text):
    """Whole or not at all: who is ended while writing leaves the old one."""
    with open(path + ".new", "w") as f:
        f.write(text)
    os.rename(path + ".new", path)


def main():
    clean_up_when_terminated()
    args = arguments()
    variants = runner.all_variants()
    if args.list:
        for name, (module, v) in sorted(variants.items()):
            reason = runner.why_skipped(module, v)
            print("%-36s %-8s %s" % (name, v.get("runtime", ""), "SKIPPED: " + reason if reason else ""))
        return 0
    begin = time.monotonic()
    if not args.no_clew:
        runner.must_start(args)
    if args.replay:
        results, skipped = replay_all(args)
    else:
        todo = plan(variants, args)
        if not todo:
            print("run.py: no case fits %s; --list names them" % (args.cases or "these options"), file=sys.stderr)
            return 2
        os.makedirs(args.out, exist_ok=True)
        try:
            results, skipped = run_all(variants, todo, args)
        except KeyboardInterrupt:
            return 130
    if args.no_clew:
        return 1 if skipped and args.strict or not results else 0
    text, bad = save(results, skipped, args)
    print("\n" + text + "\n")
    bad += ["%s: %s" % (k, v) for k, v in skipped.items() if v.startswith("BROKEN") and not args.strict]
    print("%d runs in %.0f s, %d skipped or broken; %s" % (len(results), time.monotonic() - begin, len(skipped),
                                                         args.replay or args.out))
    for line in bad:
        print("NOT MET:", line)
    return 1 if bad or not results else 0


if __name__ == "__main__":
    sys.exit(main())
