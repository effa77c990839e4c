/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <math.h>
#include <stdio.h>

#include "base/utf8.h"

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
		len = clew_utf8_len(p + i, s.n - i);
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
