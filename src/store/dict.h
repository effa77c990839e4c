/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names as small integers: a dictionary in memory with its rows in the catalog.
 *
 *	slots (hash table of id + 1) ─► entries, in chunks that never move
 *
 * One thread at a time adds: the caller has a lock for it (or, read-only, nobody does after loading). Looking up by
 * id takes no lock: entries are published by the release of n. Looking up by name from another thread takes the lock.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/slice.h"

#define DICT_CHUNK  1024u
#define DICT_CHUNKS 1024u
/* Names of one dictionary; beyond it names become CLEW_DICT_OVERFLOW, and refused counts. */
#define DICT_MAX	   (DICT_CHUNK * DICT_CHUNKS - 1)
#define CLEW_DICT_OVERFLOW "(too many names)"

struct dict_entry {
	struct slice name; /* NUL-terminated too */
	uint64_t hash;
	uint8_t type; /* of attribute keys: enum clew_attr_type; else 0 */
};

struct dict {
	_Atomic uint32_t n;
	uint32_t saved; /* of them in the catalog */
	uint32_t n_slots;
	uint32_t *slots;
	uint64_t refused;
	pthread_mutex_t lock; /* for slots, against who adds */
	struct dict_entry *chunks[DICT_CHUNKS];
};

int dict_init(struct dict *d);
void dict_done(struct dict *d);
/** dict_add() - the id of a name, added if it is new. By one thread at a time. -ENOMEM. */
int dict_add(struct dict *d, struct slice name, uint8_t type, uint32_t *ret_id);
/** dict_find() - any thread. -ENOENT. */
int dict_find(struct dict *d, struct slice name, uint8_t type, uint32_t *ret_id);
/** dict_get() - any thread; NULL for an id that is not there. */
const struct dict_entry *dict_get(const struct dict *d, uint32_t id);
