/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ids of traces and spans, and the hash that makes them (XXH3, 128 bits).
 *
 * An id of all zeros is "none", as W3C Trace Context has it; the hash never makes one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct clew_id128 {
	uint8_t b[16];
};

struct clew_id64 {
	uint8_t b[8];
};

/** clew_hash64() - 64-bit hash of bytes; stable across runs, machines and versions. */
uint64_t clew_hash64(const void *p, size_t n, uint64_t seed);

/** clew_hash128() - 128-bit hash of bytes, big-endian in the id, never zero. */
struct clew_id128 clew_hash128(const void *p, size_t n, uint64_t seed);

/** clew_id64_from() - the id made of v, big-endian; 0 becomes 1 so that it is never "none". */
struct clew_id64 clew_id64_from(uint64_t v);

static inline bool clew_id128_none(const struct clew_id128 *id)
{
	static const struct clew_id128 none;
	return !memcmp(id, &none, sizeof(none));
}

static inline bool clew_id64_none(const struct clew_id64 *id)
{
	static const struct clew_id64 none;
	return !memcmp(id, &none, sizeof(none));
}

static inline bool clew_id128_eq(const struct clew_id128 *a, const struct clew_id128 *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static inline bool clew_id64_eq(const struct clew_id64 *a, const struct clew_id64 *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/** clew_hex() - n bytes as 2n lower-case digits and a NUL into out (2n + 1 bytes). */
void clew_hex(const void *bytes, size_t n, char *out);

/** clew_unhex() - exactly 2n hex digits of either case into n bytes. Returns 0, or -EINVAL. */
int clew_unhex(const char *text, size_t len, void *ret_bytes, size_t n);
