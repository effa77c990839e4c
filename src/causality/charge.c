/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The request that a call is charged to, and the lists in which both wait until its link is decided (decide.c).
 *
 * A call is charged when it is born, to the request that its context works on, or later, by what other contexts
 * tell. Until then it is loose.
 */
#include "causality/charge.h"
#include "causality/engine.h"

void charge_enqueue(struct node *req, struct node **queue)
{
	if (req->queue)
		DL_DELETE2(*req->queue, req, done_prev, done_next);
	req->queue = queue;
	if (queue)
		DL_APPEND2(*queue, req, done_prev, done_next);
}

void charge_born(struct clew_causality *c, struct node *call)
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

void charge_call(struct clew_causality *c, struct node *call, struct node *req, enum claim how)
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
		charge_enqueue(req, &c->fresh);
}
