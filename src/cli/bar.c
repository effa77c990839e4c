/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bar.h"

#include <stdio.h>

#include "base/units.h"

/* The least distance of two labels on the axis. */
#define LABEL_CELLS 10

enum cell {
	CELL_EMPTY,
	CELL_OWN,    /* the span's own work */
	CELL_BELOW,  /* a span below it runs */
	CELL_ALIKE,  /* one of those that a row of others stands for */
	CELL_HALF_L, /* own, ends in the middle */
	CELL_HALF_R, /* own, begins in the middle */
	CELL_EIGHTH, /* CELL_EIGHTH + 0 to 6: own, one to seven eighths from the left */
};

void axis_init(struct axis *a, const struct tree *t, unsigned cells)
{
	*a = (struct axis){
		.start_ns = t->start_ns, .length_ns = t->end_ns - t->start_ns, .cells = cells};
	if (!a->length_ns)
		a->length_ns = 1;
	if (a->cells > BAR_MAX_CELLS)
		a->cells = BAR_MAX_CELLS;
}

static double cell_of(const struct axis *a, uint64_t ns)
{
	return (double)(ns - a->start_ns) * a->cells / (double)a->length_ns;
}

/* A step of 1, 2 or 5 times a power of ten (of 60 above a minute) that leaves room for labels. */
static uint64_t tick_step(const struct axis *a)
{
	static const uint64_t long_steps[] = {60,   120,  300,	600,   1200,
					      1800, 3600, 7200, 14400, 43200};
	unsigned n = a->cells / LABEL_CELLS;
	uint64_t least = a->length_ns / (n ? n : 1), step = 1;

	if (least > 50 * CLEW_NS_PER_S) {
		for (size_t i = 0; i < sizeof(long_steps) / sizeof(long_steps[0]); i++)
			if (long_steps[i] * CLEW_NS_PER_S >= least)
				return long_steps[i] * CLEW_NS_PER_S;
		return (least / (86400 * CLEW_NS_PER_S) + 1) * 86400 * CLEW_NS_PER_S;
	}
	while (step * 10 <= least)
		step *= 10;
	return step >= least	   ? step
	       : 2 * step >= least ? 2 * step
	       : 5 * step >= least ? 5 * step
				   : 10 * step;
}

/* Without decimals that say nothing: "50 ms", "1.5 s". */
static const char *tick_label(const struct out_style *st, uint64_t ns, char *out)
{
	char *dot, *blank;

	if (!ns)
		return strcpy(out, "0");
	out_duration(st, ns, out);
	dot = strchr(out, '.');
	blank = strchr(out, ' ');
	if (dot && blank && strspn(dot + 1, "0") == (size_t)(blank - dot - 1))
		memmove(dot, blank, strlen(blank) + 1);
	return out;
}

void axis_print(struct axis *a, const struct out_style *st, struct clew_buf *b)
{
	uint64_t step = tick_step(a);
	unsigned col = 0;

	out_color(b, st, OUT_DIM);
	for (uint64_t ns = 0; ns <= a->length_ns; ns += step) {
		char label[CLEW_UNITS_TEXT];
		unsigned at = (unsigned)cell_of(a, a->start_ns + ns), w;

		if (at < a->cells)
			a->grid[at] = ns != 0;
		w = out_text_width(st, tick_label(st, ns, label));
		if (at < col || at + w > a->cells)
			continue;
		out_pad(b, at - col);
		clew_buf_adds(b, label);
		col = at + w;
	}
	out_color(b, st, OUT_PLAIN);
}

/* The cells whose middle lies in the span: it has the most of their time. */
static void mark(const struct axis *a, const struct tree_span *s, uint8_t *cells, enum cell kind)
{
	double from = cell_of(a, s->start_ns), to = cell_of(a, s->end_ns);

	for (unsigned c = (unsigned)(from + 0.5); c < a->cells && c + 0.5 <= to; c++)
		if (cells[c] != CELL_EMPTY)
			cells[c] = (uint8_t)kind;
}

static enum cell eighth(double part)
{
	int n = (int)(part * 8 + 0.5);

	if (n >= 8)
		return CELL_OWN;
	return (enum cell)(CELL_EIGHTH + (n < 1 ? 0 : n - 1));
}

static void fill_span(const struct axis *a, const struct tree *t, const struct tree_span *s,
		      uint8_t *cells)
{
	double from = cell_of(a, s->start_ns), to = cell_of(a, s->end_ns);
	unsigned first = (unsigned)from, last;

	if (first >= a->cells)
		first = a->cells - 1;
	last = to > first + 1 ? (unsigned)to - ((double)(unsigned)to == to) : first;
	if (last >= a->cells)
		last = a->cells - 1;
	for (unsigned c = first; c <= last; c++)
		cells[c] = CELL_OWN;
	for (uint32_t i = s->first_child; i != TREE_NONE; i = t->spans[i].next)
		mark(a, &t->spans[i], cells, CELL_BELOW);
	if (first == last && cells[first] == CELL_OWN)
		cells[first] = (uint8_t)(from - first >= 0.5 ? CELL_HALF_R : eighth(to - from));
	else if (cells[first] == CELL_OWN && from - first >= 0.5)
		cells[first] = CELL_HALF_R;
	if (first != last && cells[last] == CELL_OWN)
		cells[last] = (uint8_t)eighth(to - last);
}

/* Siblings of the row's span that are alike, but not it. */
static void fill_alike(const struct axis *a, const struct tree *t, const struct walk_row *row,
		       uint8_t *cells)
{
	const struct tree_span *s = &t->spans[row->span];
	uint32_t i = s->parent == TREE_NONE ? t->first_root : t->spans[s->parent].first_child;

	for (; i != TREE_NONE; i = t->spans[i].next) {
		const struct tree_span *other = &t->spans[i];
		unsigned from = (unsigned)cell_of(a, other->start_ns);
		double to = cell_of(a, other->end_ns);

		if (i == row->span || other->group != s->group)
			continue;
		if (from >= a->cells)
			from = a->cells - 1;
		for (unsigned c = from; c < a->cells && (c == from || c + 0.5 <= to); c++)
			cells[c] = CELL_ALIKE;
	}
}

static const char *glyph(const struct out_style *st, uint8_t cell, bool call)
{
	static const char *const eighths[] = {"\xe2\x96\x8f", "\xe2\x96\x8e", "\xe2\x96\x8d",
					      "\xe2\x96\x8c", "\xe2\x96\x8b", "\xe2\x96\x8a",
					      "\xe2\x96\x89"};

	if (cell == CELL_ALIKE)
		return st->utf8 ? "\xe2\x96\x92" : ":";
	if (!st->utf8)
		return cell == CELL_BELOW ? (call ? "-" : ".") : call ? "=" : "#";
	if (cell >= CELL_EIGHTH && !call)
		return eighths[cell - CELL_EIGHTH];
	if (cell >= CELL_EIGHTH)
		return cell - CELL_EIGHTH < 5 ? "\xe2\x95\xb8" : "\xe2\x94\x81";
	switch (cell) {
	case CELL_BELOW:
		return call ? "\xe2\x94\x80" : "\xe2\x96\x91";
	case CELL_HALF_L:
		return call ? "\xe2\x95\xb8" : "\xe2\x96\x8c";
	case CELL_HALF_R:
		return call ? "\xe2\x95\xba" : "\xe2\x96\x90";
	default:
		return call ? "\xe2\x94\x81" : "\xe2\x96\x88";
	}
}

void bar_print(const struct axis *a, const struct out_style *st, const struct tree *t,
	       const struct walk_row *row, struct clew_buf *b)
{
	const struct tree_span *s = &t->spans[row->span];
	int color = s->status == 2 ? OUT_RED : out_service_color(s->service), now = OUT_PLAIN;
	uint8_t cells[BAR_MAX_CELLS] = {CELL_EMPTY};

	if (row->folded)
		fill_alike(a, t, row, cells);
	else
		fill_span(a, t, s, cells);
	for (unsigned c = 0; c < a->cells; c++) {
		bool line = cells[c] == CELL_EMPTY && a->grid[c];
		int want = cells[c] != CELL_EMPTY ? color : line ? OUT_DIM : now;

		if (want != now) {
			out_color(b, st, OUT_PLAIN);
			out_color(b, st, want);
			now = want;
		}
		if (cells[c] != CELL_EMPTY)
			clew_buf_adds(b, glyph(st, cells[c], tree_is_call(s)));
		else
			clew_buf_adds(b, !line ? " " : st->utf8 ? "\xe2\x94\x8a" : "'");
	}
	if (now != OUT_PLAIN)
		out_color(b, st, OUT_PLAIN);
}
