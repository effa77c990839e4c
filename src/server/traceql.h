/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of TraceQL that a filter of the store can say: one set of spans, all conditions ANDed.
 *
 *	query     = "{" [ condition { "&&" condition } ] "}"
 *	condition = "(" condition { "&&" condition } ")" | "true" | field operator value
 *	field     = "span." name | "resource." name | "." name
 *	          | "name" | "status" | "statusMessage" | "kind" | "duration"     (also "span:name" ...)
 *	          | "rootName" | "rootServiceName" | "traceDuration"              (also "trace:rootName" ...)
 *	          | "nestedSetParent"                                             ("< 0": a root)
 *	operator  = "=" "!=" "<" "<=" ">" ">=" "=~" "!~"
 *	value     = "text" | `text` | number | duration | "true" | "false" | "nil" | error ok unset
 *	          | server client internal producer consumer unspecified
 *
 * A name may be quoted: span."a b". Regular expressions are RE2 and match the whole value. All else of
 * TraceQL ("||", pipelines, sets joined by "&&", ">>", "~") is refused by name.
 */
#pragma once

#include "server/api.h"

#define TRACEQL_MAX_TRACE_CONDITIONS 8

enum traceql_of_trace { TRACEQL_ROOT_NAME, TRACEQL_ROOT_SERVICE, TRACEQL_DURATION };

/* A condition on the whole trace. op: EXISTS stands for "=". */
struct traceql_trace_condition {
	enum traceql_of_trace of;
	enum clew_where_op op;
	struct slice text;
	uint64_t ns;
};

/* An attribute that was asked for: shown beside the spans that were found. */
struct traceql_shown {
	enum clew_filter_scope scope;
	struct slice key;
};

struct traceql {
	struct clew_span_filter filter; /* slices into text */
	bool never;			/* conditions that no span can meet */
	bool all;			/* no conditions on spans */
	struct traceql_trace_condition trace[TRACEQL_MAX_TRACE_CONDITIONS];
	uint32_t n_trace;
	struct traceql_shown shown[CLEW_FILTER_MAX_ATTRS + CLEW_FILTER_MAX_WHERE];
	uint32_t n_shown;
	struct clew_buf text; /* what the filter's slices point to */
};

/** traceql_parse() - @ret is to be given to traceql_done() in any case. -EINVAL with a text. */
int traceql_parse(struct api_call *c, struct slice query, struct traceql *ret);
/** traceql_tags() - the same of tags=: key=value in logfmt; a part of the value, in either case. */
int traceql_tags(struct api_call *c, struct slice tags, struct traceql *ret);
void traceql_done(struct traceql *q);

/** traceql_field() - "resource.a", ".a", "name": what a path of Tempo's tags names; key into name. */
int traceql_field(struct slice name, enum clew_filter_scope *ret_scope, struct slice *ret_key);
