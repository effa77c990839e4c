/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Field numbers are those of opentelemetry/proto/{common,resource,trace,collector/trace}/v1; tests
 * read what is written here with protobuf-c and with Python's protobuf.
 */
#include "model/otlp_out.h"

#include "base/utf8.h"
#include "model/otlp_value.h"
#include "model/proto_put.h"

enum { REQUEST_RESOURCE_SPANS = 1 };
enum { RESOURCE_SPANS_RESOURCE = 1, RESOURCE_SPANS_SCOPE_SPANS, RESOURCE_SPANS_SCHEMA };
enum { RESOURCE_ATTRIBUTES = 1 };
enum { SCOPE_SPANS_SCOPE = 1, SCOPE_SPANS_SPANS, SCOPE_SPANS_SCHEMA };
enum { SCOPE_NAME = 1 };
enum {
	SPAN_TRACE_ID = 1,
	SPAN_SPAN_ID,
	SPAN_TRACE_STATE,
	SPAN_PARENT_SPAN_ID,
	SPAN_NAME,
	SPAN_KIND,
	SPAN_START,
	SPAN_END,
	SPAN_ATTRIBUTES,
	SPAN_DROPPED_ATTRIBUTES,
	SPAN_EVENTS,
	SPAN_DROPPED_EVENTS,
	SPAN_LINKS,
	SPAN_DROPPED_LINKS,
	SPAN_STATUS,
};
enum { EVENT_TIME = 1, EVENT_NAME, EVENT_ATTRIBUTES };
enum { LINK_TRACE_ID = 1, LINK_SPAN_ID, LINK_ATTRIBUTES = 4 };
enum { STATUS_MESSAGE = 2, STATUS_CODE };
enum { KEY_VALUE_KEY = 1, KEY_VALUE_VALUE };
enum { VALUE_STRING = 1, VALUE_BOOL, VALUE_INT, VALUE_DOUBLE };

/* Text as it may be sent; what had to be mended lives in b until the next call with it. */
static struct slice clean(struct clew_buf *b, struct slice s)
{
	if (clew_utf8_valid(s))
		return s;
	clew_buf_clear(b);
	clew_utf8_clean(b, s);
	return clew_buf_slice(b);
}

static size_t value_size(const struct clew_attr *a, struct slice text)
{
	switch (a->type) {
	case CLEW_ATTR_STR:
		return proto_len_size(text.n);
	case CLEW_ATTR_INT:
		return 1 + proto_varint_size((uint64_t)a->i);
	case CLEW_ATTR_DOUBLE:
		return 9;
	case CLEW_ATTR_BOOL:
		return 2;
	}
	return 0;
}

static char *put_value(char *p, const struct clew_attr *a, struct slice text)
{
	uint64_t bits;

	switch (a->type) {
	case CLEW_ATTR_STR:
		return proto_bytes(p, VALUE_STRING, text);
	case CLEW_ATTR_INT:
		*p++ = PROTO_TAG(VALUE_INT, PROTO_VARINT);
		return proto_varint(p, (uint64_t)a->i);
	case CLEW_ATTR_DOUBLE:
		memcpy(&bits, &a->d, sizeof(bits));
		return proto_i64(p, VALUE_DOUBLE, bits);
	case CLEW_ATTR_BOOL:
		*p++ = PROTO_TAG(VALUE_BOOL, PROTO_VARINT);
		*p++ = a->b;
		return p;
	}
	return p;
}

/* A list, a map or bytes. */
static void add_formed(struct clew_otlp_out *w, struct clew_buf *b, int field,
		       const struct clew_attr *a)
{
	struct clew_buf value = {0}, kv = {0};

	otlp_value_proto(&value, a);
	proto_add_bytes(&kv, KEY_VALUE_KEY, clean(&w->text[0], a->key));
	proto_add_bytes(&kv, KEY_VALUE_VALUE, clew_buf_slice(&value));
	proto_add_bytes(b, field, clew_buf_slice(&kv));
	if ((value.err || kv.err) && !b->err)
		b->err = value.err ? value.err : kv.err;
	clew_buf_done(&value);
	clew_buf_done(&kv);
}

static void add_attr(struct clew_otlp_out *w, struct clew_buf *b, int field,
		     const struct clew_attr *a)
{
	struct slice key = clean(&w->text[0], a->key);
	struct slice text = a->type == CLEW_ATTR_STR ? clean(&w->text[1], a->str) : SLICE("");
	size_t value = value_size(a, text);
	size_t kv = proto_len_size(key.n) + proto_len_size(value);
	char *p;

	if (a->type == CLEW_ATTR_STR && a->form) {
		add_formed(w, b, field, a);
		return;
	}
	p = clew_buf_room(b, proto_len_size(kv));
	if (!p)
		return;
	p = proto_len(p, field, kv);
	p = proto_bytes(p, KEY_VALUE_KEY, key);
	p = proto_len(p, KEY_VALUE_VALUE, value);
	put_value(p, a, text);
}

static void add_attrs(struct clew_otlp_out *w, struct clew_buf *b, int field,
		      const struct clew_attr *attrs, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		add_attr(w, b, field, &attrs[i]);
}

static void add_text(struct clew_otlp_out *w, struct clew_buf *b, int field, struct slice text)
{
	if (text.n)
		proto_add_bytes(b, field, clean(&w->text[0], text));
}

/* What was collected in w->part becomes a message's field. */
static void add_part(struct clew_otlp_out *w, struct clew_buf *b, int field)
{
	proto_add_bytes(b, field, clew_buf_slice(&w->part));
	if (w->part.err && !b->err)
		b->err = w->part.err;
	clew_buf_clear(&w->part);
}

static void add_events(struct clew_otlp_out *w, struct clew_buf *b, const struct clew_span *s)
{
	for (uint32_t i = 0; i < s->n_events; i++) {
		const struct clew_span_event *e = &s->events[i];

		proto_add_i64(&w->part, EVENT_TIME, e->time_ns);
		add_text(w, &w->part, EVENT_NAME, e->name);
		add_attrs(w, &w->part, EVENT_ATTRIBUTES, e->attrs, e->n_attrs);
		add_part(w, b, SPAN_EVENTS);
	}
}

static void add_links(struct clew_otlp_out *w, struct clew_buf *b, const struct clew_span *s)
{
	for (uint32_t i = 0; i < s->n_links; i++) {
		const struct clew_span_link *l = &s->links[i];
		const struct clew_attr confidence = {.key = SLICE("clew.link.confidence"),
						     .type = CLEW_ATTR_DOUBLE,
						     .d = (double)l->confidence};

		proto_add_bytes(&w->part, LINK_TRACE_ID, slice_of(l->trace_id.b, 16));
		proto_add_bytes(&w->part, LINK_SPAN_ID, slice_of(l->span_id.b, 8));
		add_attrs(w, &w->part, LINK_ATTRIBUTES, l->attrs, l->n_attrs);
		if (!l->n_attrs && l->confidence >= 0)
			add_attr(w, &w->part, LINK_ATTRIBUTES, &confidence);
		add_part(w, b, SPAN_LINKS);
	}
}

static void add_count(struct clew_buf *b, int field, uint32_t n)
{
	if (n)
		proto_add_varint(b, field, n);
}

static void add_status(struct clew_otlp_out *w, struct clew_buf *b, const struct clew_span *s)
{
	if (!s->status && !s->status_message.n)
		return;
	add_text(w, &w->part, STATUS_MESSAGE, s->status_message);
	add_count(&w->part, STATUS_CODE, s->status);
	add_part(w, b, SPAN_STATUS);
}

static void add_span(struct clew_otlp_out *w, struct clew_buf *b, const struct clew_span *s,
		     bool show)
{
	struct clew_span_shown shown;

	proto_add_bytes(b, SPAN_TRACE_ID, slice_of(s->trace_id.b, 16));
	proto_add_bytes(b, SPAN_SPAN_ID, slice_of(s->span_id.b, 8));
	add_text(w, b, SPAN_TRACE_STATE, s->trace_state);
	if (!clew_id64_none(&s->parent_span_id))
		proto_add_bytes(b, SPAN_PARENT_SPAN_ID, slice_of(s->parent_span_id.b, 8));
	add_text(w, b, SPAN_NAME, s->name);
	add_count(b, SPAN_KIND, s->kind);
	proto_add_i64(b, SPAN_START, s->start_ns);
	proto_add_i64(b, SPAN_END, s->start_ns + s->duration_ns);
	add_attrs(w, b, SPAN_ATTRIBUTES, s->attrs, s->n_attrs);
	if (show) {
		clew_span_shown(s, &shown);
		add_attrs(w, b, SPAN_ATTRIBUTES, shown.attrs, shown.n);
	}
	add_count(b, SPAN_DROPPED_ATTRIBUTES, s->dropped_attrs);
	add_events(w, b, s);
	add_count(b, SPAN_DROPPED_EVENTS, s->dropped_events);
	add_links(w, b, s);
	add_count(b, SPAN_DROPPED_LINKS, s->dropped_links);
	add_status(w, b, s);
}

/* ---- groups ---- */

/*
 * Spans of one resource and scope, in the order in which they came:
 *
 *	table[hash] ─► the group's first span ─next─► ... ─► its last one (last[first])
 *
 * Indices count from 1; 0 is none.
 */
struct groups {
	uint32_t *table, *next, *last;
	size_t mask;
};

static uint64_t resource_id(const struct clew_span *s)
{
	return s->resource ? s->resource->id : 0;
}

static bool same_group(const struct clew_span *a, const struct clew_span *b)
{
	return resource_id(a) == resource_id(b) && slice_eq(a->scope, b->scope);
}

static int groups_init(struct groups *g, struct clew_otlp_out *w, size_t n)
{
	size_t size = 16, need;

	while (size < 2 * n)
		size *= 2;
	need = size + 2 * (n + 1);
	if (need > w->cap) {
		uint32_t *v = realloc(w->chains, need * sizeof(*v));

		if (!v)
			return -ENOMEM;
		w->chains = v;
		w->cap = need;
	}
	memset(w->chains, 0, need * sizeof(*w->chains));
	*g = (struct groups){.table = w->chains,
			     .next = w->chains + size,
			     .last = w->chains + size + n + 1,
			     .mask = size - 1};
	return 0;
}

static void groups_add(struct groups *g, struct clew_span *const *spans, uint32_t i)
{
	const struct clew_span *s = spans[i - 1];
	size_t at = (size_t)clew_hash64(s->scope.p, s->scope.n, resource_id(s)) & g->mask;
	uint32_t first;

	while ((first = g->table[at]) && !same_group(spans[first - 1], s))
		at = (at + 1) & g->mask;
	if (first) {
		g->next[g->last[first]] = i;
		g->last[first] = i;
	} else {
		g->table[at] = i;
		g->last[i] = i;
	}
}

/* The spans of one group, in w->spans, go out under their resource and scope. */
static void add_group(struct clew_otlp_out *w, struct clew_buf *out, const struct clew_span *s)
{
	const struct slice schema = SLICE(CLEW_SCHEMA_URL);
	size_t scope_size, scope_spans, size;
	struct slice scope;
	char *p;

	if (s->resource)
		add_attrs(w, &w->part, RESOURCE_ATTRIBUTES, s->resource->attrs,
			  s->resource->n_attrs);
	scope = clean(&w->text[0], s->scope);
	scope_size = proto_len_size(scope.n);
	scope_spans = proto_len_size(scope_size) + w->spans.len + proto_len_size(schema.n);
	size = proto_len_size(w->part.len) + proto_len_size(scope_spans) + proto_len_size(schema.n);
	p = clew_buf_room(out, proto_len_size(size));
	if (p) {
		p = proto_len(p, REQUEST_RESOURCE_SPANS, size);
		p = proto_bytes(p, RESOURCE_SPANS_RESOURCE, clew_buf_slice(&w->part));
		p = proto_len(p, RESOURCE_SPANS_SCOPE_SPANS, scope_spans);
		p = proto_len(p, SCOPE_SPANS_SCOPE, scope_size);
		p = proto_bytes(p, SCOPE_NAME, scope);
		if (w->spans.len)
			memcpy(p, w->spans.data, w->spans.len);
		p = proto_bytes(p + w->spans.len, SCOPE_SPANS_SCHEMA, schema);
		proto_bytes(p, RESOURCE_SPANS_SCHEMA, schema);
	}
	if (w->part.err && !out->err)
		out->err = w->part.err;
	clew_buf_clear(&w->part);
	clew_buf_clear(&w->spans);
}

static int write_groups(struct clew_otlp_out *w, struct clew_buf *out,
			struct clew_span *const *spans, size_t n, bool show)
{
	struct groups g;
	int r = groups_init(&g, w, n);

	for (uint32_t i = 1; r == 0 && i <= n; i++)
		groups_add(&g, spans, i);
	for (uint32_t first = 1; r == 0 && first <= n && !out->err; first++) {
		if (!g.last[first])
			continue;
		for (uint32_t i = first; i && !out->err; i = g.next[i]) {
			clew_buf_clear(&w->span);
			add_span(w, &w->span, spans[i - 1], show);
			proto_add_bytes(&w->spans, SCOPE_SPANS_SPANS, clew_buf_slice(&w->span));
			if (w->span.err || w->spans.err)
				out->err = w->span.err ? w->span.err : w->spans.err;
		}
		add_group(w, out, spans[first - 1]);
	}
	return r < 0 ? r : out->err;
}

int clew_otlp_proto(struct clew_otlp_out *w, struct clew_buf *out, struct clew_span *const *spans,
		    size_t n)
{
	return n ? write_groups(w, out, spans, n, true) : out->err;
}

int clew_otlp_pack(struct clew_buf *out, struct clew_span *const *spans, size_t n)
{
	struct clew_otlp_out w = {0};
	int r = n ? write_groups(&w, out, spans, n, false) : out->err;

	clew_otlp_out_done(&w);
	return r;
}

void clew_otlp_out_done(struct clew_otlp_out *w)
{
	struct clew_buf *bufs[] = {&w->span, &w->spans, &w->part, &w->text[0], &w->text[1]};

	for (size_t i = 0; i < sizeof(bufs) / sizeof(bufs[0]); i++)
		clew_buf_done(bufs[i]);
	free(w->chains);
	*w = (struct clew_otlp_out){0};
}
