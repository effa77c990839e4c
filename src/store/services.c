/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The services: first which of them, then what each of these does.
 *
 *	choosing   a row of each service that has spans in the time ─► those that come first, and how many
 *	filling    of these alone: requests, errors, latencies, instances
 *
 * From the spans of a small window, from rollups of a large one. Memory goes with how many are wanted, not
 * with how many there are.
 */
#include <inttypes.h>

#include "store/internal.h"
#include "store/latency.h"

#define MINUTE_NS INT64_C(60000000000)

struct service {
	uint32_t id, rank;
	uint64_t spans;
	int64_t newest_ns;
	struct clew_service_stats stats;
	uint64_t *counts;    /* by latency */
	uint32_t *resources; /* different ones */
	uint64_t n_resources, cap_resources;
};

struct services {
	struct query *q;
	const struct clew_service_query *sq;
	size_t from, to; /* partitions */
	struct clew_buf times, minutes;
	struct clew_buf ids; /* " AND service IN (...)", or empty */
	struct service *v;
	size_t n, cap, limit;
	uint64_t total;
};

/* ---- choosing ---- */

static struct slice name_of(const struct services *s, const struct service *v)
{
	return names_get(s->q->st, DICT_SERVICE, v->id);
}

static int by_sort(const void *a, const void *b, void *user)
{
	const struct service *x = a, *y = b;
	const struct services *s = user;

	if (s->sq->sort == CLEW_SERVICES_BUSIEST && x->spans != y->spans)
		return x->spans > y->spans ? -1 : 1;
	if (s->sq->sort == CLEW_SERVICES_NEWEST && x->newest_ns != y->newest_ns)
		return x->newest_ns > y->newest_ns ? -1 : 1;
	return slice_order(name_of(s, x), name_of(s, y));
}

static void keep_first(struct services *s)
{
	if (s->n)
		qsort_r(s->v, s->n, sizeof(*s->v), by_sort, s);
	s->n = s->n < s->limit ? s->n : s->limit;
}

static int choose_one(struct services *s, struct service v)
{
	struct slice name = name_of(s, &v);

	if (!v.spans || !slice_starts(name, s->sq->prefix))
		return 0;
	s->total++;
	if (s->sq->after.p && slice_order(name, s->sq->after) <= 0)
		return 0;
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		struct service *more;

		if (s->n >= 2 * s->limit) {
			keep_first(s);
		} else {
			more = realloc(s->v, cap * sizeof(*more));
			if (!more)
				return -ENOMEM;
			s->v = more;
			s->cap = cap;
		}
	}
	s->v[s->n++] = v;
	return 0;
}

static int choose_rows(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col c[3];
	int r = 0;

	for (idx_t i = 0; i < 3; i++)
		c[i] = duck_col(chunk, i);
	for (idx_t i = 0; r == 0 && i < rows; i++)
		r = choose_one(user, (struct service){.id = ((uint32_t *)c[0].data)[i],
						      .spans = (uint64_t)((int64_t *)c[1].data)[i],
						      .newest_ns = ((int64_t *)c[2].data)[i]});
	return r;
}

/* " AND service IN (...)" of the names that are known; -ENODATA: none is. */
static int name_ids(struct services *s)
{
	uint32_t id;

	for (size_t i = 0; i < s->sq->n_only; i++)
		if (!dict_find(&s->q->st->dicts[DICT_SERVICE], s->sq->only[i], 0, &id))
			clew_buf_addf(&s->ids, "%s%u", s->ids.len ? "," : " AND service IN (", id);
	if (s->sq->only && !s->ids.len)
		return -ENODATA;
	return s->ids.len ? clew_buf_addc(&s->ids, ')') : 0;
}

/* ... of those that were chosen, where they are not all. */
static int chosen_ids(struct services *s)
{
	if (s->n == s->total)
		return 0;
	clew_buf_clear(&s->ids);
	for (size_t i = 0; i < s->n; i++)
		clew_buf_addf(&s->ids, "%s%u", i ? "," : " AND service IN (", s->v[i].id);
	return clew_buf_addc(&s->ids, ')');
}

static int with_ids(const struct services *s, const struct clew_buf *condition,
		    struct clew_buf *out)
{
	clew_buf_adds(out, condition->data ? condition->data : "true");
	return clew_buf_adds(out, s->ids.data ? s->ids.data : "");
}

/* Rows of a rollup's table and of what is beside; each with columns of the same names. */
static void add_rollup(const struct services *s, const char *table, const char *cols,
		       const struct clew_buf *where, const char *beside, struct clew_buf *sql)
{
	struct clew_buf rows = {0}, spans = {0};

	with_ids(s, where, &rows);
	with_ids(s, &s->times, &spans);
	if (rows.err || spans.err)
		sql->err = -ENOMEM;
	else
		rollup_rows(s->q, s->from, s->to, table, cols, rows.data, beside, spans.data, sql);
	clew_buf_done(&rows);
	clew_buf_done(&spans);
}

static int choose(struct services *s, bool rollups, char **ret_error)
{
	struct clew_buf sql = {0};
	int r;

	clew_buf_adds(&sql, "SELECT service, sum(n)::BIGINT, max(t)::BIGINT FROM (");
	if (rollups)
		add_rollup(s, "red", "service, n, minute::BIGINT * 60000000000 AS t", &s->minutes,
			   "service, 1 AS n, start_ns AS t", &sql);
	else
		spans_of(s->q, s->sq->since_ns, s->sq->until_ns, "service, 1 AS n, start_ns AS t",
			 s->ids.data ? s->ids.data + 5 : "true", &sql);
	clew_buf_adds(&sql, ") GROUP BY service");
	r = sql.err ? sql.err : query_each(s->q, sql.data, choose_rows, s, ret_error);
	clew_buf_done(&sql);
	if (r < 0)
		return r;
	keep_first(s);
	for (size_t i = 0; i < s->n; i++)
		s->v[i].rank = (uint32_t)i;
	return chosen_ids(s);
}

/* ---- filling ---- */

static int by_id(const void *a, const void *b)
{
	const struct service *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int by_rank(const void *a, const void *b)
{
	const struct service *x = a, *y = b;

	return x->rank < y->rank ? -1 : x->rank > y->rank;
}

/* NULL: it is not wanted. */
static struct service *find_service(const struct services *s, uint32_t id)
{
	struct service key = {.id = id};

	return s->n ? bsearch(&key, s->v, s->n, sizeof(key), by_id) : NULL;
}

static uint64_t value(const struct duck_col *c, idx_t row)
{
	return duck_null(c, row) ? 0 : (uint64_t)((int64_t *)c->data)[row];
}

struct instance {
	struct slice name;
};

static int by_instance(const void *a, const void *b)
{
	return slice_order(((const struct instance *)a)->name, ((const struct instance *)b)->name);
}

/* Different service.instance.id among resources; a process without one counts as itself. */
static int count_instances(struct clew_store *st, const uint32_t *ids, uint64_t n, uint64_t *ret)
{
	_cleanup_(freep) struct instance *named = malloc((n + 1) * sizeof(*named));
	uint64_t n_named = 0, count = 0;

	if (!named)
		return -ENOMEM;
	for (uint64_t i = 0; i < n; i++) {
		const struct clew_resource *res = names_resource_get(st, ids[i]);

		if (res && res->instance.n)
			named[n_named++].name = res->instance;
		else
			count++;
	}
	if (n_named)
		qsort(named, n_named, sizeof(*named), by_instance);
	for (uint64_t i = 0; i < n_named; i++)
		count += !i || by_instance(&named[i - 1], &named[i]) != 0;
	*ret = count;
	return 0;
}

/* The three of a row; 0 where there were no values. */
static void set_quantiles(struct clew_service_stats *st, const struct duck_col *list, idx_t row)
{
	const duckdb_list_entry *at = (const duckdb_list_entry *)list->data + row;
	const int64_t *v = duckdb_vector_get_data(duckdb_list_vector_get_child(list->vector));

	if (duck_null(list, row) || at->length != 3)
		return;
	st->p50_ns = (uint64_t)v[at->offset];
	st->p95_ns = (uint64_t)v[at->offset + 1];
	st->p99_ns = (uint64_t)v[at->offset + 2];
}

static int keep_exact(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct services *s = user;
	const uint32_t *resources;
	struct duck_col c[8];
	int r = 0;

	for (idx_t i = 0; i < 8; i++)
		c[i] = duck_col(chunk, i);
	resources = duckdb_vector_get_data(duckdb_list_vector_get_child(c[1].vector));
	for (idx_t i = 0; r == 0 && i < rows; i++) {
		struct service *v = find_service(s, ((uint32_t *)c[0].data)[i]);
		const duckdb_list_entry *list = (duckdb_list_entry *)c[1].data + i;

		if (!v)
			continue;
		v->stats.spans = value(&c[2], i);
		v->stats.requests = value(&c[3], i);
		v->stats.errors = value(&c[4], i);
		v->stats.first_ns = value(&c[6], i);
		v->stats.last_ns = value(&c[7], i);
		set_quantiles(&v->stats, &c[5], i);
		if (!duck_null(&c[1], i))
			r = count_instances(s->q->st, resources + list->offset, list->length,
					    &v->stats.instances);
	}
	return r;
}

#define REQUESTS " FILTER (kind IN (2, 5))"

static int fill_exact(struct services *s, char **ret_error)
{
	struct clew_buf sql = {0};
	int r;

	clew_buf_adds(&sql, "SELECT service, list(DISTINCT resource) FILTER (resource IS NOT NULL),"
			    " count(*), count(*)" REQUESTS
			    ", count(*) FILTER (kind IN (2, 5) AND status = 2),"
			    " quantile_disc(duration_ns, [0.5, 0.95, 0.99])" REQUESTS
			    ", min(start_ns), max(start_ns + duration_ns) FROM (");
	spans_of(s->q, s->sq->since_ns, s->sq->until_ns,
		 "service, resource, kind, status, duration_ns, start_ns",
		 s->ids.data ? s->ids.data + 5 : "true", &sql);
	clew_buf_adds(&sql, ") GROUP BY service");
	r = sql.err ? sql.err : query_each(s->q, sql.data, keep_exact, s, ret_error);
	clew_buf_done(&sql);
	return r;
}

static int keep_seen(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col c[4];

	for (idx_t i = 0; i < 4; i++)
		c[i] = duck_col(chunk, i);
	for (idx_t i = 0; i < rows; i++) {
		struct service *v = find_service(user, ((uint32_t *)c[0].data)[i]);
		uint64_t first = value(&c[2], i), last = value(&c[3], i);

		if (!v)
			continue;
		if (!v->stats.first_ns || first < v->stats.first_ns)
			v->stats.first_ns = first;
		if (last > v->stats.last_ns)
			v->stats.last_ns = last;
		if (duck_null(&c[1], i))
			continue;
		if (v->n_resources == v->cap_resources) {
			uint64_t cap = v->cap_resources ? v->cap_resources * 2 : 8;
			uint32_t *ids = realloc(v->resources, cap * sizeof(*ids));

			if (!ids)
				return -ENOMEM;
			v->resources = ids;
			v->cap_resources = cap;
		}
		v->resources[v->n_resources++] = ((uint32_t *)c[1].data)[i];
	}
	return 0;
}

static int keep_red(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col c[5];

	for (idx_t i = 0; i < 5; i++)
		c[i] = duck_col(chunk, i);
	for (idx_t i = 0; i < rows; i++) {
		struct service *v = find_service(user, ((uint32_t *)c[0].data)[i]);
		uint64_t n = value(&c[3], i);

		if (v && !v->counts)
			v->counts = calloc(CLEW_LATENCY_BUCKETS, sizeof(*v->counts));
		if (v && !v->counts)
			return -ENOMEM;
		if (!v)
			continue;
		v->stats.spans += n;
		if (!((bool *)c[1].data)[i])
			continue;
		v->stats.requests += n;
		v->stats.errors += value(&c[4], i);
		v->counts[((uint8_t *)c[2].data)[i]] += n;
	}
	return 0;
}

static int ask_red(struct services *s, char **ret_error)
{
	struct clew_buf sql = {0};
	int r;

	clew_buf_adds(&sql, "SELECT service, request, bucket, sum(n)::BIGINT, sum(errors)::BIGINT"
			    " FROM (");
	add_rollup(s, "red", "service, kind IN (2, 5) AS request, bucket, n, errors", &s->minutes,
		   "service, kind IN (2, 5) AS request, clew_bucket(duration_ns) AS bucket, 1 AS n,"
		   " (status = 2)::INTEGER AS errors",
		   &sql);
	clew_buf_adds(&sql, ") GROUP BY ALL");
	r = sql.err ? sql.err : query_each(s->q, sql.data, keep_red, s, ret_error);
	clew_buf_done(&sql);
	return r;
}

/* A row of `seen` is of a whole run: its times may lie around the window. */
static int ask_seen(struct services *s, char **ret_error)
{
	struct clew_buf sql = {0}, where = {0};
	int r;

	clew_buf_addf(&where, "last_ns >= %" PRIu64, s->sq->since_ns);
	if (s->sq->until_ns)
		clew_buf_addf(&where, " AND first_ns <= %" PRIu64, s->sq->until_ns);
	clew_buf_adds(&sql, "SELECT service, resource, min(first_ns), max(last_ns) FROM (");
	add_rollup(s, "seen", "service, resource, first_ns, last_ns", &where,
		   "service, resource, start_ns AS first_ns, start_ns + duration_ns AS last_ns",
		   &sql);
	clew_buf_adds(&sql, ") GROUP BY ALL");
	r = where.err ? where.err
	    : sql.err ? sql.err
		      : query_each(s->q, sql.data, keep_seen, s, ret_error);
	clew_buf_done(&where);
	clew_buf_done(&sql);
	return r;
}

static int fill_rollups(struct services *s, char **ret_error)
{
	int r = ask_red(s, ret_error);

	if (r == 0)
		r = ask_seen(s, ret_error);
	for (size_t i = 0; r == 0 && i < s->n; i++) {
		struct service *v = &s->v[i];

		r = count_instances(s->q->st, v->resources, v->n_resources, &v->stats.instances);
		if (!v->counts)
			continue;
		v->stats.p50_ns = clew_latency_quantile(v->counts, 0.5);
		v->stats.p95_ns = clew_latency_quantile(v->counts, 0.95);
		v->stats.p99_ns = clew_latency_quantile(v->counts, 0.99);
	}
	return r;
}

/* ---- asking ---- */

static int give(struct services *s, clew_service_fn fn, void *user)
{
	int r = 0;

	if (s->n)
		qsort(s->v, s->n, sizeof(*s->v), by_rank);
	for (size_t i = 0; r == 0 && i < s->n; i++) {
		struct service *v = &s->v[i];

		v->stats.service = name_of(s, v);
		if (s->sq->names_only) {
			v->stats.spans = v->spans;
			v->stats.last_ns = (uint64_t)v->newest_ns;
		}
		r = fn(user, &v->stats);
	}
	return r;
}

static void add_times(struct services *s)
{
	uint64_t since = s->sq->since_ns, until = s->sq->until_ns;

	clew_buf_adds(&s->times, "true");
	clew_buf_adds(&s->minutes, "true");
	if (since) {
		clew_buf_addf(&s->times, " AND start_ns >= %" PRIu64, since);
		clew_buf_addf(&s->minutes, " AND minute >= %" PRIu64, since / MINUTE_NS);
	}
	if (until) {
		clew_buf_addf(&s->times, " AND start_ns <= %" PRIu64, until);
		clew_buf_addf(&s->minutes, " AND minute <= %" PRIu64, until / MINUTE_NS);
	}
}

static int ask(struct services *s, char **ret_error)
{
	const struct clew_service_query *sq = s->sq;
	bool rollups = spans_between(s->q, sq->since_ns, sq->until_ns) > s->q->st->opts.exact_spans;
	int r = name_ids(s);

	filter_hours(s->q, sq->since_ns, sq->until_ns, &s->from, &s->to);
	add_times(s);
	if (r == 0 && rollups)
		r = query_digested(s->q, s->from, s->to, ret_error);
	if (r == 0)
		r = choose(s, rollups, ret_error);
	if (s->n)
		qsort(s->v, s->n, sizeof(*s->v), by_id);
	if (r < 0 || !s->n || sq->names_only)
		return r;
	return rollups ? fill_rollups(s, ret_error) : fill_exact(s, ret_error);
}

int clew_store_services(struct clew_store *st, const struct clew_service_query *sq,
			uint64_t *ret_total, clew_service_fn fn, void *user, char **ret_error)
{
	struct services s = {.sq = sq, .limit = CLEW_STORE_MAX_SERVICES};
	struct query q;
	int r = query_begin(st, &q, ret_error);

	if (r < 0)
		return r;
	if (sq->limit && sq->limit < s.limit)
		s.limit = (size_t)sq->limit;
	s.q = &q;
	r = ask(&s, ret_error);
	query_end(&q);
	if (r == 0)
		r = give(&s, fn, user);
	if (r == -ENODATA)
		r = 0;
	if (r == 0 && ret_total)
		*ret_total = s.total;
	for (size_t i = 0; i < s.n; i++) {
		free(s.v[i].counts);
		free(s.v[i].resources);
	}
	free(s.v);
	clew_buf_done(&s.times);
	clew_buf_done(&s.minutes);
	clew_buf_done(&s.ids);
	return r;
}
