/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing: a generation of hot spans becomes a run of `span`, trace by trace, with its index and what it adds
 * up to, in one transaction.
 *
 *	hot ─► order ─┬─► span += rows; run += (...)           each row is written once, compressed
 *	              ├─► block_index += (hash, block), trace_index += (hash, first row, spans), by hash
 *	              └─► rollups (rollup.c)                   ─► commit ─► checkpoint ─► the log is unlinked
 *
 * After a crash before the log is unlinked, its name tells that its rows are in span.
 */
#include <inttypes.h>
#include <time.h>

#include "store/damaged.h"
#include "store/run_index.h"

/* A checkpoint writes unfinished row groups of the indexes once more, so that not each run has one. */
#define CHECKPOINT_SPANS    (2 * CLEW_STORE_HOT_SPANS)
#define CHECKPOINT_TRIES    10
#define CHECKPOINT_RETRY_NS (2 * 1000 * 1000)

/*
 * All rows are in the digest: traces that the rollups have already go on from there. new_ids: a statement
 * that gives the ids of the traces that the digest has.
 */
static int complete_digest(struct clew_store *st, duckdb_connection conn, struct part *p,
			   struct digest *d, const char *new_ids, char **ret_error)
{
	struct query q = {.st = st, .conn = conn};
	int r;

	pthread_mutex_lock(&st->state_lock);
	r = query_snapshot(&q);
	pthread_mutex_unlock(&st->state_lock);
	if (r == 0)
		r = rollup_continue(&q, d, new_ids, p->hour, ret_error);
	query_snapshot_done(&q);
	return r < 0 ? r : digest_finish(d);
}

/* Rows that were sealed by a writer that knew no rollups: into the rollups, without the index. */
static int digest_rows(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col row_id = duck_col(chunk, 0);

	return digest_add(user, chunk, 1, rows, false, row_id.data);
}

int digest_part(struct clew_store *st, struct part *p, char **ret_error)
{
	uint64_t to = p->digested + st->opts.hot_spans;
	struct digest *d = digest_new(st, true);
	struct clew_buf sql = {0};
	char rows[128], ids[192];
	int r;

	if (!d)
		return -ENOMEM;
	to = to < p->indexed ? to : p->indexed;
	clew_buf_addf(&sql,
		      "SELECT rowid, " DIGEST_COLUMNS " FROM %s.span WHERE rowid >= %" PRIu64
		      " AND rowid < %" PRIu64 " AND trace_id <> 0",
		      p->name, p->digested, to);
	r = sql.err ? sql.err : duck_each(st->conn, sql.data, digest_rows, d, ret_error);
	snprintf(rows, sizeof(rows),
		 "%s.span WHERE rowid >= %" PRIu64 " AND rowid < %" PRIu64 " AND trace_id <> 0",
		 p->name, p->digested, to);
	snprintf(ids, sizeof(ids), "SELECT DISTINCT trace_id FROM %s", rows);
	if (r == 0)
		r = complete_digest(st, st->conn, p, d, ids, ret_error);
	if (r == 0)
		r = duck_exec(st->conn, "BEGIN TRANSACTION;", ret_error);
	if (r == 0) {
		r = rollup_store(st->conn, p, d, rows, p->digested, to, ret_error);
		if (r == 0)
			r = duck_exec(st->conn, "COMMIT;", ret_error);
		if (r < 0)
			(void)duck_exec(st->conn, "ROLLBACK;", NULL);
	}
	clew_buf_done(&sql);
	digest_free(d);
	if (r < 0)
		return r;
	pthread_mutex_lock(&st->state_lock);
	p->digested = to;
	pthread_mutex_unlock(&st->state_lock);
	p->dirty = true;
	return 0;
}

/* ---- a run ---- */

int index_tail(struct clew_store *st, struct part *p, struct hot *h, char **ret_error)
{
	bool digests = p->has_rollups && p->digested == p->indexed;
	struct entries e;
	char source[128], ids[192];
	int r = entries_init(&e, st, digests);

	snprintf(source, sizeof(source), "%s.span WHERE rowid >= %" PRIu64, p->name, p->indexed);
	snprintf(ids, sizeof(ids), "SELECT DISTINCT trace_id FROM %s", source);
	if (r == 0)
		r = entries_index(&e, h, p->indexed);
	if (r == 0 && digests)
		r = complete_digest(st, st->conn, p, e.digest, ids, ret_error);
	if (r == 0)
		r = duck_exec(st->conn, "BEGIN TRANSACTION;", ret_error);
	if (r == 0) {
		r = entries_store(st->conn, p, &e, source, p->indexed, p->rows, ret_error);
		if (r == 0)
			r = duck_execf(st->conn, ret_error, "UPDATE %s.run SET indexed = true;",
				       p->name);
		if (r == 0)
			r = duck_exec(st->conn, "COMMIT;", ret_error);
		if (r < 0)
			(void)duck_exec(st->conn, "ROLLBACK;", NULL);
	}
	if (r == 0) {
		trace_filter_sealed(st, p, e.filter, p->indexed, p->rows);
		e.filter = NULL;
	}
	entries_done(&e);
	if (r < 0)
		return r;
	pthread_mutex_lock(&st->state_lock);
	p->indexed = p->rows;
	if (digests)
		p->digested = p->rows;
	pthread_mutex_unlock(&st->state_lock);
	p->dirty = true;
	return 0;
}

static void set_sealing(struct clew_store *st, struct hot *h)
{
	pthread_mutex_lock(&st->state_lock);
	st->sealing = h;
	pthread_mutex_unlock(&st->state_lock);
}

/* What the run and its rows are, inside of the transaction. */
static int store_run(struct clew_store *st, struct part *p, const struct hot *h, struct entries *e,
		     char **ret_error)
{
	char source[64];
	int r = duck_execf(st->seal_conn, ret_error,
			   "INSERT INTO %s.run VALUES (%" PRIu64 ", %u, %" PRId64 ", %" PRId64
			   ", true);"
			   "INSERT INTO %s.span SELECT * FROM clew_hot(%" PRId64 ");",
			   p->name, p->rows, h->n, h->min_ns, h->max_ns, p->name, p->hour);

	snprintf(source, sizeof(source), "clew_hot(%" PRId64 ") WHERE trace_id <> 0", p->hour);
	return r < 0 ? r
		     : entries_store(st->seal_conn, p, e, source, p->rows, p->rows + h->n,
				     ret_error);
}

/* From then on queries that begin find the rows in span, those that have begun in h. */
static int publish(struct clew_store *st, struct part *p, bool digested, char **ret_error)
{
	int r;

	pthread_mutex_lock(&st->publish_lock);
	r = duck_exec(st->seal_conn, "COMMIT;", ret_error);
	if (r == 0)
		hot_sealed(st, p, digested);
	pthread_mutex_unlock(&st->publish_lock);
	return r;
}

static int seal_rows(struct clew_store *st, struct part *p, struct hot *h, char **ret_error)
{
	bool digests = p->has_rollups && p->digested == p->rows;
	struct entries e;
	char ids[64];
	int r = entries_init(&e, st, digests);

	snprintf(ids, sizeof(ids), "SELECT trace_id FROM clew_hot(%" PRId64 ")", p->hour);
	if (r == 0)
		r = hot_sort(h);
	if (r == 0)
		r = entries_index(&e, h, p->rows);
	if (r == 0 && digests)
		r = complete_digest(st, st->seal_conn, p, e.digest, ids, ret_error);
	if (r == 0)
		r = duck_exec(st->seal_conn, "BEGIN TRANSACTION;", ret_error);
	if (r == 0) {
		r = store_run(st, p, h, &e, ret_error);
		if (r == 0)
			r = publish(st, p, digests, ret_error);
		if (r == 0) {
			trace_filter_sealed(st, p, e.filter, p->rows - h->n, p->rows);
			e.filter = NULL;
		}
		if (r < 0)
			(void)duck_exec(st->seal_conn, "ROLLBACK;", NULL);
	}
	entries_done(&e);
	return r;
}

int seal_hot(struct clew_store *st, struct part *p, char **ret_error)
{
	struct hot *h = p->hots[0];
	uint32_t n = h->n;
	int r;

	set_sealing(st, h);
	r = seal_rows(st, p, h, ret_error);
	set_sealing(st, NULL);
	if (r < 0) {
		(void)damaged_unwritable(st, p, ret_error ? *ret_error : NULL);
		return r;
	}
	p->dirty = true;
	p->unchecked += n;
	if (p->unchecked >= CHECKPOINT_SPANS || n < st->opts.hot_spans)
		r = checkpoint_part(st, st->seal_conn, p, ret_error);
	/* Its rows are in span, and durable: DuckDB syncs its log with the commit. They go on from here where the
	 * hour's file is to be set aside. */
	if (r == 0 || !damaged_unwritable(st, p, ret_error ? *ret_error : NULL))
		(void)!unlinkat(st->dir_fd, h->file, 0);
	hot_unref(h);
	pthread_mutex_lock(&st->queue_lock);
	st->stats.seals++;
	pthread_mutex_unlock(&st->queue_lock);
	return r;
}

int checkpoint(struct clew_store *st, duckdb_connection conn, const char *name, char **ret_error)
{
	bool busy = true;
	int r = -EBUSY;

	/* A query that ends holds DuckDB's checkpoint lock for a moment. */
	for (int i = 0; busy && i < CHECKPOINT_TRIES; i++) {
		_cleanup_(freep) char *error = NULL;

		if (i)
			nanosleep(&(struct timespec){.tv_nsec = CHECKPOINT_RETRY_NS}, NULL);
		r = duck_execf(conn, &error, "CHECKPOINT %s;", name);
		busy = r < 0 && error && strstr(error, "Cannot CHECKPOINT");
		if (r < 0 && !busy)
			set_error(ret_error, r, "%s", error ? error : "?");
	}
	fix_modes(st);
	return busy ? -EBUSY : r;
}

int checkpoint_part(struct clew_store *st, duckdb_connection conn, struct part *p, char **ret_error)
{
	int r = checkpoint(st, conn, p->name, ret_error);

	p->late_checkpoint = r == -EBUSY;
	if (r == 0) {
		p->dirty = false;
		p->unchecked = 0;
	}
	return r == -EBUSY ? 0 : r;
}
