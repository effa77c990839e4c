/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may ask. With a token: who sends it, as a bearer token or as the password of HTTP's Basic
 * scheme (any user name), so that a browser asks its user for it. Without one only this machine
 * reaches us; then the Host must be an address or a name of this machine, so that no web page
 * elsewhere can make a browser here ask under a name of its own (DNS rebinding).
 */
#include <fcntl.h>
#include <stdio.h>
#include <strings.h>

#include "server/internal.h"

#define TOKEN_MAX 4096u

/* Takes the same time wherever the first difference is. */
static bool same(struct slice a, struct slice b)
{
	unsigned char diff = a.n != b.n;

	for (size_t i = 0; i < a.n && i < b.n; i++)
		diff |= (unsigned char)(a.p[i] ^ b.p[i]);
	return !diff;
}

static int base64_value(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Decodes up to the padding. The bytes; 0 for what is not base64 or too long. */
static size_t base64_decode(const char *text, char *out, size_t size)
{
	uint32_t bits = 0;
	size_t n = 0;
	int have = 0;

	for (; *text && *text != '='; text++) {
		int v = base64_value(*text);

		if (v < 0 || n == size)
			return 0;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[n++] = (char)(bits >> have);
		}
	}
	return n;
}

bool auth_token_sent(struct clew_server *s, const char *sent)
{
	struct slice token = slice_str(s->token);
	char pair[TOKEN_MAX + 256], *colon;
	size_t n;

	if (!sent)
		return false;
	if (!strncasecmp(sent, "Bearer ", 7))
		return same(slice_str(sent + 7 + strspn(sent + 7, " ")), token);
	if (strncasecmp(sent, "Basic ", 6))
		return false;
	n = base64_decode(sent + 6 + strspn(sent + 6, " "), pair, sizeof(pair));
	colon = memchr(pair, ':', n);
	return colon && same(slice_of(colon + 1, n - (size_t)(colon + 1 - pair)), token);
}

/* An IPv4 or IPv6 address, localhost, a name below it or this machine's name; a port may follow. */
static bool own_host(const char *host)
{
	char self[256] = "";
	size_t n = strcspn(host, ":");

	if (host[0] == '[')
		return host[1 + strspn(host + 1, "0123456789abcdefABCDEF:.%")] == ']';
	if (n && strspn(host, "0123456789.") == n)
		return true;
	if (n >= 9 && !strncasecmp(host + n - 9, "localhost", 9))
		return n == 9 || host[n - 10] == '.';
	gethostname(self, sizeof(self) - 1);
	return strlen(self) == n && n && !strncasecmp(host, self, n);
}

int auth_check(struct request *rq, const char **ret_why)
{
	struct clew_server *s = rq->server;
	const char *host;

	if (rq->listener->kind == LISTEN_UNIX)
		return 0;
	if (s->token) {
		if (auth_token_sent(s, MHD_lookup_connection_value(rq->mhd, MHD_HEADER_KIND,
								   "Authorization")))
			return 0;
		s->counters.refused_auth++;
		*ret_why = "this server wants its token: send \"Authorization: Bearer TOKEN\"";
		return 401;
	}
	host = MHD_lookup_connection_value(rq->mhd, MHD_HEADER_KIND, "Host");
	if (!host || own_host(host))
		return 0;
	s->counters.refused_host++;
	*ret_why = "this server answers to addresses and to localhost only while it has no token: "
		   "ask by address, or start it with --token-file";
	return 403;
}

int auth_token_read(const char *path, char **ret, char **ret_error)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[TOKEN_MAX + 1], *at = text;
	ssize_t n;

	if (fd < 0)
		return server_fail(ret_error, -errno, "--token-file %s: %s", path, strerror(errno));
	n = read(fd, text, sizeof(text));
	if (n < 0)
		return server_fail(ret_error, -errno, "--token-file %s: %s", path, strerror(errno));
	if (n > (ssize_t)TOKEN_MAX)
		return server_fail(ret_error, -EINVAL, "--token-file %s: longer than %u bytes",
				   path, TOKEN_MAX);
	text[n] = '\0';
	at += strspn(at, " \t\r\n");
	at[strcspn(at, "\r\n")] = '\0';
	for (size_t len = strlen(at); len && strchr(" \t", at[len - 1]); len--)
		at[len - 1] = '\0';
	*ret = strdup(at);
	return *ret ? 0 : -ENOMEM;
}
