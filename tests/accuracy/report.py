#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The results of many runs for people: the table, calibration, what each source of evidence is worth, the verdict.

usage: report.py DIR... [--replayed] [--markdown] [--json OUT]

Reads what calls of run.py left in the DIRs, however many there were (run.py -o DIR, with --resume or --keep; run.py
--replay DIR --ablate ...), and prints one table of it all. With --replayed a run's last replay is taken where it had
one. --markdown prints it for docs: a row a case. Of a run that is in two DIRs the later DIR's is taken.
"""

import argparse
import collections
import json
import os
import sys

import score

MAX_WRONG = 0.001  # the upper 95 % bound that wrong links and crossed traces are to stay under
ENOUGH = 10000     # links that a full run of a case has

HEAD = ("%-34s %4s %6s %6s %7s %6s %8s %6s %6s %7s %7s %7s %8s %-18s %-13s %5s"
        % ("case", "load", "flying", "links", "right %", "ask", "orphan %", "missing", "wrong", "<=95 %", "crossed", "<=95 %",
           "exact %", "jobs right/orph/wr", "timers ok/wr", "lost"))


def short(share, digits=2):
    return "-" if share is None else "%.*f" % (digits, 100 * share)


def title(result):
    """The case, and what options of clew it was run with."""
    return " ".join([result["case"]] + result.get("options", []))


def ask_of(result):
    """The share of links that the case is asked to have right at this load, or None."""
    right = (result.get("ask") or {}).get("right", {})
    return right.get(result["load"], right.get(str(result["load"])))


def row(name, r):
    links, jobs, timers = r["links"], r["background"], r["timers"]
    ask = ask_of(r)
    return ("%-34s %4d %6s %6d %7s %6s %8s %6d %6d %7s %7d %7s %8s %-18s %-13s %5d"
            % (name, r["load"], "%.1f" % r["client"]["in_flight_mean"] if "client" in r else "-", links["n"], short(links["right_share"]), "-" if ask is None else "%g" % (100 * ask),
               short(links["orphan_share"]), links["missing"], r["all_links"]["wrong"],
               short(r["all_links"]["wrong_upper95"], 3), r["crossed"], short(r["crossed_upper95"], 3),
               short(r["exactly_right_share"]),
               "%d/%d/%d" % (jobs["right"], jobs["orphan"], jobs["wrong"]) if jobs["n"] else "-",
               "%d/%d" % (timers["right"], timers["wrong"]) if timers["n"] else "-", r.get("lost", 0)))


def table(results, skipped):
    """A row a case and load, under a heading a runtime; what was skipped, loudly."""
    lines = ["flying: requests in flight in the mean, counted at the client, its start and end included;",
             "wrong counts all links, jobs' and timers' too; its bound and that of crossed traces are to be under %g %%"
             % (100 * MAX_WRONG), "", HEAD]
    by_runtime = collections.defaultdict(list)
    for key, r in results.items():
        by_runtime[r.get("runtime") or "other"].append((key, r))
    for runtime in sorted(by_runtime):
        cases = list(dict.fromkeys(r["case"] for _, r in by_runtime[runtime]))
        for key, r in sorted(by_runtime[runtime], key=lambda kr: (cases.index(kr[1]["case"]), kr[1]["load"], kr[0])):
            lines.append(row(key.split("@")[0] + key[len(key.split("+")[0]):], r))
    for name, reason in skipped.items():
        lines.append("%-34s SKIPPED: %s" % (name, reason))
    return "\n".join(lines)


def shared_text(results):
    """Calls that several requests caused together: none may have a parent, and the links should name the causes."""
    rows = [(k, r["shared"]) for k, r in results.items() if r.get("shared", {}).get("n")]
    if not rows:
        return ""
    lines = ["calls that several requests share: a parent is wrong; links to the requests that caused them",
             "  %-38s %6s %6s %7s %12s %12s %14s" % ("run", "calls", "wrong", "missing", "all named %", "no others %", "causes named %")]
    for key, c in rows:
        of = lambda part, all_: short(c[part] / c[all_] if c[all_] else None)
        lines.append("  %-38s %6d %6d %7d %12s %12s %14s" % (key, c["n"], c["wrong"], c["missing"], of("all_named", "seen"),
                                                           of("only_these_named", "seen"), of("causes_named", "causes")))
    return "\n".join(lines)


# ---- calibration ----

def add_bins(total, r):
    for low, b in r["calibration"].items():
        t = total[low]
        t[0] += b["n"]
        t[1] += b["right"]
        t[2] += b["n"] * b["stated"]


def calibration(results):
    """Stated confidence against what is right: in bins, by class, and with each case left out.

    Left out: the share that is right in each bin of all *other* cases is what the confidence means; applied to the
    case's own links it foretells how many are right. A case that differs is one that confidence misjudges.
    """
    total = collections.defaultdict(lambda: [0, 0, 0.0])
    classes = collections.defaultdict(collections.Counter)
    cases = collections.defaultdict(list)
    for r in results.values():
        add_bins(total, r)
        cases[r["case"]].append(r)
        for name, c in r["classes"].items():
            classes[name].update(c)
    out = {"bins": {low: {"n": t[0], "stated": t[2] / t[0], "right": t[1] / t[0]}
                    for low, t in sorted(total.items(), key=lambda i: float(i[0]))},
           "classes": {k: {**c, "right_of_linked": c["right"] / (c["right"] + c["wrong"])
                           if c["right"] + c["wrong"] else None} for k, c in sorted(classes.items())},
           "left_out": {}}
    for name, own in cases.items():
        mine = collections.defaultdict(lambda: [0, 0, 0.0])
        for r in own:
            add_bins(mine, r)
        n = sum(b[0] for b in mine.values())
        if not n:
            continue
        foretold, unknown = 0.0, 0
        for low, b in mine.items():
            others = [total[low][i] - b[i] for i in (0, 1)]
            if others[0]:
                foretold += b[0] * others[1] / others[0]
            else:
                unknown += b[0]
        known = n - unknown
        out["left_out"][name] = {"n": n, "stated": sum(b[2] for b in mine.values()) / n,
                                 "right": sum(b[1] for b in mine.values()) / n,
                                 "foretold": foretold / known if known else None, "bins_of_its_own": unknown}
    return out


def calibration_text(c):
    lines = ["calibration: links that were given a parent", "  %-12s %9s %10s %10s" % ("confidence", "n", "stated %", "right %")]
    for low, b in c["bins"].items():
        lines.append("  >= %-9s %9d %10s %10s" % (low, b["n"], short(b["stated"], 3), short(b["right"], 3)))
    lines.append("  %-12s %9s %10s %10s %10s" % ("class", "right", "orphan", "wrong", "right of linked %"))
    for name, k in c["classes"].items():
        lines.append("  %-12s %9d %10d %10d %10s" % (name, k.get("right", 0), k.get("orphan", 0), k.get("wrong", 0),
                                                   short(k["right_of_linked"], 3)))
    lines.append("  each case left out: %-20s %9s %10s %12s %10s" % ("", "n", "stated %", "foretold %", "right %"))
    for name, k in sorted(c["left_out"].items()):
        lines.append("    %-36s %9d %10s %12s %10s" % (name, k["n"], short(k["stated"], 3), short(k["foretold"], 3),
                                                     short(k["right"], 3)))
    return "\n".join(lines)


# ---- sources of evidence ----

def ablation(results):
    """(sources, {case: {None or source: [links, right, wrong of all]}}), summed over the loads of a case."""
    sources = sorted({s for r in results.values() for s in r.get("without", {})})
    rows = {}
    for r in results.values():
        if not r.get("without"):
            continue
        row = rows.setdefault(title(r), {s: [0, 0, 0] for s in [None] + sources})
        for source, of in [(None, r), *r["without"].items()]:
            for k, v in enumerate((of["links"]["n"], of["links"]["right"], of["all_links"]["wrong"])):
                row[source][k] += v
    return sources, rows


def cell(counts):
    n, right, wrong = counts
    return "-" if not n else short(right / n) + (" (%d)" % wrong if wrong else "")


def ablation_text(results):
    """What is lost without each source."""
    sources, rows = ablation(results)
    if not rows:
        return ""
    lines = ["links right %, and (wrong), with all evidence and without one source, over all loads of a case",
             "%-36s %14s" % ("case", "all") + "".join(" %14s" % s for s in sources)]
    for name, row in rows.items():
        lines.append("%-36s" % name + "".join(" %14s" % cell(row[s]) for s in [None] + sources))
    return "\n".join(lines)


def proofs_text(results):
    lines = []
    for key, r in results.items():
        p = r.get("proofs")
        if p:
            lines.append("  %-40s replayed twice: %s   %d tokens replaced: %s"
                         % (key, "identical" if p["same_twice"] else "DIFFERENT", p["tokens_replaced"],
                            "links identical" if p["same_with_other_tokens"] else "LINKS DIFFER"))
    return "\n".join(["proofs"] + lines) if lines else ""


# ---- verdict ----

def verdict(results, skipped, args):
    """What was asked for and not met, a line each that begins with the case."""
    bad = []
    for key, r in results.items():
        say = lambda text, key=key: bad.append("%s: %s" % (key, text))
        linked, wrong = r["all_links"], r["all_links"]["wrong"]
        floors = dict(args.min_right)
        if args.max_wrong is not None and r["all_edges"]["wrong_share"] > args.max_wrong:
            say("%s %% of the edges are wrong" % short(r["all_edges"]["wrong_share"], 3))
        if args.quick:
            if wrong or r["crossed"]:
                say("%d wrong links, %d crossed traces; e.g. %s" % (wrong, r["crossed"], first_example(r)))
            quick = r.get("quick") or {}
            floors.update(quick.get("edges", {}))
            floor = quick.get("right", 0)
            if (r["links"]["right_share"] or 0) < floor:
                say("%s %% of the links are right, below %g %%" % (short(r["links"]["right_share"]), 100 * floor))
        else:
            # The bound itself where there are links enough for it, else the share.
            enough = score.upper_bound(0, linked["n"]) <= MAX_WRONG
            if (linked["wrong_upper95"] if enough else (linked["wrong_share"] or 0)) > MAX_WRONG:
                say("%d of %d links are wrong, at most %s %% (95 %%)" % (wrong, linked["n"],
                                                                      short(linked["wrong_upper95"], 3)))
            enough = score.upper_bound(0, r["requests"]) <= MAX_WRONG
            if (r["crossed_upper95"] if enough else (r["crossed_share"] or 0)) > MAX_WRONG:
                say("%d of %d traces are crossed, at most %s %% (95 %%)" % (r["crossed"], r["requests"],
                                                                         short(r["crossed_upper95"], 3)))
            ask = ask_of(r)
            if ask is not None and (r["links"]["right_share"] or 0) < ask:
                say("%s %% of the links are right; asked are %g %%" % (short(r["links"]["right_share"]), 100 * ask))
        for part, least in floors.items():
            for edge, c in r["edges"].items():
                if part in edge and (c["right_share"] or 0) < least:
                    say("%s: %s %% are right, below %g %%" % (edge, short(c["right_share"]), 100 * least))
        root = r["edges"].get("root")
        if root and (root["right_share"] or 0) < 0.99:
            say("%d of %d requests have no span of their own at the root" % (root["n"] - root["right"], root["n"]))
        proofs = r.get("proofs") or {}
        if proofs and not (proofs["same_twice"] and proofs["same_with_other_tokens"]):
            say("the proofs by replay failed: %s" % proofs)
    for name, reason in skipped.items():
        if reason and args.strict:
            bad.append("%s: skipped: %s" % (name, reason))
    return bad


def first_example(r):
    return next((texts[0] for kind, texts in r["examples"].items() if kind.startswith(("wrong", "crossed"))), "none kept")


# ---- all that a directory has ----

def collect(directories, replayed=False):
    """({key: result}, [what could not be read]) of all runs in the directories, in the order of their names."""
    results, bad = {}, []
    for directory in directories:
        for key in sorted(os.listdir(directory)):
            here = os.path.join(directory, key)
            score_of, replay_of = read(os.path.join(here, "score.json"), bad), read(os.path.join(here, "replay.json"), bad)
            result = replay_of if replayed and replay_of else score_of or replay_of
            if not result or "links" not in result:
                continue
            for part in ("without", "proofs"):
                if not result.get(part) and replay_of and replay_of.get(part):
                    result[part] = replay_of[part]
            results[key] = result
    return results, bad


def read(path, bad):
    try:
        with open(path) as f:
            return json.load(f)
    except FileNotFoundError:
        return None
    except (NotADirectoryError, ValueError) as e:
        if isinstance(e, ValueError):
            bad.append("%s: %s" % (path, e))
        return None


def builds_text(results):
    """A table of several builds says so."""
    builds = collections.Counter(r.get("clew", "?") for r in results.values())
    if len(builds) < 2:
        return ""
    return "made with %d builds of clew: %s" % (len(builds), ", ".join("%s (%d runs)" % b for b in builds.most_common()))


# ---- markdown ----

def md_table(head, rows):
    return "\n".join("| %s |" % " | ".join(str(c) for c in r)
                     for r in [head, ["---"] + ["---:"] * (len(head) - 1), *rows])


def md_results(results):
    """A row a case: right % at each load, then what is wrong over all loads, with the bounds."""
    loads = sorted({r["load"] for r in results.values()})
    cases = {}
    for r in sorted(results.values(), key=lambda r: (r.get("runtime") or "", r["load"])):
        cases.setdefault(title(r), {})[r["load"]] = r
    rows = []
    for name, at in cases.items():
        total = lambda *path, at=at: sum(field(r, path) for r in at.values())
        n, wrong, requests, crossed = (total("all_links", "n"), total("all_links", "wrong"), total("requests"),
                                       total("crossed"))
        rows.append([name, *(short(at[x]["links"]["right_share"]) if x in at else "" for x in loads), n,
                     "%d (≤ %s)" % (wrong, short(score.upper_bound(wrong, n), 3)),
                     "%d (≤ %s)" % (crossed, short(score.upper_bound(crossed, requests), 3)),
                     short(total("exactly_right") / requests if requests else None)])
    return md_table(["case", *("right % at {}".format(x) for x in loads), "links", "wrong (≤ %)", "crossed (≤ %)",
                     "traces exact %"], rows)


def field(result, path):
    for p in path:
        result = result[p]
    return result


def md_ablation(results):
    sources, rows = ablation(results)
    return rows and md_table(["right % (wrong)", "all", *("without " + s for s in sources)],
                             [[name, *(cell(row[s]) for s in [None] + sources)] for name, row in rows.items()])


def md_calibration(c):
    bins = md_table(["confidence from", "links", "stated %", "right %"],
                    [[low, b["n"], short(b["stated"], 3), short(b["right"], 3)] for low, b in c["bins"].items()])
    out = md_table(["case left out", "links", "stated %", "foretold % by the others", "right %"],
                   [[name, k["n"], short(k["stated"], 3), short(k["foretold"], 3), short(k["right"], 3)]
                    for name, k in sorted(c["left_out"].items())])
    return bins + "\n\n" + out


def md_shared(results):
    rows = [(k, r["shared"]) for k, r in results.items() if r.get("shared", {}).get("n")]
    return rows and md_table(["shared calls", "n", "wrong", "all causes named %", "no others %"],
                             [[k, c["n"], c["wrong"], short(c["all_named"] / c["seen"] if c["seen"] else None),
                               short(c["only_these_named"] / c["seen"] if c["seen"] else None)] for k, c in rows])


def texts(results, skipped, markdown=False):
    """Every table there is something for, one after the other."""
    c = calibration(results)
    parts = [md_results(results), md_shared(results), md_ablation(results), md_calibration(c)] if markdown else \
        [table(results, skipped), shared_text(results), ablation_text(results), proofs_text(results), calibration_text(c)]
    return "\n\n".join(t for t in [*parts, builds_text(results)] if t)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("directory", nargs="+", metavar="DIR")
    p.add_argument("--replayed", action="store_true")
    p.add_argument("--markdown", action="store_true")
    p.add_argument("--json", metavar="OUT")
    args = p.parse_args()
    for d in args.directory:
        if not os.path.isdir(d):
            p.error("%s is no directory; run.py -o makes one" % d)
    results, bad = collect(args.directory, args.replayed)
    for line in bad:
        print("report.py: not read: " + line, file=sys.stderr)
    if not results:
        p.error("no run's score.json or replay.json in " + " ".join(args.directory))
    print(texts(results, {}, args.markdown))
    if args.json:
        with open(args.json, "w") as f:
            json.dump({"results": results, "calibration": calibration(results)}, f, indent=1)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
