/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is reported of a service.
 */
#include "rig.h"

static struct clew_service_report gone;

static void on_gone(void *user, const struct clew_service_report *r)
{
	gone = *r;
}

static void on_report(void *user, const struct clew_service_report *r)
{
	struct clew_service_report *out = user;

	*out = *r;
}

static void test_report(void **state)
{
	struct fab_thread loop = python(0), t = python(1);
	struct clew_service_report r = {0};
	struct fab_exchange a, x;

	start(&(struct clew_causality_opts){.gone = on_gone});
	request(&a, 1, &loop);
	call(&x, 2, &t);
	response(&x, &loop);
	answer(&a, &t);
	clew_causality_advance(c, now + 3 * SEC);
	clew_causality_report(c, on_report, &r);
	stop();
	assert_int_equal(r.tgid, 10);
	assert_string_equal(r.model, "each request has a task");
	assert_int_equal(r.hits, 1);
	assert_int_equal(r.misses, 0);
	assert_int_equal(r.certain, 1);
	assert_int_equal(r.settled[__builtin_ctz(CLEW_EV_TASK)], 1);
	assert_int_equal(r.settled[__builtin_ctz(CLEW_EV_THREAD)], 0);
}

/* Workers come and go: a service is named by the one that called last. */
static void test_report_last(void **state)
{
	struct fab_thread first = thread(10, 10), last = thread(10, 20);
	struct clew_service_report r = {0};
	struct fab_exchange a, x;

	last.tgid = 20;
	last.start_ns = 77;
	start(&(struct clew_causality_opts){.gone = on_gone});
	request(&a, 1, &first);
	call(&x, 2, &first);
	response(&x, &first);
	answer(&a, &first);
	fab_thread_event(c, CLEW_THREAD_FORK, &last, 10, 10, tick());
	request(&a, 3, &last);
	call(&x, 4, &last);
	response(&x, &last);
	answer(&a, &last);
	clew_causality_advance(c, now + 3 * SEC);
	clew_causality_report(c, on_report, &r);
	assert_int_equal(r.certain + r.probable, 2);
	assert_int_equal(r.tgid, 20);
	assert_int_equal(r.proc_start_ns, 77);
	stop();
}

/* Orphans by what stood in the way; and the last word when the process is gone. */
static void test_report_orphans(void **state)
{
	struct fab_thread loop = thread(10, 1), other = thread(10, 2);
	struct clew_service_report r = {0};
	struct fab_exchange a, b, x;

	start(&(struct clew_causality_opts){.gone = on_gone});
	request(&a, 1, &loop);
	request(&b, 2, &loop);
	call(&x, 3, &other);
	response(&x, &other);
	answer(&a, &loop);
	answer(&b, &loop);
	clew_causality_advance(c, now + 3 * SEC);
	clew_causality_report(c, on_report, &r);
	assert_int_equal(r.orphans, 1);
	assert_int_equal(r.orphaned[CLEW_ORPHAN_UNNAMED], 1);
	for (int i = 0; i < CLEW_EV_N_FOR; i++)
		assert_int_equal(r.settled[i], 0);
	gone = (struct clew_service_report){0};
	stop();
	assert_int_equal(gone.orphans, 1);
	assert_int_equal(gone.orphaned[CLEW_ORPHAN_UNNAMED], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_report_last),
		cmocka_unit_test(test_report_orphans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
