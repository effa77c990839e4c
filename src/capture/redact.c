/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets in command lines. Errs on the side of hiding: a word too many is no harm.
 */
#include <ctype.h>

#include "capture/internal.h"

static const char *const words[] = {
	"password", "passwd",	  "pwd",	 "pass", "passphrase",	  "token",  "secret", "key",
	"apikey",   "credential", "credentials", "auth", "authorization", "bearer", "cookie"};
/* These count inside longer words too: accesstoken, DBPASSWORD. */
static const char *const parts[] = {"password", "passwd", "secret", "token", "apikey"};

/* Does a name (of an option, variable, parameter) speak of a secret? */
static bool name_is_secret(const char *name, size_t n)
{
	size_t begin = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		size_t len = strlen(parts[i]);

		for (size_t at = 0; at + len <= n; at++)
			if (!strncasecmp(name + at, parts[i], len))
				return true;
	}
	for (size_t at = 0; at <= n; at++) {
		if (at < n && isalnum((unsigned char)name[at]))
			continue;
		for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
			if (at - begin == strlen(words[i]) &&
			    !strncasecmp(name + begin, words[i], at - begin))
				return true;
		begin = at + 1;
	}
	return false;
}

/* Where in an argument without '=' of its own does a URL's password lie? */
static bool url_password(const char *arg, size_t n, size_t *begin, size_t *end)
{
	const char *scheme = memmem(arg, n, "://", 3);
	const char *limit, *at, *colon;

	if (!scheme)
		return false;
	scheme += 3;
	limit = scheme;
	while (limit < arg + n && *limit != '/' && *limit != '?')
		limit++;
	at = memrchr(scheme, '@', limit - scheme);
	if (!at)
		return false;
	colon = memchr(scheme, ':', at - scheme);
	if (!colon)
		return false;
	*begin = colon + 1 - arg;
	*end = at - arg;
	return true;
}

/* Copies arg[from, n), with the values of name=value pairs whose name is secret replaced. */
static void add_pairs(const char *arg, size_t from, size_t n, struct clew_buf *out)
{
	while (from < n) {
		size_t eq = from, end, name = from;

		while (eq < n && arg[eq] != '=') {
			/* a parameter's name begins behind these */
			if (strchr("?&; ", arg[eq]))
				name = eq + 1;
			eq++;
		}
		if (eq == n) {
			clew_buf_add(out, arg + from, n - from);
			return;
		}
		end = eq + 1;
		while (end < n && arg[end] != '&' && arg[end] != ';')
			end++;
		clew_buf_add(out, arg + from, eq + 1 - from);
		if (name_is_secret(arg + name, eq - name)) {
			if (end > eq + 1)
				clew_buf_adds(out, "***");
			from = end;
		} else {
			from = eq + 1;
		}
	}
}

/* "Authorization: Bearer x", as curl -H has it. */
static bool header_is_secret(const char *arg, size_t n, size_t *ret_colon)
{
	const char *colon = memchr(arg, ':', n);

	if (!colon || colon == arg || (colon + 1 < arg + n && colon[1] != ' '))
		return false;
	*ret_colon = colon - arg;
	return name_is_secret(arg, *ret_colon);
}

int redact_args(const char *args, size_t n, struct clew_buf *out)
{
	bool hide_next = false;

	for (size_t at = 0; at < n;) {
		const char *arg = args + at;
		size_t len = strnlen(arg, n - at), from = 0, begin, end;
		bool option = len && arg[0] == '-';

		if (hide_next && !option) {
			clew_buf_adds(out, "***");
			hide_next = false;
		} else if (header_is_secret(arg, len, &end)) {
			clew_buf_add(out, arg, end + 1);
			clew_buf_adds(out, " ***");
			hide_next = false;
		} else {
			if (url_password(arg, len, &begin, &end)) {
				add_pairs(arg, 0, begin, out);
				clew_buf_adds(out, "***");
				from = end;
			}
			add_pairs(arg, from, len, out);
			hide_next = option && !memchr(arg, '=', len) && name_is_secret(arg, len);
		}
		if (at + len < n)
			clew_buf_addc(out, 0);
		at += len + 1;
	}
	return out->err;
}
