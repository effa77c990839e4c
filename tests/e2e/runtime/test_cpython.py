# SPDX-License-Identifier: Apache-2.0
"""asyncio: the context that a socket is written in tells the request, at 50 in flight, with random pauses."""

import glob
import os
import subprocess
import sys

import pytest

from lib.lab import wait_for
from service_lab import HERE, Service, said

DEBIAN = "/usr/bin/python3"


def pythons():
    """Debian's, and what pyenv has of 3.9 to 3.13; CLEW_PYTHONS (separated by colons) names others."""
    given = os.environ.get("CLEW_PYTHONS")
    if given:
        return given.split(":")
    root = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    return [DEBIAN] + sorted(p for v in range(9, 14) for p in glob.glob("%s/versions/3.%d.*/bin/python3" % (root, v)))


def run(lab, command, kind, mode, *options, requests=300):
    service = Service(lab, command + [os.path.join(HERE, "service.py")], kind, mode)
    recording = service.record(*options)
    wait_for(said(recording, "cpython/"), what="the finder's word")
    service.load(requests)
    recording.finish()
    return service.score()


@pytest.mark.parametrize("python", pythons(), ids=lambda p: p.replace("/", "_").strip("_"))
def test_each_version(lab, python):
    version = subprocess.run([python, "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"],
                             capture_output=True, text=True, check=True).stdout.strip()
    found, score = run(lab, [python], "streams", "sequential")
    assert score == {"right": 600, "wrong": 0, "undecided": 0}
    (runtime,) = found.runtimes
    name, told, task = runtime.split("/")
    assert (name, task) == ("cpython", "context")
    assert told in (version, version.rsplit(".", 1)[0])


def minor(python):
    return int(subprocess.run([python, "-c", "import sys; print(sys.version_info[1])"], capture_output=True, text=True,
                              check=True).stdout)


@pytest.mark.parametrize("mode", ["thread", "pool", "pool-dict"])
@pytest.mark.parametrize("python", [p for p in pythons() if minor(p) >= 11], ids=lambda p: p.replace("/", "_").strip("_"))
def test_workers(lab, python, mode):
    """What a worker thread does is for the task that waits for it: to_thread and run_in_executor, from 3.11 on."""
    found, score = run(lab, [python], "streams", mode)
    assert score["wrong"] == 0 and score["right"] >= 594


@pytest.mark.parametrize("kind", ["streams-uvloop", "aiohttp-uvloop", "uvicorn-uvloop"])
def test_uvloop(lab, kind):
    """uvloop sends what all tasks wrote from one place, and loads long after the interpreter is up."""
    found, score = run(lab, [DEBIAN], kind, "sequential")
    assert score == {"right": 600, "wrong": 0, "undecided": 0}


def test_uvloop_workers(lab):
    found, score = run(lab, [DEBIAN], "uvicorn-uvloop", "thread")
    assert score["wrong"] == 0 and score["right"] >= 594


def test_greenlets(lab):
    """gevent: no context is entered, the greenlet is the task."""
    found, score = run(lab, [DEBIAN], "gevent", "sequential")
    assert score == {"right": 600, "wrong": 0, "undecided": 0}
    assert [r.rsplit("/", 1)[1] for r in found.runtimes] == ["context+greenlet"]


def test_loaded_later(lab):
    """Modules that come after the first look: it is looked again."""
    go = lab.path("go")
    late = ("import os, runpy, sys, time\nwhile not os.path.exists(%r): time.sleep(0.01)\ndel sys.argv[0]\n"
            "runpy.run_path(sys.argv[0], run_name='__main__')" % go)
    service = Service(lab, [DEBIAN, "-c", late, os.path.join(HERE, "service.py")], "gevent", "sequential", wait=False)
    recording = service.record()
    wait_for(said(recording, "/context\n"), what="the finder's first word")
    lab.write("go", "")
    lab.wait_port(service.port, service.proc)
    wait_for(said(recording, "context+greenlet"), what="the finder's second word")
    service.load(100)
    recording.finish()
    found, score = service.score()
    assert score == {"right": 200, "wrong": 0, "undecided": 0}


@pytest.mark.parametrize("mode", ["gather", "child"])
def test_copies(lab, mode):
    """Work that runs in a copy of the request's context: nothing without the probe, all of it with it."""
    found, score = run(lab, [DEBIAN], "streams", mode)
    assert score == {"right": 0, "wrong": 0, "undecided": 600}
    with type(lab)() as second:
        found, score = run(second, [DEBIAN], "streams", mode, "--python-copies")
    assert score["wrong"] == 0 and score["right"] >= 594


def test_without_a_context(lab):
    """A thread that runs nobody's future: its base context is no task."""
    found, score = run(lab, [DEBIAN], "streams", "own-thread", "--python-copies", requests=100)
    assert score == {"right": 0, "wrong": 0, "undecided": 200}


def test_many_keys(lab):
    """A thread state behind a pthread key of the second level: 40 keys are made before Python's."""
    source = lab.write("keys.c", "#include <pthread.h>\n__attribute__((constructor)) static void keys(void)\n{\n"
                                 "\tpthread_key_t key;\n\tfor (int i = 0; i < 40; i++)\n"
                                 "\t\tpthread_key_create(&key, 0);\n}\n")
    library = lab.path("keys.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    found, score = run(lab, ["/usr/bin/env", "LD_PRELOAD=" + library, DEBIAN], "streams", "sequential", requests=100)
    assert score == {"right": 200, "wrong": 0, "undecided": 0}
