/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores of version 1: hot spans in a table `hot` of the partition's file, and, after a crash, runs whose index
 * was not made.
 *
 *	writer        hot goes into a log, then the table goes; the run gets its index
 *	read-only     hot is read into memory
 *
 * After a crash in between the spans are in both; those that the log has are left out.
 */
#include <inttypes.h>

#include "store/internal.h"
#include "store/rows.h"

struct reading {
	struct clew_store *st;
	struct hot *h;	      /* that is filled */
	struct id_set *known; /* spans of these hashes are left out; may be NULL */
	struct clew_buf frame;
	uint32_t n;
};

static int encode(struct reading *r, const struct clew_span *s)
{
	int e;

	pthread_mutex_lock(&r->st->names_lock);
	e = rows_encode(r->st, s, &r->frame);
	pthread_mutex_unlock(&r->st->names_lock);
	return e;
}

static int read_rows(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct reading *r = user;
	int e = 0;

	for (idx_t i = 0; e == 0 && i < rows; i++) {
		struct clew_span *s = read_span(r->st, chunk, i);

		if (!s)
			return -ENOMEM;
		if (!r->known || !id_set_has(r->known, span_hash(s))) {
			e = encode(r, s);
			r->n++;
		}
		clew_span_free(s);
	}
	return e;
}

static void reading_done(struct reading *r)
{
	clew_buf_done(&r->frame);
}

/* Rows of a table ("h1.hot", "h1.span WHERE ...") as a frame. */
static int read_table(struct reading *r, const char *source, char **ret_error)
{
	struct clew_buf sql = {0};
	int e = hot_frame_begin(&r->frame);

	clew_buf_addf(&sql, "SELECT * FROM %s", source);
	if (e == 0)
		e = sql.err ? sql.err : duck_each(r->st->conn, sql.data, read_rows, r, ret_error);
	clew_buf_done(&sql);
	return e;
}

/* ---- the table hot ---- */

static int into_log(struct reading *r, struct part *p, struct hot *h)
{
	int e = hot_log_create(h, r->st->dir_fd, p->hour, p->rows + p->hot_rows);

	if (e == 0)
		e = hot_append(h, &r->frame, r->n);
	if (e < 0 && h->fd >= 0)
		(void)!unlinkat(r->st->dir_fd, h->file, 0);
	return e;
}

static int take_hot(struct clew_store *st, struct part *p, char **ret_error)
{
	struct reading r = {.st = st};
	struct hot *h = NULL;
	char table[48];
	int e;

	snprintf(table, sizeof(table), "%s.hot", p->name);
	/* What a writer of this version has taken over, and died before the table was gone. */
	if (p->n_hots) {
		r.known = &p->hots[0]->ids;
		if (st->opts.read_only && (e = hot_read_ids(p->hots[0])) < 0)
			return e;
	}
	e = read_table(&r, table, ret_error);
	if (e == 0 && r.n) {
		h = hot_new(r.n > st->opts.hot_spans + st->opts.batch_spans
				    ? r.n
				    : st->opts.hot_spans + st->opts.batch_spans);
		if (!h || p->n_hots == HOT_GENERATIONS)
			e = -ENOMEM;
		else
			e = st->opts.read_only ? hot_keep(h, &r.frame, r.n) : into_log(&r, p, h);
	}
	if (e == 0 && h) {
		h->n = r.n;
		e = hot_read_ids(h);
	}
	if (e < 0) {
		hot_unref(h);
		reading_done(&r);
		return set_error(ret_error, e, "cannot take over the newest spans of %s: %s",
				 p->name, strerror(-e));
	}
	if (h) {
		pthread_mutex_lock(&st->state_lock);
		p->hots[p->n_hots++] = h;
		p->hot_rows += h->n;
		pthread_mutex_unlock(&st->state_lock);
	}
	reading_done(&r);
	p->has_old_hot = false;
	if (st->opts.read_only)
		return 0;
	p->dirty = true;
	return duck_execf(st->conn, ret_error, "DROP TABLE %s.hot;", p->name);
}

/* ---- a run without an index ---- */

static int take_tail(struct clew_store *st, struct part *p, char **ret_error)
{
	struct reading r = {.st = st};
	struct hot *h = hot_new((uint32_t)(p->rows - p->indexed));
	char rows[96];
	int e = h ? 0 : -ENOMEM;

	snprintf(rows, sizeof(rows), "%s.span WHERE rowid >= %" PRIu64 " ORDER BY rowid", p->name,
		 p->indexed);
	if (e == 0)
		e = read_table(&r, rows, ret_error);
	if (e == 0)
		e = hot_keep(h, &r.frame, r.n);
	if (e == 0) {
		h->n = r.n;
		e = index_tail(st, p, h, ret_error);
	}
	reading_done(&r);
	hot_unref(h);
	return e;
}

int old_take_over(struct clew_store *st, char **ret_error)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < st->n_parts; i++) {
		struct part *p = st->parts[i];

		if (p->has_old_hot)
			r = take_hot(st, p, ret_error);
		if (r == 0 && p->indexed < p->rows && !st->opts.read_only)
			r = take_tail(st, p, ret_error);
	}
	return r;
}
