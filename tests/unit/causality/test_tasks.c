/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime's tasks, on a few exchanges each.
 */
#include "rig.h"

/* from gave its work to the task to, age_us ago, and that one has (replied) sent something since it had any. */
static void gives(const struct fab_thread *from, const struct fab_thread *to, uint32_t age_us,
		  bool replied)
{
	struct clew_rec_handoff h = fab_handoff_record(from, to, CLEW_HANDOFF_TASK, tick());

	h.age_us = age_us;
	if (replied)
		h.hdr.flags = CLEW_HANDOFF_REPLIED;
	clew_causality_record(c, &h.hdr);
}

/* The task from begins the task to. */
static void begins(const struct fab_thread *from, const struct fab_thread *to)
{
	gives(from, to, 0, false);
}

/* The loop reads two requests; each task's call is for the request that the task answers. */
static void test_task_answers(void **state)
{
	struct fab_thread loop = python(0), t = python(1), u = python(2);
	struct fab_exchange a, b, x, y;

	for (int off = 0; off < 2; off++) {
		start(&(struct clew_causality_opts){.without = off ? CLEW_SOURCE_TASK : 0});
		request(&a, 1, &loop);
		request(&b, 2, &loop);
		call(&x, 3, &u);
		call(&y, 4, &t);
		response(&x, &loop);
		response(&y, &loop);
		answer(&b, &u);
		answer(&a, &t);
		clew_causality_advance(c, now + SEC);
		stop();
		assert_link(3, off ? 0 : 2, off ? CLEW_LINK_ORPHAN : CLEW_LINK_CERTAIN);
		assert_link(4, off ? 0 : 1, off ? CLEW_LINK_ORPHAN : CLEW_LINK_CERTAIN);
	}
}

/* A call that was made before the request came is not the request's, whoever answers. */
static void test_task_before(void **state)
{
	struct fab_thread loop = python(0), t = python(1);
	struct fab_exchange a, b, x;

	start(NULL);
	request(&b, 2, &loop);
	call(&x, 3, &t);
	response(&x, &loop);
	request(&a, 1, &loop);
	answer(&a, &t);
	answer(&b, &loop);
	stop();
	assert_link(3, 0, CLEW_LINK_ORPHAN);
}

/* A task that the request's began inherits it, while it is open. */
static void test_task_begun(void **state)
{
	struct fab_thread loop = python(0), t = python(1), u = python(2);
	struct fab_exchange a, b, x, y;

	start(NULL);
	request(&b, 2, &loop);
	request(&a, 1, &loop);
	begins(&t, &u);
	call(&x, 3, &u);
	response(&x, &loop);
	answer(&a, &t);
	call(&y, 4, &u);
	response(&y, &loop);
	answer(&b, &loop);
	stop();
	assert_link(3, 1, CLEW_LINK_CERTAIN);
	assert_true(got.link[3].evidence & CLEW_EV_HANDED);
	assert_link(4, 0, CLEW_LINK_ORPHAN);
}

/* A worker takes work for B while A, whose work it has just done, is open still: what it read was for A. */
static void test_task_given_the_next(void **state)
{
	struct fab_thread a = goroutine(1), b = goroutine(2), worker = goroutine(3),
			  nobody = goroutine(0);
	struct fab_exchange ra, rb, x[5];

	start(NULL);
	request(&ra, 1, &a);
	request(&rb, 2, &b);
	begins(&a, &worker);
	call(&x[0], 3, &worker);
	response(&x[0], &worker);
	call(&x[1], 4, &worker);
	response(&x[1], &worker);
	begins(&b, &worker);
	call(&x[2], 5, &worker);
	response(&x[2], &worker);
	begins(&nobody, &worker);
	call(&x[3], 6, &worker);
	response(&x[3], &worker);
	begins(&a, &worker);
	answer(&ra, &a);
	call(&x[4], 7, &worker);
	response(&x[4], &worker);
	answer(&rb, &b);
	stop();
	assert_link(3, 1, CLEW_LINK_CERTAIN);
	assert_link(4, 1, CLEW_LINK_CERTAIN);
	assert_link(5, 2, CLEW_LINK_CERTAIN);
	assert_link(6, 0, CLEW_LINK_ORPHAN); /* given by who has no request */
	assert_link(7, 0, CLEW_LINK_ORPHAN); /* A is over */
}

/*
 * What a first stage passed on is taken when it is at its next work already, which was sent to it before.
 * The second stage's work is what the first had when it sent.
 */
static void test_task_had_the_work(void **state)
{
	struct fab_thread main = goroutine(9), a = goroutine(1), b = goroutine(2),
			  first = goroutine(3), second = goroutine(4);
	struct fab_exchange ra, rb, x[4];
	uint64_t sent;

	start(NULL);
	begins(&main, &first);
	begins(&main, &second);
	request(&ra, 1, &a);
	request(&rb, 2, &b);
	gives(&a, &first, 0, false);
	call(&x[0], 3, &first);
	response(&x[0], &first);
	now += MS;
	sent = now;
	now += MS;
	gives(&b, &first, 1900, true); /* was sent before what first sent */
	gives(&first, &second, (uint32_t)((tick() - sent) / 1000) + 100, false);
	call(&x[1], 4, &second);
	call(&x[2], 5, &first);
	response(&x[1], &second);
	response(&x[2], &first);
	/* Sent before anybody had work of a request: nobody's. */
	gives(&first, &second, 1000000, true);
	call(&x[3], 6, &second);
	response(&x[3], &second);
	answer(&ra, &a);
	answer(&rb, &b);
	stop();
	assert_link(3, 1, CLEW_LINK_CERTAIN);
	assert_link(4, 1, CLEW_LINK_CERTAIN);
	assert_link(5, 2, CLEW_LINK_CERTAIN);
	assert_link(6, 0, CLEW_LINK_ORPHAN);
}

/* A worker that takes several requests' work before it calls works for all of them. */
static void test_task_gathers(void **state)
{
	struct fab_thread a = goroutine(1), b = goroutine(2), w = goroutine(3),
			  nobody = goroutine(0);
	struct fab_exchange ra, rb, x[6];

	start(NULL);
	request(&ra, 1, &a);
	request(&rb, 2, &b);
	begins(&a, &w);
	begins(&b, &w);
	begins(&b, &w);
	call(&x[0], 3, &w);
	response(&x[0], &w);
	/* It has answered for what it took before: that is over. */
	gives(&a, &w, 0, true);
	gives(&b, &w, 0, true);
	call(&x[1], 4, &w);
	response(&x[1], &w);
	/* It called for what it took before. */
	begins(&a, &w);
	call(&x[2], 5, &w);
	response(&x[2], &w);
	/* In between came a tick. */
	begins(&b, &w);
	begins(&nobody, &w);
	begins(&a, &w);
	call(&x[3], 6, &w);
	response(&x[3], &w);
	/* Both of one request. */
	begins(&a, &w);
	begins(&a, &w);
	call(&x[4], 7, &w);
	response(&x[4], &w);
	/* B is answered before the response is there: it did not wait for that. */
	begins(&b, &w);
	begins(&a, &w);
	call(&x[5], 8, &w);
	answer(&rb, &b);
	response(&x[5], &w);
	answer(&ra, &a);
	stop();
	assert_link(3, 0, CLEW_LINK_ORPHAN);
	assert_int_equal(got.link[3].n_candidates, 2);
	assert_link(4, 2, CLEW_LINK_CERTAIN);
	assert_link(5, 1, CLEW_LINK_CERTAIN);
	assert_link(6, 0, CLEW_LINK_ORPHAN);
	assert_link(7, 1, CLEW_LINK_CERTAIN);
	assert_link(8, 1, CLEW_LINK_CERTAIN);
}

/* One call, then two answers by the same task: it was for both. */
static void test_task_batch(void **state)
{
	struct fab_thread loop = python(0), t = python(1);
	struct fab_exchange a, b, x;

	start(NULL);
	request(&a, 1, &loop);
	request(&b, 2, &loop);
	call(&x, 3, &t);
	response(&x, &loop);
	answer(&a, &t);
	answer(&b, &t);
	stop();
	assert_link(3, 0, CLEW_LINK_ORPHAN);
	assert_true(got.link[3].evidence & CLEW_EV_CONFLICT);
	assert_true(got.link[3].n_candidates >= 2);
}

/* A task with work of its own that is begun for one request and answers another. */
static void test_task_contradicts(void **state)
{
	struct fab_thread loop = python(0), t = python(1), u = python(2);
	struct fab_exchange a, b, x;

	start(NULL);
	request(&a, 1, &loop);
	request(&b, 2, &loop);
	fab_io(c, &a, CLEW_PART_RESPONSE, &t, tick());
	begins(&t, &u);
	call(&x, 3, &u);
	response(&x, &loop);
	answer(&b, &u);
	fab_end(c, &a, 0);
	stop();
	assert_link(3, 0, CLEW_LINK_ORPHAN);
}

/* One task that writes for all, as uvloop does: what it answers waited while it answered others. */
static void test_task_writes_for_all(void **state)
{
	struct fab_thread loop = python(0), t = python(1);
	struct fab_exchange a[4], x[4];
	uint64_t id = 1;

	start(NULL);
	for (unsigned i = 0; i < 4; i++)
		request(&a[i], id++, &loop);
	for (unsigned i = 0; i < 200; i++) {
		unsigned k = i % 4;

		call(&x[k], id++, &t);
		if (i < 3)
			continue;
		k = (i + 1) % 4;
		response(&x[k], &loop);
		answer(&a[k], &t);
		request(&a[k], id++, &loop);
	}
	stop();
	for (uint64_t i = 1; i < id; i++)
		assert_int_equal(got.link[i].parent, 0);
}

static void test_task(void **state)
{
	struct fab_thread t = thread(10, 10);
	struct fab_exchange a, b, x, y;

	start(NULL);
	t.task = CLEW_TASK(CLEW_TASK_GO, 1);
	request(&a, 1, &t);
	t.task = CLEW_TASK(CLEW_TASK_GO, 2);
	request(&b, 2, &t);
	t.task = CLEW_TASK(CLEW_TASK_GO, 1);
	call(&x, 3, &t);
	t.task = CLEW_TASK(CLEW_TASK_GO, 2);
	call(&y, 4, &t);
	t.tid = 99; /* a task may move to another thread */
	response(&y, &t);
	answer(&b, &t);
	t.task = CLEW_TASK(CLEW_TASK_GO, 1);
	response(&x, &t);
	answer(&a, &t);
	stop();
	assert_link(3, 1, CLEW_LINK_CERTAIN);
	assert_link(4, 2, CLEW_LINK_CERTAIN);
	assert_true(got.link[3].evidence & CLEW_EV_TASK);
}

/* A goroutine that is first seen now may have been begun for the request before this one. */
static void test_task_told_late(void **state)
{
	struct fab_thread t = thread(10, 10), job = thread(10, 11);
	struct clew_rec_handoff h = {.hdr = {sizeof(h), CLEW_REC_HANDOFF, 0},
				     .from_task = CLEW_TASK(CLEW_TASK_GO, 1),
				     .from_start_ns = t.start_ns,
				     .to_start_ns = t.start_ns,
				     .from_tgid = 10,
				     .from_tid = 11,
				     .to_tgid = 10,
				     .to_tid = 11,
				     .hdr_bytes = sizeof(h),
				     .kind = CLEW_HANDOFF_TASK};
	struct fab_exchange a, b, x[3];
	uint64_t begun;

	start(NULL);
	t.task = CLEW_TASK(CLEW_TASK_GO, 1);
	request(&a, 1, &t);
	begun = tick();
	answer(&a, &t);
	request(&b, 2, &t);
	for (unsigned i = 0; i < 3; i++) {
		job.task = h.key = CLEW_TASK(CLEW_TASK_GO, 2 + i);
		h.ts_ns = tick();
		/* begun in the first request; nobody knows when; begun in this one */
		h.age_us = i == 0 ? (h.ts_ns - begun + 999) / 1000 : i == 1 ? CLEW_AGE_UNKNOWN : 1;
		clew_causality_record(c, &h.hdr);
		call(&x[i], 3 + i, &job);
		response(&x[i], &job);
	}
	answer(&b, &t);
	stop();
	assert_int_not_equal(got.link[3].parent, 2);
	assert_int_not_equal(got.link[4].parent, 2);
	assert_link(5, 2, CLEW_LINK_CERTAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_task_answers),
		cmocka_unit_test(test_task_before),
		cmocka_unit_test(test_task_begun),
		cmocka_unit_test(test_task_given_the_next),
		cmocka_unit_test(test_task_had_the_work),
		cmocka_unit_test(test_task_gathers),
		cmocka_unit_test(test_task_batch),
		cmocka_unit_test(test_task_contradicts),
		cmocka_unit_test(test_task_writes_for_all),
		cmocka_unit_test(test_task),
		cmocka_unit_test(test_task_told_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
