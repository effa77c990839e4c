/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a span says of its exchange stands in attributes whose names changed over the years; both the
 * stable ones (semantic conventions 1.23 and later) and those before are read.
 */
#include "join/internal.h"

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

static bool shares_connection(const struct clew_span *s)
{
	static const char *const systems[] = {"rpc.system", "rpc.system.name", NULL};
	static const char *const versions[] = {"network.protocol.version", "http.flavor", NULL};
	const struct slice version = text_of(first_of(s, versions));

	return first_of(s, systems) || (version.n && (*version.p == '2' || *version.p == '3'));
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

	*ret = (struct said){.peer = peer_of(s), .shares = shares_connection(s)};
	split_url(text_of(first_of(s, urls)), &ret->server_port, &path);
	if (port_of(first_of(s, server ? server_ports : peer_ports)))
		ret->server_port = port_of(first_of(s, server ? server_ports : peer_ports));
	if (text_of(first_of(s, paths)).n)
		path = text_of(first_of(s, paths));
	ret->path = path_hash(path);
	if (method.n)
		ret->method = (uint32_t)clew_hash64(method.p, method.n, 3) | 1;
}

uint64_t peer_key(uint64_t peer, uint64_t start_ns)
{
	const uint64_t v[2] = {peer, start_ns / PEER_STEP_NS};

	return peer ? clew_hash64(v, sizeof(v), 4) | 1 : 0;
}

#define HEADER_TEXT (32 + 1 + 16)

void header_keep(struct clew_span *s)
{
	char text[HEADER_TEXT + 1];

	if (clew_id64_none(&s->header_span_id) ||
	    (clew_id64_eq(&s->header_span_id, &s->parent_span_id) &&
	     clew_id128_eq(&s->header_trace_id, &s->trace_id)))
		return;
	clew_hex(s->header_trace_id.b, sizeof(s->header_trace_id.b), text);
	text[32] = '-';
	clew_hex(s->header_span_id.b, sizeof(s->header_span_id.b), text + 33);
	clew_span_set_str(s, HEADER_ATTR, slice_of(text, HEADER_TEXT));
}

void header_recall(struct clew_span *s)
{
	const struct slice text = text_of(clew_span_attr(s, SLICE(HEADER_ATTR)));

	if (text.n == HEADER_TEXT) {
		(void)clew_unhex(text.p, 32, s->header_trace_id.b, sizeof(s->header_trace_id.b));
		(void)clew_unhex(text.p + 33, 16, s->header_span_id.b, sizeof(s->header_span_id.b));
	} else if (s->kind == CLEW_KIND_SERVER || s->evidence & CLEW_EV_HEADER) {
		/* Where nothing better was known the header is the parent; a caller's is told by the wire, too. */
		s->header_trace_id = s->trace_id;
		s->header_span_id = s->parent_span_id;
	}
}
