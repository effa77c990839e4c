/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is found out about spans after they were stored. It waits in a queue of its own and is done by
 * the writer's thread between batches, all of it in a few statements:
 *
 *	queue ─► temporary table `amend` ─► UPDATE of each partition's `hot` by (trace, span) id
 *
 * A span that is not in any `hot` may be on its way: it is tried again for TRY_NS. Sealed spans stay
 * as they are; what is known of their traces is in `alias`.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "store/internal.h"

#define LOOK_NS	     (1000ull * 1000 * 1000)
#define TRY_NS	     (6000ull * 1000 * 1000)
#define ROWS_AT_ONCE 500u

/* ---- in ---- */

static bool room(void **v, size_t *cap, size_t size, size_t n)
{
	size_t want = *cap ? *cap : 256;
	void *p;

	while (want < n)
		want *= 2;
	if (want == *cap)
		return true;
	p = realloc(*v, want * size);
	if (!p)
		return false;
	*v = p;
	*cap = want;
	return true;
}

/* Under queue_lock: how many more of them are taken. */
static size_t fitting(size_t waiting, size_t n)
{
	size_t left = CLEW_STORE_MAX_AMENDMENTS - waiting;

	return n < left ? n : left;
}

void clew_store_amend(struct clew_store *st, const struct clew_store_amendment *v, size_t n,
		      const struct clew_store_alias *aliases, size_t n_aliases)
{
	struct amend_queue *q = &st->amend;
	uint64_t now = clew_mono_ns();
	size_t items, names;

	if (!n && !n_aliases)
		return;
	pthread_mutex_lock(&st->queue_lock);
	items = fitting(q->n, n);
	names = fitting(q->n_aliases, n_aliases);
	if (!room((void **)&q->v, &q->cap, sizeof(*q->v), q->n + items))
		items = 0;
	if (!room((void **)&q->aliases, &q->cap_aliases, sizeof(*q->aliases), q->n_aliases + names))
		names = 0;
	for (size_t i = 0; i < items; i++)
		q->v[q->n++] = (struct amend_item){.a = v[i], .since_ns = now};
	for (size_t i = 0; i < names; i++)
		q->aliases[q->n_aliases++] = aliases[i];
	st->stats.amend_dropped += n - items + n_aliases - names;
	if (!q->due_ns)
		q->due_ns = now + LOOK_NS;
	q->is_new = true;
	pthread_cond_signal(&st->queue_cond);
	pthread_mutex_unlock(&st->queue_lock);
}

/* ---- the statements ---- */

#define COLUMNS                                                                                  \
	"i, trace_id, span_id, to_trace_id, parent_id, wire_key, linked, link_class, evidence, " \
	"confidence, incomplete, pid, tid, proc_start_ns, cpu_ns, runq_ns, futex_ns, disk_ns, "  \
	"net_ns, sleep_ns, other_ns"

static const char table_sql[] =
	"CREATE OR REPLACE TEMP TABLE amend (i UINTEGER, trace_id UHUGEINT, span_id UBIGINT,"
	" to_trace_id UHUGEINT, parent_id UBIGINT, wire_key UHUGEINT, linked BOOLEAN,"
	" link_class UTINYINT, evidence UINTEGER, confidence FLOAT, incomplete UINTEGER,"
	" pid UINTEGER, tid UINTEGER, proc_start_ns BIGINT, cpu_ns BIGINT, runq_ns BIGINT,"
	" futex_ns BIGINT, disk_ns BIGINT, net_ns BIGINT, sleep_ns BIGINT, other_ns BIGINT);";

static void put_time(struct clew_buf *b, int64_t ns)
{
	if (ns < 0)
		clew_buf_adds(b, ",NULL");
	else
		clew_buf_addf(b, ",%" PRId64, ns);
}

static void put_row(struct clew_buf *b, size_t i, const struct clew_store_amendment *a)
{
	char text[64];

	clew_buf_addf(b, "(%zu,%s", i, huge_sql(&a->trace_id, text));
	clew_buf_addf(b, ",%" PRIu64, id64_int(&a->span_id));
	clew_buf_addf(b, ",%s", huge_sql(&a->to_trace_id, text));
	if (clew_id64_none(&a->parent_span_id))
		clew_buf_adds(b, ",NULL");
	else
		clew_buf_addf(b, ",%" PRIu64, id64_int(&a->parent_span_id));
	clew_buf_addf(b, ",%s",
		      clew_id128_none(&a->wire_key) ? "NULL" : huge_sql(&a->wire_key, text));
	clew_buf_addf(b, ",%s,%u,%u,%.9g,%u,%u,%u,%" PRIu64, a->link ? "true" : "false",
		      a->link_class, a->evidence, (double)a->confidence, a->incomplete, a->pid,
		      a->tid, a->proc_start_ns);
	put_time(b, a->times.cpu_ns);
	put_time(b, a->times.runq_ns);
	put_time(b, a->times.futex_ns);
	put_time(b, a->times.disk_ns);
	put_time(b, a->times.net_ns);
	put_time(b, a->times.sleep_ns);
	put_time(b, a->times.other_ns);
	clew_buf_addc(b, ')');
}

static int fill_table(struct clew_store *st, const struct amend_item *v, size_t n, char **ret_error)
{
	int r = duck_exec(st->conn, table_sql, ret_error);
	struct clew_buf sql = {0};

	for (size_t i = 0; r == 0 && i < n; i++) {
		clew_buf_adds(&sql,
			      i % ROWS_AT_ONCE ? "," : "INSERT INTO amend (" COLUMNS ") VALUES ");
		put_row(&sql, i, &v[i].a);
		if ((i + 1) % ROWS_AT_ONCE && i + 1 < n)
			continue;
		r = sql.err ? sql.err : duck_exec(st->conn, sql.data, ret_error);
		clew_buf_clear(&sql);
	}
	clew_buf_done(&sql);
	return r;
}

struct finding {
	bool *found;
	size_t n, here; /* of this partition */
};

static int on_found(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col c = duck_col(chunk, 0);
	struct finding *f = user;

	for (idx_t i = 0; i < rows; i++) {
		uint32_t at = ((uint32_t *)c.data)[i];

		if (at >= f->n)
			continue;
		f->found[at] = true;
		f->here++;
	}
	return 0;
}

/* The newest spans of one hour. What the kernel does not know stays as the SDK sent it. */
static int amend_part(struct clew_store *st, struct part *p, struct finding *f, char **ret_error)
{
	char sql[192];
	int r;

	f->here = 0;
	snprintf(sql, sizeof(sql),
		 "SELECT a.i FROM amend a JOIN %s.hot h ON h.trace_id = a.trace_id"
		 " AND h.span_id = a.span_id",
		 p->name);
	r = duck_exec(st->conn, "BEGIN TRANSACTION;", ret_error);
	if (r < 0)
		return r;
	r = duck_each(st->conn, sql, on_found, f, ret_error);
	if (r == 0 && f->here)
		r = duck_execf(
			st->conn, ret_error,
			"UPDATE %s.hot AS h SET trace_id = a.to_trace_id, parent_id = a.parent_id,"
			" wire_key = a.wire_key, pid = a.pid, tid = a.tid,"
			" proc_start_ns = a.proc_start_ns, incomplete = a.incomplete,"
			" link_class = CASE WHEN a.linked THEN a.link_class ELSE h.link_class END,"
			" evidence = CASE WHEN a.linked THEN a.evidence ELSE h.evidence END,"
			" confidence = CASE WHEN a.linked THEN a.confidence ELSE h.confidence END,"
			" cpu_ns = a.cpu_ns, runq_ns = a.runq_ns, futex_ns = a.futex_ns,"
			" disk_ns = a.disk_ns, net_ns = a.net_ns, sleep_ns = a.sleep_ns,"
			" other_ns = a.other_ns FROM amend a"
			" WHERE h.trace_id = a.trace_id AND h.span_id = a.span_id;",
			p->name);
	if (r == 0)
		r = duck_exec(st->conn, "COMMIT;", ret_error);
	if (r < 0) {
		(void)duck_exec(st->conn, "ROLLBACK;", NULL);
		return r;
	}
	if (f->here) {
		p->dirty = true;
		p->used_ns = clew_mono_ns();
		p->ids_loaded = false; /* their traces' ids are others now */
	}
	return 0;
}

/* Other spans of a trace that is another's: those that came before that was known. */
static int move_traces(struct clew_store *st, struct part *p, const struct clew_store_alias *v,
		       size_t n, char **ret_error)
{
	struct clew_buf sql = {0};
	char from[64], to[64];
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (i % ROWS_AT_ONCE == 0)
			clew_buf_addf(&sql, "UPDATE %s.hot AS h SET trace_id = a.t FROM (VALUES ",
				      p->name);
		clew_buf_addf(&sql, "%s(%s::UHUGEINT,%s::UHUGEINT)", i % ROWS_AT_ONCE ? "," : "",
			      huge_sql(&v[i].trace_id, from), huge_sql(&v[i].canonical, to));
		if ((i + 1) % ROWS_AT_ONCE && i + 1 < n)
			continue;
		clew_buf_adds(&sql, ") AS a(f, t) WHERE h.trace_id = a.f;");
		r = sql.err ? sql.err : duck_exec(st->conn, sql.data, ret_error);
		clew_buf_clear(&sql);
	}
	clew_buf_done(&sql);
	p->ids_loaded = p->ids_loaded && !n;
	return r;
}

/* ---- the writer's part ---- */

static int apply(struct clew_store *st, struct amend_queue *q, bool *found, char **ret_error)
{
	struct finding f = {.found = found, .n = q->n};
	int r = q->n ? fill_table(st, q->v, q->n, ret_error) : 0;

	for (size_t i = 0; r == 0 && i < st->n_parts; i++) {
		if (!st->parts[i]->hot_rows)
			continue;
		if (q->n)
			r = amend_part(st, st->parts[i], &f, ret_error);
		if (r == 0)
			r = move_traces(st, st->parts[i], q->aliases, q->n_aliases, ret_error);
	}
	if (r == 0 && q->n_aliases)
		r = aliases_add(st, q->aliases, q->n_aliases, ret_error);
	return r;
}

/* Under queue_lock: those that were not found wait on, if there is time. */
static void put_back(struct clew_store *st, const struct amend_queue *taken, const bool *found,
		     bool failed)
{
	struct amend_queue *q = &st->amend;
	uint64_t now = clew_mono_ns();
	bool last = atomic_load(&st->stop);

	for (size_t i = 0; i < taken->n; i++) {
		if (!failed && found[i]) {
			st->stats.amended++;
		} else if (last || now - taken->v[i].since_ns > TRY_NS ||
			   q->n >= CLEW_STORE_MAX_AMENDMENTS ||
			   !room((void **)&q->v, &q->cap, sizeof(*q->v), q->n + 1)) {
			st->stats.amend_missed++;
		} else {
			q->v[q->n++] = taken->v[i];
			q->due_ns = q->due_ns ? q->due_ns : now + LOOK_NS;
		}
	}
}

void amend_apply(struct clew_store *st)
{
	_cleanup_(freep) char *error = NULL;
	struct amend_queue taken;
	bool *found;
	int r;

	pthread_mutex_lock(&st->queue_lock);
	taken = st->amend;
	if (!taken.due_ns ||
	    (taken.due_ns > clew_mono_ns() && !st->flush_waiters && !atomic_load(&st->stop))) {
		pthread_mutex_unlock(&st->queue_lock);
		return;
	}
	st->amend = (struct amend_queue){0};
	pthread_mutex_unlock(&st->queue_lock);
	found = calloc(taken.n + 1, sizeof(*found));
	r = !found ? -ENOMEM : st->conn ? apply(st, &taken, found, &error) : -EIO;
	if (r < 0)
		log_debug("amendments: %s", error ? error : strerror(-r));
	pthread_mutex_lock(&st->queue_lock);
	put_back(st, &taken, found, r < 0);
	st->stats.amend_dropped += r < 0 ? taken.n_aliases : 0;
	pthread_cond_broadcast(&st->done_cond);
	pthread_mutex_unlock(&st->queue_lock);
	free(found);
	free(taken.v);
	free(taken.aliases);
}
