/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash tables and lists of this folder: uthash and utlist, with a hash for keys of a few words.
 *
 * Limits: those of each table. Tables are never walked, so the same records give the same decisions.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t hash_words(const void *key, size_t len)
{
	uint64_t h = len, w;

	for (size_t i = 0; i < len; i += sizeof(w)) {
		w = 0;
		memcpy(&w, (const char *)key + i, len - i < sizeof(w) ? len - i : sizeof(w));
		h = (h ^ w) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 32;
	}
	return h;
}

/* Keys are a few words: multiply and fold. */
#define HASH_FUNCTION(key, len, hashv)                        \
	do {                                                  \
		(hashv) = (unsigned)hash_words((key), (len)); \
	} while (0)
#include <utlist.h>

#include "base/hash.h"
