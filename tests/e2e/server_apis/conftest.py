# SPDX-License-Identifier: Apache-2.0
import pytest

import shop
from served import Server


@pytest.fixture(scope="module")
def shopped(module_lab):
    """A running server that holds the traces of shop.py."""
    server = Server(module_lab)
    server.shop = shop.Shop()
    server.shop.send(server)
    return server
