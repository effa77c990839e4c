/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests by the trace header that came in with them: a proxy that sends the same header on tells
 * which of its requests it called for, whatever its threads do.
 *
 * Direct-mapped and bounded: a request whose place another one took is not found, and the call is
 * placed as if there were no such header. So is it where the same header came in twice at a time.
 */
#include <stdlib.h>

#include "pipeline/assembly_internal.h"

#define SLOTS 16384u

struct forwarded {
	uint64_t key; /* 0: free */
	uint64_t id;  /* the request's node */
	uint64_t start_ns, end_ns;
	bool twice;
};

static uint64_t key_of(const struct clew_span_facts *f)
{
	uint64_t h = clew_hash64(f->header_trace.b, sizeof(f->header_trace.b), f->tgid);

	return clew_hash64(f->header_span.b, sizeof(f->header_span.b), h ^ f->proc_start_ns) | 1;
}

static bool overlap(const struct forwarded *e, const struct clew_span_facts *f)
{
	return e->start_ns <= f->start_ns + f->duration_ns && f->start_ns <= e->end_ns;
}

void forwarded_note(struct clew_assembly *a, const struct node *n, const struct clew_span_facts *f)
{
	uint64_t key = key_of(f);
	struct forwarded *e;

	if (!a->forwarded)
		a->forwarded = calloc(SLOTS, sizeof(*a->forwarded));
	if (!a->forwarded)
		return;
	e = &a->forwarded[(key >> 1) & (SLOTS - 1)];
	*e = (struct forwarded){.key = key,
				.id = n->id,
				.start_ns = f->start_ns,
				.end_ns = f->start_ns + f->duration_ns,
				.twice = e->key == key && overlap(e, f)};
}

struct node *forwarded_find(struct clew_assembly *a, const struct clew_span_facts *f)
{
	uint64_t key = key_of(f);
	const struct forwarded *e = a->forwarded ? &a->forwarded[(key >> 1) & (SLOTS - 1)] : NULL;

	if (!e || e->key != key || e->twice || f->start_ns < e->start_ns || f->start_ns > e->end_ns)
		return NULL;
	return id_table_get(&a->by_id, e->id);
}
