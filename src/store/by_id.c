/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of traces by their ids: of what is sealed first where they are, then the rows.
 *
 *	ids ─► the hours that may hold them (trace_filter.c) ─► trace_index ─► row numbers ─┐
 *	    └► hashes, for what is hot (hot_scan.c) ────────────────────────────────────────┴► SELECT of these rows
 *
 * Many numbers stand in a statement as one text: as constants each would cost the engine more than its row.
 */
#include <inttypes.h>

#include "store/internal.h"

/* Rows that a statement names one by one; traces of more are looked for by scanning. */
#define MAX_ROW_LIST 20000u

static int list_add(void *user, const struct clew_id128 *id)
{
	struct trace_list *l = user;
	const char *sep = l->ids.len ? "," : "";
	char num[64];

	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 16;
		uint32_t *hashes = realloc(l->hashes, cap * sizeof(*hashes));

		if (!hashes)
			return -ENOMEM;
		l->hashes = hashes;
		l->cap = cap;
	}
	l->hashes[l->n++] = index_hash_trace(id);
	return clew_buf_addf(&l->ids, "%s%s", sep, huge_sql(id, num));
}

int trace_list_add(struct trace_list *l, struct clew_store *st, struct clew_id128 canonical)
{
	return alias_members(st, canonical, list_add, l);
}

void trace_list_done(struct trace_list *l)
{
	clew_buf_done(&l->ids);
	free(l->hashes);
	*l = (struct trace_list){0};
}

/* Of span of one partition. */
struct row_list {
	struct clew_buf text; /* "1,2,3" */
	uint64_t n, first, last;
};

static int list_rows(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col list = duck_col(chunk, 0), first = duck_col(chunk, 1);
	struct duck_col spans = duck_col(chunk, 2);
	struct row_list *lists = user, *l;

	for (idx_t i = 0; i < rows; i++) {
		uint64_t row = (uint64_t)((int64_t *)first.data)[i];
		int64_t n = ((int64_t *)spans.data)[i];

		l = &lists[((int32_t *)list.data)[i]];
		for (; n > 0 && l->n <= MAX_ROW_LIST; n--, row++) {
			l->first = !l->n || row < l->first ? row : l->first;
			l->last = !l->n || row > l->last ? row : l->last;
			clew_buf_addf(&l->text, "%s%" PRIu64, l->n++ ? "," : "", row);
		}
		if (l->text.err)
			return l->text.err;
	}
	return 0;
}

static void begin_select(struct clew_buf *sql, size_t list, const char *cols)
{
	clew_buf_addf(sql, "%sSELECT %zu::INTEGER, %s FROM ", sql->len ? " UNION ALL " : "", list,
		      cols);
}

/* Where their rows are, of all partitions at once: a statement costs more than it finds. */
static int find_rows(struct query *q, size_t from, size_t to, const struct trace_list *l,
		     const char *hashes, struct row_list *lists, char **ret_error)
{
	_cleanup_(freep) bool *may = calloc(to > from ? to - from : 1, sizeof(*may));
	struct clew_buf sql = {0};
	int r = may ? trace_filter_ask(q, from, to, l->hashes, l->n, may, ret_error) : -ENOMEM;

	for (size_t i = from; r == 0 && l->n && i < to; i++) {
		const struct part_ref *p = &q->parts[i];

		if (may[i - from]) {
			begin_select(&sql, i - from, "first_row::BIGINT, spans::BIGINT");
			clew_buf_addf(&sql,
				      "%s.trace_index WHERE hash IN"
				      " (SELECT unnest('[%s]'::UINTEGER[]))",
				      p->name, hashes);
		}
		if (p->has_tail) {
			begin_select(&sql, i - from, "rowid, 1::BIGINT");
			clew_buf_addf(&sql,
				      "%s.span WHERE rowid >= %" PRIu64 " AND trace_id IN (%s)",
				      p->name, p->indexed, l->ids.data);
		}
	}
	if (r == 0 && sql.len)
		r = sql.err ? sql.err : query_each(q, sql.data, list_rows, lists, ret_error);
	clew_buf_done(&sql);
	return r;
}

static void add_hot_rows(const struct part_ref *p, const char *hashes, const char *cols,
			 struct clew_buf *out)
{
	if (p->has_hot)
		clew_buf_addf(out, "%sSELECT %s FROM clew_hot(%" PRId64 ", traces := '%s')",
			      out->len ? " UNION ALL " : "", cols, p->hour, hashes);
}

static void add_rows(const struct part_ref *p, const struct trace_list *l,
		     const struct row_list *rows, const char *cols, struct clew_buf *out)
{
	if (!rows->n)
		return;
	clew_buf_addf(out, "%sSELECT %s FROM %s.span WHERE ", out->len ? " UNION ALL " : "", cols,
		      p->name);
	if (rows->n > MAX_ROW_LIST)
		clew_buf_addf(out, "trace_id IN (%s)", l->ids.data);
	else if (rows->last - rows->first + 1 == rows->n)
		clew_buf_addf(out, "rowid BETWEEN %" PRIu64 " AND %" PRIu64, rows->first,
			      rows->last);
	else /* A join with a list, not a condition: DuckDB skips what lies between the rows. */
		clew_buf_addf(out, "rowid IN (SELECT unnest('[%s]'::BIGINT[]))", rows->text.data);
}

int filter_traces(struct query *q, size_t from, size_t to, const struct trace_list *l,
		  const char *cols, struct clew_buf *out, char **ret_error)
{
	size_t n = to > from ? to - from : 0;
	struct row_list *lists = calloc(n + 1, sizeof(*lists));
	struct clew_buf hashes = {0};
	int r;

	for (size_t i = 0; i < l->n; i++)
		clew_buf_addf(&hashes, "%s%u", i ? "," : "", l->hashes[i]);
	r = lists ? hashes.err : -ENOMEM;
	if (r == 0)
		r = find_rows(q, from, to, l, hashes.data, lists, ret_error);
	for (size_t i = 0; r == 0 && l->n && i < n; i++) {
		add_rows(&q->parts[from + i], l, &lists[i], cols, out);
		add_hot_rows(&q->parts[from + i], hashes.data, cols, out);
	}
	for (size_t i = 0; lists && i < n; i++)
		clew_buf_done(&lists[i].text);
	free(lists);
	clew_buf_done(&hashes);
	return r < 0 ? r : out->err;
}
