/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wire key to the id of the node that waits for its other side: open addressing, linear probing, no tombstones. A key is a
 * hash itself, so part of it is the place. A slot is eight bytes, because the table is looked into for
 * every exchange and holds those of some seconds: it should stay in the cache. Ids are told apart by
 * their lower half; fewer than 2^32 lie between the oldest and the newest (id_table.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"

struct key_slot {
	uint32_t hash; /* 0: free */
	uint32_t id;   /* the lower half */
};

struct key_table {
	/* Is this the node of that key? Asked where 31 bits of the hash are equal. */
	bool (*is)(void *user, uint32_t id, const struct clew_id128 *key);
	void *user;
	struct key_slot *slots;
	uint32_t cap, count; /* cap: a power of two, or 0 */
};

/** key_table_add() - id under this key, of which there is none. 0, -ENOMEM. */
int key_table_add(struct key_table *t, const struct clew_id128 *key, uint32_t id);
/** key_table_fetch() - the key will be asked for soon: its place in memory comes into the cache meanwhile. */
void key_table_fetch(const struct key_table *t, const struct clew_id128 *key);
/** key_table_get() - the id that is there. Returns whether there is one. */
bool key_table_get(const struct key_table *t, const struct clew_id128 *key, uint32_t *ret);
/** key_table_remove() - id, which is there. */
void key_table_remove(struct key_table *t, const struct clew_id128 *key, uint32_t id);
void key_table_done(struct key_table *t);
