/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <assert.h>
#include <stdio.h>

struct table_cell {
	size_t at; /* in the table's text, NUL-terminated */
	unsigned width;
	unsigned lead; /* bytes at the beginning that are dim */
	int color;
};

void table_init(struct table *t, const struct out_style *style)
{
	*t = (struct table){.style = style};
	clew_buf_init(&t->text, 0);
}

int table_of_lines(struct table *t, const struct out_style *style, const char *json, size_t n,
		   json_t **ret_lines)
{
	int r = json_lines_all(json, n, ret_lines);

	if (r < 0)
		return r;
	out_service_colors_begin();
	table_init(t, style);
	return 0;
}

void table_done(struct table *t)
{
	free(t->cells);
	clew_buf_done(&t->text);
}

void table_column(struct table *t, const char *title, enum table_align align, unsigned min)
{
	struct table_column *c = &t->columns[t->n_columns];

	assert(t->n_columns < TABLE_MAX_COLUMNS);
	t->n_columns++;
	snprintf(c->title, sizeof(c->title), "%s", title);
	c->align = align;
	c->min = min;
}

void table_cell_lead(struct table *t, const char *lead, const char *text, int color)
{
	struct table_cell *cells = t->cells;

	if (t->n_cells == t->cap_cells) {
		size_t cap = t->cap_cells ? t->cap_cells * 2 : 256;

		cells = reallocarray(t->cells, cap, sizeof(*cells));
		if (!cells) {
			t->failed = true;
			return;
		}
		t->cells = cells;
		t->cap_cells = cap;
	}
	cells[t->n_cells++] = (struct table_cell){
		.at = t->text.len,
		.width = out_text_width(t->style, lead) + out_text_width(t->style, text),
		.lead = (unsigned)strlen(lead),
		.color = color,
	};
	clew_buf_adds(&t->text, lead);
	if (clew_buf_add(&t->text, text, strlen(text) + 1) < 0)
		t->failed = true;
}

void table_cell(struct table *t, const char *text, int color)
{
	table_cell_lead(t, "", text, color);
}

void table_none(struct table *t)
{
	table_cell(t, t->style->utf8 ? "\xc2\xb7" : "-", OUT_DIM);
}

void table_cellf(struct table *t, int color, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	table_cell(t, text, color);
}

static bool hidden(const struct table *t, size_t c)
{
	if (!t->columns[c].hide_if_empty)
		return false;
	for (size_t i = c; i < t->n_cells; i += t->n_columns)
		if (t->cells[i].width)
			return false;
	return true;
}

/* The widths that the cells want, then less until all fit. Hidden columns are 0 wide. */
static void find_widths(const struct table *t, unsigned *widths)
{
	unsigned total = 0;

	for (size_t c = 0; c < t->n_columns; c++) {
		widths[c] = 0;
		if (hidden(t, c))
			continue;
		widths[c] = out_text_width(t->style, t->columns[c].title);
		for (size_t i = c; i < t->n_cells; i += t->n_columns)
			if (t->cells[i].width > widths[c])
				widths[c] = t->cells[i].width;
		if (!widths[c])
			widths[c] = 1;
		total += widths[c] + 2;
	}
	for (total -= total ? 2 : 0; total > t->style->width; total--) {
		size_t widest = t->n_columns;

		for (size_t c = 0; c < t->n_columns; c++)
			if (t->columns[c].min && widths[c] > t->columns[c].min &&
			    (widest == t->n_columns || widths[c] > widths[widest]))
				widest = c;
		if (widest == t->n_columns)
			return;
		widths[widest]--;
	}
}

/* The text of a cell in its colour, its lead dim. Returns the columns used. */
static unsigned print_text(struct table *t, struct clew_buf *b, const char *text, unsigned lead,
			   int color, unsigned width)
{
	unsigned w = 0;

	if (lead) {
		_cleanup_(freep) char *tree = strndup(text, lead);

		out_color(b, t->style, OUT_DIM);
		if (tree)
			w = out_text(b, t->style, tree, width);
		out_color(b, t->style, OUT_PLAIN);
	}
	if (color != OUT_PLAIN)
		out_color(b, t->style, color);
	if (w < width)
		w += out_text(b, t->style, text + lead, width - w);
	if (color != OUT_PLAIN)
		out_color(b, t->style, OUT_PLAIN);
	return w;
}

static void print_cell(struct table *t, struct clew_buf *b, size_t c, unsigned width,
		       const char *text, unsigned lead, int color, bool last)
{
	unsigned w = out_text_width(t->style, text);

	if (t->columns[c].align == TABLE_RIGHT && w < width)
		out_pad(b, width - w);
	w = print_text(t, b, text, lead, color, width);
	if (!last)
		out_pad(b, (t->columns[c].align == TABLE_RIGHT ? 0 : width - w) + 2);
}

/* No blanks at the end of a line. */
static void end_line(struct clew_buf *b)
{
	while (b->len && b->data[b->len - 1] == ' ')
		b->data[--b->len] = '\0';
	clew_buf_addc(b, '\n');
}

int table_print(struct table *t, struct clew_buf *b)
{
	unsigned widths[TABLE_MAX_COLUMNS];
	size_t last = 0;

	if (t->failed)
		return b->err = -ENOMEM;
	find_widths(t, widths);
	for (size_t c = 0; c < t->n_columns; c++)
		if (widths[c])
			last = c;
	for (size_t c = 0; c < t->n_columns; c++)
		if (widths[c])
			print_cell(t, b, c, widths[c], t->columns[c].title, 0, OUT_DIM, c == last);
	end_line(b);
	for (size_t i = 0; i < t->n_cells; i++) {
		size_t c = i % t->n_columns;
		const struct table_cell *cell = &t->cells[i];

		if (widths[c])
			print_cell(t, b, c, widths[c], t->text.data + cell->at, cell->lead,
				   cell->color, c == last);
		if (c == t->n_columns - 1)
			end_line(b);
	}
	return b->err;
}
