# SPDX-License-Identifier: Apache-2.0
"""From a recording to the screen: replay, dump and every query command, without root."""
import csv
import io
import json
import os
import re
import subprocess

import pytest
from conftest import CLEW, ROOT

from lib import recording


@pytest.fixture
def ask(clew, shop):
    def run(command, *args, check=0, **kw):
        return clew(command, "-d", shop / "db", *args, check=check, **kw)
    return run


def lines(result):
    return [json.loads(line) for line in result.out.splitlines()]


def test_missing_store_says_how_to_make_one(clew, tmp_path):
    for command in (["traces"], ["spans"], ["trace", "--last"], ["services"], ["map"], ["sql", "SELECT 1"]):
        r = clew(*command, "-d", tmp_path / "none", check=1)
        assert r.out == "" and "clew run -- CMD" in r.err
    file = tmp_path / "file"
    file.write_text("x")
    assert "not a directory" in clew("traces", "-d", file, check=1).err


def test_traces(ask):
    table = ask("traces").out.splitlines()
    assert re.match(r"TRACE +STARTED +SERVICE +REQUEST +DURATION", table[0])
    assert len(table) == 13
    rows = lines(ask("traces", "--json"))
    assert len(rows) == 12 and rows[0]["spans"] == 2 and rows[0]["name"] == "GET /item/{id}"
    assert [r["start_ns"] for r in rows] == sorted((r["start_ns"] for r in rows), reverse=True)
    longest = lines(ask("traces", "--json", "--sort", "duration", "--limit", 1))
    assert longest[0]["duration_ns"] == max(r["duration_ns"] for r in rows)


@pytest.mark.parametrize("filters, n", [
    ([], 24), (["--service", "shopd"], 12), (["--service", "nobody"], 0), (["--limit", 3], 3),
    (["--error", "--service", "shopd"], 2), (["--name", "GET /item/{id}"], 24), (["--name", "GET"], 0),
    (["--attr", "http.response.status_code=503"], 4), (["--attr", "url.path=/item/7"], None),
    (["--attr", "service.name=shopd", "--attr", "http.response.status_code=503"], 2),
    (["--min-duration", "11ms"], 3), (["--max-duration", "1ms"], None),
    (["--since", "2026-09-21T14:13:19Z"], 24), (["--since", "1ns"], 0),
    (["--until", "2026-09-21T14:13:19.999Z"], 0),
])
def test_filters(ask, filters, n):
    spans = lines(ask("spans", *filters))
    if n is None:  # what holds is what the rows themselves say
        n = {"--attr": 1, "--max-duration": 1}[filters[0]]
        assert len(spans) >= n
        assert all(s["attributes"]["url.path"] == "/item/7" for s in spans if filters[0] == "--attr")
        assert all(s["duration_ns"] <= 10**6 for s in spans if filters[0] == "--max-duration")
    else:
        assert len(spans) == n


def test_spans_are_flat_and_in_order(ask):
    spans = lines(ask("spans"))
    keys = {"trace_id", "span_id", "parent_span_id", "service", "name", "kind", "start_ns", "duration_ns",
            "status", "attributes", "links"}
    assert all(keys <= set(s) for s in spans)
    assert spans == sorted(spans, key=lambda s: (s["start_ns"], s["span_id"]))
    ids = {s["span_id"] for s in spans}
    assert all(s["parent_span_id"] is None or s["parent_span_id"] in ids for s in spans)
    assert {s["kind"] for s in spans} == {"client", "server"}


def test_trace(ask):
    newest = lines(ask("traces", "--json", "--limit", 1))[0]["trace_id"]
    by_id, last = ask("trace", newest), ask("trace", "--last")
    assert by_id.out == last.out == ask("trace", newest[:8]).out == ask("trace", newest[:8].upper()).out
    assert newest in last.out and "shopd GET /item/{id}" in last.out
    assert "why:" not in last.out and "both ends saw the same bytes" in ask("trace", "--last", "--why").out
    document = json.loads(ask("trace", "--last", "--json").out)
    spans = [s for r in document["resourceSpans"] for c in r["scopeSpans"] for s in c["spans"]]
    assert len(spans) == 2 and all(s["traceId"] == newest for s in spans)
    assert "no trace" in ask("trace", "00000000", check=1).err


def test_trace_fits_and_is_safe(ask):
    for width in (80, 100, 160):
        for trace in lines(ask("traces", "--json")):
            r = ask("trace", trace["trace_id"], "--why", env={"COLUMNS": str(width), "CLICOLOR_FORCE": "1"})
            plain = re.sub("\x1b\\[[0-9;]*m", "", r.out)
            assert "\x1b" not in plain
            assert max(map(len, plain.splitlines())) <= width
    assert all(s["service"] != "" for s in lines(ask("spans")))
    assert any("\x1b" in s["service"] for s in lines(ask("spans"))), "the hostile name is in the store"
    for command in ("traces", "services", "map"):
        assert "\x1b" not in ask(command).out


def test_colour_and_ascii(ask):
    assert "\x1b[" in ask("trace", "--last", env={"CLICOLOR_FORCE": "1"}).out
    assert "\x1b[" not in ask("trace", "--last", env={"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}).out
    assert "\x1b[" not in ask("trace", "--last").out
    for command in (["trace", "--last", "--why"], ["traces"], ["map"], ["services"]):
        assert ask(*command, env={"LC_ALL": "C"}).out.isascii()
    assert not ask("trace", "--last").out.isascii()


def test_services_and_map(ask):
    services = {s["service"]: s for s in lines(ask("services", "--json"))}
    assert services["shopd"]["requests"] == 12 and services["shopd"]["errors"] == 2
    assert re.search(r"^shopd +1 +12 +12 +2 +16\.7 ", ask("services").out, re.M)
    service_map = json.loads(ask("map", "--json").out)
    edges = {(e["client"], e["server"]): e["calls"] for e in service_map["edges"]}
    assert edges["loadgen", "shopd"] == 11
    assert "└╴shopd" in ask("map").out
    dot = ask("map", "--dot").out
    assert dot.startswith("digraph clew {") and '"loadgen" -> "shopd" [label="11 calls' in dot


def test_services_why(ask):
    rows = {s["service"]: s for s in lines(ask("services", "--why", "--json"))}
    gen = rows["loadgen"]
    assert gen["roots"] == 11 and gen["advice"] == {"option": None, "up_to": 0, "text": "It made no calls for requests"}
    text = ask("services", "--why").out
    assert re.search(r"^SERVICE +RUNTIME +CHECKED +CALLS +CERTAIN +PROBABLE +ORPHANS +OWN$", text, re.M)
    assert re.search(r"^loadgen +· .* 11$", text, re.M) and "loadgen: " in text
    assert ask("services", "--why", env={"LC_ALL": "C"}).out.isascii()
    for width in (80, 120):
        assert max(map(len, ask("services", "--why", env={"COLUMNS": str(width)}).out.splitlines())) <= width
    assert "checkpoints" not in ask("services").out and "REQUESTS" in ask("services").out


def test_advice_names_options_that_exist(clew):
    """What services --why advises is in the option table."""
    source = open(os.path.join(ROOT, "src/query/advice.c")).read()
    named = set(re.findall(r"--[a-z]+(?:-[a-z]+)*", source))
    known = clew("help", "record", check=0).out
    assert {"--agent", "--ring-size"} <= named
    assert not [o for o in named if o + " " not in known and o + "\n" not in known and o + "=" not in known], named


def test_sql(ask):
    query = "SELECT service, count(*) AS n FROM spans WHERE service LIKE 's%' GROUP BY service"
    assert ask("sql", query).out == "service   n\nshopd    12\n"
    assert lines(ask("sql", query, "--json")) == [{"service": "shopd", "n": 12}]
    assert ask("sql", query, "--csv").raw == b"service,n\r\nshopd,12\r\n"
    tricky = "SELECT 'a,\"b' || chr(10) AS x, NULL AS y, '' AS z"
    rows = list(csv.reader(io.StringIO(ask("sql", tricky, "--csv").out, newline="")))
    assert rows == [["x", "y", "z"], ['a,"b\n', "", ""]]
    assert "\x1b" not in ask("sql", "SELECT chr(27) || '[31m' AS x").out
    r = ask("sql", "SELECT CAST(chr(27) || '[31m' AS INTEGER)", check=1)
    assert "[31m" in r.err and "\x1b" not in r.err
    for bad in ("DROP TABLE spans", "SELECT * FROM read_csv('/etc/passwd')", "SELEKT 1",
                "COPY spans TO '/tmp/x'", "INSTALL httpfs"):
        r = ask("sql", bad, check=1)
        assert r.out == "" and r.err.startswith("clew: ")


def test_nothing_to_show_is_said(clew, tmp_path):
    """A store without spans: each command says so, and JSON stays JSON."""
    empty = tmp_path / "empty.clew"
    empty.write_bytes(recording.shop(1).data()[:512])
    clew("replay", empty, "-d", tmp_path / "db", "-q", check=0)
    for command, words in ((["traces"], "no trace matches"), (["services"], "holds no spans yet"),
                           (["map"], "holds no spans yet"), (["patterns"], "no trace matches"),
                           (["hist"], "nothing matches"), (["top", "--once"], "--window 1d looks further back"),
                           (["diff", "--from", "1ms"], "nothing differs")):
        r = clew(*command, "-d", tmp_path / "db", check=0)
        assert words in r.out + r.err, command
        for line in clew(*command, "-d", tmp_path / "db", "--json", check=0).out.splitlines():
            json.loads(line)
    assert "holds no trace yet" in clew("trace", "--last", "-d", tmp_path / "db", check=1).err


def test_no_store_is_made_for_what_is_no_recording(clew, tmp_path):
    bad = tmp_path / "bad"
    bad.write_bytes(b"not a recording at all")
    for file, words in ((bad, "not a recording; name a file that --raw wrote"), (tmp_path / "none", "No such file"),
                        (tmp_path, "Is a directory")):
        r = clew("replay", file, "-d", tmp_path / "db", check=1)
        assert words in r.err and len(r.err.splitlines()) == 1, r.err
    assert not (tmp_path / "db").exists()


def test_replay_is_the_same_each_time(clew, shop, tmp_path):
    outputs = []
    for i in range(2):
        clew("replay", shop / "shop.clew", "-d", tmp_path / str(i), "-q", check=0)
        outputs.append(clew("spans", "-d", tmp_path / str(i), check=0).raw)
    assert outputs[0] == outputs[1] and outputs[0].count(b"\n") == 24


def test_dump(clew, shop, tmp_path):
    records = lines(clew("dump", shop / "shop.clew", check=0))
    assert records[0]["type"] == "meta" and sum(r["type"] == "io" for r in records) == 48
    with open(shop / "shop.clew", "rb") as f:
        piped = subprocess.run([CLEW, "dump", "-"], stdin=f, capture_output=True)
    assert piped.stdout.decode() == clew("dump", shop / "shop.clew").out
    data = recording.shop(2).data()
    cut = tmp_path / "cut"
    cut.write_bytes(data[:-5])
    r = clew("dump", cut, check=0)
    assert "ends inside a record" in r.err and lines(r)
    bad = tmp_path / "bad"
    bad.write_bytes(b"not a recording at all")
    assert "not a recording" in clew("dump", bad, check=1).err
    assert "No such file" in clew("dump", tmp_path / "none", check=1).err
    newer = tmp_path / "newer"
    newer.write_bytes(data[:8] + b"\x63" + data[9:])
    assert "newer version" in clew("dump", newer, check=1).err
    broken = tmp_path / "broken"
    broken.write_bytes(data[:512] + b"\xff" * 64)
    assert "damaged at byte" in clew("dump", broken, check=1).err


WRITERS = (["dump", "shop.clew"], ["spans", "-d", "db"], ["traces", "-d", "db"], ["map", "-d", "db"],
           ["trace", "--last", "-d", "db", "--json"], ["version"], ["help", "run"],
           ["sql", "SELECT * FROM spans", "-d", "db", "--csv"], ["hist", "-d", "db"], ["patterns", "-d", "db"],
           ["diff", "--from", "1ms", "-d", "db"], ["services", "--why", "-d", "db"], ["top", "-d", "db"])


@pytest.mark.parametrize("args", WRITERS, ids=lambda a: a[0])
def test_full_disk_is_reported(shop, clew, args):
    with open("/dev/full", "w") as full:
        done = subprocess.run([CLEW, *args], cwd=shop, stdout=full, stderr=subprocess.PIPE, env=clew.env)
    assert done.returncode == 1 and b"standard output: No space left on device" in done.stderr


@pytest.mark.parametrize("args", WRITERS, ids=lambda a: a[0])
def test_reader_that_goes_away_is_no_error(shop, clew, args):
    r, w = os.pipe()
    os.close(r)
    done = subprocess.run([CLEW, *args], cwd=shop, stdout=w, stderr=subprocess.PIPE, env=clew.env,
                          restore_signals=True, timeout=60)
    os.close(w)
    assert done.stderr == b"" and done.returncode in (0, -13)


@pytest.mark.parametrize("args", WRITERS[:-1], ids=lambda a: a[0])
def test_closed_standard_output(shop, clew, args):
    done = subprocess.run(["sh", "-c", 'exec "$0" "$@" >&-', CLEW, *args], cwd=shop, env=clew.env,
                          stderr=subprocess.PIPE)
    assert done.returncode == 0 and done.stderr == b""
    # Nothing that was opened in its place was written to.
    assert clew("spans", "-d", shop / "db", check=0).out.count("\n") == 24


def test_terminal(shop, clew):
    """On a terminal: its width, and colour."""
    import pty
    import struct
    import fcntl
    import termios
    primary, secondary = pty.openpty()
    fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 120, 0, 0))
    process = subprocess.Popen([CLEW, "trace", "--last", "-d", "db"], cwd=shop, stdout=secondary,
                               env={**clew.env, "TERM": "xterm-256color"})
    os.close(secondary)
    out = b""
    while True:
        try:
            piece = os.read(primary, 65536)
        except OSError:
            break
        if not piece:
            break
        out += piece
    os.close(primary)
    assert process.wait() == 0
    text = out.decode().replace("\r", "")
    assert "\x1b[38;5;" in text
    assert max(len(re.sub("\x1b\\[[0-9;]*m", "", line)) for line in text.splitlines()) == 120
