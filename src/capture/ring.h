/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader's half of the rings (the writer's: bpf/claim.bpf.h). It knows no libbpf.
 *
 *	           ┌ CPU 0: chunk ─ chunk ─ chunk(open) ┐
 *	ring_look ─┤ CPU 1: chunk(open)                 ├─► ring_take: one stream, by time
 *	           └ ours:  meta, clock, process, loss  ┘
 *
 * Two threads may use a ring. One looks, often and soon: it follows each CPU's chain (record by record only where
 * a thread record is among them), gives the CPUs new chunks and, when the pool runs low because the other
 * thread lags, copies what waits longest out of the chunks. The other takes: records are handed out
 * from where the kernel wrote them, merged by their times, and the chunks go back.
 *
 * Limits: the pool; what was copied, RING_SPILL_BYTES. Beyond both the kernel finds no room and
 * counts, per connection and thread (CLEW_LOSS_RING); ring_spill_full() tells the two apart.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/record.h"
#include "bpf/clew.h"

/* What both halves share: memory of the two maps. */
struct ring_area {
	struct clew_ring_cpu *cpus;
	uint32_t n_cpus; /* that there may ever be */
	uint32_t
		n_used; /* of them, the first: get chunks at once, the others when they first ask */
	char *chunks;	/* all zeros */
	size_t stride;
	uint32_t n_chunks; /* at most UINT16_MAX, at least two a CPU that is used */
	uint32_t limit;	   /* the last place where a record may begin */
};

/* The sizes that follow from the options. */
struct ring_sizes {
	uint32_t record; /* the longest record */
	uint32_t limit;
	uint32_t stride;
	uint32_t n_chunks;
};

/* Copied out of the chunks and not taken yet. */
#define RING_SPILL_BYTES (256u << 20)

/** ring_plan() - for at least ring_bytes on so many used CPUs, and payloads of so many bytes. */
void ring_plan(uint64_t ring_bytes, uint32_t cpus, uint32_t payload, struct ring_sizes *ret);

struct ring;

/* A record; a negative errno ends what calls it, which returns it. */
typedef int (*ring_record_fn)(void *user, const struct clew_rec *rec);
/* A thread record as soon as it is seen; it may still be changed, CLEW_RING_PAD takes it out. */
typedef int (*ring_thread_fn)(void *user, struct clew_rec *rec);

/** ring_new() - area stays the caller's, and is used until ring_free(). 0, -EINVAL, -ENOMEM. */
int ring_new(const struct ring_area *area, struct ring **ret);
/** ring_free() - takes NULL. */
void ring_free(struct ring *r);

/**
 * ring_deepen() - give the idle CPUs, and whoever calls, all the room that is fair: before the
 * kernel is made to tell much at once.
 */
void ring_deepen(struct ring *r);
/**
 * ring_look() - follow the kernel up to now; call fn for each thread record. now_ns: the time of
 * the caller's last look at the clock, CLOCK_MONOTONIC; UINT64_MAX: all that is there may be taken.
 * Returns 0, fn's errno, or -EBADMSG: the rings hold something else than records. 1: a thread record may not be
 * committed yet; with UINT64_MAX, when nobody takes, any record.
 */
int ring_look(struct ring *r, uint64_t now_ns, ring_thread_fn fn, void *user);
/** ring_add() - a record of our own, taken with the next look's. 0, -ENOMEM or -EFBIG: dropped. */
int ring_add(struct ring *r, const struct clew_rec *rec);
/**
 * ring_take() - hand out what is older than the last look by the slack, in the order of time; at most max records.
 * What is not committed stops its CPU's stream. The returned number of records, fn's errno, or -EBADMSG.
 */
int ring_take(struct ring *r, int max, ring_record_fn fn, void *user);

/** ring_spill_full() - how many looks found RING_SPILL_BYTES waiting: whoever takes is too slow. */
uint64_t ring_spill_full(const struct ring *r);
