/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare: two traces, or the traces of a range of durations (b) and the others (a), laid over each other:
 * spans with the same path of (service, operation, kind) are one row. Of sets, figures are means a trace.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "query/critical.h"
#include "query/trace_query.h"

#define MAX_ROWS 5000
#define SAMPLE	 100 /* traces of each side */
#define NONE	 CLEW_FOREST_NONE

struct side {
	uint64_t calls, errors;
	double duration_ns, self_ns;
};

struct row {
	uint32_t parent, depth;
	uint32_t first, last, next; /* children, in the order in which they were met */
	struct slice service, name;
	uint8_t kind;
	struct side side[2];
};

struct comparing {
	struct call *c;
	struct row *v;
	uint32_t n, first_root, last_root;
	uint32_t traces[2];
	double duration_ns[2];
	uint64_t spans[2], errors[2];
	struct critical times;
	bool full;
};

static uint32_t add_row(struct comparing *cm, uint32_t parent, const struct clew_trace_row *r)
{
	uint32_t *first = parent == NONE ? &cm->first_root : &cm->v[parent].first;
	uint32_t *last = parent == NONE ? &cm->last_root : &cm->v[parent].last;

	for (uint32_t i = *first; i != NONE; i = cm->v[i].next)
		if (cm->v[i].kind == r->kind && cm->v[i].service.p == r->service.p &&
		    cm->v[i].name.p == r->name.p)
			return i;
	if (cm->n == MAX_ROWS) {
		cm->full = true;
		return NONE;
	}
	cm->v[cm->n] = (struct row){.parent = parent,
				    .depth = parent == NONE ? 0 : cm->v[parent].depth + 1,
				    .first = NONE,
				    .last = NONE,
				    .next = NONE,
				    .service = r->service,
				    .name = r->name,
				    .kind = r->kind};
	if (*last == NONE)
		*first = cm->n;
	else
		cm->v[*last].next = cm->n;
	*last = cm->n;
	return cm->n++;
}

static int add_trace(struct comparing *cm, const struct trace_rows *t, int side)
{
	_cleanup_(freep) uint32_t *at = malloc((t->n + 1) * sizeof(*at));
	int r = at ? critical_path(t, &cm->times) : -ENOMEM;

	for (uint32_t i = 0; r == 0 && i < t->n; i++) {
		const struct clew_trace_row *row = trace_row(t, i);
		uint32_t up = t->forest.parent[i];
		struct side *s;

		cm->errors[side] += row->status == CLEW_STATUS_ERROR;
		at[i] = up != NONE && at[up] == NONE ? NONE
						     : add_row(cm, up == NONE ? NONE : at[up], row);
		if (at[i] == NONE)
			continue;
		s = &cm->v[at[i]].side[side];
		s->calls++;
		s->errors += row->status == CLEW_STATUS_ERROR;
		s->duration_ns += (double)row->duration_ns;
		s->self_ns += (double)self_ns(t, &cm->times, i);
	}
	cm->traces[side]++;
	cm->spans[side] += t->n;
	cm->duration_ns[side] += t->n ? (double)trace_row(t, 0)->duration_ns : 0;
	return r;
}

/* ---- the answer ---- */

static double mean(const struct comparing *cm, int side, double v)
{
	return cm->traces[side] ? v / cm->traces[side] : 0;
}

static void put_side(struct comparing *cm, const struct row *r, int side)
{
	const struct side *s = &r->side[side];

	if (!s->calls) {
		clew_buf_addf(&cm->c->out, ",\"%s\":null", side ? "b" : "a");
		return;
	}
	clew_buf_addf(
		&cm->c->out,
		",\"%s\":{\"calls\":%.6g,\"errors\":%.6g,\"duration_ns\":%.0f,\"self_ns\":%.0f}",
		side ? "b" : "a", mean(cm, side, (double)s->calls),
		mean(cm, side, (double)s->errors), mean(cm, side, s->duration_ns),
		mean(cm, side, s->self_ns));
}

static void put_row(struct comparing *cm, uint32_t i, bool first)
{
	const struct row *r = &cm->v[i];
	struct clew_buf *b = &cm->c->out;

	clew_buf_addf(b, "%s{\"depth\":%u", first ? "" : ",", r->depth);
	put_str(b, ",\"service\":", r->service);
	put_str(b, ",\"name\":", r->name);
	clew_buf_addf(b, ",\"kind\":\"%s\"", clew_kind_name((enum clew_span_kind)r->kind));
	put_side(cm, r, 0);
	put_side(cm, r, 1);
	clew_buf_addf(b, ",\"delta_ns\":%.0f}",
		      mean(cm, 1, r->side[1].duration_ns) - mean(cm, 0, r->side[0].duration_ns));
}

/* Preorder, by the links. */
static void put_rows(struct comparing *cm)
{
	uint32_t i = cm->first_root;
	bool first = true;

	while (i != NONE) {
		put_row(cm, i, first);
		first = false;
		if (cm->v[i].first != NONE) {
			i = cm->v[i].first;
			continue;
		}
		while (i != NONE && cm->v[i].next == NONE)
			i = cm->v[i].parent;
		if (i != NONE)
			i = cm->v[i].next;
	}
}

static void put_summary(struct comparing *cm, int side, const struct clew_id128 *id)
{
	struct clew_buf *b = &cm->c->out;

	clew_buf_addf(b, "%s\"%s\":{\"traces\":%u", side ? "," : "{", side ? "b" : "a",
		      cm->traces[side]);
	if (id)
		put_hex(b, ",\"trace_id\":", id->b, 16);
	clew_buf_addf(b, ",\"duration_ns\":%.0f,\"spans\":%.6g,\"errors\":%.6g}",
		      mean(cm, side, cm->duration_ns[side]),
		      mean(cm, side, (double)cm->spans[side]),
		      mean(cm, side, (double)cm->errors[side]));
}

static int put_answer(struct comparing *cm, const struct clew_id128 *a, const struct clew_id128 *b)
{
	put_summary(cm, 0, a);
	put_summary(cm, 1, b);
	clew_buf_addf(&cm->c->out, ",\"truncated\":%s,\"rows\":[", cm->full ? "true" : "false");
	put_rows(cm);
	clew_buf_adds(&cm->c->out, "]}");
	return call_end_line(cm->c);
}

/* ---- what is compared ---- */

static int add_one(struct comparing *cm, const struct clew_id128 *id, int side)
{
	struct trace_rows t = {0};
	int r = trace_rows_load(cm->c->st, id, &t, cm->c->ret_error);

	if (r == 0)
		r = add_trace(cm, &t, side);
	trace_rows_done(&t);
	return r;
}

struct picked {
	struct clew_id128 ids[SAMPLE];
	size_t n;
};

static int keep_pick(void *user, const struct clew_picked_trace *t)
{
	struct picked *p = user;

	p->ids[p->n++] = t->id;
	return 0;
}

static int add_set(struct comparing *cm, const struct clew_trace_query *tq, int side)
{
	struct trace_set set = {0};
	struct picked p = {.n = 0};
	int r = clew_store_pick_traces(cm->c->st, tq, SAMPLE, keep_pick, &p, cm->c->ret_error);

	if (r == 0)
		r = trace_set_load(cm->c->st, p.ids, p.n, &set, cm->c->ret_error);
	for (size_t i = 0; r == 0 && i < set.n; i++)
		if (set.v[i].n)
			r = add_trace(cm, &set.v[i], side);
	trace_set_done(&set);
	return r;
}

static int compare_sets(struct comparing *cm)
{
	struct trace_sides sides;
	int r = trace_sides(cm->c,
			    "compare what? Give a=ID and b=ID, or from_ns and to_ns, failed=1 or "
			    "at_least_ns",
			    &sides);

	if (r == 0)
		r = add_set(cm, &sides.in, 1);
	if (r == 0)
		r = add_set(cm, &sides.out, 0);
	return r < 0 ? r : put_answer(cm, NULL, NULL);
}

static int compare_traces(struct comparing *cm, struct slice a, struct slice b)
{
	struct clew_id128 ids[2];
	int r = trace_find_id(cm->c, a, &ids[0]);

	if (r == 0)
		r = trace_find_id(cm->c, b, &ids[1]);
	if (r == 0)
		r = call_no_params(cm->c);
	if (r == 0)
		r = add_one(cm, &ids[0], 0);
	if (r == 0)
		r = add_one(cm, &ids[1], 1);
	return r < 0 ? r : put_answer(cm, &ids[0], &ids[1]);
}

int call_compare(struct call *c)
{
	struct comparing cm = {.c = c, .first_root = NONE, .last_root = NONE};
	struct slice a = {0}, b = {0};
	bool has_a = params_get(&c->params, "a", &a), has_b = params_get(&c->params, "b", &b);
	int r;

	if (has_a != has_b)
		return call_fail(c, -EINVAL, "compare: with what? Give a=ID and b=ID");
	cm.v = calloc(MAX_ROWS, sizeof(*cm.v));
	if (!cm.v)
		return -ENOMEM;
	r = has_a ? compare_traces(&cm, a, b) : compare_sets(&cm);
	free(cm.v);
	critical_done(&cm.times);
	return r;
}
