/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names are judged by words, generously: a value that is hidden for nothing costs little.
 */
#include "span/redact.h"

#include <ctype.h>

#define MAX_NAME 256u

bool clew_header_secret(struct slice name)
{
	static const char *const names[] = {"authorization", "cookie",	    "set-cookie",
					    "cookie2",	     "set-cookie2", "proxy-authorization"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (slice_ieq(name, slice_str(names[i])))
			return true;
	return clew_name_secret(name);
}

static bool is_one_of(const char *s, size_t n, const char *const *list)
{
	for (; *list; list++)
		if (strlen(*list) == n && !memcmp(*list, s, n))
			return true;
	return false;
}

bool clew_name_secret(struct slice name)
{
	static const char *const inside[] = {"token",	   "passw",   "secret",
					     "credential", "apikey",  "signature",
					     "authoriz",   "session", "private"};
	static const char *const words[] = {"pwd", "auth", "jwt", "sig",	   "sid", "otp",
					    "pin", "pass", "key", "code_verifier", NULL};
	char low[MAX_NAME + 1];
	size_t n = name.n < MAX_NAME ? name.n : MAX_NAME, from = 0;

	for (size_t i = 0; i < n; i++)
		low[i] = (char)tolower((unsigned char)name.p[i]);
	low[n] = '\0';
	for (size_t i = 0; i < sizeof(inside) / sizeof(*inside); i++)
		if (strstr(low, inside[i]))
			return true;
	/* accessKey, access_key, key: but not keyword or monkeys */
	if (n >= 3 && !memcmp(low + n - 3, "key", 3))
		return true;
	for (size_t i = 0; i <= n; i++) {
		if (i < n && isalnum((unsigned char)low[i]))
			continue;
		if (is_one_of(low + from, i - from, words))
			return true;
		from = i + 1;
	}
	return false;
}

static int hex(char c)
{
	if (isdigit((unsigned char)c))
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decode into out (MAX_NAME bytes); what is too long is cut, it is only judged. */
static struct slice decode(struct slice s, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n && n < MAX_NAME; i++) {
		bool pct = s.p[i] == '%' && i + 2 < s.n && hex(s.p[i + 1]) >= 0 &&
			   hex(s.p[i + 2]) >= 0;

		out[n++] = pct ? (char)(hex(s.p[i + 1]) << 4 | hex(s.p[i + 2])) : s.p[i];
		i += pct ? 2 : 0;
	}
	return slice_of(out, n);
}

int clew_redact_query(struct clew_buf *out, struct slice query)
{
	char name[MAX_NAME];
	size_t i = 0;

	while (i < query.n) {
		struct slice pair = slice_of(query.p + i, 0);
		const char *eq;

		while (i + pair.n < query.n && pair.p[pair.n] != '&' && pair.p[pair.n] != ';')
			pair.n++;
		eq = memchr(pair.p, '=', pair.n);
		if (eq && clew_name_secret(decode(slice_of(pair.p, (size_t)(eq - pair.p)), name))) {
			clew_buf_add(out, pair.p, (size_t)(eq - pair.p) + 1);
			clew_buf_adds(out, "REDACTED");
		} else {
			clew_buf_add(out, pair.p, pair.n);
		}
		i += pair.n;
		if (i < query.n)
			clew_buf_addc(out, query.p[i++]);
	}
	return out->err;
}
