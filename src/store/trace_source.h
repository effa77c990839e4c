/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines of the traces that a query means. There are two kinds, which are added up:
 *
 *	sealed   lines of `trace`, by SQL. A later line of a trace takes the place of an earlier one.
 *	beside   lines of a digest made now of what is in no rollup, looked at one by one
 *
 * A filter that only asks what a line knows (the root's service, name, kind, status, times) is a
 * condition on lines. Any other is a set of matching spans, by the index: where they are few they are named,
 * else lines are joined with them.
 */
#pragma once

#include "store/digest.h"

struct source {
	struct query q;
	const struct clew_trace_query *tq;
	struct digest *digest;
	size_t from, to;
	bool joined;	      /* by a set of matching spans */
	struct clew_buf with; /* "WITH t AS (...) ": the sealed lines that are meant */
	bool has_sealed;
	struct id_set matches;	/* of what is beside */
	struct id_set excluded; /* traces that tq->except leaves out, for what is beside */
	bool few;		/* all matches are named in few_ids and few_spans */
	size_t n_few;
	struct clew_buf few_ids, few_spans; /* "1,2,3" */
	uint32_t service, operation;
};

/** source_open() - -ENODATA: nothing can match; there is nothing to close after any error. */
int source_open(struct source *s, struct clew_store *st, const struct clew_trace_query *tq,
		char **ret_error);
void source_close(struct source *s);
/** source_ask() - a SELECT FROM t, the sealed lines that are meant. */
int source_ask(struct source *s, const char *select, duck_chunk_fn fn, void *user,
	       char **ret_error);
/** line_is_meant() - is a line of the digest? */
bool line_is_meant(const struct source *s, const struct digest_trace *t);
