/* SPDX-License-Identifier: Apache-2.0 */
/* Joins: spans made by hand, in every order; what one trace becomes. */
#include "rig.h"

static void assert_joined(struct rig *r)
{
	struct clew_id128 from = trace_of(200), to = trace_of(100);
	struct clew_join_stats st;

	assert_int_equal(r->n_out, 2);
	assert_out(r, 3, 100, 102);
	assert_out(r, 4, 100, 3);
	assert_int_equal(r->n_amends, 3);
	assert_amended(r, 101, 100, 0);
	assert_amended(r, 102, 100, 101);
	assert_amended(r, 201, 100, 4);
	assert_true(amend_of(r, 201)->link);
	/* the kernel was not sure, and the SDK says the same */
	assert_true(amend_of(r, 102)->link);
	assert_int_equal(amend_of(r, 102)->facts.link_class, CLEW_LINK_CERTAIN);
	assert_int_equal(r->n_aliases, 1);
	assert_memory_equal(&r->from[0], &from, sizeof(from));
	assert_memory_equal(&r->to[0], &to, sizeof(to));
	clew_join_stats(r->join, &st);
	assert_int_equal(st.joined, 3);
	assert_int_equal(st.held, 0);
}

static void test_kernel_first(void **state)
{
	struct rig *r = *state;

	feed_kernels(r);
	send_first(r);
	send_last(r);
	assert_int_equal(r->n_out, 0);
	settle(r);
	assert_joined(r);
}

static void test_sdks_first(void **state)
{
	struct rig *r = *state;

	send_last(r);
	send_first(r);
	feed_kernels(r);
	settle(r);
	assert_joined(r);
}

static void test_sent_twice(void **state)
{
	struct rig *r = *state;

	send_last(r);
	send_last(r);
	send_first(r);
	feed_kernels(r);
	send_first(r);
	settle(r);
	assert_joined(r);
}

/* What comes of the second trace once it is known as the first's is given to the store as that. */
static void test_later_spans(void **state)
{
	struct rig *r = *state;
	struct clew_span *late = span(200, 209, 201, CLEW_KIND_INTERNAL, "last", 30, 40);
	struct clew_id128 want = trace_of(100);

	feed_kernels(r);
	send_first(r);
	send_last(r);
	settle(r);
	clew_join_received(r->join, &late, 1, r->now);
	assert_memory_equal(&late->trace_id, &want, sizeof(want));
	clew_span_free(late);
	/* a span of the kernel that comes late hangs from what its parent is now */
	feed(r, seen(1, 6, 1, CLEW_KIND_CLIENT, "python", 95, 99, 10, 6379, 0));
	settle(r);
	assert_out(r, 6, 100, 101);
}

/* A process whose SDK is known has its SDK's name. */
static void test_names(void **state)
{
	struct rig *r = *state;

	feed_kernels(r);
	feed(r, seen(1, 7, 1, CLEW_KIND_CLIENT, "python", 95, 99, 10, 6379, 0));
	send_first(r);
	send_last(r);
	settle(r);
	assert_true(slice_eq(out_of(r, 7)->resource->service, SLICE("first")));
	assert_true(slice_eq(out_of(r, 4)->resource->service, SLICE("b")));
}

/* A proxy sends the header on: its call is no span of the SDK's. */
static void test_forwarded(void **state)
{
	struct rig *r = *state;

	feed(r, seen(1, 1, 0, CLEW_KIND_SERVER, "python", 0, 100, 10, 80, 5000));
	feed(r,
	     with_header(seen(1, 2, 1, CLEW_KIND_CLIENT, "python", 10, 90, 10, 81, 0), 100, 102));
	feed(r,
	     with_header(seen(1, 3, 2, CLEW_KIND_SERVER, "nginx", 11, 89, 11, 81, 5001), 100, 102));
	feed(r, with_header(seen(1, 4, 3, CLEW_KIND_CLIENT, "nginx", 20, 80, 11, 82, 0), 100, 102));
	feed(r,
	     with_header(seen(1, 5, 4, CLEW_KIND_SERVER, "node", 21, 79, 12, 82, 5002), 100, 102));
	send_first(r);
	/* its SDK believes that it was called by 102 */
	send_span(r, sdk_server(span(100, 201, 102, CLEW_KIND_SERVER, "last", 22, 78), 5002));
	settle(r);
	assert_out(r, 3, 100, 102);
	assert_out(r, 4, 100, 3);
	assert_amended(r, 201, 100, 4);
	assert_int_equal(r->n_out, 2);
	assert_int_equal(r->n_aliases, 0);
}

/* The same, and the proxy's incoming request is in another trace: another port than the SDK called. */
static void test_forwarded_from_elsewhere(void **state)
{
	struct rig *r = *state;

	feed(r, with_header(seen(1, 4, 0, CLEW_KIND_CLIENT, "nginx", 20, 80, 11, 82, 0), 100, 102));
	send_first(r);
	settle(r);
	assert_non_null(out_of(r, 4));
	assert_int_equal(r->n_amends, 0);
}

/* An orphan call that the SDK knows; the kernel's candidate is a span that was left out. */
static void test_orphans(void **state)
{
	struct rig *r = *state;
	struct clew_id128 trace = trace_of(1), want = trace_of(100);
	struct clew_id64 id = clew_id64_from(1), want_id = clew_id64_from(101);
	struct clew_span *s;

	s = seen(2, 9, 0, CLEW_KIND_CLIENT, "python", 92, 94, 10, 6379, 0);
	s->link_class = CLEW_LINK_ORPHAN;
	clew_span_add_link(s, &trace, &id, 0.5f);
	feed(r, s);
	feed(r, seen(1, 1, 0, CLEW_KIND_SERVER, "python", 0, 100, 10, 80, 5000));
	s = with_header(seen(3, 2, 0, CLEW_KIND_CLIENT, "python", 10, 90, 10, 81, 0), 100, 102);
	s->link_class = CLEW_LINK_ORPHAN;
	feed(r, s);
	feed(r, with_header(seen(3, 3, 2, CLEW_KIND_SERVER, "b", 11, 89, 11, 81, 5001), 100, 102));
	send_first(r);
	settle(r);
	assert_amended(r, 102, 100, 101);
	assert_out(r, 3, 100, 102);
	assert_memory_equal(&out_of(r, 9)->links[0].trace_id, &want, sizeof(want));
	assert_memory_equal(&out_of(r, 9)->links[0].span_id, &want_id, sizeof(want_id));
}

/* A stream: what it called went on long before it ended, and hangs from the SDK's span afterwards. */
static void test_parent_comes_late(void **state)
{
	struct rig *r = *state;

	feed(r, seen(1, 2, 1, CLEW_KIND_CLIENT, "python", 10, 20, 10, 6379, 0));
	settle(r);
	assert_out(r, 2, 1, 1);
	feed(r, seen(1, 1, 0, CLEW_KIND_SERVER, "python", 0, 9000, 10, 80, 5000));
	feed(r, seen(1, 3, 1, CLEW_KIND_CLIENT, "python", 8000, 8500, 10, 6379, 0));
	send_span(r, sdk_server(span(100, 101, 0, CLEW_KIND_SERVER, "first", 1, 8999), 5000));
	settle(r);
	assert_null(out_of(r, 1));
	assert_amended(r, 101, 100, 0);
	assert_non_null(amend_of(r, 1));
	assert_int_equal(amend_of(r, 1)->what, CLEW_AMEND_REPLACED);
	assert_true(amend_of(r, 1)->children_only); /* only what hangs from it is */
	assert_out(r, 3, 100, 101);
	assert_int_equal(r->n_aliases, 1); /* what is stored of this trace is the SDK's */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kernel_first, rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(test_sdks_first, rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(test_sent_twice, rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(test_later_spans, rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(test_names, rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(test_forwarded, rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(test_forwarded_from_elsewhere, rig_set_up,
						rig_tear_down),
		cmocka_unit_test_setup_teardown(test_orphans, rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(test_parent_comes_late, rig_set_up, rig_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
