/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traces that hold a span that matches, newest or longest first.
 *
 * What sorts a trace (its root) and what selects it (any of its spans) are different spans. So the
 * candidates come in the order of a bound that no root can exceed: a root does not begin after the
 * spans of its trace, nor does it last longer than the longest of them. As soon as there are enough
 * traces whose own key is not below the next candidate's bound, the rest need not be looked at.
 */
#include <inttypes.h>

#include "store/summary.h"

#define FIRST_PAGE 200u
/* Candidates whose rows are loaded with one statement. */
#define LOAD_BATCH 500u

struct candidates {
	struct clew_id128 *ids;
	int64_t *bounds;
	size_t n, cap;
};

struct finding {
	struct query *q;
	const struct clew_span_filter *f;
	const char *where;
	struct clew_trace_summary *found; /* sorted, at most limit of them */
	size_t n, cap;
	uint64_t limit;
	struct trace_rows *seen; /* traces that were looked at */
	bool check;		 /* candidates are only likely to match: by_service() */
	uint32_t service;
};

static int collect(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col id = duck_col(chunk, 0), bound = duck_col(chunk, 1);
	struct candidates *c = user;

	for (idx_t i = 0; i < rows; i++) {
		if (c->n == c->cap) {
			size_t cap = c->cap ? c->cap * 2 : 1024;
			struct clew_id128 *ids = realloc(c->ids, cap * sizeof(*ids));
			int64_t *bounds = realloc(c->bounds, cap * sizeof(*bounds));

			c->ids = ids ? ids : c->ids;
			c->bounds = bounds ? bounds : c->bounds;
			if (!ids || !bounds)
				return -ENOMEM;
			c->cap = cap;
		}
		c->ids[c->n] = huge_id128(((duckdb_uhugeint *)id.data)[i]);
		c->bounds[c->n++] = ((int64_t *)bound.data)[i];
	}
	return 0;
}

static int64_t key_of(const struct finding *fi, const struct clew_trace_summary *t)
{
	return (int64_t)(fi->f->sort == CLEW_SORT_DURATION ? t->duration_ns : t->start_ns);
}

/* Does a come before b? */
static bool before(const struct finding *fi, const struct clew_trace_summary *a,
		   const struct clew_trace_summary *b)
{
	if (key_of(fi, a) != key_of(fi, b))
		return key_of(fi, a) > key_of(fi, b);
	if (a->start_ns != b->start_ns)
		return a->start_ns > b->start_ns;
	return memcmp(&a->trace_id, &b->trace_id, sizeof(a->trace_id)) < 0;
}

/* Is it behind the last one of the page before? */
static bool is_after(const struct clew_store_cursor *c, const struct clew_trace_summary *t)
{
	if (!c->set || t->start_ns != c->start_ns)
		return !c->set || t->start_ns < c->start_ns;
	return memcmp(&t->trace_id, &c->id, sizeof(c->id)) > 0;
}

static bool took_so_long(const struct clew_span_filter *f, const struct clew_trace_summary *t)
{
	return t->duration_ns >= f->trace_min_ns &&
	       (!f->trace_max_ns || t->duration_ns < f->trace_max_ns);
}

static int keep(struct finding *fi, const struct clew_trace_summary *t)
{
	size_t lo = 0, hi = fi->n;

	if (!is_after(&fi->f->after, t) || !took_so_long(fi->f, t))
		return 0;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (before(fi, &fi->found[mid], t))
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo >= fi->limit)
		return 0;
	if (fi->n == fi->cap) {
		size_t cap = fi->cap ? fi->cap * 2 : 64;
		struct clew_trace_summary *found = realloc(fi->found, cap * sizeof(*found));

		if (!found)
			return -ENOMEM;
		fi->found = found;
		fi->cap = cap;
	}
	memmove(fi->found + lo + 1, fi->found + lo, (fi->n - lo) * sizeof(*t));
	fi->found[lo] = *t;
	if (fi->n < fi->limit)
		fi->n++;
	return 0;
}

static bool enough(const struct finding *fi, int64_t bound)
{
	return fi->limit != UINT64_MAX && fi->n >= fi->limit &&
	       key_of(fi, &fi->found[fi->n - 1]) >= bound;
}

/* Does it hold a span of the service that began in the time that is asked for? */
static bool matches(const struct finding *fi, const struct trace_rows *t)
{
	const struct clew_span_filter *f = fi->f;

	for (size_t i = 0; i < t->n; i++) {
		const struct trace_row *row = &t->rows[i];

		if ((!f->service.p || row->service == fi->service) &&
		    (uint64_t)row->start_ns >= f->since_ns &&
		    (!f->until_ns || (uint64_t)row->start_ns <= f->until_ns))
			return true;
	}
	return false;
}

/* Load and keep the traces of one batch; at: the partition where they were found. */
static int look_at(struct finding *fi, const struct clew_id128 *ids, size_t n, size_t lo, size_t hi,
		   char **ret_error)
{
	struct query *q = fi->q;
	struct trace_rows *table = NULL, *t, *next;
	_cleanup_(freep) struct clew_id128 *more = calloc(n ? n : 1, sizeof(*more));
	int64_t first = lo ? q->parts[lo].hour : INT64_MIN;
	int64_t last = hi < q->n_parts ? q->parts[hi - 1].hour : INT64_MAX;
	size_t n_more = 0;
	int r = more ? summary_load(q, ids, n, lo, hi, &table, ret_error) : -ENOMEM;

	/* Those that touch the edge of what was loaded may go on beyond it. */
	HASH_ITER (hh, table, t, next)
		if (r == 0 && n_more < n && summary_wants(t, first, last))
			more[n_more++] = t->id;
	if (r == 0)
		r = summary_load(q, more, n_more, 0, lo, &table, ret_error);
	if (r == 0)
		r = summary_load(q, more, n_more, hi, q->n_parts, &table, ret_error);
	HASH_ITER (hh, table, t, next) {
		struct clew_trace_summary sum;

		if (r == 0 && (!fi->check || matches(fi, t)) && summary_make(q->st, t, &sum))
			r = keep(fi, &sum);
	}
	summary_free(&table);
	return r;
}

/* Mark as seen; false if it was. */
static int see(struct finding *fi, const struct clew_id128 *id)
{
	struct trace_rows *t;

	HASH_FIND(hh, fi->seen, id, sizeof(*id), t);
	if (t)
		return 0;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->id = *id;
	HASH_ADD(hh, fi->seen, id, sizeof(t->id), t);
	if (!t->hh.tbl) {
		free(t);
		return -ENOMEM;
	}
	return 1;
}

/* Candidates in order; [lo, hi) are the partitions where their rows are likely to be. */
static int look_at_all(struct finding *fi, const struct candidates *c, size_t lo, size_t hi,
		       bool *ret_enough, char **ret_error)
{
	struct clew_id128 batch[LOAD_BATCH];
	/* A little more than is wanted at first: the best candidates are mostly the best traces. */
	size_t n = 0, size = fi->limit < LOAD_BATCH / 4 ? (size_t)fi->limit + fi->limit / 2 + 4
							: LOAD_BATCH;
	int r = 0;

	*ret_enough = false;
	for (size_t i = 0; r >= 0 && i < c->n && !*ret_enough; i++) {
		struct clew_id128 id = alias_canonical(fi->q->st, c->ids[i]);

		r = see(fi, &id);
		if (r > 0)
			batch[n++] = id;
		if (r < 0 || (n < size && i + 1 < c->n))
			continue;
		r = look_at(fi, batch, n, lo, hi, ret_error);
		n = 0;
		size = size * 2 < LOAD_BATCH ? size * 2 : LOAD_BATCH;
		*ret_enough = enough(fi, c->bounds[i + 1 < c->n ? i + 1 : i]);
	}
	return r < 0 ? r : 0;
}

/* One statement's candidates, the first page or what comes after it. */
static int get_candidates(struct finding *fi, const char *source, bool rest, uint64_t page,
			  struct candidates *c, char **ret_error)
{
	struct clew_buf sql = {0};
	int r;

	c->n = 0;
	clew_buf_addf(&sql,
		      "SELECT trace_id, max(v) AS bound FROM (%s) GROUP BY trace_id ORDER BY bound"
		      " DESC, trace_id",
		      source);
	if (rest)
		clew_buf_addf(&sql, " OFFSET %" PRIu64, page);
	else
		clew_buf_addf(&sql, " LIMIT %" PRIu64, page);
	r = sql.err ? sql.err : query_each(fi->q, sql.data, collect, c, ret_error);
	clew_buf_done(&sql);
	return r;
}

static int look_through(struct finding *fi, const char *source, size_t lo, size_t hi,
			bool *ret_enough, char **ret_error)
{
	uint64_t page = fi->limit == UINT64_MAX ? UINT32_MAX : fi->limit * 2 + FIRST_PAGE;
	struct candidates c = {0};
	int r = get_candidates(fi, source, false, page, &c, ret_error);

	if (r == 0)
		r = look_at_all(fi, &c, lo, hi, ret_enough, ret_error);
	if (r == 0 && !*ret_enough && c.n == page) {
		r = get_candidates(fi, source, true, page, &c, ret_error);
		if (r == 0)
			r = look_at_all(fi, &c, lo, hi, ret_enough, ret_error);
	}
	free(c.ids);
	free(c.bounds);
	return r;
}

/* Newest first: partition by partition. */
static int find_newest(struct finding *fi, size_t from, size_t to, char **ret_error)
{
	struct clew_buf source = {0};
	bool done = false;
	int r = 0;

	for (size_t i = to; r == 0 && i > from && !done; i--) {
		size_t lo = i >= 2 ? i - 2 : 0;
		size_t hi = i < fi->q->n_parts ? i + 1 : i;
		enum much much = MUCH_FEW;

		/* What begins in older hours cannot be before what is kept. */
		if (enough(fi, (fi->q->parts[i - 1].hour + 1) * HOUR_NS))
			break;
		clew_buf_clear(&source);
		r = filter_source(fi->q, &fi->q->parts[i - 1], fi->f, "trace_id, start_ns AS v",
				  fi->where, &source, &much, ret_error);
		if (r == 0 && much != MUCH_NONE)
			r = look_through(fi, source.data, lo, hi, &done, ret_error);
	}
	clew_buf_done(&source);
	return r;
}

/* Is the filter about nothing but a service and times? Then the lines of traces know nearly enough. */
static bool by_service(const struct clew_span_filter *f)
{
	return !f->name.p && !f->n_attrs && !f->n_where && !f->error && !f->min_duration_ns &&
	       !f->max_duration_ns && !f->kinds && !f->link_classes && !f->incomplete && !f->root;
}

/* The conditions of such a filter on a line. */
static void line_condition(const struct finding *fi, struct clew_buf *out)
{
	clew_buf_adds(out, "true");
	if (fi->f->service.p)
		clew_buf_addf(out, " AND (service_bits & %" PRIu64 "::UBIGINT) <> 0",
			      UINT64_C(1) << (fi->service % 64));
	if (fi->f->since_ns)
		clew_buf_addf(out, " AND last_ns >= %" PRIu64, fi->f->since_ns);
	if (fi->f->until_ns)
		clew_buf_addf(out, " AND start_ns <= %" PRIu64, fi->f->until_ns);
}

/* Spans that match: of all partitions, or of what is in no rollup. */
static int find_matches(struct finding *fi, size_t from, size_t to, struct clew_buf *out,
			char **ret_error)
{
	const char *sep = "";
	int r = 0;

	for (size_t i = from; r == 0 && i < to; i++) {
		if (fi->check) {
			beside_rollups(&fi->q->parts[i], "trace_id", fi->where, out, &sep);
			continue;
		}
		clew_buf_adds(out, sep);
		r = filter_source(fi->q, &fi->q->parts[i], fi->f, "trace_id", fi->where, out, NULL,
				  ret_error);
		sep = " UNION ALL ";
	}
	return r < 0 ? r : out->err;
}

/*
 * Longest first: all partitions at once. Of a trace that is in the rollups its root's duration is known,
 * of others the longest span that has the trace's id bounds it.
 */
static int find_longest(struct finding *fi, size_t from, size_t to, char **ret_error)
{
	struct clew_buf match = {0}, source = {0}, all = {0}, line = {0};
	size_t lo = from ? from - 1 : 0, hi = to < fi->q->n_parts ? to + 1 : to;
	bool done = false, any = !strcmp(fi->where, "true");
	const char *sep = "", *matching = any ? "true" : "trace_id IN (SELECT trace_id FROM m)";
	int r = query_digested(fi->q, lo, hi, ret_error);

	fi->check = !any && by_service(fi->f);
	if (fi->f->service.p)
		(void)dict_find(&fi->q->st->dicts[DICT_SERVICE], fi->f->service, 0, &fi->service);
	line_condition(fi, &line);
	if (r == 0 && !any)
		r = find_matches(fi, from, to, &match, ret_error);
	for (size_t i = lo; r == 0 && i < hi; i++) {
		const struct part_ref *p = &fi->q->parts[i];

		if (p->has_rollups) {
			clew_buf_addf(&source,
				      "%sSELECT trace_id, duration_ns AS v FROM %s.trace WHERE %s",
				      sep, p->name, fi->check ? line.data : matching);
			sep = " UNION ALL ";
		}
		if (any || match.len)
			beside_rollups(p, "trace_id, duration_ns AS v", matching, &source, &sep);
	}
	if (r == 0 && to > from && source.len) {
		if (match.len)
			clew_buf_addf(
				&all,
				"WITH m AS MATERIALIZED (SELECT DISTINCT trace_id FROM (%s)) ",
				match.data);
		clew_buf_adds(&all, source.data);
		r = all.err || line.err ? -ENOMEM
					: look_through(fi, all.data, lo, hi, &done, ret_error);
	}
	clew_buf_done(&match);
	clew_buf_done(&source);
	clew_buf_done(&line);
	clew_buf_done(&all);
	return r;
}

int clew_store_find_traces(struct clew_store *st, const struct clew_span_filter *f,
			   clew_trace_fn fn, void *user, char **ret_error)
{
	struct finding fi = {.f = f, .limit = f->limit ? f->limit : UINT64_MAX};
	struct clew_buf where = {0};
	struct query q;
	size_t from, to;
	int r = query_begin(st, &q, ret_error);

	if (r < 0)
		return r;
	fi.q = &q;
	filter_look_through(&q, f, false, &from, &to);
	r = filter_where(st, f, &where, ret_error);
	fi.where = where.data;
	if (r == 0)
		r = f->sort == CLEW_SORT_DURATION ? find_longest(&fi, from, to, ret_error)
						  : find_newest(&fi, from, to, ret_error);
	query_end(&q);
	for (size_t i = 0; r == 0 && i < fi.n; i++)
		r = fn(user, &fi.found[i]);
	summary_free(&fi.seen);
	free(fi.found);
	clew_buf_done(&where);
	return r == -ENODATA ? 0 : r;
}
