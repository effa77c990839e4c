/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes, name and status of HTTP spans, over exchanges made up here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "span/span_build.h"

struct made {
	struct clew_conn conn;
	struct clew_exchange x;
};

static void make(struct made *m, enum clew_role role, const char *method, const char *target,
		 const char *request, uint16_t status, const char *response)
{
	*m = (struct made){
		.conn = {.family = CLEW_AF_INET,
			 .laddr = {[10] = 0xff, 0xff, 10, 0, 0, 1},
			 .raddr = {[10] = 0xff, 0xff, 10, 0, 0, 2},
			 .lport = 4000,
			 .rport = 8080},
		.x = {.proto = CLEW_PROTO_HTTP1,
		      .role = role,
		      .req = {.seen = true, .head = slice_str(request)},
		      .resp = {.seen = status != 0, .head = slice_str(response)},
		      .http = {.method = slice_str(method),
			       .target = slice_str(target),
			       .minor = 1,
			       .status = status}},
	};
	m->x.conn = &m->conn;
}

static struct clew_span *build(struct made *m, char *const *headers)
{
	const struct clew_span_build_opts o = {.capture_headers = headers};
	struct clew_span_facts f;
	struct clew_span *s;

	m->x.conn = &m->conn;
	clew_span_facts_of(&m->x, &f);
	s = clew_span_build(&f, NULL, 0, &o);
	assert_non_null(s);
	return s;
}

static void assert_attr(const struct clew_span *s, const char *key, const char *want)
{
	const struct clew_attr *a = clew_span_attr(s, slice_str(key));
	char text[512];

	if (!want) {
		assert_null(a);
		return;
	}
	assert_non_null(a);
	assert_int_equal(a->type, CLEW_ATTR_STR);
	assert_in_range(a->str.n, 0, sizeof(text) - 1);
	memcpy(text, a->str.p, a->str.n);
	text[a->str.n] = '\0';
	assert_string_equal(text, want);
}

static void assert_nowhere(const struct clew_span *s, const char *secret)
{
	size_t n = strlen(secret);

	assert_null(memmem(s->name.p, s->name.n, secret, n));
	for (uint32_t i = 0; i < s->n_attrs; i++)
		if (s->attrs[i].type == CLEW_ATTR_STR && s->attrs[i].str.n)
			assert_null(memmem(s->attrs[i].str.p, s->attrs[i].str.n, secret, n));
}

static void targets_of_every_form(void **state)
{
	static const struct {
		const char *method, *target, *host, *name, *path, *query, *full, *address;
		int port;
	} rows[] = {
		{"GET", "/a/7?x=1#f", "shop:81", "GET /a/{id}", "/a/7", "x=1",
		 "http://shop:81/a/7?x=1", "shop", 81},
		{"GET", "http://u:hunter2@shop:81/a?x=1", "other", "GET /a", "/a", "x=1",
		 "http://shop:81/a?x=1", "shop", 81},
		{"GET", "/a", "u:hunter2@shop", "GET /a", "/a", NULL, "http://shop/a", "shop",
		 8080},
		{"GET", "http://shop?token=hunter2", "", "GET", NULL, "token=REDACTED",
		 "http://shop?token=REDACTED", "shop", 8080},
		{"CONNECT", "u:hunter2@shop:443", "x", "CONNECT", NULL, NULL, NULL, "shop", 443},
		{"CONNECT", "shop:443/?token=hunter2", "x", "CONNECT", NULL, NULL, NULL, "shop",
		 443},
		{"OPTIONS", "*", "shop", "OPTIONS *", "*", NULL, "http://shop", "shop", 8080},
		{"GET", "/a", "[::1]:81", "GET /a", "/a", NULL, "http://[::1]:81/a", "::1", 81},
		/* HTTP/1.0 without Host: the other end of the connection */
		{"GET", "/a", "", "GET /a", "/a", NULL, "http://10.0.0.2:8080/a", "10.0.0.2", 8080},
		{"GET", "/in;jsessionid=hunter2/x;v=1", "shop", "GET /in;jsessionid=REDACTED/x;v=1",
		 "/in;jsessionid=REDACTED/x;v=1", NULL, "http://shop/in;jsessionid=REDACTED/x;v=1",
		 "shop", 8080},
		{"GET", "/fetch/http://u:hunter2@h/x", "shop", "GET /fetch/http://h/x",
		 "/fetch/http://h/x", NULL, "http://shop/fetch/http://h/x", "shop", 8080},
		{"GET", "/go?next=/cb?token=hunter2&x=1", "shop", "GET /go", "/go",
		 "next=/cb?token=REDACTED&x=1", "http://shop/go?next=/cb?token=REDACTED&x=1",
		 "shop", 8080},
		{"FETCH", "/a", "shop", "HTTP /a", "/a", NULL, "http://shop/a", "shop", 8080},
	};
	struct made m;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char head[256];
		struct clew_span *s;
		const struct clew_attr *port;

		snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\n%s%s%s\r\n", rows[i].method,
			 rows[i].target, *rows[i].host ? "Host: " : "", rows[i].host,
			 *rows[i].host ? "\r\n" : "");
		make(&m, CLEW_ROLE_CLIENT, rows[i].method, rows[i].target, head, 200,
		     "HTTP/1.1 200 OK\r\n\r\n");
		s = build(&m, NULL);
		assert_memory_equal(s->name.p, rows[i].name, s->name.n);
		assert_int_equal(s->name.n, strlen(rows[i].name));
		assert_attr(s, "url.path", rows[i].path);
		assert_attr(s, "url.query", rows[i].query);
		assert_attr(s, "url.full", rows[i].full);
		assert_attr(s, "server.address", rows[i].address);
		port = clew_span_attr(s, SLICE("server.port"));
		assert_non_null(port);
		assert_int_equal(port->i, rows[i].port);
		assert_nowhere(s, "hunter2");
		clew_span_free(s);
	}
}

static void captured_headers_hold_no_secret(void **state)
{
	char *const names[] = {"X-Tenant",  "referer", "location", "link",
			       "x-api-key", "cookie",  "absent",   NULL};
	struct clew_span *s;
	struct made m;

	make(&m, CLEW_ROLE_SERVER, "GET", "/",
	     "GET / HTTP/1.1\r\nx-tenant: blue\r\nX-Api-Key: hunter2\r\nCookie: a=hunter2\r\n"
	     "Referer: https://u:hunter2@shop/in;jsessionid=hunter2?token=hunter2&x=1\r\n\r\n",
	     302,
	     "HTTP/1.1 302 Found\r\n"
	     "Location: https://shop/cb?to=https%3A%2F%2Fh%2F%3Fpassword%3Dhunter2%26x%3D1&y=2\r\n"
	     "Link: <https://shop/?key=hunter2>; rel=next, <https://u:hunter2@h/>\r\n\r\n");
	s = build(&m, names);
	assert_attr(s, "http.request.header.x-tenant", "blue");
	assert_attr(s, "http.request.header.x-api-key", NULL);
	assert_attr(s, "http.request.header.cookie", NULL);
	assert_attr(s, "http.request.header.absent", NULL);
	assert_attr(s, "http.request.header.referer", "https://shop/in;jsessionid=REDACTED&x=1");
	assert_attr(s, "http.response.header.location",
		    "https://shop/cb?to=https%3A%2F%2Fh%2F%3Fpassword%3DREDACTED%26x%3D1&y=2");
	assert_attr(s, "http.response.header.link",
		    "<https://shop/?key=REDACTED>; rel=next, <https://h/>");
	assert_nowhere(s, "hunter2");
	clew_span_free(s);
}

static void errors_as_the_conventions_say(void **state)
{
	static const struct {
		enum clew_role role;
		uint16_t status;
		uint32_t incomplete;
		bool closed;
		const char *type;
	} rows[] = {
		{CLEW_ROLE_SERVER, 200, 0, true, NULL},
		{CLEW_ROLE_SERVER, 404, 0, true, NULL},
		{CLEW_ROLE_SERVER, 500, 0, true, "500"},
		{CLEW_ROLE_CLIENT, 399, 0, true, NULL},
		{CLEW_ROLE_CLIENT, 400, 0, true, "400"},
		{CLEW_ROLE_CLIENT, 599, 0, true, "599"},
		{CLEW_ROLE_CLIENT, 0, CLEW_INC_NO_RESPONSE, true, "connection_closed"},
		{CLEW_ROLE_CLIENT, 200, CLEW_INC_CUT, true, "connection_closed"},
		/* the tracing stopped, or what is missing may only be unseen */
		{CLEW_ROLE_CLIENT, 0, CLEW_INC_NO_RESPONSE, false, NULL},
		{CLEW_ROLE_CLIENT, 0, CLEW_INC_NO_RESPONSE | CLEW_INC_LOSS, true, NULL},
		{CLEW_ROLE_SERVER, 0, CLEW_INC_NO_RESPONSE, true, NULL},
	};
	struct made m;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct clew_span *s;

		make(&m, rows[i].role, "GET", "/", "GET / HTTP/1.1\r\n\r\n", rows[i].status, "");
		m.x.incomplete = rows[i].incomplete;
		m.x.conn_closed = rows[i].closed;
		s = build(&m, NULL);
		assert_attr(s, "error.type", rows[i].type);
		assert_int_equal(s->status, rows[i].type ? CLEW_STATUS_ERROR : CLEW_STATUS_UNSET);
		clew_span_free(s);
	}
}

static void a_head_that_was_not_seen(void **state)
{
	struct clew_span *s;
	struct made m;

	make(&m, CLEW_ROLE_CLIENT, "", "", "", 0, "");
	s = build(&m, (char *[]){"x-tenant", NULL});
	assert_true(slice_eq(s->name, SLICE("HTTP")));
	assert_attr(s, "http.request.method", NULL);
	assert_attr(s, "url.path", NULL);
	assert_attr(s, "url.full", NULL);
	clew_span_free(s);
}

static void a_unix_peer_has_no_port_in_its_url(void **state)
{
	struct clew_span *s;
	struct made m;

	make(&m, CLEW_ROLE_CLIENT, "GET", "/a", "GET /a HTTP/1.0\r\n\r\n", 200, "");
	m.conn.family = CLEW_AF_UNIX;
	m.conn.path = "/run/app.sock";
	s = build(&m, NULL);
	assert_attr(s, "server.address", "/run/app.sock");
	assert_attr(s, "url.full", "http://localhost/a");
	clew_span_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(targets_of_every_form),
		cmocka_unit_test(captured_headers_hold_no_secret),
		cmocka_unit_test(errors_as_the_conventions_say),
		cmocka_unit_test(a_head_that_was_not_seen),
		cmocka_unit_test(a_unix_peer_has_no_port_in_its_url),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
