/* SPDX-License-Identifier: Apache-2.0 */
#include "model/otlp_value.h"

#include <inttypes.h>
#include <math.h>

#include <jansson.h>

#include "base/json.h"
#include "model/otlp_build.h"
#include "model/proto_put.h"

/* opentelemetry/proto/common/v1: AnyValue, ArrayValue, KeyValueList, KeyValue. */
enum {
	VALUE_STRING = 1,
	VALUE_BOOL,
	VALUE_INT,
	VALUE_DOUBLE,
	VALUE_ARRAY,
	VALUE_KVLIST,
	VALUE_BYTES
};
enum { LIST_VALUES = 1 };
enum { KEY_VALUE_KEY = 1, KEY_VALUE_VALUE };

#define MARK_STRING "\0string:"
#define MARK_BYTES  "\0bytes:"
#define MARK_DOUBLE "\0double:"

/* ---- to text ---- */

static void marked(struct clew_buf *b, struct slice mark, struct slice s)
{
	struct clew_buf whole = {0};

	clew_buf_add(&whole, mark.p, mark.n);
	clew_buf_add(&whole, s.p, s.n);
	clew_json_str(b, clew_buf_slice(&whole));
	clew_buf_done(&whole);
}

void otlp_text_str(struct clew_buf *b, struct slice s)
{
	if (s.n && !s.p[0])
		marked(b, SLICE(MARK_STRING), s);
	else
		clew_json_str(b, s);
}

void otlp_text_double(struct clew_buf *b, double v)
{
	size_t from = b->len;

	if (!isfinite(v)) {
		marked(b, SLICE(MARK_DOUBLE),
		       isnan(v) ? SLICE("NaN")
		       : v > 0	? SLICE("Infinity")
				: SLICE("-Infinity"));
		return;
	}
	clew_json_double(b, v);
	for (size_t i = from; i < b->len; i++)
		if (strchr(".eE", b->data[i]))
			return;
	clew_buf_adds(b, ".0");
}

void otlp_text_base64(struct clew_buf *b, struct slice base64)
{
	marked(b, SLICE(MARK_BYTES), base64);
}

void otlp_text_bytes(struct clew_buf *b, struct slice s)
{
	struct clew_buf base64 = {0};
	struct slice text;

	otlp_put_base64(&base64, s);
	text = clew_buf_slice(&base64); /* in quotes */
	otlp_text_base64(b, text.n > 2 ? slice_of(text.p + 1, text.n - 2) : SLICE(""));
	clew_buf_done(&base64);
}

/* ---- from text ---- */

static int digit(char c)
{
	return c >= 'A' && c <= 'Z'   ? c - 'A'
	       : c >= 'a' && c <= 'z' ? c - 'a' + 26
	       : c >= '0' && c <= '9' ? c - '0' + 52
	       : c == '+'	      ? 62
	       : c == '/'	      ? 63
				      : -1;
}

static void put_decoded(struct clew_buf *b, struct slice base64)
{
	uint32_t bits = 0, n = 0;

	for (size_t i = 0; i < base64.n && digit(base64.p[i]) >= 0; i++) {
		bits = bits << 6 | (uint32_t)digit(base64.p[i]);
		n += 6;
		if (n >= 8) {
			n -= 8;
			clew_buf_addc(b, (char)(bits >> n));
		}
	}
}

static struct slice text_of(const json_t *v)
{
	return slice_of(json_string_value(v), json_string_length(v));
}

/* What a string is: a mark is taken off. */
static int kind_of(const json_t *v, struct slice *ret)
{
	static const struct {
		struct slice mark;
		int field;
	} marks[] = {{SLICE(MARK_STRING), VALUE_STRING},
		     {SLICE(MARK_BYTES), VALUE_BYTES},
		     {SLICE(MARK_DOUBLE), VALUE_DOUBLE}};

	*ret = text_of(v);
	for (size_t i = 0; i < 3; i++)
		if (slice_starts(*ret, marks[i].mark)) {
			*ret = slice_of(ret->p + marks[i].mark.n, ret->n - marks[i].mark.n);
			return marks[i].field;
		}
	return VALUE_STRING;
}

static double special(struct slice name)
{
	return slice_eq(name, SLICE("Infinity"))    ? INFINITY
	       : slice_eq(name, SLICE("-Infinity")) ? -INFINITY
						    : NAN;
}

static void json_any(struct clew_buf *b, json_t *v);

static void json_string_any(struct clew_buf *b, const json_t *v)
{
	static const char *const names[] = {[VALUE_STRING] = "stringValue",
					    [VALUE_BYTES] = "bytesValue",
					    [VALUE_DOUBLE] = "doubleValue"};
	struct slice text;
	int field = kind_of(v, &text);

	clew_buf_addf(b, "{\"%s\":", names[field]);
	clew_json_str(b, text);
	clew_buf_addc(b, '}');
}

static void json_list(struct clew_buf *b, json_t *v)
{
	json_t *item;
	size_t i;

	clew_buf_adds(b, "{\"arrayValue\":{\"values\":[");
	json_array_foreach(v, i, item)
	{
		clew_buf_adds(b, i ? "," : "");
		json_any(b, item);
	}
	clew_buf_adds(b, "]}}");
}

static void json_map(struct clew_buf *b, json_t *v)
{
	const char *key, *sep = "";
	json_t *item;
	size_t n;

	clew_buf_adds(b, "{\"kvlistValue\":{\"values\":[");
	json_object_keylen_foreach(v, key, n, item)
	{
		clew_buf_addf(b, "%s{\"key\":", sep);
		clew_json_str(b, slice_of(key, n));
		clew_buf_adds(b, ",\"value\":");
		json_any(b, item);
		clew_buf_addc(b, '}');
		sep = ",";
	}
	clew_buf_adds(b, "]}}");
}

static void json_any(struct clew_buf *b, json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		json_map(b, v);
		break;
	case JSON_ARRAY:
		json_list(b, v);
		break;
	case JSON_STRING:
		json_string_any(b, v);
		break;
	case JSON_INTEGER:
		clew_buf_addf(b, "{\"intValue\":\"%" PRId64 "\"}", (int64_t)json_integer_value(v));
		break;
	case JSON_REAL:
		clew_buf_adds(b, "{\"doubleValue\":");
		clew_json_double(b, json_real_value(v));
		clew_buf_addc(b, '}');
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		clew_buf_addf(b, "{\"boolValue\":%s}", json_is_true(v) ? "true" : "false");
		break;
	case JSON_NULL:
		clew_buf_adds(b, "{}");
		break;
	}
}

/* NULL if the text is no list and no map: it was cut. */
static json_t *read_text(const struct clew_attr *a)
{
	return json_loadb(a->str.p, a->str.n, JSON_ALLOW_NUL, NULL);
}

void otlp_value_json(struct clew_buf *b, const struct clew_attr *a)
{
	json_t *v = a->form == CLEW_FORM_JSON ? read_text(a) : NULL;

	if (v) {
		json_any(b, v);
		json_decref(v);
		return;
	}
	clew_buf_adds(b, a->form == CLEW_FORM_BYTES ? "{\"bytesValue\":" : "{\"stringValue\":");
	clew_json_str(b, a->str);
	clew_buf_addc(b, '}');
}

static void proto_any(struct clew_buf *b, json_t *v);

static void proto_list(struct clew_buf *b, json_t *v)
{
	struct clew_buf list = {0}, one = {0};
	json_t *item;
	size_t i;

	json_array_foreach(v, i, item)
	{
		clew_buf_clear(&one);
		proto_any(&one, item);
		proto_add_bytes(&list, LIST_VALUES, clew_buf_slice(&one));
	}
	proto_add_bytes(b, VALUE_ARRAY, clew_buf_slice(&list));
	clew_buf_done(&list);
	clew_buf_done(&one);
}

static void proto_map(struct clew_buf *b, json_t *v)
{
	struct clew_buf list = {0}, one = {0}, kv = {0};
	const char *key;
	json_t *item;
	size_t n;

	json_object_keylen_foreach(v, key, n, item)
	{
		clew_buf_clear(&one);
		clew_buf_clear(&kv);
		proto_any(&one, item);
		proto_add_bytes(&kv, KEY_VALUE_KEY, slice_of(key, n));
		proto_add_bytes(&kv, KEY_VALUE_VALUE, clew_buf_slice(&one));
		proto_add_bytes(&list, LIST_VALUES, clew_buf_slice(&kv));
	}
	proto_add_bytes(b, VALUE_KVLIST, clew_buf_slice(&list));
	clew_buf_done(&list);
	clew_buf_done(&one);
	clew_buf_done(&kv);
}

static void proto_double(struct clew_buf *b, double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	proto_add_i64(b, VALUE_DOUBLE, bits);
}

static void proto_bytes_of(struct clew_buf *b, struct slice base64)
{
	struct clew_buf raw = {0};

	put_decoded(&raw, base64);
	proto_add_bytes(b, VALUE_BYTES, clew_buf_slice(&raw));
	clew_buf_done(&raw);
}

static void proto_string(struct clew_buf *b, const json_t *v)
{
	struct slice text;

	switch (kind_of(v, &text)) {
	case VALUE_BYTES:
		proto_bytes_of(b, text);
		break;
	case VALUE_DOUBLE:
		proto_double(b, special(text));
		break;
	default:
		proto_add_bytes(b, VALUE_STRING, text);
	}
}

static void proto_any(struct clew_buf *b, json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		proto_map(b, v);
		break;
	case JSON_ARRAY:
		proto_list(b, v);
		break;
	case JSON_STRING:
		proto_string(b, v);
		break;
	case JSON_INTEGER:
		proto_add_varint(b, VALUE_INT, (uint64_t)json_integer_value(v));
		break;
	case JSON_REAL:
		proto_double(b, json_real_value(v));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		proto_add_varint(b, VALUE_BOOL, json_is_true(v));
		break;
	case JSON_NULL:
		break;
	}
}

void otlp_value_proto(struct clew_buf *b, const struct clew_attr *a)
{
	json_t *v = a->form == CLEW_FORM_JSON ? read_text(a) : NULL;

	if (v)
		proto_any(b, v);
	else if (a->form == CLEW_FORM_BYTES)
		proto_bytes_of(b, a->str);
	else
		proto_add_bytes(b, VALUE_STRING, a->str);
	json_decref(v);
}
