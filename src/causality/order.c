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
 * Where requests wait that are more than those that are worked on, a first call tells how common other work is
 * also for calls during which nobody takes anything: both wait as long for the others. Not so in a pool that is
 * not behind: there a request is taken by whoever is done first, and who did a job before was alone then. What was
 * read within GAP_NS may have been queued the other way round, and says nothing; nor does it count in favour, unless
 * one thread read both: another's reader can lose its processor between the read and the queue. Where a reader
 * answers too, it is known how long it waited for a processor in between: so much later it may have queued.
 *
 * It does not see jobs that come all at once, as many as the pool has workers: then each of these workers does a
 * job first. Nor jobs during which nobody takes anything; but then calls do not score.
 *
 * When a request was taken is known of those only that are done. So all scores are given SETTLE_NS after the
 * answer. Limits: the last N_TAKES requests of a process, and LOOK of them before and after the one in question.
 */
#include <math.h>

#include "causality/context.h"
#include "causality/node.h"
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

uint64_t order_queued(const struct node *req)
{
	return req->born_ns + (req->lag_ns > GAP_NS ? req->lag_ns : GAP_NS);
}

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

void order_taken(struct node *req, const struct mark *m, uint64_t done_ns)
{
	struct proc *p = req->proc;

	if (!p->takes)
		p->takes = calloc(N_TAKES, sizeof(*p->takes));
	if (!p->takes)
		return;
	req->taken_ns = m->ns > req->born_ns ? m->ns : req->born_ns;
	p->takes[req->place % N_TAKES] = (struct take){.place = req->place,
						       .ns = req->taken_ns,
						       .born_ns = req->born_ns,
						       .queued_ns = order_queued(req),
						       .read_tid = req->read_tid,
						       .done_ns = done_ns};
	doubt(p, &p->takes[req->place % N_TAKES]);
	if (m->req && req->born_ns <= m->call_born_ns)
		req->trial_ns = m->call_born_ns;
}

static bool was_taken(const struct take *t, uint64_t from_ns, uint64_t to_ns, uint32_t max_doubts)
{
	return t->ns > from_ns && t->ns < to_ns && t->doubts < max_doubts;
}

/* Of the requests that came before it, those that were taken after from_ns and before to_ns. */
static uint32_t taken_before(const struct node *req, uint64_t from_ns, uint64_t to_ns)
{
	uint64_t at = req->place > LOOK ? req->place - LOOK : 1;
	const struct proc *p = req->proc;
	uint32_t found = 0;

	for (; at < req->place && at <= p->n_read; at++) {
		const struct take *t = &p->takes[at % N_TAKES];

		found += t->place == at && was_taken(t, from_ns, to_ns, UINT32_MAX);
	}
	return found;
}

static bool others_are_rare(const struct order *o)
{
	return o->first >= ENOUGH && o->first_bad * RARE <= o->first;
}

/* Requests that came right before this one and were taken meanwhile: read first, but queued later, perhaps. */
static uint32_t swapped(const struct node *req, uint64_t from_ns, uint64_t to_ns)
{
	const struct proc *p = req->proc;
	uint32_t found = 0;

	for (uint64_t at = req->place - 1; at && at + LOOK > req->place; at--) {
		const struct take *t = &p->takes[at % N_TAKES];

		if (t->place != at)
			continue;
		found += t->queued_ns >= req->born_ns && t->ns > from_ns && t->ns < to_ns;
	}
	return found;
}

/* Who took a request while something went on. */
struct meanwhile {
	uint32_t before, after; /* one that came earlier; later */
	uint32_t swapped;	/* of before: right before, so that it may have been queued later */
	uint32_t close;		/* of after: right after, so that it may have been queued first */
};

/* What came after it; of that, what was read right after it by another thread was queued first, perhaps. */
static void count_behind(const struct node *req, uint64_t from_ns, uint64_t to_ns,
			 struct meanwhile *ret)
{
	uint32_t max_doubts = others_are_rare(&req->proc->group->order) ? UINT32_MAX : 1;
	const struct proc *p = req->proc;
	bool near = true;

	for (uint64_t at = req->place + 1; at <= req->place + LOOK && at <= p->n_read; at++) {
		const struct take *t = &p->takes[at % N_TAKES];

		if (t->place != at)
			continue;
		near = near && t->born_ns <= order_queued(req);
		if (!was_taken(t, from_ns, to_ns, max_doubts))
			continue;
		ret->after++;
		ret->close += near && (!req->read_tid || t->read_tid != req->read_tid);
	}
}

/* Did as many requests wait when this one was taken as were worked on, or more? */
static bool pool_is_behind(const struct node *req)
{
	const struct proc *p = req->proc;
	uint64_t at = req->place > LOOK ? req->place - LOOK : 1, at_ns = req->taken_ns;
	uint32_t waited = 0, worked = 0;

	for (; at <= req->place + LOOK && at <= p->n_read; at++) {
		const struct take *t = &p->takes[at % N_TAKES];

		if (t->place != at || at == req->place)
			continue;
		waited += t->born_ns < at_ns && t->ns > at_ns;
		worked += t->ns <= at_ns && t->done_ns > at_ns;
	}
	return waited && waited >= worked;
}

static struct meanwhile look(const struct node *req, uint64_t from_ns, uint64_t to_ns)
{
	struct meanwhile m = {
		.before = taken_before(req, from_ns, to_ns),
		.swapped = swapped(req, from_ns, to_ns),
	};

	count_behind(req, from_ns, to_ns, &m);
	return m;
}

/* For the call to be the request's: who took something while it went on took a later one. */
static uint8_t score(const struct meanwhile *m)
{
	uint32_t after = m->after - m->close;
	uint32_t s = after > 2 * m->before ? after - 2 * m->before : 0;

	return s < MAX_SCORE ? (uint8_t)s : MAX_SCORE - 1;
}

/* The first call of a request's worker: other work, as it seems? */
static void count_first(struct order *o, const struct meanwhile *m, bool behind)
{
	bool bad = m->before > m->after;

	if (score(m) || bad) {
		o->first++;
		o->first_bad += bad;
	}
	for (uint32_t i = 0; behind && i < N_CLEAR && m->before + m->after > i; i++) {
		o->clear[i]++;
		o->clear_bad[i] += bad && m->before > m->swapped;
	}
}

static void try_out(struct order *o, const struct node *req)
{
	struct meanwhile m = look(req, req->trial_ns, req->taken_ns);

	o->in_favour += m.after - m.close;
	o->against += m.before;
	o->trials[score(&m)]++;
	o->n++;
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
	for (int i = 0; i < N_CLEAR; i++) {
		o->clear[i] /= 2;
		o->clear_bad[i] /= 2;
	}
	o->in_favour /= 2;
	o->against /= 2;
}

void order_settle(struct node *req)
{
	struct order *o;
	struct node *n;
	uint64_t from_ns = req->taken_ns;
	bool first = true, behind, in_turn;

	if (!req->taken_ns || !req->proc || req->order_known)
		return;
	req->order_known = true;
	o = &req->proc->group->order;
	if (req->trial_ns)
		try_out(o, req);
	in_turn = behind = pool_is_behind(req);
	DL_FOREACH2(req->calls, n, sib_next)
	{
		struct meanwhile m;

		if (!n->resp_seen || n->claim < CLAIM_DONE || n->done_by == DONE_MANY)
			continue;
		m = look(req, from_ns, n->ended_ns);
		n->score = score(&m);
		in_turn &= !m.before;
		if (first)
			count_first(o, &m, behind);
		first = false;
		if (m.before > m.after)
			from_ns = n->ended_ns;
	}
	DL_FOREACH2(req->calls, n, sib_next)
	n->in_turn = in_turn;
	req->proc->takes[req->place % N_TAKES].ns = from_ns;
	forget(o);
}

double order_others(const struct order *o)
{
	double wrong = 1;

	for (int i = 0; i < N_CLEAR; i++)
		if (o->clear[i] >= ENOUGH)
			wrong = fmin(wrong, SAFETY * (o->clear_bad[i] + UNSEEN) / o->clear[i]);
	return wrong;
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
