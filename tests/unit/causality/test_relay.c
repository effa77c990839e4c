/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loops that give work to a pool and are told of its ends, at 10 to 200 requests in flight: at most
 * 0.1 % of the links are wrong, also where workers take and loops answer as they like; pools that work in
 * order are followed. Prints the table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "sim_relay.h"

static const uint32_t loads[] = {10, 50, 200};

struct row {
	struct sim_relay s;
	double right[3]; /* %, at least, in the long run */
	bool refused;	 /* nothing may be linked at 50 and more in flight */
};

static const struct row rows[] = {
	{{"in order, 20 workers", 20, .calls = 2}, {0, 90, 90}, false},
	{{"in order, 64 workers", 64, .calls = 2}, {0, 0, 90}, false},
	{{"0 to 3 calls", 20, .calls_max = 3, .late_us = 20}, {0, 85, 85}, false},
	{{"told late", 20, .calls_max = 3, .late_us = 100, .take_us = 100}, {0, 5, 5}, false},
	{{"told very late", 20, .calls_max = 3, .late_us = 3000}, {0}, false},
	{{"taken late", 20, .calls_max = 3, .take_us = 3000}, {0}, false},
	{{"no thinking", 20, .calls_max = 3, .late_us = 50, .think_us = 50}, {0, 80, 80}, false},
	{{"half is answered by the loop", 20, .calls = 2, .direct_pct = 50}, {0}, false},
	{{"1 % is", 20, .calls = 2, .direct_pct = 1}, {0}, false},
	{{"jobs, 3 %", 20, .calls_max = 2, .late_us = 20, .job_pct = 3}, {0}, false},
	{{"jobs, 30 %", 20, .calls_max = 2, .late_us = 20, .job_pct = 30}, {0}, false},
	{{"silent jobs, 3 %", 20, .calls_max = 2, .late_us = 20, .silent_pct = 3}, {0}, false},
	{{"silent jobs, 30 %", 20, .calls_max = 2, .late_us = 20, .silent_pct = 30}, {0}, false},
	{{"the last comes first", 20, .calls = 2, .taking = TAKE_LAST}, {0}, true},
	{{"any comes first", 20, .calls = 2, .taking = TAKE_ANY}, {0}, true},
	{{"answered in any order", 20, .calls = 2, .any_answer = true, .late_us = 50}, {0}, false},
	{{"nothing in order", 20, .calls = 2, .taking = TAKE_ANY, .any_answer = true}, {0}, true},
};

static int table(uint32_t runs, uint32_t requests, bool long_runs)
{
	int failures = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		printf("%-32s", rows[i].s.name);
		for (size_t k = 0; k < 3; k++) {
			struct sim_result sum = {0}, r;
			double wrong, right;

			for (uint32_t seed = 1; seed <= runs; seed++) {
				sim_relay_run(&rows[i].s, loads[k], requests, seed * 7919 + k + i,
					      &r);
				sim_add(&sum, &r);
			}
			wrong = sim_wrong_pct(&sum);
			right = sim_pct(sum.right, sum.calls);
			printf("  %5.1f/%4.2f%c", right, wrong, wrong > 0.1 ? '!' : ' ');
			failures += wrong > 0.1 || sum.undecided || sum.decided_twice ||
				    (long_runs && right < rows[i].right[k]) ||
				    (rows[i].refused && loads[k] >= 50 && right > 1);
		}
		printf("\n");
	}
	return failures;
}

static void test_relay(void **state)
{
	printf("%-32s  right / wrong %% at 10, 50, 200 in flight\n", "loop and pool");
	assert_int_equal(table(1, 4000, true), 0);
}

static void test_short_runs(void **state)
{
	printf("%-32s  the same, 12 runs of 400 requests each\n", "loop and pool");
	assert_int_equal(table(12, 400, false), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_relay),
		cmocka_unit_test(test_short_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
