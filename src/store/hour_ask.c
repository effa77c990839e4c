/* SPDX-License-Identifier: Apache-2.0 */
#include "store/hour_ask.h"

/* Rows of an answer that a query keeps; with more it asks hour by hour, and keeps none of those. */
#define MAX_ROWS 200000u
#define GROWTH	 4u

/* Rows of one hour. */
struct hour_rows {
	bool asked;
	size_t first, n;
};

struct hour_answer {
	struct hour_answer *next;
	char *cols, *rest;
	struct hour_rows *hours; /* by query.parts */
	size_t at_once;
	struct hour_row *rows;
	size_t n, cap;
};

static void answer_free(struct hour_answer *a)
{
	free(a->cols);
	free(a->rest);
	free(a->hours);
	free(a->rows);
	free(a);
}

void hour_ask_done(struct query *q)
{
	struct hour_answer *next;

	for (struct hour_answer *a = q->answers; a; a = next) {
		next = a->next;
		answer_free(a);
	}
	q->answers = NULL;
}

static struct hour_answer *get_answer(struct query *q, const char *cols, const char *rest)
{
	struct hour_answer *a;

	for (a = q->answers; a; a = a->next)
		if (!strcmp(a->rest, rest) && !strcmp(a->cols, cols))
			return a;
	a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->cols = strdup(cols);
	a->rest = strdup(rest);
	a->hours = calloc(q->n_parts + 1, sizeof(*a->hours));
	a->at_once = 1;
	if (!a->cols || !a->rest || !a->hours) {
		answer_free(a);
		return NULL;
	}
	a->next = q->answers;
	q->answers = a;
	return a;
}

static int keep_rows(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col part = duck_col(chunk, 0), v[3];
	struct hour_answer *a = user;

	for (idx_t i = 0; i < 3; i++)
		v[i] = duck_col(chunk, i + 1);
	if (a->n + rows > a->cap) {
		size_t cap = (a->cap + rows) * 2;
		struct hour_row *more = realloc(a->rows, cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		a->rows = more;
		a->cap = cap;
	}
	for (idx_t i = 0; i < rows; i++)
		a->rows[a->n++] = (struct hour_row){
			.part = (uint32_t)((int32_t *)part.data)[i],
			.a = duck_null(&v[0], i) ? 0 : ((int64_t *)v[0].data)[i],
			.b = duck_null(&v[1], i) ? 0 : ((int64_t *)v[1].data)[i],
			.c = ((double *)v[2].data)[i],
		};
	return 0;
}

static void add_hour(struct query *q, struct hour_answer *a, size_t i, struct clew_buf *sql)
{
	a->hours[i].asked = true;
	clew_buf_addf(sql, "%sSELECT %zu::INTEGER, %s FROM %s.%s", sql->len ? " UNION ALL " : "", i,
		      a->cols, q->parts[i].name, a->rest);
}

static int by_part(const void *a, const void *b)
{
	const struct hour_row *x = a, *y = b;

	return x->part < y->part ? -1 : x->part > y->part;
}

/* The rows from first on are of hours that had none before. */
static void sort_out(struct hour_answer *a, size_t first)
{
	if (a->n > first)
		qsort(a->rows + first, a->n - first, sizeof(*a->rows), by_part);
	for (size_t i = first; i < a->n; i++) {
		struct hour_rows *h = &a->hours[a->rows[i].part];

		if (!h->n++)
			h->first = i;
	}
}

/* The hour, and some that will be looked through after it. */
static int ask_from(struct query *q, struct hour_answer *a, size_t at, bool rollups,
		    char **ret_error)
{
	size_t n = a->n < MAX_ROWS ? a->at_once : 1, from = q->hours.from, to = q->hours.to;
	size_t before = a->n;
	struct clew_buf sql = {0};
	int r;

	add_hour(q, a, at, &sql);
	for (size_t i = at; --n && at >= from && at < to;) {
		if (q->hours.oldest_first ? ++i >= to : i-- <= from)
			break;
		if (!a->hours[i].asked && (!rollups || q->parts[i].has_rollups))
			add_hour(q, a, i, &sql);
	}
	a->at_once *= GROWTH;
	r = sql.err ? sql.err : query_each(q, sql.data, keep_rows, a, ret_error);
	clew_buf_done(&sql);
	sort_out(a, before);
	return r;
}

int hour_ask(struct query *q, const struct part_ref *p, const char *cols, const char *rest,
	     bool rollups, hour_row_fn fn, void *user, char **ret_error)
{
	struct hour_answer *a = get_answer(q, cols, rest);
	size_t at = (size_t)(p - q->parts), kept;
	struct hour_rows *h;
	int r = 0;

	if (!a)
		return -ENOMEM;
	kept = a->n;
	if (!a->hours[at].asked)
		r = ask_from(q, a, at, rollups, ret_error);
	h = &a->hours[at];
	for (size_t i = 0; r == 0 && i < h->n; i++)
		fn(user, &a->rows[h->first + i]);
	if (kept >= MAX_ROWS && h->n && h->first == kept) {
		a->n = kept;
		*h = (struct hour_rows){0};
	}
	return r;
}
