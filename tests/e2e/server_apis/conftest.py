# SPDX-License-Identifier: Apache-2.0
import os
import sys

import pytest

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "server")]

import shop  # noqa: E402
from served import Server  # noqa: E402


@pytest.fixture(scope="module")
def shopped(module_lab):
    """A running server that holds the traces of shop.py."""
    server = Server(module_lab)
    server.shop = shop.Shop()
    server.shop.send(server)
    return server
