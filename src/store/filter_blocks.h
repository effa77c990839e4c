/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which blocks of a partition may hold what a filter asks for: those that meet each of its conditions, by the
 * block index and the ranges of numbers.
 */
#pragma once

#include "store/internal.h"

struct block_set {
	uint8_t *in; /* one for each block: how many conditions it met */
	uint32_t n;
	uint8_t round; /* how many there were */
};

/** blocks_init() - all of a partition's; the caller frees in. */
int blocks_init(struct block_set *b, const struct part_ref *p);
/** blocks_with() - narrow it to those that have one of these hashes ("1,2,3"). */
int blocks_with(struct query *q, const struct part_ref *p, const char *hashes, struct block_set *b,
		char **ret_error);
/** blocks_with_pair() - ... that may have a span of which both are said (entries of the index). */
int blocks_with_pair(struct query *q, const struct part_ref *p, uint32_t a, uint32_t b,
		     struct block_set *blocks, char **ret_error);
/** blocks_in_range() - ... that may hold such a number; service: of a span of it, NO_SERVICE: of any. */
int blocks_in_range(struct query *q, const struct part_ref *p, const struct number_range *range,
		    uint32_t service, struct block_set *b, char **ret_error);
/** blocks_count() - how many are left. */
uint32_t blocks_count(const struct block_set *b);
/**
 * blocks_add() - append " UNION ALL head AND (ranges of rowid)" for them, and for the rows that have no index yet. One
 * scan of many ranges: the engine skips what lies between, and one each takes it three times as long.
 */
void blocks_add(const struct block_set *b, const char *head, const struct part_ref *p,
		struct clew_buf *out);
