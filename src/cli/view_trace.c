/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One trace as a waterfall: the tree on the left, bars on one axis in the middle, durations on the
 * right.
 *
 *	front GET /checkout ✗ 502       ████░░░░░░░░░░░░░░░███    128 ms
 *	├╴→ GET                             ━━━━━─────────━       92 ms
 *	│ └╴cart GET /cart/{id}                  ████████         88 ms
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/option.h"
#include "base/units.h"
#include "cli/bar.h"
#include "cli/view.h"
#include "cli/why.h"

#define DURATION_WIDTH 8

struct view {
	const struct tree *t;
	const struct out_style *st;
	struct clew_buf *b;
	struct axis axis;
	unsigned left;	 /* columns of the tree and the labels */
	unsigned levels; /* of the tree that are drawn; deeper ones are numbered */
	uint64_t hidden;
	uint64_t folds;
	bool why;
	bool any_lost, any_call, any_below;
};

/* The marks behind a name: what the legend explains. */
struct marks {
	char text[64];
	unsigned width;
	int color;
};

static struct marks marks_of(const struct view *v, const struct tree_span *s)
{
	struct marks m = {.color = s->status == 2 ? OUT_RED : OUT_YELLOW};
	struct clew_buf b;

	clew_buf_init(&b, 0);
	if (s->status == 2) {
		clew_buf_adds(&b, v->st->utf8 ? " \xe2\x9c\x97" : " !");
		if (*s->error) {
			clew_buf_addc(&b, ' ');
			out_text(&b, v->st, s->error, 14);
		}
	}
	if (tree_is_orphan(s))
		clew_buf_adds(&b, " ?");
	if (s->lost_parent)
		clew_buf_adds(&b, " ^");
	if (*s->incomplete)
		clew_buf_adds(&b, " ~");
	if (b.data)
		snprintf(m.text, sizeof(m.text), "%s", b.data);
	clew_buf_done(&b);
	m.width = out_text_width(v->st, m.text);
	return m;
}

/* A service is named where the work changes hands; what it calls carries an arrow instead. */
static bool shows_service(const struct view *v, const struct tree_span *s)
{
	return s->parent == TREE_NONE || !tree_is_call(s) ||
	       strcmp(v->t->spans[s->parent].service, s->service) != 0;
}

/* The name, and of a call that nobody who is traced answered, whom it called. */
static void print_name(const struct view *v, const struct tree_span *s, struct clew_buf *b)
{
	if (tree_is_call(s))
		clew_buf_adds(b, v->st->utf8 ? "\xe2\x86\x92 " : "> ");
	clew_buf_adds(b, *s->name ? s->name : "(no name)");
	if (!tree_is_call(s) || s->first_child != TREE_NONE || !*s->peer ||
	    strstr(s->name, s->peer))
		return;
	clew_buf_addf(b, " %s", s->peer);
	if (s->peer_port)
		clew_buf_addf(b, ":%" PRIu64, s->peer_port);
}

static unsigned prefix_width(const struct view *v, unsigned depth)
{
	return 2 * (depth > v->levels ? v->levels : depth);
}

/* Lines of the tree for a row; below: for a line under the row, of which children may follow. */
static void print_prefix(struct view *v, const struct walk_row *row, bool below)
{
	static const char *const utf8[] = {"\xe2\x94\x9c\xe2\x95\xb4", "\xe2\x94\x94\xe2\x95\xb4",
					   "\xe2\x94\x82 ", "  "};
	static const char *const ascii[] = {"|-", "`-", "| ", "  "};
	const char *const *glyphs = v->st->utf8 ? utf8 : ascii;
	uint32_t first = 1;

	out_color(v->b, v->st, OUT_DIM);
	if (row->depth > v->levels) {
		char number[16];

		/* The depth stands in the place of three levels, before those that are drawn. */
		snprintf(number, sizeof(number), "%-6u", row->depth);
		clew_buf_addf(v->b, "%.6s", below ? "      " : number);
		first = row->depth - v->levels + 4;
	}
	for (uint32_t l = first; l <= row->depth; l++) {
		bool last = l == row->depth && !below;

		clew_buf_adds(v->b, glyphs[last ? !row->more[l] : row->more[l] ? 2 : 3]);
	}
	out_color(v->b, v->st, OUT_PLAIN);
}

/* The label in room columns; returns those used. */
static unsigned print_label(struct view *v, const struct tree_span *s, unsigned room)
{
	struct marks m = marks_of(v, s);
	struct clew_buf name;
	unsigned used = 0, service;

	if (m.width > room)
		m.width = 0;
	room -= m.width;
	clew_buf_init(&name, 0);
	print_name(v, s, &name);
	if (shows_service(v, s)) {
		unsigned wanted = out_text_width(v->st, name.data ? name.data : "");

		service = out_text_width(v->st, s->service);
		/* The service gives way down to half of the room. */
		if (service + 1 + wanted > room)
			service = service < room / 2	  ? service
				  : wanted + 1 > room / 2 ? room / 2
							  : room - wanted - 1;
		out_color(v->b, v->st, out_service_color(s->service));
		used = out_text(v->b, v->st, s->service, service);
		out_color(v->b, v->st, OUT_PLAIN);
		if (used < room) {
			clew_buf_addc(v->b, ' ');
			used++;
		}
	}
	if (name.data)
		used += out_text(v->b, v->st, name.data, room - used);
	clew_buf_done(&name);
	if (m.width) {
		out_color(v->b, v->st, m.color);
		clew_buf_adds(v->b, m.text);
		out_color(v->b, v->st, OUT_PLAIN);
	}
	return used + m.width;
}

static void print_folded(struct view *v, const struct walk_row *row)
{
	char text[96], duration[CLEW_UNITS_TEXT];
	unsigned indent = prefix_width(v, row->depth);
	const struct tree_span *s = &v->t->spans[row->span];

	out_duration(v->st, s->end_ns - s->start_ns, duration);
	snprintf(text, sizeof(text), "%s %u more like this", v->st->utf8 ? "\xe2\x8b\xae" : ":",
		 row->folded);
	print_prefix(v, row, false);
	out_color(v->b, v->st, OUT_DIM);
	out_left(v->b, v->st, text, v->left > indent ? v->left - indent : 0);
	out_color(v->b, v->st, OUT_PLAIN);
	clew_buf_addc(v->b, ' ');
	bar_print(&v->axis, v->st, v->t, row, v->b);
	clew_buf_addc(v->b, '\n');
	v->hidden += row->hidden;
	v->folds++;
}

/* A line of words under a row, wrapped, after the tree's lines. */
static void print_words(struct view *v, const struct walk_row *row, const char *lead,
			const struct clew_buf *words)
{
	unsigned at = prefix_width(v, row->depth) + 4, room;
	const char *s = words->data;
	unsigned indent = out_text_width(v->st, lead);
	bool first = true;

	if (!s || !*s)
		return;
	room = v->st->width > at + indent + 20 ? v->st->width - at - indent : 20;
	while (*s) {
		size_t n = 0, take = 0;

		/* As many words as fit, at least one. */
		for (;;) {
			n += strcspn(s + n, " ");
			if (take && n > room)
				break;
			take = n;
			if (!s[n])
				break;
			n++;
		}
		print_prefix(v, row, true);
		out_color(v->b, v->st, OUT_DIM);
		clew_buf_adds(v->b, row->children ? (v->st->utf8 ? "\xe2\x94\x82 " : "| ") : "  ");
		if (first)
			clew_buf_adds(v->b, lead);
		else
			out_pad(v->b, indent);
		clew_buf_add(v->b, s, take);
		out_color(v->b, v->st, OUT_PLAIN);
		clew_buf_addc(v->b, '\n');
		first = false;
		s += take;
		s += strspn(s, " ");
	}
}

/* Words may quote what was seen on a wire: made safe before they are wrapped. */
static void print_safe(struct view *v, const struct walk_row *row, const char *what,
		       const struct clew_buf *raw)
{
	struct clew_buf safe;
	char lead[48];

	clew_buf_init(&safe, 1 << 17);
	if (raw->data)
		out_text(&safe, v->st, raw->data, UINT32_MAX / 2);
	snprintf(lead, sizeof(lead), "%s%s: ", v->st->utf8 ? "\xe2\x94\x94 " : "`- ", what);
	print_words(v, row, lead, &safe);
	clew_buf_done(&safe);
}

static void print_reason(struct view *v, const struct walk_row *row, const char *what,
			 void (*words)(struct clew_buf *b, const struct tree *t,
				       const struct tree_span *s))
{
	struct clew_buf raw;

	clew_buf_init(&raw, 1 << 16);
	words(&raw, v->t, &v->t->spans[row->span]);
	print_safe(v, row, what, &raw);
	clew_buf_done(&raw);
}

static void print_candidates(struct view *v, const struct walk_row *row)
{
	struct clew_buf raw;

	clew_buf_init(&raw, 1 << 16);
	for (size_t i = 0; why_candidate(&raw, v->t, &v->t->spans[row->span], i); i++) {
		print_safe(v, row, "candidate", &raw);
		clew_buf_clear(&raw);
	}
	clew_buf_done(&raw);
}

static void link_words(struct clew_buf *b, const struct tree *t, const struct tree_span *s)
{
	why_link(b, s);
	if (s->lost_parent)
		clew_buf_addf(b, "; its parent, span %.16s, is not in the store", s->parent_id);
}

static void incomplete_words(struct clew_buf *b, const struct tree *t, const struct tree_span *s)
{
	why_incomplete(b, s);
}

static void print_row(void *user, const struct walk_row *row)
{
	struct view *v = user;
	const struct tree_span *s = &v->t->spans[row->span];
	unsigned indent = prefix_width(v, row->depth);
	char duration[CLEW_UNITS_TEXT];

	if (row->folded) {
		print_folded(v, row);
		return;
	}
	print_prefix(v, row, false);
	indent += print_label(v, s, v->left > indent ? v->left - indent : 0);
	out_pad(v->b, v->left > indent ? v->left - indent + 1 : 1);
	bar_print(&v->axis, v->st, v->t, row, v->b);
	clew_buf_addc(v->b, ' ');
	out_color(v->b, v->st, s->status == 2 ? OUT_RED : OUT_PLAIN);
	out_right(v->b, v->st, out_duration(v->st, s->end_ns - s->start_ns, duration),
		  DURATION_WIDTH);
	out_color(v->b, v->st, OUT_PLAIN);
	clew_buf_addc(v->b, '\n');
	v->any_lost |= s->lost_parent;
	v->any_call |= tree_is_call(s);
	if (!v->why)
		return;
	print_reason(v, row, "why", link_words);
	if (tree_is_orphan(s))
		print_candidates(v, row);
	print_reason(v, row, "incomplete", incomplete_words);
}

/* The widest label with its tree, so that short names leave the room to the bars. */
static void measure_row(void *user, const struct walk_row *row)
{
	struct view *v = user;
	const struct tree_span *s = &v->t->spans[row->span];
	unsigned w = prefix_width(v, row->depth) + marks_of(v, s).width;
	struct clew_buf name;

	clew_buf_init(&name, 0);
	print_name(v, s, &name);
	w += out_text_width(v->st, name.data ? name.data : "");
	clew_buf_done(&name);
	if (shows_service(v, s))
		w += out_text_width(v->st, s->service) + 1;
	if (w > v->left)
		v->left = w;
}

/* One fact of the summary, on a line of its own where the last one has no room. */
static void print_fact(struct view *v, unsigned *col, int color, const char *text)
{
	const char *sep = v->st->utf8 ? " \xc2\xb7 " : ", ";
	unsigned w = out_text_width(v->st, text), sep_w = out_text_width(v->st, sep);

	if (*col && *col + sep_w + w > v->st->width) {
		clew_buf_addc(v->b, '\n');
		*col = 0;
	}
	if (*col)
		clew_buf_adds(v->b, sep);
	*col += (*col ? sep_w : 0) + w;
	out_color(v->b, v->st, color);
	clew_buf_adds(v->b, text);
	out_color(v->b, v->st, OUT_PLAIN);
}

static void print_count(struct view *v, unsigned *col, uint32_t n, const char *what, int color)
{
	char text[64];

	if (!n)
		return;
	snprintf(text, sizeof(text), "%u %s%s", n, what,
		 n == 1 || !strcmp(what, "incomplete") ? "" : "s");
	print_fact(v, col, color, text);
}

static void print_head(struct view *v)
{
	char text[64], duration[CLEW_UNITS_TEXT];
	time_t start = (time_t)(v->t->start_ns / CLEW_NS_PER_S);
	unsigned col = 0;
	struct tm tm;
	size_t n;

	out_color(v->b, v->st, OUT_BOLD);
	clew_buf_adds(v->b, "trace ");
	out_text(v->b, v->st, v->t->trace_id, v->st->width - 6);
	out_color(v->b, v->st, OUT_PLAIN);
	clew_buf_addc(v->b, '\n');
	localtime_r(&start, &tm);
	n = strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%03u",
		 (unsigned)(v->t->start_ns % CLEW_NS_PER_S / CLEW_NS_PER_MS));
	print_fact(v, &col, OUT_PLAIN, text);
	print_fact(v, &col, OUT_PLAIN,
		   out_duration(v->st, v->t->end_ns - v->t->start_ns, duration));
	print_count(v, &col, v->t->n, "span", OUT_PLAIN);
	print_count(v, &col, v->t->n_services, "service", OUT_PLAIN);
	print_count(v, &col, v->t->n_errors, "error", OUT_RED);
	print_count(v, &col, v->t->n_orphans, "orphan", OUT_YELLOW);
	print_count(v, &col, v->t->n_incomplete, "incomplete", OUT_YELLOW);
	if (v->t->not_stored) {
		snprintf(text, sizeof(text), "%" PRIu64 " more not stored", v->t->not_stored);
		print_fact(v, &col, OUT_YELLOW, text);
	}
	clew_buf_adds(v->b, "\n\n");
}

static void print_note(struct view *v, const char *mark, int color, const char *text)
{
	out_color(v->b, v->st, color);
	clew_buf_adds(v->b, mark);
	out_color(v->b, v->st, OUT_PLAIN);
	out_color(v->b, v->st, OUT_DIM);
	clew_buf_addc(v->b, ' ');
	clew_text_wrap(v->b, text, 2, 2, v->st->width);
	out_color(v->b, v->st, OUT_PLAIN);
}

/* Only what this drawing has. */
static void print_legend(struct view *v)
{
	char text[160];

	if (v->t->n_orphans || v->any_lost || v->t->n_incomplete || v->folds || v->t->not_stored)
		clew_buf_addc(v->b, '\n');
	if (v->t->n_orphans)
		print_note(v, "?", OUT_YELLOW,
			   v->why ? "orphan: a parent is likely and not known"
				  : "orphan: a parent is likely and not known; --why names the "
				    "candidates");
	if (v->any_lost)
		print_note(v, "^", OUT_YELLOW, "its parent is not in the store");
	if (v->t->n_incomplete)
		print_note(v, "~", OUT_YELLOW,
			   v->why ? "incomplete" : "incomplete; --why says what is missing");
	if (v->t->not_stored)
		print_note(v, "!", OUT_YELLOW,
			   "the store could not keep up while this trace was captured: spans of it "
			   "are missing");
	if (v->folds) {
		snprintf(text, sizeof(text),
			 "%" PRIu64
			 " spans are folded into the slowest of their kind; --json has all",
			 v->hidden);
		print_note(v, v->st->utf8 ? "\xe2\x8b\xae" : ":", OUT_DIM, text);
	}
}

int view_trace(const char *json, size_t n, const struct out_style *st, bool why, struct clew_buf *b)
{
	struct tree t;
	struct view v = {.t = &t, .st = st, .b = b, .why = why, .levels = st->width / 8};
	unsigned most = st->width < 100 ? st->width * 45 / 100 : st->width / 2;
	int r = tree_read(json, n, &t);

	if (r < 0)
		return r;
	out_service_colors_begin();
	r = walk_tree(&t, measure_row, &v);
	if (v.left > most)
		v.left = most;
	axis_init(&v.axis, &t, st->width - v.left - 2 - DURATION_WIDTH);
	if (!r) {
		print_head(&v);
		out_pad(b, v.left + 1);
		axis_print(&v.axis, st, b);
		clew_buf_addc(b, '\n');
		r = walk_tree(&t, print_row, &v);
	}
	if (!r)
		print_legend(&v);
	tree_done(&t);
	return r ? r : b->err;
}
