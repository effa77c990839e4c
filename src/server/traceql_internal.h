/* SPDX-License-Identifier: Apache-2.0 */
/* What the two files of TraceQL share: traceql.c reads a query, traceql_case.c makes filters of what it says. */
#pragma once

#include "server/traceql.h"

enum op { OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_MATCH, OP_NO_MATCH };

enum value_kind { VALUE_TEXT, VALUE_NUMBER, VALUE_DURATION, VALUE_BOOL, VALUE_NIL, VALUE_WORD };

struct value {
	enum value_kind kind;
	struct slice text; /* in q->text: unquoted, or as it stands */
	struct slice
		stored; /* what the store compares with: digits, a whole expression; else text */
	uint64_t ns;
	double number;
};

struct field {
	enum { FIELD_ATTR, FIELD_OWN, FIELD_TRACE, FIELD_PARENT } kind;
	enum clew_filter_scope scope;
	struct slice name; /* of an attribute; of a field of its own: as the store calls it */
	enum traceql_of_trace of;
};

/* One condition as it was read: "span.a >= 5". */
struct term {
	struct field field;
	enum op op;
	struct value value;
	const char *at; /* in the query, for errors */
};

/* Where a query is read. */
struct reader {
	struct api_call *c;
	struct traceql *q;
	struct slice all;
	const char *p, *end;
	int depth;
	struct traceql_case *to; /* that is being made */
	uint32_t kinds;		 /* of spans, that its conditions leave; all bits at first */
};

/** traceql_bad() - -EINVAL, with a text that says what is wrong where the reader is. */
int traceql_bad(struct reader *rd, const char *what);
/** traceql_add() - the term is one more condition of rd->to. */
int traceql_add(struct reader *rd, const struct term *t);
