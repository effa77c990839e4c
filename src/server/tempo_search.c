/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tempo's search: traces that hold a span which meets all conditions of one of the query's cases, the newest
 * first, each with some of those spans.
 *
 *	case ─► pages of its traces ─┐
 *	case ─► pages of its traces ─┴► newest first, each once ─► batches: sums, spans that match ─► out
 *
 * Conditions on whole traces (rootName, traceDuration, minDuration=...) are looked at here, page by page
 * of what the store finds for the others, for at most MAX_LOOKED traces and LOOK_NS (inspectedTraces says
 * how many it were). A least duration that stands alone is asked of the store: some span lasts so long.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/hash.h"
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

/* Traces of one case, page by page. */
struct source {
	struct traceql_case *q;
	struct api_traces page;
	size_t at; /* in the page */
	bool more; /* pages */
};

/* A trace that was taken. One that gets an earlier span meanwhile has another place then, and is found again. */
struct seen {
	struct clew_id128 id;
	UT_hash_handle hh;
};

struct search {
	struct api_call *c;
	struct traceql q;
	struct source sources[TRACEQL_MAX_CASES];
	uint64_t limit, spans; /* of traces; of spans of each that are shown */
	uint64_t given, looked;
	struct seen *seen;
};

/* A span that matches, as JSON in its trace's text; without one (len 0) it is only counted. */
struct match {
	uint64_t start_ns;
	struct clew_id64 id;
	size_t from, len;
};

/* A trace that was found. */
struct found {
	struct search *s;
	const struct clew_trace_summary *t;
	uint32_t cases;	 /* that found it, a bit each; 0: it does not last as it should */
	bool every;	 /* of its spans matches */
	struct match *v; /* those that are shown; of several cases all, to count each once */
	size_t n, cap;
	size_t of_case, matched; /* of the case that is being looked at; of all */
	struct clew_buf text;
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

static struct match *add_match(struct found *f, const struct clew_id64 *id, uint64_t start_ns)
{
	if (f->n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 8;
		struct match *v = realloc(f->v, cap * sizeof(*v));

		if (!v)
			return NULL;
		f->v = v;
		f->cap = cap;
	}
	f->v[f->n] = (struct match){.start_ns = start_ns, .id = *id, .from = f->text.len};
	return &f->v[f->n++];
}

static void put_span_head(struct found *f, const struct clew_id64 *id, struct slice name,
			  uint64_t start_ns, uint64_t duration_ns)
{
	char hex[17];

	clew_hex(id->b, sizeof(id->b), hex);
	clew_buf_addf(&f->text, "{\"spanID\":\"%s\",\"name\":", hex);
	clew_json_str(&f->text, name);
	clew_buf_addf(&f->text,
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

static bool asks_kind(const struct traceql *q)
{
	for (uint32_t i = 0; i < q->n; i++)
		if (q->cases[i].filter.kinds)
			return true;
	return false;
}

/* What was asked for, so that it can be seen why the span is here. */
static void put_shown(struct found *f, const struct clew_span *s)
{
	const struct traceql *q = &f->s->q;
	const struct clew_resource *own = s->resource;
	const char *sep = "";

	put_text_attr(&f->text, &sep, "service.name", own ? own->service : SLICE(""));
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
			put_attr(&f->text, &sep, a);
	}
	if (s->status)
		put_text_attr(&f->text, &sep, "status", slice_str(clew_status_name(s->status)));
	if (asks_kind(q))
		put_text_attr(&f->text, &sep, "kind", slice_str(clew_kind_name(s->kind)));
}

/* Those without conditions, a bit each. */
static uint32_t all_cases(const struct traceql *q)
{
	uint32_t bits = 0;

	for (uint32_t i = 0; i < q->n; i++)
		bits |= (uint32_t)q->cases[i].all << i;
	return bits;
}

static int take_match(void *user, struct clew_span *span)
{
	_cleanup_(clew_span_freep) struct clew_span *s = span;
	struct batch *b = user;
	struct found *f = NULL;
	struct match *m;

	for (size_t i = 0; !f && i < b->n; i++)
		if (clew_id128_eq(&b->t[i].trace_id, &s->trace_id))
			f = &b->v[i];
	if (!f || f->every)
		return 0;
	f->matched++;
	if (f->of_case++ >= b->s->spans && b->s->q.n == 1)
		return 0;
	m = add_match(f, &s->span_id, s->start_ns);
	if (!m)
		return -ENOMEM;
	if (f->of_case <= b->s->spans) {
		clew_span_show_fields(s);
		put_span_head(f, &s->span_id, s->name, s->start_ns, s->duration_ns);
		put_shown(f, s);
		clew_buf_adds(&f->text, "]}");
		m->len = f->text.len - m->from;
	}
	return f->text.err;
}

/* Without conditions every span matches; then its attributes need not be read. */
static int take_row(void *user, size_t trace, const struct clew_trace_row *row)
{
	struct batch *b = user;
	struct found *f = &b->v[trace];
	const char *sep = "";
	struct match *m;

	if (!(f->cases & all_cases(&b->s->q)) || f->matched++ >= b->s->spans)
		return 0;
	m = add_match(f, &row->span_id, row->start_ns);
	if (!m)
		return -ENOMEM;
	put_span_head(f, &row->span_id, row->name, row->start_ns, row->duration_ns);
	put_text_attr(&f->text, &sep, "service.name", row->service);
	clew_buf_adds(&f->text, "]}");
	m->len = f->text.len - m->from;
	return f->text.err;
}

static int by_start(const void *a, const void *b)
{
	const struct match *x = a, *y = b;

	if (x->start_ns != y->start_ns)
		return x->start_ns < y->start_ns ? -1 : 1;
	return memcmp(&x->id, &y->id, sizeof(x->id)) ?: (x->len < y->len) - (x->len > y->len);
}

/* Those of several cases: in order, each once. */
static void merge_matches(struct found *f)
{
	size_t n = 0;

	qsort(f->v, f->n, sizeof(*f->v), by_start);
	for (size_t i = 0; i < f->n; i++)
		if (!n || memcmp(&f->v[n - 1].id, &f->v[i].id, sizeof(f->v[i].id)))
			f->v[n++] = f->v[i];
	f->n = f->matched = n;
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

static bool name_fits(const struct traceql_case *q, const struct clew_trace_summary *t)
{
	for (uint32_t i = 0; i < q->n_trace; i++) {
		const struct traceql_trace_condition *w = &q->trace[i];
		struct slice name = w->of == TRACEQL_ROOT_NAME ? t->name : t->service;

		if (w->of != TRACEQL_DURATION && !compare(w->op, !slice_eq(name, w->text)))
			return false;
	}
	return true;
}

static bool duration_fits(const struct traceql_case *q, uint64_t ns)
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

static void put_set(const struct found *f)
{
	struct clew_buf *b = &f->s->c->out;

	clew_buf_adds(b, "{\"spans\":[");
	for (size_t i = 0; i < f->n && i < f->s->spans; i++) {
		clew_buf_adds(b, i ? "," : "");
		clew_buf_add(b, f->text.data + f->v[i].from, f->v[i].len);
	}
	clew_buf_addf(b, "],\"matched\":%zu}", f->matched);
}

static void put_trace(const struct found *f, const struct api_sum *sum)
{
	struct clew_buf *b = &f->s->c->out;
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
	clew_buf_adds(b, ",\"spanSet\":");
	put_set(f);
	clew_buf_adds(b, ",\"spanSets\":[");
	put_set(f);
	clew_buf_addc(b, ']');
	put_stats(b, sum);
	clew_buf_addc(b, '}');
}

static int match_case(struct batch *b, uint32_t number)
{
	struct clew_id128 ids[API_SUM_TRACES];
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++) {
		b->v[i].of_case = 0;
		if (!b->v[i].every && b->v[i].cases & 1u << number)
			ids[n++] = b->sums[i].id;
	}
	if (!n)
		return 0;
	return clew_store_match_spans(b->s->c->st, ids, n, &b->s->q.cases[number].filter,
				      take_match, b, &b->s->c->error);
}

/* Which cases are left now that it is known how long the trace takes. */
static void keep_cases(struct found *f, const struct api_sum *sum)
{
	const struct traceql *q = &f->s->q;

	for (uint32_t i = 0; i < q->n; i++)
		if (!sum->spans || !duration_fits(&q->cases[i], sum->end_ns - sum->first_ns))
			f->cases &= ~(1u << i);
	f->every = f->cases & all_cases(q);
	if (!f->every) {
		f->n = f->matched = 0;
		clew_buf_clear(&f->text);
	}
}

static int find_matches(struct batch *b)
{
	uint32_t n = b->s->q.n;
	int r = 0;

	for (size_t i = 0; i < b->n; i++)
		keep_cases(&b->v[i], &b->sums[i]);
	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = match_case(b, i);
	for (size_t i = 0; r == 0 && n > 1 && i < b->n; i++)
		if (!b->v[i].every)
			merge_matches(&b->v[i]);
	return r;
}

static int look_at(struct batch *b)
{
	struct search *s = b->s;
	int r = api_sum_traces(s->c, b->t, b->n, b->sums, take_row, b);

	if (r == 0) {
		r = find_matches(b);
		for (size_t i = 0; r == 0 && i < b->n && s->given < s->limit; i++) {
			if (!b->v[i].cases)
				continue;
			put_trace(&b->v[i], &b->sums[i]);
			s->given++;
			r = api_hand_on(s->c);
		}
		api_sums_done(b->sums, b->n);
	}
	for (size_t i = 0; i < b->n; i++) {
		clew_buf_done(&b->v[i].text);
		free(b->v[i].v);
	}
	b->n = 0;
	return r;
}

/* ---- traces, newest first ---- */

/* That a trace must last to meet its conditions. */
static uint64_t least_duration(const struct traceql_case *q)
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

static void begin_source(struct search *s, uint32_t i)
{
	struct traceql_case *q = &s->q.cases[i];

	s->sources[i] = (struct source){.q = q, .more = !q->never};
	q->filter.sort = CLEW_SORT_START;
	q->filter.limit = q->n_trace ? PAGE : s->limit;
	if (q->all)
		q->filter.min_duration_ns = least_duration(q);
}

/* Its next trace; NULL: there is none. */
static int head(struct search *s, struct source *from, const struct clew_trace_summary **ret)
{
	struct clew_span_filter *f = &from->q->filter;
	int r = 0;

	if (from->at == from->page.n && from->more) {
		api_traces_done(&from->page);
		from->page = (struct api_traces){0};
		from->at = 0;
		r = api_find_traces(s->c, f, &from->page);
		/* Of a case without conditions on traces, a page as long as the answer is enough. */
		from->more = r == 0 && from->q->n_trace && from->page.n == f->limit;
		if (from->more) {
			const struct clew_trace_summary *last = &from->page.v[from->page.n - 1];

			f->after = (struct clew_store_cursor){true, last->start_ns, last->trace_id};
		}
	}
	*ret = from->at < from->page.n ? &from->page.v[from->at] : NULL;
	return r;
}

/* The store's order. */
static bool comes_first(const struct clew_trace_summary *a, const struct clew_trace_summary *b)
{
	if (a->start_ns != b->start_ns)
		return a->start_ns > b->start_ns;
	return memcmp(&a->trace_id, &b->trace_id, sizeof(a->trace_id)) < 0;
}

/* The next trace of them all, and which cases found it; 0: there are no more. */
static int next(struct search *s, struct clew_trace_summary *ret, uint32_t *ret_cases)
{
	const struct clew_trace_summary *t, *first = NULL;
	uint32_t cases = 0;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < s->q.n; i++) {
		r = head(s, &s->sources[i], &t);
		if (r < 0 || !t)
			continue;
		if (first && clew_id128_eq(&first->trace_id, &t->trace_id)) {
			cases |= 1u << i;
		} else if (!first || comes_first(t, first)) {
			first = t;
			cases = 1u << i;
		}
	}
	if (r < 0)
		return r;
	if (first)
		*ret = *first;
	for (uint32_t i = 0; i < s->q.n; i++)
		s->sources[i].at += cases >> i & 1;
	*ret_cases = cases;
	return 0;
}

/* Returns 1; 0: it was taken before; -ENOMEM. */
static int is_new(struct search *s, const struct clew_id128 *id)
{
	struct seen *seen;

	HASH_FIND(hh, s->seen, id, sizeof(*id), seen);
	if (seen)
		return 0;
	seen = calloc(1, sizeof(*seen));
	if (!seen)
		return -ENOMEM;
	seen->id = *id;
	HASH_ADD(hh, s->seen, id, sizeof(seen->id), seen);
	if (!seen->hh.tbl) {
		free(seen);
		return -ENOMEM;
	}
	return 1;
}

static void forget_seen(struct search *s)
{
	struct seen *seen, *tmp;

	HASH_ITER(hh, s->seen, seen, tmp)
	{
		HASH_DEL(s->seen, seen);
		free(seen);
	}
}

/* Into the batch, if the name of its root is one of those that are wanted. */
static int take_trace(struct batch *b, const struct clew_trace_summary *t, uint32_t cases)
{
	int r;

	for (uint32_t i = 0; i < b->s->q.n; i++)
		if (!name_fits(&b->s->q.cases[i], t))
			cases &= ~(1u << i);
	if (!cases)
		return 0;
	for (size_t i = 0; i < b->n; i++) {
		if (!clew_id128_eq(&b->t[i].trace_id, &t->trace_id))
			continue;
		b->v[i].cases |= cases;
		return 0;
	}
	r = is_new(b->s, &t->trace_id);
	if (r <= 0)
		return r;
	b->t[b->n] = *t;
	b->v[b->n] = (struct found){.s = b->s, .t = &b->t[b->n], .cases = cases};
	b->n++;
	return 0;
}

static int run(struct search *s)
{
	uint64_t due = clew_mono_ns() + LOOK_NS;
	bool bounded = false; /* as not all traces that are found are given */
	struct batch b = {.s = s};
	uint32_t cases = 1;
	int r = 0;

	for (uint32_t i = 0; i < s->q.n; i++) {
		begin_source(s, i);
		bounded = bounded || s->q.cases[i].n_trace;
	}
	while (r == 0 && cases && s->given < s->limit) {
		struct clew_trace_summary t;

		cases = 0;
		if (!bounded || (s->looked < MAX_LOOKED && clew_mono_ns() < due))
			r = next(s, &t, &cases);
		s->looked += cases != 0;
		if (r == 0 && cases)
			r = take_trace(&b, &t, cases);
		if (r == 0 && b.n && (b.n == API_SUM_TRACES || !cases))
			r = look_at(&b);
	}
	for (uint32_t i = 0; i < s->q.n; i++)
		api_traces_done(&s->sources[i].page);
	forget_seen(s);
	return r;
}

/* minDuration and maxDuration, of the trace. */
static int add_duration(struct search *s, const char *key, enum clew_where_op op)
{
	struct traceql_trace_condition t = {.of = TRACEQL_DURATION, .op = op, .ns = UINT64_MAX};
	int r = api_duration(s->c, key, &t.ns);

	if (r < 0 || t.ns == UINT64_MAX)
		return r;
	for (uint32_t i = 0; i < s->q.n; i++) {
		struct traceql_case *q = &s->q.cases[i];

		if (q->n_trace == TRACEQL_MAX_TRACE_CONDITIONS)
			return api_fail(s->c, 400, -EINVAL, "too many conditions");
		q->trace[q->n_trace++] = t;
	}
	return 0;
}

/* The same for each case. */
static int get_times(struct search *s)
{
	struct clew_span_filter times = {0};
	int r = tempo_times(s->c, &times);

	for (uint32_t i = 0; r == 0 && i < s->q.n; i++) {
		struct clew_span_filter *f = &s->q.cases[i].filter;

		f->since_ns = times.since_ns;
		f->until_ns = times.until_ns;
		r = api_check_window(s->c, f);
	}
	return r;
}

static int get_params(struct search *s)
{
	struct slice text = {0};
	int r;

	if (!api_get(s->c, "q", &text) && api_get(s->c, "tags", &text))
		r = traceql_tags(s->c, text, &s->q);
	else
		r = traceql_parse(s->c, text.n ? text : SLICE("{}"), &s->q);
	if (r == 0)
		r = get_times(s);
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
	return r;
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
