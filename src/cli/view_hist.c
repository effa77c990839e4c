/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A histogram as bars, from the shortest to the longest; empty buckets between are shown, so that two
 * humps look like two.
 *
 *	  10 ms to 13 ms  ████████████████  812
 *	  13 ms to 16 ms  ███               140  4bf92f35
 */
#include <inttypes.h>
#include <jansson.h>

#include "base/units.h"
#include "cli/json_lines.h"
#include "cli/view.h"

/* Columns beside the bar. */
#define LEFT_WIDTH  24
#define RIGHT_WIDTH 26

static void put_bar(struct clew_buf *b, const struct out_style *st, uint64_t n, uint64_t errors,
		    uint64_t max, unsigned width)
{
	unsigned all = max ? (unsigned)((n * width + max - 1) / max) : 0;
	unsigned red = n ? (unsigned)((errors * all + n - 1) / n) : 0;

	out_color(b, st, OUT_RED);
	for (unsigned i = 0; i < all; i++) {
		if (i == red)
			out_color(b, st, OUT_PLAIN);
		clew_buf_adds(b, i < red ? (st->utf8 ? "\xe2\x96\x93" : "!")
					 : (st->utf8 ? "\xe2\x96\x88" : "#"));
	}
	out_color(b, st, OUT_PLAIN);
	out_pad(b, width - all);
}

static void put_range(struct clew_buf *b, const struct out_style *st, uint64_t from, uint64_t to)
{
	char text[CLEW_UNITS_TEXT];

	out_right(b, st, out_duration(st, from, text), 10);
	clew_buf_adds(b, " to ");
	out_left(b, st, out_duration(st, to, text), 10);
}

static void put_bucket(struct clew_buf *b, const struct out_style *st, const json_t *bucket,
		       uint64_t max, unsigned width)
{
	uint64_t n = json_u64(bucket, "count"), errors = json_u64(bucket, "errors");
	const char *example =
		json_string_value(json_array_get(json_object_get(bucket, "examples"), 0));

	put_range(b, st, json_u64(bucket, "from_ns"), json_u64(bucket, "to_ns"));
	put_bar(b, st, n, errors, max, width);
	clew_buf_addf(b, " %9" PRIu64, n);
	out_color(b, st, OUT_DIM);
	if (example)
		clew_buf_addf(b, "  %.12s", example);
	out_color(b, st, OUT_PLAIN);
	clew_buf_addc(b, '\n');
}

int view_hist(const char *json, size_t n, const struct out_style *st, struct clew_buf *b)
{
	json_t *all = json_loadb(json, n, 0, NULL), *list = json_object_get(all, "buckets"), *v;
	unsigned width = st->width > LEFT_WIDTH + RIGHT_WIDTH + 10
				 ? st->width - LEFT_WIDTH - RIGHT_WIDTH
				 : 10;
	uint64_t max = 0, errors, last = 0;
	size_t i;

	if (!json_is_array(list)) {
		json_decref(all);
		return -EBADMSG;
	}
	errors = json_u64(all, "errors");
	json_array_foreach(list, i, v) max =
		json_u64(v, "count") > max ? json_u64(v, "count") : max;
	json_array_foreach(list, i, v)
	{
		if (i && json_u64(v, "from_ns") > last) {
			put_range(b, st, last, json_u64(v, "from_ns"));
			clew_buf_addc(b, '\n');
		}
		put_bucket(b, st, v, max, width);
		last = json_u64(v, "to_ns");
	}
	if (!json_array_size(list))
		clew_buf_adds(b, "nothing matches");
	else
		clew_buf_addf(b, "\n%" PRIu64 " in all", json_u64(all, "n"));
	if (errors)
		clew_buf_addf(b, ", %" PRIu64 " with errors (%s)", errors,
			      st->utf8 ? "\xe2\x96\x93" : "!");
	clew_buf_addc(b, '\n');
	json_decref(all);
	return b->err;
}
