/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RESP: see resp.h.
 */
#include <errno.h>
#include <string.h>

#include "proto/resp.h"

#define MAX_DIGITS 18 /* what fits */

void clew_resp_begin(struct clew_resp *r, bool command)
{
	*r = (struct clew_resp){.command = command};
}

/* A value is complete, and so may be those that hold it. */
static void value_over(struct clew_resp *r)
{
	for (; r->depth; r->depth--)
		if (--r->need[r->depth - 1])
			return;
	r->whole = true;
}

static int values_follow(struct clew_resp *r, uint64_t n)
{
	if (!n) {
		value_over(r);
		return 0;
	}
	if (r->depth == CLEW_RESP_DEPTH || n > UINT32_MAX)
		return -EBADMSG;
	r->need[r->depth++] = (uint32_t)n;
	return 0;
}

static bool is_number(char type)
{
	return strchr("$=!*~>%|", type);
}

/* A line's first byte. Commands are arrays of strings. */
static int type_read(struct clew_resp *r, char c)
{
	bool fits = r->command ? c == (r->depth ? '$' : '*') : c && strchr("+-:_#,($=!*~>%|", c);

	if (!fits)
		return -EBADMSG;
	r->type = c;
	r->number = 0;
	r->digits = 0;
	r->minus = r->cr = false;
	r->push |= c == '>' && !r->depth;
	return 0;
}

/* A line's end: what follows? */
static int line_over(struct clew_resp *r)
{
	char type = r->type;

	r->type = 0;
	if (!is_number(type)) {
		value_over(r);
		return 0;
	}
	if (!r->digits || (r->command && (r->minus || (type == '*' && !r->number))))
		return -EBADMSG;
	if (r->minus) { /* -1: null */
		value_over(r);
		return 0;
	}
	switch (type) {
	case '%':
		return values_follow(r, 2 * r->number);
	case '|': /* attributes, and then the value that they are of */
		return values_follow(r, 2 * r->number + 1);
	case '$':
	case '=':
	case '!':
		r->left = r->number + 2;
		return 0;
	default:
		return values_follow(r, r->number);
	}
}

static int line_byte(struct clew_resp *r, char c)
{
	if (!r->type)
		return type_read(r, c);
	if (r->cr)
		return c == '\n' ? line_over(r) : -EBADMSG;
	if (c == '\r') {
		r->cr = true;
		return 0;
	}
	if (!is_number(r->type))
		return 0;
	if (c == '-' && !r->digits && !r->minus) {
		r->minus = true;
		return 0;
	}
	if (c < '0' || c > '9' || r->digits == MAX_DIGITS)
		return -EBADMSG;
	r->digits++;
	r->number = r->number * 10 + (uint64_t)(c - '0');
	return 0;
}

uint64_t clew_resp_pass(struct clew_resp *r, uint64_t n)
{
	if (n > r->left)
		n = r->left;
	r->left -= n;
	if (n && !r->left)
		value_over(r);
	return n;
}

ssize_t clew_resp_take(struct clew_resp *r, struct slice in)
{
	size_t at = 0;

	while (at < in.n && !r->whole) {
		if (r->left)
			at += clew_resp_pass(r, in.n - at);
		else if (line_byte(r, in.p[at++]))
			return -EBADMSG;
	}
	return (ssize_t)at;
}

bool clew_resp_is_command(struct slice in)
{
	struct clew_resp r;
	const char *line = in.n ? memchr(in.p, '\n', in.n) : NULL;

	if (!line)
		return false;
	line = memchr(line + 1, '\n', (size_t)(in.p + in.n - line - 1));
	if (!line)
		return false;
	clew_resp_begin(&r, true);
	return clew_resp_take(&r, slice_of(in.p, (size_t)(line + 1 - in.p))) > 0 && r.left;
}
