/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/key_table.h"

#include <errno.h>
#include <stdlib.h>

#define MIN_CAP 256u

static uint64_t hash_of(const struct clew_id128 *key, uint8_t role)
{
	uint64_t h;

	memcpy(&h, key->b, sizeof(h));
	return h ^ role * 0x9e3779b97f4a7c15ull;
}

static void put(struct key_table *t, struct key_slot slot)
{
	uint32_t i = (uint32_t)slot.hash & (t->cap - 1);

	while (t->slots[i].p)
		i = (i + 1) & (t->cap - 1);
	t->slots[i] = slot;
}

static int grow(struct key_table *t)
{
	struct key_table new = {.cap = t->cap ? t->cap * 2 : MIN_CAP, .count = t->count};

	new.slots = calloc(new.cap, sizeof(*new.slots));
	if (!new.slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->cap; i++)
		if (t->slots[i].p)
			put(&new, t->slots[i]);
	free(t->slots);
	*t = new;
	return 0;
}

int key_table_add(struct key_table *t, const struct clew_id128 *key, uint8_t role, void *p)
{
	if ((t->count + 1) * 2 > t->cap && grow(t) < 0)
		return -ENOMEM;
	put(t, (struct key_slot){.hash = hash_of(key, role), .p = p, .key = key});
	t->count++;
	return 0;
}

void *key_table_get(const struct key_table *t, const struct clew_id128 *key, uint8_t role)
{
	uint64_t hash = hash_of(key, role);

	if (!t->cap)
		return NULL;
	for (uint32_t i = (uint32_t)hash & (t->cap - 1); t->slots[i].p; i = (i + 1) & (t->cap - 1))
		if (t->slots[i].hash == hash && clew_id128_eq(t->slots[i].key, key))
			return t->slots[i].p;
	return NULL;
}

void key_table_remove(struct key_table *t, const struct clew_id128 *key, uint8_t role, const void *p)
{
	uint32_t mask = t->cap - 1, i = (uint32_t)hash_of(key, role) & mask, k;

	while (t->slots[i].p != p)
		i = (i + 1) & mask;
	/* Whoever was pushed past the hole moves back into it. */
	for (k = (i + 1) & mask; t->slots[k].p; k = (k + 1) & mask) {
		uint32_t home = (uint32_t)t->slots[k].hash & mask;

		if (((k - home) & mask) >= ((k - i) & mask)) {
			t->slots[i] = t->slots[k];
			i = k;
		}
	}
	t->slots[i].p = NULL;
	t->count--;
}

void key_table_done(struct key_table *t)
{
	free(t->slots);
	*t = (struct key_table){0};
}
