/* SPDX-License-Identifier: Apache-2.0 */
/* A trace without attributes, in memory, as a forest: what tree, critical path and comparison share. */
#pragma once

#include "base/buf.h"
#include "store/forest.h"
#include "store/store.h"

/* Spans of one trace that are held in memory; beyond it the call fails. */
#define TRACE_MAX_SPANS 500000u

struct trace_rows {
	struct clew_trace_row *v; /* oldest first; links: use trace_links() */
	uint32_t n, cap;
	struct clew_forest forest;
	struct clew_span_link *links;
	uint32_t n_links, cap_links;
	uint32_t *link_from;	   /* by row: first link; cap + 1 of them */
	uint64_t start_ns, end_ns; /* of all spans */
};

/**
 * trace_rows_load() - all of a trace. -ENOENT, -EFBIG beyond TRACE_MAX_SPANS, -ENOMEM, others of the
 * store; a text for -ENOENT and -EFBIG too.
 */
int trace_rows_load(struct clew_store *st, const struct clew_id128 *id, struct trace_rows *ret,
		    char **ret_error);
/** trace_rows_add(), trace_rows_finish() - the same by hand: rows oldest first, then the forest. */
int trace_rows_add(struct trace_rows *t, const struct clew_trace_row *row);
int trace_rows_finish(struct trace_rows *t);
void trace_rows_done(struct trace_rows *t);

/** trace_row() - of node i, in preorder. */
static inline const struct clew_trace_row *trace_row(const struct trace_rows *t, uint32_t i)
{
	return &t->v[t->forest.order[i]];
}

static inline uint64_t trace_row_end(const struct clew_trace_row *r)
{
	return r->start_ns + r->duration_ns;
}

/** trace_node() - the node of a span's id, or CLEW_FOREST_NONE. Looks at all. */
uint32_t trace_node(const struct trace_rows *t, const struct clew_id64 *span_id);
