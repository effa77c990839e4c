# SPDX-License-Identifier: Apache-2.0
"""`clew check`: what this kernel allows; and why the programs cannot be loaded, where it does not."""

import json
import os
import subprocess

import pytest


def check(lab, *under):
    r = subprocess.run([*under, lab.clew_path, "check", "--json"], capture_output=True, text=True)
    told = json.loads(r.stdout)
    assert r.returncode == (0 if told["works"] else 1), r.stderr
    return {f["name"]: f for f in told["features"]}


def test_all_is_well(lab):
    features = check(lab)
    assert features["load"]["ok"] and "loaded, attached and removed" in features["load"]["detail"]
    assert features["CAP_PERFMON"]["ok"]


@pytest.mark.parametrize("under, reason, remedy", [
    (["prlimit", "--nofile=16"], "Too many open files", "ulimit -n"),
    (["setpriv", "--bounding-set=-perfmon,-sys_admin"], "refuses BPF programs", "docs/capabilities.md"),
], ids=["files", "rights"])
def test_why_it_cannot_load(lab, under, reason, remedy):
    features = check(lab, *under)
    load = features["load"]
    assert not load["ok"] and reason in load["detail"] and remedy in load["detail"], load
    r = subprocess.run([*under, lab.clew_path, "record", "-d", "none", "--duration", "1ms", "-p", str(os.getpid())],
                       capture_output=True, text=True)
    assert reason in r.stderr and remedy in r.stderr, r.stderr
