# SPDX-License-Identifier: Apache-2.0
"""nginx → gunicorn → Node → two calls to a leaf (nginx): the stack of a thousand web sites.

Variants: how nginx proxies (default: HTTP/1.0, a connection a request; keepalive: HTTP/1.1 and a pool) and how
gunicorn works (sync: prefork workers on a Unix socket; gthread: threads on TCP).

Nothing in the bytes links two hops: nginx passes no header of the client's, the URL is rewritten to nginx's own
$request_id, bodies are constant. nginx writes the pair to its access log, which is the truth file's format.
"""

import os

SERVICES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "services")

VARIANTS = [
    {"name": "web-default-sync", "proxy": "default", "gunicorn": "sync"},
    {"name": "web-default-gthread", "proxy": "default", "gunicorn": "gthread"},
    {"name": "web-keepalive-sync", "proxy": "keepalive", "gunicorn": "sync"},
    {"name": "web-keepalive-gthread", "proxy": "keepalive", "gunicorn": "gthread"},
]
for v in VARIANTS:
    v.update(runtime="web", links=4, think_ms=0, needs=["nginx", "node", "/usr/bin/gunicorn"],
             quick={"load": 32, "requests": 1500, "edges": {"wire": 0.99, "inside front": 0.99, "inside app": 0.99}})


def front(lab, params, upstream, port, truth):
    keep = params["proxy"] == "keepalive"
    # $uri is rewritten by the time the log is written; $request_uri is what came in.
    http = """
    log_format truth '%(name)s\\t$hop\\tapp\\t$request_id';
    map $request_uri $hop { ~/(?<token>[0-9a-f]+)$ $token; }
    upstream app {
        server %(upstream)s max_fails=0;
        %(keepalive)s
    }
    server {
        listen 127.0.0.1:%(port)d backlog=1024;
        access_log %(truth)s truth;
        location / {
            rewrite ^ /app/$request_id break;
            proxy_pass http://app;
            proxy_pass_request_headers off;
            proxy_next_upstream off;
            %(version)s
        }
    }
""" % {
        "name": "front", "truth": truth, "upstream": upstream, "port": port,
        "keepalive": "keepalive 64;" if keep else "",
        "version": 'proxy_http_version 1.1;\n            proxy_set_header Connection "";' if keep else "",
    }
    return {"name": "front", "args": lab.nginx_conf("front", http, workers=params.get("nginx_workers", 2))}


def leaf(lab, port):
    http = """
    server {
        listen 127.0.0.1:%d backlog=1024;
        location / { return 200 "leaf\\n"; }
    }
""" % port
    return {"name": "leaf", "args": lab.nginx_conf("leaf", http, workers=1)}


def build(lab, params):
    """Returns the services (in the order of their start), the load's URL and what to wait for."""
    front_port, app_port, node_port, leaf_port = (lab.port() for _ in range(4))
    truth = lambda name: lab.path("truth-%s.tsv" % name)
    keep = "1" if params["proxy"] == "keepalive" else "0"
    think = str(params.get("think_ms", 0))
    conns = params.get("concurrency", 32)
    app_env = {"NAME": "app", "TRUTH": truth("app"), "NEXT": "127.0.0.1:%d" % node_port, "NEXT_NAME": "node",
               "KEEP": keep, "THINK_MS": think, "PYTHONPATH": SERVICES}
    gunicorn = ["/usr/bin/python3", "/usr/bin/gunicorn", "app:app", "--chdir", SERVICES]
    if params["gunicorn"] == "sync":
        sock = lab.path("app.sock")
        gunicorn += ["-k", "sync", "-w", str(params.get("workers", 8)), "-b", "unix:" + sock]
        upstream, wait_app = "unix:" + sock, ("unix", sock)
    else:
        gunicorn += ["-k", "gthread", "-w", "2", "--threads", str(max(8, conns)), "--keep-alive", "120",
                     "-b", "127.0.0.1:%d" % app_port]
        upstream, wait_app = "127.0.0.1:%d" % app_port, ("port", app_port)
    node_env = {"NAME": "node", "TRUTH": truth("node"), "PORT": str(node_port), "NEXT": "127.0.0.1:%d" % leaf_port,
                "NEXT_NAME": "leaf", "CALLS": str(params.get("node_calls", 2)), "KEEP": keep, "THINK_MS": think,
                "PARALLEL": "1" if params.get("parallel") else "0"}
    return {
        "services": [
            leaf(lab, leaf_port),
            {"name": "node", "args": ["/usr/bin/node", os.path.join(SERVICES, "node.js")], "env": node_env},
            {"name": "app", "args": gunicorn, "env": app_env},
            front(lab, params, upstream, front_port, truth("front")),
        ],
        "url": "http://127.0.0.1:%d/front/%%t" % front_port,
        "root": "front",
        # the whole tree of a request that went well: a truth that is shorter proves nothing
        "hops": 3 + params.get("node_calls", 2),
        "wait": [("port", leaf_port), ("port", node_port), wait_app, ("port", front_port)],
        "truth": [truth(n) for n in ("front", "app", "node")],
    }
