/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose turn it is in an event loop: each rule, and what must keep it from being believed.
 */
#include <stdlib.h>
#include <string.h>

#include "rig.h"

#define BATCH  4
#define ROUNDS 120

static struct fab_exchange reqs[BATCH], calls[BATCH];
static uint64_t next_id;

static void write_call(struct fab_exchange *f, struct fab_thread *t)
{
	fab_init(f, next_id, CLEW_ROLE_CLIENT, 100000 + next_id);
	next_id++;
	fab_io(c, f, CLEW_PART_REQUEST, t, tick());
}

static void read_response(struct fab_exchange *f, struct fab_thread *t)
{
	fab_io(c, f, CLEW_PART_RESPONSE, t, tick());
	fab_end(c, f, 0);
}

/*
 * A round of BATCH requests on one loop, all read before the first call is made; the responses are read
 * together too, and answered in the order that is given. Ids: requests first, then calls.
 */
static uint64_t batch(struct fab_thread *t, const int *order)
{
	uint64_t first = next_id;

	t->nvcsw++;
	for (int i = 0; i < BATCH; i++)
		request(&reqs[i], next_id++, t);
	for (int i = 0; i < BATCH; i++)
		write_call(&calls[i], t);
	t->nvcsw++;
	for (int i = 0; i < BATCH; i++)
		read_response(&calls[i], t);
	for (int i = 0; i < BATCH; i++)
		answer(&reqs[order[i]], t);
	return first;
}

static void begin(struct fab_thread *t)
{
	start(NULL);
	next_id = 1;
	*t = thread(10, 11);
}

static const int in_order[BATCH] = {0, 1, 2, 3};
static const int reversed[BATCH] = {3, 2, 1, 0};

static void test_first_come_first_served(void **state)
{
	struct fab_thread t;
	uint64_t first = 0;

	begin(&t);
	for (int i = 0; i < ROUNDS; i++)
		first = batch(&t, in_order);
	/* The last ones were not borne out by a sleep. */
	for (int i = 0; i < 2; i++)
		batch(&t, in_order);
	now += 3 * SEC;
	clew_causality_advance(c, now);
	for (uint64_t i = 0; i < BATCH; i++)
		assert_link(first + BATCH + i, first + i, CLEW_LINK_CERTAIN);
	assert_true(got.link[first + BATCH].evidence & CLEW_EV_ORDER);
	stop();
}

static void test_too_few_hits(void **state)
{
	struct fab_thread t;

	begin(&t);
	for (int i = 0; i < 30; i++)
		batch(&t, in_order);
	stop();
	for (uint64_t id = 1; id < next_id; id++)
		assert_false(got.times[id] && got.link[id].parent);
}

/* The answers come in another order than any rule has it. */
static void test_another_order(void **state)
{
	struct fab_thread t;

	begin(&t);
	for (int i = 0; i < ROUNDS; i++)
		batch(&t, reversed);
	stop();
	for (uint64_t id = 1; id < next_id; id++)
		assert_false(got.times[id] && got.link[id].parent &&
			     got.link[id].evidence & CLEW_EV_ORDER);
}

/*
 * In a loop that is known, a timer's call is made before the others of its round: each of them takes the
 * turn of the next. All responses come in the order of the calls, so the answers agree; the last call finds
 * no turn.
 */
static void test_shifted_by_a_timer(void **state)
{
	struct fab_thread t;
	struct fab_exchange timer;
	uint64_t first;

	begin(&t);
	for (int i = 0; i < ROUNDS; i++)
		batch(&t, in_order);
	first = next_id;
	t.nvcsw++;
	for (int i = 0; i < BATCH; i++)
		request(&reqs[i], next_id++, &t);
	write_call(&timer, &t);
	for (int i = 0; i < BATCH; i++)
		write_call(&calls[i], &t);
	t.nvcsw++;
	read_response(&timer, &t);
	for (int i = 0; i < BATCH; i++)
		read_response(&calls[i], &t);
	for (int i = 0; i < BATCH; i++)
		answer(&reqs[i], &t);
	for (int i = 0; i < 4; i++)
		batch(&t, in_order);
	stop();
	for (uint64_t id = first + BATCH; id <= first + 2 * BATCH; id++)
		assert_link(id, 0, CLEW_LINK_ORPHAN);
}

/* What is not gone on from before the loop sleeps was not what the answer after it was for. */
static void test_sleeps_in_between(void **state)
{
	struct fab_thread t;

	begin(&t);
	for (int i = 0; i < ROUNDS; i++) {
		t.nvcsw++;
		for (int k = 0; k < BATCH; k++)
			request(&reqs[k], next_id++, &t);
		for (int k = 0; k < BATCH; k++)
			write_call(&calls[k], &t);
		for (int k = 0; k < BATCH; k++)
			read_response(&calls[k], &t);
		for (int k = 0; k < BATCH; k++) { /* timers */
			t.nvcsw++;
			answer(&reqs[k], &t);
		}
	}
	stop();
	for (uint64_t id = 1; id < next_id; id++)
		assert_false(got.times[id] && got.link[id].parent &&
			     got.link[id].class == CLEW_LINK_CERTAIN);
}

static void test_without_order(void **state)
{
	struct clew_causality_opts opts = {.without = CLEW_SOURCE_ORDER};
	struct fab_thread t;

	begin(&t);
	stop();
	start(&opts);
	for (int i = 0; i < ROUNDS; i++)
		batch(&t, in_order);
	stop();
	for (uint64_t id = 1; id < next_id; id++)
		assert_false(got.times[id] && got.link[id].parent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_come_first_served),
		cmocka_unit_test(test_too_few_hits),
		cmocka_unit_test(test_another_order),
		cmocka_unit_test(test_shifted_by_a_timer),
		cmocka_unit_test(test_sleeps_in_between),
		cmocka_unit_test(test_without_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
