# SPDX-License-Identifier: Apache-2.0
"""Linux 6.1, older than what clew needs: every command that would trace says so, and nothing is started."""

import json
import os
import subprocess

import pytest


@pytest.fixture(autouse=True)
def guest():
    with open("/proc/cmdline") as f:
        assert "clew.kernels=6.1" in f.read().split(), "only for the machine that tests/kernels/boot.py makes"


def test_check_names_what_is_missing(lab):
    r = subprocess.run([lab.clew_path, "check", "--json"], capture_output=True, text=True)
    told = json.loads(r.stdout)
    assert (r.returncode, told["works"]) == (1, False), r.stdout
    missing = {f["name"]: f["detail"] for f in told["features"] if f["required"] and not f["ok"]}
    assert set(missing) == {"kernel", "bpf_rdonly_cast", "sock_send_length", "sock_recv_length", "load"}, r.stdout
    assert "6.3 or newer is needed" in missing["kernel"], missing


@pytest.mark.parametrize("command, status", [
    (["run", "-d", "none", "--", "touch", "started"], 125),
    (["record", "-d", "none", "--duration", "1ms", "-p", str(os.getpid())], 1),
    (["record", "-d", "none", "--duration", "1ms", "--all"], 1),
], ids=["run", "record", "record-all"])
def test_it_refuses(lab, command, status):
    r = subprocess.run([lab.clew_path, *command], capture_output=True, text=True, cwd=lab.dir)
    assert r.returncode == status, r.stderr
    assert os.uname().release in r.stderr and "Linux 6.3 or newer is needed" in r.stderr, r.stderr
    assert "clew check" in r.stderr and len(r.stderr) < 400, r.stderr
    assert not os.path.exists(lab.path("started")), "the command ran, untraced"
