# SPDX-License-Identifier: Apache-2.0
"""Looking into what clew says: small questions to a list of spans (as `clew spans` prints them)."""

import os

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = os.path.join(HERE, "programs")
PYTHON = "/usr/bin/python3"


def program(name):
    return os.path.join(PROGRAMS, name)


def attr(span, name):
    return span["attributes"].get(name)


def by_path(spans, path, kind=None):
    return [s for s in spans if attr(s, "url.path") == path and (kind is None or s["kind"] == kind)]


def one(spans, path, kind):
    """The one span of this path and kind."""
    found = by_path(spans, path, kind)
    assert len(found) == 1, "%d %s spans of %s, not 1; there are: %s" % (
        len(found), kind, path, sorted({(s["kind"], attr(s, "url.path"), s["name"]) for s in spans}, key=str)[:60])
    return found[0]


def joined(spans, path):
    """(client span, server span) of the one exchange with this path; the server hangs from the client."""
    client, server = one(spans, path, "client"), one(spans, path, "server")
    assert server["parent_span_id"] == client["span_id"], (client, server)
    assert server["trace_id"] == client["trace_id"]
    return client, server


def incomplete(span):
    return attr(span, "clew.incomplete") not in (None, False, "", 0)
