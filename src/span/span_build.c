/* SPDX-License-Identifier: Apache-2.0 */
#include "span/span_build.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "span/attr_writer.h"

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
static void server_end(const struct clew_span_facts *f, const uint8_t **addr, uint16_t *port)
{
	bool ours = f->role == CLEW_ROLE_SERVER;

	*addr = ours ? f->conn->laddr : f->conn->raddr;
	*port = ours ? f->conn->lport : f->conn->rport;
}

static void add_unix(struct attr_writer *w, const struct clew_conn *c, bool client)
{
	struct slice path = clew_span_copy(w->s, slice_str(c->path));

	attr_str(w, SLICE("network.transport"), SLICE("unix"));
	if (!path.n)
		return;
	w->host = attr_str(w, SLICE("server.address"), path);
	if (client)
		attr_str(w, SLICE("network.peer.address"), path);
}

static void add_inet(struct attr_writer *w, const struct clew_conn *c, bool client)
{
	char text[ADDRESS_MAX];
	struct slice remote, local;

	attr_str(w, SLICE("network.transport"), SLICE("tcp"));
	/* The ends of a connection that was gone when it was looked at are not known. */
	if (!c->rport)
		return;
	remote = local = clew_span_copy(w->s, address(c->raddr, text));
	if (!client)
		local = clew_span_copy(w->s, address(c->laddr, text));
	attr_str(w, SLICE("network.type"), is_v4(c->laddr) ? SLICE("ipv4") : SLICE("ipv6"));
	w->host = attr_str(w, SLICE("server.address"), local);
	w->port = attr_int(w, SLICE("server.port"), client ? c->rport : c->lport);
	attr_str(w, SLICE("network.peer.address"), remote);
	attr_int(w, SLICE("network.peer.port"), c->rport);
	if (!client) {
		attr_str(w, SLICE("client.address"), remote);
		attr_int(w, SLICE("client.port"), c->rport);
	}
}

/* "tcp 10.0.0.7:6379", "tcp [::1]:80", "unix /run/app.sock": after the server's end, whoever we
 * are. */
static void name_raw(struct clew_span *s, const struct clew_span_facts *f)
{
	char text[ADDRESS_MAX], name[256];
	const uint8_t *addr;
	uint16_t port;

	if (f->conn->family == CLEW_AF_UNIX) {
		snprintf(name, sizeof(name), "unix %s",
			 f->conn->path ? f->conn->path : "(unnamed)");
	} else {
		server_end(f, &addr, &port);
		address(addr, text);
		snprintf(name, sizeof(name), is_v4(addr) ? "tcp %s:%u" : "tcp [%s]:%u", text, port);
	}
	s->name = clew_span_copy(s, slice_str(name));
}

static int add_attrs(struct clew_span *s, const struct clew_span_facts *f,
		     const struct clew_span_build_opts *opts)
{
	struct attr_writer w = {.s = s, .at = clew_span_room(s, ATTRS_MAX)};
	bool client = f->role == CLEW_ROLE_CLIENT;

	if (!w.at)
		return -ENOMEM;
	if (f->conn->family == CLEW_AF_UNIX)
		add_unix(&w, f->conn, client);
	else
		add_inet(&w, f->conn, client);
	if (f->proto == CLEW_PROTO_HTTP1) {
		clew_span_add_http(&w, f);
	} else {
		name_raw(s, f);
		attr_int(&w, SLICE("clew.request.size"), (int64_t)f->req_bytes);
		attr_int(&w, SLICE("clew.response.size"), (int64_t)f->resp_bytes);
	}
	s->n_attrs = (uint32_t)(w.at - s->attrs);
	if (f->proto == CLEW_PROTO_HTTP1 && f->x && opts && opts->capture_headers)
		clew_span_add_headers(s, f->x, opts->capture_headers);
	return 0;
}

struct clew_span *clew_span_build(const struct clew_span_facts *f, struct clew_resource *resource,
				  int64_t real_offset_ns, const struct clew_span_build_opts *opts)
{
	struct clew_span *s = clew_span_new_in(opts ? opts->pool : NULL);

	if (!s)
		return NULL;
	s->scope = SLICE("clew");
	s->resource = clew_resource_ref(resource);
	s->kind = f->role == CLEW_ROLE_SERVER ? CLEW_KIND_SERVER : CLEW_KIND_CLIENT;
	s->pid = f->tgid;
	s->tid = f->tid;
	s->proc_start_ns = f->proc_start_ns;
	s->incomplete = f->incomplete;
	if (f->has_wire_key)
		s->wire_key = f->wire_key;
	s->header_trace_id = f->header_trace;
	s->header_span_id = f->header_span;
	s->start_ns = f->start_ns + (uint64_t)real_offset_ns;
	s->duration_ns = f->duration_ns;
	s->times = f->times;
	if (add_attrs(s, f, opts) < 0) {
		clew_span_free(s);
		return NULL;
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
