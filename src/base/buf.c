/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdio.h>

void clew_buf_init(struct clew_buf *b, size_t limit)
{
	*b = (struct clew_buf){.limit = limit};
}

void clew_buf_done(struct clew_buf *b)
{
	free(b->data);
	*b = (struct clew_buf){.limit = b->limit};
}

void clew_buf_clear(struct clew_buf *b)
{
	b->len = 0;
	b->err = 0;
	if (b->data)
		b->data[0] = '\0';
}

/* Room for n more bytes and the NUL. */
static int reserve(struct clew_buf *b, size_t n)
{
	size_t limit = b->limit ? b->limit : CLEW_BUF_LIMIT;
	size_t cap = b->cap ? b->cap : 64;
	char *data;

	if (b->err)
		return b->err;
	if (n > limit - b->len || b->len > limit)
		return b->err = -EFBIG;
	if (b->len + n < b->cap)
		return 0;
	while (cap <= b->len + n)
		cap *= 2;
	data = realloc(b->data, cap);
	if (!data)
		return b->err = -ENOMEM;
	b->data = data;
	b->cap = cap;
	return 0;
}

char *clew_buf_room(struct clew_buf *b, size_t n)
{
	char *p;

	if (reserve(b, n) < 0)
		return NULL;
	p = b->data + b->len;
	b->len += n;
	b->data[b->len] = '\0';
	return p;
}

int clew_buf_add(struct clew_buf *b, const void *p, size_t n)
{
	char *to = clew_buf_room(b, n);

	if (!to)
		return b->err;
	if (n)
		memcpy(to, p, n);
	return 0;
}

int clew_buf_addc(struct clew_buf *b, char c)
{
	return clew_buf_add(b, &c, 1);
}

int clew_buf_addf(struct clew_buf *b, const char *fmt, ...)
{
	va_list ap;
	int n, r;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return b->err = -EINVAL;
	r = reserve(b, (size_t)n);
	if (r < 0)
		return r;
	va_start(ap, fmt);
	vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return 0;
}
