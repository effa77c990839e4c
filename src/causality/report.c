/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the engine knows of each service: the hypothesis that it works by, how that scored before any
 * link was made of it, and what came of it.
 */
#include "causality/internal.h"

static void add_buckets(const struct group *g, struct clew_service_report *r)
{
	for (int i = 0; i < N_BUCKETS; i++) {
		r->hits += g->buckets[i].hits;
		r->misses += g->buckets[i].misses;
	}
}

static void describe(const struct group *g, struct clew_service_report *r)
{
	uint64_t done = g->done_one + g->done_many;
	bool mature;

	if (g->task_hits + g->task_misses) {
		r->model = "each request has a task";
		r->hits = g->task_hits;
		r->misses = g->task_misses + g->task_mixed;
	} else if (done * 10 > g->answers) {
		r->model = "workers wake the one who answers";
		r->hits = g->done[0].hits + g->done[1].hits;
		r->misses = g->done[0].misses + g->done[1].misses;
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

void clew_causality_report(const struct clew_causality *c, clew_report_fn fn, void *user)
{
	for (const struct proc *p = c->proc_list; p; p = p->next) {
		const struct group *g = p->group;
		struct clew_service_report r = {.tgid = p->tgid};
		const struct proc *first = c->proc_list;

		while (first->group != g)
			first = first->next;
		if (first != p || (!g->links[0] && !g->links[1] && !g->links[2] && !g->links[3]))
			continue;
		r.answers = g->answers + g->task_answers;
		r.roots = g->links[CLEW_LINK_ROOT];
		r.certain = g->links[CLEW_LINK_CERTAIN];
		r.probable = g->links[CLEW_LINK_PROBABLE];
		r.orphans = g->links[CLEW_LINK_ORPHAN];
		describe(g, &r);
		fn(user, &r);
	}
}
