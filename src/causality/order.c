/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: the order in which a pool takes its work.
 *
 *	requests read:  A  B  C  D  E  F ...
 *	worker V:     ── done with A │ calls ── done with E │
 *	worker W:  ── done with B │ calls X ── calls Y ── done with D │
 *	                          from         to
 *
 * A pool takes requests in the order in which they came. W was done with B (or idle, and woken) and next
 * with D: it took D then, or when D came, or later, if it did something else before (a job that nobody waits
 * for). If X was for something else, D was still waiting when X ended, and whoever took a request while X
 * went on took one that came *before* D. If X was for D, they took later ones, like E. So a call scores by
 * how many of each there were.
 *
 * How often a score comes about by accident is asked of calls that are known to be for another one: Y is for
 * D, what if it had been a job that ended when W took its next request? Of these *trials* hardly any may
 * score as much. Whatever order the pool keeps, and however well: if the trials' scores are as high as the
 * others, nothing is believed. How common other work is, the first calls tell that score badly; where it is
 * rare, an accident is so much rarer. And what each take of a trial says, wrongly, in favour, says how much a
 * score of so many is worth that no trial happened to have.
 *
 * Whoever did a job first seems to have taken its request too early, and would count in favour of calls that
 * it says nothing of. It shows: an earlier request was taken after that. Such a take is in *doubt*, and does
 * not count in favour, unless other work is rare (then it is a reader that was slow to queue).
 *
 * It does not see jobs that come all at once, as many as the pool has workers: then each of these workers does a
 * job first. Nor jobs during which nobody takes anything; but then calls do not score.
 *
 * When a request was taken is known of those only that are done. So all scores are given SETTLE_NS after the
 * answer. Limits: the last N_TAKES requests of a process, and LOOK of them before and after the one in question.
 */
#include <math.h>

#include "causality/completion.h"
#include "causality/engine.h"
#include "causality/order.h"

#define SAFETY	2.0
#define UNSEEN	0.25
#define ENOUGH	100 /* trials */
#define MARGIN	10  /* other work and accidents may have one cause */
#define LOOK	128
#define RARE	50 /* other work: one in so many first calls */
#define MOST	3  /* more than one in so many: takes are not what they seem */
#define FEWEST	3  /* the least score, where other work is no rarity */
#define N_TAKES 1024
#define FORGET	8192

/* An earlier one was taken later: this one may have been taken later still. */
static void doubt(struct proc *p, struct take *t)
{
	uint64_t first = t->place > LOOK ? t->place - LOOK : 1;

	for (uint64_t at = first; at <= t->place + LOOK && at <= p->n_read; at++) {
		struct take *o = &p->takes[at % N_TAKES];

		if (o->place != at)
			continue;
		if (at < t->place && o->ns > t->ns)
			t->doubts++;
		else if (at > t->place && o->ns < t->ns)
			o->doubts++;
	}
}

void order_taken(struct node *req, const struct mark *m)
{
	struct proc *p = req->proc;

	if (!p->takes)
		p->takes = calloc(N_TAKES, sizeof(*p->takes));
	if (!p->takes)
		return;
	req->taken_ns = m->ns > req->born_ns ? m->ns : req->born_ns;
	p->takes[req->place % N_TAKES] = (struct take){req->place, req->taken_ns, 0};
	doubt(p, &p->takes[req->place % N_TAKES]);
	if (m->req && req->born_ns <= m->call_born_ns)
		req->trial_ns = m->call_born_ns;
}

/* Of n requests from place on, those that were taken after from_ns and before to_ns. */
static uint32_t taken(const struct proc *p, uint64_t place, uint32_t n, uint64_t from_ns,
		      uint64_t to_ns, uint32_t max_doubts)
{
	uint32_t found = 0;

	for (uint64_t at = place; at < place + n && at <= p->n_read; at++) {
		const struct take *t = &p->takes[at % N_TAKES];

		found += t->place == at && t->ns > from_ns && t->ns < to_ns &&
			 t->doubts < max_doubts;
	}
	return found;
}

static bool others_are_rare(const struct order *o)
{
	return o->first >= ENOUGH && o->first_bad * RARE <= o->first;
}

/* For the call to be the request's: who took something while it went on took a later one. */
static uint8_t score(const struct node *req, uint64_t from_ns, uint64_t to_ns, bool trial,
		     bool *ret_bad)
{
	struct order *o = &req->proc->group->order;
	uint32_t before = req->place > LOOK ? LOOK : (uint32_t)req->place - 1;
	uint32_t against =
		taken(req->proc, req->place - before, before, from_ns, to_ns, UINT32_MAX);
	uint32_t in_favour = taken(req->proc, req->place + 1, LOOK, from_ns, to_ns,
				   others_are_rare(o) ? UINT32_MAX : 1);

	if (trial) {
		o->in_favour += in_favour;
		o->against += against;
	}
	*ret_bad = against > in_favour;
	if (in_favour <= 2 * against)
		return 0;
	in_favour -= 2 * against;
	return in_favour < MAX_SCORE ? (uint8_t)in_favour : MAX_SCORE - 1;
}

static void forget(struct order *o)
{
	if (o->n < FORGET && o->first < FORGET)
		return;
	o->n = 0;
	for (int i = 0; i < MAX_SCORE; i++)
		o->n += o->trials[i] /= 2;
	o->first /= 2;
	o->first_bad /= 2;
	o->in_favour /= 2;
	o->against /= 2;
}

void order_settle(struct node *req)
{
	struct order *o;
	struct node *n;
	uint64_t from_ns = req->taken_ns;
	bool bad, first = true;

	if (!req->taken_ns || !req->proc || req->order_known)
		return;
	req->order_known = true;
	o = &req->proc->group->order;
	if (req->trial_ns) {
		o->trials[score(req, req->trial_ns, req->taken_ns, true, &bad)]++;
		o->n++;
	}
	DL_FOREACH2(req->calls, n, sib_next)
	{
		if (!n->resp_seen || n->claim < CLAIM_DONE || n->done_by == DONE_MANY)
			continue;
		n->score = score(req, from_ns, n->ended_ns, false, &bad);
		if (first && (n->score || bad)) {
			o->first++;
			o->first_bad += bad;
		}
		first = false;
		if (bad)
			from_ns = n->ended_ns;
	}
	req->proc->takes[req->place % N_TAKES].ns = from_ns;
	forget(o);
}

double order_wrong(const struct order *o, const struct node *call)
{
	double other = o->first ? MARGIN * SAFETY * (o->first_bad + 1.0) / o->first : 1;
	uint32_t accidents = 0;
	double each;

	if (o->n < ENOUGH || !call->score || o->first_bad * MOST > o->first ||
	    (call->score < FEWEST && !others_are_rare(o)))
		return 1;
	for (int i = call->score; i < MAX_SCORE; i++)
		accidents += o->trials[i];
	each = SAFETY * (o->in_favour + 1.0) / (o->in_favour + o->against + 1.0);
	return ((SAFETY * accidents + UNSEEN) / o->n + pow(fmin(each, 1), call->score)) *
	       fmin(other, 1);
}
