/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which futexes are locks.
 *
 * Who is woken while a call of its own is out does not wait for work or for a result: it waits for a
 * lock (an interpreter's, an allocator's). A futex on which that happens often enough is a lock, and
 * its wake-ups say nothing of who works for whom. So is one that is woken by a thread whose own call is
 * out: a blocking worker in the middle of a call has nothing to hand over.
 *
 * A lock that is seldom fought for shows neither for long. But where each owner waits for its results at an address
 * of its own (a JVM's threads park, a condition variable stands in each request), an address that has woken several,
 * or that is new to one who has been told at another all the time, may be a lock's: what the worker did ends there,
 * for nobody. Where owners are told at shared addresses, that says nothing.
 *
 * Limits: MAX_FUTEXES addresses, the oldest goes (many are made for one wait only).
 */
#include "causality/context.h"
#include "causality/engine.h"
#include "causality/lock.h"

#define MIN_PROOFS   2
#define MIN_WAITS    32 /* wake-ups of owners, after which it is known where they wait */
#define MIN_TOLD     2	/* wake-ups of its owner, after which an address is no new one */
#define USUAL	     8	/* wake-ups at one address, after which an owner has a usual one */
#define LOCK_PERCENT 3
#define CLASS_BYTES  16 /* the futexes of one condition variable stand beside each other */

static struct futex *find(struct clew_causality *c, const struct proc *p, uint64_t key)
{
	struct futex_key k = {p->start_ns, key / CLASS_BYTES, p->tgid};
	struct futex *f;

	HASH_FIND(hh, c->futexes, &k, sizeof(k), f);
	return f;
}

static void drop(struct clew_causality *c, struct futex *f)
{
	HASH_DELETE(hh, c->futexes, f);
	DL_DELETE(c->futex_list, f);
	c->n_futexes--;
	free(f);
}

static struct futex *add(struct clew_causality *c, const struct proc *p, uint64_t key)
{
	struct futex *f;

	if (c->n_futexes >= MAX_FUTEXES)
		drop(c, c->futex_list);
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->key = (struct futex_key){p->start_ns, key / CLASS_BYTES, p->tgid};
	HASH_ADD(hh, c->futexes, key, sizeof(f->key), f);
	if (!f->hh.tbl) {
		free(f);
		return NULL;
	}
	DL_APPEND(c->futex_list, f);
	c->n_futexes++;
	return f;
}

void lock_learn(struct clew_causality *c, const struct ctx *w, uint64_t key, bool held)
{
	struct futex *f = find(c, w->proc, key);

	if (!f)
		f = add(c, w->proc, key);
	if (!f)
		return;
	if (!f->wakes)
		f->waiter = w->key.tid;
	f->several |= f->waiter != w->key.tid;
	f->wakes++;
	f->held += held;
}

/* The owners of the process's requests each wait at an address of their own. */
static bool wait_apart(const struct proc *p)
{
	const struct waits *w = &p->group->waits;

	return w->apart >= MIN_WAITS && w->several * 100 < w->apart * LOCK_PERCENT;
}

bool lock_same(uint64_t key, uint64_t other)
{
	return key / CLASS_BYTES == other / CLASS_BYTES;
}

bool lock_is(struct clew_causality *c, const struct proc *p, uint64_t key)
{
	const struct futex *f = find(c, p, key);

	return f && f->held >= MIN_PROOFS &&
	       (uint64_t)f->held * 100 >= (uint64_t)f->wakes * LOCK_PERCENT;
}

bool lock_shared(struct clew_causality *c, const struct proc *p, uint64_t key)
{
	const struct futex *f = find(c, p, key);

	return f && f->several && wait_apart(p);
}

bool lock_waited(struct clew_causality *c, struct ctx *w, uint64_t key)
{
	struct futex *f = find(c, w->proc, key);
	struct waits *waits = &w->proc->group->waits;
	bool usual, may_be_lock;

	if (!f)
		return false;
	usual = w->waits_there && lock_same(w->waits_at, key);
	may_be_lock = wait_apart(w->proc) &&
		      (f->several || (f->told < MIN_TOLD && w->waits_there == USUAL && !usual));
	*(f->several ? &waits->several : &waits->apart) += 1;
	f->told++;
	if (usual) {
		w->waits_there += w->waits_there < USUAL;
	} else if (w->waits_there) {
		w->waits_there--;
	} else {
		w->waits_at = key;
		w->waits_there = 1;
	}
	return may_be_lock;
}

bool lock_tells(struct clew_causality *c, const struct proc *p, uint64_t key, bool tells)
{
	struct futex *f = find(c, p, key);

	if (!f)
		f = add(c, p, key);
	if (!f)
		return false;
	f->tells += tells;
	f->others += !tells;
	return f->others < MIN_PROOFS ||
	       (uint64_t)f->others * 100 < (uint64_t)f->tells * LOCK_PERCENT;
}

void lock_done(struct clew_causality *c)
{
	while (c->futex_list)
		drop(c, c->futex_list);
}
