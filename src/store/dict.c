/* SPDX-License-Identifier: Apache-2.0 */
#include "store/dict.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"

int dict_init(struct dict *d)
{
	*d = (struct dict){.n_slots = 256};
	d->slots = calloc(d->n_slots, sizeof(*d->slots));
	if (!d->slots)
		return -ENOMEM;
	pthread_mutex_init(&d->lock, NULL);
	return 0;
}

void dict_done(struct dict *d)
{
	uint32_t n = atomic_load(&d->n);

	if (!d->slots)
		return;
	for (uint32_t i = 0; i < n; i++)
		free((char *)dict_get(d, i)->name.p);
	for (uint32_t i = 0; i < DICT_CHUNKS; i++)
		free(d->chunks[i]);
	free(d->slots);
	pthread_mutex_destroy(&d->lock);
	*d = (struct dict){0};
}

const struct dict_entry *dict_get(const struct dict *d, uint32_t id)
{
	if (id >= atomic_load_explicit(&d->n, memory_order_acquire))
		return NULL;
	return &d->chunks[id / DICT_CHUNK][id % DICT_CHUNK];
}

/* The slot of a name: the one that holds it, or the empty one where it would go. */
static uint32_t find_slot(const struct dict *d, struct slice name, uint8_t type, uint64_t hash)
{
	uint32_t i = (uint32_t)hash & (d->n_slots - 1);

	for (; d->slots[i]; i = (i + 1) & (d->n_slots - 1)) {
		uint32_t id = d->slots[i] - 1;
		const struct dict_entry *e = &d->chunks[id / DICT_CHUNK][id % DICT_CHUNK];

		if (e->hash == hash && e->type == type && slice_eq(e->name, name))
			break;
	}
	return i;
}

static int grow(struct dict *d)
{
	uint32_t n = atomic_load(&d->n), *old = d->slots;
	uint32_t *slots = calloc((size_t)d->n_slots * 2, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	d->slots = slots;
	d->n_slots *= 2;
	for (uint32_t id = 0; id < n; id++) {
		const struct dict_entry *e = dict_get(d, id);

		d->slots[find_slot(d, e->name, e->type, e->hash)] = id + 1;
	}
	free(old);
	return 0;
}

static int insert(struct dict *d, struct slice name, uint8_t type, uint64_t hash, uint32_t *ret_id)
{
	uint32_t id = atomic_load(&d->n);
	struct dict_entry **chunk = &d->chunks[id / DICT_CHUNK];
	char *copy;

	if ((id + 1) * 2 > d->n_slots && grow(d) < 0)
		return -ENOMEM;
	if (!*chunk)
		*chunk = calloc(DICT_CHUNK, sizeof(**chunk));
	copy = malloc(name.n + 1);
	if (!*chunk || !copy) {
		free(copy);
		return -ENOMEM;
	}
	if (name.n)
		memcpy(copy, name.p, name.n);
	copy[name.n] = '\0';
	(*chunk)[id % DICT_CHUNK] =
		(struct dict_entry){.name = {copy, name.n}, .hash = hash, .type = type};
	d->slots[find_slot(d, name, type, hash)] = id + 1;
	atomic_store_explicit(&d->n, id + 1, memory_order_release);
	*ret_id = id;
	return 0;
}

int dict_add(struct dict *d, struct slice name, uint8_t type, uint32_t *ret_id)
{
	uint64_t hash = clew_hash64(name.p ? name.p : "", name.n, type);
	/* Nobody else changes the table now, so it may look without the lock. */
	uint32_t slot = find_slot(d, name, type, hash), n = atomic_load(&d->n);
	int r;

	if (d->slots[slot]) {
		*ret_id = d->slots[slot] - 1;
		return 0;
	}
	if (n >= DICT_MAX - 16 && !slice_eq(name, SLICE(CLEW_DICT_OVERFLOW))) {
		d->refused++;
		return dict_add(d, SLICE(CLEW_DICT_OVERFLOW), type, ret_id);
	}
	pthread_mutex_lock(&d->lock);
	r = insert(d, name, type, hash, ret_id);
	pthread_mutex_unlock(&d->lock);
	return r;
}

int dict_find(struct dict *d, struct slice name, uint8_t type, uint32_t *ret_id)
{
	uint64_t hash = clew_hash64(name.p ? name.p : "", name.n, type);
	uint32_t slot;

	pthread_mutex_lock(&d->lock);
	slot = d->slots[find_slot(d, name, type, hash)];
	pthread_mutex_unlock(&d->lock);
	if (!slot)
		return -ENOENT;
	*ret_id = slot - 1;
	return 0;
}
