/* SPDX-License-Identifier: Apache-2.0 */
/* One trace by its id, and ids by their beginning. */
#include <inttypes.h>

#include "store/internal.h"

struct giving {
	struct clew_store *st;
	struct clew_id128 id; /* canonical */
	clew_span_fn fn;
	void *user;
	uint64_t n;
};

static int give(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct giving *g = user;

	for (idx_t i = 0; i < rows; i++) {
		struct clew_span *s = read_span(g->st, chunk, i);
		int r;

		if (s && !clew_id128_eq(&s->trace_id, &g->id)) {
			clew_span_free(s); /* the same hash, another trace */
			continue;
		}
		r = s ? g->fn(g->user, s) : -ENOMEM;
		if (r < 0)
			return r;
		g->n++;
	}
	return 0;
}

int clew_store_get_trace(struct clew_store *st, const struct clew_id128 *id, clew_span_fn fn,
			 void *user, char **ret_error)
{
	struct giving g = {st, alias_canonical(st, *id), fn, user, 0};
	struct trace_list list = {0};
	struct clew_buf sql = {0};
	struct query q;
	int r = query_begin(st, &q, ret_error);

	if (r < 0)
		return r;
	r = trace_list_add(&list, st, g.id);
	for (size_t i = 0; r == 0 && i < q.n_parts; i++) {
		clew_buf_adds(&sql, i ? " UNION ALL " : "SELECT * FROM (");
		r = filter_traces(&q, &q.parts[i], &list, "*", &sql, ret_error);
	}
	clew_buf_adds(&sql, ") ORDER BY start_ns, span_id");
	if (r == 0 && q.n_parts)
		r = sql.err ? sql.err : query_each(&q, sql.data, give, &g, ret_error);
	query_end(&q);
	clew_buf_done(&sql);
	trace_list_done(&list);
	return r < 0 ? r : g.n ? 0 : -ENOENT;
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
		const char *name = q.parts[i - 1].name;

		snprintf(sql, sizeof(sql),
			 "SELECT DISTINCT trace_id FROM (SELECT trace_id FROM %s.span WHERE "
			 "trace_id "
			 "BETWEEN %s AND %s UNION ALL SELECT trace_id FROM %s.hot WHERE trace_id "
			 "BETWEEN %s AND %s)",
			 name, from, to, name, from, to);
		r = query_each(&q, sql, match_rows, &m, ret_error);
	}
	query_end(&q);
	return r < 0 ? r : (int)m.n;
}
