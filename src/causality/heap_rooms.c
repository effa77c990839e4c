/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room that was filled in stretches: pieces that do not overlap, by address.
 *
 *	address ─►  │ S read A │ S read B │      │ W works on T │
 *	            from       to
 *
 * A collection ends them all. What it moved is told a moment later, and looked up in those of before; each object that
 * was made for a request which is open is a piece of its own from then on.
 *
 * A collection does not look at words that a frame needs no more: these go on naming the place where an object was,
 * and soon another thread makes something there. So what stands where something was moved away from may be of before.
 *
 * Limits: MAX_PIECES a process, and as many of before the collection; those of requests that are over go first, then
 * all. MAX_MOVED objects, the rest is not known any more; then all that stands somewhere may be of before.
 */
#include <stdlib.h>

#include "causality/context.h"
#include "causality/engine.h"
#include "causality/heap_rooms.h"
#include "causality/heap_stretch.h"
#include "causality/node.h"

#define MAX_PIECES 4096
#define MAX_MOVED  65536

/* [from, to) */
struct piece {
	uint64_t from, to;
	struct heap_stretch *of;
};

struct pieces {
	uint32_t n;
	struct piece piece[MAX_PIECES];
};

/* Objects that the last collection moved, by address; the last n_new of them are not sorted in yet. */
struct moves {
	struct moved {
		uint64_t at;
		struct heap_stretch *of;
	} *moved;
	uint32_t n, n_new, max;
	bool full; /* not all that were moved are in it */
};

struct heap_rooms {
	uint32_t collections;
	uint64_t collected_ns;	     /* when the last one was seen */
	struct pieces *now, *before; /* before the last collection; one allocation each */
	struct moves moved, left;    /* by the place where it is now; by the one where it was */
};

static void clear(struct pieces *p)
{
	while (p->n)
		heap_stretch_put(p->piece[--p->n].of);
}

static void clear_moves(struct moves *m)
{
	while (m->n)
		heap_stretch_put(m->moved[--m->n].of);
	m->n_new = 0;
	m->full = false;
}

void heap_forget_proc(struct proc *p)
{
	struct heap_rooms *r = p->heap;

	p->heap = NULL;
	if (!r)
		return;
	clear(r->now);
	clear(r->before);
	clear_moves(&r->moved);
	clear_moves(&r->left);
	free(r->now);
	free(r->before);
	free(r->moved.moved);
	free(r->left.moved);
	free(r);
}

/* The last piece that begins at or before addr; NULL: none. */
static struct piece *piece_before(struct pieces *r, uint64_t addr)
{
	uint32_t low = 0, high = r->n;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (r->piece[mid].from <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low ? &r->piece[low - 1] : NULL;
}

/* Those of requests that are over; if these are few, all. */
static void make_room(struct pieces *r)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < r->n; i++) {
		const struct node *req = r->piece[i].of->req;

		if (!req || req->ended)
			heap_stretch_put(r->piece[i].of);
		else
			r->piece[n++] = r->piece[i];
	}
	r->n = n;
	if (n > MAX_PIECES / 4 * 3)
		clear(r);
}

void heap_rooms_add(struct clew_causality *c, struct heap_rooms *rooms, uint64_t from, uint64_t to,
		    struct heap_stretch *of)
{
	struct pieces *r = rooms->now;
	struct piece *p;
	uint32_t at;

	if (!from || from >= to)
		return;
	if (r->n == MAX_PIECES) {
		c->stats.forced++;
		make_room(r);
	}
	p = piece_before(r, from);
	if (p && p->from == from) { /* nothing was made in it */
		heap_stretch_get(of);
		heap_stretch_put(p->of);
		*p = (struct piece){from, to, of};
		return;
	}
	at = p ? (uint32_t)(p - r->piece) + 1 : 0;
	if (p && p->to > from)
		p->to = from; /* never, unless records were lost */
	memmove(&r->piece[at + 1], &r->piece[at], (r->n - at) * sizeof(*r->piece));
	r->piece[at] = (struct piece){from, to, heap_stretch_get(of)};
	r->n++;
}

void heap_rooms_end(struct heap_rooms *r, uint64_t from, uint64_t to, const struct heap_stretch *of)
{
	struct piece *p = piece_before(r->now, from);

	if (p && p->from == from && p->of == of)
		p->to = to;
}

/* ---- what was moved ---- */

static int by_address(const void *a, const void *b)
{
	const struct moved *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

static const struct moved *moved_at(struct moves *all, uint64_t addr)
{
	const struct moved key = {.at = addr};

	if (all->n_new)
		qsort(all->moved, all->n, sizeof(*all->moved), by_address);
	all->n_new = 0;
	return all->n ? bsearch(&key, all->moved, all->n, sizeof(key), by_address) : NULL;
}

static bool moves_room(struct moves *all)
{
	uint32_t max = all->max ? 2 * all->max : 1024;
	struct moved *more;

	if (all->n < all->max)
		return true;
	more = max <= MAX_MOVED ? realloc(all->moved, max * sizeof(*more)) : NULL;
	if (!more)
		return false;
	all->moved = more;
	all->max = max;
	return true;
}

static void add_move(struct clew_causality *c, struct moves *all, uint64_t at,
		     struct heap_stretch *of)
{
	if (!moves_room(all)) {
		c->stats.forced += !all->full;
		all->full = true;
		return;
	}
	all->moved[all->n++] = (struct moved){at, heap_stretch_get(of)};
	all->n_new++;
}

static bool was_over(const struct node *req, uint64_t ns)
{
	return req && req->ended && req->ended_ns < ns;
}

void heap_rooms_moved(struct clew_causality *c, struct heap_rooms *r, uint64_t from, uint64_t to)
{
	const struct piece *p = piece_before(r->before, from);

	add_move(c, &r->left, from, NULL);
	if (p && from < p->to && !was_over(p->of->req, r->collected_ns))
		add_move(c, &r->moved, to, p->of);
}

bool heap_rooms_left(struct heap_rooms *r, uint64_t addr)
{
	return r->left.full || moved_at(&r->left, addr);
}

struct heap_stretch *heap_rooms_at(struct heap_rooms *r, uint64_t addr)
{
	const struct piece *p = r ? piece_before(r->now, addr) : NULL;
	const struct moved *m;

	if (p && addr < p->to)
		return p->of;
	m = r ? moved_at(&r->moved, addr) : NULL;
	return m ? m->of : NULL;
}

uint32_t heap_rooms_collections(const struct heap_rooms *r)
{
	return r->collections;
}

/* A collection, or several: what is known of the room before the last one is of use only if that was the only one. */
static void collected(struct heap_rooms *r, uint32_t collections, uint64_t now_ns)
{
	struct pieces *old = r->before;

	clear(old);
	clear_moves(&r->moved);
	clear_moves(&r->left);
	if (collections == r->collections + 1) {
		r->before = r->now;
		r->now = old;
	} else {
		clear(r->now);
	}
	r->collections = collections;
	r->collected_ns = now_ns;
}

static struct heap_rooms *rooms_new(uint32_t collections)
{
	struct heap_rooms *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->collections = collections;
	r->now = calloc(1, sizeof(*r->now));
	r->before = calloc(1, sizeof(*r->before));
	if (r->now && r->before)
		return r;
	free(r->now);
	free(r->before);
	free(r);
	return NULL;
}

struct heap_rooms *heap_rooms_of(struct clew_causality *c, struct proc *p, uint32_t collections)
{
	struct heap_rooms *r = p->heap;

	if (p->gone)
		return NULL;
	if (!r)
		r = p->heap = rooms_new(collections);
	if (r && (int32_t)(collections - r->collections) > 0)
		collected(r, collections, c->now_ns);
	return r && r->collections == collections ? r : NULL;
}
