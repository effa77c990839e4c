/* SPDX-License-Identifier: Apache-2.0 */
/* Received spans that come after the kernel's were stored. */
#include "rig.h"

/* As assert_joined(), but all of the kernel's were out. */
static void assert_joined_late(struct rig *r)
{
	struct clew_id128 to = trace_of(100), last;
	struct clew_join_stats st;

	assert_int_equal(r->n_out, 5);
	assert_amended(r, 101, 100, 0);
	assert_amended(r, 102, 100, 101);
	assert_amended(r, 201, 100, 4);
	assert_true(amend_of(r, 201)->link);
	assert_replaced(r, 1, 101);
	assert_replaced(r, 2, 102);
	assert_replaced(r, 5, 201);
	assert_null(amend_of(r, 3));
	assert_null(amend_of(r, 4));
	/* all of it is 100's in the end: the kernel's own trace, and the other SDK's */
	for (size_t i = 0; i < r->n_aliases; i++) {
		last = r->from[i];
		for (size_t k = i; k < r->n_aliases; k++)
			if (clew_id128_eq(&r->from[k], &last))
				last = r->to[k];
		assert_memory_equal(&last, &to, sizeof(to));
	}
	clew_join_stats(r->join, &st);
	assert_int_equal(st.joined, 3);
	assert_int_equal(st.late, 3);
	assert_int_equal(st.held, 0);
}

static void out_at_once(struct rig *r)
{
	feed_kernels(r);
	settle(r);
	assert_int_equal(r->n_out, 5);
	assert_int_equal(r->n_amends, 0);
	r->now += 60 * S;
	clew_join_advance(r->join, r->now);
}

static void test_late(void **state)
{
	struct rig *r = *state;

	out_at_once(r);
	send_first(r);
	send_last(r);
	settle(r);
	assert_joined_late(r);
	/* what comes later still is given to the store as of the right trace */
	feed(r, seen(1, 6, 1, CLEW_KIND_CLIENT, "python", 95, 99, 10, 6379, 0));
	settle(r);
	assert_out(r, 6, 100, 101);
}

/* The one that is further down first: the trace's id changes once more. */
static void test_late_one_by_one(void **state)
{
	struct rig *r = *state;

	out_at_once(r);
	send_last(r);
	settle(r);
	assert_amended(r, 201, 200, 4);
	r->now += 60 * S;
	send_first(r);
	settle(r);
	r->amends[0].to_trace_id = trace_of(100); /* by alias */
	assert_joined_late(r);
}

/* The server's span is the only one that comes late: it ended after a batch was sent. */
static void test_server_late(void **state)
{
	struct rig *r = *state;

	feed_kernels(r);
	send_last(r);
	send_span(r, sdk_client(span(100, 102, 101, CLEW_KIND_CLIENT, "first", 9, 91),
				"http://127.0.0.1:81/b"));
	settle(r);
	assert_out(r, 1, 100, 0);
	assert_amended(r, 102, 100, 1);
	r->now += 60 * S;
	r->n_amends = 0;
	send_span(r, sdk_server(span(100, 101, 0, CLEW_KIND_SERVER, "first", 1, 99), 5000));
	settle(r);
	assert_amended(r, 101, 100, 0);
	assert_replaced(r, 1, 101);
	assert_amended(r, 102, 100, 101);
}

/* The request's own span was not sent yet when its call's was: until then, or for ever, the kernel's is above. */
static void test_parent_is_late(void **state)
{
	struct rig *r = *state;

	feed_kernels(r);
	send_span(r, sdk_client(span(100, 102, 103, CLEW_KIND_CLIENT, "first", 9, 91),
				"http://127.0.0.1:81/b"));
	settle(r);
	assert_amended(r, 102, 100, 1);
	r->now += 60 * S;
	r->n_amends = 0;
	send_span(r, span(100, 103, 101, CLEW_KIND_INTERNAL, "first", 2, 95));
	send_span(r, sdk_server(span(100, 101, 0, CLEW_KIND_SERVER, "first", 1, 99), 5000));
	settle(r);
	assert_amended(r, 101, 100, 0);
	assert_amended(r, 102, 100, 103);
	assert_replaced(r, 1, 101);
}

/* No peer is told: found by the trace that its call's header names. */
static void test_late_above(void **state)
{
	struct rig *r = *state;

	out_at_once(r);
	send_span(r, sdk_client(span(100, 102, 101, CLEW_KIND_CLIENT, "first", 9, 91),
				"http://127.0.0.1:81/b"));
	settle(r);
	assert_replaced(r, 2, 102);
	send_span(r, span(100, 101, 0, CLEW_KIND_SERVER, "first", 1, 99));
	settle(r);
	assert_replaced(r, 1, 101);
}

/* A database's span comes before its request's, and one after. */
static void test_late_holders(void **state)
{
	struct rig *r = *state;
	struct clew_span *s;

	feed(r, seen(1, 1, 0, CLEW_KIND_SERVER, "python", 0, 100, 10, 80, 5000));
	feed(r, seen(1, 2, 1, CLEW_KIND_CLIENT, "python", 10, 20, 10, 6379, 0));
	feed(r, seen(1, 3, 1, CLEW_KIND_CLIENT, "python", 30, 40, 10, 5432, 0));
	feed(r, seen(1, 4, 1, CLEW_KIND_CLIENT, "python", 41, 50, 10, 5432, 0));
	settle(r);
	s = span(100, 102, 101, CLEW_KIND_CLIENT, "first", 9, 21);
	clew_span_set_int(s, "net.peer.port", 6379);
	send_span(r, s);
	settle(r);
	assert_int_equal(r->n_amends, 0);
	send_span(r, sdk_server(span(100, 101, 0, CLEW_KIND_SERVER, "first", 1, 99), 5000));
	settle(r);
	assert_replaced(r, 1, 101);
	assert_replaced(r, 2, 102);
	s = span(100, 103, 101, CLEW_KIND_CLIENT, "first", 29, 51);
	clew_span_set_int(s, "server.port", 5432);
	send_span(r, s);
	settle(r);
	for (uint64_t i = 3; i <= 4; i++) {
		assert_int_equal(amend_of(r, i)->what, CLEW_AMEND_PARENT);
		assert_amended(r, i, 100, 103);
	}
}

/* Nothing waited: nobody had sent anything for a while. It is remembered all the same. */
static void test_late_without_waiting(void **state)
{
	struct rig *r = *state;

	feed(r, seen(2, 9, 0, CLEW_KIND_SERVER, "x", 0, 1, 13, 90, 6000));
	r->now += 100 * S;
	clew_join_advance(r->join, r->now);
	assert_int_equal(r->n_out, 1);
	clew_span_free(r->out[--r->n_out]);
	feed(r, seen(1, 1, 0, CLEW_KIND_SERVER, "python", 0, 100, 10, 80, 5000));
	feed(r, seen(1, 2, 1, CLEW_KIND_CLIENT, "python", 10, 20, 10, 6379, 0));
	assert_int_equal(r->n_out, 2);
	send_span(r, sdk_server(span(100, 101, 0, CLEW_KIND_SERVER, "first", 1, 99), 5000));
	settle(r);
	assert_replaced(r, 1, 101);
	assert_amended(r, 101, 100, 0);
	assert_int_equal(r->n_aliases, 1);
}

/* Minutes later it is forgotten, and that is counted. */
static void test_too_late(void **state)
{
	struct rig *r = *state;
	struct clew_join_stats st;

	out_at_once(r);
	r->now += CLEW_JOIN_REMEMBER_NS;
	clew_join_advance(r->join, r->now);
	clew_join_stats(r->join, &st);
	assert_int_equal(st.remembered, 0);
	send_first(r);
	send_last(r);
	settle(r);
	assert_int_equal(r->n_amends, 0);
	clew_join_stats(r->join, &st);
	assert_int_equal(st.too_late, 3); /* T0 is long ago */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_late, rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(test_late_one_by_one, rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(test_server_late, rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(test_parent_is_late, rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(test_late_above, rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(test_late_holders, rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(test_late_without_waiting, rig_set_up,
						rig_tear_down),
		cmocka_unit_test_setup_teardown(test_too_late, rig_set_up, rig_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
