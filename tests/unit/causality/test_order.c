/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the order in which a pool takes its work says of a call: D is read first, and makes a call from 10 to 20 ms; E is
 * read after it, and is taken while D's call goes on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "causality/context.h"
#include "causality/model.h"
#include "causality/node.h"
#include "causality/order.h"

#define US 1000ull
#define MS (1000 * US)

static struct group group;
static struct proc proc;
static struct node req[2], call;
static uint64_t lag_ns; /* of D's reader */

static void read_at(uint32_t i, uint64_t born_ns, uint32_t tid, uint64_t taken_ns)
{
	struct mark m = {.ns = taken_ns};

	req[i] = (struct node){.proc = &proc, .place = i + 1, .born_ns = born_ns, .read_tid = tid};
	req[i].lag_ns = i ? 0 : lag_ns;
	proc.n_read = i + 1;
	order_taken(&req[i], &m, 50 * MS);
}

/* How much speaks for D's call to be D's. */
static uint8_t score(uint64_t later_ns, uint32_t tid)
{
	uint8_t s;

	group = (struct group){0};
	proc = (struct proc){.group = &group};
	read_at(0, 1 * MS, 7, 5 * MS);
	read_at(1, 1 * MS + later_ns, tid, 12 * MS);
	call = (struct node){.is_call = true, .claim = CLAIM_DONE, .resp_seen = true};
	call.born_ns = 10 * MS;
	call.ended_ns = 20 * MS;
	DL_APPEND2(req[0].calls, &call, sib_prev, sib_next);
	order_settle(&req[0]);
	s = call.score;
	free(proc.takes);
	return s;
}

static void test_later(void **state)
{
	assert_int_equal(score(3 * MS, 7), 1);
	assert_int_equal(score(3 * MS, 8), 1);
}

/* Another thread's may have been queued first: D's reader can lose its processor before it hands D on. */
static void test_read_together(void **state)
{
	assert_int_equal(score(200 * US, 8), 0);
	assert_int_equal(score(200 * US, 7), 1);
	assert_int_equal(score(200 * US, 0), 0);
}

/* D's reader waited for a processor, and may have queued D only then. */
static void test_slow_reader(void **state)
{
	lag_ns = 4 * MS;
	assert_int_equal(score(3 * MS, 8), 0);
	assert_int_equal(score(3 * MS, 7), 1);
	assert_int_equal(score(5 * MS, 8), 1);
	lag_ns = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_later),
		cmocka_unit_test(test_read_together),
		cmocka_unit_test(test_slow_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
