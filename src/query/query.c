/* SPDX-License-Identifier: Apache-2.0 */
/* The table that finds a call, and what all calls share. */
#include "query/query.h"

#include <inttypes.h>

#include "base/units.h"
#include "query/call.h"

int call_fail(struct call *c, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (c->ret_error && !*c->ret_error && vasprintf(c->ret_error, fmt, ap) < 0)
		*c->ret_error = NULL;
	va_end(ap);
	return err;
}

int call_hand_on(struct call *c, size_t from_bytes)
{
	int r = c->out.err;

	if (r == 0 && c->out.len >= from_bytes && c->out.len) {
		r = c->write(c->user, c->out.data, c->out.len);
		clew_buf_clear(&c->out);
	}
	return r;
}

int call_end_line(struct call *c)
{
	clew_buf_addc(&c->out, '\n');
	return call_hand_on(c, CALL_WRITE_BYTES);
}

int call_filter(struct call *c, struct clew_span_filter *f)
{
	return params_filter(&c->params, f, c->ret_error);
}

int call_times(struct call *c, struct clew_span_filter *f)
{
	int r = params_time(&c->params, "since", &f->since_ns, c->ret_error);

	if (r == 0)
		r = params_time(&c->params, "until", &f->until_ns, c->ret_error);
	return r < 0 ? r : call_no_params(c);
}

int call_window(struct call *c, uint64_t *ret_since, uint64_t *ret_until)
{
	uint64_t since = 0, until = 0;
	int r = params_time(&c->params, "since", &since, c->ret_error);

	if (r == 0)
		r = params_time(&c->params, "until", &until, c->ret_error);
	if (r == 0)
		r = call_fill_window(c, &since, &until);
	if (r < 0)
		return r;
	*ret_since = since;
	*ret_until = until;
	return 0;
}

int call_fill_window(struct call *c, uint64_t *since, uint64_t *until)
{
	uint64_t first = 0, last = 0;
	int r = *since ? 0 : clew_store_bounds(c->st, &first, &last, c->ret_error);

	if (r < 0)
		return r;
	if (!*until)
		*until = *since ? clew_now_ns() : last + 1;
	if (!*since)
		*since = first < *until ? first : *until - 1;
	return *until <= *since ? call_fail(c, -EINVAL, "until lies before since") : 0;
}

int call_no_params(struct call *c)
{
	const struct slice *left = params_left(&c->params);

	if (!left)
		return 0;
	return call_fail(c, -EINVAL, "'%.*s' is no parameter of this call (docs/native-api.md)",
			 (int)left->n, left->p);
}

void put_hex(struct clew_buf *out, const char *before, const void *id, size_t n)
{
	char hex[33];

	clew_hex(id, n, hex);
	clew_buf_addf(out, "%s\"%s\"", before, hex);
}

void put_str(struct clew_buf *out, const char *before, struct slice text)
{
	clew_buf_adds(out, before);
	clew_json_str(out, text);
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
	{"overview", "GET", call_overview, false},
	{"operations", "GET", call_operations, false},
	{"red", "GET", call_red, false},
	{"map", "GET", call_map, false},
	{"patterns", "GET", call_patterns, false},
	{"patterns/", "GET", call_pattern, false},
	{"histogram", "GET", call_histogram, false},
	{"heat", "GET", call_heat, false},
	{"differences", "GET", call_differences, false},
	{"attributes", "GET", call_attributes, false},
	{"attributes/", "GET", call_attribute_values, false},
	{"compare", "GET", call_compare, false},
	{"download", "GET", call_download, true},
	{"status", "GET", call_status, false},
	{"openapi.json", "GET", call_openapi, false},
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
		return call_fail(&c, -ENOENT,
				 "there is no such call under " CLEW_API_PREFIX
				 "; openapi.json there and docs/native-api.md list them");
	if (!slice_eq(method, slice_str(type->method)))
		return call_fail(&c, -EOPNOTSUPP, "%s is a %s", type->name, type->method);
	r = params_parse(&c.params, query, ret_error);
	if (r == 0)
		r = type->run(&c);
	if (r == 0)
		r = call_hand_on(&c, 0);
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
	case ERESTART:
	case ETIMEDOUT:
	case EBUSY:
		return 503;
	default:
		return 500;
	}
}

const char *clew_query_method(struct slice target)
{
	struct slice rest, query;
	const struct call_type *type = find_call(target, &rest, &query);

	return type ? type->method : NULL;
}

const char *clew_query_content_type(struct slice target)
{
	struct slice rest, query;
	const struct call_type *type = find_call(target, &rest, &query);

	if (type && type->run == call_download)
		return download_type(query);
	return type && type->lines ? "application/x-ndjson" : "application/json";
}

int clew_query_error(struct clew_buf *out, int r, const char *text)
{
	clew_buf_adds(out, "{\"error\":");
	clew_json_str(out, slice_str(text && *text ? text : strerror(-r)));
	return clew_buf_adds(out, "}\n");
}
