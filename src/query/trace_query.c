/* SPDX-License-Identifier: Apache-2.0 */
#include "query/trace_query.h"

#include <inttypes.h>
#include <stdlib.h>

int parse_shape(struct call *c, struct slice text, uint64_t *ret)
{
	uint8_t b[8];
	uint64_t v = 0;

	if (clew_unhex(text.p, text.n, b, sizeof(b)) < 0)
		return call_fail(c, -EINVAL, "'%.*s' is not the id of a pattern: 16 hex digits",
				 (int)(text.n < 64 ? text.n : 64), text.p);
	for (size_t i = 0; i < sizeof(b); i++)
		v = v << 8 | b[i];
	if (!v) /* a shape is never 0 */
		return call_fail(c, -ENOENT, "there is no pattern 0");
	*ret = v;
	return 0;
}

int trace_query(struct call *c, struct clew_trace_query *tq)
{
	struct slice pattern;
	int r = 0;

	if (params_get(&c->params, "pattern", &pattern))
		r = parse_shape(c, pattern, &tq->shape);
	if (r == 0)
		r = params_flag(&c->params, "any", &tq->any, c->ret_error);
	if (r == 0)
		r = call_filter(c, &tq->f);
	if (r == 0 && (tq->f.limit || tq->f.sort || tq->f.after.set))
		r = call_fail(c, -EINVAL, "limit, sort and cursor are no parameters of this call");
	return r;
}

int trace_sides(struct call *c, const char *missing, struct trace_sides *ret)
{
	uint64_t from = 0, to = 0, at_least = 0;
	bool failed = false;
	int r = params_u64(&c->params, "from_ns", &from, c->ret_error);

	if (r == 0)
		r = params_u64(&c->params, "to_ns", &to, c->ret_error);
	if (r == 0)
		r = params_u64(&c->params, "at_least_ns", &at_least, c->ret_error);
	if (r == 0)
		r = params_flag(&c->params, "failed", &failed, c->ret_error);
	*ret = (struct trace_sides){0};
	if (r == 0)
		r = trace_query(c, &ret->in);
	if (r < 0)
		return r;
	if (!from && !to && !failed && !at_least)
		return call_fail(c, -EINVAL, "%s", missing);
	if ((from || to) && (failed || at_least))
		return call_fail(c, -EINVAL,
				 "what is inside? Either from_ns and to_ns, or failed and "
				 "at_least_ns");
	if (to && from >= to)
		return call_fail(c, -EINVAL,
				 "from_ns %" PRIu64 " is not below to_ns %" PRIu64
				 ": nothing is inside",
				 from, to);
	ret->out = ret->in;
	if (from || to) {
		ret->in.min_ns = ret->out.min_ns = from;
		ret->in.max_ns = ret->out.max_ns = to;
		ret->out.outside = true;
		return 0;
	}
	ret->in.any = ret->out.any = true;
	ret->in.f.error |= failed;
	if (at_least > ret->in.f.min_duration_ns)
		ret->in.f.min_duration_ns = at_least;
	ret->out.except = &ret->in.f;
	return 0;
}

/* ---- many traces ---- */

struct loading {
	struct trace_set *set;
	uint32_t *order; /* of the ids, sorted */
	uint64_t spans;
};

static int find_id(const struct loading *l, const struct clew_id128 *id)
{
	size_t lo = 0, hi = l->set->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = memcmp(&l->set->ids[l->order[mid]], id, sizeof(*id));

		if (c == 0)
			return (int)l->order[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return -1;
}

static int keep(void *user, const struct clew_trace_row *row)
{
	struct loading *l = user;
	int at = find_id(l, &row->trace_id);

	if (at < 0 || l->spans >= TRACE_MAX_SPANS)
		return 0;
	l->spans++;
	return trace_rows_add(&l->set->v[at], row);
}

static int by_id(const void *a, const void *b, void *user)
{
	const struct clew_id128 *ids = user;

	return memcmp(&ids[*(const uint32_t *)a], &ids[*(const uint32_t *)b], sizeof(*ids));
}

int trace_set_load(struct clew_store *st, const struct clew_id128 *ids, size_t n,
		   struct trace_set *ret, char **ret_error)
{
	struct trace_set set = {.n = n};
	struct loading l = {.set = &set};
	int r;

	set.v = calloc(n + 1, sizeof(*set.v));
	set.ids = calloc(n + 1, sizeof(*set.ids));
	l.order = calloc(n + 1, sizeof(*l.order));
	r = set.v && set.ids && l.order ? 0 : -ENOMEM;
	for (size_t i = 0; r == 0 && i < n; i++) {
		set.ids[i] = ids[i];
		l.order[i] = (uint32_t)i;
	}
	if (r == 0 && n) {
		qsort_r(l.order, n, sizeof(*l.order), by_id, set.ids);
		r = clew_store_many_rows(st, set.ids, n, keep, &l, ret_error);
	}
	for (size_t i = 0; r == 0 && i < n; i++)
		if (set.v[i].n)
			r = trace_rows_finish(&set.v[i]);
	free(l.order);
	if (r < 0)
		trace_set_done(&set);
	else
		*ret = set;
	return r;
}

void trace_set_done(struct trace_set *s)
{
	for (size_t i = 0; s->v && i < s->n; i++)
		trace_rows_done(&s->v[i]);
	free(s->v);
	free(s->ids);
	*s = (struct trace_set){0};
}
