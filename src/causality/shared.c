/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that several requests share.
 *
 * On a connection whose protocol is not known, an exchange is a run of bytes out and a run of bytes
 * in. Where an event loop sends the commands of several requests on one connection, a run can hold
 * more than one of them, and the run that comes back their answers: such an exchange is nobody's
 * alone, and who reads its response goes on with any of them. So does the next one on that
 * connection, while some that wrote into the one before have not been answered: their answers may
 * still be to come. A command that is alone on the connection is a plain call.
 *
 * A goroutine that takes work of several requests and then makes one call may make it for all of them.
 * Those that are answered before the response is there did not wait for it.
 *
 * Limits: MAX_SHARERS are remembered; beyond them the connection's calls stay shared until one is
 * made while only one request is open.
 */
#include "causality/context.h"
#include "causality/node.h"
#include "causality/shared.h"

static void add(struct sharers **at, struct node *req)
{
	struct sharers *s = *at;

	if (!s)
		s = *at = calloc(1, sizeof(*s));
	if (!s || !req)
		return;
	for (uint32_t i = 0; i < s->n; i++)
		if (s->reqs[i] == req)
			return;
	if (s->n < MAX_SHARERS)
		s->reqs[s->n++] = node_get(req);
	else
		s->more = true;
}

static void add_sharer(struct node *call, struct node *req)
{
	add(&call->sharers, req == call->owner ? NULL : req);
}

static void set_shared(struct ctx *ctx, struct node *call)
{
	struct node *old = ctx->shared;

	call->shared = true;
	ctx->shared = node_get(call);
	node_put(old);
}

static bool waits(const struct node *req)
{
	return req && !req->answered && !req->ended;
}

/* Nobody knows whose: any of those that are open. */
static void add_open(struct node *call, const struct ctx *ctx)
{
	const struct reader *r;

	DL_FOREACH (ctx->open, r)
		add_sharer(call, r->req);
}

void shared_born(struct ctx *ctx, struct node *call, bool raw)
{
	const struct node *last = ctx->shared;
	const struct sharers *s = last ? last->sharers : NULL;
	bool still;

	if (ctx->read_shared && !call->birth.chain && ctx->n_open) {
		add_open(call, ctx);
		call->shared = true;
		if (raw)
			set_shared(ctx, call);
		return;
	}
	if (!raw || !last || last->conn != call->conn)
		return;
	still = ((!s || s->more) && ctx->n_open > 1) ||
		(waits(last->owner) && last->owner != call->owner);
	for (uint32_t i = 0; s && i < s->n && !still; i++)
		still = waits(s->reqs[i]) && s->reqs[i] != call->owner;
	if (!still)
		return;
	if (waits(last->owner))
		add_sharer(call, last->owner);
	for (uint32_t i = 0; s && i < s->n; i++)
		if (waits(s->reqs[i]))
			add_sharer(call, s->reqs[i]);
	if (call->sharers && s && s->more)
		call->sharers->more = true;
	set_shared(ctx, call);
}

/* More bytes of the call's request, and whose they are is what the context read last. */
void shared_written(struct ctx *ctx, struct node *call)
{
	struct node *req = ctx->cur ? ctx->cur->owner : NULL;

	/* A context with one request at a time has nobody to share with. */
	if (!call->owner || req == call->owner || (call->birth.ctx == ctx && !ctx->mux))
		return;
	if (req)
		add_sharer(call, req);
	else
		add_open(call, ctx);
	set_shared(ctx, call);
}

void sharers_add(struct sharers **s, struct node *req, const struct sharers *from)
{
	for (uint32_t i = 0; from && i < from->n; i++)
		if (waits(from->reqs[i]))
			add(s, from->reqs[i]);
	if (from && from->more && *s)
		(*s)->more = true;
	if (waits(req))
		add(s, req);
}

void sharers_free(struct sharers *s)
{
	for (uint32_t i = 0; s && i < s->n; i++)
		node_put(s->reqs[i]);
	free(s);
}

void shared_with(struct node *call, const struct sharers *with)
{
	bool any = with->more;

	for (uint32_t i = 0; i < with->n; i++) {
		if (!waits(with->reqs[i]) || with->reqs[i] == call->owner)
			continue;
		add_sharer(call, with->reqs[i]);
		any = true;
	}
	if (!any || call->shared)
		return;
	call->shared = true;
	call->maybe_shared = true;
}

void shared_answered(struct node *call)
{
	const struct sharers *s = call->sharers;

	if (!call->maybe_shared || !s || s->more)
		return;
	for (uint32_t i = 0; i < s->n; i++)
		if (waits(s->reqs[i]))
			return;
	call->shared = call->maybe_shared = false;
}

void shared_forget_call(struct node *call)
{
	sharers_free(call->sharers);
	call->sharers = NULL;
}

void shared_forget_ctx(struct ctx *ctx)
{
	node_put(ctx->shared);
	ctx->shared = NULL;
}
