/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is found out about spans after they were stored. It waits in a queue of its own and is done by
 * the writer's thread between batches:
 *
 *	queue ─► by (trace, span) id ─► other rows in place of hot ones (amend_hot.c)
 *
 * A span that is not hot may be on its way: it is tried again for TRY_NS. Spans that are sealed, or just being
 * sealed, stay as they are; what is known of their traces is in `alias`.
 */
#include <inttypes.h>

#include "base/log.h"
#include "store/internal.h"

#define LOOK_NS (1000ull * 1000 * 1000)
#define TRY_NS	(6000ull * 1000 * 1000)

/* ---- in ---- */

static bool room(void **v, size_t *cap, size_t size, size_t n)
{
	size_t want = *cap ? *cap : 256;
	void *p;

	while (want < n)
		want *= 2;
	if (want == *cap)
		return true;
	p = realloc(*v, want * size);
	if (!p)
		return false;
	*v = p;
	*cap = want;
	return true;
}

/* Under queue_lock: how many more of them are taken. */
static size_t fitting(size_t waiting, size_t n)
{
	size_t left = CLEW_STORE_MAX_AMENDMENTS - waiting;

	return n < left ? n : left;
}

void clew_store_amend(struct clew_store *st, const struct clew_store_amendment *v, size_t n,
		      const struct clew_store_alias *aliases, size_t n_aliases)
{
	struct amend_queue *q = &st->amend;
	uint64_t now = clew_mono_ns();
	size_t items, names;

	if (!n && !n_aliases)
		return;
	pthread_mutex_lock(&st->queue_lock);
	items = fitting(q->n, n);
	names = fitting(q->n_aliases, n_aliases);
	if (!room((void **)&q->v, &q->cap, sizeof(*q->v), q->n + items))
		items = 0;
	if (!room((void **)&q->aliases, &q->cap_aliases, sizeof(*q->aliases), q->n_aliases + names))
		names = 0;
	for (size_t i = 0; i < items; i++)
		q->v[q->n++] = (struct amend_item){.a = v[i], .since_ns = now};
	for (size_t i = 0; i < names; i++)
		q->aliases[q->n_aliases++] = aliases[i];
	st->stats.amend_dropped += n - items + n_aliases - names;
	if (!q->due_ns)
		q->due_ns = now + LOOK_NS;
	q->is_new = true;
	pthread_cond_signal(&st->queue_cond);
	pthread_mutex_unlock(&st->queue_lock);
}

/* ---- the writer's part ---- */

static int apply(struct clew_store *st, struct amend_queue *q, bool *found, char **ret_error)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < st->n_parts; i++)
		if (st->parts[i]->n_hots)
			r = amend_part(st, st->parts[i], q, found, ret_error);
	if (r == 0 && q->n_aliases)
		r = aliases_add(st, q->aliases, q->n_aliases, ret_error);
	return r;
}

/* Under queue_lock: those that were not found wait on, if there is time. */
static void put_back(struct clew_store *st, const struct amend_queue *taken, const bool *found,
		     bool failed)
{
	struct amend_queue *q = &st->amend;
	uint64_t now = clew_mono_ns();
	bool last = atomic_load(&st->stop);

	for (size_t i = 0; i < taken->n; i++) {
		if (!failed && found[i]) {
			st->stats.amended++;
		} else if (last || now - taken->v[i].since_ns > TRY_NS ||
			   q->n >= CLEW_STORE_MAX_AMENDMENTS ||
			   !room((void **)&q->v, &q->cap, sizeof(*q->v), q->n + 1)) {
			st->stats.amend_missed++;
		} else {
			q->v[q->n++] = taken->v[i];
			q->due_ns = q->due_ns ? q->due_ns : now + LOOK_NS;
		}
	}
}

void amend_apply(struct clew_store *st)
{
	_cleanup_(freep) char *error = NULL;
	struct amend_queue taken;
	bool *found;
	int r;

	pthread_mutex_lock(&st->queue_lock);
	taken = st->amend;
	if (!taken.due_ns ||
	    (taken.due_ns > clew_mono_ns() && !st->flush_waiters && !atomic_load(&st->stop))) {
		pthread_mutex_unlock(&st->queue_lock);
		return;
	}
	st->amend = (struct amend_queue){0};
	pthread_mutex_unlock(&st->queue_lock);
	found = calloc(taken.n + 1, sizeof(*found));
	r = !found ? -ENOMEM : st->conn ? apply(st, &taken, found, &error) : -EIO;
	if (r < 0)
		log_debug("amendments: %s", error ? error : strerror(-r));
	pthread_mutex_lock(&st->queue_lock);
	put_back(st, &taken, found, r < 0);
	st->stats.amend_dropped += r < 0 ? taken.n_aliases : 0;
	pthread_cond_broadcast(&st->done_cond);
	pthread_mutex_unlock(&st->queue_lock);
	free(found);
	free(taken.v);
	free(taken.aliases);
}
