#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Scores the traces that clew made against what the services say they did.

usage: score.py --spans SPANS.jsonl --load LOAD.tsv --truth TRUTH.tsv... [--root NAME] [--client-traced] [--between]
                [--json OUT]

Truth. Every hop's URL carries a fresh random token. A service writes, for each call that it makes, a line

    SERVICE \\t INCOMING-TOKEN \\t CALLED-SERVICE \\t OUTGOING-TOKEN [\\t KIND]

(KIND: call, retry, repeat, parallel, background, timer, shared; see case.py) and the load generator writes TOKEN, STATUS,
START, END, done|cut. A request is scored when its answer came whole ("done"); its tree of hops follows from the
pairs. A hop should have a client span and a server span; the hop that the load generator made has no client span
unless the generator was traced too (--client-traced).

Every expected span is an edge to its parent:

    root      the topmost span has no parent
    wire      a server span's parent is the client span of the same hop
    inside    a client span's parent is the server span of the request that it was made for
    timer     a call that no request began (incoming token "-") has no parent

right    that is its parent                  orphan   it has none (and should have)
wrong    it has another one                  missing  the span itself, or the one it should hang from, is not there

    shared    a call that several requests caused together (a batch, a group commit, a collapsed request: several lines
              of truth of this kind have its outgoing token) has no parent, for each would be one of them only

A shared call is in no request's tree. That it has no parent is right; whether its span links name the requests that
caused it (all of them, some, none, and others too) is counted apart.

Trees vary from request to request: what is expected is what the truth has of this one. *Links* are the inside
edges; those of background jobs and the timers are counted apart, because an orphan is allowed there (the request
was over), but a wrong one of them is as wrong as any. With `between`, spans of no known hop (another protocol's)
may lie between a call and its request. A timer's call or a job's that clew never saw is not missing: tracing may
have begun later or ended sooner.

A wrong edge is "foreign" when the parent belongs to another request. A trace is exactly right when every
expected span is there once, every edge is right, all have one trace id, and nothing else has that trace id (jobs
that are orphans aside). It is crossed when a span of the request has a trace id that some other request's span, or
a timer's, has too.

Calibration: of the calls that were given a parent, the confidence that was stated and the share that is right, by
class and in bins. Of the orphans: how many name their request among their candidates.

Bounds are one-sided 95 % (Clopper-Pearson; with no event that is the rule of three).
"""

import argparse
import collections
import json
import math
import re
import sys

TOKEN = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
URL_ATTRIBUTES = ("url.path", "url.full", "url.query")
OUTCOMES = ("right", "orphan", "wrong", "missing")
NO_CAUSE = "-"
MAX_BETWEEN = 8  # spans of no known hop between a call and its request
# Bins of stated confidence: tenths, and the last tenth finer, for that is where it matters.
BINS = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99, 0.999, 0.9999)


# ---- bounds ----

def binomial_cdf(k, n, p):
    """P(X <= k), exactly, by log terms."""
    if p <= 0:
        return 1.0
    if p >= 1:
        return 1.0 if k >= n else 0.0
    lp, lq, base = math.log(p), math.log1p(-p), math.lgamma(n + 1)
    return min(1.0, math.fsum(math.exp(base - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * lp + (n - i) * lq)
                              for i in range(k + 1)))


def upper_bound(k, n, alpha=0.05):
    """The share that k events among n exclude with 1 - alpha (one-sided Clopper-Pearson)."""
    if n == 0 or k >= n:
        return 1.0
    low, high = k / n, 1.0
    for _ in range(60):
        mid = (low + high) / 2
        if binomial_cdf(k, n, mid) > alpha:
            low = mid
        else:
            high = mid
    return high


# ---- reading ----

def read_truth(paths):
    """{incoming token: [(service, called service, outgoing token[, kind])]}"""
    calls = collections.defaultdict(list)
    for path in paths:
        with open(path) as f:
            for number, line in enumerate(f, 1):
                fields = line.rstrip("\n").split("\t")
                if len(fields) not in (4, 5):
                    raise ValueError("%s:%d: not SERVICE IN CALLED OUT [KIND]: %r" % (path, number, line))
                calls[fields[1]].append((fields[0], fields[2], fields[3], *fields[4:]))
    return calls


def read_load(path):
    """[(token, status, done)]"""
    rows = []
    with open(path) as f:
        for line in f:
            token, status, _, _, how = line.rstrip("\n").split("\t")
            rows.append((token, int(status), how == "done"))
    return rows


def read_spans(path):
    with open(path) as f:
        return [json.loads(line) for line in f if line.strip()]


class Hop:
    """One call on the wire, as the truth has it. via: the incoming token that it was made for; None: nobody's.

    causes: of a shared call, the incoming tokens that it was made for.
    """

    __slots__ = ("token", "request", "caller", "called", "via", "kind", "causes")

    def __init__(self, token, request, caller, called, via, kind="call", causes=()):
        self.token, self.request, self.caller, self.called, self.via = token, request, caller, called, via
        self.kind, self.causes = kind, causes

    def edge(self):
        """The name of the edge between the call and its request."""
        if self.kind in ("timer", "shared"):
            return "%s %s→%s" % (self.kind, self.caller, self.called)
        return "inside %s→%s%s" % (self.caller, self.called, "" if self.kind == "call" else " " + self.kind)


def shared_calls(calls):
    """{outgoing token: (service, called service, the incoming tokens)} of kind shared, where they are several."""
    causes, ends = collections.defaultdict(set), {}
    for incoming, rows in calls.items():
        for service, called, out, *kind in rows:
            if kind == ["shared"]:
                causes[out].add(incoming)
                ends[out] = service, called
    return {out: (*ends[out], frozenset(of)) for out, of in causes.items() if len(of) > 1}


def build_hops(calls, load, root):
    """{token: Hop} of every request, timer and shared call, and the tokens of the requests that are scored."""
    hops, scored, shared = {}, [], shared_calls(calls)

    def tree(top):
        todo = [top]
        while todo:
            hop = todo.pop()
            if hop.token in hops:
                raise ValueError("token %s was used twice: the truth is broken" % hop.token)
            hops[hop.token] = hop
            for service, called, out, *kind in calls.get(hop.token, ()):
                if kind == ["shared"]:
                    if out in shared:
                        continue
                    kind = ()  # a batch of one is a call like any other
                todo.append(Hop(out, top.token, service, called, hop.token, *kind))

    for token, _, done in load:
        if done:
            scored.append(token)
        tree(Hop(token, token, None, root, None))
    for service, called, out, *_ in calls.get(NO_CAUSE, ()):
        tree(Hop(out, out, service, called, None, "timer"))
    for out, (service, called, causes) in shared.items():
        tree(Hop(out, out, service, called, None, "shared", causes))
    return hops, scored


def token_of(span, hops):
    """The known token in the span's URL, or None. Two different ones would be a span of two hops: refuse."""
    attributes = span.get("attributes") or {}
    found = None
    for name in URL_ATTRIBUTES:
        value = attributes.get(name)
        for token in TOKEN.findall(value) if isinstance(value, str) else ():
            if token in hops:
                if found and found != token:
                    raise ValueError("span %s names two hops" % span["span_id"])
                found = token
    return found


def bin_of(confidence):
    return max(i for i, low in enumerate(BINS) if confidence >= low)


# ---- scoring ----

class Score:
    """Counts, and the reasons behind the first few of each kind of mistake."""

    def __init__(self, hops, scored, spans, client_traced=False, between=False):
        self.hops, self.scored, self.client_traced, self.between = hops, scored, client_traced, between
        self.edges = collections.defaultdict(collections.Counter)
        self.kinds = collections.defaultdict(collections.Counter)  # of client spans: link, background, timer
        self.by_class = collections.defaultdict(collections.Counter)
        self.by_evidence = collections.defaultdict(collections.Counter)
        self.bins = collections.defaultdict(lambda: [0, 0, 0.0])   # bin -> n, right, sum of what was stated
        self.counts = collections.Counter()
        self.examples = collections.defaultdict(list)
        self.worst = (0, None)                         # badness, request
        self.at = collections.defaultdict(list)        # (token, kind) -> spans
        self.by_id = {}
        self.request_of = {}                           # span id -> request
        self.members = collections.defaultdict(list)   # trace id -> spans
        self.index(spans)
        self.of_request = collections.defaultdict(list)
        for hop in hops.values():
            self.of_request[hop.request].append(hop)
        for token in scored:
            self.score_request(token)
        for hop in hops.values():
            if hop.kind == "timer":
                self.score_timer(hop)
            elif hop.kind == "shared":
                self.score_hop(hop)
                self.score_links(hop)

    def index(self, spans):
        for span in spans:
            token = token_of(span, self.hops)
            self.members[span["trace_id"]].append(span)
            self.by_id[span["span_id"]] = span
            if token is None:
                self.counts["spans of no known hop"] += 1
                continue
            self.counts["spans"] += 1
            self.request_of[span["span_id"]] = self.hops[token].request
            self.at[token, span["kind"]].append(span)
            if (span.get("attributes") or {}).get("clew.incomplete"):
                self.counts["incomplete spans"] += 1

    def example(self, kind, text):
        if len(self.examples[kind]) < 5:
            self.examples[kind].append(text)

    def one(self, token, kind):
        found = self.at.get((token, kind), ())
        return found[0] if found else None

    def expected(self, hop):
        """[(edge name, kind, the hop and kind of the parent or None)] of a hop's spans."""
        out = []
        made_by_us = hop.via is not None or hop.kind in ("timer", "shared")
        has_client = made_by_us or self.client_traced
        if has_client:
            out.append((hop.edge() if made_by_us else "root", "client", (hop.via, "server") if hop.via else None))
        wire = "wire %s→%s" % (hop.caller or "load", hop.called) if has_client else "root"
        out.append((wire, "server", (hop.token, "client") if has_client else None))
        return out

    def parent_id(self, span, parent):
        """The parent's id; of a known hop, if what lies between does not count."""
        return self.known_from(span.get("parent_span_id"), parent)

    def known_from(self, at, parent):
        for _ in range(MAX_BETWEEN if self.between and parent else 0):
            if at == parent["span_id"] or at not in self.by_id or at in self.request_of:
                break
            at = self.by_id[at].get("parent_span_id")
        return at

    def judge(self, span, parent_at):
        """The outcome of one edge; the second value says of a wrong one whether it left the request."""
        if span is None:
            return "missing", False
        if parent_at is None:
            parent_id = span.get("parent_span_id")
            foreign = parent_id and self.request_of.get(parent_id) != self.request_of[span["span_id"]]
            return ("wrong" if parent_id else "right"), bool(foreign)
        parent = self.one(*parent_at)
        parent_id = self.parent_id(span, parent)
        if parent and parent_id == parent["span_id"]:
            return "right", False
        if parent_id is None:
            return ("orphan" if parent else "missing"), False
        if parent is None and parent_id not in self.by_id:
            return "missing", False  # it points to what it should, which was lost, or to nothing we can name
        return "wrong", self.request_of.get(parent_id) != self.request_of[span["span_id"]]

    def unseen(self, hop):
        """A job's or timer's call of which there is no span: made while nobody traced."""
        return hop.kind in ("background", "timer") and not self.one(hop.token, "client") and \
            not self.one(hop.token, "server")

    def score_hop(self, hop):
        """Whether all is right, the spans, and how bad it is."""
        right, spans, bad = True, [], 0
        for edge, kind, parent_at in self.expected(hop):
            found = self.at.get((hop.token, kind), ())
            if len(found) > 1:
                self.counts["duplicate spans"] += len(found) - 1
                self.example("duplicate", "%s %s: %s" % (kind, hop.token, [s["span_id"] for s in found]))
                right = False
            spans.extend(found)
            span = found[0] if found else None
            outcome, foreign = self.judge(span, parent_at)
            self.count_edge(edge, outcome, foreign, span, hop, kind, parent_at)
            right = right and outcome == "right"
            bad += {"wrong": 100, "orphan": 1, "missing": 10}.get(outcome, 0)
        return right, spans, bad

    def score_timer(self, hop):
        if self.unseen(hop):
            self.counts["unseen"] += 1
        else:
            self.score_hop(hop)

    def score_links(self, hop):
        """Do the span links of a shared call name those who caused it?"""
        span = self.one(hop.token, "client")
        if not span:
            return
        roots = [self.one(t, "server") for t in hop.causes]
        true = {s["span_id"] for s in roots if s}
        named = {l.get("span_id") or l.get("spanId") for l in span.get("links") or ()}
        self.counts["shared"] += 1
        self.counts["shared causes"] += len(hop.causes)
        self.counts["shared causes named"] += len(true & named)
        if len(true) == len(hop.causes) and true <= named:
            self.counts["shared, all named"] += 1
            self.counts["shared, none but these named"] += true == named
        else:
            self.example("shared call without all its causes", "span %s (hop %s): %d of %d named, and %d others" % (
                span["span_id"], hop.token, len(true & named), len(hop.causes), len(named - true)))

    def is_allowed_orphan(self, hop):
        if hop.kind != "background":
            return False
        span = self.one(hop.token, "client")
        return span is not None and not span.get("parent_span_id")

    def score_request(self, token):
        right, ids, spans, bad = True, set(), [], 0
        for hop in self.of_request[token]:
            if self.unseen(hop):
                self.counts["unseen"] += 1
                continue
            good, found, badness = self.score_hop(hop)
            if self.is_allowed_orphan(hop):
                continue  # in a trace of its own, which is no fault of this one's
            right, bad = right and good, bad + badness
            spans.extend(found)
            ids.update(s["trace_id"] for s in found)
        crossed = any(self.request_of.get(s["span_id"], token) != token for i in ids for s in self.members[i])
        alien = any(s["span_id"] not in self.request_of for i in ids for s in self.members[i]) and not self.between
        self.counts["requests"] += 1
        self.counts["crossed"] += crossed
        self.counts["with spans of no known hop"] += alien
        self.counts["split"] += len(ids) > 1
        self.counts["exactly right"] += right and len(ids) == 1 and not crossed and not alien
        if bad + 50 * crossed > self.worst[0]:
            self.worst = (bad + 50 * crossed, token)
        if crossed:
            self.example("crossed", "request %s in traces %s" % (token, sorted(ids)))
            self.counts["spans in a wrong trace"] += self.strays(token, spans)

    def strays(self, token, spans):
        """Spans of this request that are in the trace of another request's root."""
        root = self.one(token, "client" if self.client_traced else "server")
        home = root["trace_id"] if root else None
        return sum(s["trace_id"] != home and any(self.request_of.get(m["span_id"], token) != token
                                                for m in self.members[s["trace_id"]]) for s in spans)

    def count_edge(self, edge, outcome, foreign, span, hop, kind, parent_at):
        self.edges[edge][outcome] += 1
        if outcome == "wrong":
            self.edges[edge]["foreign"] += foreign
            self.example("wrong " + edge, "%s span %s (hop %s): parent %s" % (kind, span["span_id"], hop.token,
                                                                            span["parent_span_id"]))
        elif outcome != "right":
            self.example("%s %s" % (outcome, edge), "%s span of hop %s: %s" % (kind, hop.token,
                                                                           span and span["span_id"]))
        if not edge.startswith(("inside", "timer", "shared")):
            return
        sort = hop.kind if hop.kind in ("background", "timer", "shared") else "link"
        self.kinds[sort][outcome] += 1
        if span:
            self.count_link(edge, outcome, span, parent_at)

    def count_link(self, edge, outcome, span, parent_at):
        """What clew said of this link, against what it is."""
        attributes = span.get("attributes") or {}
        self.by_class[str(attributes.get("clew.link.class"))][outcome] += 1
        self.by_evidence["%s: %s" % (edge.split(" ", 1)[1], attributes.get("clew.link.evidence"))][outcome] += 1
        if outcome in ("right", "wrong") and span.get("parent_span_id"):
            try:
                stated = float(attributes["clew.link.confidence"])
            except (KeyError, TypeError, ValueError):
                return
            b = self.bins[bin_of(stated)]
            b[0] += 1
            b[1] += outcome == "right"
            b[2] += stated
        elif outcome == "orphan":
            named = [l.get("span_id") or l.get("spanId") for l in span.get("links") or ()]
            self.counts["orphans with candidates"] += bool(named)
            parent = self.one(*parent_at)
            self.counts["orphans that name the truth"] += any(self.known_from(n, parent) == parent["span_id"]
                                                              for n in named)

    # ---- results ----

    def groups(self):
        """Edges summed by kind: root, wire, inside, timer, shared."""
        out = collections.defaultdict(collections.Counter)
        for edge, c in self.edges.items():
            out[edge.split()[0]].update(c)
        return out

    def result(self):
        n = self.counts["requests"]
        total = sum(self.groups().values(), collections.Counter())
        claimed = collections.Counter()
        for c in self.kinds.values():
            claimed.update(c)
        return {
            "requests": n, "cut": sum(h.via is None and h.kind == "call" for h in self.hops.values()) - n,
            "exactly_right": self.counts["exactly right"],
            "exactly_right_share": self.counts["exactly right"] / n if n else None,
            "crossed": self.counts["crossed"], "crossed_share": self.counts["crossed"] / n if n else None,
            "crossed_upper95": upper_bound(self.counts["crossed"], n),
            "spans_in_wrong_trace": self.counts["spans in a wrong trace"],
            "split": self.counts["split"], "alien": self.counts["with spans of no known hop"],
            "duplicates": self.counts["duplicate spans"], "incomplete": self.counts["incomplete spans"],
            "spans": self.counts["spans"], "other_spans": self.counts["spans of no known hop"],
            "unseen": self.counts["unseen"],
            "all_edges": outcome_counts(total),
            "links": outcome_counts(self.kinds["link"]),           # calls that a request was waiting for
            "background": outcome_counts(self.kinds["background"]),
            "timers": outcome_counts(self.kinds["timer"]),
            "shared": {**outcome_counts(self.kinds["shared"]), "seen": self.counts["shared"],
                       "causes": self.counts["shared causes"], "causes_named": self.counts["shared causes named"],
                       "all_named": self.counts["shared, all named"],
                       "only_these_named": self.counts["shared, none but these named"]},
            "all_links": outcome_counts(claimed),                  # all four: what may not be wrong
            "edges": {k: outcome_counts(c) for k, c in sorted(self.edges.items())},
            "classes": {k: dict(c) for k, c in sorted(self.by_class.items())},
            "evidence": {k: dict(c) for k, c in sorted(self.by_evidence.items())},
            "calibration": {"%g" % BINS[k]: {"n": b[0], "right": b[1], "stated": b[2] / b[0]}
                            for k, b in sorted(self.bins.items())},
            "orphans_with_candidates": self.counts["orphans with candidates"],
            "orphans_that_name_the_truth": self.counts["orphans that name the truth"],
            "worst": self.worst_trace(),
            "examples": dict(self.examples),
        }

    def worst_trace(self):
        """What is not right about the worst request, and the traces in which its spans are, its own first."""
        if not self.worst[1]:
            return None
        ids, faults = [], []
        for hop in self.of_request[self.worst[1]]:
            for kind in ("server", "client"):
                ids += [s["trace_id"] for s in self.at.get((hop.token, kind), ()) if s["trace_id"] not in ids]
            for edge, kind, parent_at in self.expected(hop):
                span = self.one(hop.token, kind)
                outcome, _ = self.judge(span, parent_at)
                if outcome != "right" and not self.unseen(hop):
                    parent = parent_at and self.one(*parent_at)
                    faults.append("%s: %s: span %s, parent %s, should be %s" % (
                        edge, outcome, span and span["span_id"], span and span.get("parent_span_id"),
                        parent and parent["span_id"]))
        return {"request": self.worst[1], "traces": ids, "faults": faults}


def outcome_counts(c):
    n = sum(c[o] for o in OUTCOMES)
    return {**{o: c[o] for o in OUTCOMES}, "foreign": c["foreign"], "n": n,
            "right_share": c["right"] / n if n else None, "orphan_share": c["orphan"] / n if n else None,
            "wrong_share": c["wrong"] / n if n else None, "wrong_upper95": upper_bound(c["wrong"], n)}


def percent(share):
    return "-" if share is None else "%.3f" % (100 * share)


def table(result, title=""):
    """The result for people: one case at one load, edge by edge."""
    lines = []
    if title:
        lines.append(title)
    lines.append("  requests %d (cut off, left out: %d)   exactly right %s %%   crossed %d (upper bound %s %%)   split %d"
                 % (result["requests"], result["cut"], percent(result["exactly_right_share"]), result["crossed"],
                    percent(result["crossed_upper95"]), result["split"]))
    lines.append("  spans %d   in a wrong trace %d   duplicates %d   incomplete %d   traces with spans of no hop %d"
                 % (result["spans"], result["spans_in_wrong_trace"], result["duplicates"], result["incomplete"],
                    result["alien"]))
    lines.append("  %-32s %8s %9s %8s %8s %8s %9s %9s" % ("edge", "n", "right %", "orphan", "wrong", "missing",
                                                        "wrong %", "<= (95 %)"))
    for name, e in list(result["edges"].items()) + [("all", result["all_edges"]), ("links", result["links"])]:
        lines.append("  %-32s %8d %9s %8d %8d %8d %9s %9s" % (name, e["n"], percent(e["right_share"]), e["orphan"],
                                                            e["wrong"], e["missing"], percent(e["wrong_share"]),
                                                            percent(e["wrong_upper95"])))
    for name, c in result["classes"].items():
        n = sum(c.values())
        lines.append("  class %-26s %8d %9s %8d %8d %8d" % (name, n, percent(c.get("right", 0) / n), c.get("orphan", 0),
                                                          c.get("wrong", 0), c.get("missing", 0)))
    return "\n".join(lines)


def score_files(spans, load, truth, root="front", client_traced=False, between=False):
    hops, scored = build_hops(read_truth(truth), read_load(load), root)
    return Score(hops, scored, read_spans(spans), client_traced, between).result()


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("--spans", required=True)
    p.add_argument("--load", required=True)
    p.add_argument("--truth", required=True, nargs="+")
    p.add_argument("--root", default="front", help="name of the service that the load generator calls")
    p.add_argument("--client-traced", action="store_true")
    p.add_argument("--between", action="store_true")
    p.add_argument("--json")
    a = p.parse_args()
    result = score_files(a.spans, a.load, a.truth, a.root, a.client_traced, a.between)
    print(table(result))
    for kind, texts in result["examples"].items():
        print("  e.g. %s: %s" % (kind, texts[0]))
    if a.json:
        with open(a.json, "w") as f:
            json.dump(result, f, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
