# SPDX-License-Identifier: Apache-2.0
"""Go: net/http with its own client, goroutines and channels."""

import os

import case

TOOLCHAIN = os.environ.get("CLEW_GO_TOOLCHAIN", "local")  # go1.22.12: that one, fetched if need be
NAME = "go" if TOOLCHAIN == "local" else TOOLCHAIN
OWN_CALLS = {"right": {50: 0.995, 200: 0.99}}
CHANNELS = {"channels": ["--go-channels"]}
MIXED = {"PARALLEL": 0.2, "BACKGROUND": 0.03, "TIMER_MS": 100}

VARIANTS = [
    {"name": "go-plain", "mode": "plain", "ask": OWN_CALLS, "work": {"BACKGROUND": 0.03, "TIMER_MS": 100},
     "quick": {"load": 10}},
    {"name": "go-own-sockets", "mode": "own", "ask": OWN_CALLS, "work": {"BACKGROUND": 0.03, "TIMER_MS": 100}},
    {"name": "go-fanout", "mode": "fanout", "ask": {"right": {50: 0.99, 200: 0.99}}, "work": MIXED},
    # one call for all who ask the same: none of them is its parent
    {"name": "go-collapse", "mode": "collapse", "work": {"STEPS": 1}, "links": 1.5},
    {"name": "go-pool", "mode": "pool", "work": MIXED, "with": CHANNELS},
    {"name": "go-pool-own-sockets", "mode": "poolown", "work": MIXED, "with": CHANNELS},
    {"name": "go-pool-one-worker", "mode": "pool", "work": {**MIXED, "WORKERS": 1}, "with": CHANNELS, "loads": [10, 200]},
    {"name": "go-pool-mixed", "mode": "mix", "work": MIXED, "with": CHANNELS},
    {"name": "go-stages", "mode": "stages", "work": MIXED, "with": CHANNELS},
    {"name": "go-batches", "mode": "batch", "work": {"PARALLEL": 0.2}, "with": CHANNELS, "loads": [10, 50, 200]},
]
for v in VARIANTS:
    v.update(runtime="go", needs=["go"])


def compiled(out):
    case.command([case.find("go"), "build", "-o", out, "."], "the Go service", cwd=os.path.join(case.SERVICES, "go"),
                 env={**os.environ, "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": TOOLCHAIN})


def build(lab, params):
    return case.chain(lab, params, [case.built(NAME, ["go"], compiled)], env={"MODE": params["mode"], "KEYS": max(1, params["load"] // 5)})
