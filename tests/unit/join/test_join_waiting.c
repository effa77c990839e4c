/* SPDX-License-Identifier: Apache-2.0 */
/* Who waits, and who is nobody's business. */
#include "rig.h"

/* Calls to where we take OTLP are nobody's business. */
static void test_own_calls(void **state)
{
	struct rig *r = *state;
	struct clew_join_stats st;

	clew_join_own_ports(r->join, 4318, 4317);
	feed(r, seen(1, 1, 0, CLEW_KIND_CLIENT, "python", 0, 5, 10, 4318, 0));
	feed(r, seen(2, 2, 0, CLEW_KIND_CLIENT, "python", 0, 5, 10, 4319, 0));
	settle(r);
	clew_join_stats(r->join, &st);
	assert_int_equal(st.own, 1);
	assert_int_equal(r->n_out, 1);
}

/* Without a sign of an SDK nothing waits; with one it does. */
static void test_waiting(void **state)
{
	struct rig *r = *state;

	feed(r, seen(1, 1, 0, CLEW_KIND_SERVER, "b", 0, 5, 11, 80, 5000));
	assert_int_equal(r->n_out, 0); /* the tracing has just begun */
	r->now += 100 * S;
	clew_join_advance(r->join, r->now);
	assert_int_equal(r->n_out, 1);
	feed(r, seen(2, 2, 0, CLEW_KIND_SERVER, "b", 0, 5, 11, 80, 5000));
	assert_int_equal(r->n_out, 2);
	send_last(r);
	feed(r, seen(3, 3, 0, CLEW_KIND_SERVER, "b", 0, 5, 11, 80, 5000));
	assert_int_equal(r->n_out, 2);
	clew_join_flush(r->join);
	assert_int_equal(r->n_out, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_own_calls, rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(test_waiting, rig_set_up, rig_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
