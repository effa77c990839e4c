/* SPDX-License-Identifier: Apache-2.0 */
#include "model/otlp_json.h"

#include <inttypes.h>

#include "base/json.h"
#include "model/otlp_build.h"
#include "model/otlp_value.h"

int clew_otlp_json_value(struct clew_buf *b, const struct clew_attr *a)
{
	if (a->type == CLEW_ATTR_STR && a->form) {
		otlp_value_json(b, a);
		return b->err;
	}
	switch (a->type) {
	case CLEW_ATTR_STR:
		clew_buf_adds(b, "{\"stringValue\":");
		clew_json_str(b, a->str);
		break;
	case CLEW_ATTR_INT:
		clew_buf_addf(b, "{\"intValue\":\"%" PRId64 "\"", a->i);
		break;
	case CLEW_ATTR_DOUBLE:
		clew_buf_adds(b, "{\"doubleValue\":");
		clew_json_double(b, a->d);
		break;
	case CLEW_ATTR_BOOL:
		clew_buf_addf(b, "{\"boolValue\":%s", a->b ? "true" : "false");
		break;
	}
	return clew_buf_addc(b, '}');
}

static void add_attr(struct clew_buf *b, const struct clew_attr *a, bool first)
{
	clew_buf_adds(b, first ? "{\"key\":" : ",{\"key\":");
	clew_json_str(b, a->key);
	clew_buf_adds(b, ",\"value\":");
	clew_otlp_json_value(b, a);
	clew_buf_addc(b, '}');
}

static void add_attrs(struct clew_buf *b, const struct clew_attr *attrs, uint32_t n)
{
	clew_buf_adds(b, "\"attributes\":[");
	for (uint32_t i = 0; i < n; i++)
		add_attr(b, &attrs[i], i == 0);
	clew_buf_addc(b, ']');
}

static void add_shown(struct clew_buf *b, const struct clew_span *s)
{
	struct clew_span_shown shown;

	clew_span_shown(s, &shown);
	clew_buf_adds(b, "\"attributes\":[");
	for (uint32_t i = 0; i < s->n_attrs; i++)
		add_attr(b, &s->attrs[i], i == 0);
	for (uint32_t i = 0; i < shown.n; i++)
		add_attr(b, &shown.attrs[i], s->n_attrs + i == 0);
	clew_buf_addc(b, ']');
}

static void add_id(struct clew_buf *b, enum clew_otlp_json_style style, const char *field,
		   const void *id, size_t n)
{
	char hex[33];

	clew_buf_addf(b, "\"%s\":", field);
	if (style == CLEW_OTLP_JSON_PROTO) {
		otlp_put_base64(b, slice_of(id, n));
		return;
	}
	clew_hex(id, n, hex);
	clew_buf_addf(b, "\"%s\"", hex);
}

static void add_links(struct clew_buf *b, const struct clew_span *s,
		      enum clew_otlp_json_style style)
{
	if (!s->n_links)
		return;
	clew_buf_adds(b, ",\"links\":[");
	for (uint32_t i = 0; i < s->n_links; i++) {
		const struct clew_span_link *l = &s->links[i];

		clew_buf_adds(b, i ? ",{" : "{");
		add_id(b, style, "traceId", l->trace_id.b, 16);
		clew_buf_addc(b, ',');
		add_id(b, style, "spanId", l->span_id.b, 8);
		clew_buf_addc(b, ',');
		if (l->n_attrs || l->confidence < 0) {
			add_attrs(b, l->attrs, l->n_attrs);
		} else {
			clew_buf_adds(b, "\"attributes\":[{\"key\":\"clew.link.confidence\","
					 "\"value\":{\"doubleValue\":");
			clew_json_double(b, (double)l->confidence);
			clew_buf_adds(b, "}}]");
		}
		clew_buf_addc(b, '}');
	}
	clew_buf_addc(b, ']');
}

static void add_events(struct clew_buf *b, const struct clew_span *s)
{
	if (!s->n_events)
		return;
	clew_buf_adds(b, ",\"events\":[");
	for (uint32_t i = 0; i < s->n_events; i++) {
		const struct clew_span_event *e = &s->events[i];

		clew_buf_addf(b, "%s{\"timeUnixNano\":\"%" PRIu64 "\",\"name\":", i ? "," : "",
			      e->time_ns);
		clew_json_str(b, e->name);
		clew_buf_addc(b, ',');
		add_attrs(b, e->attrs, e->n_attrs);
		clew_buf_addc(b, '}');
	}
	clew_buf_addc(b, ']');
}

static void add_dropped(struct clew_buf *b, const struct clew_span *s)
{
	if (s->dropped_attrs)
		clew_buf_addf(b, ",\"droppedAttributesCount\":%u", s->dropped_attrs);
	if (s->dropped_links)
		clew_buf_addf(b, ",\"droppedLinksCount\":%u", s->dropped_links);
	if (s->dropped_events)
		clew_buf_addf(b, ",\"droppedEventsCount\":%u", s->dropped_events);
}

/* An enum's value: its number, or its name. */
static void add_enum(struct clew_buf *b, enum clew_otlp_json_style style, const char *field,
		     const char *const *names, unsigned n, unsigned v)
{
	if (style == CLEW_OTLP_JSON_PROTO && v < n)
		clew_buf_addf(b, "\"%s\":\"%s\"", field, names[v]);
	else
		clew_buf_addf(b, "\"%s\":%u", field, v);
}

static void add_span(struct clew_buf *b, const struct clew_span *s, enum clew_otlp_json_style style)
{
	static const char *const kinds[] = {"SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL",
					    "SPAN_KIND_SERVER",	     "SPAN_KIND_CLIENT",
					    "SPAN_KIND_PRODUCER",    "SPAN_KIND_CONSUMER"};
	static const char *const codes[] = {"STATUS_CODE_UNSET", "STATUS_CODE_OK",
					    "STATUS_CODE_ERROR"};

	clew_buf_addc(b, '{');
	add_id(b, style, "traceId", s->trace_id.b, 16);
	clew_buf_addc(b, ',');
	add_id(b, style, "spanId", s->span_id.b, 8);
	if (!clew_id64_none(&s->parent_span_id)) {
		clew_buf_addc(b, ',');
		add_id(b, style, "parentSpanId", s->parent_span_id.b, 8);
	}
	if (s->trace_state.n) {
		clew_buf_adds(b, ",\"traceState\":");
		clew_json_str(b, s->trace_state);
	}
	clew_buf_adds(b, ",\"name\":");
	clew_json_str(b, s->name);
	clew_buf_addc(b, ',');
	add_enum(b, style, "kind", kinds, sizeof(kinds) / sizeof(*kinds), s->kind);
	clew_buf_addf(b,
		      ",\"startTimeUnixNano\":\"%" PRIu64 "\",\"endTimeUnixNano\":\"%" PRIu64 "\",",
		      s->start_ns, s->start_ns + s->duration_ns);
	if (style == CLEW_OTLP_JSON_SHOWN)
		add_shown(b, s);
	else
		add_attrs(b, s->attrs, s->n_attrs);
	add_links(b, s, style);
	add_events(b, s);
	add_dropped(b, s);
	clew_buf_adds(b, ",\"status\":{");
	if (s->status_message.n) {
		clew_buf_adds(b, "\"message\":");
		clew_json_str(b, s->status_message);
		clew_buf_addc(b, ',');
	}
	add_enum(b, style, "code", codes, sizeof(codes) / sizeof(*codes), s->status);
	clew_buf_adds(b, "}}");
}

static bool same_resource(const struct clew_span *a, const struct clew_span *b)
{
	return a->resource == b->resource ||
	       (a->resource && b->resource && a->resource->id == b->resource->id);
}

/* All spans of first's resource and scope, from i on, that are not done yet. */
static void add_group(struct clew_buf *b, struct clew_span *const *spans, size_t n, size_t i,
		      char *done, enum clew_otlp_json_style style)
{
	const struct clew_span *first = spans[i];
	const char *sep = "";

	clew_buf_adds(b, "{\"resource\":{");
	add_attrs(b, first->resource ? first->resource->attrs : NULL,
		  first->resource ? first->resource->n_attrs : 0);
	clew_buf_adds(b, "},\"scopeSpans\":[{\"scope\":{\"name\":");
	clew_json_str(b, first->scope);
	clew_buf_adds(b, "},\"spans\":[");
	for (; i < n; i++) {
		if (done[i] || !same_resource(first, spans[i]) ||
		    !slice_eq(first->scope, spans[i]->scope))
			continue;
		done[i] = 1;
		clew_buf_adds(b, sep);
		add_span(b, spans[i], style);
		sep = ",";
	}
	clew_buf_adds(b, "],\"schemaUrl\":\"" CLEW_SCHEMA_URL
			 "\"}],\"schemaUrl\":\"" CLEW_SCHEMA_URL "\"}");
}

int clew_otlp_json_list(struct clew_buf *out, struct clew_span *const *spans, size_t n,
			enum clew_otlp_json_style style)
{
	_cleanup_(freep) char *done = calloc(n ? n : 1, 1);
	const char *sep = "";

	if (!done)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (done[i])
			continue;
		clew_buf_adds(out, sep);
		add_group(out, spans, n, i, done, style);
		sep = ",";
	}
	return out->err;
}

static int add_document(struct clew_buf *out, struct clew_span *const *spans, size_t n,
			enum clew_otlp_json_style style)
{
	int r;

	clew_buf_adds(out, "{\"resourceSpans\":[");
	r = clew_otlp_json_list(out, spans, n, style);
	clew_buf_adds(out, "]}");
	return r < 0 ? r : out->err;
}

int clew_otlp_json(struct clew_buf *out, struct clew_span *const *spans, size_t n)
{
	return add_document(out, spans, n, CLEW_OTLP_JSON_OTLP);
}

int clew_otlp_json_shown(struct clew_buf *out, struct clew_span *const *spans, size_t n)
{
	return add_document(out, spans, n, CLEW_OTLP_JSON_SHOWN);
}
