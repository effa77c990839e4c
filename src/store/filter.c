/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filter as SQL over a partition, by the block index where it asks for attributes.
 *
 * An attribute is looked for in three places: the span's own, its resource's, and the columns that
 * clew_span_show_fields() shows as attributes.
 */
#include <inttypes.h>

#include "store/filter_blocks.h"
#include "store/hour_ask.h"
#include "store/latency.h"

#define MINUTE_NS INT64_C(60000000000)

/* Partitions smaller than this are scanned. */
#define INDEX_MIN_ROWS (8u * BLOCK_SPANS)
/* Of a filter, that are looked for by pairs. */
#define MAX_TERMS 6
/* So few blocks are read sooner than they are narrowed further. */
#define FEW_BLOCKS 4u
/* A filter that leaves more blocks than this in one partition is asked window by window. */
#define BROAD_BLOCKS 64u

/* ---- columns that are shown as attributes ---- */

/* "link_class = 3" for clew.link.class=orphan; evidence: which bits give these words? */
static bool mark_condition(const struct clew_filter_attr *a, struct clew_buf *out)
{
	char words[256];

	if (slice_eq(a->key, SLICE("clew.link.class"))) {
		for (uint8_t c = CLEW_LINK_ROOT; c <= CLEW_LINK_ORPHAN; c++)
			if (slice_eq(a->value, slice_str(clew_link_class_name(c))))
				clew_buf_addf(out,
					      "(link_class = %u AND (evidence <> 0 OR "
					      "link_class <> 0))",
					      c);
		return true;
	}
	if (slice_eq(a->key, SLICE("clew.incomplete"))) {
		for (uint32_t bits = 1; bits < 256; bits++)
			if (slice_eq(a->value,
				     slice_str(clew_incomplete_words(bits, words, sizeof(words)))))
				clew_buf_addf(out, "incomplete = %u", bits);
		return true;
	}
	if (slice_eq(a->key, SLICE("clew.link.evidence"))) {
		for (uint32_t i = 1; i < 1u << 15; i++) {
			uint32_t bits = (i & 0xfff) | (i >> 12) << 16;

			if (slice_eq(a->value,
				     slice_str(clew_evidence_words(bits, words, sizeof(words)))))
				clew_buf_addf(out, "evidence = %u", bits);
		}
		return true;
	}
	return false;
}

bool filter_column(const struct clew_filter_attr *a, struct clew_buf *out)
{
	size_t before = out->len;
	static const char *const times[] = {"cpu", "runq",  "futex", "disk",
					    "net", "sleep", "other"};
	struct clew_id128 id;
	char text[64], *end, key[32];
	long long n;

	if (mark_condition(a, out) || a->value.n >= sizeof(text))
		return out->len > before;
	memcpy(text, a->value.p, a->value.n);
	text[a->value.n] = '\0';
	n = strtoll(text, &end, 10);
	if (slice_eq(a->key, SLICE("clew.wire_key")) &&
	    clew_unhex(a->value.p, a->value.n, id.b, sizeof(id.b)) == 0)
		clew_buf_addf(out, "wire_key = %s", huge_sql(&id, text));
	else if (slice_eq(a->key, SLICE("thread.id")) && a->value.n && !*end)
		clew_buf_addf(out, "tid = %lld", n);
	else if (slice_eq(a->key, SLICE("clew.link.confidence")))
		clew_buf_addf(out, "(abs(confidence - %.6g) < 0.00005 AND link_class <> 0)",
			      strtod(text, NULL));
	else
		for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
			snprintf(key, sizeof(key), "clew.time.%s_ns", times[i]);
			if (slice_eq(a->key, slice_str(key)) && a->value.n && !*end)
				clew_buf_addf(out, "%s_ns = %lld", times[i], n);
		}
	return out->len > before;
}

/* ---- the places where an attribute can be ---- */

struct places {
	uint32_t keys[KEY_TYPE_LAST + 1]; /* ids of the key, by type */
	uint32_t n_keys;
	struct clew_buf resources; /* "1,2,3" */
	struct clew_buf hashes;	   /* of the index: "1,2,3" */
	struct clew_buf column;	   /* a condition, or empty */
};

static void places_done(struct places *p)
{
	clew_buf_done(&p->resources);
	clew_buf_done(&p->hashes);
	clew_buf_done(&p->column);
}

static void find_places(struct clew_store *st, const struct clew_filter_attr *a, struct places *p)
{
	uint32_t n = atomic_load(&st->resource_ids.n);
	char num[64];

	*p = (struct places){0};
	if (a->scope == CLEW_SCOPE_SPAN)
		n = 0;
	for (uint8_t type = CLEW_ATTR_STR; type <= KEY_TYPE_LAST; type++)
		if (a->scope != CLEW_SCOPE_RESOURCE &&
		    dict_find(&st->dicts[DICT_KEY], a->key, type, &p->keys[p->n_keys]) == 0) {
			clew_buf_addf(&p->hashes, "%s%u", p->hashes.len ? "," : "",
				      index_hash_attr(p->keys[p->n_keys], a->value));
			p->n_keys++;
		}
	for (uint32_t id = 0; id < n; id++) {
		const struct clew_resource *r = st->resources[id];

		for (uint32_t i = 0; r && i < r->n_attrs; i++)
			if (slice_eq(r->attrs[i].key, a->key) &&
			    slice_eq(attr_text(&r->attrs[i], num, sizeof(num)), a->value)) {
				clew_buf_addf(&p->resources, "%s%u", p->resources.len ? "," : "",
					      id);
				clew_buf_addf(&p->hashes, "%s%u", p->hashes.len ? "," : "",
					      index_hash_resource(id));
			}
	}
	if (a->scope != CLEW_SCOPE_RESOURCE)
		filter_column(a, &p->column);
}

static int attr_condition(struct clew_store *st, const struct clew_filter_attr *a,
			  struct clew_buf *out)
{
	struct places p;
	const char *sep = "";
	size_t start = out->len;

	find_places(st, a, &p);
	clew_buf_adds(out, " AND (");
	for (uint32_t i = 0; i < p.n_keys; i++) {
		clew_buf_addf(out, "%sattr_values[list_position(attr_keys, %u)] = ", sep,
			      p.keys[i]);
		duck_quote(out, a->value);
		sep = " OR ";
	}
	if (p.resources.len) {
		clew_buf_addf(out, "%sresource IN (%s)", sep, p.resources.data);
		sep = " OR ";
	}
	if (p.column.len) {
		clew_buf_addf(out, "%s%s", sep, p.column.data);
		sep = " OR ";
	}
	clew_buf_addc(out, ')');
	places_done(&p);
	if (*sep)
		return 0;
	out->len = start;
	return -ENODATA;
}

void filter_after(const struct clew_span_filter *f, struct clew_buf *out,
		  struct clew_span_filter *ret)
{
	uint64_t start = f->after.start_ns, id;
	const char *sign = f->sort == CLEW_SORT_START ? "<" : ">";

	*ret = *f;
	if (f->sort != CLEW_SORT_START)
		ret->since_ns = start > f->since_ns ? start : f->since_ns;
	else if (!f->until_ns || start < f->until_ns)
		ret->until_ns = start;
	memcpy(&id, f->after.id.b, sizeof(id));
	id = __builtin_bswap64(id);
	clew_buf_addf(out,
		      " AND start_ns %s= %" PRIu64 " AND (start_ns <> %" PRIu64
		      " OR span_id > %" PRIu64 ")",
		      sign, start, start, id);
}

static void set_condition(const char *column, uint32_t bits, struct clew_buf *out)
{
	const char *sep = "";

	if (!bits)
		return;
	clew_buf_addf(out, " AND %s IN (", column);
	for (uint32_t i = 0; i < 32; i++)
		if (bits >> i & 1) {
			clew_buf_addf(out, "%s%u", sep, i);
			sep = ", ";
		}
	clew_buf_addc(out, ')');
}

static int wheres(struct clew_store *st, const struct clew_span_filter *f, struct clew_buf *out,
		  char **ret_error)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < f->n_where; i++) {
		clew_buf_adds(out, " AND ");
		r = where_condition(st, &f->where[i], out, ret_error);
	}
	return r;
}

void filter_bounds(const struct clew_span_filter *f, struct clew_buf *out)
{
	if (f->min_duration_ns)
		clew_buf_addf(out, " AND duration_ns >= %" PRIu64, f->min_duration_ns);
	if (f->max_duration_ns)
		clew_buf_addf(out, " AND duration_ns <= %" PRIu64, f->max_duration_ns);
	if (f->since_ns)
		clew_buf_addf(out, " AND start_ns >= %" PRIu64, f->since_ns);
	if (f->until_ns)
		clew_buf_addf(out, " AND start_ns <= %" PRIu64, f->until_ns);
	if (f->error)
		clew_buf_adds(out, " AND status = 2");
}

int filter_where(struct clew_store *st, const struct clew_span_filter *f, struct clew_buf *out,
		 char **ret_error)
{
	uint32_t id;
	int r = 0;

	clew_buf_adds(out, "true");
	if (f->service.p) {
		if (dict_find(&st->dicts[DICT_SERVICE], f->service, 0, &id) < 0)
			return -ENODATA;
		clew_buf_addf(out, " AND service = %u", id);
	}
	if (f->name.p) {
		if (dict_find(&st->dicts[DICT_OPERATION], f->name, 0, &id) < 0)
			return -ENODATA;
		clew_buf_addf(out, " AND operation = %u", id);
	}
	filter_bounds(f, out);
	if (f->incomplete)
		clew_buf_adds(out, " AND incomplete <> 0");
	set_condition("kind", f->kinds, out);
	set_condition("link_class", f->link_classes, out);
	for (uint32_t i = 0; r == 0 && i < f->n_attrs; i++)
		r = attr_condition(st, &f->attrs[i], out);
	if (r == 0)
		r = wheres(st, f, out, ret_error);
	return r < 0 ? r : out->err;
}

void filter_hours(const struct query *q, uint64_t since_ns, uint64_t until_ns, size_t *ret_from,
		  size_t *ret_to)
{
	int64_t first = (int64_t)(since_ns / (uint64_t)HOUR_NS);
	int64_t last = until_ns ? (int64_t)(until_ns / (uint64_t)HOUR_NS) : INT64_MAX;
	size_t from = 0, to = q->n_parts;

	while (from < to && q->parts[from].hour < first)
		from++;
	while (to > from && q->parts[to - 1].hour > last)
		to--;
	*ret_from = from;
	*ret_to = to;
}

void filter_look_through(struct query *q, const struct clew_span_filter *f, bool oldest_first,
			 size_t *ret_from, size_t *ret_to)
{
	filter_hours(q, f->since_ns, f->until_ns, ret_from, ret_to);
	q->hours.from = *ret_from;
	q->hours.to = *ret_to;
	q->hours.oldest_first = oldest_first;
}

/* ---- the block index ---- */

/* By the least and the greatest value of a block, where it is a number that is compared; else by the key. */
static int lookup_condition(struct query *q, const struct part_ref *p,
			    const struct clew_filter_where *w, uint32_t service,
			    struct block_set *b, char **ret_error)
{
	struct clew_buf text = {0};
	struct number_range range;
	int r = 0;

	if (p->has_rollups && p->digested >= p->indexed && where_range(q->st, w, &range))
		return blocks_in_range(q, p, &range, service, b, ret_error);
	if (where_hashes(q->st, w, &text))
		r = text.err ? text.err : blocks_with(q, p, text.data, b, ret_error);
	clew_buf_done(&text);
	return r;
}

/* Things that a span must have, each of one entry of the index. */
struct terms {
	uint32_t v[MAX_TERMS];
	uint32_t n;
};

static void add_term(struct terms *t, uint32_t hash)
{
	if (t->n < MAX_TERMS)
		t->v[t->n++] = hash;
}

static int narrow_by_attr(struct query *q, const struct part_ref *p,
			  const struct clew_filter_attr *a, struct terms *t, struct block_set *b,
			  char **ret_error)
{
	struct places pl;
	int r = 0;

	find_places(q->st, a, &pl);
	/* A column is not in the index: this attribute narrows nothing. */
	if (!pl.column.len && pl.hashes.len) {
		r = blocks_with(q, p, pl.hashes.data, b, ret_error);
		if (pl.n_keys == 1 && !pl.resources.len)
			add_term(t, index_hash_attr(pl.keys[0], a->value));
	}
	places_done(&pl);
	return r;
}

static int narrow_by_term(struct query *q, const struct part_ref *p, uint32_t term, struct terms *t,
			  struct block_set *b, char **ret_error)
{
	char hash[16];

	snprintf(hash, sizeof(hash), "%u", term);
	add_term(t, term);
	return blocks_with(q, p, hash, b, ret_error);
}

/* The blocks that may hold a match. */
static int find_blocks(struct query *q, const struct part_ref *p, const struct clew_span_filter *f,
		       struct block_set *b, char **ret_error)
{
	struct clew_store *st = q->st;
	struct terms t = {.n = 0};
	uint32_t id, service = NO_SERVICE;
	int r = 0;

	if (f->service.p && dict_find(&st->dicts[DICT_SERVICE], f->service, 0, &id) == 0)
		service = id;
	for (uint32_t i = 0; r == 0 && i < f->n_attrs && blocks_count(b); i++)
		r = narrow_by_attr(q, p, &f->attrs[i], &t, b, ret_error);
	for (uint32_t i = 0; r == 0 && i < f->n_where && blocks_count(b); i++)
		r = lookup_condition(q, p, &f->where[i], service, b, ret_error);
	if (r < 0 || blocks_count(b) <= FEW_BLOCKS)
		return r;
	if (r == 0 && service != NO_SERVICE)
		r = narrow_by_term(q, p, index_hash_id(DICT_SERVICE, service), &t, b, ret_error);
	if (r == 0 && f->name.p && !dict_find(&st->dicts[DICT_OPERATION], f->name, 0, &id))
		r = narrow_by_term(q, p, index_hash_id(DICT_OPERATION, id), &t, b, ret_error);
	for (uint32_t i = 0; r == 0 && i < t.n; i++)
		for (uint32_t k = 0; r == 0 && k < i && blocks_count(b) > FEW_BLOCKS; k++)
			r = blocks_with_pair(q, p, t.v[i], t.v[k], b, ret_error);
	return r;
}

/* A span is a root when nobody in sight is its parent; that a caller is not traced is usual. */
static void root_condition(const struct part_ref *p, struct clew_buf *out)
{
	clew_buf_addf(out,
		      " AND (parent_id IS NULL OR (kind IN (2, 5) AND (trace_id, parent_id) NOT IN"
		      " (SELECT trace_id, span_id FROM %s.span UNION ALL"
		      " SELECT trace_id, span_id FROM %s)))",
		      p->name, p->hot);
}

/* ---- the minutes that matter ---- */

struct minutes {
	int64_t n, first, last;
};

static void keep_minutes(void *user, const struct hour_row *row)
{
	struct minutes *m = user;

	*m = (struct minutes){(int64_t)row->c, row->a, row->b};
}

/* What the rollups know of a filter: spans of the partition that match it are counted in these rows of red. */
static void red_condition(struct clew_store *st, const struct clew_span_filter *f,
			  struct clew_buf *out)
{
	uint32_t id;

	clew_buf_adds(out, "true");
	if (f->service.p && !dict_find(&st->dicts[DICT_SERVICE], f->service, 0, &id))
		clew_buf_addf(out, " AND service = %u", id);
	if (f->name.p && !dict_find(&st->dicts[DICT_OPERATION], f->name, 0, &id))
		clew_buf_addf(out, " AND operation = %u", id);
	if (f->min_duration_ns)
		clew_buf_addf(out, " AND bucket >= %u", clew_latency_bucket(f->min_duration_ns));
	if (f->max_duration_ns)
		clew_buf_addf(out, " AND bucket <= %u", clew_latency_bucket(f->max_duration_ns));
	if (f->error)
		clew_buf_adds(out, " AND errors > 0");
	set_condition("kind", f->kinds, out);
}

/*
 * Few spans are slow, or fail: the rollups say in which minutes of the hour there are such. Appends a condition
 * on sealed spans: "", or of those minutes, or false; then it returns 1.
 */
static int add_minutes(struct query *q, const struct part_ref *p, const struct clew_span_filter *f,
		       struct clew_buf *out, char **ret_error)
{
	struct clew_buf sql = {0};
	struct minutes m = {0};
	int r;

	if ((!f->min_duration_ns && !f->max_duration_ns && !f->error) || !p->has_rollups ||
	    p->digested < p->indexed || p->has_hot || p->has_tail)
		return 0;
	clew_buf_adds(&sql, "red WHERE ");
	red_condition(q->st, f, &sql);
	r = sql.err ? sql.err
		    : hour_ask(q, p, "min(minute)::BIGINT, max(minute)::BIGINT, count(*)::DOUBLE",
			       sql.data, true, keep_minutes, &m, ret_error);
	clew_buf_done(&sql);
	if (r < 0)
		return r;
	if (!m.n) {
		clew_buf_adds(out, " AND false");
		return out->err ? out->err : 1;
	}
	return clew_buf_addf(out, " AND start_ns >= %" PRId64 " AND start_ns < %" PRId64,
			     m.first * MINUTE_NS, (m.last + 1) * MINUTE_NS);
}

int filter_source(struct query *q, const struct part_ref *p, const struct clew_span_filter *f,
		  const char *cols, const char *where, struct clew_buf *out, enum much *ret_much,
		  char **ret_error)
{
	struct clew_buf head = {0}, root = {0};
	struct block_set b = {0};
	bool none, broad = false;
	int r = 0;

	if (f->root)
		root_condition(p, &root);
	clew_buf_addf(out, "SELECT %s, true AS hot FROM clew_hot(%" PRId64 "%s) WHERE %s%s", cols,
		      p->hour, strstr(cols, "rowid") ? ", rowid := true" : "",
		      p->has_hot ? where : "false", root.data ? root.data : "");
	clew_buf_addf(&head, "SELECT %s, false AS hot FROM %s.span WHERE %s%s%s", cols, p->name,
		      where, not_gone(p), root.data ? root.data : "");
	r = add_minutes(q, p, f, &head, ret_error);
	none = r == 1;
	r = r < 0 ? r : 0;
	clew_buf_done(&root);
	if (none || (!f->n_attrs && !f->n_where) || p->indexed < INDEX_MIN_ROWS) {
		clew_buf_addf(out, " UNION ALL %s", head.data ? head.data : "");
	} else {
		if (r == 0)
			r = blocks_init(&b, p);
		if (r == 0)
			r = find_blocks(q, p, f, &b, ret_error);
		if (r == 0)
			blocks_add(&b, head.data, p, out);
		none = !blocks_count(&b) && !p->has_tail;
		broad = blocks_count(&b) > BROAD_BLOCKS;
	}
	free(b.in);
	clew_buf_done(&head);
	if (ret_much)
		*ret_much = none && !p->has_hot ? MUCH_NONE : broad ? MUCH_BROAD : MUCH_FEW;
	return r < 0 ? r : out->err;
}
