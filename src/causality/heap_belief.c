/* SPDX-License-Identifier: Apache-2.0 */
/*
 * May what stands in a place of the stack be believed to name a request? A place is a number of words below the
 * stack's end; what is known of it was learned in the group, and is of these kinds:
 *
 *	named	where it is known for which request the thread worked (it answered that itself, or completions are
 *		certain of the call): was it the one that is named? By how the maker's stretch ended
 *	there	a request that was named had not been answered before the response of the call came. Of n open ones m were
 *		answered meanwhile: a name at random would have been one of them so often, so a hit weighs m / n. If
 *		the same object stood there at the thread's last call, that is since the response of that one
 *	early	... of requests that were open when the call was made
 *	fresh	once a request that was named is over, something else stands there at the thread's next call
 *	apart	other places that are fresh name the same request
 *
 *	wrong = (2 * misses + 0.2) / hits
 *
 * which must be under 0.001 of named and fresh, else of there and fresh. Frames change their shape when methods are compiled
 * anew: then a place may hold what is left of former ones. So its shape (the gap to the object before) must have been seen,
 * too, and what stands there is left alone where it does not look like now's.
 */
#include <math.h>
#include <stdlib.h>

#include "causality/context.h"
#include "causality/heap_belief.h"
#include "causality/heap_stretch.h"
#include "causality/model.h"
#include "causality/node.h"

#define N_SLOTS 2048
#define N_GAPS	16
#define SAFETY	2.0
#define UNSEEN	0.2
#define FORGET	1000000
#define RARE	20 /* at most one in so many */
#define SOME	20 /* tests that are enough to speak against others */
#define ENOUGH \
	1024 /* names, with those of who gave work to whom: more are not looked at, and nothing is believed */

struct score {
	double hits, misses;
};

struct place {
	struct score named[N_HEAP_ENDS], there, early, fresh, apart;
};

struct heap_slots {
	struct place place[N_SLOTS];
	struct score shape[N_SLOTS][N_GAPS];
};

void heap_forget_group(struct group *g)
{
	free(g->heap);
}

static struct place *place_of(struct group *g, const struct heap_name *n, bool make)
{
	if (!g->heap && make)
		g->heap = calloc(1, sizeof(*g->heap));
	return g->heap && n->slot < N_SLOTS ? &g->heap->place[n->slot] : NULL;
}

/* Of a place that there is: fresh, of frames that look alike there. */
static struct score *shape_of(struct group *g, const struct heap_name *n)
{
	return &g->heap->shape[n->slot][n->gap < N_GAPS ? n->gap : N_GAPS - 1];
}

/* ---- scores ---- */

static void add(struct score *s, double hit, double miss)
{
	s->hits += hit;
	s->misses += miss;
	if (s->hits + s->misses >= FORGET) {
		s->hits /= 2;
		s->misses /= 2;
	}
}

static double share(const struct score *s)
{
	double wrong = s->hits > 0 ? (SAFETY * s->misses + UNSEEN) / s->hits : 1;

	return fmin(wrong, 1);
}

/* ---- what is believed ---- */

/* Whose request was answered by somebody else left it, whatever comes next. */
static enum heap_end end_of(const struct heap_stretch *s)
{
	return s->end == HEAP_GOES_ON && s->req && s->req->answered ? HEAP_LEFT : s->end;
}

/* It was tested some times, and nearly always right. */
static bool mostly(const struct score *s)
{
	return s->hits >= SOME && s->misses * RARE <= s->hits;
}

static bool fails(const struct score *s)
{
	return s->misses > 0 && share(s) > MAX_WRONG;
}

/* What was made by who kept it needs no test, unless it often names requests that it is not made for. */
static double untested(const struct place *p, enum heap_end end)
{
	if (end != HEAP_KEPT || fails(&p->apart) || p->early.misses * RARE > p->early.hits)
		return share(&p->there);
	return 0;
}

/* May what stands there be of now, and for whom it was made? */
static bool may_name(const struct place *p, const struct heap_name *n)
{
	enum heap_end end = end_of(n->in);

	if (!p)
		return true;
	if (fails(&p->fresh) || fails(&p->named[end]))
		return false;
	return p->named[end].hits > 0 || !(p->there.misses > 0) || untested(p, end) <= MAX_WRONG;
}

/* Another place, of which nothing bad is known, names another request. */
static bool is_doubted(struct group *g, const struct heap_names *names, const struct heap_name *n)
{
	bool doubt = n->doubted;

	for (uint32_t i = 0; n->in && n->in->req && !doubt && i < names->n; i++) {
		const struct heap_name *o = &names->name[i];

		doubt = o->in && o->in->req && o->in->req != n->in->req &&
			may_name(place_of(g, o, false), o);
	}
	return doubt;
}

/* How many of the links that are made of this name are wrong? */
static double wrong_of(struct group *g, const struct heap_name *n, bool *ret_tested)
{
	const struct place *p = place_of(g, n, false);
	enum heap_end end = end_of(n->in);
	double wrong;

	*ret_tested = false;
	if (!p || end == HEAP_MIXED || end == HEAP_GOES_ON || !mostly(shape_of(g, n)))
		return 1;
	wrong = share(&p->named[end]);
	*ret_tested = wrong <= MAX_WRONG;
	/* Who was seen to be wrong is not asked for less. */
	if (!*ret_tested && n->in->req && !(p->named[end].misses > 0))
		wrong = untested(p, end);
	return fmax(wrong, share(&p->fresh));
}

static struct heap_belief believe(struct group *g, const struct heap_names *names, uint32_t *left)
{
	struct heap_belief all = {.wrong = 1};

	for (uint32_t i = 0; i < names->n; i++) {
		const struct heap_name *n = &names->name[i];
		struct heap_belief up = {0};
		bool tested;
		double wrong;

		if (!n->in || n->left_over)
			continue;
		if (!*left)
			break;
		--*left;
		wrong = wrong_of(g, n, &tested);
		if (wrong <= MAX_WRONG && !tested && is_doubted(g, names, n))
			wrong = 1;
		all.wait |= wrong > MAX_WRONG && n->in->end != HEAP_MIXED;
		if (wrong > MAX_WRONG)
			continue;
		up = n->in->req ? (struct heap_belief){.req = n->in->req, .tested = true}
				: believe(g, n->in->by, left);
		all.wait |= up.wait;
		if (!up.req)
			continue;
		if (all.req && all.req != up.req)
			return (struct heap_belief){.wrong = 1};
		all.req = up.req;
		all.tested |= tested && up.tested;
		all.wrong = fmin(all.wrong, wrong + up.wrong);
	}
	if (all.wrong > MAX_WRONG)
		all.req = NULL;
	return all;
}

struct heap_belief heap_believe(struct group *g, const struct heap_names *names)
{
	uint32_t left = ENOUGH;
	struct heap_belief b = believe(g, names, &left);

	return left ? b : (struct heap_belief){.wrong = 1};
}

void heap_still_there(struct group *g, const struct heap_names *last, uint32_t which,
		      struct heap_name *now, bool same_callers)
{
	const struct heap_name *n = &last->name[which];

	now->n_open = n->n_open;
	now->n_answered = n->n_answered;
	now->left_over = n->left_over || !same_callers;
	now->doubted = is_doubted(g, last, n);
}

/* How it ends may not be known yet. */
static bool mostly_named(const struct place *p, enum heap_end end)
{
	return end == HEAP_GOES_ON ? mostly(&p->named[HEAP_KEPT]) || mostly(&p->named[HEAP_LEFT])
				   : mostly(&p->named[end]);
}

struct node *heap_opinion(struct group *g, const struct heap_names *names)
{
	struct node *req = NULL;

	for (uint32_t i = 0; i < names->n; i++) {
		const struct heap_name *n = &names->name[i];
		const struct place *p =
			n->in && n->in->req && n->open && !n->left_over ? place_of(g, n, false)
									: NULL;

		if (!p || !mostly(&p->fresh) || !mostly_named(p, end_of(n->in)))
			continue;
		if (req && req != n->in->req)
			return NULL;
		req = n->in->req;
	}
	return req;
}

bool heap_place_known(struct group *g, const struct heap_name *n)
{
	const struct place *p = place_of(g, n, false);

	return p && share(&p->fresh) <= MAX_WRONG;
}

/* ---- what is learned ---- */

void heap_learn_request(const struct heap_names *names, const struct node *req)
{
	struct group *g = req->proc ? req->proc->group : NULL;

	for (uint32_t i = 0; g && i < names->n; i++) {
		const struct heap_name *n = &names->name[i];
		const struct node *named = n->in ? n->in->req : NULL;
		struct place *p;
		enum heap_end end;

		if (!n->in)
			continue;
		end = n->in->end == HEAP_GOES_ON && n->in->req ? HEAP_LEFT : n->in->end;
		if (!named)
			named = heap_believe(g, n->in->by).req;
		p = named ? place_of(g, n, true) : NULL;
		if (p)
			add(&p->named[end], named == req, named != req);
	}
}

/* Does another place that is always of now name another request, or another object the same one? */
static void learn_others(struct group *g, const struct heap_names *names, uint32_t which)
{
	const struct heap_name *n = &names->name[which];
	bool apart = false, same = false;

	for (uint32_t i = 0; i < names->n; i++) {
		const struct heap_name *o = &names->name[i];

		if (!o->in || !o->in->req || !heap_place_known(g, o))
			continue;
		apart |= o->in->req != n->in->req;
		same |= o->in->req == n->in->req && o->addr != n->addr;
	}
	if (apart || same)
		add(&place_of(g, n, true)->apart, !apart, apart);
}

void heap_learn_response(const struct proc *p, struct heap_names *names)
{
	for (uint32_t i = 0; i < names->n; i++) {
		struct heap_name *n = &names->name[i];
		const struct node *req = n->in ? n->in->req : NULL;
		struct place *at = req && n->n_open > 1 ? place_of(p->group, n, true) : NULL;
		double gone = (double)(p->n_answered - n->n_answered) / fmax(n->n_open, 1);

		if (at)
			add(&at->there, req->answered ? 0 : fmin(gone, 1), req->answered);
		if (at && n->open)
			add(&at->early, req->answered ? 0 : fmin(gone, 1), req->answered);
		if (at)
			learn_others(p->group, names, i);
		n->n_open = p->n_open;
		n->n_answered = p->n_answered;
	}
}

void heap_learn_next(struct group *g, const struct heap_names *before, const bool *still)
{
	for (uint32_t i = 0; i < before->n; i++) {
		const struct heap_name *n = &before->name[i];
		struct place *p = n->open && n->in->req->answered ? place_of(g, n, true) : NULL;

		if (!p)
			continue;
		add(&p->fresh, !still[i], still[i]);
		add(shape_of(g, n), !still[i], still[i]);
	}
}
