/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Amendments of hot spans: a changed copy of each row takes its place, in the log as a frame of its own and in
 * memory.
 *
 *	trace hashes of a generation ─► few rows ─► amend_decide() ─► frame
 */
#include "store/amend.h"

/* What the kernel does not know stays as the SDK sent it. */
static void join(struct hot_row *r, int64_t times[7], const struct clew_amendment *a)
{
	const struct clew_seen_facts *f = &a->facts;

	r->wire_key = id128_huge(&f->wire_key);
	r->pid = f->pid;
	r->tid = f->tid;
	r->proc_start_ns = (int64_t)f->proc_start_ns;
	r->incomplete = f->incomplete;
	if (a->link) {
		r->link_class = f->link_class;
		r->evidence = f->evidence;
		r->confidence = f->confidence;
	}
	memcpy(times, &f->times, 7 * sizeof(*times));
}

/* The row as it is to be, behind its number. ret_gone: it is gone. False: nothing is to be changed. */
static bool change_row(const struct amend_want *w, const struct hot *h, uint32_t i,
		       struct clew_buf *frame, bool *ret_gone)
{
	const struct hot_row *old = h->rows[i];
	struct hot_row row = *old;
	uint64_t number = i;
	struct amend_change c;
	int64_t times[7];

	if (hot_is_gone(old) ||
	    !amend_decide(w, old->trace_id, old->span_id, old->parent_id, true, &c))
		return false;
	for (int k = 0; k < 7; k++)
		times[k] = hot_time(old, k);
	row.trace_id = c.gone ? (duckdb_uhugeint){0} : c.trace_id;
	row.parent_id = c.parent_id;
	if (c.joined)
		join(&row, times, c.joined);
	*ret_gone |= c.gone;
	clew_buf_add(frame, &number, sizeof(number));
	hot_changed_row(frame, old, &row, times);
	return true;
}

static int amend_generation(struct amend_want *w, struct part *p, struct hot *h, char **ret_error)
{
	struct clew_buf frame = {0};
	bool gone = false;
	uint32_t n = 0;
	int r = hot_frame_begin(&frame);

	for (uint32_t i = 0; r == 0 && i < h->n; i++)
		if (amend_wants_trace(w, h->traces[i]))
			n += change_row(w, h, i, &frame, &gone);
	if (r == 0)
		r = frame.err;
	if (r == 0 && gone)
		r = gone_note(w->st, p, ret_error);
	if (r == 0 && n) {
		pthread_mutex_lock(&w->st->ids_lock);
		r = hot_change(h, &frame, n);
		pthread_mutex_unlock(&w->st->ids_lock);
	}
	clew_buf_done(&frame);
	return r;
}

int amend_hot(struct amend_want *w, struct part *p, char **ret_error)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < p->n_hots; i++)
		r = amend_generation(w, p, p->hots[i], ret_error);
	return r < 0 ? set_error(ret_error, r, "cannot change spans of %s: %s", p->name,
				 strerror(-r))
		     : 0;
}
