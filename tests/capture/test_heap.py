# SPDX-License-Identifier: Apache-2.0
"""HotSpot: what a pool's thread works on lies where the thread that made it makes its objects, under each collector."""

import collections
import os
import re
import subprocess

import pytest

from conftest import BUILD, Records
from lib.lab import PATIENCE, wait_for
from test_jvm import HOMES, classes  # noqa: F401 (a fixture)

READ = ("Serial", "Parallel", "G1")
CASES = [(v, gc) for v in sorted(HOMES) for gc in READ + ("Z", "Shenandoah")]


def rounds(records):
    """{N: {word: its heap record}}: what was told just before "round N" was read, "work N" and "done N" were written."""
    last, found = {}, collections.defaultdict(dict)
    for r in records:
        if r["type"] == "heap":
            last[r["tid"]] = r
        elif r["type"] == "io":
            heap = last.pop(r["tid"], None)
            line = re.match(r"(round|work|done) (\d+)\n", r.get("payload") or "")
            # The main thread asks itself, too.
            if line and heap and heap["conn"] == r["conn"] and (line[1] == "round") == (r["dir"] == "rx"):
                found[int(line[2])][line[1]] = heap
    return found


def places(one):
    """Of a round: where in the worker's stack stand objects that the main thread made in it; None: not known."""
    if {"round", "work", "done"} - one.keys():
        return None
    begin, work, end = one["round"], one["work"], one["done"]
    if len({h["collections"] for h in one.values()}) > 1 or begin["room_start"] != end["room_start"]:
        return None
    return {slot for slot, at in work["objects"] if begin["room_top"] <= at < end["room_top"]}


@pytest.mark.parametrize("version,gc", CASES)
def test_who_made_it(tracer, waiting, classes, tmp_path, version, gc):  # noqa: F811
    java = os.path.join(HOMES[version], "bin", "java")
    try:
        subprocess.run([java, "-XX:+Use%sGC" % gc, "-version"], check=True, capture_output=True, timeout=PATIENCE)
    except subprocess.CalledProcessError:
        pytest.skip("this build of Java %d has no %s collector" % (version, gc))
    program = waiting(java, "-XX:+Use%sGC" % gc, "-cp", classes, "Makers")
    lines = tmp_path / "lines"
    tool = tracer("-j", str(lines), "-p", str(program.pid))
    wait_for(lambda: "hotspot/" in lines.read_text())
    program.go()
    tool.stop()
    records = Records(lines.read_text())
    if gc not in READ:
        assert not records.of("heap")
        return
    found = [places(r) for r in rounds(records).values()]
    known = [p for p in found if p is not None]
    assert len(found) == 200 and len(known) >= 150
    # One place has it, each time.
    best = collections.Counter(slot for p in known for slot in p).most_common(1)
    assert best and best[0][1] == len(known), (best, len(known))
    assert len({h["collections"] for h in records.of("heap")}) >= 4
    # The main thread waits for the worker, which wakes it: after each collection it is in a new room.
    woken = collections.defaultdict(list)
    for h in records.of("heap"):
        if not h["conn"]:
            assert h["room_start"] <= h["room_top"] <= h["room_end"] and not h["objects"]
            woken[h["tid"]].append((h["collections"], h["room_start"]))
    main = next(r["tid"] for r in records.of("io") if (r.get("payload") or "").startswith("round 1\n"))
    assert len({n for n, _ in woken[main]}) >= 3
    assert all(a != b for rooms in woken.values() for a, b in zip(rooms, rooms[1:]))


@pytest.mark.parametrize("version,gc", [c for c in CASES if c[1] in READ])
def test_a_collection_between(tracer, waiting, classes, tmp_path, version, gc):  # noqa: F811
    """It is told where the object that the worker has was when it was made."""
    lines, java = tmp_path / "lines", os.path.join(HOMES[version], "bin", "java")
    program = waiting(java, "-XX:+Use%sGC" % gc, "-Xmx256m", "-Xmn32m", "-cp", classes, "Makers", "litter")
    tool = tracer("-j", str(lines), "-p", str(program.pid))
    wait_for(lambda: "hotspot/" in lines.read_text())
    program.go()
    tool.stop()
    records = Records(lines.read_text())
    was = {(r["collections"], to): at for r in records.of("moved") for at, to in r["moved"]}
    places = collections.Counter()
    found = [r for r in rounds(records).values() if {"round", "work"} <= r.keys()
             and r["work"]["collections"] == r["round"]["collections"] + 1]
    for begin, work in ((r["round"], r["work"]) for r in found):
        places.update({slot for slot, at in work["objects"]
                       if begin["room_top"] <= was.get((work["collections"], at), 0) < begin["room_end"]})
    # Who looks late finds other things there, and says nothing.
    assert len(found) >= 10
    assert places and places.most_common(1)[0][1] >= len(found) / 2, (places.most_common(3), len(found))


def test_one_that_begins_under_clew(classes, tmp_path):  # noqa: F811
    """When it is found it has no heap and no thread yet: it is looked at again."""
    version = min(HOMES)
    clew, raw, said = os.path.join(BUILD, "clew"), str(tmp_path / "raw"), tmp_path / "said"
    paused = tmp_path / "paused"  # the VM makes it, and goes on when it is gone
    pause = ["-XX:+UnlockDiagnosticVMOptions", "-XX:+PauseAtStartup", "-XX:PauseAtStartupFile=%s" % paused]
    with open(said, "w") as err, subprocess.Popen(
            [clew, "run", "--db", "none", "-o", raw, "--log-level", "debug", "--", os.path.join(HOMES[version], "bin", "java"), *pause,
             "-XX:+UseSerialGC", "-cp", classes, "Makers"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, text=True) as run:
        def until(what):
            wait_for(lambda: re.search(what, said.read_text(), re.M | re.S), what=lambda: what + "; clew said:\n" + said.read_text())
        wait_for(paused.exists, what="the VM's beginning")
        until("hardly a thread yet$.*runs hotspot/")
        paused.unlink()
        until("what its threads make is read$.*runs hotspot/")
        run.communicate("go\n", timeout=PATIENCE)
    dumped = subprocess.run([clew, "dump", raw], check=True, capture_output=True, text=True, timeout=PATIENCE).stdout
    records = Records(dumped)
    assert len(records.of("heap")) >= 400
