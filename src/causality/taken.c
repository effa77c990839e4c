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
 * This needs no guess of when a job began or ended, as order.c does, but it knows less. Where the pool's order
 * is not that of the reads, it is wrong, and that shows: D's worker was done with the one before D only after the time by
 * which D is said to have been taken. If no job came in between, this happens as often as D was taken later than that.
 *
 * Limits: the last N_LATEST requests of a process; LOOK of them after the one in question; N_SPANS calls of each.
 */
#include "causality/engine.h"
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
 * known. Those that were read right after it do not count: they may have been queued before.
 */
static uint64_t by_later(const struct proc *p, uint64_t place, uint64_t born_ns)
{
	uint64_t by_ns = 0;

	for (uint64_t i = place + 1; i <= place + LOOK && i <= p->n_read; i++) {
		const struct latest *l = at_place(p, i);

		if (!l || l->born_ns < born_ns + GAP_NS)
			continue;
		if (!by_ns || l->by_ns < by_ns)
			by_ns = l->by_ns;
		if (l->born_ns > born_ns + 2 * GAP_NS)
			break; /* it knows those after it */
	}
	return by_ns;
}

/* It had been taken at by_ns (0: not known): and before the first call that was made, or out, later. */
static bool tighten(struct latest *l, uint64_t by_ns)
{
	uint64_t before = l->by_ns;

	if (by_ns && by_ns < l->by_ns)
		l->by_ns = by_ns;
	for (uint32_t i = 0; i < l->n_spans; i++) {
		if (l->spans[i].ended_ns <= l->by_ns)
			continue;
		if (l->spans[i].born_ns < l->by_ns)
			l->by_ns = l->spans[i].born_ns;
		break;
	}
	return l->by_ns < before;
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

void taken_over(struct node *req, uint64_t done_ns)
{
	struct proc *p = req->proc;
	struct latest *l;
	uint64_t known_ns;

	if (!p || !req->taken_ns)
		return;
	if (!p->latest)
		p->latest = calloc(N_LATEST, sizeof(*p->latest));
	if (!p->latest)
		return;
	l = &p->latest[req->place % N_LATEST];
	*l = (struct latest){.place = req->place, .by_ns = done_ns, .born_ns = req->born_ns};
	add_spans(l, req);
	tighten(l, by_later(p, req->place, req->born_ns));
	known_ns = req->born_ns;
	for (uint64_t i = req->place - 1; i && i + LOOK > req->place; i--) {
		l = at_place(p, i);
		if (!l)
			continue;
		if (tighten(l, by_later(p, i, l->born_ns)))
			known_ns = l->born_ns;
		else if (l->born_ns + 3 * GAP_NS < known_ns)
			break; /* nor are those before it */
	}
}

void taken_settle(struct node *req)
{
	struct taken *t;
	struct node *n;
	uint64_t by_ns;

	if (!req->proc || !req->proc->latest || !req->taken_ns || req->order_known)
		return;
	by_ns = by_later(req->proc, req->place, req->born_ns);
	if (!by_ns)
		return;
	t = &req->proc->group->taken;
	t->n++;
	t->early += by_ns < req->taken_ns;
	DL_FOREACH2(req->calls, n, sib_next)
	n->taken = n->claim >= CLAIM_DONE && n->resp_seen && n->ended_ns > by_ns;
	if (t->n >= FORGET) {
		t->n /= 2;
		t->early /= 2;
	}
}

double taken_wrong(const struct taken *t)
{
	return t->n < ENOUGH ? 1 : SAFETY * (t->early + UNSEEN) / t->n;
}
