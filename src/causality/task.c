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
 * Works point up to the one that begot them.
 *
 * A goroutine or a virtual thread reads for itself, so its reads say for whom it works. An asyncio loop
 * and a runtime with an agent read for all of their tasks: such a read is charged to the thread.
 *
 * Not believed: tasks that answer requests which waited while they answered others. One task writes for
 * many there (uvloop gathers what all tasks write and sends it in one place), or takes requests from a
 * queue; a request's own task comes with it and goes with its answer. Nor a task that then answered a request that had not come yet when it called (its id was
 * used again: if that happens more often than links may be wrong, ids of this service are no tasks); one
 * whose next answer, right after this one, is for another request that waited as well (a batch).
 */
#include "causality/internal.h"

struct ctx *task_ctx(struct clew_causality *c, const struct clew_rec_io *io, bool reads)
{
	bool no_task = without(c, CLEW_SOURCE_TASK) || (reads && !task_reads(io->task));
	uint64_t task = no_task ? 0 : io->task;

	return ctx_of(c, io->tgid, io->proc_start_ns, task, io->tid);
}

static void kid_unlist(struct work *w)
{
	if (w->up)
		DL_DELETE2(w->up->kids, w, kid_prev, kid_next);
}

void work_put(struct work *w)
{
	while (w && !--w->refs) {
		struct work *up = w->up;

		kid_unlist(w);
		node_put(w->req);
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
	w->req = node_get(req);
	if (up && up->depth < MAX_DEPTH) {
		w->depth = up->depth + 1;
		w->up = up;
		up->refs++;
		DL_APPEND2(up->kids, w, kid_prev, kid_next);
	}
	return w;
}

static void set_work(struct ctx *ctx, struct work *w)
{
	struct work *old = ctx->work;

	ctx->work = w;
	work_put(old);
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

void task_forget_call(struct node *call)
{
	struct work *w = call->work;

	call->work = NULL;
	if (!w)
		return;
	DL_DELETE2(w->calls, call, work_prev, work_next);
	work_put(w);
}

void task_call(struct clew_causality *c, struct ctx *ctx, struct node *call)
{
	struct work *w = ctx->key.task ? work_of(c, ctx) : ctx->work;
	struct node *req;
	bool by_itself;

	if (!w || call->work)
		return;
	call->work = w;
	w->refs++;
	DL_APPEND2(w->calls, call, work_prev, work_next);
	req = request_of(w, &by_itself);
	if (req && !req->ended)
		decide_charge(c, call, req, by_itself ? CLAIM_TASK : CLAIM_HANDED);
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
			decide_charge(c, n, req, how);
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

	if (!ctx->key.task || ctx->mux)
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

/*
 * Whether this work was from's already when the hand-off may have happened. A goroutine's parent is told
 * when the goroutine is first seen; by then a connection's goroutine may serve another request.
 */
static bool was_at_work(const struct work *w, const struct clew_rec_handoff *h)
{
	uint64_t since = w->req ? w->req->born_ns : w->begun_ns;

	return !h->age_us ||
	       (h->age_us != CLEW_AGE_UNKNOWN && since + h->age_us * 1000ull <= h->ts_ns);
}

/* from began the task key, or gave it work: that one works for whom from worked then. */
void task_record(struct clew_causality *c, const struct clew_rec_handoff *h)
{
	struct ctx *from, *to;
	uint32_t tgid = h->to_tgid ? h->to_tgid : h->from_tgid;
	uint64_t start_ns = h->to_tgid ? h->to_start_ns : h->from_start_ns;
	struct work *up;

	if (!h->key && !h->to_tid)
		return;
	from = ctx_of(c, h->from_tgid, h->from_start_ns, h->from_task, h->from_tid);
	if (!from)
		return;
	from->refs++; /* the next line may push it out */
	to = ctx_of(c, tgid, start_ns, h->key, h->to_tid);
	up = work_of(c, from);
	if (up && !was_at_work(up, h))
		up = NULL;
	if (to && to != from && !own(to)) {
		set_work(to, work_new(c, NULL, up));
		ctx_set_cur(to, NULL); /* what it read was for its last work */
		if (to->work && up)
			to->work->begun_ns = h->ts_ns - h->age_us * 1000ull;
	}
	ctx_put(from);
}
