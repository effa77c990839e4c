/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer of `clew sql`: a table for people, RFC 4180 and JSON lines for programs.
 */
#include <jansson.h>

#include "cli/table.h"
#include "cli/view.h"

struct answer {
	json_t *all, *columns, *rows;
};

static int answer_read(const char *json, size_t n, struct answer *a)
{
	*a = (struct answer){.all = json_loadb(json, n, JSON_ALLOW_NUL, NULL)};
	a->columns = json_object_get(a->all, "columns");
	a->rows = json_object_get(a->all, "rows");
	if (json_is_array(a->columns) && json_is_array(a->rows))
		return 0;
	json_decref(a->all);
	return -EBADMSG;
}

static const char *column_name(const struct answer *a, size_t c)
{
	const char *s = json_string_value(json_object_get(json_array_get(a->columns, c), "name"));

	return s ? s : "";
}

/* A value as text: strings as they are, the rest as JSON has it; NULL for null. */
static const char *value_text(const json_t *v, char **ret_owned)
{
	*ret_owned = NULL;
	if (!v || json_is_null(v))
		return NULL;
	if (json_is_string(v))
		return json_string_value(v);
	*ret_owned = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
	return *ret_owned;
}

/* Numbers stand on the right; decided by what the rows hold. */
static enum table_align column_align(const struct answer *a, size_t c)
{
	json_t *row;
	size_t i;
	bool any = false;

	json_array_foreach(a->rows, i, row)
	{
		const json_t *v = json_array_get(row, c);

		if (!v || json_is_null(v))
			continue;
		if (!json_is_number(v))
			return TABLE_LEFT;
		any = true;
	}
	return any ? TABLE_RIGHT : TABLE_LEFT;
}

static void add_row(struct table *t, const json_t *row)
{
	for (size_t c = 0; c < t->n_columns; c++) {
		_cleanup_(freep) char *owned = NULL;
		const char *text = value_text(json_array_get(row, c), &owned);

		if (text)
			table_cell(t, text, OUT_PLAIN);
		else
			table_cell(t, "NULL", OUT_DIM);
	}
}

int view_sql(const char *json, size_t n, const struct out_style *st, struct clew_buf *b)
{
	struct answer a;
	struct table t;
	json_t *row;
	size_t i, columns;
	int r = answer_read(json, n, &a);

	if (r < 0)
		return r;
	columns = json_array_size(a.columns);
	if (columns > TABLE_MAX_COLUMNS)
		columns = TABLE_MAX_COLUMNS;
	table_init(&t, st);
	for (size_t c = 0; c < columns; c++) {
		enum table_align align = column_align(&a, c);

		table_column(&t, column_name(&a, c), align, align == TABLE_RIGHT ? 0 : 10);
	}
	if (columns)
		json_array_foreach(a.rows, i, row) add_row(&t, row);
	r = table_print(&t, b);
	table_done(&t);
	json_decref(a.all);
	return r;
}

/* RFC 4180: quotes around what holds a quote, a comma or a line break; quotes doubled. */
static void add_csv(struct clew_buf *b, const char *s)
{
	if (!s)
		return;
	/* An empty string is told from NULL by its quotes. */
	if (*s && !strpbrk(s, "\",\r\n")) {
		clew_buf_adds(b, s);
		return;
	}
	clew_buf_addc(b, '"');
	for (; *s; s++) {
		if (*s == '"')
			clew_buf_addc(b, '"');
		clew_buf_addc(b, *s);
	}
	clew_buf_addc(b, '"');
}

int view_sql_csv(const char *json, size_t n, struct clew_buf *b)
{
	struct answer a;
	json_t *row;
	size_t i, columns;
	int r = answer_read(json, n, &a);

	if (r < 0)
		return r;
	columns = json_array_size(a.columns);
	for (size_t c = 0; c < columns; c++) {
		clew_buf_adds(b, c ? "," : "");
		add_csv(b, column_name(&a, c));
	}
	clew_buf_adds(b, "\r\n");
	json_array_foreach(a.rows, i, row)
	{
		for (size_t c = 0; c < columns; c++) {
			_cleanup_(freep) char *owned = NULL;

			clew_buf_adds(b, c ? "," : "");
			add_csv(b, value_text(json_array_get(row, c), &owned));
		}
		clew_buf_adds(b, "\r\n");
	}
	json_decref(a.all);
	return b->err;
}

int view_sql_json(const char *json, size_t n, struct clew_buf *b)
{
	struct answer a;
	json_t *row;
	size_t i, columns;
	int r = answer_read(json, n, &a);

	if (r < 0)
		return r;
	columns = json_array_size(a.columns);
	json_array_foreach(a.rows, i, row)
	{
		json_t *o = json_object();
		_cleanup_(freep) char *line = NULL;

		for (size_t c = 0; c < columns; c++)
			json_object_set(o, column_name(&a, c), json_array_get(row, c));
		line = json_dumps(o, JSON_COMPACT);
		json_decref(o);
		if (!line) {
			b->err = -ENOMEM;
			break;
		}
		clew_buf_adds(b, line);
		clew_buf_addc(b, '\n');
	}
	json_decref(a.all);
	return b->err;
}
