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
	static const char *const inside[] = {"token",	   "passw",   "secret",	  "credential",
					     "apikey",	   "sessid",  "authoriz", "signature",
					     "passphrase", "session", "private",  "bearer"};
	static const char *const words[] = {"pwd", "pw",  "auth", "jwt",  "sig", "sid",
					    "otp", "pin", "pass", "dpop", "key", NULL};
	char low[MAX_NAME + 1];
	size_t n = name.n, from = 0;

	/* No word of a program is this long: it may hide anything. */
	if (n > MAX_NAME)
		return true;
	for (size_t i = 0; i < n; i++)
		low[i] = name.p[i] ? (char)tolower((unsigned char)name.p[i]) : '.';
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

/* Percent-decode into out (MAX_NAME + 1 bytes); what is too long is cut there and still too long.
 */
static struct slice decode(struct slice s, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n && n <= MAX_NAME; i++) {
		bool pct = s.p[i] == '%' && i + 2 < s.n && hex(s.p[i + 1]) >= 0 &&
			   hex(s.p[i + 2]) >= 0;

		out[n++] = pct ? (char)(hex(s.p[i + 1]) << 4 | hex(s.p[i + 2])) : s.p[i];
		i += pct ? 2 : 0;
	}
	return slice_of(out, n);
}

static bool is_in(char c, const char *set)
{
	return c && strchr(set, c);
}

/* Bytes of the character at i if it is one of set, plain (1) or percent-encoded (3); else 0. */
static size_t one_of(struct slice s, size_t i, const char *set)
{
	if (is_in(s.p[i], set))
		return 1;
	if (s.p[i] != '%' || i + 2 >= s.n || hex(s.p[i + 1]) < 0 || hex(s.p[i + 2]) < 0)
		return 0;
	return is_in((char)(hex(s.p[i + 1]) << 4 | hex(s.p[i + 2])), set) ? 3 : 0;
}

/*
 * name=value: a name begins behind one of @seps or another '=', a value goes on to one of @ends.
 * An URL may be the value of a parameter, percent-encoded: then so are its own separators.
 */
static int redact_pairs(struct clew_buf *out, struct slice s, const char *seps, const char *ends)
{
	size_t from = 0, name = 0, i = 0, n;
	char text[MAX_NAME + 1];

	while (i < s.n) {
		n = one_of(s, i, "=");
		if (n && clew_name_secret(decode(slice_of(s.p + name, i - name), text))) {
			clew_buf_add(out, s.p + from, i + n - from);
			clew_buf_adds(out, "REDACTED");
			for (i += n; i < s.n; i++)
				if (is_in(s.p[i], ends) || (n == 3 && one_of(s, i, ends)))
					break;
			from = name = i;
			continue;
		}
		if (!n)
			n = one_of(s, i, seps);
		i += n ? n : 1;
		if (n)
			name = i;
	}
	return clew_buf_add(out, s.p + from, s.n - from);
}

/* Append s without the "user:password@" of the URLs in it. */
static int drop_userinfo(struct clew_buf *out, struct slice s)
{
	const char *mark;

	while (s.n && (mark = memmem(s.p, s.n, "://", 3))) {
		size_t begin = (size_t)(mark - s.p) + 3, keep = begin, end = begin;

		for (; end < s.n && !is_in(s.p[end], "/?#&;,<>\" \t"); end++)
			if (s.p[end] == '@')
				keep = end + 1;
		clew_buf_add(out, s.p, begin);
		clew_buf_add(out, s.p + keep, end - keep);
		s = slice_of(s.p + end, s.n - end);
	}
	return clew_buf_add(out, s.p, s.n);
}

bool clew_redact_needed(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '=' || s.p[i] == '%' || s.p[i] == '@')
			return true;
	return false;
}

static int redact(struct clew_buf *out, struct slice s, const char *seps, const char *ends)
{
	struct clew_buf plain = {0};
	int r;

	if (!clew_redact_needed(s))
		return clew_buf_add(out, s.p, s.n);
	if (!memmem(s.p, s.n, "://", 3))
		return redact_pairs(out, s, seps, ends);
	r = drop_userinfo(&plain, s);
	if (r == 0)
		r = redact_pairs(out, clew_buf_slice(&plain), seps, ends);
	clew_buf_done(&plain);
	return r;
}

int clew_redact_query(struct clew_buf *out, struct slice query)
{
	return redact(out, query, "?&;#", "&;#");
}

int clew_redact_path(struct clew_buf *out, struct slice path)
{
	return redact(out, path, "/?&;#", "/?&;#");
}

int clew_redact_header(struct clew_buf *out, struct slice value)
{
	return redact(out, value, "?&;#,<>\" \t", "&;#<>\" \t");
}
