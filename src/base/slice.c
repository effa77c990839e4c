/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"

#include <math.h>
#include <stdlib.h>

static inline char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool slice_ieq(struct slice a, struct slice b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (a.p[i] != b.p[i] && lower(a.p[i]) != lower(b.p[i]))
			return false;
	return true;
}

bool slice_number(struct slice text, double *ret)
{
	char buf[64], *end;
	double v;

	if (!text.n || text.n >= sizeof(buf))
		return false;
	memcpy(buf, text.p, text.n);
	buf[text.n] = '\0';
	v = strtod(buf, &end);
	if (end != buf + text.n || !isfinite(v)) /* a NUL ends a number too */
		return false;
	*ret = v;
	return true;
}
