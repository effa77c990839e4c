# SPDX-License-Identifier: Apache-2.0
"""Traces whose every field is known: what the APIs must give back is computed from the same numbers."""
import time

import otlp

MS = 1000000
SERVICES = ["front", "pay \u00fc/1", "stock"]
FRONT, PAY, STOCK = SERVICES


class Span:
    def __init__(self, trace, n, service, name, kind, start, ms, parent=None, attrs=None, status=0, message="", events=(),
                 links=(), state=""):
        self.trace, self.id = trace, bytes([n, 0xc1]) + trace[-6:]
        self.service, self.name, self.kind = service, name, kind
        self.start, self.duration = start, int(ms * MS)
        self.parent, self.attrs, self.status, self.message = parent, attrs or {}, status, message
        self.events, self.links, self.state = list(events), list(links), state

    @property
    def parent_id(self):
        return self.parent.id if isinstance(self.parent, Span) else self.parent or b""


class Shop:
    """30 orders, one every second, oldest first; every fifth fails."""
    N = 30

    def __init__(self):
        self.start = (time.time_ns() - 120 * 10**9) // 1000 * 1000
        self.resources = {s: {"host.name": "host-%d" % i, "process.pid": 100 + i} for i, s in enumerate(SERVICES)}
        self.traces = [self.order(i) for i in range(self.N)]
        self.spans = [s for t in self.traces for s in t]

    def order(self, i):
        trace = (0x0af7651916cd43dd8448eb211c000000 + i).to_bytes(16, "big") if i else (77).to_bytes(16, "big")
        at, failed = self.start + i * 10**9, i % 5 == 4
        root = Span(trace, 1, FRONT, "POST /orders", 2, at, 10 + i, None,
                    {"http.request.method": "POST", "http.response.status_code": 500 if failed else 200, "ratio": i / 4,
                     "vip": i % 2 == 0, "order": "o-%d" % i, "big": 2**60 + i, "empty": "", "zero": 0},
                    2 if failed else 0, "no money" if failed else "", state="k=v%d" % i)
        call = Span(trace, 2, FRONT, "POST /pay", 3, at + MS, 5 + i / 2, root, {"server.address": "pay"})
        pay = Span(trace, 3, PAY, "POST /pay", 2, at + 2 * MS, 3 + i / 2, call, {"http.request.method": "POST"},
                   2 if failed else 1,
                   events=[(at + 3 * MS, "exception", {"exception.type": "Broke", "exception.escaped": True, "n": i})]
                   if failed else [])
        queue = Span(trace, 4, STOCK, "reserve", 5, at + 4 * MS, 1, root,
                     {"messaging.system": "kafka"}, links=[(bytes([9]) * 16, bytes([8]) * 8, {"why": "batch"})])
        return [root, call, pay, queue]

    def send(self, server):
        request = otlp.Request()
        scopes = {s: otlp.add_scope(request, s, "lib", "", **self.resources[s]) for s in SERVICES}
        for s in self.spans:
            otlp.add_span(scopes[s.service], s.name, s.trace, s.id, s.parent_id, s.start, s.duration, s.kind, s.attrs,
                          s.status, s.message, s.events, s.links, s.state)
        answer = otlp.send(server, request)
        assert answer.status == 200, answer.text
