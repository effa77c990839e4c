/* SPDX-License-Identifier: Apache-2.0 */
/* Lists that have a limit: services and the map's edges, from spans and from rollups alike. */
#include <errno.h>
#include <stddef.h>

#include "util.h"

#define SERVICES 300

static char *dir;
static struct clew_store *stores[2]; /* from spans, from rollups */

/* service-7 has 7 spans of its own, and calls service-8 once; the last service's are the oldest. */
static void fill(struct clew_store *st)
{
	char name[32], next[32];
	uint64_t id = 0;

	for (uint64_t i = 1; i <= SERVICES; i++) {
		uint64_t start = T0 + (SERVICES - i) * 10000 * MS;

		snprintf(name, sizeof(name), "service-%03d", (int)i);
		snprintf(next, sizeof(next), "service-%03d", (int)i + 1);
		for (uint64_t k = 0; k < i; k++)
			put(st, make_span(i * 1000 + k, ++id, 0, name, "work", CLEW_KIND_SERVER,
					  start, MS));
		if (i == SERVICES)
			continue;
		id++;
		put(st, make_span(i * 1000, id, id - i, name, "call", CLEW_KIND_CLIENT, start, MS));
		put(st, make_span(i * 1000, id + 1, id, next, "work", CLEW_KIND_SERVER, start, MS));
		id++;
		if (i % 50 == 0)
			assert_int_equal(clew_store_flush(st), 0);
	}
	assert_int_equal(clew_store_flush(st), 0);
}

static int setup(void **state)
{
	char path[200];

	dir = tmp_dir();
	snprintf(path, sizeof(path), "%s/exact", dir);
	stores[0] = open_store(path, &(struct clew_store_opts){.exact_spans = UINT64_MAX});
	snprintf(path, sizeof(path), "%s/rolled", dir);
	stores[1] = open_store(
		path,
		&(struct clew_store_opts){.exact_spans = 1, .hot_spans = 2000, .batch_spans = 500});
	fill(stores[0]);
	fill(stores[1]);
	return 0;
}

static int teardown(void **state)
{
	clew_store_close(stores[0]);
	clew_store_close(stores[1]);
	rm_dir(dir);
	return 0;
}

struct list {
	char names[SERVICES + 1][32];
	struct clew_service_stats v[SERVICES + 1];
	size_t n;
	uint64_t total;
};

static int keep(void *user, const struct clew_service_stats *s)
{
	struct list *l = user;

	assert_true(l->n < SERVICES);
	l->v[l->n] = *s;
	snprintf(l->names[l->n++], sizeof(*l->names), "%.*s", (int)s->service.n, s->service.p);
	return 0;
}

static void ask(struct clew_store *st, struct clew_service_query sq, struct list *ret)
{
	char *error = NULL;

	*ret = (struct list){.n = 0};
	if (clew_store_services(st, &sq, &ret->total, keep, ret, &error) < 0)
		fail_msg("%s", error ? error : "?");
}

static void test_sorts(void **state)
{
	static struct list l;

	for (int i = 0; i < 2; i++) {
		struct clew_store *st = stores[i];

		ask(st, (struct clew_service_query){.limit = 3}, &l);
		assert_int_equal(l.total, SERVICES);
		assert_int_equal(l.n, 3);
		assert_string_equal(l.names[0], "service-299"); /* 299, its call, its caller's */
		assert_int_equal(l.v[0].spans, 301);
		assert_int_equal(l.v[0].requests, 300);
		assert_int_equal(l.v[0].instances, 1);
		assert_true(l.v[0].p95_ns >= MS * 3 / 4 && l.v[0].p95_ns <= MS * 4 / 3);
		assert_string_equal(l.names[1], "service-300");
		assert_string_equal(l.names[2], "service-298");
		ask(st, (struct clew_service_query){.limit = 2, .sort = CLEW_SERVICES_NEWEST}, &l);
		assert_string_equal(l.names[0], "service-001");
		ask(st, (struct clew_service_query){.sort = CLEW_SERVICES_BY_NAME}, &l);
		assert_int_equal(l.n, SERVICES);
		assert_string_equal(l.names[0], "service-001");
		assert_string_equal(l.names[299], "service-300");
		assert_int_equal(l.v[9].spans, 12);
	}
}

static void test_parts(void **state)
{
	const struct slice only[] = {SLICE("service-007"), SLICE("nobody"), SLICE("service-100")};
	static struct list l;

	for (int i = 0; i < 2; i++) {
		struct clew_store *st = stores[i];

		ask(st, (struct clew_service_query){.prefix = SLICE("service-01"), .limit = 4}, &l);
		assert_int_equal(l.total, 10);
		assert_int_equal(l.n, 4);
		assert_string_equal(l.names[0], "service-019");
		ask(st,
		    (struct clew_service_query){.sort = CLEW_SERVICES_BY_NAME,
						.after = SLICE("service-150"),
						.limit = 2,
						.names_only = true},
		    &l);
		assert_int_equal(l.total, SERVICES);
		assert_string_equal(l.names[0], "service-151");
		assert_string_equal(l.names[1], "service-152");
		assert_int_equal(l.v[0].spans, 153);
		ask(st, (struct clew_service_query){.only = only, .n_only = 3}, &l);
		assert_int_equal(l.n, 2);
		assert_string_equal(l.names[0], "service-100");
		assert_int_equal(l.v[1].spans, 9);
		ask(st, (struct clew_service_query){.only = only + 1, .n_only = 1}, &l);
		assert_int_equal(l.n, 0);
		ask(st, (struct clew_service_query){.prefix = SLICE("x")}, &l);
		assert_int_equal(l.n + l.total, 0);
		/* Of a minute: six services. */
		ask(st,
		    (struct clew_service_query){.since_ns = T0, .until_ns = T0 + 60000 * MS - 1},
		    &l);
		assert_int_equal(l.n, 6);
	}
}

struct edges {
	uint64_t calls[SERVICES * 3];
	bool from[SERVICES * 3];
	size_t n;
};

static int keep_edge(void *user, const struct clew_edge_stats *e)
{
	struct edges *l = user;

	l->from[l->n] = e->client.p;
	l->calls[l->n++] = e->calls;
	return 0;
}

static void test_edges(void **state)
{
	struct edges l;
	uint64_t total;

	for (int i = 0; i < 2; i++) {
		l.n = 0;
		assert_int_equal(clew_store_map(stores[i], 0, 0, 3, &total, keep_edge, &l, NULL),
				 0);
		assert_int_equal(total, SERVICES + SERVICES - 1);
		assert_int_equal(l.n, 3);
		assert_false(l.from[0] || l.from[1] || l.from[2]);
		assert_int_equal(l.calls[0] + l.calls[1] + l.calls[2], 300 + 299 + 298);
		l.n = 0;
		assert_int_equal(clew_store_map(stores[i], 0, 0, 0, NULL, keep_edge, &l, NULL), 0);
		assert_int_equal(l.n, total);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sorts),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_edges),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
