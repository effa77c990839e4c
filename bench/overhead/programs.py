# SPDX-License-Identifier: Apache-2.0
"""The BPF programs that a process holds, and how long they ran (kernel.bpf_stats_enabled)."""

import contextlib
import json
import os
import subprocess

STATS_SWITCH = "/proc/sys/kernel/bpf_stats_enabled"


@contextlib.contextmanager
def counted():
    """The kernel counts within; it costs some 50 ns a run."""
    with open(STATS_SWITCH) as f:
        before = f.read()
    try:
        with open(STATS_SWITCH, "w") as f:
            f.write("1")
        yield
    finally:
        with open(STATS_SWITCH, "w") as f:
            f.write(before)


def bpf_programs(pid):
    """{program id: (run time ns, runs)} of all BPF programs that the process holds; needs no bpftool."""
    found = {}
    base = "/proc/%d/fdinfo" % pid
    for fd in os.listdir(base):
        with contextlib.suppress(OSError):
            with open(os.path.join(base, fd)) as f:
                info = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
            if "prog_id" in info and "run_time_ns" in info:
                found[int(info["prog_id"])] = (int(info["run_time_ns"]), int(info["run_cnt"]))
    return found


def listed():
    """What bpftool says of all programs, by id; empty where it is absent: the ids are then all there is."""
    try:
        return {p["id"]: p for p in json.loads(subprocess.run(["bpftool", "-j", "prog", "show"], capture_output=True,
                                                              text=True, check=True).stdout)}
    except (OSError, subprocess.CalledProcessError, ValueError):
        return {}


def program_names(ids):
    """Names for people."""
    return {i: p.get("name", "?") for i, p in listed().items() if i in ids}


def difference(start, end, names):
    """{name: (ns, runs)} between two bpf_programs()."""
    out = {}
    for i, (ns, runs) in end.items():
        ns0, runs0 = start.get(i, (0, 0))
        if runs > runs0:
            out[names.get(i, str(i))] = (ns - ns0, runs - runs0)
    return out
