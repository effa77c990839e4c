/* SPDX-License-Identifier: Apache-2.0 */
/*
 * differences: what some traces (of a range of durations, the failed, the slow) have in common that the
 * others have not.
 *
 * Some of each are drawn by lot. What a trace has (attributes of its spans with their values, hosts,
 * services, operations) is counted inside and outside; of what has a length (the own time of each
 * service's operations) it is counted where it is long: above the median of all or, where that tells
 * nothing (a few that are very slow), at least what three of four inside take. Each count makes a table of
 * two by two, and the table a log-likelihood ratio G; score = G - 2 ln(tried), as many as were tried
 * must be taken off, for among many some differ by chance. What scores 0 or less is left out.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "query/critical.h"
#include "query/trace_query.h"
#include "store/id_set.h"

#define SAMPLE	     250 /* of each side */
#define MAX_FEATURES 60000u
#define MAX_SEGMENTS 2000u
#define MAX_ITEMS    50

enum feature_kind { F_ATTRIBUTE, F_HOST, F_SERVICE, F_OPERATION, F_SEGMENT };

static const char *const kind_names[] = {"attribute", "host", "service", "operation", "segment"};

struct feature {
	enum feature_kind kind;
	struct slice service, key, value; /* in the arena */
	uint64_t hash;
	uint32_t in, out; /* traces that have it */
	double score;
	int64_t in_p50, out_p50; /* of a segment */
};

struct differing {
	struct call *c;
	struct clew_picked_trace picked[2 * SAMPLE];
	struct clew_id128 ids[2 * SAMPLE];
	uint32_t n, n_in; /* the first n_in of them are inside */
	uint32_t *by_id;  /* sorted */
	struct feature *v;
	uint32_t n_features, *slots, n_slots;
	uint64_t left_out;
	struct id_set pairs; /* (feature, trace): counted already */
	char **texts;
	size_t n_texts, cap_texts;
};

static struct slice keep_text(struct differing *d, struct slice s)
{
	char *copy;

	if (d->n_texts == d->cap_texts) {
		size_t cap = d->cap_texts ? d->cap_texts * 2 : 1024;
		char **texts = realloc(d->texts, cap * sizeof(*texts));

		if (!texts)
			return slice_of(NULL, 0);
		d->texts = texts;
		d->cap_texts = cap;
	}
	copy = strndup(s.p ? s.p : "", s.n);
	if (!copy)
		return slice_of(NULL, 0);
	d->texts[d->n_texts++] = copy;
	return slice_of(copy, s.n);
}

static uint64_t feature_hash(enum feature_kind kind, struct slice service, struct slice key,
			     struct slice value)
{
	uint64_t h = clew_hash64(service.p ? service.p : "", service.n, (uint64_t)kind);

	h = clew_hash64(key.p ? key.p : "", key.n, h);
	return clew_hash64(value.p ? value.p : "", value.n, h) | 1;
}

/* This trace has it. */
static int add_feature(struct differing *d, uint32_t trace, enum feature_kind kind,
		       struct slice service, struct slice key, struct slice value)
{
	uint64_t h = feature_hash(kind, service, key, value);
	uint32_t at = (uint32_t)(h >> 1) & (d->n_slots - 1);
	struct feature *f;
	int r = id_set_add(&d->pairs, (h * UINT64_C(0x9e3779b97f4a7c15) + 2 * (uint64_t)trace) | 1);

	if (r <= 0)
		return r;
	while (d->slots[at] && d->v[d->slots[at] - 1].hash != h)
		at = (at + 1) & (d->n_slots - 1);
	if (!d->slots[at]) {
		if (d->n_features == MAX_FEATURES) {
			d->left_out++;
			return 0;
		}
		f = &d->v[d->n_features];
		*f = (struct feature){.kind = kind,
				      .service = keep_text(d, service),
				      .key = keep_text(d, key),
				      .value = keep_text(d, value),
				      .hash = h};
		d->slots[at] = ++d->n_features;
	}
	f = &d->v[d->slots[at] - 1];
	if (trace < d->n_in)
		f->in++;
	else
		f->out++;
	return 0;
}

/* ---- what spans have ---- */

static int find_trace(const struct differing *d, const struct clew_id128 *id)
{
	size_t lo = 0, hi = d->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = memcmp(&d->ids[d->by_id[mid]], id, sizeof(*id));

		if (c == 0)
			return (int)d->by_id[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return -1;
}

static struct slice attr_text(const struct clew_attr *a, char *buf, size_t size)
{
	switch (a->type) {
	case CLEW_ATTR_INT:
		return slice_of(buf, (size_t)snprintf(buf, size, "%" PRId64, a->i));
	case CLEW_ATTR_DOUBLE:
		return slice_of(buf, (size_t)snprintf(buf, size, "%.10g", a->d));
	case CLEW_ATTR_BOOL:
		return a->b ? SLICE("true") : SLICE("false");
	case CLEW_ATTR_STR:
		break;
	}
	return a->str;
}

static int add_attrs(struct differing *d, uint32_t trace, struct slice service,
		     const struct clew_attr *attrs, uint32_t n)
{
	char num[64];
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < n; i++) {
		struct slice value = attr_text(&attrs[i], num, sizeof(num));

		if (slice_eq(attrs[i].key, SLICE("service.name")))
			continue;
		r = add_feature(d, trace,
				slice_eq(attrs[i].key, SLICE("host.name")) ? F_HOST : F_ATTRIBUTE,
				service, attrs[i].key, value);
	}
	return r;
}

static int on_span(void *user, struct clew_span *span)
{
	_cleanup_(clew_span_freep) struct clew_span *s = span;
	struct differing *d = user;
	struct slice service = s->resource ? s->resource->service : SLICE("");
	int trace = find_trace(d, &s->trace_id), r;

	if (trace < 0)
		return 0;
	r = add_feature(d, (uint32_t)trace, F_SERVICE, service, SLICE("service"), service);
	if (r == 0)
		r = add_feature(d, (uint32_t)trace, F_OPERATION, service, SLICE("name"), s->name);
	if (r == 0)
		r = add_attrs(d, (uint32_t)trace, service, s->attrs, s->n_attrs);
	if (r == 0 && s->resource)
		r = add_attrs(d, (uint32_t)trace, service, s->resource->attrs,
			      s->resource->n_attrs);
	return r;
}

/* ---- the score ---- */

static double part(double seen, double expected)
{
	return seen > 0 ? seen * log(seen / expected) : 0;
}

static double likelihood(double a, double in, double c, double out)
{
	double b = in - a, e = out - c, all = in + out, with = a + c, without = b + e;

	return 2 * (part(a, with * in / all) + part(c, with * out / all) +
		    part(b, without * in / all) + part(e, without * out / all));
}

static double score(const struct differing *d, uint32_t in, uint32_t out, double tried)
{
	return likelihood(in, d->n_in, out, d->n - d->n_in) - 2 * log(tried);
}

/* ---- segments: own time by operation ---- */

struct segment {
	struct slice service, name;
	uint8_t kind;
	int64_t *ns; /* by trace */
};

struct segments {
	struct segment *v;
	uint32_t n;
};

static struct segment *get_segment(struct segments *s, const struct clew_trace_row *r, uint32_t n)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (s->v[i].kind == r->kind && s->v[i].service.p == r->service.p &&
		    s->v[i].name.p == r->name.p)
			return &s->v[i];
	if (s->n == MAX_SEGMENTS)
		return NULL;
	s->v[s->n] = (struct segment){r->service, r->name, r->kind, calloc(n, sizeof(int64_t))};
	return s->v[s->n].ns ? &s->v[s->n++] : NULL;
}

/* A span's time less its children's, those beside each other added: enough for comparing. */
static void add_segments(struct segments *s, const struct trace_rows *t, uint32_t trace, uint32_t n)
{
	const struct clew_forest *f = &t->forest;

	for (uint32_t i = 0; i < t->n; i++) {
		const struct clew_trace_row *r = trace_row(t, i);
		struct segment *seg = get_segment(s, r, n);
		int64_t own = (int64_t)r->duration_ns;

		for (uint32_t k = i + 1; k <= i + f->below[i]; k += f->below[k] + 1)
			own -= (int64_t)trace_row(t, k)->duration_ns;
		if (seg && own > 0)
			seg->ns[trace] += own;
	}
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static int64_t median(int64_t *v, uint32_t n)
{
	if (n)
		qsort(v, n, sizeof(*v), by_value);
	return n ? v[n / 2] : 0;
}

/* What is longer than the cut, inside and outside; what was counted before stays where that told something. */
static void count_longer(const struct differing *d, const struct segment *s, int64_t cut,
			 double tried, struct feature *f)
{
	uint32_t in = 0, out = 0;
	double told;

	if (f->score > 0)
		return;
	for (uint32_t i = 0; i < d->n; i++)
		if (s->ns[i] > cut) {
			in += i < d->n_in;
			out += i >= d->n_in;
		}
	told = score(d, in, out, tried);
	if (told <= f->score)
		return;
	f->in = in;
	f->out = out;
	f->score = told;
}

static int judge_segment(struct differing *d, const struct segment *s, double tried)
{
	_cleanup_(freep) int64_t *sorted = malloc((d->n + 1) * sizeof(*sorted));
	struct feature *f = &d->v[d->n_features];
	uint32_t n_out = d->n - d->n_in;

	if (!sorted)
		return -ENOMEM;
	if (d->n_features >= MAX_FEATURES + MAX_SEGMENTS)
		return 0;
	*f = (struct feature){.kind = F_SEGMENT,
			      .service = keep_text(d, s->service),
			      .key = keep_text(d, slice_str(clew_kind_name(s->kind))),
			      .value = keep_text(d, s->name),
			      .score = -INFINITY};
	memcpy(sorted, s->ns, d->n * sizeof(*sorted));
	count_longer(d, s, median(sorted, d->n), tried, f);
	memcpy(sorted, s->ns, d->n_in * sizeof(*sorted));
	f->in_p50 = median(sorted, d->n_in);
	if (d->n_in && sorted[d->n_in / 4] > 0)
		count_longer(d, s, sorted[d->n_in / 4] - 1, tried, f);
	memcpy(sorted, s->ns + d->n_in, n_out * sizeof(*sorted));
	f->out_p50 = median(sorted, n_out);
	d->n_features++;
	return 0;
}

static int find_segments(struct differing *d, double *ret_tried, struct segments *s)
{
	struct trace_set set = {0};
	int r;

	s->v = calloc(MAX_SEGMENTS, sizeof(*s->v));
	r = s->v ? trace_set_load(d->c->st, d->ids, d->n, &set, d->c->ret_error) : -ENOMEM;
	for (uint32_t i = 0; r == 0 && i < d->n; i++)
		add_segments(s, &set.v[i], i, d->n);
	trace_set_done(&set);
	*ret_tried = (double)d->n_features + 2.0 * s->n;
	return r;
}

/* ---- the call ---- */

static int keep_pick(void *user, const struct clew_picked_trace *t)
{
	struct differing *d = user;

	d->ids[d->n] = t->id;
	d->picked[d->n++] = *t;
	return 0;
}

static int by_id(const void *a, const void *b, void *user)
{
	const struct clew_id128 *ids = user;

	return memcmp(&ids[*(const uint32_t *)a], &ids[*(const uint32_t *)b], sizeof(*ids));
}

static int pick(struct differing *d, const struct trace_sides *sides)
{
	int r = clew_store_pick_traces(d->c->st, &sides->in, SAMPLE, keep_pick, d, d->c->ret_error);

	d->n_in = d->n;
	if (r == 0)
		r = clew_store_pick_traces(d->c->st, &sides->out, SAMPLE, keep_pick, d,
					   d->c->ret_error);
	d->by_id = malloc((d->n + 1) * sizeof(*d->by_id));
	if (!d->by_id)
		return -ENOMEM;
	for (uint32_t i = 0; i < d->n; i++)
		d->by_id[i] = i;
	if (d->n)
		qsort_r(d->by_id, d->n, sizeof(*d->by_id), by_id, d->ids);
	return r;
}

static int by_score(const void *a, const void *b)
{
	const struct feature *x = a, *y = b;

	if (x->score != y->score)
		return x->score > y->score ? -1 : 1;
	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static int compare(struct differing *d)
{
	struct segments seg = {0};
	uint32_t counted;
	double tried = 1;
	int r;

	d->n_slots = 1u << 17;
	d->slots = calloc(d->n_slots, sizeof(*d->slots));
	d->v = calloc(MAX_FEATURES + MAX_SEGMENTS + 1, sizeof(*d->v));
	r = d->slots && d->v
		    ? clew_store_many_spans(d->c->st, d->ids, d->n, on_span, d, d->c->ret_error)
		    : -ENOMEM;
	if (r == 0)
		r = find_segments(d, &tried, &seg);
	counted = d->n_features;
	for (uint32_t i = 0; r == 0 && i < counted; i++)
		d->v[i].score = score(d, d->v[i].in, d->v[i].out, tried);
	for (uint32_t i = 0; r == 0 && i < seg.n; i++)
		r = judge_segment(d, &seg.v[i], tried);
	for (uint32_t i = 0; i < seg.n; i++)
		free(seg.v[i].ns);
	free(seg.v);
	if (r == 0 && d->n_features)
		qsort(d->v, d->n_features, sizeof(*d->v), by_score);
	return r;
}

static void put_item(struct differing *d, const struct feature *f, bool first)
{
	struct clew_buf *b = &d->c->out;

	clew_buf_addf(b, "%s{\"kind\":\"%s\"", first ? "" : ",", kind_names[f->kind]);
	put_str(b, ",\"service\":", f->service);
	put_str(b, ",\"key\":", f->key);
	put_str(b, ",\"value\":", f->value);
	clew_buf_addf(b, ",\"inside_share\":%.4g,\"outside_share\":%.4g",
		      (double)f->in / (double)d->n_in, (double)f->out / (double)(d->n - d->n_in));
	if (f->kind == F_SEGMENT)
		clew_buf_addf(b, ",\"inside_p50_ns\":%" PRId64 ",\"outside_p50_ns\":%" PRId64,
			      f->in_p50, f->out_p50);
	clew_buf_addf(b, ",\"score\":%.4g}", f->score);
}

static void put_items(struct differing *d)
{
	struct clew_buf *b = &d->c->out;
	uint32_t out = d->n - d->n_in;

	clew_buf_addf(b, "{\"inside\":%u,\"outside\":%u,\"tried\":%u,\"items\":[", d->n_in, out,
		      d->n_features);
	for (uint32_t i = 0; d->n_in && out && i < d->n_features && i < MAX_ITEMS; i++)
		if (d->v[i].score > 0)
			put_item(d, &d->v[i], i == 0);
	clew_buf_adds(b, "]}");
}

static void differing_done(struct differing *d)
{
	for (size_t i = 0; i < d->n_texts; i++)
		free(d->texts[i]);
	free(d->texts);
	id_set_done(&d->pairs);
	free(d->slots);
	free(d->by_id);
	free(d->v);
	free(d);
}

int call_differences(struct call *c)
{
	struct trace_sides sides;
	int r = trace_sides(c,
			    "what is inside? from_ns and to_ns (a range of durations), failed=1 or "
			    "at_least_ns",
			    &sides);
	struct differing *d = r == 0 ? calloc(1, sizeof(*d)) : NULL;

	if (!d)
		return r < 0 ? r : -ENOMEM;
	d->c = c;
	r = pick(d, &sides);
	if (r == 0)
		r = compare(d);
	if (r == 0)
		put_items(d);
	differing_done(d);
	return r < 0 ? r : call_end_line(c);
}
