/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP spans. Source: OpenTelemetry semantic conventions 1.37, "HTTP spans": names, required and
 * recommended attributes, and when a span is an error (server: 5xx; client: 4xx and 5xx).
 */
#include <ctype.h>
#include <stdio.h>

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
	if (t.n && t.p[0] != '/' && t.p[0] != '*') {
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

static bool known_method(struct slice m)
{
	static const char *const known[] = {"GET",     "POST",	"PUT",	   "DELETE", "HEAD",
					    "OPTIONS", "PATCH", "CONNECT", "TRACE"};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (slice_eq(m, slice_str(known[i])))
			return true;
	return false;
}

static void add_method(struct clew_span *s, struct slice method)
{
	if (!method.n)
		return;
	if (known_method(method)) {
		clew_span_set_str(s, "http.request.method", method);
		return;
	}
	clew_span_set_own(s, "http.request.method", SLICE("_OTHER"));
	clew_span_set_str(s, "http.request.method_original", method);
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
static struct slice shown(struct clew_span *s, struct slice text,
			  int (*redact)(struct clew_buf *, struct slice))
{
	struct clew_buf redacted = {0};
	struct slice copy;

	if (!clew_redact_needed(text))
		return clew_span_copy(s, text);
	redact(&redacted, text);
	copy = clew_span_copy(s, clew_buf_slice(&redacted));
	clew_buf_done(&redacted);
	return copy;
}

/*
 * Where a client's request went, for its URL: as the request says, else the connection's other end.
 */
static struct slice url_authority(struct clew_span *s, struct slice said)
{
	const struct clew_attr *host = clew_span_attr(s, SLICE("server.address"));
	const struct clew_attr *port = clew_span_attr(s, SLICE("server.port"));
	bool v6 = host && host->str.n && memchr(host->str.p, ':', host->str.n);
	char number[24] = "";

	if (said.n)
		return said;
	if (!host || !host->str.n || host->str.p[0] == '/' || host->str.p[0] == '@')
		return SLICE("localhost");
	if (port && port->i != 80)
		snprintf(number, sizeof(number), ":%u", (unsigned int)port->i);
	return concat(s,
		      (struct slice[]){v6 ? SLICE("[") : SLICE(""), host->str,
				       v6 ? SLICE("]") : SLICE(""), slice_str(number)},
		      4);
}

/* Host, port, path, query; the whole URL for clients. Returns the path for the name. */
static struct slice add_url(struct clew_span *s, const struct clew_exchange *x)
{
	bool connect = slice_eq(x->http.method, SLICE("CONNECT"));
	struct target t = split_target(x->http.target, connect);
	struct slice authority = t.host, host, query, path;
	int64_t port;

	if (!authority.n)
		authority =
			after_userinfo(clew_exchange_header(x, CLEW_PART_REQUEST, SLICE("host")));
	host = split_host(authority, &port);
	if (host.n) {
		clew_span_set_str(s, "server.address", host);
		if (port || x->conn->family == CLEW_AF_UNIX)
			clew_span_set_int(s, "server.port", port ? port : 80);
	}
	clew_span_set_own(s, "url.scheme", SLICE("http"));
	path = shown(s, t.path, clew_redact_path);
	if (path.n)
		clew_span_set_own(s, "url.path", path);
	query = shown(s, t.query, clew_redact_query);
	if (query.n)
		clew_span_set_own(s, "url.query", query);
	if (x->role != CLEW_ROLE_CLIENT || connect || !x->http.target.n)
		return path;
	authority = url_authority(s, authority);
	clew_span_set_own(s, "url.full",
			  concat(s,
				 (struct slice[]){SLICE("http://"), authority,
						  slice_eq(path, SLICE("*")) ? SLICE("") : path,
						  query.n ? SLICE("?") : SLICE(""), query},
				 5));
	return path;
}

static void set_name(struct clew_span *s, struct slice method, struct slice path)
{
	struct slice verb = known_method(method) ? method : SLICE("HTTP");
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
		clew_span_set_own(s, "clew.http.path_template",
				  slice_of(s->name.p + verb.n + 1, n));
}

/* The connection went away under a request, as far as every byte of it was seen. */
static bool cut_off(const struct clew_exchange *x)
{
	const uint32_t unknown =
		CLEW_INC_LOSS | CLEW_INC_UNSYNCED | CLEW_INC_JOINED | CLEW_INC_LIMIT;

	return x->role == CLEW_ROLE_CLIENT && x->conn_closed && !(x->incomplete & unknown) &&
	       (x->incomplete & (CLEW_INC_NO_RESPONSE | CLEW_INC_CUT));
}

static void set_error(struct clew_span *s, struct slice type)
{
	s->status = CLEW_STATUS_ERROR;
	clew_span_set_str(s, "error.type", type);
}

static void set_status(struct clew_span *s, const struct clew_exchange *x)
{
	int from = x->role == CLEW_ROLE_SERVER ? 500 : 400;
	char text[8];

	if (x->http.status)
		clew_span_set_int(s, "http.response.status_code", x->http.status);
	if (x->http.status >= from) {
		snprintf(text, sizeof(text), "%u", x->http.status);
		set_error(s, slice_str(text));
	} else if (cut_off(x)) {
		set_error(s, SLICE("connection_closed"));
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
		clew_span_set_own(s, kept.p, shown(s, value, clew_redact_header));
}

static void add_headers(struct clew_span *s, const struct clew_exchange *x, char *const *names)
{
	struct slice agent = clew_exchange_header(x, CLEW_PART_REQUEST, SLICE("user-agent"));

	if (agent.n)
		clew_span_set_str(s, "user_agent.original", agent);
	for (; names && *names; names++) {
		add_header(s, x, CLEW_PART_REQUEST, "http.request.header.", *names);
		add_header(s, x, CLEW_PART_RESPONSE, "http.response.header.", *names);
	}
}

static void add_sizes(struct clew_span *s, const struct clew_exchange *x)
{
	if (x->req.body_bytes)
		clew_span_set_int(s, "http.request.body.size", (int64_t)x->req.body_bytes);
	if (x->resp.seen)
		clew_span_set_int(s, "http.response.body.size", (int64_t)x->resp.body_bytes);
}

void clew_span_add_http(struct clew_span *s, const struct clew_exchange *x,
			const struct clew_span_build_opts *opts)
{
	struct slice path;

	add_method(s, x->http.method);
	clew_span_set_own(s, "network.protocol.name", SLICE("http"));
	clew_span_set_own(s, "network.protocol.version",
			  x->http.minor ? SLICE("1.1") : SLICE("1.0"));
	path = add_url(s, x);
	set_name(s, x->http.method, path);
	set_status(s, x);
	add_sizes(s, x);
	add_headers(s, x, opts ? opts->capture_headers : NULL);
}
