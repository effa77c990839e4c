/* SPDX-License-Identifier: Apache-2.0 */
/* The calls, one function each, and the table that finds them. */
#include "query/query.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "model/otlp_json.h"
#include "query/advice.h"
#include "query/candidates.h"
#include "query/params.h"
#include "query/span_json.h"

#define DEFAULT_TRACES 20
#define ID_CANDIDATES  10
/* Bytes gathered before they are handed on. */
#define WRITE_BYTES 32768u
/* Spans of one trace that are held in memory for one document; beyond it the call fails. */
#define TRACE_MAX_SPANS 500000u

struct call {
	struct clew_store *st;
	struct slice rest; /* of the path, behind the call's name */
	struct params params;
	struct slice body;
	struct clew_buf out;
	clew_write_fn write;
	void *user;
	char **ret_error;
};

static int CLEW_PRINTF(3, 4) fail(struct call *c, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (c->ret_error && !*c->ret_error && vasprintf(c->ret_error, fmt, ap) < 0)
		*c->ret_error = NULL;
	va_end(ap);
	return err;
}

static int hand_on(struct call *c, size_t from_bytes)
{
	int r = c->out.err;

	if (r == 0 && c->out.len >= from_bytes && c->out.len) {
		r = c->write(c->user, c->out.data, c->out.len);
		clew_buf_clear(&c->out);
	}
	return r;
}

static int end_line(struct call *c)
{
	clew_buf_addc(&c->out, '\n');
	return hand_on(c, WRITE_BYTES);
}

/* ---- lists ---- */

static int put_trace(void *user, const struct clew_trace_summary *t)
{
	struct call *c = user;

	trace_json(&c->out, t);
	return end_line(c);
}

static int call_traces(struct call *c)
{
	struct clew_span_filter f = {.limit = DEFAULT_TRACES, .sort = CLEW_SORT_START};
	int r = params_filter(&c->params, &f, c->ret_error);

	return r < 0 ? r : clew_store_find_traces(c->st, &f, put_trace, c, c->ret_error);
}

static int put_span(void *user, struct clew_span *s)
{
	_cleanup_(clew_span_freep) struct clew_span *own = s;
	struct call *c = user;
	int r = span_json(&c->out, own);

	return r < 0 ? r : end_line(c);
}

static int call_spans(struct call *c)
{
	struct clew_span_filter f = {0};
	int r = params_filter(&c->params, &f, c->ret_error);

	return r < 0 ? r : clew_store_find_spans(c->st, &f, put_span, c, c->ret_error);
}

static int put_service(void *user, const struct clew_service_stats *s)
{
	struct call *c = user;

	clew_buf_adds(&c->out, "{\"service\":");
	clew_json_str(&c->out, s->service);
	clew_buf_addf(&c->out,
		      ",\"instances\":%" PRIu64 ",\"spans\":%" PRIu64 ",\"requests\":%" PRIu64
		      ",\"errors\":%" PRIu64 ",\"p50_ns\":%" PRIu64 ",\"p95_ns\":%" PRIu64
		      ",\"p99_ns\":%" PRIu64 ",\"first_ns\":%" PRIu64 ",\"last_ns\":%" PRIu64 "}",
		      s->instances, s->spans, s->requests, s->errors, s->p50_ns, s->p95_ns,
		      s->p99_ns, s->first_ns, s->last_ns);
	return end_line(c);
}

/* services and map take times only. */
static int times_only(struct call *c, struct clew_span_filter *f)
{
	int r = params_filter(&c->params, f, c->ret_error);

	if (r == 0 && (f->service.p || f->name.p || f->n_attrs || f->error || f->min_duration_ns ||
		       f->max_duration_ns || f->limit || f->sort))
		r = fail(c, -EINVAL, "only since and until are parameters here");
	return r;
}

static int call_services(struct call *c)
{
	struct clew_span_filter f = {0};
	int r = times_only(c, &f);

	return r < 0 ? r
		     : clew_store_services(c->st, f.since_ns, f.until_ns, put_service, c,
					   c->ret_error);
}

/* ---- why ---- */

static void put_text(struct call *c, const char *name, struct slice text)
{
	clew_buf_addf(&c->out, ",\"%s\":", name);
	if (text.n)
		clew_json_str(&c->out, text);
	else
		clew_buf_adds(&c->out, "null");
}

/* An object that we have written; nothing else gets into the answer. */
static void put_object(struct call *c, const char *name, struct slice json)
{
	clew_buf_addf(&c->out, ",\"%s\":", name);
	if (json.n >= 2 && json.p[0] == '{' && json.p[json.n - 1] == '}')
		clew_buf_add(&c->out, json.p, json.n);
	else
		clew_buf_adds(&c->out, "{}");
}

static int put_model(void *user, const struct clew_service_model *m)
{
	struct call *c = user;
	struct advice a;

	advice_make(m, &a);
	clew_buf_adds(&c->out, "{\"service\":");
	clew_json_str(&c->out, m->service);
	clew_buf_addf(&c->out, ",\"time_ns\":%" PRIu64, m->time_ns);
	put_text(c, "runtime", m->runtime);
	put_text(c, "runtime_version", m->version);
	put_text(c, "task", m->task);
	put_text(c, "model", m->model);
	clew_buf_addf(&c->out,
		      ",\"groups\":%" PRIu64 ",\"answers\":%" PRIu64 ",\"hits\":%" PRIu64
		      ",\"misses\":%" PRIu64 ",\"roots\":%" PRIu64 ",\"certain\":%" PRIu64
		      ",\"probable\":%" PRIu64 ",\"orphans\":%" PRIu64,
		      m->groups, m->answers, m->hits, m->misses, m->roots, m->certain, m->probable,
		      m->orphans);
	put_object(c, "settled", m->settled);
	put_object(c, "orphaned", m->orphaned);
	put_text(c, "options", m->options);
	clew_buf_adds(&c->out, ",\"advice\":{\"option\":");
	if (a.option)
		clew_json_str(&c->out, slice_str(a.option));
	else
		clew_buf_adds(&c->out, "null");
	clew_buf_adds(&c->out, ",\"up_to\":");
	clew_json_double(&c->out, a.up_to);
	put_text(c, "text", slice_str(a.text));
	clew_buf_adds(&c->out, "}}");
	return end_line(c);
}

static int call_services_why(struct call *c)
{
	if (c->params.n)
		return fail(c, -EINVAL, "this call takes no parameters");
	return clew_store_service_models(c->st, put_model, c, c->ret_error);
}

/* ---- the map ---- */

struct node {
	struct slice service; /* copied */
	uint64_t requests, errors;
	bool external;
};

struct map {
	struct call *c;
	struct node *nodes;
	size_t n, cap;
	struct clew_buf edges;
};

static struct node *map_node(struct map *m, struct slice service, bool external)
{
	char *copy;

	for (size_t i = 0; i < m->n; i++)
		if (m->nodes[i].external == external && slice_eq(m->nodes[i].service, service))
			return &m->nodes[i];
	if (m->n == m->cap) {
		size_t cap = m->cap ? m->cap * 2 : 32;
		struct node *nodes = realloc(m->nodes, cap * sizeof(*nodes));

		if (!nodes)
			return NULL;
		m->nodes = nodes;
		m->cap = cap;
	}
	copy = strndup(service.p ? service.p : "", service.n);
	if (!copy)
		return NULL;
	m->nodes[m->n] = (struct node){.service = {copy, service.n}, .external = external};
	return &m->nodes[m->n++];
}

static int put_edge(void *user, const struct clew_edge_stats *e)
{
	struct map *m = user;
	struct node *n;

	if (e->client.p && !map_node(m, e->client, false))
		return -ENOMEM;
	n = map_node(m, e->server, e->external);
	if (!n)
		return -ENOMEM;
	n->requests += e->calls;
	n->errors += e->errors;
	clew_buf_adds(&m->edges, m->edges.len ? ",{\"client\":" : "{\"client\":");
	if (e->client.p)
		clew_json_str(&m->edges, e->client);
	else
		clew_buf_adds(&m->edges, "null");
	clew_buf_adds(&m->edges, ",\"server\":");
	clew_json_str(&m->edges, e->server);
	if (e->external)
		clew_buf_adds(&m->edges, ",\"external\":true");
	return clew_buf_addf(&m->edges,
			     ",\"calls\":%" PRIu64 ",\"errors\":%" PRIu64 ",\"p50_ns\":%" PRIu64
			     ",\"p95_ns\":%" PRIu64 ",\"p99_ns\":%" PRIu64 "}",
			     e->calls, e->errors, e->p50_ns, e->p95_ns, e->p99_ns);
}

static int call_map(struct call *c)
{
	struct clew_span_filter f = {0};
	struct map m = {.c = c};
	int r = times_only(c, &f);

	if (r == 0)
		r = clew_store_map(c->st, f.since_ns, f.until_ns, put_edge, &m, c->ret_error);
	clew_buf_adds(&c->out, "{\"nodes\":[");
	for (size_t i = 0; i < m.n; i++) {
		clew_buf_adds(&c->out, i ? ",{\"service\":" : "{\"service\":");
		clew_json_str(&c->out, m.nodes[i].service);
		clew_buf_addf(&c->out, ",\"requests\":%" PRIu64 ",\"errors\":%" PRIu64 "%s}",
			      m.nodes[i].requests, m.nodes[i].errors,
			      m.nodes[i].external ? ",\"external\":true" : "");
		free((char *)(uintptr_t)m.nodes[i].service.p);
	}
	clew_buf_adds(&c->out, "],\"edges\":[");
	clew_buf_add(&c->out, m.edges.data, m.edges.len);
	clew_buf_adds(&c->out, "]}");
	if (r == 0)
		r = m.edges.err;
	free(m.nodes);
	clew_buf_done(&m.edges);
	return r < 0 ? r : end_line(c);
}

/* ---- one trace ---- */

struct span_list {
	struct clew_span **v;
	size_t n, cap;
};

static int keep_span(void *user, struct clew_span *s)
{
	struct span_list *l = user;

	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct clew_span **v = realloc(l->v, cap * sizeof(*v));

		if (!v || cap > TRACE_MAX_SPANS * 2) {
			clew_span_free(s);
			l->v = v ? v : l->v;
			return v ? -EFBIG : -ENOMEM;
		}
		l->v = v;
		l->cap = cap;
	}
	clew_span_show_fields(s);
	l->v[l->n++] = s;
	return 0;
}

static int put_document(struct call *c, const struct clew_id128 *id, bool why)
{
	struct span_list l = {0};
	char hex[33];
	int r = clew_store_get_trace(c->st, id, keep_span, &l, c->ret_error);

	if (r == 0 && why)
		r = candidates_describe(c->st, l.v, l.n, c->ret_error);
	if (r == 0)
		r = clew_otlp_json(&c->out, l.v, l.n);
	for (size_t i = 0; i < l.n; i++)
		clew_span_free(l.v[i]);
	free(l.v);
	clew_hex(id->b, sizeof(id->b), hex);
	if (r == -ENOENT)
		return fail(c, r, "there is no trace %s", hex);
	if (r == -EFBIG)
		return fail(c, r, "trace %s has more than %u spans: use spans?attr=... instead",
			    hex, TRACE_MAX_SPANS);
	return r < 0 ? r : end_line(c);
}

static int keep_id(void *user, const struct clew_trace_summary *t)
{
	*(struct clew_id128 *)user = t->trace_id;
	return 0;
}

static int find_last(struct call *c, struct clew_id128 *ret)
{
	struct clew_span_filter f = {.limit = 1, .sort = CLEW_SORT_START};
	struct clew_id128 id = {0};
	int r = clew_store_find_traces(c->st, &f, keep_id, &id, c->ret_error);

	if (r == 0 && clew_id128_none(&id))
		r = fail(c, -ENOENT, "the store holds no trace yet");
	if (r == 0)
		*ret = id;
	return r;
}

static int ambiguous(struct call *c, const struct clew_id128 *ids, int n)
{
	struct clew_buf list = {0};
	char hex[33];
	int r;

	for (int i = 0; i < n; i++) {
		clew_hex(ids[i].b, sizeof(ids[i].b), hex);
		clew_buf_addf(&list, "%s%s", i ? ", " : "", hex);
	}
	r = fail(c, -EINVAL, "%.*s is the beginning of more than one trace: %s%s", (int)c->rest.n,
		 c->rest.p, list.data ? list.data : "", n == ID_CANDIDATES ? ", ..." : "");
	clew_buf_done(&list);
	return r;
}

static int call_trace(struct call *c)
{
	struct clew_id128 ids[ID_CANDIDATES];
	bool why = c->params.n == 1 && slice_eq(c->params.p[0].key, SLICE("why")) &&
		   slice_eq(c->params.p[0].value, SLICE("1"));
	int n;

	if (c->params.n && !why)
		return fail(c, -EINVAL, "why=1 is the only parameter of this call");
	if (slice_eq(c->rest, SLICE("last"))) {
		n = find_last(c, &ids[0]);
		return n < 0 ? n : put_document(c, &ids[0], why);
	}
	if (c->rest.n < 4)
		return fail(c, -EINVAL, "give at least 4 digits of the trace's id");
	n = clew_store_match_ids(c->st, c->rest, ids, ID_CANDIDATES, c->ret_error);
	if (n < 0)
		return n;
	if (n == 0)
		return fail(c, -ENOENT, "there is no trace whose id begins with %.*s",
			    (int)c->rest.n, c->rest.p);
	return n > 1 ? ambiguous(c, ids, n) : put_document(c, &ids[0], why);
}

/* ---- sql, stats ---- */

static int call_sql(struct call *c)
{
	int r = clew_store_sql(c->st, c->body, &c->out, c->ret_error);

	return r < 0 ? r : end_line(c);
}

static int call_stats(struct call *c)
{
	struct clew_store_stats s;

	clew_store_stats(c->st, &s);
	clew_buf_addf(&c->out,
		      "{\"appended\":%" PRIu64 ",\"stored\":%" PRIu64 ",\"duplicates\":%" PRIu64
		      ",\"dropped_queue\":%" PRIu64 ",\"dropped_error\":%" PRIu64
		      ",\"queued\":%" PRIu64 ",\"batches\":%" PRIu64 ",\"seals\":%" PRIu64
		      ",\"failures\":%" PRIu64 ",\"recoveries\":%" PRIu64 ",\"write_ns\":%" PRIu64
		      ",\"write_cpu_ns\":%" PRIu64 ",\"failing\":%s,\"last_error\":",
		      s.appended, s.stored, s.duplicates, s.dropped_queue, s.dropped_error,
		      s.queued, s.batches, s.seals, s.failures, s.recoveries, s.write_ns,
		      s.write_cpu_ns, s.failing ? "true" : "false");
	clew_json_str(&c->out, slice_str(s.last_error));
	clew_buf_adds(&c->out, "}");
	return end_line(c);
}

/* ---- finding the call ---- */

static const struct call_type {
	const char *name; /* with a '/' at the end: the rest of the path is its argument */
	const char *method;
	int (*run)(struct call *c);
	bool lines;
} call_types[] = {
	{"traces", "GET", call_traces, true},
	{"spans", "GET", call_spans, true},
	{"trace/", "GET", call_trace, false},
	{"services", "GET", call_services, true},
	{"services/why", "GET", call_services_why, true},
	{"map", "GET", call_map, false},
	{"sql", "POST", call_sql, false},
	{"stats", "GET", call_stats, false},
};

static const struct call_type *find_call(struct slice target, struct slice *ret_rest,
					 struct slice *ret_query)
{
	const char *mark = target.n ? memchr(target.p, '?', target.n) : NULL;
	struct slice path = target;

	if (!slice_starts(target, SLICE(CLEW_API_PREFIX)))
		return NULL;
	*ret_query = slice_of(NULL, 0);
	if (mark) {
		path.n = (size_t)(mark - target.p);
		*ret_query = slice_of(mark + 1, target.n - path.n - 1);
	}
	path = slice_of(path.p + strlen(CLEW_API_PREFIX), path.n - strlen(CLEW_API_PREFIX));
	for (size_t i = 0; i < sizeof(call_types) / sizeof(*call_types); i++) {
		struct slice name = slice_str(call_types[i].name);
		bool takes_rest = name.p[name.n - 1] == '/';

		if (!slice_starts(path, name) || (!takes_rest && path.n != name.n))
			continue;
		*ret_rest = slice_of(path.p + name.n, path.n - name.n);
		return &call_types[i];
	}
	return NULL;
}

int clew_query_run(struct clew_store *st, struct slice method, struct slice target,
		   struct slice body, clew_write_fn write, void *user, char **ret_error)
{
	struct call c = {
		.st = st, .body = body, .write = write, .user = user, .ret_error = ret_error};
	struct slice query = {0};
	const struct call_type *type = find_call(target, &c.rest, &query);
	int r;

	if (!type)
		return fail(&c, -ENOENT,
			    "there is no such call; there are traces, spans, trace/ID, services, "
			    "services/why, map, sql and stats under " CLEW_API_PREFIX);
	if (!slice_eq(method, slice_str(type->method)))
		return fail(&c, -EOPNOTSUPP, "%s is a %s", type->name, type->method);
	r = params_parse(&c.params, query, ret_error);
	if (r == 0)
		r = type->run(&c);
	if (r == 0)
		r = hand_on(&c, 0);
	params_done(&c.params);
	clew_buf_done(&c.out);
	return r;
}

int clew_query_status(int r)
{
	switch (-r) {
	case 0:
		return 200;
	case EINVAL:
		return 400;
	case ENOENT:
		return 404;
	case EOPNOTSUPP:
		return 405;
	case EFBIG:
		return 413;
	case EAGAIN:
	case ETIMEDOUT:
	case EBUSY:
		return 503;
	default:
		return 500;
	}
}

const char *clew_query_content_type(struct slice target)
{
	struct slice rest, query;
	const struct call_type *type = find_call(target, &rest, &query);

	return type && type->lines ? "application/x-ndjson" : "application/json";
}

int clew_query_error(struct clew_buf *out, int r, const char *text)
{
	clew_buf_adds(out, "{\"error\":");
	clew_json_str(out, slice_str(text && *text ? text : strerror(-r)));
	return clew_buf_adds(out, "}\n");
}
