# SPDX-License-Identifier: Apache-2.0
"""Options, environment, configuration file, help, man page, exit statuses of usage errors."""
import os
import re
import shutil
import subprocess
import tempfile

import pytest
from conftest import CLEW

COMMANDS = ("check run record replay dump traces spans trace services map patterns hist diff top sql version help "
            "server").split()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(clew, command):
    a, b = clew("help", command, check=0), clew(command, "--help", check=0)
    assert a.out == b.out and a.out.startswith(f"Usage: clew {command}")
    assert a.err == ""
    for line in clew(command, "-h", check=0, env={"COLUMNS": "80"}).out.splitlines():
        # What a person has to type is never broken; text is.
        assert len(line) <= 80 or line.startswith(("Usage:", "  clew ")), line


def test_overview_lists_every_command(clew):
    r = clew("--help", check=0)
    for command in COMMANDS:
        assert re.search(rf"^  {command} +\S", r.out, re.M)
    assert "pcap" not in r.out
    assert clew(check=2).out == r.out


def test_version(clew):
    assert re.fullmatch(r"clew \d+\.\d+\.\d+\n", clew("version", check=0).out)
    assert clew("--version", check=0).out == clew("version").out


@pytest.mark.parametrize("args, message", [
    (["recrod"], "unknown command 'recrod'; did you mean clew record?"),
    (["frobnicate"], "unknown command 'frobnicate'; clew --help lists the commands"),
    (["--db", "x"], "unknown option '--db' before a command"),
    (["pcap"], "kept for later work"),
    (["help", "pcap"], "kept for later work"),
    (["help", "nothing"], "there is no command 'nothing'"),
    (["run"], "run: the command to run is missing"),
    (["run", "--payload", "12x", "true"],
     "--payload: '12x' is not a size; write a number with an optional unit, e.g. 4096 or 4KiB"),
    (["run", "--paylod", "4k", "true"], "did you mean --payload?"),
    (["run", "-p", "1", "true"], "unknown option '-p'"),
    (["run", "--pid", "1", "true"], "--pid: 'clew run' has no such option"),
    (["run", "--duration", "5", "true"], "--duration: '5' is not a duration"),
    (["run", "--duration", "0s", "true"], "--duration: '0s' is too small; write 1.0 ms or more"),
    (["top", "--interval", "0"], "--interval: '0' is too small; write 100 ms or more"),
    (["top", "--window", "1ms"], "--window: '1ms' is too small; write 1.00 s or more"),
    (["server", "--retention-age", "59m"], "--retention-age: '59m' is too small; write 1 h 00 m or more"),
    (["server", "--db", "none"], "--db none keeps nothing that could be served"),
    (["record", "-p", "1", "--tasks", "none", "--agent", "node"], "--agent names tasks and --tasks none reads none"),
    (["record", "-p", "1", "--tasks", "memory", "--python-copies"], "--python-copies is a probe"),
    (["record", "-p", "1", "--tasks", "memory", "--tokio-wakers"], "--tokio-wakers is a probe"),
    (["record"], "no target; name one with --pid, --cgroup, --exe, --port or --netns"),
    (["record", "nginx"], "'nginx' is one argument too many; name targets with --pid"),
    (["record", "--pid", "0"], "--pid: '0' is out of range"),
    (["record", "--port", "65536"], "--port: '65536' is out of range; write a value from 1 to 65535"),
    (["record", "--all", "--pid", "1"], "--all is the whole host"),
    (["record", "--pid", "1", "--capture-only"], "--capture-only needs a recording to write"),
    (["record", "--pid", "1", "--name", "x"], "--name: 'x' is not PID|EXE=SERVICE"),
    (["record", "--pid"], "--pid: its value is missing; write --pid PID"),
    (["replay"], "the recording's file is missing"),
    (["dump", "a", "b"], "'b' is one argument too many"),
    (["traces", "--since", "yesterday"], "--since: 'yesterday' is not a time; write RFC 3339"),
    (["traces", "--sort", "name"], "--sort: 'name' is not known; write start or duration"),
    (["traces", "--limit", "-1"], "--limit: '-1' is not a number"),
    (["traces", "--attr", "x"], "--attr: 'x' is not K=V"),
    (["trace"], "which trace? Give its id or --last"),
    (["trace", "abcd", "--last"], "give an id or --last, not both"),
    (["trace", "xyz"], "'xyz' is not a trace's id"),
    (["trace", "abc"], "'abc' has 3 digits; give 4 to 32 of them"),
    (["diff", "abcd", "xyz"], "'xyz' is not a trace's id"),
    (["diff", "abc", "abcd"], "'abc' has 3 digits; give 4 to 32 of them"),
    (["version", "x"], "Usage: clew version\n"),
    (["map", "--dot", "--json"], "give --json or --dot, not both"),
    (["sql", "SELECT 1", "--json", "--csv"], "give --json or --csv, not both"),
    (["sql"], "the query is missing"),
    (["traces", "--db", "none"], "--db none keeps nothing"),
    (["traces", "--config", "/nonexistent"], "/nonexistent: No such file or directory"),
])
def test_usage_errors(clew, args, message):
    assert message in clew.usage(*args)


@pytest.mark.parametrize("name", ["event", "sample", "port-protocol"])
def test_names_kept_for_later(clew, name):
    for command in (["run", f"--{name}=x", "true"], ["traces", f"--{name}"]):
        assert f"--{name} is kept for later work" in clew.usage(*command)


def test_control_characters_are_not_repeated(clew):
    assert "\x1b" not in clew("traces", "--a\x1b[31m").err
    assert "\x1b" not in clew("traces", "--since", "\x1b[31m").err


def test_environment_below_command_line_above_file(clew, shop, tmp_path):
    config = tmp_path / "clew.conf"
    config.write_text(f"# a comment\ndb = {shop}/db\n")
    assert clew("traces", "--config", config, check=0).out
    assert clew("traces", check=0, env={"CLEW_CONFIG": str(config)}).out
    assert clew("traces", check=0, env={"CLEW_DB": f"{shop}/db"}).out
    missing = str(tmp_path / "missing")
    assert missing in clew("traces", "--config", config, check=1, env={"CLEW_DB": missing}).err
    assert clew("traces", "-d", shop / "db", "--config", config, check=0, env={"CLEW_DB": missing}).out


def for_all_users(program, folder):
    """The program, or a copy of it and its library in folder where the tree is closed to other users."""
    tree = os.path.dirname(os.path.dirname(os.path.abspath(program)))
    parents = [tree[:i] or "/" for i in range(len(tree) + 1) if tree[i:i + 1] in ("/", "")]
    if all(os.stat(d).st_mode & 0o001 for d in parents):
        return program
    library = ".deps/duckdb/libduckdb.so"
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    for source, target in ((program, "build/clew"), (os.path.join(root, library), library)):
        os.makedirs(os.path.dirname(f"{folder}/{target}"))
        shutil.copy(source, f"{folder}/{target}")
    return f"{folder}/build/clew"


def test_default_configuration_file(clew):
    """Of somebody who is not root; root's is /etc/clew/clew.conf, which is the machine's."""
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as home:
        os.chmod(home, 0o755)
        os.makedirs(f"{home}/.config/clew")
        with open(f"{home}/.config/clew/clew.conf", "w") as f:
            f.write("db = /nonexistent/from/the/file\n")
        program = for_all_users(CLEW, home)
        for env in ({"HOME": home}, {"HOME": "/", "XDG_CONFIG_HOME": f"{home}/.config"}):
            done = subprocess.run([*nobody, program, "traces"], capture_output=True, env={**clew.env, **env})
            assert b"/nonexistent/from/the/file: there is no store" in done.stderr
        # Without a file the store is in the home.
        done = subprocess.run([*nobody, program, "traces"], capture_output=True,
                              env={**clew.env, "HOME": home, "XDG_CONFIG_HOME": "/none"})
        assert f"{home}/.local/share/clew: there is no store".encode() in done.stderr


def test_one_file_serves_all_commands(clew, shop, tmp_path):
    """A key that commands have with different help is the same key to each of them."""
    config = tmp_path / "clew.conf"
    config.write_text(f"db = {tmp_path}/made\npayload = 100\nhttp-port = 1\n")
    clew("replay", shop / "shop.clew", "-q", "--config", config, check=0)
    assert len(clew("spans", "--config", config, check=0).out.splitlines()) == 24
    rows = re.findall(r"^  db  .*$", clew("help", "config", check=0).out, re.M)
    assert rows == ["  db                 CLEW_DB                DIR"]


@pytest.mark.parametrize("text, message", [
    ("payload = 12x\n", "clew.conf:1: payload: '12x' is not a size"),
    ("\ndb\n", "clew.conf:2: 'db' is not a setting; write key = value"),
    ("dbb = x\n", "clew.conf:1: unknown key 'dbb'; did you mean 'db'?"),
    ("event = x\n", "clew.conf:1: event is kept for later work"),
])
def test_configuration_errors(clew, tmp_path, text, message):
    config = tmp_path / "clew.conf"
    config.write_text(text)
    assert message in clew.usage("traces", "--config", config)


def test_environment_errors(clew):
    assert "CLEW_PAYLOAD: 'x' is not a size" in clew.usage("run", "true", env={"CLEW_PAYLOAD": "x"})
    # What the command does not know is not its business.
    assert clew("version", check=0, env={"CLEW_PAYLOAD": "x"}).out


def test_man_page(clew, tmp_path):
    page = tmp_path / "clew.1"
    page.write_text(clew("help", "--man", check=0).out)
    assert shutil.which("man"), "man is missing: install man-db"
    done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", page], capture_output=True,
                          env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "MANWIDTH": "80"})
    text = re.sub("\x1b\\[[0-9;]*m", "", done.stdout.decode())
    assert done.returncode == 0 and done.stderr == b"", done.stderr
    for word in ("--capture-header", "CLEW_PAYLOAD", "clew replay FILE", "EXIT STATUS", "127"):
        assert word in text


def test_man_page_names_the_commands_of_each_option(clew):
    """What stands behind an option in the page are the commands whose help has it; nothing: all of them."""
    page = clew("help", "--man", check=0).out.replace("\\-", "-")
    for command in COMMANDS:
        assert f"\n.SS clew {command} " in page
    rows = re.findall(r"^\.TP\n(?:\\fB-\w\\fR, )?\\fB(--[\w-]+)\\fR(?: \\fI[^\n]*?\\fR)?(?: \(([^)\n]*)\))?$", page, re.M)
    said, helped = {}, {}
    for name, commands in rows:  # a name may have several meanings, each of other commands
        said.setdefault(name, set()).update(commands.split(", ") if commands else COMMANDS)
    for command in COMMANDS:
        for name in re.findall(r"^  (?:-\w, |    )(--[\w-]+)", clew("help", command).out, re.M):
            helped.setdefault(name, set()).add(command)
    assert said == helped
