#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The token-replacement proof: a recording in which no token is what it was, and no two ends agree.

usage: retoken.py RECORDING OUT
       retoken.py --compare SPANS-OF-RECORDING.jsonl SPANS-OF-OUT.jsonl

Every token (32 hex digits) in the payload of an io record becomes a fresh one of the same length: the same old
token gets another value on each connection, so that not even both ends of one hop show the same. A replay of OUT
must then give the same spans, ids, parents and links; only the URLs differ. --compare says so (exit 0) or shows
where it is not so (exit 1): a link that depended on a token cannot survive.

Record layout: abi/record.h; container: src/capture/recording.h.
"""

import json
import re
import secrets
import struct
import sys

REC_IO = 3
IO_FIXED = struct.Struct("<IHHQQQQQQIIIIHBBHH")  # struct clew_rec_io, 80 bytes
TOKEN = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
TEXT_TOKEN = re.compile(r"[0-9a-f]{32}")


def retoken(data):
    """The new bytes and how many tokens were replaced."""
    if data[:8] != b"CLEWREC\n":
        raise SystemExit("retoken.py: not a recording (make one with clew record -o FILE)")
    out = bytearray(data)
    new, count = {}, 0
    at = struct.unpack_from("<I", data, 12)[0]
    while at + 8 <= len(data):
        length, kind, _ = struct.unpack_from("<IHH", data, at)
        if length < 8 or at + length > len(data):
            break  # a tail that ends inside a record is tolerated
        if kind == REC_IO:
            fixed = IO_FIXED.unpack_from(data, at)
            conn, cap_len, hdr_bytes, counters = fixed[5], fixed[12], fixed[13], fixed[15]
            begin = at + hdr_bytes + 8 * counters
            for m in TOKEN.finditer(data, begin, begin + cap_len):
                key = (conn, m.group())
                if key not in new:
                    new[key] = secrets.token_hex(16).encode()
                out[m.start():m.end()] = new[key]
                count += 1
        at += length
    return out, count, len(new)


def shape(path, tokens=False):
    """Spans without what may differ: anything that shows a token (unless tokens must be the same too)."""
    rows = []
    with open(path) as f:
        for line in f:
            s = json.loads(line)
            rows.append((s["span_id"], s["trace_id"], s["parent_span_id"], s["kind"], s["service"], s["start_ns"],
                         s["duration_ns"], s["name"] if tokens else TEXT_TOKEN.sub("T", s["name"]),
                         json.dumps(s.get("links"), sort_keys=True),
                         str(s["attributes"].get("clew.link.evidence")), str(s["attributes"].get("clew.link.class"))))
    return sorted(rows, key=str)


def compare(a, b):
    left, right = shape(a), shape(b)
    differing = [(x, y) for x, y in zip(left, right) if x != y]
    print("%d and %d spans, %d differ in more than their URLs" % (len(left), len(right), len(differing)))
    for x, y in differing[:3]:
        print("  ", x, "\n  ", y)
    return 0 if left == right and left else 1


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "--compare":
        return compare(sys.argv[2], sys.argv[3])
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    with open(sys.argv[1], "rb") as f:
        data = f.read()
    out, count, distinct = retoken(data)
    with open(sys.argv[2], "wb") as f:
        f.write(out)
    print("%d tokens replaced by %d fresh ones" % (count, distinct))
    return 0 if count else 1


if __name__ == "__main__":
    sys.exit(main())
