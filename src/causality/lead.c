/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: who woke an idle worker.
 *
 *	owner  O:  reads A ── wakes W ── waits ················ woken ── answers A
 *	worker W:  idle ······┴─ calls X ── calls Y ── wakes O ──┘
 *
 * O serves A alone, and W had nothing to do: W was woken for A, this is its *lead*. What W calls until its task is
 * over has the lead. If the task's end (completion.c) names A as well, X and Y are for A: from both sides, and
 * whatever W did before it was idle. This tells nothing of a busy pool, whose workers take the next task without a
 * wake; there the order in which they take it may tell (order.c).
 *
 * A worker may be woken and take other work first, that somebody put there at the same moment, or it waited for a
 * lock in the middle of other work. Then mostly another worker takes A meanwhile, and that shows: A's own task ends
 * at a worker that has no lead, or another's, while who was woken for A called for somebody else. Or its task
 * ends with another request's. Of these misses there must be as few as links may be wrong. With one request open
 * no other one can be meant, and the lead is believed while there was no miss at all.
 *
 * A worker with a lead that wakes an idle one gives it the same lead (a stage of the work, that the next worker
 * goes on with):
 *
 *	reader R:  reads A ── wakes V
 *	worker V:  idle ······┴─ calls X ── wakes W ── idle
 *	worker W:  idle ····················┴─ calls Y ── answers A
 *
 * Where W's lead names the request that it answers, what those called who led to it is for that one as well, up to
 * the moment at which they woke the next. Learned by the answers, for themselves: a worker that takes another's
 * stage without a wake keeps a lead that is not true any more. So only with one request open.
 *
 * Limits: MAX_HOPS workers in a row.
 */
#include <math.h>

#include "causality/charge.h"
#include "causality/context.h"
#include "causality/engine.h"
#include "causality/lead.h"
#include "causality/model.h"
#include "causality/todo.h"

#define SAFETY		2.0
#define UNSEEN		0.25
#define MIN_HITS	100
#define USUAL		4    /* for one task without a lead there are more than so many with one */
#define MAX_WRONG_ALONE 0.04 /* while nothing speaks against it */

struct lead {
	uint32_t refs;
	uint32_t hops;
	bool first;	  /* the request's owner gave it, and none of its tasks was done yet */
	struct node *req; /* has a reference */
	struct lead *up;  /* of who woke this one, if a worker did; has a reference */
	uint64_t up_seq;  /* that one's last call then */
	struct ctx *
		rival; /* another worker that was woken then, and had done nothing yet; has a reference */
	uint64_t rival_acts; /* ... what it had done before */
	bool kept;	     /* it was woken by somebody else since */
	struct node *calls;  /* undecided ones; weak */
};

struct lead *lead_get(struct lead *l)
{
	if (l)
		l->refs++;
	return l;
}

void lead_put(struct lead *l)
{
	while (l && !--l->refs) {
		struct lead *up = l->up;

		ctx_put(l->rival);
		node_put(l->req);
		free(l);
		l = up;
	}
}

static struct lead *lead_new(struct node *req, struct lead *up, uint64_t up_seq)
{
	struct lead *l;

	if (up && up->hops >= MAX_HOPS)
		return NULL;
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	*l = (struct lead){
		.refs = 1,
		.hops = up ? up->hops + 1 : 0,
		.first = !up && !req->n_done,
		.req = node_get(req),
		.up = lead_get(up),
		.up_seq = up_seq,
	};
	return l;
}

/* The request that a thread works on which reads requests: its only one, or what it has just read. */
static struct node *serves(const struct clew_causality *c, const struct ctx *ctx)
{
	struct node *req = NULL;

	if (ctx->n_open == 1 && !ctx->mux)
		req = ctx->open->req;
	else if (ctx->n_open && ctx->cur && c->now_ns < ctx->cur_ns + GAP_NS)
		req = ctx->cur->owner;
	return req && !req->answered && !req->ended ? req : NULL;
}

static bool is_open(const struct lead *l)
{
	return l && !l->req->answered && !l->req->ended;
}

static uint64_t acts(const struct ctx *ctx)
{
	return ctx->seq + ctx->n_ends;
}

/* Whoever was woken last, and did nothing since, may take the work as well. */
static void note_rival(const struct ctx *from, struct ctx *to, struct lead *l)
{
	struct proc *p = to->proc;
	struct ctx *last = p->woken;

	if (l && last && last != to && last != from && last->todo_seq &&
	    acts(last) == p->woken_acts) {
		l->rival = last;
		last->refs++;
		l->rival_acts = acts(last);
	}
	if (l && l->first && !l->req->led_tid) {
		l->req->led_tid = to->key.tid;
		l->req->rival_tid = l->rival ? l->rival->key.tid : 0;
	}
	if (last != to) {
		to->refs++;
		p->woken = to;
		ctx_put(last);
	}
	p->woken_acts = acts(to);
}

void lead_forget_woken(struct proc *p)
{
	struct ctx *last = p->woken;

	p->woken = NULL;
	ctx_put(last);
}

void lead_wake(struct clew_causality *c, const struct ctx *from, struct ctx *to)
{
	struct lead *old = to->lead, *l = NULL;
	struct node *req;

	if (from->key.task || to->key.task)
		return;
	req = serves(c, from);
	if (req)
		l = lead_new(req, NULL, 0);
	else if (!from->n_open && is_open(from->lead))
		l = lead_new(from->lead->req, from->lead, from->todo_seq);
	/* In the middle of its work it may wait for a connection, or a lock. */
	if (!req && is_open(old) && (!l || l->req != old->req)) {
		old->kept = true;
		lead_put(l);
		return;
	}
	note_rival(from, to, l);
	to->lead = l;
	lead_put(old);
}

void lead_over(struct ctx *w)
{
	lead_put(w->lead);
	w->lead = NULL;
}

void lead_call(struct ctx *w, struct node *call)
{
	struct lead *l = w->lead;

	if (!is_open(l) || call->lead)
		return;
	call->lead = lead_get(l);
	call->lead_kept = l->kept;
	DL_APPEND2(l->calls, call, lead_prev, lead_next);
	l->req->led_calls += l->first && l->req->led_calls < UINT8_MAX;
}

void lead_forget_call(struct node *call)
{
	struct lead *l = call->lead;

	if (!l)
		return;
	DL_DELETE2(l->calls, call, lead_prev, lead_next);
	call->lead = NULL;
	lead_put(l);
}

bool lead_is(const struct node *call, const struct node *req)
{
	const struct lead *l = call->lead;

	return l && l->req == req && (!l->rival || acts(l->rival) != l->rival_acts);
}

void lead_ended(const struct done *d, const struct node *first, uint32_t n, struct node *req)
{
	struct leads *s = &req->proc->group->leads;
	const struct mark *m = &d->by->marks[d->mark % MAX_MARKS];
	const struct lead *l = NULL;

	/* Both were woken at one time, and each took what the other one was woken for. */
	if (req->led_tid &&
	    (d->by->key.tid == req->rival_tid ||
	     (m->lead && m->lead->rival && m->lead->rival->key.tid == req->led_tid)))
		req->swapped = true;
	if (!n)
		return;
	for (; n; n--, first = first->todo_next)
		l = first->lead;
	if (l && l->req == req) {
		s->tasks++;
		d->by->n_led++;
	} else {
		s->joined++;
	}
	if (l && l->req == req)
		req->led = true;
	else if (l && l->first && is_open(l) && !l->rival)
		s->others++;
}

void lead_answered(struct node *req)
{
	struct leads *s = &req->proc->group->leads;

	s->hits += req->led;
	s->others += !req->led && req->led_calls && !req->swapped;
}

void lead_answers(const struct lead *l, bool called, const struct node *req)
{
	struct leads *s = &req->proc->group->leads;

	if (!called)
		*(l && l->req == req ? &s->tasks : &s->joined) += 1;
	if (!l || !l->up || (l->req->answered && l->req != req))
		return;
	if (l->req == req)
		s->chain_hits++;
	else
		s->chain_misses++;
}

static void claim(struct clew_causality *c, struct lead *l, uint64_t seq, enum done_by by,
		  struct node *req)
{
	struct node *n, *next;

	for (n = l->calls; n; n = next) {
		next = n->lead_next;
		if (n->todo_seq > seq)
			continue;
		req->led = true;
		if (n->owner || n->shared)
			continue;
		n->led = lead_is(n, req);
		n->done_by = by;
		charge_call(c, n, req, CLAIM_DONE_BACK);
		todo_drop(n);
	}
}

void lead_follow(struct clew_causality *c, struct lead *l, uint64_t seq, struct node *req)
{
	if (!l || l->req != req)
		return;
	claim(c, l, seq, DONE_LED, req);
	for (; l->up && l->up->req == req; l = l->up)
		claim(c, l->up, l->up_seq, DONE_STAGE, req);
}

/*
 * Whoever was woken took other work first, and went on with the request's without a rest: two rare things. How often
 * the first happens is known of those that did not go on with it, how often the second of all tasks.
 */
static double mixed_up(const struct leads *s, bool alone)
{
	double others = ((double)s->others + UNSEEN) / ((double)s->hits + 1);
	double joined = ((double)s->joined + 1) / ((double)(s->tasks + s->joined) + 1);

	return SAFETY * others * (alone ? joined : 1);
}

/* Workers are usually woken for what they do. */
static bool usual(const struct leads *s)
{
	return s->joined * USUAL < s->tasks;
}

bool lead_stranger(const struct node *call)
{
	const struct ctx *ctx = call->birth.ctx;
	const struct leads *s = &ctx->proc->group->leads;

	return !ctx->n_led && s->tasks >= MIN_HITS && usual(s);
}

enum verdict lead_verdict(const struct node *call, double *ret_wrong)
{
	const struct group *g = call->birth.ctx->proc->group;
	const struct leads *s = &g->leads;
	bool alone = call->birth.n_proc <= 1, early;

	if (!call->led || call->lead_kept || s->hits < MIN_HITS)
		return VERDICT_WAIT;
	/* Where most requests are served otherwise, a lead may be an accident. */
	if (s->hits * 2 < g->answers)
		return VERDICT_WAIT;
	*ret_wrong = mixed_up(s, alone);
	if (call->done_by == DONE_STAGE) {
		if (!alone || s->chain_hits < MIN_HITS)
			return VERDICT_WAIT;
		*ret_wrong += SAFETY * ((double)s->chain_misses + UNSEEN) / (double)s->chain_hits;
	}
	early = alone && !s->others && !s->chain_misses && usual(s);
	if (*ret_wrong <= (early ? MAX_WRONG_ALONE : MAX_WRONG))
		return VERDICT_PASS;
	return VERDICT_WAIT;
}

void lead_forget_ctx(struct ctx *ctx)
{
	if (ctx->proc->woken == ctx)
		lead_forget_woken(ctx->proc);
}
