/* SPDX-License-Identifier: Apache-2.0 */
#include "store/id_set.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_CAP 16u
/* From here on it grows by halves of what it becomes, before by leaps. */
#define LARGE_CAP 4096u

/* Where it is, or the free place where it belongs. */
static uint64_t *find_slot(const struct id_set *s, uint64_t id)
{
	uint32_t at = (uint32_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (s->cap - 1);

	while (s->slots[at] && s->slots[at] != id)
		at = (at + 1) & (s->cap - 1);
	return &s->slots[at];
}

bool id_set_has(const struct id_set *s, uint64_t id)
{
	return s->n && *find_slot(s, id) == id;
}

static int grow(struct id_set *s)
{
	struct id_set bigger = {.n = s->n};

	bigger.cap = !s->cap ? FIRST_CAP : s->cap < LARGE_CAP ? s->cap * 4 : s->cap * 2;
	bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->cap; i++)
		if (s->slots[i])
			*find_slot(&bigger, s->slots[i]) = s->slots[i];
	free(s->slots);
	*s = bigger;
	return 0;
}

int id_set_add(struct id_set *s, uint64_t id)
{
	uint64_t *slot;

	if (s->n >= s->cap / 2 && grow(s) < 0)
		return -ENOMEM;
	slot = find_slot(s, id);
	if (*slot)
		return 0;
	*slot = id;
	s->n++;
	return 1;
}

void id_set_done(struct id_set *s)
{
	free(s->slots);
	*s = (struct id_set){0};
}
