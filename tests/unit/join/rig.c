/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

struct clew_id128 trace_of(uint64_t n)
{
	return clew_hash128(&n, sizeof(n), 7);
}

static void on_span(void *user, struct clew_span *s)
{
	struct rig *r = user;

	assert_true(r->n_out < 64);
	r->out[r->n_out++] = s;
}

static void on_amend(void *user, const struct clew_amendment *a)
{
	struct rig *r = user;

	assert_true(r->n_amends < 64);
	r->amends[r->n_amends++] = *a;
}

static void on_alias(void *user, const struct clew_id128 *from, const struct clew_id128 *to)
{
	struct rig *r = user;

	assert_true(r->n_aliases < 16);
	r->from[r->n_aliases] = *from;
	r->to[r->n_aliases++] = *to;
}

int rig_open(struct rig *r)
{
	const struct clew_join_opts o = {
		.on_span = on_span, .on_amend = on_amend, .on_alias = on_alias, .user = r};

	return clew_join_new(&o, &r->join);
}

int rig_set_up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	r->now = 1000 * S;
	*state = r;
	return rig_open(r);
}

int rig_tear_down(void **state)
{
	struct rig *r = *state;

	clew_join_free(r->join);
	for (size_t i = 0; i < r->n_out; i++)
		clew_span_free(r->out[i]);
	free(r);
	return 0;
}

struct clew_span *span(uint64_t trace, uint64_t id, uint64_t parent, enum clew_span_kind kind,
		       const char *service, uint64_t from_ms, uint64_t to_ms)
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

struct clew_span *seen(uint64_t trace, uint64_t id, uint64_t parent, enum clew_span_kind kind,
		       const char *service, uint64_t from_ms, uint64_t to_ms, uint32_t pid,
		       uint16_t port, uint16_t peer)
{
	struct clew_span *s = span(trace, id, parent, kind, service, from_ms, to_ms);

	s->pid = pid;
	s->proc_start_ns = pid;
	s->link_class = parent ? CLEW_LINK_CERTAIN : CLEW_LINK_ROOT;
	s->scope = SLICE("clew");
	s->wire_key = trace_of(1000 + id);
	clew_span_set_str(s, "network.peer.address", SLICE("127.0.0.1"));
	clew_span_set_int(s, "network.peer.port", kind == CLEW_KIND_SERVER ? peer : port);
	clew_span_set_int(s, "server.port", port);
	return s;
}

void feed(struct rig *r, struct clew_span *s)
{
	clew_join_span(r->join, s, r->now);
}

void send_span(struct rig *r, struct clew_span *s)
{
	clew_join_received(r->join, &s, 1, r->now);
	clew_span_free(s);
}

struct clew_span *with_header(struct clew_span *s, uint64_t trace, uint64_t span_id)
{
	s->header_trace_id = trace_of(trace);
	s->header_span_id = clew_id64_from(span_id);
	return s;
}

struct clew_span *sdk_server(struct clew_span *s, uint16_t peer)
{
	clew_span_set_str(s, "net.peer.ip", SLICE("::ffff:127.0.0.1"));
	clew_span_set_int(s, "net.peer.port", peer);
	return s;
}

struct clew_span *sdk_client(struct clew_span *s, const char *url)
{
	clew_span_set_str(s, "http.url", slice_str(url));
	return s;
}

void settle(struct rig *r)
{
	r->now += 8 * S;
	clew_join_advance(r->join, r->now);
}

const struct clew_span *out_of(const struct rig *r, uint64_t id)
{
	struct clew_id64 want = clew_id64_from(id);

	for (size_t i = 0; i < r->n_out; i++)
		if (clew_id64_eq(&r->out[i]->span_id, &want))
			return r->out[i];
	return NULL;
}

const struct clew_amendment *amend_of(const struct rig *r, uint64_t id)
{
	struct clew_id64 want = clew_id64_from(id);

	for (size_t i = 0; i < r->n_amends; i++)
		if (clew_id64_eq(&r->amends[i].span_id, &want))
			return &r->amends[i];
	return NULL;
}

void assert_place(const struct clew_id128 *trace, const struct clew_id64 *parent,
		  uint64_t want_trace, uint64_t want_parent)
{
	struct clew_id128 t = trace_of(want_trace);
	struct clew_id64 p = want_parent ? clew_id64_from(want_parent) : (struct clew_id64){0};

	assert_memory_equal(trace, &t, sizeof(t));
	assert_memory_equal(parent, &p, sizeof(p));
}

void assert_out(const struct rig *r, uint64_t id, uint64_t trace, uint64_t parent)
{
	const struct clew_span *s = out_of(r, id);

	assert_non_null(s);
	assert_place(&s->trace_id, &s->parent_span_id, trace, parent);
}

void assert_replaced(const struct rig *r, uint64_t id, uint64_t by)
{
	const struct clew_amendment *a = amend_of(r, id);
	struct clew_id64 want = clew_id64_from(by);

	assert_non_null(a);
	assert_int_equal(a->what, CLEW_AMEND_REPLACED);
	assert_false(a->children_only);
	assert_memory_equal(&a->parent_span_id, &want, sizeof(want));
}

void assert_amended(const struct rig *r, uint64_t id, uint64_t trace, uint64_t parent)
{
	const struct clew_amendment *a = amend_of(r, id);

	assert_non_null(a);
	assert_place(&a->to_trace_id, &a->parent_span_id, trace, parent);
}

void feed_kernels(struct rig *r)
{
	struct clew_span *call =
		with_header(seen(1, 2, 1, CLEW_KIND_CLIENT, "python", 10, 90, 10, 81, 0), 100, 102);

	call->link_class = CLEW_LINK_PROBABLE;
	feed(r, seen(1, 1, 0, CLEW_KIND_SERVER, "python", 0, 100, 10, 80, 5000));
	feed(r, call);
	feed(r, with_header(seen(1, 3, 2, CLEW_KIND_SERVER, "b", 11, 89, 11, 81, 5001), 100, 102));
	feed(r, seen(1, 4, 3, CLEW_KIND_CLIENT, "b", 20, 80, 11, 82, 0));
	feed(r, seen(1, 5, 4, CLEW_KIND_SERVER, "node", 21, 79, 12, 82, 5002));
}

void send_first(struct rig *r)
{
	send_span(r, sdk_client(span(100, 102, 101, CLEW_KIND_CLIENT, "first", 9, 91),
				"http://127.0.0.1:81/b"));
	send_span(r, sdk_server(span(100, 101, 0, CLEW_KIND_SERVER, "first", 1, 99), 5000));
}

void send_last(struct rig *r)
{
	send_span(r, sdk_server(span(200, 201, 0, CLEW_KIND_SERVER, "last", 22, 78), 5002));
}
