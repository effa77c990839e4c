/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP/1.x parsers. Every input lies right before an unmapped page, so that one byte read too far is
 * a crash; every input is also cut at every byte, where the answer must be "more", never something else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proto/http1.h"

static char *page_end; /* of the last mapped page */
static size_t page_room;

static int map_pages(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *p;

	page_room = 4 * page;
	p = mmap(NULL, page_room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		 0);
	if (p == MAP_FAILED)
		return -1;
	page_end = p + page_room;
	return mprotect(page_end, page, PROT_NONE);
}

/* The bytes, with nothing readable behind them. */
static struct slice guarded(const char *bytes, size_t n)
{
	assert_true(n <= page_room);
	memcpy(page_end - n, bytes, n);
	return slice_of(page_end - n, n);
}

struct head_case {
	const char *in;
	ssize_t want; /* 0: all of it */
	const char *method, *target;
	int status, minor;
	int64_t length;
	enum clew_http1_body body;
	const char *req_method; /* of a response */
};

#define BAD .want = -EBADMSG
#define REQ_CASE(text, m, t, v, len, b) \
	{.in = text,                    \
	 .method = m,                   \
	 .target = t,                   \
	 .minor = v,                    \
	 .length = len,                 \
	 .body = CLEW_HTTP1_BODY_##b}

static const struct head_case requests[] = {
	REQ_CASE("GET / HTTP/1.1\r\n\r\n", "GET", "/", 1, -1, NONE),
	REQ_CASE("GET / HTTP/1.0\n\n", "GET", "/", 0, -1, NONE),
	REQ_CASE("M-SEARCH * HTTP/1.1\r\n\r\n", "M-SEARCH", "*", 1, -1, NONE),
	REQ_CASE("GET /a?b=c%20d#\xc3\xa9 HTTP/1.1\r\nA: b\r\n\r\n", "GET", "/a?b=c%20d#\xc3\xa9",
		 1, -1, NONE),
	REQ_CASE("GET http://h/p HTTP/1.1\r\nHost:h\r\n\r\n", "GET", "http://h/p", 1, -1, NONE),
	REQ_CASE("CONNECT h:1 HTTP/1.1\r\n\r\n", "CONNECT", "h:1", 1, -1, NONE),
	REQ_CASE("POST / HTTP/1.1\r\ncontent-length:  7 \r\n\r\n", "POST", "/", 1, 7, LENGTH),
	REQ_CASE("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "POST", "/", 1, 0, NONE),
	REQ_CASE("POST / HTTP/1.1\r\nContent-Length: 7, 7\r\nContent-Length: 7\r\n\r\n", "POST",
		 "/", 1, 7, LENGTH),
	REQ_CASE("POST / HTTP/1.1\r\nContent-Length: 9223372036854775807\r\n\r\n", "POST", "/", 1,
		 INT64_MAX, LENGTH),
	REQ_CASE("POST / HTTP/1.1\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n", "POST", "/", 1, -1,
		 CHUNKED),
	REQ_CASE("POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
		 "POST", "/", 1, -1, CHUNKED),
	REQ_CASE("POST / HTTP/1.1\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n",
		 "POST", "/", 1, 7, CHUNKED),
	REQ_CASE("POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", "POST", "/", 1, -1,
		 UNKNOWN),
	REQ_CASE("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "POST", "/", 0, -1,
		 UNKNOWN),
	REQ_CASE("GET / HTTP/1.1\r\nA: b\r\n folded\r\n\tagain\r\nC: d\r\n\r\n", "GET", "/", 1, -1,
		 NONE),
	REQ_CASE("GET / HTTP/1.1\r\nEmpty:\r\n\r\n", "GET", "/", 1, -1, NONE),
	{.in = "\r\nGET / HTTP/1.1\r\n\r\n", BAD},
	{.in = "GET  / HTTP/1.1\r\n\r\n", BAD},
	{.in = "GET / HTTP/2.0\r\n\r\n", BAD},
	{.in = "GET / HTTP/1.x\r\n\r\n", BAD},
	{.in = "GET / HTTP/1.1 \r\n\r\n", BAD},
	{.in = "GET /a b HTTP/1.1\r\n\r\n", BAD},
	{.in = "GET /\x01 HTTP/1.1\r\n\r\n", BAD},
	{.in = "GET /\x7f HTTP/1.1\r\n\r\n", BAD},
	{.in = "GET /\r\n\r\n", BAD},
	{.in = "G(T / HTTP/1.1\r\n\r\n", BAD},
	{.in = " GET / HTTP/1.1\r\n\r\n", BAD},
	{.in = "AVERYLONGMETHODTHATNOBODYHAS / HTTP/1.1\r\n\r\n", BAD},
	{.in = "GET / HTTP/1.1\r\nNo colon\r\n\r\n", BAD},
	{.in = "GET / HTTP/1.1\r\nSpace : before\r\n\r\n", BAD},
	{.in = "GET / HTTP/1.1\r\n: nothing\r\n\r\n", BAD},
	{.in = "GET / HTTP/1.1\r\n folded first\r\n\r\n", BAD},
	{.in = "GET / HTTP/1.1\r\nA: b\r\n\rX", BAD},
	{.in = "GET / HTTP/1.1\rX", BAD},
	{.in = "P / HTTP/1.1\r\nContent-Length: 7\r\nContent-Length: 8\r\n\r\n", BAD},
	{.in = "P / HTTP/1.1\r\nContent-Length: 7, 8\r\n\r\n", BAD},
	{.in = "P / HTTP/1.1\r\nContent-Length: -7\r\n\r\n", BAD},
	{.in = "P / HTTP/1.1\r\nContent-Length: +7\r\n\r\n", BAD},
	{.in = "P / HTTP/1.1\r\nContent-Length: 0x7\r\n\r\n", BAD},
	{.in = "P / HTTP/1.1\r\nContent-Length: \r\n\r\n", BAD},
	{.in = "P / HTTP/1.1\r\nContent-Length: 9223372036854775808\r\n\r\n", BAD},
	{.in = "P / HTTP/1.1\r\nContent-Length: 7\r\n 8\r\n\r\n", BAD},
	{.in = "P / HTTP/1.1\r\nTransfer-Encoding: gzip,\r\n chunked\r\n\r\n", BAD},
};

#define RESP_CASE(text, s, v, len, b, m) \
	{.in = text,                     \
	 .status = s,                    \
	 .minor = v,                     \
	 .length = len,                  \
	 .body = CLEW_HTTP1_BODY_##b,    \
	 .req_method = m}

static const struct head_case responses[] = {
	RESP_CASE("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, 1, 5, LENGTH, "GET"),
	RESP_CASE("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, 1, 0, NONE, "GET"),
	RESP_CASE("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, 1, 5, NONE, "HEAD"),
	RESP_CASE("HTTP/1.1 200\r\n\r\n", 200, 1, -1, CLOSE, "GET"),
	RESP_CASE("HTTP/1.1 200 \r\n\r\n", 200, 1, -1, CLOSE, ""),
	RESP_CASE("HTTP/1.0 200 OK\n\n", 200, 0, -1, CLOSE, "GET"),
	RESP_CASE("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", 204, 1, 5, NONE, "GET"),
	RESP_CASE("HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n", 304, 1, -1, NONE, "GET"),
	RESP_CASE("HTTP/1.1 100 Continue\r\n\r\n", 100, 1, -1, NONE, "POST"),
	RESP_CASE("HTTP/1.1 101 Switching\r\n\r\n", 101, 1, -1, TUNNEL, "GET"),
	RESP_CASE("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, 1, 5, TUNNEL, "CONNECT"),
	RESP_CASE("HTTP/1.1 407 No\r\nContent-Length: 5\r\n\r\n", 407, 1, 5, LENGTH, "CONNECT"),
	RESP_CASE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 200,
		  1, 5, CHUNKED, "GET"),
	RESP_CASE("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", 200, 1, -1, CLOSE, "GET"),
	RESP_CASE("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, 0, -1, UNKNOWN,
		  "GET"),
	{.in = "HTTP/1.1 20 OK\r\n\r\n", BAD},
	{.in = "HTTP/1.1 2000 OK\r\n\r\n", BAD},
	{.in = "HTTP/1.1 099 OK\r\n\r\n", BAD},
	{.in = "HTTP/2 200\r\n\r\n", BAD},
	{.in = "http/1.1 200 OK\r\n\r\n", BAD},
	{.in = "HTTP/1.1  200 OK\r\n\r\n", BAD},
	{.in = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", BAD},
};

static bool is_text(struct slice s, const char *want)
{
	return slice_eq(s, slice_str(want));
}

static void check_head(const struct head_case *t, bool request)
{
	ssize_t (*parse)(struct slice, struct clew_http1_head *) =
		request ? clew_http1_request : clew_http1_response;
	size_t n = strlen(t->in);
	struct clew_http1_head h, untouched;
	ssize_t got;
	bool was_bad = false;

	for (size_t cut = 0; cut < n; cut++) {
		memset(&h, 0x5a, sizeof(h));
		untouched = h;
		got = parse(guarded(t->in, cut), &h);
		assert_memory_equal(&h, &untouched, sizeof(h));
		if (got != -EAGAIN && !(t->want == -EBADMSG && got == -EBADMSG))
			fail_msg("%s cut at %zu: %zd", t->in, cut, got);
		/* What is malformed stays malformed. */
		assert_false(was_bad && got != -EBADMSG);
		was_bad = got == -EBADMSG;
	}
	got = parse(guarded(t->in, n), &h);
	if (got != (t->want ? t->want : (ssize_t)n))
		fail_msg("%s: %zd", t->in, got);
	if (got < 0)
		return;
	if (request)
		assert_true(is_text(h.method, t->method) && is_text(h.target, t->target));
	assert_int_equal(h.status, t->status);
	assert_int_equal(h.minor, t->minor);
	assert_int_equal(h.content_length, t->length);
	assert_int_equal(request ? clew_http1_request_body(&h)
				 : clew_http1_response_body(&h, slice_str(t->req_method)),
			 t->body);
}

static void test_requests(void **state)
{
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		check_head(&requests[i], true);
}

static void test_responses(void **state)
{
	for (size_t i = 0; i < sizeof(responses) / sizeof(responses[0]); i++)
		check_head(&responses[i], false);
}

static void test_flags(void **state)
{
	struct clew_http1_head h;

	assert_true(clew_http1_request(
			    SLICE("GET / HTTP/1.1\r\nConnection: Upgrade, close\r\nUpgrade: x\r\n"
				  "EXPECT: 100-Continue\r\n\r\n"),
			    &h) > 0);
	assert_true(h.connection_close && h.upgrade && h.expect_continue &&
		    !h.connection_keep_alive && !h.chunked && !h.transfer_encoding);
	assert_true(clew_http1_response(SLICE("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"),
					&h) > 0);
	assert_true(h.connection_keep_alive && !h.connection_close && !h.upgrade);
}

static void test_other_protocols(void **state)
{
	static const struct slice no[] = {
		SLICE("*1\r\n$4\r\nPING\r\n"),
		SLICE("PING\r\n"),
		SLICE("get key\r\n"),
		SLICE("set k 0 0 5\r\n"),
		SLICE("PRI * HTTP/2.0\r\n"),
		SLICE("Q\0\0\0\5"),
		SLICE("\0\0\0\x08"),
		SLICE("\x16\x03\x01"),
		SLICE("OPTIONS rtsp://h RTSP/1.0\r\n"),
		SLICE("EHLO x\r\n"),
		SLICE("INVITE sip:a@b SIP/2.0\r\n"),
		SLICE("SSH-2.0-x\r\n"),
	};
	struct clew_http1_head h;

	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		assert_int_equal(clew_http1_request_line(guarded(no[i].p, no[i].n), &h), -EBADMSG);
		assert_int_equal(clew_http1_status_line(guarded(no[i].p, no[i].n), &h), -EBADMSG);
	}
}

static void test_cut_lines(void **state)
{
	struct clew_http1_head h;

	assert_int_equal(clew_http1_request_start(guarded("GET /long/pa", 12), &h), 0);
	assert_true(is_text(h.method, "GET") && is_text(h.target, "/long/pa"));
	assert_int_equal(clew_http1_request_start(guarded("GET /a HTT", 10), &h), 0);
	assert_true(is_text(h.target, "/a"));
	assert_int_equal(clew_http1_request_start(guarded("CONNECT ", 8), &h), 0);
	assert_int_equal(clew_http1_request_start(guarded("OPTIONS * ", 10), &h), 0);
	assert_int_equal(clew_http1_request_start(guarded("GET x", 5), &h), -EBADMSG);
	assert_int_equal(clew_http1_request_start(guarded("GET", 3), &h), -EBADMSG);
	assert_int_equal(clew_http1_request_start(guarded("GET /\x01", 6), &h), -EBADMSG);
	assert_int_equal(clew_http1_request_start(guarded("FOO /a", 6), &h), -EBADMSG);
	assert_int_equal(clew_http1_blank(guarded("\r\n\r\nG", 5)), 4);
	assert_int_equal(clew_http1_blank(guarded("\r\n", 2)), 2);
	assert_int_equal(clew_http1_blank(guarded("", 0)), 0);
}

static void test_fields(void **state)
{
	static const char head[] =
		"GET / HTTP/1.1\r\nTraceparent: 00-ab \r\nX:\r\nx: second\r\n\r\nTail: no\r\n";
	struct slice s = guarded(head, sizeof(head) - 1);

	assert_true(is_text(clew_http1_field(s, SLICE("traceparent")), "00-ab"));
	assert_true(is_text(clew_http1_field(s, SLICE("x")), ""));
	assert_non_null(clew_http1_field(s, SLICE("x")).p);
	assert_null(clew_http1_field(s, SLICE("tail")).p);
	assert_null(clew_http1_field(s, SLICE("trace")).p);
	assert_null(clew_http1_field(s, SLICE("")).p);
	assert_null(clew_http1_field((struct slice){NULL, 0}, SLICE("x")).p);
	/* A line that is cut has no value. */
	for (size_t cut = 0; cut < sizeof(head) - 1; cut++) {
		struct slice v = clew_http1_field(guarded(head, cut), SLICE("traceparent"));

		assert_true(v.p ? is_text(v, "00-ab") && cut >= 37 : cut < 37);
	}
	for (size_t from = 0; from < 16; from++) {
		assert_true(clew_http1_head_ends(guarded("GET / HTTP/1.1\r\n\r\n", 18), from));
		assert_true(clew_http1_head_ends(guarded("GET / HTTP/1.1\nx\n\n", 18), from));
		assert_false(clew_http1_head_ends(guarded("GET / HTTP/1.1\r\n\r", 17), from));
	}
}

struct chunk_case {
	const char *in;
	ssize_t want; /* -EBADMSG; 0: all of it and done; n: n bytes and done; -EAGAIN: not done */
	uint64_t data;
};

static const struct chunk_case chunk_cases[] = {
	{"0\r\n\r\n", 0, 0},
	{"5\r\nhello\r\n0\r\n\r\n", 0, 5},
	{"5\nhello\n0\n\n", 0, 5},
	{"5;ext=\"q\"\r\nhello\r\n00\r\nTrailer: x\r\nB: y\r\n\r\nNEXT", 42, 5},
	{"A \r\n0123456789\r\n0\r\n\r\n", 0, 10},
	{"1\r\na\r\n2\r\nbc\r\n", -EAGAIN, 3},
	{"fffffffffffffff\r\nabc", -EAGAIN, 3},
	{"1000000000000000\r\n", -EBADMSG, 0},
	{"x\r\n", -EBADMSG, 0},
	{"\r\n", -EBADMSG, 0},
	{";\r\n", -EBADMSG, 0},
	{"1\rx", -EBADMSG, 0},
	{"1\r\nab\r\n", -EBADMSG, 0},
	{"1\r\na\rb", -EBADMSG, 0},
	{"0\r\n\rx", -EBADMSG, 0},
	{"-1\r\n", -EBADMSG, 0},
};

static void test_chunks(void **state)
{
	for (size_t i = 0; i < sizeof(chunk_cases) / sizeof(chunk_cases[0]); i++) {
		const struct chunk_case *t = &chunk_cases[i];
		size_t n = strlen(t->in);

		/* In one piece, and cut in two at every byte. */
		for (size_t cut = 0; cut <= n; cut++) {
			struct clew_http1_chunks c = {0};
			uint64_t data = 0, more = 0;
			ssize_t a = clew_http1_chunks_feed(&c, guarded(t->in, cut), &data), b = 0;

			if (a == (ssize_t)cut && !clew_http1_chunks_done(&c))
				b = clew_http1_chunks_feed(&c, guarded(t->in + cut, n - cut),
							   &more);
			if (t->want == -EBADMSG) {
				assert_true(a == -EBADMSG || b == -EBADMSG);
				continue;
			}
			assert_int_equal(a + b, t->want > 0 ? t->want : (ssize_t)n);
			assert_int_equal(data + more, t->data);
			assert_int_equal(clew_http1_chunks_done(&c), t->want != -EAGAIN);
		}
	}
}

static void test_unseen_chunks(void **state)
{
	struct clew_http1_chunks c = {0};
	uint64_t data;

	/* In a size line nothing is certain. */
	assert_int_equal(clew_http1_chunks_skip(&c, 1, &data), 0);
	assert_int_equal(clew_http1_chunks_feed(&c, SLICE("64\r\nab"), &data), 6);
	assert_int_equal(clew_http1_chunks_skip(&c, 50, &data), 50);
	assert_int_equal(data, 50);
	assert_int_equal(clew_http1_chunks_skip(&c, 49, &data), 49);
	assert_int_equal(data, 48);
	assert_int_equal(clew_http1_chunks_skip(&c, 9, &data), 1);
	assert_int_equal(data, 0);
	assert_int_equal(clew_http1_chunks_feed(&c, SLICE("0\r\n\r\n"), &data), 5);
	assert_true(clew_http1_chunks_done(&c));
	assert_int_equal(clew_http1_chunks_skip(&c, 9, &data), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),  cmocka_unit_test(test_responses),
		cmocka_unit_test(test_flags),	  cmocka_unit_test(test_other_protocols),
		cmocka_unit_test(test_cut_lines), cmocka_unit_test(test_fields),
		cmocka_unit_test(test_chunks),	  cmocka_unit_test(test_unseen_chunks),
	};

	return cmocka_run_group_tests(tests, map_pages, NULL);
}
