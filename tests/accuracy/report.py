# SPDX-License-Identifier: Apache-2.0
"""The results of many runs for people: the table, calibration, what each source of evidence is worth, the verdict."""

import collections

import score

MAX_WRONG = 0.001  # the upper 95 % bound that wrong links and crossed traces are to stay under
ENOUGH = 10000     # links that a full run of a case has

HEAD = ("%-34s %4s %6s %6s %7s %6s %8s %6s %6s %7s %7s %7s %8s %-18s %-13s %5s"
        % ("case", "load", "flying", "links", "right %", "ask", "orphan %", "missing", "wrong", "<=95 %", "crossed", "<=95 %",
           "exact %", "jobs right/orph/wr", "timers ok/wr", "lost"))


def short(share, digits=2):
    return "-" if share is None else "%.*f" % (digits, 100 * share)


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

def ablation_text(results):
    """What is lost without each source: right % (wrong) of the links."""
    sources = sorted({s for r in results.values() for s in r.get("without", {})})
    if not sources:
        return ""
    lines = ["links right % (wrong n) with all evidence, and without one source",
             "%-34s %4s %16s" % ("case", "load", "all") + "".join(" %16s" % s for s in sources)]
    cell = lambda r: "%s (%d)" % (short(r["links"]["right_share"]), r["all_links"]["wrong"])
    for key, r in results.items():
        lines.append("%-34s %4d %16s" % (key.split("@")[0], r["load"], cell(r)) +
                     "".join(" %16s" % (cell(r["without"][s]) if s in r.get("without", {}) else "-") for s in sources))
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
