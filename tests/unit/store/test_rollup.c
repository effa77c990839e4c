/* SPDX-License-Identifier: Apache-2.0 */
/* What is summed up when spans are sealed says the same as the spans do. */
#include <math.h>

#include "store/internal.h"
#include "store/latency.h"
#include "util.h"

#define TRACES 200

static char *dir;
static struct clew_store *exact, *rolled;

static void put_both(struct clew_span *(*make)(uint64_t n), uint64_t n)
{
	put(exact, make(n));
	put(rolled, make(n));
}

/* Many durations, errors, minutes; a caller, a server, a peer that is not traced. */
static struct clew_span *make_root(uint64_t n)
{
	struct clew_span *s = make_span(n, n * 10 + 1, 0, n % 3 ? "front" : "admin", "GET /",
					CLEW_KIND_SERVER, T0 + n * 1000 * MS, (n % 17 + 1) * MS);

	s->status = n % 11 ? CLEW_STATUS_UNSET : CLEW_STATUS_ERROR;
	return s;
}

static struct clew_span *make_call(uint64_t n)
{
	return make_span(n, n * 10 + 2, n * 10 + 1, n % 3 ? "front" : "admin", "GET back",
			 CLEW_KIND_CLIENT, T0 + n * 1000 * MS + MS, (n % 13 + 1) * MS);
}

static struct clew_span *make_server(uint64_t n)
{
	struct clew_span *s = make_span(n, n * 10 + 3, n * 10 + 2, "back", "GET /item",
					CLEW_KIND_SERVER, T0 + n * 1000 * MS + 2 * MS, MS / 2);

	s->status = n % 7 ? CLEW_STATUS_UNSET : CLEW_STATUS_ERROR;
	return s;
}

static struct clew_span *make_peer(uint64_t n)
{
	struct clew_span *s = make_span(n, n * 10 + 4, n * 10 + 3, "back", "SELECT",
					CLEW_KIND_CLIENT, T0 + n * 1000 * MS + 3 * MS, MS / 4);

	clew_span_set_str(s, "server.address", n % 2 ? SLICE("db-1") : SLICE("db-2"));
	clew_span_set_int(s, "server.port", 5432);
	return s;
}

/* The ends of a call come far apart, so that their traces lie in several runs. */
static void fill(void)
{
	for (uint64_t n = 1; n <= TRACES; n++) {
		put_both(make_root, n);
		put_both(make_call, n);
		if (n > 40) {
			put_both(make_server, n - 40);
			put_both(make_peer, n - 40);
		}
	}
	for (uint64_t n = TRACES - 39; n <= TRACES; n++) {
		put_both(make_server, n);
		put_both(make_peer, n);
	}
	assert_int_equal(clew_store_flush(exact), 0);
	assert_int_equal(clew_store_flush(rolled), 0);
}

static int setup(void **state)
{
	char path[200];

	dir = tmp_dir();
	snprintf(path, sizeof(path), "%s/exact", dir);
	exact = open_store(path, &(struct clew_store_opts){.exact_spans = UINT64_MAX});
	snprintf(path, sizeof(path), "%s/rolled", dir);
	rolled = open_store(path, &(struct clew_store_opts){
					  .exact_spans = 1, .hot_spans = 90, .batch_spans = 30});
	fill();
	return 0;
}

static int teardown(void **state)
{
	clew_store_close(exact);
	clew_store_close(rolled);
	rm_dir(dir);
	return 0;
}

/* Within a bucket, and interpolated in it. */
static void assert_near(uint64_t want, uint64_t got)
{
	if (!want || !got) {
		assert_int_equal(want, got);
		return;
	}
	if (fabs(log2((double)want / (double)got)) > 0.34)
		fail_msg("%lu is not near %lu", (unsigned long)got, (unsigned long)want);
}

struct services {
	struct clew_service_stats v[8];
	size_t n;
};

static int keep_service(void *user, const struct clew_service_stats *s)
{
	struct services *l = user;

	assert_true(l->n < 8);
	l->v[l->n++] = *s;
	return 0;
}

static void compare_services(uint64_t since, uint64_t until)
{
	const struct clew_service_query sq = {.since_ns = since, .until_ns = until};
	struct services a = {.n = 0}, b = {.n = 0};

	assert_int_equal(clew_store_services(exact, &sq, NULL, keep_service, &a, NULL), 0);
	assert_int_equal(clew_store_services(rolled, &sq, NULL, keep_service, &b, NULL), 0);
	assert_int_equal(a.n, b.n);
	for (size_t i = 0; i < a.n; i++) {
		assert_true(slice_eq(a.v[i].service, b.v[i].service));
		assert_int_equal(a.v[i].spans, b.v[i].spans);
		assert_int_equal(a.v[i].requests, b.v[i].requests);
		assert_int_equal(a.v[i].errors, b.v[i].errors);
		assert_int_equal(a.v[i].instances, b.v[i].instances);
		assert_near(a.v[i].p50_ns, b.v[i].p50_ns);
		assert_near(a.v[i].p95_ns, b.v[i].p95_ns);
	}
}

/* T0 is the begin of a minute. */
static void test_services(void **state)
{
	compare_services(0, 0);
	compare_services(T0 + 60000 * MS, T0 + 120000 * MS - 1);
}

struct edges {
	struct clew_edge_stats v[16];
	size_t n;
};

static int keep_edge(void *user, const struct clew_edge_stats *e)
{
	struct edges *l = user;

	assert_true(l->n < 16);
	l->v[l->n] = *e;
	l->v[l->n].client.p = e->client.p ? strndup(e->client.p, e->client.n) : NULL;
	l->v[l->n++].server.p = strndup(e->server.p, e->server.n);
	return 0;
}

static const struct clew_edge_stats *same_edge(const struct edges *l,
					       const struct clew_edge_stats *e)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].external == e->external && !l->v[i].client.p == !e->client.p &&
		    slice_eq(l->v[i].client, e->client) && slice_eq(l->v[i].server, e->server))
			return &l->v[i];
	fail_msg("no edge %.*s > %.*s", (int)e->client.n, e->client.p, (int)e->server.n,
		 e->server.p);
	return NULL;
}

static int count_span(void *user, struct clew_span *s)
{
	++*(size_t *)user;
	clew_span_free(s);
	return 0;
}

/* Also of traces that are divided between runs, hot ones included. */
static void test_map(void **state)
{
	struct edges a = {.n = 0}, b = {.n = 0};

	assert_int_equal(clew_store_map(exact, 0, 0, 0, NULL, keep_edge, &a, NULL), 0);
	assert_int_equal(clew_store_map(rolled, 0, 0, 0, NULL, keep_edge, &b, NULL), 0);
	assert_int_equal(a.n, 6);
	assert_int_equal(b.n, 6);
	for (size_t i = 0; i < a.n; i++) {
		const struct clew_edge_stats *e = same_edge(&b, &a.v[i]);

		assert_int_equal(a.v[i].calls, e->calls);
		assert_int_equal(a.v[i].errors, e->errors);
		assert_near(a.v[i].p50_ns, e->p50_ns);
		assert_near(a.v[i].p99_ns, e->p99_ns);
	}
	for (size_t i = 0; i < a.n; i++) {
		free((char *)(uintptr_t)a.v[i].client.p);
		free((char *)(uintptr_t)a.v[i].server.p);
		free((char *)(uintptr_t)b.v[i].client.p);
		free((char *)(uintptr_t)b.v[i].server.p);
	}
}

/* Slow and failing spans are looked for in the minutes that have some: the same are found. */
static void test_slow(void **state)
{
	static const uint64_t durations[] = {1, MS / 4, MS / 2, 5 * MS, 16 * MS, 18 * MS};
	struct clew_span_filter f;

	for (size_t i = 0; i < 6 * 2 * 3; i++) {
		size_t a = 0, b = 0;

		f = (struct clew_span_filter){.error = i / 6 % 2};
		if (i / 12 == 1)
			f.min_duration_ns = durations[i % 6];
		else
			f.max_duration_ns = durations[i % 6];
		if (i / 12 == 2)
			f.service = SLICE("back");
		assert_int_equal(clew_store_find_spans(exact, &f, count_span, &a, NULL), 0);
		assert_int_equal(clew_store_find_spans(rolled, &f, count_span, &b, NULL), 0);
		assert_int_equal(a, b);
	}
}

static int add_latency(void *user, const struct clew_latency_bucket *b)
{
	*(uint64_t *)user += b->n;
	return 0;
}

static uint64_t count_traces(struct clew_store *st, const char *key, bool any)
{
	struct clew_trace_query tq = {.any = any, .f = {.n_attrs = 1}};
	uint64_t n = 0;

	tq.f.attrs[0].key = slice_str(key);
	tq.f.attrs[0].value = SLICE("yes");
	assert_int_equal(clew_store_trace_latency(st, &tq, add_latency, &n, NULL), 0);
	return n;
}

/* Traces with an attribute: a few are named, many are joined; some are sealed, some hot. */
static void test_few_and_many(void **state)
{
	struct clew_store_opts opts = {.exact_spans = 1, .hot_spans = 800, .batch_spans = 400};
	char *own = tmp_dir();
	struct clew_store *st = open_store(own, &opts);
	struct clew_span_filter slow = {.min_duration_ns = 8 * MS};
	size_t n_slow = 0;

	for (uint64_t n = 1; n <= 1300; n++) {
		struct clew_span *s = make_span(n, n, 0, "front", "GET /", CLEW_KIND_SERVER,
						T0 + n * MS, n % 9 * MS);

		clew_span_set_str(s, "all", SLICE("yes"));
		clew_span_set_str(s, "some", n % 13 ? SLICE("no") : SLICE("yes"));
		clew_span_set_str(s, "none", SLICE("no"));
		put(st, s);
	}
	assert_int_equal(clew_store_flush(st), 0);
	for (int any = 0; any < 2; any++) {
		assert_int_equal(count_traces(st, "all", any), 1300);
		assert_int_equal(count_traces(st, "some", any), 100);
		assert_int_equal(count_traces(st, "none", any), 0);
	}
	clew_store_close(st);
	/* All are sealed. */
	opts.read_only = true;
	st = open_store(own, &opts);
	assert_int_equal(st->parts[0]->hot_rows, 0);
	assert_int_equal(count_traces(st, "all", true), 1300);
	assert_int_equal(count_traces(st, "some", true), 100);
	assert_int_equal(count_traces(st, "some", false), 100);
	assert_int_equal(count_traces(st, "none", true), 0);
	assert_int_equal(clew_store_find_spans(st, &slow, count_span, &n_slow, NULL), 0);
	assert_int_equal(n_slow, 144);
	slow.min_duration_ns = 100 * MS;
	assert_int_equal(clew_store_find_spans(st, &slow, count_span, &n_slow, NULL), 0);
	assert_int_equal(n_slow, 144);
	clew_store_close(st);
	rm_dir(own);
}

/* A span's id is its trace's own matter: in another one the same id stands for something else. */
static void test_same_ids(void **state)
{
	struct clew_store_opts opts[] = {{.exact_spans = UINT64_MAX},
					 {.exact_spans = 1, .hot_spans = 40, .batch_spans = 10}};
	const struct clew_span_filter roots = {.root = true};

	for (size_t i = 0; i < 2; i++) {
		char *own = tmp_dir();
		struct clew_store *st = open_store(own, &opts[i]);
		struct edges l = {.n = 0};
		size_t n = 0;

		/* Ten traces of three spans, all with the same ids; in ten others the caller is missing. */
		for (uint64_t t = 1; t <= 20; t++) {
			uint64_t start = T0 + t * MS;

			if (t <= 10)
				put(st, make_span(t, 1, 0, "front", "GET /", CLEW_KIND_SERVER,
						  start, 9 * MS));
			if (t <= 10)
				put(st, make_span(t, 2, 1, "front", "GET back", CLEW_KIND_CLIENT,
						  start, 5 * MS));
			put(st, make_span(t, 3, 2, "back", "GET /item", CLEW_KIND_SERVER, start,
					  3 * MS));
		}
		assert_int_equal(clew_store_flush(st), 0);
		assert_int_equal(clew_store_map(st, 0, 0, 0, NULL, keep_edge, &l, NULL), 0);
		assert_int_equal(l.n, 3);
		for (size_t k = 0; k < l.n; k++) {
			assert_int_equal(l.v[k].calls, 10);
			free((char *)(uintptr_t)l.v[k].client.p);
			free((char *)(uintptr_t)l.v[k].server.p);
		}
		assert_int_equal(clew_store_find_spans(st, &roots, count_span, &n, NULL), 0);
		assert_int_equal(n, 20);
		clew_store_close(st);
		rm_dir(own);
	}
}

struct sums {
	uint64_t n[8], errors, buckets[CLEW_LATENCY_BUCKETS];
};

static int keep_red(void *user, const struct clew_red_row *row)
{
	struct sums *s = user;

	assert_true(row->step < 8);
	s->n[row->step] += row->n;
	s->errors += row->errors;
	s->buckets[row->bucket] += row->n;
	return 0;
}

static void test_red(void **state)
{
	struct clew_red_query q[2] = {
		{.since_ns = T0, .until_ns = T0 + 240000 * MS, .step_ns = 60000 * MS},
		{.since_ns = T0 + 5, .until_ns = T0 + 239000 * MS, .step_ns = 59000 * MS},
	};
	struct sums a = {{0}}, b = {{0}};

	q[0].service = q[1].service = SLICE("back");
	q[0].kinds = q[1].kinds = 1u << CLEW_KIND_SERVER;
	assert_int_equal(clew_store_red(exact, &q[0], keep_red, &a, NULL), 0);
	assert_int_equal(clew_store_red(rolled, &q[1], keep_red, &b, NULL), 0);
	assert_int_equal(q[1].since_ns, T0);
	assert_int_equal(q[1].step_ns, 60000 * MS);
	assert_int_equal(a.n[0] + a.n[1] + a.n[2] + a.n[3], TRACES);
	assert_memory_equal(&a, &b, sizeof(a));
}

static void test_bounds(void **state)
{
	uint64_t first = 0, last = 0;

	assert_int_equal(clew_store_bounds(rolled, &first, &last, NULL), 0);
	assert_int_equal(first, T0 + 1000 * MS);
	assert_int_equal(last, T0 + TRACES * 1000 * MS + 3 * MS);
}

/* A store that an older writer made has no rollups: the same answers, and they are made in time. */
static void test_old_store(void **state)
{
	struct part *p = rolled->parts[0];

	clew_store_flush(rolled);
	pthread_mutex_lock(&rolled->state_lock);
	assert_true(p->digested > 0);
	pthread_mutex_unlock(&rolled->state_lock);
	clew_store_close(rolled);
	rolled = NULL;
	{
		char path[200];
		struct clew_store_opts opts = {
			.exact_spans = 1, .hot_spans = 90, .batch_spans = 30};

		snprintf(path, sizeof(path), "%s/rolled", dir);
		rolled = open_store(path, &opts);
		/* As if they had never been. */
		for (const char *const *t =
			     (const char *const[]){"red", "edge", "seen", "trace", "attr_count",
						   "attr_range", "digest", NULL};
		     *t; t++)
			assert_int_equal(duck_execf(rolled->conn, NULL, "DROP TABLE %s.%s;",
						    rolled->parts[0]->name, *t),
					 0);
		clew_store_close(rolled);
		opts.read_only = true;
		rolled = open_store(path, &opts);
		assert_false(rolled->parts[0]->has_rollups);
		assert_int_equal(rolled->parts[0]->digested, 0);
		test_services(NULL);
		test_map(NULL);
		test_red(NULL);
		clew_store_close(rolled);
		opts.read_only = false;
		rolled = open_store(path, &opts);
		p = rolled->parts[0];
		assert_true(p->has_rollups);
	}
	/* The writer does it while nothing else is to be done. */
	for (int i = 0; i < 3000; i++) {
		bool done;

		pthread_mutex_lock(&rolled->state_lock);
		done = p->digested == p->indexed;
		pthread_mutex_unlock(&rolled->state_lock);
		if (done)
			break;
		nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
	}
	assert_int_equal(p->digested, p->indexed);
	test_services(NULL);
	test_map(NULL);
	test_red(NULL);
}

static void test_latency(void **state)
{
	uint64_t counts[CLEW_LATENCY_BUCKETS] = {0};

	for (unsigned b = 12; b < 3 * 44; b++) {
		uint64_t from = (uint64_t)ceil(clew_latency_from(b));

		/* Beyond these a double has not all digits. */
		assert_int_equal(clew_latency_bucket(from), b);
	}
	assert_int_equal(clew_latency_bucket(0), 0);
	assert_int_equal(clew_latency_bucket(UINT64_MAX), CLEW_LATENCY_BUCKETS - 1);
	assert_int_equal(clew_latency_quantile(counts, 0.5), 0);
	for (uint64_t ns = 1000; ns <= 100000; ns += 10)
		counts[clew_latency_bucket(ns)]++;
	assert_near(50000, clew_latency_quantile(counts, 0.5));
	assert_near(95000, clew_latency_quantile(counts, 0.95));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_latency),	  cmocka_unit_test(test_services),
		cmocka_unit_test(test_map),	  cmocka_unit_test(test_same_ids),
		cmocka_unit_test(test_slow),	  cmocka_unit_test(test_few_and_many),
		cmocka_unit_test(test_red),	  cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_old_store),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
