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

/*
 * All calls are made on one connection, and their responses come in one read. One of them failed: that request tries
 * again before the others go on. sleeps: the loop waits for something in the middle of its work.
 */
static uint64_t shared_batch(struct fab_thread *t, bool sleeps)
{
	const int tries_again = 2;
	uint64_t first = next_id, at;

	for (int i = 0; i < BATCH; i++) {
		t->nvcsw++;
		request(&reqs[i], next_id++, t);
		write_call(&calls[i], t);
		calls[i].conn.cookie = 7;
	}
	t->nvcsw++;
	at = tick();
	calls[tries_again].x.http.status = 503;
	for (int i = 0; i < BATCH; i++) {
		fab_io(c, &calls[i], CLEW_PART_RESPONSE, t, at);
		fab_end(c, &calls[i], 0);
	}
	write_call(&calls[tries_again], t);
	for (int i = 0; i < BATCH; i++) {
		if (i == tries_again)
			continue;
		t->nvcsw += sleeps && i == 1;
		answer(&reqs[i], t);
	}
	t->nvcsw++;
	read_response(&calls[tries_again], t);
	answer(&reqs[tries_again], t);
	return first;
}

static void test_several_responses_in_one_read(void **state)
{
	struct fab_thread t;
	uint64_t first = 0;

	begin(&t);
	for (int i = 0; i < ROUNDS; i++)
		first = shared_batch(&t, false);
	for (int i = 0; i < 2; i++)
		shared_batch(&t, false);
	stop();
	/* The first is for the only one that was open; no answer tests that. */
	assert_link(first + 1, first, CLEW_LINK_PROBABLE);
	for (uint64_t i = 1; i < BATCH; i++)
		assert_link(first + 2 * i + 1, first + 2 * i, CLEW_LINK_CERTAIN);
	assert_link(first + 2 * BATCH, first + 2 * 2, CLEW_LINK_CERTAIN);
}

/* A wait in the middle of the work says nothing against the rule; but what came then is not believed. */
static void test_waits_in_the_middle(void **state)
{
	struct fab_thread t;
	uint64_t slept = 0, after = 0;

	begin(&t);
	for (int i = 0; i < ROUNDS; i++)
		shared_batch(&t, false);
	slept = shared_batch(&t, true);
	for (int i = 0; i < 8; i++)
		after = shared_batch(&t, false);
	for (int i = 0; i < 2; i++)
		shared_batch(&t, false);
	stop();
	assert_link(slept + 1, slept, CLEW_LINK_PROBABLE);
	assert_link(slept + 3, 0, CLEW_LINK_ORPHAN);
	assert_link(after + 3, after + 2, CLEW_LINK_CERTAIN);
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
static void test_sleeps_first(void **state)
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

/*
 * A proxy of BATCH calls at a time: in each round it reads the responses, answers in their order, calls for those that
 * have waited since the round before, and reads new requests. Once it calls for the second one first. Both are
 * answered in this round, as if they had been called for in turn, but not in the order of the responses.
 */
static void test_queue_in_another_order(void **state)
{
	static const int swapped[BATCH] = {1, 0, 2, 3};
	struct fab_exchange q[3][BATCH];
	uint64_t first = 0;
	struct fab_thread t;

	begin(&t);
	for (int i = 0; i < ROUNDS + 4; i++) {
		struct fab_exchange *out = q[i % 3], *read = q[(i + 2) % 3];
		const int *order = i == ROUNDS ? swapped : in_order;

		t.nvcsw++;
		for (int k = 0; k < BATCH && i > 1; k++)
			read_response(&calls[k], &t);
		for (int k = 0; k < BATCH && i > 1; k++)
			answer(&out[order[k]], &t);
		if (i == ROUNDS - 1)
			first = next_id;
		for (int k = 0; k < BATCH && i > 0; k++)
			write_call(&calls[k], &t);
		for (int k = 0; k < BATCH; k++)
			request(&read[k], next_id++, &t);
	}
	stop();
	/* Ids: in each round calls, then requests; a call is for a request of the round before. */
	assert_link(first + 2, first - BATCH + 2, CLEW_LINK_CERTAIN);
	for (int k = 0; k < 2; k++)
		assert_int_equal(got.link[first + k].parent, 0);
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
		cmocka_unit_test(test_several_responses_in_one_read),
		cmocka_unit_test(test_waits_in_the_middle),
		cmocka_unit_test(test_too_few_hits),
		cmocka_unit_test(test_another_order),
		cmocka_unit_test(test_shifted_by_a_timer),
		cmocka_unit_test(test_sleeps_first),
		cmocka_unit_test(test_queue_in_another_order),
		cmocka_unit_test(test_without_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
