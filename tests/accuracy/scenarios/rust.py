# SPDX-License-Identifier: Apache-2.0
"""Rust: axum and reqwest on tokio's threads."""

import os
import shutil

import case

WORK = {"PARALLEL": 0.2, "BACKGROUND": 0.03, "TIMER_MS": 100}

VARIANTS = [
    {"name": "rust-tokio", "mode": "plain", "work": WORK},
    {"name": "rust-tokio-own-sockets", "mode": "own", "work": WORK},
    {"name": "rust-tokio-pool", "mode": "pool", "work": WORK},
]
for v in VARIANTS:
    v.update(runtime="rust", needs=["cargo"], **{"with": {"wakers": ["--tokio-wakers"]}})


def compiled(out):
    """Crates are fetched as Cargo.lock pins them, and compiled once: their folder stays when main.rs changes."""
    target = os.path.join(case.cache(), "rust-target")
    case.command([case.find("cargo"), "build", "--release", "--locked", "-q", "--target-dir", target],
                 "the Rust service", cwd=os.path.join(case.SERVICES, "rust"))
    shutil.copy2(os.path.join(target, "release", "clew-accuracy-rust"), out)


def build(lab, params):
    return case.chain(lab, params, [case.built("rust", ["rust"], compiled)], env={"MODE": params["mode"]})
