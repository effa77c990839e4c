/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that cannot keep up leaves out whole traces, keeps what it acknowledged, counts the rest, and tells of
 * a trace that it had to cut. The writer's thread is held by who is told of stored spans.
 */
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "store/shed.h"
#include "util.h"

static pthread_mutex_t hold = PTHREAD_MUTEX_INITIALIZER;

static void wait_for_test(void *user, const struct clew_span *span)
{
	pthread_mutex_lock(&hold);
	pthread_mutex_unlock(&hold);
}

#define TRACES 20000u

/* How many spans of each trace are stored. */
static uint32_t stored_of[TRACES + 1];

static int count_span(void *user, struct clew_span *s)
{
	const struct clew_attr *a = clew_span_attr(s, SLICE("n"));

	assert_non_null(a);
	stored_of[a->i]++;
	++*(uint64_t *)user;
	clew_span_free(s);
	return 0;
}

static uint64_t count_all(struct clew_store *st)
{
	struct clew_span_filter all = {0};
	char *error = NULL;
	uint64_t n = 0;

	memset(stored_of, 0, sizeof(stored_of));
	if (clew_store_find_spans(st, &all, count_span, &n, &error) < 0)
		fail_msg("cannot read: %s", error ? error : "");
	return n;
}

static struct clew_span *span_of(uint64_t trace, uint64_t id)
{
	struct clew_span *s = make_span(trace, trace * 1000 + id, 0, "a", "x", CLEW_KIND_SERVER,
					T0 + trace * 1000 + id, MS);

	clew_span_set_int(s, "n", (int64_t)trace);
	return s;
}

static void wait_stored(struct clew_store *st, uint64_t n)
{
	struct clew_store_stats s;

	do {
		clew_store_stats(st, &s);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	} while (s.stored < n);
}

/* Three spans a trace that come with those of forty others in between, while nothing is written. */
static void test_whole_traces(void **state)
{
	struct clew_store_opts opts = {.queue_spans = 1000, .batch_spans = 100, .flush_ns = MS};
	struct clew_store_stats s;
	char *dir = tmp_dir();
	struct clew_store *st = open_store(dir, &opts);
	uint64_t stored, whole = 0;

	clew_store_on_stored(st, wait_for_test, NULL);
	pthread_mutex_lock(&hold);
	put(st, span_of(1, 1));
	put(st, span_of(1, 2));
	wait_stored(st, 1);
	for (uint64_t i = 2; i < TRACES + 80; i++) {
		if (i <= TRACES)
			put(st, span_of(i, 1));
		if (i - 40 <= TRACES && i > 41)
			put(st, span_of(i - 40, 2));
		if (i - 80 <= TRACES && i > 81)
			put(st, span_of(i - 80, 3));
	}
	/* what was written before goes on being kept */
	put(st, span_of(1, 3));
	clew_store_stats(st, &s);
	assert_true(s.shed_traces > TRACES / 2);
	assert_true(s.kept < 0.5);
	pthread_mutex_unlock(&hold);
	assert_int_equal(clew_store_flush(st), 0);
	clew_store_stats(st, &s);
	stored = count_all(st);
	assert_int_equal(stored, s.stored);
	assert_int_equal(stored + s.shed_spans + s.dropped_queue, s.appended);
	assert_int_equal(s.dropped_queue, 0);
	assert_int_equal(stored_of[1], 3);
	for (uint64_t i = 1; i < TRACES; i++) {
		assert_true(stored_of[i] == 0 || stored_of[i] == 3);
		whole += stored_of[i] == 3;
	}
	assert_true(whole > 1);
	clew_store_on_stored(st, NULL, NULL);
	clew_store_close(st);
	rm_dir(dir);
}

/* One trace that is written already and goes on, more than fits. */
static void test_cut_trace(void **state)
{
	struct clew_store_opts opts = {.queue_spans = 300, .batch_spans = 100, .flush_ns = MS};
	struct clew_store_opts reader = {.read_only = true};
	struct clew_id128 one = trace_id(1), two = trace_id(2);
	struct clew_store_stats s;
	char *dir = tmp_dir();
	struct clew_store *st = open_store(dir, &opts);

	clew_store_on_stored(st, wait_for_test, NULL);
	pthread_mutex_lock(&hold);
	put(st, span_of(1, 1));
	wait_stored(st, 1);
	for (uint64_t i = 2; i <= 900; i++)
		put(st, span_of(1, i));
	assert_int_equal(clew_store_not_stored(st, &one), 0); /* not told yet */
	pthread_mutex_unlock(&hold);
	assert_int_equal(clew_store_flush(st), 0);
	clew_store_on_stored(st, NULL, NULL);
	clew_store_stats(st, &s);
	assert_true(s.dropped_queue > 0);
	assert_int_equal(s.cut_traces, 1);
	assert_int_equal(s.cut_untold, 0);
	assert_int_equal(count_all(st) + s.dropped_queue + s.shed_spans, 900);
	clew_store_close(st);
	for (int i = 0; i < 2; i++) {
		st = open_store(dir, i ? &reader : NULL);
		assert_int_equal(clew_store_not_stored(st, &one), s.dropped_queue);
		assert_int_equal(clew_store_not_stored(st, &two), 0);
		clew_store_close(st);
	}
	rm_dir(dir);
}

struct answered {
	_Atomic uint32_t ok, failed;
};

static void answer(void *user, int r)
{
	struct answered *a = user;

	if (r == 0)
		a->ok++;
	else
		a->failed++;
}

/* What somebody waits for is stored or refused, whatever becomes of what was captured. */
static void test_acknowledged(void **state)
{
	struct clew_store_opts opts = {.queue_spans = 1000, .batch_spans = 100, .flush_ns = MS};
	struct answered answers = {0};
	uint32_t taken = 0, refused = 0;
	struct clew_store_stats s;
	char *dir = tmp_dir();
	struct clew_store *st = open_store(dir, &opts);

	clew_store_on_stored(st, wait_for_test, NULL);
	pthread_mutex_lock(&hold);
	for (uint64_t i = 1; i <= 8000; i++) {
		struct clew_span *both[2] = {span_of(i, 1), span_of(i, 2)};
		int r;

		if (i % 20) {
			clew_store_append(st, both, 2);
			continue;
		}
		r = clew_store_append_durable(st, both, 2, answer, &answers);
		assert_true(r == 0 || r == -ENOBUFS);
		taken += r == 0;
		refused += r != 0;
		if (r != 0)
			for (int k = 0; k < 2; k++)
				clew_span_free(both[k]);
	}
	pthread_mutex_unlock(&hold);
	assert_int_equal(clew_store_flush(st), 0);
	clew_store_on_stored(st, NULL, NULL);
	clew_store_stats(st, &s);
	assert_true(s.shed_traces > 0);
	assert_true(taken > 0);
	assert_int_equal(s.refused, refused * 2);
	assert_int_equal(answers.ok, taken);
	assert_int_equal(answers.failed, 0);
	assert_int_equal(count_all(st) + s.shed_spans + s.dropped_queue, s.appended);
	for (uint64_t i = 20; i <= 8000; i += 20)
		assert_true(stored_of[i] == 2 || stored_of[i] == 0);
	clew_store_close(st);
	rm_dir(dir);
}

#define S UINT64_C(1000000000)

/* The threshold rises while there is need, and falls when there is none; a trace goes on as it began. */
static void test_threshold(void **state)
{
	struct shed s = {0};
	uint64_t now = 100 * S;
	bool calm = false;
	int steps = 0;

	assert_int_equal(shed_fate(&s, 5), SHED_KEEP);
	assert_false(shed_busy(&s, now, 100));
	assert_true(shed_busy(&s, now, 300));
	assert_false(shed_busy(&s, now, 300));
	shed_written(&s, 7);
	assert_true(shed_raise(&s, now, false));
	assert_false(shed_raise(&s, now + S / 10, false));
	assert_true(shed_raise(&s, now + S / 10, true));
	assert_true(shed_kept(&s) > 0.24 && shed_kept(&s) < 0.26);
	assert_int_equal(shed_fate(&s, 7), SHED_KEEP);
	assert_int_equal(shed_fate(&s, 1u << 20), SHED_NEW);
	assert_int_equal(shed_fate(&s, 1u << 20), SHED_AGAIN);
	assert_int_equal(shed_fate(&s, 0xf0000000), SHED_KEEP);
	while (shed_raise(&s, now, true))
		steps++;
	assert_true(steps > 8 && steps < 32);
	assert_true(shed_kept(&s) > 0);
	for (steps = 0; !calm; steps++) {
		now += S;
		assert_true(steps < 60);
		calm = shed_calm(&s, now, steps % 2 ? 20 : 200);
	}
	assert_true(shed_kept(&s) == 1);
	assert_int_equal(shed_fate(&s, 1u << 19), SHED_KEEP);
	assert_false(shed_calm(&s, now + 11 * S, 0));
	assert_false(s.watching);
	shed_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threshold),
		cmocka_unit_test(test_whole_traces),
		cmocka_unit_test(test_cut_trace),
		cmocka_unit_test(test_acknowledged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
