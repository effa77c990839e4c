#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Joins: a service without an SDK between two that have one. Is each request one trace, and no exchange in it twice?

usage: joins.py [--load 1,10,50] [--requests 2000] [--between plain,nginx,nginx-limited,haproxy-queue] [--delay-s S] [--outage-s S]
                [--restart clew|a|b|c] [--kill] [-o DIR] [--keep]

    load ─► a (Flask and requests, OpenTelemetry for Python)
              ─► b (plain: no SDK, passes no header on; nginx: a proxy, passes all headers on)
                   ─► c (Node's http, OpenTelemetry for JavaScript, a span of its own inside)

a and c send to the same `clew record --server` that traces all three. Truth: each hop's URL has a fresh random token;
a and b write which token called with which. nginx passes the path on, so there the token of b's call is its caller's.

Late spans: --delay-s has both SDKs send only so often (OTEL_BSP_SCHEDULE_DELAY); --outage-s puts a relay between them and
clew that takes what they send and passes it on so many seconds after the load began, as a Collector does that could not
reach clew.

Restarts: after a third of the requests clew, or a service (which keeps its port), is ended and started again; --kill: with
SIGKILL, so that a service's SDK loses what it had not sent. What nobody told or saw is missing then; nothing may be twice or
in a wrong place.

Scored is each span that the truth asks for: is it there once (and who told it: an SDK where one was), has it the right
parent (an orphan has none: what clew does not know it does not guess), is all of the request in one trace and nothing
else in it. The answers are the native API's, while clew runs.
"""

import argparse
import collections
import json
import os
import http.server
import shutil
import signal
import sys
import tempfile
import threading
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import case  # noqa: E402
from lib.lab import ROOT, Lab, clean_up_when_terminated, read_log, wait_for  # noqa: E402

SERVICES = os.path.join(case.SERVICES, "joins")
SDKS = os.path.join(ROOT, ".deps", "sdks")
KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
LIMITED = ("    limit_req_zone $server_name zone=z:1m rate=20r/s;\n", "limit_req zone=z burst=1000; ")
HAPROXY = """global
    nbthread 1
    maxconn 4096
defaults
    mode http
    timeout connect 60s
    timeout client 60s
    timeout server 60s
    timeout queue 60s
frontend f
    bind 127.0.0.1:%d
    default_backend c
backend c
    server s 127.0.0.1:%d maxconn 4
"""
# Starts a program again when it ends.
KEEPER = ["/bin/sh", "-c", 'trap \'kill $!; wait; exit\' TERM; while :; do "$@" & wait $!; done', "keeper"]
COUNTS = ("right", "orphan", "wrong", "missing", "twice")


# ---- services and load ----

def lacking():
    """Why this cannot run here, or None."""
    if not os.path.exists(os.path.join(SDKS, "stamp")):
        return "the SDKs are missing: tools/fetch-sdks"
    return None


def start_clew(lab, pids, extra=()):
    db = lab.path("store")
    r = lab.record("--server", "--http-port", "0", "--otlp-http-port", lab.otlp, "--otlp-grpc-port", "0",
                   *[x for p in pids for x in ("--pid", p)], *extra, db=db)
    with open(os.path.join(db, "ports.json")) as f:
        r.http = json.load(f)["http"]
    return r


def read_body(headers, stream):
    if "Content-Length" in headers:
        return stream.read(int(headers["Content-Length"]))
    out = b""
    while True:  # chunks
        size = int(stream.readline(), 16)
        out += stream.read(size)
        stream.readline()
        if not size:
            return out


class Relay:
    """Takes OTLP at once and passes it on when it is let."""

    def __init__(self, port, to):
        self.kept, self.sent, self.more = [], 0, threading.Condition()
        self.is_open, self.ended = False, False
        relay = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = read_body(self.headers, self.rfile)
                kept = {k: self.headers[k] for k in ("Content-Type", "Content-Encoding") if k in self.headers}
                with relay.more:
                    relay.kept.append((self.path, body, kept))
                    relay.more.notify_all()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.to = to
        for target in (self.server.serve_forever, self.pass_on):
            threading.Thread(target=target, daemon=True).start()

    def pass_on(self):
        while True:
            with self.more:
                self.more.wait_for(lambda: self.ended or (self.is_open and self.kept))
                if self.ended:
                    return
                path, body, headers = self.kept[0]
            try:
                with urllib.request.urlopen(urllib.request.Request(self.to + path, body, headers), timeout=30):
                    self.sent += 1
            except OSError:  # clew is not there now
                time.sleep(0.2)
                continue
            with self.more:
                self.kept.pop(0)

    def open(self):
        with self.more:
            self.is_open = True
            self.more.notify_all()

    def close(self):
        with self.more:
            self.ended = True
            self.more.notify_all()
        self.server.shutdown()
        self.server.server_close()


def sdk_env(lab, delay, outage):
    """Where the SDKs send, and how often."""
    lab.otlp, lab.relay = lab.port(), None
    to = "http://127.0.0.1:%d" % lab.otlp
    env = {"OTLP": to}
    if outage:
        port = lab.port()
        lab.relay = Relay(port, to)
        lab.undo.append(lab.relay.close)
        env["OTLP"] = "http://127.0.0.1:%d" % port
    if delay:
        env["OTEL_BSP_SCHEDULE_DELAY"] = str(int(delay * 1000))
        env["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"] = "65536"  # a full batch is sent earlier
        env["OTEL_BSP_MAX_QUEUE_SIZE"] = "65536"
    return env


def start_services(lab, between, think, delay=0, outage=0, keep=()):
    def spawn(args, name, **kw):
        return lab.spawn((KEEPER if name in keep else []) + args, name, **kw)

    a, b, c = lab.port(), lab.port(), lab.port()
    env = {"THINK_MS": str(think), **sdk_env(lab, delay, outage)}
    last = spawn(["node", os.path.join(SERVICES, "last.js")], "c",
                     env={**env, "PORT": str(c), "SDK": os.path.join(SDKS, "node")})
    lab.wait_port(c, last)
    if between == "plain":
        mid = spawn([case.PYTHON, os.path.join(SERVICES, "between.py")], "b",
                        env={**env, "PORT": str(b), "BACK": "127.0.0.1:%d" % c, "TRUTH": lab.path("truth-b.tsv")})
    elif between == "haproxy-queue":
        # Few connections to c: whose turn comes is called for when another's response was read.
        mid = spawn(["haproxy", "-f", lab.write("haproxy.cfg", HAPROXY % (b, c))], "b")
    else:
        # Limited, requests wait their turn: their calls are begun by a timer, whatever was read last.
        zone, limit = LIMITED if between == "nginx-limited" else ("", "")
        mid = spawn(lab.nginx_conf("b", zone + "    upstream c { server 127.0.0.1:%d; keepalive 64; }\n"
                                       "    server { listen 127.0.0.1:%d; location / { %sproxy_pass http://c; "
                                       'proxy_http_version 1.1; proxy_set_header Connection ""; } }\n' % (c, b, limit), 2), "b")
    lab.wait_port(b, mid)
    first = spawn([case.PYTHON, os.path.join(SERVICES, "first.py")], "a",
                      env={**env, "PORT": str(a), "BACK": "127.0.0.1:%d" % b, "TRUTH": lab.path("truth-a.tsv"),
                           "PYTHONPATH": os.path.join(SDKS, "python"),
                           "OTEL_SEMCONV_STABILITY_OPT_IN": os.environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", "")})
    lab.wait_port(a, first)
    return a, {"a": first, "b": mid, "c": last}


def children(pid):
    """A process and those below it."""
    out = [pid]
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/children" % (pid, task)) as f:
            for child in f.read().split():
                out += children(int(child))
    return out


# ---- what is expected ----

class Expected:
    """A span that the truth asks for: (service, kind, token), who tells it, and whose child it is."""

    def __init__(self, service, kind, token, sdk, parent):
        self.key, self.sdk, self.parent = (service, kind, token), sdk, parent


def read_truth(lab):
    calls = collections.defaultdict(list)
    for name in ("truth-a.tsv", "truth-b.tsv"):
        if os.path.exists(lab.path(name)):
            with open(lab.path(name)) as f:
                for line in f:
                    _, incoming, _, outgoing = line.rstrip("\n").split("\t")
                    calls[incoming].append(outgoing)
    return calls


def tree_of(token, calls, between):
    """The spans of one request, parents first."""
    root = Expected("a", "server", token, True, None)
    out = [root]
    for to_b in calls.get(token, ()):
        a2 = Expected("a", "client", to_b, True, root)
        b1 = Expected("b", "server", to_b, False, a2)
        out += [a2, b1]
        for to_c in calls.get(to_b, ()) if between == "plain" else [to_b]:
            b2 = Expected("b", "client", to_c, False, b1)
            c1 = Expected("c", "server", to_c, True, b2)
            out += [b2, c1, Expected("c", "internal", to_c, True, c1)]
    return out


def service_of(span):
    return {"first": "a", "last": "c"}.get(span["service"], "b")


def token_of(span):
    for key in ("url.path", "http.target", "url.full", "http.url", "token"):
        value = (span.get("attributes") or {}).get(key)
        if isinstance(value, str):
            return value.rsplit("/", 1)[1] if "/" in value else value
    return None


def by_key(spans):
    found = collections.defaultdict(list)
    for s in spans:
        found[(service_of(s), s["kind"], token_of(s))].append(s)
    return found


# ---- score ----

def score(spans, requests, calls, between):
    """Counts by kind of span, traces that are exactly right, and what was wrong, in words."""
    found, of_trace = by_key(spans), collections.defaultdict(list)
    for s in spans:
        of_trace[s["traceId"]].append(s)
    counts = collections.defaultdict(lambda: dict.fromkeys(COUNTS, 0))
    exact, faults = 0, []
    for token in requests:
        expected = tree_of(token, calls, between)
        bad = score_request(expected, found, of_trace, counts)
        exact += not bad
        if bad:
            faults.append((token, bad))
    return {"requests": len(requests), "exact": exact, "spans": counts, "faults": faults}


def score_request(expected, found, of_trace, counts):
    bad, traces = [], set()
    for e in expected:
        name = "%s %s" % e.key[:2]
        here = found.get(e.key, [])
        verdict = judge(e, here, found)
        counts[name][verdict] += 1
        traces.update(s["traceId"] for s in here)
        if verdict != "right":
            bad.append("%s of %s: %s" % (name, e.key[2][:8], verdict))
    if len(traces) != 1:
        bad.append("%d traces" % len(traces))
    elif len(of_trace[next(iter(traces))]) != len(expected):
        bad.append("%d spans in the trace, not %d" % (len(of_trace[next(iter(traces))]), len(expected)))
    return bad


def judge(e, here, found):
    if not here:
        return "missing"
    if len(here) > 1:
        return "twice"
    span = here[0]
    if (span.get("scope") != "clew") != e.sdk:
        return "missing"
    parent = span.get("parentSpanId")
    if e.parent is None:
        return "right" if not parent else "wrong"
    wanted = found.get(e.parent.key, [])
    if len(wanted) == 1 and parent == wanted[0]["spanId"]:
        return "right"
    return "orphan" if not parent else "wrong"


def table(load, between, result):
    print("\n%s between, %d in flight: %d requests, %d exactly right" % (between, load, result["requests"],
                                                                        result["exact"]))
    for name, c in sorted(result["spans"].items()):
        print("  %-12s" % name + "".join("  %s %d" % (k, c[k]) for k in COUNTS if c[k] or k == "right"))
    for token, bad in result["faults"][:3]:
        print("  request %s: %s" % (token[:8], "; ".join(bad[:6])))


# ---- one run ----

def metric(http, name):
    with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % http, timeout=30) as r:
        return next((int(line.split()[-1]) for line in r.read().decode().splitlines() if line.startswith(name + " ")), 0)


def all_spans(http):
    url = "http://127.0.0.1:%d/api/clew/v1/download?format=otlp&limit=1000000" % http
    with urllib.request.urlopen(url, timeout=120) as r:
        docs = [json.loads(line) for line in r if line.strip()]
    return [{**s, "service": values(rs["resource"])["service.name"], "scope": ss["scope"].get("name"),
             "kind": KINDS[s["kind"]], "attributes": values(s)}
            for d in docs for rs in d["resourceSpans"] for ss in rs["scopeSpans"] for s in ss["spans"]]


def lines(path):
    with open(path) as f:
        return sum(1 for _ in f)


def values(of):
    return {a["key"]: next(iter(a["value"].values()), None) for a in of.get("attributes", ())}


def doubles(spans):
    """Exchanges that are there twice, also of requests that failed; not those that clew saw a part of only."""
    def whole(here):
        return not any("clew.incomplete" in s["attributes"] for s in here)
    return [key for key, here in by_key(spans).items()
            if len(here) > 1 and key[2] and len(key[2]) == 32 and whole(here)]


def restarted(lab, clew, procs, what, kill, extra):
    """Ends clew or a service and has it started again; returns the clew that runs now."""
    pids = [p for proc in procs.values() for p in children(proc.pid)]
    if what == "clew":
        if kill:
            clew.send(signal.SIGKILL)
            clew.wait(60)
        else:
            clew.finish(60)
        return start_clew(lab, pids, extra)
    os.kill(children(procs[what].pid)[1], signal.SIGKILL if kill else signal.SIGTERM)
    return clew


def wait_until_settled(lab, clew, expected, calm, limit):
    """Until as many spans are there as there should be. Where nobody knows how many (a restart), until nothing has
    waited, come or gone for a while."""
    last = []

    def settled():
        last.append(len(all_spans(clew.http)))
        if calm and metric(clew.http, "clew_join_held_spans"):
            last.clear()
        # What comes late is beside the kernel's at first: more than there should be.
        return (calm or last[-1] == expected) and len(last) > calm + 8 and len(set(last[-calm - 8:])) == 1
    try:
        wait_for(settled, limit, "%d spans" % expected, every=0.5)
    except AssertionError:
        pass  # the score says what is missing


def run(directory, load, requests, between, think=4.0, extra=(), delay=0, outage=0, restart=None, kill=False):
    with Lab(directory) as lab:
        port, procs = start_services(lab, between, think, delay, outage, keep=(restart,))
        clew = start_clew(lab, [p for proc in procs.values() for p in children(proc.pid)], extra)
        began = time.monotonic()
        args = dict(requests=requests, conns=load, log=lab.path("load.tsv"))
        url = "http://127.0.0.1:%d/a/%%t" % port
        if restart:  # while requests are under way
            loading = lab.spawn(lab.load_args(url, **args), "load")
            wait_for(lambda: lines(lab.path("truth-a.tsv")) > requests / 3, 120, "a third of the requests")
            clew = restarted(lab, clew, procs, restart, kill, extra)
            loading.wait(300)
        else:
            lab.load(url, **args)
        calls = read_truth(lab)
        tokens = [r["token"] for r in read_log(lab.path("load.tsv")) if r["done"] and r["status"] == 200]
        expected = sum(len(tree_of(t, calls, between)) for t in tokens)
        if lab.relay:
            time.sleep(max(0, began + outage - time.monotonic()))
            lab.relay.open()
        # SDKs send every five seconds, what the kernel saw waits for them.
        wait_until_settled(lab, clew, expected, 12 if restart else 0, 40 + delay)
        spans = all_spans(clew.http)
        result = score(spans, tokens, calls, between)
        result["doubles"] = doubles(spans)
        result["summary"] = clew.finish(60)
        with open(lab.path("spans.jsonl"), "w") as f:
            f.writelines(json.dumps(s) + "\n" for s in spans)
    return result


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--load", default="1,10,50")
    p.add_argument("--requests", type=int, default=2000)
    p.add_argument("--between", default="plain,nginx")
    p.add_argument("--think-ms", type=float, default=4.0)
    p.add_argument("--delay-s", type=float, default=0)
    p.add_argument("--outage-s", type=float, default=0)
    p.add_argument("--restart", choices=("clew", "a", "b", "c"), help="after a third of the requests")
    p.add_argument("--kill", action="store_true", help="... with SIGKILL")
    p.add_argument("-o", "--out")
    p.add_argument("--keep", action="store_true", help="the store, too")
    args = p.parse_args()
    clean_up_when_terminated()
    if lacking():
        sys.exit("joins.py: " + lacking())
    out = args.out or tempfile.mkdtemp(prefix="clew-joins-")
    failed = False
    for between in args.between.split(","):
        for load in map(int, args.load.split(",")):
            directory = os.path.join(out, "%s@%d" % (between, load))
            shutil.rmtree(directory, ignore_errors=True)
            result = run(directory, load, args.requests, between, args.think_ms, delay=args.delay_s,
                         outage=args.outage_s, restart=args.restart, kill=args.kill)
            table(load, between, result)
            print("  " + "\n  ".join(line for line in result["summary"].splitlines() if "joined" in line or "lost" in line))
            with open(os.path.join(directory, "score.json"), "w") as f:
                json.dump(result, f, indent=1)
            if not args.keep:
                shutil.rmtree(os.path.join(directory, "store"), ignore_errors=True)
            print("  %d exchanges twice, of whatever request" % len(result["doubles"]))
            failed = failed or result["doubles"] or any(c["wrong"] or c["twice"] for c in result["spans"].values())
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
