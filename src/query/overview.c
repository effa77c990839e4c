/* SPDX-License-Identifier: Apache-2.0 */
/*
 * overview: the services beside the time before, those that deviate most first.
 *
 *	all services   one after the other, both times' latencies ─► deviation ─► the limit of them that
 *	                deviate most
 *	these          over time; their instances
 *
 * However many services there are, the figures of one are in memory, and those of the ones that are kept.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "query/red.h"

/* Services of one answer, at most. */
#define MAX_LINES 1000u

/* "Far longer than was usual": more than twice what the slowest hundredth took before. */
#define FAR_BUCKETS 4u /* a power of two is three, and p99 is somewhere in its own */
/* What is said of a few: more sure than of many, for a stall hits all that run at once. */
#define FAR_SURE 3.0 /* standard errors */

/* What a service did in one of the two times. */
struct half {
	uint64_t n, errors, p50_ns, p95_ns, p99_ns;
	uint32_t counts[CLEW_LATENCY_BUCKETS];
};

struct line {
	struct slice service; /* lives as long as the store */
	uint64_t n, errors, p50_ns, p95_ns, p99_ns;
	struct {
		uint64_t n, errors, p50_ns, p95_ns;
	} before;
	/* The few that took far longer than was usual; n is 0 where there are not more of them than before. */
	struct {
		uint64_t over_ns, n, before;
	} tail;
	uint64_t max_ns;
	double deviation;
	uint64_t instances;
	uint64_t *steps; /* over time: n, errors, p95, longest of each */
};

#define STEP_FIGURES 4u

struct overview {
	struct call *c;
	struct clew_red_query rq;
	struct line *lines;
	size_t n_lines, cap, limit;
	uint64_t total;
	/* of the service that is read now */
	struct slice service;
	struct half half[2]; /* before, now */
	/* of the step that is read now */
	struct line *line;
	uint32_t steps, step;
	uint32_t counts[CLEW_LATENCY_BUCKETS];
};

/*
 * How much worse or better: the change of the error share, times ten, and of p95, in doublings; each less
 * what chance explains at these counts (two standard errors). 0: nothing that is not chance. One: the
 * p95 doubled, or ten more of a hundred requests fail.
 */
static double deviation(const struct half *now, const struct half *before)
{
	double n1 = (double)now->n, n0 = (double)before->n, p, e, l;

	if (n1 < 1 || n0 < 1)
		return 0;
	p = ((double)now->errors + (double)before->errors) / (n1 + n0);
	e = fabs((double)now->errors / n1 - (double)before->errors / n0) -
	    2 * sqrt(p * (1 - p) * (1 / n1 + 1 / n0));
	l = now->p95_ns && before->p95_ns ? fabs(log2((double)now->p95_ns / (double)before->p95_ns))
					  : 0;
	/* A quantile of a long tail is known worse than a mean; and buckets are a third wide. */
	l -= 3 * sqrt(1 / n1 + 1 / n0) + 1.0 / 12;
	return (e > 0 ? 10 * e : 0) + (l > 0 ? l : 0);
}

static double counted(double seen, double expected)
{
	return seen > 0 ? seen * log(seen / expected) : 0;
}

/*
 * A lock that hits four of a thousand requests moves no quantile that anyone draws. So: those that took
 * far longer than was usual, and are more of all than before. Their part of the deviation: one for one of a
 * thousand, as far as it is sure (likelihood ratio); never more, or it would rank above what hits many.
 */
static double judge_tail(const struct half *now, const struct half *before, struct line *l)
{
	double n1 = (double)now->n, n0 = (double)before->n, far1 = 0, far0 = 0, all, sure, more;
	unsigned first = 0;

	if (!before->n)
		return 0;
	for (unsigned i = clew_latency_bucket(before->p99_ns) + FAR_BUCKETS;
	     i < CLEW_LATENCY_BUCKETS; i++) {
		first = !first && now->counts[i] ? i : first;
		far1 += now->counts[i];
		far0 += before->counts[i];
	}
	more = far1 / n1 - far0 / n0;
	/* Where it is more than one of twenty, p95 tells it; and twice as many as before, at the least. */
	if (more <= far0 / n0 || more <= 0 || far1 * 20 > n1)
		return 0;
	all = (far1 + far0) / (n1 + n0);
	sure = sqrt(2 * (counted(far1, all * n1) + counted(far0, all * n0) +
			 counted(n1 - far1, (1 - all) * n1) + counted(n0 - far0, (1 - all) * n0)));
	if (!(sure > FAR_SURE))
		return 0;
	l->tail.over_ns = (uint64_t)clew_latency_from(first);
	l->tail.n = (uint64_t)far1;
	for (unsigned i = first; i < CLEW_LATENCY_BUCKETS; i++)
		l->tail.before += before->counts[i];
	return fmin(1, more * 1000 * (1 - FAR_SURE / sure));
}

static int by_deviation(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	if (x->deviation != y->deviation)
		return x->deviation > y->deviation ? -1 : 1;
	if (x->n != y->n)
		return x->n > y->n ? -1 : 1;
	return slice_order(x->service, y->service);
}

static void keep_first(struct overview *o)
{
	if (o->n_lines)
		qsort(o->lines, o->n_lines, sizeof(*o->lines), by_deviation);
	o->n_lines = o->n_lines < o->limit ? o->n_lines : o->limit;
}

static int add_line(struct overview *o, const struct line *l)
{
	size_t cap = o->cap ? o->cap * 2 : 64;
	struct line *lines;

	if (o->n_lines == o->cap && o->n_lines >= 2 * o->limit) {
		keep_first(o);
	} else if (o->n_lines == o->cap) {
		lines = realloc(o->lines, cap * sizeof(*lines));
		if (!lines)
			return -ENOMEM;
		o->lines = lines;
		o->cap = cap;
	}
	o->lines[o->n_lines++] = *l;
	return 0;
}

/* ---- which services ---- */

static void set_quantiles(struct half *h)
{
	h->p50_ns = h->n ? red_quantile(h->counts, 0.5) : 0;
	h->p95_ns = h->n ? red_quantile(h->counts, 0.95) : 0;
	h->p99_ns = h->n ? red_quantile(h->counts, 0.99) : 0;
}

/* At least so long took the longest: where its bucket begins. */
static uint64_t longest(const uint32_t *counts)
{
	unsigned i = CLEW_LATENCY_BUCKETS;

	while (i && !counts[i - 1])
		i--;
	return i ? (uint64_t)clew_latency_from(i - 1) : 0;
}

static int end_service(struct overview *o)
{
	struct half *before = &o->half[0], *now = &o->half[1];
	struct line l;

	if (!now->n)
		return 0;
	o->total++;
	set_quantiles(before);
	set_quantiles(now);
	l = (struct line){.service = o->service,
			  .n = now->n,
			  .errors = now->errors,
			  .p50_ns = now->p50_ns,
			  .p95_ns = now->p95_ns,
			  .p99_ns = now->p99_ns,
			  .before = {before->n, before->errors, before->p50_ns, before->p95_ns},
			  .max_ns = longest(now->counts)};
	l.deviation = deviation(now, before) + judge_tail(now, before, &l);
	return add_line(o, &l);
}

/* Names live as long as the store: one name is one address. */
static int add_half(void *user, const struct clew_red_row *row)
{
	struct overview *o = user;
	struct half *h;
	int r = 0;

	if (row->service.p != o->service.p) {
		r = end_service(o);
		o->service = row->service;
		memset(o->half, 0, sizeof(o->half));
	}
	h = &o->half[row->step];
	h->n += row->n;
	h->errors += row->errors;
	h->counts[row->bucket] += (uint32_t)row->n;
	return r;
}

/* The time, and the one of the same length before it. */
static int choose(struct overview *o)
{
	uint64_t length = o->rq.until_ns - o->rq.since_ns;
	struct clew_red_query rq = o->rq;
	int r;

	rq.grouped = true;
	rq.split_ns = rq.since_ns;
	rq.since_ns = rq.since_ns > length ? rq.since_ns - length : 0;
	r = clew_store_red(o->c->st, &rq, add_half, o, o->c->ret_error);
	if (r == 0)
		r = end_service(o);
	keep_first(o);
	/* Rounded, perhaps. */
	o->rq.since_ns = rq.split_ns;
	o->rq.until_ns = rq.until_ns;
	return r;
}

/* ---- these over time ---- */

static struct line *find_line(struct overview *o, struct slice service)
{
	for (size_t i = 0; i < o->n_lines; i++)
		if (o->lines[i].service.p == service.p)
			return &o->lines[i];
	return NULL;
}

static void end_step(struct overview *o)
{
	if (o->line) {
		o->line->steps[STEP_FIGURES * o->step + 2] = red_quantile(o->counts, 0.95);
		o->line->steps[STEP_FIGURES * o->step + 3] = longest(o->counts);
	}
	memset(o->counts, 0, sizeof(o->counts));
}

static int add_step(void *user, const struct clew_red_row *row)
{
	struct overview *o = user;

	if (!o->line || row->service.p != o->line->service.p || row->step != o->step) {
		end_step(o);
		if (!o->line || row->service.p != o->line->service.p)
			o->line = find_line(o, row->service);
		if (row->step >= o->steps)
			o->line = NULL;
		o->step = row->step;
	}
	if (!o->line)
		return 0;
	o->line->steps[STEP_FIGURES * o->step] += row->n;
	o->line->steps[STEP_FIGURES * o->step + 1] += row->errors;
	o->counts[row->bucket] += (uint32_t)row->n;
	return 0;
}

static int keep_instances(void *user, const struct clew_service_stats *s)
{
	struct line *l = find_line(user, s->service);

	if (l)
		l->instances = s->instances;
	return 0;
}

static int look_closer(struct overview *o)
{
	_cleanup_(freep) struct slice *names = calloc(o->n_lines + 1, sizeof(*names));
	struct clew_service_query sq = {.since_ns = o->rq.since_ns,
					.until_ns = o->rq.until_ns,
					.only = names,
					.n_only = o->n_lines};
	int r;

	if (!names)
		return -ENOMEM;
	o->steps = red_steps(&o->rq) + 2;
	for (size_t i = 0; i < o->n_lines; i++) {
		names[i] = o->lines[i].service;
		o->lines[i].steps = calloc(STEP_FIGURES * (size_t)o->steps, sizeof(uint64_t));
		if (!o->lines[i].steps)
			return -ENOMEM;
	}
	o->rq.services = names;
	o->rq.n_services = o->n_lines;
	o->rq.grouped = true;
	r = clew_store_red(o->c->st, &o->rq, add_step, o, o->c->ret_error);
	end_step(o);
	o->steps = red_steps(&o->rq);
	return r < 0 ? r
		     : clew_store_services(o->c->st, &sq, NULL, keep_instances, o, o->c->ret_error);
}

/* ---- the answer ---- */

static void put_quantiles(struct clew_buf *b, const struct line *l)
{
	clew_buf_addf(b,
		      ",\"p50_ns\":%" PRIu64 ",\"p95_ns\":%" PRIu64 ",\"p99_ns\":%" PRIu64
		      ",\"max_ns\":%" PRIu64,
		      l->p50_ns, l->p95_ns, l->p99_ns, l->max_ns);
}

static void put_line(struct overview *o, const struct line *l, bool first)
{
	static const char *const names[STEP_FIGURES] = {"{\"requests\":[", "],\"errors\":[",
							"],\"p95_ns\":[", "],\"max_ns\":["};
	struct clew_buf *b = &o->c->out;

	put_str(b, first ? "{\"service\":" : ",{\"service\":", l->service);
	clew_buf_addf(b, ",\"instances\":%" PRIu64 ",\"requests\":%" PRIu64 ",\"errors\":%" PRIu64,
		      l->instances, l->n, l->errors);
	red_put_number(b, ",\"rate\":", red_rate(l->n, o->rq.since_ns, o->rq.until_ns));
	put_quantiles(b, l);
	clew_buf_addf(b,
		      ",\"before\":{\"requests\":%" PRIu64 ",\"errors\":%" PRIu64
		      ",\"p50_ns\":%" PRIu64 ",\"p95_ns\":%" PRIu64 "}",
		      l->before.n, l->before.errors, l->before.p50_ns, l->before.p95_ns);
	if (l->tail.n)
		clew_buf_addf(b,
			      ",\"tail\":{\"over_ns\":%" PRIu64 ",\"requests\":%" PRIu64
			      ",\"before\":%" PRIu64 "}",
			      l->tail.over_ns, l->tail.n, l->tail.before);
	red_put_number(b, ",\"deviation\":", l->deviation);
	clew_buf_adds(b, ",\"spark\":");
	for (uint32_t k = 0; k < STEP_FIGURES; k++) {
		clew_buf_adds(b, names[k]);
		for (uint32_t i = 0; i < o->steps; i++)
			clew_buf_addf(b, "%s%" PRIu64, i ? "," : "",
				      l->steps[STEP_FIGURES * i + k]);
	}
	clew_buf_adds(b, "]}}");
}

static int put_overview(struct overview *o)
{
	struct call *c = o->c;
	int r = 0;

	red_put_window(&c->out, &o->rq);
	clew_buf_addf(&c->out, ",\"services_total\":%" PRIu64 ",\"services\":[", o->total);
	for (size_t i = 0; r == 0 && i < o->n_lines; i++) {
		put_line(o, &o->lines[i], i == 0);
		r = call_hand_on(c, CALL_WRITE_BYTES);
	}
	clew_buf_adds(&c->out, "]}");
	return r < 0 ? r : call_end_line(c);
}

int call_overview(struct call *c)
{
	struct overview o = {.c = c, .rq = {.kinds = RED_REQUESTS, .by_service = true}};
	uint64_t limit = RED_DEFAULT_ROWS;
	int r = call_window(c, &o.rq.since_ns, &o.rq.until_ns);

	if (r == 0)
		r = red_buckets(c, &o.rq);
	if (r == 0)
		r = params_u64(&c->params, "limit", &limit, c->ret_error);
	if (r == 0)
		r = call_no_params(c);
	o.limit = limit && limit < MAX_LINES ? (size_t)limit : MAX_LINES;
	if (r == 0)
		r = choose(&o);
	if (r == 0 && o.n_lines)
		r = look_closer(&o);
	if (r == 0)
		r = put_overview(&o);
	for (size_t i = 0; i < o.n_lines; i++)
		free(o.lines[i].steps);
	free(o.lines);
	return r;
}
