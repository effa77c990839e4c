/* SPDX-License-Identifier: Apache-2.0 */
/* Summaries of traces: the rows of some traces collected, each trace then told in one line. */
#pragma once

/* Out of memory is an error of the query, not the end of the process: an added element has hh.tbl.
 */

#include "store/internal.h"
#include "store/trace_row.h"
#include "base/hash.h"

struct trace_rows {
	struct clew_id128 id; /* canonical */
	struct trace_row *rows;
	size_t n, cap;
	struct id_set spans, services; /* of services their ids + 1 */
	UT_hash_handle hh;
};

/** summary_load() - rows of these (canonical) traces from partitions [from, to) that were not asked
 * yet. */
int summary_load(struct query *q, const struct clew_id128 *ids, size_t n, size_t from, size_t to,
		 struct trace_rows **table, char **ret_error);
/** summary_make() - what the collected rows say; false if there are none. */
bool summary_make(struct clew_store *st, const struct trace_rows *t,
		  struct clew_trace_summary *ret);
/** summary_wants() - could rows of it lie outside of the hours [first, last]? */
bool summary_wants(const struct trace_rows *t, int64_t first, int64_t last);
void summary_free(struct trace_rows **table);
