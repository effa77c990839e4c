/* SPDX-License-Identifier: Apache-2.0 */
/*
 * patterns, histogram, heat, differences: three shapes whose spans come in any order, some sealed, some not,
 * some traces divided between runs; a planted reason why some are slow.
 */
#include <inttypes.h>

#include "ask.h"

#define N 300

/* Shape 0: front > cart; 1: front > cart, stock; 2: front > 1, 2 to 3 or 4+ times cart. */
static void put_trace(uint64_t n)
{
	uint64_t start = T0 + n * 100 * MS, id = n * 100, took = 20 * MS + n % 5 * MS;
	unsigned shape = n % 3;
	struct clew_span *spans[10];
	size_t k = 0;
	/* Slow: those of the version that is bad, and none of the others. */
	bool bad = n % 10 == 7;

	if (bad)
		took = 200 * MS;
	spans[k] = make_span(n, id + 1, 0, "front", shape == 2 ? "batch" : "GET /",
			     CLEW_KIND_SERVER, start, took);
	clew_span_set_str(spans[k], "app.version", bad ? SLICE("2.0-bad") : SLICE("1.9"));
	clew_span_set_int(spans[k], "app.noise", (int64_t)n);
	clew_span_set_str(spans[k++], "app.color", n / 10 % 2 ? SLICE("red") : SLICE("blue"));
	for (uint64_t i = 0; i < (shape == 2 ? 4 + n % 4 : 1); i++)
		spans[k++] =
			make_span(n, id + 10 + i, id + 1, "cart", "GET /cart", CLEW_KIND_SERVER,
				  start + MS * (1 + i), bad && i == 0 ? 180 * MS : MS);
	if (shape == 1)
		spans[k++] = make_span(n, id + 50, id + 1, "stock", "GET /stock", CLEW_KIND_SERVER,
				       start + 3 * MS, MS);
	if (n % 20 == 0)
		spans[k - 1]->status = CLEW_STATUS_ERROR;
	for (size_t i = 0; i < k; i++) /* in another order each time */
		put(st, spans[n % 2 ? k - 1 - i : i]);
}

static int setup(void **state)
{
	dir = tmp_dir();
	st = open_store(dir, &(struct clew_store_opts){.hot_spans = 200, .batch_spans = 53});
	for (uint64_t n = 1; n <= N; n++)
		put_trace(n);
	/* Some traces of two runs: what is under the root comes late. */
	for (uint64_t n = 1001; n <= 1010; n++)
		put(st, make_span(n, n * 100 + 1, 0, "front", "GET /", CLEW_KIND_SERVER,
				  T0 + n * 100 * MS, 20 * MS));
	for (uint64_t n = 2001; n <= 2300; n++)
		put(st, make_span(n, n * 100 + 1, 0, "tick", "tick", CLEW_KIND_INTERNAL,
				  T0 + n * 100 * MS, MS / 4));
	for (uint64_t n = 1001; n <= 1010; n++)
		put(st, make_span(n, n * 100 + 2, n * 100 + 1, "cart", "GET /cart",
				  CLEW_KIND_SERVER, T0 + n * 100 * MS + MS, MS));
	return clew_store_flush(st);
}

static json_t *pattern_of(json_t *answer, const char *name, size_t nodes)
{
	json_t *p;
	size_t i;

	json_array_foreach(json_object_get(answer, "patterns"), i,
			   p) if (!strcmp(str(p, "name"), name) &&
				  json_array_size(json_object_get(p, "shape")) == nodes) return p;
	fail_msg("no pattern %s of %zu: %s", name, nodes, out.data);
	return NULL;
}

static double real(json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static void test_patterns(void **state)
{
	json_t *a = get_one(API "patterns"), *p;

	assert_int_equal(num(a, "traces"), N + 310);
	assert_int_equal(json_array_size(json_object_get(a, "patterns")), 4);
	p = pattern_of(a, "GET /", 2);
	assert_int_equal(num(p, "count"), N / 3 + 10);
	assert_int_equal(num(p, "spans"), 2);
	assert_int_equal(json_array_size(json_object_get(p, "examples")), 2);
	p = pattern_of(a, "GET /", 3);
	assert_int_equal(num(p, "count"), N / 3);
	assert_int_equal(num(p, "services"), 3);
	/* Four, five, six or seven equal ones are one shape. */
	p = pattern_of(a, "batch", 2);
	assert_int_equal(num(p, "count"), N / 3);
	assert_true(num(at(p, "shape", 1), "repeat") >= 4);
	assert_int_equal(num(at(p, "shape", 1), "depth"), 1);
	assert_true(num(p, "p50_ns") > 18 * (json_int_t)MS &&
		    num(p, "p50_ns") < 27 * (json_int_t)MS);
	p = pattern_of(a, "tick", 1);
	assert_int_equal(num(p, "count"), 300);
	assert_true(real(p, "share") < 0.05);
	json_decref(a);
}

static json_int_t traces(const char *parameters)
{
	char target[300];
	json_t *a;
	json_int_t n;

	snprintf(target, sizeof(target), API "patterns?%s", parameters);
	a = get_one(target);
	n = num(a, "traces");
	json_decref(a);
	return n;
}

static void test_filters(void **state)
{
	assert_int_equal(traces("service=front"), N + 10);
	assert_int_equal(traces("service=cart"), 0);
	assert_int_equal(traces("service=cart&any=1"), N + 10);
	assert_int_equal(traces("service=stock&any=1"), N / 3);
	assert_int_equal(traces("name=batch"), N / 3);
	assert_int_equal(traces("kind=internal"), 300);
	assert_int_equal(traces("min_duration=100000000"), N / 10);
	assert_int_equal(traces("max_duration=1000000"), 300);
	assert_int_equal(traces("attr=app.version=2.0-bad"), N / 10);
	assert_int_equal(traces("where=app.noise<=100"), 100);
	assert_int_equal(traces("where=app.noise<=100&any=1"), 100);
	assert_int_equal(traces("service=cart&attr=app.version=1.9&any=1"), 0);
	assert_int_equal(traces("error=1&any=1"), N / 20);
	assert_int_equal(traces("service=nobody"), 0);
	assert_int_equal(traces("since=1767323400000000000&until=1767323401000000000"), 10);
	assert_int_equal(ask("GET", API "patterns?sort=start", ""), -EINVAL);
	assert_int_equal(ask("GET", API "patterns?pattern=x", ""), -EINVAL);
}

static void test_one_pattern(void **state)
{
	json_t *all = get_one(API "patterns"), *p = pattern_of(all, "GET /", 3), *g, *n;
	char target[200];
	double shares = 0;
	size_t i;

	snprintf(target, sizeof(target), API "patterns/%s", str(p, "id"));
	g = get_one(target);
	assert_int_equal(num(g, "count"), N / 3);
	assert_int_equal(num(g, "sample"), N / 3);
	assert_int_equal(json_array_size(json_object_get(g, "nodes")), 3);
	json_array_foreach(json_object_get(g, "nodes"), i, n)
	{
		assert_int_equal(num(n, "parent"), i ? 0 : -1);
		assert_true(real(n, "calls") == 1);
		shares += real(n, "share");
	}
	/* Nothing overlaps but where the bad ones are slow: all of the root's time is somebody's. */
	assert_true(shares > 0.99 && shares < 1.02);
	n = at(g, "nodes", 0);
	assert_true(real(n, "critical") == 1);
	assert_int_equal(num(n, "p50_ns") / MS, 23);
	assert_int_equal(json_array_size(json_object_get(g, "examples")), 10);
	assert_true(num(at(g, "examples", 0), "duration_ns") == 200 * MS);
	json_decref(g);
	snprintf(target, sizeof(target), API "patterns/%s?service=cart", str(p, "id"));
	assert_int_equal(ask("GET", target, ""), -ENOENT);
	assert_int_equal(ask("GET", API "patterns/zz", ""), -EINVAL);
	json_decref(all);
}

static json_int_t count(json_t *h, uint64_t from, uint64_t to)
{
	json_int_t sum = 0;
	json_t *b;
	size_t i;

	json_array_foreach(json_object_get(h, "buckets"), i, b)
	{
		assert_true(num(b, "to_ns") > num(b, "from_ns"));
		assert_true(json_array_size(json_object_get(b, "examples")) >= 1);
		if (num(b, "from_ns") >= (json_int_t)from && num(b, "from_ns") < (json_int_t)to)
			sum += num(b, "count");
	}
	return sum;
}

static void test_histogram(void **state)
{
	json_t *h = get_one(API "histogram?service=front"), *all, *p;
	char target[200];

	assert_int_equal(num(h, "n"), N + 10);
	assert_int_equal(count(h, 150 * MS, 250 * MS), N / 10);
	assert_int_equal(count(h, 15 * MS, 30 * MS), N * 9 / 10 + 10);
	json_decref(h);
	h = get_one(API "histogram?spans=1&service=stock");
	assert_int_equal(num(h, "n"), N / 3);
	json_decref(h);
	h = get_one(API "histogram?spans=1&attr=app.version=2.0-bad");
	assert_int_equal(num(h, "n"), N / 10);
	json_decref(h);
	all = get_one(API "patterns");
	p = pattern_of(all, "GET /", 3);
	snprintf(target, sizeof(target), API "histogram?pattern=%s", str(p, "id"));
	h = get_one(target);
	assert_int_equal(num(h, "n"), N / 3);
	json_decref(h);
	json_decref(all);
	assert_int_equal(ask("GET", API "histogram?spans=1&any=1", ""), -EINVAL);
}

static size_t lines(const char *target)
{
	json_t *l = get(target);
	size_t n = json_array_size(l);

	json_decref(l);
	return n;
}

/* Lines of traces whose root took so long, whatever span the filter is about. */
static void test_traces_of_a_range(void **state)
{
	assert_int_equal(lines(API "traces?limit=0&service=cart&from_ns=150000000"), N / 10);
	assert_int_equal(lines(API "traces?limit=0&service=cart&to_ns=150000000"), N * 9 / 10 + 10);
	assert_int_equal(lines(API "traces?limit=0&service=cart&from_ns=150000000&to_ns=200000001"),
			 N / 10);
	assert_int_equal(lines(API "traces?limit=0&from_ns=150000000&to_ns=200000000"), 0);
	assert_int_equal(lines(API "traces?limit=7&from_ns=150000000"), 7);
	assert_int_equal(lines(API "traces?limit=7&sort=duration&service=front&to_ns=150000000"),
			 7);
	assert_int_equal(ask("GET", API "traces?from_ns=long", ""), -EINVAL);
}

/* The planted attribute comes first, what is chance does not come at all, and the slow segment is
 * named. */
static void test_differences(void **state)
{
	json_t *d = get_one(API "differences?service=front&from_ns=100000000"), *i;
	bool segment = false;
	size_t k;

	assert_int_equal(num(d, "inside"), N / 10);
	assert_true(num(d, "outside") > 200);
	i = at(d, "items", 0);
	json_array_foreach(json_object_get(d, "items"), k, i)
	{
		assert_string_not_equal(str(i, "key"), "app.noise");
		assert_string_not_equal(str(i, "key"), "app.color");
		assert_true(real(i, "score") > 0);
		if (!strcmp(str(i, "kind"), "segment") && !strcmp(str(i, "service"), "cart"))
			segment = num(i, "inside_p50_ns") > 100 * (json_int_t)MS &&
				  num(i, "outside_p50_ns") < 10 * (json_int_t)MS;
	}
	assert_true(segment);
	i = at(d, "items", 0);
	assert_true(!strcmp(str(i, "key"), "app.version") || !strcmp(str(i, "kind"), "segment"));
	for (k = 0;; k++) {
		i = at(d, "items", k);
		if (strcmp(str(i, "kind"), "attribute"))
			continue;
		assert_string_equal(str(i, "key"), "app.version");
		if (!strcmp(str(i, "value"), "2.0-bad"))
			break;
	}
	assert_true(real(i, "inside_share") == 1);
	assert_true(real(i, "outside_share") == 0);
	json_decref(d);
	/* No difference between even and odd. */
	d = get_one(API "differences?service=tick&from_ns=1&to_ns=1000000000000");
	assert_int_equal(num(d, "outside"), 0);
	assert_int_equal(json_array_size(json_object_get(d, "items")), 0);
	json_decref(d);
	assert_int_equal(ask("GET", API "differences?service=front", ""), -EINVAL);
}

static json_int_t cell(json_t *h, size_t i, size_t part)
{
	return json_integer_value(json_array_get(at(h, "cells", i), part));
}

/* Of the first N traces: each in the column in which it began, in the row of its duration. */
static void test_heat(void **state)
{
	const uint64_t until = T0 + (N + 1) * 100 * MS;
	json_int_t columns[10] = {0}, want[10] = {0}, slow = 0;
	char target[300];
	json_t *h;

	snprintf(target, sizeof(target),
		 API "heat?service=front&columns=10&since=%" PRIu64 "&until=%" PRIu64, (uint64_t)T0,
		 until);
	h = get_one(target);
	assert_int_equal(num(h, "n"), N);
	assert_int_equal(num(h, "errors"), N / 20);
	assert_int_equal(num(h, "since_ns"), T0);
	assert_int_equal(num(h, "until_ns"), until);
	for (size_t i = 0; i < json_array_size(json_object_get(h, "cells")); i++) {
		json_t *row = at(h, "rows", (size_t)cell(h, i, 1));

		columns[cell(h, i, 0)] += cell(h, i, 2);
		if (num(row, "from_ns") > 100 * (json_int_t)MS)
			slow += cell(h, i, 2);
	}
	for (uint64_t n = 1; n <= N; n++)
		want[n * 10 / (N + 1)]++;
	assert_memory_equal(columns, want, sizeof(want));
	assert_int_equal(slow, N / 10);
	json_decref(h);
	h = get_one(API "heat");
	assert_int_equal(num(h, "n"), N + 310);
	assert_int_equal(num(h, "columns"), 120);
	json_decref(h);
	/* By a span that is not the root; by a regular expression in a window. */
	h = get_one(API "heat?service=stock&any=1");
	assert_int_equal(num(h, "n"), N / 3);
	json_decref(h);
	snprintf(target, sizeof(target),
		 API "heat?where=app.version=~bad$&since=%" PRIu64 "&until=%" PRIu64, (uint64_t)T0,
		 until);
	h = get_one(target);
	assert_int_equal(num(h, "n"), N / 10);
	json_decref(h);
	assert_int_equal(ask("GET", API "heat?columns=0", ""), -EINVAL);
	assert_int_equal(ask("GET", API "heat?columns=401", ""), -EINVAL);
	assert_int_equal(ask("GET", API "heat?limit=3", ""), -EINVAL);
}

/* Inside by what a span did: it failed, or took long; outside is all the rest, and nothing twice. */
static void test_sides(void **state)
{
	json_t *d = get_one(API "differences?service=stock&failed=1"), *i;
	bool found = false;
	size_t k;

	assert_int_equal(num(d, "inside"), N / 60); /* n % 20 == 0 and n % 3 == 1 */
	assert_int_equal(num(d, "outside"), N / 3 - N / 60);
	json_decref(d);
	d = get_one(API "compare?service=stock&failed=1");
	assert_int_equal(num(json_object_get(d, "b"), "traces"), N / 60);
	assert_int_equal(num(json_object_get(d, "a"), "traces"), N / 3 - N / 60);
	json_decref(d);
	d = get_one(API "differences?service=cart&at_least_ns=100000000");
	assert_int_equal(num(d, "inside"), N / 10);
	assert_int_equal(num(d, "outside"), 250);
	json_array_foreach(json_object_get(d, "items"), k, i)
	{
		if (strcmp(str(i, "value"), "2.0-bad"))
			continue;
		found = true;
		assert_true(real(i, "inside_share") == 1);
		assert_true(real(i, "outside_share") == 0);
	}
	assert_true(found);
	json_decref(d);
	/* Slow ones that failed: none of them did. */
	d = get_one(API "differences?failed=1&at_least_ns=100000000");
	assert_int_equal(num(d, "inside"), 0);
	json_decref(d);
	assert_int_equal(ask("GET", API "differences?failed=1&from_ns=3", ""), -EINVAL);
	assert_int_equal(ask("GET", API "compare?service=stock", ""), -EINVAL);
}

/* The same of a store that is read by another process: the same ids. */
static void test_read_only(void **state)
{
	json_t *a = get_one(API "patterns?service=front"), *b;

	clew_store_close(st);
	st = open_store(dir, &(struct clew_store_opts){.read_only = true});
	b = get_one(API "patterns?service=front");
	assert_true(json_equal(a, b));
	json_decref(a);
	json_decref(b);
}

/* More traces that go on after they were sealed than one statement may have parts. */
static void test_many_go_on(void **state)
{
	const uint64_t many = 1500;
	json_t *a;

	clew_store_close(st);
	rm_dir(dir);
	dir = tmp_dir();
	st = open_store(dir, &(struct clew_store_opts){.hot_spans = 2900, .batch_spans = 100});
	for (uint64_t n = 1; n <= 2 * many; n++)
		put(st, make_span(n, n * 10 + 1, 0, "front", "GET /", CLEW_KIND_SERVER, T0 + n * MS,
				  MS));
	for (uint64_t n = 1; n <= many; n++)
		put(st, make_span(n, n * 10 + 2, n * 10 + 1, "cart", "GET /cart", CLEW_KIND_SERVER,
				  T0 + n * MS, MS / 2));
	clew_store_flush(st);
	a = get_one(API "patterns?service=front");
	assert_int_equal(num(a, "traces"), 2 * many);
	assert_int_equal(num(pattern_of(a, "GET /", 2), "count"), many);
	json_decref(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_one_pattern),
		cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_traces_of_a_range),
		cmocka_unit_test(test_differences),
		cmocka_unit_test(test_heat),
		cmocka_unit_test(test_sides),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_many_go_on),
	};

	return cmocka_run_group_tests(tests, setup, ask_teardown);
}
