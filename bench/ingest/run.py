#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""run.py [--seconds S | --spans N] [--connections N] [--spans-per-request N] [--only http|grpc]: how fast clew server takes OTLP.

Prepared requests are sent over loopback, each answered when it is on disk. Prints spans a second, the server's
processor time a span until it has closed its store, bytes a span on disk then, and its largest RSS before.
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("CLEW_BUILD", os.path.join(ROOT, "build"))


def measure(how, args, payloads, work):
    db = os.path.join(work, how)
    server = subprocess.Popen([os.path.join(BUILD, "clew"), "server", "-d", db, "--http-port", "0",
                               "--otlp-http-port", "0", "--otlp-grpc-port", "0"], stderr=subprocess.PIPE, text=True)
    ports = os.path.join(db, "ports.json")
    while not os.path.exists(ports):
        if server.poll() is not None:
            sys.exit(server.stderr.read())
        time.sleep(0.02)
    with open(ports, encoding="ascii") as f:
        port = json.load(f)["otlp_" + how]
    sent = json.loads(subprocess.run([os.path.join(BUILD, "bench", "ingest", "clew-send"), how, str(port), payloads,
                                      str(args.connections), str(args.seconds)] +
                                     ([str(args.spans)] if args.spans else []), check=True, capture_output=True,
                                     text=True).stdout)
    with open("/proc/%d/status" % server.pid, encoding="ascii") as f:
        peak = next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))
    server.send_signal(signal.SIGTERM)
    _, status, usage = os.wait4(server.pid, 0)  # with the sealing of what was left
    assert status == 0, status
    cpu = usage.ru_utime + usage.ru_stime
    size = sum(os.path.getsize(os.path.join(d, n)) for d, _, names in os.walk(db) for n in names)
    rows = subprocess.run([os.path.join(BUILD, "clew"), "sql", "SELECT count(*) FROM spans", "--csv", "-d", db],
                          check=True, capture_output=True, text=True).stdout.split()[-1]
    assert int(rows) == sent["spans"], (rows, sent)
    print("%s: %d spans in %.1f s: %.0f spans/s; server %.2f us of processor time a span (%.0f spans a CPU-second), "
          "sender %.2f us; %.1f bytes a span on disk (%.0f sent); RSS %.0f MiB at most; %d requests refused and sent "
          "again, %d failed" % (how, sent["spans"], sent["seconds"], sent["spans"] / sent["seconds"],
                                cpu / sent["spans"] * 1e6, sent["spans"] / cpu, sent["cpu_s"] / sent["spans"] * 1e6,
                                size / sent["spans"], sent["bytes"] / sent["spans"], peak / 1024, sent["refused"],
                                sent["failed"]), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--spans", type=int, help="as many, however long it takes: to compare on a busy machine")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--spans-per-request", type=int, default=512)
    parser.add_argument("--only", choices=("http", "grpc"))
    args = parser.parse_args()
    if args.spans:
        args.seconds = 3600
    with tempfile.TemporaryDirectory(prefix="clew-ingest-") as work:
        payloads = os.path.join(work, "payloads")
        subprocess.run([sys.executable, os.path.join(HERE, "payloads.py"), payloads, "72",
                        str(args.spans_per_request)], check=True)
        for how in (args.only,) if args.only else ("http", "grpc"):
            measure(how, args, payloads, work)


main()
