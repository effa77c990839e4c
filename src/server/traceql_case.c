/* SPDX-License-Identifier: Apache-2.0 */
/* A query's conditions as those of a filter of the store. */
#include "server/traceql_internal.h"

static const enum clew_where_op where_ops[] = {
	[OP_NE] = CLEW_WHERE_NE,
	[OP_LT] = CLEW_WHERE_LT,
	[OP_LE] = CLEW_WHERE_LE,
	[OP_GT] = CLEW_WHERE_GT,
	[OP_GE] = CLEW_WHERE_GE,
	[OP_MATCH] = CLEW_WHERE_MATCH,
	[OP_NO_MATCH] = CLEW_WHERE_NO_MATCH,
};

static bool is_regex(const struct term *t)
{
	return t->op == OP_MATCH || t->op == OP_NO_MATCH;
}

static int add_where(struct reader *rd, const struct term *t, enum clew_where_op op,
		     struct slice value)
{
	struct clew_filter_where w = {
		.op = op, .key = t->field.name, .value = value, .scope = t->field.scope};

	return api_add_where(rd->c, &rd->to->filter, &w);
}

static int add_nil(struct reader *rd, const struct term *t)
{
	if (t->op != OP_EQ && t->op != OP_NE)
		return traceql_bad(rd, "nil takes = and != only");
	return add_where(rd, t, t->op == OP_EQ ? CLEW_WHERE_ABSENT : CLEW_WHERE_EXISTS, SLICE(""));
}

static int add_attr(struct reader *rd, const struct term *t)
{
	struct clew_span_filter *to = &rd->to->filter;
	const struct field *f = &t->field;

	if (t->value.kind == VALUE_WORD)
		return traceql_bad(rd, "text stands in quotes");
	if (t->value.kind == VALUE_NIL)
		return add_nil(rd, t);
	if (is_regex(t) && t->value.kind != VALUE_TEXT)
		return traceql_bad(rd, "a regular expression stands in quotes");
	if (t->op != OP_EQ)
		return add_where(rd, t, where_ops[t->op], t->value.stored);
	/* The index of services is better than that of attributes. */
	if (slice_eq(f->name, SLICE("service.name")) && f->scope != CLEW_SCOPE_SPAN &&
	    !to->service.p) {
		to->service = t->value.stored;
		return 0;
	}
	if (to->n_attrs == CLEW_FILTER_MAX_ATTRS)
		return traceql_bad(rd, "too many conditions");
	to->attrs[to->n_attrs++] = (struct clew_filter_attr){
		.key = f->name, .value = t->value.stored, .scope = f->scope};
	return 0;
}

static int add_text_field(struct reader *rd, const struct term *t)
{
	if (t->value.kind != VALUE_TEXT)
		return traceql_bad(rd, "text stands in quotes");
	if (t->op == OP_EQ && slice_eq(t->field.name, SLICE("name")) && !rd->to->filter.name.p) {
		rd->to->filter.name = t->value.text;
		return 0;
	}
	if (t->op != OP_EQ)
		return add_where(rd, t, where_ops[t->op], t->value.stored);
	/* There is no "=" among the conditions: from and to. */
	if (add_where(rd, t, CLEW_WHERE_GE, t->value.text) < 0)
		return -EINVAL;
	return add_where(rd, t, CLEW_WHERE_LE, t->value.text);
}

static int add_status(struct reader *rd, const struct term *t)
{
	static const char *const numbers[] = {"0", "1", "2"};
	const struct value *v = &t->value;
	unsigned i = 0;

	while (i < 3 && (v->kind != VALUE_WORD ||
			 !slice_eq(v->text, slice_str(clew_status_name((enum clew_status)i)))))
		i++;
	if (i == 3 || (t->op != OP_EQ && t->op != OP_NE))
		return traceql_bad(rd, "status takes = and !=, and error, ok or unset");
	if (t->op == OP_NE)
		return add_where(rd, t, CLEW_WHERE_NE, slice_str(numbers[i]));
	if (i == CLEW_STATUS_ERROR) {
		rd->to->filter.error = true;
		return 0;
	}
	if (add_where(rd, t, CLEW_WHERE_GE, slice_str(numbers[i])) < 0)
		return -EINVAL;
	return add_where(rd, t, CLEW_WHERE_LE, slice_str(numbers[i]));
}

static int add_kind(struct reader *rd, const struct term *t)
{
	int k = t->value.kind == VALUE_WORD ? api_kind(t->value.text) : -EINVAL;

	if (k < 0 || (t->op != OP_EQ && t->op != OP_NE))
		return traceql_bad(rd, "kind takes = and !=, and server, client, internal, "
				       "producer, consumer or unspecified");
	rd->kinds &= t->op == OP_EQ ? 1u << k : ~(1u << k);
	return 0;
}

static int get_ns(struct reader *rd, const struct value *v, uint64_t *ret)
{
	if (v->kind == VALUE_NUMBER && v->number >= 0 && v->number < 9e18)
		*ret = (uint64_t)v->number;
	else if (v->kind == VALUE_DURATION)
		*ret = v->ns;
	else
		return traceql_bad(rd, "a duration such as 100ms is wanted");
	return 0;
}

static int add_duration(struct reader *rd, const struct term *t)
{
	struct clew_span_filter *to = &rd->to->filter;
	uint64_t ns = 0, low, high;
	enum op op = t->op;
	int r = get_ns(rd, &t->value, &ns);

	if (r < 0)
		return r;
	if (is_regex(t))
		return traceql_bad(rd, "a duration takes =, !=, <, <=, >, >=");
	if (op == OP_NE || (op == OP_LE && !ns) || (op == OP_EQ && !ns))
		return add_where(rd, t, op == OP_NE ? CLEW_WHERE_NE : CLEW_WHERE_LE,
				 t->value.stored);
	low = op == OP_GT ? ns + 1 : op == OP_GE || op == OP_EQ ? ns : 0;
	high = op == OP_LT ? ns - !!ns : op == OP_LE || op == OP_EQ ? ns : UINT64_MAX;
	if (op == OP_LT && ns <= 1) {
		rd->to->never = rd->to->never || !ns;
		return ns ? add_where(rd, t, CLEW_WHERE_LE, SLICE("0")) : 0;
	}
	if (low > to->min_duration_ns)
		to->min_duration_ns = low;
	if (high != UINT64_MAX && (!to->max_duration_ns || high < to->max_duration_ns))
		to->max_duration_ns = high;
	if (to->max_duration_ns && to->min_duration_ns > to->max_duration_ns)
		rd->to->never = true;
	return 0;
}

static int add_trace(struct reader *rd, const struct term *t)
{
	struct traceql_case *to = rd->to;
	struct traceql_trace_condition w = {.of = t->field.of, .text = t->value.text};

	if (to->n_trace == TRACEQL_MAX_TRACE_CONDITIONS)
		return traceql_bad(rd, "too many conditions");
	if (is_regex(t))
		return traceql_bad(rd, "a field of the whole trace takes no regular expression");
	w.op = t->op == OP_EQ ? CLEW_WHERE_EXISTS : where_ops[t->op];
	if (w.of == TRACEQL_DURATION) {
		if (get_ns(rd, &t->value, &w.ns) < 0)
			return -EINVAL;
	} else if (t->value.kind != VALUE_TEXT || (t->op != OP_EQ && t->op != OP_NE)) {
		return traceql_bad(rd, "a name of the root takes = and !=, and text in quotes");
	}
	to->trace[to->n_trace++] = w;
	return 0;
}

/* "nestedSetParent < 0" is how Grafana asks for roots. */
static int add_parent(struct reader *rd, const struct term *t)
{
	const struct value *v = &t->value;
	bool root = (t->op == OP_LT && v->number == 0) || (t->op == OP_EQ && v->number == -1);

	if (v->kind != VALUE_NUMBER || !root)
		return traceql_bad(rd, "nestedSetParent takes < 0 only");
	rd->to->filter.root = true;
	return 0;
}

int traceql_add(struct reader *rd, const struct term *t)
{
	switch (t->field.kind) {
	case FIELD_ATTR:
		return add_attr(rd, t);
	case FIELD_TRACE:
		return add_trace(rd, t);
	case FIELD_PARENT:
		return add_parent(rd, t);
	case FIELD_OWN:
		break;
	}
	if (slice_eq(t->field.name, SLICE("status")))
		return add_status(rd, t);
	if (slice_eq(t->field.name, SLICE("kind")))
		return add_kind(rd, t);
	if (slice_eq(t->field.name, SLICE("duration")))
		return add_duration(rd, t);
	return add_text_field(rd, t);
}
