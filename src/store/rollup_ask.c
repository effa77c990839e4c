/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services and the map from rollups. What is in no rollup is summed up as it is sealed: by a digest, or
 * by the same statement.
 */
#include <inttypes.h>

#include "store/digest.h"

#define MINUTE_NS INT64_C(60000000000)

/* ---- a digest of what is in no rollup ---- */

static int add_rows(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	return digest_add(user, chunk, 0, rows, false, NULL);
}

int digest_beside(struct query *q, size_t from, size_t to, struct digest **ret, char **ret_error)
{
	struct digest *d = digest_new(q->st, false);
	int r = d ? query_digested(q, from, to, ret_error) : -ENOMEM;

	for (size_t i = from; r == 0 && i < to; i++) {
		const struct part_ref *p = &q->parts[i];
		struct clew_buf rows = {0}, ids = {0};
		const char *sep = "";

		beside_rollups(p, DIGEST_COLUMNS, "true", &rows, &sep);
		sep = "";
		beside_rollups(p, "trace_id", "true", &ids, &sep);
		if (rows.len) {
			r = rows.err ? rows.err : query_each(q, rows.data, add_rows, d, ret_error);
			if (r == 0)
				r = ids.err ? ids.err
					    : rollup_continue(q, d, ids.data, p->hour, ret_error);
		}
		clew_buf_done(&rows);
		clew_buf_done(&ids);
	}
	if (r == 0)
		r = digest_finish(d);
	if (r < 0)
		digest_free(d);
	else
		*ret = d;
	return r;
}

/* ---- services ---- */

struct service {
	uint32_t id;
	uint64_t spans, requests, errors, first_ns, last_ns;
	uint64_t *counts;
	uint32_t *resources;
	uint64_t n_resources, cap_resources;
};

struct services {
	struct query *q;
	struct service *v; /* by id: the catalog's ids are dense */
	uint32_t n;
};

static struct service *service_at(struct services *s, uint32_t id)
{
	if (id >= s->n) {
		uint32_t n = id * 2 + 16;
		struct service *v = realloc(s->v, n * sizeof(*v));

		if (!v)
			return NULL;
		memset(v + s->n, 0, (n - s->n) * sizeof(*v));
		s->v = v;
		s->n = n;
	}
	return &s->v[id];
}

static int keep_seen(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct services *s = user;
	struct duck_col c[5];

	for (idx_t i = 0; i < 5; i++)
		c[i] = duck_col(chunk, i);
	for (idx_t i = 0; i < rows; i++) {
		struct service *sv = service_at(s, ((uint32_t *)c[0].data)[i]);
		uint64_t first = (uint64_t)((int64_t *)c[3].data)[i];
		uint64_t last = (uint64_t)((int64_t *)c[4].data)[i];

		if (!sv)
			return -ENOMEM;
		sv->first_ns = !sv->first_ns || first < sv->first_ns ? first : sv->first_ns;
		sv->last_ns = last > sv->last_ns ? last : sv->last_ns;
		if (duck_null(&c[1], i))
			continue;
		if (sv->n_resources == sv->cap_resources) {
			uint64_t cap = sv->cap_resources ? sv->cap_resources * 2 : 8;
			uint32_t *ids = realloc(sv->resources, cap * sizeof(*ids));

			if (!ids)
				return -ENOMEM;
			sv->resources = ids;
			sv->cap_resources = cap;
		}
		sv->resources[sv->n_resources++] = ((uint32_t *)c[1].data)[i];
	}
	return 0;
}

static int keep_red(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct services *s = user;
	struct duck_col c[5];

	for (idx_t i = 0; i < 5; i++)
		c[i] = duck_col(chunk, i);
	for (idx_t i = 0; i < rows; i++) {
		struct service *sv = service_at(s, ((uint32_t *)c[0].data)[i]);
		uint64_t n = (uint64_t)((int64_t *)c[3].data)[i];

		if (sv && !sv->counts)
			sv->counts = calloc(CLEW_LATENCY_BUCKETS, sizeof(*sv->counts));
		if (!sv || !sv->counts)
			return -ENOMEM;
		sv->spans += n;
		if (!((bool *)c[1].data)[i])
			continue;
		sv->requests += n;
		sv->errors += (uint64_t)((int64_t *)c[4].data)[i];
		sv->counts[((uint8_t *)c[2].data)[i]] += n;
	}
	return 0;
}

static void add_times(uint64_t since_ns, uint64_t until_ns, struct clew_buf *out)
{
	clew_buf_adds(out, "true");
	if (since_ns)
		clew_buf_addf(out, " AND start_ns >= %" PRIu64, since_ns);
	if (until_ns)
		clew_buf_addf(out, " AND start_ns <= %" PRIu64, until_ns);
}

static void add_minutes(uint64_t since_ns, uint64_t until_ns, struct clew_buf *out)
{
	clew_buf_adds(out, "true");
	if (since_ns)
		clew_buf_addf(out, " AND minute >= %" PRIu64, since_ns / (uint64_t)MINUTE_NS);
	if (until_ns)
		clew_buf_addf(out, " AND minute <= %" PRIu64, until_ns / (uint64_t)MINUTE_NS);
}

static int ask_seen(struct services *s, size_t from, size_t to, uint64_t since_ns,
		    uint64_t until_ns, const char *times, char **ret_error)
{
	struct clew_buf sql = {0};
	const char *sep = "";
	int r;

	clew_buf_adds(&sql, "SELECT service, resource, sum(n)::BIGINT, min(first_ns), max(last_ns)"
			    " FROM (");
	for (size_t i = from; i < to; i++) {
		const struct part_ref *p = &s->q->parts[i];

		if (p->has_rollups) {
			clew_buf_addf(&sql,
				      "%sSELECT service, resource, spans AS n, first_ns, last_ns"
				      " FROM %s.seen WHERE last_ns >= %" PRIu64,
				      sep, p->name, since_ns);
			if (until_ns)
				clew_buf_addf(&sql, " AND first_ns <= %" PRIu64, until_ns);
			sep = " UNION ALL ";
		}
		beside_rollups(p,
			       "service, resource, 1 AS n, start_ns AS first_ns,"
			       " start_ns + duration_ns AS last_ns",
			       times, &sql, &sep);
	}
	clew_buf_adds(&sql, ") GROUP BY ALL");
	r = !*sep ? 0 : sql.err ? sql.err : query_each(s->q, sql.data, keep_seen, s, ret_error);
	clew_buf_done(&sql);
	return r;
}

static int ask_red(struct services *s, size_t from, size_t to, const char *times,
		   const char *minutes, char **ret_error)
{
	struct clew_buf sql = {0};
	const char *sep = "";
	int r;

	clew_buf_adds(&sql, "SELECT service, request, bucket, sum(n)::BIGINT, sum(errors)::BIGINT"
			    " FROM (");
	for (size_t i = from; i < to; i++) {
		const struct part_ref *p = &s->q->parts[i];

		if (p->has_rollups) {
			clew_buf_addf(
				&sql,
				"%sSELECT service, kind IN (2, 5) AS request, bucket, n, errors"
				" FROM %s.red WHERE %s",
				sep, p->name, minutes);
			sep = " UNION ALL ";
		}
		beside_rollups(p,
			       "service, kind IN (2, 5) AS request, clew_bucket(duration_ns) AS"
			       " bucket, 1 AS n, (status = 2)::INTEGER AS errors",
			       times, &sql, &sep);
	}
	clew_buf_adds(&sql, ") GROUP BY ALL");
	r = !*sep ? 0 : sql.err ? sql.err : query_each(s->q, sql.data, keep_red, s, ret_error);
	clew_buf_done(&sql);
	return r;
}

static int by_name(const void *a, const void *b, void *user)
{
	const struct clew_store *st = user;
	struct slice x = names_get(st, DICT_SERVICE, ((const struct service *)a)->id);
	struct slice y = names_get(st, DICT_SERVICE, ((const struct service *)b)->id);
	size_t n = x.n < y.n ? x.n : y.n;
	int c = n ? memcmp(x.p, y.p, n) : 0;

	return c ? c : x.n < y.n ? -1 : x.n > y.n;
}

static int give_services(struct services *s, clew_service_fn fn, void *user)
{
	uint32_t n = 0;
	int r = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		s->v[i].id = i;
		if (s->v[i].spans) {
			struct service swap = s->v[n];

			s->v[n++] = s->v[i];
			s->v[i] = swap;
		}
	}
	if (n)
		qsort_r(s->v, n, sizeof(*s->v), by_name, s->q->st);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		const struct service *sv = &s->v[i];
		struct clew_service_stats st = {
			.service = names_get(s->q->st, DICT_SERVICE, sv->id),
			.instances = count_instances(s->q->st, sv->resources, sv->n_resources),
			.spans = sv->spans,
			.requests = sv->requests,
			.errors = sv->errors,
			.p50_ns = clew_latency_quantile(sv->counts, 0.5),
			.p95_ns = clew_latency_quantile(sv->counts, 0.95),
			.p99_ns = clew_latency_quantile(sv->counts, 0.99),
			.first_ns = sv->first_ns,
			.last_ns = sv->last_ns,
		};

		r = fn(user, &st);
	}
	return r;
}

int rollup_services(struct query *q, uint64_t since_ns, uint64_t until_ns, clew_service_fn fn,
		    void *user, char **ret_error)
{
	struct services s = {.q = q};
	struct clew_buf times = {0}, minutes = {0};
	size_t from, to;
	int r;

	filter_hours(q, since_ns, until_ns, &from, &to);
	add_times(since_ns, until_ns, &times);
	add_minutes(since_ns, until_ns, &minutes);
	r = times.err || minutes.err ? -ENOMEM : query_digested(q, from, to, ret_error);
	if (r == 0)
		r = ask_red(&s, from, to, times.data, minutes.data, ret_error);
	if (r == 0)
		r = ask_seen(&s, from, to, since_ns, until_ns, times.data, ret_error);
	if (r == 0)
		r = give_services(&s, fn, user);
	for (uint32_t i = 0; i < s.n; i++) {
		free(s.v[i].counts);
		free(s.v[i].resources);
	}
	free(s.v);
	clew_buf_done(&times);
	clew_buf_done(&minutes);
	return r;
}

/* ---- the map ---- */

struct edge {
	uint32_t client, server;
	struct slice peer; /* copied into text */
	uint64_t n, errors;
	uint64_t counts[CLEW_LATENCY_BUCKETS];
};

struct edges {
	struct clew_store *st;
	struct edge *v;
	size_t n, cap;
	struct dict keys; /* "client server peer" to the edge's index */
};

/* One statement gives an edge's buckets in any order; a digest as well. */
static int add_to_edge(struct edges *e, uint32_t client, uint32_t server, struct slice peer,
		       uint8_t bucket, int64_t n, int64_t errors)
{
	struct clew_buf key = {0};
	struct slice name;
	uint32_t id;
	int r;

	clew_buf_addf(&key, "%u %u ", client, server);
	clew_buf_add(&key, peer.p ? peer.p : "", peer.n);
	name = clew_buf_slice(&key);
	r = key.err ? key.err : dict_add(&e->keys, name, 0, &id);
	clew_buf_done(&key);
	if (r < 0)
		return r;
	if (id >= e->cap) {
		size_t cap = e->cap ? e->cap * 2 : 64;
		struct edge *v = realloc(e->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		e->v = v;
		e->cap = cap;
	}
	if (id == e->n) {
		struct slice copy = dict_get(&e->keys, id)->name;

		copy = slice_of(copy.p + copy.n - peer.n, peer.n);
		e->v[e->n++] = (struct edge){client, server, copy};
	}
	/* Less than none only where old rows were left out of the window: then there is none. */
	e->v[id].n += (uint64_t)n;
	e->v[id].errors += (uint64_t)errors;
	e->v[id].counts[bucket] += (uint64_t)n;
	return 0;
}

static int keep_edges(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col c[6];
	int r = 0;

	for (idx_t i = 0; i < 6; i++)
		c[i] = duck_col(chunk, i);
	for (idx_t i = 0; r == 0 && i < rows; i++)
		r = add_to_edge(user,
				duck_null(&c[0], i) ? DIGEST_NO_ID : ((uint32_t *)c[0].data)[i],
				duck_null(&c[1], i) ? DIGEST_NO_ID : ((uint32_t *)c[1].data)[i],
				duck_null(&c[2], i) ? slice_of(NULL, 0) : duck_str(&c[2], i),
				((uint8_t *)c[3].data)[i], ((int64_t *)c[4].data)[i],
				((int64_t *)c[5].data)[i]);
	return r;
}

static int ask_edges(struct query *q, struct edges *e, uint64_t since_ns, uint64_t until_ns,
		     char **ret_error)
{
	struct clew_buf sql = {0}, minutes = {0};
	const char *sep = "";
	size_t from, to;
	int r;

	minute_window(q, since_ns, until_ns, &from, &to);
	add_minutes(since_ns, until_ns, &minutes);
	clew_buf_adds(&sql, "SELECT client, server, peer, bucket, sum(n)::BIGINT,"
			    " sum(errors)::BIGINT FROM (");
	for (size_t i = from; i < to; i++) {
		if (!q->parts[i].has_rollups)
			continue;
		clew_buf_addf(&sql, "%sSELECT * FROM %s.edge WHERE %s", sep, q->parts[i].name,
			      minutes.data ? minutes.data : "false");
		sep = " UNION ALL ";
	}
	clew_buf_adds(&sql, ") GROUP BY ALL");
	r = !*sep ? 0 : sql.err ? sql.err : query_each(q, sql.data, keep_edges, e, ret_error);
	clew_buf_done(&sql);
	clew_buf_done(&minutes);
	return r;
}

static int add_digest(struct query *q, struct edges *e, uint64_t since_ns, uint64_t until_ns,
		      char **ret_error)
{
	int64_t first = (int64_t)since_ns / MINUTE_NS;
	int64_t last = until_ns ? (int64_t)until_ns / MINUTE_NS : INT32_MAX;
	const struct digest_edge *v;
	struct digest *d = NULL;
	size_t from, to, n = 0;
	int r;

	filter_hours(q, since_ns, until_ns, &from, &to);
	r = digest_beside(q, from, to, &d, ret_error);
	if (r < 0)
		return r;
	v = digest_edges(d, &n);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (v[i].minute >= first && v[i].minute <= last)
			r = add_to_edge(e, v[i].client, v[i].server, digest_peer(d, v[i].peer),
					v[i].bucket, v[i].n, v[i].errors);
	digest_free(d);
	return r;
}

static int by_ends(const void *a, const void *b, void *user)
{
	const struct edge *x = a, *y = b;
	/* Callers that are not traced first, then by name; peers that are not traced last. */
	if ((x->server == DIGEST_NO_ID) != (y->server == DIGEST_NO_ID))
		return x->server == DIGEST_NO_ID ? 1 : -1;
	if (x->client != y->client)
		return x->client + 1 < y->client + 1 ? -1 : 1;
	return x->server < y->server ? -1 : x->server > y->server;
}

/* Old rows that lie outside of the window leave less than nothing behind. */
static void no_debts(struct edge *e)
{
	for (unsigned i = 0; i < CLEW_LATENCY_BUCKETS; i++)
		if ((int64_t)e->counts[i] < 0)
			e->counts[i] = 0;
	if ((int64_t)e->errors < 0)
		e->errors = 0;
}

static int give_edges(struct edges *e, clew_edge_fn fn, void *user)
{
	int r = 0;

	if (e->n)
		qsort_r(e->v, e->n, sizeof(*e->v), by_ends, NULL);
	for (size_t i = 0; i < e->n; i++)
		no_debts(&e->v[i]);
	for (size_t i = 0; r == 0 && i < e->n; i++) {
		const struct edge *v = &e->v[i];
		struct clew_edge_stats s = {
			.external = v->server == DIGEST_NO_ID,
			.calls = v->n,
			.errors = v->errors,
			.p50_ns = clew_latency_quantile(v->counts, 0.5),
			.p95_ns = clew_latency_quantile(v->counts, 0.95),
			.p99_ns = clew_latency_quantile(v->counts, 0.99),
		};

		if ((int64_t)v->n <= 0)
			continue;
		if (v->client != DIGEST_NO_ID)
			s.client = names_get(e->st, DICT_SERVICE, v->client);
		if (!s.external)
			s.server = names_get(e->st, DICT_SERVICE, v->server);
		else
			s.server = v->peer.n ? v->peer : SLICE("unknown");
		r = fn(user, &s);
	}
	return r;
}

int rollup_map(struct query *q, uint64_t since_ns, uint64_t until_ns, clew_edge_fn fn, void *user,
	       char **ret_error)
{
	struct edges e = {.st = q->st};
	int r = dict_init(&e.keys);

	if (r < 0)
		return r;
	r = ask_edges(q, &e, since_ns, until_ns, ret_error);
	if (r == 0)
		r = add_digest(q, &e, since_ns, until_ns, ret_error);
	if (r == 0)
		r = give_edges(&e, fn, user);
	free(e.v);
	dict_done(&e.keys);
	return r;
}
