/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Amendments name a span by any id of its trace: rows of one trace may be under several ids (aliases).
 */
#include "store/amend.h"

static bool same_trace(const struct clew_id128 *id, duckdb_uhugeint v)
{
	duckdb_uhugeint h = id128_huge(id);

	return h.lower == v.lower && h.upper == v.upper;
}

static uint32_t *trace_slot(const struct amend_want *w, uint32_t hash)
{
	uint32_t at = hash & (w->trace_slots - 1);

	while (w->traces[at] && w->traces[at] != hash)
		at = (at + 1) & (w->trace_slots - 1);
	return &w->traces[at];
}

static int grow_traces(struct amend_want *w)
{
	struct amend_want bigger = {.trace_slots = w->trace_slots ? w->trace_slots * 2 : 1024};

	bigger.traces = calloc(bigger.trace_slots, sizeof(*bigger.traces));
	if (!bigger.traces)
		return -ENOMEM;
	for (uint32_t i = 0; i < w->trace_slots; i++)
		if (w->traces[i])
			*trace_slot(&bigger, w->traces[i]) = w->traces[i];
	free(w->traces);
	w->traces = bigger.traces;
	w->trace_slots = bigger.trace_slots;
	return 0;
}

static int want_trace(void *user, const struct clew_id128 *id)
{
	uint32_t hash = hot_trace_hash(id128_huge(id)), *slot;
	struct amend_want *w = user;

	if (w->n_traces * 2 >= w->trace_slots && grow_traces(w) < 0)
		return -ENOMEM;
	hash = hash ? hash : 1;
	slot = trace_slot(w, hash);
	w->n_traces += !*slot;
	*slot = hash;
	return 0;
}

bool amend_wants_trace(const struct amend_want *w, uint32_t hash)
{
	return w->n_traces && *trace_slot(w, hash ? hash : 1);
}

/* Where the amendments of a span are, or would be. */
static uint32_t *span_slot(const struct amend_want *w, const struct clew_id64 *span)
{
	uint32_t at = (uint32_t)clew_hash64(span->b, sizeof(span->b), 0) & (w->n_slots - 1);

	while (w->spans[at] && !clew_id64_eq(&w->q->v[w->spans[at] - 1].a.span_id, span))
		at = (at + 1) & (w->n_slots - 1);
	return &w->spans[at];
}

static uint32_t *move_slot(const struct amend_want *w, duckdb_uhugeint trace)
{
	uint32_t at = hot_trace_hash(trace) & (w->n_slots - 1);

	while (w->moves[at] && !same_trace(&w->q->aliases[w->moves[at] - 1].trace_id, trace))
		at = (at + 1) & (w->n_slots - 1);
	return &w->moves[at];
}

int amend_want_init(struct amend_want *w, struct clew_store *st, const struct amend_queue *q,
		    bool *found)
{
	int r = 0;

	*w = (struct amend_want){.st = st, .q = q, .n_slots = 64, .found = found};
	while (w->n_slots < (q->n + q->n_aliases) * 2)
		w->n_slots *= 2;
	w->spans = calloc(w->n_slots, sizeof(*w->spans));
	w->moves = calloc(w->n_slots, sizeof(*w->moves));
	w->next = calloc(q->n + 1, sizeof(*w->next));
	w->canonical = calloc(q->n + 1, sizeof(*w->canonical));
	if (!w->spans || !w->moves || !w->next || !w->canonical)
		return -ENOMEM;
	/* From the last one on, so that the first of a span leads. */
	for (size_t i = q->n; r == 0 && i > 0; i--) {
		const struct clew_amendment *a = &q->v[i - 1].a;
		uint32_t *slot = span_slot(w, &a->span_id);

		w->next[i - 1] = *slot;
		*slot = (uint32_t)i;
		w->canonical[i - 1] = alias_canonical(st, a->trace_id);
		r = alias_members(st, w->canonical[i - 1], want_trace, w);
		if (r == 0)
			r = want_trace(w, &a->trace_id);
	}
	for (size_t i = 0; r == 0 && i < q->n_aliases; i++) {
		*move_slot(w, id128_huge(&q->aliases[i].trace_id)) = (uint32_t)i + 1;
		r = want_trace(w, &q->aliases[i].trace_id);
	}
	return r;
}

void amend_want_done(struct amend_want *w)
{
	free(w->spans);
	free(w->next);
	free(w->moves);
	free(w->traces);
	free(w->canonical);
}

static bool is_of(const struct amend_want *w, uint32_t i, duckdb_uhugeint trace_id)
{
	struct clew_id128 id = huge_id128(trace_id);

	if (clew_id128_eq(&w->q->v[i].a.trace_id, &id))
		return true;
	id = alias_canonical(w->st, id);
	return clew_id128_eq(&w->canonical[i], &id);
}

static void set_parent(struct amend_change *c, const struct clew_amendment *a)
{
	c->parent_id = id64_int(&a->parent_span_id);
	c->has_parent = true;
}

/* What is said of the span itself. */
static void decide_own(const struct amend_want *w, uint64_t span_id, bool may_go,
		       struct amend_change *ret)
{
	struct clew_id64 id = int_id64(span_id);

	for (uint32_t at = *span_slot(w, &id); at; at = w->next[at - 1]) {
		const struct clew_amendment *a = &w->q->v[at - 1].a;

		if (a->children_only || !is_of(w, at - 1, ret->trace_id))
			continue;
		switch (a->what) {
		case CLEW_AMEND_JOINED:
			ret->joined = a;
			set_parent(ret, a);
			break;
		case CLEW_AMEND_PARENT:
			set_parent(ret, a);
			break;
		case CLEW_AMEND_REPLACED:
			ret->gone = may_go;
			ret->must_go = !may_go;
			break;
		}
		if (a->what != CLEW_AMEND_REPLACED || may_go)
			w->found[at - 1] = true;
	}
}

/* What is said of its parent: that another span took its place. */
static void decide_parent(const struct amend_want *w, struct amend_change *ret)
{
	struct clew_id64 id = int_id64(ret->parent_id);

	for (uint32_t at = *span_slot(w, &id); at; at = w->next[at - 1]) {
		const struct clew_amendment *a = &w->q->v[at - 1].a;

		if (a->what != CLEW_AMEND_REPLACED || !is_of(w, at - 1, ret->trace_id))
			continue;
		set_parent(ret, a);
		w->found[at - 1] |= a->children_only;
		return;
	}
}

bool amend_decide(const struct amend_want *w, duckdb_uhugeint trace_id, uint64_t span_id,
		  uint64_t parent_id, bool may_go, struct amend_change *ret)
{
	uint32_t move;

	*ret = (struct amend_change){.trace_id = trace_id, .parent_id = parent_id};
	decide_own(w, span_id, may_go, ret);
	if (ret->parent_id)
		decide_parent(w, ret);
	if (ret->joined) {
		ret->is_moved = !same_trace(&ret->joined->to_trace_id, trace_id);
		ret->trace_id = id128_huge(&ret->joined->to_trace_id);
	}
	move = *move_slot(w, ret->trace_id);
	if (move) {
		ret->trace_id = id128_huge(&w->q->aliases[move - 1].canonical);
		ret->is_moved = true;
	}
	return ret->joined || ret->gone || ret->has_parent || ret->is_moved;
}
