/* SPDX-License-Identifier: Apache-2.0 */
#include "store/digest_internal.h"

static void find_keys(struct clew_store *st, const char *const *names, uint32_t *ids, uint32_t *n)
{
	for (*n = 0; *names; names++)
		for (uint8_t type = CLEW_ATTR_STR; type <= CLEW_ATTR_INT; type++)
			if (!dict_find(&st->dicts[DICT_KEY], slice_str(*names), type, &ids[*n]))
				++*n;
}

struct digest *digest_new(struct clew_store *st, bool sealed)
{
	static const char *const address[] = {"server.address", "network.peer.address", NULL};
	static const char *const port[] = {"server.port", "network.peer.port", NULL};
	struct digest *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->st = st;
	d->sealed = sealed;
	d->block = UINT32_MAX;
	d->last_group = NO_ROW;
	if (dict_init(&d->peers) < 0) {
		free(d);
		return NULL;
	}
	find_keys(st, address, d->address_keys, &d->n_address);
	find_keys(st, port, d->port_keys, &d->n_port);
	return d;
}

void digest_free(struct digest *d)
{
	if (!d)
		return;
	for (uint32_t i = 0; i < d->n_counters; i++)
		free(d->counters[i].spans);
	free(d->counters);
	free(d->counts);
	free(d->ranges);
	free(d->rows);
	free(d->groups);
	free(d->group_slots);
	free(d->edges);
	free(d->edge_slots);
	free(d->traces);
	free(d->sorted);
	free(d->ids);
	free(d->parents);
	free(d->labels);
	clew_forest_done(&d->forest);
	dict_done(&d->peers);
	free(d);
}

/* ---- rows by trace ---- */

static uint32_t id_slot(const struct clew_id128 *id, uint32_t slots)
{
	/* Ours are hashes; a sender may count. */
	return (uint32_t)clew_hash64(id->b, sizeof(id->b), 0) & (slots - 1);
}

static int grow_groups(struct digest *d)
{
	uint32_t cap = d->cap_groups ? d->cap_groups * 2 : 1024;
	struct digest_group *groups = realloc(d->groups, cap * sizeof(*groups));

	if (!groups)
		return -ENOMEM;
	d->groups = groups;
	d->cap_groups = cap;
	free(d->group_slots);
	d->n_group_slots = cap * 2;
	d->group_slots = malloc(d->n_group_slots * sizeof(*d->group_slots));
	if (!d->group_slots)
		return -ENOMEM;
	memset(d->group_slots, 0xff, d->n_group_slots * sizeof(*d->group_slots));
	for (uint32_t i = 0; i < d->n_groups; i++) {
		uint32_t s = id_slot(&groups[i].id, d->n_group_slots);

		while (d->group_slots[s] != NO_ROW)
			s = (s + 1) & (d->n_group_slots - 1);
		d->group_slots[s] = i;
	}
	return 0;
}

static uint32_t find_slot(const struct digest *d, const struct clew_id128 *id)
{
	uint32_t s = id_slot(id, d->n_group_slots);

	while (d->group_slots[s] != NO_ROW && !clew_id128_eq(&d->groups[d->group_slots[s]].id, id))
		s = (s + 1) & (d->n_group_slots - 1);
	return s;
}

uint32_t digest_n_ids(const struct digest *d)
{
	return d->n_groups;
}

const struct clew_id128 *digest_id(const struct digest *d, uint32_t i)
{
	return &d->groups[i].id;
}

bool digest_has(const struct digest *d, const struct clew_id128 *id)
{
	return d->n_groups && d->group_slots[find_slot(d, id)] != NO_ROW;
}

static struct digest_group *get_group(struct digest *d, const struct clew_id128 *id)
{
	uint32_t s;

	/* Sealed rows come trace by trace. */
	if (d->last_group != NO_ROW && clew_id128_eq(&d->groups[d->last_group].id, id))
		return &d->groups[d->last_group];
	if (d->n_groups == d->cap_groups && grow_groups(d) < 0)
		return NULL;
	s = find_slot(d, id);
	if (d->group_slots[s] == NO_ROW) {
		d->groups[d->n_groups] = (struct digest_group){.id = *id, .first = NO_ROW};
		d->group_slots[s] = d->n_groups++;
	}
	d->last_group = d->group_slots[s];
	return &d->groups[d->last_group];
}

static struct digest_row *add_row(struct digest *d)
{
	if (d->n_rows == d->cap_rows) {
		uint32_t cap = d->cap_rows ? d->cap_rows * 2 : 8192;
		struct digest_row *rows = realloc(d->rows, cap * sizeof(*rows));

		if (!rows)
			return NULL;
		d->rows = rows;
		d->cap_rows = cap;
	}
	return &d->rows[d->n_rows++];
}

/* ---- rows ---- */

/* A row of a trace; block: of its place, UINT32_MAX: its attributes are not summed up. */
static int add(struct digest *d, const struct clew_id128 *id, const struct trace_row *t, bool old,
	       uint32_t block, const struct digest_attrs *attrs)
{
	struct digest_group *g = get_group(d, id);
	struct digest_row *row = g ? add_row(d) : NULL;

	if (!row)
		return -ENOMEM;
	*row = (struct digest_row){.t = *t, .old = old, .peer = DIGEST_NO_ID, .next = g->first};
	if (t->kind == CLEW_KIND_CLIENT || t->kind == CLEW_KIND_PRODUCER)
		row->peer = digest_find_peer(d, attrs);
	g->first = d->n_rows - 1;
	g->n++;
	g->n_old += old;
	return block == UINT32_MAX ? 0 : digest_sum_attrs(d, t->service, block, attrs);
}

static void list_attrs(struct digest_attrs *attrs, const duckdb_list_entry *list,
		       const uint32_t *keys, const struct duck_col *values)
{
	attrs->n = list->length < HOT_MAX_LISTS ? (uint32_t)list->length : HOT_MAX_LISTS;
	for (uint32_t i = 0; i < attrs->n; i++) {
		attrs->keys[i] = keys[list->offset + i];
		attrs->values[i] = duck_str(values, list->offset + i);
	}
}

int digest_add(struct digest *d, duckdb_data_chunk chunk, idx_t first, idx_t rows, bool old,
	       const int64_t *row_ids)
{
	struct duck_col c[DIGEST_N_COLUMNS], text;
	struct digest_attrs attrs;
	const uint32_t *keys;
	duckdb_vector values;
	int r = 0;

	for (idx_t i = 0; i < DIGEST_N_COLUMNS; i++)
		c[i] = duck_col(chunk, first + i);
	keys = duckdb_vector_get_data(duckdb_list_vector_get_child(c[11].vector));
	values = duckdb_list_vector_get_child(c[12].vector);
	text = (struct duck_col){duckdb_vector_get_data(values), NULL, values};
	for (idx_t i = 0; r == 0 && i < rows; i++) {
		struct clew_id128 id = huge_id128(((duckdb_uhugeint *)c[0].data)[i]);
		struct trace_row t = {
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

		attrs.n = 0;
		if (!duck_null(&c[11], i))
			list_attrs(&attrs, (duckdb_list_entry *)c[11].data + i, keys, &text);
		r = add(d, &id, &t, old,
			d->sealed && !old ? (uint32_t)(row_ids[i] / BLOCK_SPANS) : UINT32_MAX,
			&attrs);
	}
	return r;
}

int digest_add_hot(struct digest *d, const struct hot_row *row, uint64_t row_id)
{
	struct clew_id128 id = huge_id128(row->trace_id);
	const struct hot_text *t = hot_attrs(row);
	const char *p = hot_values(row);
	struct digest_attrs attrs;
	struct trace_row tr = {
		.span_id = row->span_id,
		.parent_id = row->parent_id,
		.start_ns = row->start_ns,
		.duration_ns = row->duration_ns,
		.service = row->service,
		.operation = row->operation,
		.kind = row->kind,
		.status = row->status,
		.link_class = row->link_class,
		.incomplete = row->incomplete != 0,
	};

	attrs.n = row->n_attrs;
	for (uint32_t i = 0; i < attrs.n; p += t[i++].len) {
		attrs.keys[i] = t[i].key;
		attrs.values[i] = slice_of(p, t[i].len);
	}
	return add(d, &id, &tr, false, (uint32_t)(row_id / BLOCK_SPANS), &attrs);
}

int digest_finish(struct digest *d)
{
	int r = 0;

	d->traces = malloc(((size_t)d->n_groups + 1) * sizeof(*d->traces));
	if (!d->traces)
		return -ENOMEM;
	for (uint32_t i = 0; r == 0 && i < d->n_groups; i++)
		r = digest_one_trace(d, &d->groups[i]);
	return r < 0 ? r : digest_finish_attrs(d);
}

const struct digest_edge *digest_edges(const struct digest *d, size_t *ret_n)
{
	*ret_n = d->n_edges;
	return d->edges;
}

const struct digest_trace *digest_traces(const struct digest *d, size_t *ret_n)
{
	*ret_n = d->n_traces;
	return d->traces;
}

const struct digest_range *digest_ranges(const struct digest *d, size_t *ret_n)
{
	*ret_n = d->n_ranges;
	return d->ranges;
}

const struct digest_count *digest_counts(const struct digest *d, size_t *ret_n)
{
	*ret_n = d->n_counts;
	return d->counts;
}

struct slice digest_peer(const struct digest *d, uint32_t peer)
{
	const struct dict_entry *e = peer == DIGEST_NO_ID ? NULL : dict_get(&d->peers, peer);

	return e ? e->name : slice_of(NULL, 0);
}
