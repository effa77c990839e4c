/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking the store: what traces, spans, trace, services, map and sql share.
 */
#pragma once

#include "base/buf.h"
#include "cli/cli.h"

/** query_init() - begin a target such as "traces"; query_param() adds name=value, escaped. */
void query_init(struct clew_buf *target, const char *path);
void query_param(struct clew_buf *target, const char *name, const char *value);
/** query_escape() - append s percent-encoded, for one segment of a path or a parameter. */
void query_escape(struct clew_buf *b, const char *s);

/** query_filters() - add the filter options that were given. */
void query_filters(struct clew_buf *target, const struct cli *cli);

/**
 * query_ask() - send it to the store of --db: to its living writer, else to a reader of our own.
 * body: of a POST, or NULL for a GET. Returns 0 with the answer in b, else the exit status after
 * having said why.
 */
int query_ask(const struct cli *cli, const struct clew_buf *target, const char *body,
	      struct clew_buf *b);

/** query_view() - the end of a command: report a view's error, or write what it made. */
int query_view(int view_result, struct clew_buf *text);
