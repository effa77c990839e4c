/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which threads are loops that other threads give work.
 *
 *	thread T:   ── writes to the eventfd ──┐
 *	loop L:     reads A ── waits ──────────┴─ woken ── calls X ──
 *
 * L waits in epoll_wait(), and T ends that by writing to an eventfd or a pipe (or to a socket whose other end is in
 * the process: relay.c). What L calls then is T's, or what waited for it, and not what L read last. With one request
 * open L looks like a thread that serves it alone.
 *
 * An interrupt in the middle of such a write may wake any other thread, and seems to be T's doing. So a wake counts only
 * at an eventfd that wakes this thread again and again and hardly ever another one (that many more times: MAJORITY).
 *
 * Not seen: work that is given to a loop while it is awake. So once a loop was seen to call when told, of its calls
 * only those are the request's that lead to the answer without a sleep (judge.c).
 *
 * Limits: MAX_TELLERS eventfds and pipes, the oldest goes.
 */
#include <stdlib.h>
#include <utlist.h>

#include "causality/context.h"
#include "causality/engine.h"
#include "causality/lock.h"
#include "causality/loop.h"

#define MAJORITY 8

/* An eventfd or a pipe, and whom it wakes: the candidate of Boyer and Moore's vote. */
struct teller {
	UT_hash_handle hh;
	struct teller *prev, *next; /* oldest first */
	struct futex_key key;
	uint32_t tid, more;
};

static void drop(struct clew_causality *c, struct teller *t)
{
	HASH_DELETE(hh, c->tellers, t);
	DL_DELETE(c->teller_list, t);
	c->n_tellers--;
	free(t);
}

static struct teller *teller_of(struct clew_causality *c, const struct clew_rec_handoff *h)
{
	struct futex_key k = {h->to_start_ns, h->key, h->to_tgid};
	struct teller *t;

	HASH_FIND(hh, c->tellers, &k, sizeof(k), t);
	if (t)
		return t;
	if (c->n_tellers >= MAX_TELLERS)
		drop(c, c->teller_list);
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->key = k;
	HASH_ADD(hh, c->tellers, key, sizeof(t->key), t);
	if (!t->hh.tbl) {
		free(t);
		return NULL;
	}
	DL_APPEND(c->teller_list, t);
	c->n_tellers++;
	return t;
}

void loop_woken(struct clew_causality *c, const struct clew_rec_handoff *h)
{
	struct teller *t;
	struct ctx *ctx;

	if (h->kind != CLEW_HANDOFF_EVENTFD && h->kind != CLEW_HANDOFF_PIPE)
		return;
	t = teller_of(c, h);
	if (!t)
		return;
	if (t->tid != h->to_tid && t->more) {
		t->more--;
		return;
	}
	t->tid = h->to_tid;
	if (t->more < UINT32_MAX)
		t->more++;
	ctx = ctx_of(c, h->to_tgid, h->to_start_ns, 0, h->to_tid);
	if (!ctx)
		return;
	ctx->told_ns = h->ts_ns;
	ctx->is_told |= t->more >= MAJORITY;
}

void loop_heard(struct ctx *ctx, uint64_t ns)
{
	ctx->told_ns = ns;
	ctx->is_told = true;
}

bool loop_takes_work(const struct ctx *ctx)
{
	return ctx->is_told && ctx->called_told;
}

void loop_done(struct clew_causality *c)
{
	while (c->teller_list)
		drop(c, c->teller_list);
}
