/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assembly alone: exchanges and links that a stream and a causality would tell, in every order that
 * must not matter, and links that cannot be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/assembly.h"

#define MS     1000000ull
#define N_SEEN 64

struct world {
	struct clew_assembly *a;
	struct clew_identity *identity;
	struct clew_span *spans[N_SEEN];
	struct clew_trace_done traces[N_SEEN];
	size_t n_spans, n_traces;
	uint64_t now;
};

/* The stream layer's part: an exchange owns its memory, its connection is ours (and counts). */
static struct clew_conn conn = {.cookie = 1, .family = CLEW_AF_INET};

void clew_exchange_free(struct clew_exchange *x)
{
	free(x);
}

struct clew_conn *clew_conn_ref(struct clew_conn *c)
{
	c->n_exchanges++;
	return c;
}

void clew_conn_unref(struct clew_conn *c)
{
	assert_true(c->n_exchanges-- > 0);
}

struct slice clew_exchange_header(const struct clew_exchange *x, enum clew_part part,
				  struct slice name)
{
	if (part == CLEW_PART_REQUEST && slice_eq(name, SLICE("traceparent")))
		return x->req.head;
	return (struct slice){NULL, 0};
}

static void on_span(void *user, struct clew_span *s)
{
	struct world *w = user;

	assert_in_range(w->n_spans, 0, N_SEEN - 1);
	w->spans[w->n_spans++] = s;
}

static void on_trace(void *user, const struct clew_trace_done *t)
{
	struct world *w = user;

	assert_in_range(w->n_traces, 0, N_SEEN - 1);
	w->traces[w->n_traces++] = *t;
}

static void begin(struct world *w)
{
	struct clew_assembly_opts o = {.on_span = on_span, .on_trace = on_trace, .user = w};

	*w = (struct world){.now = 1000 * MS};
	assert_int_equal(clew_identity_new(&w->identity), 0);
	o.identity = w->identity;
	assert_int_equal(clew_assembly_new(&o, &w->a), 0);
	clew_assembly_advance(w->a, w->now);
}

static void end(struct world *w)
{
	clew_assembly_free(w->a);
	assert_int_equal(conn.n_exchanges, 0);
	clew_identity_free(w->identity);
	for (size_t i = 0; i < w->n_spans; i++)
		clew_span_free(w->spans[i]);
}

static void pass(struct world *w, uint64_t ms)
{
	for (; ms; ms -= ms < 10 ? ms : 10)
		clew_assembly_advance(w->a, w->now += (ms < 10 ? ms : 10) * MS);
}

/* key 0: none. The exchange's process is its id: that is how its span is found again. */
static struct clew_exchange *start(struct world *w, uint64_t id, enum clew_role role, uint8_t key)
{
	struct clew_exchange *x = calloc(1, sizeof(*x));

	assert_non_null(x);
	x->id = id;
	x->role = role;
	x->conn = &conn;
	x->tgid = (uint32_t)id;
	x->has_wire_key = key != 0;
	x->wire_key.b[0] = key;
	clew_assembly_begin(w->a, x);
	clew_assembly_begun(w->a, x);
	return x;
}

static void decide(struct world *w, uint64_t id, uint64_t parent)
{
	const struct clew_link l = {
		.parent = parent,
		.class = parent ? CLEW_LINK_CERTAIN : CLEW_LINK_ROOT,
		.evidence = parent ? CLEW_EV_THREAD : CLEW_EV_NONE_OPEN,
		.confidence = 1,
	};

	clew_assembly_decide(w->a, id, &l);
}

static const struct clew_span *span(const struct world *w, uint64_t id)
{
	const struct clew_span *found = NULL;

	for (size_t i = 0; i < w->n_spans; i++) {
		if (w->spans[i]->pid != id)
			continue;
		assert_null(found); /* handed out twice */
		found = w->spans[i];
	}
	return found;
}

static void assert_child(const struct world *w, uint64_t child, uint64_t parent)
{
	assert_non_null(span(w, child));
	assert_non_null(span(w, parent));
	assert_true(clew_id64_eq(&span(w, child)->parent_span_id, &span(w, parent)->span_id));
	assert_true(clew_id128_eq(&span(w, child)->trace_id, &span(w, parent)->trace_id));
	assert_false(span(w, child)->is_root);
}

static void assert_root(const struct world *w, uint64_t id)
{
	assert_non_null(span(w, id));
	assert_true(span(w, id)->is_root);
	assert_true(clew_id64_none(&span(w, id)->parent_span_id));
}

static void a_chain_waits_for_its_root(void **state)
{
	struct clew_exchange *s1, *c, *s2;
	struct world w;

	begin(&w);
	s1 = start(&w, 1, CLEW_ROLE_SERVER, 1);
	c = start(&w, 2, CLEW_ROLE_CLIENT, 2);
	s2 = start(&w, 3, CLEW_ROLE_SERVER, 2);
	clew_assembly_end(w.a, s2);
	clew_assembly_end(w.a, c);
	pass(&w, 500);
	assert_int_equal(w.n_spans, 0); /* the call is not decided */
	decide(&w, 2, 1);
	assert_int_equal(w.n_spans, 0); /* 1 may still find its other side */
	clew_assembly_end(w.a, s1);
	pass(&w, 240);
	assert_int_equal(w.n_spans, 0);
	pass(&w, 20);
	assert_int_equal(w.n_spans, 3);
	assert_root(&w, 1);
	assert_child(&w, 2, 1);
	assert_child(&w, 3, 2);
	assert_int_equal(w.n_traces, 0);
	pass(&w, 4000);
	assert_int_equal(w.n_traces, 1);
	assert_int_equal(w.traces[0].n_spans, 3);
	end(&w);
}

/* A request that is never answered: its calls are known all the same, itself when it ends. */
static void a_request_that_stays_open_does_not_hold_its_calls(void **state)
{
	struct clew_exchange *s1, *c;
	struct world w;

	begin(&w);
	s1 = start(&w, 1, CLEW_ROLE_SERVER, 1);
	c = start(&w, 2, CLEW_ROLE_CLIENT, 2);
	decide(&w, 2, 1);
	clew_assembly_end(w.a, c);
	pass(&w, 9900);
	assert_int_equal(w.n_spans, 0);
	pass(&w, 200);
	assert_int_equal(w.n_spans, 1);
	pass(&w, 60000);
	assert_int_equal(w.n_traces, 0);
	/* and a call made a minute later hangs from it */
	c = start(&w, 3, CLEW_ROLE_CLIENT, 3);
	decide(&w, 3, 1);
	clew_assembly_end(w.a, c);
	assert_int_equal(w.n_spans, 2);
	clew_assembly_end(w.a, s1);
	assert_child(&w, 2, 1);
	assert_child(&w, 3, 1);
	pass(&w, 4000);
	assert_int_equal(w.n_traces, 1);
	assert_int_equal(w.traces[0].n_spans, 3);
	end(&w);
}

static void a_link_to_a_node_that_was_given_up_is_an_orphan(void **state)
{
	struct clew_exchange *s1, *c;
	struct world w;

	begin(&w);
	s1 = start(&w, 1, CLEW_ROLE_SERVER, 1);
	clew_assembly_end(w.a, s1);
	c = start(&w, 2, CLEW_ROLE_CLIENT, 2);
	clew_assembly_end(w.a, c);
	pass(&w, 4000);
	assert_int_equal(w.n_spans, 1);
	decide(&w, 2, 1);
	assert_root(&w, 2);
	assert_int_equal(span(&w, 2)->link_class, CLEW_LINK_ORPHAN);
	assert_true(span(&w, 2)->confidence == 0);
	assert_int_equal(clew_assembly_stats(w.a)->late, 1);
	end(&w);
}

/* 2 called 3's service (wire), and yet is said to have been caused by 3. */
static void a_circle_is_cut(void **state)
{
	struct clew_exchange *c, *s;
	struct world w;

	begin(&w);
	c = start(&w, 2, CLEW_ROLE_CLIENT, 2);
	s = start(&w, 3, CLEW_ROLE_SERVER, 2);
	decide(&w, 2, 3);
	clew_assembly_end(w.a, s);
	clew_assembly_end(w.a, c);
	pass(&w, 4000);
	assert_int_equal(w.n_spans, 2);
	assert_root(&w, 2);
	assert_int_equal(span(&w, 2)->link_class, CLEW_LINK_ORPHAN);
	assert_child(&w, 3, 2);
	assert_int_equal(clew_assembly_stats(w.a)->late, 1);
	end(&w);
}

/* The same, longer, and closed by the wire: 4's other side is 1, above which 4 already is. */
static void a_circle_over_two_hops_is_cut(void **state)
{
	struct clew_exchange *x[5] = {NULL};
	struct world w;

	begin(&w);
	x[1] = start(&w, 1, CLEW_ROLE_SERVER, 9);
	x[2] = start(&w, 2, CLEW_ROLE_CLIENT, 2);
	x[3] = start(&w, 3, CLEW_ROLE_SERVER, 2);
	decide(&w, 2, 1);
	x[4] = start(&w, 4, CLEW_ROLE_CLIENT, 9); /* joins 1, undecided */
	decide(&w, 4, 3);
	for (int i = 1; i <= 4; i++)
		clew_assembly_end(w.a, x[i]);
	pass(&w, 4000);
	assert_int_equal(w.n_spans, 4);
	assert_root(&w, 4);
	assert_child(&w, 1, 4);
	assert_child(&w, 2, 1);
	assert_child(&w, 3, 2);
	end(&w);
}

static void a_wire_key_seen_twice_joins_once(void **state)
{
	struct clew_exchange *a, *b, *c;
	struct world w;

	begin(&w);
	a = start(&w, 1, CLEW_ROLE_SERVER, 5);
	b = start(&w, 2, CLEW_ROLE_SERVER, 5);
	c = start(&w, 3, CLEW_ROLE_CLIENT, 5);
	decide(&w, 3, 0);
	clew_assembly_end(w.a, a);
	clew_assembly_end(w.a, b);
	clew_assembly_end(w.a, c);
	pass(&w, 4000);
	assert_int_equal(w.n_spans, 3);
	assert_child(&w, 1, 3);
	assert_root(&w, 2);
	end(&w);
}

static void the_other_side_may_come_late_but_not_too_late(void **state)
{
	struct clew_exchange *a, *c;
	struct world w;

	begin(&w);
	a = start(&w, 1, CLEW_ROLE_SERVER, 5);
	clew_assembly_end(w.a, a);
	pass(&w, 240);
	c = start(&w, 2, CLEW_ROLE_CLIENT, 5);
	clew_assembly_end(w.a, c);
	decide(&w, 2, 0);
	assert_child(&w, 1, 2);
	a = start(&w, 3, CLEW_ROLE_SERVER, 6);
	clew_assembly_end(w.a, a);
	pass(&w, 260);
	c = start(&w, 4, CLEW_ROLE_CLIENT, 6);
	clew_assembly_end(w.a, c);
	decide(&w, 4, 0);
	assert_root(&w, 3);
	assert_root(&w, 4);
	assert_int_equal(clew_assembly_stats(w.a)->late, 1);
	end(&w);
}

/* An orphan names its candidates' spans, once their traces are known; not those that are gone. */
static void an_orphan_waits_for_its_candidates(void **state)
{
	const struct clew_link l = {.class = CLEW_LINK_ORPHAN,
				    .evidence = CLEW_EV_CONFLICT,
				    .confidence = 0.5f,
				    .n_candidates = 2,
				    .candidates = {1, 77}};
	struct clew_exchange *s, *c;
	struct world w;

	begin(&w);
	s = start(&w, 1, CLEW_ROLE_SERVER, 1);
	c = start(&w, 2, CLEW_ROLE_CLIENT, 2);
	clew_assembly_end(w.a, c);
	clew_assembly_end(w.a, s);
	clew_assembly_decide(w.a, 2, &l);
	pass(&w, 900);
	assert_null(span(&w, 2));
	pass(&w, 200);
	assert_root(&w, 2);
	assert_int_equal(span(&w, 2)->n_links, 1);
	assert_int_equal(span(&w, 2)->dropped_links, 1);
	assert_true(clew_id64_eq(&span(&w, 2)->links[0].span_id, &span(&w, 1)->span_id));
	assert_true(clew_id128_eq(&span(&w, 2)->links[0].trace_id, &span(&w, 1)->trace_id));
	end(&w);
}

static void a_header_is_the_parent_of_last_resort(void **state)
{
	static const char tp[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
	struct clew_exchange *s, *c;
	struct world w;

	begin(&w);
	s = start(&w, 1, CLEW_ROLE_SERVER, 1);
	s->req.head = SLICE(tp);
	c = start(&w, 2, CLEW_ROLE_CLIENT, 2);
	c->req.head = SLICE("00-ffffffffffffffffffffffffffffffff-b7ad6b7169203331-01");
	decide(&w, 2, 1);
	clew_assembly_end(w.a, c);
	clew_assembly_end(w.a, s);
	pass(&w, 300);
	assert_int_equal(span(&w, 1)->trace_id.b[0], 0x0a);
	assert_int_equal(span(&w, 1)->evidence, CLEW_EV_HEADER);
	assert_false(span(&w, 1)->is_root);
	assert_child(&w, 2, 1); /* what was seen beats what is said */
	end(&w);
}

static const struct clew_span *span_of_kind(const struct world *w, enum clew_span_kind kind)
{
	for (size_t i = 0; i < w->n_spans; i++)
		if (w->spans[i]->kind == kind)
			return w->spans[i];
	return NULL;
}

/* A proxy: the request 1, and the call 2 with the header that came in. */
static void start_proxy(struct world *w, struct clew_exchange *ret[2])
{
	for (uint64_t i = 0; i < 2; i++) {
		ret[i] = start(w, 1 + i, i ? CLEW_ROLE_CLIENT : CLEW_ROLE_SERVER, (uint8_t)(1 + i));
		ret[i]->tgid = 1;
		ret[i]->proto = CLEW_PROTO_HTTP1;
		ret[i]->req.last_ns = w->now + 50 * MS;
		ret[i]->req.first_ns = ret[i]->req.first_begin_ns = w->now + i;
		ret[i]->req.head = SLICE("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
		if (!i)
			clew_assembly_head(w->a, ret[0]);
	}
}

static void assert_sent_on(const struct world *w)
{
	const struct clew_span *s = span_of_kind(w, CLEW_KIND_SERVER);
	const struct clew_span *c = span_of_kind(w, CLEW_KIND_CLIENT);

	assert_non_null(s);
	assert_non_null(c);
	assert_true(clew_id64_eq(&c->parent_span_id, &s->span_id));
	assert_int_equal(c->link_class, CLEW_LINK_CERTAIN);
	assert_int_equal(c->evidence, CLEW_EV_HEADER);
}

/* The call of a queue: decided (wrongly) while its request waits for the answer. */
static void a_call_with_an_open_requests_header_is_its(void **state)
{
	const struct clew_link l = {.class = CLEW_LINK_ORPHAN, .evidence = CLEW_EV_CONFLICT};
	struct clew_exchange *x[2];
	struct world w;

	begin(&w);
	start_proxy(&w, x);
	pass(&w, 2000);
	clew_assembly_decide(w.a, 2, &l);
	pass(&w, 2000);
	clew_assembly_end(w.a, x[1]);
	clew_assembly_ends(w.a, x[0]);
	clew_assembly_end(w.a, x[0]);
	pass(&w, 300);
	assert_sent_on(&w);
	end(&w);
}

/* The call that waits for another request's end: its own is forgotten long before. */
static void a_call_that_nobody_decides_is_its_headers(void **state)
{
	struct clew_exchange *x[2];
	struct world w;

	begin(&w);
	start_proxy(&w, x);
	pass(&w, 100);
	clew_assembly_end(w.a, x[1]);
	clew_assembly_ends(w.a, x[0]);
	clew_assembly_end(w.a, x[0]);
	pass(&w, 900);
	assert_null(span_of_kind(&w, CLEW_KIND_CLIENT));
	pass(&w, 200);
	assert_sent_on(&w);
	pass(&w, 9000);
	decide(&w, 2, 7); /* too late */
	assert_int_equal(w.n_spans, 2);
	end(&w);
}

/* Exchanges without a wire key have ids all the same, no two alike. */
static void made_up_ids_differ(void **state)
{
	struct clew_exchange *x;
	struct world w;

	begin(&w);
	for (uint64_t id = 1; id <= 8; id++) {
		x = start(&w, id, id & 1 ? CLEW_ROLE_SERVER : CLEW_ROLE_CLIENT, 0);
		if (!(id & 1))
			decide(&w, id, 0);
		clew_assembly_end(w.a, x);
	}
	pass(&w, 300);
	assert_int_equal(w.n_spans, 8);
	for (size_t i = 0; i < 8; i++)
		for (size_t j = 0; j < i; j++)
			assert_false(clew_id64_eq(&w.spans[i]->span_id, &w.spans[j]->span_id));
	end(&w);
}

/* Another boot, or the same connection in another session: another trace. */
static void made_up_ids_differ_between_sessions(void **state)
{
	struct clew_id128 ids[3];
	struct world w;

	for (size_t i = 0; i < 3; i++) {
		_Alignas(8) char bytes[256] = {0};
		struct clew_rec_meta *m = (struct clew_rec_meta *)bytes;
		const uint16_t tag[] = {CLEW_TAG_BOOT_ID, 36};

		begin(&w);
		*m = (struct clew_rec_meta){.hdr = {.len = 256, .type = CLEW_REC_META},
					    .hdr_bytes = sizeof(*m),
					    .tail_len = 40};
		memcpy(bytes + sizeof(*m), tag, 4);
		memcpy(bytes + sizeof(*m) + 4, "550e8400-e29b-41d4-a716-446655440000", 36);
		bytes[sizeof(*m) + 4] = i == 1 ? '6' : '5';
		assert_int_equal(clew_identity_record(w.identity, &m->hdr), 0);
		conn.first_ns = i == 2;
		clew_assembly_end(w.a, start(&w, 1, CLEW_ROLE_SERVER, 0));
		clew_assembly_flush(w.a);
		ids[i] = w.spans[0]->trace_id;
		end(&w);
	}
	conn.first_ns = 0;
	assert_false(clew_id128_eq(&ids[0], &ids[1]));
	assert_false(clew_id128_eq(&ids[0], &ids[2]));
}

/* At the end of the tracing nothing waits any more, whatever it waited for. */
static void a_flush_hands_out_all_that_ended(void **state)
{
	const struct clew_link orphan = {
		.class = CLEW_LINK_ORPHAN, .n_candidates = 1, .candidates = {1}};
	struct clew_exchange *x[7] = {NULL};
	struct world w;

	begin(&w);
	x[1] = start(&w, 1, CLEW_ROLE_SERVER, 1);
	x[2] = start(&w, 2, CLEW_ROLE_CLIENT, 2);
	x[3] = start(&w, 3, CLEW_ROLE_SERVER, 2);
	x[4] = start(&w, 4, CLEW_ROLE_CLIENT, 4);
	x[5] = start(&w, 5, CLEW_ROLE_SERVER, 5); /* never ends: stays the stream's */
	x[6] = start(&w, 6, CLEW_ROLE_CLIENT, 6);
	decide(&w, 2, 1);
	decide(&w, 6, 5);
	clew_assembly_decide(w.a, 4, &orphan);
	for (int i = 1; i <= 6; i++)
		if (i != 5)
			clew_assembly_end(w.a, x[i]);
	clew_assembly_flush(w.a);
	assert_int_equal(w.n_spans, 5);
	assert_child(&w, 2, 1);
	assert_child(&w, 3, 2);
	assert_int_equal(span(&w, 4)->n_links, 1);
	assert_int_equal(w.n_traces, 2);
	free(x[5]);
	end(&w);
}

/* Beyond the limit: no span, counted, and the exchange is freed all the same. */
static void more_nodes_than_the_limit_are_counted(void **state)
{
	struct clew_exchange **x = calloc(CLEW_ASSEMBLY_MAX_NODES, sizeof(*x)), *over;
	struct world w;

	assert_non_null(x);
	begin(&w);
	for (uint64_t i = 0; i < CLEW_ASSEMBLY_MAX_NODES; i++)
		x[i] = start(&w, i + 1, CLEW_ROLE_CLIENT, 0);
	over = start(&w, CLEW_ASSEMBLY_MAX_NODES + 1, CLEW_ROLE_CLIENT, 7);
	assert_null(over->user);
	assert_int_equal(clew_assembly_stats(w.a)->dropped, 1);
	decide(&w, CLEW_ASSEMBLY_MAX_NODES + 1, 1);
	clew_assembly_end(w.a, over);
	assert_int_equal(w.n_spans, 0);
	for (uint64_t i = 0; i < CLEW_ASSEMBLY_MAX_NODES; i++)
		free(x[i]);
	free(x);
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chain_waits_for_its_root),
		cmocka_unit_test(a_request_that_stays_open_does_not_hold_its_calls),
		cmocka_unit_test(a_link_to_a_node_that_was_given_up_is_an_orphan),
		cmocka_unit_test(a_circle_is_cut),
		cmocka_unit_test(a_circle_over_two_hops_is_cut),
		cmocka_unit_test(a_wire_key_seen_twice_joins_once),
		cmocka_unit_test(the_other_side_may_come_late_but_not_too_late),
		cmocka_unit_test(an_orphan_waits_for_its_candidates),
		cmocka_unit_test(a_header_is_the_parent_of_last_resort),
		cmocka_unit_test(a_call_with_an_open_requests_header_is_its),
		cmocka_unit_test(a_call_that_nobody_decides_is_its_headers),
		cmocka_unit_test(made_up_ids_differ),
		cmocka_unit_test(made_up_ids_differ_between_sessions),
		cmocka_unit_test(a_flush_hands_out_all_that_ended),
		cmocka_unit_test(more_nodes_than_the_limit_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
