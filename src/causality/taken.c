/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: by when a pool had taken a request, at the latest.
 *
 *	requests read:  D  E  F ...
 *	worker V:     ── done │ calls ── done with E
 *	worker W:     ── done │ calls X ──┼── calls Y ── calls Z ── done with D
 *	                                  D was taken by now: Y and Z are for D
 *
 * A pool takes requests in the order in which they came. E came after D, so D had been taken when V was done with
 * E. Whatever W calls after that, or has out then, is for D, and not for a job that it did before. If such a call
 * is known of E, D was taken before that call was made, and so were all that came before D: what is known of one
 * request tells of those before it.
 *
 * That is one bound (TAKEN_BY_CALL). A worker that has done what it called for takes the next request soon: if Y is
 * for D, D was taken when X had ended, or so (TAKEN_SOON). That says more, but in an interpreter, or where tasks go on
 * after their last call, it is not so: each of the two is followed and tested for itself.
 *
 * This needs no guess of when a job began, as order.c does, but it knows less. Where the pool's order
 * is not that of the reads, it is wrong, and that shows: D's worker was done with the one before D only after the time by
 * which D is said to have been taken. If no job came in between, this happens as often as D was taken later than that.
 *
 * Limits: the last N_LATEST requests of a process; LOOK of them after the one in question; N_SPANS calls of each.
 */
#include <math.h>

#include "causality/context.h"
#include "causality/node.h"
#include "causality/order.h"
#include "causality/taken.h"

#define SAFETY	 2.0
#define UNSEEN	 0.25
#define ENOUGH	 100
#define N_LATEST 1024
#define LOOK	 128
#define FORGET	 8192

static struct latest *at_place(const struct proc *p, uint64_t place)
{
	struct latest *l = &p->latest[place % N_LATEST];

	return l->place == place ? l : NULL;
}

/*
 * By when a request of this place, read then, had been taken, for one of those that came after it had been; 0: not
 * known. Those that were read before it was surely queued do not count: they may have been queued
 * first.
 */
static uint64_t by_later(const struct proc *p, uint64_t place, uint64_t queued_ns,
			 enum taken_bound how)
{
	uint64_t by_ns = 0;

	for (uint64_t i = place + 1; i <= place + LOOK && i <= p->n_read; i++) {
		const struct latest *l = at_place(p, i);

		if (!l || l->born_ns < queued_ns)
			continue;
		if (!by_ns || l->by_ns[how] < by_ns)
			by_ns = l->by_ns[how];
		if (l->born_ns > queued_ns + GAP_NS && l->queued_ns == l->born_ns + GAP_NS)
			break; /* it knows those after it */
	}
	return by_ns;
}

/* Its i-th call is known: when had it been taken at the latest? */
static uint64_t before_call(const struct latest *l, uint32_t i, enum taken_bound how)
{
	uint64_t end_ns = (i ? l->spans[i - 1].ended_ns : l->taken_ns) + GAP_NS;

	return how == TAKEN_SOON && end_ns < l->spans[i].born_ns ? end_ns : l->spans[i].born_ns;
}

/* It had been taken at by_ns (0: not known): and before the first call that was made, or out, later. */
static bool tighten(struct latest *l, uint64_t by_ns, enum taken_bound how)
{
	uint64_t *by = &l->by_ns[how], was_ns = *by;

	if (by_ns && by_ns < *by)
		*by = by_ns;
	for (uint32_t i = 0; i < l->n_spans; i++) {
		if (l->spans[i].ended_ns <= *by)
			continue;
		by_ns = before_call(l, i, how);
		if (by_ns < *by)
			*by = by_ns;
		break;
	}
	return *by < was_ns;
}

static void add_spans(struct latest *l, const struct node *req)
{
	const struct node *n;

	DL_FOREACH2(req->calls, n, sib_next)
	{
		if (n->claim < CLAIM_DONE || !n->resp_seen || l->n_spans == N_SPANS)
			continue;
		l->spans[l->n_spans].born_ns = n->born_ns;
		l->spans[l->n_spans++].ended_ns = n->ended_ns;
	}
}

/* What is known of req, which came last, tells of those before it. */
static void spread(struct proc *p, const struct node *req, enum taken_bound how)
{
	struct latest *l = at_place(p, req->place);
	uint64_t known_ns = req->born_ns;

	tighten(l, by_later(p, req->place, order_queued(req), how), how);
	for (uint64_t i = req->place - 1; i && i + LOOK > req->place; i--) {
		l = at_place(p, i);
		if (!l)
			continue;
		if (tighten(l, by_later(p, i, l->queued_ns, how), how))
			known_ns = l->born_ns;
		else if (l->born_ns + 3 * GAP_NS < known_ns)
			break; /* nor are those before it */
	}
}

void taken_over(struct node *req, uint64_t done_ns)
{
	struct proc *p = req->proc;
	struct latest *l;

	if (!p || !req->taken_ns)
		return;
	if (!p->latest)
		p->latest = calloc(N_LATEST, sizeof(*p->latest));
	if (!p->latest)
		return;
	l = &p->latest[req->place % N_LATEST];
	*l = (struct latest){.place = req->place,
			     .by_ns = {done_ns, done_ns},
			     .born_ns = req->born_ns,
			     .queued_ns = order_queued(req),
			     .taken_ns = req->taken_ns};
	add_spans(l, req);
	for (int how = 0; how < N_TAKEN_BOUNDS; how++)
		spread(p, req, how);
}

static void settle(struct node *req, enum taken_bound how)
{
	uint64_t by_ns = by_later(req->proc, req->place, order_queued(req), how);
	struct taken *t = &req->proc->group->taken[how];
	struct node *n;

	if (!by_ns)
		return;
	t->n++;
	t->early += by_ns < req->taken_ns;
	DL_FOREACH2(req->calls, n, sib_next)
	n->taken[how] = n->claim >= CLAIM_DONE && n->resp_seen && n->ended_ns > by_ns;
	if (t->n >= FORGET) {
		t->n /= 2;
		t->early /= 2;
	}
}

void taken_settle(struct node *req)
{
	if (!req->proc || !req->proc->latest || !req->taken_ns || req->order_known)
		return;
	for (int how = 0; how < N_TAKEN_BOUNDS; how++)
		settle(req, how);
}

double taken_wrong(const struct group *g, const struct node *call)
{
	double wrong = 1;

	for (int how = 0; how < N_TAKEN_BOUNDS; how++) {
		const struct taken *t = &g->taken[how];

		if (call->taken[how] && t->n >= ENOUGH)
			wrong = fmin(wrong, SAFETY * (t->early + UNSEEN) / t->n);
	}
	return wrong;
}
