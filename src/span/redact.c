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

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Mostly the second letter differs already: not worth a call. */
static bool begins_with(const char *p, size_t n, struct slice word)
{
	size_t i = 0;

	if (n < word.n)
		return false;
	while (i < word.n && p[i] == word.p[i])
		i++;
	return i == word.n;
}

/* The part of a name, anywhere in it, that makes it a secret's. By its first letter. */
static bool begins_secret(const char *p, size_t n)
{
	static const struct slice inside[] = {
		SLICE("apikey"), SLICE("authoriz"),   SLICE("bearer"),	  SLICE("credential"),
		SLICE("passw"),	 SLICE("passphrase"), SLICE("private"),	  SLICE("secret"),
		SLICE("sessid"), SLICE("session"),    SLICE("signature"), SLICE("token"),
	};
	/* Where a letter's begin, and how many there are. */
	static const struct {
		uint8_t at, n;
	} by_letter[26] = {
		['a' - 'a'] = {0, 2}, ['b' - 'a'] = {2, 1}, ['c' - 'a'] = {3, 1},
		['p' - 'a'] = {4, 3}, ['s' - 'a'] = {7, 4}, ['t' - 'a'] = {11, 1},
	};
	size_t letter = (uint8_t)(*p - 'a');

	if (letter >= 26)
		return false;
	for (size_t i = by_letter[letter].at; i < by_letter[letter].at + by_letter[letter].n; i++)
		if (begins_with(p, n, inside[i]))
			return true;
	return false;
}

/* A whole word of a name that makes it a secret's. */
static bool secret_word(struct slice word)
{
	static const struct slice words[] = {
		SLICE("pw"),   SLICE("pwd"),  SLICE("jwt"),  SLICE("sig"),
		SLICE("sid"),  SLICE("otp"),  SLICE("pin"),  SLICE("key"),
		SLICE("auth"), SLICE("pass"), SLICE("dpop"),
	};

	if (word.n < 2 || word.n > 4)
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (words[i].n == word.n && begins_with(word.p, word.n, words[i]))
			return true;
	return false;
}

bool clew_name_secret(struct slice name)
{
	char low[MAX_NAME];
	size_t n = name.n, from = 0;

	/* No word of a program is this long: it may hide anything. */
	if (n > MAX_NAME)
		return true;
	for (size_t i = 0; i < n; i++)
		low[i] = lower(name.p[i]);
	/* accessKey, access_key, key: but not keyword or monkeys */
	if (n >= 3 && !memcmp(low + n - 3, "key", 3))
		return true;
	for (size_t i = 0; i <= n; i++) {
		bool letter = i < n && low[i] >= 'a' && low[i] <= 'z';

		if (letter && begins_secret(low + i, n - i))
			return true;
		if (letter || (i < n && low[i] >= '0' && low[i] <= '9'))
			continue;
		if (secret_word(slice_of(low + from, i - from)))
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

/* By kind: what a name begins behind, and what a value ends at. */
static const struct {
	const char *seps, *ends;
} kinds[] = {
	[CLEW_REDACT_QUERY] = {"?&;#", "&;#"},
	[CLEW_REDACT_PATH] = {"/?&;#", "/?&;#"},
	[CLEW_REDACT_HEADER] = {"?&;#,<>\" \t", "&;#<>\" \t"},
};

/* What a byte may mean: a separator in the texts of some kinds; ... */
#define SEP(kind) (1u << (kind))
#define SEP_ALL	  (SEP(CLEW_REDACT_QUERY) | SEP(CLEW_REDACT_PATH) | SEP(CLEW_REDACT_HEADER))
#define EQUALS	  0x40u
#define LOOK	  0x80u /* an encoded character, or userinfo: needs the long way */

static const uint8_t meaning[256] = {
	['?'] = SEP_ALL,
	['&'] = SEP_ALL,
	[';'] = SEP_ALL,
	['#'] = SEP_ALL,
	['/'] = SEP(CLEW_REDACT_PATH),
	[','] = SEP(CLEW_REDACT_HEADER),
	['<'] = SEP(CLEW_REDACT_HEADER),
	['>'] = SEP(CLEW_REDACT_HEADER),
	['"'] = SEP(CLEW_REDACT_HEADER),
	[' '] = SEP(CLEW_REDACT_HEADER),
	['\t'] = SEP(CLEW_REDACT_HEADER),
	['='] = EQUALS,
	['%'] = LOOK,
	['@'] = LOOK,
};

bool clew_redact_needed(enum clew_redact_kind kind, struct slice s)
{
	size_t name = 0;

	for (size_t i = 0; i < s.n; i++) {
		uint8_t m = meaning[(uint8_t)s.p[i]];

		if (!(m & (SEP(kind) | EQUALS | LOOK)))
			continue;
		if (m & LOOK)
			return true;
		if (m & EQUALS && clew_name_secret(slice_of(s.p + name, i - name)))
			return true;
		name = i + 1;
	}
	return false;
}

int clew_redact(enum clew_redact_kind kind, struct clew_buf *out, struct slice s)
{
	const char *seps = kinds[kind].seps, *ends = kinds[kind].ends;
	struct clew_buf plain = {0};
	int r;

	if (!clew_redact_needed(kind, s))
		return clew_buf_add(out, s.p, s.n);
	if (!memmem(s.p, s.n, "://", 3))
		return redact_pairs(out, s, seps, ends);
	r = drop_userinfo(&plain, s);
	if (r == 0)
		r = redact_pairs(out, clew_buf_slice(&plain), seps, ends);
	clew_buf_done(&plain);
	return r;
}
