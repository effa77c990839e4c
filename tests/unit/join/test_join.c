/* SPDX-License-Identifier: Apache-2.0 */
/* Joins: spans made by hand, in every order; what is joined, and what must not be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "join/join.h"

#define T0 1767323400000000000ull
#define MS 1000000ull
#define S  (1000 * MS)

/* Traces: kernels are below 100, SDKs' from 100 on. */
static struct clew_id128 trace_of(uint64_t n)
{
	return clew_hash128(&n, sizeof(n), 7);
}

struct rig {
	struct clew_join *join;
	uint64_t now;
	struct clew_span *out[64];
	size_t n_out;
	struct clew_join_amend amends[64];
	size_t n_amends;
	struct clew_id128 from[16], to[16];
	size_t n_aliases;
};

static void on_span(void *user, struct clew_span *s)
{
	struct rig *r = user;

	assert_true(r->n_out < 64);
	r->out[r->n_out++] = s;
}

static void on_amend(void *user, const struct clew_join_amend *a)
{
	struct rig *r = user;

	assert_true(r->n_amends < 64);
	assert_non_null(a->kernel);
	r->amends[r->n_amends++] = *a;
}

static void on_alias(void *user, const struct clew_id128 *from, const struct clew_id128 *to)
{
	struct rig *r = user;

	assert_true(r->n_aliases < 16);
	r->from[r->n_aliases] = *from;
	r->to[r->n_aliases++] = *to;
}

static int set_up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	const struct clew_join_opts o = {
		.on_span = on_span, .on_amend = on_amend, .on_alias = on_alias, .user = r};

	r->now = 1000 * S;
	*state = r;
	return clew_join_new(&o, &r->join);
}

static int tear_down(void **state)
{
	struct rig *r = *state;

	clew_join_free(r->join);
	for (size_t i = 0; i < r->n_out; i++)
		clew_span_free(r->out[i]);
	free(r);
	return 0;
}

/* ---- spans ---- */

static struct clew_span *span(uint64_t trace, uint64_t id, uint64_t parent,
			      enum clew_span_kind kind, const char *service, uint64_t from_ms,
			      uint64_t to_ms)
{
	struct clew_attr name = {
		.key = SLICE("service.name"), .type = CLEW_ATTR_STR, .str = slice_str(service)};
	struct clew_span *s = clew_span_new();

	assert_non_null(s);
	s->trace_id = trace_of(trace);
	s->span_id = clew_id64_from(id);
	if (parent)
		s->parent_span_id = clew_id64_from(parent);
	s->kind = kind;
	s->resource = clew_resource_new(&name, 1, NULL);
	s->start_ns = T0 + from_ms * MS;
	s->duration_ns = (to_ms - from_ms) * MS;
	return s;
}

/* The kernel's, of a process; port: the server's, peer: the client's. */
static struct clew_span *seen(uint64_t trace, uint64_t id, uint64_t parent,
			      enum clew_span_kind kind, const char *service, uint64_t from_ms,
			      uint64_t to_ms, uint32_t pid, uint16_t port, uint16_t peer)
{
	struct clew_span *s = span(trace, id, parent, kind, service, from_ms, to_ms);

	s->pid = pid;
	s->proc_start_ns = pid;
	s->link_class = parent ? CLEW_LINK_CERTAIN : CLEW_LINK_ROOT;
	s->wire_key = trace_of(1000 + id);
	clew_span_set_str(s, "network.peer.address", SLICE("127.0.0.1"));
	clew_span_set_int(s, "network.peer.port", kind == CLEW_KIND_SERVER ? peer : port);
	clew_span_set_int(s, "server.port", port);
	return s;
}

static void feed(struct rig *r, struct clew_span *s)
{
	clew_join_span(r->join, s, r->now);
}

static void send(struct rig *r, struct clew_span *s)
{
	clew_join_received(r->join, &s, 1, r->now);
	clew_span_free(s);
}

static struct clew_span *with_header(struct clew_span *s, uint64_t trace, uint64_t span_id)
{
	s->header_trace_id = trace_of(trace);
	s->header_span_id = clew_id64_from(span_id);
	return s;
}

static struct clew_span *sdk_server(struct clew_span *s, uint16_t peer)
{
	clew_span_set_str(s, "net.peer.ip", SLICE("::ffff:127.0.0.1"));
	clew_span_set_int(s, "net.peer.port", peer);
	return s;
}

static struct clew_span *sdk_client(struct clew_span *s, const char *url)
{
	clew_span_set_str(s, "http.url", slice_str(url));
	return s;
}

static void settle(struct rig *r)
{
	r->now += 8 * S;
	clew_join_advance(r->join, r->now);
}

/* ---- what became of them ---- */

static const struct clew_span *out_of(const struct rig *r, uint64_t id)
{
	struct clew_id64 want = clew_id64_from(id);

	for (size_t i = 0; i < r->n_out; i++)
		if (clew_id64_eq(&r->out[i]->span_id, &want))
			return r->out[i];
	return NULL;
}

static const struct clew_join_amend *amend_of(const struct rig *r, uint64_t id)
{
	struct clew_id64 want = clew_id64_from(id);

	for (size_t i = 0; i < r->n_amends; i++)
		if (clew_id64_eq(&r->amends[i].span_id, &want))
			return &r->amends[i];
	return NULL;
}

static void assert_place(const struct clew_id128 *trace, const struct clew_id64 *parent,
			 uint64_t want_trace, uint64_t want_parent)
{
	struct clew_id128 t = trace_of(want_trace);
	struct clew_id64 p = want_parent ? clew_id64_from(want_parent) : (struct clew_id64){0};

	assert_memory_equal(trace, &t, sizeof(t));
	assert_memory_equal(parent, &p, sizeof(p));
}

static void assert_out(const struct rig *r, uint64_t id, uint64_t trace, uint64_t parent)
{
	const struct clew_span *s = out_of(r, id);

	assert_non_null(s);
	assert_place(&s->trace_id, &s->parent_span_id, trace, parent);
}

static void assert_amended(const struct rig *r, uint64_t id, uint64_t trace, uint64_t parent)
{
	const struct clew_join_amend *a = amend_of(r, id);

	assert_non_null(a);
	assert_place(&a->to_trace_id, &a->parent_span_id, trace, parent);
}

/* a (SDK) ─► b ─► c (SDK): as in join.h. */
static void feed_kernels(struct rig *r)
{
	feed(r, seen(1, 1, 0, CLEW_KIND_SERVER, "python", 0, 100, 10, 80, 5000));
	feed(r,
	     with_header(seen(1, 2, 1, CLEW_KIND_CLIENT, "python", 10, 90, 10, 81, 0), 100, 102));
	feed(r, with_header(seen(1, 3, 2, CLEW_KIND_SERVER, "b", 11, 89, 11, 81, 5001), 100, 102));
	feed(r, seen(1, 4, 3, CLEW_KIND_CLIENT, "b", 20, 80, 11, 82, 0));
	feed(r, seen(1, 5, 4, CLEW_KIND_SERVER, "node", 21, 79, 12, 82, 5002));
}

static void send_first(struct rig *r)
{
	send(r, sdk_client(span(100, 102, 101, CLEW_KIND_CLIENT, "first", 9, 91),
			   "http://127.0.0.1:81/b"));
	send(r, sdk_server(span(100, 101, 0, CLEW_KIND_SERVER, "first", 1, 99), 5000));
}

static void send_last(struct rig *r)
{
	send(r, sdk_server(span(200, 201, 0, CLEW_KIND_SERVER, "last", 22, 78), 5002));
}

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
	assert_true(amend_of(r, 201)->parent_is_kernels);
	assert_true(amend_of(r, 102)->parent_is_kernels); /* they agree */
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

/* The SDK of the server tells no peer: the call that it made does. */
static void test_server_above_its_call(void **state)
{
	struct rig *r = *state;

	feed_kernels(r);
	send(r, sdk_client(span(100, 102, 103, CLEW_KIND_CLIENT, "first", 9, 91),
			   "http://127.0.0.1:81/b"));
	send(r, span(100, 103, 101, CLEW_KIND_INTERNAL, "first", 5, 95));
	send(r, span(100, 101, 0, CLEW_KIND_SERVER, "first", 1, 99));
	settle(r);
	assert_amended(r, 101, 100, 0);
	assert_amended(r, 102, 100, 103);
	assert_null(out_of(r, 1));
	assert_out(r, 5, 100, 4);
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
	send(r, sdk_server(span(100, 201, 102, CLEW_KIND_SERVER, "last", 22, 78), 5002));
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
	send(r, sdk_server(span(100, 101, 0, CLEW_KIND_SERVER, "first", 1, 99), 5000));
	s = span(100, 102, 101, CLEW_KIND_CLIENT, "first", 9, 21);
	clew_span_set_int(s, "net.peer.port", 6379);
	send(r, s);
	s = span(100, 103, 101, CLEW_KIND_CLIENT, "first", 29, 51);
	clew_span_set_int(s, "server.port", 5432);
	send(r, s);
	settle(r);
	assert_amended(r, 102, 100, 101);
	assert_null(out_of(r, 2));
	assert_out(r, 3, 100, 103);
	assert_out(r, 4, 100, 103);
	assert_out(r, 5, 100, 101);
}

/* Two calls at once to one port: nobody knows which is which, both stay. */
static void test_ambiguous_holders(void **state)
{
	struct rig *r = *state;
	struct clew_span *s;

	feed(r, seen(1, 1, 0, CLEW_KIND_SERVER, "python", 0, 100, 10, 80, 5000));
	feed(r, seen(1, 2, 1, CLEW_KIND_CLIENT, "python", 10, 20, 10, 6379, 0));
	feed(r, seen(1, 3, 1, CLEW_KIND_CLIENT, "python", 11, 19, 10, 6379, 0));
	send(r, sdk_server(span(100, 101, 0, CLEW_KIND_SERVER, "first", 1, 99), 5000));
	for (uint64_t i = 0; i < 2; i++) {
		s = span(100, 102 + i, 101, CLEW_KIND_CLIENT, "first", 8 + i, 25);
		clew_span_set_int(s, "net.peer.port", 6379);
		send(r, s);
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
		send(r, sdk_server(span(109 - i, 110 - i, 0, CLEW_KIND_SERVER, "first",
					(9 - i) * 10 + 1, (9 - i) * 10 + 8),
				   5000));
	settle(r);
	assert_int_equal(r->n_out, 0);
	assert_int_equal(r->n_amends, 10);
	for (uint64_t i = 0; i < 10; i++)
		assert_int_equal(amend_of(r, 101 + i)->kernel != NULL, 1);
	for (uint64_t i = 0; i < 10; i++)
		assert_place(&r->amends[i].trace_id, &r->amends[i].parent_span_id, 100 + i, 0);
}

/* Another connection, another time, another path, another method: not the same. */
static void test_not_the_same(void **state)
{
	struct rig *r = *state;
	struct clew_span *s = seen(1, 1, 0, CLEW_KIND_SERVER, "python", 0, 100, 10, 80, 5000);

	clew_span_set_str(s, "url.path", SLICE("/a"));
	clew_span_set_str(s, "http.request.method", SLICE("GET"));
	feed(r, s);
	send(r, sdk_server(span(100, 101, 0, CLEW_KIND_SERVER, "x", 1, 99), 5001));
	send(r, sdk_server(span(101, 102, 0, CLEW_KIND_SERVER, "x", 200, 300), 5000));
	s = sdk_server(span(102, 103, 0, CLEW_KIND_SERVER, "x", 1, 99), 5000);
	clew_span_set_str(s, "http.target", SLICE("/b?q=1"));
	send(r, s);
	s = sdk_server(span(103, 104, 0, CLEW_KIND_SERVER, "x", 1, 99), 5000);
	clew_span_set_str(s, "http.method", SLICE("PUT"));
	send(r, s);
	settle(r);
	assert_int_equal(r->n_amends, 0);
	assert_out(r, 1, 1, 0);
	s = sdk_server(span(104, 105, 0, CLEW_KIND_SERVER, "x", 1, 99), 5000);
	clew_span_set_str(s, "http.target", SLICE("/a?q=1"));
	send(r, s); /* too late: its span of the kernel went on */
	settle(r);
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

/* A stream: what it called went on long before it ended. Its span stays, as a child of the SDK's. */
static void test_parent_comes_late(void **state)
{
	struct rig *r = *state;

	feed(r, seen(1, 2, 1, CLEW_KIND_CLIENT, "python", 10, 20, 10, 6379, 0));
	settle(r);
	assert_out(r, 2, 1, 1);
	feed(r, seen(1, 1, 0, CLEW_KIND_SERVER, "python", 0, 9000, 10, 80, 5000));
	feed(r, seen(1, 3, 1, CLEW_KIND_CLIENT, "python", 8000, 8500, 10, 6379, 0));
	send(r, sdk_server(span(100, 101, 0, CLEW_KIND_SERVER, "first", 1, 8999), 5000));
	settle(r);
	assert_out(r, 1, 1, 101);
	assert_out(r, 3, 1, 1);
	assert_int_equal(r->n_aliases, 1); /* the SDK's trace is this one */
}

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
		cmocka_unit_test_setup_teardown(test_kernel_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sdks_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sent_twice, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_later_spans, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_server_above_its_call, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_forwarded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_forwarded_from_elsewhere, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_retries, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_databases, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ambiguous_holders, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_keep_alive, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_not_the_same, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_orphans, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_parent_comes_late, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_own_calls, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_waiting, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
