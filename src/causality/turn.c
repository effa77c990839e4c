/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: whose turn it is in an event loop.
 *
 *	loop's reads:   Q1  Q2  R(X)  Q3             each gives its request a turn: there is something to do
 *	its turns:      [1] [2] [ 3 ] [4]  ──►       in the order in which they came
 *	its writes:     X'  ─── A3 ─── X''           each takes one: a call takes its request along, until
 *	                                             its response is read; an answer says who it is
 *
 * A loop that reads several sockets and then works on what it read says by no single operation whom a
 * call is for, but it takes turns by a rule, and there are few rules. A request has one turn at most
 * (it does one thing after the other), so a rule that took the wrong one for a call has its request do two things
 * at once: the answer that is written then is not the one whose turn it is. Each rule is followed from
 * the first read on, whether it is right or not, and scored by these answers:
 *
 *	TURN_FIRST   first come, first served. Whoever is passed over by an answer had its turn and waits for
 *	             something (a connection of a pool): it is first when a call is made.
 *	TURN_AGAIN   the same, but of those whose responses came in one read, who has to try again is before the others:
 *	             that is decided in the call itself, and only then does what called it go on.
 *	TURN_LAST    at once, what was read last; whoever did nothing then waits, as above.
 *	TURN_ONCE    a proxy: requests call in the order in which they came, responses lead to answers in
 *	             the order in which these came. Nobody calls twice. Where requests queue, and
 *	             some come past them, an answer that breaks that order is not believed.
 *
 * By the wrong rule, most answers miss; by the right one, none in thousands. A hit that is an accident takes
 * two mistakes, of which the second undoes the first, and which are counted as misses where it does not.
 * Requests near each other are more likely to be taken for each other than others are, so such an accident
 * is taken to be as likely as one in NEIGHBOURS however many requests are open.
 *
 * A timer's call takes a turn that was not its, and all that come after it are shifted. If responses come
 * in the order of the calls, the answers may even agree: each request is given the call of the one before it. But there is
 * one call more than turns, or one response that nobody goes on from before the loop sleeps. So a call
 * that finds no turn speaks against all since there were none, what was not done before a sleep had its turn, a hit is
 * believed when the loop has slept without a miss, and after a miss not before several hits.
 *
 * Limits: none of its own; a request has N_TURNS turns, a call as many names.
 */
#include "causality/context.h"
#include "causality/engine.h"
#include "causality/model.h"
#include "causality/node.h"
#include "causality/turn.h"

#define SAFETY	   2.0
#define UNSEEN	   1.0 /* misses */
#define NEIGHBOURS 8
#define DOUBTS	   8  /* hits after a miss that are not believed */
#define SLEEPS	   2  /* after a hit, without a miss, before it is believed */
#define SEARCH	   64 /* turns that are looked at for a call */
#define FEW	   20
#define IN_ORDER   64 /* hits for each that is out of order, where answers keep their order */
#define QUEUES	   10 /* of so many calls more than one waited for a later round: there is a queue */
#define FORGET	   100000 /* checkpoints, after which old ones count half */

static void unlist(struct turn *t)
{
	if (t->in)
		DL_DELETE(*t->in, t);
	t->in = NULL;
}

/* before: NULL: it is the last one. */
static void enlist(struct turn **list, struct turn *t, struct turn *before)
{
	unlist(t);
	if (before)
		DL_PREPEND_ELEM(*list, before, t);
	else
		DL_APPEND(*list, t);
	t->in = list;
}

static void put(struct node **n)
{
	struct node *old = *n;

	*n = NULL;
	node_put(old);
}

static bool in_line(enum turn_rule rule)
{
	return rule == TURN_FIRST || rule == TURN_AGAIN;
}

/* Of those that came in the same read, the first that need not try again. */
static struct turn *first_to_go_on(struct turn *list, uint64_t read)
{
	struct turn *first = NULL;

	for (struct turn *t = list ? list->prev : NULL; t && t->read == read && !t->again;
	     t = t->prev) {
		first = t;
		if (t == list)
			break;
	}
	return first;
}

/* Something was read for the request: it has a turn, the last one. */
static void give(struct ctx *ctx, struct turn *t, enum turn_rule rule)
{
	struct turn **list = &ctx->turns[rule];

	if (rule == TURN_ONCE && t->resp)
		list = &ctx->turns[TURN_ONCE_ANSWERS];
	unlist(t);
	if (rule == TURN_LAST && *list)
		(*list)->prev->waits = true;
	t->waits = false;
	t->read = ctx->reads;
	t->given = ctx->rounds;
	put(&t->passed_by);
	ctx->spells[rule] += !ctx->turns[rule];
	enlist(list, t, rule == TURN_AGAIN && t->again ? first_to_go_on(*list, t->read) : NULL);
}

/* A round of the loop: it reads, and then it writes. */
static void reads(struct ctx *ctx)
{
	ctx->rounds += ctx->wrote;
	ctx->wrote = false;
}

void turn_request_read(struct clew_causality *c, struct ctx *ctx, struct node *req)
{
	reads(ctx);
	if (!req->turns) {
		if (req->answered || req->ended)
			return;
		req->turns = clew_pool_take0(&c->pool, sizeof(*req->turns));
		if (!req->turns)
			return;
		for (int i = 0; i < N_TURNS; i++) {
			req->turns->by[i].req = req;
			give(ctx, &req->turns->by[i], i);
		}
		return;
	}
	for (int i = 0; i < N_TURNS; i++) /* more of it */
		if (req->turns->by[i].in && !req->turns->by[i].resp)
			give(ctx, &req->turns->by[i], i);
}

/* The turn that this call is out with, or whose response it is. */
static struct turn *turn_of(const struct node *call, enum turn_rule rule)
{
	struct node *req = call->named[rule];
	struct turn *t = req && req->turns ? &req->turns->by[rule] : NULL;

	return t && t->call == call->id && !req->ended && !t->done ? t : NULL;
}

void turn_response_read(struct ctx *ctx, struct node *call, bool whole, bool failed)
{
	reads(ctx);
	for (int i = 0; i < N_TURNS; i++) {
		struct turn *t = turn_of(call, i);

		if (!t)
			continue;
		t->resp = true;
		t->again = failed;
		t->whole = whole || call->ended;
		give(ctx, t, i);
	}
}

void turn_call_ended(struct node *call)
{
	for (int i = 0; i < N_TURNS; i++) {
		struct turn *t = turn_of(call, i);

		if (t)
			t->whole = true;
	}
}

static void hit(struct turn_score *s)
{
	s->hits++;
	if (s->hits + s->misses < FORGET)
		return;
	s->hits /= 2;
	s->misses /= 2;
	s->out_of_order /= 2;
	s->false_hits /= 2;
	s->calls /= 2;
	s->queued /= 2;
}

static void miss(struct turn_score *s, uint32_t n)
{
	s->misses++;
	s->false_hits += 1.0 / (n < NEIGHBOURS ? n : NEIGHBOURS);
}

/* The share of wrong links among hits, or, where the order of the answers says nothing, among calls. */
static double wrong_share(const struct turn_score *s, bool out_of_order)
{
	double hits = (double)(s->hits ? s->hits : 1), misses = (double)s->misses;

	if (out_of_order)
		return (SAFETY * misses + 0.2 * UNSEEN) / hits;
	return SAFETY * (s->false_hits + misses * misses / (hits + misses) + UNSEEN / NEIGHBOURS) /
	       hits;
}

static enum verdict score_verdict(const struct turn_score *s, bool out_of_order, double *ret_wrong)
{
	uint64_t all = s->hits + s->misses;

	*ret_wrong = wrong_share(s, out_of_order);
	if (all >= FEW && (s->misses * 4 > all || s->out_of_order * 2 > all))
		return VERDICT_FAIL;
	return *ret_wrong <= MAX_WRONG ? VERDICT_PASS : VERDICT_WAIT;
}

/* Whose turn it is to call. */
static struct turn *next_turn(const struct ctx *ctx, enum turn_rule rule)
{
	struct turn *t = ctx->turns[rule];

	if (rule == TURN_LAST && t && !t->prev->waits)
		return t->prev;
	for (int i = 0; t && i < SEARCH; t = t->next, i++)
		if (!t->resp || t->whole)
			return t;
	return NULL;
}

/*
 * A call, and it is nobody's turn: one that was made since somebody had one again was not by who had it,
 * and each after it took the next one's.
 */
static void one_too_many(struct ctx *ctx, enum turn_rule rule)
{
	struct turn_score *s = &ctx->proc->group->turns[rule];
	const struct reader *r;
	double wrong;

	if (ctx->n_open < 2)
		return;
	miss(s, ctx->n_open);
	if (score_verdict(s, false, &wrong) == VERDICT_FAIL)
		return; /* it is not believed anyway */
	DL_FOREACH (ctx->open, r) {
		struct turn *t = r->req->turns ? &r->req->turns->by[rule] : NULL;

		if (t && t->called && !t->done && t->spell == ctx->spells[rule])
			t->bad = true;
	}
}

void turn_connect(struct ctx *ctx, struct node *named[N_TURNS])
{
	for (int i = 0; i < N_TURNS; i++) {
		struct turn_score *s = &ctx->proc->group->turns[i];
		struct turn *t = next_turn(ctx, i);

		if (!t) {
			one_too_many(ctx, i);
			continue;
		}
		unlist(t);
		t->spell = ctx->spells[i];
		s->calls++;
		s->queued += ctx->rounds != t->given;
		put(&t->passed_by);
		t->called = true;
		t->call = 0;
		named[i] = node_get(t->req);
	}
}

void turn_born(struct ctx *ctx, struct node *call)
{
	bool connected = false;

	ctx->wrote = true;
	for (int i = 0; i < N_TURNS; i++)
		connected |= call->named[i] != NULL;
	if (!connected)
		turn_connect(ctx, call->named);
	for (int i = 0; i < N_TURNS; i++) {
		struct node *req = call->named[i];

		if (req && req->turns && !req->turns->by[i].in)
			req->turns->by[i].call = call->id;
	}
}

void turn_names_clear(struct node *named[N_TURNS])
{
	for (int i = 0; i < N_TURNS; i++)
		put(&named[i]);
}

/* What was read last or first, and not done yet: it was thought to be its turn to answer. */
static struct turn *expected(const struct ctx *ctx, enum turn_rule rule)
{
	struct turn *t = ctx->turns[rule == TURN_ONCE ? TURN_ONCE_ANSWERS : rule], *first = NULL;

	if (rule == TURN_ONCE || !t)
		return t;
	/* Those that wait stand before the others. */
	for (t = t->prev; !t->waits; t = t->prev) {
		first = t;
		if (t == ctx->turns[rule] || rule == TURN_LAST)
			break;
	}
	return first;
}

static void blame(struct turn *t)
{
	t->bad = true;
	t->done = true;
	unlist(t);
}

/* Those before it had their turn. */
static void pass_over(struct turn *t)
{
	for (struct turn *o = t; o != *t->in && !o->prev->waits; o = o->prev) {
		o->prev->waits = true;
		o->prev->passed_by = node_get(t->req);
	}
}

/* False: it is not this one's turn. */
static bool in_turn(struct ctx *ctx, struct turn *t, enum turn_rule rule, bool *ret_order)
{
	struct turn *o;

	*ret_order = true;
	if (t->in != &ctx->turns[rule == TURN_ONCE && t->resp ? TURN_ONCE_ANSWERS : rule])
		return false;
	if (in_line(rule) && !t->waits)
		pass_over(t);
	if (rule != TURN_ONCE)
		return !t->waits;
	if (!t->resp)
		return true; /* answered without a call */
	if (t->waits)
		return false;
	*ret_order = *t->in == t;
	for (o = *t->in; o != t; o = o->next)
		o->out_of_order = true;
	t->out_of_order |= !*ret_order;
	return true;
}

/* All that was not borne out by a sleep yet may have been an accident. */
static void doubt(struct ctx *ctx, enum turn_rule rule)
{
	ctx->doubts[rule] = DOUBTS;
	while (ctx->unsure[rule])
		blame(ctx->unsure[rule]);
}

static void confirm(struct turn *t)
{
	unlist(t);
	t->hit = true;
}

static void answered(struct ctx *ctx, struct turn *t, enum turn_rule rule, uint32_t n)
{
	struct turn_score *s = &ctx->proc->group->turns[rule];
	struct turn *o;
	bool order, sure = false;

	if (in_turn(ctx, t, rule, &order)) {
		if (!t->called || t->bad) {
			; /* nothing was named, so nothing is tested */
		} else {
			sure = !ctx->doubts[rule];
			if (n > 1) {
				hit(s);
				s->out_of_order += !order;
				ctx->doubts[rule] -= !sure;
			}
		}
	} else {
		if (n > 1) {
			miss(s, n);
			doubt(ctx, rule);
		}
		t->bad = true;
		if (t->passed_by && t->passed_by->turns)
			t->passed_by->turns->by[rule].bad = true;
		o = t->in ? NULL : expected(ctx, rule);
		if (o && o->resp)
			blame(o);
	}
	t->done = true;
	unlist(t);
	if (!sure)
		return;
	t->slept = ctx->sleeps;
	enlist(&ctx->unsure[rule], t, NULL);
}

void turn_slept(struct ctx *ctx, bool reads)
{
	struct turn *t;

	/* They had their turn. But a loop may wait in the middle of its work (for a file, a lock): that says nothing. */
	for (int i = TURN_FIRST; i <= TURN_AGAIN; i++) {
		for (t = ctx->turns[i] ? ctx->turns[i]->prev : NULL; t && !t->waits; t = t->prev) {
			t->waits |= reads;
			t->bad |= !reads;
			if (t == ctx->turns[i])
				break;
		}
	}
	if (ctx->turns[TURN_LAST])
		ctx->turns[TURN_LAST]->prev->waits = true;
	/* A proxy may wait for its log while it has answers to write: that says nothing. */
	for (t = ctx->turns[TURN_ONCE_ANSWERS]; t; t = t->next) {
		t->waits |= reads;
		t->bad |= !reads;
	}
	ctx->sleeps++;
	ctx->rounds++;
	for (int i = 0; i < N_TURNS; i++)
		while (ctx->unsure[i] && ctx->sleeps - ctx->unsure[i]->slept >= SLEEPS)
			confirm(ctx->unsure[i]);
}

void turn_answered(struct ctx *ctx, struct node *req)
{
	const struct proc *p = ctx->proc;
	uint32_t n = ctx->n_open > 1 ? ctx->n_open : p->n_open > 1 ? 2 : 1;

	ctx->wrote = true;
	for (int i = 0; req->turns && i < N_TURNS; i++)
		answered(ctx, &req->turns->by[i], i, n);
}

void turn_request_ended(struct node *req)
{
	for (int i = 0; req->turns && i < N_TURNS; i++) {
		if (!req->turns->by[i].done)
			unlist(&req->turns->by[i]);
		put(&req->turns->by[i].passed_by);
	}
}

void turn_forget(struct node *n)
{
	turn_names_clear(n->named);
	turn_request_ended(n);
	for (int i = 0; n->turns && i < N_TURNS; i++)
		unlist(&n->turns->by[i]);
	clew_pool_give(&n->c->pool, n->turns, sizeof(*n->turns));
	n->turns = NULL;
}

void turn_lose(struct ctx *ctx)
{
	for (int i = 0; i < N_TURNS + 1; i++)
		while (ctx->turns[i])
			blame(ctx->turns[i]);
	for (int i = 0; i < N_TURNS; i++)
		doubt(ctx, i);
}

/* Where requests queue, one that did not may be called for before them: then the answers seem to break their order. */
static bool overtaken(const struct turn_score *s, const struct turn *t)
{
	return t->out_of_order && s->queued * QUEUES > s->calls;
}

enum verdict turn_verdict(const struct node *call, struct node **ret_req, bool *ret_order,
			  double *ret_wrong)
{
	const struct group *g = call->birth.ctx->proc->group;
	enum verdict all = VERDICT_FAIL;
	struct node *found = NULL;

	for (int i = 0; i < N_TURNS; i++) {
		struct node *req = call->named[i];
		const struct turn *t = req && req->turns ? &req->turns->by[i] : NULL;
		double wrong = 1;
		enum verdict v;

		if (!t || t->bad || (t->done && !t->hit && !t->in))
			continue;
		v = score_verdict(&g->turns[i], t->out_of_order, &wrong);
		if (v == VERDICT_PASS && (!t->hit || overtaken(&g->turns[i], t)))
			v = VERDICT_WAIT;
		if (v == VERDICT_PASS && found && found != req)
			return VERDICT_FAIL; /* two rules that pass */
		if (v == VERDICT_PASS && (!found || wrong < *ret_wrong)) {
			found = *ret_req = req;
			*ret_order = !t->out_of_order;
			*ret_wrong = wrong;
		}
		if (v == VERDICT_PASS || (v == VERDICT_WAIT && all == VERDICT_FAIL))
			all = v;
	}
	return all;
}

const char *turn_model(const struct group *g, const struct turn_score **ret_score)
{
	static const char *const names[N_TURNS] = {
		[TURN_FIRST] = "event loop, first come, first served",
		[TURN_AGAIN] = "event loop, first come, first served, who tries again first",
		[TURN_LAST] = "event loop, what was read last, others wait",
		[TURN_ONCE] = "proxy, a call a request, each in its turn",
	};
	const struct turn_score *best = NULL;

	for (int i = 0; i < N_TURNS; i++) {
		const struct turn_score *s = &g->turns[i];
		double wrong;

		if (score_verdict(s, false, &wrong) == VERDICT_PASS &&
		    (!best || s->misses < best->misses))
			best = s;
	}
	if (!best)
		return NULL;
	*ret_score = best;
	return names[best - g->turns];
}
