/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: completion. Who wakes the one who answers R worked for R.
 *
 *	owner A:   reads R ── hands over, waits ········· woken ── answers R
 *	                                                    ▲
 *	worker W:  ── wakes B │ calls X ── calls Y ── wakes A │ calls Z ── wakes D │
 *	                  mark                           mark                  mark
 *
 * The stretch of W between two marks is one task: X and Y are for R. Y is *direct*: no other call of W
 * stands between it and the wake. X is reached *back* over a later call: if a task's end can go unseen
 * (the result was there before anyone waited for it) or W also does work that nobody waits for, X may be
 * another task's. That is a property of the service, and measured on it.
 *
 * A mark is made when W, which has no request of its own and no call out, wakes a context that has one
 * request open, read it itself, and has no call out; and when W itself is woken (it was idle: its task is
 * over). Wake-ups at locks make none (lock.c).
 *
 * A worker that writes the answer itself ends its task with that: the calls since its last such end are
 * for the request that it answers. So are all calls of a thread that was begun while the one who began it
 * worked on the request that it then answers first.
 *
 * What these ends claim, and what is measured of them: completion_claim.c.
 */
#include "causality/coalesce.h"
#include "causality/completion.h"
#include "causality/context.h"
#include "causality/engine.h"
#include "causality/lead.h"
#include "causality/lock.h"
#include "causality/mark.h"
#include "causality/node.h"
#include "causality/task.h"
#include "causality/todo.h"

bool mark_in_call(const struct ctx *ctx)
{
	return ctx->out && !ctx->out->resp_seen && !ctx->out->ended;
}

/* Is what this context tells others known? A task's: where it is recorded which wakes which. */
static bool is_seen(const struct ctx *ctx)
{
	return !ctx->key.task || ctx->proc->group->tasks_wake;
}

/* A task that was begun for a request is none, and the one of a connection calls for others. */
bool mark_is_worker(const struct ctx *ctx)
{
	return !ctx->n_open && !ctx->mux && is_seen(ctx) && !ctx_serves_others(ctx) &&
	       !(ctx->key.task && task_request(ctx->work));
}

/* The request whose answer this context waits to write. */
struct node *mark_owned(const struct ctx *ctx)
{
	struct node *req = ctx->n_open == 1 && !ctx->mux ? ctx->open->req : NULL;

	return req && !req->answered && is_seen(ctx) ? req : NULL;
}

void completion_call(struct ctx *ctx, struct node *call)
{
	struct node *old = ctx->out;

	ctx->out = node_get(call);
	node_put(old);
	if (call->owner || !mark_is_worker(ctx) || call->todo_of)
		return;
	todo_add(ctx, call);
	lead_call(ctx, call);
}

void completion_forget_ctx(struct ctx *ctx)
{
	for (uint32_t i = 0; ctx->marks && i < MAX_MARKS; i++) {
		node_put(ctx->marks[i].req);
		lead_put(ctx->marks[i].lead);
	}
	lead_over(ctx);
	free(ctx->marks);
	ctx->marks = NULL;
	ctx->n_marks = 0;
	node_put(ctx->out);
	ctx->out = NULL;
	node_put(ctx->born_for);
	ctx->born_for = NULL;
}

void completion_forget_request(struct node *req)
{
	for (uint32_t i = 0; i < req->n_done; i++)
		ctx_put(req->done[i].by);
	req->n_done = 0;
	if (req->done)
		clew_pool_give(&req->c->pool, req->done, MAX_DONE * sizeof(*req->done));
	req->done = NULL;
}

static const struct mark *last_mark(const struct ctx *w)
{
	return w->n_marks ? &w->marks[(w->n_marks - 1) % MAX_MARKS] : NULL;
}

bool mark_add(const struct clew_causality *c, struct ctx *w, struct node *req, uint64_t key)
{
	struct lead *lead = req ? lead_get(w->lead) : NULL;
	struct mark *m;

	if (!w->marks)
		w->marks = calloc(MAX_MARKS, sizeof(*w->marks));
	if (!w->marks) {
		lead_put(lead);
		return false;
	}
	m = &w->marks[w->n_marks++ % MAX_MARKS];
	node_put(m->req);
	lead_put(m->lead);
	*m = (struct mark){.seq = w->todo_seq, .key = key, .ns = c->now_ns, .lead = lead};
	m->req = node_get(req);
	m->call_born_ns = w->out ? w->out->born_ns : 0;
	return true;
}

void completion_serves(struct clew_causality *c, struct ctx *ctx)
{
	const struct mark *m = last_mark(ctx);

	node_put(ctx->born_for);
	ctx->born_for = NULL;
	lead_over(ctx);
	if (ctx->todo_seq && (!m || m->seq != ctx->todo_seq))
		mark_add(c, ctx, NULL, 0);
}

bool mark_counts(struct clew_causality *c, const struct ctx *w, const struct mark *m)
{
	return m->key == 0 || !lock_is(c, w->proc, m->key);
}

/* W's last call was claimed, and right after that it wakes the owner of another request: a batch? */
void mark_several(struct ctx *w, const struct node *req)
{
	struct node *last = w->out;

	if (last && !last->decided && last->claim >= CLAIM_DONE && last->owner != req &&
	    last->todo_seq == w->todo_seq && req->born_ns <= last->born_ns) {
		last->sink = req->id;
		w->proc->group->wakes_two += w->proc->group->wakes_one > 0;
	}
}

/* The owner may be woken twice, at its condition and at that one's lock. */
static void keep_lead(struct ctx *w, const struct node *req)
{
	const struct mark *m = last_mark(w);

	if (!w->lead && m && m->req == req && m->seq == w->todo_seq)
		w->lead = lead_get(m->lead);
}

static void handed_back(struct clew_causality *c, struct ctx *w, struct node *req, uint64_t key)
{
	struct done *d;

	if (!w->todo_seq) /* it has never called: nothing to claim, nothing to mix up */
		return;
	mark_several(w, req);
	keep_lead(w, req);
	if (!req->done)
		req->done = clew_pool_take0(&req->c->pool, MAX_DONE * sizeof(*req->done));
	if (!req->done || !mark_add(c, w, req, key))
		return;
	if (req->n_done == MAX_DONE) {
		ctx_put(req->done[0].by);
		memmove(req->done, req->done + 1, (MAX_DONE - 1) * sizeof(req->done[0]));
		req->n_done--;
		req->done_lost = true;
	}
	d = &req->done[req->n_done++];
	*d = (struct done){w, w->n_marks - 1, key};
	w->refs++;
	w->n_ends++;
	lead_over(w);
}

/* It was idle: what it did is over. Did that end in a completion? */
static void woken(struct clew_causality *c, struct ctx *w, uint64_t key)
{
	const struct mark *m = last_mark(w);
	struct group *g = w->proc->group;

	if (!w->todo_seq)
		return;
	bool dirty = !m || m->seq != w->todo_seq;

	if (!dirty) {
		g->idle_clean += m->req != NULL;
		if (!m->req)
			return; /* woken again, nothing done */
	} else {
		g->idle_dirty++;
	}
	if (mark_add(c, w, NULL, key))
		w->marks[(w->n_marks - 1) % MAX_MARKS].dirty = dirty;
}

/* It told one of whom nothing is known, or may have: what it did for another request may have ended there. */
static void ends_unknown(struct clew_causality *c, struct ctx *w)
{
	const struct mark *m = last_mark(w);

	if (w->todo_seq && (!m || m->seq != w->todo_seq))
		mark_add(c, w, NULL, 0);
}

/* Who was woken on a futex and then, without a call, wakes another one there passes on a lock. */
static bool passes_on(const struct ctx *w, const struct clew_rec_handoff *h)
{
	return h->kind == CLEW_HANDOFF_FUTEX && mark_is_worker(w) && w->woken_key &&
	       w->woken_seq == w->todo_seq && lock_same(w->woken_key, h->key);
}

void completion_wake(struct clew_causality *c, const struct clew_rec_handoff *h)
{
	struct ctx *from, *to;
	struct node *req;

	if (h->from_tgid != h->to_tgid || h->from_start_ns != h->to_start_ns)
		return;
	from = ctx_of(c, h->from_tgid, h->from_start_ns, 0, h->from_tid);
	if (!from)
		return;
	from->refs++;
	to = ctx_of(c, h->to_tgid, h->to_start_ns, 0, h->to_tid);
	if (to && from != to) {
		bool out = mark_in_call(to) || mark_in_call(from) || passes_on(from, h);
		bool doubt = false;

		/* Not learned from who passes on: Python makes its locks where others were before. */
		if (h->kind == CLEW_HANDOFF_FUTEX) {
			lock_learn(c, to, h->key, mark_in_call(to) || mark_in_call(from));
			to->woken_key = h->key;
			to->woken_seq = to->todo_seq;
		}
		req = mark_owned(to);
		if (h->kind == CLEW_HANDOFF_FUTEX && !out && req && mark_is_worker(from))
			doubt = lock_waited(c, to, h->key);
		if (h->kind == CLEW_HANDOFF_FUTEX && !out && !lock_is(c, to->proc, h->key))
			coalesce_wake(c, from, to, h->key);
		if (out || lock_is(c, to->proc, h->key))
			;
		else if (doubt)
			ends_unknown(c, from);
		else if (req && mark_is_worker(from))
			handed_back(c, from, req, h->key);
		else if (!req && mark_is_worker(to) && !without(c, CLEW_SOURCE_WAKE)) {
			woken(c, to, h->key);
			lead_wake(c, from, to);
		}
	}
	ctx_put(from);
}

void completion_told(struct clew_causality *c, struct ctx *from, struct ctx *to)
{
	struct node *req = mark_owned(to);

	/* Or one that was begun for a request waits. */
	if (!req && !to->n_open)
		req = task_request(to->work);
	if (!mark_is_worker(from) || without(c, CLEW_SOURCE_COMPLETION))
		return;
	if (req && !req->answered)
		handed_back(c, from, req, 0);
	else if (!ctx_serves_others(to) && !to->todo_seq)
		ends_unknown(c, from);
}
