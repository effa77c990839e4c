/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Amendments of sealed spans: columns of fixed width of single rows are updated in place, in one transaction a
 * partition, so that no row changes its number. A span that goes keeps its row (gone.c), and is taken out of the
 * sums by the minute; the lines of its trace and its edges stay as they were when it was sealed. Another trace's
 * id is not written: the alias tells it.
 *
 *	traces ─► trace_index ─► rows ─► amend_decide() ─► UPDATE
 */
#include <inttypes.h>

#include "store/amend.h"
#include "store/damaged.h"

/* A span that hangs from another one may be in the hour before or after. */
#define NEAR_HOURS 1
/* Rows of one partition that are looked at for one batch; beyond it traces are left as they are. */
#define MAX_ROWS 500000u

/* What is to be changed in one partition. */
struct updates {
	struct amend_want *w;
	bool may_go, must_go;
	struct clew_buf rows; /* "1,2,3": to look at */
	uint64_t n_rows;
	struct clew_buf gone;	/* "1,2,3" */
	struct clew_buf places; /* "(row, parent),..." */
	struct clew_buf joined; /* "(row, ...),..." */
};

static bool is_near(const struct amend_want *w, uint32_t i, int64_t hour)
{
	const struct clew_amendment *a = &w->q->v[i].a;
	int64_t far = (int64_t)(a->start_ns / (uint64_t)HOUR_NS) - hour;

	if (a->what == CLEW_AMEND_REPLACED)
		return far >= -NEAR_HOURS && far <= NEAR_HOURS;
	return far == 0 && !w->found[i];
}

static int list_rows(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col first = duck_col(chunk, 0), spans = duck_col(chunk, 1);
	struct updates *u = user;

	for (idx_t i = 0; i < rows; i++) {
		uint64_t row = (uint64_t)((int64_t *)first.data)[i];
		int64_t n = ((int64_t *)spans.data)[i];

		for (; n > 0 && u->n_rows < MAX_ROWS; n--, row++)
			clew_buf_addf(&u->rows, "%s%" PRIu64, u->n_rows++ ? "," : "", row);
	}
	return u->rows.err;
}

/* Where the traces' rows are. */
static int find_rows(struct updates *u, const struct part *p, char **ret_error)
{
	struct amend_want *w = u->w;
	struct trace_list list = {0};
	struct clew_buf sql = {0};
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < w->q->n; i++)
		if (is_near(w, i, p->hour))
			r = trace_list_add(&list, w->st, w->canonical[i]);
	clew_buf_addf(&sql,
		      "SELECT first_row::BIGINT, spans::BIGINT FROM %s.trace_index WHERE hash IN"
		      " (SELECT unnest([",
		      p->name);
	for (size_t i = 0; i < list.n; i++)
		clew_buf_addf(&sql, "%s%u", i ? "," : "", list.hashes[i]);
	clew_buf_adds(&sql, "]::UINTEGER[]))");
	if (r == 0 && list.n)
		r = sql.err ? sql.err : duck_each(w->st->conn, sql.data, list_rows, u, ret_error);
	clew_buf_done(&sql);
	trace_list_done(&list);
	return r;
}

static void add_time(struct clew_buf *out, int64_t ns)
{
	if (ns < 0)
		clew_buf_adds(out, ",NULL");
	else
		clew_buf_addf(out, ",%" PRId64, ns);
}

static void add_joined(struct clew_buf *out, uint64_t row, const struct clew_amendment *a)
{
	const struct clew_seen_facts *f = &a->facts;
	const int64_t *times = (const int64_t *)&f->times;
	char key[64];

	clew_buf_addf(out, "%s(%" PRIu64 ",%s::UHUGEINT,%u,%u,%" PRIu64 ",%u", out->len ? "," : "",
		      row, huge_sql(&f->wire_key, key), f->pid, f->tid, f->proc_start_ns,
		      f->incomplete);
	if (a->link)
		clew_buf_addf(out, ",%u,%u,%.9g", f->link_class, f->evidence,
			      (double)f->confidence);
	else
		clew_buf_adds(out, ",NULL,NULL,NULL");
	for (int i = 0; i < 7; i++)
		add_time(out, times[i]);
	clew_buf_addc(out, ')');
}

static int decide_rows(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col row = duck_col(chunk, 0), trace = duck_col(chunk, 1);
	struct duck_col span = duck_col(chunk, 2), parent = duck_col(chunk, 3);
	struct updates *u = user;
	struct amend_change c;

	for (idx_t i = 0; i < rows; i++) {
		uint64_t at = (uint64_t)((int64_t *)row.data)[i];
		uint64_t above = duck_null(&parent, i) ? 0 : ((uint64_t *)parent.data)[i];

		(void)amend_decide(u->w, ((duckdb_uhugeint *)trace.data)[i],
				   ((uint64_t *)span.data)[i], above, u->may_go, &c);
		u->must_go |= c.must_go;
		if (c.gone)
			clew_buf_addf(&u->gone, "%s%" PRIu64, u->gone.len ? "," : "", at);
		else if (c.has_parent)
			clew_buf_addf(&u->places, "%s(%" PRIu64 ",%" PRIu64 ")",
				      u->places.len ? "," : "", at, c.parent_id);
		if (c.joined && !c.gone)
			add_joined(&u->joined, at, c.joined);
	}
	return u->gone.err ? u->gone.err : u->places.err ? u->places.err : u->joined.err;
}

/* Of the sums by the minute, and from sight. */
static void forget(const struct part *p, const char *rows, struct clew_buf *sql)
{
	if (p->has_rollups)
		clew_buf_addf(sql,
			      "INSERT INTO %s.red SELECT (start_ns // 60000000000)::INTEGER AS m,"
			      " service, operation, kind, clew_bucket(duration_ns) AS b, -count(*),"
			      " -count(*) FILTER (status = 2) FROM %s.span WHERE rowid IN (SELECT"
			      " unnest([%s])) AND rowid < %" PRIu64 " GROUP BY ALL;"
			      "INSERT INTO %s.seen SELECT service, resource, -count(*),"
			      " min(start_ns), max(start_ns + duration_ns) FROM %s.span WHERE rowid"
			      " IN (SELECT unnest([%s])) AND rowid < %" PRIu64 " GROUP BY ALL;",
			      p->name, p->name, rows, p->digested, p->name, p->name, rows,
			      p->digested);
	clew_buf_addf(sql, "UPDATE %s.span SET trace_id = 0 WHERE rowid IN (SELECT unnest([%s]));",
		      p->name, rows);
}

static void make_statements(const struct updates *u, const struct part *p, struct clew_buf *sql)
{
	clew_buf_adds(sql, "BEGIN TRANSACTION;");
	if (u->gone.len)
		forget(p, u->gone.data, sql);
	if (u->places.len)
		clew_buf_addf(sql,
			      "UPDATE %s.span SET parent_id = nullif(v.parent, 0)::UBIGINT FROM"
			      " (VALUES %s) v(r, parent) WHERE span.rowid = v.r;",
			      p->name, u->places.data);
	if (u->joined.len)
		clew_buf_addf(
			sql,
			"UPDATE %s.span SET wire_key = v.wire_key, pid = v.pid, tid = v.tid,"
			" proc_start_ns = v.proc_start_ns, incomplete = v.incomplete,"
			" link_class = coalesce(v.link_class, span.link_class),"
			" evidence = coalesce(v.evidence, span.evidence),"
			" confidence = coalesce(v.confidence, span.confidence),"
			" cpu_ns = v.cpu_ns, runq_ns = v.runq_ns, futex_ns = v.futex_ns,"
			" disk_ns = v.disk_ns, net_ns = v.net_ns, sleep_ns = v.sleep_ns,"
			" other_ns = v.other_ns FROM (VALUES %s) v(r, wire_key, pid, tid,"
			" proc_start_ns, incomplete, link_class, evidence, confidence, cpu_ns,"
			" runq_ns, futex_ns, disk_ns, net_ns, sleep_ns, other_ns)"
			" WHERE span.rowid = v.r;",
			p->name, u->joined.data);
	clew_buf_adds(sql, "COMMIT;");
}

static int update(struct updates *u, struct part *p, char **ret_error)
{
	struct clew_store *st = u->w->st;
	struct clew_buf sql = {0};
	int r;

	if (!u->gone.len && !u->places.len && !u->joined.len)
		return 0;
	make_statements(u, p, &sql);
	r = sql.err ? sql.err : duck_exec(st->conn, sql.data, ret_error);
	if (r < 0)
		(void)duck_exec(st->conn, "ROLLBACK;", NULL);
	else
		p->dirty = true;
	clew_buf_done(&sql);
	return r;
}

static int try_part(struct updates *u, struct part *p, char **ret_error)
{
	struct clew_buf sql = {0};
	int r = find_rows(u, p, ret_error);

	clew_buf_addf(&sql,
		      "SELECT rowid, trace_id, span_id, parent_id FROM %s.span WHERE rowid IN"
		      " (SELECT unnest([%s])) AND trace_id <> 0",
		      p->name, u->rows.data ? u->rows.data : "");
	if (r == 0 && u->n_rows)
		r = sql.err ? sql.err
			    : duck_each(u->w->st->conn, sql.data, decide_rows, u, ret_error);
	if (r == 0)
		r = update(u, p, ret_error);
	clew_buf_done(&sql);
	clew_buf_done(&u->rows);
	clew_buf_done(&u->gone);
	clew_buf_done(&u->places);
	clew_buf_done(&u->joined);
	return r;
}

static bool is_asked(struct clew_store *st)
{
	bool asked;

	pthread_mutex_lock(&st->state_lock);
	asked = st->queries != NULL;
	pthread_mutex_unlock(&st->state_lock);
	return asked;
}

/*
 * A query that began before the first of an hour were to go knows no condition for it. They go when it has ended:
 * then, or when they are tried again.
 */
static int amend_part(struct amend_want *w, struct part *p, char **ret_error)
{
	struct updates u = {.w = w, .may_go = p->has_gone}, again = {.w = w, .may_go = true};
	int r = try_part(&u, p, ret_error);

	if (r < 0 || !u.must_go)
		return r;
	r = gone_note(w->st, p, ret_error);
	return r < 0 || is_asked(w->st) ? r : try_part(&again, p, ret_error);
}

int amend_sealed(struct amend_want *w, char **ret_error)
{
	struct clew_store *st = w->st;
	int r = 0;

	for (size_t i = 0; r == 0 && i < st->n_parts; i++) {
		_cleanup_(freep) char *error = NULL;
		struct part *p = st->parts[i];
		bool any = false;

		for (uint32_t k = 0; p->rows && !any && k < w->q->n; k++)
			any = is_near(w, k, p->hour);
		if (any)
			r = amend_part(w, p, &error);
		if (r == -EIO && damaged_block(st, p->hour, error)) {
			damaged_note(st, p, error); /* other hours' go on */
			r = 0;
		} else if (r < 0) {
			set_error(ret_error, r, "%s", error ? error : strerror(-r));
		}
	}
	return r;
}
