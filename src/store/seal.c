/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing: the spans of `hot` move to `span` as one run, trace by trace, then the run is indexed.
 *
 *	transaction 1   span += hot, by the trace's begin, trace, start; run += (...); hot = empty
 *	transaction 2   block_index += (hash, block), trace_index += (hash, first row, spans) of the
 * run, each sorted by hash; run.indexed checkpoint
 *
 * After a crash between the two the run is whole and not indexed: it is scanned by queries and
 * indexed with the next one.
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
	return fold(clew_hash64(id->b, sizeof(id->b), UINT64_C(2) << 40));
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

static int add_attrs(struct entries *e, const duckdb_list_entry *list, const uint32_t *keys,
		     const struct duck_col *values)
{
	int r = 0;

	for (uint64_t i = list->offset; r == 0 && i < list->offset + list->length; i++) {
		r = add(e, index_hash_attr(keys[i], duck_str(values, i)));
		if (r == 0)
			r = add(e, index_hash_id(DICT_KEY, keys[i]));
	}
	return r;
}

static int index_rows(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct entries *e = user;
	struct duck_col c[2], id, service, operation, row_keys, row_values;
	duckdb_vector keys, values;
	struct duck_col text;
	int r = 0;

	/* rowid, resource, then DIGEST_COLUMNS */
	for (idx_t i = 0; i < 2; i++)
		c[i] = duck_col(chunk, i);
	id = duck_col(chunk, 2);
	service = duck_col(chunk, 7);
	operation = duck_col(chunk, 8);
	row_keys = duck_col(chunk, 13);
	row_values = duck_col(chunk, 14);
	keys = duckdb_list_vector_get_child(row_keys.vector);
	values = duckdb_list_vector_get_child(row_values.vector);
	text = (struct duck_col){duckdb_vector_get_data(values), NULL, values};
	for (idx_t i = 0; r == 0 && i < rows; i++) {
		uint32_t block = (uint32_t)(((int64_t *)c[0].data)[i] / BLOCK_SPANS);
		struct clew_id128 trace = huge_id128(((duckdb_uhugeint *)id.data)[i]);

		if (block != e->block) {
			e->block = block;
			e->n_seen = 0;
		}
		r = add(e, index_hash_id(DICT_SERVICE, ((uint32_t *)service.data)[i]));
		if (r == 0)
			r = add(e, index_hash_id(DICT_OPERATION, ((uint32_t *)operation.data)[i]));
		if (r == 0)
			r = add_trace(e, &trace, (uint32_t)((int64_t *)c[0].data)[i]);
		if (r == 0 && !duck_null(&c[1], i))
			r = add(e, index_hash_resource(((uint32_t *)c[1].data)[i]));
		if (r == 0 && !duck_null(&row_keys, i))
			r = add_attrs(e, (duckdb_list_entry *)row_keys.data + i,
				      duckdb_vector_get_data(keys), &text);
	}
	if (r == 0 && e->digest)
		r = digest_add(e->digest, chunk, 2, rows, false, c[0].data);
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
static int append_ints(struct clew_store *st, struct part *p, const char *table,
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
	if (duckdb_appender_create_ext(st->conn, p->name, "main", table, &a) != DuckDBSuccess)
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

static int store_entries(struct clew_store *st, struct part *p, struct entries *e, char **ret_error)
{
	int r;

	/* (hash << 32 | block) as two integers, the hash first */
	for (size_t i = 0; i < e->n; i++)
		e->v[i] = e->v[i] << 32 | e->v[i] >> 32;
	r = duck_exec(st->conn, "BEGIN TRANSACTION;", ret_error);
	if (r < 0)
		return r;
	r = append_ints(st, p, "block_index", (const uint32_t *)e->v, e->n, 2, ret_error);
	if (r == 0)
		r = append_ints(st, p, "trace_index", (const uint32_t *)e->traces, e->n_traces, 3,
				ret_error);
	if (r == 0)
		r = duck_execf(st->conn, ret_error, "UPDATE %s.run SET indexed = true;", p->name);
	if (r == 0 && e->digest)
		r = rollup_store(st, p, e->digest, p->indexed, p->rows, ret_error);
	if (r == 0 && e->filter && p->has_filters)
		r = trace_filter_store(st, p, e->filter, p->indexed, p->rows, ret_error);
	if (r == 0)
		r = duck_exec(st->conn, "COMMIT;", ret_error);
	if (r < 0)
		(void)duck_exec(st->conn, "ROLLBACK;", NULL);
	return r;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "store_entries() reads halves of integers");

/* Beside the writer's thread nobody changes partitions: its view of them needs no lock. */
static int continue_traces(struct clew_store *st, struct part *p, struct digest *d, uint64_t from,
			   char **ret_error)
{
	struct query q = {.st = st, .conn = st->conn};
	char ids[128];
	int r = query_snapshot(&q);

	snprintf(ids, sizeof(ids), "SELECT DISTINCT trace_id FROM %s.span WHERE rowid >= %" PRIu64,
		 p->name, from);
	if (r == 0)
		r = rollup_continue(&q, d, ids, p->hour, ret_error);
	free(q.parts);
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
	int r;

	if (!d)
		return -ENOMEM;
	to = to < p->indexed ? to : p->indexed;
	clew_buf_addf(&sql,
		      "SELECT rowid, " DIGEST_COLUMNS " FROM %s.span WHERE rowid >= %" PRIu64
		      " AND rowid < %" PRIu64,
		      p->name, p->digested, to);
	r = sql.err ? sql.err : duck_each(st->conn, sql.data, digest_rows, d, ret_error);
	if (r == 0)
		r = continue_traces(st, p, d, p->digested, ret_error);
	if (r == 0)
		r = digest_finish(d);
	if (r == 0)
		r = duck_exec(st->conn, "BEGIN TRANSACTION;", ret_error);
	if (r == 0) {
		r = rollup_store(st, p, d, p->digested, to, ret_error);
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

/* Index the rows from p->indexed on. */
static int index_part(struct clew_store *st, struct part *p, char **ret_error)
{
	struct entries e = {.block = UINT32_MAX - 1};
	bool digests = p->has_rollups && p->digested == p->indexed;
	char sql[512];
	int r = 0;

	e.seen = malloc(SEEN_SLOTS * sizeof(*e.seen));
	e.digest = digests ? digest_new(st, true) : NULL;
	if (!e.seen || (digests && !e.digest)) {
		free(e.seen);
		return -ENOMEM;
	}
	memset(e.seen, 0xff, SEEN_SLOTS * sizeof(*e.seen));
	snprintf(sql, sizeof(sql),
		 "SELECT rowid, resource, " DIGEST_COLUMNS " FROM %s.span WHERE rowid >= %" PRIu64,
		 p->name, p->indexed);
	r = duck_each(st->conn, sql, index_rows, &e, ret_error);
	if (r == 0)
		r = sort_entries(&e);
	if (e.n_traces)
		qsort(e.traces, e.n_traces, sizeof(*e.traces), by_hash);
	if (r == 0)
		make_filter(&e);
	if (r == 0 && e.digest)
		r = continue_traces(st, p, e.digest, p->indexed, ret_error);
	if (r == 0 && e.digest)
		r = digest_finish(e.digest);
	if (r == 0)
		r = store_entries(st, p, &e, ret_error);
	if (r == 0) {
		trace_filter_sealed(st, p, e.filter, p->indexed, p->rows);
		e.filter = NULL;
		pthread_mutex_lock(&st->state_lock);
		p->indexed = p->rows;
		if (e.digest)
			p->digested = p->rows;
		pthread_mutex_unlock(&st->state_lock);
	}
	digest_free(e.digest);
	free(e.filter);
	free(e.traces);
	free(e.v);
	free(e.seen);
	return r;
}

static int move_hot(struct clew_store *st, struct part *p, char **ret_error)
{
	struct clew_buf sql = {0};
	char newest[96];
	int64_t max_ns;
	int r;

	snprintf(newest, sizeof(newest), "SELECT max(start_ns) FROM %s.hot", p->name);
	r = duck_int(st->conn, newest, INT64_MIN, &max_ns, ret_error);
	if (r < 0)
		return r;
	clew_buf_addf(&sql,
		      "BEGIN TRANSACTION;"
		      "INSERT INTO %s.run SELECT %" PRIu64 ", count(*), min(start_ns),"
		      " max(start_ns), false FROM %s.hot;"
		      "INSERT INTO %s.span SELECT h.* FROM %s.hot h JOIN (SELECT trace_id,"
		      " min(start_ns) AS first_ns FROM %s.hot GROUP BY trace_id) t"
		      " ON h.trace_id = t.trace_id ORDER BY first_ns, h.trace_id, start_ns;"
		      "DROP TABLE %s.hot;",
		      p->name, p->rows, p->name, p->name, p->name, p->name, p->name);
	schema_hot(&sql, p->name);
	clew_buf_adds(&sql, "COMMIT;");
	r = sql.err ? sql.err : duck_exec(st->conn, sql.data, ret_error);
	clew_buf_done(&sql);
	if (r < 0) {
		(void)duck_exec(st->conn, "ROLLBACK;", NULL);
		return r;
	}
	/*
	 * A query that begins now sees the new tables; one that has begun sees the old ones, and
	 * still looks at hot, because it was not empty then.
	 */
	pthread_mutex_lock(&st->state_lock);
	p->rows += p->hot_rows;
	p->hot_rows = 0;
	pthread_mutex_unlock(&st->state_lock);
	p->sealed_max_ns = max_ns > p->sealed_max_ns ? max_ns : p->sealed_max_ns;
	id_set_done(&p->ids);
	p->ids_loaded = true;
	p->dirty = true;
	return 0;
}

int checkpoint(struct clew_store *st, const char *name, char **ret_error)
{
	bool busy = true;
	int r = -EBUSY;

	/* A query that ends holds DuckDB's checkpoint lock for a moment. */
	for (int i = 0; busy && i < CHECKPOINT_TRIES; i++) {
		_cleanup_(freep) char *error = NULL;

		if (i)
			nanosleep(&(struct timespec){.tv_nsec = CHECKPOINT_RETRY_NS}, NULL);
		r = duck_execf(st->conn, &error, "CHECKPOINT %s;", name);
		busy = r < 0 && error && strstr(error, "Cannot CHECKPOINT");
		if (r < 0 && !busy)
			set_error(ret_error, r, "%s", error ? error : "?");
	}
	fix_modes(st);
	return busy ? -EBUSY : r;
}

int checkpoint_part(struct clew_store *st, struct part *p, char **ret_error)
{
	int r = checkpoint(st, p->name, ret_error);

	p->late_checkpoint = r == -EBUSY;
	if (r == 0)
		p->dirty = false;
	return r == -EBUSY ? 0 : r;
}

int seal_part(struct clew_store *st, struct part *p, char **ret_error)
{
	int r = 0;

	if (p->hot_rows)
		r = move_hot(st, p, ret_error);
	if (r == 0 && p->indexed < p->rows)
		r = index_part(st, p, ret_error);
	if (r == 0)
		r = checkpoint_part(st, p, ret_error);
	if (r < 0)
		return r;
	pthread_mutex_lock(&st->queue_lock);
	st->stats.seals++;
	pthread_mutex_unlock(&st->queue_lock);
	return 0;
}
