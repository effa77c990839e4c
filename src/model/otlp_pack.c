/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OTLP in protobuf, by protobuf-c: one ResourceSpans after the other is built in an arena, whose
 * strings are the spans' own, and packed.
 */
#include "model/otlp_out.h"

#include <otlp.pb-c.h>

#include "model/otlp_build.h"

typedef Opentelemetry__Proto__Common__V1__AnyValue any_value;
typedef Opentelemetry__Proto__Common__V1__KeyValue key_value;
typedef Opentelemetry__Proto__Common__V1__InstrumentationScope proto_scope;
typedef Opentelemetry__Proto__Resource__V1__Resource proto_resource;
typedef Opentelemetry__Proto__Trace__V1__Span proto_span;
typedef Opentelemetry__Proto__Trace__V1__Span__Event proto_event;
typedef Opentelemetry__Proto__Trace__V1__Span__Link proto_link;
typedef Opentelemetry__Proto__Trace__V1__Status proto_status;
typedef Opentelemetry__Proto__Trace__V1__ResourceSpans resource_spans;
typedef Opentelemetry__Proto__Trace__V1__ScopeSpans scope_spans;

static const char schema_url[] = CLEW_SCHEMA_URL;

static ProtobufCBinaryData data_of(const void *p, size_t n)
{
	return (ProtobufCBinaryData){.len = n, .data = (uint8_t *)(uintptr_t)p};
}

static ProtobufCBinaryData text_of(struct slice s)
{
	return data_of(s.p, s.n);
}

static void set_value(any_value *v, const struct clew_attr *a)
{
	opentelemetry__proto__common__v1__any_value__init(v);
	switch (a->type) {
	case CLEW_ATTR_STR:
		v->value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE;
		v->string_value = text_of(a->str);
		break;
	case CLEW_ATTR_INT:
		v->value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_INT_VALUE;
		v->int_value = a->i;
		break;
	case CLEW_ATTR_DOUBLE:
		v->value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_DOUBLE_VALUE;
		v->double_value = a->d;
		break;
	case CLEW_ATTR_BOOL:
		v->value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_BOOL_VALUE;
		v->bool_value = a->b;
		break;
	}
}

/* NULL with *err set: no memory. */
static key_value **make_attrs(struct otlp_arena *arena, const struct clew_attr *attrs, uint32_t n,
			      int *err)
{
	struct {
		key_value kv;
		any_value v;
	} *both = otlp_alloc(arena, (n + 1) * sizeof(*both));
	key_value **list = otlp_alloc(arena, (n + 1) * sizeof(*list));

	if (!both || !list) {
		*err = -ENOMEM;
		return NULL;
	}
	for (uint32_t i = 0; i < n; i++) {
		both[i].kv = (key_value)OPENTELEMETRY__PROTO__COMMON__V1__KEY_VALUE__INIT;
		both[i].kv.key = text_of(attrs[i].key);
		both[i].kv.value = &both[i].v;
		set_value(&both[i].v, &attrs[i]);
		list[i] = &both[i].kv;
	}
	return list;
}

static int set_events(struct otlp_arena *arena, proto_span *p, const struct clew_span *s)
{
	proto_event *events = otlp_alloc(arena, s->n_events * sizeof(*events));
	int err = 0;

	p->events = otlp_alloc(arena, s->n_events * sizeof(*p->events));
	if (!events || !p->events)
		return -ENOMEM;
	p->n_events = s->n_events;
	for (uint32_t i = 0; i < s->n_events; i++) {
		const struct clew_span_event *e = &s->events[i];

		events[i] = (proto_event)OPENTELEMETRY__PROTO__TRACE__V1__SPAN__EVENT__INIT;
		events[i].time_unix_nano = e->time_ns;
		events[i].name = text_of(e->name);
		events[i].n_attributes = e->n_attrs;
		events[i].attributes = make_attrs(arena, e->attrs, e->n_attrs, &err);
		p->events[i] = &events[i];
	}
	return err;
}

static int set_links(struct otlp_arena *arena, proto_span *p, const struct clew_span *s)
{
	proto_link *links = otlp_alloc(arena, s->n_links * sizeof(*links));
	struct clew_attr confidence = {.key = SLICE("clew.link.confidence"),
				       .type = CLEW_ATTR_DOUBLE};
	int err = 0;

	p->links = otlp_alloc(arena, s->n_links * sizeof(*p->links));
	if (!links || !p->links)
		return -ENOMEM;
	p->n_links = s->n_links;
	for (uint32_t i = 0; i < s->n_links; i++) {
		const struct clew_span_link *l = &s->links[i];
		bool own = !l->n_attrs && l->confidence >= 0;

		confidence.d = (double)l->confidence;
		links[i] = (proto_link)OPENTELEMETRY__PROTO__TRACE__V1__SPAN__LINK__INIT;
		links[i].trace_id = data_of(l->trace_id.b, sizeof(l->trace_id.b));
		links[i].span_id = data_of(l->span_id.b, sizeof(l->span_id.b));
		links[i].n_attributes = own ? 1 : l->n_attrs;
		links[i].attributes =
			make_attrs(arena, own ? &confidence : l->attrs, own ? 1 : l->n_attrs, &err);
		p->links[i] = &links[i];
	}
	return err;
}

static int set_span(struct otlp_arena *arena, proto_span *p, const struct clew_span *s)
{
	proto_status *status = otlp_alloc(arena, sizeof(*status));
	int r = 0;

	*p = (proto_span)OPENTELEMETRY__PROTO__TRACE__V1__SPAN__INIT;
	if (!status)
		return -ENOMEM;
	p->trace_id = data_of(s->trace_id.b, sizeof(s->trace_id.b));
	p->span_id = data_of(s->span_id.b, sizeof(s->span_id.b));
	if (!clew_id64_none(&s->parent_span_id))
		p->parent_span_id = data_of(s->parent_span_id.b, sizeof(s->parent_span_id.b));
	p->trace_state = text_of(s->trace_state);
	p->name = text_of(s->name);
	p->kind = (Opentelemetry__Proto__Trace__V1__Span__SpanKind)s->kind;
	p->start_time_unix_nano = s->start_ns;
	p->end_time_unix_nano = s->start_ns + s->duration_ns;
	p->n_attributes = s->n_attrs;
	p->attributes = make_attrs(arena, s->attrs, s->n_attrs, &r);
	p->dropped_attributes_count = s->dropped_attrs;
	p->dropped_events_count = s->dropped_events;
	p->dropped_links_count = s->dropped_links;
	*status = (proto_status)OPENTELEMETRY__PROTO__TRACE__V1__STATUS__INIT;
	status->code = (Opentelemetry__Proto__Trace__V1__Status__StatusCode)s->status;
	status->message = text_of(s->status_message);
	p->status = status;
	if (r == 0 && s->n_events)
		r = set_events(arena, p, s);
	if (r == 0 && s->n_links)
		r = set_links(arena, p, s);
	return r;
}

static int add_varint(struct clew_buf *b, uint64_t v)
{
	for (; v > 0x7f; v >>= 7)
		clew_buf_addc(b, (char)(v | 0x80));
	return clew_buf_addc(b, (char)v);
}

/* A field of TracesData: its key, its length, the message. */
static int add_message(struct clew_buf *out, const resource_spans *m)
{
	size_t n = opentelemetry__proto__trace__v1__resource_spans__get_packed_size(m);
	uint8_t *bytes;

	if (n > (out->limit ? out->limit : CLEW_BUF_LIMIT))
		return -EFBIG;
	bytes = malloc(n ? n : 1);
	if (!bytes)
		return -ENOMEM;
	opentelemetry__proto__trace__v1__resource_spans__pack(m, bytes);
	clew_buf_addc(out, 1 << 3 | 2);
	add_varint(out, n);
	clew_buf_add(out, bytes, n);
	free(bytes);
	return out->err;
}

static bool same_group(const struct clew_span *a, const struct clew_span *b)
{
	bool same = a->resource == b->resource ||
		    (a->resource && b->resource && a->resource->id == b->resource->id);

	return same && slice_eq(a->scope, b->scope);
}

/* All spans of first's resource and scope, from i on, that are not done yet. */
static int add_group(struct clew_buf *out, struct otlp_arena *arena, struct clew_span *const *spans,
		     size_t n, size_t i, char *done)
{
	const struct clew_span *first = spans[i];
	const struct clew_resource *own = first->resource;
	resource_spans rs = OPENTELEMETRY__PROTO__TRACE__V1__RESOURCE_SPANS__INIT;
	scope_spans ss = OPENTELEMETRY__PROTO__TRACE__V1__SCOPE_SPANS__INIT;
	proto_resource resource = OPENTELEMETRY__PROTO__RESOURCE__V1__RESOURCE__INIT;
	proto_scope scope = OPENTELEMETRY__PROTO__COMMON__V1__INSTRUMENTATION_SCOPE__INIT;
	scope_spans *scopes = &ss;
	size_t count = 0;
	int r = 0;

	for (size_t k = i; k < n; k++)
		count += !done[k] && same_group(first, spans[k]);
	ss.spans = otlp_alloc(arena, count * sizeof(*ss.spans));
	if (!ss.spans)
		return -ENOMEM;
	for (; r == 0 && i < n; i++) {
		proto_span *p;

		if (done[i] || !same_group(first, spans[i]))
			continue;
		p = otlp_alloc(arena, sizeof(*p));
		if (!p)
			return -ENOMEM;
		done[i] = 1;
		ss.spans[ss.n_spans++] = p;
		r = set_span(arena, p, spans[i]);
	}
	resource.n_attributes = own ? own->n_attrs : 0;
	if (r == 0 && own)
		resource.attributes = make_attrs(arena, own->attrs, own->n_attrs, &r);
	scope.name = text_of(first->scope);
	ss.scope = &scope;
	rs.schema_url = ss.schema_url = data_of(schema_url, sizeof(schema_url) - 1);
	rs.resource = &resource;
	rs.n_scope_spans = 1;
	rs.scope_spans = &scopes;
	return r < 0 ? r : add_message(out, &rs);
}

int clew_otlp_pack(struct clew_buf *out, struct clew_span *const *spans, size_t n)
{
	_cleanup_(freep) char *done = calloc(n ? n : 1, 1);
	int r = done ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct otlp_arena arena = {0};

		if (!done[i])
			r = add_group(out, &arena, spans, n, i, done);
		otlp_arena_done(&arena);
	}
	return r < 0 ? r : out->err;
}
