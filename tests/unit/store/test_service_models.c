/* SPDX-License-Identifier: Apache-2.0 */
/* How services work, as a recording found: one row a service, the last one. */
#include <errno.h>

#include <duckdb.h>

#include "util.h"

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
		cmocka_unit_test(test_service_models),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
