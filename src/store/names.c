/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalog's dictionaries and resources: in memory while the store is open, new rows committed
 * before the spans that use them. (A transaction of DuckDB writes to one file only. Rows that no
 * span uses, after a crash in between, do no harm.)
 */
#include <inttypes.h>

#include "store/internal.h"

/* By hand: printf is a tenth of what a span costs. */
static struct slice int_text(int64_t v, char *buf, size_t size)
{
	uint64_t rest = v < 0 ? -(uint64_t)v : (uint64_t)v;
	char *p = buf + size;

	do
		*--p = (char)('0' + rest % 10);
	while (rest /= 10);
	if (v < 0)
		*--p = '-';
	return slice_of(p, (size_t)(buf + size - p));
}

struct slice attr_text(const struct clew_attr *a, char *buf, size_t size)
{
	switch (a->type) {
	case CLEW_ATTR_INT:
		return int_text(a->i, buf, size);
	case CLEW_ATTR_DOUBLE:
		return slice_of(buf, (size_t)snprintf(buf, size, "%.17g", a->d));
	case CLEW_ATTR_BOOL:
		return a->b ? SLICE("true") : SLICE("false");
	case CLEW_ATTR_STR:
		break;
	}
	return a->str;
}

struct slice names_get(const struct clew_store *st, enum dict_kind kind, uint32_t id)
{
	const struct dict_entry *e = dict_get(&st->dicts[kind], id);

	return e ? e->name : SLICE("");
}

struct clew_resource *names_resource_get(const struct clew_store *st, uint32_t id)
{
	return dict_get(&st->resource_ids, id) ? st->resources[id] : NULL;
}

/* Give a resource the next small id. */
static int resource_insert(struct clew_store *st, struct clew_resource *r, uint32_t *ret_id)
{
	uint32_t n = atomic_load(&st->resource_ids.n), id;
	int e;

	if (n >= DICT_MAX - 16) {
		st->resource_ids.refused++;
		*ret_id = 0;
		return 0;
	}
	/* Before the id can be seen by readers. */
	st->resources[n] = clew_resource_ref(r);
	e = dict_add(&st->resource_ids, slice_of(&r->id, sizeof(r->id)), 0, &id);
	if (e < 0 || id != n) { /* no memory, or known already */
		clew_resource_unref(st->resources[n]);
		st->resources[n] = NULL;
		if (e < 0)
			return e;
	}
	*ret_id = id;
	return 0;
}

int names_resource(struct clew_store *st, struct clew_resource *r, uint32_t *ret_id)
{
	uint32_t id, unused;
	int e;

	if (!r) {
		*ret_id = UINT32_MAX;
		return 0;
	}
	if (atomic_load(&st->resource_ids.n) && r->id == st->last_resource) {
		*ret_id = st->last_resource_id; /* spans of one process come together */
		return 0;
	}
	e = dict_find(&st->resource_ids, slice_of(&r->id, sizeof(r->id)), 0, &id);
	if (e < 0)
		e = resource_insert(st, r, &id);
	if (e < 0)
		return e;
	*ret_id = id;
	/* Its names must be in the catalog with it. */
	for (uint32_t i = 0; id >= st->resource_ids.saved && i < r->n_attrs; i++) {
		e = dict_add(&st->dicts[DICT_KEY], r->attrs[i].key, key_type(&r->attrs[i]),
			     &unused);
		if (e < 0)
			return e;
	}
	if (id >= st->resource_ids.saved)
		e = dict_add(&st->dicts[DICT_HOST], r->host, 0, &unused);
	if (e < 0)
		return e;
	st->last_resource = r->id;
	st->last_resource_id = id;
	return 0;
}

/* ---- loading ---- */

struct loading {
	struct clew_store *st;
	struct dict *dict;
};

static int load_names(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct loading *l = user;
	struct duck_col name = duck_col(chunk, 0), type = duck_col(chunk, 1);
	uint32_t id;
	int r = 0;

	for (idx_t i = 0; r == 0 && i < rows; i++)
		r = dict_add(l->dict, duck_str(&name, i), ((uint8_t *)type.data)[i], &id);
	return r;
}

static void parse_value(struct clew_attr *a, struct slice text)
{
	char buf[64];

	snprintf(buf, sizeof(buf), "%.*s", (int)(text.n < 63 ? text.n : 63), text.p);
	switch (a->type) {
	case CLEW_ATTR_INT:
		a->i = strtoll(buf, NULL, 10);
		break;
	case CLEW_ATTR_DOUBLE:
		a->d = strtod(buf, NULL);
		break;
	case CLEW_ATTR_BOOL:
		a->b = buf[0] == 't';
		break;
	case CLEW_ATTR_STR:
		a->str = text;
		break;
	}
}

static int load_resource(struct clew_store *st, uint64_t hash, duckdb_uhugeint boot,
			 const uint32_t *keys, const struct duck_col *values, uint64_t first,
			 uint64_t n)
{
	_cleanup_(freep) struct clew_attr *attrs = calloc(n ? n : 1, sizeof(*attrs));
	struct clew_id128 boot_id = huge_id128(boot);
	struct clew_resource *r;
	uint64_t n_attrs = 0;
	uint32_t id;
	int e;

	if (!attrs)
		return -ENOMEM;
	for (uint64_t i = 0; i < n; i++) {
		const struct dict_entry *key = dict_get(&st->dicts[DICT_KEY], keys[first + i]);

		if (!key)
			continue;
		attrs[n_attrs].key = key->name;
		attrs[n_attrs].type = key_attr_type(key->type);
		attrs[n_attrs].form = key_form(key->type);
		parse_value(&attrs[n_attrs++], duck_str(values, first + i));
	}
	r = clew_resource_new(attrs, n_attrs, &boot_id);
	if (!r)
		return -ENOMEM;
	r->id = hash; /* as it was stored: the hash may be of bytes that were not UTF-8 */
	e = resource_insert(st, r, &id);
	clew_resource_unref(r);
	return e;
}

static int load_resources(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct loading *l = user;
	struct duck_col hash = duck_col(chunk, 0), boot = duck_col(chunk, 1);
	struct duck_col keys = duck_col(chunk, 2), values = duck_col(chunk, 3);
	duckdb_vector kids = duckdb_list_vector_get_child(keys.vector);
	duckdb_vector texts = duckdb_list_vector_get_child(values.vector);
	struct duck_col text = {duckdb_vector_get_data(texts), NULL, texts};
	int r = 0;

	for (idx_t i = 0; r == 0 && i < rows; i++) {
		duckdb_list_entry *k = (duckdb_list_entry *)keys.data + i;
		duckdb_list_entry *v = (duckdb_list_entry *)values.data + i;

		if (k->length != v->length || k->offset != v->offset)
			return -EUCLEAN;
		r = load_resource(l->st, ((uint64_t *)hash.data)[i],
				  ((duckdb_uhugeint *)boot.data)[i], duckdb_vector_get_data(kids),
				  &text, k->offset, k->length);
	}
	return r;
}

int names_load(struct clew_store *st, char **ret_error)
{
	struct loading l = {.st = st};
	char sql[128];
	int r = 0;

	for (int i = 0; r == 0 && i < N_DICTS; i++) {
		l.dict = &st->dicts[i];
		snprintf(sql, sizeof(sql), "SELECT name, type FROM c.%s ORDER BY id",
			 dict_tables[i]);
		r = duck_each(st->conn, sql, load_names, &l, ret_error);
		st->dicts[i].saved = atomic_load(&st->dicts[i].n);
	}
	if (r == 0)
		r = duck_each(st->conn,
			      "SELECT hash, boot_id, attr_keys, attr_values FROM c.resource"
			      " ORDER BY id",
			      load_resources, &l, ret_error);
	st->resource_ids.saved = atomic_load(&st->resource_ids.n);
	return r < 0 ? set_error(ret_error, r, "cannot read the names in the catalog") : 0;
}

void names_free(struct clew_store *st)
{
	for (uint32_t i = 0; st->resources && i < atomic_load(&st->resource_ids.n); i++)
		clew_resource_unref(st->resources[i]);
	free(st->resources);
	st->resources = NULL;
	for (int i = 0; i < N_DICTS; i++)
		dict_done(&st->dicts[i]);
	dict_done(&st->resource_ids);
}
