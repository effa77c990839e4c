# SPDX-License-Identifier: Apache-2.0
"""clew patterns, hist, diff and top over a store that a replay made."""
import json
import re

import pytest


@pytest.fixture
def ask(clew, shop):
    def run(command, *args, check=0, **kw):
        return clew(command, "-d", shop / "db", *args, check=check, **kw)
    return run


def test_patterns(ask):
    answer = json.loads(ask("patterns", "--json").out)
    assert answer["traces"] == 12 and answer["total"] == len(answer["patterns"]) == 2
    big, small = sorted(answer["patterns"], key=lambda p: -p["count"])
    assert big["count"] == 11 and big["errors"] == 2 and small["count"] == 1
    assert [(n["kind"], n["depth"]) for n in big["shape"]] == [("client", 0), ("server", 1)]
    assert abs(sum(p["share"] for p in answer["patterns"]) - 1) < 0.001
    table = ask("patterns").out.splitlines()
    assert re.match(r"PATTERN +SHAPE +COUNT +ERR +P50 +P95 +TIME", table[0])
    assert big["id"] in "\n".join(table) and "shopd GET /item/{id}" in table[1]
    assert len(json.loads(ask("patterns", "--json", "--limit", 1).out)["patterns"]) == 1
    assert json.loads(ask("patterns", "--json", "--service", "shopd").out)["traces"] == 0
    assert json.loads(ask("patterns", "--json", "--service", "shopd", "--any").out)["traces"] == 12
    assert "\x1b" not in ask("patterns").out  # one caller's name has an escape in it


def test_hist(ask):
    answer = json.loads(ask("hist", "--json").out)
    assert answer["n"] == 12 == sum(b["count"] for b in answer["buckets"])
    text = ask("hist").out
    assert text.splitlines()[-1].startswith("12 in all, 2 with errors")
    spans = json.loads(ask("hist", "--json", "--spans", "--where", "http.response.status_code>=500").out)
    assert spans["n"] == 4
    pattern = json.loads(ask("patterns", "--json").out)["patterns"][0]
    assert json.loads(ask("hist", "--json", "--pattern", pattern["id"]).out)["n"] == pattern["count"]
    assert "16 hex digits" in ask("hist", "--pattern", "x", check=1).err


def test_diff(ask, clew):
    traces = [json.loads(line)["trace_id"] for line in ask("traces", "--json", "--sort", "duration").out.splitlines()]
    slow, fast = traces[0], traces[-1]
    answer = json.loads(ask("diff", fast[:12], slow, "--json").out)
    assert answer["a"]["trace_id"] == fast and answer["b"]["trace_id"] == slow
    assert [r["depth"] for r in answer["rows"]] == [0, 1] and all(r["delta_ns"] > 0 for r in answer["rows"])
    table = ask("diff", fast, slow).out
    assert re.match(r"SPAN +A +B +DIFFERENCE", table) and "+" in table
    slowest = ask("diff", "--from", "8ms")
    assert "traces inside" in slowest.out
    assert json.loads(ask("diff", "--from", "8ms", "--json").out)["inside"] > 0
    assert "compare what?" in clew.usage("diff")
    assert "compare what?" in clew.usage("diff", "a")
    assert "not both" in clew.usage("diff", "a", "b", "--from", "1s")


def test_top(ask):
    answer = json.loads(ask("top", "--json", "--window", "20000d").out)
    assert {s["service"]: s["requests"] for s in answer["services"]} == {"shopd": 12}
    text = ask("top", "--once", "--window", "20000d").out
    assert re.search(r"SERVICE +RATE +1/S +ERRORS", text) and "shopd" in text
    assert "no requests in this time" in ask("top", "--once", "--window", "1s").out


def test_where(ask):
    def count(*args):
        return len(ask("spans", *args).out.splitlines())
    assert count("--where", "http.response.status_code>=500") == 4
    assert count("--where", "http.response.status_code") == 24
    assert count("--where", "http.response.status_code!=200", "--where", "url.path=/item/4") == 2
    assert "24 h apart" in ask("spans", "--where", "url.path=~item", check=1).err
    assert count("--where", "url.path=~^/item/1", "--since", "2026-09-21T14:13:00Z",
                 "--until", "2026-09-21T15:00:00Z") == 6
