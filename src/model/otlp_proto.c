/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OTLP in protobuf, by protobuf-c into an arena.
 *
 * Two things are bounded here because protobuf-c does not: memory (two bytes may stand for a message
 * of a hundred), by the arena; and depth (a list in a list in a list: each level is a call), by the
 * stack that is used, which is looked at whenever a message asks for memory.
 */
#include "model/otlp_build.h"

#include <inttypes.h>

#include <otlp.pb-c.h>

#include "base/json.h"
#include "model/otlp_value.h"

#define MAX_STACK (192u * 1024)

typedef Opentelemetry__Proto__Common__V1__AnyValue any_value;
typedef Opentelemetry__Proto__Common__V1__KeyValue key_value;
typedef Opentelemetry__Proto__Trace__V1__Span proto_span;
typedef Opentelemetry__Proto__Trace__V1__ResourceSpans resource_spans;
typedef Opentelemetry__Proto__Trace__V1__ScopeSpans scope_spans;
typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest export_request;

struct reading {
	struct otlp_builder b;
	uintptr_t stack; /* where it begins */
	bool too_deep, too_large;
};

static void *on_alloc(void *user, size_t n)
{
	struct reading *rd = user;
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	void *p;

	if ((rd->stack > here ? rd->stack - here : here - rd->stack) > MAX_STACK) {
		rd->too_deep = true;
		return NULL;
	}
	p = otlp_alloc(&rd->b.arena, n);
	rd->too_large = rd->too_large || !p;
	return p;
}

static void on_free(void *user, void *p)
{
}

static struct slice bytes_of(ProtobufCBinaryData d)
{
	return slice_of(d.data, d.len);
}

/* ---- values ---- */

/* A value as plain JSON (otlp_value.h): not OTLP's own wrapping, but what a reader wants to see. */
static void put_value(struct clew_buf *b, const any_value *v)
{
	switch (v ? (int)v->value_case : -1) {
	case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE:
		otlp_text_str(b, bytes_of(v->string_value));
		break;
	case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_BOOL_VALUE:
		clew_buf_adds(b, v->bool_value ? "true" : "false");
		break;
	case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_INT_VALUE:
		clew_buf_addf(b, "%" PRId64, v->int_value);
		break;
	case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_DOUBLE_VALUE:
		otlp_text_double(b, v->double_value);
		break;
	case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_BYTES_VALUE:
		otlp_text_bytes(b, bytes_of(v->bytes_value));
		break;
	case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_ARRAY_VALUE:
		clew_buf_addc(b, '[');
		for (size_t i = 0; i < v->array_value->n_values; i++) {
			clew_buf_adds(b, i ? "," : "");
			put_value(b, v->array_value->values[i]);
		}
		clew_buf_addc(b, ']');
		break;
	case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_KVLIST_VALUE:
		clew_buf_addc(b, '{');
		for (size_t i = 0; i < v->kvlist_value->n_values; i++) {
			const key_value *kv = v->kvlist_value->values[i];

			clew_buf_adds(b, i ? "," : "");
			clew_json_str(b, bytes_of(kv->key));
			clew_buf_addc(b, ':');
			put_value(b, kv->value);
		}
		clew_buf_addc(b, '}');
		break;
	default:
		clew_buf_adds(b, "null");
		break;
	}
}

static void read_value(struct otlp_builder *b, const any_value *v, struct clew_attr *ret)
{
	switch (v ? (int)v->value_case : -1) {
	case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE:
		ret->type = CLEW_ATTR_STR;
		ret->str = bytes_of(v->string_value);
		break;
	case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_BOOL_VALUE:
		ret->type = CLEW_ATTR_BOOL;
		ret->b = v->bool_value;
		break;
	case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_INT_VALUE:
		ret->type = CLEW_ATTR_INT;
		ret->i = v->int_value;
		break;
	case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_DOUBLE_VALUE:
		ret->type = CLEW_ATTR_DOUBLE;
		ret->d = v->double_value;
		break;
	case -1:
	case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE__NOT_SET: /* an empty value */
		ret->type = CLEW_ATTR_STR;
		ret->str = SLICE("");
		break;
	case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_BYTES_VALUE:
		otlp_bytes_value(b, bytes_of(v->bytes_value), ret);
		break;
	default:
		clew_buf_clear(&b->text);
		put_value(&b->text, v);
		otlp_text_value(b, CLEW_FORM_JSON, ret);
		break;
	}
}

static int collect(struct otlp_builder *b, key_value *const *kvs, size_t n)
{
	int r = otlp_attrs_begin(b);

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct clew_attr a = {.key = bytes_of(kvs[i]->key)};

		read_value(b, kvs[i]->value, &a);
		otlp_attrs_add(b, &a);
	}
	return r;
}

/* ---- spans ---- */

static int read_events(struct otlp_builder *b, struct clew_span *span, const proto_span *p)
{
	size_t n;
	struct clew_span_event *events = otlp_span_events(span, p->n_events, &n);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		const Opentelemetry__Proto__Trace__V1__Span__Event *e = p->events[i];

		events[i].time_ns = e->time_unix_nano;
		events[i].name = clew_span_copy(span, bytes_of(e->name));
		r = collect(b, e->attributes, e->n_attributes);
		if (r == 0)
			events[i].attrs = otlp_copy_attrs(b, span, &events[i].n_attrs);
	}
	return r;
}

/* Links whose ids are not ids point nowhere: they are dropped and counted. */
static int read_links(struct otlp_builder *b, struct clew_span *span, const proto_span *p)
{
	size_t n, kept = 0;
	struct clew_span_link *links = otlp_span_links(span, p->n_links, &n);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		const Opentelemetry__Proto__Trace__V1__Span__Link *l = p->links[i];

		if (l->trace_id.len != 16 || l->span_id.len != 8)
			continue;
		memcpy(links[kept].trace_id.b, l->trace_id.data, 16);
		memcpy(links[kept].span_id.b, l->span_id.data, 8);
		r = collect(b, l->attributes, l->n_attributes);
		if (r == 0)
			links[kept].attrs = otlp_copy_attrs(b, span, &links[kept].n_attrs);
		kept++;
	}
	span->n_links = (uint32_t)kept;
	span->dropped_links += (uint32_t)(n - kept);
	return r;
}

static int read_span(struct otlp_builder *b, const proto_span *p)
{
	const struct otlp_span s = {
		.trace_id = bytes_of(p->trace_id),
		.span_id = bytes_of(p->span_id),
		.parent_span_id = bytes_of(p->parent_span_id),
		.trace_state = bytes_of(p->trace_state),
		.name = bytes_of(p->name),
		.kind = p->kind,
		.status = p->status ? p->status->code : 0,
		.status_message = p->status ? bytes_of(p->status->message) : SLICE(""),
		.start_ns = p->start_time_unix_nano,
		.end_ns = p->end_time_unix_nano,
		.dropped_attrs = p->dropped_attributes_count,
		.dropped_events = p->dropped_events_count,
		.dropped_links = p->dropped_links_count,
	};
	const struct clew_attr version = {
		.key = SLICE("otel.scope.version"), .type = CLEW_ATTR_STR, .str = b->scope_version};
	struct clew_span *span;
	int r = otlp_span_begin(b, &s, &span);

	if (r < 0 || !span)
		return r;
	r = collect(b, p->attributes, p->n_attributes);
	if (r < 0)
		return r;
	if (version.str.n)
		otlp_attrs_add(b, &version);
	otlp_span_attrs(b, span);
	if (p->n_events)
		r = read_events(b, span, p);
	if (r == 0 && p->n_links)
		r = read_links(b, span, p);
	return r;
}

static int read_scope(struct otlp_builder *b, const scope_spans *ss)
{
	int r = 0;

	b->scope = ss->scope ? bytes_of(ss->scope->name) : SLICE("");
	b->scope_version = ss->scope ? bytes_of(ss->scope->version) : SLICE("");
	for (size_t i = 0; r == 0 && i < ss->n_spans; i++)
		r = read_span(b, ss->spans[i]);
	return r;
}

static int read_resource(struct otlp_builder *b, const resource_spans *rs)
{
	int r = collect(b, rs->resource ? rs->resource->attributes : NULL,
			rs->resource ? rs->resource->n_attributes : 0);

	if (r == 0)
		r = otlp_resource(b);
	for (size_t i = 0; r == 0 && i < rs->n_scope_spans; i++)
		r = read_scope(b, rs->scope_spans[i]);
	return r;
}

static int unpack_error(struct reading *rd)
{
	if (rd->too_deep)
		return otlp_fail(&rd->b, -EBADMSG, "values are nested too deeply");
	if (rd->too_large)
		return otlp_fail(&rd->b, -E2BIG,
				 "the message would take too much memory: send smaller batches");
	return otlp_fail(&rd->b, -EBADMSG, "not an ExportTraceServiceRequest in protobuf");
}

int clew_otlp_read(struct slice bytes, struct clew_otlp_in *in)
{
	struct reading rd = {
		.b = {.in = in, .arena = {.limit = bytes.n * CLEW_OTLP_MEMORY_FACTOR + (1u << 20)}},
		.stack = (uintptr_t)__builtin_frame_address(0)};
	ProtobufCAllocator allocator = {.alloc = on_alloc, .free = on_free, .allocator_data = &rd};
	const export_request *m;
	int r = 0;

	m = opentelemetry__proto__collector__trace__v1__export_trace_service_request__unpack(
		&allocator, bytes.n, (const uint8_t *)bytes.p);
	if (!m)
		r = unpack_error(&rd);
	for (size_t i = 0; r == 0 && i < m->n_resource_spans; i++)
		r = read_resource(&rd.b, m->resource_spans[i]);
	otlp_builder_done(&rd.b);
	if (r < 0)
		clew_otlp_in_done(in);
	return r;
}
