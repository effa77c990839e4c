/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of 64-bit numbers that are not 0: hashes, ids. Open addressing, half full at most; small ones are a few
 * words. Its limit is that of who fills it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct id_set {
	uint64_t *slots;
	uint32_t n, cap; /* cap: a power of two, or 0 */
};

bool id_set_has(const struct id_set *s, uint64_t id);
/** id_set_add() - 1 if it is new, 0 if it was there, -ENOMEM. */
int id_set_add(struct id_set *s, uint64_t id);
/** id_set_done() - and empty again. */
void id_set_done(struct id_set *s);
