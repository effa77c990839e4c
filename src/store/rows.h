/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans become rows of the log (hot.h) where they are handed over, while they are in that processor's cache; then
 * their memory is used again. What waits for the writer is a fifth as large.
 *
 *	clew_store_append() ── names_lock ──► numbers for names ─► row ─► chunk ◄── struct queued (queue.c)
 *	writer:                                                             └──► frame of the log
 *
 * A chunk is used again when all of its rows are dealt with. Limit: what the queue may hold; SPARE_CHUNKS are kept.
 */
#pragma once

#include "store/internal.h"

void rows_init(struct row_maker *m);
void rows_done(struct row_maker *m);
/** rows_encode() - append a span to out as a row, its names as numbers. Under names_lock. 0, -ENOMEM, -EFBIG. */
int rows_encode(struct clew_store *st, const struct clew_span *s, struct clew_buf *out);
/** rows_make() - the span's row in a chunk; the rest of ret is the caller's. Under names_lock. -ENOMEM, -EFBIG. */
int rows_make(struct clew_store *st, const struct clew_span *s, struct queued *ret);
/** rows_give() - one row of a chunk is dealt with. Any thread. */
void rows_give(struct clew_store *st, struct row_chunk *chunk);
