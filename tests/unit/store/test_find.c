/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked for is found: spans by filters, traces, services and who calls whom. */
#include <errno.h>

#include "asked.h"

static void check_filters(struct clew_store *st, uint64_t n)
{
	struct clew_span_filter f = {.service = SLICE("back")};

	assert_int_equal(find(st, &f), n);
	f.min_duration_ns = 6 * MS + 1;
	assert_int_equal(find(st, &f), 0);
	f = (struct clew_span_filter){.name = SLICE("GET back"), .max_duration_ns = 8 * MS};
	assert_int_equal(find(st, &f), n);
	f = (struct clew_span_filter){.error = true};
	assert_int_equal(find(st, &f), n / 10);
	f = (struct clew_span_filter){.n_attrs = 1, .attrs = {{SLICE("item"), SLICE("77")}}};
	assert_int_equal(find(st, &f), 1);
	assert_int_equal(clew_span_attr(got.v[0], SLICE("item"))->i, 77);
	f.attrs[0].value = SLICE("077");
	assert_int_equal(find(st, &f), 0);
	f.attrs[0] = (struct clew_filter_attr){SLICE("no.such.key"), SLICE("1")};
	assert_int_equal(find(st, &f), 0);
	/* a resource's attribute, and a column that is shown as one */
	f.attrs[0] = (struct clew_filter_attr){SLICE("service.instance.id"), SLICE("back")};
	assert_int_equal(find(st, &f), n);
	f.n_attrs = 2;
	f.attrs[1] = (struct clew_filter_attr){SLICE("item"), SLICE("5")};
	assert_int_equal(find(st, &f), 1);
	f.attrs[1] = (struct clew_filter_attr){SLICE("clew.link.class"), SLICE("certain")};
	assert_int_equal(find(st, &f), 0);
	f.attrs[0] = (struct clew_filter_attr){SLICE("clew.link.evidence"), SLICE("thread")};
	assert_int_equal(find(st, &f), n);
	f = (struct clew_span_filter){.since_ns = T0 + 5 * 1000 * MS,
				      .until_ns = T0 + 6 * 1000 * MS};
	assert_int_equal(find(st, &f), 3 * 10 + 1);
	f = (struct clew_span_filter){.sort = CLEW_SORT_DURATION, .limit = 3};
	assert_int_equal(find(st, &f), 3);
	assert_int_equal(got.v[0]->duration_ns, 10 * MS + n);
	assert_int_equal(got.v[2]->duration_ns, 10 * MS + n - 2);
	f = (struct clew_span_filter){
		.sort = CLEW_SORT_START, .limit = 2, .service = SLICE("front")};
	assert_int_equal(find(st, &f), 2);
	assert_true(got.v[0]->start_ns > got.v[1]->start_ns);
	f = (struct clew_span_filter){0};
	assert_int_equal(find(st, &f), 3 * n);
	for (size_t i = 1; i < got.n; i++)
		assert_true(got.v[i]->start_ns >= got.v[i - 1]->start_ns);
}

/* The same answers from hot spans, from sealed and indexed ones, and from both. */
static void test_filters(void **state)
{
	static const uint32_t hot[] = {1000000, 100, 5500};
	const uint64_t n = 6000;

	for (size_t k = 0; k < sizeof(hot) / sizeof(*hot); k++) {
		struct clew_store_opts opts = {.hot_spans = hot[k], .batch_spans = 3000};
		struct clew_store_stats stats;
		char *dir = tmp_dir();
		struct clew_store *st = open_store(dir, &opts);

		for (uint64_t i = 1; i <= n; i++)
			put_shop(st, i, T0 + i * 100 * MS);
		assert_int_equal(clew_store_flush(st), 0);
		clew_store_stats(st, &stats);
		assert_int_equal(stats.stored, 3 * n);
		assert_int_equal(stats.dropped_queue, 0);
		assert_true(k == 0 ? stats.seals == 0 : stats.seals > 0);
		check_filters(st, n);
		forget(&got);
		clew_store_close(st);
		rm_dir(dir);
	}
}

static void test_traces(void **state)
{
	struct clew_store_opts opts = {.hot_spans = 500};
	struct clew_span_filter f = {.limit = 3};
	char *dir = tmp_dir();
	struct clew_store *st = open_store(dir, &opts);
	struct clew_id128 want;
	struct summaries s;

	for (uint64_t i = 1; i <= 400; i++) /* over four hours */
		put_shop(st, i, T0 + i * 36 * 1000 * MS);
	assert_int_equal(clew_store_flush(st), 0);
	s = traces(st, &f);
	assert_int_equal(s.n, 3);
	want = trace_id(400);
	assert_true(clew_id128_eq(&s.v[0].trace_id, &want));
	want = trace_id(398);
	assert_true(clew_id128_eq(&s.v[2].trace_id, &want));
	assert_true(slice_eq(s.v[0].service, SLICE("front")));
	assert_true(slice_eq(s.v[0].name, SLICE("GET /")));
	assert_int_equal(s.v[0].duration_ns, 10 * MS + 400);
	assert_int_equal(s.v[0].spans, 3);
	assert_int_equal(s.v[0].services, 2);
	assert_int_equal(s.v[0].errors, 1);
	f = (struct clew_span_filter){.error = true, .limit = 2};
	s = traces(st, &f);
	assert_int_equal(s.n, 2);
	want = trace_id(390);
	assert_true(clew_id128_eq(&s.v[1].trace_id, &want));
	f = (struct clew_span_filter){
		.sort = CLEW_SORT_DURATION, .limit = 2, .service = SLICE("back")};
	s = traces(st, &f);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.v[0].duration_ns, 10 * MS + 400);
	f = (struct clew_span_filter){.n_attrs = 1, .attrs = {{SLICE("item"), SLICE("3")}}};
	s = traces(st, &f);
	assert_int_equal(s.n, 1);
	want = trace_id(3);
	assert_true(clew_id128_eq(&s.v[0].trace_id, &want));
	clew_store_close(st);
	rm_dir(dir);
}

/* A root hours before the span that is found. */
static void test_trace_over_hours(void **state)
{
	char *dir = tmp_dir();
	struct clew_store *st = open_store(dir, NULL);
	struct clew_span_filter f = {.limit = 5, .name = SLICE("late")};
	struct summaries s;

	for (uint64_t h = 1; h < 5; h++)
		put_shop(st, h, T0 + h * 3600 * 1000 * MS);
	put(st, make_span(9, 901, 0, "a", "root", CLEW_KIND_SERVER, T0, 5 * 3600 * 1000 * MS));
	put(st,
	    make_span(9, 902, 901, "a", "late", CLEW_KIND_CLIENT, T0 + 5 * 3600 * 1000 * MS, MS));
	assert_int_equal(clew_store_flush(st), 0);
	s = traces(st, &f);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.v[0].spans, 2);
	assert_true(slice_eq(s.v[0].name, SLICE("root")));
	clew_store_close(st);
	rm_dir(dir);
}

static void test_ids_and_aliases(void **state)
{
	char *dir = tmp_dir(), hex[33], *error = NULL;
	struct clew_store *st = open_store(dir, NULL);
	struct clew_id128 id = trace_id(2), ids[4];
	struct clew_store_alias alias = {.trace_id = trace_id(2), .canonical = trace_id(1)};

	for (uint64_t i = 1; i <= 3; i++)
		put_shop(st, i, T0 + i);
	assert_int_equal(clew_store_flush(st), 0);
	clew_hex(id.b, 16, hex);
	for (size_t len = 8; len <= 32; len += 12) {
		assert_int_equal(clew_store_match_ids(st, slice_of(hex, len), ids, 4, &error), 1);
		assert_true(clew_id128_eq(&ids[0], &id));
	}
	assert_int_equal(clew_store_match_ids(st, SLICE("xyz"), ids, 4, &error), -EINVAL);
	free(error);
	error = NULL;
	forget(&got);
	assert_int_equal(clew_store_get_trace(st, &id, get, &got, &error), 0);
	assert_int_equal(got.n, 3);
	assert_int_equal(clew_store_add_alias(st, &alias, &error), 0);
	alias = (struct clew_store_alias){.trace_id = trace_id(1), .canonical = trace_id(2)};
	assert_int_equal(clew_store_add_alias(st, &alias, NULL), -EINVAL);
	for (int round = 0; round < 2; round++) {
		struct clew_span_filter f = {.limit = 10};
		struct summaries s;

		forget(&got);
		assert_int_equal(clew_store_get_trace(st, &id, get, &got, &error), 0);
		assert_int_equal(got.n, 6);
		id = trace_id(1);
		assert_true(clew_id128_eq(&got.v[5]->trace_id, &id));
		s = traces(st, &f);
		assert_int_equal(s.n, 2);
		assert_int_equal(s.v[1].spans, 6);
		assert_int_equal(clew_store_match_ids(st, slice_of(hex, 32), ids, 4, &error), 1);
		assert_true(clew_id128_eq(&ids[0], &id));
		forget(&got);
		clew_store_close(st);
		st = open_store(dir, NULL);
		id = trace_id(2);
	}
	id = trace_id(1234);
	assert_int_equal(clew_store_get_trace(st, &id, get, &got, &error), -ENOENT);
	clew_store_close(st);
	rm_dir(dir);
}

static int get_service(void *user, const struct clew_service_stats *s)
{
	struct clew_service_stats *v = user;

	v[slice_eq(s->service, SLICE("front"))] = *s;
	return 0;
}

static int get_edge(void *user, const struct clew_edge_stats *e)
{
	uint64_t *calls = user;

	if (!e->client.p && slice_eq(e->server, SLICE("front")))
		calls[0] = e->calls;
	else if (e->client.p && slice_eq(e->server, SLICE("back")) && !e->external)
		calls[1] = e->calls;
	else if (e->external && slice_eq(e->server, SLICE("10.0.0.9:6379")))
		calls[2] = e->calls;
	else
		calls[3]++;
	return 0;
}

static void test_services_and_map(void **state)
{
	const struct clew_service_query by_name = {.sort = CLEW_SERVICES_BY_NAME};
	struct clew_service_stats v[2] = {0};
	struct clew_span *s;
	uint64_t calls[4] = {0};
	char *dir = tmp_dir(), *error = NULL;
	struct clew_store *st = open_store(dir, NULL);

	assert_int_equal(clew_store_services(st, &by_name, NULL, get_service, v, &error), 0);
	assert_int_equal(v[1].spans, 0);
	for (uint64_t i = 1; i <= 100; i++)
		put_shop(st, i, T0 + i);
	s = make_span(1, 19, 13, "back", "redis", CLEW_KIND_CLIENT, T0, MS);
	clew_span_set_str(s, "server.address", SLICE("10.0.0.9"));
	clew_span_set_int(s, "server.port", 6379);
	put(st, s);
	assert_int_equal(clew_store_flush(st), 0);
	assert_int_equal(clew_store_services(st, &by_name, NULL, get_service, v, &error), 0);
	assert_int_equal(v[1].spans, 200);
	assert_int_equal(v[1].requests, 100);
	assert_int_equal(v[1].errors, 0);
	assert_int_equal(v[1].instances, 1);
	assert_int_equal(v[1].p50_ns, 10 * MS + 50);
	assert_int_equal(v[1].first_ns, T0 + 1);
	assert_int_equal(v[0].errors, 10);
	assert_int_equal(clew_store_map(st, 0, 0, 0, NULL, get_edge, calls, &error), 0);
	assert_int_equal(calls[0], 100);
	assert_int_equal(calls[1], 100);
	assert_int_equal(calls[2], 1);
	assert_int_equal(calls[3], 0);
	clew_store_close(st);
	rm_dir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filters),		 cmocka_unit_test(test_traces),
		cmocka_unit_test(test_trace_over_hours), cmocka_unit_test(test_ids_and_aliases),
		cmocka_unit_test(test_services_and_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
