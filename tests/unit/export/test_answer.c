/* SPDX-License-Identifier: Apache-2.0 */
/* What answers mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "export/internal.h"

#define BIG 1000000u

static struct judgement http_answer(long status, const char *type, struct slice body, int64_t after,
				    bool gzip)
{
	const struct target t = {.gzip = gzip};
	struct raw_answer a = {.grpc_status = -1};
	struct judgement j;
	char line[100];

	snprintf(line, sizeof(line), "Content-Type: %s\r\n", type);
	answer_header(&a, SLICE("HTTP/1.1 200 OK\r\n"));
	answer_header(&a, slice_str(line));
	a.status = status;
	a.retry_after = after;
	clew_buf_add(&a.body, body.p, body.n);
	answer_judge(&t, &a, BIG, &j);
	answer_done(&a);
	return j;
}

static void of_http(void **state)
{
	static const struct {
		long status;
		enum verdict verdict;
	} v[] = {
		{200, VERDICT_SENT},	{202, VERDICT_SENT},	  {301, VERDICT_REFUSED},
		{400, VERDICT_REFUSED}, {401, VERDICT_REFUSED},	  {404, VERDICT_REFUSED},
		{408, VERDICT_REFUSED}, {413, VERDICT_TOO_LARGE}, {415, VERDICT_REFUSED},
		{429, VERDICT_RETRY},	{500, VERDICT_REFUSED},	  {502, VERDICT_RETRY},
		{503, VERDICT_RETRY},	{504, VERDICT_RETRY},
	};
	struct judgement j;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		j = http_answer(v[i].status, "application/x-protobuf", SLICE(""), 0, false);
		assert_int_equal(j.verdict, v[i].verdict);
		assert_true(j.verdict == VERDICT_SENT || j.why[0]);
	}
	assert_int_equal(http_answer(415, "text/plain", SLICE("gz?"), 0, true).verdict,
			 VERDICT_NO_GZIP);
	j = http_answer(200, "text/html; charset=utf-8", SLICE("<html>"), 0, true);
	assert_int_equal(j.verdict, VERDICT_REFUSED);
	assert_non_null(strstr(j.why, "web page"));
}

static void of_http_details(void **state)
{
	struct judgement j = http_answer(503, "application/x-protobuf",
					 SLICE("\x12\x04"
					       "busy"),
					 7, false);

	assert_true(j.wait_ns == 7000000000u);
	assert_string_equal(j.why, "HTTP 503: busy");
	j = http_answer(503, "text/plain", SLICE("x"), 100000000, false);
	assert_true(j.wait_ns == CLEW_EXPORT_WAIT_MAX_NS);
	j = http_answer(200, "application/json",
			SLICE("{\"partialSuccess\":{\"rejectedSpans\":\"3\",\"errorMessage\":"
			      "\"a\x1b[1m\"}}"),
			0, false);
	assert_int_equal(j.rejected, 0); /* a control character: no JSON; taken all the same */
	j = http_answer(200, "application/json",
			SLICE("{\"partialSuccess\":{\"rejectedSpans\":\"3\",\"errorMessage\":"
			      "\"a\\u001b[1m\"}}"),
			0, false);
	assert_int_equal(j.verdict, VERDICT_SENT);
	assert_int_equal(j.rejected, 3);
	assert_string_equal(j.why, "3 spans were rejected: a [1m");
	j = http_answer(400, "application/json", SLICE("{\"message\":\"bad\"}"), 0, false);
	assert_string_equal(j.why, "HTTP 400: bad");
}

static struct judgement grpc_answer(const char *headers, struct slice body, size_t sent_bytes)
{
	const struct target t = {.grpc = true, .gzip = true};
	struct raw_answer a = {.grpc_status = -1};
	struct judgement j;
	const char *end;

	answer_header(&a, SLICE("HTTP/2 200\r\n"));
	for (; (end = strstr(headers, "\r\n")); headers = end + 2)
		answer_header(&a, slice_of(headers, (size_t)(end - headers) + 2));
	a.status = 200;
	clew_buf_add(&a.body, body.p, body.n);
	answer_judge(&t, &a, sent_bytes, &j);
	answer_done(&a);
	return j;
}

static void of_grpc(void **state)
{
	struct judgement j = grpc_answer("content-type: application/grpc\r\ngrpc-status: 0\r\n",
					 SLICE("\0\0\0\0\x08\x0a\x06\x08\x05\x12\x02no"), BIG);

	assert_int_equal(j.verdict, VERDICT_SENT);
	assert_int_equal(j.rejected, 5);
	assert_string_equal(j.why, "5 spans were rejected: no");
	j = grpc_answer("grpc-status: 14\r\ngrpc-message: not%20n%C3%B6w%0a%\r\n", SLICE(""), BIG);
	assert_int_equal(j.verdict, VERDICT_RETRY);
	assert_string_equal(j.why, "gRPC status 14: not n??w %");
	assert_int_equal(grpc_answer("grpc-status: 3\r\n", SLICE(""), BIG).verdict,
			 VERDICT_REFUSED);
	assert_int_equal(grpc_answer("Grpc-Status: 4\r\n", SLICE(""), BIG).verdict, VERDICT_RETRY);
	assert_int_equal(grpc_answer("", SLICE(""), BIG).verdict, VERDICT_REFUSED);
	j = grpc_answer("grpc-status: 12\r\ngrpc-message: Decompressor is not installed for "
			"grpc-encoding \"gzip\"\r\n",
			SLICE(""), BIG);
	assert_int_equal(j.verdict, VERDICT_NO_GZIP);
	j = grpc_answer("grpc-status: 12\r\ngrpc-message: unknown service\r\n", SLICE(""), BIG);
	assert_int_equal(j.verdict, VERDICT_REFUSED);
}

static void of_what_is_exhausted(void **state)
{
	/* Status{code 8, details RetryInfo{2.5 s}}, base64 without padding */
	static const char info[] = "grpc-status: 8\r\ngrpc-status-details-bin: "
				   "CAgaNgoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29n"
				   "bGUucnBjLlJldHJ5SW5mbxIKCggIAhCAyrXuAQ\r\n";
	struct judgement j = grpc_answer(info, SLICE(""), BIG);

	assert_int_equal(j.verdict, VERDICT_RETRY);
	assert_true(j.wait_ns == 2500000000u);
	assert_int_equal(grpc_answer("grpc-status: 8\r\n", SLICE(""), BIG).verdict,
			 VERDICT_TOO_LARGE);
	assert_int_equal(grpc_answer("grpc-status: 8\r\n", SLICE(""), 1000).verdict, VERDICT_RETRY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_http),
		cmocka_unit_test(of_http_details),
		cmocka_unit_test(of_grpc),
		cmocka_unit_test(of_what_is_exhausted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
