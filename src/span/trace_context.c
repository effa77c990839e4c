/* SPDX-License-Identifier: Apache-2.0 */
#include "span/trace_context.h"

#include <ctype.h>
#include <errno.h>

static struct slice trim(struct slice s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = slice_of(s.p + 1, s.n - 1);
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

static bool is_lower_hex(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!isdigit((unsigned char)s.p[i]) && !(s.p[i] >= 'a' && s.p[i] <= 'f'))
			return false;
	return true;
}

/* 16 or 32 digits; a short id is right-aligned, as B3 has it. */
static int trace_id_parse(struct slice s, struct clew_id128 *ret)
{
	struct clew_id128 id = {{0}};
	int r;

	if (s.n == 32)
		r = clew_unhex(s.p, s.n, id.b, 16);
	else
		r = clew_unhex(s.p, s.n, id.b + 8, 8);
	if (r < 0 || clew_id128_none(&id))
		return -EBADMSG;
	*ret = id;
	return 0;
}

static int span_id_parse(struct slice s, struct clew_id64 *ret)
{
	struct clew_id64 id;

	if (clew_unhex(s.p, s.n, id.b, 8) < 0 || clew_id64_none(&id))
		return -EBADMSG;
	*ret = id;
	return 0;
}

int clew_traceparent_parse(struct slice v, struct clew_trace_context *ret)
{
	struct clew_trace_context c = {.trace_state = {NULL, 0}};

	v = trim(v);
	/* version 00 is exactly this long; later ones may go on behind a dash */
	if (v.n < 55 || v.p[2] != '-' || v.p[35] != '-' || v.p[52] != '-' ||
	    !is_lower_hex(slice_of(v.p, 2)) || !is_lower_hex(slice_of(v.p + 3, 32)) ||
	    !is_lower_hex(slice_of(v.p + 36, 16)) || !is_lower_hex(slice_of(v.p + 53, 2)))
		return -EBADMSG;
	if (!memcmp(v.p, "ff", 2) || (!memcmp(v.p, "00", 2) && v.n != 55) ||
	    (v.n > 55 && v.p[55] != '-'))
		return -EBADMSG;
	if (trace_id_parse(slice_of(v.p + 3, 32), &c.trace_id) < 0 ||
	    span_id_parse(slice_of(v.p + 36, 16), &c.span_id) < 0)
		return -EBADMSG;
	*ret = c;
	return 0;
}

int clew_b3_parse(struct slice v, struct clew_trace_context *ret)
{
	struct clew_trace_context c = {.trace_state = {NULL, 0}};
	const char *dash, *end;

	v = trim(v);
	if (v.n == 1)
		return -ENOENT;
	dash = memchr(v.p, '-', v.n);
	if (!dash || trace_id_parse(slice_of(v.p, (size_t)(dash - v.p)), &c.trace_id) < 0)
		return -EBADMSG;
	v = slice_of(dash + 1, v.n - (size_t)(dash + 1 - v.p));
	end = v.n ? memchr(v.p, '-', v.n) : NULL;
	if (span_id_parse(slice_of(v.p, end ? (size_t)(end - v.p) : v.n), &c.span_id) < 0)
		return -EBADMSG;
	*ret = c;
	return 0;
}

int clew_trace_context(const struct clew_exchange *x, struct clew_trace_context *ret)
{
	struct clew_trace_context c = {.trace_state = {NULL, 0}};
	struct slice v, span;
	int r;

	v = clew_exchange_header(x, CLEW_PART_REQUEST, SLICE("traceparent"));
	if (v.p) {
		r = clew_traceparent_parse(v, &c);
		if (r < 0)
			return r;
		c.trace_state = clew_exchange_header(x, CLEW_PART_REQUEST, SLICE("tracestate"));
		*ret = c;
		return 0;
	}
	v = clew_exchange_header(x, CLEW_PART_REQUEST, SLICE("b3"));
	if (v.p)
		return clew_b3_parse(v, ret);
	v = clew_exchange_header(x, CLEW_PART_REQUEST, SLICE("x-b3-traceid"));
	span = clew_exchange_header(x, CLEW_PART_REQUEST, SLICE("x-b3-spanid"));
	if (!v.p || !span.p)
		return -ENOENT;
	if (trace_id_parse(trim(v), &c.trace_id) < 0 || span_id_parse(trim(span), &c.span_id) < 0)
		return -EBADMSG;
	*ret = c;
	return 0;
}
