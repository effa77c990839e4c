/* SPDX-License-Identifier: Apache-2.0 */
/* download: a selection of spans to keep: JSON lines, OTLP/JSON lines, or Parquet. */
#include <unistd.h>

#include "model/otlp_json.h"
#include "query/call.h"
#include "query/span_json.h"

#define DEFAULT_SPANS 10000
#define MAX_SPANS     1000000
/* Spans of one OTLP document: one line of the answer. */
#define OTLP_SPANS 1000

struct batch {
	struct call *c;
	struct clew_span *v[OTLP_SPANS];
	size_t n;
};

static int put_line(void *user, struct clew_span *s)
{
	_cleanup_(clew_span_freep) struct clew_span *own = s;
	struct call *c = user;
	int r = span_json(&c->out, own);

	return r < 0 ? r : call_end_line(c);
}

static int flush_batch(struct batch *b)
{
	int r = b->n ? clew_otlp_json(&b->c->out, b->v, b->n) : 0;

	for (size_t i = 0; i < b->n; i++)
		clew_span_free(b->v[i]);
	if (r == 0 && b->n)
		r = call_end_line(b->c);
	b->n = 0;
	return r;
}

static int add_span(void *user, struct clew_span *s)
{
	struct batch *b = user;

	clew_span_show_fields(s);
	b->v[b->n++] = s;
	return b->n == OTLP_SPANS ? flush_batch(b) : 0;
}

static int download_otlp(struct call *c, const struct clew_span_filter *f)
{
	struct batch *b = calloc(1, sizeof(*b));
	int r, e;

	if (!b)
		return -ENOMEM;
	b->c = c;
	r = clew_store_find_spans(c->st, f, add_span, b, c->ret_error);
	e = flush_batch(b);
	free(b);
	return r < 0 ? r : e;
}

static int download_parquet(struct call *c, const struct clew_span_filter *f)
{
	char bytes[65536];
	ssize_t n = 0;
	int fd = -1, r = clew_store_parquet(c->st, f, &fd, c->ret_error);

	while (r == 0 && (n = read(fd, bytes, sizeof(bytes))) > 0)
		r = c->write(c->user, bytes, (size_t)n);
	if (fd >= 0)
		close(fd);
	return r < 0 ? r : n < 0 ? -EIO : 0;
}

int call_download(struct call *c)
{
	struct clew_span_filter f = {0};
	struct slice format = SLICE("ndjson");
	int r;

	params_get(&c->params, "format", &format);
	r = call_filter(c, &f);
	if (r < 0)
		return r;
	f.limit = f.limit ? f.limit : DEFAULT_SPANS;
	if (f.limit > MAX_SPANS)
		return call_fail(c, -EINVAL, "limit: at most %d spans", MAX_SPANS);
	if (slice_eq(format, SLICE("ndjson")))
		return clew_store_find_spans(c->st, &f, put_line, c, c->ret_error);
	if (slice_eq(format, SLICE("otlp")))
		return download_otlp(c, &f);
	if (slice_eq(format, SLICE("parquet")))
		return download_parquet(c, &f);
	return call_fail(c, -EINVAL, "format: ndjson, otlp or parquet");
}

const char *download_type(struct slice query)
{
	struct params ps;
	struct slice format = {0};
	bool parquet;

	if (params_parse(&ps, query, NULL) < 0)
		return "application/x-ndjson";
	params_get(&ps, "format", &format);
	parquet = slice_eq(format, SLICE("parquet"));
	params_done(&ps);
	return parquet ? "application/vnd.apache.parquet" : "application/x-ndjson";
}
