/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for many small objects that one thread makes and frees all the time.
 *
 *	class 0 (64 bytes)    free ─► obj ─► obj      the last one given back is the first one taken,
 *	class 1 (128 bytes)   free ─► obj             so it is still in the cache
 *	...
 *	slabs ─► slab ─► slab                         cut into objects from one end
 *
 * A pool keeps what it has: it is as large as its objects were at their most, which the tables that
 * they are in limit. Objects larger than CLEW_POOL_MAX come from malloc(). Under ASan all do, so that
 * it sees what happens to them. Not for several threads.
 */
#pragma once

#include <stddef.h>

#define CLEW_POOL_ALIGN	  64u
#define CLEW_POOL_MAX	  2048u
#define CLEW_POOL_CLASSES (CLEW_POOL_MAX / CLEW_POOL_ALIGN)

struct clew_pool_slab;

/* All zeros: empty. */
struct clew_pool {
	void *free[CLEW_POOL_CLASSES];
	struct clew_pool_slab *slabs;
	char *at; /* of the newest slab */
	size_t left;
};

/** clew_pool_take() - n bytes, aligned to a cache line, not cleared; NULL: no memory. */
void *clew_pool_take(struct clew_pool *p, size_t n);
/** clew_pool_take0() - the same, cleared. */
void *clew_pool_take0(struct clew_pool *p, size_t n);
/** clew_pool_give() - back to the pool; n as it was taken. Takes NULL. */
void clew_pool_give(struct clew_pool *p, void *obj, size_t n);
/** clew_pool_room() - the bytes that an object of n bytes really has. */
size_t clew_pool_room(size_t n);
/** clew_pool_done() - frees the slabs, and so all objects that are not larger than CLEW_POOL_MAX. */
void clew_pool_done(struct clew_pool *p);
