/* SPDX-License-Identifier: Apache-2.0 */
/* Services and the map of who calls whom. */
#include <inttypes.h>

#include "store/internal.h"

/* "SELECT cols FROM all spans that began in [since, until]". */
static void all_spans(struct query *q, uint64_t since_ns, uint64_t until_ns, const char *cols,
		      struct clew_buf *out)
{
	size_t from, to;
	const char *sep = "";

	filter_hours(q, since_ns, until_ns, &from, &to);
	for (size_t i = from; i < to; i++)
		for (int hot = 0; hot < 2; hot++) {
			clew_buf_addf(out, "%sSELECT %s FROM %s.%s WHERE true", sep, cols,
				      q->parts[i].name, hot ? "hot" : "span");
			if (since_ns)
				clew_buf_addf(out, " AND start_ns >= %" PRIu64, since_ns);
			if (until_ns)
				clew_buf_addf(out, " AND start_ns <= %" PRIu64, until_ns);
			sep = " UNION ALL ";
		}
	if (!*sep)
		clew_buf_addf(out, "SELECT %s FROM c.no_spans", cols);
}

/* Together: three times quantile_disc() would sort three times. */
#define QUANTILES(what) "quantile_disc(" what ", [0.5, 0.95, 0.99])"

static uint64_t value(const struct duck_col *c, idx_t row)
{
	return duck_null(c, row) ? 0 : (uint64_t)((int64_t *)c->data)[row];
}

/* The three of a row; 0 where there were no values. */
static void quantiles(const struct duck_col *list, idx_t row, uint64_t *ret)
{
	const duckdb_list_entry *at = (const duckdb_list_entry *)list->data + row;
	const int64_t *v = duckdb_vector_get_data(duckdb_list_vector_get_child(list->vector));

	ret[0] = ret[1] = ret[2] = 0;
	for (uint64_t i = 0; !duck_null(list, row) && i < at->length && i < 3; i++)
		ret[i] = (uint64_t)v[at->offset + i];
}

/* ---- services ---- */

struct services {
	struct clew_store *st;
	clew_service_fn fn;
	void *user;
};

/* Distinct service.instance.id among resources; a process without one counts as itself. */
uint64_t count_instances(struct clew_store *st, const uint32_t *ids, uint64_t n_ids)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < n_ids; i++) {
		const struct clew_resource *a = names_resource_get(st, ids[i]);
		uint64_t k = 0;

		for (; k < i; k++) {
			const struct clew_resource *b = names_resource_get(st, ids[k]);

			if (a && b && a->instance.n && slice_eq(a->instance, b->instance))
				break;
		}
		n += k == i;
	}
	return n;
}

static uint64_t list_instances(struct clew_store *st, const duckdb_list_entry *list,
			       const uint32_t *ids)
{
	return count_instances(st, ids + list->offset, list->length);
}

static int give_services(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct services *sv = user;
	struct duck_col c[8];
	duckdb_vector ids;
	int r = 0;

	for (idx_t i = 0; i < 8; i++)
		c[i] = duck_col(chunk, i);
	ids = duckdb_list_vector_get_child(c[1].vector);
	for (idx_t i = 0; r == 0 && i < rows; i++) {
		struct clew_service_stats s = {
			.service = names_get(sv->st, DICT_SERVICE, ((uint32_t *)c[0].data)[i]),
			.spans = value(&c[2], i),
			.requests = value(&c[3], i),
			.errors = value(&c[4], i),
			.first_ns = value(&c[6], i),
			.last_ns = value(&c[7], i),
		};
		uint64_t q[3];

		quantiles(&c[5], i, q);
		s.p50_ns = q[0];
		s.p95_ns = q[1];
		s.p99_ns = q[2];
		if (!duck_null(&c[1], i))
			s.instances = list_instances(sv->st, (duckdb_list_entry *)c[1].data + i,
						     duckdb_vector_get_data(ids));
		r = sv->fn(sv->user, &s);
	}
	return r;
}

#define SERVER " FILTER (kind IN (2, 5))"

int clew_store_services(struct clew_store *st, uint64_t since_ns, uint64_t until_ns,
			clew_service_fn fn, void *user, char **ret_error)
{
	struct services sv = {st, fn, user};
	struct clew_buf sql = {0};
	struct query q;
	int r = query_begin(st, &q, ret_error);

	if (r < 0)
		return r;
	if (spans_between(&q, since_ns, until_ns) > st->opts.exact_spans) {
		r = rollup_services(&q, since_ns, until_ns, fn, user, ret_error);
		query_end(&q);
		return r;
	}
	clew_buf_adds(&sql,
		      "SELECT s.service, list(DISTINCT resource) FILTER (resource IS NOT NULL),"
		      " count(*), count(*)" SERVER
		      ", count(*) FILTER (kind IN (2, 5) AND status = 2), " QUANTILES("duration_ns")
			      SERVER ", min(start_ns), max(start_ns + duration_ns) FROM (");
	all_spans(&q, since_ns, until_ns, "service, resource, kind, status, duration_ns, start_ns",
		  &sql);
	clew_buf_adds(&sql, ") s JOIN c.service n ON s.service = n.id"
			    " GROUP BY s.service, n.name ORDER BY n.name");
	r = sql.err ? sql.err : query_each(&q, sql.data, give_services, &sv, ret_error);
	query_end(&q);
	clew_buf_done(&sql);
	return r;
}

/* ---- the map ---- */

struct edges {
	struct clew_store *st;
	clew_edge_fn fn;
	void *user;
	bool external; /* calls of which the other end was not seen */
};

/* client, server or peer, calls, errors, quantiles */
static int give_edge(struct edges *e, const struct duck_col *c, idx_t row, struct slice server,
		     bool external)
{
	struct clew_edge_stats s = {
		.server = server,
		.external = external,
		.calls = value(&c[2], row),
		.errors = value(&c[3], row),
	};
	uint64_t q[3];

	quantiles(&c[4], row, q);
	s.p50_ns = q[0];
	s.p95_ns = q[1];
	s.p99_ns = q[2];
	if (!duck_null(&c[0], row))
		s.client = names_get(e->st, DICT_SERVICE, ((uint32_t *)c[0].data)[row]);
	return e->fn(e->user, &s);
}

static int give_seen(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct edges *e = user;
	struct duck_col c[5];
	int r = 0;

	for (idx_t i = 0; i < 5; i++)
		c[i] = duck_col(chunk, i);
	for (idx_t i = 0; r == 0 && i < rows; i++) {
		if (duck_null(&c[1], i))
			e->external = true;
		else
			r = give_edge(e, c, i,
				      names_get(e->st, DICT_SERVICE, ((uint32_t *)c[1].data)[i]),
				      false);
	}
	return r;
}

static int give_external(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct edges *e = user;
	struct duck_col c[5];
	int r = 0;

	for (idx_t i = 0; i < 5; i++)
		c[i] = duck_col(chunk, i);
	for (idx_t i = 0; r == 0 && i < rows; i++)
		r = give_edge(e, c, i, duck_null(&c[1], i) ? SLICE("unknown") : duck_str(&c[1], i),
			      true);
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

/* Both ends of a call are one row where both were seen; the caller's time is what counts. */
static int seen_edges(struct query *q, uint64_t since_ns, uint64_t until_ns, struct edges *e,
		      char **ret_error)
{
	struct clew_buf sql = {0};
	int r;

	clew_buf_adds(&sql, "WITH a AS (");
	all_spans(q, since_ns, until_ns, "span_id, parent_id, service, status, kind, duration_ns",
		  &sql);
	clew_buf_adds(
		&sql,
		") SELECT c.service, s.service, count(*), count(*) FILTER"
		" (coalesce(c.status = 2, false) OR coalesce(s.status = 2, false)), " QUANTILES(
			"coalesce(c.duration_ns, s.duration_ns)") " FROM " CALLERS
								  " FULL JOIN " CALLED
								  " ON s.parent_id = c.span_id "
								  "GROUP BY ALL"
								  " ORDER BY c.service NULLS "
								  "FIRST, s.service");
	r = sql.err ? sql.err : query_each(q, sql.data, give_seen, e, ret_error);
	clew_buf_done(&sql);
	return r;
}

/* Calls of which only the caller was seen, by the peer's address. Attributes are read for this
 * only. */
static int external_edges(struct query *q, uint64_t since_ns, uint64_t until_ns, struct edges *e,
			  char **ret_error)
{
	static const char *const address[] = {"server.address", "network.peer.address", NULL};
	static const char *const port[] = {"server.port", "network.peer.port", NULL};
	struct clew_buf sql = {0};
	int r;

	clew_buf_adds(&sql, "WITH a AS (");
	all_spans(q, since_ns, until_ns,
		  "span_id, parent_id, service, status, kind, duration_ns, attr_keys, attr_values",
		  &sql);
	clew_buf_adds(&sql, "), b AS (SELECT service, status, duration_ns, ");
	attr_value(e->st, address, &sql);
	clew_buf_adds(&sql, " AS address, ");
	attr_value(e->st, port, &sql);
	clew_buf_adds(&sql,
		      " AS port FROM " CALLERS " ANTI JOIN " CALLED
		      " ON s.parent_id = c.span_id) SELECT service,"
		      " address || CASE WHEN port IS NULL THEN '' ELSE ':' || port END AS peer,"
		      " count(*), count(*) FILTER (status = 2), " QUANTILES(
			      "duration_ns") " FROM b GROUP BY ALL ORDER BY service, peer");
	r = sql.err ? sql.err : query_each(q, sql.data, give_external, e, ret_error);
	clew_buf_done(&sql);
	return r;
}

int clew_store_map(struct clew_store *st, uint64_t since_ns, uint64_t until_ns, clew_edge_fn fn,
		   void *user, char **ret_error)
{
	struct edges e = {st, fn, user, false};
	struct query q;
	int r = query_begin(st, &q, ret_error);

	if (r < 0)
		return r;
	if (spans_between(&q, since_ns, until_ns) > st->opts.exact_spans)
		r = rollup_map(&q, since_ns, until_ns, fn, user, ret_error);
	else
		r = seen_edges(&q, since_ns, until_ns, &e, ret_error);
	if (r == 0 && e.external)
		r = external_edges(&q, since_ns, until_ns, &e, ret_error);
	query_end(&q);
	return r;
}
