/* SPDX-License-Identifier: Apache-2.0 */
/* Spans that are stored, and told by others that come later: hot ones and sealed ones. */
#include "store/internal.h"
#include "util.h"

#define TRACES 40

struct rig {
	char *dir;
	struct clew_store_opts opts;
	struct clew_store *st;
};

static struct rig open_rig(uint32_t hot_spans)
{
	struct rig r = {.dir = tmp_dir(), .opts = {.hot_spans = hot_spans}};

	r.st = open_store(r.dir, &r.opts);
	return r;
}

static void close_rig(struct rig *r)
{
	clew_store_close(r->st);
	rm_dir(r->dir);
}

static void reopen(struct rig *r)
{
	clew_store_close(r->st);
	r->st = open_store(r->dir, &r->opts);
}

/* n's spans of an SDK: its server and its client, in a trace of their own. */
static void put_sdk(struct clew_store *st, uint64_t n)
{
	uint64_t start = T0 + n * 1000 * MS;

	put(st,
	    make_span(1000 + n, 10000 + n, 0, "sdk", "GET /", CLEW_KIND_SERVER, start + 1, 9 * MS));
	put(st, make_span(1000 + n, 20000 + n, 10000 + n, "sdk", "GET", CLEW_KIND_CLIENT,
			  start + MS - 1, 8 * MS + 2));
}

static struct clew_amendment of(enum clew_amend_what what, uint64_t trace, uint64_t span,
				uint64_t to_trace, uint64_t parent, uint64_t start_ns)
{
	struct clew_amendment a = {
		.what = what,
		.trace_id = trace_id(trace),
		.span_id = clew_id64_from(span),
		.to_trace_id = trace_id(to_trace),
		.start_ns = start_ns,
		.facts = {.times = {1, -1, 3, 4, 5, 6, 7}, .wire_key = trace_id(77), .pid = 42}};

	if (parent)
		a.parent_span_id = clew_id64_from(parent);
	return a;
}

/* The shop's front is told by the SDK; what it called, "back", is not. */
static void amend_shop(struct clew_store *st, uint64_t n)
{
	uint64_t id = n * 10, start = T0 + n * 1000 * MS;
	struct clew_store_alias alias = {
		.trace_id = trace_id(n), .canonical = trace_id(1000 + n), .confidence = 1};
	struct clew_amendment v[] = {
		of(CLEW_AMEND_JOINED, 1000 + n, 10000 + n, 1000 + n, 0, start + 1),
		of(CLEW_AMEND_JOINED, 1000 + n, 20000 + n, 1000 + n, 10000 + n, start + MS - 1),
		of(CLEW_AMEND_REPLACED, 1000 + n, id + 1, 1000 + n, 10000 + n, start),
		of(CLEW_AMEND_REPLACED, 1000 + n, id + 2, 1000 + n, 20000 + n, start + MS),
	};

	clew_store_amend(st, v, 4, &alias, 1);
}

struct seen {
	struct clew_id128 trace;
	uint64_t ids[16], parents[16];
	int64_t runq[16];
	uint32_t pids[16], n;
};

static int keep(void *user, struct clew_span *s)
{
	struct seen *seen = user;

	assert_true(seen->n < 16);
	seen->trace = s->trace_id;
	seen->ids[seen->n] = id64_int(&s->span_id);
	seen->parents[seen->n] = id64_int(&s->parent_span_id);
	seen->pids[seen->n] = s->pid;
	seen->runq[seen->n++] = s->times.runq_ns;
	clew_span_free(s);
	return 0;
}

static int count_span(void *user, struct clew_span *s)
{
	++*(uint64_t *)user;
	clew_span_free(s);
	return 0;
}

static uint64_t id_of(uint64_t n)
{
	struct clew_id64 id = clew_id64_from(n);

	return id64_int(&id);
}

static uint64_t spans_of_service(struct clew_store *st, const char *service)
{
	struct clew_span_filter f = {.service = slice_str(service)};
	char *error = NULL;
	uint64_t n = 0;

	assert_int_equal(clew_store_find_spans(st, &f, count_span, &n, &error), 0);
	return n;
}

static int add_red(void *user, const struct clew_red_row *row)
{
	*(uint64_t *)user += row->n;
	return 0;
}

static uint64_t sum_of_service(struct clew_store *st, const char *service)
{
	struct clew_red_query rq = {.service = slice_str(service)};
	char *error = NULL;
	uint64_t n = 0;

	assert_int_equal(clew_store_red(st, &rq, add_red, &n, &error), 0);
	return n;
}

static void assert_trace(struct clew_store *st, uint64_t n)
{
	const uint64_t want[3][2] = {{id_of(10000 + n), 0},
				     {id_of(20000 + n), id_of(10000 + n)},
				     {id_of(n * 10 + 3), id_of(20000 + n)}};
	struct clew_id128 asked[2] = {trace_id(n), trace_id(1000 + n)};

	for (int i = 0; i < 2; i++) {
		struct seen seen = {0};
		char *error = NULL;

		assert_int_equal(clew_store_get_trace(st, &asked[i], keep, &seen, &error), 0);
		assert_int_equal(seen.n, 3);
		assert_memory_equal(&seen.trace, &asked[1], sizeof(asked[1]));
		for (int k = 0; k < 3; k++) {
			assert_int_equal(seen.ids[k], want[k][0]);
			assert_int_equal(seen.parents[k], want[k][1]);
		}
		assert_int_equal(seen.pids[0], 42);
		assert_int_equal(seen.runq[1], -1);
		assert_int_equal(seen.pids[2], 0);
	}
}

/* How often each is found, by whatever way. */
static void assert_once(struct rig *r, uint64_t told)
{
	struct clew_buf out = {0};
	char *error = NULL;

	for (uint64_t n = 1; n <= told; n++)
		assert_trace(r->st, n);
	assert_int_equal(spans_of_service(r->st, "front"), 2 * (TRACES - told));
	assert_int_equal(spans_of_service(r->st, "sdk"), 2 * TRACES);
	assert_int_equal(spans_of_service(r->st, "back"), TRACES);
	assert_int_equal(sum_of_service(r->st, "front"), 2 * (TRACES - told));
	assert_int_equal(sum_of_service(r->st, "back"), TRACES);
	assert_int_equal(
		clew_store_sql(r->st, SLICE("SELECT count(*) AS n FROM spans"), &out, &error), 0);
	clew_buf_addc(&out, '\0');
	assert_non_null(strstr(out.data, told ? "[[160]]" : "[[200]]"));
	clew_buf_done(&out);
}

static void tell_all(struct rig *r, uint32_t told)
{
	struct clew_store_stats stats;

	for (uint64_t n = 1; n <= told; n++)
		amend_shop(r->st, n);
	assert_int_equal(clew_store_flush(r->st), 0);
	clew_store_stats(r->st, &stats);
	assert_int_equal(stats.amended, 4 * told);
	assert_int_equal(stats.amend_missed, 0);
	assert_int_equal(stats.amend_dropped, 0);
}

/* hot_spans: small ones are sealed at once. */
static void told_late(uint32_t hot_spans, uint64_t exact_spans)
{
	struct rig r = open_rig(hot_spans);

	r.opts.exact_spans = exact_spans;
	for (uint64_t n = 1; n <= TRACES; n++)
		put_shop(r.st, n, T0 + n * 1000 * MS);
	assert_int_equal(clew_store_flush(r.st), 0);
	for (uint64_t n = 1; n <= TRACES; n++)
		put_sdk(r.st, n);
	assert_int_equal(clew_store_flush(r.st), 0);
	reopen(&r);
	assert_once(&r, 0);
	tell_all(&r, 20);
	assert_once(&r, 20);
	reopen(&r);
	assert_once(&r, 20);
	close_rig(&r);
}

static void test_hot(void **state)
{
	told_late(0, 0);
}

static void test_sealed(void **state)
{
	told_late(16, 0);
}

static void test_sealed_sums(void **state)
{
	told_late(16, 1); /* from rollups */
}

/* They are sealed after they went. */
static void test_sealed_after(void **state)
{
	struct rig r = open_rig(0);

	for (uint64_t n = 1; n <= TRACES; n++) {
		put_shop(r.st, n, T0 + n * 1000 * MS);
		put_sdk(r.st, n);
	}
	assert_int_equal(clew_store_flush(r.st), 0);
	tell_all(&r, 20);
	r.opts.hot_spans = 16;
	reopen(&r);
	put_shop(r.st, 90, T0 + 10 * 3600 * 1000 * MS);
	assert_int_equal(clew_store_flush(r.st), 0);
	clew_store_close(r.st); /* seals what is much */
	r.st = open_store(r.dir, &r.opts);
	assert_int_equal(r.st->parts[0]->hot_rows, 0);
	assert_int_equal(spans_of_service(r.st, "front"), 2 * 20 + 2);
	r.opts.exact_spans = 1;
	reopen(&r);
	assert_int_equal(sum_of_service(r.st, "front"), 2 * 20 + 2);
	for (uint64_t n = 1; n <= 20; n++)
		assert_trace(r.st, n);
	close_rig(&r);
}

/* Aliases of aliases; what hangs from it comes under an older id, and later. */
static void test_other_ids(void **state)
{
	struct rig r = open_rig(0);
	struct clew_store_alias alias = {.trace_id = trace_id(1), .canonical = trace_id(2)};
	struct clew_amendment a = of(CLEW_AMEND_REPLACED, 3, 11, 3, 31, T0);
	struct seen seen = {0};
	struct clew_id128 id = trace_id(1);
	char *error = NULL;

	put(r.st, make_span(1, 11, 0, "k", "GET", CLEW_KIND_SERVER, T0, 5 * MS));
	put(r.st, make_span(3, 31, 0, "sdk", "GET", CLEW_KIND_SERVER, T0, 5 * MS));
	assert_int_equal(clew_store_flush(r.st), 0);
	clew_store_amend(r.st, NULL, 0, &alias, 1);
	assert_int_equal(clew_store_flush(r.st), 0);
	alias = (struct clew_store_alias){.trace_id = trace_id(2), .canonical = trace_id(3)};
	/* in the queue when it is told: it is waited for */
	put(r.st, make_span(1, 12, 11, "k", "call", CLEW_KIND_CLIENT, T0 + MS, 2 * MS));
	clew_store_amend(r.st, &a, 1, &alias, 1);
	assert_int_equal(clew_store_flush(r.st), 0);
	assert_int_equal(clew_store_get_trace(r.st, &id, keep, &seen, &error), 0);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.ids[0], id_of(31));
	assert_int_equal(seen.parents[1], id_of(31));
	close_rig(&r);
}

/* One that is not stored itself: only what hangs from it. One that never comes is counted. */
static void test_children_only(void **state)
{
	struct rig r = open_rig(0);
	struct clew_amendment v[2] = {of(CLEW_AMEND_REPLACED, 1, 11, 1, 31, T0),
				      of(CLEW_AMEND_REPLACED, 1, 19, 1, 31, T0)};
	struct clew_store_stats stats;
	struct seen seen = {0};
	struct clew_id128 id = trace_id(1);
	char *error = NULL;

	v[0].children_only = true;
	put(r.st, make_span(1, 12, 11, "k", "call", CLEW_KIND_CLIENT, T0 + MS, 2 * MS));
	assert_int_equal(clew_store_flush(r.st), 0);
	clew_store_amend(r.st, v, 2, NULL, 0);
	assert_int_equal(clew_store_flush(r.st), 0);
	assert_int_equal(clew_store_get_trace(r.st, &id, keep, &seen, &error), 0);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.parents[0], id_of(31));
	clew_store_stats(r.st, &stats);
	assert_int_equal(stats.amended, 1);
	assert_int_equal(stats.amend_missed, 0); /* it may come yet */
	close_rig(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hot),	    cmocka_unit_test(test_sealed),
		cmocka_unit_test(test_sealed_sums), cmocka_unit_test(test_sealed_after),
		cmocka_unit_test(test_other_ids),   cmocka_unit_test(test_children_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
