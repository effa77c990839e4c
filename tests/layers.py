#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The layers of docs/architecture.md, enforced.

    tests/layers.py [--build DIR] [--self-test]

1. includes: every `#include "folder/file.h"` (and every library's header) against TABLE below.
2. links: each folder's static library becomes a shared object that may use only what TABLE allows;
   whatever stays undefined is an undeclared dependency. (With --build, after the build.)
3. circles: no files of a folder include each other in a circle, a .c and its header taken as one.
4. headers: each header compiles alone.
5. licences: each source file carries the SPDX line of its folder; BPF programs that of bpf/ wherever they are.

Prints FILE:LINE and what is allowed. --self-test first proves, on a small tree of its own, that each
check fails on a planted fault and passes without it. Exit status 1 when anything is wrong.
"""
import argparse
import glob
import os
import re
import shlex
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

# ---------------------------------------------------------------------------------------------------
# The table of docs/architecture.md: what each folder may include. Data flows downwards; a folder never
# names one below it. "pipeline/..." names single headers rather than the folder.
# ---------------------------------------------------------------------------------------------------
TABLE = {
    "abi": set(),
    "bpf": {"abi"},
    "base": set(),
    "proto": {"base"},
    "stream": {"base", "abi", "proto"},
    "causality": {"base", "abi", "stream"},
    "model": {"base"},
    # A resource is model's; records carry what identity reads.
    "identity": {"base", "abi", "model"},
    "span": {"base", "stream", "causality", "identity", "model"},
    "capture": {"base", "abi", "bpf"},  # bpf: the skeleton made from it
    "pipeline": {"base", "abi", "proto", "stream", "causality", "model", "identity", "span", "capture"},
    "join": {"base", "model"},
    "export": {"base", "model"},
    "store": {"base", "model"},
    "query": {"base", "model", "store"},
    "server": {"base", "model", "store", "query", "pipeline/counters.h"},
    "cli": {"abi", "base", "proto", "stream", "causality", "model", "identity", "span", "capture",
            "pipeline", "join", "export", "store", "query", "server"},
}

# Libraries: who may include their headers, and how to link them. libc needs no leave.
LIBRARIES = {
    # header's beginning: (folders, linker flags)
    "xxhash.h": ({"base"}, ["-lxxhash"]),
    "uthash.h": ({"base"}, []),  # the others: base/hash.h
    "utlist.h": (set(TABLE) - {"abi", "bpf"}, []),
    "utarray.h": (set(TABLE) - {"abi", "bpf"}, []),
    "jansson.h": ({"base", "capture", "model", "export", "store", "query", "server", "cli"}, ["-ljansson"]),
    "bpf/": ({"bpf", "capture"}, ["-lbpf", "-lelf"]),
    "libelf.h": ({"capture", "identity"}, ["-lelf"]),
    "gelf.h": ({"capture", "identity"}, ["-lelf"]),
    "duckdb.h": ({"store"}, ["-lduckdb"]),
    "microhttpd.h": ({"server"}, ["-lmicrohttpd"]),
    "nghttp2/": ({"server", "export"}, ["-lnghttp2"]),
    "gnutls/": ({"server"}, ["-lgnutls"]),
    # protobuf-c's code for OTLP, made at build (tools/otlp-c)
    "otlp.pb-c.h": ({"model", "export"}, ["-lprotobuf-c"]),
    "protobuf-c/": ({"model", "export"}, ["-lprotobuf-c"]),
    # capture: an agent's way into Node
    "libwebsockets.h": ({"capture"}, ["-lwebsockets"]),
    "curl/": ({"capture", "export", "store", "query", "server", "cli"}, ["-lcurl"]),
    "zlib.h": ({"base", "export", "store", "server", "capture"}, ["-lz"]),
    "zstd.h": ({"base", "store", "capture"}, ["-lzstd"]),
}

KERNEL_LICENCE = "GPL-2.0 OR BSD-2-Clause"  # of what runs in the kernel, or is shared with it
LICENCES = {"abi": KERNEL_LICENCE, "bpf": KERNEL_LICENCE}
LICENCE = "Apache-2.0"

SOURCES = (".c", ".h", ".py", ".js", ".mjs", ".ts", ".css", ".sh", ".sql")
NAMED_SOURCES = ("meson.build", "meson_options.txt", "Makefile")
# Made by a tool from a kernel's type information; says so in its first line.
GENERATED = re.compile(r"(^|/)vmlinux[^/]*\.h$")
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


class Tree:
    """A work tree: its files, and the problems found in it."""

    def __init__(self, root):
        self.root = os.path.abspath(root)
        self.problems = []
        self.files = sorted(self.list_files())
        self.known = set(self.files)

    def list_files(self):
        """What git would hold (committed or not), else everything that is there."""
        git = subprocess.run(["git", "-C", self.root, "ls-files", "-z", "--cached", "--others",
                              "--exclude-standard"], capture_output=True)
        top = subprocess.run(["git", "-C", self.root, "rev-parse", "--show-toplevel"],
                             capture_output=True, text=True)
        if git.returncode == 0 and os.path.realpath(top.stdout.strip()) == os.path.realpath(self.root):
            names = git.stdout.decode().split("\0")
            return [n for n in names if n and os.path.isfile(os.path.join(self.root, n))]
        found = []
        for folder, folders, names in os.walk(self.root):
            folders[:] = [f for f in folders if not f.startswith((".", "build", "node_modules"))]
            found += [os.path.relpath(os.path.join(folder, n), self.root) for n in names]
        return found

    def path(self, name):
        return os.path.join(self.root, name)

    def lines(self, name):
        with open(self.path(name), encoding="utf-8", errors="replace") as f:
            return f.read().splitlines()

    def problem(self, where, what):
        self.problems.append(f"{where}: {what}")

    def c_files(self):
        """(name, folder of the table) of the C files that the table speaks of."""
        for name in self.files:
            if name.endswith((".c", ".h")) and not GENERATED.search(name):
                folder = folder_of(name)
                if folder:
                    yield name, folder


def folder_of(name):
    """abi/x.h -> abi; src/base/x.c -> base; tests/... -> None (may include all)."""
    parts = name.split("/")
    if len(parts) > 1 and parts[0] in ("abi", "bpf"):
        return parts[0]
    if len(parts) > 2 and parts[0] == "src":
        return parts[1]
    return None


def allowed_text(folder):
    return ", ".join(sorted(TABLE[folder])) or "no other folder"


# -- 1: includes ------------------------------------------------------------------------------------

def check_includes(tree):
    count = 0
    for name, folder in tree.c_files():
        if folder not in TABLE:
            tree.problem(f"{name}:1", f"src/{folder}/ is not in the table of tests/layers.py and "
                         "docs/architecture.md: add what it knows and what it may include")
            continue
        for number, line in enumerate(tree.lines(name), 1):
            match = INCLUDE.match(line)
            if match:
                count += 1
                check_include(tree, f"{name}:{number}", name, folder, *match.groups())
    return f"{count} includes"


def check_include(tree, where, name, folder, bracket, target):
    library = next((l for l in LIBRARIES if target.startswith(l)), None)
    if bracket == "<":
        if library and folder not in LIBRARIES[library][0]:
            tree.problem(where, f"{folder} may not use <{target}>; allowed: "
                         + ", ".join(sorted(LIBRARIES[library][0])))
        return
    if "/" not in target:
        beside = os.path.join(os.path.dirname(name), target)
        if folder != "bpf" and os.path.exists(tree.path(beside)):
            tree.problem(where, f'write the folder too: "{folder}/{target}"')
        elif folder not in ("bpf", "capture") or not (
                target.startswith("vmlinux") or target.endswith((".bpf.h", ".skel.h", "_agent_js.h", "_agent_so.h"))
                or os.path.exists(tree.path(beside))):
            tree.problem(where, f'"{target}" names no folder (folder/file.h), and is not made by the build')
        return
    other = target.split("/")[0]
    if other == folder or target in TABLE[folder] or other in TABLE[folder]:
        return
    if other in TABLE:
        tree.problem(where, f'{folder} may not include "{target}"; allowed: {allowed_text(folder)}')
    else:
        tree.problem(where, f'"{target}": no such folder in the table; <> is for libraries')


# -- 2: links ---------------------------------------------------------------------------------------

def build_flags(build):
    """-L and rpath flags of the build, for libraries that are not the system's (DuckDB)."""
    try:
        with open(os.path.join(build, "build.ninja"), encoding="utf-8") as f:
            text = f.read()
    except OSError:
        return []
    found = set(re.findall(r"(\S*/libduckdb\.so)\b", text))
    folders = {os.path.dirname(os.path.join(build, p.replace("$ ", " "))) for p in found}
    return [f"-L{f}" for f in sorted(folders) if os.path.isdir(f)]


def check_links(tree, build):
    """Each lib in the order of the flow: whole archive, against shared objects of what it may use. The
    linker's --no-undefined is the judge; undefined symbols inside the other objects are not its
    business (--allow-shlib-undefined), so a dependency's dependency does not help."""
    src = os.path.join(build, "src")
    if not os.path.isdir(src):
        tree.problem(build, "no src/ in there: build first (make)")
        return ""
    flags = build_flags(build)
    done = []
    with tempfile.TemporaryDirectory(prefix="clew-layers-") as out:
        for folder in TABLE:
            if folder in ("abi", "bpf", "cli"):
                continue  # headers; the kernel's; the program itself, linked from all
            archives = sorted(glob.glob(os.path.join(glob.escape(src), folder, "lib*.a")))
            if not archives:
                if any(n.startswith(f"src/{folder}/") and n.endswith(".c") for n in tree.files):
                    tree.problem(f"src/{folder}", f"no library in {src}/{folder}: build first (make)")
                continue
            command = ["cc", "-fno-lto", "-shared", "-o", os.path.join(out, f"libclew-{folder}.so"),
                       "-Wl,--whole-archive", *archives, "-Wl,--no-whole-archive",
                       "-Wl,--no-undefined", "-Wl,--allow-shlib-undefined", f"-L{out}", *flags]
            command += [f"-lclew-{o}" for o in done if o in TABLE[folder]]
            for users, link in LIBRARIES.values():
                if folder in users and (link != ["-lduckdb"] or flags):
                    command += ["-Wl,--as-needed", *link]
            linked = subprocess.run(command + ["-lm", "-lpthread", "-lrt"], capture_output=True, text=True,
                                    env=dict(os.environ, LC_ALL="C"))
            if linked.returncode != 0:
                report_link(tree, folder, linked.stderr)
            done.append(folder)
    return f"{len(done)} libraries linked"


def report_link(tree, folder, errors):
    seen = set()
    for line in errors.splitlines():
        match = re.search(r"(?:^|: )([^\s:]+\.[ch]):(\d+):.*undefined reference to [`'](\S+)'", line)
        other = re.search(r"undefined reference to [`'](\S+)'", line)
        if match:
            where, symbol = f"{os.path.normpath(match[1]).replace('../', '')}:{match[2]}", match[3]
        elif other:
            where, symbol = f"src/{folder}", other[1]
        else:
            continue
        if (where, symbol) not in seen:
            seen.add((where, symbol))
            tree.problem(where, f"{folder} uses {symbol}(), which no folder or library that it may link "
                         f"has; allowed: {allowed_text(folder)}")
    if not seen:
        tree.problem(f"src/{folder}", "does not link: " + errors.strip()[-600:])


# -- 3: circles -------------------------------------------------------------------------------------

def check_circles(tree):
    """A .c stands with the header of its name; but a header that another folder includes, or that an
    internal header builds on, is the face of several files, which implement it: it stands alone, below them."""
    needs, lines = {}, {}
    for name, folder in tree.c_files():
        for number, line in enumerate(tree.lines(name), 1):
            match = INCLUDE.match(line)
            target = match and os.path.normpath(os.path.join("" if match[2].split("/")[0] in ("abi", "bpf") else "src",
                                                             match[2]))
            if target in tree.known and target != name:
                needs.setdefault(name, set()).add(target)
                lines[name, target] = number
    faces = {t for n, ts in needs.items() for t in ts if folder_of(t) != folder_of(n) or n.endswith("internal.h")}

    def room(name):
        return name if name in faces else os.path.splitext(name)[0]

    graph = {}
    for name, targets in needs.items():
        for target in targets:
            if room(target) != room(name) and folder_of(target) == folder_of(name):
                graph.setdefault(room(name), {})[room(target)] = (name, target)
    for circle in circles(graph):
        ways = [graph[a][b] for a, b in zip(circle, circle[1:] + circle[:1])]
        name, target = ways[-1]
        tree.problem(f"{name}:{lines[name, target]}", "files include each other in a circle: "
                     + ", ".join(f"{n} -> {t}" for n, t in ways))
    return f"{len(graph)} files"


def circles(graph):
    """One circle for each arrow that closes one, in a walk from every room."""
    found, state, path = [], {}, []

    def walk(room):
        state[room] = "open"
        path.append(room)
        for other in sorted(graph.get(room, ())):
            if other not in state:
                walk(other)
            elif state[other] == "open":
                found.append(path[path.index(other):])
        path.pop()
        state[room] = "done"

    for room in sorted(graph):
        if room not in state:
            walk(room)
    return found


# -- 4: headers -------------------------------------------------------------------------------------

def pkg_flags():
    names = ["libbpf", "jansson", "libmicrohttpd", "libcurl", "libxxhash", "cmocka",
             "libprotobuf-c"]
    out = subprocess.run(["pkg-config", "--cflags", *names], capture_output=True, text=True)
    return shlex.split(out.stdout) if out.returncode == 0 else []


def check_headers(tree, build):
    flags = ["-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter",
             "-Wno-missing-field-initializers", "-Wno-unused-function", "-fsyntax-only", "-x", "c",
             "-I.", "-Isrc", "-Ibpf", "-isystem", ".deps/duckdb", "-isystem", ".deps/duckdb/include"]
    if build:
        flags += ["-isystem", os.path.join(os.path.abspath(build), "bpf")]
    flags += pkg_flags()
    headers = [n for n in tree.files if n.endswith(".h") and not GENERATED.search(n)
               and n.split("/")[0] in ("abi", "bpf", "src", "tests", "bench")
               and not (n.endswith(".bpf.h") and not compiles_natively(tree, n))]

    def compile_alone(name):
        return subprocess.run(["cc"] + flags + ["-"], cwd=tree.root, input=f'#include "{name}"\n',
                              capture_output=True, text=True, env=dict(os.environ, LC_ALL="C"))

    with ThreadPoolExecutor(2) as pool:
        for name, done in zip(headers, pool.map(compile_alone, headers)):
            if done.returncode != 0:
                first = next((l for l in done.stderr.splitlines() if "error" in l), done.stderr.strip())
                tree.problem(f"{name}:1", f"does not compile alone: {first}")
            if "#pragma once" not in "\n".join(tree.lines(name)):
                tree.problem(f"{name}:1", "has no #pragma once")
    return f"{len(headers)} headers alone"


def compiles_natively(tree, name):
    """The *.bpf.h are the chapters of one BPF object and compile in its order only; those that also
    compile natively (they ask for __bpf__) must do so alone."""
    return "__bpf__" in "\n".join(tree.lines(name))


# -- 5: licences ------------------------------------------------------------------------------------

def is_source(tree, name):
    base = os.path.basename(name)
    if os.path.getsize(tree.path(name)) == 0:
        return False
    if GENERATED.search(name) or "/corpus/" in name or "/data/" in name:
        return False
    if base.endswith(SOURCES) or base in NAMED_SOURCES:
        return True
    if "." in base:
        return False
    with open(tree.path(name), "rb") as f:
        return f.read(2) == b"#!"


def check_licences(tree):
    count = 0
    for name in tree.files:
        if not is_source(tree, name):
            continue
        count += 1
        wanted = KERNEL_LICENCE if name.endswith(".bpf.c") else LICENCES.get(name.split("/")[0], LICENCE)
        if name.endswith("meson.build"):
            wanted = LICENCE
        line = next((l for l in tree.lines(name)[:4] if "SPDX-License-Identifier:" in l), None)
        if line is None:
            tree.problem(f"{name}:1", f"has no SPDX-License-Identifier: {wanted}")
        elif wanted not in line:
            tree.problem(f"{name}:1", f"its licence here is {wanted}, not: {line.strip()}")
    return f"{count} licence lines"


# -- the checks proved ------------------------------------------------------------------------------

def write(root, files):
    for name, text in files.items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)


def plant(files):
    """A small tree with the given files added or replaced; returns the problems that are found."""
    spdx = "/* SPDX-License-Identifier: Apache-2.0 */\n"
    good = {
        "src/base/b.h": spdx + "#pragma once\nint clew_b(void);\n",
        "src/base/b.c": spdx + '#include "base/b.h"\nint clew_b(void)\n{\n\treturn 1;\n}\n',
        "src/proto/p.h": spdx + '#pragma once\n#include "base/b.h"\nint clew_p(void);\n',
        "src/proto/p.c": spdx + '#include "proto/p.h"\nint clew_p(void)\n{\n\treturn clew_b();\n}\n',
        "src/model/m.h": spdx + "#pragma once\nint clew_m(void);\n",
        "src/model/m.c": spdx + '#include "model/m.h"\nint clew_m(void)\n{\n\treturn 2;\n}\n',
    }
    with tempfile.TemporaryDirectory(prefix="clew-layers-test-") as root:
        write(root, {**good, **{n: t.replace("SPDX", spdx) for n, t in files.items()}})
        for folder in ("base", "proto", "model"):
            out = os.path.join(root, "build/src", folder)
            os.makedirs(out)
            source, letter = os.path.join(root, "src", folder), folder[0]
            subprocess.run(["cc", "-fPIC", "-g", "-w", "-c", "-I", os.path.join(root, "src"), "-o",
                            f"{out}/{letter}.o", f"{source}/{letter}.c"], check=True)
            subprocess.run(["ar", "rcs", f"{out}/lib{folder}.a", f"{out}/{letter}.o"], check=True)
        tree = Tree(root)
        tree.files = [n for n in tree.files if not n.startswith("build/")]
        check_includes(tree)
        check_circles(tree)
        check_links(tree, os.path.join(root, "build"))
        check_headers(tree, None)
        check_licences(tree)
        return tree.problems


def self_test():
    """Returns what went wrong, a line a fault that was not caught."""
    faults = {
        "src/proto/p.c:2: proto may not include \"model/m.h\"":
            {"src/proto/p.c": 'SPDX#include "model/m.h"\nint clew_p(void)\n{\n\treturn 1;\n}\n'},
        "base may not include \"proto/p.h\"":
            {"src/base/b.c": 'SPDX#include "proto/p.h"\nint clew_b(void)\n{\n\treturn 1;\n}\n'},
        "proto may not use <jansson.h>":
            {"src/proto/p.c": 'SPDX#include <jansson.h>\nint clew_p(void)\n{\n\treturn 1;\n}\n'},
        "write the folder too: \"proto/p.h\"":
            {"src/proto/p.c": 'SPDX#include "p.h"\nint clew_p(void)\n{\n\treturn 1;\n}\n'},
        "src/nowhere/ is not in the table":
            {"src/nowhere/n.c": "SPDXint x;\n"},
        "proto uses clew_m()":
            {"src/proto/p.c": "SPDXint clew_m(void);\nint clew_p(void)\n{\n\treturn clew_m();\n}\n"},
        "files include each other in a circle: src/proto/p.c -> src/proto/q.h, src/proto/q.c -> src/proto/p.h":
            {"src/proto/p.c": 'SPDX#include "proto/q.h"\nint clew_p(void)\n{\n\treturn clew_q();\n}\n',
             "src/proto/q.h": "SPDX#pragma once\nint clew_q(void);\n",
             "src/proto/q.c": 'SPDX#include "proto/p.h"\n'},
        "src/model/n.h:1: does not compile alone":
            {"src/model/n.h": "SPDX#pragma once\nint clew_size(size_t n);\n"},
        "src/model/m.h:1: has no #pragma once":
            {"src/model/m.h": "SPDXint clew_m(void);\n"},
        "src/proto/p.h:1: has no SPDX":
            {"src/proto/p.h": '#pragma once\n#include "base/b.h"\nint clew_p(void);\n'},
        "abi/r.h:1: its licence here is GPL-2.0 OR BSD-2-Clause":
            {"abi/r.h": "SPDX#pragma once\n"},
    }
    missed = [f"self-test: a clean tree is refused: {p}" for p in plant({})]
    with ThreadPoolExecutor(2) as pool:
        for (wanted, _), problems in zip(faults.items(), pool.map(plant, faults.values())):
            if not any(wanted in p for p in problems):
                missed.append(f"self-test: planted fault not caught: {wanted} (found: {problems})")
    return len(faults) + 1, missed


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parser.add_argument("--build", help="a finished build directory: check the links too")
    parser.add_argument("--self-test", action="store_true")
    args = parser.parse_args()

    passed = failed = 0
    if args.self_test:
        count, missed = self_test()
        print("\n".join([f"FAIL {p}" for p in missed] + [f"self-test: {count - len(missed)} of {count} trees judged rightly"]))
        passed, failed = passed + count - len(missed), failed + len(missed)
    tree = Tree(args.root)
    checks = [("includes", lambda: check_includes(tree)),
              ("circles", lambda: check_circles(tree)),
              ("headers", lambda: check_headers(tree, args.build)),
              ("licences", lambda: check_licences(tree))]
    if args.build:
        checks.insert(1, ("links", lambda: check_links(tree, os.path.abspath(args.build))))
    for name, check in checks:
        before = len(tree.problems)
        said = check()
        found = tree.problems[before:]
        print("\n".join([f"FAIL {p}" for p in found] + [f"{name}: {said}, {len(found)} wrong"]))
        passed, failed = passed + (not found), failed + bool(found)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
