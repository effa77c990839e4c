/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/walk.h"

#include <errno.h>
#include <stdlib.h>

struct item {
	uint32_t span;
	uint32_t folded, hidden;
};

/* The children of one span that wait to be drawn: items[next..end). */
struct level {
	size_t next, end;
};

struct walk {
	const struct tree *t;
	struct item *items; /* a stack, the deepest level's on top */
	size_t n_items, cap_items;
	struct level *levels;
	size_t n_levels, cap_levels;
	char *more;
	uint32_t *alike; /* scratch: the children of one span, by group */
};

static int push_item(struct walk *w, struct item item)
{
	if (w->n_items == w->cap_items) {
		size_t cap = w->cap_items ? w->cap_items * 2 : 64;
		struct item *items = reallocarray(w->items, cap, sizeof(*items));

		if (!items)
			return -ENOMEM;
		w->items = items;
		w->cap_items = cap;
	}
	w->items[w->n_items++] = item;
	return 0;
}

static uint64_t duration(const struct tree_span *s)
{
	return s->end_ns - s->start_ns;
}

static int by_group(const void *a, const void *b, void *user)
{
	const struct tree *t = user;
	uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
	const struct tree_span *x = &t->spans[i], *y = &t->spans[j];

	if (x->group != y->group)
		return x->group < y->group ? -1 : 1;
	return i < j ? -1 : i > j;
}

static int by_span(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->span != y->span)
		return x->span < y->span ? -1 : 1;
	return x->folded < y->folded ? -1 : x->folded > y->folded;
}

/* One run of spans that are alike: each an item, or the slowest and one that stands for the others.
 */
static int push_run(struct walk *w, const uint32_t *spans, size_t n)
{
	struct item others = {.span = spans[0], .folded = (uint32_t)n - 1};
	int r = 0;

	if (n < WALK_FOLD_SIBLINGS) {
		for (size_t i = 0; i < n && !r; i++)
			r = push_item(w, (struct item){.span = spans[i]});
		return r;
	}
	for (size_t i = 0; i < n; i++) {
		const struct tree_span *s = &w->t->spans[spans[i]];

		others.hidden += 1 + s->n_below;
		if (duration(s) > duration(&w->t->spans[others.span]))
			others.span = spans[i];
	}
	others.hidden -= 1 + w->t->spans[others.span].n_below;
	r = push_item(w, (struct item){.span = others.span});
	return r ? r : push_item(w, others);
}

static int push_folded(struct walk *w, uint32_t first)
{
	size_t n = 0, begin = w->n_items;
	int r = 0;

	for (uint32_t i = first; i != TREE_NONE; i = w->t->spans[i].next)
		w->alike[n++] = i;
	qsort_r(w->alike, n, sizeof(*w->alike), by_group, (void *)w->t);
	for (size_t i = 0, j; i < n && !r; i = j) {
		uint64_t group = w->t->spans[w->alike[i]].group;

		for (j = i; j < n && w->t->spans[w->alike[j]].group == group;)
			j++;
		r = push_run(w, w->alike + i, j - i);
	}
	qsort(w->items + begin, w->n_items - begin, sizeof(*w->items), by_span);
	return r;
}

/* The level below a span: its children, or the roots. */
static int push_level(struct walk *w, uint32_t first)
{
	struct level level = {.next = w->n_items};
	int r = 0;

	if (w->t->n > WALK_FOLD_TRACE)
		r = push_folded(w, first);
	else
		for (uint32_t i = first; i != TREE_NONE && !r; i = w->t->spans[i].next)
			r = push_item(w, (struct item){.span = i});
	if (r < 0)
		return r;
	if (w->n_levels == w->cap_levels) {
		size_t cap = w->cap_levels ? w->cap_levels * 2 : 64;
		struct level *levels = reallocarray(w->levels, cap, sizeof(*levels));

		if (!levels)
			return -ENOMEM;
		w->levels = levels;
		w->cap_levels = cap;
	}
	level.end = w->n_items;
	w->levels[w->n_levels++] = level;
	return 0;
}

static int step(struct walk *w, walk_fn fn, void *user)
{
	struct level *level = &w->levels[w->n_levels - 1];
	struct walk_row row = {.depth = (uint32_t)w->n_levels - 1, .more = w->more};
	const struct item *item;

	if (level->next == level->end) {
		w->n_levels--;
		/* This level's items were on top of those of the level above. */
		w->n_items = w->n_levels ? w->levels[w->n_levels - 1].end : 0;
		return 0;
	}
	item = &w->items[level->next++];
	w->more[row.depth] = level->next < level->end;
	row.span = item->span;
	row.folded = item->folded;
	row.hidden = item->hidden;
	row.children = !item->folded && w->t->spans[row.span].n_children;
	fn(user, &row);
	return row.children ? push_level(w, w->t->spans[row.span].first_child) : 0;
}

int walk_tree(const struct tree *t, walk_fn fn, void *user)
{
	struct walk w = {.t = t};
	int r = -ENOMEM;

	w.more = calloc(t->n + 1, 1);
	w.alike = calloc(t->n, sizeof(*w.alike));
	if (w.more && w.alike)
		r = push_level(&w, t->first_root);
	while (!r && w.n_levels)
		r = step(&w, fn, user);
	free(w.items);
	free(w.levels);
	free(w.more);
	free(w.alike);
	return r;
}
