/* SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"

#include <errno.h>
#include <xxhash.h>

uint64_t clew_hash64(const void *p, size_t n, uint64_t seed)
{
	return XXH3_64bits_withSeed(p, n, seed);
}

struct clew_id128 clew_hash128(const void *p, size_t n, uint64_t seed)
{
	XXH128_canonical_t c;
	struct clew_id128 id;

	XXH128_canonicalFromHash(&c, XXH3_128bits_withSeed(p, n, seed));
	memcpy(id.b, c.digest, sizeof(id.b));
	if (clew_id128_none(&id))
		id.b[15] = 1;
	return id;
}

struct clew_id64 clew_id64_from(uint64_t v)
{
	struct clew_id64 id;

	v = __builtin_bswap64(v ? v : 1);
	memcpy(id.b, &v, sizeof(v));
	return id;
}

void clew_hex(const void *bytes, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *b = bytes;

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[b[i] >> 4];
		out[2 * i + 1] = digits[b[i] & 15];
	}
	out[2 * n] = '\0';
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int clew_unhex(const char *text, size_t len, void *ret_bytes, size_t n)
{
	uint8_t *out = ret_bytes;

	if (len != 2 * n)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (nibble(text[2 * i]) < 0 || nibble(text[2 * i + 1]) < 0)
			return -EINVAL;
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(nibble(text[2 * i]) << 4 | nibble(text[2 * i + 1]));
	return 0;
}
