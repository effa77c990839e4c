/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulated pools of threads at 1 to 200 requests in flight: at most 0.1 % of the links are wrong,
 * everywhere, also where workers do what nobody waits for; and pools that are as they should be are
 * followed. Prints the table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sim_pool.h"

static const uint32_t loads[] = {1, 2, 10, 50, 200};

struct row {
	struct sim_pool s;
	double min_right; /* %, at 10 and more in flight */
};

static const struct row rows[] = {
	{{"pool of 16, 2 calls", 16, .calls = 2}, 97},
	{{"pool of 4, 1 call", 4, .calls = 1}, 70},
	{{"pool of 64, 3 calls", 64, .calls = 3}, 97},
	{{"interpreter lock", 16, .calls = 2, .lock_pct = 60}, 95},
	{{"private locks, 1 %", 16, .calls = 2, .private_pct = 1}, 80},
	{{"private locks, 20 %", 16, .calls = 2, .private_pct = 20}, 0},
	{{"0 to 3 calls", 16, .calls_max = 3}, 60},
	{{"0 to 3 calls, interpreter lock", 8, .calls_max = 3, .lock_pct = 50}, 60},
	{{"1 % end unseen", 16, .calls = 2, .unseen_pct = 1}, 40},
	{{"30 % end unseen", 16, .calls = 2, .unseen_pct = 30}, 0},
	{{"jobs, 30 %", 16, .calls = 2, .job_pct = 30}, 50},
	{{"jobs, 5 %, 0 to 3 calls", 16, .calls_max = 3, .job_pct = 5}, 60},
	{{"10 % of calls again", 16, .calls = 1, .retry_pct = 10}, 60},
	{{"locks in the middle of tasks", 16, .calls = 1, .waits_pct = 3, .late_us = 300}, 95},
	{{"the same, two hand-overs", 16, .calls = 1, .sequence = 2, .waits_pct = 3,
	  .late_us = 300},
	 90},
	{{"the same, some without a call", 16, .calls = 1, .waits_pct = 2, .empty_pct = 3,
	  .job_pct = 20},
	 0},
	{{"jobs, some tasks without a call", 16, .calls = 1, .empty_pct = 5, .job_pct = 30}, 0},
	{{"jobs and ends unseen, as well", 16, .calls = 1, .empty_pct = 5, .job_pct = 30,
	  .unseen_pct = 10},
	 0},
	{{"locks that are passed on", 16, .calls = 1, .passed_pct = 3, .job_pct = 5}, 50},
	{{"the same, two hand-overs", 16, .calls = 1, .sequence = 2, .passed_pct = 1,
	  .unseen_pct = 20},
	 0},
	{{"10 % again, two hand-overs", 16, .calls = 1, .sequence = 2, .retry_pct = 10}, 80},
	{{"10 % again, jobs, 1 call", 16, .calls = 1, .job_pct = 10, .retry_pct = 10}, 80},
	{{"10 % given up", 16, .calls = 1, .give_up_pct = 10}, 0},
	{{"10 % given up, the next at once", 16, .calls = 1, .give_up_pct = 10, .rush_us = 500}, 0},
	{{"the same, within 3 ms", 16, .calls = 1, .give_up_pct = 10, .rush_us = 3000}, 0},
	{{"10 % given up, 10 % again", 16, .calls = 1, .give_up_pct = 10, .retry_pct = 10}, 0},
	{{"10 % again, jobs, 0 to 2 calls", 16, .calls_max = 2, .job_pct = 5, .retry_pct = 10}, 0},
	{{"others' tasks", 16, .calls = 2, .other_us = 50000}, 40},
	{{"others' tasks, 1 call", 16, .calls = 1, .other_us = 50000}, 0},
	{{"others' tasks, locks", 16, .calls_max = 2, .other_us = 30000, .lock_pct = 30}, 0},
	{{"fan-out of 2", 16, .calls = 1, .tasks = 2}, 0},
	{{"fan-out of 3, locks", 16, .calls = 2, .tasks = 3, .lock_pct = 30, .private_pct = 2}, 0},
	{{"two hand-overs", 16, .calls = 1, .sequence = 2}, 97},
	{{"two hand-overs, 0 to 2 calls", 16, .calls_max = 2, .sequence = 2, .private_pct = 2}, 0},
	{{"batches, 20 %", 16, .calls = 1, .batch_pct = 20}, 0},
	{{"half is answered at once", 16, .calls = 2, .direct_pct = 50}, 40},
	{{"the same, private locks", 16, .calls = 2, .direct_pct = 50, .private_pct = 3}, 0},
	{{"the worker answers", 16, .calls = 2, .last_answers = true}, 97},
	{{"the worker answers, jobs", 16, .calls = 2, .last_answers = true, .job_pct = 20}, 60},
	{{"the last worker answers", 16, .calls = 1, .tasks = 2, .last_answers = true}, 0},
};

static int table(uint32_t runs, uint32_t requests, bool long_runs)
{
	int failures = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		printf("%-32s", rows[i].s.name);
		for (size_t k = 0; k < 5; k++) {
			struct sim_result sum = {0}, r;
			double wrong;

			for (uint32_t seed = 1; seed <= runs; seed++) {
				sim_pool_run(&rows[i].s, loads[k], requests, seed * 7919 + k + i,
					     &r);
				sim_add(&sum, &r);
			}
			wrong = sim_wrong_pct(&sum);
			printf("  %5.1f/%5.1f/%4.2f%c", sim_pct(sum.right, sum.calls),
			       sim_pct(sum.calls - sum.right - sum.wrong, sum.calls), wrong,
			       wrong > 0.1 ? '!' : ' ');
			failures += wrong > 0.1 || sum.undecided || sum.decided_twice ||
				    (long_runs && loads[k] >= 10 &&
				     sim_pct(sum.right, sum.calls) < rows[i].min_right);
		}
		printf("\n");
	}
	return failures;
}

static void test_pools(void **state)
{
	printf("%-32s  right / orphan+root / wrong %% at 1, 2, 10, 50, 200 in flight\n", "pool");
	assert_int_equal(table(1, 4000, true), 0);
}

static void test_short_runs(void **state)
{
	printf("%-32s  the same, 25 runs of 150 requests each\n", "pool");
	assert_int_equal(table(25, 150, false), 0);
}

static uint64_t dice_state = 88172645463325252ull;

static uint32_t dice(uint32_t n)
{
	return sim_dice(&dice_state, n);
}

static uint32_t some(uint32_t n)
{
	return dice(3) ? 0 : 1 + dice(n);
}

static void test_random_pools(void **state)
{
	static const uint32_t in_flight[] = {1, 2, 3, 5, 10, 30, 100, 200};
	struct sim_result sum = {0};
	uint64_t worst = 0;

	for (uint32_t i = 0; i < 120; i++) {
		struct sim_pool s = {.name = "random", .workers = 1 + dice(40)};
		struct sim_result r;

		s.tasks = dice(3) ? 1 : 1 + dice(3);
		s.sequence = dice(3) ? 1 : 1 + dice(3);
		s.calls = dice(2) ? 1 + dice(4) : 0;
		s.calls_max = 1 + dice(5);
		s.job_pct = some(60);
		s.other_us = some(40) * 100000 / s.workers; /* never more than it can do */
		s.unseen_pct = some(30);
		s.lock_pct = some(80);
		s.private_pct = some(20);
		s.batch_pct = some(20);
		s.direct_pct = some(80);
		s.last_answers = !dice(5);
		s.retry_pct = some(20);
		s.give_up_pct = s.tasks == 1 && s.sequence == 1 ? some(10) : 0;
		s.rush_us = some(5000);
		s.empty_pct = some(20);
		s.waits_pct = some(10);
		s.passed_pct = some(10);
		s.late_us = some(2000);
		sim_pool_run(&s, in_flight[i % 8], 1000, i + 1, &r);
		sim_add(&sum, &r);
		if (r.wrong + r.background_linked > worst)
			worst = r.wrong + r.background_linked;
		if (getenv("CLEW_TEST_WORST") && r.wrong + r.background_linked)
			printf("%u: in flight %u, workers %u tasks %u seq %u calls %u/%u job %u "
			       "other %u unseen %u lock %u private %u batch %u direct %u last %d: "
			       "%llu + %llu wrong of %llu, %llu right\n",
			       i, in_flight[i % 8], s.workers, s.tasks, s.sequence, s.calls,
			       s.calls_max, s.job_pct, s.other_us, s.unseen_pct, s.lock_pct,
			       s.private_pct, s.batch_pct, s.direct_pct, s.last_answers,
			       (unsigned long long)r.wrong, (unsigned long long)r.background_linked,
			       (unsigned long long)r.calls, (unsigned long long)r.right);
		assert_int_equal(r.undecided + r.decided_twice, 0);
	}
	printf("120 random pools: %.1f %% right, %.3f %% wrong, %llu at most in one\n",
	       sim_pct(sum.right, sum.calls), sim_wrong_pct(&sum), (unsigned long long)worst);
	assert_true(sum.calls > 50000);
	assert_true(sim_wrong_pct(&sum) <= 0.05);
}

static void test_deterministic(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i += 3) {
		struct sim_result a, b;

		sim_pool_run(&rows[i].s, 20, 500, 7, &a);
		sim_pool_run(&rows[i].s, 20, 500, 7, &b);
		assert_true(a.order == b.order);
		assert_true(a.calls > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pools),
		cmocka_unit_test(test_short_runs),
		cmocka_unit_test(test_random_pools),
		cmocka_unit_test(test_deterministic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
