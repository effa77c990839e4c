/* SPDX-License-Identifier: Apache-2.0 */
/* trace/ID/critical: the critical path alone, and whose time it was. */
#include <inttypes.h>
#include <stdlib.h>

#include "query/call.h"
#include "query/critical.h"
#include "query/name_set.h"

struct by_service {
	struct slice service;
	int64_t ns[3]; /* by kind */
};

static int by_time(const void *a, const void *b)
{
	const struct by_service *x = a, *y = b;
	int64_t tx = x->ns[0] + x->ns[1] + x->ns[2], ty = y->ns[0] + y->ns[1] + y->ns[2];

	return tx > ty ? -1 : tx < ty;
}

static int put_by_service(struct call *c, const struct trace_rows *t, const struct critical *cr)
{
	struct name_set names = {0};
	struct by_service *sum = calloc(cr->n + 1, sizeof(*sum));
	int r = sum ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < cr->n; i++) {
		const struct piece *p = &cr->v[i];
		uint32_t at;

		r = name_set_id(&names, trace_row(t, p->node)->service, &at);
		if (r < 0)
			break;
		sum[at].service = trace_row(t, p->node)->service;
		sum[at].ns[p->kind] += p->to_ns - p->from_ns;
	}
	if (r == 0 && names.n)
		qsort(sum, names.n, sizeof(*sum), by_time);
	for (uint32_t i = 0; r == 0 && i < names.n; i++) {
		put_str(&c->out, i ? ",{\"service\":" : "{\"service\":", sum[i].service);
		for (int k = 0; k < 3; k++)
			clew_buf_addf(&c->out, ",\"%s_ns\":%" PRId64, piece_name(k), sum[i].ns[k]);
		clew_buf_addc(&c->out, '}');
	}
	name_set_done(&names);
	free(sum);
	return r;
}

int call_trace_critical(struct call *c, const struct clew_id128 *id)
{
	struct trace_rows t = {0};
	struct critical cr = {0};
	int r = call_no_params(c);

	if (r == 0)
		r = trace_rows_load(c->st, id, &t, c->ret_error);
	if (r == 0)
		r = critical_path(&t, &cr);
	put_hex(&c->out, "{\"trace_id\":", id->b, 16);
	clew_buf_addf(&c->out, ",\"start_ns\":%" PRIu64 ",\"pieces\":[", t.start_ns);
	for (size_t i = 0; r == 0 && i < cr.n; i++) {
		const struct clew_trace_row *row = trace_row(&t, cr.v[i].node);

		put_hex(&c->out, i ? ",{\"span_id\":" : "{\"span_id\":", row->span_id.b, 8);
		put_str(&c->out, ",\"service\":", row->service);
		put_str(&c->out, ",\"name\":", row->name);
		clew_buf_addf(&c->out,
			      ",\"from_ns\":%" PRId64 ",\"to_ns\":%" PRId64 ",\"kind\":\"%s\"}",
			      cr.v[i].from_ns, cr.v[i].to_ns, piece_name(cr.v[i].kind));
	}
	clew_buf_adds(&c->out, "],\"by_service\":[");
	if (r == 0)
		r = put_by_service(c, &t, &cr);
	clew_buf_adds(&c->out, "]}");
	trace_rows_done(&t);
	critical_done(&cr);
	return r < 0 ? r : call_end_line(c);
}
