#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Drive the page in a real Chromium against real servers: tests/ui/run.py --out FOLDER [--only NAME].

Four stores: one filled over OTLP (tests/ui/data.py), an empty one, one that clew itself captured (the demo's shop;
root), and the replay of a call that nobody can know the cause of. First ui/'s unit tests (vitest), then tests/ui/drive.mjs,
which runs each test_*.mjs. Closes with what failed, once more, and `N passed, N failed`; a screenshot of each failure is in FOLDER.
"""
import argparse
import glob
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
from lib import recording  # noqa: E402

SPANS = 100000


def need(what, path):
    if not path or not os.path.exists(path):
        sys.exit(f"tests/ui: {what} is missing: make deps installs the packages, `npm ci && npm run build` in ui/ the page")


def unit(ui):
    """vitest's tests in our words: how many passed, and a line for each that failed."""
    done = subprocess.run(["npx", "--no-install", "vitest", "run", "--reporter=json", "--testTimeout=60000"], cwd=ui, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    found = re.search(r"^\{.*\}$", done.stdout, re.M | re.S)
    result = json.loads(found.group(0)) if found else {}
    failures = []
    for file in result.get("testResults", []):
        bad = [(test["fullName"], " ".join(test["failureMessages"])) for test in file["assertionResults"] if test["status"] != "passed"]
        if not file["assertionResults"] and file["status"] != "passed":
            bad = [(os.path.relpath(file["name"], ui), file.get("message", ""))]
        failures += ["FAIL %s: %s" % (name, " ".join(why.split())[:400]) for name, why in bad]
    if not result.get("success") and not failures:
        print(done.stdout[-2000:])
        failures = ["FAIL the page's unit tests: vitest ended with %d, see above" % done.returncode]
    for line in failures:
        print(line)
    return result.get("numPassedTests", 0), failures


def capture(clew, out):
    """A store with what clew saw of the demo's shop; None where it cannot trace."""
    if os.geteuid() != 0:
        print("  not root: the views of what clew traced itself are not tested")
        return None
    shutil.rmtree(out, ignore_errors=True)
    done = subprocess.run(["/usr/bin/python3", os.path.join(ROOT, "demo", "demo.py"), "--clew", clew, "--out", out, "--seconds", "3"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        print(done.stdout[-3000:])
        sys.exit("tests/ui: the demo failed")
    return os.path.join(out, "store")


def orphan(lab, *options):
    """A server of a store that holds an orphan with candidates."""
    raw, db = lab.path("two.raw"), lab.path("two")
    with open(raw, "wb") as f:
        f.write(recording.two_at_once().data())
    lab.clew("replay", raw, "-d", db)
    return Server(lab, *options, db=db)


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
    for old in glob.glob(os.path.join(out, "failed-*.png")):
        os.unlink(old)
    passed, failures = (0, []) if args.only else unit(ui)
    print(f"unit tests of the page: {passed} good, {len(failures)} bad")
    traced = capture(clew, os.path.join(out, "demo"))
    with Lab() as lab:
        dist = ["--ui-dir", os.path.abspath(args.ui_dir)] if args.ui_dir else []
        server = Server(lab, *dist)
        server.need_page("tests/ui")
        shop = data.Shop(server)
        shop.half_hour()
        big, made = shop.big(SPANS)
        assert made == SPANS
        odd = shop.odd()
        base = "http://127.0.0.1:%d"
        facts = {"base": base % server.ports["http"], "otlp": base % server.ports["otlp_http"], "out": out, "big": big, "odd": odd,
                 "lately": shop.lately, "empty": base % Server(lab, *dist).ports["http"],
                 "orphan": base % orphan(lab, *dist).ports["http"]}
        if traced:
            facts["traced"] = base % Server(lab, *dist, db=traced).ports["http"]
        path = os.path.join(out, "facts.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(facts, f)
        command = ["node", os.path.join(HERE, "drive.mjs"), path] + ([args.only] if args.only else [])
        drive = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        ended, line = False, "its start"
        for line in drive.stdout:
            counts = re.match(r"(\d+) passed, \d+ failed$", line)
            if counts:
                ended, passed = True, passed + int(counts.group(1))
                continue
            if line.startswith("FAIL "):
                failures.append(line.rstrip())
            print(line, end="", flush=True)
        drive.wait()
    if not ended:
        failures.append("FAIL drive.mjs ended with %d before all tests had run, after: %s" % (drive.returncode, line.rstrip()))
    for failure in failures:  # once more: of a long log often only the end is kept
        print(failure)
    print(f"{passed} passed, {len(failures)} failed")
    return 1 if failures or drive.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
