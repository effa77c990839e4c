/* SPDX-License-Identifier: Apache-2.0 */
/* histogram: how long traces took (their roots), or spans. */
#include <inttypes.h>
#include <math.h>

#include "query/trace_query.h"
#include "store/latency.h"

struct histogram {
	struct call *c;
	struct clew_buf buckets;
	uint64_t n, errors;
};

static int put_bucket(void *user, const struct clew_latency_bucket *l)
{
	struct histogram *h = user;
	struct clew_buf *b = &h->buckets;

	h->n += l->n;
	h->errors += l->errors;
	clew_buf_addf(b,
		      "%s{\"from_ns\":%.0f,\"to_ns\":%.0f,\"count\":%" PRIu64 ",\"errors\":%" PRIu64
		      ",\"examples\":[",
		      b->len ? "," : "", ceil(clew_latency_from(l->bucket)),
		      ceil(clew_latency_from(l->bucket + 1u)), l->n, l->errors);
	for (size_t i = 0; i < 2 && !clew_id128_none(&l->examples[i]); i++)
		put_hex(b, i ? "," : "", l->examples[i].b, 16);
	return clew_buf_adds(b, "]}");
}

int call_histogram(struct call *c)
{
	struct clew_trace_query tq = {0};
	struct histogram h = {.c = c};
	bool spans = false;
	int r = params_flag(&c->params, "spans", &spans, c->ret_error);

	if (r == 0)
		r = trace_query(c, &tq);
	if (r == 0 && spans && (tq.shape || tq.any))
		r = call_fail(c, -EINVAL, "spans=1 counts spans: leave pattern and any out");
	if (r == 0 && spans)
		r = clew_store_span_latency(c->st, &tq.f, put_bucket, &h, c->ret_error);
	else if (r == 0)
		r = clew_store_trace_latency(c->st, &tq, put_bucket, &h, c->ret_error);
	clew_buf_addf(&c->out,
		      "{\"n\":%" PRIu64 ",\"errors\":%" PRIu64 ",\"unit\":\"ns\",\"buckets\":[",
		      h.n, h.errors);
	clew_buf_add(&c->out, h.buckets.data, h.buckets.len);
	clew_buf_adds(&c->out, "]}");
	if (r == 0)
		r = h.buckets.err;
	clew_buf_done(&h.buckets);
	return r < 0 ? r : call_end_line(c);
}
