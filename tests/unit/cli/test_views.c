/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each view over the fixtures, against what it printed when a person last looked at it (golden/),
 * and against what must hold of any answer: no line is wider than the terminal, nothing that a
 * traced program sent reaches it as a control sequence.
 *
 * CLEW_GOLDEN=write makes golden/ anew.
 */
#include <errno.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "capture/capture.h"
#include "cli/view.h"

#define NOW_NS 1790000003000000000ull

static void read_file(const char *dir, const char *name, struct clew_buf *b)
{
	char path[512], piece[4096];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s/%s", SOURCE_DIR, dir, name);
	f = fopen(path, "re");
	if (!f)
		fail_msg("%s: %s", path, strerror(errno));
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		clew_buf_add(b, piece, n);
	fclose(f);
}

static void compare(const char *name, const struct clew_buf *b)
{
	const char *mode = getenv("CLEW_GOLDEN");
	struct clew_buf golden;

	if (mode && !strcmp(mode, "write")) {
		char path[512];
		FILE *f;

		snprintf(path, sizeof(path), "%s/golden/%s", SOURCE_DIR, name);
		f = fopen(path, "we");
		assert_non_null(f);
		assert_int_equal(fwrite(b->data, 1, b->len, f), b->len);
		assert_int_equal(fclose(f), 0);
		return;
	}
	clew_buf_init(&golden, 0);
	read_file("golden", name, &golden);
	if (golden.len != b->len || memcmp(golden.data, b->data, b->len) != 0)
		fail_msg("%s differs; it is now:\n%s", name, b->data);
	clew_buf_done(&golden);
}

/* Bytes that make a terminal do something, but for our own colours and line ends. */
static void check_safe(const char *name, const struct clew_buf *b, const struct out_style *st)
{
	for (size_t i = 0; i < b->len; i++) {
		unsigned char c = (unsigned char)b->data[i];

		if (c == 0x1b && st->color) {
			size_t n = strspn(b->data + i + 2, "0123456789;");

			if (b->data[i + 1] != '[' || b->data[i + 2 + n] != 'm')
				fail_msg("%s: an escape sequence at %zu", name, i);
			continue;
		}
		if ((c < 0x20 && c != '\n') || c == 0x7f)
			fail_msg("%s: byte 0x%02x at %zu", name, c, i);
		/* C1 controls (0x80 to 0x9f) as UTF-8 has them. */
		if (c == 0xc2 && (unsigned char)b->data[i + 1] < 0xa0)
			fail_msg("%s: C1 control at %zu", name, i);
		if (c >= 0x80 && !st->utf8)
			fail_msg("%s: byte 0x%02x at %zu is not ASCII", name, c, i);
	}
}

static void check_width(const char *name, const struct clew_buf *b, const struct out_style *st)
{
	char *copy = strdup(b->data), *rest = copy, *line;

	assert_non_null(copy);
	while (!st->color && (line = strsep(&rest, "\n")))
		if (out_text_width(st, line) > st->width)
			fail_msg("%s: wider than %u: %s", name, st->width, line);
	free(copy);
}

enum kind { TRACE, WHY, TRACES, SERVICES, SERVICES_WHY, MAP, SQL };

static int show(enum kind kind, const struct clew_buf *json, const struct out_style *st,
		struct clew_buf *b)
{
	switch (kind) {
	case TRACE:
	case WHY:
		return view_trace(json->data, json->len, st, kind == WHY, b);
	case TRACES:
		return view_traces(json->data, json->len, st, NOW_NS, b);
	case SERVICES:
		return view_services(json->data, json->len, st, b);
	case SERVICES_WHY:
		return view_services_why(json->data, json->len, st, b);
	case MAP:
		return view_map(json->data, json->len, st, b);
	default:
		return view_sql(json->data, json->len, st, b);
	}
}

static const struct out_style styles[] = {
	{.width = 80, .utf8 = true},
	{.width = 80},
	{.width = 160, .utf8 = true},
	{.width = 100, .utf8 = true, .color = true},
};

static const struct {
	enum kind kind;
	const char *name, *fixture;
} views[] = {
	{TRACE, "trace", "trace.json"},
	{WHY, "why", "trace.json"},
	{WHY, "orphan", "orphan.json"},
	{WHY, "hostile", "hostile.json"},
	{TRACES, "traces", "traces.jsonl"},
	{SERVICES, "services", "services.jsonl"},
	{SERVICES_WHY, "services-why", "services-why.jsonl"},
	{MAP, "map", "map.json"},
	{SQL, "sql", "sql.json"},
};

#define N_STYLES (sizeof(styles) / sizeof(styles[0]))
#define N_VIEWS	 (sizeof(views) / sizeof(views[0]))

static void set_locale(const struct out_style *st)
{
	assert_non_null(setlocale(LC_CTYPE, st->utf8 ? "C.UTF-8" : "C"));
}

static void test_golden(void **state)
{
	for (size_t i = 0; i < N_VIEWS; i++) {
		struct clew_buf json, b;

		clew_buf_init(&json, 0);
		clew_buf_init(&b, 0);
		read_file("fixtures", views[i].fixture, &json);
		for (size_t j = 0; j < N_STYLES; j++) {
			const struct out_style *st = &styles[j];
			char name[96];

			snprintf(name, sizeof(name), "%s-%u%s%s.txt", views[i].name, st->width,
				 st->utf8 ? "" : "-ascii", st->color ? "-color" : "");
			set_locale(st);
			clew_buf_clear(&b);
			assert_int_equal(show(views[i].kind, &json, st, &b), 0);
			compare(name, &b);
			check_safe(name, &b, st);
			/* Numbers of a query are never cut: its table may be wider. */
			if (views[i].kind != SQL)
				check_width(name, &b, st);
		}
		clew_buf_done(&json);
		clew_buf_done(&b);
	}
}

static void test_any_width(void **state)
{
	for (size_t i = 0; i < N_VIEWS; i++) {
		struct clew_buf json, b;

		clew_buf_init(&json, 0);
		clew_buf_init(&b, 0);
		read_file("fixtures", views[i].fixture, &json);
		for (unsigned width = 40; width <= 1000; width += width < 120 ? 1 : 97) {
			struct out_style st = {.width = width, .utf8 = true};

			set_locale(&st);
			clew_buf_clear(&b);
			assert_int_equal(show(views[i].kind, &json, &st, &b), 0);
			/* Words need some room behind the tree. */
			if (views[i].kind == TRACE || (views[i].kind == WHY && width >= 60))
				check_width(views[i].name, &b, &st);
		}
		clew_buf_done(&json);
		clew_buf_done(&b);
	}
}

/* An answer that breaks off anywhere is refused or shown, never more than that. */
static void test_broken_answers(void **state)
{
	static const char odd[] = "{}\n{\"trace_id\":7,\"spans\":\"x\"}\n";
	struct out_style st = {.width = 80};
	struct clew_buf b;

	clew_buf_init(&b, 0);
	for (size_t i = 0; i < N_VIEWS; i++) {
		struct clew_buf json;

		clew_buf_init(&json, 0);
		read_file("fixtures", views[i].fixture, &json);
		for (size_t n = 0; n < json.len; n += 37) {
			struct clew_buf cut = {.data = json.data, .len = n};
			int r;

			clew_buf_clear(&b);
			r = show(views[i].kind, &cut, &st, &b);
			if (views[i].kind == TRACES || views[i].kind == SERVICES ||
			    views[i].kind == SERVICES_WHY)
				assert_true(r == 0 || r == -EBADMSG);
			else if (n < json.len - 2)
				assert_int_equal(r, -EBADMSG);
		}
		clew_buf_done(&json);
	}
	assert_int_equal(view_trace("{}", 2, &st, true, &b), -EBADMSG);
	assert_int_equal(view_trace("[]", 2, &st, true, &b), -EBADMSG);
	assert_int_equal(view_map("{\"nodes\":3}", 11, &st, &b), -EBADMSG);
	assert_int_equal(view_sql("null", 4, &st, &b), -EBADMSG);
	assert_int_equal(view_traces("3\n", 2, &st, 0, &b), -EBADMSG);
	/* Fields of the wrong type, or absent. */
	clew_buf_clear(&b);
	assert_int_equal(view_traces(odd, sizeof(odd) - 1, &st, 0, &b), 0);
	assert_int_equal(view_services_why(odd, sizeof(odd) - 1, &st, &b), 0);
	assert_int_equal(view_trace("{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{}]}]}]}", 51,
				    &st, true, &b),
			 0);
	clew_buf_done(&b);
}

static void test_formats(void **state)
{
	static const char first[] =
		"{\"service\":\"front\",\"n\":48120,\"mean\":12.5,\"note\":null}\n";
	struct clew_buf json, b;

	clew_buf_init(&json, 0);
	clew_buf_init(&b, 0);
	read_file("fixtures", "sql.json", &json);
	assert_int_equal(view_sql_csv(json.data, json.len, &b), 0);
	assert_string_equal(b.data, "service,n,mean,note\r\n"
				    "front,48120,12.5,\r\n"
				    "cart,24060,3.25,\"with, comma\"\r\n"
				    "\"pay\"\"ments\",7,0.5,\"two\nlines\"\r\n"
				    "\"\",0,-1.0,\x1b[31m\r\n");
	clew_buf_clear(&b);
	assert_int_equal(view_sql_json(json.data, json.len, &b), 0);
	assert_int_equal(strncmp(b.data, first, sizeof(first) - 1), 0);
	assert_non_null(strstr(b.data, "\\u001B[31m"));
	clew_buf_clear(&json);
	clew_buf_clear(&b);
	read_file("fixtures", "map.json", &json);
	assert_int_equal(view_map_dot(json.data, json.len, &b), 0);
	compare("map.dot", &b);
	clew_buf_done(&json);
	clew_buf_done(&b);
}

static void test_check(void **state)
{
	static const struct clew_feature features[] = {
		{"kernel", "tracing", true, true, "6.18"},
		{"tcp_sendmsg_locked",
		 "the true begin of a send is not known, and what io_uring sends is "
		 "counted without its bytes",
		 false, false, "no such tracepoint"},
		{"BTF", "nothing can be traced", true, false, ""},
	};
	struct out_style st = {.width = 60};
	struct clew_buf b;

	clew_buf_init(&b, 0);
	setlocale(LC_CTYPE, "C");
	view_check(features, 3, &st, false, &b);
	assert_string_equal(
		b.data, "ok kernel              6.18\n"
			"no tcp_sendmsg_locked  no such tracepoint\n"
			"                       without it: the true begin of a send\n"
			"                       is not known, and what io_uring sends\n"
			"                       is counted without its bytes\n"
			"no BTF                 not there\n"
			"                       required: nothing can be traced\n"
			"\nTracing does not work here: what is marked as required is missing.\n");
	clew_buf_clear(&b);
	view_check(features, 2, &st, true, &b);
	assert_non_null(
		strstr(b.data, "Tracing works here, with the loss of what 1 missing feature"));
	clew_buf_clear(&b);
	assert_int_equal(view_check_json(features, 3, false, &b), 0);
	assert_non_null(strstr(b.data, "\"works\": false"));
	clew_buf_done(&b);
}

static void test_text(void **state)
{
	struct out_style st = {.width = 80, .utf8 = true};
	struct clew_buf b;

	clew_buf_init(&b, 0);
	setlocale(LC_CTYPE, "C.UTF-8");
	assert_int_equal(out_text(&b, &st, "abcdef", 4), 4);
	assert_string_equal(b.data, "abc\xe2\x80\xa6");
	clew_buf_clear(&b);
	/* Wide characters take two columns and are never cut in half. */
	assert_int_equal(out_text(&b, &st, "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 4), 3);
	assert_string_equal(b.data, "\xe6\x97\xa5\xe2\x80\xa6");
	clew_buf_clear(&b);
	assert_int_equal(out_text(&b, &st,
				  "\xff"
				  "a\xe6\x97",
				  9),
			 4);
	assert_string_equal(b.data, "\xef\xbf\xbd"
				    "a\xef\xbf\xbd\xef\xbf\xbd");
	clew_buf_clear(&b);
	assert_int_equal(out_text(&b, &st, "x", 0), 0);
	assert_int_equal(b.len, 0);
	assert_int_equal(out_service_color("cart"), out_service_color("cart"));
	clew_buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),	       cmocka_unit_test(test_any_width),
		cmocka_unit_test(test_broken_answers), cmocka_unit_test(test_formats),
		cmocka_unit_test(test_check),	       cmocka_unit_test(test_text),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
