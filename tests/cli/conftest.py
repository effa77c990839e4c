# SPDX-License-Identifier: Apache-2.0
"""The command line as a user meets it. Nothing here needs root or a kernel feature."""
import os
import subprocess

import pytest

from lib import recording
from lib.lab import PATIENCE, ROOT, find_clew

CLEW = find_clew()


class Runner:
    """Runs clew with an environment of its own; home and configuration are below a fresh folder."""

    def __init__(self, home):
        self.home = home
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", "TZ": "UTC",
                    "CLEW_CONFIG": ""}

    def __call__(self, *args, check=None, env=None, **kw):
        done = subprocess.run([CLEW, *map(str, args)], capture_output="stdout" not in kw,
                              stdin=subprocess.DEVNULL, env={**self.env, **(env or {})}, timeout=PATIENCE, **kw)
        if check is not None:
            assert done.returncode == check, (args, done.returncode, done.stderr)
        return Result(done)

    def usage(self, *args, **kw):
        """A usage error: status 2, nothing on stdout, one message that begins with our name."""
        r = self(*args, check=2, **kw)
        assert r.out == "" and r.err.startswith("clew: "), (args, r.out, r.err)
        return r.err


class Result:
    def __init__(self, done):
        self.status = done.returncode
        self.raw = done.stdout or b""
        self.out = self.raw.decode(errors="surrogateescape")
        self.err = (done.stderr or b"").decode()


@pytest.fixture
def clew(tmp_path):
    assert os.access(CLEW, os.X_OK), "no binary at %s: run make (or set CLEW)" % CLEW
    return Runner(tmp_path)


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    """A store with twelve traces of two services, made by a replay."""
    path = tmp_path_factory.mktemp("shop")
    file = path / "shop.clew"
    file.write_bytes(recording.shop().data())
    runner = Runner(path)
    runner("replay", file, "-d", path / "db", check=0)
    return path
