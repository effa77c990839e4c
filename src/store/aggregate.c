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

#define QUANTILES(what, filter)                                                        \
	"quantile_disc(" what ", 0.5)" filter ", quantile_disc(" what ", 0.95)" filter \
	", quantile_disc(" what ", 0.99)" filter

static uint64_t value(const struct duck_col *c, idx_t row)
{
	return duck_null(c, row) ? 0 : (uint64_t)((int64_t *)c->data)[row];
}

/* ---- services ---- */

struct services {
	struct clew_store *st;
	clew_service_fn fn;
	void *user;
};

/* Distinct service.instance.id among resources; a process without one counts as itself. */
static uint64_t count_instances(struct clew_store *st, const duckdb_list_entry *list,
				const uint32_t *ids)
{
	uint64_t n = 0;

	for (uint64_t i = list->offset; i < list->offset + list->length; i++) {
		const struct clew_resource *a = names_resource_get(st, ids[i]);
		uint64_t k = list->offset;

		for (; k < i; k++) {
			const struct clew_resource *b = names_resource_get(st, ids[k]);

			if (a && b && a->instance.n && slice_eq(a->instance, b->instance))
				break;
		}
		n += k == i;
	}
	return n;
}

static int give_services(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct services *sv = user;
	struct duck_col c[10];
	duckdb_vector ids;
	int r = 0;

	for (idx_t i = 0; i < 10; i++)
		c[i] = duck_col(chunk, i);
	ids = duckdb_list_vector_get_child(c[1].vector);
	for (idx_t i = 0; r == 0 && i < rows; i++) {
		struct clew_service_stats s = {
			.service = names_get(sv->st, DICT_SERVICE, ((uint32_t *)c[0].data)[i]),
			.spans = value(&c[2], i),
			.requests = value(&c[3], i),
			.errors = value(&c[4], i),
			.p50_ns = value(&c[5], i),
			.p95_ns = value(&c[6], i),
			.p99_ns = value(&c[7], i),
			.first_ns = value(&c[8], i),
			.last_ns = value(&c[9], i),
		};

		if (!duck_null(&c[1], i))
			s.instances = count_instances(sv->st, (duckdb_list_entry *)c[1].data + i,
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
	clew_buf_adds(&sql,
		      "SELECT s.service, list(DISTINCT resource) FILTER (resource IS NOT NULL),"
		      " count(*), count(*)" SERVER
		      ", count(*) FILTER (kind IN (2, 5) AND status = 2), " QUANTILES(
			      "duration_ns",
			      SERVER) ", min(start_ns), max(start_ns + duration_ns) FROM (");
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
};

static int give_edges(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct edges *e = user;
	struct duck_col c[8];
	int r = 0;

	for (idx_t i = 0; i < 8; i++)
		c[i] = duck_col(chunk, i);
	for (idx_t i = 0; r == 0 && i < rows; i++) {
		struct clew_edge_stats s = {
			.external = duck_null(&c[1], i),
			.calls = value(&c[3], i),
			.errors = value(&c[4], i),
			.p50_ns = value(&c[5], i),
			.p95_ns = value(&c[6], i),
			.p99_ns = value(&c[7], i),
		};

		if (!duck_null(&c[0], i))
			s.client = names_get(e->st, DICT_SERVICE, ((uint32_t *)c[0].data)[i]);
		if (!s.external)
			s.server = names_get(e->st, DICT_SERVICE, ((uint32_t *)c[1].data)[i]);
		else if (!duck_null(&c[2], i))
			s.server = duck_str(&c[2], i);
		else
			s.server = SLICE("unknown");
		r = e->fn(e->user, &s);
	}
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

int clew_store_map(struct clew_store *st, uint64_t since_ns, uint64_t until_ns, clew_edge_fn fn,
		   void *user, char **ret_error)
{
	static const char *const address[] = {"server.address", "network.peer.address", NULL};
	static const char *const port[] = {"server.port", "network.peer.port", NULL};
	struct edges e = {st, fn, user};
	struct clew_buf cols = {0}, sql = {0};
	struct query q;
	int r = query_begin(st, &q, ret_error);

	if (r < 0)
		return r;
	clew_buf_adds(&cols, "span_id, parent_id, service, status, kind, duration_ns, ");
	attr_value(st, address, &cols);
	clew_buf_adds(&cols, " AS address, ");
	attr_value(st, port, &cols);
	clew_buf_adds(&cols, " AS port");
	clew_buf_adds(&sql, "WITH a AS (");
	all_spans(&q, since_ns, until_ns, cols.data, &sql);
	/* Both ends of a call are one row where both were seen; the caller's time is what counts.
	 */
	clew_buf_adds(
		&sql,
		"), b AS (SELECT c.service AS client, s.service AS server,"
		" CASE WHEN s.span_id IS NULL THEN"
		"  c.address || CASE WHEN c.port IS NULL THEN '' ELSE ':' || c.port END END"
		"  AS peer,"
		" coalesce(c.duration_ns, s.duration_ns) AS d,"
		" coalesce(c.status = 2, false) OR coalesce(s.status = 2, false) AS failed"
		" FROM (SELECT * FROM a WHERE kind IN (3, 4)) c"
		" FULL JOIN (SELECT * FROM a WHERE kind IN (2, 5)) s"
		" ON s.parent_id = c.span_id)"
		" SELECT client, server, peer, count(*), count(*) FILTER (failed), " QUANTILES(
			"d", "") " FROM b GROUP BY client, server, peer"
				 " ORDER BY client NULLS FIRST, server NULLS LAST, peer");
	r = sql.err ? sql.err : cols.err;
	if (r == 0)
		r = query_each(&q, sql.data, give_edges, &e, ret_error);
	query_end(&q);
	clew_buf_done(&sql);
	clew_buf_done(&cols);
	return r;
}
