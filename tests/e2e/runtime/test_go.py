# SPDX-License-Identifier: Apache-2.0
"""Go: the goroutine for which a socket is used tells the request, at 50 in flight, with random pauses."""

import os
import subprocess

import pytest

from lib.lab import find_go, wait_for
from service_lab import HERE, Service, said

# CLEW_GO_TOOLCHAINS (go1.24.0:go1.25.0) has other toolchains fetched and tested; without it, the one that is here.
GO = find_go()
BUILDS = {
    "plain": [],
    "stripped": ["-ldflags=-s -w"],
    "pie-stripped": ["-buildmode=pie", "-ldflags=-s -w"],
    "linked-by-cc": ["-ldflags=-linkmode=external -extldflags=-static -s -w"],
}


def build(lab, flags, toolchain="local"):
    """The service, and the version of Go that made it."""
    out = lab.path("service")
    env = dict(os.environ, GOTOOLCHAIN=toolchain, GOFLAGS="-mod=mod", GO111MODULE="off", CGO_ENABLED="1")
    subprocess.run([GO, "build", "-o", out, *flags, os.path.join(HERE, "service.go")], check=True, env=env)
    version = subprocess.run([GO, "version"], check=True, env=env, capture_output=True, text=True).stdout.split()[2]
    return out, version[2:]


def run(lab, binary, mode, *options, requests=300, what="go/"):
    service = Service(lab, [binary], "http", mode)
    recording = service.record(*options)
    wait_for(said(recording, what), what="the finder's word")
    service.load(requests)
    recording.finish()
    return service.score()


@pytest.mark.parametrize("kind", BUILDS)
def test_each_build(lab, kind):
    binary, version = build(lab, BUILDS[kind])
    found, score = run(lab, binary, "own")
    assert found.runtimes == {"go/%s/goroutine" % version}
    assert score == {"right": 600, "wrong": 0, "undecided": 0}


@pytest.mark.parametrize("toolchain", (os.environ.get("CLEW_GO_TOOLCHAINS") or "local").split(":"))
@pytest.mark.parametrize("mode", ["own", "fan", "pool"])
@pytest.mark.parametrize("kind", ["plain", "stripped"])
def test_each_version(lab, toolchain, mode, kind):
    binary, version = build(lab, BUILDS[kind], toolchain)
    found, score = run(lab, binary, mode, "--go-channels")
    assert found.runtimes == {"go/%s/goroutine" % version}
    assert score["wrong"] == 0 and score["right"] >= 594


def test_fan_out(lab):
    """A goroutine for each call: its parent is known."""
    binary, _ = build(lab, [])
    found, score = run(lab, binary, "fan")
    assert score["wrong"] == 0 and score["right"] >= 594


def test_pool(lab):
    """Workers behind a channel: nothing without the probe on sends, all of it with it."""
    binary, _ = build(lab, [])
    found, score = run(lab, binary, "pool")
    assert score == {"right": 0, "wrong": 0, "undecided": 600}
    with type(lab)() as second:
        found, score = run(second, binary, "pool", "--go-channels")
    assert score["wrong"] == 0 and score["right"] >= 594


def test_switched_off(lab):
    """Without probes the transport's own goroutines write; without tasks there are none."""
    binary, _ = build(lab, [])
    found, score = run(lab, binary, "own", "--tasks", "memory", requests=100)
    assert found.requests and not {(tgid, task) for _, tgid, task, _ in found.calls} & set(found.requests)
    with type(lab)() as second:
        found, score = run(second, binary, "own", "--tasks", "none", requests=100, what="tracing")
    assert not found.runtimes and score == {"right": 0, "wrong": 0, "undecided": 200}
