/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New names and resources into the catalog: rows by an appender, one transaction. (As statements they
 * cost a fifth of a millisecond each, and a sender may make as many names as it likes.)
 */
#include "store/internal.h"

struct saving {
	struct clew_store *st;
	duckdb_logical_type key_type, value_type; /* of lists' elements */
	struct clew_buf scratch;
};

static void append_text(struct saving *s, duckdb_appender a, struct slice text)
{
	text = duck_utf8(text, &s->scratch);
	duckdb_append_varchar_length(a, text.p ? text.p : "", text.n);
}

/* A table's rows; what an append met shows at the latest when it is flushed. */
static int save_rows(struct saving *s, const char *table, uint32_t from, uint32_t to,
		     void (*row)(struct saving *s, duckdb_appender a, const void *what,
				 uint32_t id),
		     const void *what, char **ret_error)
{
	duckdb_appender a = NULL;
	int r = 0;

	if (from >= to)
		return 0;
	if (duckdb_appender_create_ext(s->st->conn, "c", "main", table, &a) != DuckDBSuccess)
		r = duck_append_error(a, ret_error);
	for (uint32_t id = from; r == 0 && id < to; id++) {
		row(s, a, what, id);
		if (duckdb_appender_end_row(a) != DuckDBSuccess)
			r = duck_append_error(a, ret_error);
	}
	if (r == 0 && duckdb_appender_flush(a) != DuckDBSuccess)
		r = duck_append_error(a, ret_error);
	duckdb_appender_destroy(&a);
	return r < 0 ? r : s->scratch.err;
}

static void dict_row(struct saving *s, duckdb_appender a, const void *what, uint32_t id)
{
	const struct dict_entry *e = dict_get(what, id);

	duckdb_append_uint32(a, id);
	append_text(s, a, e->name);
	duckdb_append_uint8(a, e->type);
}

static void append_list(duckdb_appender a, duckdb_logical_type type, duckdb_value *v, uint32_t n)
{
	duckdb_value list = duckdb_create_list_value(type, v, n);

	duckdb_append_value(a, list);
	duckdb_destroy_value(&list);
	for (uint32_t i = 0; i < n; i++)
		duckdb_destroy_value(&v[i]);
}

/* It is there: names_resource() has added it. */
static uint32_t number_of(struct clew_store *st, enum dict_kind kind, struct slice name,
			  uint8_t type)
{
	uint32_t id = 0;

	pthread_mutex_lock(&st->names_lock);
	(void)dict_add(&st->dicts[kind], name, type, &id);
	pthread_mutex_unlock(&st->names_lock);
	return id;
}

static void append_attrs(struct saving *s, duckdb_appender a, const struct clew_resource *r)
{
	_cleanup_(freep) duckdb_value *v = calloc(r->n_attrs + 1, sizeof(*v));
	uint32_t key = 0;
	char num[64];

	if (!v) {
		s->scratch.err = -ENOMEM;
		return;
	}
	for (uint32_t i = 0; i < r->n_attrs; i++) {
		key = number_of(s->st, DICT_KEY, r->attrs[i].key, key_type(&r->attrs[i]));
		v[i] = duckdb_create_uint32(key);
	}
	append_list(a, s->key_type, v, r->n_attrs);
	for (uint32_t i = 0; i < r->n_attrs; i++) {
		struct slice text = attr_text(&r->attrs[i], num, sizeof(num));

		text = duck_utf8(text, &s->scratch);
		v[i] = duckdb_create_varchar_length(text.p ? text.p : "", text.n);
	}
	append_list(a, s->value_type, v, r->n_attrs);
}

static void resource_row(struct saving *s, duckdb_appender a, const void *what, uint32_t id)
{
	const struct clew_resource *r = s->st->resources[id];
	uint32_t service = number_of(s->st, DICT_SERVICE, r->service, 0);
	uint32_t host = number_of(s->st, DICT_HOST, r->host, 0);

	duckdb_append_uint32(a, id);
	duckdb_append_uint64(a, r->id);
	duckdb_append_uint32(a, service);
	duckdb_append_uint32(a, host);
	append_text(s, a, r->instance);
	duckdb_append_uhugeint(a, id128_huge(&r->boot_id));
	append_attrs(s, a, r);
}

static bool nothing_new(struct clew_store *st)
{
	for (int i = 0; i < N_DICTS; i++)
		if (st->dicts[i].saved < atomic_load(&st->dicts[i].n))
			return false;
	return st->resource_ids.saved >= atomic_load(&st->resource_ids.n);
}

int names_save(struct clew_store *st, char **ret_error)
{
	struct saving s = {.st = st};
	uint32_t n[N_DICTS], n_resources;
	int r;

	if (nothing_new(st))
		return 0;
	/* Not in the middle of names_resource(): with each of these, all of its names are there. */
	pthread_mutex_lock(&st->names_lock);
	n_resources = atomic_load(&st->resource_ids.n);
	pthread_mutex_unlock(&st->names_lock);
	s.key_type = duckdb_create_logical_type(DUCKDB_TYPE_UINTEGER);
	s.value_type = duckdb_create_logical_type(DUCKDB_TYPE_VARCHAR);
	r = duck_exec(st->conn, "BEGIN TRANSACTION;", ret_error);
	if (r == 0)
		r = save_rows(&s, "resource", st->resource_ids.saved, n_resources, resource_row,
			      NULL, ret_error);
	for (int i = 0; i < N_DICTS; i++) {
		n[i] = atomic_load(&st->dicts[i].n);
		if (r == 0)
			r = save_rows(&s, dict_tables[i], st->dicts[i].saved, n[i], dict_row,
				      &st->dicts[i], ret_error);
	}
	if (r == 0)
		r = duck_exec(st->conn, "COMMIT;", ret_error);
	clew_buf_done(&s.scratch);
	duckdb_destroy_logical_type(&s.key_type);
	duckdb_destroy_logical_type(&s.value_type);
	if (r < 0) {
		(void)duck_exec(st->conn, "ROLLBACK;", NULL);
		return r;
	}
	for (int i = 0; i < N_DICTS; i++)
		st->dicts[i].saved = n[i];
	pthread_mutex_lock(&st->names_lock); /* names_resource() looks at it */
	st->resource_ids.saved = n_resources;
	pthread_mutex_unlock(&st->names_lock);
	return 0;
}
