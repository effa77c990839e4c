/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of a store that cannot be used: the rest is used without them. None is ever deleted.
 *
 *	writer        FILE becomes FILE.damaged; what comes for its hour goes into a new file
 *	read-only     it is left where it is
 *
 * It is said in one line, and counted (stats: damaged_files) for as long as it lies there.
 *
 * A damaged block inside of a file that can be attached is found by the query that reads it. That query is answered
 * without the hour's sealed spans, and says so (query.c); those that do not need the block are answered with them.
 * Where it keeps the writer from adding to the file, that is set aside.
 */
#pragma once

#include "store/internal.h"

/** damaged_look() - count what was set aside before; set aside logs of the engine that have lost their file. */
int damaged_look(struct clew_store *st, char **ret_error);
/** damaged_file() - this one cannot be used. Returns whether it is out of the way now. */
bool damaged_file(struct clew_store *st, const char *file, const char *why);
/** damaged_part() - the hour's file cannot be used; its logs can. */
int damaged_part(struct clew_store *st, int64_t hour, const char *why, char **ret_error);
/** damaged_is() - its file cannot be used, and is in its place all the same. */
bool damaged_is(const struct clew_store *st, int64_t hour);
/** damaged_error() - is it the file's fault that the engine failed so? */
bool damaged_error(int err, const char *text);
/** damaged_block() - the engine failed with this text: because a block of this hour's file could not be read? */
bool damaged_block(const struct clew_store *st, int64_t hour, const char *text);
/** damaged_note() - a query is answered without the sealed spans of this hour. Said once an hour, counted, and
 * remembered for clew_store_left_out(). */
void damaged_note(struct clew_store *st, struct part *p, const char *why);
/** damaged_unwritable() - writing this hour failed with this text: where a block of its file is why (true), the writer's
 * recovery sets the file aside. */
bool damaged_unwritable(struct clew_store *st, struct part *p, const char *text);
/** damaged_bytes() - so many bytes of a log are no batches, though there are some behind them. */
void damaged_bytes(struct clew_store *st, const char *file, uint64_t bytes, uint64_t places);
