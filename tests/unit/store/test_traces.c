/* SPDX-License-Identifier: Apache-2.0 */
/* Traces by id: only the hours that may hold one are asked, and none is missed. */
#include <errno.h>
#include <stddef.h>

#include "store/internal.h"
#include "util.h"

#define HOURS	 3
#define PER_HOUR 40

static uint64_t start_of(uint64_t n)
{
	return T0 + n % HOURS * (uint64_t)HOUR_NS + n * MS;
}

/* Sealed in several runs; the last ones stay hot. */
static struct clew_store *make_store(const char *dir)
{
	struct clew_store *st =
		open_store(dir, &(struct clew_store_opts){.hot_spans = 90, .batch_spans = 30});

	for (uint64_t n = 1; n <= HOURS * PER_HOUR; n++)
		put_shop(st, n, start_of(n));
	assert_int_equal(clew_store_flush(st), 0);
	return st;
}

struct trace {
	size_t n;
	uint64_t last_ns;
};

static int keep(void *user, struct clew_span *s)
{
	struct trace *t = user;

	assert_true(s->start_ns >= t->last_ns); /* oldest first */
	t->last_ns = s->start_ns;
	t->n++;
	clew_span_free(s);
	return 0;
}

static size_t spans_of_trace(struct clew_store *st, uint64_t n)
{
	struct clew_id128 id = trace_id(n);
	struct trace t = {0};
	char *error = NULL;
	int r = clew_store_get_trace(st, &id, keep, &t, &error);

	if (r < 0 && r != -ENOENT)
		fail_msg("trace %lu: %d %s", (unsigned long)n, r, error ? error : "");
	assert_null(error);
	return t.n;
}

static void assert_all(struct clew_store *st)
{
	for (uint64_t n = 1; n <= HOURS * PER_HOUR; n++)
		assert_int_equal(spans_of_trace(st, n), 3);
	for (uint64_t n = 100000; n < 100020; n++)
		assert_int_equal(spans_of_trace(st, n), 0);
}

/* In how many hours may the trace be? */
static size_t hours_of(struct clew_store *st, uint64_t n)
{
	bool may[HOURS] = {false};
	struct clew_id128 id = trace_id(n);
	uint32_t hash = index_hash_trace(&id);
	struct query q;
	size_t count = 0;

	assert_int_equal(query_begin(st, &q, NULL), 0);
	assert_int_equal(q.n_parts, HOURS);
	assert_int_equal(trace_filter_ask(&q, 0, q.n_parts, &hash, 1, may, NULL), 0);
	query_end(&q);
	for (size_t i = 0; i < HOURS; i++)
		count += may[i];
	return count;
}

/* A trace is sealed in one hour, or hot; hardly ever is another hour asked. */
static void assert_few_hours(struct clew_store *st, bool sealed)
{
	size_t asked = 0;

	for (uint64_t n = 1; n <= HOURS * PER_HOUR; n++)
		asked += hours_of(st, n);
	assert_true(asked <= HOURS * PER_HOUR + 3);
	if (sealed)
		assert_true(asked >= HOURS * PER_HOUR / 2);
	asked = 0;
	for (uint64_t n = 100000; n < 100200; n++)
		asked += hours_of(st, n);
	assert_true(asked <= 2);
}

static void test_filters(void **state)
{
	const struct clew_store_opts ro = {.read_only = true};
	char *dir = tmp_dir();
	struct clew_store *st = make_store(dir);
	size_t bytes;

	assert_true(st->parts[0]->has_filters);
	assert_all(st);
	assert_few_hours(st, true);
	bytes = st->filter_bytes;
	assert_true(bytes > 0);
	/* What is sealed from now on is in memory at once. */
	for (uint64_t n = HOURS * PER_HOUR + 1; n <= HOURS * PER_HOUR + 70; n++)
		put_shop(st, n, T0 + n * MS);
	assert_int_equal(clew_store_flush(st), 0);
	for (uint64_t n = HOURS * PER_HOUR + 1; n <= HOURS * PER_HOUR + 70; n++)
		assert_int_equal(spans_of_trace(st, n), 3);
	assert_true(st->filter_bytes > bytes);
	clew_store_close(st);
	st = open_store(dir, &ro);
	assert_all(st);
	assert_few_hours(st, true);
	clew_store_close(st);
	rm_dir(dir);
}

/* Written before there were filters, or between: they are made from the index. */
static void test_older(void **state)
{
	const struct clew_store_opts ro = {.read_only = true};
	char *dir = tmp_dir();
	struct clew_store *st = make_store(dir);

	clew_store_close(st);
	st = open_store(dir, NULL);
	assert_int_equal(
		duck_execf(st->conn, NULL, "DROP TABLE %s.trace_filter;", st->parts[0]->name), 0);
	/* Of the second hour the first run's is missing, of the third all but that. */
	assert_int_equal(duck_execf(st->conn, NULL,
				    "DELETE FROM %s.trace_filter WHERE first_row = 0;"
				    "DELETE FROM %s.trace_filter WHERE first_row > 0;",
				    st->parts[1]->name, st->parts[2]->name),
			 0);
	clew_store_close(st);
	st = open_store(dir, &ro);
	assert_false(st->parts[0]->has_filters);
	assert_all(st);
	assert_few_hours(st, true);
	clew_store_close(st);
	st = open_store(dir, NULL);
	assert_true(st->parts[0]->has_filters);
	assert_all(st);
	clew_store_close(st);
	rm_dir(dir);
}

/* Hours for which there is no memory are asked themselves. */
static void test_no_room(void **state)
{
	char *dir = tmp_dir();
	struct clew_store *st = make_store(dir);

	clew_store_close(st);
	st = open_store(dir, &(struct clew_store_opts){.read_only = true, .filter_bytes = 1});
	assert_all(st);
	assert_int_equal(st->filter_bytes, 0);
	assert_int_equal(hours_of(st, 100000), HOURS);
	clew_store_close(st);
	rm_dir(dir);
}

/* A trace with more spans than are sorted in memory, in two hours, some of them hot. */
static void test_large(void **state)
{
	char *dir = tmp_dir();
	struct clew_store *st =
		open_store(dir, &(struct clew_store_opts){.hot_spans = 5000, .batch_spans = 3000});
	struct clew_store_stats stats;
	struct clew_span *one = NULL;
	struct clew_id64 span_id = clew_id64_from(777);
	struct clew_id128 id = trace_id(1);

	for (uint64_t i = 1; i <= 12000; i++) {
		put(st, make_span(1, i, 0, "a", "b", CLEW_KIND_INTERNAL,
				  T0 + i * 7919 % 12000 * 500 * MS, MS));
		do
			clew_store_stats(st, &stats);
		while (stats.queued > 30000);
	}
	assert_int_equal(clew_store_flush(st), 0);
	assert_int_equal(spans_of_trace(st, 1), 12000);
	assert_int_equal(clew_store_get_span(st, &id, &span_id, &one, NULL), 0);
	assert_int_equal(one->start_ns, T0 + 777 * 7919 % 12000 * 500 * MS);
	clew_span_free(one);
	span_id = clew_id64_from(777777);
	assert_int_equal(clew_store_get_span(st, &id, &span_id, &one, NULL), -ENOENT);
	clew_store_close(st);
	rm_dir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_older),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
