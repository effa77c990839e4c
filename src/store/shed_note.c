/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which stored traces are cut: spans of them were dropped because the store could not keep up. Few; in the catalog
 * (`shed`: trace_id, spans, at_ns), and in memory by trace.
 */
#include <inttypes.h>

#include "base/log.h"
#include "base/units.h"
#include "store/internal.h"

/* Of one store; beyond it nothing is noted (stats: cut_untold). */
#define MAX_NOTES     100000u
#define NOTES_AT_ONCE 500u

/* Under state_lock. The trace's note, or the empty slot where it would be. */
static struct shed_cut *find(const struct shed_notes *t, const struct clew_id128 *id)
{
	size_t mask = t->cap - 1, i = clew_hash64(id->b, sizeof(id->b), 0) & mask;

	while (t->v[i].spans && !clew_id128_eq(&t->v[i].trace_id, id))
		i = (i + 1) & mask;
	return &t->v[i];
}

static int grow(struct shed_notes *t)
{
	struct shed_notes more = {.cap = t->cap ? t->cap * 2 : 256, .n = t->n};

	more.v = calloc(more.cap, sizeof(*more.v));
	if (!more.v)
		return -ENOMEM;
	for (size_t i = 0; i < t->cap; i++)
		if (t->v[i].spans)
			*find(&more, &t->v[i].trace_id) = t->v[i];
	free(t->v);
	*t = more;
	return 0;
}

static int note(struct shed_notes *t, const struct shed_cut *c)
{
	struct shed_cut *at;

	if (t->n * 2 >= t->cap && grow(t) < 0)
		return -ENOMEM;
	at = find(t, &c->trace_id);
	t->n += !at->spans;
	at->trace_id = c->trace_id;
	at->spans += c->spans;
	return 0;
}

static int load_rows(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col id = duck_col(chunk, 0), n = duck_col(chunk, 1);
	int r = 0;

	for (idx_t i = 0; r == 0 && i < rows; i++) {
		struct shed_cut c = {huge_id128(((duckdb_uhugeint *)id.data)[i]),
				     ((uint32_t *)n.data)[i]};

		r = c.spans ? note(user, &c) : 0;
	}
	return r;
}

int shed_notes_load(struct clew_store *st, char **ret_error)
{
	int64_t there;
	int r = duck_int(st->conn,
			 "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'c' AND"
			 " table_name = 'shed'",
			 0, &there, ret_error);

	if (r < 0 || !there)
		return r;
	/* Those of hours that are gone. */
	if (!st->opts.read_only && st->n_parts)
		r = duck_execf(st->conn, ret_error, "DELETE FROM c.shed WHERE at_ns < %" PRId64 ";",
			       (int64_t)((st->parts[0]->hour - 1) * HOUR_NS));
	return r < 0 ? r
		     : duck_each(st->conn, "SELECT trace_id, spans FROM c.shed", load_rows,
				 &st->notes, ret_error);
}

void shed_notes_done(struct shed_notes *t)
{
	free(t->v);
	*t = (struct shed_notes){0};
}

static int save(struct clew_store *st, const struct shed_cut *v, size_t n, char **ret_error)
{
	uint64_t now = clew_now_ns();
	struct clew_buf sql = {0};
	char id[64];
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		clew_buf_addf(&sql, "%s(%s,%u,%" PRIu64 ")",
			      i % NOTES_AT_ONCE ? "," : "INSERT INTO c.shed VALUES ",
			      huge_sql(&v[i].trace_id, id), v[i].spans, now);
		if ((i + 1) % NOTES_AT_ONCE && i + 1 < n)
			continue;
		r = sql.err ? sql.err : duck_exec(st->conn, sql.data, ret_error);
		clew_buf_clear(&sql);
	}
	clew_buf_done(&sql);
	return r;
}

static bool waits(struct clew_store *st, struct shed_cut **ret, size_t *n)
{
	size_t taken = 0;
	bool any;

	pthread_mutex_lock(&st->queue_lock);
	any = st->shed.n_cuts && !st->stats.failing;
	if (any) {
		*ret = st->shed.cuts;
		taken = st->shed.n_cuts;
		st->shed.cuts = NULL;
		st->shed.n_cuts = 0;
	}
	pthread_mutex_unlock(&st->queue_lock);
	*n = taken;
	return any;
}

void shed_notes_keep(struct clew_store *st)
{
	_cleanup_(freep) char *error = NULL;
	struct shed_cut *v = NULL;
	uint64_t untold = 0;
	size_t n, some;
	int r = 0;

	if (!st->conn || !waits(st, &v, &n))
		return;
	some = st->notes.n < MAX_NOTES ? n : 0;
	if (some)
		r = save(st, v, some, &error);
	if (r < 0)
		log_debug("traces that are cut: %s", error ? error : strerror(-r));
	pthread_mutex_lock(&st->state_lock);
	for (size_t i = 0; i < some; i++)
		r = note(&st->notes, &v[i]) < 0 ? -ENOMEM : r;
	pthread_mutex_unlock(&st->state_lock);
	for (size_t i = 0; i < n; i++)
		if (r < 0 || i >= some)
			untold += v[i].spans;
	pthread_mutex_lock(&st->queue_lock);
	st->stats.cut_untold += untold;
	pthread_mutex_unlock(&st->queue_lock);
	free(v);
}

struct adding {
	const struct shed_notes *t;
	uint64_t spans;
};

static int add_member(void *user, const struct clew_id128 *id)
{
	struct adding *a = user;

	a->spans += find(a->t, id)->spans;
	return 0;
}

uint64_t clew_store_not_stored(struct clew_store *st, const struct clew_id128 *id)
{
	struct adding a = {.t = &st->notes};
	struct clew_id128 canonical = alias_canonical(st, *id);

	pthread_mutex_lock(&st->state_lock);
	if (st->notes.n)
		(void)alias_members_locked(st, canonical, add_member, &a);
	pthread_mutex_unlock(&st->state_lock);
	return a.spans;
}
