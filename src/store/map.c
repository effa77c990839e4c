/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map of who calls whom: from the spans of a small window, from rollups of a large one (rollup_ask.c).
 * Memory goes with how many edges are wanted.
 */
#include <inttypes.h>

#include "store/internal.h"

void spans_of(struct query *q, uint64_t since_ns, uint64_t until_ns, const char *cols,
	      const char *where, struct clew_buf *out)
{
	size_t from, to;
	const char *sep = "";

	filter_hours(q, since_ns, until_ns, &from, &to);
	for (size_t i = from; i < to; i++)
		for (int hot = 0; hot < 2; hot++) {
			clew_buf_addf(out, "%sSELECT %s FROM %s%s WHERE %s%s", sep, cols,
				      hot ? q->parts[i].hot : q->parts[i].name, hot ? "" : ".span",
				      where, not_gone(&q->parts[i]));
			if (since_ns)
				clew_buf_addf(out, " AND start_ns >= %" PRIu64, since_ns);
			if (until_ns)
				clew_buf_addf(out, " AND start_ns <= %" PRIu64, until_ns);
			sep = " UNION ALL ";
		}
	if (!*sep)
		clew_buf_addf(out, "SELECT %s FROM c.no_spans", cols);
}

/* ---- the edges that are wanted ---- */

/* Callers that are not traced first, peers that are not last. */
static int by_ends(const void *a, const void *b)
{
	const struct map_edge *x = a, *y = b;

	if (x->s.external != y->s.external)
		return x->s.external ? 1 : -1;
	if (x->client != y->client)
		return x->client + 1 < y->client + 1 ? -1 : 1;
	if (x->server != y->server)
		return x->server < y->server ? -1 : 1;
	return x->s.external ? slice_order(x->s.server, y->s.server) : 0;
}

static int by_calls(const void *a, const void *b)
{
	const struct map_edge *x = a, *y = b;

	if (x->s.calls != y->s.calls)
		return x->s.calls > y->s.calls ? -1 : 1;
	return by_ends(a, b);
}

static void edge_done(struct map_edge *e)
{
	if (e->s.external)
		free((char *)(uintptr_t)e->s.server.p);
}

static void keep_best(struct map_edges *l)
{
	if (l->n <= l->limit)
		return;
	qsort(l->v, l->n, sizeof(*l->v), by_calls);
	while (l->n > l->limit)
		edge_done(&l->v[--l->n]);
}

int map_add(struct map_edges *l, uint32_t client, uint32_t server, struct slice peer,
	    const struct clew_edge_stats *figures)
{
	struct map_edge e = {.client = client, .server = server, .s = *figures};
	char *copy;

	l->total++;
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct map_edge *v;

		if (l->cap >= 2 * l->limit)
			keep_best(l);
		else if (!(v = realloc(l->v, cap * sizeof(*v))))
			return -ENOMEM;
		else {
			l->v = v;
			l->cap = cap;
		}
	}
	e.s.external = server == NO_SERVICE;
	if (client != NO_SERVICE)
		e.s.client = names_get(l->st, DICT_SERVICE, client);
	if (e.s.external) {
		peer = peer.n ? peer : SLICE("unknown");
		copy = strndup(peer.p, peer.n);
		if (!copy)
			return -ENOMEM;
		e.s.server = slice_of(copy, peer.n);
	} else {
		e.s.server = names_get(l->st, DICT_SERVICE, server);
	}
	l->v[l->n++] = e;
	return 0;
}

static int give_edges(struct map_edges *l, clew_edge_fn fn, void *user)
{
	int r = 0;

	keep_best(l);
	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), by_ends);
	for (size_t i = 0; r == 0 && i < l->n; i++)
		r = fn(user, &l->v[i].s);
	return r;
}

/* ---- from spans ---- */

/* Together: three times quantile_disc() would sort three times. */
#define QUANTILES(what) "quantile_disc(" what ", [0.5, 0.95, 0.99])"

struct exact {
	struct map_edges *edges;
	bool external; /* there are calls of which the other end was not seen */
};

/* client, server or peer, calls, errors, quantiles */
static int add_row(struct exact *x, const struct duck_col *c, idx_t row, uint32_t server,
		   struct slice peer)
{
	const duckdb_list_entry *at = (const duckdb_list_entry *)c[4].data + row;
	const int64_t *v = duckdb_vector_get_data(duckdb_list_vector_get_child(c[4].vector));
	struct clew_edge_stats s = {
		.calls = (uint64_t)((int64_t *)c[2].data)[row],
		.errors = (uint64_t)((int64_t *)c[3].data)[row],
	};

	if (!duck_null(&c[4], row) && at->length == 3) {
		s.p50_ns = (uint64_t)v[at->offset];
		s.p95_ns = (uint64_t)v[at->offset + 1];
		s.p99_ns = (uint64_t)v[at->offset + 2];
	}
	return map_add(x->edges, duck_null(&c[0], row) ? NO_SERVICE : ((uint32_t *)c[0].data)[row],
		       server, peer, &s);
}

static int add_seen(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct exact *x = user;
	struct duck_col c[5];
	int r = 0;

	for (idx_t i = 0; i < 5; i++)
		c[i] = duck_col(chunk, i);
	for (idx_t i = 0; r == 0 && i < rows; i++) {
		if (duck_null(&c[1], i))
			x->external = true;
		else
			r = add_row(x, c, i, ((uint32_t *)c[1].data)[i], slice_of(NULL, 0));
	}
	return r;
}

static int add_external(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col c[5];
	int r = 0;

	for (idx_t i = 0; i < 5; i++)
		c[i] = duck_col(chunk, i);
	for (idx_t i = 0; r == 0 && i < rows; i++)
		r = add_row(user, c, i, NO_SERVICE,
			    duck_null(&c[1], i) ? slice_of(NULL, 0) : duck_str(&c[1], i));
	return r;
}

/* An expression: the value of the first of these attributes that a span has. */
static void attr_value(struct clew_store *st, const char *const *names, struct clew_buf *out)
{
	uint32_t id;

	clew_buf_adds(out, "coalesce(NULL");
	for (; *names; names++)
		for (uint8_t type = CLEW_ATTR_STR; type <= CLEW_ATTR_INT; type++)
			if (!dict_find(&st->dicts[DICT_KEY], slice_str(*names), type, &id))
				clew_buf_addf(out, ", attr_values[list_position(attr_keys, %u)]",
					      id);
	clew_buf_adds(out, ", NULL)::VARCHAR");
}

#define CALLERS "(SELECT * FROM a WHERE kind IN (3, 4)) c"
#define CALLED	"(SELECT * FROM a WHERE kind IN (2, 5)) s"
/* A span's id is its trace's own matter. */
#define SAME_CALL " ON s.trace_id = c.trace_id AND s.parent_id = c.span_id"

/* Both ends of a call are one row where both were seen; the caller's time is what counts. */
static int seen_edges(struct query *q, uint64_t since_ns, uint64_t until_ns, struct exact *x,
		      char **ret_error)
{
	struct clew_buf sql = {0};
	int r;

	clew_buf_adds(&sql, "WITH a AS (");
	spans_of(q, since_ns, until_ns,
		 "trace_id, span_id, parent_id, service, status, kind, duration_ns", "true", &sql);
	clew_buf_adds(
		&sql,
		") SELECT c.service, s.service, count(*), count(*) FILTER"
		" (coalesce(c.status = 2, false) OR coalesce(s.status = 2, false)), " QUANTILES(
			"coalesce(c.duration_ns, s.duration_ns)") " FROM " CALLERS
								  " FULL JOIN " CALLED SAME_CALL
								  " GROUP BY ALL");
	r = sql.err ? sql.err : query_each(q, sql.data, add_seen, x, ret_error);
	clew_buf_done(&sql);
	return r;
}

/* Calls of which only the caller was seen, by the peer's address. Attributes are read for this
 * only. */
static int external_edges(struct query *q, uint64_t since_ns, uint64_t until_ns, struct exact *x,
			  char **ret_error)
{
	static const char *const address[] = {"server.address", "network.peer.address", NULL};
	static const char *const port[] = {"server.port", "network.peer.port", NULL};
	struct clew_buf sql = {0};
	int r;

	clew_buf_adds(&sql, "WITH a AS (");
	spans_of(q, since_ns, until_ns,
		 "trace_id, span_id, parent_id, service, status, kind, duration_ns, attr_keys,"
		 " attr_values",
		 "true", &sql);
	clew_buf_adds(&sql, "), b AS (SELECT service, status, duration_ns, ");
	attr_value(q->st, address, &sql);
	clew_buf_adds(&sql, " AS address, ");
	attr_value(q->st, port, &sql);
	clew_buf_adds(&sql,
		      " AS port FROM " CALLERS " ANTI JOIN " CALLED SAME_CALL ") SELECT service,"
		      " address || CASE WHEN port IS NULL THEN '' ELSE ':' || port END AS peer,"
		      " count(*), count(*) FILTER (status = 2), " QUANTILES(
			      "duration_ns") " FROM b GROUP BY ALL");
	r = sql.err ? sql.err : query_each(q, sql.data, add_external, x, ret_error);
	clew_buf_done(&sql);
	return r;
}

int clew_store_map(struct clew_store *st, uint64_t since_ns, uint64_t until_ns, uint64_t limit,
		   uint64_t *ret_total, clew_edge_fn fn, void *user, char **ret_error)
{
	struct map_edges l = {.st = st, .limit = CLEW_STORE_MAX_EDGES};
	struct exact x = {&l, false};
	struct query q;
	int r = query_begin(st, &q, ret_error);

	if (r < 0)
		return r;
	if (limit && limit < l.limit)
		l.limit = (size_t)limit;
	if (spans_between(&q, since_ns, until_ns) > st->opts.exact_spans)
		r = rollup_map(&q, since_ns, until_ns, &l, ret_error);
	else
		r = seen_edges(&q, since_ns, until_ns, &x, ret_error);
	if (r == 0 && x.external)
		r = external_edges(&q, since_ns, until_ns, &x, ret_error);
	query_end(&q);
	if (r == 0)
		r = give_edges(&l, fn, user);
	if (r == 0 && ret_total)
		*ret_total = l.total;
	for (size_t i = 0; i < l.n; i++)
		edge_done(&l.v[i]);
	free(l.v);
	return r;
}
