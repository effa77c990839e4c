/* SPDX-License-Identifier: Apache-2.0 */
/* One trace by its id, and ids by their beginning. */
#include <inttypes.h>

#include "store/internal.h"

/* Spans of a trace that are sorted in memory; of a larger one the engine gives them in order. */
#define MAX_SORTED 10000u

#define OLDEST_FIRST " ORDER BY start_ns, span_id"

struct giving {
	struct clew_store *st;
	struct clew_id128 id; /* canonical */
	struct clew_span **v;
	size_t n, cap;
	bool more; /* than MAX_SORTED: not all are in v */
};

struct giving_large {
	struct clew_store *st;
	struct clew_id128 id;
	clew_span_fn fn;
	void *user;
};

static int keep(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct giving *g = user;

	for (idx_t i = 0; i < rows; i++) {
		struct clew_span *s;

		g->more = g->n == MAX_SORTED;
		if (g->more)
			return 1;
		if (g->n == g->cap) {
			size_t cap = g->cap ? g->cap * 2 : 32;
			struct clew_span **v = realloc(g->v, cap * sizeof(*v));

			if (!v)
				return -ENOMEM;
			g->v = v;
			g->cap = cap;
		}
		s = read_span(g->st, chunk, i);
		if (!s)
			return -ENOMEM;
		if (clew_id128_eq(&s->trace_id, &g->id))
			g->v[g->n++] = s;
		else
			clew_span_free(s); /* the same hash, another trace */
	}
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct clew_span *x = *(struct clew_span *const *)a,
			       *y = *(struct clew_span *const *)b;

	if (x->start_ns != y->start_ns)
		return x->start_ns < y->start_ns ? -1 : 1;
	return memcmp(&x->span_id, &y->span_id, sizeof(x->span_id));
}

/* All rows of some traces, with these columns; extra: more conditions, where t stands for all of these
 * rows, and the order; "": none. */
static int each_row(struct clew_store *st, const struct clew_id128 *ids, size_t n, const char *cols,
		    const char *extra, duck_chunk_fn fn, void *user, char **ret_error)
{
	struct clew_buf rows = {0}, sql = {0};
	struct trace_list list = {0};
	struct query q;
	int r = query_begin(st, &q, ret_error);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = trace_list_add(&list, st, ids[i]);
	if (r == 0)
		r = filter_traces(&q, 0, q.n_parts, &list, cols, &rows, ret_error);
	if (*extra && rows.len)
		clew_buf_addf(&sql, "WITH t AS (%s) SELECT * FROM t%s", rows.data, extra);
	if (r == 0 && rows.len)
		r = sql.err ? sql.err
			    : query_each(&q, *extra ? sql.data : rows.data, fn, user, ret_error);
	query_end(&q);
	clew_buf_done(&rows);
	clew_buf_done(&sql);
	trace_list_done(&list);
	return r;
}

static void giving_done(struct giving *g)
{
	while (g->n)
		clew_span_free(g->v[--g->n]);
	free(g->v);
}

static int give(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct giving_large *l = user;
	int r = 0;

	for (idx_t i = 0; r == 0 && i < rows; i++) {
		struct clew_span *s = read_span(l->st, chunk, i);

		if (s && !clew_id128_eq(&s->trace_id, &l->id))
			clew_span_free(s);
		else
			r = s ? l->fn(l->user, s) : -ENOMEM;
	}
	return r;
}

static int get_large(struct giving *g, clew_span_fn fn, void *user, char **ret_error)
{
	struct giving_large l = {g->st, g->id, fn, user};

	giving_done(g);
	return each_row(l.st, &l.id, 1, "*", OLDEST_FIRST, give, &l, ret_error);
}

/* A short list is sorted here: to plan it costs the engine more. */
int clew_store_get_trace(struct clew_store *st, const struct clew_id128 *id, clew_span_fn fn,
			 void *user, char **ret_error)
{
	struct giving g = {.st = st, .id = alias_canonical(st, *id)};
	int r = each_row(st, &g.id, 1, "*", "", keep, &g, ret_error);
	size_t given = 0;

	if (r == 0 && g.more)
		return get_large(&g, fn, user, ret_error);
	if (g.n)
		qsort(g.v, g.n, sizeof(*g.v), by_start);
	while (r == 0 && given < g.n)
		r = fn(user, g.v[given++]);
	if (r == 0 && !g.n)
		r = -ENOENT;
	while (given < g.n)
		clew_span_free(g.v[given++]);
	g.n = 0;
	giving_done(&g);
	return r;
}

int clew_store_get_span(struct clew_store *st, const struct clew_id128 *id,
			const struct clew_id64 *span_id, struct clew_span **ret, char **ret_error)
{
	struct giving g = {.st = st, .id = alias_canonical(st, *id)};
	char only[64];
	int r;

	snprintf(only, sizeof(only), " WHERE span_id = %" PRIu64, id64_int(span_id));
	r = each_row(st, &g.id, 1, "*", only, keep, &g, ret_error);
	if (r == 0 && !g.n)
		r = -ENOENT;
	if (r == 0)
		*ret = g.v[--g.n];
	giving_done(&g);
	return r;
}

/* ---- rows without attributes ---- */

#define ROW_COLUMNS                                                                              \
	"trace_id, span_id, parent_id, start_ns, duration_ns, service, operation, kind, "        \
	"status, link_class, incomplete, cpu_ns, runq_ns, futex_ns, disk_ns, net_ns, sleep_ns, " \
	"other_ns, link_traces, link_spans, link_confidences"
#define N_ROW_COLUMNS 21

struct giving_rows {
	struct clew_store *st;
	const struct clew_id128 *ids; /* canonical */
	size_t n_ids;
	clew_trace_row_fn fn;
	void *user;
	uint64_t n;
};

static int64_t time_at(const struct duck_col *c, idx_t row)
{
	return duck_null(c, row) ? -1 : ((int64_t *)c->data)[row];
}

/* The links of a row; c: traces, spans, confidences. */
static uint32_t read_row_links(const struct duck_col *c, idx_t row, struct clew_span_link *out)
{
	const duckdb_list_entry *at = (const duckdb_list_entry *)c[0].data + row;
	const duckdb_uhugeint *traces;
	const uint64_t *spans;
	const float *conf;
	uint32_t n = 0;

	if (duck_null(&c[0], row) || duck_null(&c[1], row) || duck_null(&c[2], row))
		return 0;
	traces = duckdb_vector_get_data(duckdb_list_vector_get_child(c[0].vector));
	spans = duckdb_vector_get_data(duckdb_list_vector_get_child(c[1].vector));
	conf = duckdb_vector_get_data(duckdb_list_vector_get_child(c[2].vector));
	spans += ((const duckdb_list_entry *)c[1].data)[row].offset;
	conf += ((const duckdb_list_entry *)c[2].data)[row].offset;
	for (; n < at->length && n < CLEW_SPAN_MAX_LINKS; n++)
		out[n] = (struct clew_span_link){.trace_id = huge_id128(traces[at->offset + n]),
						 .span_id = int_id64(spans[n]),
						 .confidence = conf[n]};
	return n;
}

static bool is_wanted(const struct giving_rows *g, const struct clew_id128 *id)
{
	for (size_t i = 0; i < g->n_ids; i++)
		if (clew_id128_eq(&g->ids[i], id))
			return true;
	return false;
}

static int give_rows(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct clew_span_link links[CLEW_SPAN_MAX_LINKS];
	struct duck_col c[N_ROW_COLUMNS];
	struct giving_rows *g = user;
	int r = 0;

	for (idx_t i = 0; i < N_ROW_COLUMNS; i++)
		c[i] = duck_col(chunk, i);
	for (idx_t i = 0; r == 0 && i < rows; i++) {
		struct clew_id128 id =
			alias_canonical(g->st, huge_id128(((duckdb_uhugeint *)c[0].data)[i]));
		struct clew_trace_row row = {
			.trace_id = id,
			.span_id = int_id64(((uint64_t *)c[1].data)[i]),
			.parent_id = int_id64(duck_null(&c[2], i) ? 0 : ((uint64_t *)c[2].data)[i]),
			.start_ns = (uint64_t)((int64_t *)c[3].data)[i],
			.duration_ns = (uint64_t)((int64_t *)c[4].data)[i],
			.service = names_get(g->st, DICT_SERVICE, ((uint32_t *)c[5].data)[i]),
			.name = names_get(g->st, DICT_OPERATION, ((uint32_t *)c[6].data)[i]),
			.kind = ((uint8_t *)c[7].data)[i],
			.status = ((uint8_t *)c[8].data)[i],
			.link_class = ((uint8_t *)c[9].data)[i],
			.incomplete = ((uint32_t *)c[10].data)[i],
			.times = {.cpu_ns = time_at(&c[11], i),
				  .runq_ns = time_at(&c[12], i),
				  .futex_ns = time_at(&c[13], i),
				  .disk_ns = time_at(&c[14], i),
				  .net_ns = time_at(&c[15], i),
				  .sleep_ns = time_at(&c[16], i),
				  .other_ns = time_at(&c[17], i)},
			.links = links,
		};

		if (!is_wanted(g, &id))
			continue; /* the same hash, another trace */
		if (row.link_class == CLEW_LINK_ORPHAN)
			row.n_links = read_row_links(c + 18, i, links);
		g->n++;
		r = g->fn(g->user, &row);
	}
	return r;
}

int clew_store_many_rows(struct clew_store *st, const struct clew_id128 *ids, size_t n,
			 clew_trace_row_fn fn, void *user, char **ret_error)
{
	_cleanup_(freep) struct clew_id128 *own = calloc(n ? n : 1, sizeof(*own));
	struct giving_rows g = {st, own, n, fn, user, 0};

	if (!own)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		own[i] = alias_canonical(st, ids[i]);
	return n ? each_row(st, own, n, ROW_COLUMNS, OLDEST_FIRST, give_rows, &g, ret_error) : 0;
}

int clew_store_trace_rows(struct clew_store *st, const struct clew_id128 *id, clew_trace_row_fn fn,
			  void *user, char **ret_error)
{
	struct clew_id128 own = alias_canonical(st, *id);
	struct giving_rows g = {st, &own, 1, fn, user, 0};
	int r = each_row(st, &own, 1, ROW_COLUMNS, OLDEST_FIRST, give_rows, &g, ret_error);

	return r < 0 ? r : g.n ? 0 : -ENOENT;
}

struct giving_many {
	struct clew_store *st;
	clew_span_fn fn;
	void *user;
};

static int give_many(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct giving_many *g = user;
	int r = 0;

	for (idx_t i = 0; r == 0 && i < rows; i++) {
		struct clew_span *s = read_span(g->st, chunk, i);

		r = s ? g->fn(g->user, s) : -ENOMEM;
	}
	return r;
}

int clew_store_many_spans(struct clew_store *st, const struct clew_id128 *ids, size_t n,
			  clew_span_fn fn, void *user, char **ret_error)
{
	struct giving_many g = {st, fn, user};

	return n ? each_row(st, ids, n, "*", OLDEST_FIRST, give_many, &g, ret_error) : 0;
}

int clew_store_match_spans(struct clew_store *st, const struct clew_id128 *ids, size_t n,
			   const struct clew_span_filter *f, clew_span_fn fn, void *user,
			   char **ret_error)
{
	struct giving_many g = {st, fn, user};
	struct clew_buf where = {0};
	int r;

	clew_buf_adds(&where, " WHERE ");
	r = filter_where(st, f, &where, ret_error);
	if (f->root)
		clew_buf_adds(&where,
			      " AND (parent_id IS NULL OR (kind IN (2, 5) AND (trace_id, parent_id)"
			      " NOT IN (SELECT trace_id, span_id FROM t)))");
	clew_buf_adds(&where, OLDEST_FIRST);
	if (r == 0 && n)
		r = where.err ? where.err
			      : each_row(st, ids, n, "*", where.data, give_many, &g, ret_error);
	clew_buf_done(&where);
	return r == -ENODATA ? 0 : r;
}

/* ---- by the beginning of an id ---- */

struct matching {
	struct clew_store *st;
	struct clew_id128 *ids;
	size_t n, max;
};

static void match_add(struct matching *m, struct clew_id128 id)
{
	id = alias_canonical(m->st, id);
	for (size_t i = 0; i < m->n; i++)
		if (clew_id128_eq(&m->ids[i], &id))
			return;
	if (m->n < m->max)
		m->ids[m->n++] = id;
}

static int match_rows(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct matching *m = user;
	struct duck_col id = duck_col(chunk, 0);

	for (idx_t i = 0; i < rows; i++)
		match_add(m, huge_id128(((duckdb_uhugeint *)id.data)[i]));
	return m->n < m->max ? 0 : 1;
}

/* The first and the last id with these digits. */
static int id_range(struct slice prefix, struct clew_id128 *ret_lo, struct clew_id128 *ret_hi)
{
	char lo[33], hi[33];

	if (!prefix.n || prefix.n > 32)
		return -EINVAL;
	memset(lo, '0', sizeof(lo));
	memset(hi, 'f', sizeof(hi));
	memcpy(lo, prefix.p, prefix.n);
	memcpy(hi, prefix.p, prefix.n);
	if (clew_unhex(lo, 32, ret_lo->b, 16) < 0 || clew_unhex(hi, 32, ret_hi->b, 16) < 0)
		return -EINVAL;
	return 0;
}

static void match_aliases(struct matching *m, const struct clew_id128 *lo,
			  const struct clew_id128 *hi)
{
	struct clew_store *st = m->st;

	for (size_t i = 0;; i++) {
		struct clew_id128 id;
		bool more;

		pthread_mutex_lock(&st->state_lock);
		more = i < st->aliases.n;
		if (more)
			id = st->aliases.rows[i].trace_id;
		pthread_mutex_unlock(&st->state_lock);
		if (!more)
			break;
		if (memcmp(&id, lo, 16) >= 0 && memcmp(&id, hi, 16) <= 0)
			match_add(m, id);
	}
}

int clew_store_match_ids(struct clew_store *st, struct slice prefix, struct clew_id128 *ret_ids,
			 size_t max, char **ret_error)
{
	struct matching m = {st, ret_ids, 0, max};
	struct clew_id128 lo, hi;
	char lo_text[64], hi_text[64], sql[512];
	const char *from, *to;
	struct query q;
	int r = id_range(prefix, &lo, &hi);

	if (r < 0)
		return set_error(ret_error, r,
				 "'%.*s' is not the beginning of a trace id: 1 to 32 hexadecimal "
				 "digits",
				 (int)(prefix.n < 64 ? prefix.n : 64), prefix.p);
	match_aliases(&m, &lo, &hi);
	r = query_begin(st, &q, ret_error);
	if (r < 0)
		return r;
	from = huge_sql(&lo, lo_text);
	to = huge_sql(&hi, hi_text);
	for (size_t i = q.n_parts; r == 0 && i > 0 && m.n < max; i--) {
		const struct part_ref *p = &q.parts[i - 1];

		snprintf(sql, sizeof(sql),
			 "SELECT DISTINCT trace_id FROM (SELECT trace_id FROM %s.span WHERE "
			 "trace_id BETWEEN %s AND %s UNION ALL SELECT trace_id FROM %s WHERE "
			 "trace_id BETWEEN %s AND %s)",
			 p->name, from, to, p->hot, from, to);
		r = query_each(&q, sql, match_rows, &m, ret_error);
	}
	query_end(&q);
	return r < 0 ? r : (int)m.n;
}
