# SPDX-License-Identifier: Apache-2.0
"""End to end: real programs, a real kernel, the real binary. What needs root fails without it; nothing is skipped."""

import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), HERE]

from lib.lab import Lab, clean_up_when_terminated, find_clew  # noqa: E402

clean_up_when_terminated()


@pytest.fixture(scope="session", autouse=True)
def able():
    assert os.geteuid() == 0, "these tests trace: run them as root (sudo make test)"
    assert os.access(find_clew(), os.X_OK), "no binary at %s: run make (or set CLEW)" % find_clew()


@pytest.fixture
def lab():
    with Lab() as one:
        yield one


@pytest.fixture(scope="module")
def module_lab():
    with Lab() as one:
        yield one
