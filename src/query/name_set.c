/* SPDX-License-Identifier: Apache-2.0 */
#include "query/name_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FREE UINT32_MAX

void name_set_done(struct name_set *s)
{
	free(s->v);
	free(s->slots);
}

static int grow(struct name_set *s)
{
	uint32_t cap = s->cap ? s->cap * 2 : 64;
	struct slice *v = realloc(s->v, cap * sizeof(*v));

	s->v = v ? v : s->v;
	free(s->slots);
	s->slots = malloc(cap * 4 * sizeof(*s->slots));
	if (!v || !s->slots)
		return -ENOMEM;
	s->cap = cap;
	s->n_slots = cap * 4;
	memset(s->slots, 0xff, s->n_slots * sizeof(*s->slots));
	for (uint32_t i = 0; i < s->n; i++) {
		uint32_t at = (uint32_t)((uintptr_t)s->v[i].p >> 3) & (s->n_slots - 1);

		while (s->slots[at] != FREE)
			at = (at + 1) & (s->n_slots - 1);
		s->slots[at] = i;
	}
	return 0;
}

int name_set_id(struct name_set *s, struct slice name, uint32_t *ret)
{
	uint32_t at;

	if (s->n * 2 >= s->cap && grow(s) < 0)
		return -ENOMEM;
	at = (uint32_t)((uintptr_t)name.p >> 3) & (s->n_slots - 1);
	while (s->slots[at] != FREE && s->v[s->slots[at]].p != name.p)
		at = (at + 1) & (s->n_slots - 1);
	if (s->slots[at] == FREE) {
		s->slots[at] = s->n;
		s->v[s->n++] = name;
	}
	*ret = s->slots[at];
	return 0;
}
