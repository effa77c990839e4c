/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ids, types of attributes and keys as the engine's tables have them.
 */
#pragma once

#include <stdint.h>
#include <string.h>

#include <duckdb.h>

#include "base/id.h"
#include "model/span.h"

/*
 * The type of a key in the catalog: enum clew_attr_type, and behind them text that stands for something
 * else (enum clew_attr_form).
 */
#define KEY_TYPE_LAST (CLEW_ATTR_BOOL + CLEW_FORM_BYTES)

static inline uint8_t key_type(const struct clew_attr *a)
{
	return a->type == CLEW_ATTR_STR && a->form ? (uint8_t)(CLEW_ATTR_BOOL + a->form)
						   : (uint8_t)a->type;
}

static inline enum clew_attr_type key_attr_type(uint8_t type)
{
	return type > CLEW_ATTR_BOOL ? CLEW_ATTR_STR : (enum clew_attr_type)type;
}

static inline uint8_t key_form(uint8_t type)
{
	return type > CLEW_ATTR_BOOL ? (uint8_t)(type - CLEW_ATTR_BOOL) : 0;
}

/*
 * Keys of attr_range that are no attribute's: of one service's spans; and of blocks of which it is told for each
 * service. Two services of one key make a search read a block in vain.
 */
#define RANGE_BY_SERVICE UINT32_C(0x80000000)
#define RANGE_TOLD	 UINT32_MAX

static inline uint32_t range_key(uint32_t service, uint32_t key)
{
	uint32_t h = (service * 0x9e3779b1u) ^ (key * 0x85ebca6bu + 0x27d4eb2fu);

	h = ((h ^ h >> 15) * 0x2c1b3c6du) | RANGE_BY_SERVICE;
	return h == RANGE_TOLD ? h - 1 : h;
}

static inline duckdb_uhugeint id128_huge(const struct clew_id128 *id)
{
	uint64_t hi, lo;

	memcpy(&hi, id->b, 8);
	memcpy(&lo, id->b + 8, 8);
	return (duckdb_uhugeint){.lower = __builtin_bswap64(lo), .upper = __builtin_bswap64(hi)};
}

static inline struct clew_id128 huge_id128(duckdb_uhugeint v)
{
	struct clew_id128 id;
	uint64_t hi = __builtin_bswap64(v.upper), lo = __builtin_bswap64(v.lower);

	memcpy(id.b, &hi, 8);
	memcpy(id.b + 8, &lo, 8);
	return id;
}

static inline uint64_t id64_int(const struct clew_id64 *id)
{
	uint64_t v;

	memcpy(&v, id->b, 8);
	return __builtin_bswap64(v);
}

static inline struct clew_id64 int_id64(uint64_t v)
{
	struct clew_id64 id;

	v = __builtin_bswap64(v);
	memcpy(id.b, &v, 8);
	return id;
}

/** huge_sql() - an SQL literal of a 128-bit id; buf takes 64 bytes. DuckDB reads '0x..' not so
 * wide. */
const char *huge_sql(const struct clew_id128 *id, char *buf);
