# SPDX-License-Identifier: Apache-2.0
"""What every folder's tests have: a laboratory, an end that leaves nothing behind, and word of what is running."""

import os

import pytest

from lib.lab import Lab, clean_up_when_terminated

clean_up_when_terminated()


class Running:
    """Keeps the names of the tests that run now in a file: where all are ended, nothing else tells which one hung."""

    def __init__(self, path):
        self.path, self.tests = path, []

    def write(self):
        with open(self.path, "w") as f:
            f.writelines(test + "\n" for test in self.tests)

    def pytest_runtest_logstart(self, nodeid):
        self.tests.append(nodeid)
        self.write()

    def pytest_runtest_logfinish(self, nodeid):
        self.tests.remove(nodeid)
        self.write()


def pytest_configure(config):
    path = os.environ.get("CLEW_TESTS_RUNNING")
    if path and not hasattr(config, "workerinput"):  # xdist's workers tell the one that writes
        config.pluginmanager.register(Running(path))


@pytest.fixture
def lab():
    with Lab() as one:
        yield one


@pytest.fixture(scope="module")
def module_lab():
    with Lab() as one:
        yield one
