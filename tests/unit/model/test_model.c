/* SPDX-License-Identifier: Apache-2.0 */
/* Spans and resources in memory, and as OTLP/JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model/otlp_json.h"

static struct clew_resource *resource(const char *service)
{
	struct clew_attr a[] = {
		{.key = SLICE("service.name"), .type = CLEW_ATTR_STR, .str = slice_str(service)},
		{.key = SLICE("process.pid"), .type = CLEW_ATTR_INT, .i = 7},
	};

	return clew_resource_new(a, 2, NULL);
}

static void attributes_are_copied_replaced_and_bounded(void **state)
{
	char value[] = "one", key[CLEW_SPAN_MAX_ATTRS + 8][16];
	struct clew_span *s = clew_span_new();

	clew_span_set_str(s, "k", slice_str(value));
	value[0] = 'X';
	assert_true(slice_eq(clew_span_attr(s, SLICE("k"))->str, SLICE("one")));
	clew_span_set_int(s, "k", 5);
	assert_int_equal(s->n_attrs, 1);
	assert_int_equal(clew_span_attr(s, SLICE("k"))->i, 5);
	assert_null(clew_span_attr(s, SLICE("other")));
	for (size_t i = 0; i < CLEW_SPAN_MAX_ATTRS + 8; i++) {
		snprintf(key[i], sizeof(key[i]), "key%zu", i);
		clew_span_set_int(s, key[i], (int64_t)i);
	}
	assert_int_equal(s->n_attrs, CLEW_SPAN_MAX_ATTRS);
	assert_int_equal(s->dropped_attrs, 9);
	assert_int_equal(clew_span_attr(s, SLICE("key0"))->i, 0);
	clew_span_free(s);
}

static void a_value_without_bound_is_dropped_and_counted(void **state)
{
	struct clew_span *s = clew_span_new();
	char *big = test_calloc(1, 5u << 20);

	clew_span_set_str(s, "big", slice_of(big, 5u << 20));
	assert_int_equal(s->n_attrs, 0);
	assert_int_equal(s->dropped_attrs, 1);
	test_free(big);
	clew_span_free(s);
}

static void equal_resources_have_equal_ids(void **state)
{
	struct clew_resource *a = resource("shop"), *b = resource("shop"), *c = resource("cart");

	assert_true(a->id == b->id);
	assert_true(a->id != c->id);
	assert_true(slice_eq(a->service, SLICE("shop")));
	clew_resource_unref(a);
	clew_resource_unref(b);
	clew_resource_unref(c);
}

static void writes_otlp_json(void **state)
{
	struct clew_span *s = clew_span_new();
	struct clew_buf out = {0};

	memset(s->trace_id.b, 0xab, 16);
	memset(s->span_id.b, 0x01, 8);
	s->resource = resource("sh\"op");
	s->kind = CLEW_KIND_SERVER;
	s->name = SLICE("GET /\xff");
	s->scope = SLICE("clew");
	s->start_ns = 1000;
	s->duration_ns = 234;
	s->status = CLEW_STATUS_ERROR;
	clew_span_set_bool(s, "b", true);
	clew_span_set_double(s, "d", 0.5);
	clew_span_add_link(s, &s->trace_id, &s->span_id, 0.5f);
	assert_int_equal(clew_otlp_json(&out, &s, 1), 0);
	assert_string_equal(
		out.data,
		"{\"resourceSpans\":[{\"resource\":{\"attributes\":["
		"{\"key\":\"process.pid\",\"value\":{\"intValue\":\"7\"}},"
		"{\"key\":\"service.name\",\"value\":{\"stringValue\":\"sh\\\"op\"}}]},"
		"\"scopeSpans\":[{\"scope\":{\"name\":\"clew\"},\"spans\":[{"
		"\"traceId\":\"abababababababababababababababab\",\"spanId\":\"0101010101010101\","
		"\"name\":\"GET /\xef\xbf\xbd\",\"kind\":2,\"startTimeUnixNano\":\"1000\","
		"\"endTimeUnixNano\":\"1234\",\"attributes\":["
		"{\"key\":\"b\",\"value\":{\"boolValue\":true}},"
		"{\"key\":\"d\",\"value\":{\"doubleValue\":0.5}}],"
		"\"links\":[{\"traceId\":\"abababababababababababababababab\","
		"\"spanId\":\"0101010101010101\",\"attributes\":[{\"key\":\"clew.link.confidence\","
		"\"value\":{\"doubleValue\":0.5}}]}],"
		"\"status\":{\"code\":2}}],\"schemaUrl\":\"" CLEW_SCHEMA_URL "\"}],"
		"\"schemaUrl\":\"" CLEW_SCHEMA_URL "\"}]}");
	clew_buf_done(&out);
	clew_span_free(s);
}

static void shows_the_columns_as_attributes(void **state)
{
	struct clew_span *s = clew_span_new();

	s->evidence = CLEW_EV_THREAD | CLEW_EV_COMPLETION | CLEW_EV_CONFLICT;
	s->link_class = CLEW_LINK_ORPHAN;
	s->confidence = 0.25f;
	s->incomplete = CLEW_INC_LOSS;
	clew_span_show_fields(s);
	assert_true(slice_eq(clew_span_attr(s, SLICE("clew.link.evidence"))->str,
			     SLICE("thread, completion; against: conflict")));
	assert_true(slice_eq(clew_span_attr(s, SLICE("clew.link.class"))->str, SLICE("orphan")));
	assert_true(slice_eq(clew_span_attr(s, SLICE("clew.incomplete"))->str, SLICE("loss")));
	assert_null(clew_span_attr(s, SLICE("clew.time.cpu_ns")));
	clew_span_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attributes_are_copied_replaced_and_bounded),
		cmocka_unit_test(a_value_without_bound_is_dropped_and_counted),
		cmocka_unit_test(equal_resources_have_equal_ids),
		cmocka_unit_test(writes_otlp_json),
		cmocka_unit_test(shows_the_columns_as_attributes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
