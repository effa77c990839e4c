# SPDX-License-Identifier: Apache-2.0
"""One traced service with a leaf behind it, and what its recording says by the runtime's tasks alone."""

import os

import tasks

HERE = os.path.dirname(os.path.abspath(__file__))
IN_FLIGHT = 50


class Service:
    """A service of this folder under clew; its leaf is nginx."""

    def __init__(self, lab, command, kind, mode, wait=True):
        self.lab = lab
        self.leaf, self.port = lab.port(), lab.port()
        self.truth = lab.path("truth.tsv")
        open(self.truth, "w").close()
        lab.nginx("leaf", 'server { listen 127.0.0.1:%d backlog=1024; location / { return 200 "leaf\\n"; } }' % self.leaf,
                  wait=self.leaf)
        self.proc = lab.spawn(command + [kind, mode, self.port, self.leaf, self.truth], "service")
        if wait:
            lab.wait_port(self.port, self.proc)

    def record(self, *options):
        self.raw = self.lab.path(self.lab.name("recording"))
        return self.lab.record("-p", self.proc.pid, "--capture-only", "-o", self.raw, "--log-level", "debug", *options,
                               db="none")

    def load(self, requests):
        report = self.lab.load("http://127.0.0.1:%d/front/%%t" % self.port, requests=requests, conns=IN_FLIGHT)
        assert report["ok"] == requests, (report, self.proc.err()[-1500:])
        return report

    def score(self):
        found = tasks.Tasks(tasks.read(self.lab.clew_path, self.raw), {self.proc.pid})
        score = found.score(tasks.read_truth(self.truth))
        print(sorted(found.runtimes), dict(score))
        return found, score


def said(recording, what):
    """Whether a debug line of clew's says so already."""
    return lambda: what in recording.err()
