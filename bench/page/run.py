#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the page costs, in a real Chromium on a real server: bench/page/run.py [--repeats 10] [--only paint|work|trace|frames].

Prints a table: first paint and first answer of each view (empty and warm cache), a trace of 100,000 spans from the click
to its drawing, the main thread's work a frame while one scrolls and zooms in it, what is sent. Times are of the
browser's own clocks; "work" is processor time of the main thread (script, style and layout, paint) by its tracing: the part that other
programs on the machine disturb least. Takes about a minute and a half.
"""
import argparse
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(ROOT, "tests"), os.path.join(ROOT, "tests", "e2e", "server"), os.path.join(ROOT, "tests", "ui")]

from lib.lab import Lab, clean_up_when_terminated  # noqa: E402
from served import Server  # noqa: E402
import data  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--spans", type=int, default=100000)
    parser.add_argument("--only", help="one part: paint, work, trace or frames")
    parser.add_argument("--ui-dir", help="the page's files from here, not those in the binary (not compressed then)")
    args = parser.parse_args()
    clean_up_when_terminated()
    with Lab() as lab:
        server = Server(lab, *(["--ui-dir", os.path.abspath(args.ui_dir)] if args.ui_dir else []))
        server.need_page("bench/page")
        shop = data.Shop(server, seed=1)
        shop.half_hour()
        big, spans = shop.big(args.spans)
        facts = lab.path("facts.json")
        with open(facts, "w", encoding="utf-8") as f:
            json.dump({"base": "http://127.0.0.1:%d" % server.ports["http"], "out": lab.path("out"), "big": big, "spans": spans,
                       "repeats": args.repeats, "only": args.only}, f)
        return subprocess.run(["node", os.path.join(HERE, "measure.mjs"), facts], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
