/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP spans. Source: OpenTelemetry semantic conventions 1.37, "HTTP spans": names, required and
 * recommended attributes, and when a span is an error (server: 5xx; client: 4xx and 5xx).
 */
#include <ctype.h>
#include <stdio.h>

#include "span/attr_writer.h"
#include "span/path_template.h"
#include "span/redact.h"
#include "span/span_build.h"

/* The parts of a request target, as sent. */
struct target {
	struct slice host; /* of the absolute and authority forms: "user:pw@host:port" without
			      userinfo */
	struct slice path;
	struct slice query;
};

static struct slice after_userinfo(struct slice authority)
{
	for (size_t i = authority.n; i > 0; i--)
		if (authority.p[i - 1] == '@')
			return slice_of(authority.p + i, authority.n - i);
	return authority;
}

static struct target split_target(struct slice t, bool connect)
{
	struct target out = {.path = t};
	const char *cut;
	size_t n;

	if (connect) {
		for (n = 0; n < t.n && !strchr("/?#", t.p[n]); n++)
			;
		return (struct target){.host = after_userinfo(slice_of(t.p, n))};
	}
	if (t.p && t.n && t.p[0] != '/' && t.p[0] != '*') {
		cut = memmem(t.p, t.n, "://", 3);
		if (cut) {
			out.path = slice_of(cut + 3, t.n - (size_t)(cut + 3 - t.p));
			for (n = 0; n < out.path.n && !strchr("/?#", out.path.p[n]); n++)
				;
			out.host = after_userinfo(slice_of(out.path.p, n));
			out.path = slice_of(out.path.p + n, out.path.n - n);
		}
	}
	cut = out.path.n ? memchr(out.path.p, '#', out.path.n) : NULL;
	if (cut)
		out.path.n = (size_t)(cut - out.path.p);
	cut = out.path.n ? memchr(out.path.p, '?', out.path.n) : NULL;
	if (cut) {
		out.query = slice_of(cut + 1, out.path.n - (size_t)(cut + 1 - out.path.p));
		out.path.n = (size_t)(cut - out.path.p);
	}
	return out;
}

/* "example.org:8080", "[::1]:80", "example.org". Port 0: none. */
static struct slice split_host(struct slice authority, int64_t *port)
{
	struct slice host = authority;
	size_t colon = authority.n;

	*port = 0;
	while (colon > 0 && isdigit((unsigned char)authority.p[colon - 1]))
		colon--;
	if (colon > 0 && colon < authority.n && authority.n - colon <= 5 &&
	    authority.p[colon - 1] == ':') {
		for (size_t i = colon; i < authority.n; i++)
			*port = *port * 10 + (authority.p[i] - '0');
		host.n = colon - 1;
	}
	if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = slice_of(host.p + 1, host.n - 2);
	return host;
}

/* The first letters' place in the list is not worth a table: the lengths differ. */
static bool known_method(struct slice m)
{
	static const struct slice known[] = {
		SLICE("GET"),	  SLICE("POST"),  SLICE("PUT"),	    SLICE("DELETE"), SLICE("HEAD"),
		SLICE("OPTIONS"), SLICE("PATCH"), SLICE("CONNECT"), SLICE("TRACE"),
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (slice_eq(m, known[i]))
			return true;
	return false;
}

static void add_method(struct attr_writer *w, struct slice method, bool known)
{
	struct slice copy;

	if (!method.n)
		return;
	copy = clew_span_copy(w->s, method);
	if (known) {
		attr_str(w, SLICE("http.request.method"), copy);
		return;
	}
	attr_str(w, SLICE("http.request.method"), SLICE("_OTHER"));
	attr_str(w, SLICE("http.request.method_original"), copy);
}

static char *put(char *at, struct slice s)
{
	if (s.n)
		memcpy(at, s.p, s.n);
	return at + s.n;
}

/* The strings one behind the other, in the span's own memory; empty without memory. */
static struct slice concat(struct clew_span *s, const struct slice *parts, size_t n)
{
	size_t bytes = 0;
	char *p, *at;

	for (size_t i = 0; i < n; i++)
		bytes += parts[i].n;
	p = at = clew_span_alloc(s, bytes);
	for (size_t i = 0; p && i < n; i++)
		at = put(at, parts[i]);
	return slice_of(p, p ? bytes : 0);
}

/* Text as it may be shown; in the span's own memory. */
static struct slice shown(struct clew_span *s, struct slice text, enum clew_redact_kind kind)
{
	struct clew_buf redacted = {0};
	struct slice copy;

	if (!clew_redact_needed(kind, text))
		return clew_span_copy(s, text);
	clew_redact(kind, &redacted, text);
	copy = clew_span_copy(s, clew_buf_slice(&redacted));
	clew_buf_done(&redacted);
	return copy;
}

/* Path and query, which mostly lie behind each other and need nothing done to them. */
static void shown_target(struct clew_span *s, const struct target *t, struct slice *path,
			 struct slice *query)
{
	*query = SLICE("");
	if (!t->query.n || t->query.p != t->path.p + t->path.n + 1 ||
	    clew_redact_needed(CLEW_REDACT_PATH, t->path) ||
	    clew_redact_needed(CLEW_REDACT_QUERY, t->query)) {
		*path = shown(s, t->path, CLEW_REDACT_PATH);
		if (t->query.n)
			*query = shown(s, t->query, CLEW_REDACT_QUERY);
		return;
	}
	*path = clew_span_copy(s, slice_of(t->path.p, t->path.n + 1 + t->query.n));
	if (!path->p)
		return;
	*query = slice_of(path->p + t->path.n + 1, t->query.n);
	path->n = t->path.n;
}

/*
 * Where a client's request went, for its URL: as the request says, else the connection's other end.
 */
static struct slice url_authority(struct attr_writer *w, struct slice said)
{
	bool v6 = w->host && w->host->str.n && memchr(w->host->str.p, ':', w->host->str.n);
	char number[24] = "";

	if (said.n)
		return said;
	if (!w->host || !w->host->str.n || w->host->str.p[0] == '/' || w->host->str.p[0] == '@')
		return SLICE("localhost");
	if (w->port && w->port->i != 80)
		snprintf(number, sizeof(number), ":%u", (unsigned int)w->port->i);
	return concat(w->s,
		      (struct slice[]){v6 ? SLICE("[") : SLICE(""), w->host->str,
				       v6 ? SLICE("]") : SLICE(""), slice_str(number)},
		      4);
}

/* What the request says of the host; else the connection's end stands for it. */
static void add_host(struct attr_writer *w, const struct clew_span_facts *f, struct slice authority)
{
	int64_t port;
	struct slice host = split_host(authority, &port);

	if (!host.n)
		return;
	host = clew_span_copy(w->s, host);
	if (w->host)
		w->host->str = host;
	else
		w->host = attr_str(w, SLICE("server.address"), host);
	if (!port && f->conn->family != CLEW_AF_UNIX)
		return;
	if (!port)
		port = 80;
	if (w->port)
		w->port->i = port;
	else
		w->port = attr_int(w, SLICE("server.port"), port);
}

/* Host, port, path, query; the whole URL for clients. Returns the path for the name. */
static struct slice add_url(struct attr_writer *w, const struct clew_span_facts *f)
{
	bool connect = slice_eq(f->method, SLICE("CONNECT"));
	struct target t = split_target(f->target, connect);
	struct slice authority = t.host.n ? t.host : after_userinfo(f->host), query, path;

	add_host(w, f, authority);
	attr_str(w, SLICE("url.scheme"), SLICE("http"));
	shown_target(w->s, &t, &path, &query);
	if (path.n)
		attr_str(w, SLICE("url.path"), path);
	if (query.n)
		attr_str(w, SLICE("url.query"), query);
	if (f->role != CLEW_ROLE_CLIENT || connect || !f->target.n)
		return path;
	authority = url_authority(w, authority);
	attr_str(w, SLICE("url.full"),
		 concat(w->s,
			(struct slice[]){SLICE("http://"), authority,
					 slice_eq(path, SLICE("*")) ? SLICE("") : path,
					 query.n ? SLICE("?") : SLICE(""), query},
			5));
	return path;
}

static void set_name(struct attr_writer *w, struct slice verb, struct slice path)
{
	struct clew_span *s = w->s;
	char template[CLEW_TEMPLATE_MAX + 4];
	bool folded;
	size_t n;

	if (!path.n) {
		s->name = clew_span_copy(s, verb);
		return;
	}
	n = clew_path_template(path, template, &folded);
	s->name = concat(s, (struct slice[]){verb, SLICE(" "), slice_of(template, n)}, 3);
	if (s->name.n)
		attr_str(w, SLICE("clew.http.path_template"), slice_of(s->name.p + verb.n + 1, n));
}

static void set_error(struct attr_writer *w, struct slice type)
{
	w->s->status = CLEW_STATUS_ERROR;
	attr_str(w, SLICE("error.type"), type);
}

static void set_status(struct attr_writer *w, const struct clew_span_facts *f)
{
	int from = f->role == CLEW_ROLE_SERVER ? 500 : 400;
	char text[8];

	if (f->status)
		attr_int(w, SLICE("http.response.status_code"), f->status);
	if (f->status >= from) {
		snprintf(text, sizeof(text), "%u", f->status);
		set_error(w, clew_span_copy(w->s, slice_str(text)));
	} else if (f->cut_off) {
		set_error(w, SLICE("connection_closed"));
	}
}

/* Keys of attributes must live as long as the span: put the name into the span's own memory. */
static void add_header(struct clew_span *s, const struct clew_exchange *x, enum clew_part part,
		       const char *prefix, const char *name)
{
	struct slice value = clew_exchange_header(x, part, slice_str(name));
	char key[160];
	struct slice kept;
	int n;

	if (!value.p || clew_header_secret(slice_str(name)))
		return;
	n = snprintf(key, sizeof(key), "%s%s", prefix, name);
	if ((size_t)n >= sizeof(key))
		return;
	for (char *c = key; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	kept = clew_span_copy(s, slice_of(key, (size_t)n + 1));
	if (kept.p)
		clew_span_set_own(s, kept.p, shown(s, value, CLEW_REDACT_HEADER));
}

void clew_span_add_headers(struct clew_span *s, const struct clew_exchange *x, char *const *names)
{
	for (; names && *names; names++) {
		add_header(s, x, CLEW_PART_REQUEST, "http.request.header.", *names);
		add_header(s, x, CLEW_PART_RESPONSE, "http.response.header.", *names);
	}
}

void clew_span_add_http(struct attr_writer *w, const struct clew_span_facts *f)
{
	bool known = known_method(f->method);
	struct slice path;

	add_method(w, f->method, known);
	attr_str(w, SLICE("network.protocol.name"), SLICE("http"));
	attr_str(w, SLICE("network.protocol.version"), f->minor ? SLICE("1.1") : SLICE("1.0"));
	path = add_url(w, f);
	set_name(w, known ? f->method : SLICE("HTTP"), path);
	set_status(w, f);
	if (f->req_bytes)
		attr_int(w, SLICE("http.request.body.size"), (int64_t)f->req_bytes);
	if (f->answered)
		attr_int(w, SLICE("http.response.body.size"), (int64_t)f->resp_bytes);
	if (f->user_agent.n)
		attr_str(w, SLICE("user_agent.original"), clew_span_copy(w->s, f->user_agent));
}
