/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets in command lines. Errs on the side of hiding: a word too many is no harm.
 */
#include <ctype.h>
#include <stdio.h>

#include "capture/internal.h"

static const char *const words[] = {
	"password",	 "passwd", "pwd",    "pass",	   "passphrase",  "token",
	"secret",	 "key",	   "apikey", "credential", "credentials", "auth",
	"authorization", "bearer", "cookie", "pw",	   "sid"};
/* These count inside longer words too: accesstoken, DBPASSWORD. */
static const char *const parts[] = {"password", "passwd", "secret",    "token",
				    "apikey",	"sessid", "sessionid", "passphrase"};

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

/*
 * Copies arg with the passwords of the URLs in it replaced. Where an http URL names only a user,
 * that is a token: https://ghp_x@github.com/.
 */
static void add_urls(const char *arg, size_t n, struct clew_buf *out)
{
	const char *end = arg + n, *scheme, *limit, *at, *from;

	while ((scheme = memmem(arg, end - arg, "://", 3))) {
		bool http = (scheme - arg >= 4 && !memcmp(scheme - 4, "http", 4)) ||
			    (scheme - arg >= 5 && !memcmp(scheme - 5, "https", 5));

		limit = from = scheme + 3;
		while (limit < end && !strchr("/?# \t\"", *limit))
			limit++;
		at = memrchr(from, '@', limit - from);
		if (!at) {
			clew_buf_add(out, arg, from - arg);
			arg = from;
			continue;
		}
		/* another URL behind a comma: its '@' is not ours */
		for (const char *p = from; p + 2 < at; p++)
			if (*p == '@' && memmem(p, at - p, "://", 3))
				at = p;
		scheme = memchr(from, ':', at - from);
		clew_buf_add(out, arg, scheme ? scheme + 1 - arg : from - arg);
		if (scheme || http)
			clew_buf_adds(out, "***");
		else
			clew_buf_add(out, from, at - from);
		arg = at;
	}
	clew_buf_add(out, arg, end - arg);
}

/* Copies arg with the values of "name": value replaced whose name is secret, as JSON has it. */
static void add_json(const char *arg, size_t n, struct clew_buf *out)
{
	const char *end = arg + n, *name = NULL, *p = arg;

	while (p < end) {
		const char *value = p + 1;

		if (*p++ != '"')
			continue;
		if (!name) {
			name = p;
			continue;
		}
		while (value < end && (*value == ' ' || *value == ':'))
			value++;
		if (!memchr(p, ':', value - p) || !name_is_secret(name, value - name)) {
			/* a string's end, or the begin of the next */
			name = memchr(p, ':', value - p) ? NULL : p;
			continue;
		}
		clew_buf_add(out, arg, value - arg);
		clew_buf_adds(out, "***");
		if (value < end && *value == '"') {
			for (value++; value < end && *value != '"'; value++)
				value += *value == '\\';
			value++;
		} else {
			while (value < end && !strchr(",}", *value))
				value++;
		}
		arg = p = value < end ? value : end;
		name = NULL;
	}
	clew_buf_add(out, arg, end - arg);
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

/*
 * "Authorization: Bearer x", as curl -H has it. Without a blank behind the colon it may be anything
 * (gunicorn auth:app), unless the option says that it is a header.
 */
static bool header_is_secret(const char *arg, size_t n, bool is_header, size_t *ret_colon)
{
	const char *colon = memchr(arg, ':', n);

	if (!colon || colon == arg || (!is_header && colon + 1 < arg + n && colon[1] != ' '))
		return false;
	*ret_colon = colon - arg;
	return name_is_secret(arg, *ret_colon);
}

/* Options whose value is a secret by what the program makes of them. */
static bool is_secret_flag(const char *program, const char *flag, size_t n)
{
	static const struct {
		const char *program, *flag;
	} flags[] = {{"mysql", "-p"}, {"mariadb", "-p"}, {"redis-cli", "-a"}, {"sshpass", "-p"}};
	const char *base = strrchr(program, '/');

	base = base ? base + 1 : program;
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (n >= 2 && !strncmp(base, flags[i].program, strlen(flags[i].program)) &&
		    !memcmp(flag, flags[i].flag, 2))
			return true;
	return false;
}

static bool is_arg(const char *arg, size_t n, const char *const *names)
{
	for (; *names; names++)
		if (strlen(*names) == n && !memcmp(arg, *names, n))
			return true;
	return false;
}

/* name:password behind these, or behind their '='; also -uname:password. */
static const char *const user_options[] = {"-u", "-U", "--user", "--proxy-user", NULL};

static const char *user_password(const char *arg, size_t n, bool is_user)
{
	const char *eq = memchr(arg, '=', n), *colon;

	if (!is_user && !(n > 2 && !memcmp(arg, "-u", 2)) &&
	    !(eq && is_arg(arg, eq - arg, user_options)))
		return NULL;
	colon = memchr(arg, ':', n);
	return colon && colon + 1 < arg + n && colon[1] != '/' ? colon + 1 : NULL;
}

static void add_text(const char *arg, size_t n, struct clew_buf *out)
{
	struct clew_buf urls, json;

	clew_buf_init(&urls, 0);
	clew_buf_init(&json, 0);
	add_urls(arg, n, &urls);
	add_json(urls.data ? urls.data : "", urls.len, &json);
	add_pairs(json.data ? json.data : "", 0, json.len, out);
	if (urls.err || json.err)
		out->err = out->err ? out->err : -ENOMEM;
	clew_buf_done(&urls);
	clew_buf_done(&json);
}

int redact_args(const char *args, size_t n, struct clew_buf *out)
{
	static const char *const header_options[] = {"-H", "--header", NULL};
	bool hide_next = false, header_next = false, user_next = false;
	char program[256] = "";

	snprintf(program, sizeof(program), "%.*s", (int)strnlen(args, n), args);
	for (size_t at = 0; at < n;) {
		const char *arg = args + at, *password;
		size_t len = strnlen(arg, n - at), colon;
		bool option = len && arg[0] == '-';
		bool flag = at && is_secret_flag(program, arg, len);

		if (hide_next && !option) {
			clew_buf_adds(out, "***");
		} else if (flag && len > 2) {
			clew_buf_add(out, arg, 2);
			clew_buf_adds(out, "***");
		} else if (header_is_secret(arg, len, header_next, &colon)) {
			clew_buf_add(out, arg, colon + 1);
			clew_buf_adds(out, " ***");
		} else if ((password = user_password(arg, len, user_next))) {
			clew_buf_add(out, arg, password - arg);
			clew_buf_adds(out, "***");
		} else {
			add_text(arg, len, out);
		}
		header_next = is_arg(arg, len, header_options);
		user_next = is_arg(arg, len, user_options);
		hide_next = (flag && len == 2) ||
			    (option && !memchr(arg, '=', len) && name_is_secret(arg, len));
		if (at + len < n)
			clew_buf_addc(out, 0);
		at += len + 1;
	}
	return out->err;
}
