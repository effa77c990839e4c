# SPDX-License-Identifier: Apache-2.0
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from served import Server  # noqa: E402


@pytest.fixture
def serve(lab):
    """serve(OPTION...): a running clew server with a store of its own."""
    return lambda *args, **kw: Server(lab, *args, **kw)
