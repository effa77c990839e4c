/* SPDX-License-Identifier: Apache-2.0 */
/* Which span of the kernel and which received one are the same, and which must not be. */
#include "rig.h"

/* The SDK of the server tells no peer: the call that it made does. */
static void test_server_above_its_call(void **state)
{
	struct rig *r = *state;

	feed_kernels(r);
	send_span(r, sdk_client(span(100, 102, 103, CLEW_KIND_CLIENT, "first", 9, 91),
				"http://127.0.0.1:81/b"));
	send_span(r, span(100, 103, 101, CLEW_KIND_INTERNAL, "first", 5, 95));
	send_span(r, span(100, 101, 0, CLEW_KIND_SERVER, "first", 1, 99));
	settle(r);
	assert_amended(r, 101, 100, 0);
	assert_amended(r, 102, 100, 103);
	assert_null(out_of(r, 1));
	assert_out(r, 5, 100, 4);
}

/* clew ended within the request: nothing is known of its end. The call that it made before says whose it is. */
static void test_server_that_is_cut(void **state)
{
	struct rig *r = *state;
	struct clew_span *s = seen(1, 1, 0, CLEW_KIND_SERVER, "python", 0, 0, 10, 80, 5000);

	s->incomplete = CLEW_INC_NO_RESPONSE;
	feed(r, s);
	feed(r,
	     with_header(seen(1, 2, 1, CLEW_KIND_CLIENT, "python", 30, 90, 10, 81, 0), 100, 102));
	send_span(r, sdk_client(span(100, 102, 101, CLEW_KIND_CLIENT, "first", 29, 91),
				"http://127.0.0.1:81/b"));
	send_span(r, sdk_server(span(100, 101, 0, CLEW_KIND_SERVER, "first", 20, 199), 5000));
	settle(r);
	assert_int_equal(r->n_out, 0);
	assert_amended(r, 101, 100, 0);
	assert_amended(r, 102, 100, 101);
}

/* gRPC is not parsed: its bytes are no span of the SDK's, but hang from the one that they went on within. */
static void test_grpc(void **state)
{
	struct rig *r = *state;
	struct clew_span *s;

	feed(r, seen(1, 1, 0, CLEW_KIND_SERVER, "python", 0, 100, 10, 80, 5000));
	feed(r, seen(1, 2, 1, CLEW_KIND_CLIENT, "python", 10, 90, 10, 81, 0));
	feed(r, seen(1, 3, 2, CLEW_KIND_SERVER, "go", 11, 89, 11, 81, 5001));
	send_span(r, sdk_server(span(100, 101, 0, CLEW_KIND_SERVER, "first", 1, 99), 5000));
	s = span(100, 102, 101, CLEW_KIND_CLIENT, "first", 9, 91);
	clew_span_set_str(s, "rpc.system", SLICE("grpc"));
	send_span(r, s);
	s = sdk_server(span(100, 201, 102, CLEW_KIND_SERVER, "shop", 12, 88), 5001);
	clew_span_set_str(s, "rpc.system", SLICE("grpc"));
	send_span(r, s);
	settle(r);
	assert_amended(r, 101, 100, 0);
	assert_int_equal(r->n_amends, 1);
	assert_out(r, 2, 100, 102);
	assert_out(r, 3, 100, 2);
	/* whose connection it is is known all the same */
	assert_true(slice_eq(out_of(r, 3)->resource->service, SLICE("shop")));
}

/* Tried again within one span of the SDK: the first is the span, the second hangs from it. */
static void test_retries(void **state)
{
	struct rig *r = *state;

	feed(r, seen(1, 1, 0, CLEW_KIND_SERVER, "python", 0, 100, 10, 80, 5000));
	feed(r,
	     with_header(seen(1, 2, 1, CLEW_KIND_CLIENT, "python", 10, 40, 10, 81, 0), 100, 102));
	feed(r,
	     with_header(seen(1, 3, 1, CLEW_KIND_CLIENT, "python", 50, 90, 10, 81, 0), 100, 102));
	feed(r, with_header(seen(1, 4, 3, CLEW_KIND_SERVER, "b", 51, 89, 11, 81, 5001), 100, 102));
	send_first(r);
	settle(r);
	assert_null(out_of(r, 2));
	assert_out(r, 3, 100, 102);
	assert_out(r, 4, 100, 3);
}

/* A database: one round trip is the SDK's span, several hang from it. */
static void test_databases(void **state)
{
	struct rig *r = *state;
	struct clew_span *s;

	feed(r, seen(1, 1, 0, CLEW_KIND_SERVER, "python", 0, 100, 10, 80, 5000));
	feed(r, seen(1, 2, 1, CLEW_KIND_CLIENT, "python", 10, 20, 10, 6379, 0));
	feed(r, seen(1, 3, 1, CLEW_KIND_CLIENT, "python", 30, 40, 10, 5432, 0));
	feed(r, seen(1, 4, 1, CLEW_KIND_CLIENT, "python", 41, 50, 10, 5432, 0));
	feed(r, seen(1, 5, 1, CLEW_KIND_CLIENT, "python", 60, 70, 10, 9999, 0));
	send_span(r, sdk_server(span(100, 101, 0, CLEW_KIND_SERVER, "first", 1, 99), 5000));
	s = span(100, 102, 101, CLEW_KIND_CLIENT, "first", 9, 21);
	clew_span_set_int(s, "net.peer.port", 6379);
	send_span(r, s);
	s = span(100, 103, 101, CLEW_KIND_CLIENT, "first", 29, 51);
	clew_span_set_int(s, "server.port", 5432);
	send_span(r, s);
	settle(r);
	assert_amended(r, 102, 100, 101);
	assert_null(out_of(r, 2));
	assert_out(r, 3, 100, 103);
	assert_out(r, 4, 100, 103);
	assert_out(r, 5, 100, 101);
}

/* The trace goes on in another service, which asks the same database: its span is not this call. */
static void test_holder_of_another_service(void **state)
{
	struct rig *r = *state;
	struct clew_span *s;

	feed(r, seen(1, 1, 0, CLEW_KIND_SERVER, "python", 0, 100, 10, 80, 5000));
	feed(r, seen(1, 2, 1, CLEW_KIND_CLIENT, "python", 40, 50, 10, 5432, 0));
	send_span(r, sdk_server(span(100, 101, 0, CLEW_KIND_SERVER, "first", 1, 99), 5000));
	s = span(100, 202, 201, CLEW_KIND_CLIENT, "other", 30, 60);
	clew_span_set_int(s, "server.port", 5432);
	send_span(r, s);
	settle(r);
	assert_out(r, 2, 100, 101);
	assert_null(amend_of(r, 202));
}

/* Two calls at once to one port: nobody knows which is which, both stay. */
static void test_ambiguous_holders(void **state)
{
	struct rig *r = *state;
	struct clew_span *s;

	feed(r, seen(1, 1, 0, CLEW_KIND_SERVER, "python", 0, 100, 10, 80, 5000));
	feed(r, seen(1, 2, 1, CLEW_KIND_CLIENT, "python", 10, 20, 10, 6379, 0));
	feed(r, seen(1, 3, 1, CLEW_KIND_CLIENT, "python", 11, 19, 10, 6379, 0));
	send_span(r, sdk_server(span(100, 101, 0, CLEW_KIND_SERVER, "first", 1, 99), 5000));
	for (uint64_t i = 0; i < 2; i++) {
		s = span(100, 102 + i, 101, CLEW_KIND_CLIENT, "first", 8 + i, 25);
		clew_span_set_int(s, "net.peer.port", 6379);
		send_span(r, s);
	}
	settle(r);
	assert_out(r, 2, 100, 101);
	assert_out(r, 3, 100, 101);
}

/* Requests that follow each other on one connection, each with the one of its time. */
static void test_keep_alive(void **state)
{
	struct rig *r = *state;

	for (uint64_t i = 0; i < 10; i++)
		feed(r, seen(1 + i, 1 + i, 0, CLEW_KIND_SERVER, "python", i * 10, i * 10 + 9, 10,
			     80, 5000));
	for (uint64_t i = 0; i < 10; i++)
		send_span(r, sdk_server(span(109 - i, 110 - i, 0, CLEW_KIND_SERVER, "first",
					     (9 - i) * 10 + 1, (9 - i) * 10 + 8),
					5000));
	settle(r);
	assert_int_equal(r->n_out, 0);
	assert_int_equal(r->n_amends, 10);
	for (uint64_t i = 0; i < 10; i++)
		assert_int_equal(amend_of(r, 101 + i)->what, CLEW_AMEND_JOINED);
	for (uint64_t i = 0; i < 10; i++)
		assert_place(&r->amends[i].trace_id, &r->amends[i].parent_span_id, 100 + i, 0);
}

/* Its program had no processor for a while after it had read the first one; the second one followed at once. */
static void test_keep_alive_begun_late(void **state)
{
	struct rig *r = *state;

	feed(r, seen(1, 1, 0, CLEW_KIND_SERVER, "python", 0, 23, 10, 80, 5000));
	feed(r, seen(2, 2, 0, CLEW_KIND_SERVER, "python", 24, 27, 10, 80, 5000));
	send_span(r, sdk_server(span(100, 101, 0, CLEW_KIND_SERVER, "first", 20, 23), 5000));
	send_span(r, sdk_server(span(101, 102, 0, CLEW_KIND_SERVER, "first", 24, 27), 5000));
	settle(r);
	assert_int_equal(r->n_out, 0);
	assert_amended(r, 101, 100, 0);
	assert_amended(r, 102, 101, 0);
}

/* Another connection, another time, another path, another method: not the same. */
static void test_not_the_same(void **state)
{
	struct rig *r = *state;
	struct clew_span *s = seen(1, 1, 0, CLEW_KIND_SERVER, "python", 0, 100, 10, 80, 5000);

	clew_span_set_str(s, "url.path", SLICE("/a"));
	clew_span_set_str(s, "http.request.method", SLICE("GET"));
	feed(r, s);
	send_span(r, sdk_server(span(100, 101, 0, CLEW_KIND_SERVER, "x", 1, 99), 5001));
	send_span(r, sdk_server(span(101, 102, 0, CLEW_KIND_SERVER, "x", 200, 300), 5000));
	s = sdk_server(span(102, 103, 0, CLEW_KIND_SERVER, "x", 1, 99), 5000);
	clew_span_set_str(s, "http.target", SLICE("/b?q=1"));
	send_span(r, s);
	s = sdk_server(span(103, 104, 0, CLEW_KIND_SERVER, "x", 1, 99), 5000);
	clew_span_set_str(s, "http.method", SLICE("PUT"));
	send_span(r, s);
	settle(r);
	assert_int_equal(r->n_amends, 0);
	assert_out(r, 1, 1, 0);
	s = sdk_server(span(104, 105, 0, CLEW_KIND_SERVER, "x", 1, 99), 5000);
	clew_span_set_str(s, "http.target", SLICE("/a?q=1"));
	send_span(r, s); /* late: its span of the kernel went on */
	settle(r);
	assert_int_equal(r->n_amends, 2);
	assert_amended(r, 105, 104, 0);
	assert_replaced(r, 1, 105);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_server_above_its_call, rig_set_up,
						rig_tear_down),
		cmocka_unit_test_setup_teardown(test_server_that_is_cut, rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(test_grpc, rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(test_retries, rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(test_databases, rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(test_holder_of_another_service, rig_set_up,
						rig_tear_down),
		cmocka_unit_test_setup_teardown(test_ambiguous_holders, rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(test_keep_alive, rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(test_keep_alive_begun_late, rig_set_up,
						rig_tear_down),
		cmocka_unit_test_setup_teardown(test_not_the_same, rig_set_up, rig_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
