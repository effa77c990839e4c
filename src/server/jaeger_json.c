/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A trace in the JSON of Jaeger's page: spans with references, tags and logs, and a table of the
 * processes that they ran in. Times in us. What OpenTelemetry has and Jaeger has not becomes tags, by
 * the rules of "OpenTelemetry to Jaeger transformation" (OpenTelemetry specification): span.kind,
 * error, otel.status_code, otel.status_description, otel.scope.name, w3c.tracestate.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/marks.h"
#include "server/jaeger.h"

static void put_id(struct clew_buf *b, const char *before, const void *id, size_t n)
{
	char hex[33];

	clew_hex(id, n, hex);
	clew_buf_addf(b, "%s\"%s\"", before, hex);
}

/* ---- tags ---- */

static void put_tag_head(struct clew_buf *b, const char **sep, struct slice key, const char *type)
{
	clew_buf_addf(b, "%s{\"key\":", *sep);
	clew_json_str(b, key);
	clew_buf_addf(b, ",\"type\":\"%s\",\"value\":", type);
	*sep = ",";
}

static void put_text_tag(struct clew_buf *b, const char **sep, const char *key, struct slice value)
{
	put_tag_head(b, sep, slice_str(key), "string");
	clew_json_str(b, value);
	clew_buf_addc(b, '}');
}

static void put_tag(struct clew_buf *b, const char **sep, const struct clew_attr *a)
{
	switch (a->type) {
	case CLEW_ATTR_STR:
		put_tag_head(b, sep, a->key, "string");
		clew_json_str(b, a->str);
		break;
	case CLEW_ATTR_INT:
		put_tag_head(b, sep, a->key, "int64");
		clew_buf_addf(b, "%" PRId64, a->i);
		break;
	case CLEW_ATTR_DOUBLE:
		put_tag_head(b, sep, a->key, "float64");
		clew_json_double(b, a->d);
		break;
	case CLEW_ATTR_BOOL:
		put_tag_head(b, sep, a->key, "bool");
		clew_buf_adds(b, a->b ? "true" : "false");
		break;
	}
	clew_buf_addc(b, '}');
}

static void put_tags(struct clew_buf *b, const struct clew_span *s)
{
	const char *sep = "";

	clew_buf_adds(b, ",\"tags\":[");
	for (uint32_t i = 0; i < s->n_attrs; i++)
		put_tag(b, &sep, &s->attrs[i]);
	if (s->kind)
		put_text_tag(b, &sep, "span.kind", slice_str(clew_kind_name(s->kind)));
	if (s->scope.n)
		put_text_tag(b, &sep, "otel.scope.name", s->scope);
	if (s->status == CLEW_STATUS_ERROR) {
		if (!clew_span_attr(s, SLICE("error"))) {
			put_tag_head(b, &sep, SLICE("error"), "bool");
			clew_buf_adds(b, "true}");
		}
		put_text_tag(b, &sep, "otel.status_code", SLICE("ERROR"));
	} else if (s->status == CLEW_STATUS_OK) {
		put_text_tag(b, &sep, "otel.status_code", SLICE("OK"));
	}
	if (s->status_message.n)
		put_text_tag(b, &sep, "otel.status_description", s->status_message);
	if (s->trace_state.n)
		put_text_tag(b, &sep, "w3c.tracestate", s->trace_state);
	clew_buf_addc(b, ']');
}

/* ---- the rest of a span ---- */

static void put_references(struct clew_buf *b, const struct clew_span *s)
{
	const char *sep = "";

	clew_buf_adds(b, ",\"references\":[");
	if (!clew_id64_none(&s->parent_span_id)) {
		put_id(b, "{\"refType\":\"CHILD_OF\",\"traceID\":", s->trace_id.b, 16);
		put_id(b, ",\"spanID\":", s->parent_span_id.b, 8);
		clew_buf_addc(b, '}');
		sep = ",";
	}
	for (uint32_t i = 0; i < s->n_links; i++) {
		clew_buf_adds(b, sep);
		put_id(b, "{\"refType\":\"FOLLOWS_FROM\",\"traceID\":", s->links[i].trace_id.b, 16);
		put_id(b, ",\"spanID\":", s->links[i].span_id.b, 8);
		clew_buf_addc(b, '}');
		sep = ",";
	}
	clew_buf_addc(b, ']');
}

static void put_logs(struct clew_buf *b, const struct clew_span *s)
{
	clew_buf_adds(b, ",\"logs\":[");
	for (uint32_t i = 0; i < s->n_events; i++) {
		const struct clew_span_event *e = &s->events[i];
		const char *sep = "";

		clew_buf_addf(b, "%s{\"timestamp\":%" PRIu64 ",\"fields\":[", i ? "," : "",
			      e->time_ns / 1000);
		if (e->name.n)
			put_text_tag(b, &sep, "event", e->name);
		for (uint32_t k = 0; k < e->n_attrs; k++)
			put_tag(b, &sep, &e->attrs[k]);
		clew_buf_adds(b, "]}");
	}
	clew_buf_addc(b, ']');
}

static void put_warning(struct clew_buf *b, const char **sep, const char *fmt, const char *what)
{
	char text[320];

	snprintf(text, sizeof(text), fmt, what);
	clew_buf_adds(b, *sep);
	clew_json_str(b, slice_str(text));
	*sep = ",";
}

/* What a reader should know before he trusts the span: null, or a list. */
static void put_warnings(struct clew_buf *b, const struct clew_span *s, bool parent_missing)
{
	const char *sep = "[";
	char words[256];

	clew_buf_adds(b, ",\"warnings\":");
	if (s->incomplete)
		put_warning(b, &sep, "incomplete: %s",
			    clew_incomplete_words(s->incomplete, words, sizeof(words)));
	if (s->link_class == CLEW_LINK_ORPHAN)
		put_warning(
			b, &sep,
			"orphan: what caused this span is not known well enough; its references "
			"are candidates%s",
			"");
	if (parent_missing) {
		clew_hex(s->parent_span_id.b, 8, words);
		put_warning(b, &sep, "its parent %s is not in this store", words);
	}
	if (s->dropped_attrs || s->dropped_events || s->dropped_links) {
		snprintf(words, sizeof(words), "%u attributes, %u events, %u links",
			 s->dropped_attrs, s->dropped_events, s->dropped_links);
		put_warning(b, &sep, "dropped: %s", words);
	}
	clew_buf_adds(b, *sep == '[' ? "null" : "]");
}

/* ---- a trace ---- */

struct shape {
	const struct api_spans *spans;
	uint64_t *ids; /* of all spans, sorted */
	const struct clew_resource *
		*resources; /* different ones, in the order of their first span */
	uint32_t *process;  /* by span: which of them */
	uint32_t n;
};

static int by_id(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static uint64_t id_of(const struct clew_id64 *id)
{
	uint64_t v;

	memcpy(&v, id->b, sizeof(v));
	return v;
}

static bool has_id(const struct shape *t, const struct clew_id64 *id)
{
	uint64_t v = id_of(id);

	return bsearch(&v, t->ids, t->spans->n, sizeof(v), by_id);
}

/* Open addressing over the resources' ids: a trace may have as many processes as spans. */
static int find_processes(struct shape *t)
{
	size_t n = t->spans->n, slots = 16;
	uint32_t *table;

	while (slots < 2 * n)
		slots *= 2;
	table = calloc(slots, sizeof(*table));
	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct clew_resource *r = t->spans->v[i]->resource;
		size_t at = (size_t)((r ? r->id : 0) * UINT64_C(0x9e3779b97f4a7c15)) & (slots - 1);

		while (table[at]) {
			const struct clew_resource *own = t->resources[table[at] - 1];

			if (own == r || (own && r && own->id == r->id))
				break;
			at = (at + 1) & (slots - 1);
		}
		if (!table[at]) {
			t->resources[t->n++] = r;
			table[at] = t->n;
		}
		t->process[i] = table[at];
	}
	free(table);
	return 0;
}

static int shape_init(struct shape *t, const struct api_spans *spans)
{
	*t = (struct shape){.spans = spans};
	t->ids = calloc(spans->n + 1, sizeof(*t->ids));
	t->resources = calloc(spans->n + 1, sizeof(*t->resources));
	t->process = calloc(spans->n + 1, sizeof(*t->process));
	if (!t->ids || !t->resources || !t->process)
		return -ENOMEM;
	for (size_t i = 0; i < spans->n; i++)
		t->ids[i] = id_of(&spans->v[i]->span_id);
	qsort(t->ids, spans->n, sizeof(*t->ids), by_id);
	return find_processes(t);
}

static void shape_done(struct shape *t)
{
	free(t->ids);
	free(t->resources);
	free(t->process);
}

static void put_processes(struct clew_buf *b, const struct shape *t)
{
	clew_buf_adds(b, "\"processes\":{");
	for (uint32_t i = 0; i < t->n; i++) {
		const struct clew_resource *r = t->resources[i];
		const char *sep = "";

		clew_buf_addf(b, "%s\"p%u\":{\"serviceName\":", i ? "," : "", i + 1);
		clew_json_str(b, r ? r->service : SLICE(""));
		clew_buf_adds(b, ",\"tags\":[");
		for (uint32_t k = 0; r && k < r->n_attrs; k++)
			if (!slice_eq(r->attrs[k].key, SLICE("service.name")))
				put_tag(b, &sep, &r->attrs[k]);
		clew_buf_adds(b, "]}");
	}
	clew_buf_addc(b, '}');
}

static void put_span(struct clew_buf *b, const struct shape *t, size_t i)
{
	const struct clew_span *s = t->spans->v[i];
	bool missing = !clew_id64_none(&s->parent_span_id) && !has_id(t, &s->parent_span_id);

	put_id(b, i ? ",{\"traceID\":" : "{\"traceID\":", s->trace_id.b, 16);
	put_id(b, ",\"spanID\":", s->span_id.b, 8);
	clew_buf_adds(b, ",\"operationName\":");
	clew_json_str(b, s->name);
	put_references(b, s);
	clew_buf_addf(b, ",\"startTime\":%" PRIu64 ",\"duration\":%" PRIu64, s->start_ns / 1000,
		      s->duration_ns / 1000);
	put_tags(b, s);
	put_logs(b, s);
	clew_buf_addf(b, ",\"processID\":\"p%u\"", t->process[i]);
	put_warnings(b, s, missing);
	clew_buf_addc(b, '}');
}

int jaeger_trace(struct api_call *c, const struct api_spans *spans)
{
	struct shape t;
	int r = shape_init(&t, spans);

	if (r == 0) {
		put_id(&c->out, "{\"traceID\":", spans->v[0]->trace_id.b, 16);
		clew_buf_adds(&c->out, ",\"spans\":[");
	}
	for (size_t i = 0; r == 0 && i < spans->n; i++) {
		put_span(&c->out, &t, i);
		r = api_hand_on(c);
	}
	if (r == 0) {
		clew_buf_adds(&c->out, "],");
		put_processes(&c->out, &t);
		clew_buf_adds(&c->out, ",\"warnings\":null}");
		r = api_hand_on(c);
	}
	shape_done(&t);
	return r;
}
