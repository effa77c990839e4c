/* SPDX-License-Identifier: Apache-2.0 */
/* attributes, compare, download, status. */
#include "ask.h"

static int setup(void **state)
{
	dir = tmp_dir();
	st = open_store(dir, &(struct clew_store_opts){.hot_spans = 100, .batch_spans = 40});
	for (uint64_t n = 1; n <= 50; n++)
		put_shop(st, n, T0 + n * MS);
	/* As trace 1, but the back is 5 ms slower, is called twice, and somebody else is called too. */
	put(st, make_span(99, 1, 0, "front", "GET /", CLEW_KIND_SERVER, T0, 30 * MS));
	put(st, make_span(99, 2, 1, "front", "GET back", CLEW_KIND_CLIENT, T0 + MS, 12 * MS));
	put(st,
	    make_span(99, 3, 2, "back", "GET /item/{id}", CLEW_KIND_SERVER, T0 + 2 * MS, 5 * MS));
	put(st, make_span(99, 4, 1, "front", "GET back", CLEW_KIND_CLIENT, T0 + 14 * MS, 8 * MS));
	put(st,
	    make_span(99, 5, 4, "back", "GET /item/{id}", CLEW_KIND_SERVER, T0 + 15 * MS, 6 * MS));
	put(st, make_span(99, 6, 1, "front", "GET ads", CLEW_KIND_CLIENT, T0 + 24 * MS, 2 * MS));
	return clew_store_flush(st);
}

static json_t *find(json_t *answer, const char *list, const char *key, const char *value)
{
	json_t *v;
	size_t i;

	json_array_foreach(json_object_get(answer, list), i,
			   v) if (!strcmp(str(v, key), value)) return v;
	fail_msg("no %s %s in %s", key, value, out.data);
	return NULL;
}

static void test_attributes(void **state)
{
	json_t *a = get_one(API "attributes"), *k;

	k = find(a, "keys", "key", "item");
	assert_string_equal(str(k, "type"), "int");
	assert_int_equal(num(k, "spans"), 50);
	assert_int_equal(num(find(a, "keys", "key", "host.name"), "spans"), 156);
	json_decref(a);
	a = get_one(API "attributes?service=back&prefix=http.");
	assert_int_equal(json_array_size(json_object_get(a, "keys")), 0);
	json_decref(a);
	a = get_one(API "attributes?service=front&prefix=http.");
	assert_int_equal(json_array_size(json_object_get(a, "keys")), 2);
	json_decref(a);
	a = get_one(API "attributes?service=nobody");
	assert_int_equal(json_array_size(json_object_get(a, "keys")), 0);
	json_decref(a);
}

static void test_values(void **state)
{
	json_t *v = get_one(API "attributes/http.response.status_code/values");

	assert_int_equal(json_array_size(json_object_get(v, "values")), 1);
	assert_string_equal(str(at(v, "values", 0), "value"), "200");
	assert_int_equal(num(at(v, "values", 0), "spans"), 50);
	assert_true(json_is_false(json_object_get(v, "truncated")));
	json_decref(v);
	v = get_one(API "attributes/item/values?limit=10&prefix=1");
	assert_int_equal(json_array_size(json_object_get(v, "values")), 10);
	assert_true(json_is_true(json_object_get(v, "truncated")));
	json_decref(v);
	v = get_one(API "attributes/host%2Ename/values?service=back");
	assert_string_equal(str(at(v, "values", 0), "value"), "box");
	assert_int_equal(num(at(v, "values", 0), "spans"), 52);
	json_decref(v);
	v = get_one(API "attributes/nothing/values");
	assert_int_equal(json_array_size(json_object_get(v, "values")), 0);
	json_decref(v);
	assert_int_equal(ask("GET", API "attributes/item", ""), -ENOENT);
}

static void test_compare(void **state)
{
	struct clew_id128 a = trace_id(1), b = trace_id(99);
	char ha[33], hb[33], target[200];
	json_t *c, *r;

	clew_hex(a.b, 16, ha);
	clew_hex(b.b, 16, hb);
	snprintf(target, sizeof(target), API "compare?a=%s&b=%.12s", ha, hb);
	c = get_one(target);
	assert_string_equal(str(json_object_get(c, "b"), "trace_id"), hb);
	assert_int_equal(num(json_object_get(c, "b"), "duration_ns"), 30 * MS);
	assert_int_equal(json_array_size(json_object_get(c, "rows")), 4);
	r = at(c, "rows", 1);
	assert_string_equal(str(r, "name"), "GET back");
	assert_int_equal(num(r, "depth"), 1);
	assert_int_equal(num(json_object_get(r, "a"), "calls"), 1);
	assert_int_equal(num(json_object_get(r, "b"), "calls"), 2);
	assert_int_equal(num(json_object_get(r, "b"), "self_ns"), 9 * MS);
	assert_int_equal(num(r, "delta_ns"), 12 * MS);
	r = at(c, "rows", 3);
	assert_string_equal(str(r, "name"), "GET ads");
	assert_true(json_is_null(json_object_get(r, "a")));
	json_decref(c);
	/* Those of 20 ms and more beside the others. */
	c = get_one(API "compare?from_ns=20000000");
	assert_int_equal(num(json_object_get(c, "a"), "traces"), 50);
	assert_int_equal(num(json_object_get(c, "b"), "traces"), 1);
	assert_int_equal(num(json_object_get(at(c, "rows", 1), "a"), "calls"), 1);
	assert_int_equal(num(json_object_get(at(c, "rows", 1), "b"), "calls"), 2);
	json_decref(c);
	assert_int_equal(ask("GET", API "compare?a=last", ""), -EINVAL);
	assert_int_equal(ask("GET", API "compare", ""), -EINVAL);
	snprintf(target, sizeof(target), API "compare?a=%s&b=ffffffffffffffffffffffffffffffff", ha);
	assert_int_equal(ask("GET", target, ""), -ENOENT);
}

static void test_download(void **state)
{
	json_t *l = get(API "download?service=back"), *spans;

	assert_int_equal(json_array_size(l), 52);
	assert_string_equal(str(json_array_get(l, 0), "service"), "back");
	json_decref(l);
	l = get(API "download?format=otlp&service=back&limit=7");
	assert_int_equal(json_array_size(l), 1);
	spans = json_object_get(
		json_array_get(json_object_get(json_array_get(json_object_get(json_array_get(l, 0),
									      "resourceSpans"),
							      0),
					       "scopeSpans"),
			       0),
		"spans");
	assert_int_equal(json_array_size(spans), 7);
	json_decref(l);
	assert_int_equal(ask("GET", API "download?format=parquet&service=back", ""), 0);
	assert_true(out.len > 100);
	assert_memory_equal(out.data, "PAR1", 4);
	assert_memory_equal(out.data + out.len - 4, "PAR1", 4);
	assert_int_equal(ask("GET", API "download?format=parquet&service=nobody", ""), 0);
	assert_memory_equal(out.data, "PAR1", 4);
	assert_string_equal(clew_query_content_type(SLICE(API "download?format=parquet&limit=1")),
			    "application/vnd.apache.parquet");
	assert_string_equal(clew_query_content_type(SLICE(API "download")), "application/x-ndjson");
	assert_int_equal(ask("GET", API "download?format=csv", ""), -EINVAL);
	assert_int_equal(ask("GET", API "download?limit=1000001", ""), -EINVAL);
}

static void test_status(void **state)
{
	json_t *s = get_one(API "status"), *store = json_object_get(s, "store");

	assert_true(json_is_string(json_object_get(s, "version")));
	assert_int_equal(num(store, "spans"), 156);
	assert_int_equal(num(store, "partitions"), 1);
	assert_int_equal(num(store, "first_ns"), T0);
	assert_true(json_is_true(json_object_get(store, "writable")));
	assert_true(num(store, "bytes") > 0);
	assert_int_equal(num(json_object_get(s, "writer"), "stored"), 156);
	assert_int_equal(num(json_object_get(s, "retention"), "spans"), 0);
	json_decref(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attributes), cmocka_unit_test(test_values),
		cmocka_unit_test(test_compare),	   cmocka_unit_test(test_download),
		cmocka_unit_test(test_status),
	};

	return cmocka_run_group_tests(tests, setup, ask_teardown);
}
