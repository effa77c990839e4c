/* SPDX-License-Identifier: Apache-2.0 */
/* clew-load reads answers: a whole head, and where the body after it ends. Source: RFC 9112, 6 and 7. */
#include "load.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *find_header(const char *head, const char *name)
{
	size_t n = strlen(name);
	const char *p = head;

	while ((p = strstr(p, "\r\n"))) {
		p += 2;
		if (!strncasecmp(p, name, n) && p[n] == ':') {
			p += n + 1;
			while (*p == ' ')
				p++;
			return p;
		}
	}
	return NULL;
}

bool read_head(struct conn *c)
{
	const char *h = c->in, *v;
	int minor;

	if (sscanf(h, "HTTP/1.%d %d", &minor, &c->status) != 2)
		return false;
	c->keep = minor == 1;
	v = find_header(h, "connection");
	if (v && !strncasecmp(v, "close", 5))
		c->keep = false;
	else if (v && !strncasecmp(v, "keep-alive", 10))
		c->keep = true;
	c->chunked = false;
	c->to_eof = false;
	c->body_left = 0;
	if (c->status == 204 || c->status == 304 || !strcmp(opt.method, "HEAD"))
		return true;
	v = find_header(h, "transfer-encoding");
	if (v && !strncasecmp(v, "chunked", 7)) {
		c->chunked = true;
		c->chunk = CH_SIZE;
		c->chunk_digits = false;
		return true;
	}
	v = find_header(h, "content-length");
	if (v)
		c->body_left = strtoull(v, NULL, 10);
	else
		c->to_eof = true;
	return true;
}

static bool read_chunks(struct conn *c, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char b = p[i];

		switch (c->chunk) {
		case CH_SIZE:
			if (b == '\n') {
				c->chunk = c->body_left ? CH_DATA : CH_TRAILER;
				c->body_left += 2; /* the data's CRLF */
				c->line_empty = true;
				c->chunk_digits = false;
			} else if (!c->chunk_digits && strchr("0123456789abcdefABCDEF", b)) {
				c->body_left = c->body_left * 16 +
					       (uint64_t)(b <= '9' ? b - '0' : (b | 32) - 'a' + 10);
			} else {
				c->chunk_digits = true; /* an extension, or CR */
			}
			break;
		case CH_DATA:
			if (--c->body_left == 0)
				c->chunk = CH_SIZE;
			break;
		case CH_TRAILER:
			if (b == '\n' && c->line_empty)
				return true;
			c->line_empty = b == '\n' || (b == '\r' && c->line_empty);
			break;
		}
	}
	return false;
}

bool read_body(struct conn *c, const char *p, size_t n)
{
	if (c->chunked)
		return read_chunks(c, p, n);
	if (c->to_eof)
		return false;
	c->body_left -= n < c->body_left ? n : c->body_left;
	return c->body_left == 0;
}
