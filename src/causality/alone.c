/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request at a time, and idle most of the time: a developer's machine, a service at night.
 *
 *	request   ▐████▌                        ▐██████▌                     ▐███▌
 *	calls        ×  ×                          × ×  ×                      ×
 *	          open │       idle            │  open │        idle        │
 *
 * Whoever calls, however the work came to it: a call that is made while one request is open is that one's,
 * unless it would have been made anyway, by a timer or by a job that an earlier request left behind. Timers
 * call while nothing is open, too, and as much more often as the service is idle longer: until the first
 * such stray is seen, open time / idle time wrong links are to be expected, over all. That is believed where
 * it is 1 in 20. Jobs call soon after their request's answer; in a run of requests that falls into the next
 * one, but for the last. So nothing is decided earlier than 2 s after the answer (decide_ns), and a service
 * with strays is believed only where these are as rare among its calls as links may be wrong.
 */
#include "causality/alone.h"
#include "causality/context.h"
#include "causality/engine.h"
#include "causality/model.h"
#include "causality/node.h"

/* Of the idle time. */
#define MOST_OPEN 0.05

void alone_tick(struct proc *p, uint64_t now_ns, bool changes)
{
	struct alone_clock *k = &p->clock;
	struct alone *a = &p->group->alone;
	uint64_t ns = now_ns > k->since_ns ? now_ns - k->since_ns : 0;

	if (k->since_ns) {
		if (!p->n_open && ns > ALONE_GAP_NS)
			ns = ALONE_GAP_NS;
		if (ns > k->told_ns) {
			*(p->n_open ? &a->open_ns : &a->idle_ns) += ns - k->told_ns;
			k->told_ns = ns;
		}
	}
	if (changes) {
		k->since_ns = now_ns;
		k->told_ns = 0;
	}
}

void alone_call(const struct node *call)
{
	const struct birth *b = &call->birth;
	struct alone *a = &b->ctx->proc->group->alone;

	if (b->lost || !b->ctx->proc->clock.since_ns)
		return;
	a->strays += b->n_proc == 0;
	a->calls += b->n_proc == 1;
}

enum verdict alone_verdict(struct clew_causality *c, const struct node *call, double *ret_wrong)
{
	const struct birth *b = &call->birth;
	const struct alone *a;
	double ratio, strays;

	if (b->n_proc != 1 || !b->only || b->lost || call->shared || call->sink ||
	    call->born_ns < b->only->born_ns)
		return VERDICT_FAIL;
	alone_tick(b->ctx->proc, c->now_ns, false);
	a = &b->ctx->proc->group->alone;
	if (!a->idle_ns || !a->calls)
		return VERDICT_FAIL;
	ratio = (double)a->open_ns / (double)a->idle_ns;
	strays = ((double)a->strays + 3) / (double)a->calls;
	if (ratio > MOST_OPEN || (a->strays && strays > MAX_WRONG))
		return VERDICT_FAIL;
	*ret_wrong = strays * ratio;
	if (*ret_wrong > MOST_OPEN)
		*ret_wrong = MOST_OPEN;
	return VERDICT_PASS;
}
