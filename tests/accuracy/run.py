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

import report  # noqa: E402
import runner  # noqa: E402
import score  # noqa: E402
from lib.lab import clean_up_when_terminated  # noqa: E402

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
    results, skipped, begin = {}, {}, time.monotonic()
    for i, (name, load) in enumerate(todo, 1):
        module, variant = variants[name]
        if name not in skipped:
            reason = runner.why_skipped(module, variant)
            if reason:
                skipped[name] = reason
                print("%s: SKIPPED: %s" % (name, reason), flush=True)
        if name in skipped:
            continue
        key = "%s@%d%s" % (name, load, "".join("+" + w for w in args.with_option))
        directory = os.path.join(args.out, key)
        result = runner.finished(directory, variant, args) if args.resume else None
        if result is None:
            try:
                result = runner.run_one(name, module, variant, load, directory, args)
            except Exception as e:  # one broken case must not cost the others, and must not be silent
                skipped["%s@%d" % (name, load)] = "BROKEN: %s" % str(e).strip()
                print("%s: BROKEN: %s" % (key, e), file=sys.stderr, flush=True)
                continue
        result["quick"] = variant.get("quick")
        results[key] = result
        progress(i, len(todo), time.monotonic() - begin, key, result, args)
        save(results, skipped, args)
    return results, skipped


def progress(i, n, seconds, key, r, args):
    load = r["client"]
    text = "[%d/%d %.0f s] %s: %d requests (%.1f in flight, %.0f/s, p99 %.1f ms)" % (
        i, n, seconds, key, load["done"], load["in_flight_mean"], load["rps"], load["p99_us"] / 1e3)
    if "links" in r:
        text += "; %d links, right %s %%, orphan %s %%, wrong %d, crossed %d, exact %s %%" % (
            r["links"]["n"], report.short(r["links"]["right_share"]), report.short(r["links"]["orphan_share"]),
            r["all_links"]["wrong"], r["crossed"], report.short(r["exactly_right_share"]))
        if args.verbose:
            text += "\n" + score.table(r) + "".join("\n  e.g. %s: %s" % (k, t[0]) for k, t in r["examples"].items())
    print(text, flush=True)


def replay_all(args):
    """The same for the runs that an earlier one has kept."""
    results, skipped = {}, {}
    found = sorted(d for d in os.listdir(args.replay)
                   if os.path.exists(os.path.join(args.replay, d, runner.RECORDING)))
    loads = {int(x) for x in args.load.split(",")}
    found = [d for d in chosen(found, args.cases) if int(d.split("@")[1].split("+")[0]) in loads]
    begin = time.monotonic()
    for i, key in enumerate(found, 1):
        directory = os.path.join(args.replay, key)
        if not os.path.exists(os.path.join(directory, "meta.json")):
            skipped[key] = "BROKEN: the run did not end well, it has no meta.json"
            continue
        results[key] = runner.rescore(directory, runner.clew_path(args), args.clew_option)
        if args.ablate:
            results[key]["without"] = {s: runner.ablate(directory, runner.clew_path(args), s, args)
                                       for s in args.ablate}
        if args.proofs:
            results[key]["proofs"] = runner.prove(directory, runner.clew_path(args), args)
        progress(i, len(found), time.monotonic() - begin, key, results[key], args)
        save(results, skipped, args)
    return results, skipped


def save(results, skipped, args):
    """Writes the tables beside the JSON, after each run: what is interrupted is not lost. (text, what was not met)."""
    if args.no_clew:
        return "", []
    calibration = report.calibration(results)
    text = "\n\n".join(t for t in (report.table(results, skipped), report.ablation_text(results),
                                   report.proofs_text(results), report.calibration_text(calibration)) if t)
    bad = report.verdict(results, skipped, args)
    where, name, table = (args.replay, "replayed.json", "replayed.txt") if args.replay else \
        (args.out, "results.json", "table.txt")
    with open(os.path.join(where, name), "w") as f:
        json.dump({"results": results, "skipped": skipped, "calibration": calibration, "not_met": bad}, f, indent=1)
    with open(os.path.join(where, table), "w") as f:
        f.write(text + "\n" + "".join("NOT MET: %s\n" % b for b in bad))
    return text, bad


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
        results, skipped = run_all(variants, todo, args)
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
