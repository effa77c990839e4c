/* SPDX-License-Identifier: Apache-2.0 */
/* Different values of an attribute, of spans that match a filter. (Counted, of a service: attrs.c) */
#include <inttypes.h>

#include "store/internal.h"
#include "base/hash.h"

/* Matching spans of one type of the key that are looked at for values, the newest hours' first. */
#define LOOK_AT_SPANS 300000u

struct seen {
	UT_hash_handle hh;
	char text[];
};

struct looking {
	struct clew_store *st;
	struct seen *seen;
	uint64_t left;
	uint64_t spans; /* that may still be looked at */
	uint8_t type;
	bool names; /* the column holds ids of operations */
	clew_value_fn fn;
	void *user;
};

/* 1: it is new, 0: it was there. */
static int see(struct looking *l, struct slice text)
{
	struct seen *s = NULL;

	HASH_FIND(hh, l->seen, text.p, (unsigned)text.n, s);
	if (s)
		return 0;
	s = malloc(sizeof(*s) + text.n + 1);
	if (!s)
		return -ENOMEM;
	if (text.n)
		memcpy(s->text, text.p, text.n);
	s->text[text.n] = '\0';
	HASH_ADD_KEYPTR(hh, l->seen, s->text, (unsigned)text.n, s);
	if (!s->hh.tbl) {
		free(s);
		return -ENOMEM;
	}
	return 1;
}

static int give(struct looking *l, struct slice text)
{
	int r = l->left ? see(l, text) : 0;

	if (r <= 0)
		return r;
	l->left--;
	return l->fn(l->user, text, key_attr_type((uint8_t)l->type));
}

static int take_values(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col v = duck_col(chunk, 0), count = duck_col(chunk, 1);
	struct looking *l = user;
	int r = 0;

	for (idx_t i = 0; r == 0 && i < rows; i++) {
		uint64_t n = (uint64_t)((int64_t *)count.data)[i];

		l->spans -= n < l->spans ? n : l->spans;
		if (duck_null(&v, i))
			continue;
		r = give(l, l->names ? names_get(l->st, DICT_OPERATION, ((uint32_t *)v.data)[i])
				     : duck_str(&v, i));
	}
	return r < 0 ? r : !l->left;
}

/* Newest partitions first. */
static int ask_spans(struct query *q, const struct clew_span_filter *f, const char *column,
		     struct looking *l, char **ret_error)
{
	struct clew_buf where = {0};
	size_t from, to;
	int r = filter_where(q->st, f, &where, ret_error);

	filter_hours(q, f->since_ns, f->until_ns, &from, &to);
	for (size_t i = to; r == 0 && i > from && l->left && l->spans; i--) {
		struct clew_buf source = {0}, sql = {0};

		r = filter_source(q, &q->parts[i - 1], f, column, where.data, &source, NULL,
				  ret_error);
		clew_buf_addf(&sql,
			      "SELECT v, count(*) FROM (SELECT v FROM (%s) LIMIT %" PRIu64
			      ") GROUP BY v",
			      source.data ? source.data : "", l->spans);
		if (r == 0)
			r = sql.err ? sql.err : query_each(q, sql.data, take_values, l, ret_error);
		clew_buf_done(&source);
		clew_buf_done(&sql);
	}
	clew_buf_done(&where);
	return r == -ENODATA ? 0 : r;
}

/* A resource's values are in memory, the newest last; which spans it has is not asked. */
static int ask_resources(struct clew_store *st, struct slice key, struct looking *l)
{
	uint32_t n = atomic_load(&st->resource_ids.n);
	char num[64];
	int r = 0;

	for (uint32_t k = n; r == 0 && l->left && k > 0; k--) {
		const struct clew_resource *res = st->resources[k - 1];

		for (uint32_t i = 0; res && r == 0 && i < res->n_attrs; i++)
			if (slice_eq(res->attrs[i].key, key)) {
				l->type = res->attrs[i].type;
				r = give(l, attr_text(&res->attrs[i], num, sizeof(num)));
			}
	}
	return r;
}

static int ask_key(struct query *q, const struct clew_span_filter *f, struct slice key,
		   struct looking *l, char **ret_error)
{
	struct clew_span_filter with = *f;
	char column[96];
	uint32_t id;
	int r = 0;

	if (with.n_where < CLEW_FILTER_MAX_WHERE)
		with.where[with.n_where++] = (struct clew_filter_where){
			.op = CLEW_WHERE_EXISTS, .key = key, .scope = CLEW_SCOPE_SPAN};
	for (uint8_t type = CLEW_ATTR_STR; r == 0 && type <= KEY_TYPE_LAST; type++) {
		if (dict_find(&q->st->dicts[DICT_KEY], key, type, &id) < 0)
			continue;
		snprintf(column, sizeof(column), "attr_values[list_position(attr_keys, %u)] AS v",
			 id);
		l->type = type;
		l->spans = LOOK_AT_SPANS;
		r = ask_spans(q, &with, column, l, ret_error);
	}
	return r;
}

int clew_store_values(struct clew_store *st, const struct clew_span_filter *f,
		      enum clew_filter_scope scope, struct slice key, uint64_t max,
		      clew_value_fn fn, void *user, char **ret_error)
{
	struct looking l = {.st = st, .left = max, .spans = LOOK_AT_SPANS, .fn = fn, .user = user};
	struct seen *s, *next;
	struct query q;
	int r = query_begin(st, &q, ret_error);

	if (r < 0)
		return r;
	if (scope == CLEW_SCOPE_FIELD) {
		l.names = true;
		r = ask_spans(&q, f, "operation AS v", &l, ret_error);
	} else {
		if (scope != CLEW_SCOPE_SPAN)
			r = ask_resources(st, key, &l);
		if (r == 0 && scope != CLEW_SCOPE_RESOURCE)
			r = ask_key(&q, f, key, &l, ret_error);
	}
	query_end(&q);
	HASH_ITER (hh, l.seen, s, next) {
		HASH_DEL(l.seen, s);
		free(s);
	}
	return r;
}
