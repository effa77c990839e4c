/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chunked transfer coding (RFC 9112, 7.1) as a state machine over bytes of which some are unseen:
 *
 *	SIZE ─► (EXT) ─► DATA ─► DATA_CR ─► DATA_LF ─► SIZE
 *	 └─ size 0 ─► LINE ─► (TRAILER ─► LINE)… ─► LINE_LF ─► DONE
 */
#include "proto/http1.h"

#include <errno.h>
#include <string.h>

enum chunk_state {
	SIZE,
	SIZE_LF, /* the CR of a size line was read */
	EXT,	 /* a chunk extension: up to the line's end */
	DATA,
	DATA_CR,
	DATA_LF,
	LINE, /* at the start of a trailer line, or of the last line */
	TRAILER,
	LINE_LF,
	DONE,
};

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void size_done(struct clew_http1_chunks *c)
{
	c->state = c->left ? DATA : LINE;
	c->digits = 0;
}

/* One byte of a size line; at least one digit, at most 15, so that it never overflows. */
static int size_byte(struct clew_http1_chunks *c, char b)
{
	int v = hex(b);

	if (v >= 0) {
		if (c->digits == 15)
			return -EBADMSG;
		c->left = c->left << 4 | (unsigned)v;
		c->digits++;
		return 0;
	}
	if (!c->digits)
		return -EBADMSG;
	if (b == '\n')
		size_done(c);
	else if (b == '\r')
		c->state = SIZE_LF;
	else if (b == ';' || b == ' ' || b == '\t')
		c->state = EXT;
	else
		return -EBADMSG;
	return 0;
}

/* One byte of framing. */
static int frame_byte(struct clew_http1_chunks *c, char b)
{
	switch (c->state) {
	case SIZE:
		return size_byte(c, b);
	case SIZE_LF:
		if (b != '\n')
			return -EBADMSG;
		size_done(c);
		return 0;
	case EXT:
		if (b == '\n')
			size_done(c);
		return 0;
	case DATA_CR:
		if (b != '\r' && b != '\n')
			return -EBADMSG;
		c->state = b == '\r' ? DATA_LF : SIZE;
		return 0;
	case DATA_LF:
		if (b != '\n')
			return -EBADMSG;
		c->state = SIZE;
		return 0;
	case LINE:
		c->state = b == '\r' ? LINE_LF : b == '\n' ? DONE : TRAILER;
		return 0;
	case TRAILER:
		if (b == '\n')
			c->state = LINE;
		return 0;
	case LINE_LF:
		if (b != '\n')
			return -EBADMSG;
		c->state = DONE;
		return 0;
	default:
		return -EBADMSG;
	}
}

ssize_t clew_http1_chunks_feed(struct clew_http1_chunks *c, struct slice in, uint64_t *ret_data)
{
	uint64_t data = 0;
	size_t i = 0;

	while (i < in.n && c->state != DONE) {
		if (c->state == DATA) {
			size_t n = c->left < in.n - i ? (size_t)c->left : in.n - i;

			i += n;
			data += n;
			c->left -= n;
			if (!c->left)
				c->state = DATA_CR;
			continue;
		}
		if (frame_byte(c, in.p[i++]))
			return -EBADMSG;
	}
	*ret_data = data;
	return (ssize_t)i;
}

uint64_t clew_http1_chunks_skip(struct clew_http1_chunks *c, uint64_t n, uint64_t *ret_data)
{
	uint64_t i = 0;

	*ret_data = 0;
	if (c->state == DATA) {
		i = c->left < n ? c->left : n;
		*ret_data = i;
		c->left -= i;
		if (!c->left)
			c->state = DATA_CR;
	}
	if (c->state == DATA_CR && i < n) {
		c->state = DATA_LF;
		i++;
	}
	if (c->state == DATA_LF && i < n) {
		c->state = SIZE;
		i++;
	}
	return i;
}

bool clew_http1_chunks_at_size(const struct clew_http1_chunks *c)
{
	return c->state == SIZE && !c->digits;
}

bool clew_http1_chunks_done(const struct clew_http1_chunks *c)
{
	return c->state == DONE;
}
