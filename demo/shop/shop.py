#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Start the shop in a directory of its own, say when it is ready, end all of it at the end.

    shop.py DIR PORT     nginx on PORT of 127.0.0.1; everything else on ports and sockets of its own

    browser ─► nginx ─┬─► orders (Python, gunicorn) ─┬─► PostgreSQL (Unix socket)
                      │                              ├─► redis
                      │                              └─► pricing (Node) ─► redis
                      └─► pricing (Node) ─► redis

Runs as any user but root (PostgreSQL refuses root). Creates DIR/ready when every service answers; ends
when DIR/stop appears, at SIGTERM or SIGINT, or when its parent dies. Each service is a process group of
its own and is ended as such; nothing outside DIR is written.
"""
import contextlib
import ctypes
import glob
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PR_SET_PDEATHSIG = 1
LIMIT_S = 120
PORTS = range(24000, 32000)  # below those of ip_local_port_range
libc = ctypes.CDLL(None)

NGINX = """
daemon off;
worker_processes 2;
pid {dir}/nginx.pid;
error_log {dir}/logs/nginx.log warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {dir}/tmp; proxy_temp_path {dir}/tmp;
    fastcgi_temp_path {dir}/tmp; uwsgi_temp_path {dir}/tmp; scgi_temp_path {dir}/tmp;
    server {{
        listen 127.0.0.1:{port};
        location = / {{ root {here}; try_files /index.html =404; default_type text/html; }}
        location /price/ {{ proxy_pass http://127.0.0.1:{pricing}; }}
        location / {{ proxy_pass http://127.0.0.1:{orders}; }}
    }}
}}
"""


def die_with_parent(number):
    """In the child: the kernel sends it `number` when the shop goes, however it goes."""
    def setup():
        libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return setup


def program(name, *folders):
    """Where a program is; the servers' folders are not on every user's PATH."""
    path = shutil.which(name, path=os.pathsep.join([*folders, os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))
    if not path:
        sys.exit(f"shop: {name} is not installed (make deps)")
    return path


def free_ports(count, besides=()):
    """Ports that nobody has now, nor gets from the kernel: they stay free until they are needed."""
    ports = []
    for port in random.sample(PORTS, len(PORTS)):
        if len(ports) < count and port not in besides:
            with contextlib.suppress(OSError), socket.socket() as s:
                s.bind(("127.0.0.1", port))
                ports.append(port)
    return ports


def answers(address):
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as s:
        s.settimeout(1)
        return s.connect_ex(address) == 0


class Shop:
    def __init__(self, folder, port):
        self.dir, self.port = folder, port
        self.orders, self.pricing, self.redis = free_ports(3, (self.port,))
        self.running = []  # (name, process, the signal that ends it)
        for name in ("logs", "tmp"):
            os.makedirs(os.path.join(folder, name), exist_ok=True)
        os.environ.update(SHOP_PRICING_PORT=str(self.pricing), SHOP_REDIS_PORT=str(self.redis),
                          SHOP_SOCKETS=folder, LC_ALL="C", PYTHONDONTWRITEBYTECODE="1", HOME=folder)

    def start(self, name, address, end, *command):
        log = open(os.path.join(self.dir, "logs", name + ".log"), "ab")
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=HERE,
                                   start_new_session=True, preexec_fn=die_with_parent(end))
        self.running.append((name, process, end))
        limit = time.monotonic() + LIMIT_S
        while not answers(address):
            if process.poll() is not None or time.monotonic() > limit:
                log.close()
                with open(log.name, errors="replace") as f:
                    sys.exit(f"shop: {name} did not start:\n{f.read()[-2000:]}")
            time.sleep(0.05)

    def start_all(self):
        pg = max(glob.glob("/usr/lib/postgresql/*/bin"), default="", key=lambda p: int(p.split("/")[4]))
        data = os.path.join(self.dir, "postgres")
        with open(os.path.join(self.dir, "logs", "initdb.log"), "wb") as log, \
                open(os.path.join(HERE, "schema.sql"), "rb") as schema:
            subprocess.run([program("initdb", pg), "-D", data, "-U", "shop", "-A", "trust", "--no-sync"],
                           check=True, stdout=log, stderr=log)
            subprocess.run([program("postgres", pg), "--single", "-j", "-F", "-D", data, "postgres"],
                           check=True, stdin=schema, stdout=log, stderr=log)
        self.start("postgres", os.path.join(self.dir, ".s.PGSQL.5432"), signal.SIGINT,
                   program("postgres", pg), "-D", data, "-k", self.dir, "-c", "listen_addresses=",
                   "-c", "fsync=off", "-c", "shared_buffers=16MB")
        self.start("redis", ("127.0.0.1", self.redis), signal.SIGTERM,
                   program("redis-server"), "--bind", "127.0.0.1", "--port", str(self.redis),
                   "--save", "", "--appendonly", "no", "--dir", self.dir)
        self.start("pricing", ("127.0.0.1", self.pricing), signal.SIGTERM,
                   program("node"), os.path.join(HERE, "pricing.js"))
        self.start("orders", ("127.0.0.1", self.orders), signal.SIGTERM,
                   "/usr/bin/python3", "-m", "gunicorn", "--workers", "2", "--threads", "4",
                   "--bind", f"127.0.0.1:{self.orders}", "--worker-tmp-dir", self.dir,
                   "--graceful-timeout", "2", "orders:app")
        config = os.path.join(self.dir, "nginx.conf")
        with open(config, "w") as f:
            f.write(NGINX.format(dir=self.dir, here=HERE, port=self.port, orders=self.orders,
                                 pricing=self.pricing))
        self.start("nginx", ("127.0.0.1", self.port), signal.SIGTERM,
                   program("nginx"), "-p", self.dir, "-c", config,
                   "-e", os.path.join(self.dir, "logs", "nginx.log"))

    def stop_all(self):
        """The front door first; whoever does not end in time is killed, with its children."""
        for _, process, end in reversed(self.running):
            if process.poll() is None:
                process.send_signal(end)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                pass
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
            process.wait()


def main():
    folder, port = os.path.abspath(sys.argv[1]), int(sys.argv[2])
    if os.geteuid() == 0:
        sys.exit("shop: run it as a user that is not root (clew run --user NAME): PostgreSQL refuses root")
    ended = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda n, _: (ended.append(n), sys.exit(128 + n)))
    parent = os.getppid()
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    shop = Shop(folder, port)
    try:
        shop.start_all()
        open(os.path.join(folder, "ready"), "w").close()
        while not os.path.exists(os.path.join(folder, "stop")) and os.getppid() == parent:
            time.sleep(0.05)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        shop.stop_all()


if __name__ == "__main__":
    main()
