# SPDX-License-Identifier: Apache-2.0
"""`clew run`: the command's own status, its descendants, its end, its user; what was captured is never lost."""

import os
import pwd
import signal
import stat
import subprocess

import pytest

from lib.lab import PATIENCE, in_time, parse_summary, wait_for
from spans import PYTHON, attr, by_path, joined, program


def run(lab, *command, options=(), **kw):
    return lab.clew("run", "-d", lab.path("store"), *options, "--", *command, check=False, **kw)


def fetch(port, path):
    return "import urllib.request as u; u.urlopen('http://127.0.0.1:%d%s').read()" % (port, path)


def pending(pid):
    """Signals that were sent to a process and that it has not read yet, as a set of bits."""
    with open("/proc/%d/status" % pid) as f:
        return sum(int(line.split()[1], 16) for line in f if line.startswith(("SigPnd:", "ShdPnd:")))


@pytest.fixture
def server(lab):
    port = lab.port()
    lab.wait_port(port, lab.spawn([PYTHON, program("server.py"), port], "server"))
    return port


@pytest.mark.parametrize("command, status", [
    (["true"], 0),
    (["sh", "-c", "exit 3"], 3),
    (["sh", "-c", "kill -TERM $$"], 128 + 15),
    (["sh", "-c", "kill -SEGV $$"], 128 + 11),
    (["/no/such/program"], 127),
    (["no-such-program-anywhere"], 127),
])
def test_exit_status(lab, command, status):
    r = run(lab, *command)
    assert r.returncode == status, r.stderr
    if status == 127:
        assert command[0] in r.stderr


def test_not_executable_is_126(lab):
    path = lab.write("plain.txt", "hello")
    r = run(lab, path)
    assert r.returncode == 126, r.stderr
    assert path in r.stderr


def test_own_failure_is_125(lab):
    blocked = lab.write("a-file", "")
    r = lab.clew("run", "-d", os.path.join(blocked, "store"), "--", "true", check=False)
    assert r.returncode == 125, r.stderr
    assert blocked in r.stderr


def test_usage_error_is_2(lab):
    r = lab.clew("run", "--no-such-option", "--", "true", check=False)
    assert r.returncode == 2
    assert "--no-such-option" in r.stderr


def test_standard_streams_belong_to_the_command(lab):
    r = run(lab, "sh", "-c", "echo out; echo err >&2")
    assert r.stdout == "out\n"
    assert "err\n" in r.stderr


def test_traced_from_the_first_instruction(lab, server):
    r = run(lab, PYTHON, "-c", fetch(server, "/first"))
    assert r.returncode == 0, r.stderr
    assert len(by_path(lab.spans(lab.path("store")), "/first", "client")) == 1


def test_descendants_are_followed_also_when_their_parents_are_gone(lab, server):
    """sh → sh → python, twice forked, in a session of its own; `run` ends when the last has ended."""
    code = lab.write("fetch.py", fetch(server, "/grandchild"))
    script = lab.write("child.sh", "setsid sh -c '(exec %s %s) &'\n" % (PYTHON, code))
    r = run(lab, "sh", script)
    assert r.returncode == 0, r.stderr
    assert len(by_path(lab.spans(lab.path("store")), "/grandchild", "client")) == 1


def test_a_sibling_is_not_traced(lab, server):
    lab.load("http://127.0.0.1:%d/sibling" % server, requests=5)
    r = run(lab, PYTHON, "-c", fetch(server, "/mine"))
    assert r.returncode == 0
    paths = {attr(s, "url.path") for s in lab.spans(lab.path("store"))}
    assert paths == {"/mine"}


def test_interrupt_keeps_what_was_captured(lab):
    """Ctrl-C while requests are answered: the command ends, all that was captured is in the store."""
    port = lab.port()
    r = lab.run(db=lab.path("store"), command=[PYTHON, program("server.py"), port])
    r.ready()
    lab.wait_port(port, r)
    log = lab.path("load.tsv")
    lab.load("http://127.0.0.1:%d/a/%%t" % port, requests=300, log=log)
    r.send(signal.SIGINT)
    status = r.wait()
    assert status == 130, (status, r.err())
    summary = parse_summary(r.err())
    assert summary["lost"] == 0
    spans = [s for s in lab.spans(lab.path("store")) if s["kind"] == "server"]
    assert len(spans) == 300
    assert summary["exchanges"] >= 300 and summary["spans"] >= 300


def test_duration_stops_the_tracing_not_the_command(lab, server):
    flag = lab.path("go")
    code = ("import os, time\n%s\nwhile not os.path.exists(%r): time.sleep(0.02)\n%s\nraise SystemExit(7)"
            % (fetch(server, "/before"), flag, fetch(server, "/after")))
    command = [PYTHON, lab.write("cmd.py", code)]

    def paths(seconds):
        r = lab.run("--duration", "%ds" % seconds, command=command)
        r.ready()
        wait_for(lambda: r.links() == 0 and "clew: lost:" in r.err(), what=lambda: "the tracing to stop: " + r.err())
        assert r.alive()
        open(flag, "w").close()
        assert r.wait() == 7
        os.unlink(flag)
        return {attr(s, "url.path") for s in lab.spans(r.db)}
    assert in_time(paths) == {"/before"}


def test_signals_reach_the_command_after_the_duration(lab):
    r = lab.run("--duration", "100ms", db=False, command=["sleep", "60"])
    r.ready()
    wait_for(lambda: "clew: lost:" in r.err(), what=lambda: "the tracing to stop: " + r.err())
    r.send(signal.SIGTERM)
    assert r.wait() == 143, r.err()


def test_the_second_signal_ends_the_last_writing(lab):
    """Whoever is to take the recording does not: the first signal changes nothing, the second is not waited out."""
    pipe = lab.full_pipe()
    r = lab.run("-d", "none", "-o", pipe, db=False, command=["true"])
    r.ready()
    wait_for(lambda: r.links() == 0, what=lambda: "the tracing to stop: " + r.err())
    r.send(signal.SIGINT)
    wait_for(lambda: not pending(r.pid), what="the first signal to be read")
    r.send(signal.SIGTERM)
    assert r.wait() == 128 + signal.SIGTERM, r.err()
    assert r.popen.returncode == -signal.SIGTERM
    assert "clew: ended at once by SIGTERM; lost: the end of the recording %s\n" % pipe in r.err()


def test_a_recording_that_could_not_be_written_is_our_failure(lab):
    for command, status in (["true"], 125), (["sh", "-c", "exit 3"], 3):
        r = lab.clew("run", "--db", "none", "-o", "/dev/full", "--", *command, check=False)
        assert r.returncode == status, r.stderr
        assert "/dev/full" in r.stderr and "No space left" in r.stderr


def test_live_whose_reader_went_away_loses_nothing(lab, server):
    """`clew run --live ... | head -0`: the command and the store go on."""
    gone, pipe = os.pipe()
    os.close(gone)
    calls = "; ".join(fetch(server, "/pipe-%d" % i) for i in range(3))
    with subprocess.Popen([lab.clew_path, "run", "--live", "-d", lab.path("store"), "--", PYTHON, "-c",
                           calls + "; input(); raise SystemExit(7)"], stdin=subprocess.PIPE, stdout=pipe,
                          stderr=subprocess.PIPE, text=True) as r:
        os.close(pipe)
        wait_for(lambda: lab.clew("spans", "-d", lab.path("store"), check=False).stdout.count("\n") == 3,
                 what="the calls to be stored", every=0.2)
        _, said = r.communicate("\n", PATIENCE)
    assert r.returncode == 7, said
    assert len(lab.spans(lab.path("store"))) == 3


def test_user(lab, server):
    r = run(lab, PYTHON, "-c", "import os; print(os.getuid(), os.getgid()); " + fetch(server, "/as-nobody"),
            options=["--user", "nobody"])
    assert r.returncode == 0, r.stderr
    nobody = pwd.getpwnam("nobody")
    assert r.stdout.split() == [str(nobody.pw_uid), str(nobody.pw_gid)]
    assert len(by_path(lab.spans(lab.path("store")), "/as-nobody", "client")) == 1


def test_unknown_user_is_our_failure(lab):
    r = run(lab, "true", options=["--user", "no-such-user"])
    assert r.returncode == 125
    assert "no-such-user" in r.stderr


def test_store_is_private(lab):
    run(lab, "true")
    for base, dirs, files in os.walk(lab.path("store")):
        assert stat.S_IMODE(os.stat(base).st_mode) == 0o700, base
        for n in files:
            assert stat.S_IMODE(os.stat(os.path.join(base, n)).st_mode) & 0o077 == 0, n


def test_names(lab):
    port = lab.port()
    script = "%s %s %d & s=$!; while ! %s -c \"%s\" 2>/dev/null; do :; done; kill $s" % (
        PYTHON, program("server.py"), port, PYTHON, fetch(port, "/named"))
    r = run(lab, "sh", "-c", script, options=["--name", "python3*=renamed"])
    assert r.returncode in (0, 143), r.stderr
    client, server = joined(lab.spans(lab.path("store")), "/named")
    assert server["service"] == "renamed" and client["service"] == "renamed"


def test_runs_beside_each_other(lab, server):
    """Two captures at once into two stores: each has its own command's calls and none of the other's."""
    a = lab.run(db=lab.path("a"), command=[PYTHON, "-c", fetch(server, "/of-a")])
    b = lab.run(db=lab.path("b"), command=[PYTHON, "-c", fetch(server, "/of-b")])
    assert (a.wait(), b.wait()) == (0, 0), a.err() + b.err()
    assert {attr(s, "url.path") for s in lab.spans(a.db)} == {"/of-a"}
    assert {attr(s, "url.path") for s in lab.spans(b.db)} == {"/of-b"}


def test_live_prints_a_line_a_trace(lab, server):
    r = run(lab, PYTHON, "-c", fetch(server, "/live-one"), options=["--live"])
    assert r.returncode == 0, r.stderr
    lines = [x for x in r.stdout.splitlines() if "/live-one" in x]
    assert len(lines) == 1, r.stdout


def test_quiet(lab):
    r = run(lab, "true", options=["-q"])
    assert (r.returncode, r.stderr) == (0, "")


def test_db_none_keeps_nothing(lab, server):
    r = lab.clew("run", "--db", "none", "--live", "--", PYTHON, "-c", fetch(server, "/not-kept"), cwd=lab.dir)
    assert "/not-kept" in r.stdout
    assert not os.path.exists(lab.path("none"))
