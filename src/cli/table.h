/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An aligned table that fits the width: columns that may shrink do, the widest first.
 */
#pragma once

#include "cli/json_lines.h"
#include "cli/out.h"

#define TABLE_MAX_COLUMNS 256

enum table_align { TABLE_LEFT, TABLE_RIGHT };

struct table_column {
	char title[64];
	enum table_align align;
	unsigned min;	    /* 0: never shrinks; else the least width that it shrinks to */
	bool hide_if_empty; /* the column is left out when no row has a text in it */
};

struct table {
	const struct out_style *style;
	struct table_column columns[TABLE_MAX_COLUMNS];
	size_t n_columns;
	struct table_cell *cells; /* row by row */
	size_t n_cells, cap_cells;
	struct clew_buf text; /* what the cells say */
	bool failed;	      /* out of memory; sticky */
};

void table_init(struct table *t, const struct out_style *style);
/**
 * table_of_lines() - a table of an answer of JSON lines, in which services have colours.
 * *ret_lines: the lines as an array, which the caller owns. 0, -EBADMSG, -ENOMEM; nothing to undo then.
 */
int table_of_lines(struct table *t, const struct out_style *style, const char *json, size_t n,
		   json_t **ret_lines);
void table_done(struct table *t);
void table_column(struct table *t, const char *title, enum table_align align, unsigned min);
/** table_cell() - the next cell, from left to right and row by row; color: enum out_color. */
void table_cell(struct table *t, const char *text, int color);
void table_cellf(struct table *t, int color, const char *fmt, ...) CLEW_PRINTF(3, 4);
/** table_none() - a cell for what there is nothing of. */
void table_none(struct table *t);
/** table_cell_lead() - a cell that begins with lines of a tree, which are dim. */
void table_cell_lead(struct table *t, const char *lead, const char *text, int color);
/** table_print() - header and rows. 0 or -ENOMEM. */
int table_print(struct table *t, struct clew_buf *b);
