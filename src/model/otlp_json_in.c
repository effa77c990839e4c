/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OTLP in JSON: hex ids, integer enums, lowerCamelCase, 64-bit integers as strings or numbers, null
 * as if it was not there, unknown fields ignored.
 *
 * jansson has no limit of memory: its allocations are counted while we read, for this thread, and
 * refused beyond JSON_FACTOR times the text (each object of it is a hash table).
 */
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <math.h>
#include <pthread.h>

#include <jansson.h>

#include "base/json.h"
#include "model/otlp_build.h"
#include "model/otlp_value.h"

#define JSON_FACTOR 24u

static _Thread_local size_t json_left; /* bytes; while json_bounded */
static _Thread_local bool json_bounded, json_refused, json_short;

static void *bounded_malloc(size_t n)
{
	void *p;

	if (json_bounded && n > json_left) {
		json_refused = true;
		return NULL;
	}
	p = malloc(n);
	json_short |= !p;
	if (p && json_bounded) {
		n = malloc_usable_size(p);
		json_left = json_left > n ? json_left - n : 0;
	}
	return p;
}

static void bounded_free(void *p)
{
	if (p && json_bounded)
		json_left += malloc_usable_size(p);
	free(p);
}

static void bound_jansson(void)
{
	json_set_alloc_funcs(bounded_malloc, bounded_free);
}

/* ---- fields ---- */

static int wrong(struct otlp_builder *b, const char *field, const char *wanted)
{
	return otlp_fail(b, -EBADMSG, "%s: %s is expected", field, wanted);
}

static const json_t *get(const json_t *o, const char *field)
{
	const json_t *v = json_object_get(o, field);

	return json_is_null(v) ? NULL : v;
}

static int get_str(struct otlp_builder *b, const json_t *o, const char *field, struct slice *ret)
{
	const json_t *v = get(o, field);

	*ret = SLICE("");
	if (!v)
		return 0;
	if (!json_is_string(v))
		return wrong(b, field, "a string");
	*ret = slice_of(json_string_value(v), json_string_length(v));
	return 0;
}

static int get_array(struct otlp_builder *b, const json_t *o, const char *field, const json_t **ret)
{
	*ret = get(o, field);
	return !*ret || json_is_array(*ret) ? 0 : wrong(b, field, "an array");
}

static int get_object(struct otlp_builder *b, const json_t *o, const char *field,
		      const json_t **ret)
{
	*ret = get(o, field);
	return !*ret || json_is_object(*ret) ? 0 : wrong(b, field, "an object");
}

/* A whole number, as a number or as text. */
static bool whole(const json_t *v, bool sign, int64_t *ret)
{
	char *end;

	if (json_is_integer(v)) {
		*ret = json_integer_value(v);
	} else if (json_is_real(v)) {
		double d = json_real_value(v);

		if (!(fabs(d) < 9.2e18) || d != floor(d))
			return false;
		*ret = (int64_t)d;
	} else if (json_is_string(v) && json_string_length(v)) {
		const char *text = json_string_value(v);

		errno = 0;
		*ret = sign ? strtoll(text, &end, 10) : (int64_t)strtoull(text, &end, 10);
		if (errno || end != text + json_string_length(v) || *text == ' ')
			return false;
		return sign || *text != '-';
	} else {
		return false;
	}
	return sign || *ret >= 0;
}

static int get_int(struct otlp_builder *b, const json_t *o, const char *field, bool sign,
		   int64_t *ret)
{
	const json_t *v = get(o, field);

	*ret = 0;
	return !v || whole(v, sign, ret) ? 0 : wrong(b, field, "a whole number");
}

static int get_u32(struct otlp_builder *b, const json_t *o, const char *field, uint32_t *ret)
{
	int64_t v;
	int r = get_int(b, o, field, false, &v);

	*ret = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
	return r;
}

/* Hex into bytes of the arena. What is not hex of the right length is no id: the span is rejected. */
static int get_id(struct otlp_builder *b, const json_t *o, const char *field, size_t n,
		  struct slice *ret)
{
	struct slice text;
	int r = get_str(b, o, field, &text);
	char *bytes = r == 0 ? otlp_alloc(&b->arena, n) : NULL;

	*ret = SLICE("");
	if (r < 0)
		return r;
	if (!bytes)
		return -ENOMEM;
	if (clew_unhex(text.p, text.n, bytes, n) == 0)
		*ret = slice_of(bytes, n);
	return 0;
}

/* ---- values ---- */

static int put_value(struct otlp_builder *b, const json_t *v);

static int put_list(struct otlp_builder *b, const json_t *list)
{
	const json_t *values;
	int r = get_array(b, list, "values", &values);

	clew_buf_addc(&b->text, '[');
	for (size_t i = 0; r == 0 && i < json_array_size(values); i++) {
		clew_buf_adds(&b->text, i ? "," : "");
		r = put_value(b, json_array_get(values, i));
	}
	clew_buf_addc(&b->text, ']');
	return r;
}

static int put_map(struct otlp_builder *b, const json_t *map)
{
	const json_t *values;
	struct slice key;
	int r = get_array(b, map, "values", &values);

	clew_buf_addc(&b->text, '{');
	for (size_t i = 0; r == 0 && i < json_array_size(values); i++) {
		const json_t *kv = json_array_get(values, i);

		r = get_str(b, kv, "key", &key);
		clew_buf_adds(&b->text, i ? "," : "");
		clew_json_str(&b->text, key);
		clew_buf_addc(&b->text, ':');
		if (r == 0)
			r = put_value(b, get(kv, "value"));
	}
	clew_buf_addc(&b->text, '}');
	return r;
}

static int get_double(struct otlp_builder *b, const json_t *v, double *ret)
{
	static const struct {
		const char *name;
		double value;
	} names[] = {{"NaN", NAN}, {"Infinity", INFINITY}, {"-Infinity", -INFINITY}};
	char *end;

	if (json_is_number(v)) {
		*ret = json_number_value(v);
		return 0;
	}
	for (size_t i = 0; json_is_string(v) && i < 3; i++)
		if (!strcmp(json_string_value(v), names[i].name)) {
			*ret = names[i].value;
			return 0;
		}
	if (json_is_string(v) && json_string_length(v)) {
		*ret = strtod(json_string_value(v), &end);
		if (!*end)
			return 0;
	}
	return wrong(b, "doubleValue", "a number");
}

/* The types that the model has; 1: none of them. */
static int read_simple(struct otlp_builder *b, const json_t *v, struct clew_attr *ret)
{
	const json_t *x;

	if (get(v, "stringValue")) {
		ret->type = CLEW_ATTR_STR;
		return get_str(b, v, "stringValue", &ret->str);
	}
	if (get(v, "intValue")) {
		ret->type = CLEW_ATTR_INT;
		return get_int(b, v, "intValue", true, &ret->i);
	}
	x = get(v, "boolValue");
	if (x) {
		ret->type = CLEW_ATTR_BOOL;
		ret->b = json_is_true(x);
		return json_is_boolean(x) ? 0 : wrong(b, "boolValue", "true or false");
	}
	x = get(v, "doubleValue");
	if (x) {
		ret->type = CLEW_ATTR_DOUBLE;
		return get_double(b, x, &ret->d);
	}
	return 1;
}

static int put_simple(struct otlp_builder *b, const struct clew_attr *a)
{
	switch (a->type) {
	case CLEW_ATTR_STR:
		otlp_text_str(&b->text, a->str);
		return 0;
	case CLEW_ATTR_INT:
		return clew_buf_addf(&b->text, "%" PRId64, a->i);
	case CLEW_ATTR_DOUBLE:
		otlp_text_double(&b->text, a->d);
		return 0;
	case CLEW_ATTR_BOOL:
		return clew_buf_adds(&b->text, a->b ? "true" : "false");
	}
	return 0;
}

static int put_value(struct otlp_builder *b, const json_t *v)
{
	struct clew_attr a;
	struct slice base64;
	int r;

	if (v && !json_is_object(v))
		return wrong(b, "value", "an object");
	r = read_simple(b, v, &a);
	if (r <= 0)
		return r < 0 ? r : put_simple(b, &a);
	if (get(v, "arrayValue"))
		return put_list(b, get(v, "arrayValue"));
	if (get(v, "kvlistValue"))
		return put_map(b, get(v, "kvlistValue"));
	if (!get(v, "bytesValue"))
		return clew_buf_adds(&b->text, "null");
	r = get_str(b, v, "bytesValue", &base64);
	if (r == 0)
		otlp_text_base64(&b->text, base64);
	return r;
}

static int read_value(struct otlp_builder *b, const json_t *v, struct clew_attr *ret)
{
	int r = read_simple(b, v, ret);

	if (r <= 0)
		return r;
	clew_buf_clear(&b->text);
	if (get(v, "bytesValue")) {
		ret->type = CLEW_ATTR_STR;
		ret->form = CLEW_FORM_BYTES;
		return get_str(b, v, "bytesValue", &ret->str);
	}
	if (get(v, "arrayValue") || get(v, "kvlistValue")) {
		r = put_value(b, v);
		if (r < 0)
			return r;
	}
	otlp_text_value(b, b->text.len ? CLEW_FORM_JSON : CLEW_FORM_TEXT, ret);
	return 0;
}

static int collect(struct otlp_builder *b, const json_t *o)
{
	const json_t *list, *v;
	int r = otlp_attrs_begin(b);

	if (r == 0)
		r = get_array(b, o, "attributes", &list);
	for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
		const json_t *kv = json_array_get(list, i);
		struct clew_attr a = {0};

		r = get_str(b, kv, "key", &a.key);
		if (r == 0)
			r = get_object(b, kv, "value", &v);
		if (r == 0)
			r = read_value(b, v, &a);
		if (r == 0)
			otlp_attrs_add(b, &a);
	}
	return r;
}

/* ---- spans ---- */

static int read_events(struct otlp_builder *b, struct clew_span *span, const json_t *list)
{
	size_t n;
	struct clew_span_event *events = otlp_span_events(span, json_array_size(list), &n);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		const json_t *o = json_array_get(list, i);
		struct slice name;
		int64_t time;

		r = get_int(b, o, "timeUnixNano", false, &time);
		if (r == 0)
			r = get_str(b, o, "name", &name);
		if (r == 0)
			r = collect(b, o);
		if (r < 0)
			break;
		events[i].time_ns = (uint64_t)time;
		events[i].name = clew_span_copy(span, name);
		events[i].attrs = otlp_copy_attrs(b, span, &events[i].n_attrs);
	}
	return r;
}

static int read_links(struct otlp_builder *b, struct clew_span *span, const json_t *list)
{
	size_t n, kept = 0;
	struct clew_span_link *links = otlp_span_links(span, json_array_size(list), &n);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		const json_t *o = json_array_get(list, i);
		struct slice trace_id = SLICE(""), span_id = SLICE("");

		r = get_id(b, o, "traceId", 16, &trace_id);
		if (r == 0)
			r = get_id(b, o, "spanId", 8, &span_id);
		if (r == 0)
			r = collect(b, o);
		if (r < 0 || !trace_id.n || !span_id.n)
			continue;
		memcpy(links[kept].trace_id.b, trace_id.p, 16);
		memcpy(links[kept].span_id.b, span_id.p, 8);
		links[kept].attrs = otlp_copy_attrs(b, span, &links[kept].n_attrs);
		kept++;
	}
	span->n_links = (uint32_t)kept;
	span->dropped_links += (uint32_t)(n - kept);
	return r;
}

static int read_head(struct otlp_builder *b, const json_t *o, struct otlp_span *s)
{
	const json_t *status;
	int64_t start, end;
	int r;

	if ((r = get_id(b, o, "traceId", 16, &s->trace_id)) < 0 ||
	    (r = get_id(b, o, "spanId", 8, &s->span_id)) < 0 ||
	    (r = get_id(b, o, "parentSpanId", 8, &s->parent_span_id)) < 0 ||
	    (r = get_str(b, o, "traceState", &s->trace_state)) < 0 ||
	    (r = get_str(b, o, "name", &s->name)) < 0 ||
	    (r = get_int(b, o, "kind", true, &s->kind)) < 0 ||
	    (r = get_int(b, o, "startTimeUnixNano", false, &start)) < 0 ||
	    (r = get_int(b, o, "endTimeUnixNano", false, &end)) < 0 ||
	    (r = get_u32(b, o, "droppedAttributesCount", &s->dropped_attrs)) < 0 ||
	    (r = get_u32(b, o, "droppedEventsCount", &s->dropped_events)) < 0 ||
	    (r = get_u32(b, o, "droppedLinksCount", &s->dropped_links)) < 0 ||
	    (r = get_object(b, o, "status", &status)) < 0 ||
	    (r = get_int(b, status, "code", true, &s->status)) < 0 ||
	    (r = get_str(b, status, "message", &s->status_message)) < 0)
		return r;
	s->start_ns = (uint64_t)start;
	s->end_ns = (uint64_t)end;
	return 0;
}

static int read_span(struct otlp_builder *b, const json_t *o)
{
	const struct clew_attr version = {
		.key = SLICE("otel.scope.version"), .type = CLEW_ATTR_STR, .str = b->scope_version};
	const json_t *events, *links;
	struct otlp_span s;
	struct clew_span *span;
	int r;

	if (!json_is_object(o))
		return wrong(b, "spans", "an array of objects");
	if ((r = read_head(b, o, &s)) < 0 || (r = get_array(b, o, "events", &events)) < 0 ||
	    (r = get_array(b, o, "links", &links)) < 0 || (r = otlp_span_begin(b, &s, &span)) < 0 ||
	    !span)
		return r;
	r = collect(b, o);
	if (r < 0)
		return r;
	if (version.str.n)
		otlp_attrs_add(b, &version);
	otlp_span_attrs(b, span);
	if (json_array_size(events))
		r = read_events(b, span, events);
	if (r == 0 && json_array_size(links))
		r = read_links(b, span, links);
	return r;
}

static int read_scope(struct otlp_builder *b, const json_t *o)
{
	const json_t *scope, *spans;
	int r;

	if ((r = get_object(b, o, "scope", &scope)) < 0 ||
	    (r = get_str(b, scope, "name", &b->scope)) < 0 ||
	    (r = get_str(b, scope, "version", &b->scope_version)) < 0 ||
	    (r = get_array(b, o, "spans", &spans)) < 0)
		return r;
	for (size_t i = 0; r == 0 && i < json_array_size(spans); i++)
		r = read_span(b, json_array_get(spans, i));
	return r;
}

static int read_resource(struct otlp_builder *b, const json_t *o)
{
	const json_t *resource, *scopes;
	int r;

	if ((r = get_object(b, o, "resource", &resource)) < 0 ||
	    (r = get_array(b, o, "scopeSpans", &scopes)) < 0 || (r = collect(b, resource)) < 0 ||
	    (r = otlp_resource(b)) < 0)
		return r;
	for (size_t i = 0; r == 0 && i < json_array_size(scopes); i++)
		r = read_scope(b, json_array_get(scopes, i));
	return r;
}

static int read_document(struct otlp_builder *b, const json_t *o)
{
	const json_t *list;
	int r;

	if (!json_is_object(o))
		return otlp_fail(b, -EBADMSG, "an object with resourceSpans is expected");
	r = get_array(b, o, "resourceSpans", &list);
	for (size_t i = 0; r == 0 && i < json_array_size(list); i++)
		r = read_resource(b, json_array_get(list, i));
	return r;
}

/* Why there is no document, or none that is whole: the library goes on without a byte for which it found no memory. */
static int load_error(struct otlp_builder *b, const json_error_t *e)
{
	if (json_short)
		return -ENOMEM;
	if (json_refused)
		return otlp_fail(b, -E2BIG,
				 "the message would take too much memory: send smaller batches");
	return otlp_fail(b, -EBADMSG, "not JSON: line %d, column %d: %.80s", e->line, e->column,
			 e->text);
}

int clew_otlp_read_json(struct slice text, struct clew_otlp_in *in)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct otlp_builder b = {.in = in};
	json_error_t error;
	json_t *o;
	int r;

	pthread_once(&once, bound_jansson);
	json_left = text.n * JSON_FACTOR + (1u << 20);
	json_bounded = true;
	json_refused = json_short = false;
	o = json_loadb(text.p ? text.p : "", text.n, JSON_ALLOW_NUL, &error);
	r = o && !json_short && !json_refused ? read_document(&b, o) : load_error(&b, &error);
	json_decref(o);
	json_bounded = false;
	otlp_builder_done(&b);
	if (r < 0)
		clew_otlp_in_done(in);
	return r;
}
