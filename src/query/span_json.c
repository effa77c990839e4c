/* SPDX-License-Identifier: Apache-2.0 */
#include "query/span_json.h"

#include <inttypes.h>

#include "base/json.h"
#include "query/call.h"

static void put_attr(struct clew_buf *out, const struct clew_attr *a, bool first)
{
	if (!first)
		clew_buf_addc(out, ',');
	clew_json_str(out, a->key);
	clew_buf_addc(out, ':');
	switch (a->type) {
	case CLEW_ATTR_STR:
		clew_json_str(out, a->str);
		break;
	case CLEW_ATTR_INT:
		clew_buf_addf(out, "%" PRId64, a->i);
		break;
	case CLEW_ATTR_DOUBLE:
		clew_json_double(out, a->d);
		break;
	case CLEW_ATTR_BOOL:
		clew_buf_adds(out, a->b ? "true" : "false");
		break;
	}
}

struct attr_ref {
	const struct clew_attr *a;
	uint32_t order; /* the span's own win over the resource's of the same key */
};

static int by_key(const void *x, const void *y)
{
	const struct attr_ref *a = x, *b = y;
	size_t n = a->a->key.n < b->a->key.n ? a->a->key.n : b->a->key.n;
	int c = n ? memcmp(a->a->key.p, b->a->key.p, n) : 0;

	if (c)
		return c;
	if (a->a->key.n != b->a->key.n)
		return a->a->key.n < b->a->key.n ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

/* By key, so that equal spans are equal text. */
static int put_attrs(struct clew_buf *out, const struct clew_span *s)
{
	uint32_t n_res = s->resource ? s->resource->n_attrs : 0, n = 0;
	_cleanup_(freep) struct attr_ref *refs =
		calloc((size_t)s->n_attrs + n_res + 1, sizeof(*refs));
	bool first = true;

	if (!refs)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->n_attrs; i++, n++)
		refs[n] = (struct attr_ref){&s->attrs[i], n};
	for (uint32_t i = 0; i < n_res; i++, n++)
		refs[n] = (struct attr_ref){&s->resource->attrs[i], n};
	qsort(refs, n, sizeof(*refs), by_key);
	for (uint32_t i = 0; i < n; i++) {
		if (i && slice_eq(refs[i].a->key, refs[i - 1].a->key))
			continue;
		put_attr(out, refs[i].a, first);
		first = false;
	}
	return 0;
}

int attrs_json(struct clew_buf *out, const struct clew_attr *attrs, uint32_t n)
{
	clew_buf_addc(out, '{');
	for (uint32_t i = 0; i < n; i++)
		put_attr(out, &attrs[i], i == 0);
	return clew_buf_addc(out, '}');
}

static void put_links(struct clew_buf *out, const struct clew_span *s, bool whole)
{
	for (uint32_t i = 0; i < s->n_links; i++) {
		const struct clew_span_link *l = &s->links[i];

		put_hex(out, i ? ",{\"trace_id\":" : "{\"trace_id\":", l->trace_id.b, 16);
		put_hex(out, ",\"span_id\":", l->span_id.b, 8);
		clew_buf_adds(out, ",\"confidence\":");
		if (l->confidence < 0)
			clew_buf_adds(out, "null");
		else /* rounded: a float's digits beyond these mean nothing */
			clew_json_double(out, (double)(int)((double)l->confidence * 10000 + 0.5) /
						      10000);
		if (whole && l->n_attrs) {
			clew_buf_adds(out, ",\"attributes\":");
			attrs_json(out, l->attrs, l->n_attrs);
		}
		clew_buf_addc(out, '}');
	}
}

static int put_span(struct clew_buf *out, struct clew_span *s, bool whole)
{
	int r;

	clew_span_show_fields(s);
	put_hex(out, "{\"trace_id\":", s->trace_id.b, 16);
	put_hex(out, ",\"span_id\":", s->span_id.b, 8);
	if (clew_id64_none(&s->parent_span_id))
		clew_buf_adds(out, ",\"parent_span_id\":null");
	else
		put_hex(out, ",\"parent_span_id\":", s->parent_span_id.b, 8);
	clew_buf_adds(out, ",\"service\":");
	clew_json_str(out, s->resource ? s->resource->service : SLICE(""));
	clew_buf_adds(out, ",\"name\":");
	clew_json_str(out, s->name);
	clew_buf_addf(out,
		      ",\"kind\":\"%s\",\"start_ns\":%" PRIu64 ",\"duration_ns\":%" PRIu64
		      ",\"status\":\"%s\",\"attributes\":{",
		      clew_kind_name(s->kind), s->start_ns, s->duration_ns,
		      clew_status_name(s->status));
	r = put_attrs(out, s);
	clew_buf_adds(out, "},\"links\":[");
	put_links(out, s, whole);
	clew_buf_adds(out, "]}");
	return r < 0 ? r : out->err;
}

int span_json(struct clew_buf *out, struct clew_span *s)
{
	return put_span(out, s, false);
}

int span_json_whole(struct clew_buf *out, struct clew_span *s)
{
	return put_span(out, s, true);
}

int trace_json(struct clew_buf *out, const struct clew_trace_summary *t)
{
	put_hex(out, "{\"trace_id\":", t->trace_id.b, 16);
	clew_buf_adds(out, ",\"service\":");
	clew_json_str(out, t->service);
	clew_buf_adds(out, ",\"name\":");
	clew_json_str(out, t->name);
	return clew_buf_addf(out,
			     ",\"kind\":\"%s\",\"start_ns\":%" PRIu64 ",\"duration_ns\":%" PRIu64
			     ",\"spans\":%u,\"services\":%u,\"errors\":%u,\"orphans\":%u,"
			     "\"incomplete\":%s}",
			     clew_kind_name(t->kind), t->start_ns, t->duration_ns, t->spans,
			     t->services, t->errors, t->orphans, t->incomplete ? "true" : "false");
}
