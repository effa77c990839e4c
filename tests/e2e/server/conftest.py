# SPDX-License-Identifier: Apache-2.0
import pytest

from served import Server


@pytest.fixture
def serve(lab):
    """serve(OPTION...): a running clew server with a store of its own."""
    return lambda *args, **kw: Server(lab, *args, **kw)
