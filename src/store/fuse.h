/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of 32-bit numbers that can only be asked whether it may hold one: a binary fuse filter of 16 bits.
 * It says yes to all that are in it, and to one of 65,536 others; it takes about 18 bits a number.
 *
 *	slots:   | segment 0 | segment 1 | segment 2 | segment 3 | ...
 *	a key:        ^           ^           ^                       one slot in each of three neighbours
 *
 * The three slots of a key, XORed, are its fingerprint. Filling: a slot that only one key has left decides
 * that key last; take the key out, and other slots become lonely, until none is left (else: another seed).
 *
 * Source: Graf and Lemire, "Binary Fuse Filters: Fast and Smaller Than Xor Filters", ACM JEA 27, 2022.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct fuse {
	uint64_t seed;
	uint32_t n;	  /* keys */
	uint32_t segment; /* slots of one, a power of two */
	uint32_t starts;  /* segments in which a key's first slot may be */
	uint32_t n_slots; /* (starts + 2) * segment */
	uint16_t slots[];
};

/** fuse_new() - of n different keys; the caller frees it. -ENOMEM; -EINVAL: a key is there twice. */
int fuse_new(const uint32_t *keys, uint32_t n, struct fuse **ret);

/** fuse_has() - false: it is not in the set. */
bool fuse_has(const struct fuse *f, uint32_t key);

/** fuse_bytes() - what is to be kept of it: in memory, and as bytes for fuse_load(). */
struct slice fuse_bytes(const struct fuse *f);

/** fuse_load() - from bytes of fuse_bytes(); the caller frees it. -ENOMEM; -EBADMSG: they are not such. */
int fuse_load(struct slice bytes, struct fuse **ret);
