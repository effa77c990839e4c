/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which span of the kernel and which received one tell of the same end of the same exchange. Each
 * received span is taken once; where two could be meant, none is.
 */
#include "join/internal.h"

/* SDKs' clocks: milliseconds in some, and a time that was taken a moment before or after. */
#define SLACK_NS (2ull * 1000 * 1000)
/* Steps up from a received span to the one of its server; spans looked at of one connection. */
#define MAX_CLIMB 64u
#define MAX_CHAIN 8192u
/* In traces with more spans than this nobody looks for the exchanges of one span. */
#define MAX_HELD_BY 2048u

/* ---- the tree ---- */

struct by_id {
	uint32_t *slots; /* index + 1 */
	size_t mask;
};

static size_t slot_of(const struct by_id *b, const struct trace *t, const struct clew_id64 *id)
{
	size_t i = clew_hash64(id->b, sizeof(id->b), 0) & b->mask;

	while (b->slots[i] && !clew_id64_eq(&t->v[b->slots[i] - 1].id, id))
		i = (i + 1) & b->mask;
	return i;
}

/* The parents' places. A parent may come later than its child: a request that is still open. */
static void find_parents(struct trace *t)
{
	struct by_id b = {.mask = 15};

	while (b.mask + 1 < (size_t)t->n * 2)
		b.mask = b.mask * 2 + 1;
	b.slots = calloc(b.mask + 1, sizeof(*b.slots));
	for (uint32_t i = 0; b.slots && i < t->n; i++)
		b.slots[slot_of(&b, t, &t->v[i].id)] = i + 1;
	for (uint32_t i = 0; b.slots && i < t->n; i++) {
		struct seen *k = &t->v[i];

		if (k->parent < 0 && !clew_id64_none(&k->parent_id))
			k->parent = (int32_t)b.slots[slot_of(&b, t, &k->parent_id)] - 1;
		if (k->parent == (int32_t)i)
			k->parent = -1;
	}
	free(b.slots);
}

static struct seen *parent_of(const struct trace *t, const struct seen *k)
{
	return k->parent < 0 ? NULL : &t->v[k->parent];
}

static bool is_matched(const struct seen *k)
{
	return !clew_id64_none(&k->as_span);
}

static void take(struct seen *k, struct received *r)
{
	k->as_trace = r->trace_id;
	k->as_span = r->span_id;
	r->used = true;
}

static void nest(struct seen *k, const struct received *r)
{
	k->as_trace = r->trace_id;
	k->as_span = r->span_id;
	k->nested = true;
}

static bool differ(uint64_t a, uint64_t b)
{
	return a && b && a != b;
}

/* ---- clients that carry a header ---- */

/* The header came in with the request that the call was made for: whoever calls passes it on. */
static bool is_forwarded(const struct trace *t, const struct seen *k)
{
	const struct seen *p = parent_of(t, k);

	return p && clew_id64_eq(&p->header_span, &k->header_span) &&
	       clew_id128_eq(&p->header_trace, &k->header_trace);
}

/* Another program than the one whose SDK made the span: a proxy whose incoming request we lack. */
static bool is_of_other_process(struct clew_join *j, const struct seen *k, const struct received *r)
{
	const struct process *p = process_of(j, k->span);

	return p && r->resource && p->resource->id != r->resource->id;
}

static void match_header(struct clew_join *j, struct trace *t, struct seen *k)
{
	struct received *r;
	struct said said;

	if (clew_id64_none(&k->header_span) || is_forwarded(t, k))
		return;
	r = received_by_id(&j->received, &k->header_trace, &k->header_span);
	if (!r)
		j->futile++;
	if (!r || r->kind == CLEW_KIND_SERVER || is_of_other_process(j, k, r))
		return;
	said_of(k->span, &said);
	if (differ(said.server_port, r->server_port) || k->start_ns + SLACK_NS < r->start_ns ||
	    k->start_ns > r->end_ns + SLACK_NS)
		return;
	if (r->used)
		nest(k, r); /* tried again, sent on: one span of the SDK, several exchanges */
	else
		take(k, r);
}

/* ---- servers, by connection ---- */

/* How far apart they are; the same moment at both ends is 0. */
static uint64_t distance(const struct seen *k, const struct received *r)
{
	uint64_t a =
		k->start_ns > r->start_ns ? k->start_ns - r->start_ns : r->start_ns - k->start_ns;
	uint64_t b = k->end_ns > r->end_ns ? k->end_ns - r->end_ns : r->end_ns - k->end_ns;

	return a + b;
}

static bool overlaps(const struct seen *k, const struct received *r)
{
	return r->start_ns <= k->end_ns + SLACK_NS && k->start_ns <= r->end_ns + SLACK_NS;
}

/*
 * A port that differs says little: SDKs take it from the Host header, which a proxy sets as it likes.
 * Then it must be the process whose SDK it is, as far as that is known: the same address and port may
 * be connected to several servers.
 */
static bool is_same_request(struct clew_join *j, const struct said *said, const struct seen *k,
			    const struct received *r)
{
	return r->kind == CLEW_KIND_SERVER && !r->used && overlaps(k, r) &&
	       !differ(said->method, r->method) && !differ(said->path, r->path) &&
	       (said->server_port == r->server_port || !is_of_other_process(j, k, r));
}

/* On one connection requests follow each other: the nearest, unless another is nearly as near. */
static void match_connection(struct clew_join *j, struct seen *k)
{
	struct received *best = NULL, *r;
	uint64_t best_far = UINT64_MAX, next_far = UINT64_MAX;
	struct said said;
	uint32_t n = 0;

	said_of(k->span, &said);
	for (r = received_of_peer(&j->received, said.peer); r && n < MAX_CHAIN; n++) {
		if (is_same_request(j, &said, k, r)) {
			uint64_t far = distance(k, r);

			if (far < best_far) {
				next_far = best_far;
				best_far = far;
				best = r;
			} else if (far < next_far) {
				next_far = far;
			}
		}
		r = received_before_of_peer(&j->received, r);
	}
	if (best && (next_far == UINT64_MAX || next_far > 2 * best_far))
		take(k, best);
}

/* ---- servers, by what they called ---- */

static struct received *server_above(struct clew_join *j, const struct seen *call)
{
	struct received *r = received_by_id(&j->received, &call->as_trace, &call->as_span);

	for (uint32_t i = 0; r && r->kind != CLEW_KIND_SERVER && i < MAX_CLIMB; i++)
		r = received_by_id(&j->received, &r->trace_id, &r->parent_id);
	return r && r->kind == CLEW_KIND_SERVER ? r : NULL;
}

/* The request that a call was made for, by the kernel and by the SDK: if both are of the same time. */
static void match_above(struct clew_join *j, struct trace *t, const struct seen *call)
{
	struct seen *k = parent_of(t, call);
	struct received *r;
	struct said said;

	if (!is_matched(call) || !k || !k->span || is_matched(k) || k->kind != CLEW_KIND_SERVER)
		return;
	r = server_above(j, call);
	said_of(k->span, &said);
	if (r && is_same_request(j, &said, k, r) && r->start_ns + SLACK_NS >= k->start_ns)
		take(k, r);
}

/* ---- clients without a header: databases, and SDKs that send none ---- */

static bool holds(const struct received *r, const struct seen *k, uint16_t port)
{
	return (r->kind == CLEW_KIND_CLIENT || r->kind == CLEW_KIND_PRODUCER) &&
	       r->server_port == port && r->start_ns <= k->start_ns + SLACK_NS &&
	       k->end_ns <= r->end_ns + SLACK_NS;
}

/* The one span of the request's trace, to that port, around this exchange; NULL if there are more. */
static struct received *only_holder(struct clew_join *j, const struct seen *request,
				    const struct seen *k)
{
	struct received *r, *found = NULL;
	struct said said;
	uint32_t n = 0;

	said_of(k->span, &said);
	if (!said.server_port)
		return NULL;
	for (r = received_of_trace(&j->received, &request->as_trace); r && n < MAX_CHAIN; n++) {
		if (holds(r, k, said.server_port)) {
			if (found)
				return NULL;
			found = r;
		}
		r = received_before_of_trace(&j->received, r);
	}
	return found;
}

/* Is this another call of the same request that r holds? */
static bool is_held_too(struct clew_join *j, const struct seen *request, const struct seen *k,
			const struct received *r)
{
	if (k->kind != CLEW_KIND_CLIENT)
		return false;
	if (is_matched(k))
		return k->nested && clew_id64_eq(&k->as_span, &r->span_id);
	return k->span && only_holder(j, request, k) == r;
}

/* One exchange that a span holds is that span, several are its children. */
static void match_holder(struct clew_join *j, struct trace *t, uint32_t at)
{
	struct seen *k = &t->v[at];
	const struct seen *request = parent_of(t, k);
	struct received *r;
	bool others = false;

	if (!request || !is_matched(request) || request->nested)
		return;
	r = only_holder(j, request, k);
	if (!r)
		return;
	for (uint32_t i = 0; !others && i < t->n; i++)
		others = i != at && t->v[i].parent == k->parent &&
			 is_held_too(j, request, &t->v[i], r);
	if (others || r->used)
		nest(k, r);
	else
		take(k, r);
}

/* ---- a trace ---- */

/* Spans went on that hang from one which came later: it stays, below the received span. */
static void keep_parents(struct trace *t)
{
	for (uint32_t i = 0; i < t->n; i++) {
		struct seen *p = parent_of(t, &t->v[i]);

		if (!t->v[i].span && p && p->span && is_matched(p))
			p->nested = true;
	}
}

void trace_match(struct clew_join *j, struct trace *t)
{
	find_parents(t);
	for (uint32_t i = 0; i < t->n; i++) {
		struct seen *k = &t->v[i];

		if (!k->span)
			continue;
		if (k->kind == CLEW_KIND_SERVER)
			match_connection(j, k);
		else if (k->kind == CLEW_KIND_CLIENT)
			match_header(j, t, k);
	}
	for (uint32_t i = 0; i < t->n; i++)
		if (t->v[i].kind == CLEW_KIND_CLIENT)
			match_above(j, t, &t->v[i]);
	for (uint32_t i = 0; t->n <= MAX_HELD_BY && i < t->n; i++)
		if (t->v[i].span && t->v[i].kind == CLEW_KIND_CLIENT && !is_matched(&t->v[i]) &&
		    clew_id64_none(&t->v[i].header_span))
			match_holder(j, t, i);
	keep_parents(t);
}
