/* SPDX-License-Identifier: Apache-2.0 */
#include "query/critical.h"

#include <errno.h>
#include <stdlib.h>

static bool is_client(const struct clew_trace_row *r)
{
	return r->kind == CLEW_KIND_CLIENT || r->kind == CLEW_KIND_PRODUCER;
}

static bool is_server(const struct clew_trace_row *r)
{
	return r->kind == CLEW_KIND_SERVER || r->kind == CLEW_KIND_CONSUMER;
}

/* The server's span of a client's: its first child of that kind. */
static uint32_t server_of(const struct trace_rows *t, uint32_t i)
{
	const struct clew_forest *f = &t->forest;

	if (!is_client(trace_row(t, i)))
		return CLEW_FOREST_NONE;
	for (uint32_t c = i + 1; c <= i + f->below[i]; c += f->below[c] + 1)
		if (is_server(trace_row(t, c)))
			return c;
	return CLEW_FOREST_NONE;
}

int64_t network_ns(const struct trace_rows *t, uint32_t node)
{
	uint32_t server = server_of(t, node);
	uint64_t own, other;

	if (server == CLEW_FOREST_NONE)
		return -1;
	own = trace_row(t, node)->duration_ns;
	other = trace_row(t, server)->duration_ns;
	return own > other ? (int64_t)(own - other) : 0;
}

/* Times of all nodes, clocks bounded. */
static void bound_clocks(const struct trace_rows *t, struct critical *c)
{
	const struct clew_forest *f = &t->forest;

	for (uint32_t i = 0; i < f->n; i++) {
		const struct clew_trace_row *r = trace_row(t, i);
		uint32_t up = f->parent[i];
		int64_t length = (int64_t)r->duration_ns, room;

		c->start[i] = (int64_t)(r->start_ns - t->start_ns);
		if (up != CLEW_FOREST_NONE)
			c->start[i] +=
				c->start[up] - (int64_t)(trace_row(t, up)->start_ns - t->start_ns);
		c->end[i] = c->start[i] + length;
		if (up == CLEW_FOREST_NONE || !is_client(trace_row(t, up)) || !is_server(r) ||
		    trace_row(t, up)->kind == CLEW_KIND_PRODUCER ||
		    (c->start[i] >= c->start[up] && c->end[i] <= c->end[up]))
			continue;
		room = c->end[up] - c->start[up] - length;
		if (room >= 0)
			c->start[i] = c->start[up] + room / 2;
		else if (c->start[i] < c->start[up] || c->start[i] > c->end[up])
			c->start[i] = c->start[up];
		c->end[i] = room >= 0 ? c->start[i] + length : c->end[up];
	}
}

/* What its thread's counters account for; -1: not known, as one that may have run is not said to sleep. */
static int64_t accounted_ns(const struct clew_span_times *t)
{
	const int64_t v[] = {t->runq_ns, t->futex_ns, t->disk_ns,
			     t->net_ns,	 t->sleep_ns, t->other_ns};
	int64_t sum = t->cpu_ns;

	for (size_t i = 0; sum >= 0 && i < sizeof(v) / sizeof(*v); i++)
		sum += v[i] > 0 ? v[i] : 0;
	return sum;
}

static void find_asleep(const struct trace_rows *t, struct critical *c)
{
	for (uint32_t i = 0; i < t->forest.n; i++) {
		const struct clew_trace_row *r = trace_row(t, i);
		int64_t known = accounted_ns(&r->times);

		c->asleep[i] = is_server(r) && known >= 0 && known < self_ns(t, c, i) / 2;
	}
}

static enum piece_kind kind_of(const struct trace_rows *t, const struct critical *c, uint32_t i)
{
	if (server_of(t, i) != CLEW_FOREST_NONE)
		return PIECE_NETWORK;
	return c->asleep[i] ? PIECE_GAP : PIECE_SELF;
}

static int add_piece(const struct trace_rows *t, struct critical *c, uint32_t node, int64_t from,
		     int64_t to)
{
	if (from >= to)
		return 0;
	if (c->n == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 64;
		struct piece *v = realloc(c->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		c->v = v;
		c->cap = cap;
	}
	c->v[c->n++] = (struct piece){node, kind_of(t, c, node), from, to};
	return 0;
}

struct child {
	uint32_t node;
	int64_t end;
};

struct frame {
	uint32_t node;
	int64_t from, at; /* the path of this node: from there back to here is still to be told */
	uint32_t kid,
		kids; /* its children that were not looked at yet, [kid, kids) of the walk's */
};

struct walk {
	const struct trace_rows *t;
	struct critical *c;
	struct frame *stack;
	uint32_t top;
	struct child
		*kids; /* of the frames, one behind the other; each node is in it at most once */
	uint32_t n_kids;
};

static int last_first(const void *a, const void *b)
{
	const struct child *x = a, *y = b;

	if (x->end != y->end)
		return x->end > y->end ? -1 : 1;
	return x->node > y->node ? -1 : x->node < y->node;
}

/* A child that outlives its parent ends with it. */
static void push(struct walk *w, uint32_t node, int64_t from, int64_t at)
{
	const struct clew_forest *f = &w->t->forest;
	struct frame *fr = &w->stack[w->top++];

	*fr = (struct frame){node, from, at, w->n_kids, 0};
	for (uint32_t k = node + 1; k <= node + f->below[node]; k += f->below[k] + 1) {
		int64_t end = w->c->end[k] < w->c->end[node] ? w->c->end[k] : w->c->end[node];

		w->kids[w->n_kids++] = (struct child){k, end};
	}
	fr->kids = w->n_kids;
	if (fr->kids > fr->kid)
		qsort(w->kids + fr->kid, fr->kids - fr->kid, sizeof(*w->kids), last_first);
}

/* The child that ended last, at the latest when we are there. */
static uint32_t last_child(struct walk *w, int64_t *ret_end)
{
	struct frame *fr = &w->stack[w->top - 1];

	for (; fr->kid < fr->kids; fr->kid++) {
		const struct child *k = &w->kids[fr->kid];

		if (k->end > fr->at || w->c->start[k->node] >= k->end)
			continue;
		if (k->end <= fr->from)
			break;
		*ret_end = k->end;
		return w->kids[fr->kid++].node;
	}
	return CLEW_FOREST_NONE;
}

static int reserve(const struct trace_rows *t, struct critical *c)
{
	int64_t *start = realloc(c->start, (t->n + 1) * sizeof(*start)), *end;
	bool *asleep;

	c->start = start ? start : c->start;
	end = realloc(c->end, (t->n + 1) * sizeof(*end));
	c->end = end ? end : c->end;
	asleep = realloc(c->asleep, (t->n + 1) * sizeof(*asleep));
	c->asleep = asleep ? asleep : c->asleep;
	return start && end && asleep ? 0 : -ENOMEM;
}

static void turn_round(struct critical *c)
{
	for (size_t i = 0, k = c->n; i + 1 < k; i++) {
		struct piece swap = c->v[i];

		c->v[i] = c->v[--k];
		c->v[k] = swap;
	}
}

static int walk_back(struct walk *w)
{
	struct critical *c = w->c;
	int r = 0;

	push(w, 0, c->start[0], c->end[0]);
	while (r == 0 && w->top) {
		struct frame *fr = &w->stack[w->top - 1];
		int64_t end = 0, start;
		uint32_t child = last_child(w, &end);

		if (child == CLEW_FOREST_NONE) {
			r = add_piece(w->t, c, fr->node, fr->from, fr->at);
			w->top--;
			continue;
		}
		r = add_piece(w->t, c, fr->node, end, fr->at);
		start = c->start[child] > fr->from ? c->start[child] : fr->from;
		fr->at = start;
		push(w, child, start, end);
	}
	turn_round(c);
	return r;
}

int critical_path(const struct trace_rows *t, struct critical *c)
{
	struct walk w = {.t = t, .c = c};
	int r = reserve(t, c);

	c->n = 0;
	if (r < 0 || !t->n)
		return r;
	bound_clocks(t, c);
	find_asleep(t, c);
	w.stack = malloc((t->n + 1) * sizeof(*w.stack));
	w.kids = malloc((t->n + 1) * sizeof(*w.kids));
	r = w.stack && w.kids ? walk_back(&w) : -ENOMEM;
	free(w.stack);
	free(w.kids);
	return r;
}

void critical_done(struct critical *c)
{
	free(c->v);
	free(c->start);
	free(c->end);
	free(c->asleep);
	*c = (struct critical){0};
}

int64_t self_ns(const struct trace_rows *t, const struct critical *c, uint32_t i)
{
	const struct clew_forest *f = &t->forest;
	int64_t at = c->start[i], self = 0;

	/* Children are in the order of their begin, but for clocks that were moved. */
	for (uint32_t k = i + 1; k <= i + f->below[i]; k += f->below[k] + 1) {
		int64_t from = c->start[k] < c->end[i] ? c->start[k] : c->end[i];

		if (from > at)
			self += from - at;
		at = c->end[k] > at ? c->end[k] : at;
	}
	return at < c->end[i] ? self + c->end[i] - at : self;
}

const char *piece_name(enum piece_kind k)
{
	static const char *const names[] = {"self", "network", "gap"};

	return names[k];
}
