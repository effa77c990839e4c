/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conditions of a filter other than equality, as SQL: of an attribute of the span's own, of its
 * resource's, or of a column that is shown as an attribute.
 *
 * One key with two types is two keys of the catalog; each is compared as its type is.
 */
#include <inttypes.h>

#include "store/internal.h"

/* Columns of numbers that clew_span_show_fields() shows as attributes. */
static const struct {
	const char *key, *column;
} number_columns[] = {
	{"thread.id", "nullif(tid, 0)"},
	{"clew.link.confidence", "CASE WHEN link_class <> 0 THEN confidence END"},
	{"clew.time.cpu_ns", "cpu_ns"},
	{"clew.time.runq_ns", "runq_ns"},
	{"clew.time.futex_ns", "futex_ns"},
	{"clew.time.disk_ns", "disk_ns"},
	{"clew.time.net_ns", "net_ns"},
	{"clew.time.sleep_ns", "sleep_ns"},
	{"clew.time.other_ns", "other_ns"},
};

/* ... and of marks: when there is something to show. */
static const struct {
	const char *key, *shown;
} mark_columns[] = {
	{"clew.link.class", "(evidence <> 0 OR link_class <> 0)"},
	{"clew.link.evidence", "evidence <> 0"},
	{"clew.incomplete", "incomplete <> 0"},
	{"clew.wire_key", "wire_key IS NOT NULL"},
};

static const char *compare_sign(enum clew_where_op op)
{
	static const char *const signs[] = {
		[CLEW_WHERE_NE] = "<>", [CLEW_WHERE_LT] = "<",	[CLEW_WHERE_LE] = "<=",
		[CLEW_WHERE_GT] = ">",	[CLEW_WHERE_GE] = ">=",
	};

	return signs[op];
}

static bool is_compare(enum clew_where_op op)
{
	return op >= CLEW_WHERE_LT && op <= CLEW_WHERE_GE;
}

static int not_a_number(const struct clew_filter_where *w, char **ret_error)
{
	return set_error(ret_error, -EINVAL,
			 "where: %.*s has numbers as values: compare it with a number, not '%.*s'",
			 (int)w->key.n, w->key.p, (int)(w->value.n < 64 ? w->value.n : 64),
			 w->value.p);
}

/* A condition on the text of a value; text is an SQL expression that may be NULL. */
static int value_condition(const struct clew_filter_where *w, const char *text, uint8_t type,
			   struct clew_buf *out, char **ret_error)
{
	bool number = type == CLEW_ATTR_INT || type == CLEW_ATTR_DOUBLE;
	double v;

	if (w->op == CLEW_WHERE_EXISTS)
		return clew_buf_addf(out, "%s IS NOT NULL", text);
	if (w->op == CLEW_WHERE_MATCH || w->op == CLEW_WHERE_NO_MATCH) {
		clew_buf_addf(out, "%sregexp_matches(%s, ",
			      w->op == CLEW_WHERE_NO_MATCH ? "NOT " : "", text);
		duck_quote(out, w->value);
		return clew_buf_addc(out, ')');
	}
	if (is_compare(w->op) && number) {
		if (!slice_number(w->value, &v))
			return not_a_number(w, ret_error);
		return clew_buf_addf(out, "TRY_CAST(%s AS DOUBLE) %s %.17g", text,
				     compare_sign(w->op), v);
	}
	clew_buf_addf(out, "%s %s ", text, compare_sign(w->op));
	return duck_quote(out, w->value);
}

/* Of the keys' ids; the types stand beside them. */
struct keys {
	uint32_t id[KEY_TYPE_LAST + 1];
	uint8_t type[KEY_TYPE_LAST + 1];
	uint32_t n;
};

static void find_keys(struct clew_store *st, struct slice key, struct keys *ret)
{
	ret->n = 0;
	for (uint8_t type = CLEW_ATTR_STR; type <= KEY_TYPE_LAST; type++)
		if (!dict_find(&st->dicts[DICT_KEY], key, type, &ret->id[ret->n]))
			ret->type[ret->n++] = type;
}

/* "(own OR resource's OR ...)"; -ENODATA: no span has this key. */
static int present(struct clew_store *st, const struct clew_filter_where *w, struct clew_buf *out,
		   char **ret_error)
{
	const char *sep = "";
	struct keys keys;
	int r = 0;

	find_keys(st, w->key, &keys);
	clew_buf_addc(out, '(');
	for (uint32_t i = 0; r == 0 && i < keys.n; i++) {
		char text[96];

		snprintf(text, sizeof(text), "attr_values[list_position(attr_keys, %u)]",
			 keys.id[i]);
		if (w->scope != CLEW_SCOPE_RESOURCE) {
			clew_buf_addf(out, "%scoalesce(", sep);
			r = value_condition(w, text, keys.type[i], out, ret_error);
			clew_buf_adds(out, ", false)");
			sep = " OR ";
		}
		if (r == 0 && w->scope != CLEW_SCOPE_SPAN) {
			clew_buf_addf(out, "%sresource IN (SELECT id FROM c.resource WHERE ", sep);
			r = value_condition(w, text, keys.type[i], out, ret_error);
			clew_buf_addc(out, ')');
			sep = " OR ";
		}
	}
	clew_buf_addc(out, ')');
	if (r < 0)
		return r;
	return keys.n ? out->err : -ENODATA;
}

static int column_number(const struct clew_filter_where *w, const char *column,
			 struct clew_buf *out, char **ret_error)
{
	double v;

	if (w->op == CLEW_WHERE_EXISTS || w->op == CLEW_WHERE_ABSENT)
		return clew_buf_addf(out, "(%s) IS %sNULL", column,
				     w->op == CLEW_WHERE_EXISTS ? "NOT " : "");
	if (w->op == CLEW_WHERE_MATCH || w->op == CLEW_WHERE_NO_MATCH ||
	    !slice_number(w->value, &v))
		return not_a_number(w, ret_error);
	return clew_buf_addf(out, "coalesce((%s) %s %.17g, false)", column, compare_sign(w->op), v);
}

static int column_mark(const struct clew_filter_where *w, const char *shown, struct clew_buf *out,
		       char **ret_error)
{
	struct clew_filter_attr a = {.key = w->key, .value = w->value};

	if (w->op == CLEW_WHERE_EXISTS || w->op == CLEW_WHERE_ABSENT)
		return clew_buf_addf(out, "%s(%s)", w->op == CLEW_WHERE_ABSENT ? "NOT " : "",
				     shown);
	if (w->op != CLEW_WHERE_NE)
		return set_error(ret_error, -EINVAL,
				 "where: %.*s takes =, != and whether it is there only",
				 (int)w->key.n, w->key.p);
	clew_buf_addf(out, "(%s AND NOT coalesce((", shown);
	if (!filter_column(&a, out))
		clew_buf_adds(out, "false");
	return clew_buf_adds(out, "), false))");
}

/* Of what a span is, rather than of what it says of itself. */
static int field_condition(const struct clew_filter_where *w, struct clew_buf *out,
			   char **ret_error)
{
	int r;

	if (slice_eq(w->key, SLICE("status")))
		return column_number(w, "status", out, ret_error);
	if (slice_eq(w->key, SLICE("kind")))
		return column_number(w, "kind", out, ret_error);
	if (slice_eq(w->key, SLICE("duration")))
		return column_number(w, "duration_ns", out, ret_error);
	if (slice_eq(w->key, SLICE("status_message")))
		return value_condition(w, "coalesce(status_message, '')", CLEW_ATTR_STR, out,
				       ret_error);
	if (!slice_eq(w->key, SLICE("name")))
		return set_error(ret_error, -EINVAL, "a span has no field '%.*s'", (int)w->key.n,
				 w->key.p);
	clew_buf_adds(out, "operation IN (SELECT id FROM c.operation WHERE ");
	r = value_condition(w, "name", CLEW_ATTR_STR, out, ret_error);
	clew_buf_addc(out, ')');
	return r;
}

int where_condition(struct clew_store *st, const struct clew_filter_where *w, struct clew_buf *out,
		    char **ret_error)
{
	struct clew_filter_where exists = *w;
	size_t start;
	int r;

	if (w->scope == CLEW_SCOPE_FIELD)
		return field_condition(w, out, ret_error);
	for (size_t i = 0; i < sizeof(number_columns) / sizeof(*number_columns); i++)
		if (slice_eq(w->key, slice_str(number_columns[i].key)))
			return column_number(w, number_columns[i].column, out, ret_error);
	for (size_t i = 0; i < sizeof(mark_columns) / sizeof(*mark_columns); i++)
		if (slice_eq(w->key, slice_str(mark_columns[i].key)))
			return column_mark(w, mark_columns[i].shown, out, ret_error);
	if (w->op != CLEW_WHERE_ABSENT)
		return present(st, w, out, ret_error);
	exists.op = CLEW_WHERE_EXISTS;
	start = out->len;
	clew_buf_adds(out, "NOT ");
	r = present(st, &exists, out, ret_error);
	if (r != -ENODATA)
		return r;
	out->len = start; /* nobody has it: all are without */
	return clew_buf_adds(out, "true");
}

/* A column is in no index, whatever attributes of this name there are. */
static bool is_column(struct slice key)
{
	for (size_t i = 0; i < sizeof(number_columns) / sizeof(*number_columns); i++)
		if (slice_eq(key, slice_str(number_columns[i].key)))
			return true;
	for (size_t i = 0; i < sizeof(mark_columns) / sizeof(*mark_columns); i++)
		if (slice_eq(key, slice_str(mark_columns[i].key)))
			return true;
	return false;
}

bool where_hashes(struct clew_store *st, const struct clew_filter_where *w, struct clew_buf *out)
{
	uint32_t n = atomic_load(&st->resource_ids.n);
	struct keys keys;

	find_keys(st, w->key, &keys);
	if (w->op == CLEW_WHERE_ABSENT || w->scope == CLEW_SCOPE_FIELD || !keys.n ||
	    is_column(w->key))
		return false;
	for (uint32_t i = 0; i < keys.n; i++)
		clew_buf_addf(out, "%s%u", i ? "," : "", index_hash_id(DICT_KEY, keys.id[i]));
	for (uint32_t id = 0; id < n; id++) {
		const struct clew_resource *r = st->resources[id];

		for (uint32_t i = 0; r && i < r->n_attrs; i++)
			if (slice_eq(r->attrs[i].key, w->key)) {
				clew_buf_addf(out, ",%u", index_hash_resource(id));
				break;
			}
	}
	return true;
}

bool where_range(struct clew_store *st, const struct clew_filter_where *w, struct number_range *ret)
{
	uint32_t n = atomic_load(&st->resource_ids.n);
	struct keys keys;
	double v;

	find_keys(st, w->key, &keys);
	if (!is_compare(w->op) || w->scope == CLEW_SCOPE_FIELD || !keys.n || is_column(w->key) ||
	    !slice_number(w->value, &v))
		return false;
	ret->n_keys = 0;
	for (uint32_t i = 0; i < keys.n; i++) {
		if (keys.type[i] != CLEW_ATTR_INT && keys.type[i] != CLEW_ATTR_DOUBLE)
			return false;
		ret->keys[ret->n_keys++] = keys.id[i];
	}
	for (uint32_t id = 0; id < n; id++) {
		const struct clew_resource *r = st->resources[id];

		for (uint32_t i = 0; r && i < r->n_attrs; i++)
			if (slice_eq(r->attrs[i].key, w->key))
				return false;
	}
	snprintf(ret->condition, sizeof(ret->condition), "%s %s %.17g",
		 w->op <= CLEW_WHERE_LE ? "lo" : "hi", compare_sign(w->op), v);
	return true;
}
