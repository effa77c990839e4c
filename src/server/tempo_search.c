/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tempo's search: traces that hold a span which meets all conditions, the newest first, each with
 * some of those spans.
 *
 * Conditions on whole traces (rootName, traceDuration, minDuration=...) are looked at here, page by page
 * of what the store finds for the others, for at most MAX_LOOKED traces and LOOK_NS (inspectedTraces says
 * how many it were). A least duration that stands alone is asked of the store: some span lasts so long.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/units.h"
#include "model/otlp_json.h"
#include "server/tempo.h"

#define DEFAULT_TRACES 20
/* Spans of a trace that are shown, by default and at most. */
#define DEFAULT_SPANS 3u
#define MAX_SPANS     100u
#define MAX_LOOKED    2000u
#define LOOK_NS	      (10 * CLEW_NS_PER_S)
#define PAGE	      200u

struct search {
	struct api_call *c;
	struct traceql q;
	uint64_t limit, spans; /* of traces; of spans of each that are shown */
	uint64_t given, looked;
};

/* A trace that was found. */
struct found {
	struct search *s;
	const struct clew_trace_summary *t; /* NULL: it does not last as it should */
	uint64_t matched;
	struct clew_buf set; /* its spans that match, as JSON */
};

/* Some of them at a time. */
struct batch {
	struct search *s;
	struct clew_trace_summary t[API_SUM_TRACES];
	struct api_sum sums[API_SUM_TRACES];
	struct found v[API_SUM_TRACES];
	size_t n;
};

/* ---- spans of a trace ---- */

static void put_span_head(struct found *f, const struct clew_id64 *id, struct slice name,
			  uint64_t start_ns, uint64_t duration_ns)
{
	char hex[17];

	clew_hex(id->b, sizeof(id->b), hex);
	clew_buf_addf(&f->set, "%s{\"spanID\":\"%s\",\"name\":", f->matched ? "," : "", hex);
	clew_json_str(&f->set, name);
	clew_buf_addf(&f->set,
		      ",\"startTimeUnixNano\":\"%" PRIu64 "\",\"durationNanos\":\"%" PRIu64
		      "\",\"attributes\":[",
		      start_ns, duration_ns);
}

static void put_attr(struct clew_buf *b, const char **sep, const struct clew_attr *a)
{
	clew_buf_addf(b, "%s{\"key\":", *sep);
	clew_json_str(b, a->key);
	clew_buf_adds(b, ",\"value\":");
	clew_otlp_json_value(b, a);
	clew_buf_addc(b, '}');
	*sep = ",";
}

static void put_text_attr(struct clew_buf *b, const char **sep, const char *key, struct slice text)
{
	struct clew_attr a = {.key = slice_str(key), .type = CLEW_ATTR_STR, .str = text};

	put_attr(b, sep, &a);
}

/* What was asked for, so that it can be seen why the span is here. */
static void put_shown(struct found *f, const struct clew_span *s)
{
	const struct traceql *q = &f->s->q;
	const struct clew_resource *own = s->resource;
	const char *sep = "";

	put_text_attr(&f->set, &sep, "service.name", own ? own->service : SLICE(""));
	for (uint32_t i = 0; i < q->n_shown; i++) {
		const struct traceql_shown *w = &q->shown[i];
		const struct clew_attr *a = NULL;

		if (slice_eq(w->key, SLICE("service.name")))
			continue;
		if (w->scope != CLEW_SCOPE_RESOURCE)
			a = clew_span_attr(s, w->key);
		for (uint32_t k = 0; !a && own && w->scope != CLEW_SCOPE_SPAN && k < own->n_attrs;
		     k++)
			if (slice_eq(own->attrs[k].key, w->key))
				a = &own->attrs[k];
		if (a)
			put_attr(&f->set, &sep, a);
	}
	if (s->status)
		put_text_attr(&f->set, &sep, "status", slice_str(clew_status_name(s->status)));
	if (q->filter.kinds)
		put_text_attr(&f->set, &sep, "kind", slice_str(clew_kind_name(s->kind)));
}

static int take_match(void *user, struct clew_span *span)
{
	_cleanup_(clew_span_freep) struct clew_span *s = span;
	struct batch *b = user;
	struct found *f = NULL;

	for (size_t i = 0; !f && i < b->n; i++)
		if (clew_id128_eq(&b->t[i].trace_id, &s->trace_id))
			f = &b->v[i];
	if (!f)
		return 0;
	if (f->matched < f->s->spans) {
		clew_span_show_fields(s);
		put_span_head(f, &s->span_id, s->name, s->start_ns, s->duration_ns);
		put_shown(f, s);
		clew_buf_adds(&f->set, "]}");
	}
	f->matched++;
	return f->set.err;
}

/* Without conditions every span matches; then its attributes need not be read. */
static int take_row(void *user, size_t trace, const struct clew_trace_row *row)
{
	struct batch *b = user;
	struct found *f = &b->v[trace];
	const char *sep = "";

	if (!b->s->q.all)
		return 0;
	if (f->matched < f->s->spans) {
		put_span_head(f, &row->span_id, row->name, row->start_ns, row->duration_ns);
		put_text_attr(&f->set, &sep, "service.name", row->service);
		clew_buf_adds(&f->set, "]}");
	}
	f->matched++;
	return f->set.err;
}

/* ---- the answer ---- */

static bool compare(enum clew_where_op op, int c)
{
	switch (op) {
	case CLEW_WHERE_NE:
		return c != 0;
	case CLEW_WHERE_LT:
		return c < 0;
	case CLEW_WHERE_LE:
		return c <= 0;
	case CLEW_WHERE_GT:
		return c > 0;
	case CLEW_WHERE_GE:
		return c >= 0;
	default:
		return c == 0;
	}
}

static bool name_fits(const struct traceql *q, const struct clew_trace_summary *t)
{
	for (uint32_t i = 0; i < q->n_trace; i++) {
		const struct traceql_trace_condition *w = &q->trace[i];
		struct slice name = w->of == TRACEQL_ROOT_NAME ? t->name : t->service;

		if (w->of != TRACEQL_DURATION && !compare(w->op, !slice_eq(name, w->text)))
			return false;
	}
	return true;
}

static bool duration_fits(const struct traceql *q, uint64_t ns)
{
	for (uint32_t i = 0; i < q->n_trace; i++) {
		const struct traceql_trace_condition *w = &q->trace[i];

		if (w->of == TRACEQL_DURATION && !compare(w->op, (ns > w->ns) - (ns < w->ns)))
			return false;
	}
	return true;
}

static void put_stats(struct clew_buf *b, const struct api_sum *sum)
{
	clew_buf_adds(b, ",\"serviceStats\":{");
	for (uint32_t i = 0; i < sum->n; i++) {
		clew_buf_adds(b, i ? "," : "");
		clew_json_str(b, sum->services[i].name);
		clew_buf_addf(b, ":{\"spanCount\":%u", sum->services[i].spans);
		if (sum->services[i].errors)
			clew_buf_addf(b, ",\"errorCount\":%u", sum->services[i].errors);
		clew_buf_addc(b, '}');
	}
	clew_buf_addc(b, '}');
}

static void put_trace(const struct found *f, const struct api_sum *sum)
{
	struct clew_buf *b = &f->s->c->out;
	const char *set = f->set.data ? f->set.data : "";
	char hex[33];
	size_t zeros;

	clew_hex(f->t->trace_id.b, 16, hex);
	zeros = strspn(hex, "0");
	clew_buf_addf(b, "%s{\"traceID\":\"%s\",\"rootServiceName\":", f->s->given ? "," : "",
		      hex + (zeros < 31 ? zeros : 31));
	clew_json_str(b, f->t->service);
	clew_buf_adds(b, ",\"rootTraceName\":");
	clew_json_str(b, f->t->name);
	clew_buf_addf(b, ",\"startTimeUnixNano\":\"%" PRIu64 "\",\"durationMs\":%" PRIu64,
		      sum->first_ns, (uint64_t)((sum->end_ns - sum->first_ns) / CLEW_NS_PER_MS));
	clew_buf_adds(b, ",\"spanSet\":{\"spans\":[");
	clew_buf_adds(b, set);
	clew_buf_addf(b, "],\"matched\":%" PRIu64 "},\"spanSets\":[{\"spans\":[", f->matched);
	clew_buf_adds(b, set);
	clew_buf_addf(b, "],\"matched\":%" PRIu64 "}]", f->matched);
	put_stats(b, sum);
	clew_buf_addc(b, '}');
}

static int find_matches(struct batch *b)
{
	struct clew_id128 ids[API_SUM_TRACES];
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++) {
		const struct api_sum *sum = &b->sums[i];

		if (sum->spans && duration_fits(&b->s->q, sum->end_ns - sum->first_ns))
			ids[n++] = sum->id;
		else
			b->v[i].t = NULL;
	}
	if (b->s->q.all || !n)
		return 0;
	return clew_store_match_spans(b->s->c->st, ids, n, &b->s->q.filter, take_match, b,
				      &b->s->c->error);
}

static int look_at(struct batch *b)
{
	struct search *s = b->s;
	int r;

	for (size_t i = 0; i < b->n; i++)
		b->v[i] = (struct found){.s = s, .t = &b->t[i]};
	r = api_sum_traces(s->c, b->t, b->n, b->sums, take_row, b);
	if (r == 0) {
		r = find_matches(b);
		for (size_t i = 0; r == 0 && i < b->n && s->given < s->limit; i++) {
			if (!b->v[i].t)
				continue;
			put_trace(&b->v[i], &b->sums[i]);
			s->given++;
			r = api_hand_on(s->c);
		}
		api_sums_done(b->sums, b->n);
	}
	for (size_t i = 0; i < b->n; i++)
		clew_buf_done(&b->v[i].set);
	b->n = 0;
	return r;
}

static int look_through(struct search *s, const struct api_traces *page)
{
	struct batch b = {.s = s};
	int r = 0;

	for (size_t i = 0; r == 0 && i < page->n && s->given < s->limit; i++) {
		s->looked++;
		if (name_fits(&s->q, &page->v[i]))
			b.t[b.n++] = page->v[i];
		if (b.n == API_SUM_TRACES)
			r = look_at(&b);
	}
	return r == 0 && b.n ? look_at(&b) : r;
}

/* That a trace must last to meet its conditions. */
static uint64_t least_duration(const struct traceql *q)
{
	uint64_t ns = 0;

	for (uint32_t i = 0; i < q->n_trace; i++) {
		const struct traceql_trace_condition *w = &q->trace[i];
		bool least = w->op == CLEW_WHERE_GT || w->op == CLEW_WHERE_GE;

		if (w->of == TRACEQL_DURATION && least && w->ns > ns)
			ns = w->ns;
	}
	return ns;
}

static int run(struct search *s)
{
	struct clew_span_filter *f = &s->q.filter;
	uint64_t due = clew_mono_ns() + LOOK_NS;
	bool more = !s->q.never;
	int r = 0;

	f->sort = CLEW_SORT_START;
	if (s->q.all)
		f->min_duration_ns = least_duration(&s->q);
	while (r == 0 && more && s->given < s->limit && s->looked < MAX_LOOKED &&
	       clew_mono_ns() < due) {
		struct api_traces page;

		f->limit = s->q.n_trace ? PAGE : s->limit;
		r = api_find_traces(s->c, f, &page);
		if (r == 0)
			r = look_through(s, &page);
		more = s->q.n_trace && page.n == f->limit;
		if (more)
			f->after = (struct clew_store_cursor){true, page.v[page.n - 1].start_ns,
							      page.v[page.n - 1].trace_id};
		api_traces_done(&page);
	}
	return r;
}

/* minDuration and maxDuration, of the trace. */
static int add_duration(struct search *s, const char *key, enum clew_where_op op)
{
	struct traceql_trace_condition t = {.of = TRACEQL_DURATION, .op = op, .ns = UINT64_MAX};
	int r = api_duration(s->c, key, &t.ns);

	if (r < 0 || t.ns == UINT64_MAX)
		return r;
	if (s->q.n_trace == TRACEQL_MAX_TRACE_CONDITIONS)
		return api_fail(s->c, 400, -EINVAL, "too many conditions");
	s->q.trace[s->q.n_trace++] = t;
	return 0;
}

static int get_params(struct search *s)
{
	struct slice text;
	int r = 0;

	s->q.all = true;
	if (api_get(s->c, "q", &text))
		r = traceql_parse(s->c, text, &s->q);
	else if (api_get(s->c, "tags", &text))
		r = traceql_tags(s->c, text, &s->q);
	if (r == 0)
		r = tempo_times(s->c, &s->q.filter);
	if (r == 0)
		r = api_limit(s->c, "limit", &s->limit);
	if (r == 0)
		r = api_number(s->c, "spss", 1, &s->spans);
	if (r == 0 && (!s->spans || s->spans > MAX_SPANS))
		r = api_fail(s->c, 400, -EINVAL, "spss: 1 to %u", MAX_SPANS);
	if (r == 0)
		r = add_duration(s, "minDuration", CLEW_WHERE_GE);
	if (r == 0)
		r = add_duration(s, "maxDuration", CLEW_WHERE_LE);
	return r < 0 ? r : api_check_window(s->c, &s->q.filter);
}

int tempo_search(struct api_call *c)
{
	struct search s = {.c = c, .limit = DEFAULT_TRACES, .spans = DEFAULT_SPANS};
	int r = get_params(&s);

	clew_buf_adds(&c->out, "{\"traces\":[");
	if (r == 0)
		r = run(&s);
	clew_buf_addf(&c->out, "],\"metrics\":{\"inspectedTraces\":%" PRIu64 "}}", s.looked);
	traceql_done(&s.q);
	return r < 0 ? r : c->out.err;
}
