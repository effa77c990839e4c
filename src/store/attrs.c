/* SPDX-License-Identifier: Apache-2.0 */
/* Which attributes there are, and which values they have: what a search box offers. */
#include <inttypes.h>

#include "store/internal.h"

struct counting {
	struct clew_store *st;
	uint64_t *spans;     /* by the key's id */
	uint64_t *resources; /* ... of them by their resource */
	uint32_t n;
	struct slice key; /* of values: the resource's that has it */
};

static int keep_keys(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col key = duck_col(chunk, 0), n = duck_col(chunk, 1);
	struct counting *c = user;

	for (idx_t i = 0; i < rows; i++) {
		uint32_t id = ((uint32_t *)key.data)[i];

		if (id < c->n)
			c->spans[id] += (uint64_t)((int64_t *)n.data)[i];
	}
	return 0;
}

static int keep_resources(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col resource = duck_col(chunk, 0), n = duck_col(chunk, 1);
	struct counting *c = user;
	uint32_t id;

	for (idx_t i = 0; i < rows; i++) {
		const struct clew_resource *r =
			duck_null(&resource, i)
				? NULL
				: names_resource_get(c->st, ((uint32_t *)resource.data)[i]);

		for (uint32_t k = 0; r && k < r->n_attrs; k++)
			if (!dict_find(&c->st->dicts[DICT_KEY], r->attrs[k].key,
				       key_type(&r->attrs[k]), &id) &&
			    id < c->n) {
				c->spans[id] += (uint64_t)((int64_t *)n.data)[i];
				c->resources[id] += (uint64_t)((int64_t *)n.data)[i];
			}
	}
	return 0;
}

/* "SELECT a, sum(n) FROM (rollup's columns of a table, and the same of what is beside) GROUP BY a" */
static int ask_sums(struct query *q, const char *table, const char *cols, const char *beside,
		    const char *where, duck_chunk_fn fn, void *user, char **ret_error)
{
	struct clew_buf sql = {0};
	int r;

	clew_buf_adds(&sql, "SELECT a, sum(n)::BIGINT FROM (");
	rollup_rows(q, 0, q->n_parts, table, cols, where, beside, where, &sql);
	clew_buf_adds(&sql, ") GROUP BY a");
	r = sql.err ? sql.err : query_each(q, sql.data, fn, user, ret_error);
	clew_buf_done(&sql);
	return r;
}

static int by_name(const void *a, const void *b, void *user)
{
	const struct clew_store *st = user;
	const struct dict_entry *x = dict_get(&st->dicts[DICT_KEY], *(const uint32_t *)a);
	const struct dict_entry *y = dict_get(&st->dicts[DICT_KEY], *(const uint32_t *)b);
	size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
	int c = n ? memcmp(x->name.p, y->name.p, n) : 0;

	if (c)
		return c;
	return x->name.n != y->name.n ? (x->name.n < y->name.n ? -1 : 1) : x->type - y->type;
}

static int give_keys(struct counting *c, struct slice prefix, clew_attr_key_fn fn, void *user)
{
	_cleanup_(freep) uint32_t *ids = malloc((c->n + 1) * sizeof(*ids));
	uint32_t n = 0;
	int r = 0;

	if (!ids)
		return -ENOMEM;
	for (uint32_t id = 0; id < c->n; id++)
		if (c->spans[id] &&
		    slice_starts(dict_get(&c->st->dicts[DICT_KEY], id)->name, prefix))
			ids[n++] = id;
	if (n)
		qsort_r(ids, n, sizeof(*ids), by_name, c->st);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		const struct dict_entry *e = dict_get(&c->st->dicts[DICT_KEY], ids[i]);
		struct clew_attr_key k = {.key = e->name,
					  .type = key_attr_type(e->type),
					  .spans = c->spans[ids[i]],
					  .resources = c->resources[ids[i]]};

		r = fn(user, &k);
	}
	return r;
}

/* "true", or the service's; -ENODATA: there is no such service. */
static int service_condition(struct clew_store *st, struct slice service, char out[48])
{
	uint32_t id;

	snprintf(out, 48, "true");
	if (!service.p)
		return 0;
	if (dict_find(&st->dicts[DICT_SERVICE], service, 0, &id) < 0)
		return -ENODATA;
	snprintf(out, 48, "service = %u", id);
	return 0;
}

int clew_store_attr_keys(struct clew_store *st, struct slice service, struct slice prefix,
			 clew_attr_key_fn fn, void *user, char **ret_error)
{
	struct counting c = {.st = st, .n = atomic_load(&st->dicts[DICT_KEY].n)};
	char where[48];
	struct query q;
	int r = service_condition(st, service, where);

	if (r < 0)
		return 0;
	c.spans = calloc(2 * ((size_t)c.n + 1), sizeof(*c.spans));
	if (!c.spans)
		return -ENOMEM;
	c.resources = c.spans + c.n + 1;
	r = query_begin(st, &q, ret_error);
	if (r == 0) {
		r = query_digested(&q, 0, q.n_parts, ret_error);
		if (r == 0)
			r = ask_sums(&q, "attr_count", "key AS a, spans AS n",
				     "unnest(attr_keys) AS a, 1 AS n", where, keep_keys, &c,
				     ret_error);
		if (r == 0)
			r = ask_sums(&q, "seen", "resource AS a, spans AS n",
				     "resource AS a, 1 AS n", where, keep_resources, &c, ret_error);
		query_end(&q);
	}
	if (r == 0)
		r = give_keys(&c, prefix, fn, user);
	free(c.spans);
	return r;
}

/* ---- values ---- */

struct value {
	struct slice text; /* owned */
	uint64_t spans;
};

struct values {
	struct clew_store *st;
	struct slice key, prefix;
	struct dict seen; /* text to its place */
	uint64_t *spans;
	uint32_t cap;
};

static int add_value(struct values *v, struct slice text, uint64_t spans)
{
	uint32_t id;
	int r;

	if (!slice_starts(text, v->prefix))
		return 0;
	r = dict_add(&v->seen, text, 0, &id);
	if (r < 0)
		return r;
	if (id >= v->cap) {
		uint32_t cap = v->cap ? v->cap * 2 : 64;
		uint64_t *more = realloc(v->spans, cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		memset(more + v->cap, 0, (cap - v->cap) * sizeof(*more));
		v->spans = more;
		v->cap = cap;
	}
	v->spans[id] += spans;
	return 0;
}

static int keep_values(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col value = duck_col(chunk, 0), n = duck_col(chunk, 1);
	int r = 0;

	for (idx_t i = 0; r == 0 && i < rows; i++)
		if (!duck_null(&value, i))
			r = add_value(user, duck_str(&value, i), (uint64_t)((int64_t *)n.data)[i]);
	return r;
}

static int keep_resource_values(void *user, duckdb_data_chunk chunk, idx_t rows)
{
	struct duck_col resource = duck_col(chunk, 0), n = duck_col(chunk, 1);
	struct values *v = user;
	char num[64];
	int r = 0;

	for (idx_t i = 0; r == 0 && i < rows; i++) {
		const struct clew_resource *rs =
			duck_null(&resource, i)
				? NULL
				: names_resource_get(v->st, ((uint32_t *)resource.data)[i]);

		for (uint32_t k = 0; r == 0 && rs && k < rs->n_attrs; k++)
			if (slice_eq(rs->attrs[k].key, v->key))
				r = add_value(v, attr_text(&rs->attrs[k], num, sizeof(num)),
					      (uint64_t)((int64_t *)n.data)[i]);
	}
	return r;
}

/* The most frequent values of a key among the newest spans; enough of them for the limit. */
static int ask_values(struct query *q, struct values *v, const char *where, uint64_t limit,
		      bool *ret_more, char **ret_error)
{
	struct clew_buf sql = {0}, expr = {0};
	const char *sep = "";
	uint64_t rows = 0;
	uint32_t id;
	int r = 0;

	clew_buf_adds(&expr, "coalesce(NULL");
	for (uint8_t type = CLEW_ATTR_STR; type <= KEY_TYPE_LAST; type++)
		if (!dict_find(&v->st->dicts[DICT_KEY], v->key, type, &id)) {
			clew_buf_addf(&expr, ", attr_values[list_position(attr_keys, %u)]", id);
			sep = "?";
		}
	clew_buf_adds(&expr, ", NULL)::VARCHAR");
	if (!*sep) /* nobody has it */
		goto out;
	sep = "";
	clew_buf_adds(&sql, "SELECT a, count(*) AS n FROM (");
	for (size_t i = q->n_parts; i > 0; i--) {
		const struct part_ref *p = &q->parts[i - 1];

		if (rows && rows + p->rows > CLEW_STORE_VALUE_SPANS) {
			*ret_more = true;
			break;
		}
		rows += p->rows;
		clew_buf_addf(&sql,
			      "%sSELECT %s AS a FROM %s WHERE %s UNION ALL SELECT %s AS a FROM"
			      " %s.span WHERE %s%s",
			      sep, expr.data, p->hot, where, expr.data, p->name, where,
			      not_gone(p));
		sep = " UNION ALL ";
	}
	clew_buf_adds(&sql, ") WHERE a IS NOT NULL");
	if (v->prefix.n) {
		clew_buf_adds(&sql, " AND starts_with(a, ");
		duck_quote(&sql, v->prefix);
		clew_buf_adds(&sql, ")");
	}
	clew_buf_addf(&sql, " GROUP BY a ORDER BY n DESC, a LIMIT %" PRIu64, limit + 1);
	if (*sep)
		r = sql.err || expr.err ? -ENOMEM
					: query_each(q, sql.data, keep_values, v, ret_error);
out:
	clew_buf_done(&sql);
	clew_buf_done(&expr);
	return r;
}

static int by_spans(const void *a, const void *b)
{
	const struct value *x = a, *y = b;
	size_t n = x->text.n < y->text.n ? x->text.n : y->text.n;
	int c;

	if (x->spans != y->spans)
		return x->spans > y->spans ? -1 : 1;
	c = n ? memcmp(x->text.p, y->text.p, n) : 0;
	return c ? c : x->text.n < y->text.n ? -1 : x->text.n > y->text.n;
}

static int give_values(struct values *v, uint64_t limit, clew_attr_value_fn fn, void *user,
		       bool *ret_more)
{
	uint32_t n = atomic_load(&v->seen.n);
	_cleanup_(freep) struct value *sorted = calloc(n + 1, sizeof(*sorted));
	int r = 0;

	if (!sorted)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		sorted[i] = (struct value){dict_get(&v->seen, i)->name, v->spans[i]};
	if (n)
		qsort(sorted, n, sizeof(*sorted), by_spans);
	*ret_more |= n > limit;
	for (uint32_t i = 0; r == 0 && i < n && i < limit; i++)
		r = fn(user, sorted[i].text, sorted[i].spans);
	return r;
}

int clew_store_attr_values(struct clew_store *st, struct slice key, struct slice service,
			   struct slice prefix, uint64_t limit, clew_attr_value_fn fn, void *user,
			   bool *ret_more, char **ret_error)
{
	struct values v = {.st = st, .key = key, .prefix = prefix};
	bool more = false;
	char where[48];
	struct query q;
	int r = service_condition(st, service, where);

	*ret_more = false;
	if (r < 0)
		return 0;
	r = dict_init(&v.seen);
	if (r < 0)
		return r;
	r = query_begin(st, &q, ret_error);
	if (r == 0) {
		r = ask_values(&q, &v, where, limit, &more, ret_error);
		if (r == 0)
			r = query_digested(&q, 0, q.n_parts, ret_error);
		if (r == 0)
			r = ask_sums(&q, "seen", "resource AS a, spans AS n",
				     "resource AS a, 1 AS n", where, keep_resource_values, &v,
				     ret_error);
		query_end(&q);
	}
	if (r == 0)
		r = give_values(&v, limit, fn, user, &more);
	*ret_more = more;
	dict_done(&v.seen);
	free(v.spans);
	return r;
}
