/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: completion. Who wakes the one who answers R worked for R.
 *
 *	owner A:   reads R ── hands over, waits ········· woken ── answers R
 *	                                                    ▲
 *	worker W:  ── wakes B │ calls X ── calls Y ── wakes A │ calls Z ── wakes D │
 *	                  mark                           mark                  mark
 *
 * The stretch of W between two marks is one task: X and Y are for R. Y is *direct*: no other call of W
 * stands between it and the wake. X is reached *back* over a later call: if a task's end can go unseen
 * (the result was there before anyone waited for it) or W also does work that nobody waits for, X may be
 * another task's. That is a property of the service, and measured on it.
 *
 * A mark is made when W, which has no request of its own and no call out, wakes a context that has one
 * request open, read it itself, and has no call out; and when W itself is woken (it was idle: its task is
 * over). Wake-ups at locks make none (lock.c).
 *
 * A worker that writes the answer itself ends its task with that: the calls since its last such end are
 * for the request that it answers. So are all calls of a thread that was begun while the one who began it
 * worked on the request that it then answers first.
 *
 * What is measured, for each group, before any link is made of it (completion_verdict.c):
 * - one, many, none: requests whose owner was woken by one such worker, by several, by none. A wake that
 *   is no completion shows as a second one; it can only be taken for the true one where that was not
 *   seen. So P(wrong) is about P(many) * P(none).
 * - the request must have been there before the call. A name at random among n open ones, of which m came
 *   before the call, passes by accident m times for each n - m times that it fails: log2(n / m) bits a test.
 * - where requests are for several workers (a fan-out), that says nothing. There: tasks whose worker woke the
 *   owners of two requests, both of which were there. A wake that is no completion comes beside a true one.
 * - how many calls a stretch has, and whether workers that go idle leave a stretch without a completion.
 *   A task that nobody waits for, and one whose end went unseen, is taken for a part of the next one, and
 *   stretches get longer than tasks are.
 */
#include <math.h>

#include "causality/coalesce.h"
#include "causality/completion.h"
#include "causality/engine.h"
#include "causality/lock.h"
#include "causality/model.h"
#include "causality/order.h"
#include "causality/taken.h"

#define LOCKS_KNOWN 64 /* completions, after which locks have been learned */
#define AT_ONCE_NS  1000000ull
#define MAX_LOOK    64 /* open requests that are looked at to weigh one test */

static bool in_call(const struct ctx *ctx)
{
	return ctx->out && !ctx->out->resp_seen && !ctx->out->ended;
}

static bool is_worker(const struct ctx *ctx)
{
	return !ctx->n_open && !ctx->key.task && !ctx->mux;
}

/* The request whose answer this context waits to write. */
static struct node *owned(const struct ctx *ctx)
{
	struct node *req = ctx->n_open == 1 && !ctx->mux ? ctx->open->req : NULL;

	return req && !req->answered && !ctx->key.task ? req : NULL;
}

void completion_call(struct ctx *ctx, struct node *call)
{
	struct node *old = ctx->out;

	ctx->out = node_get(call);
	node_put(old);
	if (call->owner || !is_worker(ctx) || call->todo_of)
		return;
	call->todo_of = ctx;
	ctx->refs++;
	call->todo_seq = ++ctx->todo_seq;
	DL_APPEND2(ctx->todo, call, todo_prev, todo_next);
}

void completion_forget_call(struct node *call)
{
	struct ctx *ctx = call->todo_of;

	if (!ctx)
		return;
	DL_DELETE2(ctx->todo, call, todo_prev, todo_next);
	call->todo_of = NULL;
	ctx_put(ctx);
}

void completion_forget_ctx(struct ctx *ctx)
{
	for (uint32_t i = 0; ctx->marks && i < MAX_MARKS; i++)
		node_put(ctx->marks[i].req);
	free(ctx->marks);
	ctx->marks = NULL;
	ctx->n_marks = 0;
	node_put(ctx->out);
	ctx->out = NULL;
	node_put(ctx->born_for);
	ctx->born_for = NULL;
}

void completion_forget_request(struct node *req)
{
	for (uint32_t i = 0; i < req->n_done; i++)
		ctx_put(req->done[i].by);
	req->n_done = 0;
	if (req->done)
		clew_pool_give(req->pool, req->done, MAX_DONE * sizeof(*req->done));
	req->done = NULL;
}

static const struct mark *last_mark(const struct ctx *w)
{
	return w->n_marks ? &w->marks[(w->n_marks - 1) % MAX_MARKS] : NULL;
}

static bool add_mark(const struct clew_causality *c, struct ctx *w, struct node *req, uint64_t key)
{
	struct mark *m;

	if (!w->marks)
		w->marks = calloc(MAX_MARKS, sizeof(*w->marks));
	if (!w->marks)
		return false;
	m = &w->marks[w->n_marks++ % MAX_MARKS];
	node_put(m->req);
	*m = (struct mark){.seq = w->todo_seq, .key = key, .ns = c->now_ns, .req = node_get(req)};
	m->call_born_ns = w->out ? w->out->born_ns : 0;
	return true;
}

void completion_serves(struct clew_causality *c, struct ctx *ctx)
{
	const struct mark *m = last_mark(ctx);

	node_put(ctx->born_for);
	ctx->born_for = NULL;
	if (ctx->todo_seq && (!m || m->seq != ctx->todo_seq))
		add_mark(c, ctx, NULL, 0);
}

static bool counts(struct clew_causality *c, const struct ctx *w, const struct mark *m)
{
	return m->key == 0 || !lock_is(c, w->proc, m->key);
}

/* W's last call was claimed, and right after that it wakes the owner of another request: a batch? */
static void several(struct ctx *w, const struct node *req)
{
	struct node *last = w->out;

	if (last && !last->decided && last->claim >= CLAIM_DONE && last->owner != req &&
	    last->todo_seq == w->todo_seq && req->born_ns <= last->born_ns) {
		last->sink = req->id;
		w->proc->group->wakes_two += w->proc->group->wakes_one > 0;
	}
}

static void handed_back(struct clew_causality *c, struct ctx *w, struct node *req, uint64_t key)
{
	struct done *d;

	if (!w->todo_seq) /* it has never called: nothing to claim, nothing to mix up */
		return;
	several(w, req);
	if (!req->done)
		req->done = clew_pool_take0(req->pool, MAX_DONE * sizeof(*req->done));
	if (!req->done || !add_mark(c, w, req, key))
		return;
	if (req->n_done == MAX_DONE) {
		ctx_put(req->done[0].by);
		memmove(req->done, req->done + 1, (MAX_DONE - 1) * sizeof(req->done[0]));
		req->n_done--;
		req->done_lost = true;
	}
	d = &req->done[req->n_done++];
	*d = (struct done){w, w->n_marks - 1, key};
	w->refs++;
}

/* It was idle: what it did is over. Did that end in a completion? */
static void woken(struct clew_causality *c, struct ctx *w, uint64_t key)
{
	const struct mark *m = last_mark(w);
	struct group *g = w->proc->group;

	if (!w->todo_seq)
		return;
	bool dirty = !m || m->seq != w->todo_seq;

	if (!dirty) {
		g->idle_clean += m->req != NULL;
		if (!m->req)
			return; /* woken again, nothing done */
	} else {
		g->idle_dirty++;
	}
	if (add_mark(c, w, NULL, key))
		w->marks[(w->n_marks - 1) % MAX_MARKS].dirty = dirty;
}

/* Who was woken on a futex and then, without a call, wakes another one there passes on a lock. */
static bool passes_on(const struct ctx *w, const struct clew_rec_handoff *h)
{
	return h->kind == CLEW_HANDOFF_FUTEX && is_worker(w) && w->woken_key &&
	       w->woken_seq == w->todo_seq && lock_same(w->woken_key, h->key);
}

void completion_wake(struct clew_causality *c, const struct clew_rec_handoff *h)
{
	struct ctx *from, *to;
	struct node *req;

	if (h->from_tgid != h->to_tgid || h->from_start_ns != h->to_start_ns)
		return;
	from = ctx_of(c, h->from_tgid, h->from_start_ns, 0, h->from_tid);
	if (!from)
		return;
	from->refs++;
	to = ctx_of(c, h->to_tgid, h->to_start_ns, 0, h->to_tid);
	if (to && from != to) {
		bool out = in_call(to) || in_call(from) || passes_on(from, h);

		/* Not learned from who passes on: Python makes its locks where others were before. */
		if (h->kind == CLEW_HANDOFF_FUTEX) {
			lock_learn(c, to->proc, h->key, in_call(to) || in_call(from));
			to->woken_key = h->key;
			to->woken_seq = to->todo_seq;
		}
		req = owned(to);
		if (h->kind == CLEW_HANDOFF_FUTEX && !out && !lock_is(c, to->proc, h->key))
			coalesce_wake(c, from, to, h->key);
		if (out || lock_is(c, to->proc, h->key))
			;
		else if (req && is_worker(from))
			handed_back(c, from, req, h->key);
		else if (!req && is_worker(to) && !without(c, CLEW_SOURCE_WAKE))
			woken(c, to, h->key);
	}
	ctx_put(from);
}

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

/* A call that follows a failed one at once is the same one again: no sign of another task. */
static bool is_again(const struct node *before, const struct node *call)
{
	return before->failed_ns && call->born_ns < before->failed_ns + AT_ONCE_NS;
}

static uint64_t oldest_mark(const struct ctx *w)
{
	return w->n_marks > MAX_MARKS ? w->n_marks - MAX_MARKS : 0;
}

static uint64_t seq_of(const struct done *d)
{
	return d->by->marks[d->mark % MAX_MARKS].seq;
}

/* What d's worker did before: where the stretch begins. over: not where it was woken after its last call. */
static const struct mark *mark_before(struct clew_causality *c, const struct done *d,
				      const struct node *req, bool over)
{
	const struct ctx *w = d->by;
	uint64_t oldest = oldest_mark(w), at = seq_of(d);

	for (uint64_t i = d->mark; i-- > oldest;) {
		const struct mark *m = &w->marks[i % MAX_MARKS];

		if (m->req != req && counts(c, w, m) && !(over && m->dirty && m->seq == at))
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
	uint64_t oldest = w->n_marks > MAX_MARKS ? w->n_marks - MAX_MARKS : 0;

	for (uint64_t i = d->mark > oldest ? d->mark : oldest; i < w->n_marks; i++) {
		const struct mark *m = &w->marks[i % MAX_MARKS];

		if (m->seq != call->todo_seq)
			break;
		if (m->req && m->req != req && m->req->born_ns <= call->born_ns && counts(c, w, m))
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
	uint64_t gap_ns = first->born_ns > m->ns ? first->born_ns - m->ns : 0;

	e->quick += gap_ns < AT_ONCE_NS;
	count_late(e->first_late, gap_ns);
	for (const struct node *n = first; n_calls; n = n->todo_next, n_calls--) {
		uint64_t end_ns = n->failed_ns ? n->failed_ns : n->ended_ns;
		bool failed = n->failed_ns;

		e->calls[failed]++;
		if (n_calls == 1)
			break;
		gap_ns = n->todo_next->born_ns > end_ns ? n->todo_next->born_ns - end_ns : 0;
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
	for (; n && left; n = next, left--) {
		bool direct = n->todo_seq == seq_of(d);

		next = n->todo_next;
		if (direct && by != DONE_BORN)
			test_order(over ? &e->over_there : &g->done[by], req, n);
		n->stretch_calls = (uint8_t)size;
		n->over_wake = over;
		n->done_by = by;
		n->sink = shares_mark(c, d, req, n);
		if (direct && by <= DONE_MANY && locks_known(g))
			*(n->sink ? &g->wakes_two : &g->wakes_one) += 1;
		decide_charge(c, n, req, direct ? CLAIM_DONE : CLAIM_DONE_BACK);
		completion_forget_call(n);
	}
	if (before && alone)
		taken_over(req, d->by->marks[d->mark % MAX_MARKS].ns);
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

/* The worker answers a request that another context read. */
static void answered_itself(struct clew_causality *c, struct ctx *w, struct node *req)
{
	struct done d = {.by = w};
	bool born = answers_birth(w, req);

	if (!w->todo_seq || !is_worker(w) || ctx_has_open(w, req) || in_call(w) || !req->proc)
		return;
	several(w, req);
	if (!add_mark(c, w, req, 0))
		return;
	d.mark = w->n_marks - 1;
	claim(c, &d, req, born ? DONE_BORN : DONE_SELF);
}

void completion_answer(struct clew_causality *c, struct ctx *ctx, struct node *req)
{
	struct group *g = ctx->proc->group;
	uint32_t k = 0;

	if (owned(ctx) != req) {
		answered_itself(c, ctx, req);
		return;
	}
	/* Of each worker the last wake, unless it has exited; locks may have been learned since. */
	for (uint32_t i = 0; i < req->n_done; i++) {
		struct done *d = &req->done[i];
		bool last = d->mark < d->by->n_marks && !lock_is(c, ctx->proc, d->key);

		for (uint32_t j = i + 1; last && j < req->n_done; j++)
			last = req->done[j].by != d->by || lock_is(c, ctx->proc, req->done[j].key);
		d->counts = last;
		k += last;
	}
	if (k == 1 && req->done_lost)
		k = 2;
	if (!k)
		g->done_none += !req->calls;
	else if (k == 1)
		g->done_one++;
	else
		g->done_many++;
	for (uint32_t i = 0; i < req->n_done; i++)
		if (req->done[i].counts)
			claim(c, &req->done[i], req, k > 1 ? DONE_MANY : DONE_ONE);
	completion_forget_request(req);
}
