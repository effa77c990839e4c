/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Are completions believed in this service? The figures are gathered in completion.c; what each of them
 * says of the links that would be wrong is here.
 */
#include <math.h>

#include "causality/completion.h"
#include "causality/context.h"
#include "causality/lead.h"
#include "causality/model.h"
#include "causality/node.h"
#include "causality/order.h"
#include "causality/taken.h"

#define SAFETY	     2.0
#define UNSEEN	     0.5
#define UNSEEN_OVER  0.1
#define UNSEEN_TASK  1.0
#define SURE_BITS    20
#define COMMON	     4 /* so many times are all stretches those that are common */
#define UNSEEN_IDLE  0.2
#define MAX_UNLIKE   0.01
#define MIN_REQUESTS 32
#define MIN_BORN     20
#define MIN_AGAIN    20
#define MIN_IDLE     16
#define SEVERAL	     20	 /* to one request that several work for */
#define FAN_OUT	     0.1 /* of the requests are for several workers */
#define UNSEEN_ENDS  4	 /* not all tasks that are taken together have more calls than is common */

/* The share of links that the order of requests and calls tells to be wrong. */
static double there_wrong(const struct bucket *b)
{
	return b->info < SURE_BITS ? 1 : SAFETY * b->false_hits / (double)b->hits;
}

/*
 * The share of stretches that are two tasks taken for one, an upper bound. Two tasks have more calls
 * together: where tasks of k calls are common and hardly any stretch has more than k, tasks are hardly
 * ever taken together. *ret_k: the largest such k.
 */
static double merged(struct ends *e, uint32_t *ret_k)
{
	uint64_t over = e->stretches[N_STRETCH - 1], all = over;

	if (e->merged_at && e->n - e->merged_at <= e->merged_at / 64) {
		*ret_k = e->merged_k;
		return e->merged;
	}
	e->merged_at = e->n;
	e->merged_k = 0;
	e->merged = 1;
	e->over = e->same = 0;
	for (uint32_t k = 1; k < N_STRETCH - 1; k++)
		all += e->stretches[k];
	for (uint32_t k = N_STRETCH - 2; k; k--) {
		uint64_t same = e->stretches[k];
		double wrong = (SAFETY * (double)over + UNSEEN_OVER) / (double)(same ? same : 1);

		if (same * COMMON >= all && wrong < e->merged) {
			e->merged = wrong;
			e->merged_k = k;
			e->over = over;
			e->same = same;
		}
		over += same;
	}
	*ret_k = e->merged_k;
	return e->merged;
}

/*
 * The share of tasks whose end is not seen, as workers tell that go idle: what they called before is a task,
 * and that has ended.
 */
static double idle_joined(const struct group *g, double unseen)
{
	if (!g->idle_clean)
		return 1;
	return (SAFETY * (double)g->idle_dirty + unseen) / (double)g->idle_clean;
}

/* The share of tasks without a call, as those tell that are known to have begun when the one before ended. */
static double empty(const struct ends *e, double unseen)
{
	return fmin(1, ((double)e->begun_empty + unseen) / (double)(e->begun ? e->begun : 1));
}

/*
 * The call before the end is another task's where that was not seen to end and this one never called.
 * Two rare things at once: not many need to be seen to be ruled out, but some.
 */
static double direct_wrong(const struct group *g, struct ends *e)
{
	uint32_t k;
	double joined = 1;

	merged(e, &k);
	if (e->same)
		joined = (SAFETY * (double)e->over + UNSEEN_TASK) / (double)e->same;
	/* Who answers itself has no owner's wake to be held against: not on the word of a few. */
	if (e == &g->ends[0] || g->idle_clean + g->idle_dirty >= MIN_IDLE)
		joined = fmin(joined, idle_joined(g, UNSEEN_TASK));
	return fmin(joined, 1) * empty(e, UNSEEN);
}

/*
 * Was the worker idle when it was woken after the call? Then it took a task without a call. How often workers are
 * idle after a task whose end was not seen, those tell that called after such a wake-up.
 */
static double over_wrong(const struct ends *e)
{
	return e->woken_empty ? SAFETY * (double)(e->woken - e->woken_empty + 1) *
					empty(e, UNSEEN_TASK) / (double)e->woken_empty
			      : 1;
}

static bool reaches_back(struct group *g, const struct node *call)
{
	struct ends *e = &g->ends[call->done_by >= DONE_SELF];
	uint32_t k;
	double wrong = merged(e, &k);

	return (wrong <= MAX_WRONG && call->stretch_calls <= k) ||
	       idle_joined(g, UNSEEN_IDLE) <= MAX_WRONG;
}

/*
 * Wake-ups among runtimes' tasks have no address that could be learned to be a lock. But who wakes for
 * another reason than that its work is done, does so after as many calls as it happens.
 */
static bool looks_alike(struct ends *e, const struct node *call)
{
	uint32_t k;

	return merged(e, &k) <= MAX_UNLIKE && call->stretch_calls <= k;
}

/*
 * Was the call before the end made because the one before it had failed? If not, that one's task ended unseen, and the
 * next one's call came at once. How often that happens, calls tell that did not fail. But a task may end
 * unseen just because its call failed. Then the next one's call comes as soon as first calls do: hardly any
 * comes late.
 */
static double again_wrong(const struct ends *e)
{
	double made = (double)e->at_once[1], begun = (double)e->begun, given_up = HUGE_VAL;

	if (e->at_once[1] < MIN_AGAIN || !e->calls[0])
		return 1;
	for (uint32_t i = 0; i < N_LATE; i++)
		if (e->first_late[i])
			given_up = fmin(given_up, ((double)e->late[i] + UNSEEN) * begun /
							  (double)e->first_late[i]);
	given_up *= ((double)e->quick + UNSEEN) / begun;
	return SAFETY *
	       (given_up +
		((double)e->at_once[0] + UNSEEN) * (double)e->calls[1] / (double)e->calls[0]) /
	       made;
}

/* A thread that was begun for the request that it answered. */
static enum verdict born_verdict(const struct node *call, double *ret_wrong)
{
	const struct bucket *b = &call->birth.ctx->proc->group->forked;

	*ret_wrong = model_wrong(b);
	if (b->hits >= MIN_BORN && *ret_wrong <= MAX_WRONG)
		return VERDICT_PASS;
	*ret_wrong = 0.01;
	return call->birth.n_proc <= 1 && !b->misses ? VERDICT_PASS : VERDICT_WAIT;
}

/*
 * Wake-ups that are no completions: a wrong one is taken for the true one where that was not seen. Where
 * requests are for several workers, their owners are woken by several: asked is whether workers wake several.
 */
static double mixed_up(const struct group *g, bool many)
{
	const struct ends *e = &g->ends[0];
	double all = (double)(g->done_one + g->done_many + g->done_none), unseen;

	if ((double)g->done_apart > FAN_OUT * all) {
		unseen = fmin(1, UNSEEN_ENDS * (double)(e->over + 1) / (double)(e->same + 1));
		return SAFETY * unseen * ((double)g->wakes_two + 0.5) / ((double)g->wakes_one + 1);
	}
	if (many)
		return 1;
	return 2 * ((double)g->done_many + 0.5) * ((double)g->done_none + 0.5) / all / all;
}

/* The order in which the pool takes its work tells for whom the call was, also over a later one. */
static bool in_order(struct group *g, const struct node *call, double *ret_wrong)
{
	if (call->done_by != DONE_ONE && call->done_by != DONE_SELF)
		return false;
	/* What is for several workers is taken several times. */
	if (call->done_by == DONE_ONE && g->done_many * SEVERAL > g->done_one)
		return false;
	*ret_wrong = order_wrong(&g->order, call);
	if (*ret_wrong > MAX_WRONG && call->in_turn)
		*ret_wrong = order_others(&g->order);
	if (*ret_wrong > MAX_WRONG)
		*ret_wrong = fmin(*ret_wrong, taken_wrong(g, call));
	if (call->done_by == DONE_ONE)
		*ret_wrong += mixed_up(g, false);
	return *ret_wrong <= MAX_WRONG;
}

/*
 * Threads that read requests for themselves, and answer one that a loop read for them (Puma's reactor): did any
 * of them ever call for nobody between two answers? If not, what it called is for the request that it answers.
 */
static bool works_for_none_else(const struct group *g, const struct node *call, double *ret_wrong)
{
	if (call->done_by != DONE_SELF || !call->birth.ctx->serves || !g->kept)
		return false;
	*ret_wrong = SAFETY * ((double)g->between + UNSEEN) / (double)g->kept;
	return *ret_wrong <= MAX_WRONG;
}

enum verdict completion_verdict(const struct node *call, double *ret_wrong)
{
	struct group *g = call->birth.ctx->proc->group;
	struct ends *e = &g->ends[call->done_by >= DONE_SELF];
	const struct bucket *b = call->over_wake ? &e->over_there : &g->done[call->done_by];
	bool many = call->done_by == DONE_MANY;
	uint64_t all = g->done_one + g->done_many + g->done_none;
	double wrong = direct_wrong(g, e);
	bool alone;

	if (call->done_by == DONE_BORN)
		return born_verdict(call, ret_wrong);
	if (call->birth.ctx->key.task && !looks_alike(e, call))
		return VERDICT_WAIT;
	if (lead_verdict(call, ret_wrong) == VERDICT_PASS)
		return VERDICT_PASS;
	if (call->done_by >= DONE_LED)
		return VERDICT_WAIT;
	if (in_order(g, call, ret_wrong) || works_for_none_else(g, call, ret_wrong))
		return VERDICT_PASS;
	if (call->done_by == DONE_SELF)
		all = e->n;
	else
		wrong += mixed_up(g, many);
	if (call->over_wake)
		wrong += over_wrong(e);
	if (call->claim == CLAIM_DONE_BACK) {
		double again = call->again ? again_wrong(e) : 0;

		if (again > MAX_WRONG || (!call->again_only && !reaches_back(g, call)))
			return VERDICT_WAIT;
		wrong += again;
	}
	/* One request at a time tests nothing, and leaves nothing to choose from. */
	alone = call->birth.n_proc <= 1 && !many && !b->misses && wrong <= MAX_WRONG &&
		!lead_stranger(call);
	*ret_wrong = wrong + there_wrong(b);
	if (alone && *ret_wrong > MAX_WRONG)
		*ret_wrong = 0.01;
	if (all < MIN_REQUESTS || (*ret_wrong > MAX_WRONG && !alone))
		return VERDICT_WAIT;
	return VERDICT_PASS;
}
