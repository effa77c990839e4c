/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event loops, connect() and checkpoints, on a few exchanges each.
 */
#include "rig.h"

/* nginx's default: connect() in A's segment, the write in B's. */
static void test_connect(void **state)
{
	struct fab_thread t = thread(10, 10);
	struct fab_exchange a, b, x, y;
	uint64_t id = 1;

	start(NULL);
	for (int i = 0; i < 100; i++, id += 4) {
		request(&a, id, &t);
		fab_init(&x, id + 1, CLEW_ROLE_CLIENT, 1001 + id);
		fab_connect(c, &x, &t, tick());
		request(&b, id + 2, &t);
		fab_init(&y, id + 3, CLEW_ROLE_CLIENT, 1003 + id);
		fab_connect(c, &y, &t, tick());
		t.nvcsw++;
		fab_io(c, &x, CLEW_PART_REQUEST, &t, tick());
		fab_io(c, &y, CLEW_PART_REQUEST, &t, tick());
		response(&x, &t);
		answer(&a, &t);
		response(&y, &t);
		answer(&b, &t);
	}
	stop();
	for (uint64_t i = 1; i < id; i += 2) {
		assert_link(i + 1, i, CLEW_LINK_CERTAIN);
		assert_true(got.link[i + 1].evidence & CLEW_EV_CONNECT);
	}
}

static void test_conflict(void **state)
{
	struct fab_thread t = thread(10, 10);
	struct fab_exchange a, b, x;

	start(NULL);
	warm_up(&t, 1, 100);
	request(&a, 1001, &t);
	request(&b, 1002, &t);
	call(&x, 1003, &t); /* after B was read ... */
	response(&x, &t);
	answer(&a, &t); /* ... but A is answered */
	answer(&b, &t);
	stop();
	assert_link(1003, 0, CLEW_LINK_ORPHAN);
	assert_true(got.link[1003].evidence & CLEW_EV_CONFLICT);
	assert_int_equal(got.link[1003].n_candidates, 2);
	assert_int_equal(got.link[1003].candidates[0], 1002);
	assert_int_equal(got.link[1003].candidates[1], 1001);
	assert_link(2, 1, CLEW_LINK_CERTAIN);
}

/* What several requests wait for comes in one read: nobody can say what is gone on with first, so nothing is tested. */
static void test_one_read_for_several(void **state)
{
	struct fab_thread t = thread(10, 10);
	struct fab_exchange a, b, x, y;
	uint64_t id = 401, at;

	start(NULL);
	warm_up(&t, 1, 100);
	for (int i = 0; i < 100; i++, id += 4) {
		request(&a, id, &t);
		call(&x, id + 1, &t);
		request(&b, id + 2, &t);
		call(&y, id + 3, &t);
		x.conn.cookie = y.conn.cookie = 7;
		t.nvcsw++;
		at = tick();
		fab_io(c, &x, CLEW_PART_RESPONSE, &t, at);
		fab_end(c, &x, 0);
		fab_io(c, &y, CLEW_PART_RESPONSE, &t, at);
		fab_end(c, &y, 0);
		answer(i % 3 ? &b : &a, &t);
		answer(i % 3 ? &a : &b, &t);
	}
	warm_up(&t, id, 20);
	stop();
	assert_link(402, 0, CLEW_LINK_ORPHAN);
	assert_link(id + 1, id, CLEW_LINK_CERTAIN);
}

static void test_slept(void **state)
{
	struct fab_thread t = thread(10, 10);
	struct fab_exchange a, b, x;

	start(NULL);
	warm_up(&t, 1, 200);
	request(&a, 1001, &t);
	request(&b, 1002, &t);
	t.nvcsw++; /* the loop slept: a timer */
	call(&x, 1003, &t);
	response(&x, &t);
	answer(&b, &t);
	answer(&a, &t);
	stop();
	assert_link(1003, 0, CLEW_LINK_ORPHAN);
}

/* A loop whose calls come after sleeps: one that does not, is a timer's that was due when it was awake. */
static void test_awake(void **state)
{
	struct fab_thread t = thread(10, 10);
	struct fab_exchange a, x;

	start(NULL);
	warm_up(&t, 1, 4);
	for (uint64_t id = 1001; id < 1801; id += 2) {
		request(&a, id, &t);
		if (id != 1701)
			t.nvcsw++;
		call(&x, id + 1, &t);
		response(&x, &t);
		answer(&a, &t);
	}
	stop();
	assert_link(1702, 0, CLEW_LINK_ORPHAN);
	assert_int_equal(got.link[1702].candidates[0], 1701);
}

/* A timer has one of two connections: what goes out when the other is free again may have waited for it. */
static void test_awake_queued(void **state)
{
	struct fab_thread t = thread(10, 10);
	struct fab_exchange a, x, timer, next;

	start(NULL);
	warm_up(&t, 1, 200);
	request(&a, 1001, &t);
	call(&x, 1002, &t);
	t.nvcsw++;
	call(&timer, 1003, &t);
	response(&x, &t);
	call(&next, 1004, &t);
	response(&timer, &t);
	response(&next, &t);
	answer(&a, &t);
	stop();
	assert_link(1002, 1001, CLEW_LINK_CERTAIN);
	assert_link(1004, 0, CLEW_LINK_ORPHAN);
}

/* ... and one of which it is not known yet. */
static void test_awake_alone(void **state)
{
	struct fab_thread t = thread(10, 10);
	struct fab_exchange a, x;

	start(NULL);
	warm_up(&t, 1, 200);
	request(&a, 1001, &t);
	call(&x, 1002, &t);
	response(&x, &t);
	answer(&a, &t);
	stop();
	assert_link(1002, 1001, CLEW_LINK_CERTAIN);
}

/* Two requests in one read: what comes next may be for either. */
static void test_pipelined(void **state)
{
	struct fab_thread t = thread(10, 10);
	struct fab_exchange a, b, x;

	start(NULL);
	warm_up(&t, 1, 100);
	fab_init(&a, 1001, CLEW_ROLE_SERVER, 77);
	fab_init(&b, 1002, CLEW_ROLE_SERVER, 77);
	tick();
	fab_io(c, &a, CLEW_PART_REQUEST, &t, now);
	fab_io(c, &b, CLEW_PART_REQUEST, &t, now);
	call(&x, 1003, &t);
	response(&x, &t);
	answer(&a, &t);
	answer(&b, &t);
	stop();
	assert_link(1003, 0, CLEW_LINK_ORPHAN);
	assert_int_equal(got.link[1003].n_candidates, 2);
}

static void test_retry(void **state)
{
	struct fab_thread t = thread(10, 10);
	struct fab_exchange a, b, x, y;

	start(NULL);
	warm_up(&t, 1, 100);
	request(&a, 1001, &t);
	call(&x, 1002, &t);
	request(&b, 1003, &t);
	fab_end(c, &x, CLEW_INC_NO_RESPONSE); /* the connection was stale */
	fab_init(&y, 1004, CLEW_ROLE_CLIENT, 5004);
	fab_connect(c, &y, &t, tick());
	answer(&b, &t);
	fab_io(c, &y, CLEW_PART_REQUEST, &t, tick());
	response(&y, &t);
	answer(&a, &t);
	stop();
	assert_int_not_equal(got.link[1004].class, CLEW_LINK_ROOT);
	assert_true(got.link[1004].parent == 1001 || got.link[1004].candidates[0] == 1001);
}

/* A connection that was made in advance belongs to the one who uses it. */
static void test_connect_in_advance(void **state)
{
	struct fab_thread t = thread(10, 11), pool = thread(10, 12);
	struct fab_exchange a, b, x, y;

	start(NULL);
	request(&a, 1, &t);
	fab_init(&x, 3, CLEW_ROLE_CLIENT, 1003);
	fab_connect(c, &x, &t, tick());
	answer(&a, &t);
	request(&b, 2, &t);
	fab_io(c, &x, CLEW_PART_REQUEST, &t, tick());
	response(&x, &t);
	fab_init(&y, 4, CLEW_ROLE_CLIENT, 1004);
	fab_connect(c, &y, &pool, tick());
	fab_io(c, &y, CLEW_PART_REQUEST, &t, tick());
	response(&y, &t);
	answer(&b, &t);
	stop();
	assert_link(3, 2, CLEW_LINK_PROBABLE);
	assert_link(4, 2, CLEW_LINK_PROBABLE);
}

/* A response that ends with its connection is read when that end is. */
static void test_response_ends_by_eof(void **state)
{
	struct fab_thread t = thread(10, 10);
	struct fab_exchange a, b, x;

	start(NULL);
	warm_up(&t, 100, 100);
	request(&a, 1, &t);
	call(&x, 2, &t);
	t.nvcsw++;
	fab_io(c, &x, CLEW_PART_RESPONSE, &t, tick());
	request(&b, 3, &t);
	t.nvcsw++;
	tick();
	eof(&x, &t);
	fab_end(c, &x, 0);
	answer(&a, &t);
	answer(&b, &t);
	stop();
	assert_link(2, 1, CLEW_LINK_CERTAIN);
}

/* A pool connects for the first requests and never again: the calls that follow speak for those. */
static void test_pool_fills(void **state)
{
	enum { N = 14 };
	struct fab_thread t = thread(10, 10);
	struct fab_exchange req[N], x[N];

	start(NULL);
	for (uint32_t i = 0; i < N; i++) {
		request(&req[i], 1 + i, &t);
		fab_init(&x[i], 1 + N + i, CLEW_ROLE_CLIENT, 5000 + i);
		fab_connect(c, &x[i], &t, tick());
		fab_io(c, &x[i], CLEW_PART_REQUEST, &t, tick());
	}
	for (uint32_t i = 0; i < N; i++) {
		response(&x[i], &t);
		answer(&req[i], &t);
	}
	for (uint32_t i = 1; i < N; i++) /* the first one was alone */
		assert_int_equal(got.times[1 + N + i], 0);
	warm_up(&t, 100, 100);
	stop();
	for (uint32_t i = 0; i < N; i++)
		assert_link(1 + N + i, 1 + i, CLEW_LINK_CERTAIN);
}

/* Each after a sleep. */
static void calls_after_sleep(uint64_t id, struct fab_thread *t)
{
	struct fab_exchange x;

	t->nvcsw++;
	call(&x, id, t);
	response(&x, t);
}

/*
 * A loop has one request at a time, which sleeps before its calls, and a timer that calls, in and between
 * requests: nothing ever overlaps. Threads that work one beside another do the same after their answers.
 */
static void test_timer_alone(void **state)
{
	struct fab_thread t = thread(10, 11), other = thread(10, 12);
	struct fab_exchange a, b;
	uint32_t wrong = 0;
	uint64_t id;

	for (uint32_t threads = 0; threads < 2; threads++) {
		start(NULL);
		for (uint32_t i = 0; i < 200; i++) {
			id = 1 + 6 * i;
			if (threads)
				request(&b, 2000 + i, &other);
			request(&a, id, &t);
			calls_after_sleep(id + 1, &t);
			if (!threads && i % 10 == 5)
				calls_after_sleep(id + 2, &t);
			calls_after_sleep(id + 3, &t);
			answer(&a, &t);
			if (threads)
				answer(&b, &other);
			if (i % 10 == 0)
				calls_after_sleep(id + 4, &t);
			clew_causality_advance(c, now += 3 * SEC);
		}
		stop();
		for (uint32_t i = 5; !threads && i < 200; i += 10)
			wrong += got.link[1 + 6 * i + 2].parent != 0;
		for (uint32_t i = 64; threads && i < 200; i++)
			assert_int_equal(got.link[1 + 6 * i + 1].parent, 1 + 6 * i);
	}
	assert_int_equal(wrong, 0);
}

/*
 * A timer's call takes one of two connections while the loop is awake, a job the other. What waits for them goes out
 * when the timer's is over, on its connection, and leads to the answer; so does what follows a call of the request itself.
 */
static void test_makes_room(void **state)
{
	for (uint32_t timers = 0; timers < 2; timers++) {
		struct fab_thread t = thread(10, 10);
		struct fab_exchange a, x, timer, job, next;

		start(NULL);
		warm_up(&t, 1, 200);
		if (timers)
			calls_after_sleep(900, &t);
		request(&a, 1001, &t);
		call(&x, 1002, &t);
		call(&timer, 1003, &t);
		response(&x, &t);
		call(&job, 1004, &t);
		response(&timer, &t);
		fab_init(&next, 1005, CLEW_ROLE_CLIENT, timer.conn.cookie);
		fab_io(c, &next, CLEW_PART_REQUEST, &t, tick());
		response(&next, &t);
		answer(&a, &t);
		response(&job, &t);
		stop();
		assert_link(1005, 1001, CLEW_LINK_CERTAIN);
		if (timers)
			assert_link(1003, 0, CLEW_LINK_ORPHAN);
		else
			assert_link(1003, 1001, CLEW_LINK_CERTAIN);
	}
}

/* from writes to an eventfd (or a pipe) that to waits for. */
static void tells(const struct fab_thread *from, struct fab_thread *to, enum clew_handoff_kind kind)
{
	to->nvcsw++;
	fab_handoff(c, from, to, kind, 7, tick());
}

/*
 * One request at a time: a loop looks like a thread. A timer of another thread gives it a call to make. From then on
 * only what leads to the answer without a sleep is the request's.
 */
static void test_told_to_call(void **state)
{
	static const enum clew_handoff_kind kinds[] = {CLEW_HANDOFF_EVENTFD, CLEW_HANDOFF_PIPE};

	for (size_t i = 0; i < 2; i++) {
		struct fab_thread loop = thread(10, 11), timer = thread(10, 12),
				  other = thread(10, 13);
		struct fab_exchange a, x, y;

		start(NULL);
		for (uint64_t id = 10; id < 410; id += 2) {
			request(&a, id, &loop);
			call(&x, id + 1, &loop);
			response(&x, &loop);
			answer(&a, &loop);
		}
		assert_link(409, 408, CLEW_LINK_CERTAIN);
		/* Once by accident, in the middle of what is written for another thread: nothing. */
		for (int k = 0; k < 20; k++)
			tells(&timer, &other, kinds[i]);
		request(&a, 410, &loop);
		tells(&timer, &loop, kinds[i]);
		call(&x, 411, &loop);
		response(&x, &loop);
		answer(&a, &loop);
		assert_link(411, 410, CLEW_LINK_CERTAIN);
		for (int k = 0; k < 40; k++)
			tells(&timer, &loop, kinds[i]);
		request(&a, 1, &loop);
		tells(&timer, &loop, kinds[i]);
		call(&x, 2, &loop);
		response(&x, &loop);
		loop.nvcsw++; /* its own timer */
		answer(&a, &loop);
		request(&a, 3, &loop);
		loop.nvcsw++;
		call(&x, 4, &loop);
		response(&x, &loop);
		call(&y, 5, &loop);
		response(&y, &loop);
		loop.nvcsw++;
		answer(&a, &loop);
		request(&a, 6, &loop);
		call(&x, 7, &loop);
		response(&x, &loop);
		answer(&a, &loop);
		stop();
		assert_link(2, 0, CLEW_LINK_ORPHAN);
		assert_int_equal(got.link[2].candidates[0], 1);
		assert_link(7, 6, CLEW_LINK_CERTAIN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_told_to_call),
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_conflict),
		cmocka_unit_test(test_one_read_for_several),
		cmocka_unit_test(test_slept),
		cmocka_unit_test(test_awake),
		cmocka_unit_test(test_awake_queued),
		cmocka_unit_test(test_awake_alone),
		cmocka_unit_test(test_pipelined),
		cmocka_unit_test(test_retry),
		cmocka_unit_test(test_connect_in_advance),
		cmocka_unit_test(test_response_ends_by_eof),
		cmocka_unit_test(test_pool_fills),
		cmocka_unit_test(test_timer_alone),
		cmocka_unit_test(test_makes_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
