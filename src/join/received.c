/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What SDKs sent lately, in a ring, with three chained hash tables over it. Nothing is ever removed
 * from a chain: an entry that was overwritten has a number that left the ring, and so have all behind
 * it.
 */
#include "join/internal.h"

#define RING	CLEW_JOIN_MAX_RECEIVED
#define BUCKETS CLEW_JOIN_MAX_RECEIVED
_Static_assert((RING & (RING - 1)) == 0, "a power of two");

int received_init(struct received_table *t)
{
	t->ring = calloc(RING, sizeof(*t->ring));
	t->of_id = calloc(BUCKETS, sizeof(*t->of_id));
	t->of_peer = calloc(BUCKETS, sizeof(*t->of_peer));
	t->of_trace = calloc(BUCKETS, sizeof(*t->of_trace));
	return t->ring && t->of_id && t->of_peer && t->of_trace ? 0 : -ENOMEM;
}

void received_done(struct received_table *t)
{
	for (size_t i = 0; t->ring && i < RING; i++)
		clew_resource_unref(t->ring[i].resource);
	free(t->ring);
	free(t->of_id);
	free(t->of_peer);
	free(t->of_trace);
}

static struct received *at(const struct received_table *t, uint64_t number)
{
	return number && number + RING > t->last ? &t->ring[number & (RING - 1)] : NULL;
}

static size_t id_bucket(const struct clew_id128 *trace, const struct clew_id64 *span)
{
	uint64_t seed = clew_hash64(span->b, sizeof(span->b), 0);

	return clew_hash64(trace->b, sizeof(trace->b), seed) & (BUCKETS - 1);
}

static size_t trace_bucket(const struct clew_id128 *trace)
{
	return clew_hash64(trace->b, sizeof(trace->b), 1) & (BUCKETS - 1);
}

struct received *received_by_id(const struct received_table *t, const struct clew_id128 *trace,
				const struct clew_id64 *span)
{
	struct received *r = at(t, t->of_id[id_bucket(trace, span)]);

	while (r && !(clew_id64_eq(&r->span_id, span) && clew_id128_eq(&r->stored_trace_id, trace)))
		r = at(t, r->next_of_id);
	return r;
}

static struct received *peer_from(const struct received_table *t, uint64_t number, uint64_t peer)
{
	struct received *r = at(t, number);

	while (r && r->peer != peer)
		r = at(t, r->next_of_peer);
	return r;
}

struct received *received_of_peer(const struct received_table *t, uint64_t peer)
{
	return peer ? peer_from(t, t->of_peer[peer & (BUCKETS - 1)], peer) : NULL;
}

struct received *received_before_of_peer(const struct received_table *t, const struct received *r)
{
	return peer_from(t, r->next_of_peer, r->peer);
}

static struct received *trace_from(const struct received_table *t, uint64_t number,
				   const struct clew_id128 *trace)
{
	struct received *r = at(t, number);

	while (r && !clew_id128_eq(&r->stored_trace_id, trace))
		r = at(t, r->next_of_trace);
	return r;
}

struct received *received_of_trace(const struct received_table *t, const struct clew_id128 *trace)
{
	return trace_from(t, t->of_trace[trace_bucket(trace)], trace);
}

struct received *received_before_of_trace(const struct received_table *t, const struct received *r)
{
	return trace_from(t, r->next_of_trace, &r->stored_trace_id);
}

struct received *received_add(struct received_table *t, const struct clew_span *s,
			      const struct clew_id128 *stored_as)
{
	uint64_t number = ++t->last;
	struct received *r = &t->ring[number & (RING - 1)];
	struct said said;
	size_t b;

	clew_resource_unref(r->resource);
	said_of(s, &said);
	*r = (struct received){
		.trace_id = s->trace_id,
		.span_id = s->span_id,
		.parent_id = s->parent_span_id,
		.stored_trace_id = *stored_as,
		.start_ns = s->start_ns,
		.end_ns = s->start_ns + s->duration_ns,
		.said_peer = s->kind == CLEW_KIND_SERVER ? said.peer : 0,
		.path = said.path,
		.resource = clew_resource_ref(s->resource),
		.method = said.method,
		.server_port = said.server_port,
		.kind = (uint8_t)s->kind,
		.shares = said.shares,
	};
	r->peer = peer_key(r->said_peer, r->start_ns);
	b = id_bucket(&r->stored_trace_id, &r->span_id);
	r->next_of_id = t->of_id[b];
	t->of_id[b] = number;
	b = trace_bucket(&r->stored_trace_id);
	r->next_of_trace = t->of_trace[b];
	t->of_trace[b] = number;
	if (!r->peer)
		return r;
	b = r->peer & (BUCKETS - 1);
	r->next_of_peer = t->of_peer[b];
	t->of_peer[b] = number;
	return r;
}
