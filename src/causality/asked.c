/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: who asked a task that has a connection to itself, and whom it told.
 *
 *	handler H:  reads R ── wakes C, waits ························ woken ── answers R
 *	                            │                                    ▲
 *	task C:                     └── calls X ── reads X's response ───┘
 *
 * Clients of asynchronous runtimes give each connection a task (hyper's, tokio-postgres's): who wants a
 * call puts it into a channel and waits, and the connection's task writes it. C may be such a task where it calls
 * on one connection only, which does not go from hand to hand, and which it did not make itself.
 *
 * Who woke C since its call before X may have asked for X: also the one before, who read on in its response.
 * So X is for the one of them that C wakes first once it has read X's response: both ends have to agree. How
 * often they do not is counted in the group, weighed like checkpoints, and nothing is believed where that is
 * more than rare. Wake-ups that pass on a lock or a permit are no such thing and are marked as that where they are
 * recorded (CLEW_HANDOFF_LOCK).
 *
 * On a connection whose messages are not told apart, several who asked share the call.
 *
 * What C was begun for says nothing: it outlives that. Its calls without anybody who asked stay orphans.
 *
 * Limits: MAX_ASKERS a call.
 */
#include "causality/asked.h"
#include "causality/completion.h"
#include "causality/context.h"
#include "causality/engine.h"
#include "causality/model.h"
#include "causality/node.h"
#include "causality/shared.h"
#include "causality/task.h"

#define MIN_HITS 20

static struct asks *asks_of(struct ctx *ctx)
{
	if (!ctx->asks)
		ctx->asks = calloc(1, sizeof(*ctx->asks));
	return ctx->asks;
}

static void askers_clear(struct askers *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		task_work_put(s->by[i].work);
		ctx_put(s->by[i].ctx);
	}
	*s = (struct askers){0};
}

/* What it worked on when it woke another one last counts. Takes the reference to the work. */
static void askers_add(struct askers *s, struct ctx *ctx, struct work *work, uint64_t ns)
{
	for (uint32_t i = 0; i < s->n; i++) {
		if (s->by[i].ctx != ctx)
			continue;
		task_work_put(s->by[i].work);
		s->by[i].work = work;
		s->by[i].ns = ns;
		return;
	}
	if (s->n == MAX_ASKERS) {
		s->more = true;
		task_work_put(work);
		return;
	}
	s->by[s->n++] = (struct asker){ctx, work, ns};
	ctx->refs++;
}

static const struct asker *asker_of(const struct node *call, const struct ctx *ctx)
{
	const struct askers *s = call->askers;

	for (uint32_t i = 0; s && i < s->n; i++)
		if (s->by[i].ctx == ctx)
			return &s->by[i];
	return NULL;
}

/* from has read a response, and wakes to: the first one is who waited for it. */
static void tell(struct clew_causality *c, struct ctx *from, struct ctx *to)
{
	struct node *call = from->asks ? from->asks->read : NULL;
	struct bucket *b = &from->proc->group->asked;
	uint32_t others = from->proc->n_open > 2 ? from->proc->n_open : 2;
	const struct asker *by;

	if (!call || !call->askers || !call->askers->n || call->asker_told || call->decided)
		return;
	call->asker_told = true;
	by = asker_of(call, to);
	if (!by) {
		model_miss(b, others);
		return;
	}
	model_hit(b, others);
	if (call->shared)
		return;
	call->asked_ns = by->ns;
	call->told_ns = c->now_ns;
	task_give(c, by->work, call);
	completion_call(to, call);
}

void asked_woken(struct clew_causality *c, const struct clew_rec_handoff *h)
{
	bool lock = h->hdr.flags & CLEW_HANDOFF_LOCK;
	struct ctx *from, *to;

	if (!h->from_task || !h->key)
		return;
	from = ctx_of(c, h->from_tgid, h->from_start_ns, h->from_task, h->from_tid);
	if (!from)
		return;
	from->refs++; /* the next line may push it out */
	to = ctx_of(c, h->from_tgid, h->from_start_ns, h->key, h->to_tid);
	if (to && to != from) {
		to->proc->group->tasks_wake = true;
		if (!lock) {
			tell(c, from, to);
			completion_told(c, from, to);
		}
		if (!lock && !to->n_open && asks_of(to))
			askers_add(&to->asks->now, from, task_work(c, from), h->ts_ns);
	}
	ctx_put(from);
}

/* Whose are the calls that a task makes on this connection? */
enum whose { WHOSE_OWN, WHOSE_OTHERS };

/*
 * Its own, if it made the connection, if that goes from hand to hand, or if it uses several. A task that took it over
 * from who made it and keeps it may be the connection's.
 */
static enum whose whose(struct asks *a, uint64_t task, struct clew_conn *conn)
{
	if (conn->caller && conn->caller != task && conn->callers_changed < UINT32_MAX)
		conn->callers_changed++;
	conn->caller = task;
	a->several |= a->conn && a->conn != conn->cookie;
	a->conn = conn->cookie;
	if (a->several || conn->callers_changed > 1 ||
	    (conn->connector.tgid && conn->connector.task == task))
		return WHOSE_OWN;
	return WHOSE_OTHERS;
}

bool asked_call(struct ctx *ctx, struct node *call, const struct clew_exchange *x)
{
	struct asks *a;
	enum whose own;

	if (CLEW_TASK_KIND(ctx->key.task) != CLEW_TASK_TOKIO || !x->conn)
		return false;
	a = asks_of(ctx);
	if (!a)
		return false;
	own = whose(a, ctx->key.task, x->conn);
	node_put(a->read);
	a->read = NULL;
	a->serves_others = own == WHOSE_OTHERS && !ctx->n_open && !ctx->serves;
	if (!a->serves_others) {
		askers_clear(&a->now);
		return false;
	}
	if (!ctx->proc->group->tasks_wake)
		return task_handed(ctx);
	task_forget(ctx);
	ctx_set_cur(ctx, NULL);
	call->askers = malloc(sizeof(*call->askers));
	if (call->askers)
		*call->askers = a->now;
	else
		askers_clear(&a->now);
	a->now = (struct askers){0};
	return true;
}

/* Commands of several in one exchange: whose is whose is not known. */
static void share(struct node *call, const struct askers *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		sharers_add(&call->sharers, task_request(s->by[i].work), NULL);
	call->shared = true;
}

void asked_response(struct ctx *ctx, struct node *call, bool raw)
{
	struct asks *a;

	if (!call->askers || call->resp_seen)
		return;
	a = asks_of(ctx);
	if (!a)
		return;
	/* What was asked for until now may be in it. */
	for (uint32_t i = 0; raw && i < a->now.n; i++)
		askers_add(call->askers, a->now.by[i].ctx, task_work_get(a->now.by[i].work),
			   a->now.by[i].ns);
	if (raw && (call->askers->n > 1 || call->askers->more))
		share(call, call->askers);
	if (raw)
		askers_clear(&a->now);
	node_put(a->read);
	a->read = node_get(call);
}

bool asked_passes(const struct node *call)
{
	const struct bucket *b = &call->birth.ctx->proc->group->asked;

	return !call->askers || (b->hits >= MIN_HITS && model_wrong(b) <= MAX_WRONG);
}

void asked_forget_call(struct node *call)
{
	struct askers *s = call->askers;

	call->askers = NULL;
	if (!s)
		return;
	askers_clear(s);
	free(s);
}

void asked_forget_ctx(struct ctx *ctx)
{
	struct asks *a = ctx->asks;

	ctx->asks = NULL;
	if (!a)
		return;
	askers_clear(&a->now);
	node_put(a->read);
	free(a);
}
