/* SPDX-License-Identifier: Apache-2.0 */
#include "store/forest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NONE CLEW_FOREST_NONE

static uint64_t mix(uint64_t a, uint64_t b)
{
	/* splitmix64's finisher over both */
	uint64_t z = (a ^ (b + UINT64_C(0x9e3779b97f4a7c15) + (a << 6) + (a >> 2)));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static int grow_array(void *array, size_t n, size_t size)
{
	void **at = array, *bigger = realloc(*at, n * size);

	if (!bigger)
		return -ENOMEM;
	*at = bigger;
	return 0;
}

static int reserve(struct clew_forest *f, uint32_t n)
{
	uint32_t cap = f->cap ? f->cap : 64, slots;
	int r = 0;

	if (n <= f->cap)
		return 0;
	while (cap < n)
		cap *= 2;
	slots = cap * 2;
	r = r ?: grow_array(&f->order, cap, sizeof(*f->order));
	r = r ?: grow_array(&f->parent, cap, sizeof(*f->parent));
	r = r ?: grow_array(&f->below, cap, sizeof(*f->below));
	r = r ?: grow_array(&f->depth, cap, sizeof(*f->depth));
	r = r ?: grow_array(&f->shape, cap, sizeof(*f->shape));
	r = r ?: grow_array(&f->first, cap, sizeof(*f->first));
	r = r ?: grow_array(&f->next, cap, sizeof(*f->next));
	r = r ?: grow_array(&f->stack, cap, sizeof(*f->stack));
	r = r ?: grow_array(&f->sorted, cap, sizeof(*f->sorted));
	r = r ?: grow_array(&f->slots, slots, sizeof(*f->slots));
	if (r == 0)
		f->cap = cap;
	return r;
}

void clew_forest_done(struct clew_forest *f)
{
	free(f->order);
	free(f->parent);
	free(f->below);
	free(f->depth);
	free(f->shape);
	free(f->first);
	free(f->next);
	free(f->stack);
	free(f->sorted);
	free(f->slots);
	*f = (struct clew_forest){0};
}

static uint32_t slot_of(const struct clew_forest *f, uint64_t id)
{
	return (uint32_t)(mix(id, 0) & (f->n_slots - 1));
}

static void add_ids(struct clew_forest *f, const uint64_t *ids, uint32_t n)
{
	f->n_slots = 2;
	while (f->n_slots < n * 2)
		f->n_slots *= 2;
	memset(f->slots, 0xff, f->n_slots * sizeof(*f->slots));
	for (uint32_t i = 0; i < n; i++) {
		uint32_t s = slot_of(f, ids[i]);

		while (f->slots[s] != NONE && ids[f->slots[s]] != ids[i])
			s = (s + 1) & (f->n_slots - 1);
		if (f->slots[s] == NONE)
			f->slots[s] = i;
	}
}

static uint32_t find_id(const struct clew_forest *f, const uint64_t *ids, uint64_t id)
{
	uint32_t s = slot_of(f, id);

	while (f->slots[s] != NONE && ids[f->slots[s]] != id)
		s = (s + 1) & (f->n_slots - 1);
	return f->slots[s];
}

/*
 * Everything under a root in preorder, from position f->n on. The row's parent is kept in depth[]
 * until then; below[] says of a row whether it was visited, by its position + 1.
 */
static void visit(struct clew_forest *f, uint32_t root, uint32_t *position)
{
	uint32_t top = 0;

	f->stack[top++] = root;
	while (top) {
		uint32_t row = f->stack[--top], from = top;

		if (position[row])
			continue;
		f->order[f->n++] = row;
		position[row] = f->n;
		/* Pushed in the order of begin and turned round, so that the first comes off first. */
		for (uint32_t c = f->first[row]; c != NONE; c = f->next[c])
			if (!position[c])
				f->stack[top++] = c;
		for (uint32_t i = from, k = top; i + 1 < k; i++) {
			uint32_t swap = f->stack[i];

			f->stack[i] = f->stack[--k];
			f->stack[k] = swap;
		}
	}
}

int clew_forest_build(struct clew_forest *f, const uint64_t *ids, const uint64_t *parents,
		      uint32_t n)
{
	uint32_t *row_parent, *position;
	int r = reserve(f, n ? n : 1);

	f->n = 0;
	if (r < 0)
		return r;
	row_parent = f->depth;
	position = f->below;
	add_ids(f, ids, n);
	memset(f->first, 0xff, n * sizeof(*f->first));
	memset(position, 0, n * sizeof(*position));
	for (uint32_t i = 0; i < n; i++) {
		row_parent[i] = parents[i] ? find_id(f, ids, parents[i]) : NONE;
		if (row_parent[i] == i)
			row_parent[i] = NONE;
	}
	for (uint32_t i = n; i-- > 0;) {
		if (row_parent[i] == NONE)
			continue;
		f->next[i] = f->first[row_parent[i]];
		f->first[row_parent[i]] = i;
	}
	for (uint32_t i = 0; i < n; i++)
		if (row_parent[i] == NONE)
			visit(f, i, position);
	/* Only rings are left. */
	for (uint32_t i = 0; i < n; i++)
		if (!position[i]) {
			row_parent[i] = NONE;
			visit(f, i, position);
		}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t up = row_parent[f->order[i]];

		f->parent[i] = up == NONE ? NONE : position[up] - 1;
	}
	/* position and row_parent are not needed any more: their memory is below's and depth's. */
	memset(f->below, 0, n * sizeof(*f->below));
	for (uint32_t i = 0; i < n; i++)
		f->depth[i] = f->parent[i] == NONE ? 0 : f->depth[f->parent[i]] + 1;
	for (uint32_t i = n; i-- > 0;)
		if (f->parent[i] != NONE)
			f->below[f->parent[i]] += f->below[i] + 1;
	return 0;
}

/* ---- the shape ---- */

uint64_t clew_shape_label(uint8_t kind, uint64_t service, uint64_t operation)
{
	return mix(mix(service, operation), kind);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void sort(uint64_t *v, uint32_t n)
{
	if (n > 16) {
		qsort(v, n, sizeof(*v), by_value);
		return;
	}
	for (uint32_t i = 1; i < n; i++) {
		uint64_t x = v[i];
		uint32_t k = i;

		for (; k && v[k - 1] > x; k--)
			v[k] = v[k - 1];
		v[k] = x;
	}
}

/* A set of shapes onto a hash; v is sorted. */
static uint64_t add_set(uint64_t h, uint64_t *v, uint32_t n)
{
	sort(v, n);
	for (uint32_t i = 0; i < n;) {
		uint32_t same = 1;

		while (i + same < n && v[i + same] == v[i])
			same++;
		h = mix(h, v[i] + clew_shape_fold(same));
		i += same;
	}
	return h;
}

uint64_t clew_forest_shape(struct clew_forest *f, const uint64_t *labels)
{
	uint64_t h = 0;
	uint32_t n = 0;

	/* Backwards: a node's children are done before it. */
	for (uint32_t i = f->n; i-- > 0;) {
		uint32_t kids = 0;

		for (uint32_t c = i + 1; c <= i + f->below[i]; c += f->below[c] + 1)
			f->sorted[kids++] = f->shape[c];
		f->shape[i] = add_set(labels[f->order[i]], f->sorted, kids);
	}
	/* The first root is the trace's; the others hang beside it. */
	for (uint32_t i = f->n ? f->below[0] + 1 : 0; i < f->n; i += f->below[i] + 1)
		f->sorted[n++] = f->shape[i];
	if (f->n)
		h = add_set(f->shape[0], f->sorted, n);
	return h ? h : 1;
}
