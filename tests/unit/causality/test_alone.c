/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request at a time in a service that is idle most of the time: whoever calls.
 */
#include "rig.h"

/* A request that takes 20 ms, whose call another thread makes in its middle; then nothing for so long. */
static void visit(uint64_t id, uint64_t pause_ns)
{
	struct fab_thread reader = thread(10, 11), worker = thread(10, 12);
	struct fab_exchange a, x;

	request(&a, id, &reader);
	now += 10 * MS;
	call(&x, id + 1, &worker);
	response(&x, &worker);
	now += 10 * MS;
	answer(&a, &reader);
	clew_causality_advance(c, now += pause_ns);
}

static void timer(uint64_t id)
{
	struct fab_thread t = thread(10, 13);
	struct fab_exchange x;

	call(&x, id, &t);
	response(&x, &t);
}

static void test_idle(void **state)
{
	start(NULL);
	for (uint64_t id = 1; id < 21; id += 2)
		visit(id, 3 * SEC);
	stop();
	for (uint64_t id = 1; id < 21; id += 2)
		assert_link(id + 1, id, CLEW_LINK_PROBABLE);
}

/* One after the other, as a closed loop of one client: a job of the last one would call in the next. */
static void test_busy(void **state)
{
	start(NULL);
	for (uint64_t id = 1; id < 401; id += 2)
		visit(id, 100 * MS);
	stop();
	for (uint64_t id = 1; id < 401; id += 2)
		assert_link(id + 1, 0, CLEW_LINK_ORPHAN);
}

/* Something calls by itself: from then on nobody can tell. */
static void test_strays(void **state)
{
	start(NULL);
	for (uint64_t id = 1; id < 21; id += 2) {
		visit(id, 3 * SEC);
		if (id == 11)
			timer(1000);
	}
	stop();
	assert_link(1000, 0, CLEW_LINK_ROOT);
	assert_link(10, 9, CLEW_LINK_PROBABLE);
	assert_link(14, 0, CLEW_LINK_ORPHAN);
	assert_int_equal(got.link[14].candidates[0], 13);
}

/* A job calls after its request's answer; in a run of requests, in the next one. */
static void test_jobs(void **state)
{
	uint32_t wrong = 0;

	start(NULL);
	for (uint64_t id = 1; id < 2001; id += 100) {
		for (uint64_t k = id; k < id + 30; k += 3) {
			struct fab_thread reader = thread(10, 11), worker = thread(10, 12);
			struct fab_exchange a, x;

			request(&a, k, &reader);
			timer(k + 2); /* the job of the one before */
			call(&x, k + 1, &worker);
			response(&x, &worker);
			answer(&a, &reader);
		}
		timer(id + 40);
		clew_causality_advance(c, now += 5 * SEC);
	}
	stop();
	for (uint64_t id = 1; id < 2001; id += 100)
		for (uint64_t k = id; k < id + 30; k += 3)
			wrong += got.link[k + 2].parent != 0;
	assert_int_equal(wrong, 0);
}

/* Two are open: either may be it. */
static void test_two(void **state)
{
	struct fab_thread reader = thread(10, 11), worker = thread(10, 12), second = thread(10, 14);
	struct fab_exchange a, b, x;

	start(NULL);
	for (uint64_t id = 1; id < 21; id += 2)
		visit(id, 3 * SEC);
	request(&a, 101, &reader);
	request(&b, 102, &second);
	call(&x, 103, &worker);
	response(&x, &worker);
	answer(&a, &reader);
	answer(&b, &second);
	stop();
	assert_link(103, 0, CLEW_LINK_ORPHAN);
}

/* The last request of a busy hour is alone, and nothing calls after it: that is no habit. */
static void test_end_of_load(void **state)
{
	struct fab_thread reader = thread(10, 11), second = thread(10, 14), worker = thread(10, 12);
	struct fab_exchange a, b, x;

	start(NULL);
	for (uint64_t id = 1; id < 401; id += 2) {
		request(&a, id, &reader);
		request(&b, id + 1, &second);
		now += 20 * MS;
		answer(&a, &reader);
		answer(&b, &second);
	}
	request(&a, 1001, &reader);
	call(&x, 1002, &worker);
	response(&x, &worker);
	answer(&a, &reader);
	clew_causality_advance(c, now += 5 * SEC);
	stop();
	assert_link(1002, 0, CLEW_LINK_ORPHAN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idle),   cmocka_unit_test(test_busy),
		cmocka_unit_test(test_strays), cmocka_unit_test(test_jobs),
		cmocka_unit_test(test_two),    cmocka_unit_test(test_end_of_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
