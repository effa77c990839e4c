/* SPDX-License-Identifier: Apache-2.0 */
/* OTLP requests into spans: limits, what is rejected, what is broken. Bytes made by hand. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model/otlp_answer.h"
#include "model/otlp_in.h"
#include "model/otlp_json.h"
#include "model/otlp_out.h"

#define NOW 1767323400000000000ull

/* ---- a writer of protobuf ---- */

static void varint(struct clew_buf *b, uint64_t v)
{
	for (; v > 0x7f; v >>= 7)
		clew_buf_addc(b, (char)(v | 0x80));
	clew_buf_addc(b, (char)v);
}

static void bytes(struct clew_buf *b, unsigned field, const void *p, size_t n)
{
	varint(b, field << 3 | 2);
	varint(b, n);
	clew_buf_add(b, p, n);
}

static void text(struct clew_buf *b, unsigned field, const char *s)
{
	bytes(b, field, s, strlen(s));
}

static void number(struct clew_buf *b, unsigned field, uint64_t v)
{
	varint(b, field << 3);
	varint(b, v);
}

static void fixed(struct clew_buf *b, unsigned field, uint64_t v)
{
	varint(b, field << 3 | 1);
	clew_buf_add(b, &v, 8);
}

/* What was written becomes a field of another; emptied for the next. */
static void nest(struct clew_buf *b, unsigned field, struct clew_buf *inner)
{
	bytes(b, field, inner->data ? inner->data : "", inner->len);
	clew_buf_done(inner);
}

static void attr(struct clew_buf *b, unsigned field, const char *key, const char *value)
{
	struct clew_buf kv = {0}, v = {0};

	text(&v, 1, value);
	text(&kv, 1, key);
	nest(&kv, 2, &v);
	nest(b, field, &kv);
}

static void span_head(struct clew_buf *b, uint64_t n)
{
	uint64_t id[2] = {n, n + 1};

	bytes(b, 1, id, 16);
	bytes(b, 2, &n, 8);
	text(b, 5, "GET /");
	number(b, 6, CLEW_KIND_SERVER);
	fixed(b, 7, NOW);
	fixed(b, 8, NOW + 5);
}

/* A request around the spans. */
static struct clew_buf request(struct clew_buf *spans)
{
	struct clew_buf out = {0}, rs = {0}, ss = {0}, resource = {0}, scope = {0};

	attr(&resource, 1, "service.name", "shop");
	nest(&rs, 1, &resource);
	text(&scope, 1, "lib");
	nest(&ss, 1, &scope);
	clew_buf_add(&ss, spans->data, spans->len);
	clew_buf_done(spans);
	nest(&rs, 2, &ss);
	nest(&out, 1, &rs);
	assert_int_equal(out.err, 0);
	return out;
}

static struct clew_buf one(struct clew_buf *span)
{
	struct clew_buf spans = {0};

	nest(&spans, 2, span);
	return request(&spans);
}

/* ---- tests ---- */

static void test_one(void **state)
{
	struct clew_buf span = {0}, b;
	struct clew_otlp_in in = {0};

	span_head(&span, 7);
	attr(&span, 9, "a", "1");
	attr(&span, 9, "b", "2");
	attr(&span, 9, "a", "3"); /* the last one of a name stays */
	b = one(&span);
	assert_int_equal(clew_otlp_read(clew_buf_slice(&b), &in), 0);
	assert_int_equal(in.n, 1);
	assert_true(slice_eq(in.spans[0]->resource->service, SLICE("shop")));
	assert_true(slice_eq(in.spans[0]->scope, SLICE("lib")));
	assert_int_equal(in.spans[0]->duration_ns, 5);
	assert_int_equal(in.spans[0]->n_attrs, 2);
	assert_true(slice_eq(clew_span_attr(in.spans[0], SLICE("a"))->str, SLICE("3")));
	assert_int_equal(in.spans[0]->kind, CLEW_KIND_SERVER);
	assert_true(in.spans[0]->is_root);
	clew_otlp_in_done(&in);
	clew_buf_done(&b);
}

/* Every beginning of a request is refused, or is a whole request with less in it; nothing leaks. */
static void test_cut_anywhere(void **state)
{
	struct clew_buf span = {0}, b;
	size_t whole = 0;

	span_head(&span, 7);
	for (int i = 0; i < 20; i++)
		attr(&span, 9, "key", "value");
	b = one(&span);
	for (size_t n = 0; n <= b.len; n++) {
		/* A copy of its own: a read past its end is seen. */
		char *copy = malloc(n ? n : 1);
		struct clew_otlp_in in = {0};
		int r;

		assert_non_null(copy);
		memcpy(copy, b.data, n);
		r = clew_otlp_read(slice_of(copy, n), &in);
		assert_true(r == 0 || (r == -EBADMSG && in.error[0] && !in.n));
		whole += r == 0;
		clew_otlp_in_done(&in);
		free(copy);
	}
	assert_int_equal(whole, 2); /* the empty one and the whole one */
	clew_buf_done(&b);
}

static void test_limits(void **state)
{
	struct clew_buf span = {0}, b;
	struct clew_otlp_in in = {0};
	char name[2000], key[32];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	/* A character that lies across the limit goes as a whole. */
	memcpy(name + CLEW_OTLP_MAX_NAME - 1, "\xc3\xa4", 2);
	span_head(&span, 7);
	text(&span, 5, name);
	number(&span, 6, 77);
	fixed(&span, 8, NOW - 1);
	number(&span, 10, 4);
	for (int i = 0; i < CLEW_SPAN_MAX_ATTRS + 5; i++) {
		snprintf(key, sizeof(key), "key.%d", i);
		attr(&span, 9, key, "v");
	}
	b = one(&span);
	assert_int_equal(clew_otlp_read(clew_buf_slice(&b), &in), 0);
	assert_int_equal(in.spans[0]->name.n, CLEW_OTLP_MAX_NAME - 1);
	assert_int_equal(in.cut_names, 1);
	assert_int_equal(in.reversed, 1);
	assert_int_equal(in.spans[0]->duration_ns, 0);
	assert_int_equal(in.spans[0]->kind, CLEW_KIND_UNSPECIFIED);
	assert_int_equal(in.spans[0]->n_attrs, CLEW_SPAN_MAX_ATTRS);
	assert_int_equal(in.spans[0]->dropped_attrs, 4 + 5);
	clew_otlp_in_done(&in);
	clew_buf_done(&b);
}

static void test_rejected(void **state)
{
	struct clew_otlp_in in = {.oldest_ns = NOW - 10, .newest_ns = NOW + 10, .max_spans = 2};
	struct clew_buf spans = {0}, span = {0}, b;

	span_head(&span, 1);
	nest(&spans, 2, &span);
	span_head(&span, 2);
	bytes(&span, 2, "short", 5);
	nest(&spans, 2, &span);
	span_head(&span, 3);
	fixed(&span, 7, NOW + 11);
	nest(&spans, 2, &span);
	span_head(&span, 4);
	bytes(&span, 1, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	nest(&spans, 2, &span);
	span_head(&span, 5);
	nest(&spans, 2, &span);
	b = request(&spans);
	assert_int_equal(clew_otlp_read(clew_buf_slice(&b), &in), 0);
	assert_int_equal(in.n, 2);
	assert_int_equal(in.rejected_ids, 2);
	assert_int_equal(in.rejected_times, 1);
	assert_non_null(strstr(in.error, "valid ids")); /* of the first one */
	clew_otlp_in_done(&in);
	in = (struct clew_otlp_in){.max_spans = 1};
	assert_int_equal(clew_otlp_read(clew_buf_slice(&b), &in), -E2BIG);
	assert_int_equal(in.n, 0);
	assert_non_null(strstr(in.error, "more than 1 spans"));
	clew_buf_done(&b);
}

/* A resource of any size does not make one of ours so large; what is left out is counted. */
static void test_large_resource(void **state)
{
	struct clew_buf out = {0}, rs = {0}, ss = {0}, resource = {0}, span = {0};
	char *large = malloc(50000);
	struct clew_otlp_in in = {0};

	memset(large, 'y', 49999);
	large[49999] = '\0';
	attr(&resource, 1, "one", large);
	attr(&resource, 1, "two", large);
	attr(&resource, 1, "three", "x");
	nest(&rs, 1, &resource);
	span_head(&span, 1);
	nest(&ss, 2, &span);
	nest(&rs, 2, &ss);
	nest(&out, 1, &rs);
	assert_int_equal(clew_otlp_read(clew_buf_slice(&out), &in), 0);
	assert_int_equal(in.dropped_resource, 2);
	assert_int_equal(in.spans[0]->resource->n_attrs, 2);
	assert_true(slice_eq(in.spans[0]->resource->service, SLICE("unknown_service")));
	clew_otlp_in_done(&in);
	clew_buf_done(&out);
	free(large);
}

static void test_sampling_threshold(void **state)
{
	static const struct {
		const char *state;
		uint64_t th;
	} cases[] = {
		{"ot=th:8", 0x80000000000000},
		{"ot=th:0", 0},
		{"a=b,ot=rv:1;th:c", 0xc0000000000000},
		{"ot=th:fffffffffffffff", 0xffffffffffffff},
		{"ot=x,a=th:8", 0},
		{"th:8", 0},
		{"ot=th:", 0},
		{"ot=th:g", 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct clew_buf span = {0}, b;
		struct clew_otlp_in in = {0};

		span_head(&span, 1);
		text(&span, 3, cases[i].state);
		b = one(&span);
		assert_int_equal(clew_otlp_read(clew_buf_slice(&b), &in), 0);
		assert_int_equal(in.spans[0]->sampling_threshold, cases[i].th);
		clew_otlp_in_done(&in);
		clew_buf_done(&b);
	}
}

/* The same span from protobuf, and from the JSON that we make of it. */
static void test_json_is_the_same(void **state)
{
	struct clew_buf span = {0}, b, json = {0}, again = {0};
	struct clew_otlp_in in = {0}, from_json = {0};

	span_head(&span, 9);
	attr(&span, 9, "quote\"d", "\xe2\x82\xac \\ \n");
	b = one(&span);
	assert_int_equal(clew_otlp_read(clew_buf_slice(&b), &in), 0);
	assert_int_equal(clew_otlp_json(&json, in.spans, in.n), 0);
	assert_int_equal(clew_otlp_read_json(clew_buf_slice(&json), &from_json), 0);
	assert_int_equal(from_json.n, 1);
	assert_int_equal(clew_otlp_json(&again, from_json.spans, 1), 0);
	assert_string_equal(json.data, again.data);
	clew_otlp_in_done(&in);
	clew_otlp_in_done(&from_json);
	clew_buf_done(&b);
	clew_buf_done(&json);
	clew_buf_done(&again);
}

/* Lists, maps and bytes are text in between; what comes out is what came in, whatever is in them. */
static void test_lists_and_maps(void **state)
{
	static const char values[] =
		"{\"arrayValue\":{\"values\":[{\"doubleValue\":1},{\"intValue\":\"1\"},{},"
		"{\"doubleValue\":\"NaN\"},{\"doubleValue\":\"-Infinity\"},"
		"{\"doubleValue\":4.94065645841247e-324},{\"intValue\":\"-9223372036854775808\"},"
		"{\"stringValue\":\"1\"},{\"stringValue\":\"\\u0000bytes:AAEC\"},"
		"{\"bytesValue\":\"AP8Q\"},{\"bytesValue\":\"\"},{\"boolValue\":false},"
		"{\"arrayValue\":{\"values\":[]}},{\"kvlistValue\":{\"values\":["
		"{\"key\":\"z\",\"value\":{\"kvlistValue\":{\"values\":[]}}},"
		"{\"key\":\"a\",\"value\":{\"stringValue\":\"\"}}]}}]}}";
	struct clew_buf in_text = {0}, first = {0}, again = {0}, packed = {0};
	struct clew_otlp_in in = {0}, from_json = {0}, from_proto = {0};

	clew_buf_addf(&in_text,
		      "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{"
		      "\"traceId\":\"0102030405060708090a0b0c0d0e0f10\",\"spanId\":"
		      "\"0102030405060708\",\"startTimeUnixNano\":\"%llu\",\"attributes\":["
		      "{\"key\":\"b\",\"value\":{\"bytesValue\":\"AP8Q\"}},{\"key\":\"l\","
		      "\"value\":%s}]}]}]}]}",
		      NOW, values);
	assert_int_equal(clew_otlp_read_json(clew_buf_slice(&in_text), &in), 0);
	assert_int_equal(clew_otlp_json(&first, in.spans, in.n), 0);
	assert_non_null(strstr(first.data, values));
	assert_non_null(strstr(first.data, "{\"key\":\"b\",\"value\":{\"bytesValue\":\"AP8Q\"}}"));
	assert_int_equal(clew_otlp_pack(&packed, in.spans, in.n), 0);
	assert_int_equal(clew_otlp_read(clew_buf_slice(&packed), &from_proto), 0);
	assert_int_equal(clew_otlp_json(&again, from_proto.spans, from_proto.n), 0);
	assert_string_equal(again.data, first.data);
	assert_int_equal(clew_otlp_read_json(clew_buf_slice(&first), &from_json), 0);
	clew_buf_clear(&again);
	assert_int_equal(clew_otlp_json(&again, from_json.spans, from_json.n), 0);
	assert_string_equal(again.data, first.data);
	clew_otlp_in_done(&in);
	clew_otlp_in_done(&from_json);
	clew_otlp_in_done(&from_proto);
	clew_buf_done(&in_text);
	clew_buf_done(&first);
	clew_buf_done(&again);
	clew_buf_done(&packed);
}

/* jansson is bounded while we read, and only then. */
static void test_json_memory(void **state)
{
	struct clew_otlp_in in = {0};
	struct clew_buf b = {0};

	clew_buf_adds(&b, "{\"resourceSpans\":[");
	for (int i = 0; i < 200000; i++)
		clew_buf_adds(&b, "{},");
	clew_buf_adds(&b, "{}]}");
	assert_int_equal(clew_otlp_read_json(clew_buf_slice(&b), &in), -E2BIG);
	assert_non_null(strstr(in.error, "memory"));
	clew_buf_done(&b);
	assert_int_equal(clew_otlp_read_json(SLICE("{\"resourceSpans\":[]}"), &in), 0);
	assert_int_equal(in.n, 0);
	clew_otlp_in_done(&in);
}

static void test_answers(void **state)
{
	struct clew_buf b = {0};

	assert_int_equal(clew_otlp_response(&b, false, 0, ""), 0);
	assert_int_equal(b.len, 0);
	assert_int_equal(clew_otlp_response(&b, false, 3, "why"), 0);
	assert_memory_equal(b.data, "\x0a\x07\x08\x03\x12\x03why", 9);
	clew_buf_clear(&b);
	clew_otlp_response(&b, true, 0, "");
	clew_otlp_response(&b, true, 3, "a \"b\"");
	assert_string_equal(b.data,
			    "{}{\"partialSuccess\":{\"rejectedSpans\":\"3\",\"errorMessage\":"
			    "\"a \\\"b\\\"\"}}");
	clew_buf_clear(&b);
	clew_rpc_status(&b, false, CLEW_RPC_INVALID_ARGUMENT, "no");
	assert_memory_equal(b.data, "\x08\x03\x12\x02no", 6);
	clew_buf_clear(&b);
	clew_rpc_status(&b, true, CLEW_RPC_INVALID_ARGUMENT, "no");
	assert_string_equal(b.data, "{\"code\":3,\"message\":\"no\"}");
	clew_buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_rejected),
		cmocka_unit_test(test_large_resource),
		cmocka_unit_test(test_sampling_threshold),
		cmocka_unit_test(test_json_is_the_same),
		cmocka_unit_test(test_lists_and_maps),
		cmocka_unit_test(test_json_memory),
		cmocka_unit_test(test_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
