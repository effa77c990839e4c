/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Received spans that come after the kernel's went on. Of each span of the kernel it is noted under which
 * names it would be looked for:
 *
 *	the span that its header names        a client
 *	the other end, and when it began      a server
 *	the trace that its header names, or   whatever else hangs in it: the server above a client, calls
 *	of a span that it was joined with     without a header
 *
 * A received span that finds traces so has them matched once more, a moment later: what came with it is
 * there by then. The notes lie in a ring with chained hashes over it, as the received spans do
 * (received.c); a note of a trace that was forgotten leads nowhere.
 */
#include <utlist.h>

#include "join/internal.h"

#define RING  (2 * CLEW_JOIN_MAX_REMEMBERED)
#define HEADS (RING / 4)
_Static_assert((RING & (RING - 1)) == 0, "a power of two");
/* Notes of one name that are looked at. */
#define MAX_CHAIN 4096u
/* What is sent together arrives within this time. */
#define AGAIN_NS (1000ull * 1000 * 1000)

struct hint {
	uint64_t key, next;
	struct clew_id128 trace; /* the kernel's */
};

int hints_init(struct hints *h)
{
	h->ring = calloc(RING, sizeof(*h->ring));
	h->heads = calloc(HEADS, sizeof(*h->heads));
	return h->ring && h->heads ? 0 : -ENOMEM;
}

void hints_done(struct hints *h)
{
	free(h->ring);
	free(h->heads);
}

static struct hint *at(const struct hints *h, uint64_t number)
{
	return number && number + RING > h->last ? &h->ring[number & (RING - 1)] : NULL;
}

static uint64_t *head_of(const struct hints *h, uint64_t key)
{
	return &h->heads[(key >> 1) & (HEADS - 1)];
}

static struct hint *next_of(const struct hints *h, uint64_t number, uint64_t key)
{
	struct hint *n = at(h, number);

	while (n && n->key != key)
		n = at(h, n->next);
	return n;
}

static void add(struct hints *h, uint64_t key, const struct clew_id128 *trace)
{
	const struct hint *newest = next_of(h, *head_of(h, key), key);

	if (newest && clew_id128_eq(&newest->trace, trace))
		return;
	h->ring[++h->last & (RING - 1)] =
		(struct hint){.key = key, .next = *head_of(h, key), .trace = *trace};
	*head_of(h, key) = h->last;
}

static uint64_t span_key(const struct clew_id128 *trace, const struct clew_id64 *span)
{
	uint64_t seed = clew_hash64(span->b, sizeof(span->b), 5);

	return clew_hash64(trace->b, sizeof(trace->b), seed) | 1;
}

static uint64_t trace_key(const struct clew_id128 *trace)
{
	return clew_hash64(trace->b, sizeof(trace->b), 6) | 1;
}

void late_note(struct clew_join *j, const struct trace *t, const struct seen *k)
{
	if (k->kind == CLEW_KIND_SERVER && k->said.peer) {
		add(&j->hints, peer_key(k->said.peer, k->start_ns), &t->id);
	} else if (k->kind == CLEW_KIND_CLIENT && !clew_id64_none(&k->header_span)) {
		add(&j->hints, span_key(&k->header_trace, &k->header_span), &t->id);
		add(&j->hints, trace_key(&k->header_trace), &t->id);
	}
}

void late_note_trace(struct clew_join *j, const struct trace *t, const struct clew_id128 *received)
{
	add(&j->hints, trace_key(received), &t->id);
}

static void wake(struct clew_join *j, uint64_t key, uint64_t now_ns)
{
	const struct hint *n = next_of(&j->hints, *head_of(&j->hints, key), key);

	for (uint32_t i = 0; n && i < MAX_CHAIN; i++) {
		struct trace *t = trace_find(j, &n->trace);

		if (t && t->queue == TRACE_REMEMBERED)
			trace_move(j, t, TRACE_AGAIN, now_ns + AGAIN_NS);
		n = next_of(&j->hints, n->next, key);
	}
}

void late_received(struct clew_join *j, const struct received *r, uint64_t now_ns)
{
	uint64_t step = (r->start_ns + PEER_EARLY_NS) / PEER_STEP_NS;
	struct clew_id128 id = r->trace_id;
	uint32_t moves = 0;

	if (r->kind == CLEW_KIND_INTERNAL || r->kind == CLEW_KIND_CONSUMER)
		return;
	do {
		wake(j, span_key(&id, &r->span_id), now_ns);
		wake(j, trace_key(&id), now_ns);
	} while (moves++ < MAX_MOVES && moved_once(j, &id));
	for (uint64_t i = 0; r->said_peer && i <= PEER_STEPS; i++)
		wake(j, peer_key(r->said_peer, (step > i ? step - i : 0) * PEER_STEP_NS), now_ns);
}
