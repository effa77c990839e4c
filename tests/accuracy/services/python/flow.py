# SPDX-License-Identifier: Apache-2.0
"""The work of a request (see ../../case.py), for the Python services: its settings, truth and plan."""

import os
import random
import secrets

NAME = os.environ["NAME"]
PORT = int(os.environ["PORT"])
HOST, BACK_PORT = os.environ["BACK"].rsplit(":", 1)
BACK_PORT = int(BACK_PORT)
BACK_NAME = os.environ["BACK_NAME"]
THINK = float(os.environ["THINK_MS"]) / 1000
STEPS = int(os.environ["STEPS"])
SKIP = float(os.environ["SKIP"])
REPEAT = float(os.environ["REPEAT"])
RETRIES = int(os.environ["RETRIES"])
PARALLEL = os.environ["PARALLEL"] == "1"
BACKGROUND = float(os.environ["BACKGROUND"])
TIMER = float(os.environ["TIMER_MS"]) / 1000
WORKERS = int(os.environ["WORKERS"])
CONNS = int(os.environ["CONNS"])

BODY = b"done\n"
truth = os.open(os.environ["TRUTH"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def pause():
    """Seconds of one random pause."""
    return random.uniform(0, 2 * THINK)


def period():
    return random.uniform(0.5, 1.5) * TIMER


def new_call(incoming, kind):
    """Writes the truth of one call that is about to be made; returns its path."""
    out = secrets.token_hex(16)
    os.write(truth, ("%s\t%s\t%s\t%s\t%s\n" % (NAME, incoming, BACK_NAME, out, kind)).encode())
    return "/%s/%s" % (BACK_NAME, out)


def steps():
    """The kinds of the calls that a request makes, without the tries after a failure."""
    kinds = []
    for _ in range(STEPS):
        if random.random() >= SKIP:
            kinds.append("parallel" if PARALLEL else "call")
            if random.random() < REPEAT:
                kinds.append("repeat")
    return kinds


def retry(kind):
    """The kind of the next try of a call: that of a job or a timer stays what it is."""
    return kind if kind in ("background", "timer") else "retry"


def starts_background():
    return random.random() < BACKGROUND


def token_of(path):
    return path.rsplit("/", 1)[-1].split("?", 1)[0]
