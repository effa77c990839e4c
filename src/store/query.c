/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A query: a connection of its own, a snapshot of the partitions, a deadline.
 *
 * One watchdog thread a store looks at all queries that run and interrupts those that are over
 * their time, and sleeps while there are none; in a store that is open read-only it also looks for a writer that waits.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "store/damaged.h"
#include "store/hour_ask.h"

#define TICK_NS (20 * 1000 * 1000)

int query_snapshot(struct query *q)
{
	struct clew_store *st = q->st;

	q->parts = calloc(st->n_parts ? st->n_parts : 1, sizeof(*q->parts));
	if (!q->parts)
		return -ENOMEM;
	for (size_t i = 0; i < st->n_parts; i++) {
		struct part *p = st->parts[i];
		struct part_ref *ref = &q->parts[i];

		ref->part = p;
		ref->hour = p->hour;
		memcpy(ref->name, p->name, sizeof(ref->name));
		snprintf(ref->hot, sizeof(ref->hot), "clew_hot(%" PRId64 ")", p->hour);
		ref->indexed = p->indexed;
		ref->last_run = p->last_run;
		ref->sealed = p->rows;
		ref->has_tail = p->rows > p->indexed;
		ref->has_hot = p->hot_rows > 0;
		ref->rows = p->rows + p->hot_rows;
		ref->digested = p->digested;
		ref->has_rollups = p->has_rollups;
		ref->has_gone = p->has_gone;
		q->has_damage |= p->has_damage;
		for (uint32_t k = 0; k < p->n_hots; k++)
			ref->hots[ref->n_hots++] =
				(struct hot_view){hot_ref(p->hots[k]), p->hots[k]->n};
	}
	q->n_parts = st->n_parts;
	return 0;
}

void query_snapshot_done(struct query *q)
{
	for (size_t i = 0; i < q->n_parts; i++)
		for (uint32_t k = 0; k < q->parts[i].n_hots; k++)
			hot_unref(q->parts[i].hots[k].hot);
	free(q->parts);
	q->parts = NULL;
	q->n_parts = 0;
}

static int set_digested(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col at = duck_col(chunk, 0), n = duck_col(chunk, 1);
	struct query *q = user;

	for (idx_t i = 0; i < rows; i++)
		q->parts[((int64_t *)at.data)[i]].digested = (uint64_t)((int64_t *)n.data)[i];
	return 0;
}

int query_digested(struct query *q, size_t from, size_t to, char **ret_error)
{
	struct clew_buf sql = {0};
	int r = 0;

	for (size_t i = from; i < to; i++) {
		const struct part_ref *p = &q->parts[i];

		/* Only what is being written moves. */
		if (q->st->opts.read_only || !p->has_rollups || (!p->has_hot && !p->has_tail))
			continue;
		clew_buf_addf(
			&sql,
			"%sSELECT %zu::BIGINT, coalesce(sum(spans), 0)::BIGINT FROM %s.digest",
			sql.len ? " UNION ALL " : "", i, p->name);
	}
	if (sql.len)
		r = sql.err ? sql.err : query_each(q, sql.data, set_digested, q, ret_error);
	clew_buf_done(&sql);
	return r;
}

idx_t query_connection(duckdb_connection conn)
{
	duckdb_client_context context;
	idx_t n;

	duckdb_connection_get_client_context(conn, &context);
	n = duckdb_client_context_get_connection_id(context);
	duckdb_destroy_client_context(&context);
	return n;
}

static int enter(struct clew_store *st, struct query *q)
{
	int r;

	pthread_mutex_lock(&st->state_lock);
	r = query_snapshot(q);
	if (r == 0) {
		q->seq = ++st->query_seq;
		q->next = st->queries;
		st->queries = q;
		pthread_cond_signal(&st->watch_cond);
	}
	pthread_mutex_unlock(&st->state_lock);
	return r;
}

/* The engine takes its snapshot of a file when a statement first names it: of those with hot spans it must be
 * of the same moment as ours. */
static int touch(struct query *q, char **ret_error)
{
	struct clew_buf sql = {0};
	int r = 0;

	for (size_t i = 0; i < q->n_parts; i++)
		if (q->parts[i].has_hot)
			clew_buf_addf(&sql, "%sSELECT 1 FROM %s.run WHERE false",
				      sql.len ? " UNION ALL " : "", q->parts[i].name);
	if (sql.len)
		r = sql.err ? sql.err : duck_exec(q->conn, sql.data, ret_error);
	clew_buf_done(&sql);
	return r;
}

int query_begin(struct clew_store *st, struct query *q, char **ret_error)
{
	int r = 0;

	*q = (struct query){.st = st, .deadline_ns = clew_mono_ns() + st->opts.timeout_ns};
	pthread_rwlock_rdlock(&st->gate);
	if (!st->db)
		r = set_error(ret_error, -EAGAIN, "the store is being recovered: try again");
	else if (duckdb_connect(st->db, &q->conn) != DuckDBSuccess)
		r = -ENOMEM;
	/* One state of each file for all statements of this query, and nothing is written. */
	if (r == 0)
		r = duck_exec(q->conn, "BEGIN TRANSACTION READ ONLY;", ret_error);
	if (r == 0) {
		q->connection = query_connection(q->conn);
		pthread_mutex_lock(&st->publish_lock);
		r = enter(st, q);
		if (r == 0 && (r = touch(q, ret_error)) < 0) {
			pthread_mutex_unlock(&st->publish_lock);
			query_end(q);
			return r;
		}
		pthread_mutex_unlock(&st->publish_lock);
	}
	if (r < 0) {
		if (q->conn)
			duckdb_disconnect(&q->conn);
		query_snapshot_done(q);
		pthread_rwlock_unlock(&st->gate);
	}
	return r;
}

void query_end(struct query *q)
{
	struct clew_store *st = q->st;

	pthread_mutex_lock(&st->state_lock);
	for (struct query **at = &st->queries; *at; at = &(*at)->next)
		if (*at == q) {
			*at = q->next;
			break;
		}
	pthread_mutex_unlock(&st->state_lock);
	(void)duck_exec(q->conn, "ROLLBACK;", NULL);
	duckdb_disconnect(&q->conn);
	hour_ask_done(q);
	query_snapshot_done(q);
	pthread_rwlock_unlock(&st->gate);
}

static int stopped(struct query *q, char **ret_error)
{
	switch (-atomic_load(&q->stop)) {
	case ETIMEDOUT:
		return set_error(
			ret_error, -ETIMEDOUT,
			"stopped after %.0f s: narrow it with --since, --service or --limit",
			(double)q->st->opts.timeout_ns / 1e9);
	case EAGAIN:
		return set_error(ret_error, -EAGAIN, "the store has got a writer: try again");
	case ENOMEM:
		return set_error(ret_error, -ENOMEM,
				 "stopped because the writer needed the memory: narrow it with "
				 "--since, --service or --limit");
	default:
		return 0;
	}
}

/* ---- without hours that cannot be read ---- */

/* Of the name of an hour ("h490923.") at the beginning of a text: the hour, if it is left out. */
static const struct part_ref *hour_named(const struct query *q, const char *sql)
{
	for (size_t i = 0; *sql == 'h' && i < q->n_parts; i++) {
		const struct part_ref *p = &q->parts[i];
		size_t n = strlen(p->name);

		if (p->left_out && !strncmp(sql, p->name, n) && sql[n] == '.')
			return p;
	}
	return NULL;
}

/* The statement with tables that are empty in place of these hours'. Texts in quotes stay as they are. */
static int without_hours(const struct query *q, const char *sql, struct clew_buf *out)
{
	bool in_text = false, in_word = false;

	while (*sql) {
		const struct part_ref *p = in_text || in_word ? NULL : hour_named(q, sql);

		in_text ^= *sql == '\'';
		in_word = isalnum((unsigned char)*sql) || *sql == '_' || *sql == '.';
		clew_buf_add(out, p ? EMPTY_HOUR : sql, p ? strlen(EMPTY_HOUR) : 1);
		sql += p ? strlen(p->name) : 1;
	}
	return clew_buf_addc(out, '\0');
}

/* Was something sealed since the query began? What is in memory and what is in files would not fit together. */
static bool still_fits(struct query *q)
{
	bool fits = true;

	pthread_mutex_lock(&q->st->state_lock);
	for (size_t i = 0; i < q->n_parts; i++)
		fits = fits &&
		       (!q->parts[i].has_hot || q->parts[i].part->rows == q->parts[i].sealed);
	pthread_mutex_unlock(&q->st->state_lock);
	return fits;
}

static int ask_again(char **ret_error)
{
	return set_error(ret_error, -ERESTART,
			 "a part of the store was found to be damaged: ask again");
}

/* After an error the engine takes nothing more in a transaction: another one, of the same state. */
static int begin_again(struct query *q, char **ret_error)
{
	int r = duck_exec(q->conn, "ROLLBACK;", ret_error);

	if (r == 0)
		r = duck_exec(q->conn, "BEGIN TRANSACTION READ ONLY;", ret_error);
	if (r < 0)
		return r;
	pthread_mutex_lock(&q->st->publish_lock);
	r = still_fits(q) ? touch(q, ret_error) : ask_again(ret_error);
	pthread_mutex_unlock(&q->st->publish_lock);
	return r;
}

/* Has a statement given something? */
struct giving {
	duck_chunk_fn fn;
	void *user;
	bool given;
};

static int give(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct giving *g = user;

	g->given = true;
	return g->fn(g->user, chunk, rows);
}

static int ask(struct query *q, const char *sql, struct giving *g, char **ret_error)
{
	struct clew_buf other = {0};
	int r;

	if (!q->has_damage)
		return duck_each(q->conn, sql, give, g, ret_error);
	r = without_hours(q, sql, &other);
	if (r == 0)
		r = duck_each_whole(q->conn, other.data, give, g, ret_error);
	clew_buf_done(&other);
	return r;
}

/* The statement failed: if a block is why, leave out its hour. 1: ask again. */
static int look_for_damage(struct query *q, const char *error, bool given, char **ret_error)
{
	size_t at = 0;
	int r;

	while (at < q->n_parts && !damaged_block(q->st, q->parts[at].hour, error))
		at++;
	if (at == q->n_parts || q->parts[at].left_out)
		return 0;
	damaged_note(q->st, q->parts[at].part, error);
	q->parts[at].left_out = true;
	q->n_left_out++;
	q->has_damage = true;
	r = q->connection ? begin_again(q, ret_error) : 0;
	if (r == 0 && given)
		r = ask_again(ret_error);
	return r < 0 ? r : 1;
}

int query_each(struct query *q, const char *sql, duck_chunk_fn fn, void *user, char **ret_error)
{
	_cleanup_(freep) char *error = NULL;
	struct giving g = {fn, user, false};
	int r = stopped(q, ret_error), again = 1;

	if (r < 0)
		return r;
	while (again > 0) {
		free(error);
		error = NULL;
		r = ask(q, sql, &g, &error);
		again = r == -EIO ? look_for_damage(q, error, g.given, ret_error) : 0;
	}
	if (again < 0)
		return again;
	if (r < 0 && atomic_load(&q->stop))
		return stopped(q, ret_error);
	if (r == -ENOMEM)
		return set_error(ret_error, r,
				 "not enough memory for this query: narrow it with --since, "
				 "--service or --limit");
	return r < 0 ? set_error(ret_error, r, "%s", error ? error : strerror(-r)) : 0;
}

void queries_interrupt(struct clew_store *st, int reason)
{
	pthread_mutex_lock(&st->state_lock);
	for (struct query *q = st->queries; q; q = q->next) {
		int none = 0;

		atomic_compare_exchange_strong(&q->stop, &none, reason);
		duckdb_interrupt(q->conn);
	}
	pthread_mutex_unlock(&st->state_lock);
}

/* Nothing is to be watched: no query runs, and no writer can wait for us. */
static void wait_for_query(struct clew_store *st)
{
	pthread_mutex_lock(&st->state_lock);
	while (!st->queries && !st->opts.read_only && !atomic_load(&st->stop))
		pthread_cond_wait(&st->watch_cond, &st->state_lock);
	pthread_mutex_unlock(&st->state_lock);
}

static void *watchdog_main(void *arg)
{
	struct clew_store *st = arg;

	while (!atomic_load(&st->stop)) {
		uint64_t now;

		wait_for_query(st);
		now = clew_mono_ns();
		nanosleep(&(struct timespec){.tv_nsec = TICK_NS}, NULL);
		if (st->opts.read_only && clew_lock_writer_waits(&st->lock))
			queries_interrupt(st, -EAGAIN);
		pthread_mutex_lock(&st->state_lock);
		for (struct query *q = st->queries; q; q = q->next) {
			int none = 0;

			if (now < atomic_load(&q->deadline_ns))
				continue;
			atomic_compare_exchange_strong(&q->stop, &none, -ETIMEDOUT);
			duckdb_interrupt(q->conn);
		}
		pthread_mutex_unlock(&st->state_lock);
	}
	return NULL;
}

int watchdog_start(struct clew_store *st)
{
	int r = pthread_create(&st->watchdog, NULL, watchdog_main, st);

	if (r)
		return -r;
	st->has_watchdog = true;
	return 0;
}

void watchdog_stop(struct clew_store *st)
{
	pthread_mutex_lock(&st->state_lock);
	atomic_store(&st->stop, true);
	pthread_cond_broadcast(&st->watch_cond);
	pthread_mutex_unlock(&st->state_lock);
	if (st->has_watchdog)
		pthread_join(st->watchdog, NULL);
	st->has_watchdog = false;
}
