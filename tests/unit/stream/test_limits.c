/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits, evictions, ends: nothing grows without bound and everything that began ends once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "rig.h"

#define GET_A "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
#define OK5   "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

static void test_many_conns(void **state)
{
	struct clew_stream_opts opts = {.max_conns = 1000};
	const struct clew_stream_stats *st;
	struct rig r;

	rig_init(&r, CLEW_ROLE_SERVER, &opts);
	st = clew_stream_stats(r.s);
	/* Cookies that differ in high bits, low bits, and by one: the table must find them all. */
	for (uint64_t i = 0; i < 3000; i++) {
		r.cookie = i % 3 == 0 ? i : i % 3 == 1 ? i << 40 : i * 64;
		r.off[0] = r.off[1] = 0;
		rig_step(&r, &(struct step){REQ, GET_A});
	}
	assert_int_equal(st->conns_open, 1000);
	assert_int_equal(st->dropped_conns, st->conns - 1000);
	assert_int_equal(r.closes, st->dropped_conns);
	assert_int_equal(r.begun - r.ended, 1000);
	/* The last thousand are there, in whatever order they are asked. */
	clew_buf_clear(&r.log);
	for (uint64_t i = 2999; i >= 2000; i--) {
		r.cookie = i % 3 == 0 ? i : i % 3 == 1 ? i << 40 : i * 64;
		r.off[0] = sizeof(GET_A) - 1;
		r.off[1] = 0;
		rig_step(&r, &(struct step){RESP, OK5});
		rig_step(&r, &(struct step){CLOSE});
	}
	assert_int_equal(st->conns_open, 0);
	assert_null(strstr(r.log.data, "LIMIT"));
	assert_int_equal(r.begun, r.ended);
	rig_done(&r);
}

static void test_lru(void **state)
{
	struct clew_stream_opts opts = {.max_conns = 2};
	struct rig r;

	rig_init(&r, CLEW_ROLE_SERVER, &opts);
	for (int i = 0; i < 4; i++) {
		static const uint64_t cookies[] = {1, 2, 1, 3};

		r.cookie = cookies[i];
		rig_io(&r, CLEW_DIR_RX, i == 2 ? 28 : 0, GET_A, 28, 28, 0, 0);
	}
	/* 2 was the one not used for longest. */
	assert_string_equal(r.log.data, "http GET /a 0 req 28/0 resp 0/0 NO_RESPONSE|LIMIT\n");
	rig_done(&r);
}

static void test_open_exchanges(void **state)
{
	struct clew_stream_opts opts = {.max_open_exchanges = 4};
	struct rig r;

	rig_init(&r, CLEW_ROLE_SERVER, &opts);
	for (int i = 0; i < 9; i++)
		rig_step(&r, &(struct step){REQ, GET_A});
	assert_int_equal(r.begun, 9);
	assert_int_equal(r.ended, 8);
	assert_int_equal(clew_stream_stats(r.s)->dropped_exchanges, 8);
	/* Their responses are given to nobody else. */
	clew_buf_clear(&r.log);
	for (int i = 0; i < 9; i++)
		rig_step(&r, &(struct step){RESP, OK5});
	assert_null(strstr(r.log.data, " 200 "));
	rig_done(&r);
}

static void test_long_head(void **state)
{
	struct clew_stream_opts opts = {.max_head_bytes = 100};
	struct rig r;

	rig_init(&r, CLEW_ROLE_SERVER, &opts);
	rig_step(&r, &(struct step){REQ, "GET /a HTTP/1.1\r\n"});
	for (int i = 0; i < 20; i++)
		rig_step(&r, &(struct step){REQ, "Field-0: value\r\n"});
	rig_step(&r, &(struct step){RESP, OK5});
	assert_string_equal(r.log.data, "http GET /a 200 req 337/0 resp 43/5 NO_HEAD\n");
	rig_done(&r);
}

static void test_ends(void **state)
{
	struct rig r;

	rig_init(&r, CLEW_ROLE_SERVER, NULL);
	rig_step(&r, &(struct step){REQ, GET_A});
	rig_step(&r, &(struct step){GONE});
	assert_string_equal(r.log.data, "http GET /a 0 req 28/0 resp 0/0 NO_RESPONSE\n");
	clew_buf_clear(&r.log);
	rig_step(&r, &(struct step){REQ, GET_A});
	rig_step(&r, &(struct step){RESP, "HTTP/1.1 200 OK\r\n\r\nabc"});
	rig_step(&r, &(struct step){FLUSH});
	assert_string_equal(r.log.data, "http GET /a 200 req 28/0 resp 22/3 CUT\n");
	/* The tail of a closed connection that comes late is still taken. */
	clew_buf_clear(&r.log);
	r.cookie++;
	r.off[0] = r.off[1] = 0;
	rig_step(&r, &(struct step){REQ, GET_A});
	{
		struct clew_rec_conn c = {.hdr = {.len = sizeof(c), .type = CLEW_REC_CONN},
					  .ts_ns = r.now,
					  .conn = r.cookie,
					  .hdr_bytes = sizeof(c),
					  .event = CLEW_CONN_CLOSED};

		assert_int_equal(clew_stream_feed(r.s, &c.hdr), 0);
	}
	assert_int_equal(r.closes, 0);
	rig_step(&r, &(struct step){RESP, OK5});
	assert_string_equal(r.log.data, "http GET /a 200 req 28/0 resp 43/5\n");
	assert_int_equal(r.closes, 1);
	/* Left open when the stream is freed. */
	rig_step(&r, &(struct step){REQ, GET_A});
	rig_done(&r);
}

/* A request that learns that the server is gone: told after the connection is closed, it is still of that connection. */
static void test_told_after_the_close(void **state)
{
	struct rig r;

	rig_init(&r, CLEW_ROLE_CLIENT, NULL);
	rig_conn(&r, CLEW_CONN_ESTABLISHED, 0, 0);
	rig_conn(&r, CLEW_CONN_CLOSED, 28, 0);
	assert_int_equal(r.closes, 0);
	r.off[CLEW_DIR_TX] = 0;
	rig_step(&r, &(struct step){REQ, GET_A});
	assert_true(r.last_has_key);
	rig_step(&r, &(struct step){WAIT, NULL, 100000000});
	assert_string_equal(r.log.data, "http GET /a 0 req 28/0 resp 0/0 NO_RESPONSE\n");
	assert_int_equal(r.closes, 1);
	/* All was told: nothing is waited for. */
	r.cookie++;
	rig_conn(&r, CLEW_CONN_ESTABLISHED, 0, 0);
	rig_conn(&r, CLEW_CONN_CLOSED, 0, 0);
	assert_int_equal(r.closes, 2);
	rig_done(&r);
}

static void test_impossible_records(void **state)
{
	union {
		struct clew_rec rec;
		struct clew_rec_io io;
		struct clew_rec_conn conn;
		uint8_t bytes[256];
	} u;
	struct rig r;

	rig_init(&r, CLEW_ROLE_SERVER, NULL);
	for (uint32_t len = 8; len < sizeof(u); len += 8) {
		for (unsigned type = 0; type < 12; type++) {
			memset(&u, 0xee, sizeof(u));
			u.rec.len = len;
			u.rec.type = (uint16_t)type;
			assert_int_equal(clew_stream_feed(r.s, &u.rec), 0);
		}
	}
	memset(&u, 0, sizeof(u));
	u.io = (struct clew_rec_io){.hdr = {.len = 88, .type = CLEW_REC_IO},
				    .hdr_bytes = 80,
				    .offset = UINT64_MAX - 3,
				    .bytes = 8,
				    .cap_len = 8};
	assert_int_equal(clew_stream_feed(r.s, &u.rec), 0);
	u.io.offset = 0;
	u.io.cap_len = 9;
	u.io.bytes = 9;
	assert_int_equal(clew_stream_feed(r.s, &u.rec), 0);
	u.io.dir = 2;
	u.io.cap_len = 0;
	assert_int_equal(clew_stream_feed(r.s, &u.rec), 0);
	assert_int_equal(r.begun, 0);
	assert_true(clew_stream_stats(r.s)->bad_records > 3);
	rig_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_conns),
		cmocka_unit_test(test_lru),
		cmocka_unit_test(test_open_exchanges),
		cmocka_unit_test(test_long_head),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_told_after_the_close),
		cmocka_unit_test(test_impossible_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
