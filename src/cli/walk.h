/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of a waterfall, in the order in which they are drawn.
 *
 * A big trace stays readable: siblings of one service, name, kind and outcome are folded into the
 * slowest of them, with all that is under it, and one row for the others.
 */
#pragma once

#include "cli/tree.h"

/* Traces of more spans than this are folded, where so many siblings or more are alike. */
#define WALK_FOLD_TRACE	   200
#define WALK_FOLD_SIBLINGS 8

struct walk_row {
	uint32_t span;	 /* of a fold: the slowest, which is drawn before it */
	uint32_t folded; /* 0: a span's own row; else how many others this row stands for */
	uint32_t hidden; /* of a fold: they and what is under them */
	uint32_t depth;
	const char *more; /* more[l]: the line of level l goes on below; 1 to depth */
	bool children;	  /* rows of children follow */
};

typedef void (*walk_fn)(void *user, const struct walk_row *row);

/** walk_tree() - 0 or -ENOMEM. */
int walk_tree(const struct tree *t, walk_fn fn, void *user);
