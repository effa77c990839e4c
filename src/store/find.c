/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans that match a filter. Partitions do not overlap in start times, so they are asked one after
 * the other in the order of the answer, and only as many as the limit needs.
 */
#include <inttypes.h>
#include <math.h>

#include "store/internal.h"

struct giving {
	struct query *q;
	struct clew_store *st;
	clew_span_fn fn;
	void *user;
	uint64_t left; /* UINT64_MAX: no limit */
};

static int give_spans(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct giving *g = user;

	/* A long list may take long, as long as it moves. */
	atomic_store(&g->q->deadline_ns, clew_mono_ns() + g->st->opts.timeout_ns);
	for (idx_t i = 0; i < rows && g->left; i++) {
		struct clew_span *s = read_span(g->st, chunk, i);
		int r = s ? g->fn(g->user, s) : -ENOMEM;

		if (r < 0)
			return r;
		if (g->left != UINT64_MAX)
			g->left--;
	}
	return g->left ? 0 : 1;
}

static const char *order_of(enum clew_store_sort sort)
{
	switch (sort) {
	case CLEW_SORT_START:
		return "start_ns DESC, span_id";
	case CLEW_SORT_DURATION:
		return "duration_ns DESC, start_ns DESC, span_id";
	default:
		return "start_ns, span_id";
	}
}

static int run_source(struct query *q, struct giving *g, const char *source,
		      enum clew_store_sort sort, char **ret_error)
{
	struct clew_buf sql = {0};
	int r;

	clew_buf_addf(&sql, "SELECT * FROM (%s) ORDER BY %s", source, order_of(sort));
	if (g->left != UINT64_MAX)
		clew_buf_addf(&sql, " LIMIT %" PRIu64, g->left);
	r = sql.err ? sql.err : query_each(q, sql.data, give_spans, g, ret_error);
	clew_buf_done(&sql);
	return r;
}

static int find(struct query *q, const struct clew_span_filter *f, const char *where,
		struct giving *g, char **ret_error)
{
	struct clew_buf source = {0};
	size_t from, to;
	int r = 0;

	filter_look_through(q, f, f->sort == CLEW_SORT_DEFAULT, &from, &to);
	for (size_t i = from; r == 0 && i < to && g->left; i++) {
		size_t at = f->sort == CLEW_SORT_DEFAULT ? i : to - 1 - (i - from);
		enum much much;

		if (f->sort != CLEW_SORT_DURATION)
			clew_buf_clear(&source);
		else if (source.len)
			clew_buf_adds(&source, " UNION ALL ");
		r = filter_source(q, &q->parts[at], f, "*", where, &source, &much, ret_error);
		if (r == 0 && f->sort != CLEW_SORT_DURATION && much != MUCH_NONE)
			r = run_source(q, g, source.data, f->sort, ret_error);
	}
	if (r == 0 && f->sort == CLEW_SORT_DURATION && source.len)
		r = run_source(q, g, source.data, f->sort, ret_error);
	clew_buf_done(&source);
	return r;
}

/* ---- a small limit ---- */

#define FEW 100
/* The first window of an hour that is asked by windows is a part of it: one of so many. */
#define FIRST_WINDOWS 64

struct hit {
	int64_t start_ns, duration_ns;
	uint64_t span_id, row;
	size_t part;
	bool hot;
};

struct hits {
	struct hit v[2 * FEW];
	size_t n, max;
	size_t part; /* that is being asked */
};

static int by_start(const void *a, const void *b)
{
	const struct hit *x = a, *y = b;

	if (x->start_ns != y->start_ns)
		return x->start_ns < y->start_ns ? -1 : 1;
	return x->span_id < y->span_id ? -1 : x->span_id > y->span_id;
}

static int by_newest(const void *a, const void *b)
{
	const struct hit *x = a, *y = b;

	if (x->start_ns != y->start_ns)
		return x->start_ns > y->start_ns ? -1 : 1;
	return x->span_id < y->span_id ? -1 : x->span_id > y->span_id;
}

static int by_longest(const void *a, const void *b)
{
	const struct hit *x = a, *y = b;

	if (x->duration_ns != y->duration_ns)
		return x->duration_ns > y->duration_ns ? -1 : 1;
	return by_newest(a, b);
}

static int (*hit_order(enum clew_store_sort sort))(const void *, const void *)
{
	return sort == CLEW_SORT_DURATION ? by_longest
	       : sort == CLEW_SORT_START  ? by_newest
					  : by_start;
}

static int collect_hits(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col c[5];
	struct hits *h = user;

	for (idx_t i = 0; i < 5; i++)
		c[i] = duck_col(chunk, i);
	for (idx_t i = 0; i < rows && h->n < 2 * FEW; i++)
		h->v[h->n++] = (struct hit){
			.row = (uint64_t)((int64_t *)c[0].data)[i],
			.start_ns = ((int64_t *)c[1].data)[i],
			.duration_ns = ((int64_t *)c[2].data)[i],
			.span_id = ((uint64_t *)c[3].data)[i],
			.hot = ((bool *)c[4].data)[i],
			.part = h->part,
		};
	return 0;
}

static void keep_best(struct hits *h, enum clew_store_sort sort)
{
	qsort(h->v, h->n, sizeof(*h->v), hit_order(sort));
	h->n = h->n < h->max ? h->n : h->max;
}

/* The best hits of a source that began in [from_ns, to_ns). */
static int ask_window(struct query *q, const struct clew_span_filter *f, const char *source,
		      int64_t from_ns, int64_t to_ns, struct hits *h, char **ret_error)
{
	struct clew_buf sql = {0};
	int r;

	clew_buf_addf(&sql, "SELECT * FROM (%s)", source);
	if (from_ns != INT64_MIN)
		clew_buf_addf(&sql, " WHERE start_ns >= %" PRId64 " AND start_ns < %" PRId64,
			      from_ns, to_ns);
	clew_buf_addf(&sql, " ORDER BY %s LIMIT %zu", order_of(f->sort), h->max);
	r = sql.err ? sql.err : query_each(q, sql.data, collect_hits, h, ret_error);
	clew_buf_done(&sql);
	keep_best(h, f->sort);
	return r;
}

/* As wide as what was found in the first done ns says that it takes for the rest, and half more. */
static int64_t next_width(int64_t width, int64_t done, size_t found, size_t wanted)
{
	double need = found ? 1.5 * (double)done * (double)wanted / (double)found : INFINITY;

	if (need >= 4.0 * (double)width)
		return width * 4;
	return need > (double)HOUR_NS / FIRST_WINDOWS ? (int64_t)need : HOUR_NS / FIRST_WINDOWS;
}

/*
 * A filter that much of the hour may match: from the end that the answer begins with, in windows
 * that grow, until there are enough. (Sealed spans lie roughly in the order of time.)
 */
static int ask_by_windows(struct query *q, const struct clew_span_filter *f, const char *source,
			  int64_t hour, struct hits *h, char **ret_error)
{
	int64_t first = hour * HOUR_NS, last = first + HOUR_NS, width = HOUR_NS / FIRST_WINDOWS;
	size_t before = h->n;
	int r = 0;

	while (r == 0 && first < last && h->n < h->max) {
		if (width > last - first)
			width = last - first;
		if (f->sort == CLEW_SORT_DEFAULT) {
			r = ask_window(q, f, source, first, first + width, h, ret_error);
			first += width;
		} else {
			r = ask_window(q, f, source, last - width, last, h, ret_error);
			last -= width;
		}
		width = next_width(width, HOUR_NS - (last - first), h->n - before, h->max - h->n);
	}
	return r;
}

static int find_hits(struct query *q, const struct clew_span_filter *f, const char *where,
		     struct hits *h, char **ret_error)
{
	struct clew_buf source = {0};
	size_t from, to;
	int r = 0;

	filter_look_through(q, f, f->sort == CLEW_SORT_DEFAULT, &from, &to);
	for (size_t i = from; r == 0 && i < to; i++) {
		enum much much = MUCH_FEW;

		if (f->sort != CLEW_SORT_DURATION && h->n == h->max)
			break;
		h->part = f->sort == CLEW_SORT_DEFAULT ? i : to - 1 - (i - from);
		clew_buf_clear(&source);
		r = filter_source(q, &q->parts[h->part], f,
				  "rowid AS r, start_ns, duration_ns, span_id", where, &source,
				  &much, ret_error);
		if (r < 0)
			break;
		if (much == MUCH_NONE)
			continue;
		if (much == MUCH_BROAD && f->sort != CLEW_SORT_DURATION)
			r = ask_by_windows(q, f, source.data, q->parts[h->part].hour, h, ret_error);
		else
			r = ask_window(q, f, source.data, INT64_MIN, 0, h, ret_error);
	}
	clew_buf_done(&source);
	return r;
}

static bool same_table(const struct hit *a, const struct hit *b)
{
	return a->part == b->part && a->hot == b->hot;
}

/*
 * Rows by their place, in the order of the hits. The list of a table's rows is a join, not a
 * condition: DuckDB then skips what lies between them.
 */
static int give_hits(struct query *q, const struct hits *h, enum clew_store_sort sort,
		     struct giving *g, char **ret_error)
{
	struct clew_buf sql = {0};
	bool done[2 * FEW] = {false};
	int r;

	if (!h->n)
		return 0;
	for (size_t i = 0; i < h->n; i++) {
		const struct hit *first = &h->v[i];
		const char *sep = "";

		if (done[i])
			continue;
		clew_buf_adds(&sql, sql.len ? " UNION ALL " : "SELECT * FROM (");
		if (first->hot)
			clew_buf_addf(&sql, "SELECT * FROM clew_hot(%" PRId64 ", picked := '",
				      q->parts[first->part].hour);
		else
			clew_buf_addf(&sql,
				      "SELECT * FROM %s.span WHERE rowid IN"
				      " (SELECT unnest('[",
				      q->parts[first->part].name);
		for (size_t k = i; k < h->n; k++) {
			if (!same_table(first, &h->v[k]))
				continue;
			clew_buf_addf(&sql, "%s%" PRIu64, sep, h->v[k].row);
			done[k] = true;
			sep = ",";
		}
		clew_buf_adds(&sql, first->hot ? "')" : "]'::BIGINT[]))");
	}
	clew_buf_addf(&sql, ") ORDER BY %s", order_of(sort));
	r = sql.err ? sql.err : query_each(q, sql.data, give_spans, g, ret_error);
	clew_buf_done(&sql);
	return r;
}

static int find_few(struct query *q, const struct clew_span_filter *f, const char *where,
		    struct giving *g, char **ret_error)
{
	struct hits h = {.max = (size_t)f->limit};
	int r = find_hits(q, f, where, &h, ret_error);

	return r < 0 ? r : give_hits(q, &h, f->sort, g, ret_error);
}

int clew_store_find_spans(struct clew_store *st, const struct clew_span_filter *f, clew_span_fn fn,
			  void *user, char **ret_error)
{
	struct giving g = {NULL, st, fn, user, f->limit ? f->limit : UINT64_MAX};
	struct clew_span_filter from_cursor;
	struct clew_buf where = {0};
	struct query q;
	int r = query_begin(st, &q, ret_error);

	if (r < 0)
		return r;
	g.q = &q;
	r = filter_where(st, f, &where, ret_error);
	if (r == 0 && f->after.set)
		filter_after(f, &where, &from_cursor);
	if (f->after.set)
		f = &from_cursor;
	if (r == 0)
		r = f->limit && f->limit <= FEW ? find_few(&q, f, where.data, &g, ret_error)
						: find(&q, f, where.data, &g, ret_error);
	query_end(&q);
	clew_buf_done(&where);
	return r == -ENODATA ? 0 : r;
}
