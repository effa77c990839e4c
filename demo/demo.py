#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`make demo`: a shop of five real programs under `clew run`, some load, and what clew saw of it.

    demo.py --clew build/clew --out build/demo [--seconds 10] [--shoppers 8]

It ends with the address of the page; on a terminal the page stays up until Ctrl-C. The shop runs as `nobody` in a directory under /tmp that is removed at the end; the store stays in
OUT/store. Whatever happens (a failure, Ctrl-C, TERM), everything that was started is ended before this
ends: clew and the shop by their own process ids, and the shop's services by the shop itself, which also
notices when clew has gone.
"""
import argparse
import contextlib
import ctypes
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import load
from shop.shop import free_ports

HERE = os.path.dirname(os.path.abspath(__file__))
USER = "nobody"
TTY = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
BOLD, DIM, RED, PLAIN = ("\033[1m", "\033[2m", "\033[31m", "\033[0m") if TTY else ("", "", "", "")


class Interrupted(SystemExit):
    """Ctrl-C, TERM or HUP: what was started is ended on the way out."""


class Failed(Exception):
    """The demo cannot go on; the text says why and what to do."""


def step(text, result=""):
    print(f"  {text:64} {DIM}{result}{PLAIN}", flush=True)


ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def uninterrupted():
    """A Ctrl-C between the making of something and its assignment would leave what nobody knows: it comes after both."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def die_with_demo():
    """In the child: Ctrl-C for it when the demo is killed in a way that it cannot catch."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
    ctypes.CDLL(None).prctl(1, signal.SIGINT, 0, 0, 0)  # PR_SET_PDEATHSIG


class Demo:
    def __init__(self, args):
        self.clew = os.path.abspath(args.clew)
        self.out = os.path.abspath(args.out)
        self.store = os.path.join(self.out, "store")
        self.log = os.path.join(self.out, "clew.log")
        self.seconds = args.seconds
        self.shoppers = args.shoppers
        self.tracer = None
        self.server = None
        self.tmp = None

    # -- what runs ----------------------------------------------------------------------------------

    def prepare(self):
        if not os.access(self.clew, os.X_OK):
            raise Failed(f"{self.clew} is not there: run make first")
        if os.geteuid() != 0:
            raise Failed("tracing needs root (or CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE and the right to "
                         "switch users): sudo make demo")
        check = subprocess.run([self.clew, "check"], capture_output=True, text=True)
        if check.returncode != 0:
            raise Failed("this kernel cannot be traced; `clew check` says:\n" + check.stdout + check.stderr)
        shutil.rmtree(self.out, ignore_errors=True)
        os.makedirs(self.out)
        # The services run as another user, so their files lie where that user can read them.
        with uninterrupted():
            self.tmp = tempfile.mkdtemp(prefix="shop-")
        os.chmod(self.tmp, 0o755)
        shutil.copytree(os.path.join(HERE, "shop"), os.path.join(self.tmp, "shop"),
                        ignore=shutil.ignore_patterns("__pycache__"))
        nobody = pwd.getpwnam(USER)
        os.chown(self.tmp, nobody.pw_uid, nobody.pw_gid)
        self.port = int(os.environ.get("CLEW_DEMO_PORT", "0")) or free_ports(1)[0]

    def start(self):
        with open(self.log, "wb") as log, uninterrupted():
            self.tracer = subprocess.Popen(
                [self.clew, "run", "--db", self.store, "--user", USER, "--", "/usr/bin/python3",
                 os.path.join(self.tmp, "shop", "shop.py"), self.tmp, str(self.port)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=self.tmp,
                preexec_fn=die_with_demo)
        self.wait(lambda: os.path.exists(os.path.join(self.tmp, "ready")), 180, "the shop to be ready")

    def wait(self, condition, limit, what):
        end = time.monotonic() + limit
        while not condition():
            if self.tracer.poll() is not None:
                raise Failed(f"clew run ended (status {self.tracer.returncode}) while we waited for {what}:\n"
                             + self.log_text()[-3000:])
            if time.monotonic() > end:
                raise Failed(f"waited {limit} s in vain for {what}:\n" + self.log_text()[-3000:])
            time.sleep(0.05)

    def log_text(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def stop(self, limit=120):
        """Ask the shop to end; clew ends with it. Returns its exit status."""
        open(os.path.join(self.tmp, "stop"), "w").close()
        try:
            return self.tracer.wait(limit)
        except subprocess.TimeoutExpired:
            raise Failed(f"clew run did not end within {limit} s of the shop's end:\n"
                         + self.log_text()[-3000:]) from None

    def clean_up(self):
        """Everything that was started has ended when this returns; the store stays."""
        if self.server and self.server.poll() is None:
            self.server.terminate()
            try:
                self.server.wait(10)
            except subprocess.TimeoutExpired:
                self.server.kill()
        if self.tracer and self.tracer.poll() is None:
            try:
                open(os.path.join(self.tmp, "stop"), "w").close()
            except OSError:
                pass
            for number, limit in ((None, 30), (signal.SIGINT, 30), (signal.SIGTERM, 10), (signal.SIGKILL, 10)):
                if number:
                    self.tracer.send_signal(number)
                try:
                    self.tracer.wait(limit)
                    break
                except subprocess.TimeoutExpired:
                    continue
        if self.tmp:
            # A shop that outlived its tracer sees that and ends; its directory goes after it.
            end = time.monotonic() + 30
            while self.shop_lives() and time.monotonic() < end:
                time.sleep(0.1)
            shutil.rmtree(self.tmp, ignore_errors=True)

    def shop_lives(self):
        """Whether any process still works in our directory."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    if self.tmp.encode() in f.read():
                        return True
            except OSError:
                continue
        return False

    # -- what is shown ------------------------------------------------------------------------------

    def query(self, *words):
        done = subprocess.run([self.clew, *words, "--db", self.store], capture_output=True, text=True,
                              env=dict(os.environ, NO_COLOR="1"))
        if done.returncode != 0:
            raise Failed(f"clew {' '.join(words)} failed:\n{done.stderr}")
        return done.stdout

    def show(self, title, *words):
        """Run a query as the reader would, on the terminal itself."""
        print(f"\n{BOLD}{title}{PLAIN}\n{DIM}$ clew {' '.join(words)}{PLAIN}", flush=True)
        done = subprocess.run([self.clew, *words], env=dict(os.environ, CLEW_DB=self.store))
        if done.returncode != 0:
            raise Failed(f"clew {' '.join(words)} exited with {done.returncode}")

    def slowest(self):
        lines = self.query("traces", "--service", "nginx", "--sort", "duration", "--limit", "1", "--json")
        if not lines.strip():
            raise Failed("the store holds no trace of nginx; this is what clew run said:\n" + self.log_text())
        return json.loads(lines.splitlines()[0])["trace_id"]

    def story(self):
        print(f"{BOLD}clew demo{PLAIN}: five programs, nothing in them or in their configuration knows of "
              "tracing\n")
        begin = time.monotonic()
        self.prepare()
        self.start()
        step("nginx, orders (Python), pricing (Node), redis, PostgreSQL start", f"{time.monotonic() - begin:.1f} s")
        counts = load.run(self.port, self.seconds, self.shoppers)
        if counts["failed"]:
            raise Failed(f"{counts['failed']} requests got no answer; this is what clew run said:\n" + self.log_text())
        errors = sum(n for status, n in counts.items() if status != "failed" and status >= 500)
        step(f"{self.shoppers} shoppers browse, look and buy for {self.seconds:g} s",
             f"{sum(counts.values())} requests, {errors} failed (the shop has a bug)")
        begin = time.monotonic()
        status = self.stop()
        step("the shop closes; what was captured is flushed to the store", f"{time.monotonic() - begin:.1f} s")
        if status != 0:
            raise Failed(f"clew run exited with {status}:\n" + self.log_text()[-3000:])
        print("\n" + "\n".join(line for line in self.log_text().splitlines() if "stored" not in line
                               and not line.endswith("tracing")))
        self.show("Who calls whom, found by watching sockets:", "map")
        self.show("How the services did:", "services")
        self.show("The slowest request, with the reason for each link:", "trace", self.slowest()[:12], "--why")
        self.show("Requests that failed, newest first:", "traces", "--error", "--limit", "3")
        self.next_steps()
        self.page()

    def page(self):
        """The store on a page of its own, until Ctrl-C where somebody can press it."""
        command = [self.clew, "server", "-d", self.store, "--http-port", "0", "--no-otlp"]
        with uninterrupted():
            self.server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                           start_new_session=True, preexec_fn=die_with_demo)
        said = []
        for line in self.server.stdout:
            said.append(line)
            found = re.search(r"http://[^\s,/]+/", line)
            if found:
                break
        else:
            raise Failed("clew server did not start:\n" + "".join(said))
        url = found.group(0)
        with urllib.request.urlopen(url + "readyz", timeout=60) as answer:
            if answer.status != 200:
                raise Failed(f"{url}readyz answers {answer.status}")
        print(f"\n{BOLD}The same on a page{PLAIN}\n  {url}?since=0")
        if sys.stdin.isatty() and sys.stdout.isatty():
            print(f"  {DIM}until Ctrl-C{PLAIN}", flush=True)
            try:
                self.server.wait()
            except Interrupted:
                print()
        else:
            shown = " ".join([os.path.relpath(self.clew), "server", "-d", os.path.relpath(self.store)])
            print(f"  It ends with this demo, as nobody is at a terminal; for one that stays: {shown}")

    def next_steps(self):
        program, store = os.path.relpath(self.clew), os.path.relpath(self.store)
        print(f"\n{BOLD}Try next{PLAIN} (the store stays until the next demo)\n"
              f"  export CLEW_DB={store}\n"
              f"  {program} traces --attr http.response.status_code=502 --limit 5\n"
              f"  {program} traces --service orders --min-duration 100ms\n"
              f"  {program} trace --last --why\n"
              f"  {program} sql 'SELECT service, count(*) FROM spans GROUP BY 1 ORDER BY 2 DESC'\n"
              f"  {program} run -d /tmp/mine -- YOUR-PROGRAM        (root)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clew", default="build/clew")
    parser.add_argument("--out", default="build/demo")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--shoppers", type=int, default=8, help="how many requests are in flight at most")
    demo = Demo(parser.parse_args())

    def interrupted(number, _):
        for again in ENDS:
            signal.signal(again, signal.SIG_IGN)
        if not demo.server:
            print("\ninterrupted: ending what was started", file=sys.stderr)
        raise Interrupted(128 + number)

    for number in ENDS:
        signal.signal(number, interrupted)
    begin = time.monotonic()
    try:
        demo.story()
        status = 0
    except Failed as e:
        print(f"\n{RED}demo:{PLAIN} {e}", file=sys.stderr)
        status = 1
    finally:
        for number in ENDS:
            signal.signal(number, signal.SIG_IGN)
        demo.clean_up()
    if status == 0:
        print(f"\n{DIM}{time.monotonic() - begin:.0f} s; everything that was started has ended{PLAIN}")
    return status


if __name__ == "__main__":
    sys.exit(main())
