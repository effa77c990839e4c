/* SPDX-License-Identifier: Apache-2.0 */
/*
 * patterns/ID: how one pattern runs, as a graph. Some of its traces, drawn by lot, are laid over each
 * other: spans with the same path of (service, operation, kind) from the root are one node.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "query/critical.h"
#include "query/trace_query.h"
#include "store/latency.h"

#define SAMPLE	  200
#define MAX_NODES 500
#define EXAMPLES  10

#define NONE CLEW_FOREST_NONE

struct values {
	int64_t *v;
	uint32_t n, cap;
};

struct node {
	uint32_t parent; /* NONE: a root */
	struct slice service, name;
	uint8_t kind;
	uint64_t calls, errors;
	uint32_t traces, critical; /* that have it; in whose critical path it is */
	uint32_t last_trace, last_critical;
	double self_ns; /* of all traces */
	struct values duration, self, offset, network;
};

struct graph {
	struct node *v;
	uint32_t n;
	uint32_t traces;
	double root_ns;
	bool full;
	struct critical critical;
};

static int add_value(struct values *s, int64_t v)
{
	if (s->n == s->cap) {
		uint32_t cap = s->cap ? s->cap * 2 : 64;
		int64_t *bigger = realloc(s->v, cap * sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		s->v = bigger;
		s->cap = cap;
	}
	s->v[s->n++] = v;
	return 0;
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static int64_t value_at(struct values *s, double q)
{
	uint32_t i;

	if (!s->n)
		return -1;
	qsort(s->v, s->n, sizeof(*s->v), by_value);
	i = (uint32_t)(q * s->n);
	return s->v[i < s->n ? i : s->n - 1];
}

static uint32_t get_node(struct graph *g, uint32_t parent, const struct clew_trace_row *r)
{
	for (uint32_t i = parent == NONE ? 0 : parent + 1; i < g->n; i++)
		if (g->v[i].parent == parent && g->v[i].kind == r->kind &&
		    g->v[i].service.p == r->service.p && g->v[i].name.p == r->name.p)
			return i;
	if (g->n == MAX_NODES) {
		g->full = true;
		return NONE;
	}
	g->v[g->n] = (struct node){.parent = parent,
				   .service = r->service,
				   .name = r->name,
				   .kind = r->kind,
				   .last_trace = NONE,
				   .last_critical = NONE};
	return g->n++;
}

static int add_span(struct graph *g, const struct trace_rows *t, uint32_t i, uint32_t node)
{
	const struct clew_trace_row *r = trace_row(t, i);
	int64_t self = self_ns(t, &g->critical, i), network = network_ns(t, i);
	struct node *n = &g->v[node];
	int e;

	n->calls++;
	n->errors += r->status == CLEW_STATUS_ERROR;
	n->traces += n->last_trace != g->traces;
	n->last_trace = g->traces;
	n->self_ns += (double)self;
	e = add_value(&n->duration, (int64_t)r->duration_ns);
	e = e ?: add_value(&n->self, self);
	e = e ?: add_value(&n->offset, g->critical.start[i] - g->critical.start[0]);
	return e || network < 0 ? e : add_value(&n->network, network);
}

static int add_trace(struct graph *g, const struct trace_rows *t)
{
	_cleanup_(freep) uint32_t *node = malloc((t->n + 1) * sizeof(*node));
	int r = node ? critical_path(t, &g->critical) : -ENOMEM;

	for (uint32_t i = 0; r == 0 && i < t->n; i++) {
		uint32_t up = t->forest.parent[i];

		node[i] = NONE;
		if (up != NONE && node[up] == NONE)
			continue;
		node[i] = get_node(g, up == NONE ? NONE : node[up], trace_row(t, i));
		if (node[i] != NONE)
			r = add_span(g, t, i, node[i]);
	}
	for (size_t i = 0; r == 0 && i < g->critical.n; i++) {
		uint32_t at = node[g->critical.v[i].node];

		if (at == NONE || g->v[at].last_critical == g->traces)
			continue;
		g->v[at].last_critical = g->traces;
		g->v[at].critical++;
	}
	g->root_ns += (double)trace_row(t, 0)->duration_ns;
	g->traces++;
	return r;
}

/* ---- the answer ---- */

struct sample {
	struct clew_picked_trace v[SAMPLE];
	size_t n;
};

static int keep_pick(void *user, const struct clew_picked_trace *t)
{
	struct sample *s = user;

	s->v[s->n++] = *t;
	return 0;
}

struct counts {
	uint64_t v[CLEW_LATENCY_BUCKETS], n, errors;
};

static int keep_counts(void *user, const struct clew_latency_bucket *b)
{
	struct counts *c = user;

	c->v[b->bucket] = b->n;
	c->n += b->n;
	c->errors += b->errors;
	return 0;
}

static void put_node(struct call *c, const struct graph *g, struct node *n, bool first)
{
	struct clew_buf *b = &c->out;

	clew_buf_addf(b, "%s{\"parent\":%" PRId64, first ? "" : ",",
		      n->parent == NONE ? -1 : (int64_t)n->parent);
	put_str(b, ",\"service\":", n->service);
	put_str(b, ",\"name\":", n->name);
	clew_buf_addf(b,
		      ",\"kind\":\"%s\",\"calls\":%.4g,\"p50_ns\":%" PRId64 ",\"p95_ns\":%" PRId64
		      ",\"self_p50_ns\":%" PRId64 ",\"offset_p50_ns\":%" PRId64,
		      clew_kind_name((enum clew_span_kind)n->kind),
		      (double)n->calls / (double)g->traces, value_at(&n->duration, 0.5),
		      value_at(&n->duration, 0.95), value_at(&n->self, 0.5),
		      value_at(&n->offset, 0.5));
	clew_buf_addf(b,
		      ",\"share\":%.4g,\"critical\":%.4g,\"network_p50_ns\":%" PRId64
		      ",\"errors\":%" PRIu64 "}",
		      g->root_ns > 0 ? n->self_ns / g->root_ns : 0,
		      (double)n->critical / (double)g->traces, value_at(&n->network, 0.5),
		      n->errors);
}

static int by_duration(const void *a, const void *b)
{
	const struct clew_picked_trace *x = a, *y = b;

	return x->duration_ns > y->duration_ns ? -1 : x->duration_ns < y->duration_ns;
}

static void put_answer(struct call *c, const struct clew_trace_query *tq, struct graph *g,
		       struct sample *s, const struct counts *n)
{
	struct clew_buf *b = &c->out;

	clew_buf_addf(b,
		      "{\"id\":\"%016" PRIx64 "\",\"count\":%" PRIu64 ",\"errors\":%" PRIu64
		      ",\"sample\":%u,\"truncated\":%s,\"p50_ns\":%" PRIu64 ",\"p95_ns\":%" PRIu64
		      ",\"p99_ns\":%" PRIu64 ",\"nodes\":[",
		      tq->shape, n->n, n->errors, g->traces, g->full ? "true" : "false",
		      clew_latency_quantile(n->v, 0.5), clew_latency_quantile(n->v, 0.95),
		      clew_latency_quantile(n->v, 0.99));
	for (uint32_t i = 0; i < g->n; i++)
		put_node(c, g, &g->v[i], i == 0);
	clew_buf_adds(b, "],\"examples\":[");
	qsort(s->v, s->n, sizeof(*s->v), by_duration);
	for (size_t i = 0, put = 0; i < s->n && put < EXAMPLES; put++) {
		put_hex(b, put ? ",{\"trace_id\":" : "{\"trace_id\":", s->v[i].id.b, 16);
		clew_buf_addf(b, ",\"duration_ns\":%" PRIu64 "}", s->v[i].duration_ns);
		i += s->n > EXAMPLES ? s->n / EXAMPLES : 1; /* from the longest to the shortest */
	}
	clew_buf_adds(b, "]}");
}

static int make_graph(struct call *c, struct graph *g, const struct sample *s)
{
	struct clew_id128 ids[SAMPLE];
	struct trace_set set = {0};
	int r;

	for (size_t i = 0; i < s->n; i++)
		ids[i] = s->v[i].id;
	g->v = calloc(MAX_NODES, sizeof(*g->v));
	r = g->v ? trace_set_load(c->st, ids, s->n, &set, c->ret_error) : -ENOMEM;
	for (size_t i = 0; r == 0 && i < set.n; i++)
		if (set.v[i].n)
			r = add_trace(g, &set.v[i]);
	trace_set_done(&set);
	return r;
}

static void graph_done(struct graph *g)
{
	for (uint32_t i = 0; i < g->n; i++) {
		free(g->v[i].duration.v);
		free(g->v[i].self.v);
		free(g->v[i].offset.v);
		free(g->v[i].network.v);
	}
	free(g->v);
	critical_done(&g->critical);
}

int call_pattern(struct call *c)
{
	struct clew_trace_query tq = {0};
	struct counts counts = {0};
	struct sample *s = calloc(1, sizeof(*s));
	struct graph g = {0};
	int r = s ? trace_query(c, &tq) : -ENOMEM;

	if (r == 0)
		r = parse_shape(c, c->rest, &tq.shape);
	if (r == 0)
		r = clew_store_sample_traces(c->st, &tq, SAMPLE, keep_counts, &counts, keep_pick, s,
					     c->ret_error);
	if (r == 0 && !counts.n)
		r = call_fail(c, -ENOENT, "no trace of the pattern %.*s matches", (int)c->rest.n,
			      c->rest.p);
	if (r == 0)
		r = make_graph(c, &g, s);
	if (r == 0)
		put_answer(c, &tq, &g, s, &counts);
	graph_done(&g);
	free(s);
	return r < 0 ? r : call_end_line(c);
}
