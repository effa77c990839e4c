/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the kernel has all memory mapped, for bpf/sent.bpf.h: measured with two pages of our own.
 */
#pragma once

struct clew_capture;

/**
 * pages_find() - have walk_pages measure it. Where that fails (no privilege to see frames, another layout)
 * the bytes of sends are read from the programs' memory, which costs more and gives the same.
 */
void pages_find(struct clew_capture *c);
