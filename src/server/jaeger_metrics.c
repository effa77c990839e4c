/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Jaeger's "Monitor" page asks for: latencies, calls and errors of services over time, as a
 * MetricFamily of OpenMetrics in protobuf's JSON. Each point sums up the time of ratePer that ends at
 * it; latencies come from histograms (latency.h), in ms.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "base/units.h"
#include "server/jaeger.h"
#include "store/latency.h"

#define DEFAULT_LOOKBACK_MS (3600ull * 1000)
#define DEFAULT_STEP_MS	    5000ull
#define DEFAULT_RATE_MS	    (600ull * 1000)
#define MAX_POINTS	    2000u
/* Memory of one answer's sums; beyond it the call says what to change. */
#define MAX_BYTES    (128ull << 20)
#define MAX_SERVICES 100u

enum metric { LATENCIES, CALLS, ERRORS };

struct series {
	struct slice service, name;
	uint64_t *n, *errors;
	uint32_t (*counts)[CLEW_LATENCY_BUCKETS];
};

struct family {
	struct api_call *c;
	enum metric metric;
	double quantile;
	bool by_operation;
	uint64_t until_ns, lookback_ns, step_ns, rate_ns;
	uint32_t kinds;
	struct slice service; /* that is being asked */
	struct clew_red_query rq;
	uint32_t steps;
	struct series *v;
	size_t n, last;
	uint64_t bytes;
};

static struct series *add_series(struct family *m, struct slice name)
{
	uint64_t each = 2 * sizeof(uint64_t) + (m->metric == LATENCIES ? sizeof(*m->v->counts) : 0);
	struct series *v = realloc(m->v, (m->n + 1) * sizeof(*v)), *s;

	if (!v)
		return NULL;
	m->v = v;
	m->bytes += each * m->steps;
	if (m->bytes > MAX_BYTES) {
		api_fail(m->c, 400, -EINVAL,
			 "too many operations for so many points: raise 'step' or shorten "
			 "'lookback'");
		return NULL;
	}
	s = &m->v[m->n];
	*s = (struct series){.service = m->service,
			     .name = name,
			     .n = calloc(m->steps, sizeof(*s->n)),
			     .errors = calloc(m->steps, sizeof(*s->errors))};
	if (m->metric == LATENCIES)
		s->counts = calloc(m->steps, sizeof(*s->counts));
	m->n++;
	return s->n && s->errors && (s->counts || m->metric != LATENCIES) ? s : NULL;
}

/* Names live as long as the store: one name is one address. */
static struct series *series_of(struct family *m, struct slice name)
{
	if (m->last < m->n && m->v[m->last].service.p == m->service.p &&
	    m->v[m->last].name.p == name.p)
		return &m->v[m->last];
	for (m->last = 0; m->last < m->n; m->last++)
		if (m->v[m->last].service.p == m->service.p && m->v[m->last].name.p == name.p)
			return &m->v[m->last];
	return add_series(m, name);
}

static int add_row(void *user, const struct clew_red_row *row)
{
	struct family *m = user;
	struct series *s = series_of(m, m->by_operation ? row->name : SLICE(""));

	if (!s)
		return m->c->error ? -EINVAL : -ENOMEM;
	if (row->step >= m->steps)
		return 0;
	s->n[row->step] += row->n;
	s->errors[row->step] += row->errors;
	if (s->counts)
		s->counts[row->step][row->bucket] += (uint32_t)row->n;
	return 0;
}

/* ---- parameters ---- */

static int add_kind(struct family *m, struct slice v)
{
	struct slice prefix = SLICE("SPAN_KIND_");
	int k;

	if (slice_starts(v, prefix))
		v = slice_of(v.p + prefix.n, v.n - prefix.n);
	k = api_kind(v);
	if (k < 0)
		return api_fail(m->c, 400, k,
				"unable to parse param 'spanKind': there is no '%.*s'",
				(int)(v.n < 64 ? v.n : 64), v.p);
	m->kinds |= 1u << k;
	return 0;
}

static int get_quantile(struct family *m)
{
	char text[64], *tail;
	int r = api_text(m->c, "quantile", text);

	if (r < 0 && r != -ENOENT)
		return r;
	m->quantile = r == 0 ? strtod(text, &tail) : -1;
	if (r < 0 || *tail || !(m->quantile > 0 && m->quantile <= 1))
		return api_fail(m->c, 400, -EINVAL,
				"unable to parse param 'quantile': a number above 0, up to 1");
	return 0;
}

static int get_times(struct family *m)
{
	struct api_call *c = m->c;
	int r = api_number(c, "endTs", CLEW_NS_PER_MS, &m->until_ns);

	if (r == 0)
		r = api_number(c, "lookback", CLEW_NS_PER_MS, &m->lookback_ns);
	if (r == 0)
		r = api_number(c, "step", CLEW_NS_PER_MS, &m->step_ns);
	if (r == 0)
		r = api_number(c, "ratePer", CLEW_NS_PER_MS, &m->rate_ns);
	if (r == 0 && (!m->step_ns || !m->lookback_ns || !m->rate_ns ||
		       m->lookback_ns + m->rate_ns >= m->until_ns))
		r = api_fail(c, 400, -EINVAL,
			     "unable to parse param 'step', 'lookback' or 'ratePer': 1 ms or more, "
			     "and after 1970");
	if (r == 0 && (m->lookback_ns + m->rate_ns) / m->step_ns > MAX_POINTS)
		r = api_fail(c, 400, -EINVAL, "more than %u points: raise 'step'", MAX_POINTS);
	return r;
}

static int get_params(struct family *m)
{
	struct api_call *c = m->c;
	struct slice v;
	int r = m->metric == LATENCIES ? get_quantile(m) : 0;

	if (r == 0)
		r = get_times(m);
	for (size_t i = 0; r == 0 && i < c->params.n; i++)
		if (slice_eq(c->params.p[i].key, SLICE("spanKind")))
			r = add_kind(m, c->params.p[i].value);
	if (!m->kinds)
		m->kinds = 1u << CLEW_KIND_SERVER;
	if (api_get(c, "groupByOperation", &v))
		m->by_operation = slice_eq(v, SLICE("true")) || slice_eq(v, SLICE("1"));
	return r;
}

/* ---- the answer ---- */

static void put_point(struct clew_buf *b, const char *sep, uint64_t ns, double v)
{
	time_t at = (time_t)(ns / CLEW_NS_PER_S);
	char text[40];
	struct tm tm;

	gmtime_r(&at, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	clew_buf_addf(b, "%s{\"gaugeValue\":{\"doubleValue\":", sep);
	clew_json_double(b, v);
	clew_buf_addf(b, "},\"timestamp\":\"%s\"}", text);
}

/* Of the steps [from, to): false where there is nothing to say. */
static bool value_of(const struct family *m, const struct series *s, uint32_t from, uint32_t to,
		     double *ret)
{
	uint64_t counts[CLEW_LATENCY_BUCKETS] = {0}, n = 0, errors = 0;

	for (uint32_t i = from; i < to; i++) {
		n += s->n[i];
		errors += s->errors[i];
		for (uint32_t k = 0; s->counts && s->n[i] && k < CLEW_LATENCY_BUCKETS; k++)
			counts[k] += s->counts[i][k];
	}
	if (m->metric == CALLS)
		*ret = (double)n / ((double)(to - from) * (double)m->rq.step_ns / 1e9);
	else if (m->metric == ERRORS)
		*ret = n ? (double)errors / (double)n : 0;
	else
		*ret = (double)clew_latency_quantile(counts, m->quantile) / 1e6;
	return n > 0;
}

static void put_series(struct family *m, const struct series *s)
{
	struct clew_buf *b = &m->c->out;
	uint32_t wide = (uint32_t)((m->rate_ns + m->rq.step_ns - 1) / m->rq.step_ns);
	const char *sep = "";
	double v;

	clew_buf_adds(b, "{\"labels\":[{\"name\":\"service_name\",\"value\":");
	clew_json_str(b, s->service);
	if (m->by_operation) {
		clew_buf_adds(b, "},{\"name\":\"operation\",\"value\":");
		clew_json_str(b, s->name);
	}
	clew_buf_adds(b, "}],\"metricPoints\":[");
	for (uint32_t i = wide; i <= m->steps; i++)
		if (value_of(m, s, i - wide, i, &v)) {
			put_point(b, sep, m->rq.since_ns + i * m->rq.step_ns, v);
			sep = ",";
		}
	clew_buf_adds(b, "]}");
}

static void put_family(struct family *m)
{
	static const struct {
		const char *name, *help;
	} texts[] = {
		[LATENCIES] = {"latencies", "quantile latency in ms"},
		[CALLS] = {"call_rate", "calls/sec"},
		[ERRORS] = {"error_rate", "share of calls that failed"},
	};

	clew_buf_addf(&m->c->out,
		      "{\"name\":\"service_%s%s\",\"type\":\"GAUGE\",\"help\":\"%s, grouped by "
		      "service%s\",\"metrics\":[",
		      m->by_operation ? "operation_" : "", texts[m->metric].name,
		      texts[m->metric].help, m->by_operation ? " & operation" : "");
	for (size_t i = 0; i < m->n; i++) {
		clew_buf_adds(&m->c->out, i ? "," : "");
		put_series(m, &m->v[i]);
	}
	clew_buf_adds(&m->c->out, "]}");
}

/* In a window of many spans the store rounds to minutes: all services get the same steps. */
static int ask(struct family *m, struct slice service)
{
	int r;

	m->rq = (struct clew_red_query){
		.since_ns = m->until_ns - m->lookback_ns - m->rate_ns,
		.until_ns = m->until_ns,
		.step_ns = m->step_ns,
		.service = service,
		.kinds = m->kinds,
		.by_name = m->by_operation,
	};
	m->service = service;
	m->steps = (uint32_t)((m->rq.until_ns - m->rq.since_ns + m->step_ns - 1) / m->step_ns) + 2;
	r = clew_store_red(m->c->st, &m->rq, add_row, m, &m->c->error);
	return r == -ENODATA ? 0 : r;
}

static int family(struct api_call *c, enum metric metric)
{
	struct family m = {.c = c,
			   .metric = metric,
			   .until_ns = clew_now_ns(),
			   .lookback_ns = DEFAULT_LOOKBACK_MS * CLEW_NS_PER_MS,
			   .step_ns = DEFAULT_STEP_MS * CLEW_NS_PER_MS,
			   .rate_ns = DEFAULT_RATE_MS * CLEW_NS_PER_MS};
	unsigned services = 0;
	int r = get_params(&m);

	for (size_t i = 0; r == 0 && i < c->params.n; i++) {
		if (!slice_eq(c->params.p[i].key, SLICE("service")) || !c->params.p[i].value.n)
			continue;
		if (services++ == MAX_SERVICES)
			r = api_fail(c, 400, -EINVAL, "more than %u services", MAX_SERVICES);
		else
			r = ask(&m, c->params.p[i].value);
	}
	if (r == 0 && !services)
		r = api_fail(c, 400, -EINVAL,
			     "unable to parse param 'service': please provide at least one "
			     "service name");
	if (r == 0) {
		m.steps = (uint32_t)((m.rq.until_ns - m.rq.since_ns + m.rq.step_ns - 1) /
				     m.rq.step_ns);
		put_family(&m);
	}
	for (size_t i = 0; i < m.n; i++) {
		free(m.v[i].n);
		free(m.v[i].errors);
		free(m.v[i].counts);
	}
	free(m.v);
	return r < 0 ? r : c->out.err;
}

int jaeger_latencies(struct api_call *c)
{
	return family(c, LATENCIES);
}

int jaeger_calls(struct api_call *c)
{
	return family(c, CALLS);
}

int jaeger_errors(struct api_call *c)
{
	return family(c, ERRORS);
}

/* Rollups are by the minute, spans themselves finer. */
int jaeger_min_step(struct api_call *c)
{
	return clew_buf_adds(&c->out, "{\"data\":1000,\"total\":0,\"limit\":0,\"offset\":0,"
				      "\"errors\":null}");
}
