/* SPDX-License-Identifier: Apache-2.0 */
/* Whole traces and lists of names out of the store, for the APIs of other systems. */
#include <stdlib.h>

#include "query/trace_rows.h"
#include "server/api.h"

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

struct naming {
	struct api_names *names;
	bool services;
};

/* The same name comes many times, once for each bucket of latency: mostly in a row. */
static int keep_name(void *user, const struct clew_red_row *row)
{
	struct naming *n = user;
	struct api_names *l = n->names;
	struct slice name = n->services ? row->service : row->name;
	int r;

	if (l->n && l->v[l->n - 1].name.p == name.p && l->v[l->n - 1].kind == row->kind)
		return 0;
	r = grow((void **)&l->v, l->n, &l->cap, sizeof(*l->v));
	if (r == 0)
		l->v[l->n++] = (struct api_name){name, row->kind};
	return r;
}

static int by_name(const void *a, const void *b)
{
	const struct api_name *x = a, *y = b;
	size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
	int c = n ? memcmp(x->name.p, y->name.p, n) : 0;

	if (!c)
		c = (x->name.n > y->name.n) - (x->name.n < y->name.n);
	return c ? c : (x->kind > y->kind) - (x->kind < y->kind);
}

static int get_names(struct api_call *c, struct clew_red_query *rq, struct api_names *ret)
{
	struct naming n = {ret, rq->by_service};
	size_t kept = 0;
	int r;

	*ret = (struct api_names){0};
	r = clew_store_red(c->st, rq, keep_name, &n, &c->error);
	if (r < 0) {
		api_names_done(ret);
		return r == -ENODATA ? 0 : r;
	}
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), by_name);
	for (size_t i = 0; i < ret->n; i++)
		if (!kept || by_name(&ret->v[kept - 1], &ret->v[i]))
			ret->v[kept++] = ret->v[i];
	ret->n = kept;
	return 0;
}

int api_services(struct api_call *c, struct api_names *ret)
{
	struct clew_red_query rq = {.by_service = true};

	return get_names(c, &rq, ret);
}

int api_operations(struct api_call *c, struct slice service, uint32_t kinds, struct api_names *ret)
{
	struct clew_red_query rq = {.by_name = true, .service = service, .kinds = kinds};

	return get_names(c, &rq, ret);
}

void api_names_done(struct api_names *n)
{
	free(n->v);
	*n = (struct api_names){0};
}
