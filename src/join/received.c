/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What SDKs sent lately, in a ring, with three chained hash tables over it. Nothing is ever removed
 * from a chain: an entry that was overwritten has a number that left the ring, and so have all behind
 * it.
 *
 * What an SDK says of an exchange stands in attributes whose names changed over the years; both the
 * stable ones (semantic conventions 1.23 and later) and those before are read.
 */
#include "join/internal.h"

#define RING	CLEW_JOIN_MAX_RECEIVED
#define BUCKETS CLEW_JOIN_MAX_RECEIVED
_Static_assert((RING & (RING - 1)) == 0, "a power of two");

int received_init(struct received_table *t)
{
	t->ring = calloc(RING, sizeof(*t->ring));
	t->of_id = calloc(BUCKETS, sizeof(*t->of_id));
	t->of_peer = calloc(BUCKETS, sizeof(*t->of_peer));
	t->of_trace = calloc(BUCKETS, sizeof(*t->of_trace));
	return t->ring && t->of_id && t->of_peer && t->of_trace ? 0 : -ENOMEM;
}

void received_done(struct received_table *t)
{
	for (size_t i = 0; t->ring && i < RING; i++)
		clew_resource_unref(t->ring[i].resource);
	free(t->ring);
	free(t->of_id);
	free(t->of_peer);
	free(t->of_trace);
}

static struct received *at(const struct received_table *t, uint64_t number)
{
	return number && number + RING > t->last ? &t->ring[number & (RING - 1)] : NULL;
}

static size_t id_bucket(const struct clew_id128 *trace, const struct clew_id64 *span)
{
	uint64_t seed = clew_hash64(span->b, sizeof(span->b), 0);

	return clew_hash64(trace->b, sizeof(trace->b), seed) & (BUCKETS - 1);
}

static size_t trace_bucket(const struct clew_id128 *trace)
{
	return clew_hash64(trace->b, sizeof(trace->b), 1) & (BUCKETS - 1);
}

struct received *received_by_id(const struct received_table *t, const struct clew_id128 *trace,
				const struct clew_id64 *span)
{
	struct received *r = at(t, t->of_id[id_bucket(trace, span)]);

	while (r && !(clew_id64_eq(&r->span_id, span) && clew_id128_eq(&r->trace_id, trace)))
		r = at(t, r->next_of_id);
	return r;
}

static struct received *peer_from(const struct received_table *t, uint64_t number, uint64_t peer)
{
	struct received *r = at(t, number);

	while (r && r->peer != peer)
		r = at(t, r->next_of_peer);
	return r;
}

struct received *received_of_peer(const struct received_table *t, uint64_t peer)
{
	return peer ? peer_from(t, t->of_peer[peer & (BUCKETS - 1)], peer) : NULL;
}

struct received *received_before_of_peer(const struct received_table *t, const struct received *r)
{
	return peer_from(t, r->next_of_peer, r->peer);
}

static struct received *trace_from(const struct received_table *t, uint64_t number,
				   const struct clew_id128 *trace)
{
	struct received *r = at(t, number);

	while (r && !clew_id128_eq(&r->trace_id, trace))
		r = at(t, r->next_of_trace);
	return r;
}

struct received *received_of_trace(const struct received_table *t, const struct clew_id128 *trace)
{
	return trace_from(t, t->of_trace[trace_bucket(trace)], trace);
}

struct received *received_before_of_trace(const struct received_table *t, const struct received *r)
{
	return trace_from(t, r->next_of_trace, &r->trace_id);
}

void received_add(struct received_table *t, const struct clew_span *s,
		  const struct clew_id128 *stored_as)
{
	uint64_t number;
	struct received *r;
	struct said said;
	size_t b;

	/* An SDK that got no answer sends again. */
	if (received_by_id(t, &s->trace_id, &s->span_id))
		return;
	number = ++t->last;
	r = &t->ring[number & (RING - 1)];
	clew_resource_unref(r->resource);
	said_of(s, &said);
	*r = (struct received){
		.trace_id = s->trace_id,
		.span_id = s->span_id,
		.parent_id = s->parent_span_id,
		.stored_trace_id = *stored_as,
		.start_ns = s->start_ns,
		.end_ns = s->start_ns + s->duration_ns,
		.peer = s->kind == CLEW_KIND_SERVER ? said.peer : 0,
		.path = said.path,
		.resource = clew_resource_ref(s->resource),
		.method = said.method,
		.server_port = said.server_port,
		.kind = (uint8_t)s->kind,
	};
	b = id_bucket(&r->trace_id, &r->span_id);
	r->next_of_id = t->of_id[b];
	t->of_id[b] = number;
	b = trace_bucket(&r->trace_id);
	r->next_of_trace = t->of_trace[b];
	t->of_trace[b] = number;
	if (!r->peer)
		return;
	b = r->peer & (BUCKETS - 1);
	r->next_of_peer = t->of_peer[b];
	t->of_peer[b] = number;
}

/* ---- attributes ---- */

static const struct clew_attr *first_of(const struct clew_span *s, const char *const *names)
{
	const struct clew_attr *a = NULL;

	for (; !a && *names; names++)
		a = clew_span_attr(s, slice_str(*names));
	return a;
}

static struct slice text_of(const struct clew_attr *a)
{
	return a && a->type == CLEW_ATTR_STR ? a->str : SLICE("");
}

/* As a number; some SDKs write ports as text. */
static uint16_t port_of(const struct clew_attr *a)
{
	int64_t v = 0;

	if (a && a->type == CLEW_ATTR_INT)
		v = a->i;
	for (size_t i = 0; a && a->type == CLEW_ATTR_STR && i < a->str.n && i < 6; i++) {
		if (a->str.p[i] < '0' || a->str.p[i] > '9')
			return 0;
		v = v * 10 + (a->str.p[i] - '0');
	}
	return v > 0 && v <= UINT16_MAX ? (uint16_t)v : 0;
}

/* "::ffff:10.0.0.1" is what a socket of both families calls 10.0.0.1. */
static struct slice plain_address(struct slice a)
{
	const struct slice mapped = SLICE("::ffff:");

	return slice_starts(a, mapped) ? slice_of(a.p + mapped.n, a.n - mapped.n) : a;
}

static uint64_t peer_hash(struct slice address, uint16_t port)
{
	address = plain_address(address);
	return address.n && port ? clew_hash64(address.p, address.n, port) | 1 : 0;
}

/* The address and the port must be of one pair: what a proxy forwarded has no port of the socket. */
static uint64_t peer_of(const struct clew_span *s)
{
	static const char *const pairs[][3] = {
		{"network.peer.address", "network.peer.port"},
		{"net.sock.peer.addr", "net.sock.peer.port"},
		{"net.peer.ip", "net.peer.port"},
		{"client.address", "client.port"},
	};
	uint64_t h = 0;

	for (size_t i = 0; !h && i < sizeof(pairs) / sizeof(*pairs); i++)
		h = peer_hash(text_of(clew_span_attr(s, slice_str(pairs[i][0]))),
			      port_of(clew_span_attr(s, slice_str(pairs[i][1]))));
	return h;
}

/* The port and the path of "http://host:port/path?query". */
static void split_url(struct slice url, uint16_t *ret_port, struct slice *ret_path)
{
	const char *end = url.p + url.n, *at = url.n ? memmem(url.p, url.n, "://", 3) : NULL;
	const uint32_t usual = slice_starts(url, SLICE("https")) ? 443 : 80;
	uint32_t port = usual;
	bool digits = false;

	if (!at)
		return;
	for (at += 3; at < end && !strchr("/?#", *at); at++) {
		if (*at == ':') {
			digits = true;
			port = 0;
		} else if (digits && *at >= '0' && *at <= '9' && port <= UINT16_MAX) {
			port = port * 10 + (uint32_t)(*at - '0');
		} else { /* a name, or the end of [::1] */
			digits = false;
			port = usual;
		}
	}
	*ret_port = port <= UINT16_MAX ? (uint16_t)port : 0;
	*ret_path = slice_of(at, (size_t)(end - at));
}

static uint64_t path_hash(struct slice path)
{
	size_t n = 0;

	while (n < path.n && path.p[n] != '?' && path.p[n] != '#')
		n++;
	return n ? clew_hash64(path.p, n, 2) | 1 : 0;
}

void said_of(const struct clew_span *s, struct said *ret)
{
	static const char *const methods[] = {"http.request.method", "http.method", NULL};
	static const char *const paths[] = {"url.path", "http.target", NULL};
	static const char *const urls[] = {"url.full", "http.url", NULL};
	static const char *const server_ports[] = {"server.port", "net.host.port", NULL};
	static const char *const peer_ports[] = {"server.port", "net.peer.port",
						 "network.peer.port", NULL};
	const struct slice method = text_of(first_of(s, methods));
	bool server = s->kind == CLEW_KIND_SERVER;
	struct slice path = {NULL, 0};

	*ret = (struct said){.peer = peer_of(s)};
	split_url(text_of(first_of(s, urls)), &ret->server_port, &path);
	if (port_of(first_of(s, server ? server_ports : peer_ports)))
		ret->server_port = port_of(first_of(s, server ? server_ports : peer_ports));
	if (text_of(first_of(s, paths)).n)
		path = text_of(first_of(s, paths));
	ret->path = path_hash(path);
	if (method.n)
		ret->method = (uint32_t)clew_hash64(method.p, method.n, 3) | 1;
}
