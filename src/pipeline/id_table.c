/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/id_table.h"

#include <errno.h>
#include <stdlib.h>

/* The directory's limit: 2^32 ids between the oldest that lives and the newest. */
#define MAX_PAGES (1u << 20)

static struct id_page **cell(const struct id_table *t, uint64_t page)
{
	if (page < t->first || page - t->first >= t->len)
		return NULL;
	return &t->dir[(t->head + (page - t->first)) & (t->cap - 1)];
}

static int grow(struct id_table *t)
{
	size_t cap = t->cap ? t->cap * 2 : 16;
	struct id_page **dir;

	if (t->cap >= MAX_PAGES)
		return -ENOMEM;
	dir = malloc(cap * sizeof(*dir));
	if (!dir)
		return -ENOMEM;
	for (size_t i = 0; i < t->len; i++)
		dir[i] = t->dir[(t->head + i) & (t->cap - 1)];
	free(t->dir);
	t->dir = dir;
	t->head = 0;
	t->cap = cap;
	return 0;
}

/* Pages at the old end that are empty: the directory begins at the first that is not. */
static void trim(struct id_table *t)
{
	while (t->len > 1 && !t->dir[t->head]) {
		t->head = (t->head + 1) & (t->cap - 1);
		t->first++;
		t->len--;
	}
}

/* One more page at the new end. The one before it is now as any other: free it if it is empty. */
static int append(struct id_table *t)
{
	struct id_page **last;

	if (t->len == t->cap && grow(t) < 0)
		return -ENOMEM;
	last = t->len ? cell(t, t->first + t->len - 1) : NULL;
	if (last && *last && !(*last)->used) {
		free(*last);
		*last = NULL;
	}
	t->dir[(t->head + t->len++) & (t->cap - 1)] = NULL;
	trim(t);
	return 0;
}

int id_table_put(struct id_table *t, uint64_t id, void *p)
{
	uint64_t page = id >> ID_PAGE_BITS;
	struct id_page **c;

	if (!t->len)
		t->first = page;
	if (page < t->first)
		return -EINVAL;
	while (page - t->first >= t->len)
		if (append(t) < 0)
			return -ENOMEM;
	c = cell(t, page);
	if (!*c)
		*c = calloc(1, sizeof(**c));
	if (!*c)
		return -ENOMEM;
	if (!(*c)->slots[id % ID_PAGE_SLOTS]) {
		(*c)->used++;
		t->count++;
	}
	(*c)->slots[id % ID_PAGE_SLOTS] = p;
	return 0;
}

void *id_table_get(const struct id_table *t, uint64_t id)
{
	struct id_page **c = cell(t, id >> ID_PAGE_BITS);

	return c && *c ? (*c)->slots[id % ID_PAGE_SLOTS] : NULL;
}

void id_table_remove(struct id_table *t, uint64_t id)
{
	struct id_page **c = cell(t, id >> ID_PAGE_BITS);

	if (!c || !*c || !(*c)->slots[id % ID_PAGE_SLOTS])
		return;
	(*c)->slots[id % ID_PAGE_SLOTS] = NULL;
	t->count--;
	/* The newest page is about to be used again. */
	if (--(*c)->used || (id >> ID_PAGE_BITS) == t->first + t->len - 1)
		return;
	free(*c);
	*c = NULL;
	trim(t);
}

void *id_table_next(const struct id_table *t, uint64_t *id)
{
	uint64_t end = (t->first + t->len) << ID_PAGE_BITS, i = *id;

	if (i < t->first << ID_PAGE_BITS)
		i = t->first << ID_PAGE_BITS;
	while (i < end) {
		struct id_page *p = *cell(t, i >> ID_PAGE_BITS);

		if (!p || !p->used) {
			i = ((i >> ID_PAGE_BITS) + 1) << ID_PAGE_BITS;
			continue;
		}
		if (p->slots[i % ID_PAGE_SLOTS]) {
			*id = i;
			return p->slots[i % ID_PAGE_SLOTS];
		}
		i++;
	}
	return NULL;
}

void id_table_done(struct id_table *t)
{
	for (size_t i = 0; i < t->len; i++)
		free(t->dir[(t->head + i) & (t->cap - 1)]);
	free(t->dir);
	*t = (struct id_table){0};
}
