/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Grafana Tempo's HTTP API, under /tempo (what Grafana's Tempo data source calls): traces by id here,
 * search and tags in files of their own. Errors are plain text.
 *
 * A trace is protobuf where the client accepts that: OTLP's TracesData in the first version, a message
 * with it as field 1 in the second. Else it is protobuf's own JSON, as Tempo's is: ids in base64, enums
 * by name.
 *
 * Source: Tempo's documentation ("Tempo HTTP API"), tempopb's TraceByIDResponse.
 */
#include "server/tempo.h"

#include "base/units.h"
#include "model/otlp_json.h"
#include "model/otlp_out.h"

/* Tempo's version whose API this is; Grafana asks for what came later by this number. */
#define API_VERSION "2.6.0"

static void put_error(struct clew_buf *out, int status, const char *text)
{
	clew_buf_addf(out, "%s\n", text);
}

int tempo_times(struct api_call *c, struct clew_span_filter *f)
{
	uint64_t end = 0;
	int r = api_number(c, "start", CLEW_NS_PER_S, &f->since_ns);

	if (r == 0)
		r = api_number(c, "end", CLEW_NS_PER_S, &end);
	if (r == 0 && end)
		f->until_ns = end + CLEW_NS_PER_S - 1;
	if (r == 0 && end && f->until_ns < f->since_ns)
		r = api_fail(c, 400, -EINVAL, "end lies before start");
	return r;
}

static int echo(struct api_call *c)
{
	c->type = "text/plain; charset=utf-8";
	return clew_buf_adds(&c->out, "echo");
}

static int build_info(struct api_call *c)
{
	return clew_buf_adds(&c->out,
			     "{\"version\":\"" API_VERSION "\",\"revision\":\"clew " CLEW_VERSION
			     "\",\"branch\":\"\",\"buildUser\":\"\",\"buildDate\":\"\","
			     "\"goVersion\":\"\"}");
}

/* Grafana shows the text where it draws. */
static int no_metrics(struct api_call *c)
{
	return api_fail(c, 501, -EOPNOTSUPP,
			"TraceQL's metrics are not supported: rates, errors and latencies are at "
			"/metrics for Prometheus (traces_spanmetrics_*), and in clew's page");
}

/* ---- a trace ---- */

static bool wants_protobuf(struct api_call *c)
{
	const char *accept = MHD_lookup_connection_value(c->rq->mhd, MHD_HEADER_KIND, "Accept");

	return accept &&
	       (strstr(accept, "application/protobuf") || strstr(accept, "application/x-protobuf"));
}

/* Field 1 of TraceByIDResponse. */
static int wrap(struct clew_buf *out, struct slice trace)
{
	uint64_t n = trace.n;

	clew_buf_addc(out, 1 << 3 | 2);
	for (; n > 0x7f; n >>= 7)
		clew_buf_addc(out, (char)(n | 0x80));
	clew_buf_addc(out, (char)n);
	return clew_buf_add(out, trace.p, trace.n);
}

static int put_protobuf(struct api_call *c, const struct api_spans *s, bool v2)
{
	struct clew_buf trace = {0};
	int r;

	c->type = "application/protobuf";
	if (!v2)
		return clew_otlp_pack(&c->out, s->v, s->n);
	r = clew_otlp_pack(&trace, s->v, s->n);
	if (r == 0)
		r = wrap(&c->out, clew_buf_slice(&trace));
	clew_buf_done(&trace);
	return r;
}

static int put_json(struct api_call *c, const struct api_spans *s, bool v2)
{
	int r;

	clew_buf_adds(&c->out, v2 ? "{\"trace\":{\"resourceSpans\":[" : "{\"batches\":[");
	r = clew_otlp_json_list(&c->out, s->v, s->n, CLEW_OTLP_JSON_PROTO);
	clew_buf_adds(&c->out, v2 ? "]},\"metrics\":{}}" : "]}");
	return r < 0 ? r : c->out.err;
}

static int get_trace(struct api_call *c, bool v2)
{
	struct clew_span_filter hints = {0}; /* where to look: checked and not needed */
	struct clew_id128 id;
	struct api_spans s;
	int r = api_trace_id(clew_buf_slice(&c->arg), &id);

	if (r < 0)
		return api_fail(c, 400, r,
				"'%.64s' is not a trace id: trace IDs can only contain hex "
				"characters, at most 32",
				c->arg.data);
	r = tempo_times(c, &hints);
	if (r == 0)
		r = api_load_trace(c, &id, &s);
	if (r == -ENOENT)
		return api_fail(c, 404, r, "trace not found");
	if (r < 0)
		return r;
	r = wants_protobuf(c) ? put_protobuf(c, &s, v2) : put_json(c, &s, v2);
	api_spans_done(&s);
	return r;
}

static int trace_v1(struct api_call *c)
{
	return get_trace(c, false);
}

static int trace_v2(struct api_call *c)
{
	return get_trace(c, true);
}

static const struct api_path paths[] = {
	{"api/echo", echo},
	{"api/status/buildinfo", build_info},
	{"api/traces/*", trace_v1},
	{"api/v2/traces/*", trace_v2},
	{"api/search", tempo_search},
	{"api/search/tags", tempo_tags},
	{"api/search/tag/*/values", tempo_values},
	{"api/v2/search/tags", tempo_tags_v2},
	{"api/v2/search/tag/*/values", tempo_values_v2},
	{"api/metrics/query", no_metrics},
	{"api/metrics/query_range", no_metrics},
	{NULL},
};

static const struct api api = {"/tempo/", paths, "text/plain; charset=utf-8", put_error};

enum MHD_Result tempo_answer(struct request *rq)
{
	return api_answer(rq, &api);
}
