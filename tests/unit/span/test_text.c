/* SPDX-License-Identifier: Apache-2.0 */
/* Folding of paths, redaction, trace headers: functions over text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "span/path_template.h"
#include "span/redact.h"
#include "span/trace_context.h"

static void folds_ids(void **state)
{
	static const struct {
		const char *path, *want;
	} cases[] = {
		{"/", "/"},
		{"/item/42", "/item/{id}"},
		{"/item/42/", "/item/{id}/"},
		{"//item//7", "//item//{id}"},
		{"/v1/users/550e8400-e29b-41d4-a716-446655440000/cart", "/v1/users/{id}/cart"},
		{"/commit/4b825dc642cb6eb9a060e54bf8d69288fbee4904", "/commit/{id}"},
		{"/api/v2/health", "/api/v2/health"},
		{"/face2face", "/face2face"},
		{"/s3/utf8/http2", "/s3/utf8/http2"},
		{"/order-12345", "/{id}"},
		{"/day/2024-05-01", "/day/{id}"},
		{"/mail/a@example.org", "/mail/{id}"},
		{"/static/app.js", "/static/app.js"},
		{"/t/dQw4w9WgXcQaB3x", "/t/{id}"},
		{"", ""},
		{"*", "*"},
	};
	char out[CLEW_TEMPLATE_MAX + 4];
	bool folded;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t n = clew_path_template(slice_str(cases[i].path), out, &folded);

		assert_string_equal(out, cases[i].want);
		assert_int_equal(n, strlen(out));
		assert_int_equal(folded, strcmp(cases[i].path, cases[i].want) != 0);
	}
}

static void long_path_is_cut_with_a_mark(void **state)
{
	char path[1000], out[CLEW_TEMPLATE_MAX + 4];
	bool folded;
	size_t n;

	for (size_t i = 0; i < sizeof(path); i++)
		path[i] = i % 8 ? 'a' : '/';
	n = clew_path_template(slice_of(path, sizeof(path)), out, &folded);
	assert_int_equal(n, CLEW_TEMPLATE_MAX + 3);
	assert_string_equal(out + CLEW_TEMPLATE_MAX, "\xe2\x80\xa6");
}

static void redacts_secrets_in_queries(void **state)
{
	static const struct {
		const char *query, *want;
	} cases[] = {
		{"a=1&token=abc&b=2", "a=1&token=REDACTED&b=2"},
		{"access_token=x", "access_token=REDACTED"},
		{"Password=x;q=1", "Password=REDACTED;q=1"},
		{"to%6ben=x", "to%6ben=REDACTED"},
		{"apiKey=x&api-key=y&key=z", "apiKey=REDACTED&api-key=REDACTED&key=REDACTED"},
		{"client_secret=x", "client_secret=REDACTED"},
		{"keyword=blue&tokenless", "keyword=blue&tokenless"},
		{"q=token", "q=token"},
		{"&&=&token=", "&&=&token=REDACTED"},
		{"", ""},
		/* the URL in a parameter, plain and encoded */
		{"u=/x?token=s&b=2", "u=/x?token=REDACTED&b=2"},
		{"u=%2Fx%3Ftoken%3Ds%26b%3D2&c=3", "u=%2Fx%3Ftoken%3DREDACTED%26b%3D2&c=3"},
		{"u=ftp://a:s@h/x&v=http://s@h", "u=ftp://h/x&v=http://h"},
		{"x%00token=s", "x%00token=REDACTED"},
		{"PHPSESSID=s&user[password]=s", "PHPSESSID=REDACTED&user[password]=REDACTED"},
		{"token=a/b=c==&x=1", "token=REDACTED&x=1"},
		{"token", "token"},
		{"%", "%"},
		{"%3", "%3"},
		{"%3D%", "%3D%"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct clew_buf out = {0};

		assert_int_equal(clew_redact(CLEW_REDACT_QUERY, &out, slice_str(cases[i].query)),
				 0);
		assert_string_equal(out.data ? out.data : "", cases[i].want);
		clew_buf_done(&out);
	}
}

/* A name longer than any word is not believed: the secret word may lie behind what is looked at. */
static void a_long_name_hides_nothing(void **state)
{
	struct clew_buf out = {0};
	char query[1000];

	memset(query, 'a', sizeof(query));
	memcpy(query + 600, "token=hunter2", 13);
	assert_int_equal(clew_redact(CLEW_REDACT_QUERY, &out, slice_of(query, 613)), 0);
	assert_string_equal(out.data + 600, "token=REDACTED");
	clew_buf_done(&out);
}

static void knows_secret_headers(void **state)
{
	assert_true(clew_header_secret(SLICE("Authorization")));
	assert_true(clew_header_secret(SLICE("set-cookie")));
	assert_true(clew_header_secret(SLICE("Proxy-Authorization")));
	assert_true(clew_header_secret(SLICE("X-Api-Key")));
	assert_false(clew_header_secret(SLICE("content-type")));
	assert_false(clew_header_secret(SLICE("x-request-id")));
}

static void reads_traceparent(void **state)
{
	struct clew_trace_context c;
	char hex[33];

	assert_int_equal(
		clew_traceparent_parse(
			SLICE("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), &c),
		0);
	clew_hex(c.trace_id.b, 16, hex);
	assert_string_equal(hex, "0af7651916cd43dd8448eb211c80319c");
	clew_hex(c.span_id.b, 8, hex);
	assert_string_equal(hex, "b7ad6b7169203331");
	/* a later version may go on */
	assert_int_equal(
		clew_traceparent_parse(
			SLICE("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"), &c),
		0);
}

static void refuses_malformed_traceparent(void **state)
{
	static const char *const bad[] = {
		"",
		"00",
		"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"00-00000000000000000000000000000000-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
		"00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
		"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
	};
	struct clew_trace_context c;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(clew_traceparent_parse(slice_str(bad[i]), &c), -EBADMSG);
}

static void reads_b3(void **state)
{
	struct clew_trace_context c;
	char hex[33];

	assert_int_equal(clew_b3_parse(SLICE("80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-"
					     "05e3ac9a4f6e3b90"),
				       &c),
			 0);
	clew_hex(c.span_id.b, 8, hex);
	assert_string_equal(hex, "e457b5a2e4d86bd1");
	assert_int_equal(clew_b3_parse(SLICE("64fe8b2a57d3eff7-e457b5a2e4d86bd1"), &c), 0);
	clew_hex(c.trace_id.b, 16, hex);
	assert_string_equal(hex, "000000000000000064fe8b2a57d3eff7");
	assert_int_equal(clew_b3_parse(SLICE("0"), &c), -ENOENT);
	assert_int_equal(clew_b3_parse(SLICE("nonsense"), &c), -EBADMSG);
	assert_int_equal(clew_b3_parse(SLICE("64fe8b2a57d3eff7-"), &c), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folds_ids),
		cmocka_unit_test(long_path_is_cut_with_a_mark),
		cmocka_unit_test(redacts_secrets_in_queries),
		cmocka_unit_test(a_long_name_hides_nothing),
		cmocka_unit_test(knows_secret_headers),
		cmocka_unit_test(reads_traceparent),
		cmocka_unit_test(refuses_malformed_traceparent),
		cmocka_unit_test(reads_b3),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
