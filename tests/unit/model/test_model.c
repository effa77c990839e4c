/* SPDX-License-Identifier: Apache-2.0 */
/* Spans and resources in memory, and as OTLP/JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model/otlp_in.h"
#include "model/otlp_json.h"
#include "model/otlp_out.h"

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

static struct clew_span *full_span(struct clew_resource *r)
{
	struct clew_span *s = clew_span_new();
	static struct clew_span_event event = {.time_ns = 12, .name = {"began", 5}};
	struct clew_id128 other = {{9}};
	struct clew_id64 other_span = {{8}};

	s->resource = clew_resource_ref(r);
	memset(s->trace_id.b, 0xab, 16);
	memset(s->span_id.b, 0xcd, 8);
	memset(s->parent_span_id.b, 0xef, 8);
	s->name = SLICE("GET /");
	s->scope = SLICE("lib");
	s->trace_state = SLICE("a=b");
	s->status_message = SLICE("broke");
	s->status = CLEW_STATUS_ERROR;
	s->kind = CLEW_KIND_CLIENT;
	s->start_ns = UINT64_C(1700000000000000001);
	s->duration_ns = 300;
	s->dropped_attrs = 3;
	clew_span_set_str(s, "text", SLICE("v\xc3\xbc"));
	clew_span_set_int(s, "int", -5);
	clew_span_set_double(s, "double", 0.25);
	clew_span_set_bool(s, "bool", true);
	clew_span_add_link(s, &other, &other_span, 0.5f);
	s->events = &event;
	s->n_events = 1;
	return s;
}

/* What is packed is read again as what it was. */
static void packs_otlp(void **state)
{
	struct clew_resource *r = resource("shop"), *r2 = resource("pay");
	struct clew_span *s[3] = {full_span(r), full_span(r2), full_span(r)}, *got;
	struct clew_otlp_in in = {0};
	struct clew_buf out = {0};

	s[1]->scope = s[1]->status_message = s[1]->trace_state = SLICE("");
	memset(&s[1]->parent_span_id, 0, 8);
	s[1]->n_attrs = s[1]->n_events = s[1]->n_links = 0;
	assert_int_equal(clew_otlp_pack(&out, s, 3), 0);
	assert_int_equal(clew_otlp_read(clew_buf_slice(&out), &in), 0);
	assert_int_equal(in.n, 3); /* both of the first resource, then the other */
	got = in.spans[1];
	assert_memory_equal(&got->trace_id, &s[2]->trace_id, 16);
	assert_memory_equal(&got->span_id, &s[2]->span_id, 8);
	assert_memory_equal(&got->parent_span_id, &s[2]->parent_span_id, 8);
	assert_true(slice_eq(got->resource->service, SLICE("shop")));
	assert_true(slice_eq(got->name, s[2]->name) && slice_eq(got->scope, s[2]->scope));
	assert_true(slice_eq(got->status_message, SLICE("broke")));
	assert_true(slice_eq(got->trace_state, SLICE("a=b")));
	assert_int_equal(got->status, CLEW_STATUS_ERROR);
	assert_int_equal(got->kind, CLEW_KIND_CLIENT);
	assert_int_equal(got->start_ns, s[2]->start_ns);
	assert_int_equal(got->duration_ns, 300);
	assert_int_equal(got->dropped_attrs, 3);
	assert_int_equal(got->n_attrs, 4);
	assert_true(slice_eq(clew_span_attr(got, SLICE("text"))->str, SLICE("v\xc3\xbc")));
	assert_int_equal(clew_span_attr(got, SLICE("int"))->i, -5);
	assert_true(clew_span_attr(got, SLICE("double"))->d == 0.25);
	assert_true(clew_span_attr(got, SLICE("bool"))->b);
	assert_int_equal(got->n_events, 1);
	assert_int_equal(got->events[0].time_ns, 12);
	assert_int_equal(got->n_links, 1);
	assert_memory_equal(&got->links[0].trace_id, &s[2]->links[0].trace_id, 16);
	assert_true(slice_eq(got->links[0].attrs[0].key, SLICE("clew.link.confidence")));
	got = in.spans[2];
	assert_true(slice_eq(got->resource->service, SLICE("pay")));
	assert_int_equal(got->n_attrs + got->n_events + got->n_links, 0);
	assert_true(clew_id64_none(&got->parent_span_id));
	clew_otlp_in_done(&in);
	/* Nothing is an empty message. */
	clew_buf_clear(&out);
	assert_int_equal(clew_otlp_pack(&out, s, 0), 0);
	assert_int_equal(out.len, 0);
	clew_buf_done(&out);
	for (int i = 0; i < 3; i++)
		clew_span_free(s[i]);
	clew_resource_unref(r);
	clew_resource_unref(r2);
}

static void writes_json_as_protobuf_does(void **state)
{
	struct clew_resource *r = resource("shop");
	struct clew_span *s = full_span(r);
	struct clew_buf out = {0};

	assert_int_equal(clew_otlp_json_list(&out, &s, 1, CLEW_OTLP_JSON_PROTO), 0);
	assert_non_null(strstr(out.data, "\"traceId\":\"q6urq6urq6urq6urq6urqw==\""));
	assert_non_null(strstr(out.data, "\"parentSpanId\":\"7+/v7+/v7+8=\""));
	assert_non_null(strstr(out.data, "\"kind\":\"SPAN_KIND_CLIENT\""));
	assert_non_null(strstr(out.data, "\"code\":\"STATUS_CODE_ERROR\""));
	clew_buf_done(&out);
	clew_span_free(s);
	clew_resource_unref(r);
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
		cmocka_unit_test(packs_otlp),
		cmocka_unit_test(writes_json_as_protobuf_does),
		cmocka_unit_test(shows_the_columns_as_attributes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
