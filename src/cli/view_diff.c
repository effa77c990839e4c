/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two traces beside each other, and what differs inside a range of durations.
 *
 *	SPAN                     A       B       DIFFERENCE
 *	front GET /              128 ms  930 ms    +802 ms
 *	  cart GET /cart         12 ms   14 ms       +2 ms
 *	  stock GET /stock x3    -       700 ms    +700 ms
 */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>

#include "base/units.h"
#include "cli/json_lines.h"
#include "cli/table.h"
#include "cli/view.h"

#define MAX_INDENT 40

static double real(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static void add_side(struct table *t, const json_t *side)
{
	char text[CLEW_UNITS_TEXT];
	double calls = real(side, "calls");

	if (!json_is_object(side)) {
		table_cell(t, t->style->utf8 ? "\xc2\xb7" : "-", OUT_DIM);
		return;
	}
	out_duration(t->style, (uint64_t)real(side, "duration_ns"), text);
	if (calls > 1.005)
		table_cellf(t, OUT_PLAIN, "%s (%.3g)", text, calls);
	else
		table_cell(t, text, OUT_PLAIN);
}

static void add_delta(struct table *t, const json_t *row)
{
	double delta = real(row, "delta_ns");
	char text[CLEW_UNITS_TEXT];

	out_duration(t->style, (uint64_t)fabs(delta), text);
	table_cellf(t, OUT_PLAIN, "%s%s", delta > 0 ? "+" : delta < 0 ? "-" : "", text);
}

static void add_row(struct table *t, const json_t *row)
{
	uint64_t depth = json_u64(row, "depth");
	char lead[2 * MAX_INDENT + 1];
	struct clew_buf name = {0};
	int n = (int)(depth < MAX_INDENT ? depth : MAX_INDENT) * 2;

	snprintf(lead, sizeof(lead), "%*s", n, "");
	clew_buf_addf(&name, "%s%s %s", !strcmp(json_str(row, "kind"), "client") ? "> " : "",
		      json_str(row, "service"), json_str(row, "name"));
	table_cell_lead(t, lead, name.data ? name.data : "", OUT_PLAIN);
	clew_buf_done(&name);
	add_side(t, json_object_get(row, "a"));
	add_side(t, json_object_get(row, "b"));
	add_delta(t, row);
}

int view_compare(const char *json, size_t n, const struct out_style *st, struct clew_buf *b)
{
	json_t *all = json_loadb(json, n, 0, NULL), *rows = json_object_get(all, "rows"), *row;
	struct table t;
	size_t i;
	int r;

	if (!json_is_array(rows)) {
		json_decref(all);
		return -EBADMSG;
	}
	table_init(&t, st);
	table_column(&t, "SPAN", TABLE_LEFT, 16);
	table_column(&t, "A", TABLE_RIGHT, 0);
	table_column(&t, "B", TABLE_RIGHT, 0);
	table_column(&t, "DIFFERENCE", TABLE_RIGHT, 0);
	json_array_foreach(rows, i, row) add_row(&t, row);
	r = table_print(&t, b);
	out_color(b, st, OUT_DIM);
	clew_buf_addf(b, "\nA %.12s   B %.12s   (n): so many calls, their time together%s\n",
		      json_str(json_object_get(all, "a"), "trace_id"),
		      json_str(json_object_get(all, "b"), "trace_id"),
		      json_is_true(json_object_get(all, "truncated")) ? "; cut off" : "");
	out_color(b, st, OUT_PLAIN);
	table_done(&t);
	json_decref(all);
	return r ? r : b->err;
}

/* ---- differences ---- */

static void add_item(struct table *t, const json_t *item)
{
	char in[CLEW_UNITS_TEXT], out[CLEW_UNITS_TEXT];
	const char *kind = json_str(item, "kind");
	bool segment = !strcmp(kind, "segment");

	table_cell(t, kind, OUT_DIM);
	table_cell(t, json_str(item, "service"), OUT_PLAIN);
	if (segment)
		table_cellf(t, OUT_PLAIN, "%s, own time", json_str(item, "value"));
	else if (!strcmp(kind, "service"))
		table_cell(t, "is in it", OUT_PLAIN);
	else
		table_cellf(t, OUT_PLAIN, "%s = %s", json_str(item, "key"),
			    json_str(item, "value"));
	if (segment) {
		table_cell(t, out_duration(t->style, json_u64(item, "inside_p50_ns"), in),
			   OUT_PLAIN);
		table_cell(t, out_duration(t->style, json_u64(item, "outside_p50_ns"), out),
			   OUT_PLAIN);
	} else {
		table_cellf(t, OUT_PLAIN, "%.0f %%", 100 * real(item, "inside_share"));
		table_cellf(t, OUT_PLAIN, "%.0f %%", 100 * real(item, "outside_share"));
	}
	table_cellf(t, OUT_PLAIN, "%.0f", real(item, "score"));
}

int view_differences(const char *json, size_t n, const struct out_style *st, struct clew_buf *b)
{
	json_t *all = json_loadb(json, n, 0, NULL), *items = json_object_get(all, "items"), *item;
	struct table t;
	size_t i;
	int r = 0;

	if (!json_is_array(items)) {
		json_decref(all);
		return -EBADMSG;
	}
	table_init(&t, st);
	table_column(&t, "WHAT", TABLE_LEFT, 0);
	table_column(&t, "SERVICE", TABLE_LEFT, 8);
	table_column(&t, "", TABLE_LEFT, 16);
	table_column(&t, "INSIDE", TABLE_RIGHT, 0);
	table_column(&t, "OUTSIDE", TABLE_RIGHT, 0);
	table_column(&t, "SCORE", TABLE_RIGHT, 0);
	json_array_foreach(items, i, item) add_item(&t, item);
	if (json_array_size(items))
		r = table_print(&t, b);
	else
		clew_buf_adds(b, "nothing differs that chance does not explain\n");
	out_color(b, st, OUT_DIM);
	clew_buf_addf(b, "\n%" PRIu64 " traces inside, %" PRIu64 " outside were looked at\n",
		      json_u64(all, "inside"), json_u64(all, "outside"));
	out_color(b, st, OUT_PLAIN);
	table_done(&t);
	json_decref(all);
	return r ? r : b->err;
}
