/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Out of memory, at each allocation in turn: it is reported, nothing is lost track of, and no response is
 * given to another request than its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "stream/stream.h"
#include "base/cleanup.h"
#include "tests/lib/no_memory.h"

static unsigned begun, ended;

static void on_begin(void *u, struct clew_exchange *x)
{
	begun++;
}

static void on_end(void *u, struct clew_exchange *x)
{
	ended++;
	if (x->http.status && x->http.method.p)
		assert_int_equal(x->http.status, 200 + x->http.target.p[1] - '0');
	clew_exchange_free(x);
}

static int feed(struct clew_stream *s, uint64_t conn, enum clew_dir dir, uint64_t *off,
		const char *text)
{
	struct {
		struct clew_rec_io io;
		char text[256];
	} r = {.io = {.hdr = {.len = sizeof(r), .type = CLEW_REC_IO},
		      .conn = conn,
		      .dir = dir,
		      .hdr_bytes = sizeof(r.io),
		      .offset = *off,
		      .tgid = 1}};

	r.io.bytes = r.io.cap_len = (uint32_t)strlen(text);
	memcpy(r.text, text, r.io.bytes);
	*off += r.io.bytes;
	return clew_stream_feed(s, &r.io.hdr);
}

/* Twenty connections, four requests each, in pieces and out of order. Returns how many feeds failed. */
static unsigned scenario(struct clew_stream *s)
{
	unsigned failed = 0;

	for (uint64_t conn = 1; conn <= 40; conn++) {
		uint64_t off[2] = {0, 0}, early;
		struct clew_rec_conn c = {.hdr = {.len = sizeof(c), .type = CLEW_REC_CONN},
					  .conn = conn,
					  .hdr_bytes = sizeof(c),
					  .event = CLEW_CONN_ACCEPTED,
					  .role = CLEW_ROLE_SERVER,
					  .family = CLEW_AF_INET};

		failed += clew_stream_feed(s, &c.hdr) == -ENOMEM;
		for (unsigned k = 0; k < 4; k++) {
			char head[64], answer[128];

			snprintf(head, sizeof(head), "POST /%u HTTP/1.1\r\n", k);
			snprintf(answer, sizeof(answer),
				 "HTTP/1.1 20%u OK\r\nContent-Length: 2\r\n\r\nok", k);
			failed += feed(s, conn, CLEW_DIR_RX, &off[0], head) == -ENOMEM;
			early = off[0] + 21;
			failed += feed(s, conn, CLEW_DIR_RX, &early, "abc") == -ENOMEM;
			failed += feed(s, conn, CLEW_DIR_RX, &off[0],
				       "Content-Length: 3\r\n\r\n") == -ENOMEM;
			off[0] += 3;
			failed += feed(s, conn, CLEW_DIR_TX, &off[1], answer) == -ENOMEM;
		}
	}
	return failed;
}

static void test_each_allocation(void **state)
{
	static const struct clew_stream_ops ops = {.begin = on_begin, .end = on_end};
	static const struct clew_stream_opts opts;
	struct clew_stream *s;
	unsigned n = 0, failed, r;

	do {
		begun = ended = 0;
		no_memory_from(n++, false);
		r = (unsigned)-clew_stream_new(&ops, NULL, &opts, &s);
		if (r) {
			no_memory_end();
			assert_int_equal(r, ENOMEM);
			continue;
		}
		failed = scenario(s);
		no_memory_end();
		assert_int_equal(failed, no_memory_failed);
		assert_true(clew_stream_stats(s)->exchanges == begun);
		clew_stream_free(s);
		assert_int_equal(begun, ended);
	} while (no_memory_failed);
	assert_int_equal(begun, 160);
	assert_true(n > 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_allocation)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
