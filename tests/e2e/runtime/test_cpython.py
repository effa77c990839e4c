# SPDX-License-Identifier: Apache-2.0
"""asyncio: the context that a socket is written in tells the request, at 50 in flight, with random pauses."""

import glob
import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lib.lab import wait_for  # noqa: E402
from service_lab import HERE, Service, said  # noqa: E402

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


@pytest.mark.parametrize("mode", ["gather", "child", "thread"])
def test_copies(lab, mode):
    """Work that runs in a copy of the request's context: nothing without the probe, all of it with it."""
    found, score = run(lab, [DEBIAN], "streams", mode)
    assert score == {"right": 0, "wrong": 0, "undecided": 600}
    with type(lab)() as second:
        found, score = run(second, [DEBIAN], "streams", mode, "--python-copies")
    assert score["wrong"] == 0 and score["right"] >= 594


def test_without_a_context(lab):
    """run_in_executor copies none: the thread's base context is no task."""
    found, score = run(lab, [DEBIAN], "streams", "pool", "--python-copies", requests=100)
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
