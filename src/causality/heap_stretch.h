/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stretches of a thread's life, and what was made in them. See heap.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define HEAP_MAX_NAMES 12 /* of what stands in a thread's frames: the oldest */

struct clew_causality;
struct clew_pool;
struct node;

/* How a stretch of a thread's work ended. */
enum heap_end {
	HEAP_GOES_ON,
	HEAP_KEPT, /* with the answer, by the thread that had read the request */
	HEAP_TASK, /* at the next call or answer that the same object led to */
	HEAP_LEFT, /* it had read the request, and went on with something else: somebody else answers */
	HEAP_MIXED, /* a worker's: when it went on with something else is not known */
	N_HEAP_ENDS
};

struct heap_stretch {
	struct clew_pool *pool;
	uint32_t refs, depth; /* so many others are above it, at the most; once something hangs from it */
	uint64_t nth;	       /* it is younger than those before it */
	struct node *req;      /* that was read; NULL: a worker's */
	struct heap_names *by; /* a worker's: what it worked on */
	enum heap_end end;
};

/* What stood in the frames of a thread when it called, or answered, and was made in a stretch. */
struct heap_names {
	struct clew_pool *pool;
	uint32_t refs, n, collections;
	uint32_t max_depth; /* of what is found late */
	uint64_t
		nth; /* the youngest stretch when it was looked at: nothing younger made what stood there */
	struct heap_name {
		struct heap_stretch *in; /* NULL: not known yet */
		uint64_t addr;
		uint32_t slot,
			gap;  /* ... behind the next object that is nearer to the stack's end */
		bool open;    /* its request was */
		bool doubted; /* it stood there when others named another request */
		bool left_over; /* ... and other frames had called this one; or it is of before a collection */
		/* When it was looked at last: how many requests of the process were open, and had been answered? */
		uint32_t n_open;
		uint64_t n_answered;
	} name[HEAP_MAX_NAMES];
};

/*
 * heap_stretch_new() - of who has read req, or of who works on by (the other is NULL). NULL where memory is short,
 * or where too many workers gave work to each other.
 */
struct heap_stretch *heap_stretch_new(struct clew_causality *c, struct node *req,
				      struct heap_names *by);
struct heap_stretch *heap_stretch_get(struct heap_stretch *s);
void heap_stretch_put(struct heap_stretch *s);

/* heap_names_add() - one more in *names, which is made if it is NULL. False: no more fit. */
bool heap_names_add(struct clew_causality *c, struct heap_names **names, const struct heap_name *n);
/*
 * heap_names_found() - it is known late in which stretch that name's object was made. Left alone if it leads too far up
 * for what was begun with the names meanwhile.
 */
void heap_names_found(struct heap_names *names, uint32_t which, struct heap_stretch *s);
struct heap_names *heap_names_get(struct heap_names *names);
void heap_names_put(struct heap_names *names);
