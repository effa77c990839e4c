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
 *
 * The index: for each block of BLOCK_SPANS rows the 32-bit hashes of everything that can be asked
 * for: key = value, key, service, operation, resource. Two things with one hash cost a block that is
 * read in vain, nothing else: what the index finds is always checked against the spans.
 */
#include <inttypes.h>
#include <time.h>

#include "store/digest.h"
#include "store/fuse.h"
#include "store/internal.h"

/* Hashes of one block that are kept apart; beyond it an entry may be written twice. */
#define SEEN_SLOTS (1u << 16)

#define CHECKPOINT_TRIES    10
#define CHECKPOINT_RETRY_NS (2 * 1000 * 1000)

struct trace_entry {
	uint32_t hash, first_row, spans;
};

struct entries {
	struct digest *digest; /* NULL: rows before these are not digested */
	struct trace_entry *traces;
	size_t n_traces, cap_traces;
	struct fuse *filter;	 /* of their hashes; NULL: queries do without */
	struct clew_id128 trace; /* the last one */
	uint64_t *v;		 /* hash << 32 | block */
	size_t n, cap;
	uint32_t block;
	uint32_t n_seen;
	struct {
		uint32_t hash, block;
	} *seen;
};

static uint32_t fold(uint64_t h)
{
	return (uint32_t)(h ^ h >> 32);
}

uint32_t index_hash_attr(uint32_t key_id, struct slice value)
{
	return fold(clew_hash64(value.p ? value.p : "", value.n, 1 + (uint64_t)key_id));
}

uint32_t index_hash_id(enum dict_kind kind, uint32_t id)
{
	uint32_t v[2] = {(uint32_t)kind, id};

	return fold(clew_hash64(v, sizeof(v), UINT64_C(1) << 40));
}

uint32_t index_hash_resource(uint32_t id)
{
	uint32_t v[2] = {N_DICTS, id};

	return fold(clew_hash64(v, sizeof(v), UINT64_C(1) << 40));
}

uint32_t index_hash_trace(const struct clew_id128 *id)
{
	return hot_trace_hash(id128_huge(id));
}

static int add(struct entries *e, uint32_t hash)
{
	uint32_t i = hash & (SEEN_SLOTS - 1);

	if (e->n_seen < SEEN_SLOTS / 2) {
		for (; e->seen[i].block == e->block; i = (i + 1) & (SEEN_SLOTS - 1))
			if (e->seen[i].hash == hash)
				return 0;
		e->seen[i].block = e->block;
		e->seen[i].hash = hash;
		e->n_seen++;
	}
	if (e->n == e->cap) {
		size_t cap = e->cap ? e->cap * 2 : 65536;
		uint64_t *v = realloc(e->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		e->v = v;
		e->cap = cap;
	}
	e->v[e->n++] = (uint64_t)hash << 32 | e->block;
	return 0;
}

static int add_trace(struct entries *e, const struct clew_id128 *trace, uint32_t row)
{
	if (e->n_traces && clew_id128_eq(&e->trace, trace)) {
		e->traces[e->n_traces - 1].spans++;
		return 0;
	}
	if (e->n_traces == e->cap_traces) {
		size_t cap = e->cap_traces ? e->cap_traces * 2 : 8192;
		struct trace_entry *traces = realloc(e->traces, cap * sizeof(*traces));

		if (!traces)
			return -ENOMEM;
		e->traces = traces;
		e->cap_traces = cap;
	}
	e->trace = *trace;
	e->traces[e->n_traces++] = (struct trace_entry){index_hash_trace(trace), row, 1};
	return 0;
}

static int add_attrs(struct entries *e, const struct hot_row *row)
{
	const struct hot_text *t = hot_attrs(row);
	const char *p = hot_values(row);
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < row->n_attrs; p += t[i++].len) {
		r = add(e, index_hash_attr(t[i].key, slice_of(p, t[i].len)));
		if (r == 0)
			r = add(e, index_hash_id(DICT_KEY, t[i].key));
	}
	return r;
}

/* The row at a place of span. */
static int index_row(struct entries *e, const struct hot_row *row, uint64_t at)
{
	struct clew_id128 trace = huge_id128(row->trace_id);
	uint32_t block = (uint32_t)(at / BLOCK_SPANS);
	int r;

	if (block != e->block) {
		e->block = block;
		e->n_seen = 0;
	}
	r = add(e, index_hash_id(DICT_SERVICE, row->service));
	if (r == 0)
		r = add(e, index_hash_id(DICT_OPERATION, row->operation));
	if (r == 0)
		r = add_trace(e, &trace, (uint32_t)at);
	if (r == 0 && row->flags & HOT_RESOURCE)
		r = add(e, index_hash_resource(row->resource));
	if (r == 0)
		r = add_attrs(e, row);
	if (r == 0 && e->digest)
		r = digest_add_hot(e->digest, row, at);
	return r;
}

/* By hash; stable, so blocks stay ascending. Two buffers, four passes of a byte. */
static int sort_entries(struct entries *e)
{
	uint64_t *from = e->v, *to = malloc((e->n ? e->n : 1) * sizeof(*to));

	if (!to)
		return -ENOMEM;
	for (int shift = 32; shift < 64; shift += 8) {
		size_t at[257] = {0};
		uint64_t *swap;

		for (size_t i = 0; i < e->n; i++)
			at[(from[i] >> shift & 0xff) + 1]++;
		for (int i = 0; i < 256; i++)
			at[i + 1] += at[i];
		for (size_t i = 0; i < e->n; i++)
			to[at[from[i] >> shift & 0xff]++] = from[i];
		swap = from;
		from = to;
		to = swap;
	}
	/* Four swaps: the result is in e->v again. */
	free(to);
	return 0;
}

static int by_hash(const void *a, const void *b)
{
	const struct trace_entry *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->first_row < y->first_row ? -1 : x->first_row > y->first_row;
}

/* n rows of cols unsigned integers, row by row. */
static int append_ints(duckdb_connection conn, struct part *p, const char *table,
		       const uint32_t *rows, size_t n, size_t cols, char **ret_error)
{
	const size_t max = duckdb_vector_size();
	duckdb_logical_type types[3];
	duckdb_data_chunk chunk;
	duckdb_appender a = NULL;
	int r = 0;

	types[0] = types[1] = types[2] = duckdb_create_logical_type(DUCKDB_TYPE_UINTEGER);
	chunk = duckdb_create_data_chunk(types, cols);
	duckdb_destroy_logical_type(&types[0]);
	if (duckdb_appender_create_ext(conn, p->name, "main", table, &a) != DuckDBSuccess)
		r = duck_append_error(a, ret_error);
	for (size_t i = 0; r == 0 && i < n; i += max) {
		size_t some = n - i < max ? n - i : max;

		duckdb_data_chunk_reset(chunk);
		for (size_t c = 0; c < cols; c++) {
			uint32_t *data =
				duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, c));

			for (size_t k = 0; k < some; k++)
				data[k] = rows[(i + k) * cols + c];
		}
		duckdb_data_chunk_set_size(chunk, some);
		if (duckdb_append_data_chunk(a, chunk) != DuckDBSuccess)
			r = duck_append_error(a, ret_error);
	}
	if (r == 0 && duckdb_appender_flush(a) != DuckDBSuccess)
		r = duck_append_error(a, ret_error);
	duckdb_destroy_data_chunk(&chunk);
	duckdb_appender_destroy(&a);
	return r;
}

/* Into the tables of a partition; source: rollup_store(). The transaction is open. */
static int store_entries(duckdb_connection conn, struct part *p, struct entries *e,
			 const char *source, uint64_t from, uint64_t to, char **ret_error)
{
	int r;

	/* (hash << 32 | block) as two integers, the hash first */
	for (size_t i = 0; i < e->n; i++)
		e->v[i] = e->v[i] << 32 | e->v[i] >> 32;
	r = append_ints(conn, p, "block_index", (const uint32_t *)e->v, e->n, 2, ret_error);
	if (r == 0)
		r = append_ints(conn, p, "trace_index", (const uint32_t *)e->traces, e->n_traces, 3,
				ret_error);
	if (r == 0 && e->digest)
		r = rollup_store(conn, p, e->digest, source, from, to, ret_error);
	if (r == 0 && e->filter && p->has_filters)
		r = trace_filter_store(conn, p, e->filter, from, to, ret_error);
	return r;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "store_entries() reads halves of integers");

/* new_ids: a statement that gives the ids of the traces that the digest has. */
static int continue_traces(struct clew_store *st, duckdb_connection conn, struct part *p,
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
	return r;
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
		      " AND rowid < %" PRIu64,
		      p->name, p->digested, to);
	r = sql.err ? sql.err : duck_each(st->conn, sql.data, digest_rows, d, ret_error);
	snprintf(rows, sizeof(rows), "%s.span WHERE rowid >= %" PRIu64 " AND rowid < %" PRIu64,
		 p->name, p->digested, to);
	snprintf(ids, sizeof(ids), "SELECT DISTINCT trace_id FROM %s", rows);
	if (r == 0)
		r = continue_traces(st, st->conn, p, d, ids, ret_error);
	if (r == 0)
		r = digest_finish(d);
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

static int entries_init(struct entries *e, struct clew_store *st, bool digests)
{
	*e = (struct entries){.block = UINT32_MAX - 1};
	e->seen = malloc(SEEN_SLOTS * sizeof(*e->seen));
	e->digest = digests ? digest_new(st, true) : NULL;
	if (!e->seen || (digests && !e->digest))
		return -ENOMEM;
	memset(e->seen, 0xff, SEEN_SLOTS * sizeof(*e->seen));
	return 0;
}

static void entries_done(struct entries *e)
{
	digest_free(e->digest);
	free(e->filter);
	free(e->traces);
	free(e->v);
	free(e->seen);
}

/* Of traces by hash. Without it queries make their own. */
static void make_filter(struct entries *e)
{
	_cleanup_(freep) uint32_t *hashes = malloc((e->n_traces + 1) * sizeof(*hashes));
	uint32_t n = 0;

	for (size_t i = 0; hashes && i < e->n_traces; i++)
		if (!n || hashes[n - 1] != e->traces[i].hash)
			hashes[n++] = e->traces[i].hash;
	if (hashes)
		(void)!fuse_new(hashes, n, &e->filter);
}

/* All of h's rows, which are or will be in span from row on. */
static int index_hot(struct entries *e, const struct hot *h, uint64_t row)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < h->n; i++)
		r = index_row(e, h->rows[h->order ? h->order[i] : i], row + i);
	if (r == 0)
		r = sort_entries(e);
	if (e->n_traces)
		qsort(e->traces, e->n_traces, sizeof(*e->traces), by_hash);
	if (r == 0)
		make_filter(e);
	return r;
}

int index_tail(struct clew_store *st, struct part *p, struct hot *h, char **ret_error)
{
	bool digests = p->has_rollups && p->digested == p->indexed;
	struct entries e;
	char source[128], ids[192];
	int r = entries_init(&e, st, digests);

	snprintf(source, sizeof(source), "%s.span WHERE rowid >= %" PRIu64, p->name, p->indexed);
	snprintf(ids, sizeof(ids), "SELECT DISTINCT trace_id FROM %s", source);
	if (r == 0)
		r = index_hot(&e, h, p->indexed);
	if (r == 0 && digests)
		r = continue_traces(st, st->conn, p, e.digest, ids, ret_error);
	if (r == 0 && digests)
		r = digest_finish(e.digest);
	if (r == 0)
		r = duck_exec(st->conn, "BEGIN TRANSACTION;", ret_error);
	if (r == 0) {
		r = store_entries(st->conn, p, &e, source, p->indexed, p->rows, ret_error);
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

	snprintf(source, sizeof(source), "clew_hot(%" PRId64 ") WHERE true", p->hour);
	return r < 0 ? r
		     : store_entries(st->seal_conn, p, e, source, p->rows, p->rows + h->n,
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
		r = index_hot(&e, h, p->rows);
	if (r == 0 && digests)
		r = continue_traces(st, st->seal_conn, p, e.digest, ids, ret_error);
	if (r == 0 && digests)
		r = digest_finish(e.digest);
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
	int r;

	set_sealing(st, h);
	r = seal_rows(st, p, h, ret_error);
	set_sealing(st, NULL);
	if (r < 0)
		return r;
	p->dirty = true;
	/* Its rows are in span, and durable: DuckDB syncs its log with the commit. */
	(void)!unlinkat(st->dir_fd, h->file, 0);
	hot_unref(h);
	r = checkpoint_part(st, st->seal_conn, p, ret_error);
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
	if (r == 0)
		p->dirty = false;
	return r == -EBUSY ? 0 : r;
}
