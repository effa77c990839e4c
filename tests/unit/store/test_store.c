/* SPDX-License-Identifier: Apache-2.0 */
/* The store: what goes in comes out, once, also after sealing and opening again. */
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <sys/stat.h>

#include <duckdb.h>

#include "util.h"

struct got {
	struct clew_span *v[20000];
	size_t n;
};

static int get(void *user, struct clew_span *s)
{
	struct got *g = user;

	assert_true(g->n < 20000);
	g->v[g->n++] = s;
	return 0;
}

static void forget(struct got *g)
{
	for (size_t i = 0; i < g->n; i++)
		clew_span_free(g->v[i]);
	g->n = 0;
}

static struct got got;

static size_t find(struct clew_store *st, const struct clew_span_filter *f)
{
	char *error = NULL;
	int r;

	forget(&got);
	r = clew_store_find_spans(st, f, get, &got, &error);
	if (r < 0)
		fail_msg("find: %d %s", r, error ? error : "");
	return got.n;
}

static struct clew_attr event_attrs[] = {
	{.key = SLICE("exception.type"), .type = CLEW_ATTR_STR, .str = SLICE("Oops \"x\"")},
	{.key = SLICE("n"), .type = CLEW_ATTR_INT, .i = INT64_MIN},
	{.key = SLICE("d"), .type = CLEW_ATTR_DOUBLE, .d = 1.5},
	{.key = SLICE("b"), .type = CLEW_ATTR_BOOL, .b = true},
};
static struct clew_span_event events[] = {
	{.time_ns = T0 + 1, .name = SLICE("exception"), .n_attrs = 4, .attrs = event_attrs},
	{.time_ns = T0 + 2, .name = SLICE("log")},
};

static void check_events(const struct clew_span *s)
{
	assert_int_equal(s->n_events, 2);
	assert_int_equal(s->events[0].time_ns, T0 + 1);
	assert_true(slice_eq(s->events[0].name, SLICE("exception")));
	assert_int_equal(s->events[0].n_attrs, 4);
	assert_true(slice_eq(s->events[0].attrs[0].key, SLICE("exception.type")));
	assert_true(slice_eq(s->events[0].attrs[0].str, SLICE("Oops \"x\"")));
	assert_true(s->events[0].attrs[1].i == INT64_MIN);
	assert_true(s->events[0].attrs[2].d == 1.5);
	assert_true(s->events[0].attrs[3].b);
	assert_int_equal(s->events[1].time_ns, T0 + 2);
	assert_int_equal(s->events[1].n_attrs, 0);
	/* the second link has attributes */
	assert_int_equal(s->links[1].n_attrs, 1);
	assert_true(slice_eq(s->links[1].attrs[0].str, SLICE("Oops \"x\"")));
}

static struct clew_span *full_span(void)
{
	struct clew_span *s = make_span(1, 2, 3, "svc", "op é", CLEW_KIND_PRODUCER, T0, 5);
	struct clew_id128 other = trace_id(50);
	struct clew_id64 span = clew_id64_from(51);

	s->status = CLEW_STATUS_ERROR;
	s->status_message = SLICE("it's broken");
	s->trace_state = SLICE("a=b");
	s->wire_key = trace_id(77);
	s->pid = 12;
	s->tid = 13;
	s->proc_start_ns = 14;
	s->evidence = CLEW_EV_THREAD | CLEW_EV_CONFLICT;
	s->link_class = CLEW_LINK_ORPHAN;
	s->confidence = 0.25f;
	s->incomplete = CLEW_INC_CUT;
	s->sampling_threshold = 1ull << 55;
	s->clock_offset_ns = -42;
	s->times.cpu_ns = 0;
	s->times.other_ns = 7;
	s->dropped_attrs = 1;
	s->dropped_links = 2;
	s->dropped_events = 3;
	s->is_root = true;
	clew_span_set_str(s, "text", SLICE("with 'quote' and \xff"));
	clew_span_set_str(s, "empty", SLICE(""));
	clew_span_set_int(s, "int", -5);
	clew_span_set_double(s, "double", 0.1);
	clew_span_set_bool(s, "bool", true);
	clew_span_add_link(s, &other, &span, 0.5f);
	clew_span_add_link(s, &other, &span, -1);
	s->links[1].n_attrs = 1;
	s->links[1].attrs = event_attrs;
	s->events = events;
	s->n_events = 2;
	return s;
}

static void check_full(const struct clew_span *s)
{
	struct clew_id128 trace = trace_id(1), wire = trace_id(77), other = trace_id(50);
	struct clew_id64 span = clew_id64_from(2), parent = clew_id64_from(3);

	assert_true(clew_id128_eq(&s->trace_id, &trace));
	assert_true(clew_id64_eq(&s->span_id, &span));
	assert_true(clew_id64_eq(&s->parent_span_id, &parent));
	assert_true(clew_id128_eq(&s->wire_key, &wire));
	assert_int_equal(s->kind, CLEW_KIND_PRODUCER);
	assert_int_equal(s->status, CLEW_STATUS_ERROR);
	assert_true(slice_eq(s->name, SLICE("op é")));
	assert_true(slice_eq(s->scope, SLICE("clew")));
	assert_true(slice_eq(s->status_message, SLICE("it's broken")));
	assert_true(slice_eq(s->trace_state, SLICE("a=b")));
	assert_int_equal(s->start_ns, T0);
	assert_int_equal(s->duration_ns, 5);
	assert_int_equal(s->pid, 12);
	assert_int_equal(s->tid, 13);
	assert_int_equal(s->proc_start_ns, 14);
	assert_int_equal(s->evidence, CLEW_EV_THREAD | CLEW_EV_CONFLICT);
	assert_int_equal(s->link_class, CLEW_LINK_ORPHAN);
	assert_true(s->confidence == 0.25f);
	assert_int_equal(s->incomplete, CLEW_INC_CUT);
	assert_true(s->sampling_threshold == 1ull << 55);
	assert_int_equal(s->clock_offset_ns, -42);
	assert_int_equal(s->times.cpu_ns, 0);
	assert_int_equal(s->times.runq_ns, -1);
	assert_int_equal(s->times.other_ns, 7);
	assert_int_equal(s->dropped_attrs, 1);
	assert_int_equal(s->dropped_links, 2);
	assert_int_equal(s->dropped_events, 3);
	assert_true(s->is_root);
	assert_int_equal(s->n_attrs, 5);
	assert_true(slice_eq(clew_span_attr(s, SLICE("text"))->str,
			     SLICE("with 'quote' and \xef\xbf\xbd")));
	assert_int_equal(clew_span_attr(s, SLICE("empty"))->str.n, 0);
	assert_int_equal(clew_span_attr(s, SLICE("int"))->i, -5);
	assert_true(clew_span_attr(s, SLICE("double"))->d == 0.1);
	assert_true(clew_span_attr(s, SLICE("bool"))->b);
	assert_int_equal(s->n_links, 2);
	assert_true(clew_id128_eq(&s->links[0].trace_id, &other));
	assert_true(s->links[0].confidence == 0.5f);
	assert_true(s->links[1].confidence == -1);
	check_events(s);
	assert_true(slice_eq(s->resource->service, SLICE("svc")));
	assert_true(slice_eq(s->resource->host, SLICE("box")));
	assert_int_equal(s->resource->n_attrs, 4);
}

/* Every field, three times: hot, opened again, and sealed. */
static void test_every_field(void **state)
{
	struct clew_span_filter all = {0};
	struct clew_store_opts seal_at_once = {.hot_spans = 1};
	char *dir = tmp_dir();
	struct clew_store *st = open_store(dir, NULL);
	struct clew_span *s;

	put(st, full_span());
	assert_int_equal(clew_store_flush(st), 0);
	assert_int_equal(find(st, &all), 1);
	check_full(got.v[0]);
	forget(&got);
	clew_store_close(st);

	st = open_store(dir, &seal_at_once);
	assert_int_equal(find(st, &all), 1);
	check_full(got.v[0]);
	s = make_span(5, 6, 0, "svc", "x", CLEW_KIND_SERVER, T0 + 9, 1);
	put(st, s);
	assert_int_equal(clew_store_flush(st), 0);
	assert_int_equal(find(st, &all), 2);
	check_full(got.v[0]);
	assert_int_equal(got.v[1]->n_attrs, 0);
	assert_int_equal(got.v[1]->n_links, 0);
	assert_true(clew_id64_none(&got.v[1]->parent_span_id));
	assert_true(clew_id128_none(&got.v[1]->wire_key));
	forget(&got);
	clew_store_close(st);
	rm_dir(dir);
}

static void test_same_span_twice(void **state)
{
	struct clew_span_filter all = {0};
	struct clew_store_opts opts = {.hot_spans = 40};
	struct clew_store_stats stats;
	char *dir = tmp_dir();
	struct clew_store *st = open_store(dir, &opts);

	/* Twice in one batch, in the next, after sealing, and after opening again. */
	for (int round = 0; round < 3; round++) {
		for (uint64_t n = 1; n <= 10; n++)
			put_shop(st, n, T0 + n);
		for (uint64_t n = 1; n <= 10; n++)
			put_shop(st, n, T0 + n);
		assert_int_equal(clew_store_flush(st), 0);
		assert_int_equal(find(st, &all), 30);
	}
	for (uint64_t n = 11; n <= 20; n++)
		put_shop(st, n, T0 + n);
	assert_int_equal(clew_store_flush(st), 0);
	clew_store_stats(st, &stats);
	assert_true(stats.seals > 0);
	for (uint64_t n = 1; n <= 20; n++)
		put_shop(st, n, T0 + n);
	assert_int_equal(clew_store_flush(st), 0);
	assert_int_equal(find(st, &all), 60);
	clew_store_stats(st, &stats);
	assert_int_equal(stats.stored, 60);
	assert_int_equal(stats.duplicates, 10 * 3 * 5 + 60);
	forget(&got);
	clew_store_close(st);
	st = open_store(dir, &opts);
	put_shop(st, 3, T0 + 3);
	assert_int_equal(clew_store_flush(st), 0);
	assert_int_equal(find(st, &all), 60);
	forget(&got);
	clew_store_close(st);
	rm_dir(dir);
}

static void check_filters(struct clew_store *st, uint64_t n)
{
	struct clew_span_filter f = {.service = SLICE("back")};

	assert_int_equal(find(st, &f), n);
	f.min_duration_ns = 6 * MS + 1;
	assert_int_equal(find(st, &f), 0);
	f = (struct clew_span_filter){.name = SLICE("GET back"), .max_duration_ns = 8 * MS};
	assert_int_equal(find(st, &f), n);
	f = (struct clew_span_filter){.error = true};
	assert_int_equal(find(st, &f), n / 10);
	f = (struct clew_span_filter){.n_attrs = 1, .attrs = {{SLICE("item"), SLICE("77")}}};
	assert_int_equal(find(st, &f), 1);
	assert_int_equal(clew_span_attr(got.v[0], SLICE("item"))->i, 77);
	f.attrs[0].value = SLICE("077");
	assert_int_equal(find(st, &f), 0);
	f.attrs[0] = (struct clew_filter_attr){SLICE("no.such.key"), SLICE("1")};
	assert_int_equal(find(st, &f), 0);
	/* a resource's attribute, and a column that is shown as one */
	f.attrs[0] = (struct clew_filter_attr){SLICE("service.instance.id"), SLICE("back")};
	assert_int_equal(find(st, &f), n);
	f.n_attrs = 2;
	f.attrs[1] = (struct clew_filter_attr){SLICE("item"), SLICE("5")};
	assert_int_equal(find(st, &f), 1);
	f.attrs[1] = (struct clew_filter_attr){SLICE("clew.link.class"), SLICE("certain")};
	assert_int_equal(find(st, &f), 0);
	f.attrs[0] = (struct clew_filter_attr){SLICE("clew.link.evidence"), SLICE("thread")};
	assert_int_equal(find(st, &f), n);
	f = (struct clew_span_filter){.since_ns = T0 + 5 * 1000 * MS,
				      .until_ns = T0 + 6 * 1000 * MS};
	assert_int_equal(find(st, &f), 3 * 10 + 1);
	f = (struct clew_span_filter){.sort = CLEW_SORT_DURATION, .limit = 3};
	assert_int_equal(find(st, &f), 3);
	assert_int_equal(got.v[0]->duration_ns, 10 * MS + n);
	assert_int_equal(got.v[2]->duration_ns, 10 * MS + n - 2);
	f = (struct clew_span_filter){
		.sort = CLEW_SORT_START, .limit = 2, .service = SLICE("front")};
	assert_int_equal(find(st, &f), 2);
	assert_true(got.v[0]->start_ns > got.v[1]->start_ns);
	f = (struct clew_span_filter){0};
	assert_int_equal(find(st, &f), 3 * n);
	for (size_t i = 1; i < got.n; i++)
		assert_true(got.v[i]->start_ns >= got.v[i - 1]->start_ns);
}

/* The same answers from hot spans, from sealed and indexed ones, and from both. */
static void test_filters(void **state)
{
	static const uint32_t hot[] = {1000000, 100, 5500};
	const uint64_t n = 6000;

	for (size_t k = 0; k < sizeof(hot) / sizeof(*hot); k++) {
		struct clew_store_opts opts = {.hot_spans = hot[k], .batch_spans = 3000};
		struct clew_store_stats stats;
		char *dir = tmp_dir();
		struct clew_store *st = open_store(dir, &opts);

		for (uint64_t i = 1; i <= n; i++)
			put_shop(st, i, T0 + i * 100 * MS);
		assert_int_equal(clew_store_flush(st), 0);
		clew_store_stats(st, &stats);
		assert_int_equal(stats.stored, 3 * n);
		assert_int_equal(stats.dropped_queue, 0);
		assert_true(k == 0 ? stats.seals == 0 : stats.seals > 0);
		check_filters(st, n);
		forget(&got);
		clew_store_close(st);
		rm_dir(dir);
	}
}

struct summaries {
	struct clew_trace_summary v[100];
	size_t n;
};

static int get_summary(void *user, const struct clew_trace_summary *t)
{
	struct summaries *s = user;

	assert_true(s->n < 100);
	s->v[s->n++] = *t;
	return 0;
}

static struct summaries traces(struct clew_store *st, const struct clew_span_filter *f)
{
	struct summaries s = {.n = 0};
	char *error = NULL;
	int r = clew_store_find_traces(st, f, get_summary, &s, &error);

	if (r < 0)
		fail_msg("traces: %d %s", r, error ? error : "");
	return s;
}

static void test_traces(void **state)
{
	struct clew_store_opts opts = {.hot_spans = 500};
	struct clew_span_filter f = {.limit = 3};
	char *dir = tmp_dir();
	struct clew_store *st = open_store(dir, &opts);
	struct clew_id128 want;
	struct summaries s;

	for (uint64_t i = 1; i <= 400; i++) /* over four hours */
		put_shop(st, i, T0 + i * 36 * 1000 * MS);
	assert_int_equal(clew_store_flush(st), 0);
	s = traces(st, &f);
	assert_int_equal(s.n, 3);
	want = trace_id(400);
	assert_true(clew_id128_eq(&s.v[0].trace_id, &want));
	want = trace_id(398);
	assert_true(clew_id128_eq(&s.v[2].trace_id, &want));
	assert_true(slice_eq(s.v[0].service, SLICE("front")));
	assert_true(slice_eq(s.v[0].name, SLICE("GET /")));
	assert_int_equal(s.v[0].duration_ns, 10 * MS + 400);
	assert_int_equal(s.v[0].spans, 3);
	assert_int_equal(s.v[0].services, 2);
	assert_int_equal(s.v[0].errors, 1);
	f = (struct clew_span_filter){.error = true, .limit = 2};
	s = traces(st, &f);
	assert_int_equal(s.n, 2);
	want = trace_id(390);
	assert_true(clew_id128_eq(&s.v[1].trace_id, &want));
	f = (struct clew_span_filter){
		.sort = CLEW_SORT_DURATION, .limit = 2, .service = SLICE("back")};
	s = traces(st, &f);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.v[0].duration_ns, 10 * MS + 400);
	f = (struct clew_span_filter){.n_attrs = 1, .attrs = {{SLICE("item"), SLICE("3")}}};
	s = traces(st, &f);
	assert_int_equal(s.n, 1);
	want = trace_id(3);
	assert_true(clew_id128_eq(&s.v[0].trace_id, &want));
	clew_store_close(st);
	rm_dir(dir);
}

/* A root hours before the span that is found. */
static void test_trace_over_hours(void **state)
{
	char *dir = tmp_dir();
	struct clew_store *st = open_store(dir, NULL);
	struct clew_span_filter f = {.limit = 5, .name = SLICE("late")};
	struct summaries s;

	for (uint64_t h = 1; h < 5; h++)
		put_shop(st, h, T0 + h * 3600 * 1000 * MS);
	put(st, make_span(9, 901, 0, "a", "root", CLEW_KIND_SERVER, T0, 5 * 3600 * 1000 * MS));
	put(st,
	    make_span(9, 902, 901, "a", "late", CLEW_KIND_CLIENT, T0 + 5 * 3600 * 1000 * MS, MS));
	assert_int_equal(clew_store_flush(st), 0);
	s = traces(st, &f);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.v[0].spans, 2);
	assert_true(slice_eq(s.v[0].name, SLICE("root")));
	clew_store_close(st);
	rm_dir(dir);
}

/* What is found out later about spans that are stored, or that come while it waits. */
static void test_amend(void **state)
{
	char *dir = tmp_dir(), *error = NULL;
	struct clew_store_alias aliases[2000];
	struct clew_store_amendment v[2] = {
		{.trace_id = trace_id(2),
		 .to_trace_id = trace_id(1),
		 .parent_span_id = clew_id64_from(11),
		 .link = true,
		 .link_class = CLEW_LINK_CERTAIN,
		 .evidence = CLEW_EV_WIRE,
		 .confidence = 1,
		 .wire_key = trace_id(77),
		 .pid = 4,
		 .tid = 5,
		 .times = {1, -1, 3, 4, 5, 6, 7}},
		{.trace_id = trace_id(9), .to_trace_id = trace_id(1)}, /* never comes */
	};
	struct clew_span *spans[2], *found = NULL;
	struct clew_store *st = open_store(dir, NULL);
	struct clew_store_stats stats;
	struct clew_id64 id = clew_id64_from(21);
	struct clew_id128 want = trace_id(1), two = trace_id(2);

	v[0].span_id = clew_id64_from(21);
	v[1].span_id = clew_id64_from(91);
	for (uint64_t i = 0; i < 2000; i++)
		aliases[i] = (struct clew_store_alias){.trace_id = trace_id(i ? 1000 + i : 2),
						       .canonical = trace_id(i ? 5 : 1)};
	spans[0] = make_span(1, 11, 0, "a", "GET", CLEW_KIND_SERVER, T0, 10 * MS);
	spans[1] = make_span(2, 22, 21, "c", "inner", CLEW_KIND_INTERNAL, T0 + 2 * MS, 3 * MS);
	clew_store_append(st, spans, 2);
	assert_int_equal(clew_store_flush(st), 0);
	clew_store_amend(st, v, 2, aliases, 2000);
	assert_int_equal(clew_store_flush(st), 0);
	spans[0] = make_span(2, 21, 0, "c", "GET", CLEW_KIND_SERVER, T0 + MS, 5 * MS);
	clew_store_append(st, spans, 1); /* comes when the change waits already */
	assert_int_equal(clew_store_flush(st), 0);
	clew_store_close(st);
	st = open_store(dir, NULL);
	assert_int_equal(clew_store_get_span(st, &two, &id, &found, &error), 0);
	assert_memory_equal(&found->trace_id, &want, sizeof(want));
	assert_memory_equal(&found->parent_span_id, &v[0].parent_span_id, 8);
	assert_int_equal(found->evidence, CLEW_EV_WIRE);
	assert_int_equal(found->times.cpu_ns, 1);
	assert_int_equal(found->times.runq_ns, -1);
	assert_int_equal(found->pid, 4);
	assert_memory_equal(&found->wire_key, &v[0].wire_key, sizeof(want));
	/* those that came before it was known moved, too */
	id = clew_id64_from(22);
	clew_span_free(clew_steal(found));
	assert_int_equal(clew_store_get_span(st, &want, &id, &found, &error), 0);
	/* stored under its new id, it is known when it is sent again */
	spans[0] = make_span(1, 21, 0, "c", "GET", CLEW_KIND_SERVER, T0 + MS, 5 * MS);
	clew_store_append(st, spans, 1);
	assert_int_equal(clew_store_flush(st), 0);
	clew_store_stats(st, &stats);
	assert_int_equal(stats.duplicates, 1);
	clew_span_free(found);
	clew_store_close(st);
	rm_dir(dir);
}

static void test_ids_and_aliases(void **state)
{
	char *dir = tmp_dir(), hex[33], *error = NULL;
	struct clew_store *st = open_store(dir, NULL);
	struct clew_id128 id = trace_id(2), ids[4];
	struct clew_store_alias alias = {.trace_id = trace_id(2), .canonical = trace_id(1)};

	for (uint64_t i = 1; i <= 3; i++)
		put_shop(st, i, T0 + i);
	assert_int_equal(clew_store_flush(st), 0);
	clew_hex(id.b, 16, hex);
	for (size_t len = 8; len <= 32; len += 12) {
		assert_int_equal(clew_store_match_ids(st, slice_of(hex, len), ids, 4, &error), 1);
		assert_true(clew_id128_eq(&ids[0], &id));
	}
	assert_int_equal(clew_store_match_ids(st, SLICE("xyz"), ids, 4, &error), -EINVAL);
	free(error);
	error = NULL;
	forget(&got);
	assert_int_equal(clew_store_get_trace(st, &id, get, &got, &error), 0);
	assert_int_equal(got.n, 3);
	assert_int_equal(clew_store_add_alias(st, &alias, &error), 0);
	alias = (struct clew_store_alias){.trace_id = trace_id(1), .canonical = trace_id(2)};
	assert_int_equal(clew_store_add_alias(st, &alias, NULL), -EINVAL);
	for (int round = 0; round < 2; round++) {
		struct clew_span_filter f = {.limit = 10};
		struct summaries s;

		forget(&got);
		assert_int_equal(clew_store_get_trace(st, &id, get, &got, &error), 0);
		assert_int_equal(got.n, 6);
		id = trace_id(1);
		assert_true(clew_id128_eq(&got.v[5]->trace_id, &id));
		s = traces(st, &f);
		assert_int_equal(s.n, 2);
		assert_int_equal(s.v[1].spans, 6);
		assert_int_equal(clew_store_match_ids(st, slice_of(hex, 32), ids, 4, &error), 1);
		assert_true(clew_id128_eq(&ids[0], &id));
		forget(&got);
		clew_store_close(st);
		st = open_store(dir, NULL);
		id = trace_id(2);
	}
	id = trace_id(1234);
	assert_int_equal(clew_store_get_trace(st, &id, get, &got, &error), -ENOENT);
	clew_store_close(st);
	rm_dir(dir);
}

static int get_service(void *user, const struct clew_service_stats *s)
{
	struct clew_service_stats *v = user;

	v[slice_eq(s->service, SLICE("front"))] = *s;
	return 0;
}

static int get_edge(void *user, const struct clew_edge_stats *e)
{
	uint64_t *calls = user;

	if (!e->client.p && slice_eq(e->server, SLICE("front")))
		calls[0] = e->calls;
	else if (e->client.p && slice_eq(e->server, SLICE("back")) && !e->external)
		calls[1] = e->calls;
	else if (e->external && slice_eq(e->server, SLICE("10.0.0.9:6379")))
		calls[2] = e->calls;
	else
		calls[3]++;
	return 0;
}

static void test_services_and_map(void **state)
{
	const struct clew_service_query by_name = {.sort = CLEW_SERVICES_BY_NAME};
	struct clew_service_stats v[2] = {0};
	struct clew_span *s;
	uint64_t calls[4] = {0};
	char *dir = tmp_dir(), *error = NULL;
	struct clew_store *st = open_store(dir, NULL);

	assert_int_equal(clew_store_services(st, &by_name, NULL, get_service, v, &error), 0);
	assert_int_equal(v[1].spans, 0);
	for (uint64_t i = 1; i <= 100; i++)
		put_shop(st, i, T0 + i);
	s = make_span(1, 19, 13, "back", "redis", CLEW_KIND_CLIENT, T0, MS);
	clew_span_set_str(s, "server.address", SLICE("10.0.0.9"));
	clew_span_set_int(s, "server.port", 6379);
	put(st, s);
	assert_int_equal(clew_store_flush(st), 0);
	assert_int_equal(clew_store_services(st, &by_name, NULL, get_service, v, &error), 0);
	assert_int_equal(v[1].spans, 200);
	assert_int_equal(v[1].requests, 100);
	assert_int_equal(v[1].errors, 0);
	assert_int_equal(v[1].instances, 1);
	assert_int_equal(v[1].p50_ns, 10 * MS + 50);
	assert_int_equal(v[1].first_ns, T0 + 1);
	assert_int_equal(v[0].errors, 10);
	assert_int_equal(clew_store_map(st, 0, 0, 0, NULL, get_edge, calls, &error), 0);
	assert_int_equal(calls[0], 100);
	assert_int_equal(calls[1], 100);
	assert_int_equal(calls[2], 1);
	assert_int_equal(calls[3], 0);
	clew_store_close(st);
	rm_dir(dir);
}

static void test_modes_and_versions(void **state)
{
	char *dir = tmp_dir(), *sub, *error = NULL, path[300];
	struct clew_store_opts ro = {.read_only = true};
	struct clew_store *st, *second = NULL;
	struct stat sb;

	assert_true(asprintf(&sub, "%s/a/b", dir) > 0);
	assert_int_equal(clew_store_open(sub, &ro, &second, &error), -ENOENT);
	assert_non_null(strstr(error, "there is no store"));
	free(error);
	error = NULL;
	st = open_store(sub, NULL);
	put_shop(st, 1, T0);
	assert_int_equal(clew_store_flush(st), 0);
	assert_int_equal(clew_store_open(sub, NULL, &second, &error), -EBUSY);
	assert_non_null(strstr(error, "being written by pid"));
	free(error);
	error = NULL;
	assert_int_equal(clew_store_open(sub, &ro, &second, &error), -EBUSY);
	free(error);
	error = NULL;
	assert_int_equal(stat(sub, &sb), 0);
	assert_int_equal(sb.st_mode & 0777, 0700);
	clew_store_close(st);
	snprintf(path, sizeof(path), "%s/catalog.duckdb", sub);
	assert_int_equal(stat(path, &sb), 0);
	assert_int_equal(sb.st_mode & 0777, 0600);
	/* two readers beside each other */
	st = open_store(sub, &ro);
	second = open_store(sub, &ro);
	assert_int_equal(find(second, &(struct clew_span_filter){0}), 3);
	forget(&got);
	clew_store_close(st);
	clew_store_close(second);
	rm_dir(dir);
	free(sub);
}

struct seen_models {
	struct clew_service_model last;
	char service[32], task[32], settled[64];
	int n;
};

static int see_model(void *user, const struct clew_service_model *m)
{
	struct seen_models *s = user;

	s->last = *m;
	s->n++;
	snprintf(s->service, sizeof(s->service), "%.*s", (int)m->service.n, m->service.p);
	snprintf(s->task, sizeof(s->task), "%.*s", (int)m->task.n, m->task.p);
	snprintf(s->settled, sizeof(s->settled), "%.*s", (int)m->settled.n, m->settled.p);
	return 0;
}

static void read_models(struct clew_store *st, struct seen_models *s)
{
	char *error = NULL;

	*s = (struct seen_models){0};
	if (clew_store_service_models(st, see_model, s, &error) < 0)
		fail_msg("%s", error ? error : "");
}

/* As a store of before is. */
static void drop_models(const char *dir)
{
	duckdb_database db;
	duckdb_connection conn;
	char path[300];

	snprintf(path, sizeof(path), "%s/catalog.duckdb", dir);
	assert_int_equal(duckdb_open(path, &db), DuckDBSuccess);
	assert_int_equal(duckdb_connect(db, &conn), DuckDBSuccess);
	assert_int_equal(duckdb_query(conn, "DROP TABLE service_model", NULL), DuckDBSuccess);
	duckdb_disconnect(&conn);
	duckdb_close(&db);
}

/* One row a service: the last one. A store of before has no table: readers find nothing, a writer makes it. */
static void test_service_models(void **state)
{
	struct clew_service_model m = {
		.service = SLICE("it's"),
		.time_ns = T0,
		.runtime = SLICE("nodejs"),
		.task = SLICE("thread"),
		.certain = 7,
		.orphans = UINT64_MAX,
		.settled = SLICE("{\"thread\":7}"),
	};
	struct clew_store_opts reader = {.read_only = true};
	char *dir = tmp_dir(), *error = NULL;
	struct clew_store *st = open_store(dir, NULL);
	struct seen_models s;

	read_models(st, &s);
	assert_int_equal(s.n, 0);
	assert_int_equal(clew_store_put_service_models(st, &m, 1, &error), 0);
	m.certain = 8;
	assert_int_equal(clew_store_put_service_models(st, &m, 1, &error), 0);
	read_models(st, &s);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.last.certain, 8);
	clew_store_close(st);
	assert_int_equal(clew_store_open(dir, &reader, &st, &error), 0);
	read_models(st, &s);
	assert_int_equal(s.n, 1);
	assert_string_equal(s.service, "it's");
	assert_string_equal(s.task, "thread");
	assert_string_equal(s.settled, "{\"thread\":7}");
	assert_true(s.last.orphans == UINT64_MAX && s.last.time_ns == T0);
	assert_int_equal(clew_store_put_service_models(st, &m, 1, NULL), -EROFS);
	clew_store_close(st);
	drop_models(dir);
	assert_int_equal(clew_store_open(dir, &reader, &st, &error), 0);
	read_models(st, &s);
	assert_int_equal(s.n, 0);
	clew_store_close(st);
	st = open_store(dir, NULL);
	assert_int_equal(clew_store_put_service_models(st, &m, 1, &error), 0);
	read_models(st, &s);
	assert_int_equal(s.n, 1);
	clew_store_close(st);
	rm_dir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_field),
		cmocka_unit_test(test_same_span_twice),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_traces),
		cmocka_unit_test(test_trace_over_hours),
		cmocka_unit_test(test_ids_and_aliases),
		cmocka_unit_test(test_amend),
		cmocka_unit_test(test_services_and_map),
		cmocka_unit_test(test_modes_and_versions),
		cmocka_unit_test(test_service_models),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
