/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer while it grows: in memory up to a limit, then in a file without a name in the store's
 * tmp/. So the status is known before the first byte is sent, and a slow client holds no query.
 */
#pragma once

#include "base/buf.h"

#define SPOOL_MEMORY (1u << 20)
#define SPOOL_MAX    (8ull << 30) /* -EFBIG beyond it */

struct spool {
	int dir_fd; /* of the store, borrowed */
	int fd;	    /* -1 while all is in buf */
	uint64_t bytes;
	struct clew_buf buf;
};

void spool_init(struct spool *s, int dir_fd);
/** spool_write() - a clew_write_fn. */
int spool_write(void *spool, const char *bytes, size_t n);
/** spool_clear() - what was written is forgotten. */
void spool_clear(struct spool *s);
/** spool_take_fd() - the file, rewound; the caller owns it. */
int spool_take_fd(struct spool *s);
void spool_done(struct spool *s);
