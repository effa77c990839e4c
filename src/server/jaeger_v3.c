/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jaeger's newer HTTP API, under /api/v3: traces as OTLP/JSON. Parameters in camel case, and their
 * older names in snake case; a search may be posted as JSON, too: {"query":{...}}. Errors are
 * {"error":{"httpCode","message"}}.
 *
 * Source: Jaeger's api_v3/query_service.proto and its OpenAPI document.
 */
#include <ctype.h>
#include <inttypes.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "model/otlp_json.h"
#include "query/query.h"
#include "server/api.h"

#define DEFAULT_TRACES 100

static void put_error(struct clew_buf *out, int status, const char *text)
{
	clew_buf_addf(out, "{\"error\":{\"httpCode\":%d,\"message\":", status);
	clew_json_str(out, slice_str(text));
	clew_buf_adds(out, "}}");
}

/* The older name: "query.startTimeMin" was "query.start_time_min". */
static void older(const char *key, char out[64])
{
	size_t n = 0;

	for (; *key && n < 61; key++) {
		if (isupper((unsigned char)*key))
			out[n++] = '_';
		out[n++] = (char)tolower((unsigned char)*key);
	}
	out[n] = '\0';
}

/* Under its name or the older one: the name that was used, or NULL. name: room for it. */
static const char *given(struct api_call *c, const char *key, char name[64])
{
	older(key, name);
	for (size_t i = 0; i < c->params.n; i++) {
		if (!c->params.p[i].value.n)
			continue;
		if (slice_eq(c->params.p[i].key, slice_str(key)))
			return key;
	}
	for (size_t i = 0; i < c->params.n; i++)
		if (c->params.p[i].value.n && slice_eq(c->params.p[i].key, slice_str(name)))
			return name;
	return NULL;
}

static bool get(struct api_call *c, const char *key, struct slice *ret)
{
	char room[64];
	const char *name = given(c, key, room);

	return name && api_get(c, name, ret);
}

static int malformed(struct api_call *c, const char *name, const char *text, const char *want)
{
	return api_fail(c, 400, -EINVAL, "malformed parameter %s: '%.64s' is not %s", name, text,
			want);
}

/* RFC 3339 with its zone; 0 where it is absent. */
static int get_time(struct api_call *c, const char *key, uint64_t *ret)
{
	char room[64], text[64];
	const char *name = given(c, key, room);
	size_t n;

	if (!name)
		return 0;
	if (api_text(c, name, text) < 0)
		return -EINVAL;
	n = strlen(text);
	/* A '+' of a zone that was not encoded came as a blank. */
	for (size_t i = 0; i < n; i++)
		if (text[i] == ' ' && i > 10)
			text[i] = '+';
	if (n < 20 || (text[10] != 'T' && text[10] != 't') ||
	    (text[n - 1] != 'Z' && text[n - 1] != 'z' && text[n - 3] != ':') ||
	    clew_parse_time(text, 0, ret) < 0)
		return malformed(c, name, text, "a time as 2006-01-02T15:04:05Z (RFC 3339)");
	return 0;
}

static int get_duration(struct api_call *c, const char *key, uint64_t *ret)
{
	char room[64], text[64];
	const char *name = given(c, key, room);

	if (!name)
		return 0;
	if (api_text(c, name, text) < 0)
		return -EINVAL;
	return clew_parse_duration(text, ret) < 0
		       ? malformed(c, name, text, "a duration such as 1.5ms")
		       : 0;
}

/* query.attributes={"key":"value"}; *ret_doc keeps what the filter points to. */
static int get_attributes(struct api_call *c, struct clew_span_filter *f, json_t **ret_doc)
{
	json_error_t e;
	struct slice v;
	const char *key;
	json_t *value;
	int r = 0;

	if (!get(c, "query.attributes", &v))
		return 0;
	*ret_doc = json_loadb(v.p, v.n, JSON_REJECT_DUPLICATES, &e);
	if (!json_is_object(*ret_doc))
		return api_fail(c, 400, -EINVAL,
				"malformed parameter query.attributes: not a JSON object of texts");
	json_object_foreach(*ret_doc, key, value)
	{
		if (!json_is_string(value))
			return api_fail(c, 400, -EINVAL,
					"malformed parameter query.attributes: the value of "
					"'%.64s' is not a text",
					key);
		r = api_add_tag(c, f, slice_str(key),
				slice_of(json_string_value(value), json_string_length(value)));
		if (r < 0)
			return r;
	}
	return 0;
}

static int get_depth(struct api_call *c, struct clew_span_filter *f)
{
	char room[64];
	const char *name = given(c, "query.searchDepth", room);

	if (!name)
		name = given(c, "query.numTraces", room);
	return name ? api_limit(c, name, &f->limit) : 0;
}

/* What would make an answer smaller, or one of several, is not left alone: more would come than was asked for. */
static int refuse_unknown(struct api_call *c)
{
	static const char *const names[] = {"query.filter", "query.pagination",
					    "query.pagination.pageSize",
					    "query.pagination.pageToken"};
	char room[64];

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (given(c, names[i], room))
			return api_fail(c, 400, -EINVAL,
					"%s is not supported: use query.attributes, the durations "
					"and query.searchDepth (/api/v3/capabilities says so)",
					names[i]);
	return 0;
}

static int get_filter(struct api_call *c, struct clew_span_filter *f, json_t **ret_doc)
{
	int r = refuse_unknown(c);

	get(c, "query.serviceName", &f->service);
	/* "spanName" is how Jaeger's page said it for a while. */
	if (!get(c, "query.operationName", &f->name))
		get(c, "query.spanName", &f->name);
	if (r == 0)
		r = get_time(c, "query.startTimeMin", &f->since_ns);
	if (r == 0)
		r = get_time(c, "query.startTimeMax", &f->until_ns);
	if (r == 0 && (!f->since_ns || !f->until_ns))
		r = api_fail(c, 400, -EINVAL,
			     "query.startTimeMin and query.startTimeMax are required");
	if (r == 0 && f->until_ns < f->since_ns)
		r = api_fail(c, 400, -EINVAL, "query.startTimeMax lies before query.startTimeMin");
	if (r == 0)
		r = get_duration(c, "query.durationMin", &f->min_duration_ns);
	if (r == 0)
		r = get_duration(c, "query.durationMax", &f->max_duration_ns);
	if (r == 0)
		r = get_depth(c, f);
	return r < 0 ? r : get_attributes(c, f, ret_doc);
}

/* ---- a query that was posted ---- */

static int add_member(struct clew_buf *query, const char *key, json_t *v)
{
	_cleanup_(freep) char *text = NULL;
	char name[128];

	if (json_is_null(v))
		return 0;
	text = json_is_string(v) ? strdup(json_string_value(v))
				 : json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
	if (!text)
		return -ENOMEM;
	snprintf(name, sizeof(name), "query.%.100s", key);
	return clew_query_param(query, name, slice_str(text));
}

/* In one spelling or the other. Those that are not supported have an error of their own: refuse_unknown(). */
static bool is_member(const char *key)
{
	static const char *const names[] = {
		"service_name",	  "operation_name", "span_name",    "attributes",
		"start_time_min", "start_time_max", "duration_min", "duration_max",
		"search_depth",	  "num_traces",	    "raw_traces",   "filter",
		"pagination"};
	char name[64];

	older(key, name);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

/* Nobody is to think that a condition was looked at that was not. */
static int refuse_others(struct api_call *c, json_t *doc, json_t *members)
{
	const char *key;
	json_t *v;

	if (c->params.n)
		return api_fail(c, 400, -EINVAL,
				"parameters in the URL and a body: put all of them into the body's "
				"\"query\"");
	json_object_foreach(doc, key, v)
	{
		if (strcmp(key, "query"))
			return api_fail(c, 400, -EINVAL,
					"malformed body: '%.64s' beside \"query\" is not known", key);
	}
	json_object_foreach(members, key, v)
	{
		if (!is_member(key))
			return api_fail(c, 400, -EINVAL,
					"malformed body: '%.64s' in \"query\" is not known", key);
	}
	return 0;
}

/* Its members as the parameters that they stand for. */
static int take_body(struct api_call *c)
{
	_cleanup_(clew_buf_done) struct clew_buf query = {0};
	struct slice body = clew_buf_slice(&c->rq->body);
	json_t *doc, *members, *v;
	json_error_t e;
	const char *key;
	int r = 0;

	if (strcmp(c->rq->method, "POST"))
		return 0;
	doc = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, &e);
	members = json_object_get(doc, "query");
	if (!json_is_object(members))
		r = api_fail(c, 400, -EINVAL,
			     "malformed body: {\"query\":{...}} in JSON is expected");
	else
		r = refuse_others(c, doc, members);
	json_object_foreach(members, key, v)
	{
		if (r == 0)
			r = add_member(&query, key, v);
	}
	json_decref(doc);
	if (r < 0)
		return r;
	params_done(&c->params);
	return params_parse(&c->params, query.len ? slice_str(query.data + 1) : SLICE(""),
			    &c->error);
}

static int find(struct api_call *c, struct api_traces *ret)
{
	struct clew_span_filter f = {.limit = DEFAULT_TRACES, .sort = CLEW_SORT_START};
	json_t *doc = NULL;
	int r = take_body(c);

	*ret = (struct api_traces){0};
	if (r == 0)
		r = get_filter(c, &f, &doc);
	if (r == 0)
		r = api_find_traces(c, &f, ret);
	json_decref(doc);
	return r;
}

/* ---- calls ---- */

static int services(struct api_call *c)
{
	struct api_names names;
	int r = api_services(c, API_MAX_SERVICES, &names);

	if (r < 0)
		return r;
	clew_buf_adds(&c->out, "{\"services\":[");
	for (size_t i = 0; i < names.n; i++) {
		clew_buf_adds(&c->out, i ? "," : "");
		clew_json_str(&c->out, names.v[i].name);
	}
	api_names_done(&names);
	return clew_buf_adds(&c->out, "]}");
}

static int operations(struct api_call *c)
{
	struct slice service, kind;
	struct api_names names;
	uint32_t kinds = 0;
	int r;

	if (!get(c, "service", &service))
		return api_fail(c, 400, -EINVAL, "service is required");
	if (get(c, "spanKind", &kind)) {
		r = api_kind(kind);
		if (r < 0)
			return api_fail(c, 400, r,
					"malformed parameter spanKind: there is no '%.*s'",
					(int)(kind.n < 64 ? kind.n : 64), kind.p);
		kinds = 1u << r;
	}
	r = api_operations(c, service, kinds, &names);
	if (r < 0)
		return r;
	clew_buf_adds(&c->out, "{\"operations\":[");
	api_put_operations(&c->out, &names);
	api_names_done(&names);
	return clew_buf_adds(&c->out, "]}");
}

static int put_spans(void *user, struct api_call *c, const struct api_spans *s)
{
	bool *any = user;

	if (*any)
		clew_buf_addc(&c->out, ',');
	*any = true;
	return clew_otlp_json_list(&c->out, s->v, s->n, CLEW_OTLP_JSON_OTLP) ?: api_hand_on(c);
}

static int none_found(struct api_call *c)
{
	return api_fail(c, 404, -ENOENT, "No traces found");
}

static int traces(struct api_call *c)
{
	struct api_traces found;
	bool any = false;
	int r = find(c, &found);

	clew_buf_adds(&c->out, "{\"result\":{\"resourceSpans\":[");
	if (r == 0)
		r = api_each_trace(c, &found, "query.searchDepth", put_spans, &any);
	api_traces_done(&found);
	if (r == 0 && !any)
		r = none_found(c);
	return r < 0 ? r : clew_buf_adds(&c->out, "]}}");
}

static int trace(struct api_call *c)
{
	struct api_spans spans = {0};
	struct clew_id128 id;
	bool any = false;
	uint64_t ignored;
	int r = api_trace_id(clew_buf_slice(&c->arg), &id);

	if (r < 0)
		return malformed(c, "trace_id", c->arg.data, "1 to 32 hex digits");
	/* Hints where to look; they are checked and not needed. */
	r = get_time(c, "startTime", &ignored);
	if (r == 0)
		r = get_time(c, "endTime", &ignored);
	if (r < 0)
		return r;
	clew_buf_adds(&c->out, "{\"result\":{\"resourceSpans\":[");
	r = api_load_trace(c, &id, &spans);
	if (r == -ENOENT)
		r = none_found(c);
	else if (r == 0)
		r = put_spans(&any, c, &spans);
	api_spans_done(&spans);
	return r < 0 ? r : clew_buf_adds(&c->out, "]}}");
}

/* ---- summaries ---- */

static void put_summary(struct clew_buf *b, const struct clew_trace_summary *t,
			const struct api_sum *s)
{
	char hex[33];

	clew_hex(t->trace_id.b, 16, hex);
	clew_buf_addf(b, "{\"traceId\":\"%s\",\"rootServiceName\":", hex);
	clew_json_str(b, t->service);
	clew_buf_adds(b, ",\"rootOperationName\":");
	clew_json_str(b, t->name);
	clew_buf_addf(b,
		      ",\"minStartTimeUnixNano\":\"%" PRIu64 "\",\"maxEndTimeUnixNano\":\"%" PRIu64
		      "\",\"spanCount\":%u,\"errorSpanCount\":%u,\"orphanSpanCount\":%u,"
		      "\"services\":[",
		      s->first_ns, s->end_ns, s->spans, s->errors, t->orphans);
	for (uint32_t i = 0; i < s->n; i++) {
		clew_buf_adds(b, i ? ",{\"name\":" : "{\"name\":");
		clew_json_str(b, s->services[i].name);
		clew_buf_addf(b, ",\"spanCount\":%u,\"errorSpanCount\":%u}", s->services[i].spans,
			      s->services[i].errors);
	}
	clew_buf_adds(b, "]}");
}

static int summaries(struct api_call *c)
{
	struct api_sum sums[API_SUM_TRACES];
	struct api_traces found;
	const char *sep = "";
	int r = find(c, &found);

	clew_buf_adds(&c->out, "{\"summaries\":[");
	for (size_t from = 0; r == 0 && from < found.n; from += API_SUM_TRACES) {
		size_t n = found.n - from < API_SUM_TRACES ? found.n - from : API_SUM_TRACES;

		r = api_sum_traces(c, found.v + from, n, sums, NULL, NULL);
		if (r < 0)
			break;
		for (size_t i = 0; i < n; i++) {
			if (!sums[i].spans)
				continue;
			clew_buf_adds(&c->out, sep);
			put_summary(&c->out, &found.v[from + i], &sums[i]);
			sep = ",";
		}
		api_sums_done(sums, n);
		r = api_hand_on(c);
	}
	api_traces_done(&found);
	return r < 0 ? r : clew_buf_adds(&c->out, "]}");
}

/* ---- dependencies ---- */

static int put_edge(void *user, const struct clew_edge_stats *e)
{
	struct api_call *c = user;
	struct clew_buf *b = &c->out;

	if (!e->client.p || !e->calls)
		return 0;
	clew_buf_adds(b, b->data[b->len - 1] == '[' ? "{\"parent\":" : ",{\"parent\":");
	clew_json_str(b, e->client);
	clew_buf_adds(b, ",\"child\":");
	clew_json_str(b, e->server);
	return clew_buf_addf(b, ",\"callCount\":\"%" PRIu64 "\"}", e->calls);
}

static int dependencies(struct api_call *c)
{
	uint64_t since = 0, until = 0;
	int r = get_time(c, "startTime", &since);

	if (r == 0)
		r = get_time(c, "endTime", &until);
	if (r == 0 && (!since || !until))
		r = api_fail(c, 400, -EINVAL, "startTime and endTime are required");
	if (r == 0 && until <= since)
		r = api_fail(c, 400, -EINVAL, "endTime does not lie after startTime");
	clew_buf_adds(&c->out, "{\"dependencies\":[");
	if (r == 0)
		r = clew_store_map(c->st, since, until, 0, NULL, put_edge, c, &c->error);
	return r < 0 ? r : clew_buf_adds(&c->out, "]}");
}

/* What is not named is not there: filters, pages, searches for spans. */
static int capabilities(struct api_call *c)
{
	return clew_buf_adds(&c->out, "{\"search\":{\"withoutServiceName\":true,"
				      "\"sameSpanConjunction\":true}}");
}

static const struct api_path paths[] = {
	{"services", services},
	{"operations", operations},
	{"traces", traces},
	{"traces/*", trace},
	{"trace-summaries", summaries},
	{"dependencies", dependencies},
	{"capabilities", capabilities},
	{NULL},
};

static const struct api api = {"/api/v3/", paths, "application/json", put_error};

enum MHD_Result jaeger_v3_answer(struct request *rq)
{
	return api_answer(rq, &api);
}
