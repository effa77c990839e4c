/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a call's link is, as far as that is known by now. The rules, in their order, are in docs/causality.md.
 */
#include "causality/alone.h"
#include "causality/asked.h"
#include "causality/birth.h"
#include "causality/coalesce.h"
#include "causality/completion.h"
#include "causality/context.h"
#include "causality/engine.h"
#include "causality/heap.h"
#include "causality/judge.h"
#include "causality/loop.h"
#include "causality/model.h"
#include "causality/relay.h"
#include "causality/turn.h"

static enum verdict accept(struct clew_link *l, enum clew_link_class class, double wrong)
{
	l->class = class;
	l->confidence = (float)(1 - wrong);
	return VERDICT_PASS;
}

static enum verdict wait_or_fail(bool final)
{
	return final ? VERDICT_FAIL : VERDICT_WAIT;
}

/* The context works for one request at a time and had this one open only. */
static enum verdict by_exclusive(const struct node *n, bool final, struct clew_link *l)
{
	enum verdict v;
	bool mature;

	if (!n->birth.sole || n->birth.ctx->mux || loop_takes_work(n->birth.ctx) || n->owner->given)
		return VERDICT_FAIL;
	v = model_sequential(n->birth.ctx->proc->group, &mature);
	if (v == VERDICT_FAIL)
		return v;
	if (v == VERDICT_WAIT && !final)
		return v;
	/* One request, which its reader answered: doubts are about others. */
	if (model_in_doubt(n->birth.ctx->proc->group) && !(n->on_path && n->birth.n_proc == 1))
		return VERDICT_FAIL;
	/* One request at a time leaves a loop's timers no other place: a sleep before the call is one. */
	if (n->birth.slept && model_maybe_loop(n->birth.ctx->proc->group))
		return VERDICT_FAIL;
	l->evidence |= CLEW_EV_EXCLUSIVE;
	if (mature)
		return accept(l, CLEW_LINK_CERTAIN, 0.0005);
	return accept(l, CLEW_LINK_PROBABLE, 0.01);
}

static uint32_t claim_evidence(const struct node *n)
{
	if (n->done_by == DONE_BORN)
		return CLEW_EV_FORK | CLEW_EV_COMPLETION;
	if (n->done_by == DONE_RELAY)
		return CLEW_EV_COMPLETION | CLEW_EV_ORDER;
	if (n->done_by == DONE_SELF)
		return CLEW_EV_THREAD | CLEW_EV_COMPLETION;
	return CLEW_EV_WAKE | CLEW_EV_COMPLETION;
}

/* Another context's evidence charged it after its birth. */
static enum verdict by_claim(const struct node *n, bool final, bool settled, struct clew_link *l)
{
	const struct group *g = n->birth.ctx->proc->group;
	double wrong;
	enum verdict v;

	if (n->sink || n->born_ns < n->owner->born_ns)
		return VERDICT_FAIL;
	if (!asked_passes(n))
		return wait_or_fail(final);
	if (n->claim >= CLAIM_DONE) {
		l->evidence |= claim_evidence(n);
		v = n->done_by == DONE_RELAY ? relay_verdict(n, &wrong)
					     : completion_verdict(n, &wrong);
		if (v != VERDICT_PASS || !settled)
			return wait_or_fail(final);
		l->evidence |= CLEW_EV_MODEL;
		return accept(l,
			      n->claim == CLAIM_DONE && wrong <= MAX_WRONG ? CLEW_LINK_CERTAIN
									   : CLEW_LINK_PROBABLE,
			      wrong);
	}
	if (g->task_mixed * 500 > g->task_answers)
		return VERDICT_FAIL;
	/* Ids that are used again, or were never a task's. */
	if (g->task_misses > 1 && g->task_misses * 500 > g->task_hits)
		return VERDICT_FAIL;
	/* What speaks against tasks shows soon, but not before a service has answered some. */
	if (!final && (!settled || g->task_hits < 64))
		return VERDICT_WAIT;
	l->evidence |=
		CLEW_EV_TASK | (n->claim == CLAIM_TASK ? CLEW_EV_COMPLETION : CLEW_EV_HANDED);
	return accept(l, CLEW_LINK_CERTAIN, 0.0005);
}

/* The only request that was open in the whole process; a timer's call is still possible. */
static enum verdict by_alone(const struct node *n, bool final, struct clew_link *l)
{
	const struct group *g = n->birth.ctx->proc->group;
	bool slept = n->on_path ? n->stretch & STRETCH_SLEPT : n->birth.slept;

	if (n->on_path && !slept) {
		if (n->birth.queued || !model_calls_awake(g))
			return VERDICT_FAIL;
		/* A timer's call may have made room for what led to the answer. */
		if (n->made_room && !model_no_timers(g))
			return VERDICT_FAIL;
		l->evidence |= CLEW_EV_EXCLUSIVE;
		return accept(l, CLEW_LINK_CERTAIN, 0.0005);
	}
	if (n->birth.told && n->birth.ctx->is_told)
		return VERDICT_FAIL;
	if (!n->on_path && slept)
		return wait_or_fail(final);
	if (!n->on_path && !n->birth.counted)
		return VERDICT_FAIL; /* a timer's call would look the same */
	if (!final)
		return VERDICT_WAIT;
	if (!model_no_timers(g))
		return VERDICT_FAIL;
	/* A timer may be due right after a read: no sleep lies between. */
	if (!n->on_path && n->birth.ctx->mux && model_may_be_timers(g, birth_stretch(&n->birth)))
		return VERDICT_FAIL;
	l->evidence |= CLEW_EV_EXCLUSIVE;
	return accept(l, CLEW_LINK_PROBABLE, 0.01);
}

/* Several are open: what the context read last, if the service's checkpoints bear it out. */
static enum verdict by_model(const struct node *n, bool final, struct clew_link *l)
{
	const struct group *g = n->birth.ctx->proc->group;
	uint8_t stretch = n->on_path ? n->stretch : birth_stretch(&n->birth);
	double wrong;
	enum verdict v;

	v = VERDICT_FAIL;
	if (!n->on_path && !n->birth.counted)
		return v;
	if (n->on_path)
		v = model_on_path(g, stretch, &wrong);
	else if (n->beside)
		v = model_beside(g, stretch, &wrong);
	if (v != VERDICT_PASS && !n->on_path && !(stretch & STRETCH_SLEPT))
		v = model_off_path(g, stretch, &wrong);
	if (v != VERDICT_PASS)
		return v == VERDICT_FAIL ? v : wait_or_fail(final);
	l->evidence |= CLEW_EV_MODEL;
	return accept(l, n->on_path ? CLEW_LINK_CERTAIN : CLEW_LINK_PROBABLE, wrong);
}

/* Several are open, and none of the rules above knows: an event loop that takes turns. */
static enum verdict by_turn(const struct node *n, bool final, bool settled, struct node **ret_req,
			    struct clew_link *l)
{
	struct node *req = NULL;
	double wrong = 1;
	bool order = false;
	enum verdict v = turn_verdict(n, &req, &order, &wrong);

	if (v == VERDICT_FAIL || (v == VERDICT_WAIT && final))
		return VERDICT_FAIL;
	if (v == VERDICT_WAIT || !settled)
		return wait_or_fail(final);
	*ret_req = req;
	l->evidence = CLEW_EV_ORDER | CLEW_EV_COMPLETION | CLEW_EV_MODEL;
	return accept(l, order ? CLEW_LINK_CERTAIN : CLEW_LINK_PROBABLE, wrong);
}

/* Who read the request made what its context works on. */
static enum verdict by_maker(struct node *n, bool final, bool settled, struct node **ret_req,
			     struct clew_link *l)
{
	struct node *req = NULL;
	double wrong = 1;
	bool tested = false;
	enum verdict v = heap_verdict(n, &req, &wrong, &tested);

	if (v == VERDICT_WAIT)
		return wait_or_fail(final);
	if (v == VERDICT_FAIL || req->born_ns > n->born_ns ||
	    (req->ended && req->ended_ns < n->born_ns))
		return VERDICT_FAIL;
	if (!settled)
		return VERDICT_WAIT;
	*ret_req = req;
	l->evidence = CLEW_EV_HEAP | CLEW_EV_MODEL;
	return accept(l, tested ? CLEW_LINK_CERTAIN : CLEW_LINK_PROBABLE, wrong);
}

/* Whoever calls: one request was open, and the service is idle most of the time. */
static enum verdict by_habit(struct clew_causality *c, const struct node *n, bool final,
			     struct node **ret_req, struct clew_link *l)
{
	double wrong = 1;

	if (n->birth.n_proc != 1 || !final)
		return n->birth.n_proc == 1 ? VERDICT_WAIT : VERDICT_FAIL;
	if (alone_verdict(c, n, &wrong) != VERDICT_PASS)
		return VERDICT_FAIL;
	*ret_req = n->birth.only;
	l->evidence |= CLEW_EV_EXCLUSIVE | CLEW_EV_MODEL;
	return accept(l, CLEW_LINK_PROBABLE, wrong);
}

static void add_candidate(struct clew_link *l, uint64_t id)
{
	for (uint32_t i = 0; i < l->n_candidates; i++)
		if (l->candidates[i] == id)
			return;
	if (id && l->n_candidates < CLEW_MAX_CANDIDATES)
		l->candidates[l->n_candidates++] = id;
}

static void make_orphan(const struct node *n, struct clew_link *l)
{
	const struct birth *b = &n->birth;
	bool known = n->shared && n->n_sharing; /* who shares it */

	l->class = CLEW_LINK_ORPHAN;
	if (!(l->evidence & CLEW_EV_CONFLICT))
		l->evidence |= CLEW_EV_UNCONFIRMED;
	if (n->owner)
		add_candidate(l, n->owner->id);
	if (heap_guess(n))
		add_candidate(l, heap_guess(n)->id);
	for (uint32_t i = 0; n->sharers && i < n->sharers->n; i++)
		add_candidate(l, n->sharers->reqs[i]->id);
	if (!known)
		add_candidate(l, n->sink);
	if (b->closed && !known)
		add_candidate(l, b->closed->id);
	for (uint32_t i = 0; i < b->n_near && !known; i++)
		add_candidate(l, b->near[i]);
	l->confidence = l->n_candidates ? 1.0f / (float)(l->n_candidates + 1) : 0;
}

static uint32_t evidence_for(const struct node *n)
{
	const struct birth *b = &n->birth;
	uint32_t e = 0;

	if (b->chain)
		e |= b->connect ? CLEW_EV_CONNECT : CLEW_EV_THREAD;
	if (b->fork)
		e |= CLEW_EV_FORK;
	if (b->ctx && b->ctx->key.task && (b->chain || b->sole))
		e |= CLEW_EV_TASK;
	if (n->on_path)
		e |= CLEW_EV_COMPLETION;
	else if (b->chain && n->owner->confirmed)
		e |= CLEW_EV_CHAIN;
	return e;
}

static bool in_conflict(const struct node *n)
{
	return n->sink || (n->owner->sink_elsewhere && !n->on_path);
}

bool judge_is_root(const struct node *n)
{
	return n->born && !n->owner && !n->birth.n_proc && !n->birth.lost;
}

/* Is the claim good enough to test others by? Where nothing else was open it is, believed or not. */
static bool tells(const struct node *n, enum verdict v, bool final, const struct clew_link *l)
{
	if (v == VERDICT_PASS)
		return l->class == CLEW_LINK_CERTAIN;
	return final && n->claim == CLAIM_DONE && n->done_by == DONE_ONE && n->birth.n_proc == 1 &&
	       !n->sink;
}

/*
 * It was made by a task that was not read yet, for want of a self-test: what its thread seemed to do was several
 * tasks' doing.
 */
static bool before_tasks(const struct node *n)
{
	const struct ctx *ctx = n->birth.ctx;

	return ctx && !ctx->key.task && n->born_ns < ctx->proc->tasks_ns;
}

enum verdict judge(struct clew_causality *c, struct node *n, bool final, bool settled,
		   struct clew_link *l)
{
	struct node *req = n->owner;
	enum verdict v;

	*l = (struct clew_link){.class = CLEW_LINK_ORPHAN};
	if (judge_is_root(n)) {
		l->evidence = CLEW_EV_NONE_OPEN;
		return accept(l, CLEW_LINK_ROOT, 0.1);
	}
	if (!n->born || !n->owner || n->birth.lost || before_tasks(n))
		v = VERDICT_FAIL;
	else if (!final && coalesce_waits(n, settled))
		return VERDICT_WAIT;
	else {
		l->evidence = evidence_for(n);
		v = n->shared || without(c, CLEW_SOURCE_THREAD)
			    ? VERDICT_FAIL
			    : by_exclusive(n, final && !n->claim, l);
		if (v == VERDICT_WAIT && n->claim)
			v = VERDICT_FAIL;
		if (n->shared) {
			l->evidence |= CLEW_EV_CONFLICT;
		} else if (v == VERDICT_FAIL && n->claim) {
			v = by_claim(n, final, settled, l);
			if (tells(n, v, final, l))
				heap_test(n, req);
		} else if (v == VERDICT_FAIL && n->birth.fork) {
			v = accept(l, CLEW_LINK_PROBABLE, 0.05);
		} else if (v == VERDICT_FAIL && in_conflict(n)) {
			l->evidence |= CLEW_EV_CONFLICT;
		} else if (v == VERDICT_FAIL && n->birth.chain && !without(c, CLEW_SOURCE_THREAD) &&
			   !(n->birth.n_proc > 1 && without(c, CLEW_SOURCE_ORDER)) &&
			   !model_moves(n->birth.ctx->proc->group)) {
			v = n->birth.n_proc == 1 ? by_alone(n, final, l) : by_model(n, final, l);
		}
	}
	if (v == VERDICT_FAIL && n->born && !n->birth.lost && !n->shared)
		v = by_maker(n, final, settled, &req, l);
	if (v == VERDICT_FAIL && n->born && !n->birth.lost && !n->shared && !before_tasks(n))
		v = by_turn(n, final, settled, &req, l);
	if (v == VERDICT_FAIL && n->born && !n->claim && !without(c, CLEW_SOURCE_ORDER))
		v = by_habit(c, n, final, &req, l);
	if (v == VERDICT_PASS && heap_speaks_against(n, req)) {
		l->evidence |= CLEW_EV_CONFLICT;
		v = VERDICT_FAIL;
	}
	if (v == VERDICT_PASS)
		l->parent = req->id;
	else if (v == VERDICT_FAIL)
		make_orphan(n, l);
	return v;
}
