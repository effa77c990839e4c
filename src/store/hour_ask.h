/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One question to the small tables of hours, asked of several at once: a statement costs more than it finds.
 *
 *	newest hour ─► 1 hour asked ─► the next 4 ─► the next 16 ─► ...     answers are kept until their query ends
 *
 * Limit: 200,000 rows of an answer are kept; from then on each hour is asked alone, and again if need be.
 *
 * Who looks through hours says which, and from which end, in query.hours; without it each hour is asked alone.
 */
#pragma once

#include "store/internal.h"

struct hour_row {
	uint32_t part; /* of query.parts */
	int64_t a, b;
	double c;
};

typedef void (*hour_row_fn)(void *user, const struct hour_row *row);

/**
 * hour_ask() - fn for each row that "SELECT cols FROM <hour>.rest" gives for one hour; cols: two integers and a number.
 * rollups: the table came with these, so that hours without them are not asked.
 */
int hour_ask(struct query *q, const struct part_ref *p, const char *cols, const char *rest,
	     bool rollups, hour_row_fn fn, void *user, char **ret_error);
/** hour_ask_done() - when the query ends. */
void hour_ask_done(struct query *q);
