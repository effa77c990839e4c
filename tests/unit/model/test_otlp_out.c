/* SPDX-License-Identifier: Apache-2.0 */
/* Spans as OTLP in protobuf: byte by byte, and read back; the answers of receivers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model/otlp_answer.h"
#include "model/otlp_in.h"
#include "model/otlp_out.h"

static struct clew_resource *resource(const char *service)
{
	struct clew_attr a = {
		.key = SLICE("service.name"), .type = CLEW_ATTR_STR, .str = slice_str(service)};

	return clew_resource_new(&a, 1, NULL);
}

static struct clew_span *span(const char *service, uint8_t id)
{
	struct clew_span *s = clew_span_new();

	memset(s->trace_id.b, 0xab, 16);
	memset(s->span_id.b, id, 8);
	s->resource = resource(service);
	s->name = SLICE("GET /");
	s->scope = SLICE("clew");
	s->start_ns = 1000000;
	s->duration_ns = 500;
	return s;
}

/* What protoc --encode makes of the same message, with the fields in the order of their numbers. */
static void bytes_are_those_of_the_format(void **state)
{
	static const char want[] =
		"\x0a\xd8\x01"						 /* resource_spans */
		"\x0a\x16\x0a\x14\x0a\x0cservice.name\x12\x04\x0a\x02sh" /* resource */
		"\x12\x94\x01"						 /* scope_spans */
		"\x0a\x06\x0a\x04"
		"clew"	   /* scope */
		"\x12\x61" /* spans */
		"\x0a\x10\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab"
		"\x12\x08\x01\x01\x01\x01\x01\x01\x01\x01"
		"\x2a\x05GET /"
		"\x30\x02"
		"\x39\x40\x42\x0f\x00\x00\x00\x00\x00"
		"\x41\x34\x44\x0f\x00\x00\x00\x00\x00"
		"\x4a\x07\x0a\x01i\x12\x02\x18\x00"
		"\x4a\x07\x0a\x01t\x12\x02\x10\x01"
		"\x4a\x12\x0a\x03neg\x12\x0b\x18\xfb\xff\xff\xff\xff\xff\xff\xff\xff\x01"
		"\x7a\x02\x18\x02"
		"\x1a\x27" CLEW_SCHEMA_URL "\x1a\x27" CLEW_SCHEMA_URL;
	struct clew_span *s = span("sh", 1);
	struct clew_otlp_out w = {0};
	struct clew_buf out = {0};

	s->kind = CLEW_KIND_SERVER;
	s->status = CLEW_STATUS_ERROR;
	clew_span_set_int(s, "i", 0);
	clew_span_set_bool(s, "t", true);
	clew_span_set_int(s, "neg", -5);
	assert_int_equal(clew_otlp_proto(&w, &out, &s, 1), 0);
	assert_int_equal(out.len, sizeof(want) - 1);
	assert_memory_equal(out.data, want, out.len);
	clew_otlp_out_done(&w);
	clew_buf_done(&out);
	clew_span_free(s);
}

static void an_empty_request_has_no_bytes(void **state)
{
	struct clew_otlp_out w = {0};
	struct clew_buf out = {0};

	assert_int_equal(clew_otlp_proto(&w, &out, NULL, 0), 0);
	assert_int_equal(out.len, 0);
	clew_otlp_out_done(&w);
}

static struct clew_span *find(struct clew_otlp_in *in, uint8_t id)
{
	for (size_t i = 0; i < in->n; i++)
		if (in->spans[i]->span_id.b[0] == id)
			return in->spans[i];
	return NULL;
}

static void assert_str(const struct clew_span *s, const char *key, const char *value)
{
	const struct clew_attr *a = clew_span_attr(s, slice_str(key));

	assert_non_null(a);
	assert_int_equal(a->type, CLEW_ATTR_STR);
	assert_true(slice_eq(a->str, slice_str(value)));
}

/* All of a span's fields; captured bytes that are no text. */
static void fill(struct clew_span *s)
{
	static struct clew_attr why = {
		.key = SLICE("why"), .type = CLEW_ATTR_STR, .str = SLICE("b\xffs")};
	static struct clew_span_event event = {.time_ns = 1000100,
					       .name = SLICE("exc\xc3"
							     "eption"),
					       .n_attrs = 1,
					       .attrs = &why};

	memset(s->parent_span_id.b, 9, 8);
	memset(s->wire_key.b, 0x7f, 16);
	s->trace_state = SLICE("ot=th:c");
	s->status = CLEW_STATUS_ERROR;
	s->status_message = SLICE("bro\xe2\x82ken");
	s->evidence = CLEW_EV_THREAD;
	s->link_class = CLEW_LINK_CERTAIN;
	s->confidence = 0.97f;
	s->tid = 77;
	s->times.cpu_ns = 5;
	s->events = &event;
	s->n_events = 1;
	s->dropped_attrs = 1;
	s->dropped_events = 2;
	s->dropped_links = 300;
	clew_span_add_link(s, &s->trace_id, &s->span_id, 0.5f);
	clew_span_set_str(s, "ok",
			  SLICE("\xf0\x9f\x98\x80 text that is long enough for two words"));
	clew_span_set_str(s, "bad", SLICE("twelve bytes\xed\xa0\x80 and \xc0"));
	clew_span_set_double(s, "d", 0.1);
	clew_span_set_bool(s, "f", false);
	clew_span_set_str(s, "empty", SLICE(""));
}

static void what_is_written_is_read(void **state)
{
	struct clew_span *spans[] = {span("a", 1), span("b", 2), span("a", 3), span("b", 4)};
	struct clew_otlp_out w = {0};
	struct clew_otlp_in in = {0};
	struct clew_buf out = {0};
	const struct clew_span *s;

	spans[3]->scope = SLICE("other");
	fill(spans[2]);
	assert_int_equal(clew_otlp_proto(&w, &out, spans, 4), 0);
	assert_int_equal(clew_otlp_read(clew_buf_slice(&out), &in), 0);
	assert_int_equal(in.n, 4);
	assert_true(slice_eq(find(&in, 1)->resource->service, SLICE("a")));
	assert_true(slice_eq(find(&in, 2)->resource->service, SLICE("b")));
	assert_true(slice_eq(find(&in, 4)->scope, SLICE("other")));
	s = find(&in, 3);
	assert_true(slice_eq(s->resource->service, SLICE("a")));
	assert_memory_equal(&s->parent_span_id, &spans[2]->parent_span_id, 8);
	assert_true(slice_eq(s->trace_state, SLICE("ot=th:c")));
	assert_true(slice_eq(s->status_message, SLICE("bro\xef\xbf\xbd\xef\xbf\xbdken")));
	assert_int_equal(s->status, CLEW_STATUS_ERROR);
	assert_int_equal(s->start_ns, 1000000);
	assert_int_equal(s->duration_ns, 500);
	assert_int_equal(s->dropped_attrs, 1);
	assert_int_equal(s->dropped_events, 2);
	assert_int_equal(s->dropped_links, 300);
	assert_str(s, "ok", "\xf0\x9f\x98\x80 text that is long enough for two words");
	assert_str(s, "bad", "twelve bytes\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd and \xef\xbf\xbd");
	assert_str(s, "empty", "");
	assert_str(s, "clew.link.class", "certain");
	assert_str(s, "clew.link.evidence", "thread");
	assert_str(s, "clew.wire_key", "7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f");
	assert_true(clew_span_attr(s, SLICE("clew.link.confidence"))->d == 0.97);
	assert_int_equal(clew_span_attr(s, SLICE("clew.time.cpu_ns"))->i, 5);
	assert_int_equal(clew_span_attr(s, SLICE("thread.id"))->i, 77);
	assert_true(clew_span_attr(s, SLICE("d"))->d == 0.1);
	assert_false(clew_span_attr(s, SLICE("f"))->b);
	assert_int_equal(s->n_attrs, spans[2]->n_attrs + 6);
	assert_int_equal(s->n_events, 1);
	assert_true(slice_eq(s->events[0].name, SLICE("exc\xef\xbf\xbd"
						      "eption")));
	assert_true(slice_eq(s->events[0].attrs[0].str, SLICE("b\xef\xbf\xbds")));
	assert_int_equal(s->n_links, 1);
	assert_true(s->links[0].attrs[0].d == 0.5);
	clew_otlp_in_done(&in);
	clew_otlp_out_done(&w);
	clew_buf_done(&out);
	for (int i = 0; i < 4; i++)
		clew_span_free(spans[i]);
}

static void a_limit_is_kept(void **state)
{
	struct clew_span *s = span("a", 1);
	struct clew_otlp_out w = {0};
	struct clew_buf out;

	clew_buf_init(&out, 100);
	assert_int_equal(clew_otlp_proto(&w, &out, &s, 1), -EFBIG);
	clew_otlp_out_done(&w);
	clew_buf_done(&out);
	clew_span_free(s);
}

static void a_span_has_several_owners(void **state)
{
	struct clew_span *s = span("a", 1);

	assert_ptr_equal(clew_span_ref(s), s);
	clew_span_free(s);
	assert_int_equal(s->span_id.b[0], 1);
	clew_span_free(s);
}

/* ---- answers ---- */

static void responses_are_read(void **state)
{
	for (int json = 0; json < 2; json++) {
		struct clew_otlp_answer a = {.code = 5};
		struct clew_buf b = {0};

		clew_otlp_response(&b, json, 12345, "not these");
		assert_int_equal(clew_otlp_response_read(clew_buf_slice(&b), json, &a), 0);
		assert_int_equal(a.rejected, 12345);
		assert_string_equal(a.message, "not these");
		clew_buf_clear(&b);
		clew_otlp_response(&b, json, 0, NULL);
		assert_int_equal(clew_otlp_response_read(clew_buf_slice(&b), json, &a), 0);
		assert_int_equal(a.rejected, 0);
		clew_buf_clear(&b);
		clew_rpc_status(&b, json, CLEW_RPC_UNAVAILABLE, "later");
		assert_int_equal(clew_rpc_status_read(clew_buf_slice(&b), json, &a), 0);
		assert_int_equal(a.code, CLEW_RPC_UNAVAILABLE);
		assert_string_equal(a.message, "later");
		assert_false(a.retry_info);
		clew_buf_done(&b);
	}
}

static void retry_info_is_read(void **state)
{
	static const struct slice proto =
		SLICE("\x08\x08\x12\x03"
		      "sad"
		      "\x1a\x06\x0a\x01x\x12\x01y"
		      "\x1a\x36\x0a\x28type.googleapis.com/google.rpc.RetryInfo"
		      "\x12\x0a\x0a\x08\x08\x02\x10\x80\xca\xb5\xee\x01");
	static const struct slice json =
		SLICE("{\"code\":8,\"message\":\"sad\",\"details\":[{\"@type\":\"x\"},{\"@type\":"
		      "\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"2.5s\"}]}");
	struct clew_otlp_answer a = {0};

	assert_int_equal(clew_rpc_status_read(proto, false, &a), 0);
	assert_int_equal(a.code, CLEW_RPC_RESOURCE_EXHAUSTED);
	assert_true(a.retry_info);
	assert_int_equal(a.retry_ns, 2500000000u);
	a = (struct clew_otlp_answer){0};
	assert_int_equal(clew_rpc_status_read(json, true, &a), 0);
	assert_true(a.retry_info);
	assert_int_equal(a.retry_ns, 2500000000u);
}

/* Every beginning of an answer, at the end of its memory (ASan watches), and what is none. */
static void no_answer_harms(void **state)
{
	static const char proto[] =
		"\x08\x08\x12\x03"
		"sad\x1a\x36\x0a\x28type.googleapis.com/"
		"google.rpc.RetryInfo\x12\x0a\x0a\x08\x08\x02\x10\x80\xca\xb5\xee\x01";
	struct clew_otlp_answer a = {.rejected = 7};

	for (size_t n = 0; n < sizeof(proto) - 1; n++) {
		char *copy = test_malloc(n ? n : 1);

		memcpy(copy, proto, n);
		(void)clew_rpc_status_read(slice_of(copy, n), false, &a);
		(void)clew_otlp_response_read(slice_of(copy, n), false, &a);
		test_free(copy);
	}
	a.rejected = 7;
	assert_int_equal(clew_otlp_response_read(SLICE("<html>"), true, &a), -EBADMSG);
	assert_int_equal(clew_otlp_response_read(SLICE("<html>"), false, &a), -EBADMSG);
	assert_int_equal(clew_otlp_response_read(
				 SLICE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), false, &a),
			 -EBADMSG);
	assert_int_equal(a.rejected, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_those_of_the_format),
		cmocka_unit_test(an_empty_request_has_no_bytes),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(a_limit_is_kept),
		cmocka_unit_test(a_span_has_several_owners),
		cmocka_unit_test(responses_are_read),
		cmocka_unit_test(retry_info_is_read),
		cmocka_unit_test(no_answer_harms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
