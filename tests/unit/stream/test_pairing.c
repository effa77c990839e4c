/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loss, order and late beginnings: what is lost is marked, and a response never goes to a request that
 * it may not answer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "rig.h"

#define OK5    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define NO_B   "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"
#define GET_A  "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
#define GET_B  "GET /b HTTP/1.1\r\nHost: x\r\n\r\n"
#define GET_C  "GET /c HTTP/1.1\r\nHost: x\r\n\r\n"
#define DONE_A "http GET /a 200 req 28/0 resp 43/5\n"
#define DONE_B "http GET /b 404 req 28/0 resp 38/0\n"
#define DONE_C "http GET /c 200 req 28/0 resp 43/5\n"

static const struct rig_case cases[] = {
	{"a hole in a body is only a mark",
	 {{REQ, GET_A},
	  {RESP, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", 10},
	  {RESP, NULL, 50, 40, 1},
	  {REQ, GET_B},
	  {RESP, NO_B}},
	 "http GET /a 200 req 28/0 resp 100/60 LOSS\n" DONE_B},
	{"a hole up to the body's last byte",
	 {{REQ, GET_A},
	  {RESP, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", 10},
	  {REQ, GET_B, .lost = 1},
	  {RESP, NO_B, .gap = 90}},
	 "http GET /a 200 req 28/0 resp 50/10 LOSS\n" DONE_B},
	{"a whole response lost: the next one is not given to the first request",
	 {{REQ, GET_A}, {REQ, GET_B, .lost = 1}, {RESP, NO_B, .gap = 43}},
	 "http GET /a 0 req 28/0 resp 0/0 LOSS|NO_RESPONSE\n" DONE_B},
	{"a whole request lost: its response is nobody's",
	 {{REQ, GET_A}, {RESP, OK5}, {RESP, NO_B, .lost = 1}, {REQ, GET_C, .gap = 28}, {RESP, OK5}},
	 DONE_A DONE_C},
	{"request and response lost together",
	 {{REQ, GET_A}, {RESP, OK5}, {REQ, GET_C, .gap = 28, .lost = 2}, {RESP, OK5, .gap = 38}},
	 DONE_A DONE_C},
	{"a response and the next request lost: what comes may be either's",
	 {{REQ, GET_A}, {RESP, NO_B, .gap = 43, .lost = 2}, {REQ, GET_C, .gap = 28}, {RESP, OK5}},
	 "http GET /a 0 req 28/0 resp 0/0 LOSS|NO_RESPONSE|UNSYNCED\n" DONE_C},
	{"sent by several threads at once: what is whose is not known",
	 {{REQ, GET_A},
	  {RESP, OK5},
	  {REQ, GET_B, .flags = CLEW_IO_ASTRAY},
	  {REQ, GET_A, .flags = CLEW_IO_ASTRAY},
	  {RESP, NO_B},
	  {RESP, OK5},
	  {REQ, GET_C},
	  {RESP, OK5}},
	 DONE_A DONE_C},
	{"a response's first operation lost",
	 {{REQ, GET_A}, {RESP, "lo", .gap = 41, .lost = 1}, {REQ, GET_B}, {RESP, NO_B}},
	 "http GET /a 0 req 28/0 resp 0/0 LOSS|NO_RESPONSE|UNSYNCED\n" DONE_B},
	{"lost between a request and its response, after a hole",
	 {{REQ, GET_A},
	  {RESP, OK5},
	  {REQ, GET_B, .gap = 28, .lost = 2},
	  {RESP, NO_B, .gap = 43, .lost = 1},
	  {REQ, GET_C},
	  {RESP, OK5}},
	 DONE_A "http GET /b 0 req 28/0 resp 0/0 LOSS|NO_RESPONSE|UNSYNCED\n" DONE_C},
	{"pipelined: answers up to the hole are right, then none until it is certain",
	 {{REQ, GET_A},
	  {REQ, GET_B},
	  {RESP, OK5},
	  {REQ, GET_C, .gap = 28, .lost = 1},
	  {RESP, NO_B},
	  {RESP, OK5},
	  {RESP, OK5},
	  {WAIT, NULL, 3000000000},
	  {REQ, GET_A},
	  {RESP, OK5}},
	 DONE_A DONE_B "http GET /c 0 req 28/0 resp 0/0 LOSS|NO_RESPONSE|UNSYNCED\n" DONE_A},
	{"the end of a request's body lost",
	 {{REQ, "POST /a HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"},
	  {RESP, OK5, .lost = 1},
	  {REQ, GET_B, .gap = 6},
	  {RESP, NO_B}},
	 "http POST /a 200 req 42/3 resp 43/5 LOSS\n" DONE_B},
	{"the rest of a head lost",
	 {{REQ, "GET /a HTTP/1.1\r\nHo"}, {REQ, "x: y\r\n\r\n", .gap = 8, .lost = 1}, {RESP, OK5}},
	 "http GET /a 200 req 19/0 resp 43/5 LOSS|NO_HEAD\n"},
	{"chunks lost",
	 {{REQ, GET_A},
	  {RESP, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe"},
	  {RESP, "0\r\n\r\n", .gap = 5, .lost = 1},
	  {REQ, GET_B},
	  {RESP, NO_B}},
	 "http GET /a 200 req 28/0 resp 57/2 LOSS\n" DONE_B},
	{"loss told when it closed",
	 {{REQ, GET_A}, {CLOSE, .lost = 2}},
	 "http GET /a 0 req 28/0 resp 0/0 LOSS|NO_RESPONSE\n"},
};

static void test_cases(void **state)
{
	rig_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

/*
 * Lose any two of the operations of a conversation, told or not told: every response that was paired is
 * the right one. Request k asks for /k and its answer has status 200 + k.
 */
static void test_never_mispairs(void **state)
{
	enum { N = 6 };

	for (unsigned mode = 0; mode < 8; mode++) {
		for (unsigned a = 0; a < 2 * N; a++) {
			for (unsigned b = a; b < 2 * N; b++) {
				bool told = mode & 1, pipelined = mode & 2, pad = mode & 4;
				uint16_t lost = 0;
				uint64_t gap[2] = {0, 0};
				struct rig r;
				const char *line;
				int id, status, n;

				rig_init(&r, CLEW_ROLE_CLIENT, NULL);
				rig_conn(&r, CLEW_CONN_ESTABLISHED, 0, 0);
				for (unsigned i = 0; i < 2 * N; i++) {
					/* Pipelined: two requests, then two answers. */
					unsigned k = pipelined ? i / 4 * 2 + i % 2 : i / 2;
					bool req = pipelined ? i % 4 < 2 : i % 2 == 0;
					char text[128];

					if (req)
						snprintf(text, sizeof(text),
							 "GET /%u HTTP/1.1\r\n%s\r\n", k,
							 pad && k == 2 ? "Pad: abcdefg\r\n" : "");
					else
						snprintf(text, sizeof(text),
							 "HTTP/1.1 %u OK\r\nContent-Length: 2"
							 "\r\n\r\nxx",
							 200 + k);
					if (i == a || i == b) {
						gap[req] += strlen(text);
						lost++;
						continue;
					}
					rig_step(&r, &(struct step){req ? REQ : RESP, text,
								    .gap = gap[req],
								    .lost = told ? lost : 0});
					lost = 0;
					gap[req] = 0;
				}
				clew_stream_flush(r.s);
				for (line = r.log.data; line && *line;
				     line = strchr(line, '\n') + 1) {
					n = sscanf(line, "http GET /%d %d", &id, &status);
					if (n == 2 && status && status != 200 + id)
						fail_msg("%s %s, lost %u and %u:\n%s",
							 told ? "told" : "not told",
							 pipelined ? "pipelined" : "in turn", a, b,
							 r.log.data);
				}
				/* Untouched ones before the loss are whole. */
				if (told && !pipelined && a >= 2)
					assert_true(!strncmp(r.log.data,
							     "http GET /0 200 req 19/0 resp "
							     "40/2\n",
							     35));
				rig_done(&r);
			}
		}
	}
}

static void test_order(void **state)
{
	static const char head[] = "POST /a HTTP/1.1\r\nContent-Length: 6\r\n\r\n";
	struct rig r;

	/* Two threads read one socket: the second record comes first. */
	rig_init(&r, CLEW_ROLE_SERVER, NULL);
	rig_conn(&r, CLEW_CONN_ACCEPTED, 0, 0);
	rig_io(&r, CLEW_DIR_RX, sizeof(head) - 1, "abcdef", 6, 6, 0, 0);
	assert_int_equal(r.begun, 0);
	rig_io(&r, CLEW_DIR_RX, 0, head, sizeof(head) - 1, sizeof(head) - 1, 0, 0);
	rig_io(&r, CLEW_DIR_TX, 0, OK5, 43, 43, 0, 0);
	assert_string_equal(r.log.data, "http POST /a 200 req 45/6 resp 43/5\n");
	/* Repeated and overlapping bytes count once. */
	clew_buf_clear(&r.log);
	rig_io(&r, CLEW_DIR_RX, 45, GET_A, 10, 10, 0, 0);
	rig_io(&r, CLEW_DIR_RX, 45, GET_A, 10, 10, 0, 0);
	rig_io(&r, CLEW_DIR_RX, 50, &GET_A[5], 23, 23, 0, 0);
	rig_io(&r, CLEW_DIR_RX, 45, GET_A, 28, 28, 0, 0);
	rig_io(&r, CLEW_DIR_TX, 43, OK5, 43, 43, 0, 0);
	assert_string_equal(r.log.data, DONE_A);
	/* The response's record before its request's. */
	clew_buf_clear(&r.log);
	rig_io(&r, CLEW_DIR_TX, 86, NO_B, 38, 38, 0, 0);
	assert_int_equal(r.begun, 2);
	rig_io(&r, CLEW_DIR_RX, 73, GET_B, 28, 28, 0, 0);
	assert_string_equal(r.log.data, DONE_B);
	assert_int_equal(clew_stream_stats(r.s)->unpaired_ops, 0);
	rig_done(&r);
}

static void test_hole_without_a_word(void **state)
{
	struct rig r;

	/* Bytes moved by someone whom we do not watch: after a while the hole is taken as one. */
	rig_init(&r, CLEW_ROLE_SERVER, NULL);
	rig_conn(&r, CLEW_CONN_ACCEPTED, 0, 0);
	rig_step(&r, &(struct step){REQ, GET_A, .gap = 100});
	assert_int_equal(r.begun, 0);
	rig_step(&r, &(struct step){WAIT, .unseen = 60000000});
	assert_int_equal(r.begun, 1);
	rig_step(&r, &(struct step){RESP, OK5});
	assert_string_equal(r.log.data,
			    "http GET /a 0 req 28/0 resp 0/0 LOSS|NO_RESPONSE|UNSYNCED\n");
	clew_buf_clear(&r.log);
	rig_step(&r, &(struct step){WAIT, .unseen = 3000000000});
	rig_step(&r, &(struct step){REQ, GET_A});
	rig_step(&r, &(struct step){RESP, OK5});
	assert_string_equal(r.log.data, DONE_A);
	/* And at the end of the stream nothing waits any more. */
	clew_buf_clear(&r.log);
	rig_step(&r, &(struct step){REQ, GET_B, .gap = 100});
	rig_step(&r, &(struct step){FLUSH});
	assert_string_equal(r.log.data, "http GET /b 0 req 28/0 resp 0/0 NO_RESPONSE\n");
	rig_done(&r);
}

static void test_joined(void **state)
{
	struct rig r;

	/* The first thing seen is a response: skipped and counted. */
	rig_init(&r, CLEW_ROLE_CLIENT, NULL);
	rig_conn(&r, CLEW_CONN_ADOPTED, 1000, 2000);
	rig_run(&r,
		(const struct step[]){
			{RESP, OK5}, {REQ, GET_A}, {RESP, OK5}, {REQ, GET_B}, {RESP, NO_B}, {0}});
	assert_string_equal(r.log.data, DONE_A DONE_B);
	assert_int_equal(clew_stream_stats(r.s)->unpaired_ops, 1);
	rig_done(&r);
	/* In the middle of a response's body. */
	rig_init(&r, CLEW_ROLE_SERVER, NULL);
	rig_conn(&r, CLEW_CONN_ADOPTED, 1000, 2000);
	rig_run(&r, (const struct step[]){{RESP, "rest of it", 5}, {REQ, GET_A}, {RESP, OK5}, {0}});
	assert_string_equal(r.log.data, DONE_A);
	rig_done(&r);
	/* In the middle of a request: marked, and not called HTTP. */
	rig_init(&r, CLEW_ROLE_SERVER, NULL);
	rig_conn(&r, CLEW_CONN_ADOPTED, 1000, 2000);
	rig_run(&r, (const struct step[]){
			    {REQ, "field=value&x"}, {RESP, OK5}, {REQ, GET_A}, {RESP, OK5}, {0}});
	assert_string_equal(r.log.data, "raw   0 req 13/13 resp 43/43 JOINED\n" DONE_A);
	rig_done(&r);
	/* No record of the connection at all, and its role told by the bytes. */
	rig_init(&r, CLEW_ROLE_SERVER, NULL);
	r.role = CLEW_ROLE_SERVER;
	rig_run(&r, (const struct step[]){{RESP, OK5}, {REQ, GET_A}, {RESP, OK5}, {0}});
	assert_string_equal(r.log.data, DONE_A);
	assert_false(r.last_has_key);
	rig_done(&r);
}

/* Each of these was found by fuzzing. */
static void test_found(void **state)
{
	struct rig r;

	/* The rest of a method after a hole is no request of another method. */
	rig_init(&r, CLEW_ROLE_CLIENT, NULL);
	rig_conn(&r, CLEW_CONN_ESTABLISHED, 0, 0);
	rig_run(&r, (const struct step[]){{REQ, "P"},
					  {REQ, "ST /a HTTP/1.1\r\n\r\n", .gap = 1, .lost = 1},
					  {RESP, OK5},
					  {FLUSH},
					  {0}});
	assert_string_equal(r.log.data, "raw   0 req 19/19 resp 43/43 LOSS\n");
	rig_done(&r);
	/* A request that is skipped because it began in pieces: its answer is not the next one's. */
	rig_init(&r, CLEW_ROLE_SERVER, NULL);
	rig_conn(&r, CLEW_CONN_ACCEPTED, 0, 0);
	rig_run(&r, (const struct step[]){
			    {REQ, "PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n", 10},
			    {RESP, OK5},
			    {REQ, "GET "},
			    {REQ, "/b HTTP/1.1\r\n\r\n"},
			    {RESP, NO_B},
			    {REQ, GET_C},
			    {RESP, OK5},
			    {0}});
	assert_string_equal(r.log.data, "http PUT /a 200 req 60/8 resp 43/5\n" DONE_C);
	rig_done(&r);
	/* A record that turns the roles around while something is open is not believed. */
	rig_init(&r, CLEW_ROLE_SERVER, NULL);
	rig_step(&r, &(struct step){REQ, "GE"});
	rig_conn(&r, CLEW_CONN_CONNECT, 0, 0);
	r.off[CLEW_DIR_RX] = 2;
	rig_step(&r, &(struct step){REQ, &GET_A[2]});
	rig_step(&r, &(struct step){RESP, OK5});
	assert_string_equal(r.log.data, DONE_A);
	rig_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),  cmocka_unit_test(test_never_mispairs),
		cmocka_unit_test(test_order),  cmocka_unit_test(test_hole_without_a_word),
		cmocka_unit_test(test_joined), cmocka_unit_test(test_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
