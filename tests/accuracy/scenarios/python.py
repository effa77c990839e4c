# SPDX-License-Identifier: Apache-2.0
"""Python: threads and pools, asyncio with its own streams, uvicorn with FastAPI, aiohttp, gunicorn."""

import os

import case

PY = os.path.join(case.SERVICES, "python")
GUNICORN = "/usr/bin/gunicorn"
# What must be right, by what decides it.
OWN = {"right": {50: 0.995, 200: 0.99}}   # thread per request, prefork, asyncio one call after the other
POOL = {"right": {50: 0.97, 200: 0.97}}   # blocking pools
OPTION = {}                               # gather, executors: asked with the option only
COPIES = {"copies": ["--python-copies"]}  # that option, where contexts are there to be copied
BESIDE = {"BACKGROUND": 0.3, "TIMER_MS": 20}

VARIANTS = [
    {"name": "python-threads", "program": "threads.py", "mode": "thread", "ask": OWN,
     "quick": {"load": 10, "right": 0.97}},
    {"name": "python-threads-background", "program": "threads.py", "mode": "thread", "ask": OWN, "work": BESIDE},
    {"name": "python-future", "program": "threads.py", "mode": "future", "ask": POOL, "quick": {"load": 50, "right": 0.97}},
    {"name": "python-future-each", "program": "threads.py", "mode": "future-each", "ask": {"right": {50: 0.9}}},
    {"name": "python-pool", "program": "pool.py", "ask": POOL},
    {"name": "python-pool-background", "program": "pool.py", "ask": POOL, "work": BESIDE},
    {"name": "asyncio", "program": "streams.py", "mode": "await", "ask": OWN, "quick": {"load": 50}},
    {"name": "asyncio-no-timers", "program": "streams.py", "mode": "await", "ask": OWN, "work": {"THINK_MS": 0}},
    {"name": "asyncio-background", "program": "streams.py", "mode": "await", "ask": OWN, "work": BESIDE},
    {"name": "asyncio-gather", "program": "streams.py", "mode": "await", "ask": OPTION, "work": {"PARALLEL": 1}},
    {"name": "asyncio-to-thread", "program": "streams.py", "mode": "to_thread", "ask": OPTION},
    {"name": "asyncio-executor", "program": "streams.py", "mode": "executor", "ask": OPTION},
    {"name": "fastapi", "program": "uvicorn", "mode": "async", "ask": OWN, "modules": ["uvicorn", "fastapi", "httpx"]},
    {"name": "fastapi-gather", "program": "uvicorn", "mode": "async", "ask": OPTION, "work": {"PARALLEL": 1},
     "modules": ["uvicorn", "fastapi", "httpx"]},
    {"name": "fastapi-sync", "program": "uvicorn", "mode": "sync", "ask": OPTION,
     "modules": ["uvicorn", "fastapi", "httpx"]},
    {"name": "aiohttp", "program": "aio.py", "ask": OWN, "modules": ["aiohttp"]},
    {"name": "aiohttp-uvloop", "program": "aio.py", "mode": "uvloop", "ask": OWN, "modules": ["aiohttp", "uvloop"]},
    {"name": "aiohttp-gather", "program": "aio.py", "ask": OPTION, "work": {"PARALLEL": 1}, "modules": ["aiohttp"]},
    {"name": "gunicorn-sync", "program": "gunicorn", "mode": "sync", "ask": OWN, "needs": [GUNICORN]},
    {"name": "gunicorn-gthread", "program": "gunicorn", "mode": "gthread", "ask": OWN, "needs": [GUNICORN]},
    {"name": "gunicorn-gevent", "program": "gunicorn", "mode": "gevent", "ask": OPTION, "needs": [GUNICORN],
     "modules": ["gevent"]},
]
for v in VARIANTS:
    if v["name"].startswith(("asyncio", "fastapi", "aiohttp")):
        v["with"] = COPIES
    v.update(runtime="python", needs=[case.PYTHON] + v.get("needs", []))


def check(params):
    return case.python_lacks(*params["modules"]) if "modules" in params else None


def command(params):
    """The command line, given the environment."""
    program = params["program"]
    if program == "uvicorn":
        return lambda env: [case.PYTHON, "-m", "uvicorn", "fast:app", "--host", "127.0.0.1", "--port", env["PORT"],
                            "--no-access-log", "--backlog", "2048", "--timeout-keep-alive", "120"]
    if program == "gunicorn":
        # gthread: two processes, and threads for fewer requests than there are
        sizes = {"sync": ["-w", str(min(params["workers"], 16))],
                 "gthread": ["-w", "2", "--threads", str(max(1, params["workers"] // 2)), "--keep-alive", "120"],
                 "gevent": ["-w", "2", "--keep-alive", "120"]}
        return lambda env: [case.PYTHON, GUNICORN, "wsgi:app", "-k", params["mode"], "-b", "127.0.0.1:" + env["PORT"],
                            "--timeout", "300", "--worker-connections", "2000", *sizes[params["mode"]]]
    return [case.PYTHON, os.path.join(PY, program)]


def build(lab, params):
    return case.chain(lab, params, command(params), cwd=PY,
                      env={"MODE": params.get("mode", ""), "PYTHONPATH": PY, "PYTHONDONTWRITEBYTECODE": "1"})
