/* SPDX-License-Identifier: Apache-2.0 */
#include "server/halves.h"

#include <errno.h>
#include <stdlib.h>

int halves_init(struct halves *t, uint32_t max)
{
	*t = (struct halves){.max = max, .mask = 2 * max - 1};
	t->places = calloc(max, sizeof(*t->places));
	t->slots = calloc((size_t)max * 2, sizeof(*t->slots));
	if (t->places && t->slots)
		return 0;
	halves_done(t);
	return -ENOMEM;
}

void halves_done(struct halves *t)
{
	free(t->places);
	free(t->slots);
	*t = (struct halves){0};
}

/* Where a key is, or would be. */
static uint32_t slot_of(const struct halves *t, uint64_t key)
{
	uint32_t i = (uint32_t)(key >> 1) & t->mask;

	while (t->slots[i].key && t->slots[i].key != key)
		i = (i + 1) & t->mask;
	return i;
}

struct half *halves_find(const struct halves *t, uint64_t key)
{
	const struct half_slot *s = &t->slots[slot_of(t, key)];

	return s->key ? &t->places[s->place] : NULL;
}

void halves_add(struct halves *t, const struct half *h)
{
	uint32_t place = t->free ? t->free - 1 : t->used++;
	struct half *to = &t->places[place];

	t->free = t->free ? to->after : 0;
	*to = *h;
	to->before = t->last;
	to->after = 0;
	if (t->last)
		t->places[t->last - 1].after = place + 1;
	else
		t->first = place + 1;
	t->last = place + 1;
	t->slots[slot_of(t, h->key)] = (struct half_slot){h->key, place};
	t->n++;
}

/* The slot becomes free; those behind it that it kept from their places move up. */
static void free_slot(struct halves *t, uint32_t i)
{
	for (uint32_t k = (i + 1) & t->mask; t->slots[k].key; k = (k + 1) & t->mask) {
		uint32_t home = (uint32_t)(t->slots[k].key >> 1) & t->mask;

		if (((k - home) & t->mask) < ((k - i) & t->mask))
			continue;
		t->slots[i] = t->slots[k];
		i = k;
	}
	t->slots[i].key = 0;
}

void halves_remove(struct halves *t, struct half *h)
{
	uint32_t place = (uint32_t)(h - t->places);

	free_slot(t, slot_of(t, h->key));
	if (h->before)
		t->places[h->before - 1].after = h->after;
	else
		t->first = h->after;
	if (h->after)
		t->places[h->after - 1].before = h->before;
	else
		t->last = h->before;
	h->after = t->free;
	t->free = place + 1;
	t->n--;
}
