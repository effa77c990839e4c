/* SPDX-License-Identifier: Apache-2.0 */
/* overview, operations, red, and the map's rates: an hour before, and one that is worse. */
#include "ask.h"

#define N 400

/* 400 requests of each service in each of two halves of ten minutes; in the second, front is four
 * times as slow, every fifth of back fails, and locked is stuck now and then. */
static int setup(void **state)
{
	dir = tmp_dir();
	st = open_store(dir, &(struct clew_store_opts){.hot_spans = 500});
	for (uint64_t i = 0; i < 2 * N; i++) {
		bool late = i >= N;
		uint64_t start = T0 + i * 600000 * MS / N / 2;
		struct clew_span *s;

		s = make_span(i, i * 10 + 1, 0, "front", i % 4 ? "GET /" : "POST /",
			      CLEW_KIND_SERVER, start, late ? 40 * MS : 10 * MS);
		put(st, s);
		put(st, make_span(i, i * 10 + 2, i * 10 + 1, "front", "GET back", CLEW_KIND_CLIENT,
				  start, 5 * MS));
		s = make_span(i, i * 10 + 3, i * 10 + 2, "back", "GET /item", CLEW_KIND_SERVER,
			      start, 3 * MS);
		s->status = late && i % 5 == 0 ? CLEW_STATUS_ERROR : CLEW_STATUS_UNSET;
		put(st, s);
		put(st, make_span(i, i * 10 + 4, 0, "same", "tick", CLEW_KIND_SERVER, start, MS));
		/* Every fortieth waits for a lock: more than chance, too few for p95. */
		put(st, make_span(i, i * 10 + 5, 0, "locked", "tick", CLEW_KIND_SERVER, start,
				  late && i % 40 == 0 ? 900 * MS : 2 * MS));
	}
	return clew_store_flush(st);
}

/* The second half: 300 s. */
#define WINDOW "since=1767323700000000000&until=1767324000000000000"

static json_t *service(json_t *overview, const char *name)
{
	json_t *s;
	size_t i;

	json_array_foreach(json_object_get(overview, "services"), i,
			   s) if (!strcmp(str(s, "service"), name)) return s;
	fail_msg("no service %s", name);
	return NULL;
}

static void assert_about(json_int_t want, json_int_t got)
{
	if (got < want * 3 / 4 || got > want * 4 / 3)
		fail_msg("%lld is not about %lld", (long long)got, (long long)want);
}

static json_int_t total(json_t *o, const char *key)
{
	json_int_t sum = 0;
	json_t *v;
	size_t i;

	json_array_foreach(json_object_get(o, key), i, v) sum += json_integer_value(v);
	return sum;
}

static void test_overview(void **state)
{
	json_t *o = get_one(API "overview?buckets=5&" WINDOW), *front, *back, *same;

	front = service(o, "front");
	back = service(o, "back");
	same = service(o, "same");
	assert_int_equal(num(o, "bucket_ns"), 60000 * MS);
	assert_int_equal(num(front, "requests"), N);
	assert_int_equal(num(front, "instances"), 1);
	assert_about(40 * MS, num(front, "p95_ns"));
	assert_about(10 * MS, num(json_object_get(front, "before"), "p95_ns"));
	assert_int_equal(num(json_object_get(front, "before"), "requests"), N);
	assert_int_equal(num(back, "errors"), N / 5);
	/* Twice doubled; twenty of a hundred fail; nothing. Less what chance explains. */
	assert_true(json_number_value(json_object_get(front, "deviation")) > 1.5);
	assert_true(json_number_value(json_object_get(front, "deviation")) < 2);
	assert_true(json_number_value(json_object_get(back, "deviation")) > 1);
	assert_true(json_number_value(json_object_get(back, "deviation")) < 2);
	assert_true(json_number_value(json_object_get(same, "deviation")) == 0);
	assert_null(json_object_get(front, "tail"));
	assert_null(json_object_get(same, "tail"));
	assert_string_equal(str(at(o, "services", 3), "service"), "same");
	assert_int_equal(json_array_size(json_object_get(json_object_get(back, "spark"), "p95_ns")),
			 5);
	assert_int_equal(total(json_object_get(back, "spark"), "requests"), N);
	assert_int_equal(total(json_object_get(back, "spark"), "errors"), N / 5);
	json_decref(o);
	o = get_one(API "overview");
	assert_int_equal(num(service(o, "front"), "requests"), 2 * N);
	assert_int_equal(num(json_object_get(service(o, "front"), "before"), "requests"), 0);
	json_decref(o);
}

/* A few that are far slower than was usual: no quantile that is drawn tells of them. */
static void test_tail(void **state)
{
	json_t *o = get_one(API "overview?buckets=5&" WINDOW), *locked = service(o, "locked"),
	       *tail = json_object_get(locked, "tail"), *steps;

	assert_about(2 * MS, num(locked, "p95_ns"));
	assert_int_equal(num(tail, "requests"), N / 40);
	assert_int_equal(num(tail, "before"), 0);
	/* Where the first of them is found. */
	assert_true(num(tail, "over_ns") <= (json_int_t)(900 * MS));
	assert_about(900 * MS, num(tail, "over_ns"));
	assert_int_equal(num(locked, "max_ns"), num(tail, "over_ns"));
	steps = json_object_get(locked, "spark");
	for (size_t i = 0; i < 5; i++) {
		assert_about(2 * MS, json_integer_value(at(steps, "p95_ns", i)));
		assert_about(900 * MS, json_integer_value(at(steps, "max_ns", i)));
	}
	/* Surely worse; never as bad as what hits many. */
	assert_true(json_number_value(json_object_get(locked, "deviation")) > 0.9);
	assert_true(json_number_value(json_object_get(locked, "deviation")) <= 1);
	json_decref(o);
	/* The other way round it is better: nothing is said of it. */
	o = get_one(API "overview?since=1767323400000000000&until=1767323700000000000");
	assert_null(json_object_get(service(o, "locked"), "tail"));
	json_decref(o);
}

static void test_operations(void **state)
{
	json_t *o = get_one(API "operations?service=front&" WINDOW), *op;

	assert_int_equal(json_array_size(json_object_get(o, "operations")), 3);
	op = at(o, "operations", 0);
	assert_string_equal(str(op, "name"), "GET /");
	assert_string_equal(str(op, "kind"), "server");
	assert_int_equal(num(op, "requests"), N * 3 / 4);
	assert_true(json_number_value(json_object_get(op, "rate")) == 1);
	assert_true(json_number_value(json_object_get(op, "share")) > 0.74);
	assert_true(json_number_value(json_object_get(op, "share")) < 0.76);
	assert_string_equal(str(at(o, "operations", 2), "kind"), "client");
	json_decref(o);
	o = get_one(API "operations?service=nobody");
	assert_int_equal(json_array_size(json_object_get(o, "operations")), 0);
	json_decref(o);
	assert_int_equal(ask("GET", API "operations", ""), -EINVAL);
}

static void test_red(void **state)
{
	json_t *r = get_one(API "red?service=front&name=GET+/&buckets=10&since=1767323400000000000"
				"&until=1767324000000000000");

	assert_int_equal(json_array_size(json_object_get(r, "requests")), 10);
	assert_int_equal(total(r, "requests"), 2 * N * 3 / 4);
	assert_about(10 * MS, json_integer_value(at(r, "p50_ns", 4)));
	assert_about(40 * MS, json_integer_value(at(r, "p50_ns", 5)));
	json_decref(r);
	r = get_one(API "red?service=front&kind=client&buckets=1");
	assert_int_equal(total(r, "requests"), 2 * N);
	json_decref(r);
	assert_int_equal(ask("GET", API "red?kind=butler", ""), -EINVAL);
	assert_int_equal(ask("GET", API "red?buckets=0", ""), -EINVAL);
	assert_int_equal(ask("GET", API "red?since=5&until=4", ""), -EINVAL);
	assert_int_equal(ask("GET", API "red?color=red", ""), -EINVAL);
}

static void test_map(void **state)
{
	json_t *m = get_one(API "map?" WINDOW), *e, *n;
	size_t i, found = 0;

	json_array_foreach(json_object_get(m, "edges"), i, e)
	{
		if (json_is_null(json_object_get(e, "client")) || strcmp(str(e, "server"), "back"))
			continue;
		found++;
		assert_int_equal(num(e, "calls"), N);
		assert_int_equal(num(e, "errors"), N / 5);
		assert_true(json_number_value(json_object_get(e, "rate")) > 1.33);
		assert_true(json_number_value(json_object_get(e, "rate")) < 1.34);
	}
	json_array_foreach(json_object_get(m, "nodes"), i,
			   n) if (!strcmp(str(n, "service"), "front"))
	{
		found++;
		assert_about(40 * MS, num(n, "p95_ns"));
	}
	assert_int_equal(found, 2);
	json_decref(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_overview),   cmocka_unit_test(test_tail),
		cmocka_unit_test(test_operations), cmocka_unit_test(test_red),
		cmocka_unit_test(test_map),
	};

	return cmocka_run_group_tests(tests, setup, ask_teardown);
}
