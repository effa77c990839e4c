/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stretches and names hold each other: a worker's stretch holds what it worked on, which lies in the stretch of who
 * gave it. Both are counted. Names lead to older stretches only, so there are no rings. The way up is at most MAX_UP
 * long. Once something hangs from a stretch, it does not get longer: for names of it that are not known yet room is left
 * for MAX_LATE, and what is found later and leads further up is left out.
 */
#include "causality/engine.h"
#include "causality/heap_stretch.h"
#include "causality/node.h"

#define MAX_UP	 12
#define MAX_LATE 3

struct heap_stretch *heap_stretch_get(struct heap_stretch *s)
{
	if (s)
		s->refs++;
	return s;
}

struct heap_names *heap_names_get(struct heap_names *names)
{
	if (names)
		names->refs++;
	return names;
}

void heap_names_put(struct heap_names *names)
{
	if (!names || --names->refs)
		return;
	for (uint32_t i = 0; i < names->n; i++)
		heap_stretch_put(names->name[i].in);
	clew_pool_give(names->pool, names, sizeof(*names));
}

void heap_stretch_put(struct heap_stretch *s)
{
	if (!s || --s->refs)
		return;
	node_put(s->req);
	heap_names_put(s->by);
	clew_pool_give(s->pool, s, sizeof(*s));
}

static uint32_t depth_of(const struct heap_names *names)
{
	uint32_t depth = 0;

	for (uint32_t i = 0; i < names->n; i++) {
		const struct heap_stretch *in = names->name[i].in;
		uint32_t up = in ? in->depth : MAX_LATE;

		depth = up > depth ? up : depth;
	}
	return depth;
}

/* Something is about to hang from it. */
static void fix_depth(struct heap_stretch *s)
{
	if (!s || !s->by)
		return;
	s->by->max_depth = depth_of(s->by);
	s->depth = s->by->max_depth + 1;
}

struct heap_stretch *heap_stretch_new(struct clew_causality *c, struct node *req,
				      struct heap_names *by)
{
	struct heap_stretch *s;

	if (by && depth_of(by) >= MAX_UP)
		return NULL;
	s = clew_pool_take0(&c->pool, sizeof(*s));
	if (!s)
		return NULL;
	s->pool = &c->pool;
	s->refs = 1;
	s->nth = ++c->n_stretches;
	s->req = node_get(req);
	s->by = heap_names_get(by);
	return s;
}

bool heap_names_add(struct clew_causality *c, struct heap_names **names, const struct heap_name *n)
{
	struct heap_names *all = *names;

	if (!all) {
		all = *names = clew_pool_take0(&c->pool, sizeof(*all));
		if (!all)
			return false;
		all->pool = &c->pool;
		all->refs = 1;
		all->nth = c->n_stretches;
		all->max_depth = MAX_UP - 1;
	}
	all->name[all->n] = *n;
	heap_stretch_get(n->in);
	fix_depth(n->in);
	return ++all->n < HEAP_MAX_NAMES;
}

void heap_names_found(struct heap_names *names, uint32_t which, struct heap_stretch *s)
{
	fix_depth(s);
	if (s->depth <= names->max_depth)
		names->name[which].in = heap_stretch_get(s);
}
