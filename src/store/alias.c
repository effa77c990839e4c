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

static uint32_t *find_head(const struct alias_table *t, const struct clew_id128 *canonical)
{
	return &t->heads[clew_hash64(canonical->b, sizeof(canonical->b), 1) & (t->cap * 2 - 1)];
}

static void index_row(struct alias_table *t, uint32_t row)
{
	uint32_t *head = find_head(t, &t->rows[row].canonical);

	*find_slot(t, &t->rows[row].trace_id) = row + 1;
	t->next[row] = *head;
	*head = row + 1;
}

static int grow(struct alias_table *t)
{
	size_t cap = t->cap ? t->cap * 2 : 64;
	struct clew_store_alias *rows = realloc(t->rows, cap * sizeof(*rows));
	uint32_t *next = rows ? realloc(t->next, cap * sizeof(*next)) : NULL;
	uint32_t *slots = next ? calloc(cap * 2, sizeof(*slots)) : NULL;
	uint32_t *heads = slots ? calloc(cap * 2, sizeof(*heads)) : NULL;

	if (rows)
		t->rows = rows;
	if (next)
		t->next = next;
	if (!heads) {
		free(slots);
		return -ENOMEM;
	}
	free(t->slots);
	free(t->heads);
	t->slots = slots;
	t->heads = heads;
	t->cap = cap;
	for (size_t i = 0; i < t->n; i++)
		index_row(t, (uint32_t)i);
	return 0;
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

/* The last one for an id counts; one that closes a circle does not, whether it comes or is loaded. */
static int add_row(struct alias_table *t, const struct clew_store_alias *a)
{
	struct clew_id128 end = canonical(t, a->canonical);

	if (clew_id128_eq(&end, &a->trace_id))
		return 0;
	if (t->n == t->cap && grow(t) < 0)
		return -ENOMEM;
	t->rows[t->n] = *a;
	index_row(t, (uint32_t)t->n);
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

/* Those of hours that are gone are of no use: a fragment is added seconds after its spans. */
static int drop_old(struct clew_store *st, char **ret_error)
{
	if (st->opts.read_only || !st->n_parts)
		return 0;
	return duck_execf(st->conn, ret_error, "DELETE FROM c.alias WHERE added_ns < %" PRId64 ";",
			  (int64_t)((st->parts[0]->hour - 1) * HOUR_NS));
}

int aliases_load(struct clew_store *st, char **ret_error)
{
	int r = drop_old(st, ret_error);

	return r < 0 ? r
		     : duck_each(st->conn, "SELECT trace_id, canonical FROM c.alias ORDER BY rowid",
				 load_row, &st->aliases, ret_error);
}

struct telling {
	void (*fn)(void *user, const struct clew_store_alias *a);
	void *user;
};

static int tell_rows(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col from = duck_col(chunk, 0), to = duck_col(chunk, 1);
	struct duck_col evidence = duck_col(chunk, 2), confidence = duck_col(chunk, 3);
	struct telling *t = user;

	for (idx_t i = 0; i < rows; i++) {
		const struct clew_store_alias a = {
			.trace_id = huge_id128(((duckdb_uhugeint *)from.data)[i]),
			.canonical = huge_id128(((duckdb_uhugeint *)to.data)[i]),
			.evidence = ((uint32_t *)evidence.data)[i],
			.confidence = ((float *)confidence.data)[i],
		};

		t->fn(t->user, &a);
	}
	return 0;
}

int clew_store_aliases(struct clew_store *st, uint64_t since_ns,
		       void (*fn)(void *user, const struct clew_store_alias *a), void *user,
		       char **ret_error)
{
	struct telling t = {fn, user};
	struct query q;
	char sql[160];
	int r = query_begin(st, &q, ret_error);

	if (r < 0)
		return r;
	snprintf(sql, sizeof(sql),
		 "SELECT trace_id, canonical, evidence, confidence FROM c.alias WHERE added_ns >="
		 " %" PRIu64 " ORDER BY added_ns, rowid",
		 since_ns);
	r = query_each(&q, sql, tell_rows, &t, ret_error);
	query_end(&q);
	return r;
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

struct members {
	const struct alias_table *t;
	struct clew_id128 canonical;
	int (*fn)(void *user, const struct clew_id128 *id);
	void *user;
};

/* Those that point to id, and those that point to them. A row that a later one replaced is passed. */
static int members_of(const struct members *m, const struct clew_id128 *id, int depth)
{
	int r = 0;

	for (uint32_t row = *find_head(m->t, id); r == 0 && row; row = m->t->next[row - 1]) {
		const struct clew_store_alias *a = &m->t->rows[row - 1];
		struct clew_id128 c;

		if (*find_slot(m->t, &a->trace_id) != row || !clew_id128_eq(&a->canonical, id))
			continue;
		c = canonical(m->t, a->trace_id);
		if (clew_id128_eq(&c, &m->canonical))
			r = m->fn(m->user, &a->trace_id);
		if (r == 0 && depth < MAX_CHAIN)
			r = members_of(m, &a->trace_id, depth + 1);
	}
	return r;
}

int alias_members_locked(struct clew_store *st, struct clew_id128 id,
			 int (*fn)(void *user, const struct clew_id128 *id), void *user)
{
	const struct members m = {&st->aliases, id, fn, user};
	int r = fn(user, &id);

	return r < 0 || !st->aliases.n ? r : members_of(&m, &id, 0);
}

int alias_members(struct clew_store *st, struct clew_id128 id,
		  int (*fn)(void *user, const struct clew_id128 *id), void *user)
{
	int r;

	pthread_mutex_lock(&st->state_lock);
	r = alias_members_locked(st, id, fn, user);
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

#define ALIASES_AT_ONCE 500u

int aliases_add(struct clew_store *st, const struct clew_store_alias *v, size_t n, char **ret_error)
{
	struct clew_buf sql = {0};
	size_t room = MAX_ALIASES - (st->aliases.n < MAX_ALIASES ? st->aliases.n : MAX_ALIASES);
	char from[64], to[64];
	int r = 0;

	n = n < room ? n : room;
	for (size_t i = 0; r == 0 && i < n; i++) {
		clew_buf_adds(&sql, i % ALIASES_AT_ONCE ? "," : "INSERT INTO c.alias VALUES ");
		clew_buf_addf(&sql, "(%s,%s,%u,%.9g,%" PRIu64 ")", huge_sql(&v[i].trace_id, from),
			      huge_sql(&v[i].canonical, to), v[i].evidence, (double)v[i].confidence,
			      now_unix_ns());
		if ((i + 1) % ALIASES_AT_ONCE && i + 1 < n)
			continue;
		r = sql.err ? sql.err : duck_exec(st->conn, sql.data, ret_error);
		clew_buf_clear(&sql);
	}
	clew_buf_done(&sql);
	pthread_mutex_lock(&st->state_lock);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_row(&st->aliases, &v[i]);
	pthread_mutex_unlock(&st->state_lock);
	return r < 0 ? r : (int)n;
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
