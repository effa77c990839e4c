# SPDX-License-Identifier: Apache-2.0
"""Threads and processes: fork, vfork, clone, exec, exit; hand-offs; arguments and their redaction."""

import json
import os
import pwd
import subprocess

import pytest

from conftest import OPS, TASKS, TOOL, Records
from lib.lab import PATIENCE, wait_for


def strings(record, tag):
    return [s[tag] for s in record["strings"] if tag in s]


@pytest.mark.parametrize("how", ["fork", "vfork", "clone"])
def test_birth_and_death(traced, how):
    records = traced(TASKS, how)
    execs = records.of("thread", event="exec")
    assert len(execs) == 1 and execs[0]["args"].split("\0")[:3] == [TASKS, TASKS, how]
    born, = records.of("thread", event="fork")
    parent = execs[0]
    assert (born["ptgid"], born["ptid"]) == (parent["tgid"], parent["tid"])
    assert (born["tgid"] == parent["tgid"]) == (how == "clone")
    assert (born["proc_start_ns"] == parent["proc_start_ns"]) == (how == "clone")
    ends = {r["tid"]: r for r in records.of("thread", event="exit")}
    assert set(ends) == {born["tid"], parent["tid"]}
    assert ends[born["tid"]]["exit_code"] == (0 if how == "clone" else 7 << 8)
    assert born["ts_ns"] <= ends[born["tid"]]["ts_ns"] and born["start_ns"] <= born["ts_ns"]


def test_exec_from_a_second_thread(traced):
    """The thread becomes the leader: same process, new program, old threads gone."""
    records = traced(TASKS, "exec", "/bin/echo", "hello")
    first, second = records.of("thread", event="exec")
    assert (first["tgid"], first["proc_start_ns"]) == (second["tgid"], second["proc_start_ns"])
    assert second["tid"] == second["tgid"] and second["args"].split("\0")[:3] == ["/bin/echo", "/bin/echo", "hello"]
    assert "hello" in records.said


def test_processes_are_described(tmp_path):
    """One that lives until it has been looked at; those that do not are the next test's."""
    lines = tmp_path / "records"
    with subprocess.Popen([TOOL, "-j", lines, "--", "/bin/cat", "-"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as tool:
        wait_for(lambda: lines.exists() and '"process"' in lines.read_text(), what="its description")
        tool.communicate(b"", PATIENCE)
    records = Records(lines.read_text())
    p, = records.of("process")
    run = records.of("thread", event="exec")[0]
    assert (p["tgid"], p["proc_start_ns"]) == (run["tgid"], run["proc_start_ns"])
    assert strings(p, "exe") == [os.path.realpath("/bin/cat")] and strings(p, "arg") == ["/bin/cat", "-"]
    assert strings(p, "comm") == ["cat"] and strings(p, "cwd") == [os.getcwd()]


def test_secrets_stay_out(traced):
    line = ["/bin/echo", "--password=hunter2", "--token", "hunter2", "API_KEY=hunter2", "http://u:hunter2@h/x?key=hunter2",
            "-H", "Authorization: Bearer hunter2", "--name=visible"]
    records = traced(*line)
    text = json.dumps(records)
    assert "hunter2" not in text and "visible" in text and "--password=***" in text


def test_short_lived_processes_are_described(traced):
    """/proc may be gone when we look: then the kernel's record says it."""
    records = traced("/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do /bin/true arg$i; done; :", tool=["-i", "100"])
    args = [strings(p, "arg") for p in records.of("process")]
    for i in range(1, 11):
        assert ["/bin/true", "arg%d" % i] in args


@pytest.mark.parametrize("kind", ["futex", "eventfd", "pipe"])
def test_handoffs(traced, kind):
    records = traced(TASKS, kind)
    tids = {r["tid"] for r in records.of("thread")}
    main = records.of("thread", event="exec")[0]["tid"]
    worker, = tids - {main}
    given = records.of("handoff", kind=kind, from_tid=main, to_tid=worker)
    assert len(given) >= 20, records.of("handoff")
    assert len({r["key"] for r in given}) <= 3
    for r in records.of("handoff"):
        assert {r["from_tid"], r["to_tid"]} == {main, worker}
        assert r["from_start_ns"] == r["to_start_ns"] == records.of("thread", event="exec")[0]["proc_start_ns"]


@pytest.mark.parametrize("command, words", [
    (["/no/such/program"], "No such file"),
    (["clew-no-such-command"], "in no directory of PATH"),
    (["/etc/passwd"], "Permission denied"),
])
def test_a_command_that_does_not_start(command, words):
    done = subprocess.run([TOOL, "--", *command], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1 and words in done.stderr


def test_runs_as_another_user(traced):
    records = traced("/bin/sh", "-c", "id -u; id -g; id -G; echo $HOME", tool=["-u", "nobody"])
    nobody = pwd.getpwnam("nobody")
    assert records.said == [str(nobody.pw_uid), str(nobody.pw_gid), str(nobody.pw_gid), nobody.pw_dir]
    assert {r["uid"] for r in records.of("thread", event="exec")} == {nobody.pw_uid}


def test_an_unknown_user_is_refused():
    done = subprocess.run([TOOL, "-u", "clew-no-such-user", "--", "true"], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1 and "no such user" in done.stderr


def test_ends_with_the_last_descendant(traced):
    records = traced("/bin/sh", "-c", "(sleep 0.7; echo late) & exit 0")
    assert "late" in records.said
    assert len(records.of("thread", event="exit")) == len(records.of("thread", event="fork")) + 1


def test_threads_that_ran_already(waiting, tracer):
    target = waiting(TASKS, "line")
    trace = tracer("-p", str(target.pid))
    records = trace.stop()
    seen, = records.of("thread", event="seen")
    assert seen["tgid"] == seen["tid"] == target.pid and seen["comm"] == "tasks"
    p, = records.of("process")
    assert strings(p, "exe") == [TASKS] and p["proc_start_ns"] == seen["proc_start_ns"]
