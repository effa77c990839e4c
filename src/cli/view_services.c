/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the calls of each service were linked: a table, then in words how each is thought to work, what
 * settled its links, what stood in the way of the others, and what would make it better.
 *
 *	SERVICE  RUNTIME               CHECKED  CALLS  CERTAIN  PROBABLE  ORPHANS  OWN
 *	cart     nodejs 20.19, thread   98.2 %  1,200   56.0 %     1.0 %   43.0 %   12
 *
 *	cart: event loop, what was read last. Settled by thread 672, completion 650. Orphans:
 *	    unconfirmed 500, conflict 16.
 *	    Node: no task visible; --agent node would settle up to 43 % of its links.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/option.h"
#include "base/units.h"
#include "cli/json_lines.h"
#include "cli/table.h"
#include "cli/view.h"

/* The most evidence that is named of a service, and the most reasons. */
#define MAX_COUNTS 16

static void add_share(struct table *t, uint64_t n, uint64_t all, int color)
{
	if (all && n)
		table_cellf(t, color, "%.1f %%", 100.0 * (double)n / (double)all);
	else
		table_none(t);
}

/* "nodejs 20.19.2, thread" */
static void add_runtime(struct table *t, const json_t *s)
{
	const char *name = json_str(s, "runtime"), *task = json_str(s, "task");
	const char *version = json_str(s, "runtime_version");
	bool known = *version && strcmp(version, "unknown") != 0;

	if (*name)
		table_cellf(t, OUT_PLAIN, "%s%s%s%s%s", name, known ? " " : "",
			    known ? version : "", *task ? ", " : "", task);
	else
		table_none(t);
}

static void add_service(struct table *t, const json_t *s)
{
	const char *service = json_str(s, "service");
	uint64_t hits = json_u64(s, "hits"), checks = hits + json_u64(s, "misses");
	uint64_t certain = json_u64(s, "certain"), probable = json_u64(s, "probable");
	uint64_t orphans = json_u64(s, "orphans"), links = certain + probable + orphans;

	table_cell(t, service, out_service_color(service));
	add_runtime(t, s);
	if (checks)
		table_cellf(t, OUT_PLAIN, "%.1f %%", 100.0 * (double)hits / (double)checks);
	else
		table_none(t);
	table_cellf(t, OUT_PLAIN, "%" PRIu64, links);
	add_share(t, certain, links, OUT_PLAIN);
	add_share(t, probable, links, OUT_PLAIN);
	add_share(t, orphans, links, OUT_YELLOW);
	table_cellf(t, OUT_PLAIN, "%" PRIu64, json_u64(s, "roots"));
}

/* ". Settled by thread 672, completion 650", the most frequent first */
static void add_counts(struct clew_buf *b, const char *lead, json_t *counts)
{
	const char *keys[MAX_COUNTS], *key, *sep = lead;
	json_int_t v[MAX_COUNTS];
	size_t n = 0;
	json_t *value;

	json_object_foreach(counts, key, value)
	{
		size_t at = n < MAX_COUNTS ? n++ : MAX_COUNTS - 1;

		for (; at && v[at - 1] < json_integer_value(value); at--) {
			keys[at] = keys[at - 1];
			v[at] = v[at - 1];
		}
		keys[at] = key;
		v[at] = json_integer_value(value);
	}
	for (size_t i = 0; i < n; i++) {
		clew_buf_addf(b, "%s%s %" JSON_INTEGER_FORMAT, sep, keys[i], v[i]);
		sep = ", ";
	}
}

/* Words come from a store, names were seen on this host: made safe before they are wrapped. */
static void print_words(struct clew_buf *b, const struct out_style *st,
			const struct clew_buf *words, unsigned col)
{
	struct clew_buf safe;

	clew_buf_init(&safe, 1 << 18);
	out_text(&safe, st, words->data ? words->data : "", UINT32_MAX / 2);
	clew_text_wrap(b, safe.data ? safe.data : "", 4, col, st->width);
	clew_buf_done(&safe);
}

static void print_why(const json_t *s, const struct out_style *st, struct clew_buf *b)
{
	const char *service = json_str(s, "service");
	struct clew_buf words;
	unsigned width;

	clew_buf_init(&words, 1 << 16);
	out_color(b, st, out_service_color(service));
	width = out_text(b, st, service, st->width / 2);
	out_color(b, st, OUT_PLAIN);
	clew_buf_adds(b, ": ");
	clew_buf_adds(&words, json_str(s, "model"));
	add_counts(&words, ". Settled by ", json_object_get(s, "settled"));
	add_counts(&words, ". Orphans: ", json_object_get(s, "orphaned"));
	clew_buf_addc(&words, '.');
	print_words(b, st, &words, width + 2);
	clew_buf_clear(&words);
	clew_buf_addf(&words, "%s.", json_str(json_object_get(s, "advice"), "text"));
	out_pad(b, 4);
	print_words(b, st, &words, 4);
	clew_buf_done(&words);
}

int view_services_why(const char *json, size_t n, const struct out_style *st, struct clew_buf *b)
{
	struct table t;
	json_t *all, *service;
	size_t i;
	int r = table_of_lines(&t, st, json, n, &all);

	if (r < 0)
		return r;
	table_column(&t, "SERVICE", TABLE_LEFT, 8);
	table_column(&t, "RUNTIME", TABLE_LEFT, 7);
	table_column(&t, "CHECKED", TABLE_RIGHT, 0);
	table_column(&t, "CALLS", TABLE_RIGHT, 0);
	table_column(&t, "CERTAIN", TABLE_RIGHT, 0);
	table_column(&t, "PROBABLE", TABLE_RIGHT, 0);
	table_column(&t, "ORPHANS", TABLE_RIGHT, 0);
	table_column(&t, "OWN", TABLE_RIGHT, 0);
	json_array_foreach(all, i, service) add_service(&t, service);
	r = table_print(&t, b);
	clew_buf_addc(b, '\n');
	json_array_foreach(all, i, service) print_why(service, st, b);
	table_done(&t);
	json_decref(all);
	return r ? r : b->err;
}
