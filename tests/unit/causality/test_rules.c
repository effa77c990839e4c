/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's rules one by one, on a few exchanges each: threads and processes, and what is bounded.
 */
#include "rig.h"

static void test_thread(void **state)
{
	struct fab_thread t = thread(10, 11);
	struct fab_exchange a, x, y;

	start(NULL);
	request(&a, 1, &t);
	call(&x, 2, &t);
	response(&x, &t);
	call(&y, 3, &t);
	response(&y, &t);
	answer(&a, &t);
	assert_int_equal(got.n, 0); /* the service is new: contrary evidence may still come */
	clew_causality_advance(c, now + SEC);
	assert_int_equal(got.n, 0);
	clew_causality_advance(c, now + 3 * SEC);
	assert_link(2, 1, CLEW_LINK_PROBABLE);
	assert_link(3, 1, CLEW_LINK_PROBABLE);
	assert_true(got.link[2].evidence & CLEW_EV_EXCLUSIVE);
	assert_true(got.link[2].evidence & CLEW_EV_THREAD);
	assert_true(got.link[2].evidence & CLEW_EV_COMPLETION);
	assert_true(got.link[2].confidence > 0.9 && got.link[2].confidence < 1);
	assert_int_equal(got.order[0], 2);
	for (uint64_t id = 10; id < 210; id += 2) {
		request(&a, id, &t);
		call(&x, id + 1, &t);
		response(&x, &t);
		answer(&a, &t);
	}
	assert_link(209, 208, CLEW_LINK_CERTAIN); /* known by now: decided with the answer */
	stop();
	assert_int_equal(got.times[209], 1);
}

static void test_root_and_after_answer(void **state)
{
	struct fab_thread t = thread(10, 11), u = thread(10, 12);
	struct fab_exchange a, b, x, y, z;

	start(NULL);
	call(&x, 1, &t);
	response(&x, &t);
	assert_link(1, 0, CLEW_LINK_ROOT);
	assert_true(got.link[1].evidence & CLEW_EV_NONE_OPEN);
	request(&a, 2, &t);
	answer(&a, &t);
	call(&y, 3, &t); /* after the answer, nothing open */
	response(&y, &t);
	assert_link(3, 0, CLEW_LINK_ROOT);
	request(&a, 6, &t);
	request(&b, 4, &u);
	answer(&a, &t);
	call(&z, 5, &t); /* after the answer, another thread serves */
	response(&z, &t);
	answer(&b, &u);
	stop();
	assert_link(5, 0, CLEW_LINK_ORPHAN);
	assert_int_equal(got.link[5].n_candidates, 2);
	assert_int_equal(got.link[5].candidates[0], 6);
	assert_int_equal(got.link[5].candidates[1], 4);
}

static void test_streaming_answer(void **state)
{
	struct fab_thread t = thread(10, 11);
	struct fab_exchange a, x;

	start(NULL);
	request(&a, 1, &t);
	fab_io(c, &a, CLEW_PART_RESPONSE, &t, tick()); /* the head goes out first */
	call(&x, 2, &t);
	response(&x, &t);
	answer(&a, &t);
	stop();
	assert_link(2, 1, CLEW_LINK_PROBABLE);
}

static void test_other_thread(void **state)
{
	struct fab_thread t = thread(10, 11), w = thread(10, 12);
	struct fab_exchange req[12], x;

	start(NULL);
	for (uint64_t i = 0; i < 12; i++) {
		struct fab_thread own = thread(10, 20 + (uint32_t)i);

		request(&req[i], i + 1, &own);
	}
	call(&x, 100, &w);
	response(&x, &w);
	stop();
	assert_link(100, 0, CLEW_LINK_ORPHAN);
	assert_true(got.link[100].evidence & CLEW_EV_UNCONFIRMED);
	assert_int_equal(got.link[100].n_candidates, CLEW_MAX_NEAR);
	assert_int_equal(got.link[100].candidates[0], 12);
	(void)t;
}

static void test_lost_records(void **state)
{
	struct fab_thread t = thread(10, 11);
	struct fab_exchange a, x, y;

	start(NULL);
	request(&a, 1, &t);
	t.lost = 3;
	call(&x, 2, &t);
	response(&x, &t);
	answer(&a, &t);
	t.lost = 1;
	call(&y, 3, &t); /* a request may have been among what was lost: not a root */
	response(&y, &t);
	stop();
	assert_link(2, 0, CLEW_LINK_ORPHAN);
	assert_link(3, 0, CLEW_LINK_ORPHAN);
}

static void test_fork_per_request(void **state)
{
	struct fab_thread t = thread(10, 10), child = thread(20, 20), grand = thread(30, 30);
	struct fab_exchange a, b, x, y, z;

	start(NULL);
	request(&a, 1, &t);
	fab_thread_event(c, CLEW_THREAD_FORK, &child, 10, 10, tick());
	fab_thread_event(c, CLEW_THREAD_EXEC, &child, 0, 0, tick());
	fab_thread_event(c, CLEW_THREAD_FORK, &grand, 20, 20, tick());
	call(&x, 2, &child);
	response(&x, &child);
	call(&y, 3, &grand);
	response(&y, &grand);
	answer(&a, &t);
	request(&b, 4, &t);
	call(&z, 5, &child); /* lives on: must not keep the request */
	response(&z, &child);
	answer(&b, &t);
	stop();
	assert_link(2, 1, CLEW_LINK_PROBABLE);
	assert_true(got.link[2].evidence & CLEW_EV_FORK);
	assert_link(3, 1, CLEW_LINK_PROBABLE);
	assert_link(5, 0, CLEW_LINK_ROOT);
}

static void test_thread_exit(void **state)
{
	struct fab_thread t = thread(10, 11), other = thread(10, 12);
	struct fab_exchange a, b, x;

	start(NULL);
	request(&a, 1, &t);
	request(&b, 2, &other);
	fab_thread_event(c, CLEW_THREAD_EXIT, &t, 0, 0, tick());
	call(&x, 3, &t); /* the same id, another thread */
	response(&x, &t);
	answer(&a, &t);
	answer(&b, &other);
	stop();
	assert_link(3, 0, CLEW_LINK_ORPHAN);
}

/* Workers that a master forked know what their siblings learned. */
static void test_siblings(void **state)
{
	struct fab_thread w = thread(20, 20), v = thread(21, 21);
	struct fab_exchange a, b, x, y;

	start(NULL);
	fab_thread_event(c, CLEW_THREAD_FORK, &w, 10, 10, tick());
	fab_thread_event(c, CLEW_THREAD_FORK, &v, 10, 10, tick());
	warm_up(&w, 1, 100);
	request(&a, 1001, &v);
	call(&x, 1002, &v);
	request(&b, 1003, &v);
	call(&y, 1004, &v);
	response(&y, &v);
	answer(&b, &v);
	assert_link(1004, 1003, CLEW_LINK_CERTAIN);
	response(&x, &v);
	answer(&a, &v);
	assert_link(1002, 1001, CLEW_LINK_CERTAIN);
	stop();
}

static void test_bounds(void **state)
{
	struct clew_causality_opts opts = {.stream_ns = 5 * SEC, .max_open = 10};
	struct fab_thread t = thread(10, 11);
	struct fab_exchange a, x[40];

	start(&opts);
	request(&a, 1, &t);
	for (uint64_t i = 0; i < 40; i++)
		call(&x[i], 100 + i, &t);
	assert_int_equal(got.n, 30); /* the oldest had to go */
	assert_int_equal(got.order[0], 100);
	assert_int_equal(clew_causality_stats(c)->forced, 30);
	clew_causality_advance(c, now + 6 * SEC); /* the answer never comes */
	assert_int_equal(got.n, 40);
	for (uint64_t i = 0; i < 40; i++)
		response(&x[i], &t);
	answer(&a, &t);
	stop();
	assert_int_equal(got.n, 40);
}

static void test_never_ends(void **state)
{
	struct fab_thread t = thread(10, 11), w = thread(10, 12);
	struct fab_exchange a, x, y;

	start(NULL);
	request(&a, 1, &t);
	call(&x, 2, &t); /* no response */
	call(&y, 3, &w);
	answer(&a, &t);
	clew_causality_advance(c, now + 3 * SEC);
	assert_link(2, 1, CLEW_LINK_PROBABLE);
	assert_link(3, 1, CLEW_LINK_PROBABLE); /* nothing else was open, nor came after it */
	clew_causality_flush(c);
	fab_end(c, &x, CLEW_INC_NO_RESPONSE);
	stop();
	assert_int_equal(got.n, 2);
}

static uint64_t rnd(uint64_t *state, uint64_t n)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (*state >> 11) % n;
}

/*
 * Anything in any order: reads of answers that nobody asked for, threads that exit in between, ids
 * that are used again. Every call is decided exactly once, and (under a sanitizer) no memory is
 * misused.
 */
static void test_anything(void **state)
{
	enum { N = 300 };
	static struct fab_exchange f[N];
	struct clew_causality_opts opts = {.max_open = 50};
	uint64_t seed = 42, calls = 0;

	for (int round = 0; round < 60; round++) {
		bool begun[N] = {0}, ended[N] = {0};

		start(&opts);
		for (uint32_t i = 0; i < N; i++)
			fab_init(&f[i], i + 1, 1 + (enum clew_role)rnd(&seed, 2),
				 1 + rnd(&seed, 90));
		for (uint32_t i = 0; i < N; i += 3)
			f[i].x.proto = CLEW_PROTO_RAW;
		for (int step = 0; step < 3000; step++) {
			uint32_t i = (uint32_t)rnd(&seed, N);
			uint32_t tgid = 10 + (uint32_t)rnd(&seed, 4);
			struct fab_thread t = thread(tgid, tgid * 10 + (uint32_t)rnd(&seed, 3));

			t.nvcsw = rnd(&seed, 3);
			t.lost = !rnd(&seed, 50);
			t.task = rnd(&seed, 10) ? 0 : 1 + rnd(&seed, 3);
			t.start_ns += !rnd(&seed, 100);
			if (!rnd(&seed, 20))
				eof(&f[i], &t);
			switch (rnd(&seed, 10)) {
			case 0:
				fab_thread_event(c, 1 + (enum clew_thread_event)rnd(&seed, 4), &t,
						 10 + (uint32_t)rnd(&seed, 4),
						 100 + (uint32_t)rnd(&seed, 30), tick());
				break;
			case 1:
				if (f[i].x.role == CLEW_ROLE_CLIENT && !begun[i])
					fab_connect(c, &f[i], &t, tick());
				break;
			case 2:
				clew_causality_advance(c, now += rnd(&seed, 300) * MS);
				break;
			case 3:
				if (begun[i] && !ended[i])
					fab_end(c, &f[i], rnd(&seed, 2) ? CLEW_INC_NO_RESPONSE : 0);
				ended[i] |= begun[i];
				break;
			default:
				if (ended[i])
					break;
				fab_io(c, &f[i],
				       begun[i] ? (enum clew_part)rnd(&seed, 2) : CLEW_PART_REQUEST,
				       &t, tick());
				begun[i] = true;
				break;
			}
		}
		if (rnd(&seed, 2))
			clew_causality_flush(c);
		stop();
		for (uint32_t i = 0; i < N; i++) {
			bool call = begun[i] && f[i].x.role == CLEW_ROLE_CLIENT;

			calls += call;
			assert_int_equal(got.times[i + 1], call);
		}
	}
	assert_true(calls > 1000);
}

/* FastCGI: after the answer the rest of the request is read; the next one comes while that is open. */
static void test_rest_of_request(void **state)
{
	struct fab_thread t = thread(10, 10);
	struct fab_exchange a, b, rest, x;

	for (int waited = 0; waited < 2; waited++) {
		start(NULL);
		request(&a, 1, &t);
		a.x.proto = CLEW_PROTO_RAW;
		answer(&a, &t);
		fab_init(&rest, 2, CLEW_ROLE_SERVER, a.conn.cookie);
		rest.x.proto = CLEW_PROTO_RAW;
		t.nvcsw += (uint64_t)waited; /* then it is another request */
		fab_io(c, &rest, CLEW_PART_REQUEST, &t, tick());
		request(&b, 3, &t);
		call(&x, 4, &t);
		response(&x, &t);
		fab_end(c, &rest, CLEW_INC_NO_RESPONSE);
		answer(&b, &t);
		clew_causality_advance(c, now += 5 * SEC);
		if (!waited)
			assert_link(4, 3, CLEW_LINK_PROBABLE);
		else
			assert_int_not_equal(got.link[4].class, CLEW_LINK_CERTAIN);
		stop();
	}
}

/*
 * A loop reads two requests at a time for a thread that also reads for itself. given: what it reads for
 * itself another one answers.
 */
static uint32_t reactor_run(uint32_t n, bool given)
{
	struct fab_thread loop = thread(10, 10), t = thread(10, 11), u = thread(10, 12);
	struct fab_thread timer = thread(10, 13);
	struct fab_exchange a, b, own, x;
	uint32_t linked = 0;
	uint64_t id = 1;

	start(NULL);
	for (uint32_t i = 0; i < n; i++, id += 8) {
		request(&a, id, &loop);
		request(&b, id + 1, &loop);
		call(&x, id + 2, &t);
		response(&x, &t);
		answer(&a, &t);
		call(&x, id + 3, &t);
		response(&x, &t);
		answer(&b, &t);
		request(&own, id + 4, &t);
		call(&x, id + 5, &t);
		response(&x, &t);
		answer(&own, given ? &u : &t);
		call(&x, id + 6, &timer);
		response(&x, &timer);
		clew_causality_advance(c, now += 3 * SEC);
		linked += got.link[id + 5].parent == id + 4;
	}
	stop();
	return linked;
}

static void test_loop_reads_for_others(void **state)
{
	assert_int_equal(reactor_run(100, false), 100);
	assert_int_equal(reactor_run(100, true), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_thread),
		cmocka_unit_test(test_root_and_after_answer),
		cmocka_unit_test(test_streaming_answer),
		cmocka_unit_test(test_other_thread),
		cmocka_unit_test(test_lost_records),
		cmocka_unit_test(test_fork_per_request),
		cmocka_unit_test(test_thread_exit),
		cmocka_unit_test(test_siblings),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_never_ends),
		cmocka_unit_test(test_anything),
		cmocka_unit_test(test_rest_of_request),
		cmocka_unit_test(test_loop_reads_for_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
