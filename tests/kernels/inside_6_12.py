# SPDX-License-Identifier: Apache-2.0
"""Linux 6.12: everything of clew's is loaded and attached, and a request through two services is seen whole. The whole
machine is traced here, which no other test may do: it is the guest's (boot.py), and only the test's programs are in it.
"""

import json
import subprocess

import pytest

from lib.lab import READY, parse_summary
from spans import PYTHON, attr, by_path, incomplete, joined, program

# Features that came after 6.12, and are done without.
LATER = {"tcp_sendmsg_locked"}

FETCH = """
import http.client
c = http.client.HTTPConnection("127.0.0.1", %d)
for path, length in (("/len/100000", 100000), ("/status/404", 7)):
    c.request("POST", path, body=b"x" * 5000)
    assert len(c.getresponse().read()) == length
"""


@pytest.fixture(autouse=True)
def guest():
    with open("/proc/cmdline") as f:
        assert "clew.kernels=6.12" in f.read().split(), "only for the machine that tests/kernels/boot.py makes"


def test_check_misses_only_what_came_later(lab):
    r = subprocess.run([lab.clew_path, "check", "--json"], capture_output=True, text=True)
    told = json.loads(r.stdout)
    assert (r.returncode, told["works"]) == (0, True), r.stdout
    assert {f["name"] for f in told["features"] if not f["ok"]} == LATER, r.stdout


@pytest.fixture
def services(lab):
    """(nginx's port, the port of the service behind it), both running, and nothing of them traced yet."""
    front, back = lab.port(), lab.port()
    lab.wait_port(back, lab.spawn([PYTHON, program("server.py"), back], "back"))
    lab.nginx("front", "server { listen 127.0.0.1:%d; location / { proxy_pass http://127.0.0.1:%d; } }" % (front, back),
              wait=front)
    return front, back


@pytest.mark.parametrize("target", ["--all", "--port"])
def test_a_request_is_seen_whole(lab, services, target):
    """Through nginx into a service, by the whole machine and by ports; the client is traced only with the machine."""
    front, back = services
    r = lab.record(*(["--all"] if target == "--all" else ["--port", front, "--port", back]))
    assert r.err() == READY + "; Ctrl-C ends it\n", r.err()  # no word of anything that is left out
    subprocess.run([PYTHON, "-c", FETCH % front], check=True)
    summary = parse_summary(r.finish())
    assert summary["lost"] == 0 and summary["orphans"] == 0 and summary["incomplete"] == 0, r.err()
    spans = lab.spans(r.db)
    for path, status, size in (("/len/100000", 200, 100000), ("/status/404", 404, 7)):
        expect_whole(by_path(spans, path), path, status, size, front, target == "--all")


def expect_whole(spans, path, status, size, front, with_client):
    """The spans of one request: a chain, each hanging from the one before, each with the bytes that went by."""
    at_front = [s for s in spans if attr(s, "server.port") == front]
    at_back = [s for s in spans if attr(s, "server.port") != front]
    call, behind = joined(at_back, path)
    entry = [s for s in at_front if s["kind"] == "server"]
    assert len(entry) == 1 and call["parent_span_id"] == entry[0]["span_id"], spans
    if with_client:
        client, _ = joined(at_front, path)
        assert not client["parent_span_id"], client
    else:
        assert len(at_front) == 1 and not entry[0]["parent_span_id"], spans
    assert len({s["trace_id"] for s in spans}) == 1
    for s in spans:
        assert (attr(s, "http.request.method"), attr(s, "http.response.status_code")) == ("POST", status), s
        assert (attr(s, "http.request.body.size"), attr(s, "http.response.body.size")) == (5000, size), s
        assert not incomplete(s), s
    assert behind["service"] != entry[0]["service"], (behind, entry)
