/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: others wait for a call (group commits, collapsed requests).
 *
 *	leader A:  reads A ── calls X ─────── reads X's response ── wakes B, wakes D ── answers A
 *	owner  B:  reads B ── waits ······························· woken ── answers B
 *	owner  D:  reads D ── waits ········································ woken ── answers D
 *
 * X is for A, B and D: nobody's alone. B and D read nothing since before X's response, and what they do
 * next is their answer. (Who is woken and then calls waited for its turn: at a lock that is held during a
 * call, for a connection. Where several do, and not on X's connection, they waited for X.) A worker that
 * wakes one such owner did its task; if it wakes two, the call was for both.
 *
 * A lock that is held for a short time wakes owners as well. There who is woken has read something since
 * the waker's response as often as not; at what a call's end is told with, never. So a futex on which that
 * was seen is none (lock.c).
 *
 * X waits for its decision until those who were woken go on. A call that failed and was made again is for
 * the same ones. Limits: N_TOLD calls whose makers woke one owner, the latest count; MAX_SHARERS requests.
 */
#include "causality/coalesce.h"
#include "causality/context.h"
#include "causality/engine.h"
#include "causality/lock.h"
#include "causality/node.h"
#include "causality/shared.h"
#include "causality/told.h"

#define AGAIN_NS  1000000ull
#define MAX_AGAIN 16

static struct node *waits_to_answer(const struct ctx *ctx)
{
	struct node *req = ctx->n_open == 1 && !ctx->mux ? ctx->open->req : NULL;
	bool calls = ctx->out && !ctx->out->resp_seen && !ctx->out->ended;

	return req && !req->answered && !calls ? req : NULL;
}

/* Has it done nothing since it read the response of its last call? */
static bool has_response(const struct ctx *ctx)
{
	return ctx->out && ctx->out->resp_seen && ctx->cur == ctx->out && !ctx->mux;
}

static void forget_told(struct ctx *ctx, uint32_t i)
{
	ctx->told[i]->n_told--;
	node_put(ctx->told[i]);
	ctx->n_told--;
	memmove(ctx->told + i, ctx->told + i + 1, (ctx->n_told - i) * sizeof(*ctx->told));
}

void coalesce_forget_ctx(struct ctx *ctx)
{
	while (ctx->n_told)
		forget_told(ctx, ctx->n_told - 1);
}

void coalesce_wake(struct clew_causality *c, struct ctx *from, struct ctx *to, uint64_t key)
{
	struct node *req = waits_to_answer(to), *call = from->out;
	bool tells;

	if (!req || from->key.task || to->key.task)
		return;
	tells = has_response(from) && to->cur_ns < from->cur_ns && req != call->owner;
	if (!lock_tells(c, to->proc, key, tells) || !tells)
		return;
	for (uint32_t i = 0; i < to->n_told; i++)
		if (to->told[i] == call)
			return;
	if (to->n_told == N_TOLD)
		forget_told(to, 0);
	to->told[to->n_told++] = node_get(call);
	call->n_told++;
}

/* Without a sleep, however long others had the processor in between; or soon. */
static bool at_once(const struct node *call, const struct node *failed)
{
	const struct birth *b = &call->birth;

	return (b->parent == failed && b->counted && !b->slept) ||
	       call->born_ns <= failed->failed_ns + AGAIN_NS;
}

/*
 * The call before it that failed, and that it is another attempt at: made at once, or for a request
 * that had been doing nothing since before that call.
 */
static struct node *attempt_before(const struct node *call, uint64_t idle_ns)
{
	struct node *before = call->birth.parent;

	if (!before && call->todo_of && call->todo_prev->todo_next)
		before = call->todo_prev;
	if (!before || !before->is_call || before->decided || !before->failed_ns ||
	    !(at_once(call, before) || (call->birth.parent == before && idle_ns < before->born_ns)))
		return NULL;
	return before;
}

/*
 * The request, which has read nothing since idle_ns, waited for the call, too; so for its attempts
 * that failed.
 */
static void share(struct clew_causality *c, struct node *call, struct node *req, uint64_t idle_ns)
{
	bool led = call->birth.sole;

	for (uint32_t i = 0; call && i < MAX_AGAIN; i++) {
		if (call->decided)
			c->stats.late++;
		sharers_add(&call->sharers, req, NULL);
		call->n_sharing++;
		if (led || call->n_sharing > 1)
			call->shared = true;
		call = attempt_before(call, idle_ns);
	}
}

void coalesce_answer(struct clew_causality *c, struct ctx *ctx, struct node *req)
{
	while (ctx->n_told) {
		struct node *call = ctx->told[ctx->n_told - 1];

		share(c, call, req, ctx->cur_ns);
		ctx->proc->group->coalesced += call->birth.sole;
		forget_told(ctx, ctx->n_told - 1);
	}
}

/* It waited for its turn, or for what the other's call brought. */
void coalesce_call(struct clew_causality *c, struct ctx *ctx, const struct node *next)
{
	struct node *call = ctx->n_told ? ctx->told[ctx->n_told - 1] : NULL;
	struct node *req = waits_to_answer(ctx);

	if (call && req && call->conn != next->conn) {
		if (call->turn && call->turn != req) {
			share(c, call, call->turn, call->turn->born_ns);
			share(c, call, req, ctx->cur_ns);
		} else if (!call->turn) {
			call->turn = node_get(req);
		}
	}
	coalesce_forget_ctx(ctx);
}

bool coalesce_waits(const struct node *call, bool settled)
{
	const struct group *g = call->birth.ctx->proc->group;

	return call->n_told || (g->coalesced && !settled && !call->shared) || told_waits(call);
}

void coalesce_forget_call(struct node *call)
{
	node_put(call->turn);
}
