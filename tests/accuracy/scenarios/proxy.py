# SPDX-License-Identifier: Apache-2.0
"""Proxies: nginx and HAProxy between the load and the back end.

Both write the truth themselves: the pair of the token that came and the fresh one that the path was rewritten to, as
a line of their log. Some requests are answered without a call. No header of the client's goes on.
"""

import case

ASK = {"right": {50: 0.995, 200: 0.99}}

VARIANTS = [
    {"name": "nginx-default", "proxy": "nginx", "keep": False, "ask": ASK, "needs": ["nginx"],
     "quick": {"load": 50, "right": 0.97}},
    {"name": "nginx-keepalive", "proxy": "nginx", "keep": True, "ask": ASK, "needs": ["nginx"]},
    {"name": "nginx-threads", "proxy": "nginx", "keep": True, "ask": ASK, "needs": ["nginx"], "front": True},
    {"name": "haproxy", "proxy": "haproxy", "ask": ASK, "needs": ["haproxy"], "queue": False},
    # at most CONNS connections to the back end: requests wait in HAProxy's queue
    {"name": "haproxy-queue", "proxy": "haproxy", "ask": ASK, "needs": ["haproxy"], "queue": True},
]
for v in VARIANTS:
    v.update(runtime="proxy", links=2.5 if v.get("front") else 0.85)


def nginx(lab, params, name, port, called, upstream, truth):
    keep = params["keep"]
    # $uri is rewritten by the time the log is written; $request_uri is what came in.
    http = """
    log_format truth '%(name)s\\t$hop\\t%(called)s\\t$request_id';
    map $request_uri $hop { ~/(?<token>[0-9a-f]+)$ $token; }
    split_clients $request_id $makes_call { 15%% 0; * 1; }
    upstream back {
        server 127.0.0.1:%(upstream)d max_fails=0;
        %(keepalive)s
    }
    server {
        listen 127.0.0.1:%(port)d backlog=4096;
        access_log %(truth)s truth if=$makes_call;
        location / {
            if ($makes_call = 0) { return 200 "done\\n"; }
            rewrite ^ /%(called)s/$request_id break;
            proxy_pass http://back;
            proxy_pass_request_headers off;
            proxy_next_upstream off;
            %(version)s
        }
    }
""" % {"name": name, "called": called, "port": port, "upstream": upstream, "truth": truth,
       "keepalive": "keepalive %d;" % params["conns"] if keep else "",
       "version": 'proxy_http_version 1.1;\n            proxy_set_header Connection "";' if keep else ""}
    return {"name": name, "args": lab.nginx_conf(name, http, workers=2)}


HAPROXY = """
global
    nbthread 2
    maxconn 4096
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
    timeout queue 60s
    option dontlognull
%(fronts)s
backend back
    http-reuse always
    server s 127.0.0.1:%(upstream)d %(limit)s
"""


# A frontend a thread, each with a log file of its own: threads that share one drop lines under load.
FRONT = """
frontend front%(thread)d
    bind 127.0.0.1:%(port)d thread %(thread)d
    log %(log)s format raw local0 info
    log-format "%(name)s\\t%%[var(txn.hop)]\\t%(called)s\\t%%[var(txn.out)]"
    http-request set-var(txn.hop) path,regsub(^.*/,)
    http-request set-var(txn.out) uuid,regsub(-,,g)
    http-request set-var(txn.skip) int(1) if { rand(100) lt 15 }
    http-request set-log-level silent if { var(txn.skip) -m found }
    http-request return status 200 content-type text/plain string done if { var(txn.skip) -m found }
    http-request set-path /%(called)s/%%[var(txn.out)]
    default_backend back
"""


def haproxy(lab, params, name, port, called, upstream, truth):
    fronts = [FRONT % {"name": name, "port": port, "called": called, "thread": i, "log": log}
              for i, log in ((1, "fd@3"), (2, "fd@4"))]
    conf = HAPROXY % {"fronts": "".join(fronts), "upstream": upstream,
                      "limit": "maxconn %d" % params["conns"] if params["queue"] else ""}
    path = lab.write("haproxy.cfg", conf)
    return {"name": name, "args": ["sh", "-c", 'exec "$0" -db -f "$1" 3>>"$2" 4>>"$2.2"', case.find("haproxy"), path,
                                   truth]}


def build(lab, params):
    if params.get("front"):
        return before_threads(lab, params)
    port, back_port = lab.port(), lab.port()
    truth = lab.path("truth-proxy.tsv")
    make = nginx if params["proxy"] == "nginx" else haproxy
    return {
        "services": [case.backend(lab, params, back_port),
                     make(lab, params, "proxy", port, "leaf", back_port, truth)],
        "url": "http://127.0.0.1:%d/proxy/%%t" % port, "root": "proxy",
        "wait": [("port", back_port), ("port", port)],
        "truth": [truth, truth + ".2"] if make is haproxy else [truth], "seen": [lab.path("seen.tsv")],
    }


def before_threads(lab, params):
    """nginx before a service of threads that makes the calls: two hops whose evidence differs."""
    plan = case.chain(lab, params, [case.c_program("threads")], env={"MODE": "conn"})
    port, truth = lab.port(), lab.path("truth-proxy.tsv")
    plan["services"].append(nginx(lab, params, "proxy", port, "svc", plan["wait"][-1][1], truth))
    return {**plan, "url": "http://127.0.0.1:%d/proxy/%%t" % port, "root": "proxy",
            "wait": plan["wait"] + [("port", port)], "truth": plan["truth"] + [truth]}
