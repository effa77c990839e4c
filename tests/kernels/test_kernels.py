# SPDX-License-Identifier: Apache-2.0
"""The tests of inside_*.py, and those of other folders that say most about a kernel, run under that kernel."""

import os
import xml.etree.ElementTree as ElementTree

import pytest

from boot import boot

# (kernel, what pytest runs there, from tests/). The emulator is slow: what starts a clew for each test takes long there.
INSIDE = [
    ("6.1", ["kernels/inside_6_1.py"]),
    ("6.12", ["kernels/inside_6_12.py"]),
    ("6.12", ["e2e/check", "e2e/http",
              # Where tcp_sendmsg_locked is missing, a client's span begins when its send was over: maybe after the
              # server read the request.
              "--deselect=e2e/http/test_http.py::test_a_server_answers_before_its_client_has_the_answer",
              # Starts five programs that read the store: ten seconds each there, and nothing of it is the kernel's.
              "--deselect=e2e/http/test_http.py::test_secrets_are_nowhere"]),
]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kernel, tests", INSIDE, ids=["%s-%s" % (kernel, tests[0]) for kernel, tests in INSIDE])
def test_under(kernel, tests, tmp_path):
    command = ["env", "-C", os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
               "/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=/out/junit.xml"]
    status = boot(kernel, str(tmp_path), command + tests)
    said = (tmp_path / "output").read_text(errors="replace")
    assert status == 0, said[-8000:]
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot().find("testsuite")
    assert int(suite.get("tests")) > 0 and int(suite.get("skipped")) == 0, said[-8000:]
    print("\nLinux %s: %s" % (kernel, said.rstrip().splitlines()[-1]))
