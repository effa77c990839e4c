/* SPDX-License-Identifier: Apache-2.0 */
/* Rate, errors, duration: operations (of one service) and red (over time). */
#include "query/red.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#define DEFAULT_BUCKETS 60
#define MAX_BUCKETS	1000
/* Operations of a service that are summed up. */
#define MAX_SUMS 20000

/* Names live as long as the store, so one name is one address. */
struct sum {
	struct slice service, name;
	uint8_t kind;
	uint64_t n, errors;
	uint32_t counts[CLEW_LATENCY_BUCKETS];
};

struct sums {
	struct sum *v;
	size_t n, cap;
	uint32_t *slots; /* open addressing by the names' addresses */
	uint64_t left_out;
};

#define N_SLOTS 65536u /* more than MAX_SUMS, and what 16 bits count */

static void sums_done(struct sums *s)
{
	free(s->v);
	free(s->slots);
}

/* The slot of a sum, or the free one where it would be. */
static uint32_t slot_of(const struct sums *s, struct slice service, struct slice name, uint8_t kind)
{
	uint64_t h = (uintptr_t)service.p * UINT64_C(0x9e3779b97f4a7c15);
	uint32_t at;

	h = (h ^ (uintptr_t)name.p ^ kind) * UINT64_C(0xbf58476d1ce4e5b9);
	for (at = (uint32_t)(h >> 48); s->slots[at]; at = (at + 1) & (N_SLOTS - 1)) {
		const struct sum *sum = &s->v[s->slots[at] - 1];

		if (sum->service.p == service.p && sum->name.p == name.p && sum->kind == kind)
			break;
	}
	return at;
}

static struct sum *get_sum(struct sums *s, const struct clew_red_row *row)
{
	uint32_t at = slot_of(s, row->service, row->name, row->kind);

	if (s->slots[at])
		return &s->v[s->slots[at] - 1];
	if (s->n == MAX_SUMS)
		return NULL;
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		struct sum *v = realloc(s->v, cap * sizeof(*v));

		if (!v)
			return NULL;
		s->v = v;
		s->cap = cap;
	}
	s->v[s->n] = (struct sum){row->service, row->name, row->kind};
	s->slots[at] = (uint32_t)++s->n;
	return &s->v[s->n - 1];
}

static int add_sum(void *user, const struct clew_red_row *row)
{
	struct sums *s = user;
	struct sum *sum = get_sum(s, row);

	if (!sum) {
		s->left_out += row->n;
		return 0;
	}
	sum->n += row->n;
	sum->errors += row->errors;
	sum->counts[row->bucket] += (uint32_t)row->n;
	return 0;
}

uint64_t red_quantile(const uint32_t *counts, double q)
{
	uint64_t wide[CLEW_LATENCY_BUCKETS];

	for (int i = 0; i < CLEW_LATENCY_BUCKETS; i++)
		wide[i] = counts[i];
	return clew_latency_quantile(wide, q);
}

static int ask_sums(struct call *c, struct clew_red_query *rq, struct sums *s)
{
	s->slots = calloc(N_SLOTS, sizeof(*s->slots));
	return s->slots ? clew_store_red(c->st, rq, add_sum, s, c->ret_error) : -ENOMEM;
}

uint32_t red_steps(const struct clew_red_query *rq)
{
	return (uint32_t)((rq->until_ns - rq->since_ns + rq->step_ns - 1) / rq->step_ns);
}

double red_rate(uint64_t n, uint64_t since_ns, uint64_t until_ns)
{
	return (double)n / ((double)(until_ns - since_ns) / 1e9);
}

void red_put_number(struct clew_buf *b, const char *before, double v)
{
	clew_buf_addf(b, "%s%.4g", before, isfinite(v) ? v : 0);
}

static void put_quantiles(struct clew_buf *b, const uint32_t *counts)
{
	clew_buf_addf(b, ",\"p50_ns\":%" PRIu64 ",\"p95_ns\":%" PRIu64 ",\"p99_ns\":%" PRIu64,
		      red_quantile(counts, 0.5), red_quantile(counts, 0.95),
		      red_quantile(counts, 0.99));
}

int red_buckets(struct call *c, struct clew_red_query *rq)
{
	uint64_t buckets = DEFAULT_BUCKETS;
	int r = params_u64(&c->params, "buckets", &buckets, c->ret_error);

	if (r < 0)
		return r;
	if (!buckets || buckets > MAX_BUCKETS)
		return call_fail(c, -EINVAL, "buckets: 1 to %d", MAX_BUCKETS);
	rq->step_ns = (rq->until_ns - rq->since_ns + buckets - 1) / buckets;
	return 0;
}

void red_put_window(struct clew_buf *b, const struct clew_red_query *rq)
{
	clew_buf_addf(b,
		      "{\"since_ns\":%" PRIu64 ",\"until_ns\":%" PRIu64 ",\"bucket_ns\":%" PRIu64,
		      rq->since_ns, rq->until_ns, rq->step_ns);
}

/* ---- operations ---- */

/* About how long they took together: each as long as the middle of its bucket. */
static double time_of(const struct sum *s)
{
	double sum = 0;

	for (unsigned i = 0; i < CLEW_LATENCY_BUCKETS; i++)
		if (s->counts[i])
			sum += s->counts[i] * exp2(((double)i + 0.5) / 3);
	return sum;
}

static int by_time(const void *a, const void *b)
{
	double x = time_of(a), y = time_of(b);

	return x > y ? -1 : x < y;
}

static int by_kind_and_time(const void *a, const void *b)
{
	const struct sum *x = a, *y = b;
	bool sx = RED_REQUESTS >> x->kind & 1, sy = RED_REQUESTS >> y->kind & 1;

	return sx != sy ? (sx ? -1 : 1) : by_time(a, b);
}

static void put_operations(struct call *c, const struct clew_red_query *rq, struct sums *s,
			   uint64_t limit)
{
	double all[CLEW_KIND_CONSUMER + 1] = {0};

	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].kind <= CLEW_KIND_CONSUMER)
			all[s->v[i].kind] += time_of(&s->v[i]);
	if (s->n)
		qsort(s->v, s->n, sizeof(*s->v), by_kind_and_time);
	for (size_t i = 0; i < s->n && (!limit || i < limit); i++) {
		const struct sum *o = &s->v[i];

		put_str(&c->out, i ? ",{\"name\":" : "{\"name\":", o->name);
		clew_buf_addf(&c->out,
			      ",\"kind\":\"%s\",\"requests\":%" PRIu64 ",\"errors\":%" PRIu64,
			      clew_kind_name(o->kind), o->n, o->errors);
		red_put_number(&c->out, ",\"rate\":", red_rate(o->n, rq->since_ns, rq->until_ns));
		put_quantiles(&c->out, o->counts);
		red_put_number(&c->out, ",\"share\":",
			       o->kind <= CLEW_KIND_CONSUMER && all[o->kind] > 0
				       ? time_of(o) / all[o->kind]
				       : 0);
		clew_buf_addc(&c->out, '}');
	}
}

int call_operations(struct call *c)
{
	struct clew_red_query rq = {.by_name = true};
	uint64_t limit = RED_DEFAULT_ROWS;
	struct sums s = {0};
	int r = call_window(c, &rq.since_ns, &rq.until_ns);

	if (r == 0 && !params_get(&c->params, "service", &rq.service))
		r = call_fail(c, -EINVAL, "service: of which one?");
	if (r == 0)
		r = params_u64(&c->params, "limit", &limit, c->ret_error);
	if (r == 0)
		r = call_no_params(c);
	if (r == 0)
		r = ask_sums(c, &rq, &s);
	if (r == 0) {
		red_put_window(&c->out, &rq);
		put_str(&c->out, ",\"service\":", rq.service);
		clew_buf_addf(&c->out, ",\"total\":%zu,\"operations\":[", s.n);
		put_operations(c, &rq, &s, limit);
		clew_buf_adds(&c->out, "]}");
	}
	sums_done(&s);
	return r < 0 ? r : call_end_line(c);
}

/* ---- over time ---- */

struct series {
	uint32_t steps;
	uint64_t *n, *errors;
	uint32_t (*counts)[CLEW_LATENCY_BUCKETS];
};

static int add_point(void *user, const struct clew_red_row *row)
{
	struct series *s = user;

	if (row->step >= s->steps)
		return 0;
	s->n[row->step] += row->n;
	s->errors[row->step] += row->errors;
	s->counts[row->step][row->bucket] += (uint32_t)row->n;
	return 0;
}

static void put_series(struct clew_buf *b, const struct series *s)
{
	static const struct {
		const char *name;
		double q;
	} lines[] = {{"p50_ns", 0.5}, {"p95_ns", 0.95}, {"p99_ns", 0.99}};

	clew_buf_adds(b, ",\"requests\":[");
	for (uint32_t i = 0; i < s->steps; i++)
		clew_buf_addf(b, "%s%" PRIu64, i ? "," : "", s->n[i]);
	clew_buf_adds(b, "],\"errors\":[");
	for (uint32_t i = 0; i < s->steps; i++)
		clew_buf_addf(b, "%s%" PRIu64, i ? "," : "", s->errors[i]);
	for (size_t k = 0; k < sizeof(lines) / sizeof(*lines); k++) {
		clew_buf_addf(b, "],\"%s\":[", lines[k].name);
		for (uint32_t i = 0; i < s->steps; i++)
			clew_buf_addf(b, "%s%" PRIu64, i ? "," : "",
				      red_quantile(s->counts[i], lines[k].q));
	}
	clew_buf_addc(b, ']');
}

/* Without a kind: requests, where a service is asked; else what was asked for. */
static int get_red(struct call *c, struct clew_red_query *rq)
{
	struct slice kind;
	int k, r = call_window(c, &rq->since_ns, &rq->until_ns);

	rq->kinds = RED_REQUESTS;
	if (r == 0)
		r = red_buckets(c, rq);
	if (r == 0 && params_get(&c->params, "kind", &kind)) {
		for (k = CLEW_KIND_CONSUMER; k >= 0; k--)
			if (slice_eq(kind, slice_str(clew_kind_name((enum clew_span_kind)k))))
				break;
		if (k < 0)
			return call_fail(c, -EINVAL, "kind: there is no '%.*s'", (int)kind.n,
					 kind.p);
		rq->kinds = 1u << k;
	}
	params_get(&c->params, "service", &rq->service);
	params_get(&c->params, "name", &rq->name);
	return r < 0 ? r : call_no_params(c);
}

int call_red(struct call *c)
{
	struct clew_red_query rq = {0};
	struct series s = {0};
	int r = get_red(c, &rq);

	if (r < 0)
		return r;
	s.steps = red_steps(&rq) + 2;
	s.n = calloc(s.steps, sizeof(*s.n));
	s.errors = calloc(s.steps, sizeof(*s.errors));
	s.counts = calloc(s.steps, sizeof(*s.counts));
	r = s.n && s.errors && s.counts ? clew_store_red(c->st, &rq, add_point, &s, c->ret_error)
					: -ENOMEM;
	if (r == 0) {
		s.steps = red_steps(&rq);
		red_put_window(&c->out, &rq);
		put_series(&c->out, &s);
		clew_buf_addc(&c->out, '}');
	}
	free(s.n);
	free(s.errors);
	free(s.counts);
	return r < 0 ? r : call_end_line(c);
}
