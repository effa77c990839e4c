# SPDX-License-Identifier: Apache-2.0
"""C: threads, pools behind a queue, worker processes, and one epoll loop that interleaves all requests."""

import case

ASK = {"right": {50: 0.995, 200: 0.99}}
ASK_POOL = {"right": {50: 0.97, 200: 0.97}}

VARIANTS = [
    {"name": "c-threads", "mode": "conn", "ask": ASK},
    {"name": "c-thread-per-request", "mode": "request", "ask": ASK},
    {"name": "c-threads-background", "mode": "conn", "ask": ASK, "work": {"BACKGROUND": 0.3, "TIMER_MS": 20}},
    {"name": "c-pool-wait", "mode": "pool", "ask": ASK_POOL, "quick": {"load": 50}},
    {"name": "c-pool-answer", "mode": "answer", "ask": ASK_POOL},
    {"name": "c-pool-background", "mode": "pool", "ask": ASK_POOL, "quick": {"load": 50},
     "work": {"BACKGROUND": 0.3, "TIMER_MS": 20}},
    {"name": "c-prefork", "mode": "prefork", "ask": ASK, "quick": {"load": 10, "right": 0.97}},
    {"name": "c-fork", "mode": "fork", "ask": ASK},
    # one call for several requests: none of them is its parent
    {"name": "c-group-commit", "mode": "writer", "work": {"STEPS": 1}, "links": 1, "quick": {"load": 10}},
    {"name": "c-group-commit-leader", "mode": "leader", "work": {"STEPS": 1}, "links": 1},
    {"name": "c-loop", "program": "loop", "work": {"THINK_MS": 0, "CONNS": 4096}},
    {"name": "c-loop-pool", "program": "loop", "work": {"THINK_MS": 0}},
    {"name": "c-loop-parallel", "program": "loop", "work": {"THINK_MS": 0, "PARALLEL": 1, "CONNS": 4096}},
    {"name": "c-loop-timers", "program": "loop", "quick": {"load": 50},
     "work": {"BACKGROUND": 0.2, "TIMER_MS": 20}},
]
for v in VARIANTS:
    v.update(runtime="c", needs=["gcc"])


def build(lab, params):
    return case.chain(lab, params, [case.c_program(params.get("program", "threads"))],
                      env={"MODE": params.get("mode", "")})
