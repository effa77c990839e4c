/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growable byte buffer with a limit: what does not fit is refused, not cut.
 *
 * Invariant: data[len] is a NUL whenever data is not NULL, so data is a C string too.
 */
#pragma once

#include <stdarg.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/slice.h"

struct clew_buf {
	char *data;
	size_t len;
	size_t cap;
	size_t limit; /* 0: CLEW_BUF_LIMIT */
	int err; /* the first error that an append met; sticky, so that callers may check once */
};

/* The limit of a buffer that names none of its own. */
#define CLEW_BUF_LIMIT (256u << 20)

/** clew_buf_init() - an empty buffer that never grows beyond limit bytes. */
void clew_buf_init(struct clew_buf *b, size_t limit);
/** clew_buf_done() - free it; b may be all zeros. */
void clew_buf_done(struct clew_buf *b);
/** clew_buf_clear() - empty it for reuse, memory kept, error forgotten. */
void clew_buf_clear(struct clew_buf *b);
/** clew_buf_add() - append n bytes. 0, -ENOMEM, or -EFBIG over the limit; nothing is appended then.
 */
int clew_buf_add(struct clew_buf *b, const void *p, size_t n);
/** clew_buf_addf() - append as printf does. Same errors. */
int clew_buf_addf(struct clew_buf *b, const char *fmt, ...) CLEW_PRINTF(2, 3);
/** clew_buf_room() - append n bytes for the caller to fill; NULL: its errors, in b->err. */
char *clew_buf_room(struct clew_buf *b, size_t n);
/** clew_buf_addc() - append one byte. */
int clew_buf_addc(struct clew_buf *b, char c);

static inline int clew_buf_adds(struct clew_buf *b, const char *s)
{
	return clew_buf_add(b, s, strlen(s));
}

static inline struct slice clew_buf_slice(const struct clew_buf *b)
{
	return slice_of(b->data, b->len);
}
