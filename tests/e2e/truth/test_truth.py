# SPDX-License-Identifier: Apache-2.0
"""The accuracy scenario, short, in the ways to attach that its benchmark does not use, and the proof by replacement."""

import json
import os
import subprocess

import pytest

from lib.lab import PATIENCE, ROOT, find_clew

ACCURACY = os.path.join(ROOT, "tests", "accuracy")
NAME = "web-keepalive-gthread"
RUN = NAME + "@16"


def run(out, *args):
    command = ["/usr/bin/python3", os.path.join(ACCURACY, "run.py"), NAME, "-n", "2000", "-c", "16", "--clew", find_clew(),
               "--max-wrong", "0.001", "--min-right", "wire=0.99", "--min-right", "inside front=0.99",
               "--min-right", "inside app=0.99", "-o", str(out), *args]
    r = subprocess.run(command, capture_output=True, text=True, timeout=3 * PATIENCE, check=False)
    assert r.returncode == 0, r.stdout + r.stderr
    with open(os.path.join(out, "results.json")) as f:
        return json.load(f)["results"][RUN]


@pytest.mark.parametrize("options", [["--attach", "run"], ["--trace-client"]], ids=["run", "client too"])
def test_other_ways_to_attach(tmp_path, options):
    result = run(tmp_path, *options)
    assert result["requests"] == 2000 and result["incomplete"] == 0
    assert ("wire load→front" in result["edges"]) == ("--trace-client" in options)


def test_no_token_was_needed(tmp_path):
    """Every token in the recording replaced by a fresh one, another at each end: a replay links the same."""
    run(tmp_path, "--keep")
    retoken = os.path.join(ACCURACY, "retoken.py")
    raw, out = os.path.join(tmp_path, RUN, "recording.clew"), os.path.join(tmp_path, "retokened.clew")
    subprocess.run(["/usr/bin/python3", retoken, raw, out], check=True)
    for source, name in ((raw, "a"), (out, "b")):
        store = os.path.join(tmp_path, name)
        subprocess.run([find_clew(), "replay", source, "-d", store], check=True, capture_output=True)
        with open(store + ".jsonl", "w") as f:
            subprocess.run([find_clew(), "spans", "-d", store], stdout=f, check=True)
    r = subprocess.run(["/usr/bin/python3", retoken, "--compare", os.path.join(tmp_path, "a.jsonl"),
                        os.path.join(tmp_path, "b.jsonl")], capture_output=True, text=True, check=False)
    assert r.returncode == 0, r.stdout
