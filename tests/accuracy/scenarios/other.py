# SPDX-License-Identifier: Apache-2.0
"""Ruby under Puma; PHP under PHP-FPM, behind nginx."""

import glob
import os

import case

OWN = {"right": {50: 0.995, 200: 0.99}}  # a thread or a process keeps its request

VARIANTS = [
    {"name": "puma", "runtime": "ruby", "needs": ["puma"], "ask": OWN},
    {"name": "puma-workers", "runtime": "ruby", "needs": ["puma"], "ask": OWN, "processes": 2},
    {"name": "puma-background", "runtime": "ruby", "needs": ["puma"], "ask": OWN,
     "work": {"BACKGROUND": 0.3, "TIMER_MS": 20}},
    {"name": "php-fpm", "runtime": "php", "needs": ["nginx"], "ask": OWN},
]


def fpm():
    found = sorted(glob.glob("/usr/sbin/php-fpm*"))
    return found[-1] if found else None


def check(params):
    return "not installed: php-fpm" if params["runtime"] == "php" and not fpm() else None


def build(lab, params):
    return puma(lab, params) if params["runtime"] == "ruby" else php(lab, params)


def puma(lab, params):
    processes, threads = params.get("processes", 0), params["workers"]
    if processes:
        threads = max(1, threads // processes)
    return case.chain(lab, params, lambda env: [
        case.find("puma"), "-e", "production", "-q", "-b", "tcp://127.0.0.1:" + env["PORT"], "-w", str(processes),
        "-t", "%d:%d" % (threads, threads), os.path.join(case.SERVICES, "ruby", "app.ru")])


FPM = """[global]
pid = %(dir)s/fpm.pid
error_log = %(dir)s/fpm.log
daemonize = no
[www]
user = root
group = root
listen = 127.0.0.1:%(port)d
listen.backlog = 1024
pm = static
pm.max_children = %(workers)d
"""


def php(lab, params):
    """load → nginx → FastCGI → PHP-FPM → back end. nginx hands the token on as it came: PHP's pairs are what is
    scored, from nginx's request to PHP's call; the FastCGI exchange between them has no hop of its own."""
    port, fpm_port, back_port = lab.port(), lab.port(), lab.port()
    env = case.work(lab, params, "svc", port, back_port)
    conf = lab.write("fpm.conf", FPM % {"dir": lab.dir, "port": fpm_port, "workers": min(params["workers"], 16)})
    fields = {**env, "SCRIPT_FILENAME": os.path.join(case.SERVICES, "php", "app.php"), "REQUEST_METHOD": "GET",
              "DOCUMENT_URI": "$uri", "SERVER_PROTOCOL": "HTTP/1.1", "GATEWAY_INTERFACE": "CGI/1.1"}
    http = """
    server {
        listen 127.0.0.1:%d backlog=4096;
        location / {
            fastcgi_pass 127.0.0.1:%d;
            fastcgi_read_timeout 120s;
%s
        }
    }
""" % (port, fpm_port, "\n".join("            fastcgi_param %s '%s';" % f for f in fields.items()))
    return {
        "services": [case.backend(lab, params, back_port),
                     {"name": "fpm", "args": [fpm(), "-n", "-R", "-F", "-y", conf, *extensions()]},
                     {"name": "nginx", "args": lab.nginx_conf("nginx", http, workers=2)}],
        "url": "http://127.0.0.1:%d/svc/%%t" % port, "root": "svc",
        "wait": [("port", back_port), ("port", fpm_port), ("port", port)],
        "truth": [env["TRUTH"]], "seen": [lab.path("seen.tsv")], "between": True,
    }


def extensions():
    """-n reads no php.ini of this machine; what the service needs is named."""
    found = glob.glob("/usr/lib/php/*/curl.so")
    return ["-d", "extension=" + sorted(found)[-1]] if found else []
