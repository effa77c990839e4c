/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking the store: what traces, spans, trace, services, map and sql share.
 */
#pragma once

#include "base/buf.h"
#include "cli/cli.h"

/** query_init() - begin a call such as "traces". */
void query_init(struct clew_buf *target, const char *path);

/** query_filters() - add the filter options that were given. */
void query_filters(struct clew_buf *target, const struct cli *cli);

/*
 * Both ask the store of --db: its living writer, else a reader of our own. body: of a POST, or NULL
 * for a GET. They return 0, else the exit status after having said why.
 */
/** query_ask() - the answer in b, which the caller owns in any case. */
int query_ask(const struct cli *cli, const struct clew_buf *target, const char *body,
	      struct clew_buf *b);
/** query_copy() - the answer to standard output as it comes, its last line ended. */
int query_copy(const struct cli *cli, const struct clew_buf *target);

/** query_view() - the end of a command: report a view's error, or write what it made. */
int query_view(int view_result, struct clew_buf *text);
