/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checkpoint: a context writes the first byte of an answer.
 *
 *	request A ◄─parent─ call X ◄─parent─ call Y (cur) ── now writes the answer to R
 *
 * R == A: X and Y are on the path, confirmed from both ends. R != A: each of X and Y may be the
 * wrong link, so none of them is believed, and what hangs from R otherwise was not what led to its
 * answer.
 */
#include "causality/birth.h"
#include "causality/checkpoint.h"
#include "causality/context.h"
#include "causality/engine.h"
#include "causality/model.h"

#define MAX_PATH 4096 /* calls in one chain that are marked */

static uint8_t path_stretch(const struct node *cur, bool slept, uint32_t *ret_calls)
{
	uint8_t stretch = slept ? STRETCH_SLEPT : 0;
	uint32_t calls = 0;

	for (const struct node *n = cur; n && n->is_call && calls < MAX_PATH; calls++) {
		stretch |= birth_stretch(&n->birth);
		n = n->birth.parent;
	}
	*ret_calls = calls;
	return stretch;
}

/*
 * Whoever calls next on the connection that a response has just freed may have waited for that, and not for the
 * response: then the path does not lead over that call.
 */
static bool makes_room(const struct node *call, const struct node *next)
{
	return next && next->conn == call->conn && next->birth.full;
}

/* Does who reads a request and works for one at a time answer it? A loop may read for others. */
static void look_at_reader(struct ctx *ctx, struct node *req)
{
	struct group *g = ctx->proc->group;
	bool kept = ctx_has_open(ctx, req);

	req->given = !kept;
	if (kept || req->born_ns > ctx->stray_ns)
		g->strays_lone += ctx->strays;
	if (kept || req->born_ns > ctx->between_ns)
		g->between += ctx->between;
	ctx->strays = 0;
	ctx->between = 0;
	for (uint32_t i = 0; i < req->n_readers; i++)
		if (req->readers[i].ctx && req->readers[i].ctx->mux)
			return;
	g->kept += kept;
	g->alongside += kept && ctx->proc->n_open > 1;
	g->given += !kept;
}

void checkpoint_answer(struct clew_causality *c, struct ctx *ctx, struct node *req, bool slept)
{
	struct group *g = ctx->proc->group;
	struct node *cur = ctx->cur, *n = cur, *next = NULL;
	/* Where this context has one only, a hit says nothing, and a miss as much as one of two. */
	uint32_t others = ctx->n_open > 1 ? ctx->n_open : ctx->proc->n_open > 1 ? 2 : 1;
	uint32_t calls;
	uint8_t stretch = path_stretch(cur, slept, &calls);

	g->answers++;
	look_at_reader(ctx, req);
	if (!ctx_has_open(ctx, req))
		g->foreign++;
	if (ctx->mux)
		g->mux_answers++;
	/* Several requests' work was in one read: nothing was named, so nothing is tested. */
	if (ctx->lost || ctx->read_shared || ctx->read_several)
		return;
	/* A worker's last task is over, and what it answers now had not come when it called. */
	if (cur && cur->claim >= CLAIM_DONE && cur->owner != req && cur->born_ns < req->born_ns)
		return;
	if (cur && cur->owner == req) {
		for (uint32_t i = 0; i < calls; i++, next = n, n = n->birth.parent) {
			n->on_path = true;
			n->stretch = stretch;
			n->made_room = makes_room(n, next);
		}
		if (calls)
			req->confirmed = true;
		if (calls && ctx->n_open > 1)
			model_hit(&g->buckets[stretch], others);
		return;
	}
	for (uint32_t i = 0; i < calls; i++, n = n->birth.parent)
		if (!n->sink)
			n->sink = req->id;
	req->sink_elsewhere = true;
	c->stats.late += cur && cur->decided;
	if (others > 1)
		model_miss(&g->buckets[stretch], others);
}
