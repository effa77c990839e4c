/* SPDX-License-Identifier: Apache-2.0 */
#include "query/trace_rows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int grow_rows(struct trace_rows *t)
{
	uint32_t cap = t->cap ? t->cap * 2 : 256;
	struct clew_trace_row *v;
	uint32_t *from;

	if (t->n >= TRACE_MAX_SPANS)
		return -EFBIG;
	v = realloc(t->v, cap * sizeof(*v));
	if (!v)
		return -ENOMEM;
	t->v = v;
	from = realloc(t->link_from, (cap + 1) * sizeof(*from));
	if (!from)
		return -ENOMEM;
	t->link_from = from;
	t->cap = cap;
	return 0;
}

static int keep_links(struct trace_rows *t, const struct clew_trace_row *row)
{
	if (t->n_links + row->n_links > t->cap_links) {
		uint32_t cap = (t->n_links + row->n_links) * 2;
		struct clew_span_link *links = realloc(t->links, cap * sizeof(*links));

		if (!links)
			return -ENOMEM;
		t->links = links;
		t->cap_links = cap;
	}
	if (row->n_links)
		memcpy(t->links + t->n_links, row->links, row->n_links * sizeof(*t->links));
	t->link_from[t->n] = t->n_links;
	t->n_links += row->n_links;
	return 0;
}

int trace_rows_add(struct trace_rows *t, const struct clew_trace_row *row)
{
	uint64_t end = trace_row_end(row);
	int r = t->n == t->cap || t->n >= TRACE_MAX_SPANS ? grow_rows(t) : 0;

	if (r == 0)
		r = keep_links(t, row);
	if (r < 0)
		return r;
	t->v[t->n] = *row;
	t->v[t->n++].links = NULL;
	t->link_from[t->n] = t->n_links;
	if (t->n == 1)
		t->start_ns = row->start_ns;
	t->end_ns = end > t->end_ns ? end : t->end_ns;
	return 0;
}

static int keep_row(void *user, const struct clew_trace_row *row)
{
	return trace_rows_add(user, row);
}

static uint64_t id_value(const struct clew_id64 *id)
{
	uint64_t v;

	memcpy(&v, id->b, sizeof(v));
	return v;
}

int trace_rows_finish(struct trace_rows *t)
{
	_cleanup_(freep) uint64_t *ids = malloc(t->n * sizeof(*ids));
	_cleanup_(freep) uint64_t *parents = malloc(t->n * sizeof(*parents));

	if (!ids || !parents)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->n; i++) {
		ids[i] = id_value(&t->v[i].span_id);
		parents[i] = id_value(&t->v[i].parent_id);
	}
	return clew_forest_build(&t->forest, ids, parents, t->n);
}

static int say(char **ret_error, int err, const struct clew_id128 *id)
{
	char hex[33];

	if (!ret_error || *ret_error)
		return err;
	clew_hex(id->b, sizeof(id->b), hex);
	if ((err == -ENOENT ? asprintf(ret_error, "there is no trace %s", hex)
			    : asprintf(ret_error,
				       "trace %s has more than %u spans: look at parts of it with "
				       "spans?where=...",
				       hex, TRACE_MAX_SPANS)) < 0)
		*ret_error = NULL;
	return err;
}

int trace_rows_load(struct clew_store *st, const struct clew_id128 *id, struct trace_rows *ret,
		    char **ret_error)
{
	struct trace_rows t = {0};
	int r = clew_store_trace_rows(st, id, keep_row, &t, ret_error);

	if (r == 0)
		r = trace_rows_finish(&t);
	if (r < 0) {
		trace_rows_done(&t);
		return r == -ENOENT || r == -EFBIG ? say(ret_error, r, id) : r;
	}
	*ret = t;
	return 0;
}

void trace_rows_done(struct trace_rows *t)
{
	free(t->v);
	free(t->links);
	free(t->link_from);
	clew_forest_done(&t->forest);
	*t = (struct trace_rows){0};
}

uint32_t trace_node(const struct trace_rows *t, const struct clew_id64 *span_id)
{
	for (uint32_t i = 0; i < t->n; i++)
		if (clew_id64_eq(&trace_row(t, i)->span_id, span_id))
			return i;
	return CLEW_FOREST_NONE;
}
