# SPDX-License-Identifier: Apache-2.0
"""Python: threads, pools, asyncio."""

import os

import case

PY = os.path.join(case.SERVICES, "python")
ASK_THREAD = {"right": {50: 0.995, 200: 0.99}}
ASK_POOL = {"right": {50: 0.97, 200: 0.97}}

VARIANTS = [
    {"name": "python-threads", "program": "threads.py", "mode": "thread", "ask": ASK_THREAD,
     "quick": {"load": 10, "right": 0.97}},
    {"name": "python-threads-background", "program": "threads.py", "mode": "thread", "ask": ASK_THREAD,
     "work": {"BACKGROUND": 0.3, "TIMER_MS": 20}},
    {"name": "python-pool-future", "program": "threads.py", "mode": "future", "ask": ASK_POOL,
     "quick": {"load": 50}},
    {"name": "python-pool-future-each", "program": "threads.py", "mode": "future-each", "ask": {"right": {50: 0.9}}},
]
for v in VARIANTS:
    v.update(runtime="python", needs=[case.PYTHON])


def build(lab, params):
    return case.chain(lab, params, [case.PYTHON, os.path.join(PY, params["program"])],
                      env={"MODE": params.get("mode", ""), "PYTHONPATH": PY})
