/* SPDX-License-Identifier: Apache-2.0 */
/* Sums over traces: patterns, latencies, picks. */
#include <inttypes.h>

#include "store/trace_source.h"

/* ---- patterns ---- */

/* A pattern on its way: of each bucket one example, its newest. */
struct pattern {
	struct clew_pattern_stats p;
	struct clew_id128 newest[CLEW_LATENCY_BUCKETS];
	int64_t newest_ns[CLEW_LATENCY_BUCKETS];
};

struct patterns {
	struct source *s;
	struct clew_pattern_totals totals;
	struct candidate {
		uint64_t shape;
		double time_ns;
	} *candidates;
	size_t n_candidates, cap_candidates;
	struct pattern *v; /* chosen, by shape */
	size_t n;
};

static int add_candidate(struct patterns *ps, uint64_t shape, double time_ns)
{
	if (ps->n_candidates == ps->cap_candidates) {
		size_t cap = ps->cap_candidates ? ps->cap_candidates * 2 : 256;
		struct candidate *v = realloc(ps->candidates, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		ps->candidates = v;
		ps->cap_candidates = cap;
	}
	ps->candidates[ps->n_candidates++] = (struct candidate){shape, time_ns};
	return 0;
}

static int keep_candidates(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col c[5];
	struct patterns *ps = user;
	int r = 0;

	for (idx_t i = 0; i < 5; i++)
		c[i] = duck_col(chunk, i);
	for (idx_t i = 0; r == 0 && i < rows; i++) {
		r = add_candidate(ps, ((uint64_t *)c[0].data)[i], ((double *)c[1].data)[i]);
		ps->totals.n = (uint64_t)((int64_t *)c[2].data)[i];
		ps->totals.time_ns = ((double *)c[3].data)[i];
		ps->totals.patterns = (uint64_t)((int64_t *)c[4].data)[i];
	}
	return r;
}

static int by_shape(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return x->shape < y->shape ? -1 : x->shape > y->shape;
}

static int by_candidate_time(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return x->time_ns > y->time_ns ? -1 : x->time_ns < y->time_ns;
}

/* Equal shapes of sealed and beside become one. */
static void merge_candidates(struct patterns *ps, uint64_t limit)
{
	size_t n = 0;

	if (!ps->n_candidates)
		return;
	qsort(ps->candidates, ps->n_candidates, sizeof(*ps->candidates), by_shape);
	for (size_t i = 0; i < ps->n_candidates; i++) {
		if (n && ps->candidates[n - 1].shape == ps->candidates[i].shape)
			ps->candidates[n - 1].time_ns += ps->candidates[i].time_ns;
		else
			ps->candidates[n++] = ps->candidates[i];
	}
	if (ps->totals.patterns < n)
		ps->totals.patterns = n;
	qsort(ps->candidates, n, sizeof(*ps->candidates), by_candidate_time);
	ps->n_candidates = limit && limit < n ? (size_t)limit : n;
}

static int choose(struct patterns *ps, uint64_t limit, char **ret_error)
{
	const struct digest_trace *t;
	char select[384];
	size_t n;
	int r;

	snprintf(select, sizeof(select),
		 ", g AS MATERIALIZED (SELECT shape, sum(duration_ns)::DOUBLE AS d, count(*) AS n"
		 " FROM t GROUP BY shape) SELECT shape, d, (SELECT sum(n)::BIGINT FROM g),"
		 " (SELECT sum(d) FROM g), (SELECT count(*) FROM g) FROM g ORDER BY d DESC, shape"
		 " LIMIT %" PRIu64,
		 limit ? limit : (uint64_t)INT64_MAX);
	r = source_ask(ps->s, select, keep_candidates, ps, ret_error);
	t = digest_traces(ps->s->digest, &n);
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (!line_is_meant(ps->s, &t[i]))
			continue;
		ps->totals.n++;
		ps->totals.time_ns += (double)t[i].duration_ns;
		r = add_candidate(ps, t[i].shape, (double)t[i].duration_ns);
	}
	merge_candidates(ps, limit);
	return r;
}

static int compare_pattern(const void *a, const void *b)
{
	const struct pattern *x = a, *y = b;

	return x->p.shape < y->p.shape ? -1 : x->p.shape > y->p.shape;
}

static struct pattern *find_pattern(struct patterns *ps, uint64_t shape)
{
	struct pattern key = {.p = {.shape = shape}};

	return ps->n ? bsearch(&key, ps->v, ps->n, sizeof(key), compare_pattern) : NULL;
}

static void set_root(struct patterns *ps, struct pattern *p, uint32_t service, uint32_t operation,
		     uint8_t kind)
{
	p->p.service = names_get(ps->s->q.st, DICT_SERVICE, service);
	p->p.name = names_get(ps->s->q.st, DICT_OPERATION, operation);
	p->p.kind = kind;
}

static void add_example(struct pattern *p, uint8_t bucket, const struct clew_id128 *id,
			int64_t start_ns)
{
	if (!clew_id128_none(&p->newest[bucket]) && start_ns <= p->newest_ns[bucket])
		return;
	p->newest[bucket] = *id;
	p->newest_ns[bucket] = start_ns;
}

static int keep_buckets(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col c[12];
	struct patterns *ps = user;

	for (idx_t i = 0; i < 12; i++)
		c[i] = duck_col(chunk, i);
	for (idx_t i = 0; i < rows; i++) {
		struct pattern *p = find_pattern(ps, ((uint64_t *)c[0].data)[i]);
		uint8_t bucket = ((uint8_t *)c[1].data)[i];
		struct clew_id128 id = huge_id128(((duckdb_uhugeint *)c[5].data)[i]);
		uint32_t spans = ((uint32_t *)c[7].data)[i], services = ((uint32_t *)c[8].data)[i];

		if (!p)
			continue;
		p->p.n += (uint64_t)((int64_t *)c[2].data)[i];
		p->p.counts[bucket] += (uint64_t)((int64_t *)c[2].data)[i];
		p->p.errors += (uint64_t)((int64_t *)c[3].data)[i];
		p->p.time_ns += ((double *)c[4].data)[i];
		add_example(p, bucket, &id, ((int64_t *)c[6].data)[i]);
		p->p.spans = spans > p->p.spans ? spans : p->p.spans;
		p->p.services = services > p->p.services ? services : p->p.services;
		set_root(ps, p, ((uint32_t *)c[9].data)[i], ((uint32_t *)c[10].data)[i],
			 ((uint8_t *)c[11].data)[i]);
	}
	return 0;
}

static void add_beside(struct patterns *ps)
{
	const struct digest_trace *t;
	size_t n;

	t = digest_traces(ps->s->digest, &n);
	for (size_t i = 0; i < n; i++) {
		struct pattern *p = find_pattern(ps, t[i].shape);
		uint8_t bucket = clew_latency_bucket((uint64_t)t[i].duration_ns);

		if (!p || !line_is_meant(ps->s, &t[i]))
			continue;
		p->p.n++;
		p->p.counts[bucket]++;
		p->p.errors += t[i].errors > 0;
		p->p.time_ns += (double)t[i].duration_ns;
		add_example(p, bucket, &t[i].id, t[i].start_ns);
		p->p.spans = t[i].spans > p->p.spans ? t[i].spans : p->p.spans;
		p->p.services = t[i].services > p->p.services ? t[i].services : p->p.services;
		set_root(ps, p, t[i].service, t[i].operation, t[i].kind);
	}
}

/* Everything of the patterns that were chosen. */
static int fill(struct patterns *ps, char **ret_error)
{
	struct clew_buf select = {0};
	int r;

	ps->v = calloc(ps->n_candidates + 1, sizeof(*ps->v));
	if (!ps->v)
		return -ENOMEM;
	clew_buf_adds(&select,
		      "SELECT shape, clew_bucket(duration_ns) AS b, count(*),"
		      " count(*) FILTER (errors > 0), sum(duration_ns)::DOUBLE,"
		      " arg_max(trace_id, start_ns), max(start_ns), max(spans), max(services),"
		      " any_value(service), any_value(operation), any_value(kind) FROM t"
		      " WHERE shape IN (");
	for (size_t i = 0; i < ps->n_candidates; i++) {
		ps->v[ps->n++].p.shape = ps->candidates[i].shape;
		clew_buf_addf(&select, "%s%" PRIu64, i ? "," : "", ps->candidates[i].shape);
	}
	clew_buf_adds(&select, ") GROUP BY shape, b");
	qsort(ps->v, ps->n, sizeof(*ps->v), compare_pattern);
	r = !ps->n	 ? 0
	    : select.err ? select.err
			 : source_ask(ps->s, select.data, keep_buckets, ps, ret_error);
	clew_buf_done(&select);
	if (r == 0)
		add_beside(ps);
	return r;
}

/* About the median, the 95th percentile, and of the longest. */
static void choose_examples(struct pattern *p)
{
	static const double at[] = {0.5, 0.95, 1};
	size_t n = 0;

	for (size_t k = 0; k < 3; k++) {
		uint64_t below = 0;

		for (unsigned b = 0; b < CLEW_LATENCY_BUCKETS; b++) {
			below += p->p.counts[b];
			if (!p->p.counts[b] || (double)below < at[k] * (double)p->p.n)
				continue;
			if (!n || !clew_id128_eq(&p->p.examples[n - 1], &p->newest[b]))
				p->p.examples[n++] = p->newest[b];
			break;
		}
	}
}

static int by_time(const void *a, const void *b)
{
	const struct pattern *x = a, *y = b;

	if (x->p.time_ns != y->p.time_ns)
		return x->p.time_ns > y->p.time_ns ? -1 : 1;
	return compare_pattern(a, b);
}

int clew_store_patterns(struct clew_store *st, const struct clew_trace_query *tq, uint64_t limit,
			struct clew_pattern_totals *ret_totals, clew_pattern_fn fn, void *user,
			char **ret_error)
{
	struct source s;
	struct patterns ps = {.s = &s};
	int r = source_open(&s, st, tq, ret_error);

	if (r < 0) {
		*ret_totals = ps.totals;
		return r == -ENODATA ? 0 : r;
	}
	r = choose(&ps, limit, ret_error);
	if (r == 0)
		r = fill(&ps, ret_error);
	source_close(&s);
	if (r == 0)
		qsort(ps.v, ps.n, sizeof(*ps.v), by_time);
	for (size_t i = 0; r == 0 && i < ps.n; i++) {
		choose_examples(&ps.v[i]);
		r = fn(user, &ps.v[i].p);
	}
	if (r == 0)
		*ret_totals = ps.totals;
	free(ps.candidates);
	free(ps.v);
	return r;
}

/* ---- latencies ---- */

struct latencies {
	struct clew_latency_bucket v[CLEW_LATENCY_BUCKETS];
};

static void add_id(struct clew_latency_bucket *b, const struct clew_id128 *id)
{
	for (size_t i = 0; i < 2 && !clew_id128_none(id); i++) {
		if (clew_id128_eq(&b->examples[i], id))
			return;
		if (clew_id128_none(&b->examples[i])) {
			b->examples[i] = *id;
			return;
		}
	}
}

static int keep_latency(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col c[5];
	struct latencies *l = user;

	for (idx_t i = 0; i < 5; i++)
		c[i] = duck_col(chunk, i);
	for (idx_t i = 0; i < rows; i++) {
		struct clew_latency_bucket *b = &l->v[((uint8_t *)c[0].data)[i]];

		b->n += (uint64_t)((int64_t *)c[1].data)[i];
		b->errors += (uint64_t)((int64_t *)c[2].data)[i];
		for (idx_t k = 3; k < 5; k++) {
			struct clew_id128 id;

			if (duck_null(&c[k], i))
				continue;
			id = huge_id128(((duckdb_uhugeint *)c[k].data)[i]);
			add_id(b, &id);
		}
	}
	return 0;
}

static int give_latencies(struct latencies *l, clew_latency_fn fn, void *user)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < CLEW_LATENCY_BUCKETS; i++) {
		l->v[i].bucket = (uint8_t)i;
		if (l->v[i].n)
			r = fn(user, &l->v[i]);
	}
	return r;
}

static int ask_latencies(struct source *s, struct latencies *l, char **ret_error)
{
	const struct digest_trace *t;
	size_t n;

	t = digest_traces(s->digest, &n);
	for (size_t i = 0; i < n; i++) {
		struct clew_latency_bucket *b =
			&l->v[clew_latency_bucket((uint64_t)t[i].duration_ns)];

		if (!line_is_meant(s, &t[i]))
			continue;
		b->n++;
		b->errors += t[i].errors > 0;
		add_id(b, &t[i].id);
	}
	return source_ask(s,
			  "SELECT clew_bucket(duration_ns) AS b, count(*), count(*) FILTER"
			  " (errors > 0), arg_max(trace_id, start_ns), arg_min(trace_id, start_ns)"
			  " FROM t GROUP BY b",
			  keep_latency, l, ret_error);
}

int clew_store_trace_latency(struct clew_store *st, const struct clew_trace_query *tq,
			     clew_latency_fn fn, void *user, char **ret_error)
{
	struct latencies l = {0};
	struct source s;
	int r = source_open(&s, st, tq, ret_error);

	if (r < 0)
		return r == -ENODATA ? 0 : r;
	r = ask_latencies(&s, &l, ret_error);
	source_close(&s);
	return r < 0 ? r : give_latencies(&l, fn, user);
}

/* ---- latencies of spans ---- */

/* Can the rollups of spans say it? */
static bool red_knows(const struct clew_span_filter *f)
{
	return !f->n_attrs && !f->n_where && !f->link_classes && !f->incomplete && !f->root &&
	       !f->error && !f->min_duration_ns && !f->max_duration_ns;
}

static int keep_red_latency(void *user, const struct clew_red_row *row)
{
	struct latencies *l = user;

	l->v[row->bucket].n += row->n;
	l->v[row->bucket].errors += row->errors;
	return 0;
}

static int ask_span_latency(struct query *q, const struct clew_span_filter *f, size_t from,
			    size_t to, struct latencies *l, char **ret_error)
{
	struct clew_buf where = {0}, sql = {0};
	int r = filter_where(q->st, f, &where, ret_error);

	clew_buf_adds(
		&sql,
		"SELECT clew_bucket(duration_ns) AS b, count(*), count(*) FILTER (status = 2),"
		" arg_max(trace_id, start_ns), arg_min(trace_id, start_ns) FROM (");
	for (size_t i = from; r == 0 && i < to; i++) {
		if (i > from)
			clew_buf_adds(&sql, " UNION ALL ");
		r = filter_source(q, &q->parts[i], f, "trace_id, start_ns, duration_ns, status",
				  where.data, &sql, NULL, ret_error);
	}
	clew_buf_adds(&sql, ") GROUP BY b");
	if (r == 0 && from < to)
		r = sql.err ? sql.err : query_each(q, sql.data, keep_latency, l, ret_error);
	clew_buf_done(&where);
	clew_buf_done(&sql);
	return r;
}

int clew_store_span_latency(struct clew_store *st, const struct clew_span_filter *f,
			    clew_latency_fn fn, void *user, char **ret_error)
{
	struct clew_red_query rq = {.since_ns = f->since_ns,
				    .until_ns = f->until_ns,
				    .service = f->service,
				    .name = f->name,
				    .kinds = f->kinds};
	struct latencies l = {0}, sample = {0};
	struct query q;
	size_t from, to;
	bool known = red_knows(f);
	int r = query_begin(st, &q, ret_error);

	if (r < 0)
		return r;
	filter_hours(&q, f->since_ns, f->until_ns, &from, &to);
	/* For examples the newest hour is enough. */
	if (known && to > from)
		r = ask_span_latency(&q, f, to - 1, to, &sample, ret_error);
	else
		r = ask_span_latency(&q, f, from, to, &l, ret_error);
	query_end(&q);
	if (r == 0 && known)
		r = clew_store_red(st, &rq, keep_red_latency, &l, ret_error);
	for (unsigned i = 0; known && i < CLEW_LATENCY_BUCKETS; i++)
		memcpy(l.v[i].examples, sample.v[i].examples, sizeof(l.v[i].examples));
	return r == -ENODATA ? 0 : r < 0 ? r : give_latencies(&l, fn, user);
}

/* ---- picks ---- */

struct picks {
	struct clew_picked_trace *v;
	size_t n, cap;
};

static int add_pick(struct picks *p, const struct clew_id128 *id, int64_t start, int64_t duration)
{
	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 256;
		struct clew_picked_trace *v = realloc(p->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		p->v = v;
		p->cap = cap;
	}
	p->v[p->n++] = (struct clew_picked_trace){*id, (uint64_t)start, (uint64_t)duration};
	return 0;
}

static int keep_picks(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col c[3];
	int r = 0;

	for (idx_t i = 0; i < 3; i++)
		c[i] = duck_col(chunk, i);
	for (idx_t i = 0; r == 0 && i < rows; i++) {
		struct clew_id128 id = huge_id128(((duckdb_uhugeint *)c[0].data)[i]);

		r = add_pick(user, &id, ((int64_t *)c[1].data)[i], ((int64_t *)c[2].data)[i]);
	}
	return r;
}

/* Ids are random, or hashes: their last digits in order are a lottery. */
static int by_lot(const void *a, const void *b)
{
	const struct clew_picked_trace *x = a, *y = b;

	return memcmp(x->id.b + 8, y->id.b + 8, 8);
}

static int ask_picks(struct source *s, uint64_t max, struct picks *p, char **ret_error)
{
	const struct digest_trace *t;
	char select[160];
	size_t n;
	int r;

	snprintf(select, sizeof(select),
		 "SELECT trace_id, start_ns, duration_ns FROM t ORDER BY"
		 " (trace_id & 18446744073709551615::UHUGEINT) LIMIT %" PRIu64,
		 max);
	r = source_ask(s, select, keep_picks, p, ret_error);
	t = digest_traces(s->digest, &n);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (line_is_meant(s, &t[i]))
			r = add_pick(p, &t[i].id, t[i].start_ns, t[i].duration_ns);
	return r;
}

static int give_picks(struct picks *p, uint64_t max, clew_pick_fn fn, void *user)
{
	int r = 0;

	if (p->n)
		qsort(p->v, p->n, sizeof(*p->v), by_lot);
	for (size_t i = 0; r == 0 && i < p->n && i < max; i++)
		r = fn(user, &p->v[i]);
	return r;
}

int clew_store_pick_traces(struct clew_store *st, const struct clew_trace_query *tq, uint64_t max,
			   clew_pick_fn fn, void *user, char **ret_error)
{
	struct picks p = {0};
	struct source s;
	int r = source_open(&s, st, tq, ret_error);

	if (r < 0)
		return r == -ENODATA ? 0 : r;
	r = ask_picks(&s, max, &p, ret_error);
	source_close(&s);
	if (r == 0)
		r = give_picks(&p, max, fn, user);
	free(p.v);
	return r;
}

int clew_store_sample_traces(struct clew_store *st, const struct clew_trace_query *tq, uint64_t max,
			     clew_latency_fn latency, void *latency_user, clew_pick_fn pick,
			     void *pick_user, char **ret_error)
{
	struct latencies l = {0};
	struct picks p = {0};
	struct source s;
	int r = source_open(&s, st, tq, ret_error);

	if (r < 0)
		return r == -ENODATA ? 0 : r;
	r = ask_latencies(&s, &l, ret_error);
	if (r == 0)
		r = ask_picks(&s, max, &p, ret_error);
	source_close(&s);
	if (r == 0)
		r = give_latencies(&l, latency, latency_user);
	if (r == 0)
		r = give_picks(&p, max, pick, pick_user);
	free(p.v);
	return r;
}
