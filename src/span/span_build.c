/* SPDX-License-Identifier: Apache-2.0 */
#include "span/span_build.h"

#include <arpa/inet.h>
#include <stdio.h>

#define ADDRESS_MAX 64

static bool is_v4(const uint8_t *a)
{
	static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	return !memcmp(a, prefix, sizeof(prefix));
}

static char *put_byte(char *at, unsigned int v)
{
	if (v >= 100)
		*at++ = (char)('0' + v / 100);
	if (v >= 10)
		*at++ = (char)('0' + v / 10 % 10);
	*at++ = (char)('0' + v % 10);
	return at;
}

/* Three or four addresses a span: inet_ntop() and its printf() were a tenth of the pipeline's time.
 */
static struct slice address(const uint8_t *a, char out[ADDRESS_MAX])
{
	char *at = out;

	if (!is_v4(a)) {
		inet_ntop(AF_INET6, a, out, ADDRESS_MAX);
		return slice_str(out);
	}
	for (int i = 12; i < 16; i++) {
		at = put_byte(at, a[i]);
		*at++ = '.';
	}
	*--at = '\0';
	return slice_of(out, (size_t)(at - out));
}

/* The server's end of the connection: ours when we answer, the peer's when we ask. */
static void server_end(const struct clew_exchange *x, const uint8_t **addr, uint16_t *port)
{
	bool ours = x->role == CLEW_ROLE_SERVER;

	*addr = ours ? x->conn->laddr : x->conn->raddr;
	*port = ours ? x->conn->lport : x->conn->rport;
}

static void add_unix(struct clew_span *s, const struct clew_exchange *x)
{
	struct slice path = slice_str(x->conn->path);

	clew_span_set_own(s, "network.transport", SLICE("unix"));
	if (!path.n)
		return;
	clew_span_set_str(s, "server.address", path);
	if (x->role == CLEW_ROLE_CLIENT)
		clew_span_set_str(s, "network.peer.address", path);
}

static void add_inet(struct clew_span *s, const struct clew_exchange *x)
{
	char text[ADDRESS_MAX];
	const uint8_t *addr;
	uint16_t port;

	server_end(x, &addr, &port);
	clew_span_set_own(s, "network.transport", SLICE("tcp"));
	clew_span_set_own(s, "network.type", is_v4(x->conn->laddr) ? SLICE("ipv4") : SLICE("ipv6"));
	clew_span_set_str(s, "server.address", address(addr, text));
	clew_span_set_int(s, "server.port", port);
	clew_span_set_str(s, "network.peer.address", address(x->conn->raddr, text));
	clew_span_set_int(s, "network.peer.port", x->conn->rport);
	if (x->role == CLEW_ROLE_SERVER) {
		clew_span_set_str(s, "client.address", address(x->conn->raddr, text));
		clew_span_set_int(s, "client.port", x->conn->rport);
	}
}

/* "tcp 10.0.0.7:6379", "tcp [::1]:80", "unix /run/app.sock": after the server's end, whoever we
 * are. */
static void name_raw(struct clew_span *s, const struct clew_exchange *x)
{
	char text[ADDRESS_MAX], name[256];
	const uint8_t *addr;
	uint16_t port;

	if (x->conn->family == CLEW_AF_UNIX) {
		snprintf(name, sizeof(name), "unix %s",
			 x->conn->path ? x->conn->path : "(unnamed)");
	} else {
		server_end(x, &addr, &port);
		address(addr, text);
		snprintf(name, sizeof(name), is_v4(addr) ? "tcp %s:%u" : "tcp [%s]:%u", text, port);
	}
	s->name = clew_span_copy(s, slice_str(name));
}

static int64_t spent(const struct clew_message *from, const struct clew_message *to, int counter)
{
	if (counter >= from->n_counters || counter >= to->n_counters ||
	    to->cnt_last[counter] < from->cnt_first[counter])
		return -1;
	return (int64_t)(to->cnt_last[counter] - from->cnt_first[counter]);
}

/*
 * The thread's time between the request and the response, where one thread did both: then, and only
 * then, do its cumulative counters speak of this stretch.
 */
static void add_times(struct clew_span *s, const struct clew_exchange *x)
{
	const struct clew_message *q = &x->req, *a = &x->resp;

	if (!a->seen || q->first.tid != a->last.tid ||
	    q->first.proc_start_ns != a->last.proc_start_ns)
		return;
	s->times.cpu_ns = spent(q, a, CLEW_CNT_CPU_NS);
	s->times.runq_ns = spent(q, a, CLEW_CNT_RUNQ_NS);
	s->times.futex_ns = spent(q, a, CLEW_CNT_FUTEX_NS);
	s->times.disk_ns = spent(q, a, CLEW_CNT_DISK_NS);
	s->times.net_ns = spent(q, a, CLEW_CNT_NET_NS);
	s->times.sleep_ns = spent(q, a, CLEW_CNT_SLEEP_NS);
	s->times.other_ns = spent(q, a, CLEW_CNT_OTHER_NS);
}

/*
 * Server: from the first byte of the request read to the last byte of the response written. Client:
 * from the beginning of the request's first write (the connect before it is the connection's) to
 * the response's last read.
 */
static void set_times(struct clew_span *s, const struct clew_exchange *x, int64_t real_offset_ns)
{
	const struct clew_message *last = x->resp.seen ? &x->resp : &x->req;
	uint64_t start = x->role == CLEW_ROLE_CLIENT ? x->req.first_begin_ns : x->req.first_ns;
	uint64_t end = last->last_ns > x->req.last_ns ? last->last_ns : x->req.last_ns;

	s->start_ns = start + (uint64_t)real_offset_ns;
	s->duration_ns = end > start ? end - start : 0;
}

struct clew_span *clew_span_build(const struct clew_exchange *x, struct clew_resource *resource,
				  int64_t real_offset_ns, const struct clew_span_build_opts *opts)
{
	struct clew_span *s = clew_span_new();

	if (!s)
		return NULL;
	s->scope = SLICE("clew");
	s->resource = clew_resource_ref(resource);
	s->kind = x->role == CLEW_ROLE_SERVER ? CLEW_KIND_SERVER : CLEW_KIND_CLIENT;
	s->pid = x->tgid;
	s->tid = x->req.first.tid;
	s->proc_start_ns = x->proc_start_ns;
	s->incomplete = x->incomplete;
	if (x->has_wire_key)
		s->wire_key = x->wire_key;
	set_times(s, x, real_offset_ns);
	add_times(s, x);
	if (x->conn->family == CLEW_AF_UNIX)
		add_unix(s, x);
	else
		add_inet(s, x);
	if (x->proto == CLEW_PROTO_HTTP1) {
		clew_span_add_http(s, x, opts);
	} else {
		name_raw(s, x);
		clew_span_set_int(s, "clew.request.size", (int64_t)x->req.bytes);
		clew_span_set_int(s, "clew.response.size", (int64_t)x->resp.bytes);
	}
	return s;
}

struct clew_id64 clew_span_id_of(const struct clew_id128 *wire_key, enum clew_role role)
{
	return clew_id64_from(clew_hash64(wire_key->b, sizeof(wire_key->b), (uint64_t)role));
}

struct clew_id128 clew_trace_id_of(const struct clew_id128 *wire_key)
{
	return clew_hash128(wire_key->b, sizeof(wire_key->b), 0);
}
