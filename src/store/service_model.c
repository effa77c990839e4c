/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How each service's calls were linked: a row a service, the figures of the recording that saw it
 * last. Beside the writer's thread, in the catalog; stores of before have no such table until a
 * writer opens them.
 */
#include <inttypes.h>

#include "store/internal.h"

#define COLUMNS 17

static void add_text(struct clew_buf *sql, struct slice s)
{
	duck_quote(sql, s.p ? s : SLICE(""));
	clew_buf_adds(sql, ",");
}

static void add_row(struct clew_buf *sql, const struct clew_service_model *m)
{
	const uint64_t figures[] = {m->groups, m->answers, m->hits,	m->misses,
				    m->roots,  m->certain, m->probable, m->orphans};

	clew_buf_adds(sql, "DELETE FROM c.service_model WHERE service = ");
	duck_quote(sql, m->service);
	clew_buf_adds(sql, ";INSERT INTO c.service_model VALUES (");
	add_text(sql, m->service);
	clew_buf_addf(sql, "%" PRIu64 ",", m->time_ns);
	add_text(sql, m->runtime);
	add_text(sql, m->version);
	add_text(sql, m->task);
	add_text(sql, m->model);
	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
		clew_buf_addf(sql, "%" PRIu64 ",", figures[i]);
	add_text(sql, m->settled);
	add_text(sql, m->orphaned);
	duck_quote(sql, m->options.p ? m->options : SLICE(""));
	clew_buf_adds(sql, ");");
}

int clew_store_put_service_models(struct clew_store *st, const struct clew_service_model *v,
				  size_t n, char **ret_error)
{
	struct clew_buf sql = {0};
	int r;

	if (!n)
		return 0;
	clew_buf_adds(&sql, "BEGIN TRANSACTION;");
	for (size_t i = 0; i < n; i++)
		add_row(&sql, &v[i]);
	clew_buf_adds(&sql, "COMMIT;");
	r = sql.err ? sql.err : write_catalog(st, sql.data, ret_error);
	clew_buf_done(&sql);
	return r;
}

struct models {
	clew_service_model_fn fn;
	void *user;
};

static int give_models(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	const struct models *m = user;
	struct duck_col c[COLUMNS];
	int r = 0;

	for (idx_t i = 0; i < COLUMNS; i++)
		c[i] = duck_col(chunk, i);
#define TEXT(col)   (duck_null(&c[col], i) ? SLICE("") : duck_str(&c[col], i))
#define NUMBER(col) (duck_null(&c[col], i) ? 0 : ((const uint64_t *)c[col].data)[i])
	for (idx_t i = 0; r == 0 && i < rows; i++) {
		const struct clew_service_model s = {
			.service = TEXT(0),
			.time_ns = NUMBER(1),
			.runtime = TEXT(2),
			.version = TEXT(3),
			.task = TEXT(4),
			.model = TEXT(5),
			.groups = NUMBER(6),
			.answers = NUMBER(7),
			.hits = NUMBER(8),
			.misses = NUMBER(9),
			.roots = NUMBER(10),
			.certain = NUMBER(11),
			.probable = NUMBER(12),
			.orphans = NUMBER(13),
			.settled = TEXT(14),
			.orphaned = TEXT(15),
			.options = TEXT(16),
		};

		r = m->fn(m->user, &s);
	}
#undef TEXT
#undef NUMBER
	return r;
}

static int see_any(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	*(bool *)user |= rows > 0;
	return 0;
}

int clew_store_service_models(struct clew_store *st, clew_service_model_fn fn, void *user,
			      char **ret_error)
{
	struct models m = {fn, user};
	struct query q;
	bool there = false;
	int r = query_begin(st, &q, ret_error);

	if (r < 0)
		return r;
	r = query_each(&q,
		       "SELECT 1 FROM duckdb_tables() WHERE database_name = 'c' AND"
		       " table_name = 'service_model'",
		       see_any, &there, ret_error);
	if (r == 0 && there)
		r = query_each(
			&q,
			"SELECT service, time_ns, runtime, runtime_version, task, model, groups,"
			" answers, hits, misses, roots, certain, probable, orphans, settled,"
			" orphaned, options FROM c.service_model ORDER BY service",
			give_models, &m, ret_error);
	query_end(&q);
	return r;
}
