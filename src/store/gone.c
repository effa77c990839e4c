/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans that are gone: what a kernel saw of an exchange whose other teller, an SDK, sent its span when this one
 * had been stored. Their rows stay in their places, so that nothing that counts rows changes, with trace_id 0,
 * which no span has:
 *
 *	hot       a frame of the log (hot.h); clew_hot() leaves them out
 *	sealed    UPDATE of trace_id; queries of an hour that has such add not_gone()
 *
 * Which hours have, or may have, is in the catalog's table `gone`, written before the first of them: a crash in
 * between costs a condition that finds nothing.
 */
#include <inttypes.h>

#include "store/internal.h"

static void set_gone(struct clew_store *st, struct part *p)
{
	pthread_mutex_lock(&st->state_lock);
	p->has_gone = true;
	pthread_mutex_unlock(&st->state_lock);
}

int gone_note(struct clew_store *st, struct part *p, char **ret_error)
{
	int r = 0;

	if (!p->has_gone)
		r = duck_execf(st->conn, ret_error, "INSERT INTO c.gone VALUES (%" PRId64 ");",
			       p->hour);
	if (r == 0)
		set_gone(st, p);
	return r;
}

static int load_hours(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col hour = duck_col(chunk, 0);
	struct clew_store *st = user;

	for (idx_t i = 0; i < rows; i++)
		for (size_t k = 0; k < st->n_parts; k++)
			if (st->parts[k]->hour == ((int64_t *)hour.data)[i])
				set_gone(st, st->parts[k]);
	return 0;
}

int gone_load(struct clew_store *st, char **ret_error)
{
	int64_t tables = 0;
	int r = duck_int(st->conn,
			 "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'c' AND"
			 " table_name = 'gone'",
			 0, &tables, ret_error);

	/* A reader of a store that was written before. */
	if (r < 0 || !tables)
		return r;
	/* Hours that were dropped. */
	if (!st->opts.read_only && st->n_parts)
		r = duck_execf(st->conn, ret_error, "DELETE FROM c.gone WHERE hour < %" PRId64 ";",
			       st->parts[0]->hour);
	return r < 0 ? r
		     : duck_each(st->conn, "SELECT hour FROM c.gone", load_hours, st, ret_error);
}
