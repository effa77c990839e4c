#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""embed.py FILE NAME: a C header with the file's text as `static const char NAME[]`, on standard output."""
import sys

path, name = sys.argv[1:]
print("/* Made from %s. */" % path.rsplit("/", 1)[-1])
print("static const char %s[] =" % name)
with open(path, "rb") as f:
    for line in f:
        print('\t"%s"' % "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else "\\%03o" % b for b in line))
print("\t;")
