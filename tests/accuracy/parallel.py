# SPDX-License-Identifier: Apache-2.0
"""Several runs at once: at 1 and 10 requests in flight the services mostly pause, and the machine idles.

Each job runs in a process of its own and has a slice of the ports. As many run as there are slots, and as their
requests in flight together stay under a limit; one that is above it by itself runs alone. Who is interrupted ends
its jobs, each of which ends what it started.
"""

import contextlib
import ctypes
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys

END_LIMIT = 90  # seconds that an interrupted job has to end what it started
PR_SET_PDEATHSIG = 1


class Job:
    """key: what it is called; load: how many requests it has in flight."""

    def __init__(self, key, load, function):
        self.key, self.load, self.function = key, load, function
        self.slot = self.process = self.pipe = None

    def start(self, slot):
        self.slot = slot
        self.pipe, theirs = multiprocessing.Pipe(duplex=False)
        self.process = multiprocessing.get_context("fork").Process(target=self.body, args=(theirs,), name=self.key)
        self.process.start()
        theirs.close()

    def body(self, pipe):
        """In the child: a session of its own, so that Ctrl-C comes once, from the parent."""
        os.setsid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        try:
            pipe.send((self.function(self.slot), None))
        except KeyboardInterrupt:
            sys.exit(1)
        except Exception as e:  # one broken run must not cost the others; the parent says so
            pipe.send((None, "%s: %s" % (type(e).__name__, e) if not str(e).strip() else str(e).strip()))

    def result(self):
        """(result, None) or (None, why there is none), of a job whose pipe has something or is closed."""
        try:
            got = self.pipe.recv()
        except EOFError:
            got = (None, None)
        self.process.join()
        self.pipe.close()
        return got if got != (None, None) else (None, "its process ended with %s" % self.process.exitcode)


def pick(waiting, running, limit):
    """The next of the waiting that may start beside the running ones, or None.

    The heaviest that fits while they are under half of the limit, else the lightest: so that a heavy run has light
    ones beside it, and the light ones, which take longest, are not left to the end.
    """
    sum_ = sum(j.load for j in running)
    fits = [j for j in waiting if not running or sum_ + j.load <= limit]
    if not fits or (running and max(j.load for j in running) > limit):
        return None
    best = max if 2 * sum_ < limit else min
    return best(fits, key=lambda j: j.load)


def run(jobs, slots, limit):
    """Yields (job, result, why there is none, those that go on) as the jobs end."""
    waiting, running, free = list(jobs), [], list(range(slots))
    try:
        while waiting or running:
            while free and (job := pick(waiting, running, limit)):
                waiting.remove(job)
                job.start(free.pop(0))
                running.append(job)
            ready = multiprocessing.connection.wait([j.pipe for j in running])
            for job in [j for j in running if j.pipe in ready]:
                result, why = job.result()
                running.remove(job)
                free.append(job.slot)
                yield job, result, why, [j.key for j in running]
    finally:
        end(running)


def end(jobs):
    """Each ends its services and its clew; who does not is killed."""
    for job in jobs:
        with contextlib.suppress(ProcessLookupError):
            os.kill(job.process.pid, signal.SIGTERM)
    for job in jobs:
        job.process.join(END_LIMIT)
        if job.process.is_alive():
            print("%s did not end, and is killed; what it started may be left" % job.key, file=sys.stderr)
            job.process.kill()


def slice_of(ports, slot, slots):
    """The part of the range (first, last) that belongs to the slot."""
    size = (ports[1] - ports[0] + 1) // slots
    return ports[0] + slot * size, ports[0] + (slot + 1) * size - 1
