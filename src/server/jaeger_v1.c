/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jaeger's first HTTP API, under /api: what its page calls and what Grafana's Jaeger data source
 * calls. Every answer is {"data","total","limit","offset","errors"}.
 *
 * Source: Jaeger's documentation ("APIs", "HTTP JSON") and the requests of its page. Two things are
 * wider here: without start a search has no earliest time (there: two days), and external callees are
 * among the dependencies. Services are the 10,000 busiest, dependencies those with the most calls.
 */
#include <inttypes.h>

#include <jansson.h>

#include "base/units.h"
#include "server/jaeger.h"

#define DEFAULT_TRACES	    100
#define DEFAULT_LOOKBACK_MS (24ull * 3600 * 1000)

static void put_error(struct clew_buf *out, int status, const char *text)
{
	clew_buf_addf(out,
		      "{\"data\":null,\"total\":0,\"limit\":0,\"offset\":0,\"errors\":"
		      "[{\"code\":%d,\"msg\":",
		      status);
	clew_json_str(out, slice_str(text));
	clew_buf_adds(out, "}]}");
}

static void begin(struct api_call *c)
{
	clew_buf_adds(&c->out, "{\"data\":[");
}

static int end(struct api_call *c, size_t total)
{
	clew_buf_addf(&c->out, "],\"total\":%zu,\"limit\":0,\"offset\":0,\"errors\":null}", total);
	return c->out.err;
}

/* ---- services and operations ---- */

static int services(struct api_call *c)
{
	struct api_names names;
	int r = api_services(c, API_MAX_SERVICES, &names);

	if (r < 0)
		return r;
	begin(c);
	for (size_t i = 0; i < names.n; i++) {
		clew_buf_adds(&c->out, i ? "," : "");
		clew_json_str(&c->out, names.v[i].name);
	}
	r = end(c, names.total);
	api_names_done(&names);
	return r;
}

/* Names alone: one that has spans of two kinds is one. */
static int service_operations(struct api_call *c)
{
	struct api_names names;
	size_t total = 0;
	int r = api_operations(c, clew_buf_slice(&c->arg), 0, &names);

	if (r < 0)
		return r;
	begin(c);
	for (size_t i = 0; i < names.n; i++) {
		if (i && names.v[i].name.p == names.v[i - 1].name.p)
			continue;
		clew_buf_adds(&c->out, total++ ? "," : "");
		clew_json_str(&c->out, names.v[i].name);
	}
	r = end(c, total);
	api_names_done(&names);
	return r;
}

static int operations(struct api_call *c)
{
	struct api_names names;
	struct slice service, kind;
	uint32_t kinds = 0;
	int r;

	if (!api_get(c, "service", &service))
		return api_fail(c, 400, -EINVAL, "parameter 'service' is required");
	if (api_get(c, "spanKind", &kind)) {
		r = api_kind(kind);
		if (r < 0)
			return api_fail(c, 400, r,
					"unable to parse param 'spanKind': there is no '%.*s'",
					(int)(kind.n < 64 ? kind.n : 64), kind.p);
		kinds = 1u << r;
	}
	r = api_operations(c, service, kinds, &names);
	if (r < 0)
		return r;
	begin(c);
	api_put_operations(&c->out, &names);
	r = end(c, names.n);
	api_names_done(&names);
	return r;
}

/* ---- conditions of a search ---- */

/* tag=key:value */
static int add_pair(struct api_call *c, struct clew_span_filter *f, struct slice v)
{
	const char *colon = v.n ? memchr(v.p, ':', v.n) : NULL;

	if (!colon || colon == v.p)
		return api_fail(c, 400, -EINVAL,
				"malformed 'tag' parameter, expecting key:value, received: %.*s",
				(int)(v.n < 128 ? v.n : 128), v.p);
	return api_add_tag(c, f, slice_of(v.p, (size_t)(colon - v.p)),
			   slice_of(colon + 1, v.n - (size_t)(colon - v.p) - 1));
}

/* Numbers and truth values become text: that is what values are found by. NULL: neither. */
static json_t *as_text(json_t *v)
{
	if (json_is_integer(v))
		return json_sprintf("%" JSON_INTEGER_FORMAT, json_integer_value(v));
	if (json_is_real(v))
		return json_sprintf("%.17g", json_real_value(v));
	return json_is_boolean(v) ? json_string(json_is_true(v) ? "true" : "false") : NULL;
}

/* What its slices point to stays in doc. */
static int add_members(struct api_call *c, struct clew_span_filter *f, json_t *doc)
{
	int r = 0;

	for (void *at = json_object_iter(doc); r == 0 && at; at = json_object_iter_next(doc, at)) {
		const char *key = json_object_iter_key(at);
		json_t *v = json_object_iter_value(at);

		if (!json_is_string(v)) {
			json_t *text = as_text(v);

			if (!text || json_object_iter_set_new(doc, at, text) < 0)
				return api_fail(c, 400, -EINVAL,
						"malformed 'tags' parameter, the value of '%.64s' "
						"is neither text nor a number",
						key);
			v = text;
		}
		r = api_add_tag(c, f, slice_str(key),
				slice_of(json_string_value(v), json_string_length(v)));
	}
	return r;
}

/* What the filter's slices point to, besides the parameters. */
struct tags {
	json_t *doc[CLEW_FILTER_MAX_ATTRS];
	size_t n;
};

static void tags_done(struct tags *t)
{
	for (size_t i = 0; i < t->n; i++)
		json_decref(t->doc[i]);
}

/* tags={"key":"value"} */
static int add_map(struct api_call *c, struct clew_span_filter *f, struct slice v, struct tags *t)
{
	json_error_t e;
	json_t *doc = json_loadb(v.p, v.n, JSON_REJECT_DUPLICATES, &e);

	if (!json_is_object(doc)) {
		json_decref(doc);
		return api_fail(
			c, 400, -EINVAL,
			"malformed 'tags' parameter, expecting a JSON object, received: %.*s",
			(int)(v.n < 128 ? v.n : 128), v.p);
	}
	if (t->n == CLEW_FILTER_MAX_ATTRS) {
		json_decref(doc);
		return api_fail(c, 400, -EINVAL, "more than %d 'tags' parameters",
				CLEW_FILTER_MAX_ATTRS);
	}
	t->doc[t->n++] = doc;
	return add_members(c, f, doc);
}

static int add_tags(struct api_call *c, struct clew_span_filter *f, struct tags *t)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->params.n; i++) {
		if (slice_eq(c->params.p[i].key, SLICE("tag")))
			r = add_pair(c, f, c->params.p[i].value);
		else if (slice_eq(c->params.p[i].key, SLICE("tags")) && c->params.p[i].value.n)
			r = add_map(c, f, c->params.p[i].value, t);
	}
	return r;
}

/* "1h", "2d"; "custom" stands for start and end. */
static int get_lookback(struct api_call *c, struct clew_span_filter *f)
{
	uint64_t until = f->until_ns ? f->until_ns : clew_now_ns(), lookback;
	char text[64];
	int r = api_text(c, "lookback", text);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (f->since_ns || !strcmp(text, "custom"))
		return 0;
	if (clew_parse_duration(text, &lookback) < 0)
		return api_fail(c, 400, -EINVAL,
				"unable to parse param 'lookback': '%s' is not a duration such as "
				"1h",
				text);
	f->since_ns = lookback < until ? until - lookback : 1;
	return 0;
}

static int get_filter(struct api_call *c, struct clew_span_filter *f, struct tags *t)
{
	int r;

	if (!api_get(c, "service", &f->service))
		return api_fail(c, 400, -EINVAL, "parameter 'service' is required");
	api_get(c, "operation", &f->name);
	r = api_number(c, "start", 1000, &f->since_ns);
	if (r == 0)
		r = api_number(c, "end", 1000, &f->until_ns);
	if (r == 0)
		r = get_lookback(c, f);
	if (r == 0)
		r = api_duration(c, "minDuration", &f->min_duration_ns);
	if (r == 0)
		r = api_duration(c, "maxDuration", &f->max_duration_ns);
	if (r == 0 && f->max_duration_ns && f->max_duration_ns < f->min_duration_ns)
		r = api_fail(c, 400, -EINVAL, "'maxDuration' should be greater than 'minDuration'");
	if (r == 0)
		r = api_limit(c, "limit", &f->limit);
	return r < 0 ? r : add_tags(c, f, t);
}

/* ---- traces ---- */

/* *ret_given: it is there, and was written. */
static int put_one(struct api_call *c, const struct clew_id128 *id, const char *before,
		   size_t *spans, bool *ret_given)
{
	struct api_spans s;
	int r = api_load_trace(c, id, &s);

	*ret_given = false;
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	*spans += s.n;
	if (*spans > API_MAX_SPANS) {
		r = api_too_many(c, "the number of ids");
	} else if (s.n) {
		clew_buf_adds(&c->out, before);
		r = jaeger_trace(c, &s);
		*ret_given = r == 0;
	}
	api_spans_done(&s);
	return r;
}

static int put_found(void *user, struct api_call *c, const struct api_spans *spans)
{
	size_t *n = user;

	clew_buf_adds(&c->out, (*n)++ ? "," : "");
	return jaeger_trace(c, spans);
}

static int search(struct api_call *c)
{
	struct clew_span_filter f = {.limit = DEFAULT_TRACES, .sort = CLEW_SORT_START};
	struct api_traces found = {0};
	struct tags t = {0};
	size_t n = 0;
	int r;

	r = get_filter(c, &f, &t);
	if (r == 0)
		r = api_find_traces(c, &f, &found);
	tags_done(&t);
	begin(c);
	if (r == 0)
		r = api_each_trace(c, &found, "the limit", put_found, &n);
	api_traces_done(&found);
	return r < 0 ? r : end(c, n);
}

/* traceID=A&traceID=B: those that are not there are named among the errors. */
static int by_ids(struct api_call *c)
{
	struct clew_buf errors = {0};
	size_t spans = 0, n = 0;
	int r = 0;

	begin(c);
	for (size_t i = 0; r == 0 && i < c->params.n; i++) {
		struct slice text = c->params.p[i].value;
		struct clew_id128 id;
		bool given;

		if (!slice_eq(c->params.p[i].key, SLICE("traceID")))
			continue;
		if (api_trace_id(text, &id) < 0) {
			r = api_fail(c, 400, -EINVAL,
				     "cannot parse traceID param: '%.*s' is not 1 to 32 hex digits",
				     (int)(text.n < 64 ? text.n : 64), text.p);
			break;
		}
		r = put_one(c, &id, n ? "," : "", &spans, &given);
		n += given;
		if (r == 0 && !given) {
			clew_buf_adds(&errors, errors.len ? "," : "[");
			clew_buf_addf(&errors, "{\"msg\":\"trace not found\",\"traceID\":\"%.*s\"}",
				      (int)text.n, text.p);
		}
	}
	clew_buf_addf(&c->out, "],\"total\":%zu,\"limit\":0,\"offset\":0,\"errors\":%s%s}", n,
		      errors.len ? errors.data : "null", errors.len ? "]" : "");
	clew_buf_done(&errors);
	return r < 0 ? r : c->out.err;
}

static int traces(struct api_call *c)
{
	for (size_t i = 0; i < c->params.n; i++)
		if (slice_eq(c->params.p[i].key, SLICE("traceID")) && c->params.p[i].value.n)
			return by_ids(c);
	return search(c);
}

static int trace(struct api_call *c)
{
	struct clew_id128 id;
	size_t spans = 0;
	bool given;
	int r = api_trace_id(clew_buf_slice(&c->arg), &id);

	if (r < 0)
		return api_fail(c, 400, r, "'%.64s' is not a trace id: 1 to 32 hex digits",
				c->arg.data);
	begin(c);
	r = put_one(c, &id, "", &spans, &given);
	if (r == 0 && !given)
		return api_fail(c, 404, -ENOENT, "trace not found");
	return r < 0 ? r : end(c, 1);
}

/* ---- dependencies ---- */

struct edges {
	struct api_call *c;
	struct slice service; /* p NULL: all */
	size_t n;
};

static int put_edge(void *user, const struct clew_edge_stats *e)
{
	struct edges *l = user;
	struct clew_buf *b = &l->c->out;

	if (!e->client.p || !e->calls ||
	    (l->service.p && !slice_eq(l->service, e->client) && !slice_eq(l->service, e->server)))
		return 0;
	clew_buf_adds(b, l->n++ ? ",{\"parent\":" : "{\"parent\":");
	clew_json_str(b, e->client);
	clew_buf_adds(b, ",\"child\":");
	clew_json_str(b, e->server);
	return clew_buf_addf(b, ",\"callCount\":%" PRIu64 "}", e->calls);
}

static int dependencies(struct api_call *c)
{
	struct edges l = {.c = c};
	uint64_t until = clew_now_ns(), lookback = DEFAULT_LOOKBACK_MS * CLEW_NS_PER_MS;
	int r = api_number(c, "endTs", CLEW_NS_PER_MS, &until);

	if (r == 0)
		r = api_number(c, "lookback", CLEW_NS_PER_MS, &lookback);
	if (r < 0)
		return r;
	api_get(c, "service", &l.service);
	begin(c);
	r = clew_store_map(c->st, lookback < until ? until - lookback : 1, until, 0, NULL, put_edge,
			   &l, &c->error);
	return r < 0 ? r : end(c, l.n);
}

static const struct api_path paths[] = {
	{"services", services},
	{"services/*/operations", service_operations},
	{"operations", operations},
	{"traces", traces},
	{"traces/*", trace},
	{"dependencies", dependencies},
	{"metrics/latencies", jaeger_latencies},
	{"metrics/calls", jaeger_calls},
	{"metrics/errors", jaeger_errors},
	{"metrics/minstep", jaeger_min_step},
	{NULL},
};

static const struct api api = {"/api/", paths, "application/json", put_error};

enum MHD_Result jaeger_v1_answer(struct request *rq)
{
	return api_answer(rq, &api);
}
