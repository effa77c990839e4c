/* SPDX-License-Identifier: Apache-2.0 */
/* The native API's calls, as docs/native-api.md has them. */
#include "ask.h"

static int setup(void **state)
{
	struct clew_store_opts opts = {
		.hot_spans = 100, .batch_spans = 60, .timeout_ns = 3000 * MS};
	struct clew_id128 other = trace_id(3);
	struct clew_id64 parent = clew_id64_from(31);
	struct clew_span *s;

	dir = tmp_dir();
	st = open_store(dir, &opts);
	for (uint64_t i = 1; i <= 50; i++)
		put_shop(st, i, T0 + i * MS);
	s = make_span(1000, 5, 0, "lonely", "say \"hi\"\n", CLEW_KIND_CLIENT, T0, 42);
	s->link_class = CLEW_LINK_ORPHAN;
	s->evidence = CLEW_EV_CONFLICT;
	s->confidence = 0.3f;
	s->incomplete = CLEW_INC_CUT;
	s->tid = 77;
	s->wire_key = trace_id(8);
	clew_span_add_link(s, &other, &parent, 0.5f);
	clew_span_set_str(s, "server.address", SLICE("/run/x.sock"));
	put(st, s);
	return clew_store_flush(st);
}

static void test_traces(void **state)
{
	json_t *l = get(API "traces"), *t;

	assert_int_equal(json_array_size(l), 20);
	t = json_array_get(l, 0);
	assert_int_equal(num(t, "start_ns"), T0 + 50 * MS);
	assert_string_equal(str(t, "service"), "front");
	assert_string_equal(str(t, "kind"), "server");
	assert_int_equal(num(t, "spans"), 3);
	assert_int_equal(num(t, "services"), 2);
	assert_int_equal(num(t, "errors"), 1);
	assert_true(json_is_false(json_object_get(t, "incomplete")));
	json_decref(l);
	l = get(API "traces?limit=0");
	assert_int_equal(json_array_size(l), 51);
	t = json_array_get(l, 50);
	assert_int_equal(num(t, "orphans"), 1);
	assert_true(json_is_true(json_object_get(t, "incomplete")));
	json_decref(l);
	l = get(API "traces?service=back&attr=item%3D7&sort=duration");
	assert_int_equal(json_array_size(l), 1);
	assert_int_equal(num(json_array_get(l, 0), "duration_ns"), 10 * MS + 7);
	json_decref(l);
	l = get(API "traces?attr=item=7&attr=item=8");
	assert_int_equal(json_array_size(l), 0);
	json_decref(l);
}

static void test_spans(void **state)
{
	json_t *l = get(API "spans"), *s, *a, *link;
	char hex[33];
	struct clew_id128 id = trace_id(1000);

	assert_int_equal(json_array_size(l), 151);
	for (size_t i = 1; i < 151; i++)
		assert_true(num(json_array_get(l, i), "start_ns") >=
			    num(json_array_get(l, i - 1), "start_ns"));
	s = json_array_get(l, 0);
	a = json_object_get(s, "attributes");
	link = json_array_get(json_object_get(s, "links"), 0);
	clew_hex(id.b, 16, hex);
	assert_string_equal(str(s, "trace_id"), hex);
	assert_string_equal(str(s, "span_id"), "0000000000000005");
	assert_true(json_is_null(json_object_get(s, "parent_span_id")));
	assert_string_equal(str(s, "name"), "say \"hi\"\n");
	assert_string_equal(str(s, "status"), "unset");
	assert_string_equal(str(a, "service.instance.id"), "lonely");
	assert_string_equal(str(a, "clew.link.class"), "orphan");
	assert_string_equal(str(a, "clew.link.evidence"), "against: conflict");
	assert_string_equal(str(a, "clew.incomplete"), "cut");
	assert_int_equal(num(a, "thread.id"), 77);
	assert_int_equal(num(a, "process.pid"), 4711);
	assert_non_null(str(a, "clew.wire_key"));
	assert_string_equal(str(link, "span_id"), "000000000000001f");
	assert_true(json_real_value(json_object_get(link, "confidence")) == 0.5);
	json_decref(l);
	l = get(API "spans?error=1&limit=2&sort=start");
	assert_int_equal(json_array_size(l), 2);
	assert_int_equal(num(json_array_get(l, 0), "start_ns"), T0 + 52 * MS);
	json_decref(l);
	l = get(API "spans?name=say+%22hi%22%0A");
	assert_int_equal(json_array_size(l), 1);
	json_decref(l);
}

static json_t *first_span(json_t *doc)
{
	json_t *rs = json_array_get(json_object_get(doc, "resourceSpans"), 0);
	json_t *ss = json_array_get(json_object_get(rs, "scopeSpans"), 0);

	return json_array_get(json_object_get(ss, "spans"), 0);
}

static void test_trace(void **state)
{
	struct clew_id128 id = trace_id(7), last = trace_id(50);
	char hex[33], target[100];
	json_t *l;

	clew_hex(id.b, 16, hex);
	snprintf(target, sizeof(target), API "trace/%.10s", hex);
	l = get(target);
	assert_string_equal(str(first_span(json_array_get(l, 0)), "traceId"), hex);
	json_decref(l);
	clew_hex(last.b, 16, hex);
	l = get(API "trace/last");
	assert_string_equal(str(first_span(json_array_get(l, 0)), "traceId"), hex);
	json_decref(l);
	assert_int_equal(ask("GET", API "trace/abc", ""), -EINVAL);
	assert_int_equal(ask("GET", API "trace/wxyz", ""), -EINVAL);
	assert_int_equal(ask("GET", API "trace/ffffffffffff00000000", ""), -ENOENT);
}

/* Orphans' candidates are told apart by more than their ids, where that is asked for. */
static void test_candidates(void **state)
{
	struct clew_id128 id = trace_id(1000);
	char hex[33], target[100];
	json_t *l, *attrs, *a;
	size_t i, found = 0;

	clew_hex(id.b, 16, hex);
	snprintf(target, sizeof(target), API "trace/%s", hex);
	l = get(target);
	attrs = json_object_get(
		json_array_get(json_object_get(first_span(json_array_get(l, 0)), "links"), 0),
		"attributes");
	assert_int_equal(json_array_size(attrs), 1);
	json_decref(l);
	snprintf(target, sizeof(target), API "trace/%s?why=1", hex);
	l = get(target);
	attrs = json_object_get(
		json_array_get(json_object_get(first_span(json_array_get(l, 0)), "links"), 0),
		"attributes");
	json_array_foreach(attrs, i, a)
	{
		json_t *v = json_object_get(a, "value");

		if (!strcmp(str(a, "key"), "clew.candidate.service"))
			found += !strcmp(str(v, "stringValue"), "front");
		if (!strcmp(str(a, "key"), "clew.candidate.start_ns"))
			found += strtoull(str(v, "intValue"), NULL, 10) == T0 + 3 * MS;
		if (!strcmp(str(a, "key"), "clew.link.confidence"))
			found += json_number_value(json_object_get(v, "doubleValue")) == 0.5;
	}
	assert_int_equal(found, 3);
	json_decref(l);
	assert_int_equal(ask("GET", API "trace/last?why=2", ""), -EINVAL);
}

static void test_ambiguous(void **state)
{
	struct clew_span *s[2];

	for (int i = 0; i < 2; i++) {
		s[i] = make_span(1, 600 + (uint64_t)i, 0, "x", "x", CLEW_KIND_SERVER, T0 - MS, 1);
		memset(s[i]->trace_id.b, 0xab, 16);
		s[i]->trace_id.b[15] = (uint8_t)i;
	}
	clew_store_append(st, s, 2);
	assert_int_equal(clew_store_flush(st), 0);
	assert_int_equal(ask("GET", API "trace/abababab", ""), -EINVAL);
	assert_non_null(strstr(error, "ababababababababababababababab01")); /* it is named */
	json_decref(get(API "trace/ababababababababababababababab01"));
}

static void test_services_map_stats(void **state)
{
	json_t *l = get(API "services"), *m, *nodes, *edges;
	bool external = false, root = false;

	assert_true(json_array_size(l) >= 3);
	assert_string_equal(str(json_array_get(l, 0), "service"), "front"); /* the busiest */
	json_decref(l);
	l = get(API "services?sort=name");
	assert_true(json_array_size(l) >= 3);
	assert_string_equal(str(json_array_get(l, 0), "service"), "back");
	assert_int_equal(num(json_array_get(l, 0), "requests"), 50);
	assert_int_equal(num(json_array_get(l, 0), "errors"), 5);
	assert_int_equal(num(json_array_get(l, 0), "instances"), 1);
	json_decref(l);
	l = get(API "services?limit=1&sort=name");
	assert_int_equal(json_array_size(l), 2);
	assert_true(num(json_array_get(l, 1), "total") >= 3);
	assert_string_equal(str(json_array_get(l, 1), "next"), "back");
	json_decref(l);
	l = get(API "services?limit=1&sort=name&after=back");
	assert_string_equal(str(json_array_get(l, 0), "service"), "front");
	json_decref(l);
	l = get(API "services?prefix=fro");
	assert_int_equal(json_array_size(l), 1);
	json_decref(l);
	assert_int_equal(ask("GET", API "services?after=back", ""), -EINVAL);
	assert_int_equal(ask("GET", API "services?sort=size", ""), -EINVAL);
	l = get(API "map?limit=1");
	assert_int_equal(json_array_size(json_object_get(json_array_get(l, 0), "edges")), 1);
	assert_true(num(json_array_get(l, 0), "edges_total") > 1);
	json_decref(l);
	l = get(API "map");
	m = json_array_get(l, 0);
	nodes = json_object_get(m, "nodes");
	edges = json_object_get(m, "edges");
	for (size_t i = 0; i < json_array_size(nodes); i++)
		external |= json_is_true(json_object_get(json_array_get(nodes, i), "external")) &&
			    !strcmp(str(json_array_get(nodes, i), "service"), "/run/x.sock");
	for (size_t i = 0; i < json_array_size(edges); i++)
		root |= json_is_null(json_object_get(json_array_get(edges, i), "client")) &&
			num(json_array_get(edges, i), "calls") == 50;
	assert_true(external && root);
	json_decref(l);
	l = get(API "stats");
	assert_true(num(json_array_get(l, 0), "stored") >= 151);
	json_decref(l);
}

static void test_errors(void **state)
{
	assert_int_equal(ask("GET", "/", ""), -ENOENT);
	assert_int_equal(ask("GET", API "nothing", ""), -ENOENT);
	assert_int_equal(ask("POST", API "traces", ""), -EOPNOTSUPP);
	assert_int_equal(ask("GET", API "sql", ""), -EOPNOTSUPP);
	assert_int_equal(ask("GET", API "traces?color=red", ""), -EINVAL);
	assert_non_null(strstr(error, "unknown parameter 'color'"));
	assert_int_equal(ask("GET", API "traces?limit=-1", ""), -EINVAL);
	assert_int_equal(ask("GET", API "traces?attr=x", ""), -EINVAL);
	assert_int_equal(ask("GET", API "traces?name=%4", ""), -EINVAL);
	assert_int_equal(ask("GET", API "map?service=x", ""), -EINVAL);
}

static void test_sql(void **state)
{
	json_t *v, *row;

	assert_int_equal(
		ask("POST", API "sql",
		    "select service, count(*) n, any_value(attributes) a, 1.5::decimal(4,2), "
		    "true, null from spans where attributes['item'] = '7' group by 1;"),
		0);
	v = json_loads(out.data, 0, NULL);
	assert_non_null(v);
	assert_string_equal(str(json_array_get(json_object_get(v, "columns"), 1), "name"), "n");
	assert_string_equal(str(json_array_get(json_object_get(v, "columns"), 1), "type"),
			    "bigint");
	row = json_array_get(json_object_get(v, "rows"), 0);
	assert_string_equal(json_string_value(json_array_get(row, 0)), "back");
	assert_int_equal(json_integer_value(json_array_get(row, 1)), 1);
	assert_string_equal(str(json_array_get(row, 2), "item"), "7");
	assert_string_equal(json_string_value(json_array_get(row, 3)), "1.50");
	assert_true(json_is_true(json_array_get(row, 4)));
	assert_true(json_is_null(json_array_get(row, 5)));
	json_decref(v);
	assert_int_equal(ask("POST", API "sql", "select * from traces order by start_ns limit 1"),
			 0);
	assert_int_equal(ask("POST", API "sql", "select * from spans -- all"), 0);
	assert_int_equal(ask("POST", API "sql", "from services"), 0);
	assert_int_equal(ask("POST", API "sql", "show tables"), 0);
	assert_int_equal(ask("POST", API "sql", "describe spans"), 0);
	assert_int_equal(ask("POST", API "sql", "explain select 1"), 0);
	assert_int_equal(ask("POST", API "sql", "select range from range(200000)"), 0);
	v = json_loads(out.data, 0, NULL);
	assert_int_equal(json_array_size(json_object_get(v, "rows")), 100000);
	assert_true(json_is_true(json_object_get(v, "truncated")));
	json_decref(v);
	assert_int_equal(ask("POST", API "sql", "selct 1"), -EINVAL);
	assert_int_equal(ask("POST", API "sql", ""), -EINVAL);
	assert_int_equal(ask("POST", API "sql", "select ?"), -EINVAL);
}

static void test_sql_is_confined(void **state)
{
	static const char *const attempts[] = {
		"copy (select 1) to '/tmp/clew-escape.csv'",
		"copy spans from '/etc/passwd'",
		"attach '/tmp/clew-escape.db'",
		"attach ':memory:' as m",
		"detach c",
		"use c",
		"pragma database_list",
		"set memory_limit = '10GB'",
		"reset memory_limit",
		"install httpfs",
		"load httpfs",
		"load '/tmp/x.so'",
		"insert into c.service values (1, 'x', 0)",
		"update c.service set name = 'x'",
		"delete from c.service",
		"explain analyze delete from c.service",
		"drop table c.service",
		"create table t (a int)",
		"create temp table t as select 1",
		"create macro f(a) as a",
		"create secret (type s3)",
		"truncate c.service",
		"checkpoint",
		"vacuum",
		"export database '/tmp/clew-escape'",
		"import database '/tmp/clew-escape'",
		"begin; select 1",
		"commit",
		"select 1; select 2",
		"call pragma_version()",
		"prepare p as select 1",
		"execute p",
		"select * from read_csv('/etc/passwd')",
		"select * from read_text('/etc/passwd')",
		"select * from \"read_text\"('/etc/passwd')",
		"select * from READ_BLOB ('/etc/passwd')",
		"select * from read_json('/etc/passwd')",
		"select * from read_parquet('/etc/passwd')",
		"select * from '/etc/passwd'",
		"select * from '/etc/passwd.csv'",
		"select * from glob('/*')",
		"select * from query('select 1')",
		"select * from query_table('spans')",
		"select getenv('HOME')",
		"select * from sniff_csv('/etc/passwd')",
		"select * from duckdb_secrets()",
		"with x as (insert into c.service values (1, 'x', 0) returning *) select * from x",
		"select * from 'https://example.com/x.csv'",
		"select nextval('s')",
	};
	char own[600];

	for (size_t i = 0; i < sizeof(attempts) / sizeof(*attempts); i++)
		if (ask("POST", API "sql", attempts[i]) == 0)
			fail_msg("was allowed: %s: %s", attempts[i], out.data);
	snprintf(own, sizeof(own), "copy (select 1) to '%s/x.csv'", dir);
	assert_true(ask("POST", API "sql", own) < 0);
	/* and the store is as it was */
	assert_int_equal(ask("POST", API "sql", "select count(*) from c.service where name = 'x'"),
			 0);
	assert_non_null(strstr(out.data, "[0]"));
}

static void test_sql_time_limit(void **state)
{
	assert_int_equal(ask("POST", API "sql",
			     "select count(*) from range(1000000) a, range(1000000) b"
			     " where a.range * b.range % 7 = 3"),
			 -ETIMEDOUT);
	assert_non_null(strstr(error, "stopped after 3 s"));
	assert_int_equal(ask("POST", API "sql", "select 1"), 0);
}

struct advice_case {
	struct clew_service_model m;
	const char *option, *words;
	int percent;
};

#define LINKS .certain = 50, .probable = 7, .orphans = 43

/* What is advised follows from the facts, and only where there is something to settle. */
static void test_services_why(void **state)
{
	static const struct advice_case cases[] = {
		{{.runtime = SLICE("nodejs"), .task = SLICE("thread"), LINKS},
		 "--agent node",
		 "Node: no task visible; --agent node would settle up to 43 % of its links",
		 43},
		{{.runtime = SLICE("nodejs"),
		  .task = SLICE("thread"),
		  .options = SLICE("agent=node"),
		  LINKS},
		 NULL,
		 "warning says why",
		 0},
		{{.runtime = SLICE("nodejs"), .task = SLICE("request"), LINKS},
		 NULL,
		 "Nothing that clew can see",
		 0},
		{{.runtime = SLICE("nodejs"), .task = SLICE("thread"), .certain = 9},
		 NULL,
		 "Nothing is missing",
		 0},
		{{.runtime = SLICE("nodejs"), .task = SLICE("thread"), .roots = 9},
		 NULL,
		 "made no calls",
		 0},
		{{.runtime = SLICE("nodejs"),
		  .task = SLICE("thread"),
		  .orphaned = SLICE("{\"lost\":30,\"unnamed\":13}"),
		  LINKS},
		 "--ring-size",
		 "a larger --ring-size would settle up to 30 %",
		 30},
		{{.runtime = SLICE("hotspot"), .task = SLICE("virtual thread"), LINKS},
		 "--agent java",
		 "Java",
		 43},
		{{.runtime = SLICE("hotspot"), .task = SLICE("virtual thread, work"), LINKS},
		 NULL,
		 "Nothing that clew can see",
		 0},
		{{.runtime = SLICE("cpython"),
		  .task = SLICE("context"),
		  .orphaned = SLICE("{\"lost\":3}"),
		  LINKS},
		 "--python-copies",
		 "40 %",
		 40},
		{{.runtime = SLICE("cpython"),
		  .task = SLICE("context"),
		  .options = SLICE("agent=java python-copies=yes"),
		  LINKS},
		 NULL,
		 "Nothing that clew",
		 0},
		{{.runtime = SLICE("tokio"), .task = SLICE("task"), LINKS},
		 "--tokio-wakers",
		 "43 %",
		 43},
		{{.runtime = SLICE("tokio"),
		  .task = SLICE("task"),
		  .options = SLICE("tokio-wakers=yes"),
		  LINKS},
		 NULL,
		 "Nothing that clew",
		 0},
		{{.options = SLICE("tasks=none"), LINKS}, "--tasks probes", "not read", 43},
		{{.orphaned = SLICE("{\"conflict\":40,\"unnamed\":3}"), LINKS},
		 NULL,
		 "several requests fit",
		 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct clew_service_model m = cases[i].m;
		json_t *all, *advice;
		double up_to;

		m.service = SLICE("say \"hi\"");
		assert_int_equal(clew_store_put_service_models(st, &m, 1, NULL), 0);
		all = get(API "services/why");
		assert_int_equal(json_array_size(all), 1);
		assert_string_equal(str(json_array_get(all, 0), "service"), "say \"hi\"");
		assert_int_equal(num(json_array_get(all, 0), "orphans"), m.orphans);
		advice = json_object_get(json_array_get(all, 0), "advice");
		if (cases[i].option)
			assert_string_equal(str(advice, "option"), cases[i].option);
		else
			assert_true(json_is_null(json_object_get(advice, "option")));
		if (!strstr(str(advice, "text"), cases[i].words))
			fail_msg("case %zu: %s", i, str(advice, "text"));
		up_to = json_number_value(json_object_get(advice, "up_to")) * 100;
		assert_int_equal((int)(up_to + 0.5), cases[i].percent);
		json_decref(all);
	}
	assert_int_equal(ask("GET", API "services/why?since=1", ""), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_traces),		cmocka_unit_test(test_spans),
		cmocka_unit_test(test_trace),		cmocka_unit_test(test_services_map_stats),
		cmocka_unit_test(test_errors),		cmocka_unit_test(test_sql),
		cmocka_unit_test(test_sql_is_confined), cmocka_unit_test(test_sql_time_limit),
		cmocka_unit_test(test_ambiguous),	cmocka_unit_test(test_services_why),
		cmocka_unit_test(test_candidates),
	};

	return cmocka_run_group_tests(tests, setup, ask_teardown);
}
