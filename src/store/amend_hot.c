/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Amendments of hot spans: a changed copy of each row takes its place, in the log as a frame of its own and in
 * memory. Generations that are being sealed are left alone.
 *
 *	trace hashes of a generation ─► few rows ─► by (trace, span): amendments, then by trace: another trace's id
 */
#include <inttypes.h>

#include "store/internal.h"

/* What is looked for, by hash; open addressing, index + 1. Of one key the first one leads to the next. */
struct wanted {
	const struct amend_queue *q;
	uint32_t *spans, *next,
		*moves;	  /* amendments; of each the next of its span; aliases by trace */
	uint32_t *traces; /* hashes of all traces; 0: none */
	uint32_t n_slots;
};

static bool same_trace(const struct clew_id128 *id, duckdb_uhugeint v)
{
	duckdb_uhugeint h = id128_huge(id);

	return h.lower == v.lower && h.upper == v.upper;
}

static uint64_t amend_hash(const struct clew_store_amendment *a)
{
	struct clew_span key = {.trace_id = a->trace_id, .span_id = a->span_id};

	return span_hash(&key);
}

static bool is_of(const struct clew_store_amendment *a, const struct hot_row *r)
{
	return same_trace(&a->trace_id, r->trace_id) && id64_int(&a->span_id) == r->span_id;
}

static void want_trace(struct wanted *w, const struct clew_id128 *id)
{
	uint32_t hash = hot_trace_hash(id128_huge(id)), at;

	hash = hash ? hash : 1;
	at = hash & (w->n_slots - 1);
	while (w->traces[at] && w->traces[at] != hash)
		at = (at + 1) & (w->n_slots - 1);
	w->traces[at] = hash;
}

static bool wants_trace(const struct wanted *w, uint32_t hash)
{
	uint32_t at;

	hash = hash ? hash : 1;
	at = hash & (w->n_slots - 1);
	while (w->traces[at] && w->traces[at] != hash)
		at = (at + 1) & (w->n_slots - 1);
	return w->traces[at] == hash;
}

/* The slot of a row's amendments, or the empty one where they would be. */
static uint32_t *span_slot(const struct wanted *w, const struct clew_store_amendment *a)
{
	uint32_t at = (uint32_t)(amend_hash(a) >> 1) & (w->n_slots - 1);

	while (w->spans[at] &&
	       (!clew_id128_eq(&w->q->v[w->spans[at] - 1].a.trace_id, &a->trace_id) ||
		!clew_id64_eq(&w->q->v[w->spans[at] - 1].a.span_id, &a->span_id)))
		at = (at + 1) & (w->n_slots - 1);
	return &w->spans[at];
}

static uint32_t *move_slot(const struct wanted *w, duckdb_uhugeint trace)
{
	uint32_t at = hot_trace_hash(trace) & (w->n_slots - 1);

	while (w->moves[at] && !same_trace(&w->q->aliases[w->moves[at] - 1].trace_id, trace))
		at = (at + 1) & (w->n_slots - 1);
	return &w->moves[at];
}

static void wanted_done(struct wanted *w)
{
	free(w->spans);
	free(w->next);
	free(w->moves);
	free(w->traces);
}

static int wanted_init(struct wanted *w, const struct amend_queue *q)
{
	*w = (struct wanted){.q = q, .n_slots = 64};
	while (w->n_slots < (q->n + q->n_aliases) * 2)
		w->n_slots *= 2;
	w->spans = calloc(w->n_slots, sizeof(*w->spans));
	w->moves = calloc(w->n_slots, sizeof(*w->moves));
	w->traces = calloc(w->n_slots, sizeof(*w->traces));
	w->next = calloc(q->n + 1, sizeof(*w->next));
	if (!w->spans || !w->moves || !w->traces || !w->next)
		return -ENOMEM;
	/* From the last one on, so that the first of a span leads. */
	for (size_t i = q->n; i > 0; i--) {
		uint32_t *slot = span_slot(w, &q->v[i - 1].a);

		w->next[i - 1] = *slot;
		*slot = (uint32_t)i;
		want_trace(w, &q->v[i - 1].a.trace_id);
	}
	for (size_t i = 0; i < q->n_aliases; i++) {
		*move_slot(w, id128_huge(&q->aliases[i].trace_id)) = (uint32_t)i + 1;
		want_trace(w, &q->aliases[i].trace_id);
		want_trace(w, &q->aliases[i].canonical);
	}
	return 0;
}

/* What the kernel does not know stays as the SDK sent it. */
static void change(struct hot_row *r, int64_t times[7], const struct clew_store_amendment *a)
{
	r->trace_id = id128_huge(&a->to_trace_id);
	r->parent_id = id64_int(&a->parent_span_id);
	r->wire_key = id128_huge(&a->wire_key);
	r->pid = a->pid;
	r->tid = a->tid;
	r->proc_start_ns = (int64_t)a->proc_start_ns;
	r->incomplete = a->incomplete;
	if (a->link) {
		r->link_class = a->link_class;
		r->evidence = a->evidence;
		r->confidence = a->confidence;
	}
	memcpy(times, &a->times, 7 * sizeof(*times));
}

/* The row as it is to be, behind its number. False: nothing is to be changed. */
static bool change_row(const struct wanted *w, const struct hot *h, uint32_t i,
		       struct clew_buf *frame, bool *found)
{
	const struct hot_row *old = h->rows[i];
	struct clew_store_amendment key = {.trace_id = huge_id128(old->trace_id),
					   .span_id = int_id64(old->span_id)};
	struct hot_row row = *old;
	uint32_t at = *span_slot(w, &key), move;
	uint64_t number = i;
	bool changed = at != 0;
	int64_t times[7];

	for (int k = 0; k < 7; k++)
		times[k] = hot_time(old, k);
	for (; at; at = w->next[at - 1])
		if (is_of(&w->q->v[at - 1].a, old)) {
			change(&row, times, &w->q->v[at - 1].a);
			found[at - 1] = true;
		}
	move = *move_slot(w, row.trace_id);
	if (move) {
		row.trace_id = id128_huge(&w->q->aliases[move - 1].canonical);
		changed = true;
	}
	if (!changed)
		return false;
	clew_buf_add(frame, &number, sizeof(number));
	hot_changed_row(frame, old, &row, times);
	return true;
}

static int amend_generation(struct clew_store *st, struct hot *h, const struct wanted *w,
			    bool *found)
{
	struct clew_buf frame = {0};
	uint32_t n = 0;
	int r = hot_frame_begin(&frame);

	for (uint32_t i = 0; r == 0 && i < h->n; i++)
		if (wants_trace(w, h->traces[i]))
			n += change_row(w, h, i, &frame, found);
	if (r == 0)
		r = frame.err;
	if (r == 0 && n) {
		pthread_mutex_lock(&st->ids_lock);
		r = hot_change(h, &frame, n);
		pthread_mutex_unlock(&st->ids_lock);
	}
	clew_buf_done(&frame);
	return r;
}

int amend_part(struct clew_store *st, struct part *p, const struct amend_queue *q, bool *found,
	       char **ret_error)
{
	struct hot *hots[HOT_GENERATIONS];
	struct wanted w;
	uint32_t n = 0;
	int r = wanted_init(&w, q);

	pthread_mutex_lock(&st->state_lock);
	for (uint32_t i = 0; i < p->n_hots; i++)
		if (!p->hots[i]->frozen)
			hots[n++] = p->hots[i];
	pthread_mutex_unlock(&st->state_lock);
	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = amend_generation(st, hots[i], &w, found);
	wanted_done(&w);
	return r < 0 ? set_error(ret_error, r, "cannot change spans of %s: %s", p->name,
				 strerror(-r))
		     : 0;
}
