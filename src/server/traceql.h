/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of TraceQL that filters of the store can say: one set of spans, with conditions on each span.
 *
 *	query     = "{" [ any ] "}"
 *	any       = all { "||" all }
 *	all       = condition { "&&" condition }
 *	condition = "(" any ")" | "true" | field operator value
 *	field     = "span." name | "resource." name | "." name
 *	          | "name" | "status" | "statusMessage" | "kind" | "duration"     (also "span:name" ...)
 *	          | "rootName" | "rootServiceName" | "traceDuration"              (also "trace:rootName" ...)
 *	          | "nestedSetParent"                                             ("< 0": a root)
 *	operator  = "=" "!=" "<" "<=" ">" ">=" "=~" "!~"
 *	value     = "text" | `text` | number | duration | "true" | "false" | "nil" | error ok unset
 *	          | server client internal producer consumer unspecified
 *
 * A name may be quoted: span."a b". Regular expressions are RE2 and match the whole value. A filter ANDs
 * its conditions, so "||" makes cases of a query: a span matches that meets all conditions of one of them.
 *
 *	{ (a || b) && c }   ─►   a && c,   b && c
 *
 * All else of TraceQL (pipelines, sets joined by "&&", ">>", "~") is refused by name.
 */
#pragma once

#include "server/api.h"

#define TRACEQL_MAX_TRACE_CONDITIONS 8
/* More is refused: each is a search of its own. */
#define TRACEQL_MAX_CASES 16u
#define TRACEQL_MAX_TERMS 64u

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

/* What a span has to meet, all of it. */
struct traceql_case {
	struct clew_span_filter filter; /* slices into the query's text */
	bool never;			/* conditions that no span can meet */
	bool all;			/* no conditions on spans */
	struct traceql_trace_condition trace[TRACEQL_MAX_TRACE_CONDITIONS];
	uint32_t n_trace;
};

struct traceql {
	struct traceql_case cases[TRACEQL_MAX_CASES];
	uint32_t n; /* of them; at least 1 once it was read */
	struct traceql_shown shown[TRACEQL_MAX_TERMS];
	uint32_t n_shown;
	struct clew_buf text; /* what slices point to */
};

/** traceql_parse() - @ret is to be given to traceql_done() in any case. -EINVAL with a text. */
int traceql_parse(struct api_call *c, struct slice query, struct traceql *ret);
/** traceql_tags() - the same of tags=: key=value in logfmt; a part of the value, in either case. */
int traceql_tags(struct api_call *c, struct slice tags, struct traceql *ret);
void traceql_done(struct traceql *q);

/** traceql_field() - "resource.a", ".a", "name": what a path of Tempo's tags names; key into name. */
int traceql_field(struct slice name, enum clew_filter_scope *ret_scope, struct slice *ret_key);
