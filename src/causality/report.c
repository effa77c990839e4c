/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the engine knows of each service: the hypothesis that it works by, how that scored before any
 * link was made of it, and what came of it.
 */
#include <stdlib.h>

#include "causality/context.h"
#include "causality/engine.h"
#include "causality/model.h"
#include "causality/node.h"
#include "causality/report.h"
#include "causality/turn.h"

static void add_buckets(const struct group *g, struct clew_service_report *r)
{
	for (int i = 0; i < N_BUCKETS; i++) {
		r->hits += g->buckets[i].hits;
		r->misses += g->buckets[i].misses;
	}
}

/* A loop that takes turns, where what was read last does not say it all. */
static bool by_turns(const struct group *g, struct clew_service_report *r,
		     const struct turn_score **ret_turns)
{
	struct clew_service_report last = {0};
	const char *model = turn_model(g, ret_turns);
	bool mature;

	add_buckets(g, &last);
	if (!model || model_sequential(g, &mature) != VERDICT_FAIL ||
	    (*ret_turns)->misses * (last.hits + last.misses) >=
		    last.misses * ((*ret_turns)->hits + (*ret_turns)->misses))
		return false;
	r->model = model;
	return true;
}

static void describe(const struct group *g, struct clew_service_report *r)
{
	uint64_t done = g->done_one + g->done_many;
	const struct turn_score *turns;
	bool mature;

	if (g->task_hits + g->task_misses) {
		r->model = "each request has a task";
		r->hits = g->task_hits;
		r->misses = g->task_misses + g->task_mixed;
	} else if (done * 10 > g->answers) {
		r->model = "workers wake the one who answers";
		r->hits = g->done[0].hits + g->done[1].hits;
		r->misses = g->done[0].misses + g->done[1].misses;
	} else if (by_turns(g, r, &turns)) {
		r->hits = turns->hits;
		r->misses = turns->misses;
	} else if (model_moves(g)) {
		r->model = "work moves between threads";
		r->hits = g->answers - g->foreign;
		r->misses = g->foreign;
	} else if (model_sequential(g, &mature) != VERDICT_FAIL) {
		r->model = "one request at a time";
		r->hits = g->answers - g->foreign;
		r->misses = g->foreign;
	} else {
		r->model = "event loop, what was read last";
		add_buckets(g, r);
	}
}

static void make_report(const struct tally *t, struct clew_service_report *ret)
{
	const struct group *g = t->group;

	*ret = (struct clew_service_report){
		.tgid = t->tgid,
		.proc_start_ns = t->proc_start_ns,
		.answers = g->answers + g->task_answers,
		.roots = g->links[CLEW_LINK_ROOT],
		.certain = g->links[CLEW_LINK_CERTAIN],
		.probable = g->links[CLEW_LINK_PROBABLE],
		.orphans = g->links[CLEW_LINK_ORPHAN],
	};
	memcpy(ret->settled, t->settled, sizeof(ret->settled));
	memcpy(ret->orphaned, t->orphaned, sizeof(ret->orphaned));
	describe(g, ret);
}

/* ---- counting ---- */

/* A group has one from its first decided call on: most processes never call anybody. */
static struct tally *tally_of(struct clew_causality *c, const struct ctx *ctx)
{
	struct group *g = ctx->proc->group;
	struct tally *t = g->tally;

	if (t)
		return t;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->c = c;
	t->group = g;
	DL_APPEND(c->tallies, t);
	g->tally = t;
	return t;
}

static enum clew_orphan_why orphan_why(const struct node *n, const struct clew_link *l)
{
	if (n->birth.lost)
		return CLEW_ORPHAN_LOST;
	if (n->shared)
		return CLEW_ORPHAN_SHARED;
	if (l->evidence & CLEW_EV_CONFLICT)
		return CLEW_ORPHAN_CONFLICT;
	return n->owner ? CLEW_ORPHAN_UNCONFIRMED : CLEW_ORPHAN_UNNAMED;
}

void report_link(struct clew_causality *c, const struct node *n, const struct clew_link *l)
{
	struct tally *t = tally_of(c, n->birth.ctx);

	n->birth.ctx->proc->group->links[l->class]++;
	if (!t)
		return;
	t->tgid = n->birth.ctx->key.tgid;
	t->proc_start_ns = n->birth.ctx->key.proc_start_ns;
	if (l->class == CLEW_LINK_ORPHAN)
		t->orphaned[orphan_why(n, l)]++;
	for (uint32_t i = 0; l->parent && i < CLEW_EV_N_FOR; i++)
		t->settled[i] += l->evidence >> i & 1;
}

/* ---- telling ---- */

void report_gone(struct group *g)
{
	struct tally *t = g->tally;
	struct clew_service_report r;

	if (!t)
		return;
	if (t->c->opts.gone) {
		make_report(t, &r);
		t->c->opts.gone(t->c->user, &r);
	}
	DL_DELETE(t->c->tallies, t);
	free(t);
	g->tally = NULL;
}

void clew_causality_report(const struct clew_causality *c, clew_report_fn fn, void *user)
{
	const struct tally *t;
	struct clew_service_report r;

	DL_FOREACH (c->tallies, t) {
		make_report(t, &r);
		fn(user, &r);
	}
}

const char *clew_orphan_why_name(enum clew_orphan_why why)
{
	static const char *const names[CLEW_N_ORPHAN_WHY] = {"lost", "shared", "conflict",
							     "unnamed", "unconfirmed"};

	return why < CLEW_N_ORPHAN_WHY ? names[why] : "unknown";
}
