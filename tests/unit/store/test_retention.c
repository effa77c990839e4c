/* SPDX-License-Identifier: Apache-2.0 */
/* Hours that are dropped whole, spans that are waited for, and what is told of stored ones. */
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/units.h"
#include "store/retention_clock.h"
#include "util.h"

#define HOUR (3600ull * 1000000000)

static void wait_a_moment(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

static void put_at(struct clew_store *st, uint64_t trace, uint64_t start_ns)
{
	struct clew_span *s =
		make_span(trace, 1, 0, "shop", "GET /", CLEW_KIND_SERVER, start_ns, MS);

	clew_store_append(st, &s, 1);
}

static int count_span(void *user, struct clew_span *s)
{
	++*(size_t *)user;
	clew_span_free(s);
	return 0;
}

static size_t count(struct clew_store *st)
{
	struct clew_span_filter f = {0};
	size_t n = 0;

	assert_int_equal(clew_store_find_spans(st, &f, count_span, &n, NULL), 0);
	return n;
}

static void wait_dropped(struct clew_store *st, uint64_t n, struct clew_store_stats *ret)
{
	uint64_t end = clew_mono_ns() + 40ull * 1000000000;

	do {
		wait_a_moment();
		clew_store_stats(st, ret);
	} while (ret->retention_partitions < n && clew_mono_ns() < end);
	assert_int_equal(ret->retention_partitions, n);
}

static bool has_file(const char *dir, uint64_t start_ns)
{
	char path[300], text[32];
	time_t t = (time_t)(start_ns / 1000000000u);
	struct stat sb;
	struct tm tm;

	strftime(text, sizeof(text), "%Y%m%dT%H", gmtime_r(&t, &tm));
	snprintf(path, sizeof(path), "%s/spans-%s.duckdb", dir, text);
	return stat(path, &sb) == 0;
}

/* What is too old goes, with its files, and stays away; what is young enough stays. */
static void test_age(void **state)
{
	char *dir = tmp_dir();
	struct clew_store *st = open_store(dir, NULL);
	uint64_t now = clew_now_ns();
	struct clew_store_stats stats;

	for (uint64_t i = 0; i < 6; i++)
		put_at(st, i + 1, now - i * HOUR);
	assert_int_equal(clew_store_flush(st), 0);
	assert_int_equal(count(st), 6);
	clew_store_set_retention(st, &(struct clew_store_retention){.max_age_ns = 3 * HOUR});
	/* Hours whose end is 3 h ago: of those at -4 h and -5 h. */
	wait_dropped(st, 2, &stats);
	assert_int_equal(stats.retention_spans, 2);
	assert_true(stats.retention_bytes > 0);
	assert_int_equal(count(st), 4);
	for (uint64_t i = 0; i < 6; i++)
		assert_int_equal(has_file(dir, now - i * HOUR), i < 4);
	/* The store goes on, also for that hour. */
	put_at(st, 10, now);
	assert_int_equal(clew_store_flush(st), 0);
	assert_int_equal(count(st), 5);
	clew_store_close(st);
	st = open_store(dir, NULL);
	assert_int_equal(count(st), 5);
	clew_store_close(st);
	rm_dir(dir);
}

#define DAY  (24 * HOUR)
#define YEAR (365 * DAY)

/* A clock that goes ahead for an hour, one that stays there, and one that goes back. */
static void test_clock(void **state)
{
	struct retention_clock c = {.believed_ns = 100 * YEAR};
	uint64_t boot = DAY, wall = 100 * YEAR + 3 * DAY;
	bool waits;

	/* closed for three days */
	assert_int_equal(retention_now(&c, wall, boot, &waits), wall);
	assert_false(waits);
	for (int i = 0; i < 360; i++) {
		boot += 10000000000ull;
		assert_int_equal(retention_now(&c, wall + YEAR, boot, &waits), wall + (boot - DAY));
		assert_true(waits);
	}
	assert_int_equal(retention_now(&c, wall + HOUR, boot, &waits), wall + HOUR);
	assert_false(waits);
	/* it stays; and clew is begun anew meanwhile */
	for (int i = 0; i < 23; i++) {
		boot += HOUR;
		assert_true(retention_now(&c, wall + YEAR + boot, boot, &waits) < wall + 2 * DAY);
		assert_true(waits);
		if (i == 12)
			c.boot_ns = 0;
	}
	for (int i = 0; i < 2; i++) {
		boot += HOUR;
		(void)retention_now(&c, wall + YEAR + boot, boot, &waits);
	}
	assert_false(waits);
	assert_int_equal(c.believed_ns, wall + YEAR + boot);
	assert_int_equal(retention_now(&c, wall, boot + 1, &waits), wall);
	assert_false(waits);
}

/* A clock that is far ahead of all that is stored is no reason to drop it. */
static void test_clock_ahead(void **state)
{
	char *dir = tmp_dir();
	struct clew_store *st = open_store(dir, NULL);
	uint64_t end = clew_mono_ns() + 40ull * 1000000000;
	struct clew_store_stats stats;

	for (uint64_t i = 0; i < 3; i++)
		put_at(st, i + 1, T0 + i * HOUR);
	clew_store_close(st);
	for (int i = 0; i < 2; i++) { /* it is remembered */
		st = open_store(dir, NULL);
		clew_store_set_retention(st,
					 &(struct clew_store_retention){.max_age_ns = 3 * HOUR});
		do {
			wait_a_moment();
			clew_store_stats(st, &stats);
		} while (!stats.retention_waits && clew_mono_ns() < end);
		assert_true(stats.retention_waits);
		put_at(st, 10 + (uint64_t)i, clew_now_ns());
		assert_int_equal(clew_store_flush(st), 0);
		assert_int_equal(count(st), 4 + (size_t)i);
		clew_store_stats(st, &stats);
		assert_int_equal(stats.retention_partitions, 0);
		clew_store_close(st);
	}
	rm_dir(dir);
}

static void test_size(void **state)
{
	char *dir = tmp_dir();
	struct clew_store *st = open_store(dir, NULL);
	uint64_t now = clew_now_ns();
	struct clew_store_stats stats;

	for (uint64_t i = 0; i < 4; i++)
		put_at(st, i + 1, now - i * HOUR);
	assert_int_equal(clew_store_flush(st), 0);
	clew_store_set_retention(st, &(struct clew_store_retention){.max_bytes = 1});
	wait_dropped(st, 3, &stats);
	assert_int_equal(count(st), 1);
	assert_true(has_file(dir, now));
	clew_store_close(st);
	rm_dir(dir);
}

/* A store that is full of hours takes newer ones in place of the oldest; older ones it refuses. */
static void test_rolling(void **state)
{
	const struct clew_store_opts opts = {.max_hours = 3};
	char *dir = tmp_dir();
	struct clew_store *st = open_store(dir, &opts);
	uint64_t now = clew_now_ns();
	struct clew_store_stats stats;

	clew_store_set_retention(st, &(struct clew_store_retention){.rolling = true});
	for (uint64_t i = 0; i < 5; i++) {
		put_at(st, i + 1, now - (5 - i) * HOUR);
		assert_int_equal(clew_store_flush(st), 0);
	}
	clew_store_stats(st, &stats);
	assert_int_equal(stats.retention_partitions, 2);
	assert_int_equal(count(st), 3);
	put_at(st, 9, now - 9 * HOUR);
	assert_int_equal(clew_store_flush(st), 0);
	clew_store_stats(st, &stats);
	assert_int_equal(stats.retention_partitions, 2);
	assert_int_equal(stats.dropped_error, 1);
	assert_int_equal(count(st), 3);
	clew_store_close(st);
	rm_dir(dir);
}

struct reading {
	struct clew_store *st;
	size_t n;
};

static int drop_while_reading(void *user, struct clew_span *s)
{
	struct reading *rd = user;
	struct clew_store_stats stats;

	clew_span_free(s);
	if (!rd->n++) {
		clew_store_set_retention(rd->st, &(struct clew_store_retention){.max_bytes = 1});
		wait_dropped(rd->st, 3, &stats);
	}
	return 0;
}

/* A query that runs while hours leave sees all of them; one that begins then sees none of them. */
static void test_a_query_in_the_middle(void **state)
{
	struct clew_span_filter f = {0};
	char *dir = tmp_dir(), *error = NULL;
	struct clew_store *st = open_store(dir, NULL);
	struct reading rd = {.st = st};
	uint64_t now = clew_now_ns();

	for (uint64_t i = 0; i < 4; i++)
		put_at(st, i + 1, now - i * HOUR);
	assert_int_equal(clew_store_flush(st), 0);
	if (clew_store_find_spans(st, &f, drop_while_reading, &rd, &error) < 0)
		fail_msg("%s", error);
	assert_int_equal(rd.n, 4);
	assert_int_equal(count(st), 1);
	clew_store_close(st);
	st = open_store(dir, NULL);
	assert_int_equal(count(st), 1);
	clew_store_close(st);
	rm_dir(dir);
}

/* ---- durable ---- */

struct waiting {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int called, r;
};

static void on_done(void *user, int r)
{
	struct waiting *w = user;

	pthread_mutex_lock(&w->lock);
	w->called++;
	w->r = r;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

static void await(struct waiting *w, int times)
{
	pthread_mutex_lock(&w->lock);
	while (w->called < times)
		pthread_cond_wait(&w->cond, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

static void told(void *user, const struct clew_span *s)
{
	++*(_Atomic uint64_t *)user;
}

/* Called back once, when they are there, long before the usual flush; told of, but once. */
static void test_durable(void **state)
{
	const struct clew_store_opts opts = {.flush_ns = 3600ull * 1000000000};
	struct waiting w = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
	char *dir = tmp_dir();
	struct clew_store *st = open_store(dir, &opts);
	struct clew_span *spans[100];
	_Atomic uint64_t n = 0;

	clew_store_on_stored(st, told, &n);
	for (int round = 0; round < 2; round++) { /* the second time they are there already */
		for (uint64_t i = 0; i < 100; i++)
			spans[i] = make_span(1, i + 1, 0, "a", "b", CLEW_KIND_SERVER,
					     T0 + i * HOUR / 40, MS);
		assert_int_equal(clew_store_append_durable(st, spans, 100, on_done, &w), 0);
		await(&w, round + 1);
		assert_int_equal(w.r, 0);
		assert_int_equal(count(st), 100);
	}
	assert_int_equal(n, 100);
	assert_int_equal(clew_store_append_durable(st, NULL, 0, on_done, &w), 0);
	assert_int_equal(w.called, 3);
	clew_store_on_stored(st, NULL, NULL);
	clew_store_close(st);
	rm_dir(dir);
}

/* All or none: what does not fit stays the caller's; so does what is too large for the queue. */
static void test_no_room(void **state)
{
	const struct clew_store_opts opts = {.queue_spans = 64, .flush_ns = 3600ull * 1000000000};
	struct waiting w = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
	char *dir = tmp_dir();
	struct clew_store *st = open_store(dir, &opts);
	struct clew_store_stats stats;
	struct clew_span *spans[65];

	for (uint64_t i = 0; i < 65; i++)
		spans[i] = make_span(1, i + 1, 0, "a", "b", CLEW_KIND_SERVER, T0, MS);
	assert_int_equal(clew_store_append_durable(st, spans, 65, on_done, &w), -ENOBUFS);
	assert_int_equal(w.called, 0);
	assert_int_equal(clew_store_append_durable(st, spans, 64, on_done, &w), 0);
	await(&w, 1);
	assert_int_equal(w.r, 0);
	clew_store_stats(st, &stats);
	assert_int_equal(stats.refused, 65);
	assert_int_equal(stats.dropped_queue, 0);
	clew_span_free(spans[64]);
	clew_store_close(st);
	rm_dir(dir);
}

/* An hour that has no place: who waits for it is told, the others are served. */
static void test_no_hour(void **state)
{
	const struct clew_store_opts opts = {.max_hours = 1, .flush_ns = 3600ull * 1000000000};
	struct waiting good = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
	struct waiting bad = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
	char *dir = tmp_dir();
	struct clew_store *st = open_store(dir, &opts);
	struct clew_span *a, *b, *c;

	a = make_span(1, 1, 0, "a", "b", CLEW_KIND_SERVER, T0, MS);
	assert_int_equal(clew_store_append_durable(st, &a, 1, on_done, &good), 0);
	await(&good, 1);
	b = make_span(1, 2, 0, "a", "b", CLEW_KIND_SERVER, T0 + 5 * HOUR, MS);
	c = make_span(1, 3, 0, "a", "b", CLEW_KIND_SERVER, T0, MS);
	assert_int_equal(clew_store_append_durable(st, &b, 1, on_done, &bad), 0);
	assert_int_equal(clew_store_append_durable(st, &c, 1, on_done, &good), 0);
	await(&bad, 1);
	await(&good, 2);
	assert_int_equal(bad.r, -EMFILE);
	assert_int_equal(good.r, 0);
	assert_int_equal(count(st), 2);
	clew_store_close(st);
	rm_dir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_age),	    cmocka_unit_test(test_clock),
		cmocka_unit_test(test_clock_ahead), cmocka_unit_test(test_size),
		cmocka_unit_test(test_rolling),	    cmocka_unit_test(test_a_query_in_the_middle),
		cmocka_unit_test(test_durable),	    cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_no_hour),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
