/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ring.c (looks) and ring_take.c (takes) share; not for other files.
 *
 *	stream of a CPU:   first ─► copy ─► copy ─► chunk ─► chunk ─► open chunk
 *	                     ▲ at    └─ spilled ─┘
 *
 * The one who takes owns first's position; the one who looks owns the open end. Links, the pool and
 * what is spilled are under the lock.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/buf.h"
#include "capture/ring.h"

/* A chunk in use, or a copy of one (its bytes follow it). */
struct segment {
	struct segment *next;
	char *bytes;
	atomic_uint
		used; /* claimed by whole records, committed or not; a chunk that is full: or more */
	atomic_bool closed; /* used will not grow */
	uint32_t end;	    /* no record begins here or behind it */
	int32_t chunk;	    /* of the pool; -1: a copy */
};

struct stream {
	struct segment *first, *last; /* under the lock */
	struct segment *spilled;      /* the last copy, NULL: none; under the lock */
	/* Taking: first's next record, NULL: none. */
	const struct clew_rec *rec;
	struct segment *taken;
	uint64_t time_ns;
	uint32_t at;
	/* Looking. */
	struct segment *open;
	uint32_t seq, offset;	     /* up to where it was followed */
	uint32_t given, refused;     /* our avail; the last value seen */
	uint32_t threads;	     /* so many thread records were shown */
	uint32_t begun_seq, peak;    /* head's seq at the last look; most chunks begun in a look */
	uint32_t target, peak_looks; /* chunks to be ahead; looks since peak was 0 */
};

struct ring {
	struct ring_area area;
	struct stream *streams; /* one a CPU, then ours */
	uint32_t n_streams;
	struct segment *segments; /* one a chunk */
	struct clew_buf own;	  /* added since the last look */
	uint32_t deep, base;	  /* the most and the least that a CPU is ahead */
	_Atomic uint64_t upto_ns, spill_full;

	pthread_mutex_t lock; /* of what follows, and of the links above */
	uint16_t *pool;	      /* a stack: what was used last is still in the cache */
	atomic_uint n_pool;
	size_t spilled;		 /* bytes of copies */
	bool taking;		 /* first of each stream is in use */
	bool bad;		 /* taking: something that is no record */
	atomic_bool want_firsts; /* whoever takes is to copy them */
};

/* The moment of which a record tells: where it stands differs by its type. */
static inline uint64_t rec_time(const struct clew_rec *rec)
{
	uint64_t ns;

	if (rec->type == CLEW_REC_META)
		return 0;
	memcpy(&ns, (const char *)rec + (rec->type == CLEW_REC_IO ? 16 : 8), sizeof(ns));
	return ns;
}

/* Room of the record at that place; 0: it is not committed yet; UINT32_MAX: it is none. */
static inline uint32_t rec_room(const struct ring *r, const struct segment *g, uint32_t at)
{
	const struct clew_rec *rec = (const struct clew_rec *)(g->bytes + at);
	uint32_t len = __atomic_load_n(&rec->len, __ATOMIC_ACQUIRE);

	if (g->chunk < 0 || !len)
		return len;
	return len < sizeof(*rec) || len % 8 || len > r->area.stride - at ? UINT32_MAX : len;
}

/**
 * ring_whole() - is all that is claimed of a segment that is closed committed? Its used is exact then. Under
 * the lock.
 */
bool ring_whole(const struct ring *r, struct segment *g);
/** ring_spill() - copy s's segment behind prev (NULL: its first), which is whole. Under the lock. False: no
 * memory. */
bool ring_spill(struct ring *r, struct stream *s, struct segment *prev);
/** ring_give_back() - a segment that nobody links any more. Not under the lock. */
void ring_give_back(struct ring *r, struct segment *g);
