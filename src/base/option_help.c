/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a person reads of the option table: help for a terminal, source of the man page, and the
 * guess at what a mistyped word was meant to be.
 */
#include "base/option.h"

#include <stdio.h>

/* Words longer than this are nobody's typing mistake. */
#define NEAREST_MAX 40

/* How many letters to change, add, leave out or swap (optimal string alignment). */
static unsigned distance(const char *a, size_t n, const char *b, size_t m)
{
	unsigned d[NEAREST_MAX + 1][NEAREST_MAX + 1];

	for (size_t i = 0; i <= n; i++)
		d[i][0] = (unsigned)i;
	for (size_t j = 0; j <= m; j++)
		d[0][j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		for (size_t j = 1; j <= m; j++) {
			unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			if (d[i - 1][j] + 1 < best)
				best = d[i - 1][j] + 1;
			if (d[i][j - 1] + 1 < best)
				best = d[i][j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    d[i - 2][j - 2] + 1 < best)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	}
	return d[n][m];
}

const char *clew_nearest(const char *word, const char *const *list)
{
	const char *best = NULL, *only_prefix = NULL;
	unsigned best_d = NEAREST_MAX, n_prefix = 0;
	size_t n = strlen(word);

	if (!n || n > NEAREST_MAX)
		return NULL;
	for (; *list; list++) {
		size_t m = strlen(*list);
		unsigned dist;

		if (m > NEAREST_MAX)
			continue;
		if (m > n && !strncmp(word, *list, n)) {
			only_prefix = *list;
			n_prefix++;
		}
		dist = distance(word, n, *list, m);
		if (dist < best_d) {
			best_d = dist;
			best = *list;
		}
	}
	/* One letter in three may be wrong. */
	if (best && best_d <= (n + 2) / 3)
		return best;
	return n_prefix == 1 ? only_prefix : NULL;
}

static void pad(struct clew_buf *b, unsigned n)
{
	while (n--)
		clew_buf_addc(b, ' ');
}

void clew_text_wrap(struct clew_buf *b, const char *text, unsigned indent, unsigned col,
		    unsigned width)
{
	bool first = true;

	for (const char *s = text; *s;) {
		size_t n = strcspn(s, " ");

		if (!first && col + 1 + n > width) {
			clew_buf_addc(b, '\n');
			pad(b, indent);
			col = indent;
			first = true;
		}
		if (!first) {
			clew_buf_addc(b, ' ');
			col++;
		}
		clew_buf_add(b, s, n);
		col += (unsigned)n;
		first = false;
		s += n + strspn(s + n, " ");
	}
	clew_buf_addc(b, '\n');
}

static bool shown(const struct clew_option *row, uint32_t command)
{
	return !row->later && (row->commands & command);
}

/* "-d, --db DIR" */
static void print_name(struct clew_buf *b, const struct clew_option *row)
{
	if (row->letter)
		clew_buf_addf(b, "-%c, ", row->letter);
	else
		clew_buf_adds(b, "    ");
	clew_buf_addf(b, "--%s", row->name);
	if (row->type != CLEW_OPT_FLAG)
		clew_buf_addf(b, " %s", row->arg);
	if (row->repeat)
		clew_buf_adds(b, " ...");
}

int clew_option_help(struct clew_buf *b, const struct clew_option *table, uint32_t command,
		     unsigned width)
{
	const unsigned indent = 28;
	const char *group = NULL, *printed = NULL;

	for (const struct clew_option *row = table; row->name; row++) {
		struct clew_buf text;
		size_t before;
		unsigned col;

		if (row->group)
			group = row->group;
		if (!shown(row, command))
			continue;
		if (group != printed)
			clew_buf_addf(b, "\n%s:\n", group);
		printed = group;
		clew_buf_adds(b, "  ");
		before = b->len;
		print_name(b, row);
		col = (unsigned)(b->len - before) + 2;
		if (col + 2 > indent) {
			clew_buf_addc(b, '\n');
			col = 0;
		}
		pad(b, indent - col);
		clew_buf_init(&text, 0);
		clew_buf_adds(&text, row->help);
		if (row->def)
			clew_buf_addf(&text, " [default: %s]", row->def);
		if (!text.err)
			clew_text_wrap(b, text.data, indent, indent, width);
		if (text.err && !b->err)
			b->err = text.err;
		clew_buf_done(&text);
	}
	return b->err;
}

void clew_man_escape(struct clew_buf *b, const char *text)
{
	bool line_start = true;

	for (const char *s = text; *s; s++) {
		if (line_start && (*s == '.' || *s == '\''))
			clew_buf_adds(b, "\\&");
		line_start = *s == '\n';
		switch (*s) {
		case '\\':
			clew_buf_adds(b, "\\e");
			break;
		case '-':
			clew_buf_adds(b, "\\-");
			break;
		case '\'':
			clew_buf_adds(b, "\\(aq");
			break;
		case '`':
			clew_buf_adds(b, "\\(ga");
			break;
		case '^':
			clew_buf_adds(b, "\\(ha");
			break;
		case '~':
			clew_buf_adds(b, "\\(ti");
			break;
		default:
			clew_buf_addc(b, *s);
		}
	}
}

/* "(run, record)": which commands know the row. */
static void print_commands(struct clew_buf *b, const struct clew_option *row,
			   const char *const *names)
{
	const char *sep = " (";
	uint32_t all = 0;

	for (size_t i = 0; names[i]; i++)
		all |= 1u << i;
	if ((row->commands & all) == all)
		return;
	for (size_t i = 0; names[i]; i++) {
		if (!(row->commands & (1u << i)))
			continue;
		clew_buf_addf(b, "%s%s", sep, names[i]);
		sep = ", ";
	}
	clew_buf_addc(b, ')');
}

static void print_man_row(struct clew_buf *b, const struct clew_option *row,
			  const char *const *names)
{
	clew_buf_adds(b, ".TP\n");
	if (row->letter)
		clew_buf_addf(b, "\\fB\\-%c\\fR, ", row->letter);
	clew_buf_adds(b, "\\fB\\-\\-");
	clew_man_escape(b, row->name);
	clew_buf_adds(b, "\\fR");
	if (row->type != CLEW_OPT_FLAG) {
		clew_buf_adds(b, " \\fI");
		clew_man_escape(b, row->arg);
		clew_buf_adds(b, "\\fR");
	}
	print_commands(b, row, names);
	clew_buf_addc(b, '\n');
	clew_man_escape(b, row->help);
	clew_buf_addc(b, '\n');
	if (row->repeat)
		clew_buf_adds(b, "May be given more than once.\n");
	if (row->def) {
		clew_buf_adds(b, "Default: ");
		clew_man_escape(b, row->def);
		clew_buf_adds(b, ".\n");
	}
	if (row->env) {
		clew_buf_adds(b, "Environment: \\fB");
		clew_man_escape(b, row->env);
		clew_buf_adds(b, row->repeat ? "\\fR, separated by commas.\n" : "\\fR.\n");
	}
}

int clew_option_man(struct clew_buf *b, const struct clew_option *table, const char *const *names)
{
	for (const struct clew_option *row = table; row->name; row++) {
		if (row->group)
			clew_buf_addf(b, ".SS %s\n", row->group);
		if (!row->later)
			print_man_row(b, row, names);
	}
	return b->err;
}
