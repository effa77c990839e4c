# SPDX-License-Identifier: Apache-2.0
"""A damaged block inside of an hour: what can be read is answered, and what cannot is said everywhere."""
import os
import time

from otlp import batch, send

HOUR_NS = 3600 * 10**9
SEALED, NEW = 7000, 5  # of the first so many that closing seals them


def damage_values(s, hour):
    """Overwrites a block of the values of an hour's attributes; returns the file."""
    blocks = s.sql("SELECT block_id FROM pragma_storage_info('h%d.span') WHERE persistent AND block_id >= 0"
                   " AND column_name = 'attr_values' AND segment_type = 'VARCHAR'" % hour)
    assert blocks
    assert s.stop() == 0
    path = os.path.join(s.db, time.strftime("spans-%Y%m%dT%H.duckdb", time.gmtime(hour * 3600)))
    with open(path, "r+b") as f:
        f.seek(12288 + int(blocks[0][0]) * 65536 + 64)  # behind the file's heads; a block begins with its checksum
        f.write(b"\xa5" * 64)
    return path


def ask_all(s):
    a = s.ask("/api/clew/v1/spans")
    assert a.status == 200, a.text
    return a


def test_a_damaged_block_is_told_and_the_rest_is_answered(serve, lab):
    old = time.time_ns() - 3 * HOUR_NS
    s = serve()
    assert send(s, batch(SEALED, start=old, attrs={"shop.item": "x" * 20})).status == 200
    assert send(s, batch(NEW)).status == 200
    assert s.stop() == 0
    s = serve(db=s.db)
    hour = old // HOUR_NS
    path = damage_values(s, hour)
    s = serve(db=s.db)
    a = s.ask("/api/clew/v1/spans?since=-30m")
    assert a.status == 200 and "clew-left-out" not in a.headers
    a = ask_all(s)
    assert len(a.text.splitlines()) == NEW
    assert a.headers["clew-left-out"] == time.strftime("%Y-%m-%dT%HZ", time.gmtime(hour * 3600))
    # What does not need the block is answered in full.
    a = s.ask("/api/clew/v1/overview?since=-6h")
    assert a.status == 200 and "clew-left-out" not in a.headers
    assert a.json["services"][0]["requests"] == SEALED + NEW
    assert s.stats()["damaged_hours"] == 1 and s.stats()["left_out"] >= 1
    assert "clew_store_damaged_hours 1\n" in s.ask("/metrics").text
    assert s.proc.err().count("a block cannot be read") == 1 and path in s.proc.err()
    # A user's statement, and a command, over the socket.
    rows = s.sql("SELECT count(*) FROM spans WHERE attributes['shop.item'] IS NOT NULL OR name <> ''")
    assert rows == [[NEW]]
    told = lab.clew("spans", "-d", s.db, "--limit", "0")
    assert "left out" in told.stderr and len(told.stdout.splitlines()) >= NEW
    # Its hour still takes spans.
    assert send(s, batch(3, start=old)).status == 200
    assert len(ask_all(s).text.splitlines()) == NEW + 3
    assert s.stop() == 0
