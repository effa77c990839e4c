/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pointers by an id that counts up: pages of slots, found by the id's upper bits. An id that lives
 * long holds one page; pages without entries are freed.
 *
 *	id 0x12345 ─► directory[0x12 - first] ─► page[0x345] ─► pointer
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define ID_PAGE_BITS  12
#define ID_PAGE_SLOTS (1u << ID_PAGE_BITS)

struct id_page {
	uint32_t used;
	void *slots[ID_PAGE_SLOTS];
};

struct id_table {
	struct id_page **dir; /* a ring: page (first + i) is dir[(head + i) % cap] */
	uint64_t first;
	size_t head, len, cap;
	size_t count;
};

/** id_table_put() - ids must not lie before the oldest page. 0, -ENOMEM, -EINVAL. */
int id_table_put(struct id_table *t, uint64_t id, void *p);
/** id_table_get() - the pointer, or NULL. */
void *id_table_get(const struct id_table *t, uint64_t id);
/** id_table_remove() - forget an id; one that is not there is ignored. */
void id_table_remove(struct id_table *t, uint64_t id);
/** id_table_next() - the first entry with an id of at least *id, which is moved to it; or NULL. */
void *id_table_next(const struct id_table *t, uint64_t *id);
/** id_table_done() - free the table, not what it points to. */
void id_table_done(struct id_table *t);
