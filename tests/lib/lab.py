# SPDX-License-Identifier: Apache-2.0
"""A laboratory: real programs on loopback, a clew beside them, and everything gone afterwards.

Shared by tests/e2e, tests/accuracy and bench/overhead. Nothing here sleeps to wait: wait_for() polls a
condition and fails after a limit. Only processes that this module started are ever signalled.
"""

import contextlib
import glob
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("CLEW_BUILD", "build"))
PORTS = tuple(int(p) for p in os.environ.get("CLEW_TEST_PORTS", "22000-23999").split("-"))


# Seconds that anything may take before a test fails. Where all is well nobody waits so long; so it is far more than
# a slow machine needs that has other work, too.
PATIENCE = 120.0


def wait_for(condition, limit=PATIENCE, what="condition", every=0.02):
    """Polls until condition() is true and returns its value; AssertionError after limit seconds."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited %g s in vain for: %s" % (limit, what() if callable(what) else what))
        time.sleep(every)


def in_time(attempt, seconds=(1, 8, 64)):
    """What attempt(seconds) gives, with more time as long as that is nothing: a busy machine is late for a short one."""
    for s in seconds:
        result = attempt(s)
        if result:
            break
    return result


def clean_up_when_terminated():
    """SIGTERM ends us like Ctrl-C: through every finally, so that nothing that we started stays."""
    def stop(number, frame):
        raise KeyboardInterrupt
    signal.signal(signal.SIGTERM, stop)
    # Who runs us in the background has it ignored, and so would all that we start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def find_clew():
    """The binary under test: $CLEW, else the build's."""
    return os.environ.get("CLEW") or os.path.join(BUILD, "clew")


def find_go():
    """A Go that is new enough: what tools/fetch-go fetched, else the machine's own."""
    fetched = os.path.join(ROOT, ".deps", "go", "bin", "go")
    return fetched if os.path.exists(fetched) else shutil.which("go") or "/usr/local/go/bin/go"


def find_load(work):
    """The load generator: $CLEW_LOAD, the build's, or one compiled into work."""
    for path in (os.environ.get("CLEW_LOAD"), os.path.join(BUILD, "bench", "overhead", "clew-load")):
        if path and os.path.exists(path):
            return path
    out = os.path.join(work, "clew-load")
    sources = sorted(glob.glob(os.path.join(ROOT, "bench", "overhead", "load*.c")))
    if not os.path.exists(out):
        subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", out, *sources], check=True)
    return out


def port_open(port, host="127.0.0.1"):
    """Whether somebody listens there; leaves no connection behind that anyone would have to serve."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(1)
        return s.connect_ex((host, port)) == 0


class Ports:
    """Free ports of a range below the kernel's ephemeral ones, ours among all who take theirs here until close()."""

    def __init__(self, port_range=PORTS):
        self.range, self.claims = port_range, []

    def take(self):
        numbers = list(range(self.range[0], self.range[1] + 1))
        random.shuffle(numbers)
        for number in numbers:
            if self.claim(number):
                return number
        raise AssertionError("no free port in %d-%d" % self.range)

    def claim(self, number):
        """Whether it is ours now: nobody of us has it, and nobody else."""
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind("\0clew-test-port-%d" % number)
            with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind(("::", number))
        except OSError:
            claim.close()
            return False
        self.claims.append(claim)
        return True

    def close(self):
        while self.claims:
            self.claims.pop().close()


def unix_open(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.settimeout(1)
        try:
            s.connect(path)
            return True
        except OSError:
            return False


class Proc:
    """A program that we started, in a session of its own, with its output in files."""

    def __init__(self, args, name, directory, env=None, cwd=None, stdin=subprocess.DEVNULL, preexec=None,
                 own_session=True):
        self.name = name
        self.args = [str(a) for a in args]
        self.out_path = os.path.join(directory, name + ".out")
        self.err_path = os.path.join(directory, name + ".err")
        full_env = dict(os.environ)
        full_env.update(env or {})
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.popen = subprocess.Popen(self.args, stdin=stdin, stdout=out, stderr=err, env=full_env, cwd=cwd,
                                          start_new_session=own_session, preexec_fn=preexec)
        self.own_session = own_session
        self.rusage = None

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def out(self):
        with open(self.out_path, errors="replace") as f:
            return f.read()

    def err(self):
        with open(self.err_path, errors="replace") as f:
            return f.read()

    def send(self, sig):
        if self.alive():
            self.popen.send_signal(sig)

    def wait(self, limit=PATIENCE):
        """The exit status as the shell gives it (128+n for a signal)."""
        try:
            rc = self.popen.wait(limit)
        except subprocess.TimeoutExpired:
            raise AssertionError("%s (%s) did not end within %g s; stderr:\n%s"
                                 % (self.name, " ".join(self.args), limit, self.err()[-2000:])) from None
        return 128 - rc if rc < 0 else rc

    def stop(self, sig=signal.SIGTERM, limit=PATIENCE):
        self.send(sig)
        return self.wait(limit)

    def destroy(self):
        """Whatever is left of it and of its session: no mercy."""
        if self.own_session:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.popen.pid, signal.SIGKILL)
        elif self.alive():
            self.popen.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(5)


class Recording(Proc):
    """A clew that records (or runs a command)."""

    db = None

    def links(self):
        """How many BPF programs it has attached: file descriptors that are BPF links."""
        n = 0
        base = "/proc/%d/fd" % self.pid
        try:
            for fd in os.listdir(base):
                with contextlib.suppress(OSError):
                    n += "bpf_link" in os.readlink(os.path.join(base, fd))
        except OSError:
            pass
        return n

    def ready(self):
        """Tracing is on: it says so on standard error."""
        def says():
            if not self.alive():
                raise AssertionError("clew ended with %s before it was ready:\n%s" % (self.popen.returncode, self.err()))
            return READY in self.err()
        wait_for(says, what=lambda: "clew says that it traces; it said:\n" + self.err())
        return self

    def finish(self, limit=PATIENCE):
        """Ctrl-C, then the summary."""
        status = self.stop(signal.SIGINT, limit)
        assert status in (0, 130), "clew ended with %d:\n%s" % (status, self.err()[-3000:])
        return self.err()


# What `clew record` and `clew run` print on standard error once every hook is attached and the targets are
# marked. Not printed with --quiet.
READY = "clew: tracing"


class Lab:
    """Owns a directory, processes, ports, cgroups and namespaces. Use as a context manager."""

    def __init__(self, directory=None, keep=False, ports=PORTS):
        self.keep = keep or bool(os.environ.get("CLEW_KEEP"))
        self.owned = directory is None
        self.dir = directory or tempfile.mkdtemp(prefix="clew-lab-")
        os.makedirs(self.dir, exist_ok=True)
        os.chmod(self.dir, 0o755)
        self.procs = []
        self.undo = []
        self.ports = Ports(ports)
        self.clew_path = find_clew()
        self.seq = 0

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        for p in reversed(self.procs):
            p.send(signal.SIGTERM)
        for p in reversed(self.procs):
            with contextlib.suppress(AssertionError):
                p.wait(15)
            p.destroy()
        for f in reversed(self.undo):
            with contextlib.suppress(Exception):
                f()
        self.ports.close()
        if self.owned and not self.keep:
            shutil.rmtree(self.dir, ignore_errors=True)
        elif self.owned:
            print("kept:", self.dir, file=sys.stderr)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def name(self, stem):
        self.seq += 1
        return "%s-%d" % (stem, self.seq)

    def full_pipe(self):
        """The path of a pipe that takes nothing more, and has a reader that never reads."""
        path = self.path(self.name("pipe"))
        os.mkfifo(path)
        fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self.undo.append(lambda: os.close(fd))
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(fd, bytes(4096))
        return path

    def write(self, name, text):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        return path

    def port(self):
        """A free port of our range, ours until the end."""
        return self.ports.take()

    def spawn(self, args, name=None, **kw):
        p = Proc(args, self.name(name or os.path.basename(str(args[0]))), self.dir, **kw)
        self.procs.append(p)
        return p

    def wait_port(self, port, proc=None, host="127.0.0.1"):
        def up():
            if proc and not proc.alive():
                raise AssertionError("%s ended:\n%s\n%s" % (proc.name, proc.err()[-2000:], proc.out()[-2000:]))
            return port_open(port, host)
        wait_for(up, what="a listener on %s port %d" % (host, port))

    # -- programs --

    def nginx_conf(self, name, http, workers=1, extra=""):
        """Writes a configuration that touches nothing outside our directory; returns nginx's arguments."""
        prefix = self.path(name)
        os.makedirs(os.path.join(prefix, "tmp"), exist_ok=True)
        temp = "".join("    %s_temp_path tmp/%s;\n" % (k, k)
                       for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        conf = self.write(name + "/nginx.conf", "daemon off;\nuser root;\nworker_processes %d;\npid nginx.pid;\n"
                          "error_log error.log warn;\n%s\nevents { worker_connections 4096; }\nhttp {\n    access_log off;\n"
                          "    keepalive_requests 100000000;\n%s%s\n}\n" % (workers, extra, temp, http))
        return ["/usr/sbin/nginx", "-p", prefix, "-c", conf, "-e", os.path.join(prefix, "error.log")]

    def nginx(self, name, http, workers=1, wait=None, **kw):
        p = self.spawn(self.nginx_conf(name, http, workers), name, **kw)
        if wait:
            self.wait_port(wait, p)
        return p

    # -- clew --

    def clew(self, *args, check=True, limit=PATIENCE, env=None, **kw):
        """Runs a command of clew to its end; with check, it must succeed."""
        full_env = dict(os.environ)
        full_env.update(env or {})
        r = subprocess.run([self.clew_path] + [str(a) for a in args], stdin=subprocess.DEVNULL, capture_output=True,
                           timeout=limit, text=True, env=full_env, errors="replace", **kw)
        if check:
            assert r.returncode == 0, "clew %s: status %d\n%s\n%s" % (" ".join(map(str, args)), r.returncode,
                                                                    r.stdout[-1000:], r.stderr[-3000:])
        return r

    def record(self, *args, db=None, ready=True, **kw):
        """Starts `clew record ARGS -d DB`; db=False leaves the store to the arguments."""
        args = [self.clew_path, "record"] + [str(a) for a in args]
        if db is not False:
            db = db or self.path(self.name("store"))
            args += ["-d", db]
        r = Recording(args, self.name("record"), self.dir, **kw)
        r.db = db
        self.procs.append(r)
        if ready:
            r.ready()
        return r

    def run(self, *args, db=None, command, **kw):
        """Starts `clew run ARGS -d DB -- COMMAND`."""
        args = [self.clew_path, "run"] + [str(a) for a in args]
        if db is not False:
            db = db or self.path(self.name("store"))
            args += ["-d", db]
        r = Recording(args + ["--"] + [str(c) for c in command], self.name("run"), self.dir, **kw)
        r.db = db
        self.procs.append(r)
        return r

    def spans(self, db, *args):
        """Every span of the store, as clew spans tells them."""
        r = self.clew("spans", "-d", db, *args)
        return [json.loads(line) for line in r.stdout.splitlines() if line]

    def sql(self, db, query):
        r = self.clew("sql", query, "--json", "-d", db)
        return [json.loads(line) for line in r.stdout.splitlines() if line]

    # -- load --

    def load(self, url, requests=None, seconds=None, conns=8, rate=None, log=None, args=(), limit=300.0):
        """Runs the load generator to its end and returns what it reports."""
        r = subprocess.run(self.load_args(url, requests, seconds, conns, rate, log, args), capture_output=True,
                           text=True, timeout=limit)
        assert r.returncode == 0, r.stderr
        return json.loads(r.stdout)

    def load_args(self, url, requests=None, seconds=None, conns=8, rate=None, log=None, args=()):
        cmd = [find_load(self.dir), "-c", str(conns)]
        if requests:
            cmd += ["-n", str(requests)]
        if seconds:
            cmd += ["-d", str(seconds)]
        if rate:
            cmd += ["-r", str(rate)]
        if log:
            cmd += ["-l", log]
        return cmd + [str(a) for a in args] + [url]


def read_log(path):
    """The load generator's log: a list of dicts."""
    rows = []
    with open(path) as f:
        for line in f:
            token, status, start, end, how = line.rstrip("\n").split("\t")
            rows.append({"token": token, "status": int(status), "start_ns": int(start), "end_ns": int(end),
                         "done": how == "done"})
    return rows


def parse_summary(text):
    """What `clew record` and `clew run` say at the end, as numbers.

    {"operations": N, "messages": N, ... "incomplete": N, "lost": the sum of all that was lost anywhere}.
    AssertionError when there is no summary or it does not say what was lost: silence is never an answer.
    """
    out = {}
    for number, word in re.findall(r"\b(\d+) (operation|message|exchange|span|trace|orphan|incomplete)s?\b", text):
        out.setdefault(word if word == "incomplete" else word + "s", int(number))
    assert "operations" in out, "no summary in:\n" + text
    out["lost"] = parse_lost(text)
    return out


def parse_lost(text):
    """The sum of the summary's line "clew: lost: 3 records, ...; 4 spans, ..." or "clew: lost: nothing"."""
    lines = [line for line in text.splitlines() if line.startswith("clew: lost: ")]
    assert lines, "the summary does not say what was lost:\n" + text
    return sum(int(n) for line in lines for n in re.findall(r"(?:: |; )(\d+) ", line))
