# SPDX-License-Identifier: Apache-2.0
"""A service without an SDK between two that have one, at ten requests in flight: tests/accuracy/joins.py, small."""
import os
import sys

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "accuracy")]

import joins  # noqa: E402


@pytest.mark.parametrize("between", ["plain", "nginx"])
def test_one_trace_and_no_exchange_twice(tmp_path, between):
    assert not joins.lacking()
    result = joins.run(str(tmp_path), 10, 150, between)
    assert result["requests"] == 150
    bad = {name: {k: c[k] for k in ("wrong", "missing", "twice") if c[k]} for name, c in result["spans"].items()}
    assert not any(bad.values()), (bad, result["faults"][:5], result["summary"])
    # An orphan is a call whose request clew does not know for sure; it is never in another's trace.
    assert result["exact"] >= 140, (result["exact"], result["faults"][:5])
    assert set(result["spans"]) == {"a server", "a client", "b server", "b client", "c server", "c internal"}
