/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wire key and role to node: open addressing, linear probing, no tombstones. A key is a hash itself,
 * so its first bytes are the place. The table grows by doubling; who fills it has a limit.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"

struct key_slot {
	uint64_t hash;
	void *p; /* NULL: free */
	const struct clew_id128 *key;
};

struct key_table {
	struct key_slot *slots;
	uint32_t cap, count; /* cap: a power of two, or 0 */
};

/** key_table_add() - p under (key, role); the key is p's own and stays. 0, -ENOMEM. */
int key_table_add(struct key_table *t, const struct clew_id128 *key, uint8_t role, void *p);
/** key_table_get() - what is there, or NULL. */
void *key_table_get(const struct key_table *t, const struct clew_id128 *key, uint8_t role);
/** key_table_remove() - p, which is there. */
void key_table_remove(struct key_table *t, const struct clew_id128 *key, uint8_t role, const void *p);
void key_table_done(struct key_table *t);
