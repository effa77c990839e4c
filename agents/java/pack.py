#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""pack.py JAVAC SOURCE...: compiles, and prints a C header with the classes' bytes, superclasses first."""
import os
import subprocess
import sys
import tempfile

with tempfile.TemporaryDirectory() as out:
    subprocess.run([sys.argv[1], "--release", "8", "-g:none", "-Xlint:-options", "-d", out] + sys.argv[2:], check=True)
    files = []
    for where, _, names in os.walk(out):
        files += [os.path.join(where, n) for n in names if n.endswith(".class")]
    # Outer classes before nested ones: Wrapped is what those in it extend.
    files.sort(key=lambda f: ("$" in f, f))
    arrays, rows = [], []
    for i, f in enumerate(files):
        with open(f, "rb") as g:
            data = g.read()
        arrays.append("static const unsigned char class_%d[] = {%s};" % (i, ",".join(map(str, data))))
        rows.append('\t{"%s", class_%d, %d},' % (os.path.relpath(f, out)[:-6].replace(os.sep, "/"), i, len(data)))
print("/* Made by pack.py. */")
print("\n".join(arrays))
print("static const struct {\n\tconst char *name;\n\tconst unsigned char *bytes;\n\tint n;\n} agent_classes[] = {")
print("\n".join(rows))
print("};")
