# SPDX-License-Identifier: Apache-2.0
"""What the scenario files under scenarios/ build upon: the work of a request, the back end, programs that must be
there, programs that must be compiled.

A case is a chain: load generator → the service under test → the back end (services/c/backend.c). The service does
the *work* below for each request and writes, before each call, a line of truth:

    NAME \\t INCOMING-TOKEN \\t CALLED \\t OUTGOING-TOKEN [\\t KIND]

with KIND one of call (or absent), retry, repeat, parallel, background (by a job that a request began before its
answer and that goes on after it) and timer (no request began it: INCOMING-TOKEN is "-") and shared (made for
several requests at once: a line each, all with the same OUTGOING-TOKEN). Whole lines: one write() of a file opened with
O_APPEND.

The work, by environment variables (strings; the means are of uniform distributions from 0 to twice the mean):

    NAME, PORT      the service's name in the truth; where it listens (127.0.0.1); it answers GET /anything/TOKEN
    TRUTH           the file
    BACK            HOST:PORT of the back end; a call is GET /leaf/FRESH-TOKEN (32 hex digits), HTTP/1.1
    BACK_NAME       CALLED in the truth
    THINK_MS        mean of the random pauses before, between and after the calls (where: sleep, timer, await)
    STEPS           how many calls a request usually makes
    SKIP            chance that a step's call is left out
    REPEAT          chance that it is made once more (KIND repeat)
    RETRIES         how often a call that was answered by 503 is tried again, at once, with a fresh token (KIND retry;
                    of a job or a timer: background or timer, as the first try)
    PARALLEL        1: the steps are made at the same time, each after a pause of its own (KIND parallel)
    BACKGROUND      chance that a request, just before its answer, starts a job that pauses and makes a call
    TIMER_MS        mean period of a timer that makes a call by itself; 0: none
    WORKERS, CONNS  threads or processes of a pool; connections to the back end, at most (callers wait for one)

The answer is 200 with a constant body, 502 when a call failed to the last. No token, no number and no header of one
hop is in the bytes of another.

A scenario file has VARIANTS, a list of dicts:

    name            of the case, unique
    runtime         heading of the table: nginx, c, python, go, ...
    needs           commands and files that must be there, else the case is skipped and the run says why
    ask             {"right": {50: 0.995, 200: 0.99}}: what the table compares with (shares of links)
    quick           {"load": 10, "right": 0.99}: part of `make test`, with a floor for the links; also "requests" (how
                    many), "edges" ({part of an edge's name: floor}). No link may be wrong there
    loads           the loads that make sense, if not all
    links           calls a request makes in the mean (1.8)
    with            {"agent": ["--agent", "node"]}: options of clew that --with NAME tries
    warmup          requests before clew comes (a JIT)
    anything else   for build(), which finds it in params beside
                    load, think_ms, workers, conns (see run.py)

and build(lab, params), which returns a plan (see chain()); check(params), if there, returns why the case cannot run.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SERVICES = os.path.join(HERE, "services")
PYTHON = "/usr/bin/python3"

# The work of most cases: two calls a request, now and then one less or more.
WORK = {"STEPS": 2, "SKIP": 0.15, "REPEAT": 0.1, "RETRIES": 2, "PARALLEL": 0, "BACKGROUND": 0, "TIMER_MS": 0}
FAIL = 0.03  # of the back end's answers
PIECES = 0.2  # of its answers come in two writes


def find(command):
    """The program's path, or None; a path must exist."""
    if os.sep in command:
        return command if os.path.exists(command) else None
    # Go is what tools/fetch-go fetched, where it had to.
    return shutil.which(command, path=":".join([os.path.join(ROOT, ".deps", "go", "bin"), os.environ.get("PATH", ""),
                                                "/usr/sbin:/sbin:/usr/local/go/bin", os.path.expanduser("~/.cargo/bin")]))


def lacking(variant):
    """Why the case cannot run here, or None."""
    absent = [n for n in variant.get("needs", ()) if not find(n)]
    return "not installed: " + ", ".join(absent) if absent else None


def python_lacks(*modules):
    """check() for a case that imports modules into the system's Python."""
    r = subprocess.run([PYTHON, "-c", "import " + ", ".join(modules)], capture_output=True, text=True)
    return r.stderr.strip().splitlines()[-1] if r.returncode else None


def cache():
    """Where compiled services are kept from run to run."""
    path = os.path.join(os.environ.get("CLEW_BUILD") or os.path.join(ROOT, "build"), "accuracy-services")
    os.makedirs(path, exist_ok=True)
    return path


def built(name, sources, command, result=None):
    """The path of what `command` makes of the sources, made only when they or the command changed.

    sources: paths below services/ (files, or folders taken whole). command: a list in which "{out}" is the path to
    make and "{src}" the folder services/; or a function(out) that does it. result: a path within out, if out is a
    folder that the command fills.
    """
    digest = hashlib.sha256(repr(command if isinstance(command, list) else command.__name__).encode())
    for path in sorted(p for s in sources for p in files(os.path.join(SERVICES, s))):
        with open(path, "rb") as f:
            digest.update(path.encode() + b"\0" + f.read())
    out = os.path.join(cache(), "%s-%s" % (name, digest.hexdigest()[:16]))
    with one_at_a_time(name):
        make(name, out, command)
    return os.path.join(out, result) if result else out


@contextlib.contextmanager
def one_at_a_time(name):
    """Several runs may want the same service."""
    with open(os.path.join(cache(), name + ".lock"), "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def make(name, out, command):
    if not os.path.exists(out):
        work = tempfile.mkdtemp(prefix=name + "-", dir=cache())
        new = os.path.join(work, name)
        try:
            if isinstance(command, list):
                r = subprocess.run([c.format(out=new, src=SERVICES) for c in command], capture_output=True, text=True)
                if r.returncode:
                    raise RuntimeError("%s could not be built:\n%s" % (name, (r.stdout + r.stderr)[-4000:]))
            else:
                command(new)
            os.rename(new, out)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def files(path):
    if not os.path.isdir(path):
        return [path]
    return [os.path.join(d, f) for d, _, names in os.walk(path) for f in names]


def c_program(name, *sources):
    """A service in C: services/c/NAME.c (and its headers)."""
    sources = sources or ("c/%s.c" % name,)
    return built(name, ["c"], [find("gcc") or "cc", "-O2", "-g", "-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra",
                               "-pthread", "-o", "{out}"] + ["{src}/" + s for s in sources])


def backend(lab, params, port, name="leaf"):
    """The back end as a service of the plan; it is alone in writing what it saw."""
    env = {"PORT": port, "SEEN": lab.path("seen.tsv"), "DELAY_MS": params["think_ms"],
           "FAIL": params.get("fail", FAIL), "PIECES": params.get("pieces", PIECES)}
    return {"name": name, "args": [c_program("backend")], "env": strings(env), "ready": port}


def strings(env):
    return {k: str(v) for k, v in env.items()}


def work(lab, params, name, port, back_port, back_name="leaf"):
    """The environment of a service that does the work; a variant's own "work" dict changes it."""
    return strings({**WORK, "NAME": name, "PORT": port, "TRUTH": lab.path("truth-%s.tsv" % name),
                    "BACK": "127.0.0.1:%d" % back_port, "BACK_NAME": back_name, "THINK_MS": params["think_ms"],
                    "WORKERS": params["workers"], "CONNS": params["conns"], **params.get("work", {})})


def chain(lab, params, args, env=None, name="svc", cwd=None):
    """The plan of load → service → back end.

    args: the service's command line, or a function(env) that returns it; env: more environment. The keys of a plan:
    services (name, args, env, cwd, ready: a port that the next one waits for; in the order of their start), url (with %t for the token), root (name of the
    service that the load calls), wait (("port", N) or ("unix", PATH)), truth (files), seen (files of the back ends),
    back_names (theirs, if not only "leaf") and, where it is true, between: spans of no known hop may lie between a
    request and its call.
    """
    port, back_port = lab.port(), lab.port()
    full = {**work(lab, params, name, port, back_port), **strings(env or {})}
    return {
        "services": [backend(lab, params, back_port),
                     {"name": name, "args": args(full) if callable(args) else args, "env": full, "cwd": cwd}],
        "url": "http://127.0.0.1:%d/%s/%%t" % (port, name),
        "root": name,
        "wait": [("port", back_port), ("port", port)],
        "truth": [full["TRUTH"]],
        "seen": [lab.path("seen.tsv")],
    }


def command(args, what, **kw):
    """Runs a compiler or a package manager to its end; RuntimeError with its last words when it fails."""
    r = subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900, **kw)
    if r.returncode:
        raise RuntimeError("%s could not be made:\n%s" % (what, (r.stderr + r.stdout)[-3000:]))
