/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this kernel allows, feature by feature, with what is lost without it.
 */
#include <jansson.h>
#include <stdio.h>

#include "base/option.h"
#include "capture/capture.h"
#include "cli/view.h"

static const char *mark_of(const struct clew_feature *f, const struct out_style *st)
{
	if (f->ok)
		return st->utf8 ? "\xe2\x9c\x93" : "ok";
	return st->utf8 ? "\xe2\x9c\x97" : "no";
}

static unsigned name_width(const struct clew_feature *f, size_t n, const struct out_style *st)
{
	unsigned width = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned w = out_text_width(st, f[i].name);

		if (w > width)
			width = w;
	}
	return width > st->width / 2 ? st->width / 2 : width;
}

static void print_feature(struct clew_buf *b, const struct clew_feature *f,
			  const struct out_style *st, unsigned names)
{
	unsigned mark = st->utf8 ? 1 : 2, indent = mark + 1 + names + 2;
	char detail[sizeof(f->detail) + 4];
	struct clew_buf safe;

	out_color(b, st, f->ok ? OUT_GREEN : f->required ? OUT_RED : OUT_YELLOW);
	clew_buf_adds(b, mark_of(f, st));
	out_color(b, st, OUT_PLAIN);
	clew_buf_addc(b, ' ');
	out_left(b, st, f->name, names);
	out_pad(b, 2);
	snprintf(detail, sizeof(detail), "%s", f->detail);
	clew_buf_init(&safe, 0);
	out_text(&safe, st, f->ok ? detail : *detail ? detail : "not there", sizeof(detail));
	out_color(b, st, OUT_DIM);
	if (safe.len)
		clew_text_wrap(b, safe.data, indent, indent, st->width);
	else
		clew_buf_addc(b, '\n');
	out_color(b, st, OUT_PLAIN);
	clew_buf_done(&safe);
	if (f->ok || !f->without || !*f->without)
		return;
	out_pad(b, indent);
	clew_buf_addf(b, "%s", f->required ? "required: " : "without it: ");
	clew_text_wrap(b, f->without, indent, indent + (f->required ? 10 : 12), st->width);
}

void view_check(const struct clew_feature *f, size_t n, const struct out_style *st, bool works,
		struct clew_buf *b)
{
	unsigned names = name_width(f, n, st);
	size_t missing = 0;

	for (size_t i = 0; i < n; i++) {
		print_feature(b, &f[i], st, names);
		missing += !f[i].ok;
	}
	clew_buf_addc(b, '\n');
	out_color(b, st, works ? OUT_GREEN : OUT_RED);
	clew_buf_adds(b, works ? "Tracing works here" : "Tracing does not work here");
	out_color(b, st, OUT_PLAIN);
	if (works && missing)
		clew_buf_addf(b, ", with the loss of what %zu missing feature%s would give.\n",
			      missing, missing == 1 ? "" : "s");
	else if (works)
		clew_buf_adds(b, ", with all that clew can use.\n");
	else
		clew_buf_adds(b, ": what is marked as required is missing.\n");
}

int view_check_json(const struct clew_feature *f, size_t n, bool works, struct clew_buf *b)
{
	json_t *list = json_array(), *all;
	char *text;

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_pack("{s:s, s:b, s:b, s:s, s:s}", "name",
						      f[i].name, "ok", f[i].ok, "required",
						      f[i].required, "detail", f[i].detail,
						      "without", f[i].without ? f[i].without : ""));
	all = json_pack("{s:b, s:o}", "works", works, "features", list);
	text = json_dumps(all, JSON_INDENT(2));
	json_decref(all);
	if (!text)
		return b->err = -ENOMEM;
	clew_buf_adds(b, text);
	clew_buf_addc(b, '\n');
	free(text);
	return b->err;
}
