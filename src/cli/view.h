/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views: an answer of the store (docs/native-api.md) becomes text for people. Pure: no file, no
 * clock, no terminal is touched here, so that each is tested on its own.
 *
 * All append to b and return 0, -EBADMSG when the answer is not what the API promises, or -ENOMEM.
 */
#pragma once

#include "cli/out.h"

/** view_traces() - lines of `traces`; now_ns: ages count from here. */
int view_traces(const char *json, size_t n, const struct out_style *st, uint64_t now_ns,
		struct clew_buf *b);
/** view_trace() - the document of `trace/{id}` as a waterfall; why: each link's evidence. */
int view_trace(const char *json, size_t n, const struct out_style *st, bool why,
	       struct clew_buf *b);
/** view_services() - lines of `services`. */
int view_services(const char *json, size_t n, const struct out_style *st, struct clew_buf *b);
/** view_services_why() - lines of `services/why`. */
int view_services_why(const char *json, size_t n, const struct out_style *st, struct clew_buf *b);
/** view_map() - the object of `map` as a drawing; view_map_dot() for Graphviz. */
int view_map(const char *json, size_t n, const struct out_style *st, struct clew_buf *b);
int view_map_dot(const char *json, size_t n, struct clew_buf *b);
/** view_patterns() - the object of `patterns`. */
int view_patterns(const char *json, size_t n, const struct out_style *st, struct clew_buf *b);
/** view_hist() - the object of `histogram` as bars. */
int view_hist(const char *json, size_t n, const struct out_style *st, struct clew_buf *b);
/** view_compare() - the object of `compare`; view_differences() that of `differences`. */
int view_compare(const char *json, size_t n, const struct out_style *st, struct clew_buf *b);
int view_differences(const char *json, size_t n, const struct out_style *st, struct clew_buf *b);
/** view_top() - the object of `overview`. */
int view_top(const char *json, size_t n, const struct out_style *st, struct clew_buf *b);
/** view_sql() - the object of `sql` as a table, as RFC 4180, or as JSON lines. */
int view_sql(const char *json, size_t n, const struct out_style *st, struct clew_buf *b);
int view_sql_csv(const char *json, size_t n, struct clew_buf *b);
int view_sql_json(const char *json, size_t n, struct clew_buf *b);

struct clew_feature;
/** view_check() - what the kernel allows; works: tracing does. */
void view_check(const struct clew_feature *f, size_t n, const struct out_style *st, bool works,
		struct clew_buf *b);
int view_check_json(const struct clew_feature *f, size_t n, bool works, struct clew_buf *b);
