/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans that match a filter. Partitions do not overlap in start times, so they are asked one after
 * the other in the order of the answer, and only as many as the limit needs.
 */
#include <inttypes.h>

#include "store/internal.h"

struct giving {
	struct clew_store *st;
	clew_span_fn fn;
	void *user;
	uint64_t left; /* UINT64_MAX: no limit */
};

static int give_spans(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct giving *g = user;

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

	filter_hours(q, f->since_ns, f->until_ns, &from, &to);
	for (size_t i = from; r == 0 && i < to && g->left; i++) {
		size_t at = f->sort == CLEW_SORT_DEFAULT ? i : to - 1 - (i - from);

		if (f->sort != CLEW_SORT_DURATION)
			clew_buf_clear(&source);
		else if (source.len)
			clew_buf_adds(&source, " UNION ALL ");
		r = filter_source(q, &q->parts[at], f, "*", where, &source, ret_error);
		if (r == 0 && f->sort != CLEW_SORT_DURATION)
			r = run_source(q, g, source.data, f->sort, ret_error);
	}
	if (r == 0 && f->sort == CLEW_SORT_DURATION && source.len)
		r = run_source(q, g, source.data, f->sort, ret_error);
	clew_buf_done(&source);
	return r;
}

int clew_store_find_spans(struct clew_store *st, const struct clew_span_filter *f, clew_span_fn fn,
			  void *user, char **ret_error)
{
	struct giving g = {st, fn, user, f->limit ? f->limit : UINT64_MAX};
	struct clew_buf where = {0};
	struct query q;
	int r = query_begin(st, &q, ret_error);

	if (r < 0)
		return r;
	r = filter_where(st, f, &where);
	if (r == 0)
		r = find(&q, f, where.data, &g, ret_error);
	query_end(&q);
	clew_buf_done(&where);
	return r == -ENODATA ? 0 : r;
}
