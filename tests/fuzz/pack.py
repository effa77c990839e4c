#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pack.py pack FOLDER FILE: many small inputs as one file (each: its length, u32 little endian, its bytes).
pack.py unpack FILE FOLDER: and back, named by their hash."""
import hashlib
import os
import struct
import sys


def pack(folder, path):
    blobs = []
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as f:
            blobs.append(f.read())
    blobs = sorted(set(blobs), key=lambda b: (len(b), b))
    with open(path, "wb") as f:
        for b in blobs:
            f.write(struct.pack("<I", len(b)) + b)
    print(f"{path}: {len(blobs)} inputs, {os.path.getsize(path)} bytes")


def unpack(path, folder):
    os.makedirs(folder, exist_ok=True)
    with open(path, "rb") as f:
        while head := f.read(4):
            blob = f.read(struct.unpack("<I", head)[0])
            with open(os.path.join(folder, hashlib.sha1(blob).hexdigest()), "wb") as out:
                out.write(blob)


if len(sys.argv) != 4 or sys.argv[1] not in ("pack", "unpack"):
    sys.exit(__doc__)
{"pack": pack, "unpack": unpack}[sys.argv[1]](*sys.argv[2:])
