/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Aliases: traces that were found to be fragments of other traces. Few; kept in memory, in the
 * order in which they came, and in the catalog.
 */
#include <inttypes.h>
#include <time.h>

#include "store/internal.h"

/* Aliases of one store; beyond it clew_store_add_alias() answers -ENOSPC. */
#define MAX_ALIASES 1000000u
/* An alias may point to an alias; a chain is followed this far. */
#define MAX_CHAIN 32

const char *huge_sql(const struct clew_id128 *id, char *buf)
{
	duckdb_uhugeint h = id128_huge(id);
	unsigned __int128 v = (unsigned __int128)h.upper << 64 | h.lower;
	char *p = buf + 63;

	*p = '\0';
	do
		*--p = (char)('0' + (int)(v % 10));
	while (v /= 10);
	return p;
}

static uint32_t *find_slot(const struct alias_table *t, const struct clew_id128 *id)
{
	size_t mask = t->cap * 2 - 1, i = clew_hash64(id->b, sizeof(id->b), 0) & mask;

	while (t->slots[i] && !clew_id128_eq(&t->rows[t->slots[i] - 1].trace_id, id))
		i = (i + 1) & mask;
	return &t->slots[i];
}

static int grow(struct alias_table *t)
{
	size_t cap = t->cap ? t->cap * 2 : 64;
	struct clew_store_alias *rows = realloc(t->rows, cap * sizeof(*rows));
	uint32_t *slots = rows ? calloc(cap * 2, sizeof(*slots)) : NULL;

	if (rows)
		t->rows = rows;
	if (!slots)
		return -ENOMEM;
	free(t->slots);
	t->slots = slots;
	t->cap = cap;
	for (size_t i = 0; i < t->n; i++)
		*find_slot(t, &t->rows[i].trace_id) = (uint32_t)i + 1;
	return 0;
}

/* The last one for an id counts. */
static int add_row(struct alias_table *t, const struct clew_store_alias *a)
{
	if (t->n == t->cap && grow(t) < 0)
		return -ENOMEM;
	t->rows[t->n] = *a;
	*find_slot(t, &a->trace_id) = (uint32_t)t->n + 1;
	t->n++;
	return 0;
}

static int load_row(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct alias_table *t = user;
	struct duck_col from = duck_col(chunk, 0), to = duck_col(chunk, 1);
	int r = 0;

	for (idx_t i = 0; r == 0 && i < rows; i++) {
		struct clew_store_alias a = {
			.trace_id = huge_id128(((duckdb_uhugeint *)from.data)[i]),
			.canonical = huge_id128(((duckdb_uhugeint *)to.data)[i]),
		};

		r = add_row(t, &a);
	}
	return r;
}

int aliases_load(struct clew_store *st, char **ret_error)
{
	return duck_each(st->conn, "SELECT trace_id, canonical FROM c.alias", load_row,
			 &st->aliases, ret_error);
}

/* state_lock is held. */
static struct clew_id128 canonical(const struct alias_table *t, struct clew_id128 id)
{
	for (int depth = 0; t->n && depth < MAX_CHAIN; depth++) {
		uint32_t row = *find_slot(t, &id);

		if (!row)
			break;
		id = t->rows[row - 1].canonical;
	}
	return id;
}

struct clew_id128 alias_canonical(struct clew_store *st, struct clew_id128 id)
{
	if (!st->aliases.n)
		return id;
	pthread_mutex_lock(&st->state_lock);
	id = canonical(&st->aliases, id);
	pthread_mutex_unlock(&st->state_lock);
	return id;
}

int alias_members(struct clew_store *st, struct clew_id128 id,
		  int (*fn)(void *user, const struct clew_id128 *id), void *user)
{
	int r = fn(user, &id);

	if (!st->aliases.n)
		return r;
	pthread_mutex_lock(&st->state_lock);
	for (size_t i = 0; r == 0 && i < st->aliases.n; i++) {
		struct clew_id128 c = canonical(&st->aliases, st->aliases.rows[i].trace_id);

		if (clew_id128_eq(&c, &id))
			r = fn(user, &st->aliases.rows[i].trace_id);
	}
	pthread_mutex_unlock(&st->state_lock);
	return r;
}

static uint64_t now_unix_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int write_catalog(struct clew_store *st, const char *sql, char **ret_error)
{
	duckdb_connection conn = NULL;
	int r;

	if (st->opts.read_only)
		return -EROFS;
	pthread_rwlock_rdlock(&st->gate);
	if (!st->db)
		r = set_error(ret_error, -EAGAIN, "the store is being recovered: try again");
	else if (duckdb_connect(st->db, &conn) != DuckDBSuccess)
		r = -ENOMEM;
	else
		r = duck_exec(conn, sql, ret_error);
	if (conn)
		duckdb_disconnect(&conn);
	pthread_rwlock_unlock(&st->gate);
	return r;
}

int clew_store_add_alias(struct clew_store *st, const struct clew_store_alias *a, char **ret_error)
{
	struct clew_id128 end;
	char from[64], to[64], sql[320];
	int r;

	pthread_mutex_lock(&st->state_lock);
	end = canonical(&st->aliases, a->canonical);
	pthread_mutex_unlock(&st->state_lock);
	if (clew_id128_eq(&end, &a->trace_id))
		return set_error(ret_error, -EINVAL, "an alias of a trace to itself");
	if (st->aliases.n >= MAX_ALIASES)
		return set_error(ret_error, -ENOSPC, "the store has %u aliases: no more",
				 MAX_ALIASES);
	snprintf(sql, sizeof(sql), "INSERT INTO c.alias VALUES (%s, %s, %u, %.9g, %" PRIu64 ");",
		 huge_sql(&a->trace_id, from), huge_sql(&a->canonical, to), a->evidence,
		 (double)a->confidence, now_unix_ns());
	r = write_catalog(st, sql, ret_error);
	if (r < 0)
		return r;
	pthread_mutex_lock(&st->state_lock);
	r = add_row(&st->aliases, a);
	pthread_mutex_unlock(&st->state_lock);
	return r;
}

int clew_store_add_fragment(struct clew_store *st, const struct clew_store_fragment *f,
			    char **ret_error)
{
	char trace[64], boot[64], key[64], sql[512];

	snprintf(sql, sizeof(sql),
		 "INSERT INTO c.fragment VALUES (%s, %s, %" PRIu64 ", %s, %" PRIu64 ", %" PRIu64
		 ", %u, %s, %" PRIu64 ");",
		 huge_sql(&f->trace_id, trace), huge_sql(&f->boot_id, boot),
		 id64_int(&f->root_span_id),
		 clew_id128_none(&f->wire_key) ? "NULL" : huge_sql(&f->wire_key, key), f->start_ns,
		 f->end_ns, f->spans, f->complete ? "true" : "false", now_unix_ns());
	return write_catalog(st, sql, ret_error);
}
