/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz the HTTP/1.x parsers: whatever the bytes, the answer for the whole input and for the same input in
 * pieces agree, and no slice leaves its input.
 *
 * Input: one byte that chooses the parser, one byte of seed for where to cut, then the bytes.
 */
#include <errno.h>
#include <stdlib.h>

#include "fuzz.h"
#include "proto/http1.h"

typedef ssize_t (*parse_fn)(struct slice, struct clew_http1_head *);

/* A copy of exactly n bytes, so that a read past the end is seen. */
static struct slice copy(const uint8_t *p, size_t n)
{
	char *m = malloc(n ? n : 1);

	FUZZ_CHECK(m);
	if (n)
		memcpy(m, p, n);
	return slice_of(m, n);
}

static bool inside(struct slice s, struct slice in)
{
	return !s.p || (s.p >= in.p && s.p + s.n <= in.p + in.n);
}

static bool same_head(const struct clew_http1_head *a, struct slice ain,
		      const struct clew_http1_head *b, struct slice bin)
{
	return a->method.n == b->method.n && a->target.n == b->target.n &&
	       (!a->method.p || a->method.p - ain.p == b->method.p - bin.p) &&
	       (!a->target.p || a->target.p - ain.p == b->target.p - bin.p) &&
	       a->status == b->status && a->minor == b->minor &&
	       a->transfer_encoding == b->transfer_encoding && a->chunked == b->chunked &&
	       a->connection_close == b->connection_close &&
	       a->connection_keep_alive == b->connection_keep_alive && a->upgrade == b->upgrade &&
	       a->expect_continue == b->expect_continue && a->content_length == b->content_length;
}

static void check_head(const uint8_t *p, size_t n, size_t step, parse_fn parse, bool request)
{
	struct slice in = copy(p, n);
	struct clew_http1_head whole, part;
	ssize_t want = parse(in, &whole);

	FUZZ_CHECK(want == -EAGAIN || want == -EBADMSG || (want > 0 && (size_t)want <= n));
	if (want > 0) {
		FUZZ_CHECK(inside(whole.method, in) && inside(whole.target, in));
		FUZZ_CHECK(whole.content_length >= -1);
		FUZZ_CHECK(request ? !whole.status : whole.status >= 100 && whole.status <= 999);
		FUZZ_CHECK(request ? whole.method.n && whole.target.n : !whole.method.p);
		(void)clew_http1_request_body(&whole);
		(void)clew_http1_response_body(&whole, SLICE("GET"));
	}
	/* Cut anywhere: more is wanted until the head is whole; what is bad stays bad. */
	for (size_t cut = 0; cut <= n; cut += cut < 40 ? 1 : step) {
		struct slice piece = copy(p, cut);
		ssize_t got = parse(piece, &part);

		if (want > 0 && cut >= (size_t)want)
			FUZZ_CHECK(got == want && same_head(&whole, in, &part, piece));
		else if (got == -EBADMSG)
			FUZZ_CHECK(want == -EBADMSG);
		else
			FUZZ_CHECK(got == -EAGAIN);
		/* A piece without an end of a head never hides one. */
		if (got > 0)
			FUZZ_CHECK(clew_http1_head_ends(piece, 0));
		free((void *)piece.p);
	}
	free((void *)in.p);
}

static void check_words(const uint8_t *p, size_t n)
{
	struct slice in = copy(p, n), v;
	struct clew_http1_head h = {.content_length = -1};
	size_t blank = clew_http1_blank(in);

	FUZZ_CHECK(blank <= n);
	if (!clew_http1_request_start(in, &h))
		FUZZ_CHECK(h.method.n && inside(h.method, in) && inside(h.target, in));
	v = clew_http1_field(in, SLICE("content-length"));
	FUZZ_CHECK(inside(v, in));
	v = clew_http1_field(in, SLICE("x"));
	FUZZ_CHECK(inside(v, in));
	for (size_t from = 0; from <= n && from < 64; from++)
		(void)clew_http1_head_ends(in, from);
	free((void *)in.p);
}

static void check_chunks(const uint8_t *p, size_t n, size_t step)
{
	struct clew_http1_chunks a = {0}, b = {0};
	uint64_t want_data = 0, data = 0, d;
	struct slice in = copy(p, n);
	ssize_t want = clew_http1_chunks_feed(&a, in, &want_data), got = 0;
	size_t at = 0;

	FUZZ_CHECK(want == -EBADMSG ||
		   (want >= 0 && (size_t)want <= n && want_data <= (size_t)want));
	FUZZ_CHECK(want == -EBADMSG || (size_t)want == n || clew_http1_chunks_done(&a));
	while (at < n && !clew_http1_chunks_done(&b)) {
		struct slice piece = copy(p + at, step < n - at ? step : n - at);
		size_t len = piece.n;

		d = 0;
		got = clew_http1_chunks_feed(&b, piece, &d);
		free((void *)piece.p);
		if (got < 0)
			break;
		FUZZ_CHECK((size_t)got == len || clew_http1_chunks_done(&b));
		at += (size_t)got;
		data += d;
	}
	if (want < 0) {
		FUZZ_CHECK(got == want);
	} else {
		FUZZ_CHECK(got >= 0 && at == (size_t)want && data == want_data);
		FUZZ_CHECK(a.state == b.state && a.left == b.left && a.digits == b.digits);
		/* Unseen bytes: no more than were asked for, and only framing or data. */
		for (uint64_t ask = 1; ask < 1ull << 40; ask <<= 3) {
			struct clew_http1_chunks c = a;
			uint64_t over = clew_http1_chunks_skip(&c, ask, &d);

			FUZZ_CHECK(over <= ask && d <= over && over - d <= 2);
		}
	}
	free((void *)in.p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t step;

	if (size < 2 || size > 4096)
		return 0;
	step = 1 + data[1] % 37;
	switch (data[0] % 4) {
	case 0:
		check_head(data + 2, size - 2, step, clew_http1_request, true);
		break;
	case 1:
		check_head(data + 2, size - 2, step, clew_http1_response, false);
		break;
	case 2:
		check_chunks(data + 2, size - 2, step);
		break;
	case 3:
		check_words(data + 2, size - 2);
		break;
	}
	return 0;
}
