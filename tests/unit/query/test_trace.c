/* SPDX-License-Identifier: Apache-2.0 */
/* trace/ID/tree, .../critical, .../span: traces made by hand, answers known. */
#include "ask.h"

#include "store/forest.h"

/*
 * ms       0         10        20        30        40
 * 1 front  |=======================================|   server, 40 ms
 * 2 front    |============|                             client, 2 to 15
 * 3 cart       |======|                                 its server: 5 to 12
 * 4 front         |==|                                  client, 8 to 11: beside 2, ends before it
 * 5 front                    |=================|        client, 20 to 38
 * 6 stock  |=========|                                  its server, clock 18 ms behind: 2 to 12
 */
static void put_known(void)
{
	struct clew_span *s;

	s = make_span(1, 1, 0, "front", "GET /", CLEW_KIND_SERVER, T0, 40 * MS);
	s->is_root = true;
	s->times.cpu_ns = 5 * MS; /* most of the 11 ms in which it waited for no call */
	put(st, s);
	put(st, make_span(1, 2, 1, "front", "GET cart", CLEW_KIND_CLIENT, T0 + 2 * MS, 13 * MS));
	s = make_span(1, 3, 2, "cart", "GET /cart", CLEW_KIND_SERVER, T0 + 5 * MS, 7 * MS);
	s->times.runq_ns = 0; /* it did not queue for a processor; how long it ran is not known */
	put(st, s);
	put(st, make_span(1, 4, 1, "front", "GET ads", CLEW_KIND_CLIENT, T0 + 8 * MS, 3 * MS));
	put(st, make_span(1, 5, 1, "front", "GET stock", CLEW_KIND_CLIENT, T0 + 20 * MS, 18 * MS));
	s = make_span(1, 6, 5, "stock", "GET /stock", CLEW_KIND_SERVER, T0 + 2 * MS, 10 * MS);
	s->times.cpu_ns = 1 * MS; /* it slept the other 9 ms, and called nobody */
	put(st, s);
}

/* An orphan with two candidates, one of them in the trace above, one that is not in the store. */
static void put_orphan(void)
{
	struct clew_span *s = make_span(2, 1, 0, "front", "GET late", CLEW_KIND_CLIENT, T0, MS);
	struct clew_id128 known = trace_id(1), gone = trace_id(77);
	struct clew_id64 span = clew_id64_from(1);

	s->link_class = CLEW_LINK_ORPHAN;
	s->evidence = CLEW_EV_THREAD | CLEW_EV_CONFLICT;
	s->confidence = 0.4f;
	s->incomplete = CLEW_INC_CUT;
	clew_span_add_link(s, &known, &span, 0.5f);
	clew_span_add_link(s, &gone, &span, 0.25f);
	put(st, s);
}

/* A root with 20 children, longer and longer; the shortest has a short one under it that failed. */
static void put_failed(void)
{
	struct clew_span *s = make_span(9, 50, 2, "cart", "read", CLEW_KIND_INTERNAL, T0, 1000);

	s->status = CLEW_STATUS_ERROR;
	put(st, s);
	put(st, make_span(9, 1, 0, "front", "batch", CLEW_KIND_INTERNAL, T0, 500 * MS));
	for (uint64_t i = 0; i < 20; i++)
		put(st,
		    make_span(9, 2 + i, 1, "front", "step", CLEW_KIND_INTERNAL, T0, (1 + i) * MS));
}

/* 3,001 spans: a root, 1,000 children of 3 ms, 2, 1 ..., each with two under it. */
static void put_wide(void)
{
	put(st, make_span(3, 1, 0, "front", "batch", CLEW_KIND_INTERNAL, T0, 5000 * MS));
	for (uint64_t i = 0; i < 1000; i++) {
		uint64_t id = 10 + i * 3, start = T0 + i * 4 * MS;

		put(st, make_span(3, id, 1, "front", "step", CLEW_KIND_INTERNAL, start,
				  3 * MS - i * 1000));
		put(st, make_span(3, id + 1, id, "front", "read", CLEW_KIND_INTERNAL, start, 1000));
		put(st, make_span(3, id + 2, id, "front", "write", CLEW_KIND_INTERNAL, start + 2000,
				  1000));
	}
}

/* A call of 80 ms whose server's clock is 3 s behind, and one that gave up before its server had answered. */
static void put_skewed(void)
{
	put(st, make_span(5, 1, 0, "front", "GET /", CLEW_KIND_SERVER, T0, 100 * MS));
	put(st, make_span(5, 2, 1, "front", "GET a", CLEW_KIND_CLIENT, T0 + 5 * MS, 80 * MS));
	put(st, make_span(5, 3, 2, "back", "GET /a", CLEW_KIND_SERVER, T0 - 3000 * MS, 70 * MS));
	put(st, make_span(5, 4, 1, "front", "GET b", CLEW_KIND_CLIENT, T0 + 86 * MS, 10 * MS));
	put(st, make_span(5, 5, 4, "back", "GET /b", CLEW_KIND_SERVER, T0 + 88 * MS, 52 * MS));
}

static int setup(void **state)
{
	dir = tmp_dir();
	st = open_store(dir, &(struct clew_store_opts){.timeout_ns = 10000 * MS});
	put_known();
	put_orphan();
	put_wide();
	put_failed();
	put_skewed();
	return clew_store_flush(st);
}

static void check_piece(json_t *p, const char *span, json_int_t from, json_int_t to,
			const char *kind)
{
	assert_string_equal(str(p, "span_id") + 15, span);
	assert_int_equal(num(p, "from_ns"), from * (json_int_t)MS);
	assert_int_equal(num(p, "to_ns"), to * (json_int_t)MS);
	assert_string_equal(str(p, "kind"), kind);
}

/* From the root's end backwards: 5 and the server under it (moved into its middle), then 2 and its. 4 ran
 * beside 2 and is not on it. */
static void test_critical(void **state)
{
	static const struct {
		const char *span;
		json_int_t from, to;
		const char *kind;
	} want[] = {
		{"1", 0, 2, "self"},	  {"2", 2, 5, "network"},   {"3", 5, 12, "self"},
		{"2", 12, 15, "network"}, {"1", 15, 20, "self"},    {"5", 20, 24, "network"},
		{"6", 24, 34, "gap"},	  {"5", 34, 38, "network"}, {"1", 38, 40, "self"},
	};
	json_t *a = get_one(trace_path(1, "/critical"));
	size_t n = sizeof(want) / sizeof(*want);

	assert_int_equal(json_array_size(json_object_get(a, "pieces")), n);
	for (size_t i = 0; i < n; i++)
		check_piece(at(a, "pieces", i), want[i].span, want[i].from, want[i].to,
			    want[i].kind);
	assert_string_equal(str(at(a, "by_service", 0), "service"), "front");
	assert_int_equal(num(at(a, "by_service", 0), "self_ns"), 9 * MS);
	assert_int_equal(num(at(a, "by_service", 0), "network_ns"), 14 * MS);
	assert_int_equal(num(at(a, "by_service", 1), "gap_ns"), 10 * MS);
	json_decref(a);
}

static json_int_t cell(json_t *tree, const char *column, size_t i)
{
	return json_integer_value(at(tree, column, i));
}

static void test_tree(void **state)
{
	static const json_int_t parents[] = {-1, 0, 1, 0, 0, 4}, below[] = {5, 1, 0, 0, 1, 0};
	static const json_int_t network[] = {-1, 6, -1, -1, 8, -1};
	json_t *t = get_one(trace_path(1, "/tree"));

	assert_int_equal(num(t, "spans_total"), 6);
	assert_int_equal(num(t, "duration_ns"), 40 * MS);
	assert_true(json_is_true(json_object_get(t, "complete")));
	assert_int_equal(json_array_size(json_object_get(t, "id")), 6);
	for (size_t i = 0; i < 6; i++) {
		json_int_t net = network[i] < 0 ? -1 : network[i] * (json_int_t)MS;

		assert_int_equal(cell(t, "parent", i), parents[i]);
		assert_int_equal(cell(t, "below", i), below[i]);
		assert_int_equal(cell(t, "network", i), net);
		assert_int_equal(cell(t, "folded", i), 0);
	}
	assert_string_equal(json_string_value(at(t, "services", (size_t)cell(t, "service", 5))),
			    "stock");
	assert_int_equal(json_integer_value(at(json_object_get(t, "times"), "cpu", 5)), MS);
	assert_int_equal(json_integer_value(at(json_object_get(t, "times"), "net", 5)), -1);
	assert_int_equal(json_array_size(json_object_get(t, "critical")), 9);
	assert_int_equal(json_integer_value(json_array_get(at(t, "critical", 6), 0)), -1);
	assert_int_equal(json_array_size(at(t, "critical", 6)), 4);
	assert_int_equal(json_integer_value(json_array_get(at(t, "critical", 6), 3)), 5);
	json_decref(t);
}

static json_int_t moved(json_t *tree, size_t i, size_t k)
{
	return json_integer_value(json_array_get(at(tree, "moved", i), k));
}

/* A clock that is off makes no trace longer; one that is only longer than its call stays where it was. */
static void test_tree_clocks(void **state)
{
	static const json_int_t starts[] = {0, 5, 10, 86, 88};
	json_t *t = get_one(trace_path(5, "/tree"));

	assert_int_equal(num(t, "start_ns"), T0);
	assert_int_equal(num(t, "duration_ns"), 140 * MS);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(cell(t, "start", i), starts[i] * (json_int_t)MS);
	assert_int_equal(json_array_size(json_object_get(t, "moved")), 1);
	assert_int_equal(moved(t, 0, 0), 2);
	assert_int_equal(moved(t, 0, 1), 3010 * MS);
	assert_int_equal(json_integer_value(json_array_get(at(t, "critical", 0), 1)), 0);
	json_decref(t);
}

static void test_tree_candidates(void **state)
{
	json_t *t = get_one(trace_path(2, "/tree")), *c = at(t, "candidates", 0);
	struct clew_id128 id = trace_id(1);
	char hex[33];

	clew_hex(id.b, 16, hex);
	assert_int_equal(json_array_size(json_object_get(t, "candidates")), 2);
	assert_int_equal(json_integer_value(json_array_get(c, 0)), 0);
	assert_string_equal(json_string_value(json_array_get(c, 1)), hex);
	assert_string_equal(json_string_value(json_array_get(c, 2)), "0000000000000001");
	json_decref(t);
}

/* The longest are given, and what is left out is counted and can be opened. */
static void test_tree_folds(void **state)
{
	json_t *t = get_one(trace_path(3, "/tree?limit=101"));
	json_int_t left_out = 0;

	assert_int_equal(num(t, "spans_total"), 3001);
	assert_true(json_is_false(json_object_get(t, "complete")));
	assert_int_equal(json_array_size(json_object_get(t, "id")), 101);
	assert_int_equal(num(json_object_get(t, "totals"), "services"), 1);
	assert_int_equal(num(json_object_get(t, "totals"), "errors"), 0);
	assert_int_equal(cell(t, "folded", 0), 3001 - 101);
	for (size_t i = 1; i < 101; i++) {
		assert_int_equal(cell(t, "parent", i), 0);
		assert_true(cell(t, "duration", i) > 3 * (json_int_t)MS - 100 * 1000);
		left_out += cell(t, "folded", i);
	}
	assert_int_equal(left_out, 200);
	for (size_t i = 1; i < json_array_size(json_object_get(t, "critical")); i++)
		assert_int_not_equal(
			json_integer_value(json_array_get(at(t, "critical", i - 1), 0)),
			json_integer_value(json_array_get(at(t, "critical", i), 0)));
	json_decref(t);
	t = get_one(trace_path(3, "/tree?limit=101&under=000000000000000a"));
	assert_int_equal(json_array_size(json_object_get(t, "id")), 3);
	assert_int_equal(cell(t, "parent", 0), -1);
	assert_int_equal(cell(t, "parent", 2), 0);
	assert_true(json_is_true(json_object_get(t, "complete")));
	json_decref(t);
	assert_int_equal(ask("GET", trace_path(3, "/tree?under=0000000000000fff"), ""), -ENOENT);
	assert_int_equal(ask("GET", trace_path(3, "/tree?under=x"), ""), -EINVAL);
	assert_int_equal(ask("GET", trace_path(4, "/tree"), ""), -ENOENT);
	assert_int_equal(ask("GET", trace_path(3, "/leaf"), ""), -ENOENT);
}

/* What failed is given before what is long, and the totals are of all spans. */
static void test_tree_failed(void **state)
{
	json_t *t = get_one(trace_path(9, "/tree?limit=4")), *totals = json_object_get(t, "totals");

	assert_int_equal(json_array_size(json_object_get(t, "id")), 4);
	assert_string_equal(json_string_value(at(t, "id", 1)), "0000000000000002");
	assert_string_equal(json_string_value(at(t, "id", 2)), "0000000000000032");
	assert_int_equal(cell(t, "duration", 3), 20 * MS);
	assert_int_equal(num(totals, "services"), 2);
	assert_int_equal(num(totals, "errors"), 1);
	assert_int_equal(num(totals, "orphans"), 0);
	assert_int_equal(num(totals, "incomplete"), 0);
	json_decref(t);
}

static bool holds(json_t *list, const char *words)
{
	json_t *v;
	size_t i;

	json_array_foreach(list, i, v) if (strstr(json_string_value(v), words)) return true;
	return false;
}

static void test_span(void **state)
{
	json_t *s = get_one(trace_path(2, "/span/0000000000000001")), *why, *text;

	assert_string_equal(str(s, "service"), "front");
	assert_string_equal(str(s, "scope"), "clew");
	assert_string_equal(str(json_object_get(s, "resource"), "host.name"), "box");
	assert_true(json_is_array(json_object_get(s, "events")));
	why = json_object_get(s, "why");
	text = json_object_get(why, "text");
	assert_string_equal(str(why, "class"), "orphan");
	assert_true(holds(json_object_get(why, "evidence"), "thread"));
	text = at(why, "reasons", 0);
	assert_true(json_is_true(json_object_get(text, "for")));
	assert_string_equal(str(text, "text"), "the same thread read the request");
	text = json_object_get(why, "text");
	assert_true(holds(text, "orphan (0.40): a parent is likely and not known"));
	assert_true(holds(text, "front GET / of trace"));
	assert_true(holds(text, "it is not in the store"));
	assert_true(holds(text, "incomplete: it ended before the response's last byte"));
	assert_non_null(
		str(json_object_get(at(s, "links", 0), "attributes"), "clew.candidate.service"));
	json_decref(s);
	s = get_one(trace_path(1, "/span/0000000000000003"));
	assert_true(holds(json_object_get(json_object_get(s, "why"), "text"), "was received"));
	json_decref(s);
	assert_int_equal(ask("GET", trace_path(1, "/span/00000000000000ff"), ""), -ENOENT);
	assert_int_equal(ask("GET", trace_path(1, "/span/1"), ""), -EINVAL);
}

/* ---- the forest itself ---- */

static uint64_t shape(const uint64_t *ids, const uint64_t *parents, const uint64_t *labels,
		      uint32_t n)
{
	struct clew_forest f = {0};
	uint64_t h;

	assert_int_equal(clew_forest_build(&f, ids, parents, n), 0);
	assert_int_equal(f.n, n);
	h = clew_forest_shape(&f, labels);
	clew_forest_done(&f);
	return h;
}

/* The same whatever the order of siblings and the ids; another for another parent, label or number. */
static void test_shape(void **state)
{
	uint64_t a = shape((uint64_t[]){1, 2, 3, 4}, (uint64_t[]){0, 1, 1, 2},
			   (uint64_t[]){10, 20, 30, 40}, 4);
	uint64_t swapped = shape((uint64_t[]){9, 8, 7, 6}, (uint64_t[]){0, 9, 9, 7},
				 (uint64_t[]){10, 30, 20, 40}, 4);
	uint64_t moved = shape((uint64_t[]){1, 2, 3, 4}, (uint64_t[]){0, 1, 1, 3},
			       (uint64_t[]){10, 20, 30, 40}, 4);
	uint64_t ids[8] = {1, 2, 3, 4, 5, 6, 7, 8}, parents[8] = {0, 1, 1, 1, 1, 1, 1, 1};
	uint64_t labels[8] = {1, 2, 2, 2, 2, 2, 2, 2};

	assert_true(a == swapped && a != moved);
	assert_true(shape(ids, parents, labels, 3) == shape(ids, parents, labels, 4));
	assert_true(shape(ids, parents, labels, 2) != shape(ids, parents, labels, 3));
	assert_true(shape(ids, parents, labels, 4) != shape(ids, parents, labels, 5));
	assert_true(shape(ids, parents, labels, 5) == shape(ids, parents, labels, 8));
}

/* Rings, ids that are there twice, parents that come after their children, and a very deep trace. */
static void test_odd_forests(void **state)
{
	enum { DEEP = 200000 };
	uint64_t *ids = malloc(DEEP * sizeof(*ids)), *parents = malloc(DEEP * sizeof(*parents));
	struct clew_forest f = {0};

	assert_int_equal(clew_forest_build(&f, (uint64_t[]){1, 2, 3}, (uint64_t[]){2, 1, 1}, 3), 0);
	assert_int_equal(f.n, 3);
	assert_int_equal(f.parent[0], CLEW_FOREST_NONE);
	assert_int_equal(f.order[0], 0);
	assert_int_equal(f.below[0], 2);
	assert_int_equal(clew_forest_build(&f, (uint64_t[]){5, 5, 6}, (uint64_t[]){0, 5, 5}, 3), 0);
	assert_int_equal(f.below[0], 2);
	assert_int_equal(clew_forest_build(&f, (uint64_t[]){2, 1}, (uint64_t[]){1, 0}, 2), 0);
	assert_int_equal(f.order[0], 1);
	assert_int_equal(f.parent[1], 0);
	for (uint64_t i = 0; i < DEEP; i++) {
		ids[i] = i + 1;
		parents[i] = i;
	}
	assert_int_equal(clew_forest_build(&f, ids, parents, DEEP), 0);
	assert_int_equal(f.depth[DEEP - 1], DEEP - 1);
	assert_int_equal(f.below[0], DEEP - 1);
	assert_int_equal(clew_forest_build(&f, NULL, NULL, 0), 0);
	clew_forest_done(&f);
	free(ids);
	free(parents);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_critical),    cmocka_unit_test(test_tree),
		cmocka_unit_test(test_tree_clocks), cmocka_unit_test(test_tree_candidates),
		cmocka_unit_test(test_tree_folds),  cmocka_unit_test(test_tree_failed),
		cmocka_unit_test(test_span),	    cmocka_unit_test(test_shape),
		cmocka_unit_test(test_odd_forests),
	};

	return cmocka_run_group_tests(tests, setup, ask_teardown);
}
