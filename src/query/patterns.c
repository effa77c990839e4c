/* SPDX-License-Identifier: Apache-2.0 */
/*
 * patterns: traces grouped by shape. The shape that is given is that of one example: its spans in
 * preorder, equal siblings (with all that is under them) folded into one with how many they are.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "query/trace_query.h"
#include "store/latency.h"

#define DEFAULT_PATTERNS 50
#define MAX_PATTERNS	 500
#define MAX_EXAMPLES	 3
/* Spans of a drawn shape. */
#define MAX_NODES 40

struct patterns {
	struct clew_pattern_stats *v;
	size_t n;
};

static int keep_pattern(void *user, const struct clew_pattern_stats *p)
{
	struct patterns *ps = user;

	ps->v[ps->n++] = *p;
	return 0;
}

/* ---- a shape ---- */

struct drawing {
	const struct trace_rows *t;
	struct clew_buf *b;
	uint32_t n;
};

static int label_all(struct trace_rows *t)
{
	_cleanup_(freep) uint64_t *labels = malloc((t->n + 1) * sizeof(*labels));

	if (!labels)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->n; i++) {
		const struct clew_trace_row *r = &t->v[i];

		labels[i] = clew_shape_label(r->kind, clew_hash64(r->service.p, r->service.n, 0),
					     clew_hash64(r->name.p, r->name.n, 0));
	}
	clew_forest_shape(&t->forest, labels);
	return 0;
}

/* The siblings from i on that end before end: is there an equal one before i? */
static bool seen_before(const struct clew_forest *f, uint32_t first, uint32_t i)
{
	for (uint32_t k = first; k < i; k += f->below[k] + 1)
		if (f->shape[k] == f->shape[i])
			return true;
	return false;
}

static uint32_t count_equal(const struct clew_forest *f, uint32_t i, uint32_t end)
{
	uint32_t n = 0;

	for (uint32_t k = i; k < end; k += f->below[k] + 1)
		n += f->shape[k] == f->shape[i];
	return n;
}

static void draw_node(struct drawing *d, uint32_t i, uint32_t repeat)
{
	const struct clew_trace_row *r = trace_row(d->t, i);

	put_str(d->b, d->n++ ? ",{\"service\":" : "{\"service\":", r->service);
	put_str(d->b, ",\"name\":", r->name);
	clew_buf_addf(d->b, ",\"kind\":\"%s\",\"depth\":%u,\"repeat\":%u}",
		      clew_kind_name((enum clew_span_kind)r->kind), d->t->forest.depth[i], repeat);
}

/* In preorder; what is under a folded sibling is left out with it. */
static void draw(struct drawing *d)
{
	const struct clew_forest *f = &d->t->forest;

	for (uint32_t i = 0; i < f->n && d->n < MAX_NODES;) {
		uint32_t up = f->parent[i];
		uint32_t first = up == CLEW_FOREST_NONE ? 0 : up + 1;
		uint32_t end = up == CLEW_FOREST_NONE ? f->n : up + 1 + f->below[up];

		if (seen_before(f, first, i)) {
			i += f->below[i] + 1;
			continue;
		}
		draw_node(d, i, count_equal(f, i, end));
		i++;
	}
}

/* ---- the answer ---- */

static void put_pattern(struct call *c, const struct clew_pattern_stats *p, double all_ns,
			struct trace_rows *example, uint64_t examples, bool first)
{
	struct drawing d = {.t = example, .b = &c->out};
	struct clew_buf *b = &c->out;

	clew_buf_addf(b, "%s{\"id\":\"%016" PRIx64 "\"", first ? "" : ",", p->shape);
	put_str(b, ",\"service\":", p->service);
	put_str(b, ",\"name\":", p->name);
	clew_buf_addf(b,
		      ",\"kind\":\"%s\",\"count\":%" PRIu64 ",\"errors\":%" PRIu64
		      ",\"p50_ns\":%" PRIu64 ",\"p95_ns\":%" PRIu64 ",\"p99_ns\":%" PRIu64
		      ",\"share\":%.4g,\"spans\":%u,\"services\":%u,\"shape\":[",
		      clew_kind_name((enum clew_span_kind)p->kind), p->n, p->errors,
		      clew_latency_quantile(p->counts, 0.5), clew_latency_quantile(p->counts, 0.95),
		      clew_latency_quantile(p->counts, 0.99), all_ns > 0 ? p->time_ns / all_ns : 0,
		      p->spans, p->services);
	if (example->n && label_all(example) == 0)
		draw(&d);
	clew_buf_adds(b, "],\"examples\":[");
	for (uint64_t i = 0; i < examples && !clew_id128_none(&p->examples[i]); i++)
		put_hex(b, i ? "," : "", p->examples[i].b, 16);
	clew_buf_adds(b, "]}");
}

static int put_patterns(struct call *c, const struct patterns *ps,
			const struct clew_pattern_totals *totals, uint64_t examples)
{
	struct trace_set set = {0};
	struct clew_id128 *ids = calloc(ps->n + 1, sizeof(*ids));
	int r = ids ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < ps->n; i++)
		ids[i] = ps->v[i].examples[0];
	if (r == 0)
		r = trace_set_load(c->st, ids, ps->n, &set, c->ret_error);
	clew_buf_addf(&c->out,
		      "{\"traces\":%" PRIu64 ",\"total\":%" PRIu64
		      ",\"sampled\":false,\"patterns\":[",
		      totals->n, totals->patterns);
	for (size_t i = 0; r == 0 && i < ps->n; i++)
		put_pattern(c, &ps->v[i], totals->time_ns, &set.v[i], examples, i == 0);
	clew_buf_adds(&c->out, "]}");
	trace_set_done(&set);
	free(ids);
	return r;
}

int call_patterns(struct call *c)
{
	uint64_t limit = DEFAULT_PATTERNS, examples = MAX_EXAMPLES;
	struct clew_pattern_totals totals = {0};
	struct clew_trace_query tq = {0};
	struct patterns ps = {0};
	int r = params_u64(&c->params, "limit", &limit, c->ret_error);

	if (r == 0)
		r = params_u64(&c->params, "examples", &examples, c->ret_error);
	if (r == 0)
		r = trace_query(c, &tq);
	if (r < 0)
		return r;
	limit = limit && limit < MAX_PATTERNS ? limit : MAX_PATTERNS;
	examples = examples < MAX_EXAMPLES ? examples : MAX_EXAMPLES;
	ps.v = calloc(limit, sizeof(*ps.v));
	if (!ps.v)
		return -ENOMEM;
	r = clew_store_patterns(c->st, &tq, limit, &totals, keep_pattern, &ps, c->ret_error);
	if (r == 0)
		r = put_patterns(c, &ps, &totals, examples);
	free(ps.v);
	return r < 0 ? r : call_end_line(c);
}
