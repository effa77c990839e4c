/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions, relative times and pages. */
#include "ask.h"

#include "base/units.h"

#define N 60

/* Span i of service "s": attribute n = i (of it, for odd i), word = "w<i % 10>", and every tenth has flag. */
static void put_numbered(uint64_t i, uint64_t start_ns)
{
	struct clew_span *s =
		make_span(1000 + i, i, 0, "s", "op", CLEW_KIND_SERVER, start_ns, (i + 1) * MS);
	char word[16];

	snprintf(word, sizeof(word), "w%d", (int)(i % 10));
	clew_span_set_str(s, "word", slice_str(word));
	if (i % 2)
		clew_span_set_int(s, "n", (int64_t)i);
	if (i % 10 == 0)
		clew_span_set_bool(s, "flag", true);
	if (i % 20 == 0)
		s->incomplete = CLEW_INC_LOSS;
	s->link_class = i % 3 ? CLEW_LINK_ROOT : CLEW_LINK_ORPHAN;
	s->tid = (uint32_t)i;
	put(st, s);
}

static int setup(void **state)
{
	dir = tmp_dir();
	/* Some sealed, some not. */
	st = open_store(dir, &(struct clew_store_opts){.hot_spans = 25, .batch_spans = 7});
	for (uint64_t i = 0; i < N; i++)
		put_numbered(i, T0 + i * MS);
	return clew_store_flush(st);
}

static size_t count(const char *parameters)
{
	char target[512];
	json_t *l;
	size_t n;

	snprintf(target, sizeof(target), API "spans?%s", parameters);
	l = get(target);
	n = json_array_size(l);
	json_decref(l);
	return n;
}

/* All spans lie in this window. */
#define WINDOW "since=1767323000000000000&until=1767324000000000000&"

static void test_where(void **state)
{
	static const struct {
		const char *parameters;
		size_t n;
	} cases[] = {
		{"where=word=w3", 6},
		{"where=word=%22w3%22", 6},
		{"where=n<10", 5},
		{"where=n<=11", 6},
		{"where=n>50.5", 5},
		{"where=n>=9&where=n<=11", 2},
		{"where=n", 30},
		{"where=flag", 6},
		{"where=flag=true&where=word=w0", 6},
		{WINDOW "where=!n", 30},
		{WINDOW "where=!nobody", 60},
		{"where=nobody", 0},
		{WINDOW "where=word!=w3", 54},
		{WINDOW "where=word=~^w[12]$", 12},
		{WINDOW "where=word!~w[12]", 48},
		{"where=word>w7", 12},
		{"where=host.name=box", 60},
		{"where=host.name", 60},
		{WINDOW "where=host.name!=box", 0},
		{WINDOW "where=host.name=~b.x", 60},
		{"where=process.pid>4700", 60},
		{"where=process.pid>4711", 0},
		{"where=thread.id>=58", 2},
		{"where=clew.incomplete", 3},
		{WINDOW "where=clew.incomplete!=cut", 3},
		{"incomplete=1", 3},
		{"link_class=orphan", 20},
		{"kind=server", 60},
		{"kind=client", 0},
		{"root=1", 60},
		{"where=n!=7&where=word=w7", 5},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t n = count(cases[i].parameters);

		if (n != cases[i].n)
			fail_msg("%s: %zu, not %zu", cases[i].parameters, n, cases[i].n);
	}
}

static void test_where_refused(void **state)
{
	static const char *const bad[] = {
		"where=",
		"where==x",
		"where=word!=w3",
		"where=word=~x",
		"where=!n",
		"where=n<x",
		"where=word=%22w3",
		WINDOW "where=word=~(",
		"kind=butler",
		"link_class=x",
		"since=-15",
		"since=-x",
		"cursor=1",
		"paged=1",
		"paged=2&limit=1",
		"where=clew.link.class<x",
		"sort=duration&paged=1&limit=3",
		"since=1&where=word!=w3",
	};
	char target[512];

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		snprintf(target, sizeof(target), API "spans?%s", bad[i]);
		if (ask("GET", target, "") != -EINVAL)
			fail_msg("%s was taken: %s", bad[i], out.data);
		assert_non_null(error);
	}
}

static void test_relative_times(void **state)
{
	put_numbered(500, clew_now_ns() - 60000 * MS);
	assert_int_equal(clew_store_flush(st), 0);
	assert_int_equal(count("since=-5m"), 1);
	assert_int_equal(count("since=-5m&until=-3m"), 0);
	assert_int_equal(count("until=-5m"), N);
}

/* Walk through all pages; between them rows arrive that are newer than what was seen. */
static size_t walk(const char *call, const char *parameters, size_t page, bool add,
		   json_int_t *ret_last)
{
	char target[600], cursor[80] = "";
	json_int_t last = INT64_MAX;
	size_t n = 0, pages = 0;

	do {
		json_t *l, *next;
		size_t rows;

		snprintf(target, sizeof(target), API "%s?%s&paged=1&limit=%zu%s%s", call,
			 parameters, page, *cursor ? "&cursor=" : "", cursor);
		l = get(target);
		rows = json_array_size(l);
		next = rows ? json_object_get(json_array_get(l, rows - 1), "next") : NULL;
		rows -= next != NULL;
		for (size_t i = 0; i < rows; i++) {
			json_int_t start = num(json_array_get(l, i), "start_ns");

			assert_true(start < last);
			last = start;
		}
		assert_true(rows == page || !next);
		n += rows;
		snprintf(cursor, sizeof(cursor), "%s", next ? json_string_value(next) : "");
		json_decref(l);
		if (add) {
			put_numbered(600 + pages, T0 + 600000 * MS + pages * MS);
			assert_int_equal(clew_store_flush(st), 0);
		}
		assert_true(++pages < 100);
	} while (*cursor);
	*ret_last = last;
	return n;
}

static void test_pages(void **state)
{
	const char *old = "until=1767323999000000000";
	json_int_t last;

	assert_int_equal(walk("spans", "sort=start&until=1767323999000000000", 7, false, &last), N);
	assert_int_equal(last, T0);
	assert_int_equal(walk("traces", old, 7, false, &last), N);
	assert_int_equal(last, T0);
	assert_int_equal(walk("traces", old, N, false, &last), N);
	assert_int_equal(walk("spans", "sort=start&where=n>=9", 4, false, &last), 26);
	/* What comes meanwhile moves no page: every row once, none of the new ones. */
	assert_int_equal(walk("spans", "sort=start&until=-5m", 7, true, &last), N);
	assert_int_equal(walk("traces", "until=1767323999999999999", 7, true, &last), N);
	assert_int_equal(last, T0);
}

/* Oldest first as well; and old readers see no line that is new. */
static void test_pages_forward(void **state)
{
	json_t *l = get(API "spans?limit=5&paged=1"), *next;
	char target[200];

	assert_int_equal(json_array_size(l), 6);
	next = json_object_get(json_array_get(l, 5), "next");
	snprintf(target, sizeof(target), API "spans?limit=5&cursor=%s", json_string_value(next));
	json_decref(l);
	l = get(target);
	assert_int_equal(json_array_size(l), 5);
	assert_int_equal(num(json_array_get(l, 0), "start_ns"), T0 + 5 * MS);
	json_decref(l);
	l = get(API "traces?limit=5");
	assert_int_equal(json_array_size(l), 5);
	json_decref(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_where),	      cmocka_unit_test(test_where_refused),
		cmocka_unit_test(test_pages_forward), cmocka_unit_test(test_relative_times),
		cmocka_unit_test(test_pages),
	};

	return cmocka_run_group_tests(tests, setup, ask_teardown);
}
