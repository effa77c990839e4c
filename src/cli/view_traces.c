/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lists of traces and of services.
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/units.h"
#include "cli/json_lines.h"
#include "cli/table.h"
#include "cli/view.h"

/* From here there is room for what matters less than the request's name. */
#define WIDE 100

/* When it began: an age while that says more, then the time of day, then the day. */
static const char *print_when(uint64_t start_ns, uint64_t now_ns, char out[CLEW_UNITS_TEXT])
{
	uint64_t age_s = now_ns > start_ns ? (now_ns - start_ns) / CLEW_NS_PER_S : 0;
	time_t start = (time_t)(start_ns / CLEW_NS_PER_S), now = (time_t)(now_ns / CLEW_NS_PER_S);
	struct tm tm, today;

	if (age_s < 60) {
		snprintf(out, CLEW_UNITS_TEXT, "%" PRIu64 " s ago", age_s);
		return out;
	}
	if (age_s < 3600) {
		snprintf(out, CLEW_UNITS_TEXT, "%" PRIu64 " m ago", age_s / 60);
		return out;
	}
	localtime_r(&start, &tm);
	localtime_r(&now, &today);
	if (tm.tm_year == today.tm_year && tm.tm_yday == today.tm_yday)
		strftime(out, CLEW_UNITS_TEXT, "%H:%M:%S", &tm);
	else
		strftime(out, CLEW_UNITS_TEXT,
			 tm.tm_year == today.tm_year ? "%b %d %H:%M" : "%Y-%m-%d", &tm);
	return out;
}

/* How many digits of the ids tell the traces of this list apart: at least 8. */
static unsigned id_digits(json_t *traces)
{
	unsigned digits = 8;
	size_t n = json_array_size(traces);

	/* A list that is longer than a screen gets a length that practically always does. */
	if (n > 1000)
		return 12;
	for (size_t i = 0; i < n; i++) {
		const char *a = json_str(json_array_get(traces, i), "trace_id");

		for (size_t j = 0; j < i; j++) {
			const char *b = json_str(json_array_get(traces, j), "trace_id");
			unsigned same = 0;

			while (a[same] && a[same] == b[same])
				same++;
			if (a[same] && same + 1 > digits)
				digits = same + 1;
		}
	}
	return digits;
}

/* The marks that `clew trace` uses too. */
static void print_notes(struct table *t, const json_t *trace)
{
	uint64_t orphans = json_u64(trace, "orphans");
	const char *incomplete = json_is_true(json_object_get(trace, "incomplete")) ? "~" : "";

	if (orphans)
		table_cellf(t, OUT_YELLOW, "?%" PRIu64 "%s%s", orphans, *incomplete ? " " : "",
			    incomplete);
	else
		table_cell(t, incomplete, OUT_YELLOW);
}

/* What the marks mean, where there are some. */
static void print_legend(const json_t *all, const struct out_style *st, struct clew_buf *b)
{
	bool orphans = false, incomplete = false;
	const json_t *trace;
	size_t i;

	json_array_foreach(all, i, trace)
	{
		orphans |= json_u64(trace, "orphans") != 0;
		incomplete |= json_is_true(json_object_get(trace, "incomplete"));
	}
	if (!orphans && !incomplete)
		return;
	out_color(b, st, OUT_DIM);
	clew_buf_addf(b, "\n%s%s%s\n", orphans ? "? orphans: spans whose parent is not known" : "",
		      orphans && incomplete ? "   " : "", incomplete ? "~ incomplete" : "");
	out_color(b, st, OUT_PLAIN);
}

static void print_count(struct table *t, uint64_t n, int color)
{
	if (n)
		table_cellf(t, color, "%" PRIu64, n);
	else
		table_none(t);
}

static void add_trace(struct table *t, const json_t *trace, unsigned digits, uint64_t now_ns)
{
	char text[CLEW_UNITS_TEXT];
	const char *service = json_str(trace, "service");

	table_cellf(t, OUT_BOLD, "%.*s", (int)digits, json_str(trace, "trace_id"));
	table_cell(t, print_when(json_u64(trace, "start_ns"), now_ns, text), OUT_DIM);
	table_cell(t, service, out_service_color(service));
	table_cell(t, json_str(trace, "name"), OUT_PLAIN);
	table_cell(t, out_duration(t->style, json_u64(trace, "duration_ns"), text), OUT_PLAIN);
	print_count(t, json_u64(trace, "spans"), OUT_PLAIN);
	if (t->style->width >= WIDE)
		print_count(t, json_u64(trace, "services"), OUT_PLAIN);
	print_count(t, json_u64(trace, "errors"), OUT_RED);
	print_notes(t, trace);
}

int view_traces(const char *json, size_t n, const struct out_style *st, uint64_t now_ns,
		struct clew_buf *b)
{
	struct table t;
	json_t *all, *trace;
	unsigned digits;
	size_t i;
	int r = table_of_lines(&t, st, json, n, &all);

	if (r < 0)
		return r;
	digits = id_digits(all);
	table_column(&t, "TRACE", TABLE_LEFT, 0);
	table_column(&t, "STARTED", TABLE_RIGHT, 0);
	table_column(&t, "SERVICE", TABLE_LEFT, 8);
	table_column(&t, "REQUEST", TABLE_LEFT, 12);
	table_column(&t, "DURATION", TABLE_RIGHT, 0);
	table_column(&t, "SPANS", TABLE_RIGHT, 0);
	if (st->width >= WIDE)
		table_column(&t, "SVCS", TABLE_RIGHT, 0);
	table_column(&t, "ERR", TABLE_RIGHT, 0);
	table_column(&t, "", TABLE_LEFT, 0);
	t.columns[t.n_columns - 1].hide_if_empty = true;
	json_array_foreach(all, i, trace) add_trace(&t, trace, digits, now_ns);
	r = table_print(&t, b);
	print_legend(all, st, b);
	table_done(&t);
	json_decref(all);
	return r ? r : b->err;
}

static void add_service(struct table *t, const json_t *s)
{
	const char *service = json_str(s, "service");
	uint64_t requests = json_u64(s, "requests"), errors = json_u64(s, "errors");
	static const char *const percentiles[] = {"p50_ns", "p95_ns", "p99_ns"};
	char text[CLEW_UNITS_TEXT];

	table_cell(t, service, out_service_color(service));
	print_count(t, json_u64(s, "instances"), OUT_PLAIN);
	print_count(t, json_u64(s, "spans"), OUT_PLAIN);
	print_count(t, requests, OUT_PLAIN);
	print_count(t, errors, OUT_RED);
	if (errors && requests)
		table_cellf(t, OUT_RED, "%.1f", 100.0 * (double)errors / (double)requests);
	else
		table_cell(t, "", OUT_PLAIN);
	for (size_t i = 0; i < 3; i++) {
		if (requests)
			table_cell(t, out_duration(t->style, json_u64(s, percentiles[i]), text),
				   OUT_PLAIN);
		else
			table_none(t);
	}
}

int view_services(const char *json, size_t n, const struct out_style *st, struct clew_buf *b)
{
	struct table t;
	json_t *all, *service;
	size_t i;
	int r = table_of_lines(&t, st, json, n, &all);

	if (r < 0)
		return r;
	table_column(&t, "SERVICE", TABLE_LEFT, 12);
	table_column(&t, "INST", TABLE_RIGHT, 0);
	table_column(&t, "SPANS", TABLE_RIGHT, 0);
	table_column(&t, "REQUESTS", TABLE_RIGHT, 0);
	table_column(&t, "ERRORS", TABLE_RIGHT, 0);
	table_column(&t, "ERR %", TABLE_RIGHT, 0);
	t.columns[5].hide_if_empty = true;
	table_column(&t, "P50", TABLE_RIGHT, 0);
	table_column(&t, "P95", TABLE_RIGHT, 0);
	table_column(&t, "P99", TABLE_RIGHT, 0);
	json_array_foreach(all, i, service) add_service(&t, service);
	r = table_print(&t, b);
	table_done(&t);
	json_decref(all);
	return r;
}
