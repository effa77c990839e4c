/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of unknown protocols: exchanges by turns.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "rig.h"

#define GET_A "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
#define OK5   "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

static const struct rig_case cases[] = {
	{"turns",
	 {{REQ, "*1\r\n$4\r\nPING\r\n"},
	  {RESP, "+PONG\r\n"},
	  {REQ, "*1\r\n$4\r\nQUIT\r\n"},
	  {RESP, "+OK\r\n"}},
	 "raw   0 req 14/14 resp 7/7\nraw   0 req 14/14 resp 5/5\n"},
	{"commands of one run, each with its reply",
	 {{REQ, "*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nINCR\r\n$1\r\na\r\n"},
	  {REQ, "*2\r\n$3\r\nGET\r\n$1\r\nb\r\n"},
	  {RESP, "+PONG\r\n:1"},
	  {RESP, "2\r\n$3\r\nabc\r\n"}},
	 "raw   0 req 14/14 resp 7/7\nraw   0 req 21/21 resp 5/5\nraw   0 req 20/20 resp 9/9\n"},
	{"a reply while the next commands are sent",
	 {{REQ, "*1\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n"},
	  {RESP, "+A\r\n"},
	  {REQ, "*1\r\n$2\r\ncc\r\n"},
	  {RESP, "+BB\r\n"},
	  {RESP, "+CCC\r\n"}},
	 "raw   0 req 11/11 resp 4/4\nraw   0 req 11/11 resp 5/5\nraw   0 req 12/12 resp 6/6\n"},
	{"long strings of commands and replies are not captured whole",
	 {{REQ, "*2\r\n$3\r\nSET\r\n$5000\r\nxx", 5000},
	  {REQ, "*1\r\n$1\r\nb\r\n"},
	  {RESP, "$9000\r\nyy", 9000},
	  {RESP, "+B\r\n"}},
	 "raw   0 req 5022/5022 resp 9009/9009\nraw   0 req 11/11 resp 4/4\n"},
	{"where a reply ends is not known: the others are given up, and turns have to do",
	 {{REQ, "*1\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n"},
	  {RESP, "*2\r\n$1", 90},
	  {REQ, "*1\r\n$1\r\nc\r\n*1\r\n$1\r\nd\r\n"},
	  {RESP, "+C\r\n+D\r\n"}},
	 "raw   0 req 11/11 resp 0/0 NO_RESPONSE|UNSYNCED\nraw   0 req 11/11 resp 96/96 UNSYNCED\n"
	 "raw   0 req 22/22 resp 8/8\n"},
	{"... until the connection is at rest",
	 {{REQ, "*1\r\n$1\r\na\r\n"},
	  {REQ, "*1\r\n$1\r\nb\r\n", .gap = 5, .lost = 1},
	  {RESP, "+A\r\n+B\r\n"},
	  {REQ, "*1\r\n$1\r\nc\r\n*1\r\n$1\r\nd\r\n"},
	  {RESP, "+C\r\n+D\r\n"},
	  {WAIT, NULL, 200000000},
	  {REQ, "*1\r\n$1\r\ne\r\n*1\r\n$1\r\nf\r\n"},
	  {RESP, "+E\r\n+F\r\n"}},
	 "raw   0 req 22/22 resp 8/8 LOSS\nraw   0 req 22/22 resp 8/8\nraw   0 req 11/11 resp 4/4\n"
	 "raw   0 req 11/11 resp 4/4\n"},
	{"what is no command behind a command's head: turns have to do",
	 {{REQ, "*2\r\n$3\r\nGETxx!"},
	  {RESP, "-ERR\r\n"},
	  {REQ, "*1\r\n$1\r\na\r\n"},
	  {RESP, "+A\r\n"}},
	 "raw   0 req 14/14 resp 6/6\nraw   0 req 11/11 resp 4/4\n"},
	{"a message of a subscription answers nothing",
	 {{REQ, "*1\r\n$1\r\na\r\n"},
	  {RESP, ">2\r\n+message\r\n:1\r\n+A\r\n"},
	  {RESP, ">1\r\n:1\r\n"}},
	 "raw   0 req 11/11 resp 4/4\n"},
	{"a reply before its command's record",
	 {{REQ, "*1\r\n$1\r\na\r\n"},
	  {RESP, "+A\r\n"},
	  {RESP, "+B\r\n"},
	  {REQ, "*1\r\n$1\r\nb\r\n"},
	  {REQ, "*1\r\n$1\r\nc\r\n"},
	  {RESP, "+CC\r\n"}},
	 "raw   0 req 11/11 resp 4/4\nraw   0 req 11/11 resp 4/4\nraw   0 req 11/11 resp 5/5\n"},
	{"runs of several operations",
	 {{REQ, "\x01\x02"},
	  {REQ, NULL, 500},
	  {RESP, NULL, 100},
	  {RESP, "x", 99},
	  {REQ, "q"},
	  {RESP, "r"}},
	 "raw   0 req 502/502 resp 200/200\nraw   0 req 1/1 resp 1/1\n"},
	{"nothing captured at all",
	 {{REQ, NULL, 10}, {RESP, NULL, 20}, {REQ, NULL, 30}, {RESP, NULL, 40}},
	 "raw   0 req 10/10 resp 20/20\nraw   0 req 30/30 resp 40/40\n"},
	{"what looks like HTTP for a while",
	 {{REQ, "GE"}, {REQ, "T x y\r\n"}, {RESP, "ERR\r\n"}},
	 "raw   0 req 9/9 resp 5/5\n"},
	{"a short beginning that is answered",
	 {{REQ, "GET"}, {RESP, "what?"}, {REQ, "q"}, {RESP, "r"}},
	 "raw   0 req 3/3 resp 5/5\nraw   0 req 1/1 resp 1/1\n"},
	{"a TLS hello",
	 {{REQ, "\x16\x03\x01\x02", 500}, {RESP, "\x16\x03\x03", 3000}},
	 "raw   0 req 504/504 resp 3003/3003\n"},
	{"a greeting is nobody's",
	 {{RESP, "220 mail\r\n"}, {REQ, "EHLO x\r\n"}, {RESP, "250 ok\r\n"}},
	 "raw   0 req 8/8 resp 8/8\n"},
	{"ends by silence",
	 {{REQ, "q"}, {RESP, "r"}, {WAIT, NULL, 2100000000}},
	 "raw   0 req 1/1 resp 1/1\n"},
	{"a slow answer is waited for",
	 {{REQ, "q"}, {WAIT, NULL, 9000000000}, {RESP, "r"}},
	 "raw   0 req 1/1 resp 1/1\n"},
	{"a goodbye wants no answer",
	 {{REQ, "q"}, {RESP, "r"}, {REQ, "bye"}, {CLOSE}},
	 "raw   0 req 1/1 resp 1/1\nraw   0 req 3/3 resp 0/0\n"},
	{"... nor does that of a process that ends",
	 {{REQ, "q"}, {RESP, "r"}, {REQ, "bye"}, {GONE}},
	 "raw   0 req 1/1 resp 1/1\nraw   0 req 3/3 resp 0/0\n"},
	{"who gives up waited for one",
	 {{REQ, "q"}, {RESP, "r"}, {REQ, "qq"}, {WAIT, NULL, 100000000}, {CLOSE}},
	 "raw   0 req 1/1 resp 1/1\nraw   0 req 2/2 resp 0/0 NO_RESPONSE\n"},
	{"... and who was closed upon",
	 {{REQ, "q"}, {RESP, "r"}, {REQ, "qq"}, {RESP_EOF}, {CLOSE}},
	 "raw   0 req 1/1 resp 1/1\nraw   0 req 2/2 resp 0/0 NO_RESPONSE\n"},
	{"... or never had an answer",
	 {{REQ, "q"}, {CLOSE}},
	 "raw   0 req 1/1 resp 0/0 NO_RESPONSE\n"},
	{"never answered: a pause cuts it",
	 {{REQ, "\x01"}, {REQ, "q"}, {WAIT, NULL, 9000000000}, {REQ, "qq"}, {CLOSE}},
	 "raw   0 req 2/2 resp 0/0 NO_RESPONSE\nraw   0 req 2/2 resp 0/0 NO_RESPONSE\n"},
	{"a turn was lost",
	 {{REQ, "\x01"}, {REQ, "qq", .lost = 1}, {RESP, "r", .gap = 1}},
	 "raw   0 req 1/1 resp 0/0 LOSS|NO_RESPONSE\nraw   0 req 2/2 resp 1/1 LOSS\n"},
	{"a piece of a run was lost",
	 {{REQ, "\x01"}, {REQ, "qq", .gap = 1, .lost = 1}, {RESP, "r"}},
	 "raw   0 req 3/3 resp 1/1 LOSS\n"},
	{"becomes HTTP",
	 {{REQ, "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"}, {RESP, "+"}, {REQ, GET_A}, {RESP, OK5}},
	 "raw   0 req 32/32 resp 1/1\nhttp GET /a 200 req 28/0 resp 43/5\n"},
	{"HTTP becomes something else",
	 {{REQ, GET_A}, {RESP, OK5}, {REQ, "\x01\x02"}, {RESP, "\x03"}},
	 "http GET /a 200 req 28/0 resp 43/5\nraw   0 req 2/2 resp 1/1\n"},
	{"HTTP/2 is not HTTP/1",
	 {{REQ, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}, {RESP, "xx"}},
	 "raw   0 req 24/24 resp 2/2\n"},
};

static void test_cases(void **state)
{
	rig_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

static void test_unknown_role(void **state)
{
	struct rig r;

	/* Whoever speaks first is the client. */
	rig_init(&r, CLEW_ROLE_SERVER, NULL);
	rig_step(&r, &(struct step){REQ, "q"});
	rig_step(&r, &(struct step){RESP, "rr"});
	clew_stream_flush(r.s);
	assert_string_equal(r.log.data, "raw   0 req 1/1 resp 2/2\n");
	/* Until bytes tell better. */
	clew_buf_clear(&r.log);
	r.cookie++;
	r.off[0] = r.off[1] = 0;
	rig_step(&r, &(struct step){RESP, "220 hi\r\n"});
	clew_stream_flush(r.s);
	rig_step(&r, &(struct step){REQ, GET_A});
	rig_step(&r, &(struct step){RESP, OK5});
	assert_string_equal(r.log.data, "raw   0 req 8/8 resp 0/0 NO_RESPONSE\n"
					"http GET /a 200 req 28/0 resp 43/5\n");
	rig_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_unknown_role),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
