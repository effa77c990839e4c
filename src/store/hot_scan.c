/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clew_hot(hour): the newest spans of an hour as a table of SQL, with span's columns.
 *
 *	clew_hot(490923)                        what the query's snapshot has
 *	clew_hot(490923, rowid := true)         with a last column that numbers them, the same in the whole query
 *	clew_hot(490923, picked := '3,17')      only these
 *	clew_hot(490923, traces := '1,2')       only rows of traces of these hashes: index_hash_trace(); a few of others may be among them
 *
 * Which query asks is told by its connection. On the connection that seals, it is the generation that is
 * being sealed, in the order of the run, those that are gone (hot.h) among them. Text is not copied: the query holds the rows until it ends.
 */
#include "store/hot_fill.h"
#include "store/internal.h"

/* What a statement scans; read by its threads of execution. */
struct scan {
	struct hot_view views[HOT_GENERATIONS];
	uint32_t n_views, first[HOT_GENERATIONS]; /* the number of a view's first row */
	const uint32_t *order;			  /* of the only view, or NULL */
	bool numbered;
	uint64_t *picked;
	uint64_t n_picked;
	bool by_row, by_trace;
	uint32_t *traces; /* a set of hashes, open addressing; 0: none */
	uint32_t n_slots;
};

/* Where it is. */
struct place {
	uint32_t view, row;
	uint64_t pick;
	idx_t n_cols;
	idx_t *cols;
};

static void scan_free(void *user)
{
	struct scan *s = user;

	for (uint32_t i = 0; i < s->n_views; i++)
		hot_unref(s->views[i].hot);
	free(s->picked);
	free(s->traces);
	free(s);
}

static void place_free(void *user)
{
	struct place *p = user;

	free(p->cols);
	free(p);
}

/* ---- which rows ---- */

/* Of the query that this connection is, or of the sealing. False: neither. */
static bool take_views(struct scan *s, struct clew_store *st, idx_t connection, int64_t hour)
{
	struct query *q;

	pthread_mutex_lock(&st->state_lock);
	if (st->sealing && connection == st->seal_connection) {
		s->views[s->n_views++] = (struct hot_view){hot_ref(st->sealing), st->sealing->n};
		s->order = st->sealing->order;
		pthread_mutex_unlock(&st->state_lock);
		return true;
	}
	for (q = st->queries; q && q->connection != connection; q = q->next)
		;
	for (size_t i = 0; q && i < q->n_parts; i++) {
		const struct part_ref *p = &q->parts[i];

		for (uint32_t k = 0; p->hour == hour && k < p->n_hots; k++) {
			s->first[s->n_views] = k ? s->first[k - 1] + p->hots[k - 1].n : 0;
			s->views[s->n_views] = p->hots[k];
			hot_ref(s->views[s->n_views++].hot);
		}
	}
	pthread_mutex_unlock(&st->state_lock);
	return q != NULL;
}

/* "1,2,3": the numbers one after the other. False: no more. */
static bool next_number(const char **text, uint64_t *ret)
{
	char *end;

	*text += strspn(*text, ",");
	if (!**text)
		return false;
	*ret = strtoull(*text, &end, 10);
	if (end == *text)
		return false;
	*text = end;
	return true;
}

static uint64_t count_numbers(const char *text)
{
	uint64_t n = *text != '\0';

	for (; *text; text++)
		n += *text == ',';
	return n;
}

static bool add_picked(struct scan *s, duckdb_value list)
{
	char *text = duckdb_get_varchar(list);
	const char *at = text ? text : "";
	uint64_t row;

	s->by_row = true;
	s->picked = calloc(count_numbers(at) + 1, sizeof(*s->picked));
	while (s->picked && next_number(&at, &row))
		s->picked[s->n_picked++] = row;
	duckdb_free(text);
	return s->picked;
}

static bool add_traces(struct scan *s, duckdb_value list)
{
	char *text = duckdb_get_varchar(list);
	const char *at = text ? text : "";
	uint64_t n = count_numbers(at), hash;

	s->by_trace = true;
	for (s->n_slots = 64; s->n_slots < n * 2;)
		s->n_slots *= 2;
	s->traces = calloc(s->n_slots, sizeof(*s->traces));
	while (s->traces && next_number(&at, &hash)) {
		uint32_t slot = (uint32_t)hash & (s->n_slots - 1);

		while (s->traces[slot] && s->traces[slot] != hash)
			slot = (slot + 1) & (s->n_slots - 1);
		s->traces[slot] = (uint32_t)hash;
	}
	duckdb_free(text);
	return s->traces;
}

static bool wanted(const struct scan *s, uint32_t hash)
{
	uint32_t at = hash & (s->n_slots - 1);

	if (!hash) /* it cannot be in the set */
		return true;
	while (s->traces[at] && s->traces[at] != hash)
		at = (at + 1) & (s->n_slots - 1);
	return s->traces[at] == hash;
}

/* The next rows, at most max; nums: their numbers. */
static idx_t next_rows(const struct scan *s, struct place *p, const struct hot_row **rows,
		       uint32_t *nums, idx_t max)
{
	const struct hot_row *row;
	idx_t n = 0;

	while (s->by_row && n < max && p->pick < s->n_picked) {
		uint64_t at = s->picked[p->pick++];
		uint32_t v = 0;

		while (v + 1 < s->n_views && at >= s->first[v + 1])
			v++;
		if (!s->n_views || at - s->first[v] >= s->views[v].n)
			continue;
		row = HOT_ROW(s->views[v].hot, at - s->first[v]);
		if (hot_is_gone(row))
			continue;
		nums[n] = (uint32_t)at;
		rows[n++] = row;
	}
	while (!s->by_row && n < max && p->view < s->n_views) {
		const struct hot_view *v = &s->views[p->view];
		uint32_t i = p->row;

		if (i == v->n) {
			p->view++;
			p->row = 0;
			continue;
		}
		p->row++;
		if (s->by_trace && !wanted(s, HOT_TRACE(v->hot, i)))
			continue;
		row = HOT_ROW(v->hot, s->order ? s->order[i] : i);
		if (!s->order && hot_is_gone(row)) /* a run has as many rows as its log */
			continue;
		nums[n] = s->first[p->view] + i;
		rows[n++] = row;
	}
	return n;
}

/* ---- the table function ---- */

static bool option(duckdb_bind_info info, struct scan *s, const char *name,
		   bool (*add)(struct scan *s, duckdb_value list))
{
	duckdb_value v = duckdb_bind_get_named_parameter(info, name);
	bool ok = true;

	if (v && !duckdb_is_null_value(v))
		ok = add(s, v);
	if (v)
		duckdb_destroy_value(&v);
	return ok;
}

static bool add_number(struct scan *s, duckdb_value v)
{
	s->numbered = duckdb_get_bool(v);
	return true;
}

static void bind(duckdb_bind_info info)
{
	struct clew_store *st = duckdb_bind_get_extra_info(info);
	struct scan *s = calloc(1, sizeof(*s));
	duckdb_value hour = duckdb_bind_get_parameter(info, 0);
	duckdb_client_context context;
	uint64_t n = 0;

	duckdb_table_function_get_client_context(info, &context);
	if (!s || !option(info, s, "rowid", add_number) || !option(info, s, "picked", add_picked) ||
	    !option(info, s, "traces", add_traces))
		duckdb_bind_set_error(info, "out of memory");
	else if (!take_views(s, st, duckdb_client_context_get_connection_id(context),
			     duckdb_get_int64(hour)))
		duckdb_bind_set_error(info, "clew_hot() is for queries of clew only");
	duckdb_destroy_client_context(&context);
	duckdb_destroy_value(&hour);
	if (!s)
		return;
	hot_fill_columns(info, s->numbered);
	for (uint32_t i = 0; i < s->n_views; i++)
		n += s->views[i].n;
	duckdb_bind_set_cardinality(info, s->by_row ? s->n_picked : n, false);
	duckdb_bind_set_bind_data(info, s, scan_free);
}

static void init(duckdb_init_info info)
{
	struct place *p = calloc(1, sizeof(*p));

	if (p) {
		p->n_cols = duckdb_init_get_column_count(info);
		p->cols = calloc(p->n_cols + 1, sizeof(*p->cols));
	}
	if (!p || !p->cols) {
		free(p);
		duckdb_init_set_error(info, "out of memory");
		return;
	}
	for (idx_t i = 0; i < p->n_cols; i++)
		p->cols[i] = duckdb_init_get_column_index(info, i);
	duckdb_init_set_init_data(info, p, place_free);
}

static void scan(duckdb_function_info info, duckdb_data_chunk out)
{
	const struct hot_row *rows[HOT_FILL_MAX];
	uint32_t nums[HOT_FILL_MAX];
	struct scan *s = duckdb_function_get_bind_data(info);
	struct place *p = duckdb_function_get_init_data(info);
	idx_t max = duckdb_vector_size();
	idx_t n = next_rows(s, p, rows, nums, max < HOT_FILL_MAX ? max : HOT_FILL_MAX);

	/* Where only the number of rows is wanted, the column is none of ours. */
	for (idx_t i = 0; n && i < p->n_cols; i++)
		if (p->cols[i] <= N_SPAN_COLUMNS)
			hot_fill(duckdb_data_chunk_get_vector(out, i), p->cols[i], rows, nums, n);
	duckdb_data_chunk_set_size(out, n);
}

int hot_register(struct clew_store *st, char **ret_error)
{
	duckdb_table_function fn = duckdb_create_table_function();
	duckdb_logical_type hour = duckdb_create_logical_type(DUCKDB_TYPE_BIGINT);
	duckdb_logical_type flag = duckdb_create_logical_type(DUCKDB_TYPE_BOOLEAN);
	duckdb_logical_type text = duckdb_create_logical_type(DUCKDB_TYPE_VARCHAR);
	int r = 0;

	duckdb_table_function_set_name(fn, "clew_hot");
	duckdb_table_function_add_parameter(fn, hour);
	duckdb_table_function_add_named_parameter(fn, "rowid", flag);
	duckdb_table_function_add_named_parameter(fn, "picked", text);
	duckdb_table_function_add_named_parameter(fn, "traces", text);
	duckdb_table_function_set_extra_info(fn, st, NULL);
	duckdb_table_function_set_bind(fn, bind);
	duckdb_table_function_set_init(fn, init);
	duckdb_table_function_set_function(fn, scan);
	duckdb_table_function_supports_projection_pushdown(fn, true);
	if (duckdb_register_table_function(st->conn, fn) != DuckDBSuccess)
		r = set_error(ret_error, -EIO, "cannot register clew_hot() with DuckDB");
	duckdb_destroy_logical_type(&hour);
	duckdb_destroy_logical_type(&flag);
	duckdb_destroy_logical_type(&text);
	duckdb_destroy_table_function(&fn);
	return r;
}
