/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.x from records to exchanges. Every case is run from both ends, and again with every operation
 * split at every byte where its bytes were all captured.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "rig.h"

#define OK5   "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define GET_A "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
#define GET_B "GET /b HTTP/1.1\r\nHost: x\r\n\r\n"

struct http_case {
	const char *name;
	struct step steps[12];
	const char *want;
	bool whole; /* not split: one byte of a request may be a byte of the body */
};

static const struct http_case cases[] = {
	{"one", {{REQ, GET_A}, {RESP, OK5}}, "http GET /a 200 req 28/0 resp 43/5\n"},
	{"keep-alive",
	 {{REQ, GET_A}, {RESP, OK5}, {REQ, GET_B}, {RESP, OK5}},
	 "http GET /a 200 req 28/0 resp 43/5\nhttp GET /b 200 req 28/0 resp 43/5\n"},
	{"two in one operation, answers in order",
	 {{REQ, GET_A GET_B}, {RESP, OK5 "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"}},
	 "http GET /a 200 req 28/0 resp 43/5\nhttp GET /b 404 req 28/0 resp 38/0\n"},
	{"answers in two operations",
	 {{REQ, GET_A GET_B}, {RESP, OK5}, {RESP, OK5}},
	 "http GET /a 200 req 28/0 resp 43/5\nhttp GET /b 200 req 28/0 resp 43/5\n"},
	{"HEAD has no body",
	 {{REQ, "HEAD /a HTTP/1.1\r\n\r\n"},
	  {RESP, "HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"},
	  {REQ, GET_B},
	  {RESP, OK5}},
	 "http HEAD /a 200 req 20/0 resp 40/0\nhttp GET /b 200 req 28/0 resp 43/5\n"},
	{"204 and 304 have none",
	 {{REQ, GET_A},
	  {RESP, "HTTP/1.1 204 No Content\r\n\r\n"},
	  {REQ, GET_B},
	  {RESP, "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"}},
	 "http GET /a 204 req 28/0 resp 27/0\nhttp GET /b 304 req 28/0 resp 48/0\n"},
	{"chunked both ways",
	 {{REQ, "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
	  {RESP, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
	  {RESP, "5;x=y\r\nhello\r\n"},
	  {RESP, "0\r\nTrailer: 1\r\n\r\n"},
	  {REQ, GET_B},
	  {RESP, OK5}},
	 "http POST /a 200 req 61/3 resp 78/5\nhttp GET /b 200 req 28/0 resp 43/5\n"},
	{"interim responses are not the answer",
	 {{REQ, "POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"},
	  {RESP, "HTTP/1.1 100 Continue\r\n\r\n"},
	  {REQ, "abc"},
	  {RESP, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"},
	  {RESP, OK5}},
	 "http POST /a 200 req 64/3 resp 43/5\n"},
	{"interim and final in one operation",
	 {{REQ, GET_A}, {RESP, "HTTP/1.1 103 Early Hints\r\n\r\n" OK5}},
	 "http GET /a 200 req 28/0 resp 43/5\n"},
	{"refused before its body was sent, connection goes on",
	 {{REQ, "POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 300\r\n\r\n"},
	  {RESP, "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"},
	  {REQ, GET_B},
	  {RESP, OK5}},
	 "http POST /a 417 req 63/0 resp 38/0\nhttp GET /b 200 req 28/0 resp 43/5\n",
	 true},
	{"answered before the body is complete",
	 {{REQ, "POST /a HTTP/1.1\r\nContent-Length: 6\r\n\r\nabc"},
	  {RESP, OK5},
	  {REQ, "def"},
	  {REQ, GET_B},
	  {RESP, OK5}},
	 "http POST /a 200 req 45/6 resp 43/5\nhttp GET /b 200 req 28/0 resp 43/5\n"},
	{"HTTP/1.0, ended by the close",
	 {{REQ, "GET /a HTTP/1.0\r\n\r\n"},
	  {RESP, "HTTP/1.0 200 OK\r\n\r\nsome"},
	  {RESP, "thing"},
	  {CLOSE}},
	 "http GET /a 200 req 19/0 resp 28/9\n"},
	{"cut by the close",
	 {{REQ, GET_A}, {RESP, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"}, {CLOSE}},
	 "http GET /a 200 req 28/0 resp 44/5 CUT\n"},
	{"never answered",
	 {{REQ, GET_A}, {CLOSE}},
	 "http GET /a 0 req 28/0 resp 0/0 NO_RESPONSE\n"},
	{"interim only",
	 {{REQ, GET_A}, {RESP, "HTTP/1.1 102 Processing\r\n\r\n"}, {CLOSE}},
	 "http GET /a 0 req 28/0 resp 0/0 NO_RESPONSE\n"},
	{"an empty line before a request",
	 {{REQ, GET_A}, {RESP, OK5}, {REQ, "\r\n" GET_B}, {RESP, OK5}},
	 "http GET /a 200 req 28/0 resp 43/5\nhttp GET /b 200 req 28/0 resp 43/5\n"},
};

static void run_case(const struct http_case *t, enum clew_role role, size_t split_step,
		     size_t split_at)
{
	struct rig r;

	rig_init(&r, role, NULL);
	rig_conn(&r, role == CLEW_ROLE_CLIENT ? CLEW_CONN_ESTABLISHED : CLEW_CONN_ACCEPTED, 0, 0);
	for (size_t i = 0; t->steps[i].kind != STEP_END; i++) {
		if (i == split_step) {
			char first[512];
			struct step a = t->steps[i], b = t->steps[i];

			memcpy(first, a.data, split_at);
			first[split_at] = '\0';
			a.data = first;
			b.data += split_at;
			rig_step(&r, &a);
			rig_step(&r, &b);
			continue;
		}
		rig_step(&r, &t->steps[i]);
	}
	if (strcmp(r.log.data ? r.log.data : "", t->want))
		fail_msg("%s, %s, step %zd split at %zu:\n%swanted\n%s", t->name,
			 role == CLEW_ROLE_CLIENT ? "client" : "server", (ssize_t)split_step,
			 split_at, r.log.data ? r.log.data : "nothing\n", t->want);
	assert_int_equal(clew_stream_stats(r.s)->unpaired_ops, 0);
	rig_done(&r);
}

static void test_cases(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct http_case *t = &cases[i];

		for (enum clew_role role = CLEW_ROLE_CLIENT; role <= CLEW_ROLE_SERVER; role++) {
			run_case(t, role, SIZE_MAX, 0);
			for (size_t s = 0; !t->whole && t->steps[s].kind != STEP_END; s++)
				for (size_t at = 1;
				     t->steps[s].data && at < strlen(t->steps[s].data); at++)
					run_case(t, role, s, at);
		}
	}
}

static void check(const struct step *steps, const char *want)
{
	for (enum clew_role role = CLEW_ROLE_CLIENT; role <= CLEW_ROLE_SERVER; role++) {
		struct rig r;

		rig_init(&r, role, NULL);
		rig_conn(&r, role == CLEW_ROLE_CLIENT ? CLEW_CONN_ESTABLISHED : CLEW_CONN_ACCEPTED,
			 0, 0);
		rig_run(&r, steps);
		assert_string_equal(r.log.data ? r.log.data : "", want);
		rig_done(&r);
	}
}

#define STEPS(...)               \
	(const struct step[])    \
	{                        \
		__VA_ARGS__,     \
		{                \
			STEP_END \
		}                \
	}

static void test_unseen_bodies(void **state)
{
	/* Bodies of a known length need no capture. */
	check(STEPS({REQ, "PUT /a HTTP/1.1\r\nContent-Length: 9000\r\n\r\n", 4000},
		    {REQ, NULL, 5000},
		    {RESP, "HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n", 10000},
		    {RESP, NULL, 60000}, {REQ, GET_B}, {RESP, OK5}),
	      "http PUT /a 200 req 9041/9000 resp 70042/70000\n"
	      "http GET /b 200 req 28/0 resp 43/5\n");
	/* A chunk's data is passed over; its end and what follows was captured. */
	check(STEPS({REQ, GET_A},
		    {RESP, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2710\r\n", 4000},
		    {RESP, NULL, 6000}, {RESP, "\r\n0\r\n\r\n"}, {REQ, GET_B}, {RESP, OK5}),
	      "http GET /a 200 req 28/0 resp 10060/10000\nhttp GET /b 200 req 28/0 resp 43/5\n");
	/* Later chunks were not captured: the next request ends it, and nothing was guessed. */
	check(STEPS({REQ, GET_A},
		    {RESP, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"},
		    {RESP, NULL, 777}, {RESP, NULL, 5}, {REQ, GET_B}, {RESP, OK5}),
	      "http GET /a 200 req 28/0 resp 839/787\nhttp GET /b 200 req 28/0 resp 43/5\n");
	/* The same, ended by silence: that is a guess. */
	check(STEPS({REQ, GET_A},
		    {RESP, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"},
		    {RESP, NULL, 777}, {WAIT, NULL, 1000000000}, {RESP, NULL, 5},
		    {WAIT, NULL, 2100000000}),
	      "http GET /a 200 req 28/0 resp 839/787 END_GUESSED\n");
	/* ... by the close, and by the end of a stream. */
	check(STEPS({REQ, GET_A},
		    {RESP, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"},
		    {RESP, NULL, 777}, {RESP_EOF}),
	      "http GET /a 200 req 28/0 resp 834/782\n");
	/* Chunks of a request: its answer ends it; late bytes are no request. */
	check(STEPS({REQ, "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"},
		    {REQ, NULL, 100}, {RESP, OK5}, {REQ, NULL, 100}, {REQ, GET_B}, {RESP, OK5}),
	      "http POST /a 200 req 158/105 resp 43/5\nhttp GET /b 200 req 28/0 resp 43/5\n");
}

static void test_last_chunk_unseen(void **state)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
	struct rig r;

	/* One writev of the server whose last vector was not captured: over, with no need to wait. */
	rig_init(&r, CLEW_ROLE_SERVER, NULL);
	rig_conn(&r, CLEW_CONN_ACCEPTED, 0, 0);
	rig_step(&r, &(struct step){REQ, GET_A});
	rig_step(&r, &(struct step){RESP, head, 5});
	assert_string_equal(r.log.data, "http GET /a 200 req 28/0 resp 62/5\n");
	/* An operation of which nothing was captured may be a size line alone. */
	clew_buf_clear(&r.log);
	rig_step(&r, &(struct step){REQ, GET_A});
	rig_step(&r, &(struct step){RESP, head});
	rig_step(&r, &(struct step){RESP, NULL, 5});
	rig_step(&r, &(struct step){RESP, NULL, 1007});
	assert_int_equal(r.log.len, 0);
	rig_step(&r, &(struct step){REQ, GET_B});
	assert_string_equal(r.log.data, "http GET /a 200 req 28/0 resp 1069/1017\n");
	rig_done(&r);
}

static void test_heads_not_captured(void **state)
{
	check(STEPS({REQ, "GET /long/path HTTP/1.1\r\nCookie: abc", 5000}, {RESP, OK5},
		    {REQ, GET_B}, {RESP, OK5}),
	      "http GET /long/path 200 req 5036/0 resp 43/5 NO_HEAD\n"
	      "http GET /b 200 req 28/0 resp 43/5\n");
	check(STEPS({REQ, "GET /long/pa", 5000}, {RESP, OK5}),
	      "http GET /long/pa 200 req 5012/0 resp 43/5 NO_HEAD\n");
	check(STEPS({REQ, GET_A}, {RESP, OK5}, {REQ, NULL, 300}, {RESP, OK5}, {REQ, GET_B},
		    {RESP, OK5}),
	      "http GET /a 200 req 28/0 resp 43/5\nhttp   200 req 300/0 resp 43/5 NO_HEAD\n"
	      "http GET /b 200 req 28/0 resp 43/5\n");
	check(STEPS({REQ, GET_A}, {RESP, "HTTP/1.1 200 OK\r\nSet-Cookie: ", 700}, {REQ, GET_B},
		    {RESP, OK5}),
	      "http GET /a 200 req 28/0 resp 729/0 NO_HEAD\nhttp GET /b 200 req 28/0 resp 43/5\n");
	check(STEPS({REQ, GET_A}, {RESP, NULL, 700}, {REQ, GET_B}, {RESP, OK5}),
	      "http GET /a 0 req 28/0 resp 700/0 NO_HEAD\nhttp GET /b 200 req 28/0 resp 43/5\n");
}

static void test_bad_heads(void **state)
{
	check(STEPS({REQ, "GET /a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"},
		    {RESP, "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n"}, {REQ, GET_B},
		    {RESP, OK5}),
	      "http GET /a 400 req 59/0 resp 39/0 UNSYNCED\nhttp GET /b 200 req 28/0 resp 43/5\n");
	check(STEPS({REQ, GET_A}, {RESP, "hello\r\n"}, {CLOSE}),
	      "http GET /a 0 req 28/0 resp 7/0 UNSYNCED\n");
	/* A broken chunk. */
	check(STEPS({REQ, GET_A},
		    {RESP, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"},
		    {REQ, GET_B}, {RESP, OK5}),
	      "http GET /a 200 req 28/0 resp 52/5 UNSYNCED\nhttp GET /b 200 req 28/0 resp 43/5\n");
}

static void test_upgrade(void **state)
{
	/* What follows is one exchange, whoever speaks. */
	check(STEPS({REQ, "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"},
		    {RESP, "HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x05hello"}, {REQ, "abc"},
		    {RESP, "def"}, {WAIT, NULL, 9000000000}, {REQ, "ghi"}, {CLOSE}),
	      "http GET /ws 101 req 61/0 resp 36/0\nraw   0 req 6/6 resp 10/10\n");
	check(STEPS({REQ, "CONNECT h:443 HTTP/1.1\r\n\r\n"}, {RESP, "HTTP/1.1 200 OK\r\n\r\n"},
		    {REQ, "\x16\x03\x01"}, {RESP, "\x16\x03\x03"}, {CLOSE}),
	      "http CONNECT h:443 200 req 26/0 resp 19/0\nraw   0 req 3/3 resp 3/3\n");
	/* Refused, or ignored: HTTP goes on. */
	check(STEPS({REQ, "CONNECT h:443 HTTP/1.1\r\n\r\n"},
		    {RESP, "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"}, {REQ, GET_B},
		    {RESP, OK5}),
	      "http CONNECT h:443 403 req 26/0 resp 38/0\nhttp GET /b 200 req 28/0 resp 43/5\n");
	check(STEPS({REQ, "GET /a HTTP/1.1\r\nUpgrade: h2c\r\n\r\n"}, {RESP, OK5}, {REQ, GET_B},
		    {RESP, OK5}),
	      "http GET /a 200 req 33/0 resp 43/5\nhttp GET /b 200 req 28/0 resp 43/5\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_unseen_bodies),
		cmocka_unit_test(test_last_chunk_unseen),
		cmocka_unit_test(test_heads_not_captured),
		cmocka_unit_test(test_bad_heads),
		cmocka_unit_test(test_upgrade),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
