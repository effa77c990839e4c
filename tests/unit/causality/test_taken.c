/* SPDX-License-Identifier: Apache-2.0 */
/*
 * By when a pool had taken a request, on a few requests each: D, E and F are read in this order, all times in ms.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "causality/context.h"
#include "causality/model.h"
#include "causality/node.h"
#include "causality/taken.h"

#define MS 1000000ull
#define N  3

static struct group group;
static struct proc proc;
static struct node req[N], calls[N][2];

/* Read at born, thought to be taken at taken; its calls come with add(). */
static void make(uint32_t i, uint64_t born, uint64_t taken)
{
	req[i] = (struct node){.proc = &proc, .place = i + 1, .born_ns = born * MS};
	req[i].taken_ns = taken * MS;
	if (proc.n_read <= i)
		proc.n_read = i + 1;
	memset(calls[i], 0, sizeof(calls[i]));
}

static void add(uint32_t i, uint32_t k, uint64_t born, uint64_t ended)
{
	calls[i][k] = (struct node){.is_call = true, .claim = CLAIM_DONE, .resp_seen = true};
	calls[i][k].born_ns = born * MS;
	calls[i][k].ended_ns = ended * MS;
	DL_APPEND2(req[i].calls, &calls[i][k], sib_prev, sib_next);
}

static void done(uint32_t i, uint64_t at)
{
	taken_over(&req[i], at * MS);
}

static int set_up(void **state)
{
	group = (struct group){0};
	proc = (struct proc){.group = &group};
	make(0, 1, 5);
	add(0, 0, 10, 20);
	add(0, 1, 30, 40);
	make(1, 3, 6);
	return 0;
}

static int tear_down(void **state)
{
	free(proc.latest);
	return 0;
}

/* E was over at 25, so D had been taken then; what D's worker called before may have been a job's. */
static void test_later_one_is_over(void **state)
{
	done(1, 25);
	done(0, 50);
	taken_settle(&req[0]);
	assert_false(calls[0][0].taken[TAKEN_BY_CALL]);
	assert_true(calls[0][1].taken[TAKEN_BY_CALL]);
	assert_int_equal(group.taken[TAKEN_BY_CALL].n, 1);
	assert_int_equal(group.taken[TAKEN_BY_CALL].early, 0);
}

/* The order in which they are over does not matter, and nothing is known of the last one. */
static void test_over_later(void **state)
{
	done(0, 50);
	done(1, 45);
	taken_settle(&req[0]);
	taken_settle(&req[1]);
	assert_false(calls[0][0].taken[TAKEN_BY_CALL] || calls[0][1].taken[TAKEN_BY_CALL]);
	assert_int_equal(group.taken[TAKEN_BY_CALL].n, 1);
}

/* F is over while E's call is out: that one is E's, E was taken before it, and so was D. */
static void test_passed_on(void **state)
{
	make(2, 5, 7);
	add(1, 0, 12, 18);
	done(0, 50);
	done(1, 25);
	done(2, 14);
	taken_settle(&req[0]);
	taken_settle(&req[1]);
	assert_true(calls[1][0].taken[TAKEN_BY_CALL]);
	assert_true(calls[0][0].taken[TAKEN_BY_CALL] && calls[0][1].taken[TAKEN_BY_CALL]);
}

static void rest_of_soon(void)
{
	make(2, 5, 7);
	add(1, 0, 10, 12);
	add(1, 1, 22, 30);
	done(0, 50);
	done(1, 35);
	done(2, 25);
	taken_settle(&req[0]);
}

/*
 * F is over while E's second call is out, so E was taken when its worker's first one had ended, and not only before the
 * second was made: D's first call was out by then.
 */
static void test_soon(void **state)
{
	rest_of_soon();
	assert_false(calls[0][0].taken[TAKEN_BY_CALL]);
	assert_true(calls[0][0].taken[TAKEN_SOON] && calls[0][1].taken[TAKEN_SOON]);
	/* Here it went on with something else until 21: each is tested for itself. */
	tear_down(state);
	set_up(state);
	make(0, 1, 21);
	add(0, 0, 22, 40);
	rest_of_soon();
	assert_int_equal(group.taken[TAKEN_SOON].early, 1);
	assert_int_equal(group.taken[TAKEN_BY_CALL].early, 0);
}

/* Read at nearly the same time, E may have been queued before D. */
static void test_read_together(void **state)
{
	make(1, 1, 6);
	done(1, 25);
	done(0, 50);
	taken_settle(&req[0]);
	assert_false(calls[0][0].taken[TAKEN_BY_CALL] || calls[0][1].taken[TAKEN_BY_CALL]);
	assert_int_equal(group.taken[TAKEN_BY_CALL].n, 0);
}

/* D's reader waited for a processor for that long: E may have been queued before it, and F was not. */
static void test_slow_reader(void **state)
{
	req[0].lag_ns = 2 * MS;
	done(1, 25);
	done(0, 50);
	taken_settle(&req[0]);
	assert_true(calls[0][1].taken[TAKEN_BY_CALL]);
	tear_down(state);
	set_up(state);
	req[0].lag_ns = 3 * MS;
	make(2, 4, 6);
	done(1, 25);
	done(2, 35);
	done(0, 50);
	taken_settle(&req[0]);
	assert_false(calls[0][0].taken[TAKEN_BY_CALL]);
	assert_true(calls[0][1].taken[TAKEN_BY_CALL]);
	tear_down(state);
	set_up(state);
	req[0].lag_ns = 3 * MS;
	done(1, 25);
	done(0, 50);
	taken_settle(&req[0]);
	assert_false(calls[0][0].taken[TAKEN_BY_CALL] || calls[0][1].taken[TAKEN_BY_CALL]);
}

/* D's worker was at something else when D is said to have been taken: this pool keeps another order. */
static void test_another_order(void **state)
{
	struct node known = {.taken = {[TAKEN_BY_CALL] = true}};

	for (int i = 0; i < 200; i++) {
		make(0, 1, 30);
		done(1, 25);
		done(0, 50);
		taken_settle(&req[0]);
	}
	assert_int_equal(group.taken[TAKEN_BY_CALL].early, 200);
	assert_true(taken_wrong(&group, &known) >= 1);
	group.taken[TAKEN_BY_CALL] = (struct taken){.n = 99};
	assert_true(taken_wrong(&group, &known) >= 1);
	group.taken[TAKEN_BY_CALL].n = 1000;
	assert_true(taken_wrong(&group, &known) <= MAX_WRONG);
	assert_true(taken_wrong(&group, &(struct node){}) >= 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_later_one_is_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_over_later, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_passed_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_soon, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_read_together, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_slow_reader, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_another_order, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
