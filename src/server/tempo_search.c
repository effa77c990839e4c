/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tempo's search: traces that hold a span which meets all conditions, the newest first, each with
 * some of those spans.
 *
 * Conditions on whole traces (rootName, traceDuration, minDuration=...) are looked at here, page by page of what the
 * store finds for the others: at most MAX_LOOKED traces (inspectedTraces says how many it were).
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/units.h"
#include "model/otlp_json.h"
#include "server/tempo.h"

#define DEFAULT_TRACES 20
/* Spans of a trace that are shown, by default and at most. */
#define DEFAULT_SPANS 3u
#define MAX_SPANS     100u
#define MAX_LOOKED    20000u
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
	const struct clew_trace_summary *t;
	uint64_t first_ns, last_ns, end_ns; /* first and last start */
	uint64_t matched;
	struct clew_buf set; /* its spans that match, as JSON */
	struct {
		struct slice name; /* one name is one address */
		uint32_t spans, errors;
	} *services;
	uint32_t n, cap;
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
	struct found *f = user;

	if (f->matched < f->s->spans) {
		clew_span_show_fields(s);
		put_span_head(f, &s->span_id, s->name, s->start_ns, s->duration_ns);
		put_shown(f, s);
		clew_buf_adds(&f->set, "]}");
	}
	f->matched++;
	return f->set.err;
}

static int take_row(void *user, const struct clew_trace_row *row)
{
	struct found *f = user;
	uint32_t i = 0;

	while (i < f->n && f->services[i].name.p != row->service.p)
		i++;
	if (i == f->cap) {
		uint32_t cap = f->cap ? f->cap * 2 : 16;
		void *v = realloc(f->services, cap * sizeof(*f->services));

		if (!v)
			return -ENOMEM;
		f->services = v;
		f->cap = cap;
	}
	if (i == f->n) {
		f->services[i].name = row->service;
		f->services[i].spans = f->services[i].errors = 0;
		f->n++;
	}
	f->services[i].spans++;
	f->services[i].errors += row->status == CLEW_STATUS_ERROR;
	if (!f->first_ns || row->start_ns < f->first_ns)
		f->first_ns = row->start_ns;
	if (row->start_ns > f->last_ns)
		f->last_ns = row->start_ns;
	if (row->start_ns + row->duration_ns > f->end_ns)
		f->end_ns = row->start_ns + row->duration_ns;
	if (!f->s->q.all)
		return 0;
	if (f->matched < f->s->spans) {
		const char *sep = "";

		put_span_head(f, &row->span_id, row->name, row->start_ns, row->duration_ns);
		put_text_attr(&f->set, &sep, "service.name", row->service);
		clew_buf_adds(&f->set, "]}");
	}
	f->matched++;
	return f->set.err;
}

static int find_matches(struct found *f)
{
	struct clew_span_filter filter = f->s->q.filter;

	filter.trace = &f->t->trace_id;
	filter.sort = CLEW_SORT_DEFAULT;
	filter.limit = 0;
	filter.after.set = false;
	if (f->first_ns > filter.since_ns)
		filter.since_ns = f->first_ns;
	if (!filter.until_ns || f->last_ns < filter.until_ns)
		filter.until_ns = f->last_ns;
	return clew_store_find_spans(f->s->c->st, &filter, take_match, f, &f->s->c->error);
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

static void put_stats(struct clew_buf *b, const struct found *f)
{
	clew_buf_adds(b, ",\"serviceStats\":{");
	for (uint32_t i = 0; i < f->n; i++) {
		clew_buf_adds(b, i ? "," : "");
		clew_json_str(b, f->services[i].name);
		clew_buf_addf(b, ":{\"spanCount\":%u", f->services[i].spans);
		if (f->services[i].errors)
			clew_buf_addf(b, ",\"errorCount\":%u", f->services[i].errors);
		clew_buf_addc(b, '}');
	}
	clew_buf_addc(b, '}');
}

static void put_trace(const struct found *f)
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
		      f->first_ns, (uint64_t)((f->end_ns - f->first_ns) / CLEW_NS_PER_MS));
	clew_buf_adds(b, ",\"spanSet\":{\"spans\":[");
	clew_buf_adds(b, set);
	clew_buf_addf(b, "],\"matched\":%" PRIu64 "},\"spanSets\":[{\"spans\":[", f->matched);
	clew_buf_adds(b, set);
	clew_buf_addf(b, "],\"matched\":%" PRIu64 "}]", f->matched);
	put_stats(b, f);
	clew_buf_addc(b, '}');
}

static int look_at(struct search *s, const struct clew_trace_summary *t)
{
	struct found f = {.s = s, .t = t};
	int r = 0;

	s->looked++;
	if (!name_fits(&s->q, t))
		return 0;
	r = clew_store_trace_rows(s->c->st, &t->trace_id, take_row, &f, &s->c->error);
	if (r == 0 && duration_fits(&s->q, f.end_ns - f.first_ns)) {
		if (!s->q.all)
			r = find_matches(&f);
		if (r == 0) {
			put_trace(&f);
			s->given++;
			r = api_hand_on(s->c);
		}
	}
	clew_buf_done(&f.set);
	free(f.services);
	return r == -ENOENT ? 0 : r; /* it was dropped just now */
}

static int run(struct search *s)
{
	struct clew_span_filter *f = &s->q.filter;
	bool more = !s->q.never;
	int r = 0;

	f->sort = CLEW_SORT_START;
	while (r == 0 && more && s->given < s->limit && s->looked < MAX_LOOKED) {
		struct api_traces page;

		f->limit = s->q.n_trace ? PAGE : s->limit;
		r = api_find_traces(s->c, f, &page);
		for (size_t i = 0; r == 0 && i < page.n && s->given < s->limit; i++)
			r = look_at(s, &page.v[i]);
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
