# SPDX-License-Identifier: Apache-2.0
"""The scorer against fabricated spans: what is right must be right, and every mistake must be seen."""

import copy
import json
import math
import os
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import parallel  # noqa: E402
import report  # noqa: E402
import run  # noqa: E402
import runner  # noqa: E402
import score  # noqa: E402
from lib.lab import clean_up_when_terminated, wait_for  # noqa: E402


def tok(*parts):
    """A readable token: 32 hex digits that differ by request and hop."""
    return "".join("%04x" % p for p in parts).ljust(32, "f")


class World:
    """n requests: load → front → app → node → leaf twice, with perfect spans."""

    def __init__(self, n=20, client_traced=False):
        self.calls, self.load, self.spans = {}, [], []
        self.client_traced = client_traced
        for r in range(n):
            a, b, c, d, e = (tok(r, h) for h in range(1, 6))
            self.load.append((a, 200, True))
            self.calls[a] = [("front", "app", b)]
            self.calls[b] = [("app", "node", c)]
            self.calls[c] = [("node", "leaf", d), ("node", "leaf", e)]
            trace = "t%d" % r
            top = None
            if client_traced:
                top = self.add(trace, a, "client", None)
            s = self.add(trace, a, "server", top)
            s = self.add(trace, b, "server", self.add(trace, b, "client", s))
            s = self.add(trace, c, "server", self.add(trace, c, "client", s))
            self.add(trace, d, "server", self.add(trace, d, "client", s))
            self.add(trace, e, "server", self.add(trace, e, "client", s))

    def add(self, trace, token, kind, parent):
        span = {"trace_id": trace, "span_id": "%s-%s" % (kind[0], token), "parent_span_id": parent, "kind": kind,
                "attributes": {"url.path": "/x/" + token, "clew.link.class": "certain"}}
        self.spans.append(span)
        return span["span_id"]

    def span(self, r, hop, kind):
        return next(s for s in self.spans if s["span_id"] == "%s-%s" % (kind[0], tok(r, hop)))

    def score(self):
        hops, scored = score.build_hops(self.calls, self.load, "front")
        return score.Score(hops, scored, self.spans, self.client_traced).result()


def test_perfect():
    r = World().score()
    assert r["exactly_right"] == r["requests"] == 20
    assert r["crossed"] == r["split"] == r["duplicates"] == r["alien"] == 0
    assert r["all_edges"]["right"] == r["all_edges"]["n"] == 20 * 9
    assert set(r["edges"]) == {"root", "inside front→app", "wire front→app", "inside app→node", "wire app→node",
                               "inside node→leaf", "wire node→leaf"}
    assert r["edges"]["inside node→leaf"]["n"] == 40


def test_perfect_with_traced_client():
    r = World(client_traced=True).score()
    assert r["exactly_right"] == 20
    assert r["edges"]["wire load→front"]["right"] == 20
    assert r["edges"]["root"]["right"] == 20


def test_parent_in_another_request():
    w = World()
    w.span(3, 3, "client")["parent_span_id"] = w.span(4, 2, "server")["span_id"]
    r = w.score()
    assert r["edges"]["inside app→node"]["wrong"] == 1
    assert r["edges"]["inside app→node"]["foreign"] == 1
    assert r["exactly_right"] == 19
    assert any("wrong inside app→node" == k for k in r["examples"])
    assert r["classes"]["certain"]["wrong"] == 1


def test_swapped_pair_is_wrong_twice_and_crosses_both():
    w = World()
    a, b = w.span(1, 3, "client"), w.span(2, 3, "client")
    a["parent_span_id"], b["parent_span_id"] = b["parent_span_id"], a["parent_span_id"]
    # The subtrees move to the other trace with them, as they do in a store.
    for r_from, to in ((1, "t2"), (2, "t1")):
        for hop in (3, 4, 5):
            for kind in ("client", "server"):
                w.span(r_from, hop, kind)["trace_id"] = to
    r = w.score()
    assert r["all_edges"]["wrong"] == 2
    assert r["crossed"] == 2
    assert r["spans_in_wrong_trace"] == 12
    assert r["exactly_right"] == 18


def test_wrong_parent_within_the_request():
    w = World()
    w.span(5, 4, "client")["parent_span_id"] = w.span(5, 2, "server")["span_id"]
    r = w.score()
    assert r["edges"]["inside node→leaf"]["wrong"] == 1
    assert r["edges"]["inside node→leaf"]["foreign"] == 0
    assert r["crossed"] == 0
    assert r["exactly_right"] == 19


def test_orphan_is_not_wrong():
    w = World()
    w.span(6, 3, "client")["parent_span_id"] = None
    for hop in (3, 4, 5):
        for kind in ("client", "server"):
            w.span(6, hop, kind)["trace_id"] = "own"
    r = w.score()
    assert r["edges"]["inside app→node"]["orphan"] == 1
    assert r["all_edges"]["wrong"] == 0
    assert r["crossed"] == 0
    assert r["split"] == 1
    assert r["exactly_right"] == 19


def test_missing_span():
    w = World()
    w.spans.remove(w.span(7, 2, "server"))
    r = w.score()
    # the span itself, and the edge of the one that should hang from it (its parent id names nothing known)
    assert r["edges"]["wire front→app"]["missing"] == 1
    assert r["edges"]["inside app→node"]["missing"] == 1
    assert r["exactly_right"] == 19


def test_lost_parent_but_hung_elsewhere_is_wrong():
    w = World()
    w.spans.remove(w.span(7, 2, "server"))
    w.span(7, 3, "client")["parent_span_id"] = w.span(8, 2, "server")["span_id"]
    r = w.score()
    assert r["edges"]["inside app→node"]["wrong"] == 1


def test_root_with_a_parent_is_wrong():
    w = World()
    w.span(9, 1, "server")["parent_span_id"] = w.span(10, 4, "client")["span_id"]
    r = w.score()
    assert r["edges"]["root"]["wrong"] == 1
    assert r["edges"]["root"]["foreign"] == 1


def test_duplicate():
    w = World()
    w.spans.append(dict(w.span(2, 2, "client"), span_id="again"))
    r = w.score()
    assert r["duplicates"] == 1
    assert r["exactly_right"] == 19


def test_right_parents_in_two_traces_are_not_exactly_right():
    w = World()
    w.span(2, 4, "server")["trace_id"] = "elsewhere"
    r = w.score()
    assert r["all_edges"]["right"] == r["all_edges"]["n"]
    assert r["split"] == 1
    assert r["exactly_right"] == 19


def test_span_of_no_hop_in_the_trace():
    w = World()
    w.spans.append({"trace_id": "t0", "span_id": "x", "parent_span_id": w.span(0, 1, "server")["span_id"],
                    "kind": "client", "attributes": {"server.port": 5432}})
    r = w.score()
    assert r["alien"] == 1
    assert r["exactly_right"] == 19
    assert r["crossed"] == 0


def test_same_trace_without_a_wrong_parent_is_crossed():
    w = World()
    for span in [s for s in w.spans if s["trace_id"] == "t1"]:
        span["trace_id"] = "t0"
    r = w.score()
    assert r["crossed"] == 2
    assert r["exactly_right"] == 18


def test_cut_requests_are_left_out_but_still_known():
    w = World()
    w.load[3] = (w.load[3][0], 0, False)
    w.span(3, 2, "client")["parent_span_id"] = None
    w.span(4, 3, "client")["parent_span_id"] = w.span(3, 2, "server")["span_id"]
    r = w.score()
    assert r["requests"] == 19 and r["cut"] == 1
    assert r["all_edges"]["orphan"] == 0
    assert r["edges"]["inside app→node"]["foreign"] == 1


def test_token_in_full_url_and_query():
    w = World()
    for s in w.spans:
        path = s["attributes"].pop("url.path")
        s["attributes"]["url.full" if s["kind"] == "client" else "url.query"] = "http://h:1" + path + "?a=b"
    assert w.score()["exactly_right"] == 20


def test_nothing_recorded():
    w = World()
    w.spans.clear()
    r = w.score()
    assert r["exactly_right"] == 0
    assert r["all_edges"]["missing"] == r["all_edges"]["n"] == 180


def test_token_used_twice_is_refused():
    w = World()
    w.calls[tok(0, 1)] = [("front", "app", tok(1, 2))]
    with pytest.raises(ValueError):
        w.score()


def test_bounds():
    assert math.isclose(score.upper_bound(0, 10000), 1 - 0.05 ** (1 / 10000), rel_tol=1e-6)
    assert abs(score.upper_bound(0, 10000) - 3 / 10000) < 1e-6 * 10
    # tables: 1 of 100 -> 4.656 %, 5 of 100 -> 10.225 % (one-sided 95 %)
    assert math.isclose(score.upper_bound(1, 100), 0.04656, abs_tol=2e-5)
    assert math.isclose(score.upper_bound(5, 100), 0.10225, abs_tol=2e-5)
    assert score.upper_bound(7, 7) == 1.0
    assert score.upper_bound(0, 0) == 1.0


def test_command_line(tmp_path):
    w = World()
    w.span(3, 3, "client")["parent_span_id"] = w.span(4, 2, "server")["span_id"]
    (tmp_path / "spans").write_text("".join(json.dumps(s) + "\n" for s in w.spans))
    (tmp_path / "load").write_text("".join("%s\t%d\t1\t2\t%s\n" % (t, s, "done" if d else "cut")
                                           for t, s, d in w.load))
    (tmp_path / "truth").write_text("".join("%s\t%s\t%s\t%s\n" % (svc, t, called, out)
                                            for t, rows in w.calls.items() for svc, called, out in rows))
    here = os.path.dirname(os.path.abspath(__file__))
    r = subprocess.run([sys.executable, os.path.join(here, "score.py"), "--spans", tmp_path / "spans", "--load",
                        tmp_path / "load", "--truth", tmp_path / "truth", "--json", tmp_path / "out"],
                       capture_output=True, text=True, check=True)
    assert "wrong inside app→node" in r.stdout
    assert json.loads((tmp_path / "out").read_text())["all_edges"]["wrong"] == 1


class Varied(World):
    """Requests load → svc whose calls to leaf vary: some have a retry, a job after the answer; a timer beside them."""

    def __init__(self, n=20):
        self.calls, self.load, self.spans = {"-": []}, [], []
        self.client_traced = False
        for r in range(n):
            top = tok(r, 1)
            self.load.append((top, 200, True))
            server = self.add("t%d" % r, top, "server", None)
            kinds = ["call"] * (r % 3) + (["retry"] if r % 4 == 0 else []) + (["background"] if r % 5 == 0 else [])
            rows = []
            for i, kind in enumerate(kinds):
                out = tok(r, 2 + i)
                rows.append(("svc", "leaf", out, kind))
                if kind == "background":  # as it should be where nothing is known of it: an orphan, in its own trace
                    self.add("own%d" % r, out, "server", self.add("own%d" % r, out, "client", None))
                else:
                    self.add("t%d" % r, out, "server", self.add("t%d" % r, out, "client", server))
            if rows:
                self.calls[top] = rows
        for i in range(3):
            out = tok(1000 + i, 1)
            self.calls["-"].append(("svc", "leaf", out, "timer"))
            self.add("timer%d" % i, out, "server", self.add("timer%d" % i, out, "client", None))

    def score(self, between=False):
        hops, scored = score.build_hops(self.calls, self.load, "svc")
        return score.Score(hops, scored, self.spans, False, between).result()

    def confident(self, stated):
        for s in self.spans:
            if s["kind"] == "client":
                s["attributes"]["clew.link.confidence"] = stated


def test_trees_may_vary():
    r = Varied().score()
    assert r["requests"] == r["exactly_right"] == 20 and r["crossed"] == 0
    assert r["links"]["n"] == r["links"]["right"] == sum(i % 3 for i in range(20)) + 5
    assert r["edges"]["inside svc→leaf retry"]["right"] == 5
    assert r["cut"] == 0


def test_jobs_may_be_orphans_and_are_not_among_the_links():
    r = Varied().score()
    assert (r["background"]["n"], r["background"]["orphan"]) == (4, 4)
    assert r["links"]["orphan"] == 0
    w = Varied()
    job = next(s for s in w.spans if s["trace_id"] == "own5" and s["kind"] == "client")
    home = next(s for s in w.spans if s["trace_id"] == "t5" and s["kind"] == "server")
    job["parent_span_id"] = home["span_id"]
    for s in w.spans:
        s["trace_id"] = "t5" if s["trace_id"] == "own5" else s["trace_id"]
    r = w.score()
    assert (r["background"]["right"], r["background"]["orphan"], r["exactly_right"]) == (1, 3, 20)


def test_a_job_under_another_request_is_wrong():
    w = Varied()
    job = next(s for s in w.spans if s["trace_id"] == "own5" and s["kind"] == "client")
    job["parent_span_id"] = w.span(6, 1, "server")["span_id"]
    for s in w.spans:
        s["trace_id"] = "t6" if s["trace_id"] == "own5" else s["trace_id"]
    r = w.score()
    assert r["background"]["wrong"] == r["all_links"]["wrong"] == 1 and r["links"]["wrong"] == 0
    assert r["crossed"] == 2


def test_a_timer_has_no_parent():
    r = Varied().score()
    assert (r["timers"]["n"], r["timers"]["right"]) == (3, 3)
    w = Varied()
    call = next(s for s in w.spans if s["trace_id"] == "timer1" and s["kind"] == "client")
    call["parent_span_id"] = w.span(7, 1, "server")["span_id"]
    for s in w.spans:
        s["trace_id"] = "t7" if s["trace_id"] == "timer1" else s["trace_id"]
    r = w.score()
    assert r["timers"]["wrong"] == r["all_links"]["wrong"] == 1
    assert r["edges"]["timer svc→leaf"]["foreign"] == 1
    assert r["crossed"] == 1 and r["exactly_right"] == 19


def test_what_was_made_while_nobody_traced_is_not_missing():
    w = Varied()
    w.spans = [s for s in w.spans if s["trace_id"] not in ("timer0", "own10")]
    r = w.score()
    assert r["unseen"] == 2 and r["timers"]["n"] == 2 and r["background"]["n"] == 3
    assert r["timers"]["missing"] == r["background"]["missing"] == 0
    # but half of a call is
    w.spans = [s for s in w.spans if not (s["trace_id"] == "timer1" and s["kind"] == "client")]
    assert w.score()["timers"]["missing"] == 1


def test_spans_of_no_hop_between_only_where_the_case_says_so():
    w = Varied()
    call, server = w.span(1, 2, "client"), w.span(1, 1, "server")
    for i, (parent, kind) in enumerate(((server["span_id"], "client"), ("x0", "server"))):
        w.spans.append({"trace_id": "t1", "span_id": "x%d" % i, "parent_span_id": parent, "kind": kind,
                        "attributes": {}})
    call["parent_span_id"] = "x1"
    assert w.score()["links"]["wrong"] == 1
    r = w.score(between=True)
    assert r["links"]["wrong"] == 0 and r["exactly_right"] == 20 and r["alien"] == 0
    # through another request's it is as wrong as before
    w.spans[-2]["parent_span_id"] = w.span(2, 1, "server")["span_id"]
    assert w.score(between=True)["links"]["wrong"] == 1


def test_a_loop_of_parents_ends():
    w = Varied()
    for a, b in (("x0", "x1"), ("x1", "x0")):
        w.spans.append({"trace_id": "t1", "span_id": a, "parent_span_id": b, "kind": "client", "attributes": {}})
    w.span(1, 2, "client")["parent_span_id"] = "x0"
    assert w.score(between=True)["links"]["wrong"] == 1


def test_calibration():
    w = Varied()
    w.confident(0.95)
    w.span(1, 2, "client")["attributes"]["clew.link.confidence"] = 0.5
    w.span(2, 2, "client")["parent_span_id"] = w.span(4, 1, "server")["span_id"]
    c = w.score()["calibration"]
    assert c["0.5"] == {"n": 1, "right": 1, "stated": 0.5}
    assert c["0.9"]["n"] == w.score()["links"]["n"] - 1 and c["0.9"]["right"] == c["0.9"]["n"] - 1
    assert math.isclose(c["0.9"]["stated"], 0.95)


@pytest.mark.parametrize("stated, low", [(0, 0), (0.0999, 0), (0.1, 1), (0.89, 8), (0.9, 9), (0.99, 10), (1, 12)])
def test_bins(stated, low):
    assert score.bin_of(stated) == low


def test_candidates_of_orphans():
    w = Varied()
    for r, named in ((1, w.span(1, 1, "server")["span_id"]), (2, w.span(4, 1, "server")["span_id"])):
        call = w.span(r, 2, "client")
        call["parent_span_id"] = None
        call["links"] = [{"span_id": named}]
    r = w.score()
    assert (r["orphans_with_candidates"], r["orphans_that_name_the_truth"]) == (2, 1)
    w.spans.append({"trace_id": "t1", "span_id": "x", "parent_span_id": w.span(1, 1, "server")["span_id"],
                    "kind": "server", "attributes": {}})
    w.span(1, 2, "client")["links"] = [{"span_id": "x"}]
    assert w.score()["orphans_that_name_the_truth"] == 0
    assert w.score(between=True)["orphans_that_name_the_truth"] == 1


def test_worst():
    assert Varied().score()["worst"] is None
    w = Varied()
    w.span(1, 2, "client")["parent_span_id"] = None
    w.span(2, 2, "client")["parent_span_id"] = w.span(4, 1, "server")["span_id"]
    worst = w.score()["worst"]
    assert worst["request"] == tok(2, 1) and worst["traces"] == ["t2"]
    assert worst["faults"] == ["inside svc→leaf: wrong: span c-%s, parent s-%s, should be s-%s" % (
        tok(2, 2), tok(4, 1), tok(2, 1))]


def test_truth_with_and_without_kinds(tmp_path):
    (tmp_path / "t").write_text("a\t1\tb\t2\na\t1\tb\t3\tretry\n")
    assert score.read_truth([tmp_path / "t"])["1"] == [("a", "b", "2"), ("a", "b", "3", "retry")]
    (tmp_path / "t").write_text("a\t1\tb\n")
    with pytest.raises(ValueError):
        score.read_truth([tmp_path / "t"])


# ---- the report ----

class Asked:
    quick, strict, max_wrong = False, False, None

    def __init__(self, **kw):
        self.min_right = {}
        self.__dict__.update(kw)


def run_of(world, **kw):
    return {"case": "some", "load": 50, "ask": {"right": {50: 0.995}}, **world.score(), **kw}


def test_verdict():
    assert report.verdict({"some@50": run_of(Varied())}, {}, Asked()) == []
    w = Varied()
    w.span(1, 2, "client")["parent_span_id"] = None
    bad = report.verdict({"some@50": run_of(w)}, {}, Asked())
    assert len(bad) == 1 and bad[0].startswith("some@50: 95.83 %") and "asked are 99.5" in bad[0]
    w.span(1, 2, "client")["parent_span_id"] = w.span(2, 1, "server")["span_id"]
    bad = report.verdict({"some@50": run_of(w)}, {}, Asked())
    assert any("1 of 31 links are wrong" in b for b in bad)
    assert any("1 wrong links" in b for b in report.verdict({"some@50": run_of(w)}, {}, Asked(quick=True)))


def test_verdict_of_the_bound_needs_links_enough():
    """With 10,000 links 4 wrong ones are too many for the bound, though their share is not."""
    r = run_of(Varied())
    r["all_links"] = score.outcome_counts({"right": 9996, "wrong": 4, "orphan": 0, "missing": 0, "foreign": 0})
    assert not report.verdict({"a@50": r}, {}, Asked())
    r["all_links"] = score.outcome_counts({"right": 9995, "wrong": 5, "orphan": 0, "missing": 0, "foreign": 0})
    assert any("5 of 10000" in b for b in report.verdict({"a@50": r}, {}, Asked()))


def test_floors_and_skips_and_proofs():
    r = run_of(Varied(), quick={"right": 0.9, "edges": {"retry": 1.1}},
               proofs={"same_twice": True, "same_with_other_tokens": False})
    bad = report.verdict({"a@50": r}, {"b": "not installed: x"}, Asked(quick=True, strict=True))
    assert [b.split(":")[0] for b in bad] == ["a@50", "a@50", "b"]
    assert report.verdict({}, {"b": "not installed: x"}, Asked()) == []


def test_calibration_with_each_case_left_out():
    """One case is as sure as the other and half as often right: the others do not foretell it."""
    def fake(name, right):
        return {"case": name, "load": 1, "classes": {"certain": {"right": right, "wrong": 100 - right}},
                "calibration": {"0.9": {"n": 100, "right": right, "stated": 0.95}}}
    c = report.calibration({"a@1": fake("a", 100), "b@1": fake("b", 100), "c@1": fake("c", 50)})
    assert c["left_out"]["c"]["foretold"] == 1.0 and c["left_out"]["c"]["right"] == 0.5
    assert c["left_out"]["a"]["foretold"] == 0.75 and c["left_out"]["a"]["right"] == 1.0
    assert math.isclose(c["bins"]["0.9"]["right"], 250 / 300)
    assert math.isclose(c["classes"]["certain"]["right_of_linked"], 250 / 300)
    alone = report.calibration({"a@1": fake("a", 100)})
    assert alone["left_out"]["a"]["foretold"] is None and alone["left_out"]["a"]["bins_of_its_own"] == 100


def test_tables_hold_every_run_and_say_what_was_skipped():
    r = run_of(Varied(), runtime="c", lost=3)
    r["without"] = {"wake": r}
    text = report.table({"some@50+agent": r}, {"other": "not installed: ruby"})
    assert "some+agent" in text and "other" in text and "SKIPPED: not installed: ruby" in text
    assert "wake" in report.ablation_text({"some@50": r})
    assert report.proofs_text({"some@50": r}) == "" and report.ablation_text({}) == ""


def test_cases_are_found_by_name_beginning_and_glob():
    names = ["c-loop", "c-loop-timers", "puma"]
    assert run.chosen(names, []) == names
    assert run.chosen(names, ["c-loop"]) == names[:2]
    assert run.chosen(names, ["*timers", "puma"]) == names[1:]


def test_every_case_can_be_described():
    """All scenario files load, names are unique, what a case asks is a share at a load."""
    for name, (module, v) in runner.all_variants().items():
        assert v["name"] == name and callable(module.build) and v.get("runtime"), name
        for load, share in v.get("ask", {}).get("right", {}).items():
            assert load in run.LOADS and 0 < share <= 1, name
        assert runner.why_skipped(module, {**v, "needs": ["/nowhere/at/all"]}) == "not installed: /nowhere/at/all"


def test_fabrication_is_not_shared():
    """The mistakes above must not leak from one world into the next."""
    w = World()
    before = copy.deepcopy(w.spans)
    w.score()
    assert before == w.spans


# ---- calls that several requests share ----

def sharing(parent=None, links=(1, 2), kind="shared"):
    """Requests 1 and 2 caused one call together, and request 3 one of the same kind alone."""
    w = World(5)
    alone, both = tok(3, 9), tok(1, 9)
    w.calls[tok(1, 3)].append(("node", "leaf", both, kind))
    w.calls[tok(2, 3)].append(("node", "leaf", both, kind))
    w.calls[tok(3, 3)].append(("node", "leaf", alone, kind))
    trace = w.span(parent, 3, "server")["trace_id"] if parent else "shared"
    w.add(trace, both, "server", w.add(trace, both, "client", parent and w.span(parent, 3, "server")["span_id"]))
    w.spans[-2]["links"] = [{"span_id": w.span(r, 3, "server")["span_id"]} for r in links]
    w.add("t3", alone, "server", w.add("t3", alone, "client", w.span(3, 3, "server")["span_id"]))
    return w


def test_shared_call_without_parent_is_right():
    r = sharing().score()
    assert (r["shared"]["right"], r["shared"]["wrong"], r["shared"]["n"]) == (1, 0, 1)
    assert r["shared"]["all_named"] == r["shared"]["only_these_named"] == 1 and r["shared"]["causes_named"] == 2
    assert r["exactly_right"] == 5 and r["crossed"] == 0 and r["all_links"]["wrong"] == 0
    assert r["links"]["n"] == 5 * 4 + 1  # that of one cause is a call like any other


@pytest.mark.parametrize("parent", (1, 2, 4))
def test_shared_call_with_a_parent_is_wrong(parent):
    r = sharing(parent).score()
    assert r["shared"]["wrong"] == 1 and r["all_links"]["wrong"] == 1
    assert r["crossed"] == 1 and r["exactly_right"] == 4


@pytest.mark.parametrize("links, all_, only, named", (((1,), 0, 0, 1), ((1, 2, 4), 1, 0, 2), ((4,), 0, 0, 0), ((), 0, 0, 0)))
def test_shared_call_and_its_links(links, all_, only, named):
    s = sharing(links=links).score()["shared"]
    assert (s["all_named"], s["only_these_named"], s["causes_named"]) == (all_, only, named)
    assert s["right"] == 1


def test_a_call_with_two_causes_that_is_not_said_to_be_shared_is_refused():
    with pytest.raises(ValueError):
        sharing(kind="call").score()


# ---- results of a directory ----

def left_run(directory, name, load, without=(), **more):
    r = World(3).score()
    r.update(case=name, load=load, runtime="c", client={"in_flight_mean": 1.0}, options=[], **more)
    if without:
        r["without"] = {s: {k: r[k] for k in ("links", "all_links", "crossed", "requests")} for s in without}
    os.makedirs(directory / ("%s@%d" % (name, load)))
    with open(directory / ("%s@%d" % (name, load)) / "score.json", "w") as f:
        json.dump(r, f)
    return r


def test_report_merges_what_calls_have_left(tmp_path):
    left_run(tmp_path / "a", "one", 1)
    left_run(tmp_path / "a", "one", 10, without=["wake"])
    left_run(tmp_path / "b", "two", 10, clew="other")
    (tmp_path / "b" / "broken@1").mkdir()
    (tmp_path / "b" / "results.json").write_text("{}")
    results, bad = report.collect([tmp_path / "a", tmp_path / "b"])
    assert sorted(results) == ["one@1", "one@10", "two@10"] and not bad
    sources, rows = report.ablation(results)
    assert sources == ["wake"] and rows == {"one": {None: [12, 12, 0], "wake": [12, 12, 0]}}
    text = report.texts(results, {})
    assert "without one source" in text and "2 builds of clew" in text
    md = report.texts(results, {}, markdown=True)
    lines = [line for line in md.splitlines() if line.startswith("| one |")]
    assert len(lines) == 2 and lines[0].startswith("| one | 100.00 | 100.00 | 24 | 0 (≤ ")
    assert all(line.count("|") == md.splitlines()[0].count("|") for line in md.splitlines()[:4])


def test_report_takes_replays_when_asked(tmp_path):
    r = left_run(tmp_path, "one", 1)
    r["links"]["right_share"], r["without"] = 0.5, {"fork": {"links": r["links"], "all_links": r["all_links"]}}
    (tmp_path / "one@1" / "replay.json").write_text(json.dumps(r))
    plain, again = report.collect([tmp_path])[0]["one@1"], report.collect([tmp_path], replayed=True)[0]["one@1"]
    assert plain["links"]["right_share"] == 1 and again["links"]["right_share"] == 0.5
    assert "fork" in plain["without"]


# ---- several runs at once ----

def job(load, key=None):
    return parallel.Job(key or "x@%d" % load, load, None)


def test_heavy_runs_have_light_ones_beside_them():
    fifty, ten, one, huge = job(50), job(10), job(1), job(200)
    assert parallel.pick([one, ten, fifty, huge], [], 60) is huge
    assert parallel.pick([one, ten, fifty], [huge], 60) is None  # it is alone
    assert parallel.pick([one, ten, fifty], [], 60) is fifty
    assert parallel.pick([one, ten, job(50)], [fifty], 60) is one
    assert parallel.pick([huge, job(50)], [fifty], 60) is None
    assert parallel.pick([one, ten], [job(1)], 60) is ten


def test_jobs_run_at_once_and_a_broken_one_is_told():
    def fail(slot):
        raise RuntimeError("no such thing")
    jobs = [parallel.Job("a", 1, lambda slot: slot), parallel.Job("b", 1, fail), parallel.Job("c", 1, lambda slot: os._exit(3))]
    got = {j.key: (result, why) for j, result, why, _ in parallel.run(jobs, 3, 60)}
    assert got["a"][1] is None and got["a"][0] in (0, 1, 2)
    assert "no such thing" in got["b"][1] and "3" in got["c"][1]


def test_interrupted_jobs_are_ended(tmp_path):
    """Each gets SIGTERM and has its time to clean up."""
    def slow(slot):
        try:
            (tmp_path / "begun").write_text("")
            time.sleep(60)
        finally:
            (tmp_path / "ended").write_text("")
    clean_up_when_terminated()
    jobs = [parallel.Job("quick", 1, lambda slot: wait_for((tmp_path / "begun").exists)), parallel.Job("slow", 1, slow)]
    with pytest.raises(KeyboardInterrupt):
        for _ in parallel.run(jobs, 2, 60):
            raise KeyboardInterrupt
    assert (tmp_path / "ended").exists()


def test_slots_have_ports_of_their_own():
    slices = [parallel.slice_of((26000, 26999), i, 6) for i in range(6)]
    taken = [p for first, last in slices for p in range(first, last + 1)]
    assert len(taken) == len(set(taken)) and min(taken) == 26000 and max(taken) <= 26999
