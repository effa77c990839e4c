# SPDX-License-Identifier: Apache-2.0
"""tools/run-tests ends with what failed: the test and why, so that the end of a log tells it."""
import argparse
import importlib.machinery
import importlib.util
import os
import sys

import pytest

from lib.lab import ROOT


@pytest.fixture(scope="module")
def tool():
    loader = importlib.machinery.SourceFileLoader("run_tests", os.path.join(ROOT, "tools", "run-tests"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("run_tests", loader))
    loader.exec_module(module)
    return module


@pytest.fixture
def runner(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))  # it sets some for those that it starts
    return tool.Runner(argparse.Namespace(build=str(tmp_path / "build"), sanitized=None, seconds=1))


def test_a_program_names_what_it_marks(runner):
    said = "ok   one\nFAIL map: services: is 3, should be 4\n     at /map\nFAIL map: services: is 3, should be 4\n1 passed, 1 failed"
    result = runner.program("ui", [sys.executable, "-c", f"print({said!r}); raise SystemExit(1)"], "")
    assert (result.passed, result.failed, result.failures) == (1, 1, ["map: services: is 3, should be 4"])


def test_a_program_that_breaks_is_told_by_its_last_line(runner):
    result = runner.program("ui", [sys.executable, "-c", "print('ok   one', flush=True); raise SystemExit('no chromium')"], "")
    assert (result.failed, result.failures) == (1, ["it ended with 1: no chromium"])


def test_a_program_that_never_ends_is_told_by_what_it_did_last(tool, runner, monkeypatch):
    monkeypatch.setitem(tool.LIMITS, "ui", 0.001)
    result = runner.program("ui", [sys.executable, "-c", "import time; time.sleep(600)"], "")
    assert (result.failed, result.failures) == (1, ["stopped: it took too long, after: no output"])


@pytest.mark.parametrize("ci, failed", [(False, 2), (True, 3)])
def test_pytests_are_named_with_their_reason(tool, runner, tmp_path, monkeypatch, ci, failed):
    monkeypatch.setattr(tool, "CI", ci)
    planted = tmp_path / "test_planted.py"
    planted.write_text("import pytest\n"
                       "def test_good(): pass\n"
                       "def test_bad(): assert 1 == 2, 'one is\\nnot two'\n"
                       "@pytest.fixture\ndef broken(): raise OSError('no disk')\n"
                       "def test_set_up(broken): pass\n"
                       "def test_left_out(): pytest.skip('no kernel')\n"
                       "@pytest.mark.xfail(strict=True)\ndef test_known(): assert False\n")
    result = runner.pytest("cli", str(planted))
    assert (result.passed, result.failed, len(result.failures)) == (2, failed, failed)
    said = [" ".join(f.split()) for f in result.failures]
    assert "test_planted::test_bad: AssertionError: one is not two" in said[0]
    assert "test_planted::test_set_up: " in said[1] and "OSError: no disk" in said[1]
    assert not ci or "test_planted::test_left_out: skipped: no kernel" in said[2]


def test_a_test_of_cmocka_is_named_with_its_reason(tool):
    out = ("[==========] Running 3 test(s).\n[ RUN      ] test_fits\n[       OK ] test_fits\n[ RUN      ] test_counts\n"
           "[  FAILED  ] test_counts\n[ RUN      ] test_ends\n[  FAILED  ] test_ends\n[==========] 3 test(s) run.\n")
    err = ("[  ERROR   ] --- 0x3 != 0x4\n[   LINE   ] --- ../tests/x.c:12: error: Failure!\n"
           "[  ERROR   ] --- none is left\n[   LINE   ] --- ../tests/x.c:30: error: Failure!\n[  PASSED  ] 1 test(s).\n"
           "[  FAILED  ] 2 test(s), listed below:\n[  FAILED  ] test_counts\n[  FAILED  ] test_ends\n\n 2 FAILED TEST(S)\n")
    assert tool.cmocka_failures(out + err) == [("test_counts", "0x3 != 0x4, ../tests/x.c:12: error: Failure!"),
                                               ("test_ends", "none is left, ../tests/x.c:30: error: Failure!")]


@pytest.mark.parametrize("n", (1, 4, 12, 500))
def test_the_end_of_a_log_holds_all_of_it(tool, n):
    failures = [("ui", f"test {k}: " + "very " * 100 + "wrong", "build/logs/test-ui.log") for k in range(n)]
    text = tool.closing(9, n, failures)
    lines = text.splitlines()
    assert lines[0] == f"9 passed, {n} failed" and len(text) < 1000 and max(map(len, lines)) <= 200
    named = [line for line in lines if line.startswith("FAILED ui: test ")]
    assert len(named) == min(n, 13) and all(line.endswith("wrong") for line in named)
    assert lines[-1] == "all of it: build/logs/test-ui.log"
    assert (f"the first 13 of {n}" in text) == (n > 13)
