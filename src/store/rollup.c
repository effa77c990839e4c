/* SPDX-License-Identifier: Apache-2.0 */
/* What sealed spans add up to, written with the index of their run. */
#include <inttypes.h>

#include "base/units.h"
#include "store/digest.h"

/* Hours before and after a run's in which a trace of it may have begun or gone on. */
#define CONTINUE_HOURS 1

/* ---- writing rows by columns ---- */

#define MAX_COLUMNS 18

struct table_writer {
	duckdb_appender appender;
	duckdb_data_chunk chunk;
	duckdb_vector vectors[MAX_COLUMNS];
	void *data[MAX_COLUMNS];
	idx_t n_cols, n, max;
	char **ret_error;
};

static int writer_open(struct table_writer *w, duckdb_connection conn, const struct part *p,
		       const char *table, const duckdb_type *types, idx_t n_cols, char **ret_error)
{
	duckdb_logical_type logical[MAX_COLUMNS];

	*w = (struct table_writer){
		.n_cols = n_cols, .max = duckdb_vector_size(), .ret_error = ret_error};
	for (idx_t i = 0; i < n_cols; i++)
		logical[i] = duckdb_create_logical_type(types[i]);
	w->chunk = duckdb_create_data_chunk(logical, n_cols);
	for (idx_t i = 0; i < n_cols; i++)
		duckdb_destroy_logical_type(&logical[i]);
	if (duckdb_appender_create_ext(conn, p->name, "main", table, &w->appender) != DuckDBSuccess)
		return duck_append_error(w->appender, ret_error);
	return 0;
}

static void writer_begin(struct table_writer *w)
{
	duckdb_data_chunk_reset(w->chunk);
	for (idx_t i = 0; i < w->n_cols; i++) {
		w->vectors[i] = duckdb_data_chunk_get_vector(w->chunk, i);
		w->data[i] = duckdb_vector_get_data(w->vectors[i]);
	}
	w->n = 0;
}

static int writer_append(struct table_writer *w)
{
	duckdb_data_chunk_set_size(w->chunk, w->n);
	if (duckdb_append_data_chunk(w->appender, w->chunk) != DuckDBSuccess)
		return duck_append_error(w->appender, w->ret_error);
	return 0;
}

static int writer_close(struct table_writer *w, int r)
{
	if (r == 0 && duckdb_appender_flush(w->appender) != DuckDBSuccess)
		r = duck_append_error(w->appender, w->ret_error);
	duckdb_destroy_data_chunk(&w->chunk);
	duckdb_appender_destroy(&w->appender);
	return r;
}

static void set_null(struct table_writer *w, idx_t col)
{
	duckdb_vector_ensure_validity_writable(w->vectors[col]);
	duckdb_validity_set_row_invalid(duckdb_vector_get_validity(w->vectors[col]), w->n);
}

#define SET(w, col, type, value) (((type *)(w)->data[col])[(w)->n] = (type)(value))

static void set_id(struct table_writer *w, idx_t col, uint32_t id)
{
	SET(w, col, uint32_t, id);
	if (id == DIGEST_NO_ID)
		set_null(w, col);
}

/* Rows of v, made by put, into a table. */
static int write_table(duckdb_connection conn, const struct part *p, const char *table,
		       const duckdb_type *types, idx_t n_cols, const struct digest *d, size_t n,
		       void (*put)(struct table_writer *w, const struct digest *d, size_t i),
		       char **ret_error)
{
	struct table_writer w;
	int r = writer_open(&w, conn, p, table, types, n_cols, ret_error);

	for (size_t i = 0; r == 0 && i < n;) {
		writer_begin(&w);
		for (; i < n && w.n < w.max; i++, w.n++)
			put(&w, d, i);
		r = writer_append(&w);
	}
	return writer_close(&w, r);
}

static const duckdb_type edge_types[] = {
	DUCKDB_TYPE_INTEGER,  DUCKDB_TYPE_UINTEGER, DUCKDB_TYPE_UINTEGER, DUCKDB_TYPE_VARCHAR,
	DUCKDB_TYPE_UTINYINT, DUCKDB_TYPE_INTEGER,  DUCKDB_TYPE_INTEGER,
};

static void put_edge(struct table_writer *w, const struct digest *d, size_t i)
{
	size_t n;
	const struct digest_edge *e = &digest_edges(d, &n)[i];
	struct slice peer = digest_peer(d, e->peer);

	SET(w, 0, int32_t, e->minute);
	set_id(w, 1, e->client);
	set_id(w, 2, e->server);
	if (peer.p)
		duckdb_vector_assign_string_element_len(w->vectors[3], w->n, peer.p, peer.n);
	else
		set_null(w, 3);
	SET(w, 4, uint8_t, e->bucket);
	SET(w, 5, int32_t, e->n);
	SET(w, 6, int32_t, e->errors);
}

static const duckdb_type trace_types[] = {
	DUCKDB_TYPE_UHUGEINT, DUCKDB_TYPE_UBIGINT,  DUCKDB_TYPE_UBIGINT,  DUCKDB_TYPE_BIGINT,
	DUCKDB_TYPE_BIGINT,   DUCKDB_TYPE_BIGINT,   DUCKDB_TYPE_UINTEGER, DUCKDB_TYPE_UINTEGER,
	DUCKDB_TYPE_UTINYINT, DUCKDB_TYPE_UTINYINT, DUCKDB_TYPE_UINTEGER, DUCKDB_TYPE_UINTEGER,
	DUCKDB_TYPE_UINTEGER, DUCKDB_TYPE_UINTEGER, DUCKDB_TYPE_BOOLEAN,  DUCKDB_TYPE_BOOLEAN,
	DUCKDB_TYPE_UBIGINT,  DUCKDB_TYPE_BIGINT,
};

static void put_trace(struct table_writer *w, const struct digest *d, size_t i)
{
	size_t n;
	const struct digest_trace *t = &digest_traces(d, &n)[i];

	SET(w, 0, duckdb_uhugeint, id128_huge(&t->id));
	SET(w, 1, uint64_t, t->root_span);
	SET(w, 2, uint64_t, t->shape);
	SET(w, 3, int64_t, t->start_ns);
	SET(w, 4, int64_t, t->duration_ns);
	SET(w, 5, int64_t, t->last_ns);
	SET(w, 6, uint32_t, t->service);
	SET(w, 7, uint32_t, t->operation);
	SET(w, 8, uint8_t, t->kind);
	SET(w, 9, uint8_t, t->status);
	SET(w, 10, uint32_t, t->spans);
	SET(w, 11, uint32_t, t->services);
	SET(w, 12, uint32_t, t->errors);
	SET(w, 13, uint32_t, t->orphans);
	SET(w, 14, bool, t->incomplete);
	SET(w, 15, bool, t->continued);
	SET(w, 16, uint64_t, t->service_bits);
	SET(w, 17, int64_t, clew_now_ns());
}

static const duckdb_type count_types[] = {
	DUCKDB_TYPE_UINTEGER,
	DUCKDB_TYPE_UINTEGER,
	DUCKDB_TYPE_UINTEGER,
};

static void put_count(struct table_writer *w, const struct digest *d, size_t i)
{
	size_t n;
	const struct digest_count *c = &digest_counts(d, &n)[i];

	SET(w, 0, uint32_t, c->service);
	SET(w, 1, uint32_t, c->key);
	SET(w, 2, uint32_t, c->spans);
}

static const duckdb_type range_types[] = {
	DUCKDB_TYPE_UINTEGER,
	DUCKDB_TYPE_UINTEGER,
	DUCKDB_TYPE_DOUBLE,
	DUCKDB_TYPE_DOUBLE,
};

static void put_range(struct table_writer *w, const struct digest *d, size_t i)
{
	size_t n;
	const struct digest_range *g = &digest_ranges(d, &n)[i];

	SET(w, 0, uint32_t, g->key);
	SET(w, 1, uint32_t, g->block);
	SET(w, 2, double, g->lo);
	SET(w, 3, double, g->hi);
}

#define WRITE(table, types, get, put)                                                             \
	do {                                                                                      \
		size_t n_;                                                                        \
		(void)get(d, &n_);                                                                \
		if (r == 0)                                                                       \
			r = write_table(conn, p, table, types, sizeof(types) / sizeof(*types), d, \
					n_, put, ret_error);                                      \
	} while (false)

int rollup_store(duckdb_connection conn, struct part *p, const struct digest *d, const char *source,
		 uint64_t from, uint64_t to, char **ret_error)
{
	int r = duck_execf(conn, ret_error,
			   "INSERT INTO %s.red SELECT (start_ns // 60000000000)::INTEGER AS m,"
			   " service, operation, kind, clew_bucket(duration_ns) AS b, count(*),"
			   " count(*) FILTER (status = 2) FROM %s GROUP BY ALL ORDER BY m,"
			   " service, operation, kind, b;"
			   "INSERT INTO %s.seen SELECT service, resource, count(*), min(start_ns),"
			   " max(start_ns + duration_ns) FROM %s GROUP BY ALL;"
			   "INSERT INTO %s.digest VALUES (%" PRIu64 ", %" PRIu64 ");",
			   p->name, source, p->name, source, p->name, from, to - from);

	WRITE("edge", edge_types, digest_edges, put_edge);
	WRITE("trace", trace_types, digest_traces, put_trace);
	WRITE("attr_count", count_types, digest_counts, put_count);
	WRITE("attr_range", range_types, digest_ranges, put_range);
	return r;
}

/* ---- traces that go on ---- */

struct continuing {
	struct digest *d;
	struct clew_buf ids; /* "1,2,3" */
};

static int list_ids(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col id = duck_col(chunk, 0);
	struct continuing *c = user;
	char num[64];

	for (idx_t i = 0; i < rows; i++) {
		struct clew_id128 trace = huge_id128(((duckdb_uhugeint *)id.data)[i]);

		clew_buf_addf(&c->ids, "%s%s", c->ids.len ? "," : "", huge_sql(&trace, num));
	}
	return c->ids.err;
}

static int add_old(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct continuing *c = user;

	return digest_add(c->d, chunk, 0, rows, true, NULL);
}

/* Traces that may be known are named one by one if they are not more. */
#define MAX_NAMED 2000u

/* Hours of a run's and those beside, of an ascending list. */
static void hours_beside(const struct query *q, int64_t hour, size_t *ret_from, size_t *ret_to)
{
	size_t from = 0, to = q->n_parts;

	while (from < to && q->parts[from].hour < hour - CONTINUE_HOURS)
		from++;
	while (to > from && q->parts[to - 1].hour > hour + CONTINUE_HOURS)
		to--;
	*ret_from = from;
	*ret_to = to;
}

/* Hardly any trace has been there before: the filters of the runs say which may have. Appends them as "1,2,3", or
 * new_ids if they are many. */
static int name_known(struct query *q, const struct digest *d, const char *new_ids, int64_t hour,
		      struct clew_buf *out, char **ret_error)
{
	uint32_t n = digest_n_ids(d), named = 0;
	_cleanup_(freep) uint32_t *hashes = malloc(((size_t)n + 1) * sizeof(*hashes));
	_cleanup_(freep) bool *may = calloc((size_t)n + 1, sizeof(*may));
	size_t from, to;
	char num[64];
	int r;

	if (!hashes || !may)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		hashes[i] = index_hash_trace(digest_id(d, i));
	hours_beside(q, hour, &from, &to);
	r = trace_filter_known(q, from, to, hashes, n, may, ret_error);
	for (uint32_t i = 0; r == 0 && i < n && named <= MAX_NAMED; i++)
		if (may[i])
			clew_buf_addf(out, "%s%s", named++ ? "," : "",
				      huge_sql(digest_id(d, i), num));
	if (named > MAX_NAMED) {
		clew_buf_clear(out);
		clew_buf_adds(out, new_ids);
	}
	return r < 0 ? r : out->err;
}

int rollup_continue(struct query *q, struct digest *d, const char *new_ids, int64_t hour,
		    char **ret_error)
{
	struct continuing c = {.d = d};
	struct clew_buf sql = {0}, known = {0};
	size_t n = 0;
	int r = name_known(q, d, new_ids, hour, &known, ret_error);

	for (size_t i = 0; r == 0 && known.len && i < q->n_parts; i++) {
		const struct part_ref *p = &q->parts[i];

		if (p->hour < hour - CONTINUE_HOURS || p->hour > hour + CONTINUE_HOURS ||
		    !p->has_rollups || !p->digested)
			continue;
		clew_buf_addf(&sql, "%sSELECT trace_id FROM %s.trace",
			      n++ ? " UNION ALL " : "SELECT DISTINCT trace_id FROM (", p->name);
	}
	clew_buf_addf(&sql, ") WHERE trace_id IN (%s)", known.data ? known.data : "");
	if (r == 0 && n)
		r = sql.err ? sql.err : query_each(q, sql.data, list_ids, &c, ret_error);
	for (size_t i = 0; r == 0 && c.ids.len && i < q->n_parts; i++) {
		struct part_ref *p = &q->parts[i];
		struct clew_buf rows = {0};

		if (p->hour < hour - CONTINUE_HOURS || p->hour > hour + CONTINUE_HOURS ||
		    !p->digested)
			continue;
		clew_buf_addf(&rows,
			      "SELECT " DIGEST_COLUMNS " FROM %s.span WHERE trace_id IN (%s)"
			      " AND rowid < %" PRIu64,
			      p->name, c.ids.data, p->digested);
		r = rows.err ? rows.err : query_each(q, rows.data, add_old, &c, ret_error);
		clew_buf_done(&rows);
	}
	clew_buf_done(&sql);
	clew_buf_done(&known);
	clew_buf_done(&c.ids);
	return r;
}
