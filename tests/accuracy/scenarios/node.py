# SPDX-License-Identifier: Apache-2.0
"""Node: its own http client through an agent of few sockets, fetch, and one connection that all requests share; with
timers between the calls and without."""

import os

import case

WORK = {"PARALLEL": 0.2, "BACKGROUND": 0.03, "TIMER_MS": 100}
AGENT = {"agent": ["--agent", "node"]}

VARIANTS = [
    {"name": "node-http", "mode": "http", "work": WORK, "with": AGENT},
    {"name": "node-http-untimed", "mode": "http", "timers": 0, "work": WORK, "with": AGENT, "quick": {"load": 10}},
    {"name": "node-fetch", "mode": "fetch", "work": WORK, "with": AGENT},
    {"name": "node-fetch-untimed", "mode": "fetch", "timers": 0, "work": WORK, "with": AGENT},
    # Its back end is quick and answers one after the other, as a cache does; some answers come in one read.
    {"name": "node-shared-untimed", "mode": "shared", "timers": 0, "work": {}, "with": AGENT, "think_ms": 0.2},
]
for v in VARIANTS:
    v.update(runtime="node", needs=["node"])


def build(lab, params):
    return case.chain(lab, params, [case.find("node"), os.path.join(case.SERVICES, "node", "mix.js")],
                      env={"MODE": params["mode"], "TIMERS": params.get("timers", 1)})
