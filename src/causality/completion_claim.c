/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: completion, what the end of a worker's task claims. When it is seen to end: completion.c.
 *
 * The calls of a worker between two of its marks are one task, for the request whose owner it then woke, or that it
 * answered. They are claimed for it when that is answered.
 *
 * What is measured, for each group, before any link is made of it (completion_verdict.c):
 * - one, many, none: requests whose owner was woken by one such task's end, by several, by none. A wake that
 *   is no completion shows as a second one; it can only be taken for the true one where that was not
 *   seen. So P(wrong) is about P(many) * P(none).
 * - the request must have been there before the call. A name at random among n open ones, of which m came
 *   before the call, passes by accident m times for each n - m times that it fails: log2(n / m) bits a test.
 * - where requests are for several different workers (a fan-out), the first says nothing. There: tasks whose worker
 *   woke the owners of two requests, both of which were there. A wake that is no completion comes beside a true one.
 * - how many calls a stretch has, and whether workers that go idle leave a stretch without a completion.
 *   A task that nobody waits for, and one whose end went unseen, is taken for a part of the next one, and
 *   stretches get longer than tasks are.
 */
#include <math.h>

#include "causality/charge.h"
#include "causality/completion.h"
#include "causality/context.h"
#include "causality/lead.h"
#include "causality/lock.h"
#include "causality/mark.h"
#include "causality/model.h"
#include "causality/order.h"
#include "causality/taken.h"
#include "causality/todo.h"

#define LOCKS_KNOWN 64 /* completions, after which locks have been learned */
#define AT_ONCE_NS  1000000ull
#define MAX_LOOK    64 /* open requests that are looked at to weigh one test */

/* Was the request there before the call? Weighed by how likely that is for a random one. */
static void test_order(struct bucket *b, const struct node *req, const struct node *call)
{
	const struct proc *p = req->proc;
	const struct node *n = p->open ? p->open->open_prev : NULL;
	uint32_t after = 0;
	double weight;

	while (n && after < MAX_LOOK && n->born_ns > call->born_ns) {
		after++;
		n = n == p->open ? NULL : n->open_prev;
	}
	if (!after || after >= p->n_open)
		return;
	weight = (double)(p->n_open - after) / (double)after;
	b->chance += weight;
	b->info += log2((double)p->n_open / (double)(p->n_open - after));
	if (req->born_ns <= call->born_ns) {
		b->hits++;
		return;
	}
	b->misses++;
	b->false_hits += weight;
}

/* When did the worker make the call, and know its response? Another task may write and read for it, later and earlier. */
static uint64_t begun_ns(const struct node *call)
{
	return call->asked_ns ? call->asked_ns : call->born_ns;
}

static uint64_t over_ns(const struct node *call)
{
	if (call->told_ns)
		return call->told_ns;
	return call->failed_ns ? call->failed_ns : call->ended_ns;
}

/* A call that follows a failed one at once is the same one again: no sign of another task. */
static bool is_again(const struct node *before, const struct node *call)
{
	return before->failed_ns && begun_ns(call) < over_ns(before) + AT_ONCE_NS;
}

static uint64_t oldest_mark(const struct ctx *w)
{
	return w->n_marks > MAX_MARKS ? w->n_marks - MAX_MARKS : 0;
}

static uint64_t seq_of(const struct done *d)
{
	return d->by->marks[d->mark % MAX_MARKS].seq;
}

/* A thread wakes an owner for many reasons; a task is told only what is for it: each time a piece of work is done. */
static bool ends_each(const struct ctx *w)
{
	return w->key.task;
}

/* What d's worker did before: where the stretch begins. over: not where it was woken after its last call. */
static const struct mark *mark_before(struct clew_causality *c, const struct done *d,
				      const struct node *req, bool over)
{
	const struct ctx *w = d->by;
	uint64_t oldest = oldest_mark(w), at = seq_of(d);

	for (uint64_t i = d->mark; i-- > oldest;) {
		const struct mark *m = &w->marks[i % MAX_MARKS];

		if ((m->req != req || ends_each(w)) && mark_counts(c, w, m) &&
		    !(over && m->dirty && m->seq == at))
			return m;
	}
	return NULL;
}

/*
 * The stretch of d's worker before d's mark, back to the mark before, if there is one: *ret_n calls,
 * *ret_again of them made again.
 */
static struct node *stretch(const struct done *d, const struct mark *before, enum done_by by,
			    uint32_t *ret_n, uint32_t *ret_again)
{
	const struct ctx *w = d->by;
	uint64_t at = seq_of(d), from = before ? before->seq : 0;
	struct node *n, *first = NULL;

	*ret_n = *ret_again = 0;
	if (by == DONE_BORN) /* that came before whatever it waited for since */
		from = 0;
	else if (!before && oldest_mark(w))
		from = at ? at - 1 : 0; /* forgotten: the direct one only */
	DL_FOREACH2(w->todo, n, todo_next)
	{
		if (n->todo_seq <= from || n->todo_seq > at)
			continue;
		if (!first)
			first = n;
		else if (is_again(n->todo_prev, n))
			++*ret_again;
		++*ret_n;
	}
	return first;
}

/* Another owner was woken at the same place: the last call may be for both. */
static uint64_t shares_mark(struct clew_causality *c, const struct done *d, const struct node *req,
			    const struct node *call)
{
	const struct ctx *w = d->by;
	uint64_t oldest = oldest_mark(w);

	for (uint64_t i = d->mark > oldest ? d->mark : oldest; i < w->n_marks; i++) {
		const struct mark *m = &w->marks[i % MAX_MARKS];

		if (m->seq != call->todo_seq)
			break;
		if (m->req && m->req != req && m->req->born_ns <= call->born_ns &&
		    mark_counts(c, w, m))
			return m->req->id;
	}
	return 0;
}

/* What is counted before that is wake-ups at locks, some of it. */
static bool locks_known(const struct group *g)
{
	return g->done_one + g->done_many > LOCKS_KNOWN;
}

static void count_late(uint64_t late[N_LATE], uint64_t gap_ns)
{
	for (uint32_t i = 0; i < N_LATE; i++)
		late[i] += gap_ns > AT_ONCE_NS << (i + 1);
}

/* How soon do calls follow the end before, and each other? m: that end. */
static void count_pauses(struct ends *e, const struct mark *m, const struct node *first,
			 uint32_t n_calls)
{
	uint64_t gap_ns = begun_ns(first) > m->ns ? begun_ns(first) - m->ns : 0;

	e->quick += gap_ns < AT_ONCE_NS;
	count_late(e->first_late, gap_ns);
	for (const struct node *n = first; n_calls; n = n->todo_next, n_calls--) {
		uint64_t end_ns = over_ns(n);
		bool failed = n->failed_ns;

		e->calls[failed]++;
		if (n_calls == 1)
			break;
		gap_ns = begun_ns(n->todo_next) > end_ns ? begun_ns(n->todo_next) - end_ns : 0;
		e->at_once[failed] += gap_ns < AT_ONCE_NS;
		if (failed)
			count_late(e->late, gap_ns);
	}
}

/*
 * Counts the stretch, and finds what belongs to it. A worker that was woken between its last call and the
 * end did not begin a new task then, where tasks without a call are rare: it waited in the middle of this one.
 */
static struct node *task_of(struct clew_causality *c, const struct done *d, const struct node *req,
			    enum done_by by, const struct mark **ret_before, uint32_t *ret_calls,
			    uint32_t *ret_size, bool *ret_over)
{
	struct ends *e = &req->proc->group->ends[by >= DONE_SELF];
	const struct mark *m = mark_before(c, d, req, false);
	bool counted = by != DONE_BORN && (by == DONE_SELF || locks_known(req->proc->group));
	uint32_t again;
	struct node *first = stretch(d, m, by, ret_calls, &again);

	*ret_over = !first && m && m->dirty && by != DONE_BORN;
	*ret_size = *ret_calls - again < N_STRETCH ? *ret_calls - again : N_STRETCH - 1;
	if (counted) {
		e->n++;
		e->stretches[*ret_size]++;
	}
	if (counted && m && m->dirty) {
		e->woken++;
		e->woken_empty += !first;
	} else if (counted && m) {
		e->begun++;
		e->begun_empty += !first;
		if (first)
			count_pauses(e, m, first, *ret_calls);
	}
	if (*ret_over) {
		m = mark_before(c, d, req, true);
		first = stretch(d, m, by, ret_calls, &again);
		*ret_size = *ret_calls - again < N_STRETCH ? *ret_calls - again : N_STRETCH - 1;
	}
	*ret_before = m;
	return first;
}

/* Of the stretch's calls, those that are in it only if a call that failed was made again. */
static void find_again(struct node *first, uint32_t n_calls)
{
	struct node *n = first;
	bool again = false, only = true;

	for (uint32_t i = 1; i < n_calls; i++)
		n = n->todo_next;
	for (; n != first; n = n->todo_prev) {
		bool this_one = is_again(n->todo_prev, n);

		again |= this_one;
		only &= this_one;
		n->todo_prev->again = again;
		n->todo_prev->again_only = only;
	}
}

static void follow(struct clew_causality *c, const struct done *d, struct node *req)
{
	if (d->mark >= oldest_mark(d->by) && d->mark < d->by->n_marks)
		lead_follow(c, d->by->marks[d->mark % MAX_MARKS].lead, seq_of(d), req);
}

static void claim(struct clew_causality *c, const struct done *d, struct node *req, enum done_by by)
{
	struct group *g = req->proc->group;
	struct ends *e = &g->ends[by >= DONE_SELF];
	const struct mark *before;
	struct node *n, *next;
	uint32_t left, size;
	bool over, alone = by == DONE_ONE || by == DONE_SELF;

	if (d->mark < oldest_mark(d->by))
		return;
	n = task_of(c, d, req, by, &before, &left, &size, &over);
	if (before && alone)
		order_taken(req, before, d->by->marks[d->mark % MAX_MARKS].ns);
	if (n)
		find_again(n, left);
	lead_ended(d, n, left, req);
	for (; n && left; n = next, left--) {
		bool direct = n->todo_seq == seq_of(d);

		next = n->todo_next;
		if (direct && by != DONE_BORN)
			test_order(over ? &e->over_there : &g->done[by], req, n);
		n->stretch_calls = (uint8_t)size;
		n->over_wake = over;
		n->done_by = by;
		n->sink = shares_mark(c, d, req, n);
		n->led = lead_is(n, req);
		if (direct && by <= DONE_MANY && locks_known(g))
			*(n->sink ? &g->wakes_two : &g->wakes_one) += 1;
		charge_call(c, n, req, direct ? CLAIM_DONE : CLAIM_DONE_BACK);
		todo_drop(n);
	}
	if (before && alone)
		taken_over(req, d->by->marks[d->mark % MAX_MARKS].ns);
	follow(c, d, req);
}

/* Did the thread answer the request that it was begun for? Weighed like a checkpoint. */
static bool answers_birth(struct ctx *ctx, const struct node *req)
{
	struct node *born_for = ctx->born_for;
	struct bucket *b = &ctx->proc->group->forked;

	ctx->born_for = NULL;
	if (!born_for)
		return false;
	if (ctx->proc->n_open > 1 && born_for == req)
		model_hit(b, ctx->proc->n_open);
	else if (born_for != req)
		model_miss(b, ctx->proc->n_open > 1 ? ctx->proc->n_open : 2);
	node_put(born_for);
	return born_for == req;
}

/* It calls nobody, but writes the answers that workers tell it. */
static void answered_for_others(struct clew_causality *c, struct ctx *w, struct node *req)
{
	lead_answers(w->lead, false, req);
	lead_follow(c, w->lead, 0, req);
	lead_over(w);
	lead_answered(req);
}

/* The worker answers a request that another context read. */
static void answered_itself(struct clew_causality *c, struct ctx *w, struct node *req)
{
	struct done d = {.by = w};
	bool born = answers_birth(w, req);

	if (!mark_is_worker(w) || ctx_has_open(w, req) || mark_in_call(w) || !req->proc)
		return;
	if (!w->todo_seq) {
		answered_for_others(c, w, req);
		return;
	}
	mark_several(w, req);
	if (!mark_add(c, w, req, 0))
		return;
	d.mark = w->n_marks - 1;
	w->n_ends++;
	lead_answers(w->lead, true, req);
	lead_over(w);
	claim(c, &d, req, born ? DONE_BORN : DONE_SELF);
	lead_answered(req);
}

/* The worker did something else between this end and a later one of the same request. */
static bool works_between(struct clew_causality *c, const struct done *d, uint64_t later,
			  const struct node *req)
{
	if (d->mark < oldest_mark(d->by))
		return false;
	for (uint64_t i = d->mark + 1; i < later; i++) {
		const struct mark *m = &d->by->marks[i % MAX_MARKS];

		if (m->req && m->req != req && mark_counts(c, d->by, m))
			return true;
	}
	return false;
}

/* Locks may have been learned since. */
static bool at_lock(struct clew_causality *c, const struct node *req, const struct done *d)
{
	return lock_is(c, req->proc, d->key) || lock_shared(c, req->proc, d->key);
}

/* The last wake of one of a worker's tasks, unless it has exited. */
static bool ends_task(struct clew_causality *c, const struct node *req, uint32_t i)
{
	const struct done *d = &req->done[i];

	if (d->mark >= d->by->n_marks || at_lock(c, req, d))
		return false;
	for (uint32_t j = i + 1; j < req->n_done && !ends_each(d->by); j++)
		if (req->done[j].by == d->by && !at_lock(c, req, &req->done[j]))
			return works_between(c, d, req->done[j].mark, req);
	return true;
}

/* How many tasks ended for the request (2: or more), counted in its group. */
static uint32_t count_ends(struct clew_causality *c, struct node *req)
{
	struct group *g = req->proc->group;
	const struct ctx *first = NULL;
	bool apart = false;
	uint32_t k = 0;

	for (uint32_t i = 0; i < req->n_done; i++) {
		struct done *d = &req->done[i];

		d->counts = ends_task(c, req, i);
		if (!d->counts)
			continue;
		k++;
		apart |= first && first != d->by;
		first = d->by;
	}
	if (k && req->done_lost)
		k = 2;
	if (!k)
		g->done_none += !req->calls;
	else
		*(k == 1 ? &g->done_one : &g->done_many) += 1;
	g->done_apart += apart;
	return k;
}

void completion_answer(struct clew_causality *c, struct ctx *ctx, struct node *req)
{
	uint32_t k;

	if (mark_owned(ctx) != req) {
		answered_itself(c, ctx, req);
		return;
	}
	k = count_ends(c, req);
	for (uint32_t i = 0; i < req->n_done; i++)
		if (req->done[i].counts)
			claim(c, &req->done[i], req, k > 1 ? DONE_MANY : DONE_ONE);
	/* Earlier tasks of the request, by the same worker. */
	for (uint32_t i = 0; k && i < req->n_done; i++)
		if (!req->done[i].counts && !at_lock(c, req, &req->done[i]))
			follow(c, &req->done[i], req);
	if (k)
		lead_answered(req);
	completion_forget_request(req);
}
