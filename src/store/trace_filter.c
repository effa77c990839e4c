/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which hours cannot hold a trace: for each run a filter of the hashes in its trace_index (fuse.h).
 *
 *	sealing:  run's hashes ─► filter ─► table trace_filter (first_row, spans, filter), and memory
 *	asking:   memory; where an hour's filters are not there, the table; where that has none, trace_index
 *
 * In memory are at most opts.filter_bytes, of the newest hours that were asked about; an hour that is left
 * out is asked itself. part.traces is under filter_lock; a part lives as long as a query that has it in
 * its snapshot.
 */
#include <inttypes.h>

#include "store/fuse.h"
#include "store/internal.h"

struct trace_filter {
	uint64_t rows; /* rows [0, rows) of span are in it */
	size_t bytes;
	size_t n, cap;
	struct fuse **runs;
};

static void filter_free(struct trace_filter *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->n; i++)
		free(f->runs[i]);
	free(f->runs);
	free(f);
}

void trace_filter_drop(struct clew_store *st, struct part *p)
{
	pthread_mutex_lock(&st->filter_lock);
	if (p->traces)
		st->filter_bytes -= p->traces->bytes;
	filter_free(p->traces);
	p->traces = NULL;
	pthread_mutex_unlock(&st->filter_lock);
}

/* Takes ownership of the run, also when it fails. */
static int filter_add(struct trace_filter *f, struct fuse *run)
{
	if (f->n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 4;
		struct fuse **runs = realloc(f->runs, cap * sizeof(*runs));

		if (!runs) {
			free(run);
			return -ENOMEM;
		}
		f->runs = runs;
		f->cap = cap;
	}
	f->runs[f->n++] = run;
	f->bytes += fuse_bytes(run).n;
	return 0;
}

/* ---- sealing ---- */

int trace_filter_store(duckdb_connection conn, struct part *p, const struct fuse *run,
		       uint64_t from, uint64_t to, char **ret_error)
{
	struct slice bytes = fuse_bytes(run);
	duckdb_appender a = NULL;
	int r = 0;

	if (duckdb_appender_create_ext(conn, p->name, "main", "trace_filter", &a) !=
		    DuckDBSuccess ||
	    duckdb_append_int64(a, (int64_t)from) != DuckDBSuccess ||
	    duckdb_append_int64(a, (int64_t)(to - from)) != DuckDBSuccess ||
	    duckdb_append_blob(a, bytes.p, bytes.n) != DuckDBSuccess ||
	    duckdb_appender_end_row(a) != DuckDBSuccess ||
	    duckdb_appender_flush(a) != DuckDBSuccess)
		r = duck_append_error(a, ret_error);
	duckdb_appender_destroy(&a);
	return r;
}

void trace_filter_sealed(struct clew_store *st, struct part *p, struct fuse *run, uint64_t from,
			 uint64_t to)
{
	size_t bytes = run ? fuse_bytes(run).n : 0;

	pthread_mutex_lock(&st->filter_lock);
	/* Else it is read when somebody asks. */
	if (run && p->traces && p->traces->rows == from) {
		if (filter_add(p->traces, run) == 0) {
			p->traces->rows = to;
			st->filter_bytes += bytes;
		}
		run = NULL;
	}
	pthread_mutex_unlock(&st->filter_lock);
	free(run);
}

/* ---- loading ---- */

struct loading {
	struct trace_filter *f;
	struct clew_buf hashes; /* of rows that no filter was kept of */
};

static int load_kept(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col first = duck_col(chunk, 0), spans = duck_col(chunk, 1);
	struct duck_col bytes = duck_col(chunk, 2);
	struct trace_filter *f = ((struct loading *)user)->f;
	int r = 0;

	for (idx_t i = 0; r == 0 && i < rows; i++) {
		struct fuse *run;

		/* What an older writer sealed in between ends what is kept. */
		if (((uint64_t)((int64_t *)first.data)[i]) != f->rows ||
		    (r = fuse_load(duck_str(&bytes, i), &run)) == -EBADMSG)
			return 1;
		if (r == 0)
			r = filter_add(f, run);
		f->rows += (uint64_t)((int64_t *)spans.data)[i];
	}
	return r;
}

static int load_hashes(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col hash = duck_col(chunk, 0);

	return clew_buf_add(&((struct loading *)user)->hashes, hash.data, rows * sizeof(uint32_t));
}

static int load_rest(struct query *q, const struct part_ref *p, struct loading *l, char **ret_error)
{
	char sql[192];
	struct fuse *run;
	int r;

	snprintf(sql, sizeof(sql),
		 "SELECT DISTINCT hash FROM %s.trace_index WHERE first_row >= %" PRIu64, p->name,
		 l->f->rows);
	r = query_each(q, sql, load_hashes, l, ret_error);
	if (r == 0)
		r = fuse_new((const uint32_t *)(const void *)l->hashes.data,
			     (uint32_t)(l->hashes.len / sizeof(uint32_t)), &run);
	if (r == 0)
		r = filter_add(l->f, run);
	if (r == 0)
		l->f->rows = p->indexed;
	clew_buf_done(&l->hashes);
	return r;
}

static int load(struct query *q, const struct part_ref *p, struct trace_filter **ret,
		char **ret_error)
{
	struct loading l = {.f = calloc(1, sizeof(*l.f))};
	char sql[128];
	int r = l.f ? 0 : -ENOMEM;

	snprintf(sql, sizeof(sql),
		 "SELECT first_row, spans, filter FROM %s.trace_filter ORDER BY first_row",
		 p->name);
	if (r == 0 && p->part->has_filters)
		r = query_each(q, sql, load_kept, &l, ret_error);
	if (r == 0 && l.f->rows < p->indexed)
		r = load_rest(q, p, &l, ret_error);
	if (r < 0)
		filter_free(l.f);
	else
		*ret = l.f;
	return r;
}

/* The oldest hours' filters go until the rest fits. Under the lock. */
static void make_room(struct query *q)
{
	struct clew_store *st = q->st;

	for (size_t i = 0; i < q->n_parts && st->filter_bytes > st->opts.filter_bytes; i++) {
		struct part *p = q->parts[i].part;

		if (!p->traces)
			continue;
		st->filter_bytes -= p->traces->bytes;
		filter_free(p->traces);
		p->traces = NULL;
		p->traces_left_out = true;
	}
}

static void publish(struct query *q, struct part *p, struct trace_filter *f)
{
	struct clew_store *st = q->st;

	pthread_mutex_lock(&st->filter_lock);
	/* Another query may have been quicker, and know more. */
	if (p->traces && p->traces->rows >= f->rows) {
		filter_free(f);
	} else {
		st->filter_bytes += f->bytes - (p->traces ? p->traces->bytes : 0);
		filter_free(p->traces);
		p->traces = f;
		make_room(q);
	}
	pthread_mutex_unlock(&st->filter_lock);
}

/* Newest first, so that those are in memory. */
static int load_missing(struct query *q, size_t from, size_t to, char **ret_error)
{
	int r = 0;

	for (size_t i = to; r == 0 && i > from; i--) {
		const struct part_ref *p = &q->parts[i - 1];
		struct trace_filter *f;
		bool there;

		pthread_mutex_lock(&q->st->filter_lock);
		there = p->part->traces_left_out ||
			(p->part->traces && p->part->traces->rows >= p->indexed);
		pthread_mutex_unlock(&q->st->filter_lock);
		if (there || !p->indexed)
			continue;
		r = load(q, p, &f, ret_error);
		if (r == 0 && p->left_out)
			filter_free(f); /* of what could be read only */
		else if (r == 0)
			publish(q, p->part, f);
	}
	return r;
}

/* ---- asking ---- */

static bool may_hold(const struct trace_filter *f, const uint32_t *hashes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < f->n; k++)
			if (fuse_has(f->runs[k], hashes[i]))
				return true;
	return false;
}

/* Rows that were indexed without it may be anybody's. */
static bool part_may_hold(const struct part_ref *p, const uint32_t *hashes, size_t n)
{
	const struct trace_filter *f = p->part->traces;

	return p->indexed && (!f || f->rows < p->indexed || may_hold(f, hashes, n));
}

int trace_filter_known(struct query *q, size_t from, size_t to, const uint32_t *hashes, size_t n,
		       bool *ret_may, char **ret_error)
{
	int r = load_missing(q, from, to, ret_error);

	if (r < 0)
		return r;
	pthread_mutex_lock(&q->st->filter_lock);
	for (size_t i = from; i < to; i++)
		for (size_t k = 0; k < n; k++)
			ret_may[k] = ret_may[k] || part_may_hold(&q->parts[i], &hashes[k], 1);
	pthread_mutex_unlock(&q->st->filter_lock);
	return 0;
}

int trace_filter_ask(struct query *q, size_t from, size_t to, const uint32_t *hashes, size_t n,
		     bool *ret_may, char **ret_error)
{
	int r = load_missing(q, from, to, ret_error);

	if (r < 0)
		return r;
	pthread_mutex_lock(&q->st->filter_lock);
	for (size_t i = from; i < to; i++)
		ret_may[i - from] = part_may_hold(&q->parts[i], hashes, n);
	pthread_mutex_unlock(&q->st->filter_lock);
	return 0;
}
