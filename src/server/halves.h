/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Halves of calls that wait for the other one, found by their key, oldest first.
 *
 *	slots  key ─► place, open addressing          places  a list in the order in which they came;
 *	                                                      free ones: the one that was left last comes first
 *
 * Two lookups of memory a span: with a table of allocated nodes it was a tenth of what a received span cost.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct service;

struct half {
	uint64_t key; /* a hash; its lowest bit is set */
	const struct service *service, *peer;
	uint64_t duration_ns, due_ns;
	bool server, failed;
	uint8_t type;
	uint32_t before, after; /* in the list, + 1; 0: none */
};

struct half_slot {
	uint64_t key; /* 0: free */
	uint32_t place;
};

struct halves {
	struct half *places;
	struct half_slot *slots;
	uint32_t max, mask;		     /* of places; of slots */
	uint32_t n, used, first, last, free; /* places, + 1 */
};

/** halves_init() - for max halves, a power of two. 0 or -ENOMEM. */
int halves_init(struct halves *t, uint32_t max);
void halves_done(struct halves *t);
/** halves_find() - the one with a key; NULL: none. */
struct half *halves_find(const struct halves *t, uint64_t key);
/** halves_add() - behind all others; there is room (n < max) and none with its key. Copies. */
void halves_add(struct halves *t, const struct half *h);
/** halves_remove() - h is the table's; it may be read until the next one is added. */
void halves_remove(struct halves *t, struct half *h);
/** halves_oldest() - NULL: there is none. */
static inline struct half *halves_oldest(const struct halves *t)
{
	return t->first ? &t->places[t->first - 1] : 0;
}
