/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

size_t clew_utf8_len(const unsigned char *p, size_t n)
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

/* Bytes at the beginning that are ASCII; eight at a time. */
static size_t ascii_run(const unsigned char *p, size_t n)
{
	size_t i = 0;
	uint64_t v;

	for (; n - i >= sizeof(v); i += sizeof(v)) {
		memcpy(&v, p + i, sizeof(v));
		if (v & 0x8080808080808080ull)
			break;
	}
	while (i < n && p[i] < 0x80)
		i++;
	return i;
}

/* Bytes at the beginning that are UTF-8. */
static size_t valid_run(const unsigned char *p, size_t n)
{
	size_t i = ascii_run(p, n), len;

	while (i < n && (len = clew_utf8_len(p + i, n - i)) != 0) {
		i += len;
		i += ascii_run(p + i, n - i);
	}
	return i;
}

bool clew_utf8_valid(struct slice s)
{
	return valid_run((const unsigned char *)s.p, s.n) == s.n;
}

int clew_utf8_clean(struct clew_buf *b, struct slice s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t i = 0, run;

	while (i < s.n) {
		run = valid_run(p + i, s.n - i);
		clew_buf_add(b, p + i, run);
		i += run;
		if (i < s.n) {
			clew_buf_adds(b, "\xef\xbf\xbd");
			i++;
		}
	}
	return b->err;
}
