/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of receivers. Three messages of two or three fields each: read field by field, without
 * memory. (google/rpc/status.proto, google/rpc/error_details.proto, trace_service.proto)
 */
#include <jansson.h>

#include "base/units.h"
#include "model/otlp_answer.h"

/* ---- protobuf ---- */

struct field {
	uint64_t number;
	uint64_t value;	    /* of a number */
	struct slice bytes; /* of what has a length */
};

static int take_varint(struct slice *in, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned int i = 0; i < 10 && i < in->n; i++) {
		uint8_t c = (uint8_t)in->p[i];

		v |= (uint64_t)(c & 0x7f) << (7 * i);
		if (c & 0x80)
			continue;
		*in = slice_of(in->p + i + 1, in->n - i - 1);
		*ret = v;
		return 0;
	}
	return -EBADMSG;
}

static int take_bytes(struct slice *in, uint64_t n, struct slice *ret)
{
	if (n > in->n)
		return -EBADMSG;
	*ret = slice_of(in->p, (size_t)n);
	*in = slice_of(in->p + n, in->n - (size_t)n);
	return 0;
}

/* 1: a field; 0: the end; -EBADMSG. */
static int next_field(struct slice *in, struct field *ret)
{
	uint64_t tag, n;
	int r;

	if (!in->n)
		return 0;
	*ret = (struct field){0};
	if (take_varint(in, &tag) < 0)
		return -EBADMSG;
	ret->number = tag >> 3;
	switch (tag & 7) {
	case 0:
		r = take_varint(in, &ret->value);
		break;
	case 1:
		r = take_bytes(in, 8, &ret->bytes);
		break;
	case 2:
		r = take_varint(in, &n) < 0 ? -EBADMSG : take_bytes(in, n, &ret->bytes);
		break;
	case 5:
		r = take_bytes(in, 4, &ret->bytes);
		break;
	default:
		r = -EBADMSG;
	}
	return r < 0 ? r : 1;
}

static void set_message(struct clew_otlp_answer *a, struct slice text)
{
	size_t n = text.n < sizeof(a->message) ? text.n : sizeof(a->message) - 1;

	if (n)
		memcpy(a->message, text.p, n);
	a->message[n] = '\0';
}

static int read_partial(struct slice in, struct clew_otlp_answer *a)
{
	struct field f;
	int r;

	while ((r = next_field(&in, &f)) > 0) {
		if (f.number == 1)
			a->rejected = (int64_t)f.value > 0 ? f.value : 0;
		else if (f.number == 2)
			set_message(a, f.bytes);
	}
	return r;
}

static void set_delay(struct clew_otlp_answer *a, double seconds)
{
	a->retry_info = true;
	a->retry_ns = seconds > 0 && seconds < 1e9 ? (uint64_t)(seconds * 1e9) : 0;
}

/* RetryInfo { Duration retry_delay = 1 { int64 seconds = 1; int32 nanos = 2 } } */
static int read_retry_info(struct slice in, struct clew_otlp_answer *a)
{
	double seconds = 0;
	struct field f, d;
	int r;

	while ((r = next_field(&in, &f)) > 0) {
		if (f.number != 1)
			continue;
		while ((r = next_field(&f.bytes, &d)) > 0)
			seconds += d.number == 1   ? (double)(int64_t)d.value
				   : d.number == 2 ? (double)(int64_t)d.value / 1e9
						   : 0;
		if (r < 0)
			return r;
	}
	set_delay(a, seconds);
	return r;
}

/* google.protobuf.Any { string type_url = 1; bytes value = 2 } */
static int read_detail(struct slice in, struct clew_otlp_answer *a)
{
	struct slice type = SLICE(""), value = SLICE("");
	struct field f;
	int r;

	while ((r = next_field(&in, &f)) > 0) {
		if (f.number == 1)
			type = f.bytes;
		else if (f.number == 2)
			value = f.bytes;
	}
	if (r < 0 || !slice_ends(type, SLICE("/google.rpc.RetryInfo")))
		return r;
	return read_retry_info(value, a);
}

/* ---- JSON ---- */

static void json_message(struct clew_otlp_answer *a, const json_t *v)
{
	if (json_is_string(v))
		set_message(a, slice_of(json_string_value(v), json_string_length(v)));
}

static uint64_t json_count(const json_t *v)
{
	uint64_t n = 0;

	if (json_is_integer(v))
		return json_integer_value(v) > 0 ? (uint64_t)json_integer_value(v) : 0;
	return json_is_string(v) && !clew_parse_u64(json_string_value(v), INT64_MAX, &n) ? n : 0;
}

static int read_response_json(struct slice text, struct clew_otlp_answer *a)
{
	json_t *o = json_loadb(text.p ? text.p : "", text.n, JSON_ALLOW_NUL, NULL);
	const json_t *partial = json_object_get(o, "partialSuccess");
	int r = json_is_object(o) ? 0 : -EBADMSG;

	a->rejected = json_count(json_object_get(partial, "rejectedSpans"));
	json_message(a, json_object_get(partial, "errorMessage"));
	json_decref(o);
	return r;
}

static int read_status_json(struct slice text, struct clew_otlp_answer *a)
{
	json_t *o = json_loadb(text.p ? text.p : "", text.n, JSON_ALLOW_NUL, NULL), *d;
	int r = json_is_object(o) ? 0 : -EBADMSG;
	size_t i;

	a->code = (int)json_integer_value(json_object_get(o, "code"));
	json_message(a, json_object_get(o, "message"));
	json_array_foreach(json_object_get(o, "details"), i, d)
	{
		const char *type = json_string_value(json_object_get(d, "@type"));
		const char *delay = json_string_value(json_object_get(d, "retryDelay"));

		if (slice_ends(slice_str(type), SLICE("/google.rpc.RetryInfo")))
			set_delay(a, delay ? strtod(delay, NULL) : 0); /* "1.5s" */
	}
	json_decref(o);
	return r;
}

/* ---- both ---- */

int clew_otlp_response_read(struct slice bytes, bool json, struct clew_otlp_answer *ret)
{
	struct clew_otlp_answer a = {0};
	struct field f;
	int r;

	if (json) {
		r = read_response_json(bytes, &a);
	} else {
		while ((r = next_field(&bytes, &f)) > 0)
			if (f.number == 1 && (r = read_partial(f.bytes, &a)) < 0)
				break;
	}
	if (r == 0)
		*ret = a;
	return r;
}

int clew_rpc_status_read(struct slice bytes, bool json, struct clew_otlp_answer *ret)
{
	struct clew_otlp_answer a = {0};
	struct field f;
	int r;

	if (json) {
		r = read_status_json(bytes, &a);
	} else {
		while ((r = next_field(&bytes, &f)) > 0) {
			if (f.number == 1)
				a.code = (int)f.value;
			else if (f.number == 2)
				set_message(&a, f.bytes);
			else if (f.number == 3 && (r = read_detail(f.bytes, &a)) < 0)
				break;
		}
	}
	if (r == 0)
		*ret = a;
	return r;
}
