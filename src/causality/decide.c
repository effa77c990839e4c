/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a call's link is decided (what it is: judge.c).
 *
 * A call waits for the end of the request that it is charged to and of that request's other calls;
 * at the latest it is decided decide_ns after the request's end, or stream_ns after its own birth.
 * Where the service is not known well enough yet, it waits that long too. Beyond max_open undecided
 * calls the oldest is decided as things stand.
 */
#include "causality/birth.h"
#include "causality/charge.h"
#include "causality/context.h"
#include "causality/decide.h"
#include "causality/engine.h"
#include "causality/forget.h"
#include "causality/judge.h"
#include "causality/model.h"
#include "causality/order.h"
#include "causality/report.h"
#include "causality/taken.h"
#include "causality/told.h"

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
		model_off_call(b->ctx->proc->group, birth_stretch(b), n->beside,
			       n->late || (b->parent && b->parent->failed_ns));
}

/* Made in one stretch with a call on the path: was it over when the request was answered? rest: calls on the path since. */
static void look_beside(struct node *n, uint32_t rest)
{
	n->beside = n->resp_seen && n->ended_ns <= n->owner->answered_ns;
	n->late = !n->beside;
	if (n->late && n->birth.ctx && !n->looked_at)
		model_late(n->birth.ctx->proc->group, rest);
}

/* Calls of one stretch stand next to each other: one of them on the path speaks for all. */
static void look_at_calls(struct node *req)
{
	struct node *first = req->calls, *n;
	uint32_t rest = 0;

	DL_FOREACH2(req->calls, n, sib_next)
	rest += n->on_path;
	while (first) {
		uint32_t on_path = 0, awake = 0;

		for (n = first; n && same_stretch(n, first); n = n->sib_next) {
			on_path += n->on_path;
			awake += n->on_path && !n->birth.slept;
		}
		for (n = first; n && same_stretch(n, first); n = n->sib_next) {
			if (awake && !n->on_path && !n->birth.slept)
				look_beside(n, rest);
			/* Beside one that slept: neither confirmed nor alone. */
			n->looked_at |= on_path && !awake && !n->birth.slept;
			look_at(n);
		}
		rest -= on_path;
		first = n;
	}
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

/* A request that is over and has nothing undecided left is forgotten. */
static void request_idle(struct clew_causality *c, struct node *req)
{
	if (!req->ended || req->calls)
		return;
	charge_enqueue(req, NULL);
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
	FORGET_ALL(c, decided, n);
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

void decide_call_ended(struct clew_causality *c, struct node *call)
{
	struct node *owner = call->owner;

	if (call->decided) {
		node_unhash(c, call);
		return;
	}
	if (!call->born || judge_is_root(call)) {
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
	charge_enqueue(req, &c->fresh);
	if (!req->n_calls_open)
		decide_calls_of(c, req, false, false);
}

/* Whoever may still turn out to be its request was there before it and has not been answered. */
static bool may_be_charged(const struct node *n)
{
	const struct node *oldest = n->birth.ctx->proc->open;

	return (n->work || n->todo_of || (n->askers && !n->asker_told)) && oldest &&
	       oldest->born_ns <= n->born_ns;
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

		charge_enqueue(req, &c->done);
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
