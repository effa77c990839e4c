/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The services, each beside the time before: rate, errors, latencies, and a line of the rate.
 */
#include <inttypes.h>
#include <jansson.h>

#include "base/units.h"
#include "cli/json_lines.h"
#include "cli/table.h"
#include "cli/view.h"

static double real(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

/* Eight heights; the highest is the most of this line. */
static void add_spark(struct table *t, const json_t *values)
{
	static const char *const bars[] = {"\xe2\x96\x81", "\xe2\x96\x82", "\xe2\x96\x83",
					   "\xe2\x96\x84", "\xe2\x96\x85", "\xe2\x96\x86",
					   "\xe2\x96\x87", "\xe2\x96\x88"};
	static const char *const ascii[] = {"_", ".", "-", "-", "=", "=", "#", "#"};
	struct clew_buf line = {0};
	double max = 0;
	json_t *v;
	size_t i;

	json_array_foreach(values, i, v) max =
		json_number_value(v) > max ? json_number_value(v) : max;
	json_array_foreach(values, i, v)
	{
		int height = max > 0 ? (int)(json_number_value(v) / max * 7.99) : 0;

		clew_buf_adds(&line, json_number_value(v) > 0
					     ? (t->style->utf8 ? bars : ascii)[height]
					     : " ");
	}
	table_cell(t, line.data ? line.data : "", OUT_DIM);
	clew_buf_done(&line);
}

static void add_share(struct table *t, uint64_t n, uint64_t all)
{
	if (n && all)
		table_cellf(t, OUT_RED, "%.1f %%", 100.0 * (double)n / (double)all);
	else
		table_cell(t, t->style->utf8 ? "\xc2\xb7" : "-", OUT_DIM);
}

/* "+40 %" of p95 against before */
static void add_change(struct table *t, const json_t *s)
{
	double now = real(s, "p95_ns"), before = real(json_object_get(s, "before"), "p95_ns");
	double change = before > 0 && now > 0 ? 100 * (now / before - 1) : 0;

	if (before > 0 && (change >= 0.5 || change <= -0.5))
		table_cellf(t, real(s, "deviation") > 0 ? OUT_YELLOW : OUT_DIM, "%+.0f %%", change);
	else
		table_cell(t, "", OUT_DIM);
}

static void add_service(struct table *t, const json_t *s)
{
	const char *service = json_str(s, "service");
	char text[CLEW_UNITS_TEXT];

	table_cell(t, service, out_service_color(service));
	add_spark(t, json_object_get(json_object_get(s, "spark"), "requests"));
	table_cellf(t, OUT_PLAIN, "%.3g", real(s, "rate"));
	add_share(t, json_u64(s, "errors"), json_u64(s, "requests"));
	table_cell(t, out_duration(t->style, json_u64(s, "p50_ns"), text), OUT_PLAIN);
	table_cell(t, out_duration(t->style, json_u64(s, "p95_ns"), text), OUT_PLAIN);
	add_change(t, s);
	table_cell(t, out_duration(t->style, json_u64(s, "p99_ns"), text), OUT_PLAIN);
	if (real(s, "deviation") > 0)
		table_cellf(t, OUT_YELLOW, "%.2f", real(s, "deviation"));
	else
		table_cell(t, t->style->utf8 ? "\xc2\xb7" : "-", OUT_DIM);
}

int view_top(const char *json, size_t n, const struct out_style *st, struct clew_buf *b)
{
	json_t *all = json_loadb(json, n, 0, NULL), *list = json_object_get(all, "services"), *s;
	char from[CLEW_UNITS_TEXT], to[CLEW_UNITS_TEXT];
	struct table t;
	size_t i;
	int r;

	if (!json_is_array(list)) {
		json_decref(all);
		return -EBADMSG;
	}
	out_service_colors_begin();
	table_init(&t, st);
	table_column(&t, "SERVICE", TABLE_LEFT, 8);
	table_column(&t, "RATE", TABLE_LEFT, 1);
	table_column(&t, "1/S", TABLE_RIGHT, 0);
	table_column(&t, "ERRORS", TABLE_RIGHT, 0);
	table_column(&t, "P50", TABLE_RIGHT, 0);
	table_column(&t, "P95", TABLE_RIGHT, 0);
	table_column(&t, "", TABLE_RIGHT, 0);
	table_column(&t, "P99", TABLE_RIGHT, 0);
	table_column(&t, "DEVIATES", TABLE_RIGHT, 0);
	json_array_foreach(list, i, s) add_service(&t, s);
	clew_buf_addf(b, "%s to %s", clew_format_time(json_u64(all, "since_ns"), from),
		      clew_format_time(json_u64(all, "until_ns"), to));
	if (json_u64(all, "services_total") > json_array_size(list))
		clew_buf_addf(b, ", %zu of %" PRIu64 " services", json_array_size(list),
			      json_u64(all, "services_total"));
	clew_buf_adds(b, "\n\n");
	if (json_array_size(list))
		r = table_print(&t, b);
	else
		r = clew_buf_adds(b, "no requests in this time; --window 1d looks further back\n");
	table_done(&t);
	json_decref(all);
	return r ? r : b->err;
}
