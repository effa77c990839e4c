/* SPDX-License-Identifier: Apache-2.0 */
/* One trace: found by the beginning of its id, given as a document or by one of the calls below it. */
#include "model/otlp_json.h"
#include "query/call.h"
#include "query/candidates.h"
#include "query/trace_rows.h"

#define ID_CANDIDATES 10

struct span_list {
	struct clew_span **v;
	size_t n, cap;
};

static int keep_span(void *user, struct clew_span *s)
{
	struct span_list *l = user;

	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct clew_span **v = realloc(l->v, cap * sizeof(*v));

		if (!v || cap > TRACE_MAX_SPANS * 2) {
			clew_span_free(s);
			l->v = v ? v : l->v;
			return v ? -EFBIG : -ENOMEM;
		}
		l->v = v;
		l->cap = cap;
	}
	clew_span_show_fields(s);
	l->v[l->n++] = s;
	return 0;
}

/* That spans of it were not stored is said by its first one. */
static void tell_not_stored(struct call *c, const struct clew_id128 *id, struct clew_span **v,
			    size_t n)
{
	uint64_t spans = n ? clew_store_not_stored(c->st, id) : 0;

	if (spans)
		clew_span_set_int(v[0], "clew.trace.not_stored", (int64_t)spans);
}

static int put_document(struct call *c, const struct clew_id128 *id, bool why)
{
	struct span_list l = {0};
	char hex[33];
	int r = clew_store_get_trace(c->st, id, keep_span, &l, c->ret_error);

	if (r == 0 && why)
		r = candidates_describe(c->st, l.v, l.n, c->ret_error);
	if (r == 0)
		tell_not_stored(c, id, l.v, l.n);
	if (r == 0)
		r = clew_otlp_json(&c->out, l.v, l.n);
	for (size_t i = 0; i < l.n; i++)
		clew_span_free(l.v[i]);
	free(l.v);
	clew_hex(id->b, sizeof(id->b), hex);
	if (r == -ENOENT)
		return call_fail(c, r, "there is no trace %s", hex);
	if (r == -EFBIG)
		return call_fail(c, r,
				 "trace %s has more than %u spans: use spans?attr=... instead", hex,
				 TRACE_MAX_SPANS);
	return r < 0 ? r : call_end_line(c);
}

static int keep_id(void *user, const struct clew_trace_summary *t)
{
	*(struct clew_id128 *)user = t->trace_id;
	return 0;
}

static int find_last(struct call *c, struct clew_id128 *ret)
{
	struct clew_span_filter f = {.limit = 1, .sort = CLEW_SORT_START};
	struct clew_id128 id = {0};
	int r = clew_store_find_traces(c->st, &f, keep_id, &id, c->ret_error);

	if (r == 0 && clew_id128_none(&id))
		r = call_fail(c, -ENOENT, "the store holds no trace yet");
	if (r == 0)
		*ret = id;
	return r;
}

static int ambiguous(struct call *c, struct slice text, const struct clew_id128 *ids, int n)
{
	struct clew_buf list = {0};
	char hex[33];
	int r;

	for (int i = 0; i < n; i++) {
		clew_hex(ids[i].b, sizeof(ids[i].b), hex);
		clew_buf_addf(&list, "%s%s", i ? ", " : "", hex);
	}
	r = call_fail(c, -EINVAL, "%.*s is the beginning of more than one trace: %s%s", (int)text.n,
		      text.p, list.data ? list.data : "", n == ID_CANDIDATES ? ", ..." : "");
	clew_buf_done(&list);
	return r;
}

int trace_find_id(struct call *c, struct slice text, struct clew_id128 *ret)
{
	struct clew_id128 ids[ID_CANDIDATES];
	int n;

	if (slice_eq(text, SLICE("last")))
		return find_last(c, ret);
	/* A whole id needs no looking for. */
	if (text.n == 32 && clew_unhex(text.p, text.n, ret->b, sizeof(ret->b)) == 0)
		return 0;
	if (text.n < 4)
		return call_fail(c, -EINVAL, "give at least 4 digits of the trace's id");
	n = clew_store_match_ids(c->st, text, ids, ID_CANDIDATES, c->ret_error);
	if (n < 0)
		return n;
	if (n == 0)
		return call_fail(c, -ENOENT, "there is no trace whose id begins with %.*s",
				 (int)text.n, text.p);
	if (n > 1)
		return ambiguous(c, text, ids, n);
	*ret = ids[0];
	return 0;
}

static int document(struct call *c, const struct clew_id128 *id)
{
	bool why = false;
	int r = params_flag(&c->params, "why", &why, c->ret_error);

	if (r == 0)
		r = call_no_params(c);
	return r < 0 ? r : put_document(c, id, why);
}

int call_trace(struct call *c)
{
	const char *slash = c->rest.n ? memchr(c->rest.p, '/', c->rest.n) : NULL;
	struct slice id_text = c->rest, what = {0};
	struct clew_id128 id;
	int r;

	if (slash) {
		id_text.n = (size_t)(slash - c->rest.p);
		what = slice_of(slash + 1, c->rest.n - id_text.n - 1);
	}
	r = trace_find_id(c, id_text, &id);
	if (r < 0)
		return r;
	if (!slash)
		return document(c, &id);
	if (slice_eq(what, SLICE("tree")))
		return call_trace_tree(c, &id);
	if (slice_eq(what, SLICE("critical")))
		return call_trace_critical(c, &id);
	if (slice_starts(what, SLICE("span/")))
		return call_trace_span(c, &id, slice_of(what.p + 5, what.n - 5));
	return call_fail(c, -ENOENT,
			 "there is no such call; of a trace there are tree, span/SPANID and "
			 "critical");
}
