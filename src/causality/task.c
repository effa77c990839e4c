/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: the runtime's task.
 *
 *	loop's thread:  reads R1   reads R2                 reads X's response
 *	task T:                    calls X ─────────────────────── answers R1
 *	                              │ began
 *	task U:                       └── calls Y
 *
 * A task is matched backwards: who wrote the first byte of the answer to R1 worked for R1, and so did
 * what it called since R1 was read. A task that was begun, or was given its work, by another works for
 * the same request, while that is open; one that lives on does not keep it.
 *
 * What a task works on is its *work*: calls wait in it until its request is known. A task begins a new
 * one when its request is over and when work is given to it: what it read before says nothing of that.
 * Works point up to the one that begot them. A worker that takes several before it calls works for all.
 *
 * A goroutine or a virtual thread reads for itself, so its reads say for whom it works. An asyncio loop
 * and a runtime with an agent read for all of their tasks: such a read is charged to the thread. Java's agent
 * gives each read of an event loop a number (Netty). Where that reads the response of another's call, whoever waited
 * for that, or for its connection, may go on in it: what it calls and answers itself says nothing.
 *
 * Not believed: tasks that answer requests which waited while they answered others. One task writes for
 * many there (uvloop gathers what all tasks write and sends it in one place), or takes requests from a
 * queue; a request's own task comes with it and goes with its answer. Nor a task that then answered a request that had not come yet when it called (its id was
 * used again: if that happens more often than links may be wrong, ids of this service are no tasks); one
 * whose next answer, right after this one, is for another request that waited as well (a batch).
 */
#include "causality/charge.h"
#include "causality/context.h"
#include "causality/engine.h"
#include "causality/shared.h"
#include "causality/task.h"

struct ctx *task_ctx(struct clew_causality *c, const struct clew_rec_io *io, bool reads)
{
	bool no_task = without(c, CLEW_SOURCE_TASK) || (reads && !task_reads(io->task));
	uint64_t task = no_task ? 0 : io->task;

	return ctx_of(c, io->tgid, io->proc_start_ns, task, io->tid);
}

struct ctx *task_loop(struct clew_causality *c, uint32_t tgid, uint64_t proc_start_ns,
		      uint64_t task, uint32_t tid)
{
	if (without(c, CLEW_SOURCE_ORDER))
		return NULL;
	if (task && task_reads(task) && !without(c, CLEW_SOURCE_TASK))
		return NULL;
	return ctx_of(c, tgid, proc_start_ns, 0, tid);
}

static void kid_unlist(struct work *w)
{
	if (w->up)
		DL_DELETE2(w->up->kids, w, kid_prev, kid_next);
}

void task_work_put(struct work *w)
{
	while (w && !--w->refs) {
		struct work *up = w->up;

		kid_unlist(w);
		node_put(w->req);
		sharers_free(w->with);
		free(w);
		w = up;
	}
}

static struct work *work_new(struct clew_causality *c, struct node *req, struct work *up)
{
	struct work *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->refs = 1;
	w->begun_ns = c->now_ns;
	w->since_ns = req ? req->born_ns : c->now_ns;
	w->req = node_get(req);
	if (up && up->depth < MAX_DEPTH) {
		w->depth = up->depth + 1;
		w->up = up;
		up->refs++;
		DL_APPEND2(up->kids, w, kid_prev, kid_next);
	}
	return w;
}

void task_forget(struct ctx *ctx)
{
	task_work_put(ctx->work);
	ctx->work = NULL;
	for (uint32_t i = 0; i < N_PAST; i++) {
		task_work_put(ctx->past[i]);
		ctx->past[i] = NULL;
	}
}

static void set_work(struct ctx *ctx, struct work *w)
{
	task_forget(ctx);
	ctx->work = w;
}

/* The request that the context read, if it has one only. */
static struct node *own(const struct ctx *ctx)
{
	return ctx->n_open == 1 && !ctx->mux ? ctx->open->req : NULL;
}

/* What the context works on now; NULL where that says nothing (a loop, no memory). */
static struct work *work_of(struct clew_causality *c, struct ctx *ctx)
{
	struct node *req = own(ctx);

	if (!req && (!ctx->key.task || ctx->n_open))
		return NULL;
	if (ctx->work && (req ? ctx->work->req != req : ctx->work->req && ctx->work->req->ended))
		set_work(ctx, NULL);
	if (!ctx->work)
		set_work(ctx, work_new(c, req, NULL));
	return ctx->work;
}

struct work *task_work_get(struct work *w)
{
	if (w)
		w->refs++;
	return w;
}

struct work *task_work(struct clew_causality *c, struct ctx *ctx)
{
	return task_work_get(work_of(c, ctx));
}

/* The request of this work, as far as it is known now; *ret_own: by this task's own doing. */
static struct node *request_of(const struct work *w, bool *ret_own)
{
	*ret_own = true;
	while (w && !w->req) {
		*ret_own = false;
		w = w->up;
	}
	return w ? w->req : NULL;
}

struct node *task_request(const struct work *w)
{
	bool by_itself;

	return request_of(w, &by_itself);
}

void task_forget_call(struct node *call)
{
	struct work *w = call->work;

	call->work = NULL;
	if (!w)
		return;
	DL_DELETE2(w->calls, call, work_prev, work_next);
	task_work_put(w);
}

/* The call is part of this work. given: another context makes it. */
static void take_call(struct clew_causality *c, struct work *w, struct node *call, bool given)
{
	struct node *req;
	bool by_itself;

	call->work = w;
	w->refs++;
	w->called = true;
	DL_APPEND2(w->calls, call, work_prev, work_next);
	req = request_of(w, &by_itself);
	if (req && !req->ended)
		charge_call(c, call, req, by_itself && !given ? CLAIM_TASK : CLAIM_HANDED);
	if (w->with)
		shared_with(call, w->with);
}

void task_call(struct clew_causality *c, struct ctx *ctx, struct node *call)
{
	struct work *w = ctx->key.task ? work_of(c, ctx) : ctx->work;

	if (w && !call->work && !ctx->reads_for_others)
		take_call(c, w, call, false);
}

void task_give(struct clew_causality *c, struct work *w, struct node *call)
{
	if (w && !call->work)
		take_call(c, w, call, true);
}

bool task_handed(const struct ctx *ctx)
{
	return ctx->work && ctx->work->up;
}

void task_written(struct ctx *ctx, struct node *call)
{
	if (call->work && call->birth.ctx != ctx)
		call->shared = true;
}

/* The work is known to be for req: so are the calls since req came, and the works that it begot. */
static void settle(struct clew_causality *c, struct work *w, struct node *req, enum claim how)
{
	struct group *g = req->proc ? req->proc->group : NULL;
	struct node *n, *tmp;
	struct work *k, *ktmp;

	DL_FOREACH_SAFE2(w->calls, n, tmp, work_next)
	{
		if (n->decided || (n->owner && n->owner != req))
			continue;
		if (n->born_ns >= req->born_ns)
			charge_call(c, n, req, how);
		if (g && how == CLAIM_TASK)
			*(n->born_ns >= req->born_ns ? &g->task_hits : &g->task_misses) += 1;
	}
	DL_FOREACH_SAFE2(w->kids, k, ktmp, kid_next)
	if (!k->req && k->begun_ns >= req->born_ns)
		settle(c, k, req, CLAIM_HANDED);
}

/* Right after its answer the task answers another one that waited too: its calls were for both. */
static void batch(const struct ctx *ctx, const struct work *w, struct node *req)
{
	struct node *n;

	if (!w->answered || w->req == req || own(ctx))
		return;
	DL_FOREACH2(w->calls, n, work_next)
	if (!n->decided && req->born_ns <= n->born_ns) {
		n->shared = true;
		n->sink = req->id;
	}
}

/* It was begun for one request and answers another: its calls may be for either. */
static void contradict(const struct work *w, const struct node *req)
{
	struct node *n;

	DL_FOREACH2(w->calls, n, work_next)
	if (!n->decided && n->owner && n->owner != req)
		n->sink = req->id;
}

void task_answer(struct clew_causality *c, struct ctx *ctx, struct node *req)
{
	struct work *w = ctx->work;

	if (!ctx->key.task || ctx->mux || ctx->reads_for_others)
		return;
	if (!ctx_has_open(ctx, req)) {
		ctx->proc->group->task_answers++;
		ctx->proc->group->task_mixed += req->born_ns < ctx->answered_ns;
	}
	ctx->answered_ns = c->now_ns;
	if (w && w->req && w->req != req) {
		batch(ctx, w, req);
		set_work(ctx, NULL);
	}
	w = work_of(c, ctx);
	if (!w || (w->req && w->req != req))
		return;
	contradict(w, req);
	if (!w->req)
		w->req = node_get(req);
	w->answered = true;
	settle(c, w, req, CLAIM_TASK);
}

/* Did the task have this work when the hand-off happened, also if that was as early as it may have been? */
static bool had(const struct work *w, const struct clew_rec_handoff *h)
{
	return !h->age_us ||
	       (h->age_us != CLEW_AGE_UNKNOWN && w->since_ns + h->age_us * 1000ull <= h->ts_ns);
}

/*
 * The work that from had when the hand-off happened. A goroutine's parent is told when the goroutine is
 * first seen, and what goes through a channel when it is taken out: by then from may be at its next.
 */
static struct work *work_then(struct clew_causality *c, struct ctx *from,
			      const struct clew_rec_handoff *h)
{
	struct work *w = work_of(c, from);

	if (!w || had(w, h))
		return w;
	for (uint32_t i = 0; i < N_PAST && from->past[i]; i++)
		if (had(from->past[i], h))
			return from->past[i];
	return NULL;
}

/*
 * A goroutine takes more work before it has called, or sent anything to anybody, for what it took before:
 * what it then does may be for all of it.
 */
static void gather(const struct ctx *to, struct work *next, const struct clew_rec_handoff *h)
{
	const struct work *w = to->work;
	struct node *req;
	bool by_itself;

	if (CLEW_TASK_KIND(h->key) != CLEW_TASK_GO || (h->hdr.flags & CLEW_HANDOFF_REPLIED) || !w ||
	    w->called || w->answered)
		return;
	req = request_of(w, &by_itself);
	sharers_add(&next->with, req == request_of(next, &by_itself) ? NULL : req, w->with);
}

/* The context's work from now on. The one before is kept for what was sent then. */
static void begin_work(struct ctx *to, struct work *next)
{
	if (CLEW_TASK_KIND(to->key.task) == CLEW_TASK_GO) {
		task_work_put(to->past[N_PAST - 1]);
		memmove(to->past + 1, to->past, sizeof(*to->past) * (N_PAST - 1));
		to->past[0] = to->work;
		to->work = NULL;
	}
	task_work_put(to->work);
	to->work = next;
	to->worked = true;
	ctx_set_cur(to, NULL); /* what it read was for its last work */
}

/* from began the task key, or gave it work: that one works for whom from worked then. */
void task_record(struct clew_causality *c, const struct clew_rec_handoff *h)
{
	struct ctx *from, *to;
	uint32_t tgid = h->to_tgid ? h->to_tgid : h->from_tgid;
	uint64_t start_ns = h->to_tgid ? h->to_start_ns : h->from_start_ns;
	struct work *up, *next;

	if (!h->key && !h->to_tid)
		return;
	from = ctx_of(c, h->from_tgid, h->from_start_ns, h->from_task, h->from_tid);
	if (!from)
		return;
	from->refs++; /* the next line may push it out */
	to = ctx_of(c, tgid, start_ns, h->key, h->to_tid);
	up = work_then(c, from, h);
	if (to && to != from && !own(to)) {
		next = work_new(c, NULL, up);
		if (next && up) {
			next->begun_ns = h->ts_ns - h->age_us * 1000ull;
			/* A new task did nothing before it was begun; a worker did, until it took this. */
			next->since_ns = to->worked ? h->ts_ns : next->begun_ns;
		}
		if (next)
			gather(to, next, h);
		begin_work(to, next);
	}
	ctx_put(from);
}
