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

/*
 * Bytes of a connection that has several exchanges at once, which are not taken apart: which of them an
 * exchange of the kernel's is about nobody knows, often it is several.
 */
static bool is_unparsed(const struct seen *k, const struct received *r)
{
	return r->shares && !k->said.method;
}

/* ---- clients that carry a header ---- */

/* The header came in with the request that the call was made for: whoever calls passes it on. */
static bool is_forwarded(const struct trace *t, const struct seen *k)
{
	const struct seen *p = parent_of(t, k);

	return p && clew_id64_eq(&p->header_span, &k->header_span);
}

/* Another program than the one whose SDK made the span: a proxy whose incoming request we lack. */
static bool is_of_other_process(struct clew_join *j, const struct seen *k, const struct received *r)
{
	const struct process *p = process_of(j, &k->facts);

	return p && r->resource && p->resource->id != r->resource->id;
}

static void match_header(struct clew_join *j, struct trace *t, struct seen *k)
{
	struct received *r;

	if (clew_id64_none(&k->header_span) || is_forwarded(t, k))
		return;
	r = received_find(j, &k->header_trace, &k->header_span);
	j->futile += !r && k->span;
	if (!r || r->kind == CLEW_KIND_SERVER || is_of_other_process(j, k, r))
		return;
	if (differ(k->said.server_port, r->server_port) || k->start_ns + SLACK_NS < r->start_ns ||
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
static bool is_same_request(struct clew_join *j, const struct seen *k, const struct received *r)
{
	return r->kind == CLEW_KIND_SERVER && !r->used && !is_unparsed(k, r) &&
	       !differ(k->said.method, r->method) && !differ(k->said.path, r->path) &&
	       (k->said.server_port == r->server_port || !is_of_other_process(j, k, r));
}

/* The nearest of a connection, and how far the next are: [1] of those that began when this was over. */
struct nearest {
	struct received *best;
	uint64_t far, next_far[2];
};

/* Overlapping, so by no more than clocks may be wrong. */
static bool began_later(const struct seen *k, const struct received *r)
{
	return r->start_ns > k->end_ns;
}

/* However wrong clocks may be: a program that had no processor when it had read the request. */
static bool began_inside(const struct seen *k, const struct received *r)
{
	return r->start_ns >= k->start_ns + SLACK_NS && r->start_ns + SLACK_NS <= k->end_ns;
}

static void look_nearest(struct clew_join *j, const struct seen *k, uint64_t key,
			 struct nearest *ret)
{
	struct received *r = received_of_peer(&j->received, key);

	for (uint32_t n = 0; r && n < MAX_CHAIN; n++) {
		bool at_once = overlaps(k, r);
		uint64_t far = at_once && is_same_request(j, k, r) ? distance(k, r) : UINT64_MAX;

		/* Whose connection it is it tells all the same. */
		if (at_once && is_unparsed(k, r))
			learn_process(j, &k->facts, r->resource);
		if (far < ret->far) {
			if (ret->best)
				ret->next_far[began_later(k, ret->best)] = ret->far;
			ret->far = far;
			ret->best = r;
		} else if (far < ret->next_far[began_later(k, r)]) {
			ret->next_far[began_later(k, r)] = far;
		}
		r = received_before_of_peer(&j->received, r);
	}
}

/*
 * On one connection requests follow each other: the nearest, unless another is nearly as near. One that began later
 * is no rival of one that certainly began meanwhile.
 */
static void match_connection(struct clew_join *j, struct seen *k)
{
	struct nearest near = {NULL, UINT64_MAX, {UINT64_MAX, UINT64_MAX}};
	uint64_t from = (k->start_ns - PEER_EARLY_NS) / PEER_STEP_NS;
	uint64_t to = (k->end_ns + SLACK_NS) / PEER_STEP_NS, next;

	for (uint64_t i = from; k->said.peer && i <= to && i <= from + PEER_STEPS; i++)
		look_nearest(j, k, peer_key(k->said.peer, i * PEER_STEP_NS), &near);
	if (!near.best)
		return;
	next = near.next_far[0];
	if (!began_inside(k, near.best) && near.next_far[1] < next)
		next = near.next_far[1];
	if (next == UINT64_MAX || next > 2 * near.far)
		take(k, near.best);
}

/* ---- servers, by what they called ---- */

static struct received *server_above(struct clew_join *j, const struct seen *call)
{
	struct received *r = received_find(j, &call->as_trace, &call->as_span);

	for (uint32_t i = 0; r && r->kind != CLEW_KIND_SERVER && i < MAX_CLIMB; i++)
		r = received_find(j, &r->trace_id, &r->parent_id);
	return r && r->kind == CLEW_KIND_SERVER ? r : NULL;
}

/* The end of a request that clew did not see to its end is later than what it saw. */
static bool may_overlap(const struct seen *k, const struct received *r)
{
	return k->open ? k->end_ns <= r->end_ns + SLACK_NS : overlaps(k, r);
}

/* The request that a call was made for, by the kernel and by the SDK: if both are of the same time. */
static void match_above(struct clew_join *j, struct trace *t, const struct seen *call)
{
	struct seen *k = parent_of(t, call);
	struct received *r;

	if (!is_matched(call) || !k || is_matched(k) || k->kind != CLEW_KIND_SERVER)
		return;
	r = server_above(j, call);
	if (r && may_overlap(k, r) && is_same_request(j, k, r) &&
	    r->start_ns + SLACK_NS >= k->start_ns)
		take(k, r);
}

/* ---- clients without a header: databases, and SDKs that send none ---- */

/* Clients of gRPC name no port. */
static bool holds(const struct received *r, const struct seen *k, uint16_t port)
{
	return (r->kind == CLEW_KIND_CLIENT || r->kind == CLEW_KIND_PRODUCER) &&
	       (r->server_port == port || (is_unparsed(k, r) && !r->server_port)) &&
	       r->start_ns <= k->start_ns + SLACK_NS && k->end_ns <= r->end_ns + SLACK_NS;
}

/* Of the process whose SDK told the request: the trace goes on in others. */
static bool is_of_process(struct clew_join *j, const struct received *request, const struct seen *k,
			  const struct received *r)
{
	if (!request || !request->resource || !r->resource)
		return !is_of_other_process(j, k, r);
	return request->resource->id == r->resource->id;
}

/*
 * The one span of the request's trace, to that port, around this exchange; NULL if there are more. Spans of the
 * trace are under all ids that it had.
 */
static struct received *only_holder(struct clew_join *j, const struct seen *request,
				    const struct seen *k)
{
	const struct received *own = received_find(j, &request->as_trace, &request->as_span);
	struct clew_id128 id = request->as_trace;
	struct received *r, *found = NULL;
	uint32_t n = 0, moves = 0;

	if (!k->said.server_port)
		return NULL;
	do {
		for (r = received_of_trace(&j->received, &id); r && n < MAX_CHAIN; n++) {
			if (holds(r, k, k->said.server_port) && is_of_process(j, own, k, r)) {
				if (found)
					return NULL;
				found = r;
			}
			r = received_before_of_trace(&j->received, r);
		}
	} while (moves++ < MAX_MOVES && moved_once(j, &id));
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
	return only_holder(j, request, k) == r;
}

/* One exchange that a span holds is that span, several are its children; so is what is not parsed. */
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
	if (others || r->used || is_unparsed(k, r))
		nest(k, r);
	else
		take(k, r);
}

/* ---- a trace ---- */

void trace_match(struct clew_join *j, struct trace *t)
{
	find_parents(t);
	for (uint32_t i = 0; i < t->n; i++) {
		struct seen *k = &t->v[i];

		if (is_matched(k))
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
		if (t->v[i].kind == CLEW_KIND_CLIENT && !is_matched(&t->v[i]) &&
		    clew_id64_none(&t->v[i].header_span))
			match_holder(j, t, i);
}
