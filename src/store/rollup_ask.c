/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map from rollups. What is in no rollup is summed up as it is sealed: by a digest.
 *
 *	edges' buckets, by SQL, in order of their ends ─┐
 *	the digest's, sorted the same way ──────────────┴► one edge at a time ─► its figures
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

/* ---- the map ---- */

/* Which edge; ends that are not known are greater than all others. */
struct ends {
	uint32_t client, server;
	struct slice peer; /* p NULL: not known, or the server is */
};

static int compare_ends(const struct ends *a, const struct ends *b)
{
	if (a->client != b->client)
		return a->client < b->client ? -1 : 1;
	if (a->server != b->server)
		return a->server < b->server ? -1 : 1;
	if (!a->peer.p || !b->peer.p)
		return !a->peer.p - !b->peer.p;
	return slice_order(a->peer, b->peer);
}

/* The buckets of one edge after the other. */
struct adding {
	struct map_edges *edges;
	bool any; /* an edge is being added up */
	struct ends ends;
	struct clew_buf peer; /* of ends */
	int64_t n, errors, counts[CLEW_LATENCY_BUCKETS];
	/* of what is in no rollup, sorted */
	const struct digest *digest;
	struct digest_edge *beside;
	size_t n_beside, at;
	int32_t first, last; /* minutes */
};

static int end_edge(struct adding *a)
{
	uint64_t counts[CLEW_LATENCY_BUCKETS];
	struct clew_edge_stats s;

	/* Old rows that lie outside of the window leave less than nothing behind. */
	if (!a->any || a->n <= 0)
		return 0;
	for (unsigned i = 0; i < CLEW_LATENCY_BUCKETS; i++)
		counts[i] = a->counts[i] > 0 ? (uint64_t)a->counts[i] : 0;
	s = (struct clew_edge_stats){
		.calls = (uint64_t)a->n,
		.errors = a->errors > 0 ? (uint64_t)a->errors : 0,
		.p50_ns = clew_latency_quantile(counts, 0.5),
		.p95_ns = clew_latency_quantile(counts, 0.95),
		.p99_ns = clew_latency_quantile(counts, 0.99),
	};
	return map_add(a->edges, a->ends.client, a->ends.server, a->ends.peer, &s);
}

static int add_bucket(struct adding *a, const struct ends *ends, uint8_t bucket, int64_t n,
		      int64_t errors)
{
	int r = 0;

	if (!a->any || compare_ends(&a->ends, ends)) {
		r = end_edge(a);
		clew_buf_clear(&a->peer);
		clew_buf_add(&a->peer, ends->peer.p ? ends->peer.p : "", ends->peer.n);
		clew_buf_addc(&a->peer, '\0');
		a->any = true;
		a->ends = *ends;
		a->ends.peer = slice_of(ends->peer.p ? a->peer.data : NULL, ends->peer.n);
		a->n = a->errors = 0;
		memset(a->counts, 0, sizeof(a->counts));
	}
	a->n += n;
	a->errors += errors;
	a->counts[bucket] += n;
	return r < 0 ? r : a->peer.err;
}

static struct ends ends_of(const struct digest *d, const struct digest_edge *e)
{
	return (struct ends){e->client, e->server, digest_peer(d, e->peer)};
}

/* What is beside, up to these ends (NULL: all that is left). */
static int add_beside(struct adding *a, const struct ends *up_to)
{
	int r = 0;

	for (; r == 0 && a->at < a->n_beside; a->at++) {
		const struct digest_edge *e = &a->beside[a->at];
		struct ends ends = ends_of(a->digest, e);

		if (up_to && compare_ends(&ends, up_to) > 0)
			break;
		r = add_bucket(a, &ends, e->bucket, e->n, e->errors);
	}
	return r;
}

static int add_rows_of_edges(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct adding *a = user;
	struct duck_col c[6];
	int r = 0;

	for (idx_t i = 0; i < 6; i++)
		c[i] = duck_col(chunk, i);
	for (idx_t i = 0; r == 0 && i < rows; i++) {
		struct ends ends = {
			duck_null(&c[0], i) ? NO_SERVICE : ((uint32_t *)c[0].data)[i],
			duck_null(&c[1], i) ? NO_SERVICE : ((uint32_t *)c[1].data)[i],
			duck_null(&c[2], i) ? slice_of(NULL, 0) : duck_str(&c[2], i),
		};

		r = add_beside(a, &ends);
		if (r == 0)
			r = add_bucket(a, &ends, ((uint8_t *)c[3].data)[i],
				       ((int64_t *)c[4].data)[i], ((int64_t *)c[5].data)[i]);
	}
	return r;
}

static int ask_edges(struct query *q, struct adding *a, uint64_t since_ns, uint64_t until_ns,
		     char **ret_error)
{
	struct clew_buf sql = {0};
	const char *sep = "";
	size_t from, to;
	int r;

	minute_window(q, since_ns, until_ns, &from, &to);
	clew_buf_adds(&sql, "SELECT client, server, peer, bucket, sum(n)::BIGINT,"
			    " sum(errors)::BIGINT FROM (");
	for (size_t i = from; i < to; i++) {
		if (!q->parts[i].has_rollups)
			continue;
		clew_buf_addf(&sql, "%sSELECT * FROM %s.edge WHERE minute >= %d AND minute <= %d",
			      sep, q->parts[i].name, a->first, a->last);
		sep = " UNION ALL ";
	}
	clew_buf_adds(&sql, ") GROUP BY ALL ORDER BY client NULLS LAST, server NULLS LAST,"
			    " peer NULLS LAST");
	r = !*sep     ? 0
	    : sql.err ? sql.err
		      : query_each(q, sql.data, add_rows_of_edges, a, ret_error);
	clew_buf_done(&sql);
	return r;
}

static int by_ends(const void *x, const void *y, void *user)
{
	struct ends a = ends_of(user, x), b = ends_of(user, y);

	return compare_ends(&a, &b);
}

/* The digest's edges of the time, sorted. */
static int sort_beside(struct adding *a, struct digest *d)
{
	const struct digest_edge *v;
	size_t n;

	v = digest_edges(d, &n);
	a->digest = d;
	a->beside = malloc((n + 1) * sizeof(*a->beside));
	if (!a->beside)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (v[i].minute >= a->first && v[i].minute <= a->last)
			a->beside[a->n_beside++] = v[i];
	if (a->n_beside)
		qsort_r(a->beside, a->n_beside, sizeof(*a->beside), by_ends, d);
	return 0;
}

int rollup_map(struct query *q, uint64_t since_ns, uint64_t until_ns, struct map_edges *edges,
	       char **ret_error)
{
	struct adding a = {
		.edges = edges,
		.first = (int32_t)((int64_t)since_ns / MINUTE_NS),
		.last = until_ns ? (int32_t)((int64_t)until_ns / MINUTE_NS) : INT32_MAX,
	};
	struct digest *d = NULL;
	size_t from, to;
	int r;

	filter_hours(q, since_ns, until_ns, &from, &to);
	r = digest_beside(q, from, to, &d, ret_error);
	if (r == 0)
		r = sort_beside(&a, d);
	if (r == 0)
		r = ask_edges(q, &a, since_ns, until_ns, ret_error);
	if (r == 0)
		r = add_beside(&a, NULL);
	if (r == 0)
		r = end_edge(&a);
	free(a.beside);
	clew_buf_done(&a.peer);
	digest_free(d);
	return r;
}
