/* SPDX-License-Identifier: Apache-2.0 */
#include "server/tail_match.h"

#include <inttypes.h>
#include <stdio.h>

const char *tail_can_match(const struct clew_span_filter *f)
{
	for (uint32_t i = 0; i < f->n_where; i++)
		if (f->where[i].op == CLEW_WHERE_MATCH || f->where[i].op == CLEW_WHERE_NO_MATCH)
			return "the tail takes no regular expressions (=~, !~)";
	if (f->limit || f->after.set || f->sort)
		return "the tail takes filters only: leave limit, cursor and sort out";
	return NULL;
}

/* Of the span, else of its resource. */
static const struct clew_attr *find(const struct clew_span *s, struct slice key)
{
	const struct clew_attr *a = clew_span_attr(s, key);

	for (uint32_t i = 0; !a && s->resource && i < s->resource->n_attrs; i++)
		if (slice_eq(s->resource->attrs[i].key, key))
			a = &s->resource->attrs[i];
	return a;
}

/* As the store writes values. */
static struct slice text_of(const struct clew_attr *a, char *buf, size_t size)
{
	buf[0] = '\0';
	switch (a->type) {
	case CLEW_ATTR_STR:
		return a->str;
	case CLEW_ATTR_INT:
		snprintf(buf, size, "%" PRId64, a->i);
		break;
	case CLEW_ATTR_DOUBLE:
		snprintf(buf, size, "%.17g", a->d);
		break;
	case CLEW_ATTR_BOOL:
		snprintf(buf, size, "%s", a->b ? "true" : "false");
		break;
	}
	return slice_str(buf);
}

static bool equal(const struct clew_attr *a, struct slice value)
{
	char buf[64];
	double x, y;

	if (slice_eq(text_of(a, buf, sizeof(buf)), value))
		return true;
	return a->type == CLEW_ATTR_DOUBLE && slice_number(value, &y) && (x = a->d, x == y);
}

static int compare(const struct clew_attr *a, struct slice value, bool *ret_can)
{
	char buf[64];
	double x, y;

	*ret_can = true;
	if (a->type != CLEW_ATTR_INT && a->type != CLEW_ATTR_DOUBLE)
		return slice_order(text_of(a, buf, sizeof(buf)), value);
	*ret_can = slice_number(value, &y);
	if (!*ret_can)
		return 0;
	x = a->type == CLEW_ATTR_INT ? (double)a->i : a->d;
	return (x > y) - (x < y);
}

static bool holds(const struct clew_filter_where *w, const struct clew_span *s)
{
	const struct clew_attr *a = find(s, w->key);
	bool can;
	int c;

	if (w->op == CLEW_WHERE_ABSENT || !a)
		return (w->op == CLEW_WHERE_ABSENT) == !a;
	if (w->op == CLEW_WHERE_EXISTS)
		return true;
	if (w->op == CLEW_WHERE_NE)
		return !equal(a, w->value);
	c = compare(a, w->value, &can);
	if (!can)
		return false;
	switch (w->op) {
	case CLEW_WHERE_LT:
		return c < 0;
	case CLEW_WHERE_LE:
		return c <= 0;
	case CLEW_WHERE_GT:
		return c > 0;
	default:
		return c >= 0;
	}
}

bool tail_match(const struct clew_span_filter *f, const struct clew_span *s)
{
	struct slice service = s->resource ? s->resource->service : SLICE("");

	if ((f->service.p && !slice_eq(f->service, service)) ||
	    (f->name.p && !slice_eq(f->name, s->name)) ||
	    (f->kinds && !(f->kinds & 1u << s->kind)) ||
	    (f->link_classes && !(f->link_classes & 1u << s->link_class)) ||
	    (f->incomplete && !s->incomplete) || (f->root && !clew_id64_none(&s->parent_span_id)) ||
	    s->duration_ns < f->min_duration_ns ||
	    (f->max_duration_ns && s->duration_ns > f->max_duration_ns) ||
	    (f->error && s->status != CLEW_STATUS_ERROR))
		return false;
	for (uint32_t i = 0; i < f->n_attrs; i++) {
		const struct clew_attr *a = find(s, f->attrs[i].key);

		if (!a || !equal(a, f->attrs[i].value))
			return false;
	}
	for (uint32_t i = 0; i < f->n_where; i++)
		if (!holds(&f->where[i], s))
			return false;
	return true;
}
