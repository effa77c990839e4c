/* SPDX-License-Identifier: Apache-2.0 */
#include "store/summary.h"

#include <inttypes.h>

struct loading {
	struct clew_store *st;
	struct trace_rows **table;
};

static struct trace_rows *table_get(struct trace_rows **table, const struct clew_id128 *id)
{
	struct trace_rows *t;

	HASH_FIND(hh, *table, id, sizeof(*id), t);
	if (t)
		return t;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->id = *id;
	HASH_ADD(hh, *table, id, sizeof(t->id), t);
	if (!t->hh.tbl) {
		free(t);
		return NULL;
	}
	return t;
}

static int row_add(struct trace_rows *t, const struct trace_row *row)
{
	int r;

	if (t->n == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 8;
		struct trace_row *rows = realloc(t->rows, cap * sizeof(*rows));

		if (!rows)
			return -ENOMEM;
		t->rows = rows;
		t->cap = cap;
	}
	r = row->span_id ? id_set_add(&t->spans, row->span_id) : 0;
	if (r >= 0)
		r = id_set_add(&t->services, (uint64_t)row->service + 1);
	if (r < 0)
		return r;
	t->rows[t->n++] = *row;
	return 0;
}

#define COLS                                                                                      \
	"trace_id, span_id, parent_id, start_ns, duration_ns, service, operation, kind, status, " \
	"link_class, incomplete"

static int load_rows(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct loading *l = user;
	struct duck_col c[11];
	int r = 0;

	for (idx_t i = 0; i < 11; i++)
		c[i] = duck_col(chunk, i);
	for (idx_t i = 0; r == 0 && i < rows; i++) {
		struct clew_id128 id =
			alias_canonical(l->st, huge_id128(((duckdb_uhugeint *)c[0].data)[i]));
		struct trace_row row = {
			.span_id = ((uint64_t *)c[1].data)[i],
			.parent_id = duck_null(&c[2], i) ? 0 : ((uint64_t *)c[2].data)[i],
			.start_ns = ((int64_t *)c[3].data)[i],
			.duration_ns = ((int64_t *)c[4].data)[i],
			.service = ((uint32_t *)c[5].data)[i],
			.operation = ((uint32_t *)c[6].data)[i],
			.kind = ((uint8_t *)c[7].data)[i],
			.status = ((uint8_t *)c[8].data)[i],
			.link_class = ((uint8_t *)c[9].data)[i],
			.incomplete = ((uint32_t *)c[10].data)[i] != 0,
		};
		struct trace_rows *t;

		HASH_FIND(hh, *l->table, &id, sizeof(id), t);
		if (t) /* else: the same hash, another trace */
			r = row_add(t, &row);
	}
	return r;
}

int summary_load(struct query *q, const struct clew_id128 *ids, size_t n, size_t from, size_t to,
		 struct trace_rows **table, char **ret_error)
{
	struct loading l = {q->st, table};
	struct trace_list list = {0};
	struct clew_buf sql = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = table_get(table, &ids[i]) ? trace_list_add(&list, q->st, ids[i]) : -ENOMEM;
	if (r == 0 && n)
		r = filter_traces(q, from, to, &list, COLS, &sql, ret_error);
	if (r == 0 && sql.len)
		r = query_each(q, sql.data, load_rows, &l, ret_error);
	trace_list_done(&list);
	clew_buf_done(&sql);
	return r;
}

static bool is_earlier(const struct trace_row *a, const struct trace_row *b)
{
	return a->start_ns < b->start_ns || (a->start_ns == b->start_ns && a->span_id < b->span_id);
}

/* The earliest span without a parent in the store; where there is a circle, the earliest of all. */
static const struct trace_row *find_root(const struct trace_rows *t)
{
	const struct trace_row *root = NULL, *first = &t->rows[0];

	for (size_t i = 0; i < t->n; i++) {
		const struct trace_row *row = &t->rows[i];

		if (is_earlier(row, first))
			first = row;
		if ((!root || is_earlier(row, root)) &&
		    !(row->parent_id && id_set_has(&t->spans, row->parent_id)))
			root = row;
	}
	return root ? root : first;
}

bool summary_wants(const struct trace_rows *t, int64_t first, int64_t last)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct trace_row *row = &t->rows[i];

		if (row->start_ns / HOUR_NS <= first ||
		    (row->start_ns + row->duration_ns) / HOUR_NS >= last)
			return true;
		/* A server's parent may well be out of sight; a call's is in this store. */
		if (row->parent_id && row->kind != CLEW_KIND_SERVER &&
		    !id_set_has(&t->spans, row->parent_id))
			return true;
	}
	return false;
}

bool summary_make(struct clew_store *st, const struct trace_rows *t, struct clew_trace_summary *ret)
{
	const struct trace_row *root;

	if (!t->n)
		return false;
	root = find_root(t);
	*ret = (struct clew_trace_summary){
		.trace_id = t->id,
		.service = names_get(st, DICT_SERVICE, root->service),
		.name = names_get(st, DICT_OPERATION, root->operation),
		.kind = root->kind,
		.start_ns = (uint64_t)root->start_ns,
		.duration_ns = (uint64_t)root->duration_ns,
		.spans = (uint32_t)t->n,
		.services = (uint32_t)t->services.n,
	};
	for (size_t i = 0; i < t->n; i++) {
		const struct trace_row *row = &t->rows[i];

		ret->errors += row->status == CLEW_STATUS_ERROR;
		ret->orphans += row->link_class == CLEW_LINK_ORPHAN;
		ret->incomplete |= row->incomplete;
	}
	return true;
}

void summary_free(struct trace_rows **table)
{
	struct trace_rows *t, *next;

	HASH_ITER (hh, *table, t, next) {
		HASH_DEL(*table, t);
		free(t->rows);
		id_set_done(&t->spans);
		id_set_done(&t->services);
		free(t);
	}
}
