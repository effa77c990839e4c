#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Drive the page in a real Chromium against real servers: tests/ui/run.py --out FOLDER [--only NAME].

Three stores: one filled over OTLP (tests/ui/data.py), an empty one, and one that clew itself captured (the demo's
shop; root). First ui/'s unit tests (vitest), then tests/ui/drive.mjs. Closes with `N passed, N failed`.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(ROOT, "tests"), os.path.join(ROOT, "tests", "e2e", "server"), HERE]

from lib.lab import Lab, clean_up_when_terminated, find_clew  # noqa: E402
from served import Server  # noqa: E402
import data  # noqa: E402

SPANS = 100000


def need(what, path):
    if not path or not os.path.exists(path):
        sys.exit(f"tests/ui: {what} is missing: make deps installs the packages, `npm ci && npm run build` in ui/ the page")


def unit(ui):
    """vitest's counts, in our words."""
    done = subprocess.run(["npx", "--no-install", "vitest", "run", "--reporter=json"], cwd=ui, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    found = re.search(r"^\{.*\}$", done.stdout, re.M | re.S)
    result = json.loads(found.group(0)) if found else {}
    for file in result.get("testResults", []):
        for test in file["assertionResults"]:
            if test["status"] != "passed":
                print("FAIL %s: %s" % (test["fullName"], " ".join(test["failureMessages"])[:400]))
        if not file["assertionResults"] and file["status"] != "passed":
            print("FAIL %s: %s" % (file["name"], file.get("message", "")[:400]))
    passed, failed = result.get("numPassedTests", 0), result.get("numFailedTests", 0)
    if not result.get("success"):
        failed = failed or 1
        if not result:
            print(done.stdout[-2000:])
    return passed, failed


def capture(clew, out):
    """A store with what clew saw of the demo's shop; None where it cannot trace."""
    if os.geteuid() != 0:
        print("  not root: the views of what clew traced itself are not tested")
        return None
    shutil.rmtree(out, ignore_errors=True)
    done = subprocess.run(["/usr/bin/python3", os.path.join(ROOT, "demo", "demo.py"), "--clew", clew, "--out", out],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        print(done.stdout[-3000:])
        sys.exit("tests/ui: the demo failed")
    return os.path.join(out, "store")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="screenshots and stores go here")
    parser.add_argument("--only", help="only tests that have this in their name")
    parser.add_argument("--ui-dir", help="the page's files from here, not those in the binary (not compressed then)")
    args = parser.parse_args()
    clean_up_when_terminated()
    ui, out, clew = os.path.join(ROOT, "ui"), os.path.abspath(args.out), find_clew()
    need("chromium", os.environ.get("CHROMIUM") or shutil.which("chromium"))
    need("ui/node_modules", os.path.join(ui, "node_modules", "playwright-core"))
    os.makedirs(out, exist_ok=True)
    passed, failed = (0, 0) if args.only else unit(ui)
    print(f"unit tests of the page: {passed} passed, {failed} failed".replace("passed, ", "good, ").replace("failed", "bad"))
    traced = capture(clew, os.path.join(out, "demo"))
    with Lab() as lab:
        dist = ["--ui-dir", os.path.abspath(args.ui_dir)] if args.ui_dir else []
        server = Server(lab, *dist)
        shop = data.Shop(server)
        shop.half_hour()
        big, made = shop.big(SPANS)
        assert made == SPANS
        base = "http://127.0.0.1:%d"
        if "/assets/" not in server.ask("/").text:
            sys.exit("tests/ui: this build of clew has no page: make builds it (tools/build-ui, then ninja)")
        facts = {"base": base % server.ports["http"], "otlp": base % server.ports["otlp_http"], "out": out, "big": big,
                 "empty": base % Server(lab, *dist).ports["http"]}
        if traced:
            facts["traced"] = base % Server(lab, *dist, db=traced).ports["http"]
        path = os.path.join(out, "facts.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(facts, f)
        command = ["node", os.path.join(HERE, "drive.mjs"), path] + ([args.only] if args.only else [])
        drive = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        counts = None
        for line in drive.stdout:
            counts = re.match(r"(\d+) passed, (\d+) failed$", line) or counts
            if not re.match(r"\d+ passed, \d+ failed$", line):
                print(line, end="", flush=True)
        drive.wait()
    if counts:
        passed, failed = passed + int(counts.group(1)), failed + int(counts.group(2))
    elif drive.returncode:
        failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or drive.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
