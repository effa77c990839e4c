/* SPDX-License-Identifier: Apache-2.0 */
/* What patterns, histogram and differences share: which traces, and many of them in memory. */
#pragma once

#include "query/call.h"
#include "query/trace_rows.h"

/** trace_query() - pattern, any, and the filter from what is left of the parameters. -EINVAL. */
int trace_query(struct call *c, struct clew_trace_query *ret);
/* Two sets of traces of one filter, to be held against each other. Must not move: one points to the other. */
struct trace_sides {
	struct clew_trace_query in, out;
};

/**
 * trace_sides() - trace_query() twice. Inside is, as the parameters say, whose root took from_ns to less than
 * to_ns; or what has a span that fits and failed (failed=1), or took at_least_ns, or both. Outside are the
 * other traces that fit. -EINVAL, also when nothing says what is inside (@missing is the text then).
 */
int trace_sides(struct call *c, const char *missing, struct trace_sides *ret);
/** parse_shape() - 16 hex digits. -EINVAL. */
int parse_shape(struct call *c, struct slice text, uint64_t *ret);

/* Traces that were loaded together. */
struct trace_set {
	struct trace_rows *v; /* in the order of the ids; n 0: it is not in the store */
	struct clew_id128 *ids;
	size_t n;
};

/** trace_set_load() - spans of all of them must fit into TRACE_MAX_SPANS; those beyond are left out. */
int trace_set_load(struct clew_store *st, const struct clew_id128 *ids, size_t n,
		   struct trace_set *ret, char **ret_error);
void trace_set_done(struct trace_set *s);
