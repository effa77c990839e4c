/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns: a table.
 *
 *	PATTERN           SHAPE                                COUNT  ERR    P50    P95    TIME
 *	3f1c9a7be03a41d2  front GET /cart > cart x2 > db, ads    812    3  12 ms  80 ms  41.0 %
 */
#include <inttypes.h>
#include <jansson.h>

#include "base/units.h"
#include "cli/json_lines.h"
#include "cli/table.h"
#include "cli/view.h"

/* Digits of a pattern's id that are shown: all, for they are given to --pattern. */
#define ID_DIGITS 16

static double real(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

/* The services of a shape in preorder: "front GET / > cart x2 > stock, ads". Calls whose other end was seen are
 * left out: the callee says as much. */
static void add_shape(struct clew_buf *b, const json_t *shape)
{
	size_t n = json_array_size(shape), depth = 0;
	bool first = true;

	for (size_t i = 0; i < n; i++) {
		const json_t *node = json_array_get(shape, i), *next = json_array_get(shape, i + 1);
		uint64_t at = json_u64(node, "depth"), repeat = json_u64(node, "repeat");
		bool client = !strcmp(json_str(node, "kind"), "client");

		if (client && next && json_u64(next, "depth") == at + 1)
			continue;
		if (!first)
			clew_buf_adds(b, at > depth ? " > " : ", ");
		first = false;
		depth = at;
		clew_buf_addf(b, "%s %s", json_str(node, "service"), json_str(node, "name"));
		if (repeat > 1)
			clew_buf_addf(b, " x%" PRIu64, repeat);
	}
}

static void add_pattern(struct table *t, const json_t *p)
{
	uint64_t errors = json_u64(p, "errors");
	char text[CLEW_UNITS_TEXT];
	struct clew_buf shape = {0};

	table_cellf(t, OUT_BOLD, "%.*s", ID_DIGITS, json_str(p, "id"));
	add_shape(&shape, json_object_get(p, "shape"));
	table_cell(t, shape.data ? shape.data : json_str(p, "name"), OUT_PLAIN);
	clew_buf_done(&shape);
	table_cellf(t, OUT_PLAIN, "%" PRIu64, json_u64(p, "count"));
	if (errors)
		table_cellf(t, OUT_RED, "%" PRIu64, errors);
	else
		table_cell(t, t->style->utf8 ? "\xc2\xb7" : "-", OUT_DIM);
	table_cell(t, out_duration(t->style, json_u64(p, "p50_ns"), text), OUT_PLAIN);
	table_cell(t, out_duration(t->style, json_u64(p, "p95_ns"), text), OUT_PLAIN);
	table_cellf(t, OUT_PLAIN, "%.1f %%", 100 * real(p, "share"));
}

int view_patterns(const char *json, size_t n, const struct out_style *st, struct clew_buf *b)
{
	json_t *all = json_loadb(json, n, 0, NULL), *list = json_object_get(all, "patterns"), *p;
	struct table t;
	size_t i;
	int r;

	if (!json_is_array(list)) {
		json_decref(all);
		return -EBADMSG;
	}
	table_init(&t, st);
	table_column(&t, "PATTERN", TABLE_LEFT, 0);
	table_column(&t, "SHAPE", TABLE_LEFT, 12);
	table_column(&t, "COUNT", TABLE_RIGHT, 0);
	table_column(&t, "ERR", TABLE_RIGHT, 0);
	table_column(&t, "P50", TABLE_RIGHT, 0);
	table_column(&t, "P95", TABLE_RIGHT, 0);
	table_column(&t, "TIME", TABLE_RIGHT, 0);
	json_array_foreach(list, i, p) add_pattern(&t, p);
	r = json_array_size(list) ? table_print(&t, b) : clew_buf_adds(b, "no trace matches\n");
	if (json_u64(all, "total") > json_array_size(list)) {
		out_color(b, st, OUT_DIM);
		clew_buf_addf(b, "\n%" PRIu64 " of %" PRIu64 " patterns, %" PRIu64 " traces\n",
			      (uint64_t)json_array_size(list), json_u64(all, "total"),
			      json_u64(all, "traces"));
		out_color(b, st, OUT_PLAIN);
	}
	table_done(&t);
	json_decref(all);
	return r ? r : b->err;
}
