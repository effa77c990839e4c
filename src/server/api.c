/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of other systems' APIs: found, run, answered. */
#include "server/api.h"

#include <stdio.h>

#include "base/units.h"
#include "query/query.h"

int api_fail(struct api_call *c, int status, int err, const char *fmt, ...)
{
	va_list ap;

	if (c->error)
		return err;
	c->status = status;
	va_start(ap, fmt);
	if (vasprintf(&c->error, fmt, ap) < 0)
		c->error = NULL;
	va_end(ap);
	return err;
}

int api_hand_on(struct api_call *c)
{
	int r = c->out.err;

	if (r == 0 && c->out.len >= API_WRITE_BYTES) {
		r = spool_write(&c->spool, c->out.data, c->out.len);
		clew_buf_clear(&c->out);
	}
	return r;
}

/* ---- parameters ---- */

bool api_get(struct api_call *c, const char *key, struct slice *ret)
{
	struct slice v;

	if (!params_get(&c->params, key, &v) || !v.n)
		return false;
	*ret = v;
	return true;
}

static int shown(struct slice v)
{
	return (int)(v.n < 64 ? v.n : 64);
}

int api_text(struct api_call *c, const char *key, char out[64])
{
	struct slice v;

	if (!api_get(c, key, &v))
		return -ENOENT;
	if (v.n > 63 || memchr(v.p, '\0', v.n))
		return api_fail(c, 400, -EINVAL, "unable to parse param '%s': '%.*s' is too long",
				key, shown(v), v.p);
	memcpy(out, v.p, v.n);
	out[v.n] = '\0';
	return 0;
}

int api_number(struct api_call *c, const char *key, uint64_t scale, uint64_t *ret)
{
	char text[64];
	uint64_t n;
	int r = api_text(c, key, text);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (clew_parse_u64(text, INT64_MAX / scale, &n) < 0)
		return api_fail(c, 400, -EINVAL,
				"unable to parse param '%s': '%s' is not a whole number of 0 or "
				"more",
				key, text);
	*ret = n * scale;
	return 0;
}

int api_duration(struct api_call *c, const char *key, uint64_t *ret_ns)
{
	char text[64];
	int r = api_text(c, key, text);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (clew_parse_duration(text, ret_ns) < 0)
		return api_fail(c, 400, -EINVAL,
				"unable to parse param '%s': '%s' is not a duration such as 1.5ms",
				key, text);
	return 0;
}

int api_limit(struct api_call *c, const char *key, uint64_t *ret)
{
	uint64_t n = *ret;
	int r = api_number(c, key, 1, &n);

	if (r == 0 && (!n || n > API_MAX_TRACES))
		return api_fail(c, 400, -EINVAL, "unable to parse param '%s': 1 to %u traces", key,
				API_MAX_TRACES);
	if (r == 0)
		*ret = n;
	return r;
}

int api_trace_id(struct slice text, struct clew_id128 *ret)
{
	char hex[33];

	if (!text.n || text.n > 32)
		return -EINVAL;
	memset(hex, '0', 32);
	memcpy(hex + 32 - text.n, text.p, text.n);
	return clew_unhex(hex, 32, ret->b, sizeof(ret->b));
}

int api_add_attr(struct api_call *c, struct clew_span_filter *f, struct slice key,
		 struct slice value)
{
	if (f->n_attrs == CLEW_FILTER_MAX_ATTRS)
		return api_fail(c, 400, -EINVAL, "more than %d conditions", CLEW_FILTER_MAX_ATTRS);
	f->attrs[f->n_attrs++] = (struct clew_filter_attr){.key = key, .value = value};
	return 0;
}

int api_add_where(struct api_call *c, struct clew_span_filter *f, const struct clew_filter_where *w)
{
	if (f->n_where == CLEW_FILTER_MAX_WHERE)
		return api_fail(c, 400, -EINVAL, "more than %d conditions", CLEW_FILTER_MAX_WHERE);
	f->where[f->n_where++] = *w;
	return 0;
}

int api_add_tag(struct api_call *c, struct clew_span_filter *f, struct slice key,
		struct slice value)
{
	struct clew_filter_where no_error = {.op = CLEW_WHERE_NE,
					     .scope = CLEW_SCOPE_FIELD,
					     .key = SLICE("status"),
					     .value = SLICE("2")};
	int kind;

	if (slice_eq(key, SLICE("error")) && slice_eq(value, SLICE("true"))) {
		f->error = true;
		return 0;
	}
	if (slice_eq(key, SLICE("error")) && slice_eq(value, SLICE("false")))
		return api_add_where(c, f, &no_error);
	if (slice_eq(key, SLICE("otel.status_code")) && slice_eq(value, SLICE("ERROR"))) {
		f->error = true;
		return 0;
	}
	kind = slice_eq(key, SLICE("span.kind")) ? api_kind(value) : -EINVAL;
	if (kind >= 0) {
		f->kinds |= 1u << kind;
		return 0;
	}
	return api_add_attr(c, f, key, value);
}

int api_check_window(struct api_call *c, const struct clew_span_filter *f)
{
	uint64_t until = f->until_ns ? f->until_ns : clew_now_ns();
	bool narrow = f->n_attrs > 0 || f->service.p || f->name.p, broad = false;

	for (uint32_t i = 0; i < f->n_where; i++) {
		enum clew_where_op op = f->where[i].op;

		if (op == CLEW_WHERE_NE || op == CLEW_WHERE_ABSENT || op == CLEW_WHERE_MATCH ||
		    op == CLEW_WHERE_NO_MATCH)
			broad = true;
		else if (f->where[i].scope != CLEW_SCOPE_FIELD)
			narrow = true;
	}
	if (!broad || narrow || (f->since_ns && until <= f->since_ns + PARAMS_MAX_WINDOW_NS))
		return 0;
	return api_fail(c, 400, -EINVAL,
			"!=, =~, !~ and nil alone read every span of their time: give a window of "
			"at most 24 h, or a condition with = beside them");
}

int api_kind(struct slice name)
{
	for (int k = CLEW_KIND_CONSUMER; k >= 0; k--)
		if (slice_ieq(name, slice_str(clew_kind_name((enum clew_span_kind)k))))
			return k;
	return -EINVAL;
}

/* ---- finding the call ---- */

/* The part for the '*', decoded; a '+' in a path is a '+'. */
static bool take_arg(struct slice part, struct clew_buf *arg)
{
	clew_buf_clear(arg);
	for (size_t i = 0; i < part.n; i++) {
		uint8_t byte = (uint8_t)part.p[i];

		if (byte == '/')
			return false;
		if (byte == '%') {
			if (part.n - i < 3 || clew_unhex(part.p + i + 1, 2, &byte, 1) < 0)
				return false;
			i += 2;
		}
		clew_buf_addc(arg, (char)byte);
	}
	return part.n > 0 && !arg->err;
}

static bool fits(const char *pattern, struct slice path, struct clew_buf *arg)
{
	struct slice head = slice_of(pattern, strcspn(pattern, "*")), tail;

	if (head.n && path.n > head.n && path.p[path.n - 1] == '/')
		path.n--;
	if (!pattern[head.n])
		return slice_eq(path, head);
	tail = slice_str(pattern + head.n + 1);
	if (path.n < head.n + tail.n || !slice_starts(path, head) || !slice_ends(path, tail))
		return false;
	return take_arg(slice_of(path.p + head.n, path.n - head.n - tail.n), arg);
}

static enum MHD_Result answer_failure(struct api_call *c, const struct api *api, int r)
{
	struct clew_buf out = {0};
	enum MHD_Result sent = MHD_NO;
	int status = c->status ? c->status : clew_query_status(r);

	if (status == 503 && r != -EPIPE) /* that is counted */
		c->rq->server->counters.refused_busy++;
	api->put_error(&out, status, c->error ? c->error : strerror(-r));
	if (out.err == 0)
		sent = answer_bytes(c->rq, status, api->error_type, clew_buf_slice(&out));
	clew_buf_done(&out);
	return sent;
}

static int run_once(struct api_call *c, const struct api *api)
{
	struct slice path = c->rq->path;
	const char *mark = strchr(c->rq->target, '?');
	int r;

	path = slice_of(path.p + strlen(api->prefix), path.n - strlen(api->prefix));
	for (const struct api_path *p = api->paths; p->path; p++) {
		if (!fits(p->path, path, &c->arg))
			continue;
		r = params_parse(&c->params, mark ? slice_str(mark + 1) : SLICE(""), &c->error);
		if (r == 0)
			r = p->run(c);
		if (r == 0 && c->spool.bytes)
			r = c->out.err ? c->out.err
				       : spool_write(&c->spool, c->out.data, c->out.len);
		return r < 0 ? r : c->out.err;
	}
	return api_fail(c, 404, -ENOENT, "there is no such path");
}

static int run(struct api_call *c, const struct api *api)
{
	int r = run_once(c, api);

	for (int i = 1; r == -ERESTART && i < SERVER_QUERY_TRIES; i++) {
		spool_clear(&c->spool);
		params_done(&c->params);
		clew_buf_clear(&c->out);
		free(clew_steal(c->error));
		c->status = 0;
		r = run_once(c, api);
	}
	return r;
}

enum MHD_Result api_answer(struct request *rq, const struct api *api)
{
	struct api_call c = {.rq = rq, .st = rq->server->st, .type = "application/json"};
	enum MHD_Result sent;
	int r;

	spool_init(&c.spool, clew_store_fd(c.st));
	r = query_turn_begin(rq);
	if (r < 0) {
		r = api_fail(&c, 503, r, "too many queries run at a time: try again");
	} else {
		r = run(&c, api);
		query_turn_end(rq);
	}
	if (r < 0)
		sent = answer_failure(&c, api, r);
	else if (c.spool.bytes)
		sent = answer_spool(rq, c.type, &c.spool);
	else
		sent = answer_bytes(rq, 200, c.type, clew_buf_slice(&c.out));
	spool_done(&c.spool);
	params_done(&c.params);
	clew_buf_done(&c.out);
	clew_buf_done(&c.arg);
	free(c.error);
	return sent;
}
