/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is found out about spans after they were stored. It waits in a queue of its own and is done by
 * the writer's thread between batches:
 *
 *	queue ─► by span ─┬─► other rows in place of hot ones (amend_hot.c)
 *	                  └─► changes of sealed rows (amend_sealed.c)
 *
 * A span that is not there may be on its way: it is tried again for TRY_NS. While a generation is being sealed
 * nothing is changed; where that goes on, its end is waited for.
 */
#include "base/log.h"
#include "store/amend.h"

#define LOOK_NS		(1000ull * 1000 * 1000)
#define TRY_NS		(6000ull * 1000 * 1000)
#define BLOCKED_NS	(3000ull * 1000 * 1000)
#define BLOCKED_LOOK_NS (100ull * 1000 * 1000)

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

void clew_store_amend(struct clew_store *st, const struct clew_amendment *v, size_t n,
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
		q->v[q->n++] = (struct amend_item){.a = v[i], .seq = st->queued_seq};
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
	int r = q->n_aliases ? aliases_add(st, q->aliases, q->n_aliases, ret_error) : 0;
	struct amend_want w;

	if (r < 0)
		return r;
	q->aliases_added = true;
	r = amend_want_init(&w, st, q, found);
	for (size_t i = 0; r == 0 && i < st->n_parts; i++)
		if (st->parts[i]->n_hots)
			r = amend_hot(&w, st->parts[i], ret_error);
	if (r == 0)
		r = amend_sealed(&w, ret_error);
	amend_want_done(&w);
	return r;
}

/* Under queue_lock: those whose spans are not written yet, or that were not found, wait on. */
static bool wait_on(struct clew_store *st, const struct amend_item *item)
{
	struct amend_queue *q = &st->amend;

	if (q->n >= CLEW_STORE_MAX_AMENDMENTS ||
	    !room((void **)&q->v, &q->cap, sizeof(*q->v), q->n + 1))
		return false;
	q->v[q->n++] = *item;
	if (!q->due_ns)
		q->due_ns = clew_mono_ns() + LOOK_NS;
	return true;
}

/* Under queue_lock. */
static void put_back(struct clew_store *st, const struct amend_queue *taken, const bool *found,
		     bool failed)
{
	uint64_t now = clew_mono_ns();
	bool last = atomic_load(&st->stop);

	for (size_t i = 0; i < taken->n; i++) {
		if (!failed && found[i])
			st->stats.amended++;
		else if (last || now - taken->v[i].tried_ns > TRY_NS || !wait_on(st, &taken->v[i]))
			st->stats.amend_missed++;
	}
}

/* Under queue_lock: what was appended before them is written. */
static void take(struct clew_store *st, struct amend_queue *ret)
{
	uint64_t now = clew_mono_ns();
	size_t n = 0;

	*ret = st->amend;
	st->amend = (struct amend_queue){0};
	for (size_t i = 0; i < ret->n; i++) {
		if (ret->v[i].seq > st->done_seq && wait_on(st, &ret->v[i])) {
			st->amend.is_new = true;
			continue;
		}
		ret->v[n] = ret->v[i];
		if (!ret->v[n].tried_ns)
			ret->v[n].tried_ns = now;
		n++;
	}
	ret->n = n;
}

/* Is it time? Under queue_lock, which is let go of while sealing ends. */
static bool is_due(struct clew_store *st)
{
	struct amend_queue *q = &st->amend;
	uint64_t now = clew_mono_ns();
	bool hurry = st->flush_waiters || atomic_load(&st->stop);

	if (!q->due_ns || (q->due_ns > now && !hurry))
		return false;
	if (!st->seal_job)
		return true;
	/* What is being sealed is in two places. */
	if (!q->blocked_ns)
		q->blocked_ns = now;
	if (!hurry && now - q->blocked_ns < BLOCKED_NS) {
		q->due_ns = now + BLOCKED_LOOK_NS;
		return false;
	}
	while (st->seal_job)
		pthread_cond_wait(&st->seal_cond, &st->queue_lock);
	return true;
}

void amend_apply(struct clew_store *st)
{
	_cleanup_(freep) char *error = NULL;
	struct amend_queue taken;
	bool *found;
	int r;

	pthread_mutex_lock(&st->queue_lock);
	if (!is_due(st)) {
		pthread_mutex_unlock(&st->queue_lock);
		return;
	}
	take(st, &taken);
	st->amending = true;
	pthread_mutex_unlock(&st->queue_lock);
	found = calloc(taken.n + 1, sizeof(*found));
	r = !found ? -ENOMEM : st->conn ? apply(st, &taken, found, &error) : -EIO;
	if (r < 0)
		log_debug("amendments: %s", error ? error : strerror(-r));
	pthread_mutex_lock(&st->queue_lock);
	put_back(st, &taken, found, r < 0);
	st->amending = false;
	st->stats.amend_dropped += taken.aliases_added ? 0 : taken.n_aliases;
	pthread_cond_broadcast(&st->done_cond);
	pthread_mutex_unlock(&st->queue_lock);
	free(found);
	free(taken.v);
	free(taken.aliases);
}
