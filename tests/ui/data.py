# SPDX-License-Identifier: Apache-2.0
"""The data that the page's tests look at, sent over OTLP/HTTP to a running server.

A shop for half an hour: two kinds of request, some slow for one reason (a region whose payments are slow), some
that fail, a change for the worse in the last ten minutes; and one trace of very many spans.
"""
import os
import random
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "e2e", "server"), os.path.join(HERE, "..")]

import otlp  # noqa: E402

MS = 1000000
S = 1000 * MS
SERVER, CLIENT, ERROR = 2, 3, 2


class Batch:
    """Collects spans by service and sends them, some thousands a request."""

    def __init__(self, server, most=20000):
        self.server, self.most, self.sent = server, most, 0
        self.clear()

    def clear(self):
        self.request, self.scopes, self.n = otlp.Request(), {}, 0

    def span(self, service, name, trace, span, parent, start, duration, kind, attrs=None, **kw):
        if service not in self.scopes:
            self.scopes[service] = otlp.add_scope(self.request, service, scope="shop", **{"host.name": "node-" + service[:1]})
        otlp.add_span(self.scopes[service], name, trace, span, parent, int(start), int(duration), kind, attrs, **kw)
        self.n += 1
        if self.n >= self.most:
            self.flush()

    def flush(self):
        if not self.n:
            return
        answer = otlp.send(self.server, self.request, compress=True)
        assert answer.status == 200, answer.text
        self.sent += self.n
        self.clear()


class Shop:
    """The same each time, but for when it was: `lately` is its last ten minutes, as the URL of a view says it."""

    def __init__(self, server, seed=1):
        self.batch, self.random = Batch(server), random.Random(seed)

    def id(self, n=8):
        return self.random.randbytes(n)

    def call(self, trace, parent, caller, callee, name, start, duration, attrs=None, error=False, wire=0.4 * MS):
        """A client's span with its server's inside it; returns the server's id."""
        client, server = self.id(), self.id()
        status = ERROR if error else 0
        self.batch.span(caller, name, trace, client, parent, start, duration, CLIENT, {"server.address": callee}, status=status)
        self.batch.span(callee, name, trace, server, client, start + wire / 2, max(1000, duration - wire), SERVER, attrs,
                        status=status, message="upstream refused" if error else "")
        return server

    def checkout(self, start, worse):
        r = self.random
        trace, root = self.id(16), self.id()
        region = r.choice(["eu-1", "eu-2", "us-1", "us-2"])
        # Before, far fewer than one in twenty are slow, then far more: p95 has to tell it every time.
        slow = region == "us-2" and r.random() < (0.8 if worse else 0.1)
        error = r.random() < (0.06 if worse else 0.01)
        pay = r.lognormvariate(2.2, 0.3) * MS + (240 * MS + r.expovariate(1 / (60 * MS)) if slow else 0)
        stock = r.lognormvariate(1, 0.4) * MS
        total = pay + stock + 6 * MS
        attrs = {"http.request.method": "POST", "url.path": "/checkout", "shop.region": region, "cart.items": r.randint(1, 9),
                 "http.response.status_code": 502 if error else 200}
        events = [(int(start + 2 * MS + stock), "payment begun", {"attempt": 1})]
        self.batch.span("web", "POST /checkout", trace, root, b"", start, total, SERVER, attrs, events=events,
                        status=ERROR if error else 0)
        orders = self.call(trace, root, "web", "orders", "POST /order", start + 1 * MS, total - 2 * MS,
                           {"http.response.status_code": 502 if error else 200}, error)
        self.call(trace, orders, "orders", "stock", "GET /reserve", start + 2 * MS, stock, {"db.system": "postgresql"})
        payments = self.call(trace, orders, "orders", "payments", "POST /charge", start + 3 * MS + stock, pay,
                             {"shop.region": region, "payment.provider": "acme"}, error)
        for k in range(r.randint(1, 3)):
            self.call(trace, payments, "payments", "ledger", "SELECT ledger", start + (4 + k) * MS + stock, 0.6 * MS)
        return trace

    def browse(self, start):
        r = self.random
        trace, root = self.id(16), self.id()
        hit = r.random() < 0.8
        total = (r.lognormvariate(0.6, 0.4) + (0 if hit else 4)) * MS + MS
        self.batch.span("web", "GET /items/{id}", trace, root, b"", start, total, SERVER,
                        {"http.request.method": "GET", "cache.hit": hit, "http.response.status_code": 200})
        if not hit:
            self.call(trace, root, "web", "stock", "GET /item", start + 0.5 * MS, total - MS)
        return trace

    def half_hour(self, requests=1500):
        now = time.time_ns()
        self.lately = "since=%d&until=%d" % (now - 600 * S, now)
        traces = []
        for k in range(requests):
            age = (requests - k) / requests * 1800 * S
            start = now - age - 2 * S
            traces.append(self.checkout(start, age < 600 * S) if k % 3 == 0 else self.browse(start))
        self.batch.flush()
        return traces

    def odd(self):
        """Long names, and a host whose clock is 3 s behind; 400 ms."""
        trace, root, call = self.id(16), self.id(), self.id()
        start = time.time_ns() - 90 * S
        name = "payment-gateway-adapter-for-the-european-settlement-network"
        path = "/api/v3/tenants/{tenant}/accounts/{account}/settlements/{settlement}/lines/{line}/adjustments"
        self.batch.span(name, "POST " + path, trace, root, b"", start, 400 * MS, SERVER, {"a." * 60 + "key": "x" * 400}, status=ERROR,
                        message="the ledger was closed and " * 12)
        self.batch.span(name, "POST " + path, trace, call, root, start + 10 * MS, 300 * MS, CLIENT)
        self.batch.span("prod-eu-central-1/checkout.internal.example.com:8443", "SELECT " + "a_long_column_name, " * 12, trace, self.id(), call,
                        start - 3 * S, 280 * MS, SERVER, {"db.system": "postgresql"})
        self.batch.flush()
        return trace.hex()

    def big(self, spans=100000, seconds=20):
        """A batch job: a root, groups of items, items with calls. Some fail; one group is slow."""
        r = self.random
        trace, root = self.id(16), self.id()
        start = time.time_ns() - 120 * S
        total = seconds * S
        per_item, items = 10, (spans - 1) // 10
        groups = 40
        self.batch.span("batch", "nightly import", trace, root, b"", start, total, 1, {"job.items": items})
        made = 1
        for g in range(groups):
            group = self.id()
            begin, length = start + total * g / groups, total / groups
            self.batch.span("batch", f"group {g}", trace, group, root, begin, length * 0.98, 1)
            made += 1
            n = items // groups
            for i in range(n):
                if made + per_item > spans:
                    break
                item = self.id()
                at, long = begin + length * i / n * 0.97, length / n * r.uniform(0.4, 0.9)
                bad = r.random() < 0.002
                self.batch.span("importer", "item", trace, item, group, at, long, SERVER, {"item.id": g * n + i},
                                status=ERROR if bad else 0)
                for c in range(4):
                    self.call(trace, item, "importer", ("stock", "search", "images", "ledger")[c], "PUT /item", at + long * c / 5,
                              long / 6, wire=long / 60)
                self.batch.span("importer", "commit", trace, self.id(), item, at + long * 0.85, long * 0.1, 1)
                made += per_item
        while made < spans:
            self.batch.span("batch", "sweep", trace, self.id(), root, start + total - 1 * MS, 0.5 * MS, 1)
            made += 1
        self.batch.flush()
        return trace.hex(), made
