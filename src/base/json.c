/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <math.h>
#include <stdio.h>

/* Bytes of the valid UTF-8 sequence at p, or 0 (RFC 3629, table in section 4). */
static size_t utf8_len(const unsigned char *p, size_t n)
{
	unsigned char lo = 0x80, hi = 0xbf;
	size_t len;

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		len = 2;
	else if ((p[0] & 0xf0) == 0xe0)
		len = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		len = 4;
	else
		return 0;
	if (n < len)
		return 0;
	if (p[0] == 0xe0)
		lo = 0xa0;
	else if (p[0] == 0xed)
		hi = 0x9f;
	else if (p[0] == 0xf0)
		lo = 0x90;
	else if (p[0] == 0xf4)
		hi = 0x8f;
	if (p[1] < lo || p[1] > hi)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void escape(struct clew_buf *b, unsigned char c)
{
	switch (c) {
	case '"':
		clew_buf_adds(b, "\\\"");
		break;
	case '\\':
		clew_buf_adds(b, "\\\\");
		break;
	case '\n':
		clew_buf_adds(b, "\\n");
		break;
	case '\r':
		clew_buf_adds(b, "\\r");
		break;
	case '\t':
		clew_buf_adds(b, "\\t");
		break;
	default:
		clew_buf_addf(b, "\\u%04x", c);
	}
}

int clew_json_str(struct clew_buf *b, struct slice s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t i = 0, run, len;

	clew_buf_addc(b, '"');
	while (i < s.n) {
		for (run = i; run < s.n && is_plain(p[run]); run++)
			;
		if (run > i) {
			clew_buf_add(b, p + i, run - i);
			i = run;
			continue;
		}
		len = utf8_len(p + i, s.n - i);
		if (len > 1)
			clew_buf_add(b, p + i, len);
		else if (len == 1)
			escape(b, p[i]);
		else
			clew_buf_adds(b, "\xef\xbf\xbd");
		i += len ? len : 1;
	}
	clew_buf_addc(b, '"');
	return b->err;
}

int clew_json_double(struct clew_buf *b, double v)
{
	char text[32];

	if (!isfinite(v))
		return clew_buf_adds(b, "null");
	/* The shorter form where it reads back as the same number. */
	snprintf(text, sizeof(text), "%.15g", v);
	if (strtod(text, NULL) != v)
		snprintf(text, sizeof(text), "%.17g", v);
	return clew_buf_adds(b, text);
}
