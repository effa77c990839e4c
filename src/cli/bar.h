/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time axis of a waterfall and the bars on it.
 *
 *	0          50 ms      100 ms
 *	██░░░░░░░░░░░░░░░░░░░░░░▊     a span that serves: solid where it works itself, light while
 *	  ━━━━────────────━━          a span that calls: what is below it is running
 */
#pragma once

#include "cli/out.h"
#include "cli/walk.h"

#define BAR_MAX_CELLS 1024

struct axis {
	uint64_t start_ns, length_ns;
	unsigned cells;
	bool grid[BAR_MAX_CELLS]; /* a line goes down here */
};

/** axis_init() - the axis of a whole trace in so many columns. */
void axis_init(struct axis *a, const struct tree *t, unsigned cells);
/** axis_print() - the labels, in a->cells columns at most; marks the grid. */
void axis_print(struct axis *a, const struct out_style *st, struct clew_buf *b);
/** bar_print() - one span, or with folded those that are alike; a->cells columns exactly. */
void bar_print(const struct axis *a, const struct out_style *st, const struct tree *t,
	       const struct walk_row *row, struct clew_buf *b);
