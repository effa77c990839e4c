# SPDX-License-Identifier: Apache-2.0
"""Starts the services of a scenario and stops them again: the one process that clew is pointed at.

usage: supervise.py SPEC.json PIDFILE

SPEC: a list of {"name", "args", "env", "cwd", "ready"}; with "ready", a port, the next is started when this one
listens there. Ends on SIGTERM (children last to first), or when one of them ends
by itself: then with status 1, for that is a mistake.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time

READY_LIMIT = 30  # seconds


def wait_until_ready(name, child, port):
    end = time.monotonic() + READY_LIMIT
    while True:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        if child.poll() is not None or time.monotonic() > end:
            sys.exit("%s does not listen on port %d" % (name, port))
        time.sleep(0.02)


def main():
    spec_path, pid_path = sys.argv[1:3]
    with open(spec_path) as f:
        spec = json.load(f)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT, signal.SIGCHLD])
    unblock = lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM, signal.SIGINT, signal.SIGCHLD])
    children = []
    for s in spec:
        out = open(os.path.join(os.path.dirname(pid_path), s["name"] + ".log"), "wb")
        children.append((s["name"], subprocess.Popen(s["args"], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                                     env={**os.environ, **s.get("env", {})}, cwd=s.get("cwd"),
                                                     preexec_fn=unblock)))
        if s.get("ready"):
            wait_until_ready(s["name"], children[-1][1], s["ready"])
    with open(pid_path + ".new", "w") as f:
        json.dump({"supervisor": os.getpid(), **{n: c.pid for n, c in children}}, f)
    os.rename(pid_path + ".new", pid_path)
    status = 0
    while signal.sigwait([signal.SIGTERM, signal.SIGINT, signal.SIGCHLD]) == signal.SIGCHLD:
        dead = [(n, c.poll()) for n, c in children if c.poll() is not None]
        if dead:
            print("ended by itself:", dead, file=sys.stderr)
            for name, _ in dead:
                with open(os.path.join(os.path.dirname(pid_path), name + ".log"), errors="replace") as f:
                    print(f.read()[-2000:], file=sys.stderr)
            status = 1
            break
    for _, c in reversed(children):
        c.terminate()
        try:
            c.wait(10)
        except subprocess.TimeoutExpired:
            c.kill()
            c.wait()
    return status


sys.exit(main())
