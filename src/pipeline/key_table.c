/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/key_table.h"

#include <errno.h>
#include <stdlib.h>

#define MIN_CAP 256u
#define USED	0x80000000u

static uint32_t hash_of(const struct clew_id128 *key)
{
	uint32_t h;

	memcpy(&h, key->b, sizeof(h));
	return h | USED;
}

static void put(struct key_table *t, struct key_slot slot)
{
	uint32_t i = slot.hash & (t->cap - 1);

	while (t->slots[i].hash)
		i = (i + 1) & (t->cap - 1);
	t->slots[i] = slot;
}

static int grow(struct key_table *t)
{
	struct key_table new = *t;

	if (t->cap >= USED / 2)
		return -ENOMEM;
	new.cap = t->cap ? t->cap * 2 : MIN_CAP;
	new.slots = calloc(new.cap, sizeof(*new.slots));
	if (!new.slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->cap; i++)
		if (t->slots[i].hash)
			put(&new, t->slots[i]);
	free(t->slots);
	*t = new;
	return 0;
}

int key_table_add(struct key_table *t, const struct clew_id128 *key, uint32_t id)
{
	if ((t->count + 1) * 2 > t->cap && grow(t) < 0)
		return -ENOMEM;
	put(t, (struct key_slot){.hash = hash_of(key), .id = id});
	t->count++;
	return 0;
}

void key_table_fetch(const struct key_table *t, const struct clew_id128 *key)
{
	if (t->cap)
		__builtin_prefetch(&t->slots[hash_of(key) & (t->cap - 1)], 1);
}

bool key_table_get(const struct key_table *t, const struct clew_id128 *key, uint32_t *ret)
{
	uint32_t hash = hash_of(key), mask = t->cap - 1;

	if (!t->cap)
		return false;
	for (uint32_t i = hash & mask; t->slots[i].hash; i = (i + 1) & mask) {
		if (t->slots[i].hash != hash || !t->is(t->user, t->slots[i].id, key))
			continue;
		*ret = t->slots[i].id;
		return true;
	}
	return false;
}

void key_table_remove(struct key_table *t, const struct clew_id128 *key, uint32_t id)
{
	uint32_t hash = hash_of(key), mask = t->cap - 1, i = hash & mask, k;

	while (t->slots[i].hash != hash || t->slots[i].id != id)
		i = (i + 1) & mask;
	/* Whoever was pushed past the hole moves back into it. */
	for (k = (i + 1) & mask; t->slots[k].hash; k = (k + 1) & mask) {
		uint32_t home = t->slots[k].hash & mask;

		if (((k - home) & mask) >= ((k - i) & mask)) {
			t->slots[i] = t->slots[k];
			i = k;
		}
	}
	t->slots[i].hash = 0;
	t->count--;
}

void key_table_done(struct key_table *t)
{
	free(t->slots);
	t->slots = NULL;
	t->cap = t->count = 0;
}
