/* SPDX-License-Identifier: Apache-2.0 */
/* Whole traces and lists of names out of the store, for the APIs of other systems. */
#include <stdlib.h>

#include "query/trace_rows.h"
#include "server/api.h"

/* Spans of the traces that are loaded together; one trace may have more. */
#define BATCH_SPANS 20000u

/* Room for one more; -ENOMEM. */
static int grow(void **v, size_t n, size_t *cap, size_t size)
{
	size_t more = *cap ? *cap * 2 : 64;
	void *p;

	if (n < *cap)
		return 0;
	p = realloc(*v, more * size);
	if (!p)
		return -ENOMEM;
	*v = p;
	*cap = more;
	return 0;
}

static int keep_span(void *user, struct clew_span *s)
{
	struct api_spans *l = user;
	int r = l->n < TRACE_MAX_SPANS ? grow((void **)&l->v, l->n, &l->cap, sizeof(*l->v))
				       : -EFBIG;

	if (r < 0) {
		clew_span_free(s);
		return r;
	}
	clew_span_show_fields(s);
	l->v[l->n++] = s;
	return 0;
}

int api_load_trace(struct api_call *c, const struct clew_id128 *id, struct api_spans *ret)
{
	char hex[33];
	int r;

	*ret = (struct api_spans){0};
	r = clew_store_get_trace(c->st, id, keep_span, ret, &c->error);
	clew_hex(id->b, sizeof(id->b), hex);
	if (r == -EFBIG)
		r = api_fail(c, 413, r, "trace %s has more than %u spans: too many for this API",
			     hex, TRACE_MAX_SPANS);
	if (r < 0)
		api_spans_done(ret);
	return r;
}

void api_spans_done(struct api_spans *s)
{
	for (size_t i = 0; i < s->n; i++)
		clew_span_free(s->v[i]);
	free(s->v);
	*s = (struct api_spans){0};
}

static int keep_trace(void *user, const struct clew_trace_summary *t)
{
	struct api_traces *l = user;
	int r = grow((void **)&l->v, l->n, &l->cap, sizeof(*l->v));

	if (r == 0)
		l->v[l->n++] = *t;
	return r;
}

int api_find_traces(struct api_call *c, const struct clew_span_filter *f, struct api_traces *ret)
{
	int r;

	*ret = (struct api_traces){0};
	r = clew_store_find_traces(c->st, f, keep_trace, ret, &c->error);
	if (r < 0)
		api_traces_done(ret);
	return r;
}

void api_traces_done(struct api_traces *t)
{
	free(t->v);
	*t = (struct api_traces){0};
}

int api_too_many(struct api_call *c, const char *lower)
{
	return api_fail(c, 413, -EFBIG, "these traces have more than %u spans together: lower %s",
			API_MAX_SPANS, lower);
}

/* Some traces on their way: their spans come oldest first, whosever they are. */
struct batch {
	const struct clew_trace_summary *t;
	struct api_spans spans[API_SUM_TRACES];
	size_t n, last; /* last: that a span was of */
};

static int keep_of_batch(void *user, struct clew_span *s)
{
	struct batch *b = user;
	size_t tried = 0;

	while (tried < b->n && !clew_id128_eq(&b->t[b->last].trace_id, &s->trace_id)) {
		b->last = b->last + 1 < b->n ? b->last + 1 : 0;
		tried++;
	}
	if (tried < b->n)
		return keep_span(&b->spans[b->last], s);
	clew_span_free(s); /* the same hash, another trace */
	return 0;
}

static int load_batch(struct api_call *c, struct batch *b)
{
	struct clew_id128 ids[API_SUM_TRACES];

	for (size_t i = 0; i < b->n; i++)
		ids[i] = b->t[i].trace_id;
	return clew_store_many_spans(c->st, ids, b->n, keep_of_batch, b, &c->error);
}

int api_each_trace(struct api_call *c, const struct api_traces *found, const char *lower,
		   api_trace_fn fn, void *user)
{
	size_t spans = 0;
	int r = 0;

	for (size_t at = 0; r == 0 && at < found->n;) {
		struct batch b = {.t = &found->v[at]};
		uint64_t expected = 0;

		while (b.n < API_SUM_TRACES && at < found->n &&
		       (!b.n || expected + found->v[at].spans <= BATCH_SPANS)) {
			expected += found->v[at++].spans;
			b.n++;
		}
		if (spans + expected > API_MAX_SPANS)
			return api_too_many(c, lower);
		r = load_batch(c, &b);
		for (size_t i = 0; r == 0 && i < b.n; i++) {
			spans += b.spans[i].n;
			if (spans > API_MAX_SPANS)
				r = api_too_many(c, lower);
			else if (b.spans[i].n)
				r = fn(user, c, &b.spans[i]);
		}
		for (size_t i = 0; i < b.n; i++)
			api_spans_done(&b.spans[i]);
	}
	return r;
}

/* ---- sums ---- */

struct summing {
	struct api_sum *sums;
	size_t n, last; /* last: that a span was of */
	api_row_fn fn;
	void *user;
};

static int sum_service(struct api_sum *s, const struct clew_trace_row *row)
{
	uint32_t i = 0;
	int r;

	while (i < s->n && s->services[i].name.p != row->service.p)
		i++;
	if (i == s->n) {
		size_t cap = s->cap;

		r = grow((void **)&s->services, s->n, &cap, sizeof(*s->services));
		if (r < 0)
			return r;
		s->cap = (uint32_t)cap;
		s->services[s->n++] = (struct api_sum_service){.name = row->service};
	}
	s->services[i].spans++;
	s->services[i].errors += row->status == CLEW_STATUS_ERROR;
	return 0;
}

static int sum_row(void *user, const struct clew_trace_row *row)
{
	struct summing *l = user;
	struct api_sum *s;
	size_t tried = 0;
	int r;

	while (tried < l->n && !clew_id128_eq(&l->sums[l->last].id, &row->trace_id)) {
		l->last = l->last + 1 < l->n ? l->last + 1 : 0;
		tried++;
	}
	if (tried == l->n)
		return 0;
	s = &l->sums[l->last];
	if (!s->spans || row->start_ns < s->first_ns)
		s->first_ns = row->start_ns;
	if (row->start_ns + row->duration_ns > s->end_ns)
		s->end_ns = row->start_ns + row->duration_ns;
	s->spans++;
	s->errors += row->status == CLEW_STATUS_ERROR;
	r = sum_service(s, row);
	return r < 0 || !l->fn ? r : l->fn(l->user, l->last, row);
}

int api_sum_traces(struct api_call *c, const struct clew_trace_summary *t, size_t n,
		   struct api_sum ret[API_SUM_TRACES], api_row_fn fn, void *user)
{
	struct clew_id128 ids[API_SUM_TRACES];
	struct summing l = {ret, n, 0, fn, user};
	int r;

	for (size_t i = 0; i < n; i++) {
		ids[i] = t[i].trace_id;
		ret[i] = (struct api_sum){.id = t[i].trace_id};
	}
	r = clew_store_many_rows(c->st, ids, n, sum_row, &l, &c->error);
	if (r < 0)
		api_sums_done(ret, n);
	return r;
}

void api_sums_done(struct api_sum *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(s[i].services);
}

/* ---- names ---- */

/* The same name comes many times, once for each bucket of latency: mostly in a row. */
static int keep_name(void *user, const struct clew_red_row *row)
{
	struct api_names *l = user;
	int r;

	if (l->n && l->v[l->n - 1].name.p == row->name.p && l->v[l->n - 1].kind == row->kind)
		return 0;
	r = grow((void **)&l->v, l->n, &l->cap, sizeof(*l->v));
	if (r == 0)
		l->v[l->n++] = (struct api_name){row->name, row->kind};
	return r;
}

static int keep_service(void *user, const struct clew_service_stats *s)
{
	struct api_names *l = user;
	int r = grow((void **)&l->v, l->n, &l->cap, sizeof(*l->v));

	if (r == 0)
		l->v[l->n++] = (struct api_name){.name = s->service};
	return r;
}

static int by_name(const void *a, const void *b)
{
	const struct api_name *x = a, *y = b;
	int c = slice_order(x->name, y->name);

	return c ? c : (x->kind > y->kind) - (x->kind < y->kind);
}

int api_services(struct api_call *c, uint64_t limit, struct api_names *ret)
{
	struct clew_service_query sq = {.names_only = true, .limit = limit};
	int r;

	*ret = (struct api_names){0};
	r = clew_store_services(c->st, &sq, &ret->total, keep_service, ret, &c->error);
	if (r < 0)
		api_names_done(ret);
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), by_name);
	return r;
}

int api_operations(struct api_call *c, struct slice service, uint32_t kinds, struct api_names *ret)
{
	struct clew_red_query rq = {.by_name = true, .service = service, .kinds = kinds};
	size_t kept = 0;
	int r;

	*ret = (struct api_names){0};
	r = clew_store_red(c->st, &rq, keep_name, ret, &c->error);
	if (r < 0) {
		api_names_done(ret);
		return r == -ENODATA ? 0 : r;
	}
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), by_name);
	for (size_t i = 0; i < ret->n; i++)
		if (!kept || by_name(&ret->v[kept - 1], &ret->v[i]))
			ret->v[kept++] = ret->v[i];
	ret->total = ret->n = kept;
	return 0;
}

void api_put_operations(struct clew_buf *out, const struct api_names *names)
{
	for (size_t i = 0; i < names->n; i++) {
		clew_buf_adds(out, i ? ",{\"name\":" : "{\"name\":");
		clew_json_str(out, names->v[i].name);
		clew_buf_addf(out, ",\"spanKind\":\"%s\"}",
			      clew_kind_name((enum clew_span_kind)names->v[i].kind));
	}
}

void api_names_done(struct api_names *n)
{
	free(n->v);
	*n = (struct api_names){0};
}
