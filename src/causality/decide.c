/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a call's link is decided, and what it is. The rules, in their order, are in
 * docs/causality.md.
 *
 * A call waits for the end of the request that it is charged to and of that request's other calls;
 * at the latest it is decided decide_ns after the request's end, or stream_ns after its own birth.
 * Where the service is not known well enough yet, it waits that long too. Beyond max_open undecided
 * calls the oldest is decided as things stand.
 */
#include "causality/coalesce.h"
#include "causality/completion.h"
#include "causality/engine.h"
#include "causality/loop.h"
#include "causality/model.h"
#include "causality/order.h"
#include "causality/relay.h"
#include "causality/taken.h"
#include "causality/task.h"
#include "causality/told.h"
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
	if (model_in_doubt(n->birth.ctx->proc->group))
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

static bool is_root(const struct node *n)
{
	return n->born && !n->owner && !n->birth.n_proc && !n->birth.lost;
}

static bool same_stretch(const struct node *a, const struct node *b)
{
	return a->birth.ctx == b->birth.ctx && a->birth.parent == b->birth.parent &&
	       a->birth.read_ns == b->birth.read_ns;
}

/* The only request was open, and after a sleep comes a call that did not lead to its answer: a timer's. */
static bool by_itself(const struct node *n)
{
	const struct birth *b = &n->birth;

	return !n->on_path && !n->claim && !n->sink && b->n_proc == 1 && b->chain && b->slept &&
	       !b->connect;
}

/* How the calls of a service that are made with one request open follow what was read. */
static void look_alone(struct node *n)
{
	const struct birth *b = &n->birth;
	struct group *g = b->ctx->proc->group;
	bool slept = n->on_path ? n->stretch & STRETCH_SLEPT : b->slept;

	if (n->looked_pace || b->n_proc != 1 || !b->chain)
		return;
	n->looked_pace = true;
	g->alone_slept += slept;
	g->alone_awake += n->on_path && !slept;
}

/* Its request is over, so it is known whether its response led to the answer. */
static void look_at(struct node *n)
{
	struct birth *b = &n->birth;

	if (b->ctx)
		look_alone(n);
	if (!n->looked_alone && b->ctx && by_itself(n)) {
		n->looked_alone = true;
		b->ctx->proc->group->self_calls++;
	}
	if (n->looked_at || n->shared || !b->ctx || !b->ctx->mux)
		return;
	n->looked_at = true;
	if (!n->on_path && !b->fork && n->owner->answered)
		model_off_call(b->ctx->proc->group, birth_stretch(b), n->beside);
}

/* Calls of one stretch stand next to each other: one of them on the path speaks for all. */
static void look_at_calls(struct node *req)
{
	struct node *first = req->calls, *n;

	while (first) {
		bool on_path = false, awake = false;

		for (n = first; n && same_stretch(n, first); n = n->sib_next) {
			on_path |= n->on_path;
			awake |= n->on_path && !n->birth.slept;
		}
		for (n = first; n && same_stretch(n, first); n = n->sib_next) {
			n->beside = awake && !n->on_path && !n->birth.slept;
			/* Beside one that slept: neither confirmed nor alone. */
			n->looked_at |= on_path && !awake && !n->birth.slept;
			look_at(n);
		}
		first = n;
	}
}

/*
 * VERDICT_PASS: *l is the link. VERDICT_WAIT is not answered when final. settled: the answer is SETTLE_NS
 * old.
 */
static enum verdict judge(struct clew_causality *c, const struct node *n, bool final, bool settled,
			  struct clew_link *l)
{
	struct node *req = n->owner;
	enum verdict v;

	*l = (struct clew_link){.class = CLEW_LINK_ORPHAN};
	if (is_root(n)) {
		l->evidence = CLEW_EV_NONE_OPEN;
		return accept(l, CLEW_LINK_ROOT, 0.1);
	}
	if (!n->born || !n->owner || n->birth.lost)
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
		v = by_turn(n, final, settled, &req, l);
	if (v == VERDICT_FAIL && n->born && !n->claim && !without(c, CLEW_SOURCE_ORDER))
		v = by_habit(c, n, final, &req, l);
	if (v == VERDICT_PASS)
		l->parent = req->id;
	else if (v == VERDICT_FAIL)
		make_orphan(n, l);
	return v;
}

static void count(struct clew_causality_stats *s, enum clew_link_class class)
{
	switch (class) {
	case CLEW_LINK_ROOT:
		s->roots++;
		break;
	case CLEW_LINK_CERTAIN:
		s->certain++;
		break;
	case CLEW_LINK_PROBABLE:
		s->probable++;
		break;
	case CLEW_LINK_ORPHAN:
		s->orphans++;
		break;
	}
}

static void enqueue(struct node *req, struct node **queue)
{
	if (req->queue)
		DL_DELETE2(*req->queue, req, done_prev, done_next);
	req->queue = queue;
	if (queue)
		DL_APPEND2(*queue, req, done_prev, done_next);
}

/* A request that is over and has nothing undecided left is forgotten. */
static void request_idle(struct clew_causality *c, struct node *req)
{
	if (!req->ended || req->calls)
		return;
	enqueue(req, NULL);
	node_unhash(c, req);
}

/* Returns false if the call has to wait. */
static bool try_decide(struct clew_causality *c, struct node *n, bool final, bool settled)
{
	struct node *owner = n->owner;
	struct clew_link link;

	if (settled || final)
		told_decide(n);
	if (judge(c, n, final, settled, &link) == VERDICT_WAIT)
		return false;
	node_get(n);
	node_get(owner);
	if (n->birth.ctx)
		report_link(c, n, &link);
	n->decided = true;
	DL_DELETE2(c->by_age, n, age_prev, age_next);
	c->n_undecided--;
	if (owner) {
		DL_DELETE2(owner->calls, n, sib_prev, sib_next);
		owner->n_calls_open -= !n->ended;
	} else if (n->loose) {
		DL_DELETE2(c->loose, n, sib_prev, sib_next);
	}
	task_forget_call(n);
	completion_forget_call(n);
	birth_clear(&n->birth);
	count(&c->stats, link.class);
	c->decide(c->user, n->id, &link);
	if (n->ended)
		node_unhash(c, n);
	if (owner)
		request_idle(c, owner);
	node_put(owner);
	node_put(n);
	return true;
}

static void decide_calls_of(struct clew_causality *c, struct node *req, bool final, bool settled)
{
	struct node *n, *tmp;

	node_get(req);
	DL_FOREACH_SAFE2(req->calls, n, tmp, sib_next)
	try_decide(c, n, final, settled);
	node_put(req);
}

void decide_begun(struct clew_causality *c, struct node *call)
{
	call->born_ns = c->now_ns;
	c->stats.calls++;
	DL_APPEND2(c->by_age, call, age_prev, age_next);
	c->n_undecided++;
	while (c->n_undecided > c->opts.max_open) {
		c->stats.forced++;
		try_decide(c, c->by_age, true, true);
	}
}

void decide_born(struct clew_causality *c, struct node *call)
{
	if (call->owner) {
		DL_APPEND2(call->owner->calls, call, sib_prev, sib_next);
		call->owner->n_calls_open++;
	} else {
		call->due_ns = c->now_ns + c->opts.decide_ns;
		call->loose = true;
		DL_APPEND2(c->loose, call, sib_prev, sib_next);
	}
}

void decide_charge(struct clew_causality *c, struct node *call, struct node *req, enum claim how)
{
	if (call->decided)
		return;
	if (call->owner) {
		if (call->owner == req && !call->claim)
			call->claim = how;
		return;
	}
	if (call->loose)
		DL_DELETE2(c->loose, call, sib_prev, sib_next);
	call->loose = false;
	call->owner = node_get(req);
	call->claim = how;
	DL_APPEND2(req->calls, call, sib_prev, sib_next);
	req->n_calls_open += !call->ended;
	if (req->ended && !req->queue) /* by_age keeps the call, the queue the request */
		enqueue(req, &c->fresh);
}

void decide_call_ended(struct clew_causality *c, struct node *call)
{
	struct node *owner = call->owner;

	if (call->decided) {
		node_unhash(c, call);
		return;
	}
	if (!call->born || is_root(call)) {
		try_decide(c, call, true, true);
		return;
	}
	if (!owner)
		return;
	if (!--owner->n_calls_open && owner->ended)
		decide_calls_of(c, owner, false, false);
}

void decide_request_ended(struct clew_causality *c, struct node *req)
{
	req->ended_ns = c->now_ns;
	if (!req->calls) {
		request_idle(c, req);
		return;
	}
	look_at_calls(req);
	enqueue(req, &c->fresh);
	if (!req->n_calls_open)
		decide_calls_of(c, req, false, false);
}

/* Whoever may still turn out to be its request was there before it and has not been answered. */
static bool may_be_charged(const struct node *n)
{
	const struct node *oldest = n->birth.ctx->proc->open;

	return (n->work || n->todo_of) && oldest && oldest->born_ns <= n->born_ns;
}

static void decide_loose(struct clew_causality *c, struct node *n)
{
	if (!may_be_charged(n)) {
		try_decide(c, n, true, true);
		return;
	}
	DL_DELETE2(c->loose, n, sib_prev, sib_next);
	n->due_ns = c->now_ns + c->opts.decide_ns;
	DL_APPEND2(c->loose, n, sib_prev, sib_next);
}

static void settle(const struct clew_causality *c, struct node *req)
{
	if (without(c, CLEW_SOURCE_ORDER))
		return;
	taken_settle(req);
	order_settle(req);
}

void decide_due(struct clew_causality *c)
{
	while (c->fresh && c->fresh->ended_ns + SETTLE_NS <= c->now_ns) {
		struct node *req = node_get(c->fresh);

		enqueue(req, &c->done);
		settle(c, req);
		decide_calls_of(c, req, false, true);
		node_put(req);
	}
	while (c->done && c->done->ended_ns + c->opts.decide_ns <= c->now_ns)
		decide_calls_of(c, c->done, true, true);
	while (c->loose && c->loose->due_ns <= c->now_ns)
		decide_loose(c, c->loose);
	while (c->by_age && c->by_age->born_ns + c->opts.stream_ns <= c->now_ns)
		try_decide(c, c->by_age, true, true);
}

void decide_all(struct clew_causality *c)
{
	struct node *req;

	DL_FOREACH2(c->fresh, req, done_next)
	settle(c, req);
	while (c->by_age)
		try_decide(c, c->by_age, true, true);
}
