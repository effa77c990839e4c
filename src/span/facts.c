/* SPDX-License-Identifier: Apache-2.0 */
#include "span/facts.h"

#include "span/trace_context.h"

static int64_t spent(const struct clew_exchange *x, int counter)
{
	if (counter >= x->n_cnt_begin || counter >= x->n_cnt_end ||
	    x->cnt_end[counter] < x->cnt_begin[counter])
		return -1;
	return (int64_t)(x->cnt_end[counter] - x->cnt_begin[counter]);
}

/*
 * The thread's time between the request and the response, where one thread did both: then, and only
 * then, do its cumulative counters speak of this stretch.
 */
static struct clew_span_times times_of(const struct clew_exchange *x)
{
	const struct clew_message *q = &x->req, *a = &x->resp;

	if (!a->seen || q->first.tid != a->last.tid ||
	    q->first.proc_start_ns != a->last.proc_start_ns)
		return (struct clew_span_times){-1, -1, -1, -1, -1, -1, -1};
	return (struct clew_span_times){
		.cpu_ns = spent(x, CLEW_CNT_CPU_NS),
		.runq_ns = spent(x, CLEW_CNT_RUNQ_NS),
		.futex_ns = spent(x, CLEW_CNT_FUTEX_NS),
		.disk_ns = spent(x, CLEW_CNT_DISK_NS),
		.net_ns = spent(x, CLEW_CNT_NET_NS),
		.sleep_ns = spent(x, CLEW_CNT_SLEEP_NS),
		.other_ns = spent(x, CLEW_CNT_OTHER_NS),
	};
}

static bool cut_off(const struct clew_exchange *x)
{
	const uint32_t unknown =
		CLEW_INC_LOSS | CLEW_INC_UNSYNCED | CLEW_INC_JOINED | CLEW_INC_LIMIT;

	return x->role == CLEW_ROLE_CLIENT && x->conn_closed && !(x->incomplete & unknown) &&
	       (x->incomplete & (CLEW_INC_NO_RESPONSE | CLEW_INC_CUT));
}

/*
 * Server: from the first byte of the request read to the last byte of the response written. Client:
 * from the beginning of the request's first write (the connect before it is the connection's) to
 * the response's last read.
 */
static void set_times(struct clew_span_facts *f, const struct clew_exchange *x)
{
	const struct clew_message *last = x->resp.seen ? &x->resp : &x->req;
	uint64_t start = x->role == CLEW_ROLE_CLIENT ? x->req.first_begin_ns : x->req.first_ns;
	uint64_t end = last->last_ns > x->req.last_ns ? last->last_ns : x->req.last_ns;

	f->start_ns = start;
	f->duration_ns = end > start ? end - start : 0;
	f->times = times_of(x);
}

static void set_http(struct clew_span_facts *f, const struct clew_exchange *x)
{
	const struct clew_http *h = &x->http;

	f->minor = h->minor;
	f->status = h->status;
	f->method = h->method;
	f->target = h->target;
	f->host = h->host;
	f->user_agent = h->user_agent;
	if (h->fields_known)
		return;
	f->host = clew_exchange_header(x, CLEW_PART_REQUEST, SLICE("host"));
	f->user_agent = clew_exchange_header(x, CLEW_PART_REQUEST, SLICE("user-agent"));
}

void clew_span_facts_of(const struct clew_exchange *x, struct clew_span_facts *ret)
{
	bool http = x->proto == CLEW_PROTO_HTTP1;
	struct clew_trace_context c;

	*ret = (struct clew_span_facts){
		.conn = x->conn,
		.proc_start_ns = x->proc_start_ns,
		.req_bytes = http ? x->req.body_bytes : x->req.bytes,
		.resp_bytes = http ? x->resp.body_bytes : x->resp.bytes,
		.tgid = x->tgid,
		.tid = x->req.first.tid,
		.incomplete = x->incomplete,
		.role = (uint8_t)x->role,
		.proto = (uint8_t)x->proto,
		.has_wire_key = x->has_wire_key,
		.wire_key = x->wire_key,
		.answered = x->resp.seen,
		.cut_off = cut_off(x),
		.x = x,
	};
	set_times(ret, x);
	if (!http)
		return;
	set_http(ret, x);
	if ((!x->http.fields_known || x->http.trace) && clew_trace_context(x, &c) == 0) {
		ret->header_trace = c.trace_id;
		ret->header_span = c.span_id;
	}
}

size_t clew_span_facts_text(const struct clew_span_facts *f)
{
	return f->method.n + f->target.n + f->host.n + f->user_agent.n;
}

static char *move(struct slice *s, char *to)
{
	if (!s->n)
		return to;
	memcpy(to, s->p, s->n);
	s->p = to;
	return to + s->n;
}

void clew_span_facts_move(struct clew_span_facts *f, char *to)
{
	to = move(&f->method, to);
	to = move(&f->target, to);
	to = move(&f->host, to);
	move(&f->user_agent, to);
}
