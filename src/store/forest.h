/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spans of one trace as a forest, and its shape.
 *
 *	rows, oldest first:   0:b 1:a 2:c 3:d        a parent that is not among them makes a root; a ring
 *	parents:              b>a  -  c>a d>b        of parents is opened at its earliest span
 *
 *	preorder:             a b d c                order = {1, 0, 3, 2}
 *	                                             parent = {-, 0, 1, 0}   below = {3, 1, 0, 0}
 *
 * So what is under node i is [i + 1, i + below[i]], and a parent stands before its children. Siblings
 * are in the order of their begin. Nothing recurses: a trace may be as deep as it is long.
 */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"

#define CLEW_FOREST_NONE UINT32_MAX

/* Made for many traces one after the other: memory is kept. All zeros is an empty one. */
struct clew_forest {
	uint32_t n, cap;
	uint32_t *order;  /* preorder position to row */
	uint32_t *parent; /* in preorder; CLEW_FOREST_NONE: a root */
	uint32_t *below, *depth;
	uint64_t *shape; /* of each sub-tree, after clew_forest_shape() */
	/* scratch */
	uint32_t *slots, *first, *next, *stack;
	uint64_t *sorted;
	uint32_t n_slots;
};

/**
 * clew_forest_build() - of n rows, oldest first; parents 0: none. Where an id is there twice, the
 * first one has the children. 0 or -ENOMEM.
 */
int clew_forest_build(struct clew_forest *f, const uint64_t *ids, const uint64_t *parents,
		      uint32_t n);
void clew_forest_done(struct clew_forest *f);

/**
 * clew_forest_shape() - the hash of what the forest looks like: of each node its label (by row), and
 * the shapes of its children as a sorted set with their number folded to 1, 2 to 3, 4 or more. So it
 * does not depend on the order of the children, on ids or on times. Never 0.
 */
uint64_t clew_forest_shape(struct clew_forest *f, const uint64_t *labels);

/** clew_shape_label() - of a span: its kind, and its service's and operation's names hashed. */
uint64_t clew_shape_label(uint8_t kind, uint64_t service, uint64_t operation);
/** clew_shape_fold() - 1, 2 (2 to 3) or 4 (and more): how a number of equal siblings counts. */
static inline uint32_t clew_shape_fold(uint32_t n)
{
	return n < 2 ? 1 : n < 4 ? 2 : 4;
}
