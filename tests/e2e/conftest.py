# SPDX-License-Identifier: Apache-2.0
"""End to end: real programs, a real kernel, the real binary. What needs root fails without it; nothing is skipped."""

import os

import pytest

from lib.lab import find_clew


@pytest.fixture(scope="session", autouse=True)
def able():
    assert os.geteuid() == 0, "these tests trace: run them as root (sudo make test)"
    assert os.access(find_clew(), os.X_OK), "no binary at %s: run make (or set CLEW)" % find_clew()
