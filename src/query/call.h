/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call on its way: what was asked, and the answer that is being written. Each family of calls
 * has a file of its own; the table in query.c finds them.
 */
#pragma once

#include <stdarg.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/json.h"
#include "query/params.h"
#include "query/query.h"
#include "store/store.h"

/* Bytes gathered before they are handed on. */
#define CALL_WRITE_BYTES 32768u

struct call {
	struct clew_store *st;
	struct slice rest; /* of the path, behind the call's name */
	struct params params;
	struct slice body;
	struct clew_buf out;
	clew_write_fn write;
	void *user;
	char **ret_error;
};

/** call_fail() - say why. Returns err. */
int call_fail(struct call *c, int err, const char *fmt, ...) CLEW_PRINTF(3, 4);
/** call_hand_on() - give what was written away, if it is so much. */
int call_hand_on(struct call *c, size_t from_bytes);
/** call_end_line() - a line is complete, or the whole answer. */
int call_end_line(struct call *c);
/** call_filter() - all parameters that were not taken yet, as a filter over spans. -EINVAL. */
int call_filter(struct call *c, struct clew_span_filter *f);
/** call_times() - the same where only since and until may be given. */
int call_times(struct call *c, struct clew_span_filter *f);
/**
 * call_window() - since and until, which become definite: without since the store's first span, without
 * until now (or, without both, the store's last span).
 */
int call_window(struct call *c, uint64_t *ret_since, uint64_t *ret_until);
/** call_fill_window() - the same of times that were read already, 0 where they were not given. */
int call_fill_window(struct call *c, uint64_t *since, uint64_t *until);
/** call_no_params() - -EINVAL when some are left. */
int call_no_params(struct call *c);

/* Parts of an answer. */
void put_hex(struct clew_buf *out, const char *before, const void *id, size_t n);
/** put_str() - before, then the text as JSON. */
void put_str(struct clew_buf *out, const char *before, struct slice text);

/* lists.c */
int call_traces(struct call *c);
int call_spans(struct call *c);
/* services.c */
int call_services(struct call *c);
int call_services_why(struct call *c);
/* red.c */
int call_overview(struct call *c);
int call_operations(struct call *c);
int call_red(struct call *c);
/* map.c */
int call_map(struct call *c);
/* trace.c */
int call_trace(struct call *c);
/** trace_find_id() - "last", or a beginning of an id; what there is beside says why it fails. */
int trace_find_id(struct call *c, struct slice text, struct clew_id128 *ret);
/* trace_tree.c, trace_span.c, trace_critical.c */
int call_trace_tree(struct call *c, const struct clew_id128 *id);
int call_trace_span(struct call *c, const struct clew_id128 *id, struct slice span);
int call_trace_critical(struct call *c, const struct clew_id128 *id);
/* patterns.c, pattern.c, histogram.c, heat.c, differences.c */
int call_patterns(struct call *c);
int call_pattern(struct call *c);
int call_histogram(struct call *c);
int call_heat(struct call *c);
int call_differences(struct call *c);
/* attributes.c, compare.c, download.c */
int call_attributes(struct call *c);
int call_attribute_values(struct call *c);
int call_compare(struct call *c);
int call_download(struct call *c);
/** download_type() - the content type of an answer, by the parameters. */
const char *download_type(struct slice query);
/* admin.c */
int call_status(struct call *c);
int call_openapi(struct call *c);
int call_sql(struct call *c);
int call_stats(struct call *c);
