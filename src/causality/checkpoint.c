/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checkpoint: a context writes the first byte of an answer.
 *
 *	request A ◄─parent─ call X ◄─parent─ call Y (cur) ── now writes the answer to R
 *
 * R == A: X and Y are on the path, confirmed from both ends. R != A: each of X and Y may be the
 *wrong link, so none of them is believed, and what hangs from R otherwise was not what led to its
 *answer.
 */
#include "causality/internal.h"

static void mark_hit(struct node *cur, bool slept, bool *ret_slept, uint32_t *ret_calls)
{
	struct node *n;
	uint32_t calls = 0;

	for (n = cur; n && n->is_call && calls < MAX_PATH; n = n->birth.parent, calls++)
		slept |= n->birth.slept;
	for (n = cur; n && n->is_call && calls; n = n->birth.parent) {
		n->on_path = true;
		n->path_slept = slept;
	}
	*ret_slept = slept;
	*ret_calls = calls;
}

static bool mark_miss(struct node *cur, uint64_t answered, bool slept)
{
	uint32_t calls = 0;

	for (struct node *n = cur; n && n->is_call && calls < MAX_PATH;
	     n = n->birth.parent, calls++) {
		if (!n->sink)
			n->sink = answered;
		slept |= n->birth.slept;
	}
	return slept;
}

void checkpoint_answer(struct ctx *ctx, struct node *req, bool slept)
{
	struct group *g = ctx->proc->group;
	struct node *cur = ctx->cur, *owner = cur ? cur->owner : NULL;
	uint32_t n = ctx->n_open > 1 ? ctx->n_open : ctx->proc->n_open;
	uint32_t calls;

	g->answers++;
	if (!ctx_has_open(ctx, req))
		g->foreign++;
	if (ctx->mux)
		g->mux_answers++;
	if (ctx->lost)
		return;
	if (owner == req) {
		mark_hit(cur, slept, &slept, &calls);
		if (calls)
			req->confirmed = true;
		if (calls && n > 1)
			model_hit(g, slept, n);
		return;
	}
	slept = mark_miss(cur, req->id, slept);
	req->sink_elsewhere = true;
	if (n > 1)
		model_miss(g, slept, n);
}
