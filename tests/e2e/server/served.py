# SPDX-License-Identifier: Apache-2.0
"""A `clew server` for tests: on free ports, asked over real connections."""
import base64
import http.client
import json
import os
import signal
import ssl
import sys

from lib.lab import PATIENCE, wait_for


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = {k.lower(): v for k, v in response.getheaders()}
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)


class Server:
    """Starts it, knows its ports, and asks it."""

    def __init__(self, lab, *args, db=None, env=None, preexec=None, ready=True, ports=True):
        self.lab = lab
        self.db = db or lab.path(lab.name("store"))
        # A store that was killed left its ports behind.
        if os.path.exists(self.ports_path):
            os.unlink(self.ports_path)
        free = ["--http-port", "0", "--otlp-http-port", "0", "--otlp-grpc-port", "0"]
        given = free if ports else []
        self.proc = lab.spawn([lab.clew_path, "server", "-d", self.db, *given, *args], "server", env=env,
                              preexec=preexec)
        self.ports = self.wait_ports() if ready else None

    @property
    def ports_path(self):
        return os.path.join(self.db, "ports.json")

    def wait_ports(self):
        def there():
            if not self.proc.alive():
                raise AssertionError("the server ended:\n" + self.proc.err())
            # It says so after it has written them.
            return os.path.exists(self.ports_path) and "serving http" in self.proc.err()
        wait_for(there, what=lambda: "the server's ports; it said:\n" + self.proc.err())
        with open(self.ports_path) as f:
            return json.load(f)

    def connection(self, port=None, timeout=PATIENCE, context=None, host="127.0.0.1"):
        port = port or self.ports["http"]
        if self.ports["tls"]:
            return http.client.HTTPSConnection(host, port, timeout=timeout,
                                               context=context or ssl._create_unverified_context())
        return http.client.HTTPConnection(host, port, timeout=timeout)

    def ask(self, path, method="GET", body=None, headers=None, port=None, **kw):
        c = self.connection(port, **kw)
        try:
            c.request(method, path, body, headers or {})
            return Answer(c.getresponse())
        finally:
            c.close()

    def need_page(self, who):
        """Ends the program where this build of clew has no page."""
        if "/assets/" not in self.ask("/").text:
            sys.exit("%s: %s has no page in it: build it with tools/build-ui, then `meson setup --reconfigure` and "
                     "`ninja` in the build's folder, or name its files with --ui-dir ui/dist" % (who, self.lab.clew_path))

    def stats(self):
        return self.ask("/api/clew/v1/stats").json

    def sql(self, statement):
        return self.ask("/api/clew/v1/sql", "POST", statement).json["rows"]

    def stop(self):
        return self.proc.stop(signal.SIGTERM)


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def bearer(token):
    return {"Authorization": "Bearer " + token}
