# SPDX-License-Identifier: Apache-2.0
"""The scorer against fabricated spans: what is right must be right, and every mistake must be seen."""

import copy
import json
import math
import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import score  # noqa: E402


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


def test_fabrication_is_not_shared():
    """The mistakes above must not leak from one world into the next."""
    w = World()
    before = copy.deepcopy(w.spans)
    w.score()
    assert before == w.spans
