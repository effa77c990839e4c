# SPDX-License-Identifier: Apache-2.0
"""The stacks of the programs: kernels before 6.13 refuse what calls more than 512 bytes deep in all, and this one may not."""

import os
import struct

import pytest

from lib.lab import BUILD

LIMIT = 512
ROUND = 32  # a frame counts as a multiple of it; of 16 since Linux 6.9

SYMTAB, REL = 2, 9
FUNC, SECTION = 2, 3
LDX, ST, STX = 1, 2, 3
MOV_X, ADD_K, CALL = 0xBF, 0x07, 0x85
FRAME = 10  # the register that points to the frame's end


class Object:
    """The functions of an object file: how deep each frame is, and whom each calls."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.bytes = f.read()
        at, n = struct.unpack_from("<Q", self.bytes, 0x28)[0], struct.unpack_from("<H", self.bytes, 0x3C)[0]
        self.sections = [struct.unpack_from("<IIQQQQIIQQ", self.bytes, at + 64 * i) for i in range(n)]
        symbols = self.read_symbols()
        self.functions = {(s["section"], s["value"]): s for s in symbols if s["type"] == FUNC and s["section"]}
        self.relocations = self.read_relocations(symbols)
        self.depth, self.calls = {}, {}
        for place in self.functions:
            self.read_function(place)

    def read_symbols(self):
        table = next(s for s in self.sections if s[1] == SYMTAB)
        names = self.sections[table[6]][4]
        ret = []
        for i in range(table[5] // 24):
            name, info, _, section, value, size = struct.unpack_from("<IBBHQQ", self.bytes, table[4] + 24 * i)
            end = self.bytes.index(b"\0", names + name)
            ret.append({"name": self.bytes[names + name:end].decode(), "type": info & 15, "section": section,
                        "value": value, "size": size})
        return ret

    def read_relocations(self, symbols):
        ret = {}
        for s in self.sections:
            for i in range(s[5] // 16 if s[1] == REL else 0):
                offset, info = struct.unpack_from("<QQ", self.bytes, s[4] + 16 * i)
                ret[s[7], offset] = symbols[info >> 32]
        return ret

    def callee(self, section, at, imm):
        """None: it is the kernel's."""
        symbol = self.relocations.get((section, at))
        if not symbol:
            return section, at + 8 + 8 * imm
        if not symbol["section"]:
            return None
        return symbol["section"], 8 * (imm + 1) if symbol["type"] == SECTION else symbol["value"]

    def read_function(self, place):
        section, start = place
        low, frame, calls = 0, {}, set()  # registers that point into the frame, and where
        for at in range(start, start + self.functions[place]["size"], 8):
            op, regs, off, imm = struct.unpack_from("<BBhi", self.bytes, self.sections[section][4] + at)
            dst, src = regs & 15, regs >> 4
            frame[FRAME] = 0
            into = {LDX: src, ST: dst, STX: dst}.get(op & 7)
            if into in frame:
                low = min(low, frame[into] + off)
            if op == MOV_X and src == FRAME:
                frame[dst] = 0
            elif op == ADD_K and dst in frame:
                low = min(low, frame.pop(dst) + imm)
            elif op & 7 in (0, 1, 4, 7):
                frame.pop(dst, None)
            if op == CALL:
                frame = {}
                if src == 1 and self.callee(section, at, imm):
                    calls.add(self.callee(section, at, imm))
        self.depth[place], self.calls[place] = -low, calls

    def deepest(self, place):
        """Bytes, and the way there."""
        below = max((self.deepest(c) for c in self.calls[place]), default=(0, []))
        own = -(-max(self.depth[place], 1) // ROUND) * ROUND
        return own + below[0], ["%s (%d)" % (self.functions[place]["name"], self.depth[place])] + below[1]


@pytest.mark.parametrize("name", ["clew.bpf.o", "clew-min.bpf.o"])
def test_stacks_fit_older_kernels(name):
    programs = Object(os.path.join(BUILD, "bpf", name))
    names = {f["name"] for f in programs.functions.values()}
    assert {"on_send", "on_recv", "io_spliced"} <= names
    bytes_, way = max(programs.deepest(f) for f in programs.functions)
    assert LIMIT / 2 < bytes_ <= LIMIT, " -> ".join(way)
