/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests by the trace header that came in with them: a proxy that sends the same header on tells
 * which of its requests it called for, whatever its threads do. Known from when a request's head was read: a
 * call of a queue is decided while its request waits for the answer.
 *
 * Bounded: of WAYS requests in a place the one that ended first goes when another comes. A request that
 * is not found any more leaves its call placed as if there were no such header. So is it where the same
 * header came in twice at a time.
 */
#include <stdlib.h>

#include "pipeline/assembly_internal.h"

/* A call may be decided 2 s after its request: some 60,000 of these a second find room. */
#define PLACES 16384u
#define WAYS   8u

struct forwarded {
	uint64_t key;		   /* 0: free */
	uint64_t id;		   /* the request's node */
	uint64_t start_ns, end_ns; /* end: UINT64_MAX while it is open */
	bool twice;
};

static uint64_t key_of(const struct clew_span_facts *f)
{
	uint64_t h = clew_hash64(f->header_trace.b, sizeof(f->header_trace.b), f->tgid);

	return clew_hash64(f->header_span.b, sizeof(f->header_span.b), h ^ f->proc_start_ns) | 1;
}

static struct forwarded *place_of(struct clew_assembly *a, uint64_t key)
{
	return a->forwarded + ((key >> 1) & (PLACES - 1)) * WAYS;
}

static struct forwarded *find(struct forwarded *place, uint64_t key)
{
	for (unsigned i = 0; i < WAYS; i++)
		if (place[i].key == key)
			return &place[i];
	return NULL;
}

static struct forwarded *oldest(struct forwarded *place)
{
	struct forwarded *e = place;

	for (unsigned i = 1; i < WAYS; i++)
		if (place[i].end_ns < e->end_ns)
			e = &place[i];
	return e;
}

void forwarded_note(struct clew_assembly *a, const struct node *n, const struct clew_span_facts *f,
		    bool open)
{
	uint64_t key = key_of(f), end_ns = open ? UINT64_MAX : f->start_ns + f->duration_ns;
	struct forwarded *place, *e;
	bool twice;

	if (!a->forwarded)
		a->forwarded = calloc((size_t)PLACES * WAYS, sizeof(*a->forwarded));
	if (!a->forwarded)
		return;
	place = place_of(a, key);
	e = find(place, key);
	twice = e &&
		(e->id == n->id ? e->twice : e->start_ns <= end_ns && f->start_ns <= e->end_ns);
	if (!e)
		e = oldest(place);
	*e = (struct forwarded){
		.key = key, .id = n->id, .start_ns = f->start_ns, .end_ns = end_ns, .twice = twice};
}

struct node *forwarded_find(struct clew_assembly *a, const struct clew_span_facts *f)
{
	uint64_t key = key_of(f);
	const struct forwarded *e = a->forwarded ? find(place_of(a, key), key) : NULL;

	if (!e || e->twice || f->start_ns < e->start_ns || f->start_ns > e->end_ns)
		return NULL;
	return id_table_get(&a->by_id, e->id);
}
