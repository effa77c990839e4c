/* SPDX-License-Identifier: Apache-2.0 */
/* What an earlier session stored, and what comes for it after clew was started again. */
#include "rig.h"

/* It has just begun and is told these, as its store has them. They are freed. */
static void recall(struct rig *r, struct clew_span **v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		memset(&v[i]->header_trace_id, 0, sizeof(v[i]->header_trace_id));
		memset(&v[i]->header_span_id, 0, sizeof(v[i]->header_span_id));
		clew_join_recall(r->join, v[i], r->now);
		clew_span_free(v[i]);
	}
	clew_join_recalled(r->join, r->now);
	clew_join_advance(r->join, r->now);
}

/* The session ends; the next one is told all that it handed out. */
static void restart(struct rig *r)
{
	size_t n = r->n_out;

	clew_join_free(r->join);
	assert_int_equal(rig_open(r), 0);
	r->n_out = r->n_amends = r->n_aliases = 0;
	r->now += 100 * S;
	recall(r, r->out, n);
}

/* The wire key that a joined span got. */
static struct clew_span *joined(struct clew_span *s, uint64_t kernels)
{
	s->wire_key = trace_of(1000 + kernels);
	s->pid = 10;
	s->proc_start_ns = 10;
	return s;
}

static void test_all_comes_after(void **state)
{
	struct rig *r = *state;

	feed_kernels(r);
	settle(r);
	assert_int_equal(r->n_out, 5);
	restart(r);
	send_first(r);
	send_last(r);
	settle(r);
	assert_int_equal(r->n_out, 0);
	assert_amended(r, 101, 100, 0);
	assert_amended(r, 102, 100, 101);
	assert_amended(r, 201, 100, 4);
	assert_replaced(r, 1, 101);
	assert_replaced(r, 2, 102);
	assert_replaced(r, 5, 201);
	assert_null(amend_of(r, 3));
	assert_null(amend_of(r, 4));
}

/* The call's header says whose it is, though nothing is known of its request. */
static void test_headers_are_kept(void **state)
{
	struct rig *r = *state;
	const struct clew_attr *kept;

	feed_kernels(r);
	settle(r);
	kept = clew_span_attr(out_of(r, 2), SLICE("clew.trace_header"));
	assert_non_null(kept);
	assert_int_equal(kept->str.n, 49);
	restart(r);
	send_span(r, sdk_client(span(100, 102, 101, CLEW_KIND_CLIENT, "first", 9, 91),
				"http://127.0.0.1:81/b"));
	settle(r);
	assert_replaced(r, 2, 102);
	assert_null(amend_of(r, 1));
}

/* A proxy's call carries the header that its request came with, which is its parent by then: it is no span of the
 * SDK's. */
static void test_forwarded_headers(void **state)
{
	struct rig *r = *state;

	feed(r,
	     with_header(seen(1, 2, 0, CLEW_KIND_CLIENT, "python", 10, 90, 10, 81, 0), 100, 102));
	feed(r,
	     with_header(seen(1, 3, 2, CLEW_KIND_SERVER, "nginx", 11, 89, 11, 82, 5001), 100, 102));
	feed(r, with_header(seen(1, 4, 3, CLEW_KIND_CLIENT, "nginx", 20, 80, 11, 83, 0), 100, 102));
	send_span(r, sdk_client(span(100, 102, 101, CLEW_KIND_CLIENT, "first", 9, 91),
				"http://127.0.0.1:81/b"));
	settle(r);
	assert_out(r, 3, 100, 102);
	assert_null(clew_span_attr(out_of(r, 3), SLICE("clew.trace_header")));
	assert_non_null(clew_span_attr(out_of(r, 4), SLICE("clew.trace_header")));
	restart(r);
	/* sent again, as nobody had answered; its port is not said */
	send_span(r, span(100, 102, 101, CLEW_KIND_CLIENT, "first", 9, 91));
	settle(r);
	assert_int_equal(r->n_amends, 0);
}

/* Both were stored, and the session that had them did not come to join them. */
static void test_both_were_there(void **state)
{
	struct rig *r = *state;
	struct clew_span *v[] = {
		sdk_server(span(100, 101, 0, CLEW_KIND_SERVER, "first", 1, 99), 5000),
		seen(1, 1, 0, CLEW_KIND_SERVER, "python", 0, 100, 10, 80, 5000),
	};

	recall(r, v, 2);
	assert_amended(r, 101, 100, 0);
	assert_replaced(r, 1, 101);
}

/* What was joined stays; what comes for the rest finds its place among it, in the trace that it has. */
static void test_part_was_joined(void **state)
{
	struct rig *r = *state;
	struct clew_span *v[] = {
		seen(100, 5, 4, CLEW_KIND_SERVER, "node", 21, 79, 12, 82, 5002),
		seen(100, 4, 3, CLEW_KIND_CLIENT, "b", 20, 80, 11, 82, 0),
		seen(100, 3, 102, CLEW_KIND_SERVER, "b", 11, 89, 11, 81, 5001),
		joined(span(100, 102, 101, CLEW_KIND_CLIENT, "first", 9, 91), 2),
		joined(sdk_server(span(100, 101, 0, CLEW_KIND_SERVER, "first", 1, 99), 5000), 1),
	};
	struct clew_id128 from = trace_of(200), to = trace_of(100);

	recall(r, v, 5);
	assert_int_equal(r->n_amends, 0);
	send_last(r);
	settle(r);
	assert_amended(r, 201, 100, 4);
	assert_replaced(r, 5, 201);
	assert_int_equal(r->n_amends, 2);
	assert_int_equal(r->n_aliases, 1);
	assert_memory_equal(&r->from[0], &from, sizeof(from));
	assert_memory_equal(&r->to[0], &to, sizeof(to));
}

/* A trace that was found to be another's still is, and what headers name by its id is found. */
static void test_aliases(void **state)
{
	struct rig *r = *state;
	struct clew_id128 from = trace_of(200), to = trace_of(100);
	struct clew_span *late = span(200, 209, 201, CLEW_KIND_INTERNAL, "last", 30, 40);
	struct clew_span *v[] = {
		span(100, 202, 201, CLEW_KIND_CLIENT, "last", 29, 41),
		seen(100, 6, 0, CLEW_KIND_CLIENT, "node", 30, 40, 12, 83, 0),
	};
	char header[50];

	clew_join_recall_alias(r->join, &from, &to);
	clew_join_recall_alias(r->join, &to, &from); /* a circle: it is not believed */
	clew_hex(from.b, sizeof(from.b), header);
	memcpy(header + 32, "-00000000000000ca", 18);
	clew_span_set_str(v[1], "clew.trace_header", slice_str(header));
	recall(r, v, 2);
	assert_replaced(r, 6, 202);
	clew_join_received(r->join, &late, 1, r->now);
	assert_memory_equal(&late->trace_id, &to, sizeof(to));
	clew_span_free(late);
	assert_int_equal(r->n_aliases, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_comes_after, rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(test_headers_are_kept, rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(test_forwarded_headers, rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(test_both_were_there, rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(test_part_was_joined, rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(test_aliases, rig_set_up, rig_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
