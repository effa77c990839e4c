/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The rings' protocol, the writer's half. It needs no kernel: it also compiles natively, where
 * tests/unit/capture/test_ring.c runs it against the reader's half (src/capture/ring.c).
 *
 * One pool of chunks; each CPU writes into a chain of them, numbered by seq:
 *
 *	head ─ seq, offset: all before it is claimed     avail ─ chunks given so far: seq < avail
 *	        │                                           │
 *	 seq 7  ▼      seq 8     seq 9                      ▼ seq 10
 *	┌──────────┐  ┌──────┐  ┌──────┐
 *	│rrrrr     │  │ zero │  │ zero │     chunk[seq % CLEW_RING_SLOTS]: which chunk of the pool
 *	└─────────┴┘  └──────┘  └──────┘
 *	          ▲ limit: records begin up to here and may end behind it, so none is ever cut in two
 *
 * claim	moves head by compare-and-swap: an interrupt, or another task on a kernel that
 *		preempts programs, may claim in the middle of it. Where a record cannot begin any more
 *		the next chunk does. No chunk left: nothing is claimed, the caller counts a loss.
 * commit	stores the record's len last. A claimed record has len 0 till then, because chunks are
 *		handed in all zeros: the reader stops there and comes back. Whoever claims must commit.
 *		What was claimed and not used becomes a record of type CLEW_RING_PAD.
 * reader	takes a chunk back when all of it is read and a later place is claimed or its limit
 *		passed, zeroes it and gives it to whoever needs it. A claim looks into its slot of chunk[]
 *		right after its compare-and-swap; an interrupt that came between would have to fill
 *		CLEW_RING_SLOTS - CLEW_RING_AHEAD chunks before that slot is written again.
 * threads	goes up before a thread record is claimed, threads_told when it is committed. The reader wants to see
 *		these at once; where all were there at its last look it need not look at any record.
 */
#pragma once

#ifndef __bpf__
#include <stdbool.h>

#include "abi/record.h"
#include "bpf/clew.h"

#define ring_load(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#else
/* What is loaded later depends on what is loaded first, or a compare-and-swap stands between. */
#define ring_load(p) (*(volatile typeof(*(p)) *)(p))
#endif

/* Compare-and-swaps that may fail in a row; each failure means that someone else's succeeded. */
#define CLEW_RING_TRIES 8

enum clew_ring_try { CLEW_RING_FULL, CLEW_RING_TAKEN, CLEW_RING_AGAIN };

/* One try; AGAIN: someone else's succeeded meanwhile. */
static inline __attribute__((always_inline)) enum clew_ring_try
clew_ring_try(struct clew_ring_cpu *c, __u32 bytes, __u32 limit, __u32 *ret_chunk, __u32 *ret_at)
{
	__u64 old = ring_load(&c->head);
	__u32 seq = old >> 32, at = old;

	if (at > limit) {
		seq++;
		at = 0;
	}
	if ((__s32)(ring_load(&c->avail) - seq) <= 0) {
		c->refused++; /* a hint for the reader, so it need not be exact */
		return CLEW_RING_FULL;
	}
	if (__sync_val_compare_and_swap(&c->head, old, (__u64)seq << 32 | (at + bytes)) != old)
		return CLEW_RING_AGAIN;
	*ret_chunk = ring_load(&c->chunk[seq % CLEW_RING_SLOTS]);
	*ret_at = at;
	return CLEW_RING_TAKEN;
}

/**
 * clew_ring_claim() - bytes (a multiple of 8) of c for a record. limit: as in the drawing.
 * False when there is no room: nothing happened then. Whoever gets true must commit.
 */
static inline __attribute__((always_inline)) bool
clew_ring_claim(struct clew_ring_cpu *c, __u32 bytes, __u32 limit, __u32 *ret_chunk, __u32 *ret_at)
{
	for (int i = 0; i < CLEW_RING_TRIES; i++) {
		enum clew_ring_try r = clew_ring_try(c, bytes, limit, ret_chunk, ret_at);

		if (r != CLEW_RING_AGAIN)
			return r == CLEW_RING_TAKEN;
	}
	c->refused++;
	return false;
}

/* All of the record before its len, for whoever reads on another CPU. */
static inline __attribute__((always_inline)) void ring_store_len(struct clew_rec *rec, __u32 len)
{
#if !defined(__bpf__)
	__atomic_store_n(&rec->len, len, __ATOMIC_RELEASE);
#elif defined(__TARGET_ARCH_x86)
	/* Stores are seen in their order. */
	asm volatile("" ::: "memory");
	*(volatile __u32 *)&rec->len = len;
#else
	__sync_lock_test_and_set(&rec->len, len);
#endif
}
