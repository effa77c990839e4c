# SPDX-License-Identifier: Apache-2.0
"""A service without an SDK between two that have one, at ten requests in flight: tests/accuracy/joins.py, small."""
import pytest

import joins


def assert_none_twice(result):
    bad = {name: {k: c[k] for k in ("wrong", "missing", "twice") if c[k]} for name, c in result["spans"].items()}
    assert not any(bad.values()), (bad, result["faults"][:5], result["summary"])


@pytest.mark.parametrize("between", ["plain", "nginx"])
def test_one_trace_and_no_exchange_twice(tmp_path, between):
    assert not joins.lacking()
    result = joins.run(str(tmp_path), 10, 150, between)
    assert result["requests"] == 150
    assert_none_twice(result)
    # An orphan is a call whose request clew does not know for sure; it is never in another's trace.
    assert result["exact"] >= 140, (result["exact"], result["faults"][:5])
    assert set(result["spans"]) == {"a server", "a client", "b server", "b client", "c server", "c internal"}


# Both are later than anything waits for: what is stored by then is changed.
@pytest.mark.parametrize("between, late", [("plain", {"delay": 25}), ("nginx", {"outage": 25})])
def test_spans_that_come_after_the_kernels_were_stored(tmp_path, between, late):
    result = joins.run(str(tmp_path), 10, 100, between, **late)
    assert result["requests"] == 100
    assert_none_twice(result)
    assert result["exact"] >= 93, (result["exact"], result["faults"][:5])
    assert "when that was stored" in result["summary"], result["summary"]


# Requests of seconds; a call is made when another request's response was read, and decided while its own is open.
def test_a_proxy_that_lets_slow_requests_wait(tmp_path):
    result = joins.run(str(tmp_path), 10, 24, "haproxy-queue", think=1500)
    assert_none_twice(result)
    assert result["exact"] >= 22, (result["exact"], result["faults"][:5])


# The SDKs' spans of what was seen before come after it; what nobody saw meanwhile is missing.
def test_clew_is_started_again(tmp_path):
    result = joins.run(str(tmp_path), 10, 200, "plain", restart="clew")
    assert not result["doubles"], (result["doubles"][:5], result["summary"])
    assert result["spans"]["b server"]["right"] > 0, result
